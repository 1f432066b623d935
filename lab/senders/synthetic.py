"""Synthetic records of several devices, some of them bad, for the demo to count by."""

import random
from collections.abc import Iterator

from lab.senders.expected import ExpectedDeadLetter, ExpectedPoint
from lab.senders.formats import Format, encode

#: One record in so many is bad: 2 %.
BAD_EVERY = 50


#: What is wrong, and the bytes that are wrong that way.
POISON = {
    "JSON that ends in its middle": b'{"free_ram":2286',
    "msgpack that ends in its middle": encode({"free_ram": 1, "tx_bytes": 2}, Format.MSGPACK)[:14],
    "text without a name": b"No Such Object available on this agent",
    "no value that is a number": b'{"free_ram":"No Such Instance currently exists at this OID"}',
    "an empty object": b"{}",
}


def records(
    count: int, devices: int, clock: Iterator[float]
) -> Iterator[tuple[bytes, ExpectedPoint | ExpectedDeadLetter]]:
    """Message values, each with what must become of it.

    Args:
        count: How many.
        devices: How many names they come from; formats and devices take turns.
        clock: Epoch seconds, one for each record.
    """
    forms = list(Format)
    kinds = list(POISON)
    chance = random.Random(count)
    for number in range(count):
        now = next(clock)
        if number % BAD_EVERY == BAD_EVERY - 1:
            kind = kinds[number // BAD_EVERY % len(kinds)]
            yield POISON[kind], ExpectedDeadLetter(kind)
            continue
        device = number % devices
        form = forms[(number // devices) % len(forms)]
        good = ExpectedPoint(f"device-{device + 1}", number // devices)
        record = {
            "tx_bytes": number * 1500,
            "rx_bytes": number * 900,
            "tx_drops": 0,
            "rx_drops": 0,
            "tx_errors": 0,
            "rx_errors": 0,
            "cpu_load": f"{chance.uniform(0, 4):.2f}",
            "free_ram": chance.randrange(10**6, 10**8),
            "disk_util": chance.randrange(5, 95),
            "ip": f"192.168.0.{device + 10}",
            "deviceId": good.device,
            "seq": good.seq,
        }
        yield encode(record, form, now), good
