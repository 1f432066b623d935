"""`python -m tests.mutants [PART OF A NAME ...]`: the unit tests must notice every small bug of the lists.

Exit code: 0 if all are noticed; 1 if one is not, or cannot be put in any more.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from queue import Empty, SimpleQueue

from tests.mutants.mutant import LISTS, Mutant, load
from tests.mutants.run import PASSED, Checkout, Verdict, checkout

#: Seconds that all tests together may take without a mutant.
BASELINE_S = 1_800.0


def main() -> int:
    """Judge the mutants that the arguments name, or all."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("names", nargs="*", help="parts of the names of mutants; none means all")
    parser.add_argument("--list", choices=LISTS, help="only the mutants of this list")
    parser.add_argument("--jobs", type=int, default=2, help="mutants that are tested at once (2)")
    parser.add_argument("--verbose", action="store_true", help="show what the tests print")
    options = parser.parse_args()
    mutants = [
        mutant
        for mutant in load([options.list] if options.list else LISTS)
        if not options.names or any(name in mutant.name for name in options.names)
    ]
    if not mutants:
        print("no mutant has such a name", file=sys.stderr)
        return 1
    problems = {mutant.name: problem for mutant in mutants if (problem := mutant.problem())}
    if problems:
        for name, problem in problems.items():
            print(f"{name}: {problem}")
        print(f"{len(problems)} mutants cannot be put in: change them as the code has changed")
        return 1
    return _judge(mutants, options.jobs, options.verbose)


def _judge(mutants: Sequence[Mutant], jobs: int, verbose: bool) -> int:
    begun = time.monotonic()
    with ExitStack() as closing:
        # All are made at once, so that a change of the checkout meanwhile does not matter.
        copies = [closing.enter_context(checkout()) for _ in range(jobs)]
        code, output = copies[0].test(
            sorted({test for mutant in mutants for test in mutant.tests}), BASELINE_S
        )
        if code != PASSED:
            print(f"{output}\nthe tests fail without any mutant")
            return 1
        print(f"the tests pass without a mutant ({time.monotonic() - begun:.0f} s)", flush=True)
        missed = _judge_all(mutants, copies, verbose)
    seconds = time.monotonic() - begun
    print(f"{len(mutants) - len(missed)} of {len(mutants)} mutants are caught ({seconds:.0f} s)")
    for name in missed:
        print(f"not caught: {name}")
    return 1 if missed else 0


def _judge_all(mutants: Sequence[Mutant], copies: Sequence[Checkout], verbose: bool) -> list[str]:
    """Return the names of the mutants that are not caught."""
    left: SimpleQueue[Mutant] = SimpleQueue()
    for mutant in mutants:
        left.put(mutant)
    missed: list[str] = []

    def work(copy: Checkout) -> None:
        while True:
            try:
                mutant = left.get_nowait()
            except Empty:
                return
            verdict, output = copy.judge(mutant)
            print(f"{verdict:9}{mutant.name}", flush=True)
            if verdict is not Verdict.CAUGHT:
                missed.append(mutant.name)
            if verbose or verdict is Verdict.BROKEN:
                print(output[-3000:], flush=True)

    with ThreadPoolExecutor(len(copies)) as pool:
        for future in [pool.submit(work, copy) for copy in copies]:
            future.result()
    return sorted(missed)


if __name__ == "__main__":
    sys.exit(main())
