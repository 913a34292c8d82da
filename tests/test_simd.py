"""Vectors of lanes: each operation gives, in every lane, what NumPy gives for the numbers there, and what one lane gives alone.

Broken on purpose, one at a time: `other_lanes` that negates nothing, `!=` that is False for NaN, a scalar in lane 0 alone ->
the test of NumPy's operations red; `any_lane` of lane 0 alone -> its test red; contraction allowed -> `rounded_apart` red; the
rest of the wide reduction left out -> `exact` red.
"""

import operator
from typing import Any, NamedTuple

import numpy as np
import pytest

from fastars._compiled import simd, trig
from fastars._compiled.flat_arrays import load_wide, store_wide
from fastars._compiled.jit import kernel
from fastars._compiled.simd import (
    WIDE,
    absolute,
    any_lane,
    nearest,
    other_lanes,
    power_of_two,
    round_down,
    square_root,
    where,
    with_sign,
)
from fastars._compiled.tables import Tables

NUMBERS = np.array([0.0, -0.0, 1.5, -2.5, 0.5, -0.5, np.inf, -np.inf, np.nan, 3e300, -1e-320, 7.0, 2.0**52 + 1, 1e5, -3.25, 0.1])


class Numbers(NamedTuple):
    a: Any
    b: Any
    out: Any


class Results(NamedTuple):
    """One row of `out` for each operation."""

    names: tuple
    function: Any


@kernel
def arithmetic(w):
    a, b = w.a[0], w.b[0]
    w.out[0], w.out[1], w.out[2], w.out[3], w.out[4] = a + b, a - b, a * b, a / b, -a
    w.out[5], w.out[6], w.out[7], w.out[8] = a + 2.0, 3.0 - a, 2 * a, 1 / a


@kernel
def functions(w):
    a, b = w.a[0], w.b[0]
    w.out[0], w.out[1], w.out[2], w.out[3] = absolute(a), square_root(a), nearest(a), round_down(a)
    w.out[4] = with_sign(a, b)


@kernel
def comparisons(w):
    a, b = w.a[0], w.b[0]
    w.out[0], w.out[1], w.out[2] = where(a < b, 1.0, 0.0), where(a <= b, 1.0, 0.0), where(a > b, 1.0, 0.0)
    w.out[3], w.out[4], w.out[5] = where(a >= b, 1.0, 0.0), where(a == b, 1.0, 0.0), where(a != b, 1.0, 0.0)
    w.out[6], w.out[7] = where(a < 1.0, a, b), where(a > 1.0, 5, b)


@kernel
def masks(w):
    a, b = w.a[0] > 0.0, w.b[0] > 0.0
    w.out[0], w.out[1], w.out[2] = where(a & b, 1.0, 0.0), where(a | b, 1.0, 0.0), where(a ^ b, 1.0, 0.0)
    w.out[3] = where(other_lanes(a), 1.0, 0.0)


@kernel
def any_of(w):
    w.out[0] = 1.0 if any_lane(w.a[0] > 0.0) else 0.0


@kernel
def activations(w):
    w.out[0], w.out[1], w.out[2] = trig.tanh(w.a[0]), trig.swish(w.a[0]), power_of_two(w.b[0] + 1.5 * 2.0**52)


@kernel
def fill_wide(x, start):
    store_wide(x, start, 2.0 * load_wide(x, start))


@kernel
def angles(w):
    w.out[0], w.out[1] = trig.sincos(w.a[0])
    w.out[2], w.out[3] = trig.sincos_wide(w.a[0])


EXPECTED = {
    arithmetic: lambda a, b: [a + b, a - b, a * b, a / b, -a, a + 2, 3 - a, 2 * a, 1 / a],
    functions: lambda a, b: [np.abs(a), np.sqrt(a), np.rint(a), np.floor(a), np.copysign(a, b)],
    comparisons: lambda a, b: [a < b, a <= b, a > b, a >= b, a == b, a != b, np.where(a < 1, a, b), np.where(a > 1, 5, b)],
    masks: lambda a, b: [(a > 0) & (b > 0), (a > 0) | (b > 0), (a > 0) ^ (b > 0), ~(a > 0)],
}


