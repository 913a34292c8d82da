"""Tables of NamedTuples in compiled code: rows of each shape, by name, read and written where NumPy sees them.

Broken on purpose, one at a time: rows as far apart as numbers -> `read_and_written` red; tables of a model that can be written ->
`not_written` red; tuples of another length taken for rows -> `another_length` red (a fault, at first); addresses without their
arrays -> `keep_their_arrays` red; a type named without its members -> `tell_layouts_apart` red.
"""

import gc
import pickle
from typing import Any, NamedTuple

import numba
import numpy as np
import pytest
from numba.core.errors import TypingError

from fastars._compiled.jit import address, addressed, kernel
from fastars._compiled.tables import ALIGNMENT, Tables, aligned, constant


class Model(NamedTuple):
    count: Any  # ()
    scale: Any  # ()
    parent: Any  # (n,)
    mass: Any  # (n,)
    offset: Any  # (n, 2)
    pair: Any  # (n, 2) int64


class Lanes(NamedTuple):
    speed: Any  # (n, L)
    point: Any  # (n, 3, L)
    order: Any  # (n,) int64
    flat: Any  # (n,)


def model(n=3):
    rng = np.random.default_rng(0)
    integers = {"count": np.array(n), "parent": np.arange(n)[::-1].copy(), "pair": np.arange(2 * n).reshape(n, 2)}
    return Model(**integers, scale=np.array(0.5), mass=rng.normal(size=n), offset=rng.normal(size=(n, 2)))


def lanes(n_lanes, n=3):
    rng = np.random.default_rng(n_lanes)
    speed, point = aligned(n, n_lanes), aligned(n, 3, n_lanes)
    speed[:], point[:] = rng.normal(size=speed.shape), rng.normal(size=point.shape)
    return Lanes(speed, point, np.zeros(n, np.int64), np.zeros(n))


@addressed
def move(m, w):
    for k in range(m.count):
        x, y, z = w.point[k]
        u, v = m.offset[k]
        first, second = m.pair[k]
        w.point[k] = (x + u, 7, z * m.mass[m.parent[k]])
        w.speed[k] = y + m.scale * v
        w.order[k] = first * 10 + second
        w.flat[k] = m.mass[k] + 1
    return 5


@pytest.mark.parametrize("n_lanes", [1, 4, 8])
def test_rows_are_read_and_written_by_name(n_lanes):
    m, w = model(), lanes(n_lanes)
    point = w.point.copy()
    assert move(Tables(m), Tables(w, n_lanes)) == 5
    for k in range(3):
        np.testing.assert_array_equal(w.point[k, 0], point[k, 0] + m.offset[k, 0])
        np.testing.assert_array_equal(w.point[k, 1], 7.0)
        np.testing.assert_array_equal(w.point[k, 2], point[k, 2] * m.mass[2 - k])
        np.testing.assert_array_equal(w.speed[k], point[k, 1] + 0.5 * m.offset[k, 1])
    np.testing.assert_array_equal(w.order, [1, 23, 45])
    np.testing.assert_array_equal(w.flat, m.mass + 1)


@kernel
def fill(w):
    w.speed[0] = constant(w, 3)
    w.speed[1] = constant(w, -0.5)


def test_a_constant_is_in_all_lanes():
    w = lanes(8)
    fill(Tables(w, 8))
    np.testing.assert_array_equal(w.speed[:2], [[3.0] * 8, [-0.5] * 8])


def test_a_kernel_is_called_by_its_address():
    import ctypes

    m, w, alike = model(), lanes(8), lanes(8)
    model_tables, tables = Tables(m), Tables(w, 8)
    function = address(move, model_tables, Tables(alike, 8))
    called = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p)(function)
    assert called(model_tables.address, tables.address) == 5
    np.testing.assert_array_equal(w.point, alike.point)


def test_addresses_keep_their_arrays_alive():
    tables = Tables(model())
    addresses, mass = tables.addresses, tables.arrays.mass.copy()
    place = Model._fields.index("mass")
    del tables
    gc.collect()
    blocks = [np.full(3, np.nan) for _ in range(1000)]
    assert len(blocks) == 1000
    import ctypes

    found = np.ctypeslib.as_array(ctypes.cast(int(addresses[place]), ctypes.POINTER(ctypes.c_double)), (3,))
    np.testing.assert_array_equal(found, mass)


def test_fields_of_a_model_are_not_written():
    @numba.njit
    def write(m):
        m.mass[0] = 1.0

    with pytest.raises(TypingError):
        write(Tables(model()))


@pytest.mark.parametrize("length", [2, 4])
def test_a_tuple_of_another_length_is_no_row(length):
    values = (1.0,) * length

    @numba.njit
    def write(w):
        w.point[0] = values

    with pytest.raises(TypingError):
        write(Tables(lanes(4), 4))


def test_a_name_that_is_not_there_is_an_error():
    @numba.njit
    def read(m):
        return m.weight[0]

    with pytest.raises(TypingError):
        read(Tables(model()))


@pytest.mark.parametrize(
    "change",
    [
        {"mass": np.zeros(3, np.float32)},
        {"mass": np.zeros(6)[::2]},
        {"offset": np.zeros((2, 3)).T},
        {"count": np.array(1, np.int32)},
    ],
)
def test_arrays_of_other_kinds_are_refused(change):
    with pytest.raises(TypeError, match=next(iter(change))):
        Tables(model()._replace(**change))


def test_arrays_of_other_widths_are_refused():
    with pytest.raises(ValueError, match="8 lanes"):
        Tables(lanes(4), 8)


def test_types_tell_layouts_apart_and_survive_a_pickle():
    of_model, of_lanes = Tables(model()).numba_type, Tables(lanes(4), 4).numba_type
    assert of_model == Tables(model(5)).numba_type
    assert of_lanes != Tables(lanes(8), 8).numba_type
    assert of_model != Tables(model()._replace(offset=np.zeros((3, 3)))).numba_type
    assert of_model != Tables(model()._replace(mass=np.zeros(3, np.int64))).numba_type
    assert pickle.loads(pickle.dumps(of_lanes)) == of_lanes


def test_memory_starts_at_a_cache_line():
    for shape in ((1,), (3, 8), (5, 3, 8)):
        array = aligned(*shape)
        assert array.shape == shape
        assert not array.any()
        assert array.ctypes.data % ALIGNMENT == 0
