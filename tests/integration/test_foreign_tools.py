"""Records made by tools nobody here wrote arrive too."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.chain import Chain, record

CODECS = ("gzip", "snappy", "lz4", "zstd")

#: Of each tool and codec: eight times as many make 100,000.
EACH = 12_500


@pytest.mark.integration
@pytest.mark.timeout(240)
def test_each_of_100_000_records_of_foreign_producers_is_one_point(
    chain: Callable[..., Chain], kcat: str, short_folder: Path
) -> None:
    """Kafka's console producer and kcat, four codecs, with and without keys, headers and null values."""
    pipeline = chain()
    pipeline.pool.start()
    bootstrap = pipeline.lab.bootstrap_servers
    nulls = 0
    first = 0
    for codec in CODECS:
        sample = short_folder / "samples"
        # Half of the console producer's records have a key and a header, as its parse options read them.
        lines = [b"h:%d\tk%d\t%s" % (seq, seq % 7, record(seq)) for seq in range(first, first + EACH)]
        sample.write_bytes(b"\n".join(lines) + b"\n")
        # Unformatted: an option and its value stay together.
        argv, environment = pipeline.lab.java_command(
            "org.apache.kafka.tools.ConsoleProducer",
            "--bootstrap-server", bootstrap, "--topic", pipeline.name, "--compression-codec", codec,
            "--property", "parse.key=true", "--property", "parse.headers=true",
        )  # fmt: skip # a table, which is longer with one value a line
        with sample.open("rb") as stdin:
            subprocess.run(argv, env=environment, stdin=stdin, check=True, timeout=60, capture_output=True)
        first += EACH
        sample.write_bytes(b"".join(record(seq) + b"\n" for seq in range(first, first + EACH)))
        subprocess.run(
            [kcat, "-P", "-b", bootstrap, "-t", pipeline.name, "-z", codec, "-l", str(sample)],
            check=True,
            timeout=60,
        )
        first += EACH
        # A null value: kcat -Z turns an empty one into it.
        subprocess.run(
            [kcat, "-P", "-b", bootstrap, "-t", pipeline.name, "-z", codec, "-Z", "-K", "|"],
            input=b"key|\n",
            check=True,
            timeout=60,
        )
        nulls += 1
    pipeline.drain()

    sequences = pipeline.sequences()
    letters = [headers["tower.reason"] for _, headers in pipeline.dead_letters()]

    assert set(sequences) == set(range(8 * EACH))
    assert len(sequences) == 8 * EACH
    assert letters == ["empty"] * nulls
