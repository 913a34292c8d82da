"""Gradients of several tasks: their norms, and the Gram matrix of their products.

Symbols: g_1 ... g_T are the gradients of T tasks, d = n_weights, G_ij = g_i . g_j. From N directions delta_k and the differences of
task i's returns D_ki = (R+_ki - R-_ki) / (2 sigma): g_i = (1/N) sum over k of D_ki delta_k, and q_k = |delta_k|^2.
"""

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic, overload

from fastars._compiled.jit import INLINE, inline, kernel
from fastars.kernels.norms import norm

TILE, LANES, BLOCK = 4, 8, 128  # the bits of a sum depend on the last two alone
_LINE = 64  # bytes of a cache line
_INT = ir.IntType(64)


def _tile_adder(is_own):
    """Return a function that adds the products of the rows of two groups, or of one group of rows with themselves.

    It is written in LLVM's language, because Numba would keep an array of sums in memory. The sums stay in up to 16 vector
    registers, 8 loads for 16 vectors of multiply-adds. Products are not rounded before they are added.
    """

    def add(rows, i, j, sums, tile):
        left, right = (rows[TILE * group : TILE * (group + 1)] for group in (i, j))
        products = (left[:, np.newaxis] * right[np.newaxis]).reshape(TILE, TILE, BLOCK // LANES, LANES).sum(axis=2)
        sums[tile] += np.tril(np.ones((TILE, TILE)))[:, :, np.newaxis] * products if is_own else products

    @intrinsic
    def emit(typingctx, rows, i, j, sums, tile):
        def codegen(context, builder, signature, args):
            def start(array, index, size):
                data = cgutils.create_struct_proxy(signature.args[array])(context, builder, value=args[array]).data
                return builder.gep(data, [builder.mul(args[index], _INT(size))])

            groups = [start(0, index, TILE * BLOCK) for index in ((1,) if is_own else (1, 2))]
            _emit_tile(builder, groups, start(3, 4, TILE * TILE * LANES))
            return context.get_dummy_value()

        return types.void(rows, types.intp, types.intp, sums, types.intp), codegen

    @overload(add, jit_options=INLINE)
    def _add(rows, i, j, sums, tile):
        return lambda rows, i, j, sums, tile: emit(rows, i, j, sums, tile)

    return add


def _emit_tile(builder, groups, sums):
    """Emit the products of one or two groups of rows (TILE, BLOCK): column k is added to lane k mod LANES of a sum."""
    vector = ir.VectorType(ir.DoubleType(), LANES)
    fma = cgutils.get_or_insert_function(builder.module, ir.FunctionType(vector, [vector] * 3), f"llvm.fma.v{LANES}f64")
    pairs = [(p, q) for p in range(TILE) for q in range(p + 1 if len(groups) == 1 else TILE)]
    cells = [cgutils.alloca_once(builder, vector) for _ in pairs]

    def at(data, k):
        return builder.bitcast(builder.gep(data, [k]), vector.as_pointer())

    for cell in cells:
        builder.store(vector([0.0] * LANES), cell)
    with cgutils.for_range_slice(builder, _INT(0), _INT(BLOCK), _INT(LANES)) as (k, _):
        read = [[builder.load(at(rows, builder.add(k, _INT(task * BLOCK))), align=8) for task in range(TILE)] for rows in groups]
        for (p, q), cell in zip(pairs, cells, strict=True):
            builder.store(builder.call(fma, [read[0][p], read[-1][q], builder.load(cell)]), cell)
    for (p, q), cell in zip(pairs, cells, strict=True):
        place = at(sums, _INT((p * TILE + q) * LANES))
        builder.store(builder.fadd(builder.load(place, align=8), builder.load(cell)), place, align=8)


_add_own_products, _add_products = _tile_adder(True), _tile_adder(False)


def prefetch(array, i, k):
    """Load the cache line of array[i, k], which may lie beyond the end, in advance."""


@overload(prefetch, jit_options=INLINE)
def _prefetch(array, i, k):
    return lambda array, i, k: _prefetch_line(array, i, k)


@intrinsic
def _prefetch_line(typingctx, array, i, k):
    def codegen(context, builder, signature, args):
        array = cgutils.create_struct_proxy(signature.args[0])(context, builder, value=args[0])
        steps = [builder.mul(*pair) for pair in zip(args[1:], cgutils.unpack_tuple(builder, array.strides), strict=True)]
        place = builder.gep(builder.bitcast(array.data, cgutils.voidptr_t), [builder.add(*steps)])
        flag = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t, flag, flag, flag])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
        builder.call(function, [place, flag(0), flag(3), flag(1)])  # to read, into the nearest cache, data
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp), codegen


