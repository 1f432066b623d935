"""Records of every kind, and bytes near them, from a seed; and whether both paths make the same of them.

`python -m tests.support.variants --cases 1000000` is the long form of what `test_native.py` runs in short.
"""

import json
import random
import struct
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import click
import msgpack
from confluent_kafka import Message as KafkaMessage

from tests.support import fakes
from tests.support.kernel import require_kernel_on_ci
from workers.batch import Batch
from workers.config.route import Route
from workers.records.converter import Converter
from workers.records.encoder import Encoder
from workers.types import Message, origin_of

#: Seconds since the epoch around which the records are dated.
NOW = fakes.KAFKA_MS // 1000

NUMBERS = ["memory", "tx", "rx", "CPU_Usage", "tx_dropped", "rx_dropped", "rxError", "txError", "disk"]
#: What the lab's Pi and its older sender call them.
SENT = [
    "tx_bytes", "rx_bytes", "tx_drops", "rx_drops", "tx_errors", "rx_errors", "cpu_load", "free_ram",
    "disk_util", "cpu", "txDropped", "rxDropped",
]  # fmt: skip
OTHERS = [
    "host",
    "note",
    "ok",
    "a",
    "b",
    "_field",
    "_measurement",
    "x=y,z w",
    "region",
    "host_",
    "region_",
    "_field_",
    "time_",
    "x/y",
    "x\\y",
    "x\ty",
    "x_y",
    "é",
    'q"q',
    "k" * 257,
]

#: Settings under which paths are compared: all of them must hold for both.
SETTINGS: list[dict[str, object]] = [
    {},
    {"format": "json"},
    {"format": "msgpack"},
    {"tags": "a=b", "tag_fields": "ip,host,note,timestamp", "time_fields": "time,timestamp",
     "identity": "kafka", "time_window_s": 50_000},
    {"identity": "record", "time_window_s": 0, "time_zone": "Asia/Seoul"},
    {"time_format": "%Y-%d-%m %H:%M:%S", "time_zone": "Europe/Paris"},
    {"tags": "", "tag_fields": "", "number_fields": "", "max_fields": 9, "max_text_bytes": 40,
     "max_key_bytes": 12},
    {"rename": ""},
    {"rename": "rx:memory,memory:rx,a:ip,note:b,b:timestamp,ip:deviceId,x:a", "tag_fields": "ip,deviceId"},
    {"tag_fields": "memory,tx,ip", "max_tag_bytes": 5, "time_fields": "", "max_record_bytes": 300},
]  # fmt: skip

ODD_NUMBERS = [
    "0", "-0", "0.0", "-0.0", "00", "007", "1.", "+5", ".5", "-.5", "1e5", "1E-7", "-", "", "+", ".",
    " 12 ", "12 ", "1_000", "nan", "NaN", "inf", "Infinity", "1e999", "-1e999", "0.0001",
    "0.00001", "0.00009999",
    "999999999999999", "1000000000000000", "-999999999999999", "-1000000000000000", "9007199254740993",
    "18446744073709551615", "18446744073709551616", "1e-400", "0x10", "\u0661\u0662", "1\u0662", "5e-324",
    "4.35",    "0.1234567890123456", "123456789012345.5", "100.10", "9" * 39 + ".5", "1" * 60,
]  # fmt: skip
ODD_TEXTS = [
    "No Such Instance currently exists at this OID", "x", " ", "héllo", "서울", 'a"b', "a\\b", "a,b=c d",
    "\n",    "\x7f", "tab\t", "", "10.0.0.1", "'", "Labs", "\u00a012", "a" * 300, "1" * 50,
]  # fmt: skip
ODD_VALUES = [None, True, False, [], {}, [1, 2], {"a": 1}, {"b": {"c": "d"}}, b"bytes"]
ODD_TIMES = [
    None, True, "", -5, 0, "0", "-1", 1e300, "1700000000.", "01700000000", 10**11, 10**14, 10**17,
    9 * 10**18, 99_999_999_999, 10**20, "2023-02-29T00:00:00", "2024-02-29T00:00:00Z",
    "1970-01-01T00:00:00",
    "2100-01-01T00:00:00", "2023-11-14T24:00:00", "2023-11-14T22:13:60", "2023-11-14T22:13:20." + "9" * 12,
]  # fmt: skip
#: Kafka's timestamps that cannot be right: none at all, seconds and microseconds for milliseconds, and the
#: first and last millisecond that could be.
ODD_KAFKA_MS = [
    0, 5, 2**62, -1, NOW, NOW * 10**6, 946_684_799_999, 946_684_800_000, 4_102_444_799_999,
    4_102_444_800_000,
]  # fmt: skip
DATES = [
    "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dt%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d", "%Y%m%dT%H%M%S",
    "%Y-%m-%dT%H:%M", "%Y-%d-%m %H:%M:%S", "%Y-%m-%dx%H:%M:%S", "%Y-%m-%dT%H", "%Y-%m-%d  %H:%M:%S",
]  # fmt: skip
ZONES = [
    "", "Z", "z", "+00:00", "+09:00", "-0330", "+09", "+24:00", "-23:59", " +0900", "+09:00:30", "Zz",
    " UTC", "UTC", " GMT", " Z", "  Z", " +09:00", " +0900 KST", "+01:00[Europe/Paris]", "Z[UTC]",
    "-00:00", " KST",
]  # fmt: skip
BITS_OF_SYNTAX = b'0123456789.-+eE"{}[]:,\\ \0ntf\xff\xc3'


