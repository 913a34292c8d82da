"""The algebra of space. Directions are x, y, z along the world's axes.

Each function of `algebra` compiles to the formula here where its tuples are those of space. A motion vector is
(angular x, y, z, linear x, y, z), a force vector (moment x, y, z, force x, y, z). A rotation is the matrix that turns directions of
the body into directions of the world. A symmetric matrix of 3 rows is (xx, yy, zz, xy, xz, yz). One of 6 rows is its blocks:
angular (6 entries), angular by linear (9, row after row), linear (6). A quaternion is (w, x, y, z), as in MuJoCo.
"""

from numba.extending import overload

from fastars._compiled.jit import INLINE, inline
from fastars._compiled.simd import square_root, where
from fastars.physics import algebra
from fastars.physics.algebra import dot, minus, plus, scaled
from fastars.physics.constraints import SMALLEST


@inline
def cross(a, b):
    """Return a x b."""
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]


@inline
def times3(matrix, a):
    """Return a symmetric matrix of 3 times a direction."""
    xx, yy, zz, xy, xz, yz = matrix
    return xx * a[0] + xy * a[1] + xz * a[2], xy * a[0] + yy * a[1] + yz * a[2], xz * a[0] + yz * a[1] + zz * a[2]


@inline
def unit_quaternion(q):
    """Return a quaternion of length 1 along q; (1, 0, 0, 0) if q is 0: `mju_normalize4`."""
    length = square_root(dot(q, q))
    exists = length >= SMALLEST
    inverse = where(exists, 1.0 / where(exists, length, 1.0), 0.0)
    return where(exists, q[0] * inverse, 1.0), q[1] * inverse, q[2] * inverse, q[3] * inverse


@inline
def quaternion_product(p, q):
    """Return the quaternion of the rotation q, followed by p: `mju_mulQuat`."""
    return (
        p[0] * q[0] - p[1] * q[1] - p[2] * q[2] - p[3] * q[3],
        p[0] * q[1] + p[1] * q[0] + p[2] * q[3] - p[3] * q[2],
        p[0] * q[2] - p[1] * q[3] + p[2] * q[0] + p[3] * q[1],
        p[0] * q[3] + p[1] * q[2] - p[2] * q[1] + p[3] * q[0],
    )


@inline
def matrix_of_quaternion(q):
    """Return the rotation of a unit quaternion: `mju_quat2Mat`."""
    w, x, y, z = q
    ww, xx, yy, zz = w * w, x * x, y * y, z * z
    return (
        *(ww + xx - yy - zz, 2.0 * (x * y - w * z), 2.0 * (x * z + w * y)),
        *(2.0 * (x * y + w * z), ww - xx + yy - zz, 2.0 * (y * z - w * x)),
        *(2.0 * (x * z - w * y), 2.0 * (y * z + w * x), ww - xx - yy + zz),
    )


@inline
def matrix_of_turn(axis, sine, cosine):
    """Return the rotation about an axis by an angle with this sine and cosine (Rodrigues)."""
    x, y, z = axis
    rest = 1.0 - cosine
    xy, xz, yz = rest * (x * y), rest * (x * z), rest * (y * z)
    return (
        *(cosine + rest * (x * x), xy - sine * z, xz + sine * y),
        *(xy + sine * z, cosine + rest * (y * y), yz - sine * x),
        *(xz - sine * y, yz + sine * x, cosine + rest * (z * z)),
    )


@inline
def rows_of_matrix(matrix):
    """Return the upper triangle of a symmetric matrix of 6 rows, row after row."""
    xx, yy, zz, xy, xz, yz = matrix[15:]
    return (
        *(matrix[0], matrix[3], matrix[4], *matrix[6:9]),
        *(matrix[1], matrix[5], *matrix[9:12]),
        *(matrix[2], *matrix[12:15]),
        *(xx, xy, xz, yy, yz, zz),
    )


def solved(rows, b):
    """Return x of A x = b for a positive A with the upper triangle `rows`, by elimination of one unknown after the other."""
    raise NotImplementedError


@overload(solved, jit_options=INLINE)
def _solved(rows, b):
    n = len(b)
    if n == 1:
        return lambda rows, b: (b[0] / rows[0],)

    def eliminate(rows, b):
        row, inverse = rows[1:n], 1.0 / rows[0]
        others = solved(minus(rows[n:], triangle(inverse, row)), minus(b[1:], scaled(row, b[0] * inverse)))
        return ((b[0] - dot(row, others)) * inverse, *others)

    return eliminate


def triangle(x, row):
    """Return the upper triangle of x row row', row after row."""
    raise NotImplementedError