@inline
def _zeros_at_line(n):
    """Return n zeros that begin where a cache line does: vectors across two lines took a third longer at T = 16, d = 1e6."""
    ahead = _LINE // 8
    numbers = np.zeros(n + ahead)
    first = -(numbers.ctypes.data // 8) % ahead
    return numbers[first : first + n]


@kernel
def gram(gradients):
    """Compute the products of all pairs of gradients.

    Blocks of 128 columns are converted to float64. Tiles of 4 x 4 tasks are multiplied into 8 sums each, the lanes. First the
    blocks, then the lanes, are added in order.

    Parameters
    ----------
    gradients : ndarray of float64 or float32, shape (T, n_weights)
        A row per task.

    Returns
    -------
    ndarray of float64, shape (T, T)
        G of the module's docstring.
    """
    n_tasks, n_weights = gradients.shape
    n_groups = (n_tasks + TILE - 1) // TILE
    n_tiles = n_groups * (n_groups + 1) // 2
    rows = _zeros_at_line(n_groups * TILE * BLOCK).reshape((n_groups * TILE, BLOCK))
    sums = _zeros_at_line(n_tiles * TILE * TILE * LANES).reshape((n_tiles, TILE, TILE, LANES))
    for begin in range(0, n_weights, BLOCK):
        size = min(BLOCK, n_weights - begin)
        for task in range(n_tasks):
            row, columns = rows[task], gradients[task, begin : begin + size]
            for k in range(size):
                row[k] = columns[k]
            for k in range(size, BLOCK):
                row[k] = 0.0
        tile = 0
        for i in range(n_groups):
            for j in range(i + 1):
                for task in range(tile, n_tasks, n_tiles):  # memory works while the tiles are multiplied: -25 % at T = 16, d = 1e6
                    for k in range(begin + BLOCK, begin + 2 * BLOCK, _LINE // gradients.itemsize):
                        prefetch(gradients, task, k)
                if i == j:
                    _add_own_products(rows, i, j, sums, tile)
                else:
                    _add_products(rows, i, j, sums, tile)
                tile += 1
    products = np.empty((n_tasks, n_tasks))
    for i in range(n_tasks):
        for j in range(i + 1):
            total, tile = 0.0, i // TILE * (i // TILE + 1) // 2 + j // TILE
            for lane in range(LANES):
                total += sums[tile, i % TILE, j % TILE, lane]
            products[i, j] = products[j, i] = total
    return products


@kernel
def gradient_norms(gradients):
    """Compute the Euclidean norms of the gradients, with the bits of `norm`.

    Parameters
    ----------
    gradients : ndarray of float64 or float32, shape (T, n_weights)
        A row per task.

    Returns
    -------
    ndarray of float64, shape (T,)
        |g_i|.
    """
    norms = np.empty(gradients.shape[0])
    for i in range(gradients.shape[0]):
        norms[i] = norm(gradients[i])
    return norms


@kernel
def debiased_gram(gram, differences, squares):
    """Subtract from a Gram matrix the part that N random directions add to it (a U-statistic). Unbiased, so it may be indefinite.

    All tasks must share the directions. For linear returns without noise, the Gram matrix itself is (1 + (d + 1) / N) times the
    true one. The noise of a task's returns adds to its diagonal.

    Parameters
    ----------
    gram : ndarray of float64, shape (T, T)
        G of the module's docstring.
    differences : ndarray of float64, shape (N, T)
        D of the module's docstring.
    squares : ndarray of float64, shape (N,)
        q of the module's docstring.

    Returns
    -------
    ndarray of float64, shape (T, T)
        (N^2 G_ij - sum over k of D_ki D_kj q_k) / (N (N - 1)); NaN for N < 2.
    """
    n, n_tasks = differences.shape
    debiased = np.full((n_tasks, n_tasks), np.nan)
    if n < 2:
        return debiased
    for i in range(n_tasks):
        for j in range(i + 1):
            own = 0.0
            for k in range(n):
                own += differences[k, i] * differences[k, j] * squares[k]
            debiased[i, j] = debiased[j, i] = (n * n * gram[i, j] - own) / (n * (n - 1.0))
    return debiased
