"""A proxy in front of the real InfluxDB that takes down every write and does faults to it on command."""

import asyncio
import random
import socket
import struct
import threading
import time
from asyncio import StreamReader, StreamWriter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Self
from urllib.parse import urlsplit

from tests.faults.harness.http_fault import MAX_HEAD, Cut, Fault, Head, Reply, Request, read_body, read_head

#: Receive buffer of the worker's connections: small, so that a slow reader is felt by the sender.
RECEIVE_BYTES = 16_384

#: Seconds a lingering connection of `SLOW_CLOSE` stays.
LINGER_S = 5.0

_RESET = struct.pack("ii", 1, 0)


def reset(writer: StreamWriter) -> None:
    """End a connection by RST: lingering zero seconds throws away what is unsent."""
    with suppress(OSError):
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()


async def _turns() -> None:
    """Let the loop do what is due: begin what was accepted, end what was closed."""
    for _ in range(3):
        await asyncio.sleep(0)


@dataclass
class _Client:
    """The worker's side of one connection."""

    reader: StreamReader
    writer: StreamWriter


class Proxy:
    """The proxy, in a thread of its own; its methods may be called from any other.

    Args:
        upstream: Where the real InfluxDB listens, `http://host:port`.
        seed: Decides where bodies are cut and whom a chance meets.
        host: Address to listen on.
        keep: Keep the inflated body of every write.
    """

    def __init__(self, upstream: str, seed: int = 0, host: str = "127.0.0.1", keep: bool = False) -> None:
        parts = urlsplit(upstream)
        self._upstream = (parts.hostname or "127.0.0.1", parts.port or 8086)
        self._random = random.Random(seed)
        self._keep = keep
        self._fault: Fault | None = None
        self._released = asyncio.Event()
        self._clients: set[StreamWriter] = set()
        #: The loop itself keeps no task alive.
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._listen = (host, 0)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        #: Every write, in the order they began.
        self.requests: list[Request] = []
        #: Writes that wait for `release` now.
        self.held = 0

    @property
    def url(self) -> str:
        """What a worker's TOWER_INFLUXDB_URL is set to."""
        return f"http://{self._listen[0]}:{self._listen[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        self.up()
        return self

    def __exit__(self, *_: object) -> None:
        self.down()
        self._call(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def set(self, fault: Fault | None) -> None:
        """Do this to the writes that come in from now on; None heals."""
        self._loop.call_soon_threadsafe(self._set, fault)

    def heal(self) -> float:
        """End all faults and release what is held; gives the monotonic time of that."""
        self.set(None)
        self.release()
        self.up()
        return time.monotonic()

    def release(self) -> None:
        """Pass on the answers that are held."""
        self._loop.call_soon_threadsafe(self._released.set)

    def up(self) -> None:
        """Listen (again, on the same port)."""
        self._call(self._open())

    def down(self) -> None:
        """Listen no more and reset what is open: connections are refused, as by a dead server."""
        self._call(self._close())

    def writes(self, since: float = 0.0, until: float = float("inf")) -> list[Request]:
        """Writes that began in a span of the monotonic clock."""
        return [request for request in self.requests if since <= request.started < until]

    def acknowledged(self, requests: Iterable[Request] | None = None) -> int:
        """Lines of the writes that InfluxDB answered with 204, whether or not the worker heard it."""
        chosen = self.requests if requests is None else requests
        return sum(request.lines for request in chosen if request.upstream == 204)

    def first_write(self, since: float, partition: int | None = None) -> float | None:
        """Seconds from `since` to the end of the first acknowledged write that began after it."""
        ends = [
            request.ended - since
            for request in self.writes(since)
            if request.status == 204 and (partition is None or partition in request.partitions)
        ]
        return min(ends, default=None)

    def longest_gap(self, since: float, until: float, partition: int) -> float:
        """Longest time without an acknowledged write of one partition, in seconds."""
        ends = sorted(
            request.ended
            for request in self.requests
            if request.status == 204 and partition in request.partitions and since <= request.ended < until
        )
        return max(after - before for before, after in pairwise([since, *ends, until]))

    def _call(self, work: object) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)  # type: ignore[arg-type]

    def _set(self, fault: Fault | None) -> None:
        self._fault = fault
        self._released.clear()

    async def _end(self) -> None:
        """End all tasks and connections."""
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for writer in self._clients:
            reset(writer)
        await _turns()

    async def _open(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._accept, *self._listen, limit=MAX_HEAD)
            for sock in self._server.sockets:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
            self._listen = self._server.sockets[0].getsockname()[:2]

    async def _close(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            # A server that is closed while it accepts a connection leaves it open (asyncio of Python 3.11).
            for sock in server.sockets:
                self._loop.remove_reader(sock.fileno())
            await _turns()
            server.close()
        for writer in list(self._clients):
            reset(writer)

    def _take(self) -> Fault:
        """The fault for the next write; one that is used up or misses leaves it alone."""
        fault = self._fault
        if fault is None or self._random.random() >= fault.chance:
            return Fault()
        if fault.times is not None:
            self._fault = replace(fault, times=fault.times - 1) if fault.times > 1 else None
        return fault

    def _accept(self, reader: StreamReader, writer: StreamWriter) -> None:
        if self._server is None:
            # It was on its way when the proxy went down.
            reset(writer)
            return
        # Here and not in the task: one that is cancelled before its first step would leave it open.
        self._clients.add(writer)
        task = self._loop.create_task(self._serve(_Client(reader, writer)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, client: _Client) -> None:
        try:
            while await self._exchange(client):
                pass
        except (OSError, asyncio.IncompleteReadError):
            reset(client.writer)
        finally:
            self._clients.discard(client.writer)
            client.writer.close()

    async def _exchange(self, client: _Client) -> bool:
        """One request and its answer; False where the connection is at its end."""
        head = await read_head(client.reader)
        if head is None:
            return False
        request = Request(time.monotonic(), head.first.split()[1])
        if "write" not in request.path:
            return await self._forward(client, head, request, Fault())
        self.requests.append(request)
        try:
            return await self._forward(client, head, request, self._take())
        finally:
            request.ended = time.monotonic()

    async def _forward(self, client: _Client, head: Head, request: Request, fault: Fault) -> bool:
        if fault.reply is Reply.NEVER:
            await client.reader.read()  # until the worker gives up
            return False
        length = head.length
        if fault.cut is not None and length:
            cut = self._random.randrange(length) if fault.cut_after is None else fault.cut_after
            length = min(cut, length - 1)
        if fault.early:
            return await self._tell_early(client, head, request, fault)
        body = await self._take_in(client.reader, length, fault)
        if fault.cut is None:
            request.look(body, head.headers.get("content-encoding") == "gzip", self._keep)
        if fault.script is not None or fault.status is not None:
            return await self._tell_scripted(client, request, fault)
        if fault.cut is Cut.SHORTEN:
            await client.reader.readexactly(head.length - length)
        answer, text = await self._ask(head, body, fault)
        if answer is None:
            if fault.cut is not Cut.CLOSE:
                reset(client.writer)
            return False
        request.upstream = answer.status
        if fault.latency_s:
            await asyncio.sleep(fault.latency_s)
        if fault.reply is Reply.SWALLOW:
            reset(client.writer)
            return False
        await (self._hold(client) if fault.reply is Reply.HOLD else asyncio.sleep(0))
        client.writer.write(fault.before)
        for _ in range(2 if fault.again else 1):
            kept = await self._tell(client, request, answer.status, answer.headers, text)
        if fault.reply is Reply.SLOW_CLOSE:
            await asyncio.sleep(LINGER_S)
            return False
        return kept and fault.cut is None

    async def _tell_early(self, client: _Client, head: Head, request: Request, fault: Fault) -> bool:
        """Answer before the body is read."""
        kept = await self._tell_scripted(client, request, fault)
        await self._take_in(client.reader, head.length, fault)
        return kept

    async def _tell_scripted(self, client: _Client, request: Request, fault: Fault) -> bool:
        """Answer without asking InfluxDB."""
        if fault.script is not None:
            await fault.script(client.writer)
            return False
        return await self._tell(client, request, fault.status or 503, dict(fault.headers), fault.body)

    async def _take_in(self, reader: StreamReader, length: int, fault: Fault) -> bytes:
        if fault.bytes_per_s is None:
            return await reader.readexactly(length)
        body, step = b"", max(1, int(fault.bytes_per_s / 10))
        while len(body) < length:
            body += await reader.readexactly(min(step, length - len(body)))
            await asyncio.sleep(0.1)
        return body

    async def _ask(self, head: Head, body: bytes, fault: Fault) -> tuple[Head | None, bytes]:
        """Hand a request to InfluxDB as the fault wants it; no head where it did not answer."""
        reader, writer = await asyncio.open_connection(*self._upstream, limit=MAX_HEAD)
        try:
            shorten = {"content_length": str(len(body))} if fault.cut is Cut.SHORTEN else {}
            writer.write(head.encode(**shorten))
            step = fault.slice_bytes or len(body) or 1
            for start in range(0, len(body), step):
                writer.write(body[start : start + step])
                await writer.drain()
                if fault.slice_bytes:
                    await asyncio.sleep(0.001)
            if fault.cut is Cut.HALF:
                writer.write_eof()
            elif fault.cut is Cut.RESET:
                # Let InfluxDB begin to read before the connection goes.
                await asyncio.sleep(0.01)
                reset(writer)
                return None, b""
            elif fault.cut is Cut.CLOSE:
                return None, b""
            answer = await read_head(reader)
            return answer, await read_body(reader, answer) if answer else b""
        finally:
            writer.close()

    async def _hold(self, client: _Client) -> None:
        """Wait for `release`; a worker that is killed meanwhile ends the waiting."""
        gone = asyncio.ensure_future(client.reader.read(1))
        free = asyncio.ensure_future(self._released.wait())
        self.held += 1
        try:
            await asyncio.wait({gone, free}, return_when=asyncio.FIRST_COMPLETED)
            if gone.done():
                raise ConnectionError("the worker left")
        finally:
            self.held -= 1
            gone.cancel()
            free.cancel()
            # Until the cancelled read has ended, the connection cannot be read again.
            await asyncio.gather(gone, free, return_exceptions=True)

    async def _tell(
        self, client: _Client, request: Request, status: int, headers: dict[str, str], body: bytes
    ) -> bool:
        if client.reader.at_eof():
            raise ConnectionError("the worker left")
        length = {} if status == 204 else {"content-length": str(len(body))}
        dropped = {"connection", "content-length", "transfer-encoding"}
        kept = {name: value for name, value in headers.items() if name.lower() not in dropped}
        head = Head(f"HTTP/1.1 {status} Scripted", kept | length)
        # First, so that whoever sees the answer also finds it here, and never without its end.
        request.ended = time.monotonic()
        request.status = status
        try:
            client.writer.write(head.encode() + body)
            await client.writer.drain()
        except OSError:
            request.status = 0
            raise
        return True
