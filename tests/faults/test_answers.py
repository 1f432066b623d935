"""Answers of others than InfluxDB, answers that hide a cause, and answers that no server should give."""

import json
import random
import signal
import time
from collections import Counter
from collections.abc import Mapping

import pytest

from tests.faults.harness.honesty import WITHIN_S, StatusWatch, watched
from tests.faults.harness.http_fault import Fault
from tests.faults.harness.ledger import sample
from tests.faults.harness.odd_answers import HINTS, PROCESSING, continue_for_ever, drip, drip_body, flood
from tests.faults.harness.rig import Rig
from workers.influxdb import advice
from workers.influxdb.type_conflicts import RECHECK_S

MARKS = {"X-Influxdb-Build": "Core", "X-Influxdb-Version": "3.0.0"}

#: InfluxDB 3's v2 endpoint while its write buffer is shut down (influxdb3_server/src/http.rs).
OUTAGE = Fault(status=400, headers=MARKS, body=b'{"error":"write buffer error: shut down"}')

#: Fields of every record beside a sample's own, each with one type.
FIELDS = {"num": 1.5, "note": "x", "flag": True}

#: Records with another type that InfluxDB cannot take: text and bool into float, number into bool.
UNFIT: tuple[Mapping[str, object], ...] = ({"num": "n/a"}, {"num": False}, {"flag": 7})

#: Records with another type that loses nothing: text into float, number and bool into text, text into bool.
CONVERTIBLE: tuple[Mapping[str, object], ...] = (
    {"num": "12.5"},
    {"note": 7},
    {"note": True},
    {"flag": "true"},
)


def with_fields(value: bytes, fields: Mapping[str, object]) -> bytes:
    """A record with further fields."""
    return json.dumps({**json.loads(value), **FIELDS, **fields}).encode()


@pytest.mark.faults(32)
def test_type_conflicts_of_five_kinds_cost_themselves_alone(rig: Rig) -> None:
    """One record in 2, 10, 100 and 1,000 has another type. `bench conflict` measures what that costs.

    Text and bool into float, number into bool: dead letters. Text into float, number and bool into text,
    text into bool: converted. Neither needs a request once it is known, except one a minute to ask again.
    From JSON, Tower writes no integers, so that integers into float are left to the unit tests.
    """
    rig.start()
    draw = random.Random(rig.seed)
    rig.load.change = lambda value, _: with_fields(value, {})
    rig.run_for(3)
    began = time.monotonic()
    with watched(rig):
        for each in (2, 10, 100, 1_000):
            share = 0.5 / each

            def unfit(partition: int, _: random.Random, share: float = share) -> bytes | None:
                value = sample(rig.seed, partition, 0, int(time.time()))
                return with_fields(value, draw.choice(UNFIT)) if draw.random() < share else None

            def fitting(value: bytes, _: random.Random, share: float = share) -> bytes:
                return with_fields(value, draw.choice(CONVERTIBLE) if draw.random() < share else {})

            rig.load.poison, rig.load.change = unfit, fitting
            rig.run_for(rig.seconds(15, 3))
    rig.load.poison = None
    rig.load.change = lambda value, _: with_fields(value, {})
    rig.healed()
    rig.top_up()
    seconds = time.monotonic() - began
    rejected = [request for request in rig.proxy.writes(began) if request.upstream == 422]
    kinds = len(UNFIT) + len(CONVERTIBLE)
    # Two for each kind and worker, and one to ask again for each minute that follows.
    most = 3 * kinds * (2 + 2 * int(seconds / RECHECK_S))
    rig.expect("requests", len(rejected) <= most, f"{len(rejected)} rejected requests, at most {most}")
    converted = rig.pool.counter("values_converted")
    rig.expect("converted", converted > 1_000, f"{converted} values were converted")
    rig.figure("rejected_requests", len(rejected))
    rig.figure("values_converted", converted)

    rig.finish(reasons={"type_conflict"})


def says(rig: Rig, watch: StatusWatch, words: str) -> float:
    """Wait until the pool's status says something; the seconds it took."""
    return rig.until(
        lambda: any(words in str(trouble) for trouble in watch.troubles()), 30, f"status to say {words!r}"
    )


#: Answers of other servers: body, status, and what `status` has to advise.
OTHERS = (
    (400, b"Client sent an HTTP request to an HTTPS server.\n", advice.USE_HTTPS),
    (400, b"<html>400 Bad Request</html>", advice.NOT_INFLUXDB),
    (422, b"<html>422 Unprocessable Entity</html>", advice.NOT_INFLUXDB),
    (413, b"<html>413 Request Entity Too Large</html>", advice.PROXY_LIMIT),
    (200, b"<html>Welcome to our Wi-Fi</html>", advice.NOT_INFLUXDB),
    (404, b"<html>Not Found</html>", advice.NOT_INFLUXDB),
    (302, b"", advice.FOLLOW),
)


