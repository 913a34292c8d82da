"""Policies: from an observation to the scores of an action.

A policy is a NamedTuple; its type picks `n_params` and `scores` at compile time. Weights are rows of a lane's column.
"""

from numba.extending import overload

from fastars._jit import INLINE, inline
from fastars._structs import LinearPolicy
from fastars._tuples import at, dot


def scores(policy, rows, lane, row, x, like):
    """Scores of the policy whose weights start at `row` of the lane, for the filtered observation x; as many as `like` has entries."""
    return _SCORES[type(policy)](policy, rows, lane, row, x, like)


@overload(scores, jit_options=INLINE)
def _scores(policy, rows, lane, row, x, like):
    compiled = _SCORES.get(getattr(policy, "instance_class", None))
    if compiled is not None:
        return lambda policy, rows, lane, row, x, like: compiled(policy, rows, lane, row, x, like)


@inline
def _linear_scores(policy, rows, lane, row, x, like):
    """W x + b; the lane holds W.ravel(), then b (zeros without bias)."""
    return _affine(rows, lane, row, row + len(like) * len(x), x, like)


def _affine(rows, lane, row, bias_row, x, like):
    """b[i] + sum over j of W[i, j] x[j], for every output i."""
    return tuple(dot(rows[at(bias_row + i, lane)], rows, lane, row + i * len(x), x) for i in range(len(like)))


@overload(_affine, jit_options=INLINE)
def _affine_unrolled(rows, lane, row, bias_row, x, like):
    if len(like) == 0:
        return lambda rows, lane, row, bias_row, x, like: ()

    def unrolled(rows, lane, row, bias_row, x, like):
        score = dot(rows[at(bias_row, lane)], rows, lane, row, x)
        return (score, *_affine(rows, lane, row + len(x), bias_row + 1, x, like[1:]))

    return unrolled


_SCORES = {LinearPolicy: _linear_scores}
