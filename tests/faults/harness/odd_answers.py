"""Answers that no server should give, written by hand to the worker's connection."""

import asyncio
from asyncio import StreamWriter
from collections.abc import Awaitable, Callable

#: Writes an answer, or a part of one, and returns when there is no more to say.
Script = Callable[[StreamWriter], Awaitable[None]]

#: An informational answer as proxies send it.
HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n"
PROCESSING = b"HTTP/1.1 102 Processing\r\n\r\n"

_MB = 1_000_000


async def drip(writer: StreamWriter) -> None:
    """Send an error of which one byte arrives each second."""
    answer = b"HTTP/1.1 503 Slow\r\nContent-Length: 9999\r\n\r\n" + b"." * 9999
    for byte in answer:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(1)


async def drip_body(writer: StreamWriter) -> None:
    """Send a head at once, and a body of which one byte arrives each second."""
    writer.write(b"HTTP/1.1 400 Slow\r\nX-Influxdb-Version: 2.7.12\r\nContent-Length: 9999\r\n\r\n")
    while True:
        writer.write(b".")
        await writer.drain()
        await asyncio.sleep(1)


async def continue_for_ever(writer: StreamWriter) -> None:
    """Send `100 Continue` again and again, fewer than the worker bounds within its time-out."""
    while True:
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        await writer.drain()
        await asyncio.sleep(0.5)


async def flood(writer: StreamWriter) -> None:
    """Send an error with a body of 100 MB."""
    writer.write(
        b"HTTP/1.1 400 Large\r\nX-Influxdb-Version: 2.7.12\r\nContent-Length: %d\r\n\r\n" % (100 * _MB)
    )
    for _ in range(100):
        writer.write(b"x" * _MB)
        await writer.drain()
