"""Tables: arrays of a NamedTuple that compiled code reads and writes by name, `w.velocity[body]`.

A kernel gets one address, which leads to the addresses of all arrays. So it can be called by its address, from other kernels too,
and a call costs the same for two arrays and for fifty. Nothing is counted and no index is checked.

The shape of an array says what its rows are. `n_lanes` numbers side by side are one number of `simd`:

| arrays of a model, the same for all lanes | | arrays of the lanes | |
|---|---|---|---|
| `()` int64 or float64 | `m.n_bodies` is the number | `(n,)` int64 or float64 | `w.group_body[k]` is a scalar |
| `(n,)` int64 or float64 | `m.mass[body]` is a scalar | `(n, n_lanes)` float64 | `w.qpos[k]` is a number in lanes |
| `(n, width)` | `m.offset[body]` is a tuple of scalars | `(n, width, n_lanes)` float64 | `w.velocity[body]` is a tuple of numbers |

A field of a model that differs between lanes one day is an array of the second kind, and code that reads `m.mass[body]` stays.
"""

import hashlib
import operator
from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.typing.templates import AbstractTemplate, AttributeTemplate, infer_getattr, infer_global, signature
from numba.extending import NativeValue, intrinsic, lower_builtin, lower_getattr_generic, models, register_model, typeof_impl, unbox

from fastars._compiled.simd import Vec, number, spread

_WORD, _DOUBLE = ir.IntType(64), ir.DoubleType()
ALIGNMENT = 64  # bytes: no vector of 8 lanes crosses a cache line


class Table(types.Type):
    """An array: its rows are of type `number`, or tuples of `width` of them (0: no tuples)."""

    def __init__(self, number: types.Type, width: int, is_constant: bool) -> None:
        self.number, self.width, self.is_constant = number, width, is_constant
        self.row = types.UniTuple(number, width) if width else number
        super().__init__(name=f"Table({number}, {width}, {is_constant})")


class TablesType(types.Type):
    """The tables of a NamedTuple: pairs of a name and the type of its table, or of the number itself for arrays of shape ()."""

    def __init__(self, name: str, members: tuple[tuple[str, types.Type], ...], number: types.Type) -> None:
        self.members, self.number, self.tuple_name = members, number, name
        digest = hashlib.sha256(repr(members).encode()).hexdigest()[:16]  # the whole text would be part of every symbol
        super().__init__(name=f"Tables({name}, {number}, {digest})")


@register_model(Table)
class _TableModel(models.PrimitiveModel):
    def __init__(self, manager, numba_type):
        element = _WORD if isinstance(numba_type.number, types.Integer) else _DOUBLE
        super().__init__(manager, numba_type, ir.PointerType(element))


@register_model(TablesType)
class _TablesModel(models.PrimitiveModel):
    def __init__(self, manager, numba_type):
        super().__init__(manager, numba_type, ir.PointerType(_WORD))


def _load(builder, pointer, is_constant):
    """Emit a load. LLVM may move one of a constant out of loops, though other memory is written in between."""
    value = builder.load(pointer)
    value.align = 8
    if is_constant:
        value.set_metadata("invariant.load", builder.module.add_metadata([]))
    return value


@infer_getattr
class _MemberTemplate(AttributeTemplate):
    key = TablesType

    def generic_resolve(self, tables, attribute):
        return dict(tables.members).get(attribute)


@lower_getattr_generic(TablesType)
def _member(context, builder, tables, value, attribute):
    place = [name for name, _ in tables.members].index(attribute)
    address = _load(builder, builder.gep(value, [ir.Constant(_WORD, place)]), is_constant=True)
    member = dict(tables.members)[attribute]
    if isinstance(member, Table):
        return builder.inttoptr(address, context.get_value_type(member))
    return _load(builder, builder.inttoptr(address, ir.PointerType(context.get_value_type(member))), is_constant=True)


@infer_global(operator.getitem)
class _GetRow(AbstractTemplate):
    def generic(self, args, kws):
        if isinstance(args[0], Table) and isinstance(args[1], types.Integer):
            return signature(args[0].row, args[0], types.intp)


def _is_row(table, value):
    is_tuple = isinstance(value, types.BaseTuple)
    entries = value.types if is_tuple else (value,)
    are_numbers = all(isinstance(entry, (Vec, types.Float, types.Integer)) for entry in entries)
    return are_numbers and (len(entries) if is_tuple else 0) == table.width


@infer_global(operator.setitem)
class _SetRow(AbstractTemplate):
    def generic(self, args, kws):
        table, index, value = args
        if isinstance(table, Table) and isinstance(index, types.Integer) and not table.is_constant and _is_row(table, value):
            return signature(types.none, table, types.intp, value)


