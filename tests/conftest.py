"""Set-up of the tests."""

import numba
import numpy as np
import pytest


@pytest.fixture(autouse=numba.config.DISABLE_JIT)
def numpys_scalars_do_not_warn():
    """Without compilation, kernels compute with NumPy's scalars, which warn where uint64 wraps around or inf - inf is NaN."""
    with np.errstate(over="ignore", invalid="ignore"):
        yield
