"""Synthetic Fluentd records: the lab's samples, numbered, and the same again for the same seed.

Numbers are text, as `snmpget` prints them and Fluentd passes them on. With one device a record has
eleven fields: the nine values of the lab's single Pi, `timestamp` and `seq`. With more
devices `deviceId` and `ip` come with it.
"""

from __future__ import annotations

import random
import struct
import time
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from lab.synthetic import POISON
from lab.wire import Format, encode

if TYPE_CHECKING:
    from collections.abc import Callable

#: Different sets of values; they repeat at a distance that no compressor's window spans.
VARIANTS = 1024
#: Fields of a stored record: nine values and `seq`.
FIELDS = 10
#: Knuth's multiplier spreads sequence numbers over 32 bits.
SPREAD = 2_654_435_761
WORD = 1 << 32


class Unit(StrEnum):
    """Precision of the field `timestamp`."""

    SECOND = "s"
    MILLISECOND = "ms"


class Clock(NamedTuple):
    """When records are taken: `start_ms` and `step_ms` later each, or at the moment they are made.

    A millisecond apart, as by default, no two records share a time, so that a tool without an identity
    of its own is not punished for it.
    """

    start_ms: float
    step_ms: float = 1.0
    live: bool = False

    def at(self, seq: int) -> float:
        """Epoch milliseconds of a record."""
        return time.time() * 1000 if self.live else self.start_ms + seq * self.step_ms


@dataclass(frozen=True)
class Shape:
    """What records look like.

    Args:
        clock: their times.
        form: JSON, msgpack or text.
        devices: how many send them, in turns.
        size: bytes that each is filled up to with a text field; 0 leaves them as they are.
        bad: share of records, from 0 to 1, that cannot become points.
        seed: other seeds give other values and other bad records.
        unit: precision of `timestamp` in JSON; msgpack has EventTime, text whole seconds.
    """

    clock: Clock
    form: Format = Format.JSON
    devices: int = 1
    size: int = 0
    bad: float = 0.0
    seed: int = 1
    unit: Unit = Unit.MILLISECOND

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
        makers = {Format.JSON: self._json, Format.MSGPACK: self._msgpack, Format.TEXT: self._text}
        return makers[self.form]()

    def _json(self) -> Callable[[int], bytes]:
        heads = [encode(each, Format.JSON)[:-1] for each in self._samples]
        tails = [encode(each, Format.JSON)[1:-1] for each in self._senders]
        tails = [b"," + each if each else b"" for each in tails]
        parts = 1000 if self.unit is Unit.SECOND else 1
        at, devices, size = self.clock.at, self.devices, self.size

        def make(seq: int) -> bytes:
            made = b'%b%b,"timestamp":%d,"seq":%d}' % (
                heads[seq % VARIANTS],
                tails[seq % devices],
                at(seq) // parts,
                seq,
            )
            if len(made) < size:
                fill = max(1, size - len(made) - len(b',"note":""'))
                return b'%b,"note":"%b"}' % (made[:-1], b"x" * fill)
            return made

        return make

    def _msgpack(self) -> Callable[[int], bytes]:
        # A map's head is one byte up to 15 entries: the parts are packed alone and put together.
        heads = [encode(each, Format.MSGPACK)[1:] for each in self._samples]
        tails = [encode(each, Format.MSGPACK)[1:] for each in self._senders]
        entries = len(self._samples[0]) + len(self._senders[0]) + 2
        ends = struct.Struct(">10sHII4sBI")
        clock, devices, size = self.clock, self.devices, self.size

        def make(seq: int) -> bytes:
            seconds, rest = divmod(int(clock.at(seq)), 1000)
            end = ends.pack(b"\xa9timestamp", 0xD700, seconds, rest * 1_000_000, b"\xa3seq", 0xCE, seq)
            made = b"%c%b%b%b" % (0x80 + entries, heads[seq % VARIANTS], tails[seq % devices], end)
            if len(made) < size:
                fill = max(1, size - len(made) - len(b"\xa4note\xda..")) * b"x"
                note = b"\xa4note" + struct.pack(">BH", 0xDA, len(fill)) + fill
                return b"%c%b%b" % (0x80 + entries + 1, made[1:], note)
            return made

        return make

    def _text(self) -> Callable[[int], bytes]:
        heads = [encode(each, Format.TEXT) for each in self._samples]
        tails = [encode(each, Format.TEXT) for each in self._senders]
        tails = [b"," + each if each else b"" for each in tails]
        clock, devices, size = self.clock, self.devices, self.size

        def make(seq: int) -> bytes:
            made = b"%b%b,timestamp:%d,seq:%d" % (
                heads[seq % VARIANTS],
                tails[seq % devices],
                clock.at(seq) / 1000,
                seq,
            )
            if len(made) < size:
                return b"%b,note:%b" % (made, b"x" * max(1, size - len(made) - len(b",note:")))
            return made

        return make

    @cached_property
    def _senders(self) -> list[dict[str, str]]:
        if self.devices == 1:
            return [{}]
        return [
            {"ip": f"192.168.{number // 200}.{number % 200 + 10}", "deviceId": self.device(number)}
            for number in range(self.devices)
        ]

    @cached_property
    def _samples(self) -> list[dict[str, str]]:
        """Values as a Pi's snmpd tells them: counters that grow, memory that wanders."""
        chance = random.Random(self.seed)
        sent, received, memory = 0, 0, 22_864_504
        found = []
        for _ in range(VARIANTS):
            sent += chance.randrange(0, 3000)
            received += chance.randrange(0, 9000)
            memory += chance.randrange(-4096, 4097)
            found.append(
                {
                    "tx": str(sent),
                    "rx": str(received),
                    "tx_dropped": "0",
                    "rx_dropped": "0",
                    "txError": "0",
                    "rxError": "0",
                    "CPU_Usage": f"{chance.uniform(0, 4):.2f}",
                    "memory": str(memory),
                    "disk": str(chance.randrange(7, 60)),
                }
            )
        return found
