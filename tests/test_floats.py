"""Floating-point modes that other libraries leave behind: they change no bit.

Broken on purpose: `IeeeFloats` changes no mode -> all tests red; the mode is not put back -> the first and the second red.
"""

import contextlib
import ctypes
import platform
import sys
import threading

import numpy as np
import pytest

from fastars import ARS, evaluate_candidates
from fastars._runtime.floats import IeeeFloats, is_ieee

if sys.platform != "linux" or platform.machine() != "x86_64":
    pytest.skip("sets x86-64's MXCSR, by Linux's C library", allow_module_level=True)

FLUSHING = 0x8040  # results below 2.2e-308 become 0, and so do arguments
SUBNORMAL = {"delta_std": 1e-307, "learning_rate": 1e-307}  # most of such noise times an observation is subnormal


def mode():
    """The fenv_t of this thread, whose last four bytes are MXCSR."""
    found = ctypes.create_string_buffer(32)
    ctypes.CDLL(None).fegetenv(found)
    return found


@contextlib.contextmanager
def mxcsr(bits):
    """A context in which these bits of MXCSR are set besides."""
    before, changed = mode(), mode()
    changed[28:32] = (int.from_bytes(changed[28:32], "little") | bits).to_bytes(4, "little")
    ctypes.CDLL(None).fesetenv(changed)
    try:
        assert not is_ieee()
        yield
    finally:
        ctypes.CDLL(None).fesetenv(before)


def trained(n_threads=1, **settings):
    return ARS("LinearPolicy", "CartPole-v1", n_delta=4, seed=3, n_threads=n_threads, **SUBNORMAL, **settings).learn(5_000).theta


@pytest.mark.parametrize("bits", [0x8000, 0x40, 0x8040, 0x2000, 0x4000, 0x6000])
def test_the_mode_is_seen_and_comes_back(bits):
    assert is_ieee()
    with mxcsr(bits):
        with contextlib.suppress(KeyboardInterrupt), IeeeFloats():
            assert is_ieee()
            raise KeyboardInterrupt
        assert not is_ieee()
    assert is_ieee()


@pytest.mark.promise(19)
def test_flushed_subnormals_change_no_bit_of_training(tally):
    wanted = trained()
    assert (np.abs(wanted) < 1e-300).all()
    assert wanted.any()
    ways = {}, {"n_threads": 4}, {"compiled": False}, {"compiled": False, "n_workers": 2}
    with mxcsr(FLUSHING):
        n_equal = sum(trained(**way).tobytes() == wanted.tobytes() for way in ways)
        assert not is_ieee()
    assert n_equal == len(ways)
    tally("runs in which subnormal numbers were taken for 0, with the same bits", n_equal, of=len(ways))


def test_flushed_subnormals_change_no_bit_of_evaluation():
    weights = np.random.default_rng(0).standard_normal((64, 8)) * 1e-308
    wanted = evaluate_candidates("CartPole-v1", weights, range(64), n_threads=1)
    with mxcsr(FLUSHING):
        for n_threads in (1, 4):
            found = evaluate_candidates("CartPole-v1", weights, range(64), n_threads=n_threads)
            np.testing.assert_array_equal(found.returns, wanted.returns)


def test_flushed_subnormals_change_no_action():
    model = ARS("LinearPolicy", "CartPole-v1", n_delta=4, seed=3, **SUBNORMAL)
    model.policy.load_from_vector(np.random.default_rng(0).standard_normal(model.n_weights) * 1e-308)
    observations = np.random.default_rng(1).standard_normal((500, 4)).astype(np.float32)
    wanted = model.predict(observations)[0]
    with mxcsr(FLUSHING):
        np.testing.assert_array_equal(model.predict(observations)[0], wanted)


def test_a_thread_with_another_mode_trains_to_the_same_bits():
    found = []

    def train():
        with mxcsr(FLUSHING):
            found.append(trained())

    thread = threading.Thread(target=train)
    thread.start()
    thread.join()
    assert found[0].tobytes() == trained().tobytes()
