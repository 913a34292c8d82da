"""Set-up of the tests."""

import numba
import numpy as np
import pytest


@pytest.fixture(autouse=numba.config.DISABLE_JIT)
def uint64_wraps_around():
    """Without compilation, kernels compute with NumPy's uint64 scalars, which warn where they wrap around, as a generator must."""
    with np.errstate(over="ignore"):
        yield
