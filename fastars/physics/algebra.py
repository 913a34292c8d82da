"""The algebra of motion and force vectors, as tuples of numbers.

A motion vector is (angular, linear), a force vector is (moment, force), both about one point O: chapter 2 of Featherstone, "Rigid
Body Dynamics Algorithms" (2008). In the plane they have 3 entries, `(o, u, w)`; in space they have 6. The entry of a vector may be
a number in lanes or a scalar.

| name | in the plane | in space |
|---|---|---|
| point, direction | (u, w) | (x, y, z) |
| rotation | (cosine, sine) | matrix, 9 entries, row after row |
| motion, force | (o, u, w) | 6 entries |
| inertia of a body about O | rotational, mass * centre, mass: 4 entries | xx, yy, zz, xy, xz, yz, mass * centre, mass: 10 entries |
| symmetric matrix | 6 entries: the upper triangle, row after row | 21 entries |

`planar` and `spatial` say how the functions compile that only raise an error here; the lengths of the tuples pick one of them.
"""

import operator

from numba.core import cgutils, types
from numba.extending import intrinsic


def _entrywise(function):
    """Return a function of two tuples that combines their entries by an operator. It takes tuples of any length."""

    @intrinsic
    def combine(typing_context, a, b):
        if not isinstance(a, types.BaseTuple) or not isinstance(b, types.BaseTuple) or len(a) != len(b):
            return None
        signatures = [typing_context.resolve_function_type(function, pair, {}) for pair in zip(a, b, strict=True)]

        def emit(context, builder, sig, args):
            pairs = zip(*(cgutils.unpack_tuple(builder, arg) for arg in args), strict=True)
            values = [context.get_function(function, each)(builder, pair) for each, pair in zip(signatures, pairs, strict=True)]
            return context.make_tuple(builder, sig.return_type, values)

        return types.Tuple([each.return_type for each in signatures])(a, b), emit

    return combine


plus = _entrywise(operator.add)  # plus(a, b) is a + b
minus = _entrywise(operator.sub)  # minus(a, b) is a - b


@intrinsic
def scaled(typing_context, a, x):
    """Return the tuple `a` times the number `x`."""
    signatures = [typing_context.resolve_function_type(operator.mul, (entry, x), {}) for entry in a]

    def emit(context, builder, sig, args):
        values = [
            context.get_function(operator.mul, each)(builder, (entry, args[1]))
            for each, entry in zip(signatures, cgutils.unpack_tuple(builder, args[0]), strict=True)
        ]
        return context.make_tuple(builder, sig.return_type, values)

    return types.Tuple([each.return_type for each in signatures])(a, x), emit


@intrinsic
def dot(typing_context, a, b):
    """Return the sum of the products of entries, from the first on: of a motion and a force, the power."""
    products = [typing_context.resolve_function_type(operator.mul, pair, {}) for pair in zip(a, b, strict=True)]
    sums, total = [], products[0].return_type
    for product in products[1:]:
        sums.append(typing_context.resolve_function_type(operator.add, (total, product.return_type), {}))
        total = sums[-1].return_type

    def emit(context, builder, sig, args):
        pairs = list(zip(*(cgutils.unpack_tuple(builder, arg) for arg in args), strict=True))
        value = context.get_function(operator.mul, products[0])(builder, pairs[0])
        for each, added, pair in zip(products[1:], sums, pairs[1:], strict=True):
            value = context.get_function(operator.add, added)(
                builder, (value, context.get_function(operator.mul, each)(builder, pair))
            )
        return value

    return total(a, b), emit


def rotated(rotation, x):
    """Return a direction of a body, turned into the world's axes."""
    raise NotImplementedError


def turned(rotation, relative):
    """Return the rotation of a body that is turned by `relative` against one that is turned by `rotation`."""
    raise NotImplementedError


def cross_motion(v, s):
    """Return v x s, the rate at which the motion vector `s` changes that moves along with v (Featherstone 2.31)."""
    raise NotImplementedError


def cross_force(v, f):
    """Return v x* f, the rate at which the force vector `f` changes that moves along with v (Featherstone 2.32)."""
    raise NotImplementedError


def at_point(v, point):
    """Return the linear velocity of the body's point, for the body's motion v about O."""
    raise NotImplementedError


def wrench(point, force):
    """Return the force vector about O of a force that acts at a point."""
    raise NotImplementedError


def body_inertia(mass, centre, rotation, rotational):
    """Return the inertia about O of a body; `rotational` is about its centre of mass, in the body's axes."""
    raise NotImplementedError


def momentum(inertia, v):
    """Return the inertia times a motion vector: the momentum of a velocity, the force for an acceleration."""
    raise NotImplementedError


def inertia_matrix(inertia):
    """Return the inertia as a symmetric matrix."""
    raise NotImplementedError


def outer(x, f):
    """Return the symmetric matrix x f f'."""
    raise NotImplementedError


def times(matrix, s):
    """Return a symmetric matrix times a motion vector."""
    raise NotImplementedError
