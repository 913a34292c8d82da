"""The pieces of an episode in a simulator, which is run alone (`rollout_single`) or beside others (`rollout_physics`)."""

import numpy as np

from fastars._compiled.actions import act
from fastars._compiled.jit import inline
from fastars._compiled.structs import NONFINITE, RUNNING, TERMINATED, TRUNCATED
from fastars._compiled.tuples import put
from fastars.kernels.policy import fill_filtered, fill_scores


@inline
def is_finite(values):
    """Return True if no value is NaN or infinite."""
    defect = 0.0
    for value in values:
        defect += value - value
    return defect == 0.0


@inline
def begin_moments(observation, first, sums, squares):
    """Begin the sums of `add_observation` at the first observation of an episode."""
    for j in range(observation.shape[0]):
        first[j], sums[j], squares[j] = observation[j], 0.0, 0.0


@inline
def add_observation(observation, first, sums, squares):
    """Add the observation's difference from the episode's first observation to the sums (as `track_lanes` does)."""
    for j in range(observation.shape[0]):
        difference = observation[j] - first[j]
        sums[j] += difference
        squares[j] += difference * difference


@inline
def choose_action(spec, bounds, filter, weights, observation, thought, action):
    """Write the policy's action for an observation.

    `weights` are arranged. `bounds` are the arrays (low, high), and `thought` scratch arrays for (the filtered observation, the
    layers, the scores).
    """
    x, scratch, scores = thought
    fill_filtered(observation, filter, x)
    fill_scores(spec.policy, weights, x, scratch, scores)
    act(spec.actions, scores, bounds[0], bounds[1], action)


@inline
def status_after(spec, fault, weighted, terminated, length):
    """Return the status of an episode after a step with the reward `weighted`; `fault` is the simulator's own, or 0."""
    if fault != 0:
        return fault
    if weighted - weighted != 0.0:
        return NONFINITE
    if terminated:
        return TERMINATED
    return TRUNCATED if length >= spec.max_steps else RUNNING


@inline
def write_result(out, episode, status, length, total, totals):
    """Write the results of an episode that has ended, but for its moments. `totals` is a tuple, the sums of several rewards."""
    is_whole = (status == TERMINATED) | (status == TRUNCATED)
    out.returns[episode] = total if is_whole else np.nan
    if len(totals) > 0:  # without this test, an empty row would be taken: 90 ns per episode
        put(out.task_returns[episode], 0, totals)
        if not is_whole:
            out.task_returns[episode] = np.nan
    out.lengths[episode] = length
    out.status[episode] = status


@inline
def write_moments(moments, episode, length, first, sums, squares):
    """Write the moments of an episode's observations."""
    moments.count[episode] = length
    for j in range(first.shape[0]):
        moments.mean[episode, j] = first[j] + sums[j] / max(length, 1)
        moments.m2[episode, j] = max(squares[j] - sums[j] * sums[j] / max(length, 1), 0.0)
