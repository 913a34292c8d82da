"""Rollouts of environments whose state a simulator holds (MuJoCo): one episode after the other, each thread with its own simulator.

An episode is a function of its candidate and its seed alone: the simulator is reset before it, whatever it did last.
"""

from typing import Any, NamedTuple

import numpy as np

from fastars._jit import kernel
from fastars._protocol import act, advance, begin, sense
from fastars._rng import seed_generator
from fastars._structs import FAILED, NONFINITE, RUNNING, TERMINATED, TRUNCATED
from fastars._tuples import normalize


class Room(NamedTuple):
    """Arrays that an episode works in."""

    rng: Any  # (4,), uint64
    columns: Any  # (n_obs, n_act), the transpose of W: the scores of all actions are then summed side by side
    bias: Any  # (n_act,)
    observation: Any  # (n_obs,)
    scores: Any  # (n_act,)
    action: Any  # (n_act,), float32
    first: Any  # (n_obs,), the first observation
    sums: Any  # (n_obs,), of observation - first
    squares: Any  # (n_obs,), of their squares


@kernel
def roll_out_simulated(task, sim, filter, weights, seeds, begin_at, end_at, out):
    """Run episodes `begin_at` to `end_at` of those described at `rollouts` in the simulator `sim`, and write them to `out`."""
    n_obs, n_act = filter.mean.shape[0], task.low.shape[0]
    room = Room(
        np.zeros(4, np.uint64),
        np.empty((n_obs, n_act)),
        np.empty(n_act),
        np.empty(n_obs),
        np.empty(n_act),
        np.empty(n_act, np.float32),
        np.empty(n_obs),
        np.empty(n_obs),
        np.empty(n_obs),
    )
    per_candidate = seeds.shape[0] // weights.shape[0]
    for episode in range(begin_at, end_at):
        take_weights(weights[episode // per_candidate], room)
        seed_generator(room.rng, seeds[episode])
        run_episode(task, sim, filter, room, out, episode)
        if out.status[episode] == FAILED:
            return


@kernel
def take_weights(weights, room):
    """Put a candidate's weights, W.ravel() and the bias, where the scores are computed from."""
    n_obs, n_act = room.columns.shape
    for i in range(n_act):
        for j in range(n_obs):
            room.columns[j, i] = weights[i * n_obs + j]
        room.bias[i] = weights[n_act * n_obs + i]


@kernel
def run_episode(task, sim, filter, room, out, episode):
    """One episode, from `rng` as it stands."""
    n_obs, track = room.observation.shape[0], out.moments.count.shape[0] > 0
    begin(task.env, sim, room.rng)
    sense(task.env, sim, room.observation)
    for j in range(n_obs):
        room.first[j], room.sums[j], room.squares[j] = room.observation[j], 0.0, 0.0
    total, length, status = 0.0, 0, sim.fault[0]
    while status == RUNNING:
        if not is_finite(room.observation):
            status = NONFINITE
            break
        if track:
            add_observation(room)
        fill_scores(room, filter)
        act(task.actions, room.scores, task.low, task.high, room.action)
        reward, terminated = advance(task.env, sim, room.action)
        sense(task.env, sim, room.observation)
        total += reward
        length += 1
        if sim.fault[0] != 0:
            status = sim.fault[0]
        elif reward - reward != 0.0:
            status = NONFINITE
        elif terminated:
            status = TERMINATED
        elif length >= task.max_steps:
            status = TRUNCATED
    out.returns[episode] = total if status in (TERMINATED, TRUNCATED) else np.nan
    out.lengths[episode] = length
    out.status[episode] = status
    if track:
        out.moments.count[episode] = length
        for j in range(n_obs):
            out.moments.mean[episode, j] = room.first[j] + room.sums[j] / max(length, 1)
            out.moments.m2[episode, j] = max(room.squares[j] - room.sums[j] * room.sums[j] / max(length, 1), 0.0)


@kernel
def fill_scores(room, filter):
    """scores = W x + b of the filtered observation x: the operations of `linear_action_scores` in its order, for every score."""
    n_obs, n_act = room.columns.shape
    for i in range(n_act):
        room.scores[i] = room.bias[i]
    for j in range(n_obs):
        (x,) = normalize((room.observation[j],), (filter.mean[j],), (filter.scale[j],), filter.clip)
        for i in range(n_act):
            room.scores[i] += room.columns[j, i] * x


@kernel
def is_finite(values):
    """Whether no value is NaN or infinite."""
    defect = 0.0
    for value in values:
        defect += value - value
    return defect == 0.0


@kernel
def add_observation(room):
    """Add the observation to the sums, as its difference from the episode's first one (as `track_lanes` does)."""
    for j in range(room.observation.shape[0]):
        difference = room.observation[j] - room.first[j]
        room.sums[j] += difference
        room.squares[j] += difference * difference