class Variants:
    """Messages of any content, the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def messages(self, count: int) -> list[Message]:
        """Messages as a consumer would hand them out."""
        partitions = self.random.choice([1, 1, 3, 16])
        return [self._message(place, partitions) for place in range(count)]

    def _message(self, place: int, partitions: int) -> Message:
        pick = self.random.choice
        value: bytes | None = self._bytes(self._record())
        if value and self.random.random() < 0.2:
            value = self.mutated(value)
        if self.random.random() < 0.005:
            value = pick([None, b""])
        return KafkaMessage(
            topic=pick(["resource"] * 9 + ["other"]),
            partition=self.random.randrange(partitions),
            offset=pick([place, place, self.random.randrange(2**40)]),
            value=value,
            timestamp=(
                pick([1, 1, 1, 1, 2, 0]),
                pick([NOW * 1000 + self.random.randrange(-(10**5), 10**5)] * 20 + ODD_KAFKA_MS),
            ),
        )  # type: ignore[return-value]

    def mutated(self, value: bytes) -> bytes:
        """The same with a few bytes changed, gone, repeated or cut off."""
        changed = bytearray(value)
        for _ in range(self.random.choice([1, 1, 1, 2, 5])):
            if not changed:
                break
            at, how = self.random.randrange(len(changed)), self.random.random()
            if how < 0.4:
                changed[at] = self.random.randrange(256)
            elif how < 0.6:
                changed[at] = self.random.choice(BITS_OF_SYNTAX)
            elif how < 0.75:
                del changed[at : at + self.random.choice([1, 1, 3, 20])]
            elif how < 0.9:
                changed[at:at] = changed[at : at + self.random.choice([1, 5, 30])]
            else:
                del changed[at:]
        return bytes(changed)

    def _record(self) -> dict[str, Any]:
        """A record of the lab, most of the time with something odd in it."""
        rnd = self.random
        numbers = NUMBERS if rnd.random() < 0.4 else SENT[:9]
        if rnd.random() < 0.1:
            numbers = rnd.sample(NUMBERS + SENT, 9)
        names = [*numbers, rnd.choice(["timestamp", "timestamp", "time", "at"]), "ip", "deviceId"]
        names += rnd.sample(OTHERS, rnd.choice([0, 0, 1, 4]))
        if rnd.random() < 0.5:
            rnd.shuffle(names)
            names = names[: rnd.randrange(len(names) + 1)]
        if rnd.random() < 0.05:
            names += ["timestamp", "time", f"new{rnd.randrange(3_000)}"]
        odd = (
            set(rnd.sample(names, min(len(names), rnd.choice([0, 1, 1, 2]))))
            if rnd.random() < 0.8
            else names
        )
        return {name: self._value(name) if name in odd else self._plain(name) for name in names}

    def _plain(self, name: str) -> Any:
        if name in {"timestamp", "time"}:
            return NOW
        if name in {"ip", "deviceId"}:
            return f"10.0.0.{self.random.randrange(30)}"
        return self.random.randrange(10**6)

    def _value(self, name: str) -> Any:
        rnd = self.random
        if name in {"timestamp", "time"} and rnd.random() < 0.8:
            return self._time()
        how = rnd.random()
        if how < 0.35:
            return self._number()
        if how < 0.7:
            return self._number_text()
        return rnd.choice(ODD_TEXTS if how < 0.85 else ODD_VALUES)

    def _number(self) -> Any:
        try:
            return json.loads(self._number_text())
        except ValueError:
            return self.random.randrange(100)

    def _number_text(self) -> str:
        rnd = self.random
        how = rnd.randrange(6)
        if how == 0:
            return str(rnd.randrange(-1, 2) * rnd.randrange(10 ** rnd.randrange(1, 20)))
        if how == 1:
            return f"{rnd.uniform(-1, 1) * 10 ** rnd.randrange(-8, 20):.{rnd.randrange(20)}f}"
        if how == 2:
            return repr(rnd.uniform(-1, 1) * 10 ** rnd.randrange(-20, 25))
        if how == 3:
            return repr(struct.unpack("<d", rnd.randbytes(8))[0])
        if how == 4:
            return f"{rnd.randrange(1000)}.{rnd.randrange(10 ** rnd.randrange(1, 7))}"
        return rnd.choice(ODD_NUMBERS)

    def _time(self) -> Any:
        rnd = self.random
        second = NOW + rnd.randrange(-(10**5), 10**5)
        how = rnd.randrange(8)
        if how == 0:
            return second
        if how == 1:
            unit = rnd.choice([10**3, 10**6, 10**9])
            return second * unit + rnd.randrange(unit)
        if how == 2:
            return rnd.choice([str(second), second + rnd.random()])
        if how == 3:
            return f"{second}.{rnd.randrange(10 ** rnd.randrange(1, 9))}"
        if how < 7:
            text = datetime.fromtimestamp(second, UTC).strftime(rnd.choice(DATES))
            if rnd.random() < 0.5:
                text += rnd.choice(".,") + "".join(rnd.choices("0123456789", k=rnd.randrange(11)))
            text += rnd.choice(ZONES)
            at = rnd.randrange(len(text))
            return (
                text
                if rnd.random() < 0.8
                else f"{text[:at]}{rnd.choice('0123456789-:T. ')}{text[at + 1 :]}"
            )
        return rnd.choice(ODD_TIMES)

    def _bytes(self, record: dict[str, Any]) -> bytes:
        rnd = self.random
        how = rnd.random()
        if how < 0.5:
            return self._json(record)
        if how < 0.96:
            return self._msgpack(record)
        if how < 0.97:
            return self._foreign(record)
        if how < 0.99:
            return b"[" + b",".join([self._json(record)] * rnd.randrange(3)) + b"]"
        return ",".join(f"{name}:{value}" for name, value in record.items()).encode("utf-8", "replace")

    def _foreign(self, record: dict[str, Any]) -> bytes:
        """What other senders do to JSON and msgpack."""
        rnd = self.random
        text, other = self._json(record), self._json(self._record())
        how = rnd.randrange(6)
        if how == 0:
            return rnd.choice([b"\n", b"\r\n", b"\n\n"]).join(rnd.choices([text, other, b"{", b"x"], k=3))
        if how == 1:
            return b"".join(b"\x1e" + part + b"\n" for part in rnd.choices([text, other, b"x"], k=2))
        if how == 2:
            return b"\0" + rnd.randbytes(4) + rnd.choice([text, other, rnd.randbytes(9)])
        if how == 3:
            return json.dumps(text.decode("utf-8", "replace")).encode()
        if how == 4:
            return b"\xef\xbb\xbf" + text
        extension = rnd.choice([b"\xd6\xff", b"\xd7\xff", b"\xd4\x05", b"\xd7\x00"]) + rnd.randbytes(8)
        pairs = [msgpack.packb(rnd.choice([name, name.encode()])) for name in record if name.isascii()]
        values = [
            rnd.choice([b"\xc4\x01a", b"\x01", extension[: 2 + 2 ** (extension[0] - 0xD4)]]) for _ in pairs
        ]
        body = b"".join(name + value for name, value in zip(pairs, values, strict=True))
        return b"\xde" + struct.pack(">H", len(pairs)) + body

    def _json(self, record: dict[str, Any]) -> bytes:
        rnd = self.random
        text = json.dumps(
            record,
            separators=rnd.choice([(",", ":"), (", ", ": ")]),
            ensure_ascii=rnd.random() < 0.5,
            default=str,
        )
        if rnd.random() < 0.1:
            text = text.replace("{", "{" + rnd.choice([" ", "\n", "\t\r"]), 1) + rnd.choice(
                ["", " ", "\n", "x", "\0"]
            )
        if rnd.random() < 0.05:
            text = f"{text[:-1]},{text[1:]}"  # each field twice
        return text.encode("utf-8", "surrogatepass")

    def _msgpack(self, record: dict[str, Any]) -> bytes:
        rnd = self.random
        try:
            packed: bytes = msgpack.packb(record, use_single_float=rnd.random() < 0.3)
        except OverflowError:
            return self._json(record)
        if "timestamp" in record and rnd.random() < 0.3:
            name = msgpack.packb("timestamp")
            extension = rnd.choice([b"\xd7\x00", b"\xc7\x08\x00", b"\xd7\xff", b"\xd7\x01"])
            event_time = extension + struct.pack(">II", NOW, rnd.randrange(2**32))
            packed = packed.replace(name + msgpack.packb(record["timestamp"]), name + event_time)
        return packed


class Path:
    """One of the two ways from messages to a batch, with the encoder it counts in."""

    def __init__(self, route: Route, native: bool) -> None:
        self.encoder = Encoder(route)
        if native:
            require_kernel_on_ci()
        self.converter = Converter(route, self.encoder, native=native)

    def outcome(self, messages: Sequence[Message]) -> dict[str, Any]:
        """All that comes of `messages`; messages themselves stand for where lines came from."""
        before = self._counts()
        batch = Batch()
        self.converter.convert(messages, batch)
        return {
            "lines": batch.lines,
            "origins": [(id(origin.message), *origin[1:]) for origin in map(origin_of, batch.origins)],
            "dead_letters": [
                (id(letter.origin.message), *letter.origin[1:], letter.reason, letter.detail)
                for letter in batch.dead_letters
            ],
            "next_offsets": dict(batch.next_offsets),
            "records": dict(batch.records),
            "size": batch.size,
            "counted": {name: count - before[name] for name, count in self._counts().items()},
        }

    def _counts(self) -> dict[str, int]:
        encoder = self.encoder
        return {
            "values_omitted": encoder.values_omitted,
            "names_doubled": encoder.names_doubled,
            **encoder.times.counts,
        }


def pairs() -> list[tuple[Path, Path]]:
    """The native and the Python path under each of the settings."""
    routes = [fakes.route(**options) for options in SETTINGS]
    return [(Path(route, native=True), Path(route, native=False)) for route in routes]


@click.command()
@click.option(
    "--cases", default=1_000_000, help="Messages to compare, counted once for each of the settings."
)
@click.option("--seed", default=0, help="Where to begin; each seed is another million.")
def main(cases: int, seed: int) -> None:
    """Compare both paths on so many messages; exit with 1 at the first that differs."""
    variants, both, done, told_at = Variants(seed), pairs(), 0, time.monotonic()
    while done < cases:
        messages = variants.messages(50)
        for number, (native, python) in enumerate(both):
            if native.outcome(messages) != python.outcome(messages):
                guilty = [
                    message
                    for message in messages
                    if native.outcome([message]) != python.outcome([message])
                ]
                for each in guilty:
                    click.echo(f"{SETTINGS[number]} {each.value()!r} {each.timestamp()}")
                    click.echo(f"  native {native.outcome([each])}\n  python {python.outcome([each])}")
                raise click.ClickException(f"the paths differ (seed {seed}, after {done} cases)")
            done += len(messages)
        if time.monotonic() - told_at > 10:
            told_at = time.monotonic()
            click.echo(f"{done:,} of {cases:,} the same")
    click.echo(f"{done:,} cases, all the same on both paths")


if __name__ == "__main__":
    main()
