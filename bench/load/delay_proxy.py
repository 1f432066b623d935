"""A TCP proxy that makes the way longer and nothing else: no limit of bandwidth, no loss.

`python -m bench.load.delay_proxy HOST PORT MS` listens on a free port, prints it, and hands every byte on
MS milliseconds after it came, in either direction. A request and its answer so take twice that longer.
"""

import asyncio
import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from lab.errors import LabError

#: Bytes taken at once.
PIECE = 1 << 18


@contextmanager
def delayed(url: str, round_trip_ms: float) -> Iterator[str]:
    """The address behind which `url` is `round_trip_ms` further away, while the block runs.

    Raises:
        LabError: The proxy does not start.
    """
    parts = urlsplit(url)
    argv = [
        sys.executable,
        "-m",
        "bench.load.delay_proxy",
        str(parts.hostname),
        str(parts.port),
        str(round_trip_ms / 2),
    ]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        try:
            # It prints the port, or ends and so closes the pipe.
            port = child.stdout.readline().strip() if child.stdout else ""
            if not port:
                raise LabError("the delaying proxy did not start; its error stands above")
            yield f"http://127.0.0.1:{port}"
        finally:
            child.kill()


async def _relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay_s: float) -> None:
    """Hand on what comes, late."""
    pieces: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def take() -> None:
        while piece := await reader.read(PIECE):
            pieces.put_nowait((time.monotonic() + delay_s, piece))
        pieces.put_nowait((time.monotonic() + delay_s, b""))

    taking = asyncio.create_task(take())
    try:
        while True:
            due, piece = await pieces.get()
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            if not piece:
                break
            writer.write(piece)
            await writer.drain()
    except OSError:
        pass
    finally:
        taking.cancel()
        with contextlib.suppress(OSError):
            writer.close()


async def _serve(host: str, port: int, delay_s: float) -> None:
    running = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection(host, port)
        except OSError:
            writer.close()
            return
        for relay in (_relay(reader, far_writer, delay_s), _relay(far_reader, writer, delay_s)):
            task = asyncio.create_task(relay)
            running.add(task)
            task.add_done_callback(running.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    # Ends with the program that wanted it, however that ends: the pipe closes.
    await asyncio.to_thread(sys.stdin.buffer.read)


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]) / 1000))
