"""`make demo`: the whole chain on real parts, counted record by record."""

import itertools
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from rich.console import Console

from lab.errors import LabError, SlowError
from lab.lab import Lab
from lab.machine_plot import MachinePlot
from lab.pool import RUN, STOP_S, LabPool
from lab.provision import DEAD_LETTER_TOPIC, TOPIC, V1_USER
from lab.senders import ledger
from lab.senders.feed import Feed, Sender
from lab.senders.formats import Format
from lab.senders.sample import psutil_sample
from lab.senders.synthetic import BAD_EVERY, records
from lab.served_page import ServedPage
from lab.system.progress import Progress
from lab.system.reaper import Reaper
from lab.system.server_process import uninterrupted
from lab.tables import account_table, answer_table
from lab.topology import LabOptions

GROUP = "tower"
DEVICES = 5
#: Seconds for the workers to share out the partitions.
JOIN_S = 60.0
#: Seconds for the pool to drain what was fed.
DRAIN_S = 120.0
#: The lab's dashboard asks this, with the v1 user.
DASHBOARD = 'SELECT "memory" FROM "Labs"."autogen"."labs" WHERE time > {}s'
#: The same for two of its fields and one second of the single Pi, whose records name no device.
ONE_RECORD = (
    'SELECT "memory", "CPU_Usage" FROM "Labs"."autogen"."labs" '
    "WHERE time >= {0}s AND time < {0}s + 1s AND \"deviceId\" = ''"
)
SHOWN = 5


@dataclass(frozen=True)
class Demo:
    """One run of the demo.

    Args:
        wanted: Ports of the lab.
        count: Synthetic records.
        seconds: How long they are fed, with one live sample a second: as the lab's Pi sends it, and once
            more in each of the other formats.
        workers: Size of the pool.
        keep: Folder of a lab that stays up with the pool, None for one that passes.
        progress: Where waits are shown.
    """

    wanted: LabOptions
    count: int
    seconds: int
    workers: int
    keep: Path | None
    progress: Progress

    def run(self) -> bool:
        """Bring everything up, feed, drain, count, show, and take it down.

        Returns:
            Whether every record was found where it belongs.

        Raises:
            LabError: A step failed; nothing this run started is left running.
        """
        with ExitStack() as stack:
            # Before anything is started: what is found here is not ours to stop.
            LabPool(Path(), {}).check()
            lab = self._lab(stack)
            page = ServedPage.on_free_port(prefer_default=self.keep is not None)
            settings = lab.worker_environment() | {
                "TOWER_WORKERS": str(self.workers),
                "TOWER_SERVE_ADDRESS": page.address,
            }
            pool = LabPool(lab.data / "pool", settings)
            stack.callback(self._stop, pool)
            self._start(pool, lab, page)
            how_long = "stays up" if self.keep else "until the demo ends, KEEP=1 leaves it up"
            self.progress.say(f"  the page: {page.url} ({how_long})")
            # A second early: a point may lie at its second's very beginning, and > leaves it out.
            since = int(time.time()) - 1
            letters = lab.topics.log_ends(DEAD_LETTER_TOPIC)
            plot = MachinePlot(lab.query_rows, since)
            book, record = self._feed(lab, plot)
            self._drain(lab, pool)
            plot.refresh()
            self.progress.picture(plot.picture())
            holds = self._show(lab, book, record, since, letters)
            if self.keep is not None:
                stack.pop_all()
                self._explain(lab, page)
        return holds

    def _lab(self, stack: ExitStack) -> Lab:
        if self.keep is None:
            folder = Path(tempfile.mkdtemp(prefix="tower-demo-"))
            reaper = Reaper(folder)
            stack.callback(reaper.leave)
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            lab = Lab(folder / "lab", self.wanted, self.progress)
            stack.callback(_quietly, lambda: lab.down(purge=True))
            return lab.up()
        lab = Lab(self.keep, self.wanted, self.progress)
        if not lab.running():
            stack.callback(_quietly, lab.down)
        return lab.up()

    def _start(self, pool: LabPool, lab: Lab, page: ServedPage) -> None:
        with self.progress.step(f"starting {self.workers} workers") as step:
            pool.start()
            deadline = time.monotonic() + JOIN_S
            partitions = lab.topics.partitions(TOPIC)
            while True:
                self._check(pool, deadline, "the workers have not shared out the partitions")
                members = lab.topics.members(GROUP)
                owned = sum(len(parts) for parts in members.values())
                step.note(f"{len(members)} in the group, {owned} partitions owned")
                if is_shared_out(members, self.workers, partitions):
                    break
                time.sleep(0.2)
            while not page.answers():
                self._check(pool, deadline, f"{page.url} (see {RUN}/serve.log) has not answered")
                time.sleep(0.2)

    def _feed(self, lab: Lab, plot: MachinePlot) -> tuple[ledger.ProducedRecords, bytes]:
        """Feed it all; what was sent, and the last record of the stand-in for the lab's Pi."""
        book = ledger.ProducedRecords()
        sender = Sender(lab.bootstrap_servers, TOPIC, book.delivered)
        single = Feed(sender, psutil_sample)
        others = [
            Feed(sender, psutil_sample, form, (f"this-machine-{form.value}",), numbered=True)
            for form in (Format.MSGPACK, Format.TEXT)
        ]
        values = records(self.count, DEVICES, _clock())
        text = f"feeding {self.count} synthetic records (1 in {BAD_EVERY} bad) and live samples"
        with self.progress.step(text) as step:
            began, last = time.monotonic(), 0
            for second in range(self.seconds):
                # The single Pi's records have no number: each is found again by its second.
                while int(time.time()) == last:
                    sender.poll(0.02)
                for feed in (single, *others):
                    feed.send_round()
                last = int(time.time())
                share = self.count * (second + 1) // self.seconds
                share -= self.count * second // self.seconds
                for value, tag in itertools.islice(values, share):
                    sender.send(value, tag)
                plot.refresh()
                step.draw(plot.picture())
                while (left := began + second + 1 - time.monotonic()) > 0:
                    sender.poll(min(left, 0.1))
                    step.note(f"{sender.delivered_count} delivered to Kafka, {plot.summary()}")
            sender.finish()
            plot.refresh()
            step.note(f"{sender.delivered_count} delivered to Kafka, {plot.summary()}")
        return book, single.last

    def _drain(self, lab: Lab, pool: LabPool) -> None:
        with self.progress.step("waiting for the pool to commit all of it") as step:
            deadline = time.monotonic() + DRAIN_S
            while True:
                ends = lab.topics.log_ends(TOPIC)
                done = lab.topics.committed(GROUP, TOPIC)
                lag = sum(end - (done.get(number) or 0) for number, end in ends.items())
                step.note(f"{lag} to go")
                if lag == 0:
                    return
                self._check(pool, deadline, f"{lag} records are not committed")
                time.sleep(0.2)

    @staticmethod
    def _check(pool: LabPool, deadline: float, what: str) -> None:
        why = pool.exited()
        if why is not None:
            raise LabError(f"{why}\n{pool.worker_logs()}")
        if time.monotonic() > deadline:
            raise SlowError(f"{what} in time\n{pool.worker_logs()}")

    def _show(
        self, lab: Lab, book: ledger.ProducedRecords, record: bytes, since: int, letters: dict[int, int]
    ) -> bool:
        with self.progress.step("counting what InfluxDB and the dead letters hold"):
            rows, problems = book.settle(
                ledger.stored(lab, since),
                ledger.dead_letters(lab, DEAD_LETTER_TOPIC, letters, TOPIC),
                lab.topics.committed(GROUP, TOPIC),
                lab.topics.log_ends(TOPIC),
            )
            question = DASHBOARD.format(since)
            answer = list(lab.query_rows(question))
        console = Console(highlight=False)
        console.print(account_table(rows))
        console.print(f"\n[bold]{question}[/bold]\nasked as v1 user {V1_USER}: {len(answer)} rows")
        console.print(answer_table(answer[-SHOWN:]))
        problems += show_record(lab, record, console)
        expected = len(book.good)
        if len(answer) != expected:
            problems.append(f"the dashboard's query has {len(answer)} rows instead of {expected}")
        for problem in problems:
            console.print(f"[red]not right:[/red] {problem}", soft_wrap=True)
        if not problems:
            console.print(f"produced = stored + dead-lettered for all {expected + len(book.bad)}")
        return not problems

    def _stop(self, pool: LabPool) -> None:
        with uninterrupted(), self.progress.step("stopping the workers"):
            pool.stop(STOP_S)

    def _explain(self, lab: Lab, page: ServedPage) -> None:
        option = "" if lab.data == Path(".lab").absolute() else f" --data {lab.data}"
        self.progress.say(
            "\nThe pool and the lab stay up. Look at them from this folder, in this order:\n"
            f'  eval "$(.venv/bin/python -m lab env{option})"\n'
            "  .venv/bin/tower check\n"
            "  .venv/bin/tower status --max-dead-share 0.1\n"
            "  .venv/bin/tower dlq list\n"
            "More:\n"
            f"  page:  {page.url}\n"
            "  look:  .venv/bin/supervisorctl -c supervisor.conf status\n"
            f"         .venv/bin/python -m lab status{option}\n"
            f"  feed:  .venv/bin/python -m lab feed{option}\n"
            "  stop:  .venv/bin/tower down\n"
            f"         .venv/bin/python -m lab down{option}"
        )


