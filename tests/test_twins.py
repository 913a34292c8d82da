"""Every public kernel against its twin in `fastars.reference`, and what holds for all of them."""

import importlib
import inspect
import pkgutil

import numba
import numpy as np
import pytest
from cases import CASES, Case

from fastars import kernels, reference

FUNCTIONS = [name for name in kernels.__all__ if inspect.isfunction(getattr(reference, name, None))]
BY_NAME = {case.name: case for case in CASES}
compiled = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="looks at compiled functions")


def assert_agree(actual, expected, case):
    """Equal structure, dtypes, NaNs and values, within the case's tolerance."""
    if isinstance(expected, tuple):
        assert getattr(actual, "_fields", None) == getattr(expected, "_fields", None)
        assert len(actual) == len(expected)
        for a, e in zip(actual, expected, strict=True):
            assert_agree(a, e, case)
        return
    if isinstance(expected, np.ndarray):
        assert actual.dtype == expected.dtype
        assert actual.shape == expected.shape
    if case.rtol == 0.0 and case.atol == 0.0:
        np.testing.assert_array_equal(actual, expected)
    else:
        np.testing.assert_allclose(actual, expected, rtol=case.rtol, atol=case.atol)


@pytest.mark.parametrize("size", ["small", "medium"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_kernel_equals_twin(case: Case, size):
    if numba.config.DISABLE_JIT and size != "small":
        pytest.skip("too slow without compilation")
    actual = case.call(case.kernel, case.make(size))
    expected = case.call(case.twin, case.make(size))
    assert_agree(actual, expected, case)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_arguments_are_left_as_they_were(case: Case):
    """All but the array that a kernel is there to write to."""
    args, untouched = case.make("small"), case.make("small")
    writes = case.kernel(*args) is None
    for argument, before in list(zip(args, untouched, strict=True))[: -1 if writes else None]:
        if isinstance(argument, np.ndarray):
            np.testing.assert_array_equal(argument, before)


def test_every_public_kernel_has_one_row():
    assert sorted(case.name for case in CASES) == sorted(FUNCTIONS)


def test_kernels_and_reference_have_the_same_names():
    """But for the NamedTuples that kernels only take: the reference takes them as they are."""
    taken = [name for name in kernels.__all__ if getattr(getattr(kernels, name), "__module__", "") == "fastars._compiled.structs"]
    assert [name for name in kernels.__all__ if name in reference.__all__ or name not in taken] == reference.__all__
    assert len(set(kernels.__all__)) == len(kernels.__all__)


SHARED = ["balanced_gram", "nonnegative_minimum"]  # by several modules of the reference


def test_every_function_of_the_reference_is_public_or_underscored():
    found = pkgutil.iter_modules(reference.__path__)  # some functions hide their module, which has the same name
    parts = [importlib.import_module(f"fastars.reference.{part.name}") for part in found if not part.ispkg]  # but physics
    assert len(parts) >= 22
    for part in parts:
        defined = [name for name, value in inspect.getmembers(part, inspect.isfunction) if value.__module__ == part.__name__]
        assert [name for name in defined if not name.startswith("_") and name not in reference.__all__ + SHARED] == []


@pytest.mark.parametrize("name", FUNCTIONS)
def test_kernel_and_twin_have_the_same_arguments(name):
    kernel, twin = getattr(kernels, name), getattr(reference, name)
    assert list(inspect.signature(kernel).parameters) == list(inspect.signature(twin).parameters)
    part = kernel.__module__.removeprefix("fastars.kernels.")
    assert twin.__module__ == f"fastars.reference.{part}"


@compiled
@pytest.mark.parametrize("name", FUNCTIONS)
def test_kernel_releases_the_gil(name):
    assert getattr(kernels, name).targetoptions["nogil"] is True


@compiled
@pytest.mark.parametrize("name", FUNCTIONS)
def test_kernel_keeps_ieee_arithmetic(name):
    assert getattr(kernels, name).targetoptions["fastmath"] is False  # said, as a caller's would be handed down


@compiled
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_kernel_is_callable_from_the_users_own_njit(case: Case):
    kernel = case.kernel

    @numba.njit
    def users(args):
        return kernel(*args)

    args = case.make("small")
    result = users(args)
    assert_agree(args[-1] if result is None else result, case.call(case.twin, case.make("small")), case)


@compiled
@pytest.mark.parametrize("n_threads", [1, 2, 3, 4])
def test_parallel_kernels_give_equal_bits_for_any_number_of_threads(n_threads):
    if n_threads > numba.config.NUMBA_NUM_THREADS:
        pytest.skip("fewer threads than that")
    before = numba.get_num_threads()
    try:
        for name in ("noise_table", "weighted_sums"):
            numba.set_num_threads(1)
            expected = BY_NAME[name].call(BY_NAME[name].kernel, BY_NAME[name].make("medium"))
            numba.set_num_threads(n_threads)
            np.testing.assert_array_equal(BY_NAME[name].call(BY_NAME[name].kernel, BY_NAME[name].make("medium")), expected)
    finally:
        numba.set_num_threads(before)
