"""What a test needs of the C kernel."""

import os

import pytest

from workers.records.native import BUILT

#: Skips a test if the extension is not built; on CI the test runs, and fails.
needs_kernel = pytest.mark.skipif(
    not (BUILT or os.environ.get("CI")), reason="installed without a C compiler"
)


def require_kernel_on_ci() -> None:
    """Fail on CI if the extension is not built: a test of both paths would compare Python with itself."""
    assert BUILT or not os.environ.get("CI"), "the C extension is not built; install a C compiler"
