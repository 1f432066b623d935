"""Messages that lead both paths into ever new corners, guided by what runs in the kernel.

`python -m tests.sanitize.fuzz`: works with a kernel that `tests.sanitize.build` has built only.
"""

import ctypes
import random
import struct
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

import click
import msgpack
from confluent_kafka import Message as KafkaMessage

from tests import corpus
from tests.support.variants import NOW, SETTINGS, Path, Variants, pairs
from workers import _kernel
from workers.types import Message, origin_of

#: Values that have led to something new, and the longest of them that are kept.
KEPT, KEPT_BYTES = 4_000, 4_096

#: Bytes of a line's fields that the kernel has room for, and places in its table of names: workers/native.
FIELDS_TEXT_BYTES, FIELD_PLACES = 65_536, 4_096

#: The share of rounds in which allocations fail.
STARVED = 0.05

TOKENS = [
    b'"', b"{", b"}", b":", b",", b"-", b".", b"e", b"0", b"9", b"\x7f", b"\x00", b"\xff", b" ", b"\n",
    b"null", b"true", b"false", b'"memory":', b'"timestamp":', b'"ip":"', b'"a":', b"1e9", b"1700000000",
    b"999999999999999", b"1000000000000000", b"9007199254740993", b"9999999999.5", b"0.00001", b"1e-7",
    b"\x81\xa1a", b"\xde\xff\xff", b"\xcb", b"\xca", b"\xcf", b"\xd3", b"\xd9\xff", b"\xda\xff\xff",
    b"\xd7\x00", b"\xc7\x08\x00", b"\xc0", b"\xe0", b" x=1", b",b=c", b"=", b"i 1700000000000000000",
]  # fmt: skip # a table, which is longer with one value a line