def is_shared_out(members: Mapping[str, Sequence[object]], workers: int, partitions: int) -> bool:
    """Whether every worker is in the group and every partition has an owner.

    One worker may have all partitions until the next one joins. If that happens while records come, some
    are read again: each of their points overwrites itself, but a dead letter may then be there twice.

    Args:
        members: the partitions that each member of the group has.
        workers: size of the pool.
        partitions: of the topic.
    """
    return len(members) >= workers and sum(len(parts) for parts in members.values()) >= partitions


def show_record(lab: Lab, sent: bytes, console: Console) -> list[str]:
    """Print a record of the lab's Pi and what the dashboard gets for it; what is not right about that."""
    record = json.loads(sent)
    second = int(datetime.fromisoformat(record["time"]).timestamp())
    question = ONE_RECORD.format(second)
    rows = list(lab.query_rows(question))
    console.print("\n[bold]the last record of this machine, as the lab's Pi sends it[/bold]")
    console.print(sent.decode(), soft_wrap=True, markup=False)
    console.print(
        f"\n[bold]{question}[/bold]\nasked as v1 user {V1_USER}: {len(rows)} rows", soft_wrap=True
    )
    console.print(answer_table(rows))
    expected = [(float(record["free_ram"]), float(record["cpu_load"]))]
    if [(row["memory"], row["CPU_Usage"]) for row in rows] == expected:
        return []
    return ["the dashboard's query does not answer that record with its one point"]


def _clock() -> Iterator[float]:
    while True:
        yield time.time()


def _quietly(action: Callable[[], None]) -> None:
    """Take down without letting a second Ctrl-C break it off."""
    with uninterrupted():
        action()