def run(function, a, b, n_lanes):
    """Return the rows that a kernel writes for numbers, `n_lanes` of them at a time."""
    rows = []
    for start in range(0, len(a), n_lanes):
        piece = slice(start, start + n_lanes)
        w = Numbers(a[None, piece].copy(), b[None, piece].copy(), np.zeros((9, n_lanes)))
        function(Tables(w, n_lanes))
        rows.append(w.out)
    return np.concatenate(rows, axis=1)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("n_lanes", [1, 4, 8])
@pytest.mark.parametrize("function", EXPECTED, ids=lambda function: function.py_func.__name__)
def test_operations_are_numpys_in_each_lane(function, n_lanes):
    pairs = np.array([(a, b) for a in NUMBERS for b in NUMBERS])
    a, b = np.ascontiguousarray(pairs.T)
    expected = np.array(EXPECTED[function](a, b), float)
    found = run(function, a, b, n_lanes)[: len(expected)]
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(np.signbit(found[~np.isnan(found)]), np.signbit(expected[~np.isnan(found)]))


@pytest.mark.parametrize("lane", range(8))
def test_any_lane_sees_each_lane(lane):
    a = np.full(8, -1.0)
    assert run(any_of, a, a, 8)[0, 0] == 0.0
    a[lane] = 1.0
    assert (run(any_of, a, a, 8)[0] == 1.0).all()


@pytest.mark.parametrize("size", [1.0, 100.0, 1e5, 9e5, 1e7, 1e10])
def test_sine_and_cosine_have_the_bits_of_one_lane_and_are_exact(size):
    mpmath = pytest.importorskip("mpmath")
    mpmath.mp.prec = 200
    x = np.random.default_rng(0).uniform(-size, size, 400)
    mixed = x.copy()
    mixed[::2] /= size  # neighbours that need no wide reduction
    alone = run(angles, mixed, mixed, 1)
    for n_lanes in (4, 8):
        np.testing.assert_array_equal(run(angles, mixed, mixed, n_lanes), alone)
    for number, column in zip(mixed, alone.T, strict=True):
        exact = [mpmath.sin(mpmath.mpf(number)), mpmath.cos(mpmath.mpf(number))]
        for found, wanted in zip(column[2:4], exact, strict=True):
            assert abs(mpmath.mpf(found) - wanted) <= mpmath.mpf(np.spacing(abs(float(wanted))))
        if abs(number) <= 1e5:
            np.testing.assert_allclose(column[:2], column[2:4], rtol=4e-16, atol=1e-17)


def test_activations_have_the_bits_of_one_lane():
    draw = np.random.default_rng(1)
    x = np.concatenate([draw.normal(0, 3, 400), draw.normal(0, 300, 384), NUMBERS])
    k = draw.integers(-1022, 1024, len(x)).astype(float)
    alone = run(activations, x, k, 1)
    np.testing.assert_array_equal(alone[2], np.exp2(k))
    for n_lanes in (4, 8):
        np.testing.assert_array_equal(run(activations, x, k, n_lanes), alone)


def test_wide_vectors_lie_anywhere_in_an_array():
    for start in (0, 3, 5):
        x = np.arange(WIDE + 5.0)
        fill_wide(x, start)
        np.testing.assert_array_equal(x, [k * (2 if start <= k < start + WIDE else 1) for k in range(WIDE + 5)])


def test_products_and_sums_are_rounded_apart():
    """A fused a * b + c would keep the part of the product that rounding removes."""
    a, b = np.full(8, 1.0 + 2.0**-30), np.full(8, 1.0 - 2.0**-30)
    assert (run(multiply_add, a, b, 8)[:2] == a * b - 1.0).all()
    assert (a * b - 1.0 == 0.0).all()


@kernel
def multiply_add(w):
    w.out[0], w.out[1] = w.a[0] * w.b[0] - 1.0, -1.0 + w.a[0] * w.b[0]


def test_in_plain_python_the_functions_take_numbers():
    assert where(True, 1.0, 2.0) == 1.0
    assert where(False, 1.0, 2.0) == 2.0
    assert any_lane(True)
    assert not any_lane(False)
    assert other_lanes(False)
    assert (absolute(-2.0), square_root(9.0), nearest(2.5), round_down(-0.5)) == (2.0, 3.0, 2.0, -1.0)


def test_types_of_other_widths_do_not_mix():
    assert simd.Vec(4) != simd.Vec(8)
    assert simd.number(1).name == "float64"
    assert operator.ne(simd.Mask(4), simd.Mask(8))
