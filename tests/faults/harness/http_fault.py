"""One HTTP exchange as the fault proxy sees it: parsed heads, and what a fault does to it."""

import hashlib
import re
import zlib
from asyncio import IncompleteReadError, StreamReader
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from tests.faults.harness.odd_answers import Script

#: Records name their partition in a field; a request is filed under the partitions it carries.
_PART = re.compile(rb"[ ,]part=(\d+)")

#: The end of a line, its time: a newline alone may stand inside a text field.
_END = re.compile(rb" \d{13,19}$", re.MULTILINE)

#: Largest head of a request or an answer, in bytes.
MAX_HEAD = 65_536


class Reply(StrEnum):
    """What becomes of InfluxDB's answer."""

    PASS = "pass"
    SWALLOW = "swallow"  # InfluxDB has the points, the worker's connection is reset
    HOLD = "hold"  # kept until `release`, or for good if the worker leaves first
    NEVER = "never"  # InfluxDB is not even asked; the connection stays open and silent
    SLOW_CLOSE = "slow close"  # passed on, but the connection lingers and takes nothing more


class Cut(StrEnum):
    """How a request ends in the middle of its body."""

    CLOSE = "close"  # both connections are closed
    RESET = "reset"  # both connections are reset
    HALF = "half"  # towards InfluxDB one half is closed; its answer is passed on
    SHORTEN = "shorten"  # a well-formed request whose gzip stream is cut short


@dataclass(frozen=True, slots=True)
class Fault:
    """What the proxy does to the requests it takes in while this is set.

    Args:
        latency_s: Wait so long before the answer is passed on.
        bytes_per_s: Take the body in no faster than this.
        slice_bytes: Hand the body on in pieces of this size, each in a packet of its own.
        cut: Break the request off in its body.
        cut_after: After so many bytes of the body; at a random place when None.
        status: Answer this without asking InfluxDB.
        headers: Headers of that answer (Retry-After).
        body: Body of that answer.
        script: Answers in place of InfluxDB, which is not asked; the connection ends after it.
        before: Bytes before InfluxDB's answer.
        again: Send InfluxDB's answer twice.
        early: Answer `status` before the body is read.
        reply: What becomes of InfluxDB's answer.
        chance: Share of the requests that are affected, 0 to 1.
        times: Number of requests that are affected, all when None.
    """

    latency_s: float = 0.0
    bytes_per_s: float | None = None
    slice_bytes: int | None = None
    cut: Cut | None = None
    cut_after: int | None = None
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    script: Script | None = None
    before: bytes = b""
    again: bool = False
    early: bool = False
    reply: Reply = Reply.PASS
    chance: float = 1.0
    times: int | None = None


@dataclass(slots=True)
class Request:
    """One write as the proxy saw it. Times are seconds of the monotonic clock."""

    started: float
    path: str
    ended: float = 0.0
    #: Bytes of the body as sent, and its lines and digest after inflation.
    size: int = 0
    lines: int = 0
    digest: str = ""
    partitions: frozenset[int] = frozenset()
    #: What InfluxDB answered, 0 where it was not asked or did not.
    upstream: int = 0
    #: What the worker was told, 0 where it was told nothing.
    status: int = 0
    #: The inflated body, kept only where the proxy was told to.
    text: bytes = b""

    def look(self, body: bytes, gzipped: bool, keep: bool) -> None:
        """Take down what a body holds."""
        self.size = len(body)
        try:
            text = zlib.decompress(body, 31) if gzipped else body
        except zlib.error:
            text = b""
        self.lines = len(_END.findall(text))
        self.digest = hashlib.blake2b(text, digest_size=8).hexdigest()
        self.partitions = frozenset(int(number) for number in set(_PART.findall(text)))
        if keep:
            self.text = text


@dataclass(frozen=True, slots=True)
class Head:
    """First line and headers of a request or an answer; names are in lower case."""

    first: str
    headers: dict[str, str]

    @property
    def length(self) -> int:
        """Bytes of the body."""
        return int(self.headers.get("content-length", 0))

    @property
    def status(self) -> int:
        """Status of an answer."""
        return int(self.first.split()[1])

    def encode(self, **changed: str) -> bytes:
        """The head as bytes, with some headers changed (underscores stand for dashes)."""
        headers = self.headers | {name.replace("_", "-"): value for name, value in changed.items()}
        lines = [self.first, *(f"{name}: {value}" for name, value in headers.items())]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")


async def read_body(reader: StreamReader, head: Head) -> bytes:
    """The body of an answer, by its length or in chunks.

    Raises:
        IncompleteReadError: The connection broke off inside it.
    """
    if head.headers.get("transfer-encoding") != "chunked":
        return await reader.readexactly(head.length)
    body = b""
    while size := int(await reader.readuntil(b"\r\n"), 16):
        body += await reader.readexactly(size)
        await reader.readexactly(2)
    await reader.readexactly(2)
    return body


async def read_head(reader: StreamReader) -> Head | None:
    """The next head of a connection, None where the other side has closed it.

    Raises:
        ConnectionError: The connection broke off inside the head.
    """
    try:
        raw = await reader.readuntil(b"\r\n\r\n")
    except IncompleteReadError as error:
        if error.partial:
            raise ConnectionError("a head breaks off") from None
        return None
    first, *rest = raw.decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in rest if line)
    return Head(first, {name.strip().lower(): value.strip() for name, _, value in pairs})