def long_lines() -> Iterator[bytes]:
    """Records whose fields take the kernel's room to the byte, and a few bytes more or less."""
    for more in range(-6, 7):
        for fields in (1, 3):
            # A field is `a="…"`, and a comma separates two.
            text = FIELDS_TEXT_BYTES + more - fields * 4 - (fields - 1)
            sizes = [text // fields] * (fields - 1)
            sizes.append(text - sum(sizes))
            pairs_of = {name: "x" * size for name, size in zip("abc", sizes, strict=False)}
            yield b"{%b}" % b",".join(
                b'"%b":"%b"' % (name.encode(), it.encode()) for name, it in pairs_of.items()
            )
            yield msgpack.packb(pairs_of)
            number = pairs_of | {
                "a": "x" * (len(pairs_of["a"]) - 4 if fields == 1 else sizes[0] - 4),
                "memory": 1,
            }
            yield msgpack.packb(number)


def names_at_the_end() -> Iterator[bytes]:
    """Records whose names have their places at the end of the kernel's table, and find none there."""
    names: list[str] = []
    number = 0
    while len(names) < 40:
        name = f"n{number}"
        number += 1
        if (hash(name.encode()) & 0xFFFFFFFF) % FIELD_PLACES >= FIELD_PLACES - 3:
            names.append(name)
    for count in (1, 15, 16, 17, 18, 19, 20, 40):
        record = dict.fromkeys(names[:count], 1)
        yield msgpack.packb(record)
        yield b"{%b}" % b",".join(b'"%b":1' % name.encode() for name in record)


def left_at_the_end() -> Iterator[bytes]:
    """A line, and then messages whose last line the kernel leaves to Python: it removes those before it.

    Python's own way to remove several items, but not all, needs memory if there are over eight.
    """
    line = b"labs x=1 %d000000000\n" % NOW
    yield line
    for count in (1, 8, 9, 20):
        yield line * count + b"labs x="


def doubles(rnd: random.Random) -> Iterator[bytes]:
    """Numbers around the end of the kernel's quick spelling."""
    for _ in range(200):
        value = rnd.choice([10.0 ** rnd.randrange(8, 12), rnd.uniform(1e9, 1e10)]) + rnd.choice(
            [0, 0.5, 1e-6, -1e-6]
        )
        for number in (value, -value, round(value, 6), round(value, 1)):
            yield msgpack.packb({"memory": number, "a": number})
            yield b'{"memory":%b,"a":"%b"}' % (repr(number).encode(), repr(number).encode())


def seeds(rnd: random.Random) -> list[bytes]:
    """Where the fuzzer begins."""
    values = [
        case.value for case in corpus.load() if case.value is not None and len(case.value) <= KEPT_BYTES
    ]
    made = (message.value() for message in Variants(rnd.randrange(2**32)).messages(300))
    values += [value for value in made if value]
    values += [*names_at_the_end(), *left_at_the_end(), *doubles(rnd)]
    values += [
        b"labs,host=a x=1,y=2i,z=t 1700000000000000000",
        b'labs x="a b",y=-1.5e3 1700000000000000000\n',
    ]
    return values


class Fuzzer:
    """Compares both paths on message after message; the kernels live on from one to the next.

    Args:
        seed: The same seed gives the same messages.
    """

    def __init__(self, seed: int) -> None:
        self.cases = self.starved = 0
        self._random = random.Random(seed)
        self._variants = Variants(seed)
        self._values = seeds(self._random)
        self._long = list(long_lines())
        self._pairs = pairs()
        self._guide = ctypes.PyDLL(_kernel.__file__)
        self._call = self._guide.guide_call
        self._call.restype = ctypes.py_object
        self._call.argtypes = [ctypes.py_object, ctypes.py_object, ctypes.c_int64, ctypes.c_void_p]

    @property
    def edges(self) -> int:
        """Edges of the kernel that have run."""
        return int(self._guide.guide_edges())

    @property
    def kept(self) -> int:
        """Values that the next ones are made of."""
        return len(self._values)

    def round(self) -> None:
        """Convert a few messages on both paths.

        Raises:
            AssertionError: They differ.
        """
        place = self._random.randrange(len(self._pairs))
        native, python = self._pairs[place]
        messages = self._messages()
        if self._random.random() < STARVED:
            self._starve(native, messages)
        mine, yours = native.outcome(messages), python.outcome(messages)
        self.cases += len(messages)
        if mine != yours:
            differing = [key for key in mine if mine[key] != yours[key]]
            values = [message.value() for message in messages]
            raise AssertionError(
                f"settings {SETTINGS[place]}: {differing} differ\nmessages {values}\n"
                + "\n".join(f"{key}: {mine[key]}\n{' ' * len(key)}  {yours[key]}" for key in differing)
            )
        if self._guide.guide_take():
            self._keep(messages)

    def starve(self, values: Iterable[bytes]) -> None:
        """Let allocations fail while each of the values is converted behind the first.

        Raises:
            AssertionError: What is in the batch then does not belong together.
        """
        first, *others = [_message(value, offset, NOW * 1000) for offset, value in enumerate(values)]
        for native, _ in self._pairs:
            for message in others:
                self._starve(native, [first, message])

    def _starve(self, native: Path, messages: list[Message]) -> None:
        """Let one allocation of the kernel fail after the other, until none is left to fail."""
        kernel: Any = native.converter._kernel
        if kernel is None:
            return
        for count in range(10_000):
            lines: list[bytes] = []
            origins: list[Any] = []
            next_offsets: dict[Any, int] = {}
            records: dict[Any, int] = {}
            failed = ctypes.c_int()
            with suppress(MemoryError):
                arguments = (messages, 0, lines, origins, next_offsets, records)
                self._call(kernel.convert, arguments, count, ctypes.addressof(failed))
            self.starved += failed.value
            owners = [id(origin_of(origin).message) for origin in origins]
            assert len(owners) == len(lines), "lines and origins are apart"
            first = [*dict.fromkeys(owners)]
            assert first == [*map(id, messages[: len(first)])], "origins are not in order"
            assert sum(records.values()) <= len(lines), "more records are counted than converted"
            if not failed.value:
                return

    def _messages(self) -> list[Message]:
        count = self._random.choice([1, 1, 2, 3, 6])
        if self._random.random() < 0.3:
            return self._variants.messages(count)
        milliseconds = NOW * 1000 + self._random.randrange(1000)
        return [_message(self._value(), offset, milliseconds) for offset in range(count)]

    def _value(self) -> bytes:
        rnd = self._random
        if rnd.random() < 0.002:
            return rnd.choice(self._long)
        value = rnd.choice(self._values)
        for _ in range(rnd.choice([0, 1, 1, 2, 4])):
            how = rnd.random()
            at = rnd.randrange(len(value) + 1)
            if how < 0.4:
                value = self._variants.mutated(value)
            elif how < 0.6:
                value = value[:at] + rnd.choice(TOKENS) + value[at + rnd.choice([0, 1, 4]) :]
            elif how < 0.75:
                other = rnd.choice(self._values)
                value = value[:at] + other[rnd.randrange(len(other) + 1) :]
            elif how < 0.85:
                value = value[:at] + struct.pack(">d", rnd.uniform(-1e11, 1e11)) + value[at + 8 :]
            else:
                part = value[at : at + rnd.randrange(1, 40)]
                value = value[:at] + part * rnd.choice([1, 2, 70]) + value[at:]
        return value[:KEPT_BYTES]

    def _keep(self, messages: list[Message]) -> None:
        for message in messages:
            value = message.value()
            if value and len(value) <= KEPT_BYTES:
                if len(self._values) < KEPT:
                    self._values.append(value)
                else:
                    self._values[self._random.randrange(KEPT)] = value


def _message(value: bytes, offset: int, milliseconds: int) -> Message:
    stamp = (1, milliseconds)
    return KafkaMessage(topic="resource", partition=0, offset=offset, value=value, timestamp=stamp)  # type: ignore[return-value]


@click.command()
@click.option("--seconds", default=120.0, help="How long to go on.")
@click.option("--seed", default=0, help="Each seed gives other messages.")
def main(seconds: float, seed: int) -> None:
    """Fuzz for so many seconds; exit with 1 at the first message that the paths convert differently."""
    fuzzer = Fuzzer(seed)
    before = fuzzer.edges
    fuzzer.starve(left_at_the_end())
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        fuzzer.round()
    if not fuzzer.edges > before:
        raise SystemExit("no edge of the kernel was counted: it is not built for this")
    print(
        f"seed {seed}: {fuzzer.cases} messages, {fuzzer.starved} failed allocations, {fuzzer.edges} edges, "
        f"{fuzzer.kept} values kept",
        flush=True,
    )


if __name__ == "__main__":
    main()
