"""What was sent: every record attempted, and what Kafka said about each."""

import threading
import zlib
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Any

from lab.senders.formats import Format, encode

#: Devices that share a partition: records of one second then share a series, as in the lab.
DEVICES = 4

#: Largest whole number a float field holds exactly, and so the largest sequence number.
MAX_SEQ = 2**53


class SendStatus(IntEnum):
    """What Kafka said about one attempt, where it named no offset."""

    PENDING = -1  # no delivery report yet: may appear or not
    TIMED_OUT = -2  # the producer gave up: may appear or not
    REFUSED = -3  # an error that says the record is not in the log


def checksum(seed: int, partition: int, seq: int) -> int:
    """The number a record carries to show that its other numbers belong together."""
    return zlib.crc32(f"{seed}:{partition}:{seq}".encode())


def sample(seed: int, partition: int, seq: int, second: int) -> bytes:
    """One record as the lab's Fluentd sends it, with its device and the three numbers the checks read.

    Args:
        seed: Seed of the run.
        partition: Partition it is sent to.
        seq: Its number in that partition, from 0.
        second: Its time, seconds since the epoch.
    """
    device = seq % DEVICES
    record: dict[str, Any] = {
        "tx_bytes": seq * 1_500,
        "rx_bytes": seq * 900,
        "tx_drops": 0,
        "rx_drops": 0,
        "tx_errors": 0,
        "rx_errors": 0,
        "cpu_load": f"{seq % 400 / 100:.2f}",
        "free_ram": 22_864_504 - seq % 65_536,
        "disk_util": 7,
        "ip": f"10.0.{partition}.{device}",
        "deviceId": f"pi-{partition}-{device}",
        "part": partition,
        "seq": seq,
        "crc": checksum(seed, partition, seq),
    }
    return encode(record, Format.JSON, second)


@dataclass
class Book:
    """The ledger of one partition; the index into its columns is the sequence number."""

    #: Offset Kafka confirmed, or a `SendStatus`.
    offsets: "array[int]" = field(default_factory=lambda: array("q"))
    #: Second the stored point must lie in.
    seconds: "array[int]" = field(default_factory=lambda: array("q"))
    #: 1 where the record must become a dead letter and never a point.
    poison: bytearray = field(default_factory=bytearray)

    def acked(self) -> Iterator[int]:
        """Sequence numbers that Kafka confirmed."""
        return (seq for seq, offset in enumerate(self.offsets) if offset >= 0)

    def seq_of(self) -> dict[int, int]:
        """Sequence numbers by confirmed offset."""
        return {offset: seq for seq, offset in enumerate(self.offsets) if offset >= 0}


class SendLedger:
    """Every attempt and every delivery report, in memory for the checks and in a file for a person.

    The file has one line each: `a <partition> <seq> <second>` before a record is handed to the producer,
    `d <partition> <seq> <offset>` when Kafka confirmed it, `t`/`r <partition> <seq>` when it timed out or
    was refused. A record is written down before it is sent, so nothing can be stored that is not here.

    Args:
        seed: Seed of the run, part of every checksum.
        partitions: Number of partitions.
        path: The file; it is made anew.
    """

    def __init__(self, seed: int, partitions: int, path: Path) -> None:
        self.seed = seed
        #: Held by whoever writes, as several loads may.
        self.lock = threading.Lock()
        self.books = [Book() for _ in range(partitions)]
        self._file = path.open("w", buffering=1 << 20)
        self._file.write(f"# seed {seed}\n")

    def grow(self, partitions: int) -> None:
        """Take books for more partitions."""
        with self.lock:
            self.books += [Book() for _ in range(partitions - len(self.books))]

    def attempt(self, partition: int, second: int, *, poison: bool = False) -> int:
        """Write down a record about to be sent; gives its sequence number."""
        book = self.books[partition]
        seq = len(book.offsets)
        if seq >= MAX_SEQ:
            raise OverflowError("sequence numbers past 2^53 are not exact in a float field")
        book.offsets.append(SendStatus.PENDING)
        book.seconds.append(second)
        book.poison.append(poison)
        self._file.write(f"a {partition} {seq} {second}{' poison' if poison else ''}\n")
        return seq

    def deliver(self, partition: int, seq: int, offset: int) -> None:
        """Write down that Kafka confirmed a record."""
        self.books[partition].offsets[seq] = offset
        self._file.write(f"d {partition} {seq} {offset}\n")

    def fail(self, partition: int, seq: int, fate: SendStatus) -> None:
        """Write down that a record timed out or was refused."""
        self.books[partition].offsets[seq] = fate
        self._file.write(f"{'t' if fate is SendStatus.TIMED_OUT else 'r'} {partition} {seq}\n")

    def remove(self, partition: int, low: int, high: int) -> int:
        """Require no more what Kafka itself has lost: records from offset `low` to before `high`.

        Returns:
            Their number.
        """
        gone = [seq for seq, offset in enumerate(self.books[partition].offsets) if low <= offset < high]
        for seq in gone:
            self.fail(partition, seq, SendStatus.TIMED_OUT)
        return len(gone)

    @property
    def attempted(self) -> int:
        """Number of records handed to the producer."""
        return sum(len(book.offsets) for book in self.books)

    @property
    def acked(self) -> int:
        """Number of records Kafka confirmed."""
        return sum(1 for book in self.books for _ in book.acked())

    def close(self) -> None:
        """Close the file; the books stay readable."""
        self._file.close()


def read(path: Path, partitions: int) -> SendLedger:
    """A ledger read back from its file, to look at a failure afterwards; its copy goes to `*.again`.

    Raises:
        ValueError: The file does not begin with the seed.
    """
    with path.open() as lines:
        first = next(lines, "")
        if not first.startswith("# seed "):
            raise ValueError(f"{path} is no ledger: its first line names no seed")
        ledger = SendLedger(int(first.split()[2]), partitions, path.with_suffix(".again"))
        for line in lines:
            kind, partition, seq, *rest = line.split()
            if kind == "a":
                ledger.attempt(int(partition), int(rest[0]), poison=len(rest) > 1)
            elif kind == "d":
                ledger.deliver(int(partition), int(seq), int(rest[0]))
            else:
                fate = SendStatus.TIMED_OUT if kind == "t" else SendStatus.REFUSED
                ledger.fail(int(partition), int(seq), fate)
    return ledger