def _pointers(builder, table, pointer, index):
    """Emit the pointers to the numbers of a row."""
    stride = table.number.n if isinstance(table.number, Vec) else 1
    width = max(table.width, 1)
    first = builder.mul(index, ir.Constant(_WORD, stride * width), flags=["nsw"])
    places = [builder.gep(pointer, [builder.add(first, ir.Constant(_WORD, stride * k), flags=["nsw"])]) for k in range(width)]
    if isinstance(table.number, Vec):
        vector = ir.PointerType(ir.VectorType(_DOUBLE, stride))
        return [builder.bitcast(place, vector) for place in places]
    return places


@lower_builtin(operator.getitem, Table, types.intp)
def _get_row(context, builder, sig, args):
    table = sig.args[0]
    values = [_load(builder, pointer, table.is_constant) for pointer in _pointers(builder, table, *args)]
    return context.make_tuple(builder, table.row, values) if table.width else values[0]


@lower_builtin(operator.setitem, Table, types.intp, types.Any)
def _set_row(context, builder, sig, args):
    table, _, value_type = sig.args
    is_tuple = isinstance(value_type, types.BaseTuple)
    values = cgutils.unpack_tuple(builder, args[2]) if is_tuple else [args[2]]
    kinds = value_type.types if is_tuple else (value_type,)
    for pointer, value, kind in zip(_pointers(builder, table, args[0], args[1]), values, kinds, strict=True):
        builder.store(spread(context, builder, value, kind, table.number), pointer).align = 8
    return context.get_dummy_value()


@intrinsic
def constant(typing_context, tables, value):
    """Return a scalar as a number of the tables, in all lanes: `constant(w, 0.0)`."""
    if isinstance(tables, TablesType) and isinstance(value, (types.Float, types.Integer)):
        return tables.number(tables, value), lambda context, builder, sig, args: spread(
            context, builder, args[1], sig.args[1], sig.return_type
        )


class _Addresses:
    """The addresses of arrays, as NumPy's protocol for memory: an array made from it keeps it, and it keeps the arrays."""

    def __init__(self, arrays: tuple[npt.NDArray[Any], ...]) -> None:
        self.arrays = arrays
        self.addresses = np.array([array.ctypes.data for array in arrays], np.int64)
        self.__array_interface__ = self.addresses.__array_interface__


class Tables:
    """A NamedTuple of arrays, as it is passed to compiled code.

    Parameters
    ----------
    arrays : NamedTuple of ndarray
        Contiguous, of int64 or float64, and of the shapes that the module's table lists.
    n_lanes : int
        0 for a model, whose arrays compiled code does not write.

    Attributes
    ----------
    addresses : ndarray of int64
        The addresses of the arrays, which live as long as it does. Its own address stands for the tables in a call by address.
    """

    def __init__(self, arrays: Any, n_lanes: int = 0) -> None:
        members = tuple((name, _member_type(name, array, n_lanes)) for name, array in arrays._asdict().items())
        self.arrays = arrays
        self.addresses = np.asarray(_Addresses(tuple(arrays)))
        self.address = int(self.addresses.ctypes.data)
        self.numba_type = TablesType(type(arrays).__name__, members, number(max(n_lanes, 1)))


def _member_type(name: str, array: npt.NDArray[Any], n_lanes: int) -> Any:
    if array.dtype not in (np.int64, np.float64) or not array.flags.c_contiguous:
        raise TypeError(f"{name} must be a contiguous array of int64 or float64, got {array.dtype}")
    scalar = types.int64 if array.dtype == np.int64 else types.float64
    if array.ndim == 0 and not n_lanes:
        return scalar
    if array.ndim == 1 or not n_lanes:
        return Table(scalar, array.shape[1] if array.ndim == 2 else 0, is_constant=not n_lanes)
    if array.shape[-1] != n_lanes:
        raise ValueError(f"{name} must have {n_lanes} lanes, got shape {array.shape}")
    return Table(number(n_lanes), array.shape[1] if array.ndim == 3 else 0, is_constant=False)


@typeof_impl.register(Tables)
def _typeof_tables(tables, context):
    return tables.numba_type


@unbox(TablesType)
def _unbox_tables(typ, tables, c):
    address = c.pyapi.object_getattr_string(tables, "address")
    number = c.pyapi.long_as_longlong(address)
    c.pyapi.decref(address)
    is_error = cgutils.is_not_null(c.builder, c.pyapi.err_occurred())
    return NativeValue(c.builder.inttoptr(number, c.context.get_value_type(typ)), is_error=is_error)


def aligned(*shape: int) -> npt.NDArray[np.float64]:
    """Return zeros of float64 whose first entry lies at the start of a cache line."""
    count = int(np.prod(shape))
    memory = np.zeros(count + ALIGNMENT // 8)
    start = -memory.ctypes.data % ALIGNMENT // 8
    return memory[start : start + count].reshape(shape)
