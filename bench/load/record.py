"""Synthetic records: the lab's own, numbered, and the same again for the same seed.

With one device a record has eleven fields: the nine values of the lab's single Pi as its Fluentd sends
them (numbers bare, `cpu_load` as text), `seq` to count by, and `time`. More devices add `ip` and
`deviceId`. In text it is the record of the Flume years: their names, and whole epoch seconds.

`time` is what Fluentd injects: whole seconds with the Pi's zone. The bench makes a thousand records for
each second, so many share a time. Tower has an identity of its own for each and is measured with the lab's
time. A tool that stores one point per series and time would merge them. So where Tower's peers run too
(`compare`), the same time has milliseconds, as Fluentd's `%L` writes them, and each record has its own.
`compare --unit s` shows what the lab's time costs the peers.

As line protocol a record is the line that Tower writes for it in JSON, but with its own nanoseconds, which
Tower keeps.
"""

import random
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any, NamedTuple

from lab.senders.formats import FLUME_NAMES, Format, encode, stamp
from lab.senders.synthetic import POISON

#: The format that the lab itself does not send.
LINE = "line"
FORMS = (*[form.value for form in Format], LINE)

#: Different sets of values; they repeat at a distance that no compressor's window spans.
VARIANTS = 1024
#: Fields of a stored record: nine values and `seq`.
FIELDS = 10
#: Knuth's multiplier spreads sequence numbers over 32 bits.
SPREAD = 2_654_435_761
WORD = 1 << 32


class Unit(StrEnum):
    """Precision of the field `time`."""

    SECOND = "s"
    MILLISECOND = "ms"


class Clock(NamedTuple):
    """When records are taken: `start_ms` and `step_ms` later each, or at the moment they are made."""

    start_ms: float
    step_ms: float = 1.0
    live: bool = False

    def at(self, seq: int) -> float:
        """Epoch milliseconds of a record."""
        return time.time() * 1000 if self.live else self.start_ms + seq * self.step_ms