@pytest.mark.faults(33)
def test_the_wrong_server_costs_no_record_and_is_named(rig: Rig) -> None:
    """A TLS port, a proxy's pages, a captive portal, another web server, each for a while."""
    rig.start()
    rig.run_for(3)
    pids = rig.pool.pids()
    with watched(rig) as watch:
        for status, body, expected in OTHERS:
            watch.cause = f"another server answers {status}"
            headers = {"Location": "/login"} if status == 302 else {}
            rig.proxy.set(Fault(status=status, headers=headers, body=body))
            begun = time.monotonic()
            # What was under way may still be committed.
            rig.run_for(1)
            before = rig.sampler.committed()
            told = says(rig, watch, expected)
            rig.run_for(max(0.0, rig.seconds(9, 4) - (time.monotonic() - begun)))
            after, letters = rig.sampler.committed(), len(rig.dead_letters())
            healed = rig.proxy.heal()
            rig.until_written(healed)
            rig.until(lambda: not watch.troubles(), 30, "status to be well again")
            watch.cause = ""
            name = f"{status} {body[:20]!r}"
            rig.expect(
                f"kept, {name}", before == after and not letters, f"{before}, {after}; {letters} dead"
            )
            rig.expect(f"told, {name}", told <= WITHIN_S, f"status named it after {told:.1f} s")
    rig.healed(healed)
    rig.expect_same_processes(pids.values(), rig.pool.pids().values())

    rig.finish()


@pytest.mark.faults(34)
def test_an_outage_answered_with_400_costs_no_record(rig: Rig) -> None:
    """As InfluxDB 3's v2 endpoint and GreptimeDB do: 400 with InfluxDB's marks, without naming a line.

    One worker is killed meanwhile: the new one has never stored a line.
    """
    rig.start()
    rig.run_for(3)
    with watched(rig) as watch:
        watch.cause = "InfluxDB answers 400 to everything"
        rig.proxy.set(OUTAGE)
        rig.run_for(rig.seconds(30, 6))
        before = rig.sampler.committed()
        pid = rig.pool.signal(0, signal.SIGKILL)
        rig.run_for(rig.seconds(30, 8))
        after, letters = rig.sampler.committed(), len(rig.dead_letters())
        said = [trouble.cause for trouble in watch.troubles()]
        rig.healed(rig.proxy.heal())
        rig.until_written(time.monotonic())
        rig.until(lambda: not watch.troubles(), 60, "status to be well again")
        watch.cause = ""
    rig.expect("kept", before == after and not letters, f"{before}, {after}; {letters} dead letters")
    rig.expect("told", any("write buffer error" in cause for cause in said), f"status: {said}")
    rig.expect("new worker", pid not in rig.pool.pids().values(), "worker 0 was killed in the outage")

    rig.finish(crashes=1)


@pytest.mark.faults(35)
def test_an_answer_without_end_is_bounded_in_time_and_memory(rig: Rig) -> None:
    """One byte a second, `100 Continue` without end, a body of 100 MB; a SIGTERM meanwhile is heard."""
    rig.start({"TOWER_INFLUXDB_TIMEOUT_S": "5"})
    rig.run_for(3)
    with watched(rig) as watch:
        for script in (drip, drip_body, continue_for_ever, flood):
            begun = time.monotonic()
            watch.cause = f"an answer without end: {script.__name__}"
            rig.proxy.set(Fault(script=script))
            rig.run_for(rig.seconds(20, 8))
            exchanges = [
                request.ended - request.started for request in rig.proxy.writes(begun) if request.ended
            ]
            longest = max(exchanges, default=0.0)
            rig.expect(
                f"bounded, {script.__name__}",
                bool(exchanges) and longest <= 7,
                f"{len(exchanges)} exchanges, the longest took {longest:.1f} s",
            )
            _, seconds = rig.pool.terminate(0)
            rig.expect(f"SIGTERM, {script.__name__}", seconds <= 15, f"the worker ended in {seconds:.1f} s")
            rig.until_written(rig.proxy.heal())
            rig.until(lambda: not watch.troubles(), 60, "status to be well again")
            watch.cause = ""
    rig.healed()

    # Each SIGTERM drops the batch that could not be written.
    rig.finish(crashes=4)


@pytest.mark.faults(42)
def test_no_204_is_taken_for_another_requests_answer(rig: Rig) -> None:
    """102 and 103 before answers, an answer twice, one before the body is read; 503 and 400 in between."""
    rig.start()
    draw = random.Random(rig.seed)
    # Without InfluxDB's marks: a line that it refused at random twice in a row, and the witness not, would
    # rightly be a dead letter.
    refusal = b"<html>400 Bad Request</html>"
    oddities = (
        Fault(before=HINTS, chance=0.3),
        Fault(before=PROCESSING * 3, chance=0.3),
        Fault(again=True, chance=0.3),
        Fault(status=503, early=True, body=b"busy", chance=0.3),
        Fault(status=400, early=True, body=refusal, chance=0.3),
        Fault(status=503, body=b"busy", chance=0.3),
        Fault(status=400, body=refusal, chance=0.1),
    )
    with watched(rig) as watch:
        watch.cause = "odd answers"
        until = time.monotonic() + rig.seconds(60, 15)
        used: Counter[int] = Counter()
        while time.monotonic() < until:
            number = draw.randrange(len(oddities))
            used[number] += 1
            rig.proxy.set(oddities[number])
            rig.run_for(draw.uniform(0.05, 0.5))
    rig.healed(rig.proxy.heal())
    rig.expect("oddities", len(used) == len(oddities), f"each was used at least {min(used.values())} times")

    # Of an answer that came twice, or was refused by the proxy, every line is rightly written again.
    rig.finish(repeats=rig.proxy.acknowledged())
