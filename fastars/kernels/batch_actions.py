"""Actions for environments that are stepped in Python: one call for the observations of all environments.

Each environment has a lane: a row of every array of `Lanes`. The kernels return numbers, never tuples: to make a tuple, Numba runs
Python code, in which the exception of a signal could get lost.
"""

from typing import Any, NamedTuple

from fastars._compiled.actions import act
from fastars._compiled.jit import kernel
from fastars.kernels.episode import is_finite
from fastars.kernels.policy import arrange, fill_filtered, fill_scores

IDLE, COUNTED, GHOST = 0, 1, 2  # no action is needed; an episode runs; an action is needed, but the step belongs to no episode


class Lanes(NamedTuple):
    """Arrays for environments side by side, and scratch memory."""

    mode: Any  # (k,), int64: IDLE, COUNTED or GHOST
    length: Any  # (k,), int64: steps of the episode
    weights: Any  # (k, arranged_size), of the episode's candidate
    observation: Any  # (k, n_obs)
    action: Any  # (k, entries), float32, float64 or int64
    first: Any  # (k, n_obs), the episode's first observation
    sums: Any  # (k, n_obs), of observation - first
    squares: Any  # (k, n_obs), of their squares
    x: Any  # (n_obs,), the filtered observation
    scratch: Any
    scores: Any  # (n_act,)


@kernel
def begin_episode(spec, lanes, lane, weights, mode):
    """Start an episode in a lane, of the candidate with these flat weights."""
    arrange(spec.policy, weights, lanes.x.shape[0], lanes.scores.shape[0], lanes.weights[lane])
    lanes.length[lane] = 0
    lanes.mode[lane] = mode
    return 0


@kernel
def tick(spec, filter, lanes, track):
    """Write an action for every lane that needs one and count its step; return the number of observations that are not finite.

    A lane whose observation is not finite becomes IDLE and keeps its last action.
    """
    n_bad = 0
    for lane in range(lanes.mode.shape[0]):
        if lanes.mode[lane] == IDLE:
            continue
        if not is_finite(lanes.observation[lane]):
            n_bad += 1
            lanes.mode[lane] = IDLE
            continue
        if lanes.mode[lane] == COUNTED:
            lanes.length[lane] += 1
            if track:
                add_observation(lanes, lane)
        fill_filtered(lanes.observation[lane], filter, lanes.x)
        fill_scores(spec.policy, lanes.weights[lane], lanes.x, lanes.scratch, lanes.scores)
        act(spec.actions, lanes.scores, spec.low, spec.high, lanes.action[lane])
    return n_bad


@kernel
def add_observation(lanes, lane):
    """Add the observation's difference from the episode's first observation to the sums (as `track_lanes` does)."""
    for j in range(lanes.x.shape[0]):
        value = lanes.observation[lane, j]
        if lanes.length[lane] == 1:
            lanes.first[lane, j], lanes.sums[lane, j], lanes.squares[lane, j] = value, 0.0, 0.0
        difference = value - lanes.first[lane, j]
        lanes.sums[lane, j] += difference
        lanes.squares[lane, j] += difference * difference


@kernel
def end_episode(lanes, lane, moments, episode):
    """Write the moments of the lane's observations to row `episode`, if moments are tracked."""
    length = lanes.length[lane]
    if moments.count.shape[0] == 0 or length == 0:
        return 0
    moments.count[episode] = length
    for j in range(lanes.x.shape[0]):
        total = lanes.sums[lane, j]
        moments.mean[episode, j] = lanes.first[lane, j] + total / length
        moments.m2[episode, j] = max(lanes.squares[lane, j] - total * total / length, 0.0)
    return 0