@overload(triangle, jit_options=INLINE)
def _triangle(x, row):
    if len(row) == 1:
        return lambda x, row: (x * row[0] * row[0],)
    return lambda x, row: (*scaled(row, x * row[0]), *triangle(x, row[1:]))


@overload(algebra.rotated, jit_options=INLINE)
def _rotated(rotation, x):
    if len(rotation) == 9:
        return lambda rotation, x: (dot(rotation[:3], x), dot(rotation[3:6], x), dot(rotation[6:], x))


@overload(algebra.turned, jit_options=INLINE)
def _turned(rotation, relative):
    if len(rotation) == 9:

        def product(rotation, relative):
            columns = relative[0::3], relative[1::3], relative[2::3]
            x, y, z = rotation[:3], rotation[3:6], rotation[6:]
            return (
                *(dot(x, columns[0]), dot(x, columns[1]), dot(x, columns[2])),
                *(dot(y, columns[0]), dot(y, columns[1]), dot(y, columns[2])),
                *(dot(z, columns[0]), dot(z, columns[1]), dot(z, columns[2])),
            )

        return product


@overload(algebra.cross_motion, jit_options=INLINE)
def _cross_motion(v, s):
    if len(v) == 6:
        return lambda v, s: (*cross(v[:3], s[:3]), *plus(cross(v[:3], s[3:]), cross(v[3:], s[:3])))


@overload(algebra.cross_force, jit_options=INLINE)
def _cross_force(v, f):
    if len(v) == 6:
        return lambda v, f: (*plus(cross(v[:3], f[:3]), cross(v[3:], f[3:])), *cross(v[:3], f[3:]))


@overload(algebra.at_point, jit_options=INLINE)
def _at_point(v, point):
    if len(v) == 6:
        return lambda v, point: plus(v[3:], cross(v[:3], point))


@overload(algebra.wrench, jit_options=INLINE)
def _wrench(point, force):
    if len(point) == 3:
        return lambda point, force: (*cross(point, force), *force)


@overload(algebra.body_inertia, jit_options=INLINE)
def _body_inertia(mass, centre, rotation, rotational):
    if len(centre) == 3:

        def inertia(mass, centre, rotation, rotational):
            x, y, z = rotation[:3], rotation[3:6], rotation[6:]
            ix, iy, iz = times3(rotational, x), times3(rotational, y), times3(rotational, z)
            first = scaled(centre, mass)
            square = dot(first, centre)
            return (
                *(dot(x, ix) + (square - first[0] * centre[0]), dot(y, iy) + (square - first[1] * centre[1])),
                *(dot(z, iz) + (square - first[2] * centre[2]), dot(x, iy) - first[0] * centre[1]),
                *(dot(x, iz) - first[0] * centre[2], dot(y, iz) - first[1] * centre[2]),
                *(*first, mass),
            )

        return inertia


@overload(algebra.momentum, jit_options=INLINE)
def _momentum(inertia, v):
    if len(v) == 6:

        def product(inertia, v):
            first, mass = inertia[6:9], inertia[9]
            return (
                *plus(times3(inertia[:6], v[:3]), cross(first, v[3:])),
                *plus(scaled(v[3:], mass), cross(v[:3], first)),
            )

        return product


@overload(algebra.inertia_matrix, jit_options=INLINE)
def _inertia_matrix(inertia):
    if len(inertia) == 10:

        def matrix(inertia):
            x, y, z, mass = inertia[6:]
            return (*inertia[:6], 0.0, -z, y, z, 0.0, -x, -y, x, 0.0, mass, mass, mass, 0.0, 0.0, 0.0)

        return matrix


@overload(algebra.outer, jit_options=INLINE)
def _outer(x, f):
    if len(f) == 6:

        def product(x, f):
            ox, oy, oz, lx, ly, lz = f
            ax, ay, az, bx, by, bz = scaled(f, x)
            return (
                *(ax * ox, ay * oy, az * oz, ax * oy, ax * oz, ay * oz),
                *(ax * lx, ax * ly, ax * lz, ay * lx, ay * ly, ay * lz, az * lx, az * ly, az * lz),
                *(bx * lx, by * ly, bz * lz, bx * ly, bx * lz, by * lz),
            )

        return product


@overload(algebra.times, jit_options=INLINE)
def _times(matrix, s):
    if len(s) == 6:

        def product(matrix, s):
            angular, linear = s[:3], s[3:]
            mixed = matrix[6:15]
            return (
                *plus(times3(matrix[:6], angular), (dot(mixed[:3], linear), dot(mixed[3:6], linear), dot(mixed[6:], linear))),
                *plus(
                    times3(matrix[15:], linear),
                    (dot(mixed[0::3], angular), dot(mixed[1::3], angular), dot(mixed[2::3], angular)),
                ),
            )

        return product
