"""Runs the tests of each mutant in a copy of the checkout."""

import os
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path

from tests.mutants.mutant import Mutant
from tests.sanitize.build import SanitizerError, build
from tests.support.checkout import copy_checkout, kernel_file

#: Seconds that the tests of one mutant may take. A mutant whose tests hang is noticed.
TIMEOUT_S = 240.0

#: The same with sanitizers, and seconds that the fuzzer runs then.
SANITIZED_S, FUZZ_S = 900.0, 30

#: Seconds that one of the tests may take: many mutants wait without end.
TEST_S = 40

#: Exit codes of pytest: all passed; some failed.
PASSED, FAILED = 0, 1


class Verdict(StrEnum):
    """What the tests say about a mutant."""

    CAUGHT = "caught"
    SURVIVED = "survived"
    BROKEN = "broken"  # it does not compile, or its tests do not run


class Checkout:
    """A copy of the checkout in which one mutant after the other is tested.

    Args:
        folder: Where the copy is.
    """

    def __init__(self, folder: Path) -> None:
        self._root = folder
        copy_checkout(folder)
        self._kernel = kernel_file(folder)

    def build(self) -> bool:
        """Compile the kernel quickly. Return whether it compiles."""
        flags = [f"-I{sysconfig.get_paths()['include']}", "-O1", "-fPIC", "-shared", "-w"]
        command = ["cc", *flags, "workers/native/kernel.c", "-o", str(self._kernel)]
        return subprocess.run(command, cwd=self._root, capture_output=True, check=False).returncode == 0

    def test(
        self,
        tests: Sequence[str],
        timeout_s: float = TIMEOUT_S,
        folder: Path | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> tuple[int, str]:
        """Run tests until the first that fails. Return pytest's exit code and output; -1 if they hang."""
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-p", "no:xdist"]
        command.append(f"--timeout={TEST_S if environ is None else timeout_s}")
        own = {**os.environ, "PYTHONPATH": str(self._root), "PYTHONDONTWRITEBYTECODE": "1"}
        try:
            done = subprocess.run(
                [*command, *tests],
                cwd=folder or self._root,
                env=environ or own,
                capture_output=True,
                text=True,
                timeout=timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return -1, f"they did not end within {timeout_s:.0f} s"
        return done.returncode, done.stdout + done.stderr

    def _compile(self, mutant: Mutant) -> str:
        """Compile the changed file. Return what is wrong with it."""
        if mutant.is_native:
            return "" if self.build() else "it does not compile"
        try:
            compile((self._root / mutant.file).read_text(), mutant.file, "exec")
        except SyntaxError as error:
            return str(error)
        return ""

    def _sanitize(self, mutant: Mutant) -> tuple[Verdict, str]:
        """Run the tests of a changed kernel with sanitizers, and then the fuzzer."""
        with tempfile.TemporaryDirectory(prefix="tower-mutants-") as folder:
            try:
                environment = build(Path(folder), self._root)
            except SanitizerError as error:
                return Verdict.BROKEN, str(error)
            code, output = self.test(mutant.tests, SANITIZED_S, Path(folder), environment)
            if code == PASSED:
                fuzz = [sys.executable, "-m", "tests.sanitize.fuzz", "--seconds", str(FUZZ_S)]
                done = subprocess.run(
                    fuzz, cwd=folder, env=environment, capture_output=True, text=True, check=False
                )
                code, output = done.returncode, done.stdout + done.stderr
        return (Verdict.SURVIVED if code == PASSED else Verdict.CAUGHT), output

    def judge(self, mutant: Mutant) -> tuple[Verdict, str]:
        """Test one mutant. Return the verdict, and the tests' output or what is wrong with it."""
        with mutant.put_in(self._root):
            if mutant.sanitized:
                return self._sanitize(mutant)
            problem = self._compile(mutant)
            code, output = (0, problem) if problem else self.test(mutant.tests)
        if mutant.is_native:
            self.build()
        if problem:
            return Verdict.BROKEN, problem
        # A crash of the interpreter has a negative code, and so has a test run that hangs.
        if code == FAILED or code < 0:
            return Verdict.CAUGHT, output
        return (Verdict.SURVIVED if code == PASSED else Verdict.BROKEN), output


@contextmanager
def checkout() -> Iterator[Checkout]:
    """A copy of the checkout with a kernel, gone at the end.

    Raises:
        RuntimeError: The kernel does not compile.
    """
    with tempfile.TemporaryDirectory(prefix="tower-mutants-") as folder:
        copy = Checkout(Path(folder))
        if not copy.build():
            raise RuntimeError("the kernel does not compile; a C compiler named `cc` is needed")
        yield copy