@dataclass(frozen=True)
class RecordShape:
    """What records look like.

    Args:
        clock: Their times.
        form: One of `FORMS`.
        devices: How many send them, in turns.
        size: Bytes that each is filled up to with a text field; 0 leaves them as they are.
        bad: Share of records, from 0 to 1, that cannot become points.
        seed: Other seeds give other values and other bad records.
        unit: Precision of `time` in JSON and msgpack; text has whole seconds.
        per_message: Lines of a message of line protocol, as Telegraf's batches have several.
    """

    clock: Clock
    form: str = Format.JSON
    devices: int = 1
    size: int = 0
    bad: float = 0.0
    seed: int = 1
    unit: Unit = Unit.SECOND
    per_message: int = 1

    def messages(self, values: list[bytes]) -> list[bytes]:
        """The values of messages that hold some records together, each `per_message` of them."""
        if self.per_message == 1:
            return values
        return [
            b"\n".join(values[place : place + self.per_message]) + b"\n"
            for place in range(0, len(values), self.per_message)
        ]

    def is_bad(self, seq: int) -> bool:
        """Whether this record is one of the bad ones."""
        return ((seq + self.seed) * SPREAD) % WORD < self.bad * WORD

    def device(self, seq: int) -> str:
        """Name of the device that sends a record."""
        return f"pi-{seq % self.devices + 1}"

    def values(self, first: int, count: int) -> list[bytes]:
        """The values of the messages from number `first` on."""
        make = self._make
        if self.bad:
            poison = list(POISON.values())
            return [
                poison[seq % len(poison)] if self.is_bad(seq) else make(seq)
                for seq in range(first, first + count)
            ]
        return [make(seq) for seq in range(first, first + count)]

    @cached_property
    def _make(self) -> Callable[[int], bytes]:
        makers: dict[str, Callable[[], Callable[[int], bytes]]] = {
            Format.JSON: self._json,
            Format.MSGPACK: self._msgpack,
            Format.TEXT: self._text,
            LINE: self._line,
        }
        return makers[self.form]()

    def _json(self) -> Callable[[int], bytes]:
        heads = [encode(sample, Format.JSON)[:-1] for sample in self._samples]
        tails = [encode(sender, Format.JSON)[1:-1] for sender in self._senders]
        tails = [b"," + tail if tail else b"" for tail in tails]
        time_of, devices, size = self._times(), self.devices, self.size

        def make(seq: int) -> bytes:
            record = b'%b%b,"seq":%d,"time":"%b"}' % (
                heads[seq % VARIANTS],
                tails[seq % devices],
                seq,
                time_of(seq),
            )
            if len(record) < size:
                fill = max(1, size - len(record) - len(b',"note":""'))
                return b'%b,"note":"%b"}' % (record[:-1], b"x" * fill)
            return record

        return make

    def _msgpack(self) -> Callable[[int], bytes]:
        # A map's head is one byte up to 15 entries: the parts are packed alone and put together.
        heads = [encode(sample, Format.MSGPACK)[1:] for sample in self._samples]
        tails = [encode(sender, Format.MSGPACK)[1:] for sender in self._senders]
        entries = len(self._samples[0]) + len(self._senders[0]) + 2
        number = struct.Struct(">4sBI")
        time_of, devices, size = self._times(), self.devices, self.size

        def make(seq: int) -> bytes:
            time_ = time_of(seq)
            record = b"%c%b%b%b\xa4time%c%b" % (
                0x80 + entries,
                heads[seq % VARIANTS],
                tails[seq % devices],
                number.pack(b"\xa3seq", 0xCE, seq),
                0xA0 + len(time_),
                time_,
            )
            if len(record) < size:
                fill = max(1, size - len(record) - len(b"\xa4note\xda..")) * b"x"
                note = b"\xa4note" + struct.pack(">BH", 0xDA, len(fill)) + fill
                return b"%c%b%b" % (0x80 + entries + 1, record[1:], note)
            return record

        return make

    def _text(self) -> Callable[[int], bytes]:
        heads = [encode(sample, Format.TEXT) for sample in self._samples]
        tails = [encode(sender, Format.TEXT) for sender in self._senders]
        tails = [b"," + tail if tail else b"" for tail in tails]
        clock, devices, size = self.clock, self.devices, self.size

        def make(seq: int) -> bytes:
            record = b"%b%b,seq:%d,timestamp:%d" % (
                heads[seq % VARIANTS],
                tails[seq % devices],
                seq,
                clock.at(seq) // 1000,
            )
            if len(record) < size:
                return b"%b,note:%b" % (record, b"x" * max(1, size - len(record) - len(b",note:")))
            return record

        return make

    def _line(self) -> Callable[[int], bytes]:
        tags = [sorted({**sender, "host": "Labs", "region": "GIST"}.items()) for sender in self._senders]
        heads = ["".join(f",{name}={value}" for name, value in pairs).encode() for pairs in tags]
        fields = [
            ",".join(
                f"{FLUME_NAMES[name]}={float(value) if isinstance(value, str) else value}"
                for name, value in sample.items()
            ).encode()
            for sample in self._samples
        ]
        clock, devices, size = self.clock, self.devices, self.size

        def make(seq: int) -> bytes:
            # The digits below the millisecond: no two records of a million have the same time.
            nanoseconds = int(clock.at(seq)) * 10**6 + seq % 10**6
            fill = b""
            record = b"labs%b %b,seq=%d" % (heads[seq % devices], fields[seq % VARIANTS], seq)
            if len(record) + 20 < size:
                fill = b',note="%b"' % (b"x" * max(1, size - len(record) - len(b',note="" ') - 19))
            return b"%b%b %d" % (record, fill, nanoseconds)

        return make

    def _times(self) -> Callable[[int], bytes]:
        """Gives the field `time` of each record; the second's own text is made once for all in it."""
        clock, precise = self.clock, self.unit is Unit.MILLISECOND
        current, whole, zone = -1, b"", b""

        def time_of(seq: int) -> bytes:
            nonlocal current, whole, zone
            second, milliseconds = divmod(int(clock.at(seq)), 1000)
            if second != current:
                text = stamp(second).encode()
                current, whole, zone = second, text[:-5], text[-5:]
            return b"%b.%03d%b" % (whole, milliseconds, zone) if precise else whole + zone

        return time_of

    @cached_property
    def _senders(self) -> list[dict[str, str]]:
        if self.devices == 1:
            return [{}]
        return [
            {"ip": f"192.168.{number // 200}.{number % 200 + 10}", "deviceId": self.device(number)}
            for number in range(self.devices)
        ]

    @cached_property
    def _samples(self) -> list[dict[str, Any]]:
        """Values as the Pi's shell line has them: counters that grow, memory that wanders."""
        chance = random.Random(self.seed)
        sent, received, free = 0, 0, 16_479_928
        samples = []
        for _ in range(VARIANTS):
            sent += chance.randrange(0, 3000)
            received += chance.randrange(0, 9000)
            free += chance.randrange(-4096, 4097)
            samples.append(
                {
                    "tx_bytes": sent,
                    "rx_bytes": received,
                    "tx_drops": 0,
                    "rx_drops": 0,
                    "tx_errors": 0,
                    "rx_errors": 0,
                    "cpu_load": f"{chance.uniform(0, 4):.2f}",
                    "free_ram": free,
                    "disk_util": chance.randrange(7, 60),
                }
            )
        return samples
