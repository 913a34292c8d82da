"""Set-up of the tests."""

import signal

import numba
import numpy as np
import pytest

# A shell that starts a process in the background has it, and all that it starts, ignore Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=numba.config.DISABLE_JIT)
def numpys_scalars_do_not_warn():
    """Without compilation, kernels compute with NumPy's scalars, which warn where uint64 wraps around or inf - inf is NaN."""
    with np.errstate(over="ignore", invalid="ignore"):
        yield
