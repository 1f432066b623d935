"""`python -m tests.sanitize`: the kernel's tests and a fuzzer, with sanitizers of memory and behaviour.

Exit code: 0 if nothing is found, else 1.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.sanitize.build import SanitizerError, build

#: The unit tests of the kernel, without those that count its cost.
TESTS = ["tests/unit/records/test_native.py", "tests/unit/records/test_native_fields.py"]


def main() -> int:
    """Build, test and fuzz."""
    parser = argparse.ArgumentParser(prog="python -m tests.sanitize", description=__doc__)
    parser.add_argument("--seconds", type=float, default=120.0, help="how long to fuzz (120)")
    parser.add_argument(
        "--jobs", type=int, default=2, help="fuzzers at once, each with a seed of its own (2)"
    )
    parser.add_argument("--seed", type=int, default=int(time.time()), help="the first one's seed")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tower-sanitize-") as folder:
        try:
            environment = build(Path(folder))
        except SanitizerError as error:
            print(f"sanitize: {error}", file=sys.stderr)
            return 1
        python = [sys.executable, "-X", "faulthandler", "-m"]
        tests = [
            *python,
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "-p",
            "no:xdist",
            "--timeout=600",
            *TESTS,
        ]
        if subprocess.run(tests, cwd=folder, env=environment, check=False).returncode:
            print("sanitize: the kernel's tests fail with sanitizers", file=sys.stderr)
            return 1
        fuzzers = [
            subprocess.Popen(
                [*python, "tests.sanitize.fuzz", "--seconds", str(options.seconds), "--seed", str(seed)],
                cwd=folder,
                env=environment,
            )
            for seed in range(options.seed, options.seed + options.jobs)
        ]
        codes = [fuzzer.wait() for fuzzer in fuzzers]
    if any(codes):
        print(
            f"sanitize: the fuzzer found something; --seed {options.seed} gives it again", file=sys.stderr
        )
        return 1
    print("sanitize: nothing found")
    return 0


if __name__ == "__main__":
    sys.exit(main())
