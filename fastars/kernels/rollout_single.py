"""Rollouts of one episode after the other.

So run environments whose state a simulator holds (MuJoCo), each thread with its own simulator, and policies with hidden layers:
lanes would stream as many networks through the caches at every step, while one network alone stays in the fastest of them.

An episode is a function of its candidate and its seed alone: the simulator is reset before it, whatever it did last.
"""

from typing import Any, NamedTuple

import numpy as np

from fastars._compiled.jit import inline, kernel
from fastars._compiled.protocol import Alone, act, empty_action, observe_sim, reset, reset_sim, step_sim
from fastars._compiled.rng import seed_generator
from fastars._compiled.structs import FAILED, NONFINITE, RUNNING, TERMINATED, TRUNCATED
from fastars._compiled.tuples import plus, put, weigh, zeros
from fastars.kernels.policy import arrange, arranged_size, fill_filtered, fill_scores, scratch_size


class Room(NamedTuple):
    """Arrays that an episode works in."""

    rng: Any  # (4,), uint64
    weights: Any  # arranged
    low: Any  # (n_act,), float32
    high: Any
    observation: Any  # (n_obs,)
    x: Any  # (n_obs,), the filtered observation
    scratch: Any  # of the policy
    scores: Any  # (n_act,)
    action: Any  # (n_act,), float32; (1,), int64 of a Discrete space
    first: Any  # (n_obs,), the first observation
    sums: Any  # (n_obs,), of observation - first
    squares: Any  # (n_obs,), of their squares


def roll_out_alone(task, filter, weights, seeds, start, stop, out):
    """`roll_out_simulated` in an environment of scalar functions."""
    like_state = reset(task.env, np.zeros(4, np.uint64))  # only its length is used
    sim = Alone(np.empty(len(like_state)), like_state, task.low, np.zeros(1, np.int64))
    roll_out_simulated(task, sim, filter, weights, seeds, start, stop, out)


@kernel
def roll_out_simulated(task, sim, filter, weights, seeds, start, stop, out):
    """Run episodes `start` to `stop` of those described at `rollouts` in the simulator `sim`, and write them to `out`."""
    n_obs, n_act = filter.mean.shape[0], len(task.low)
    room = Room(
        np.zeros(4, np.uint64),
        np.empty(arranged_size(task.policy, n_obs, n_act)),
        np.asarray(task.low),
        np.asarray(task.high),
        np.empty(n_obs),
        np.empty(n_obs),
        np.empty(scratch_size(task.policy, n_obs, n_act)),
        np.empty(n_act),
        empty_action(task.actions, n_act),
        np.empty(n_obs),
        np.empty(n_obs),
        np.empty(n_obs),
    )
    per_candidate = seeds.shape[0] // weights.shape[0]
    for episode in range(start, stop):
        arrange(task.policy, weights[episode // per_candidate], n_obs, n_act, room.weights)
        seed_generator(room.rng, seeds[episode])
        run_episode(task, sim, filter, room, out, episode)
        if out.status[episode] == FAILED:
            return


@inline
def run_episode(task, sim, filter, room, out, episode):
    """One episode, from `rng` as it stands."""
    # Taken out of the tuple once: each access counts references by atomic operations, 100 ns a step.
    rng, weights, low, high, observation, x, scratch, scores, action, first, sums, squares = room
    n_obs, track = observation.shape[0], out.moments.count.shape[0] > 0
    reset_sim(task.env, sim, rng)
    observe_sim(task.env, sim, observation)
    for j in range(n_obs):
        first[j], sums[j], squares[j] = observation[j], 0.0, 0.0
    total, length, status = 0.0, 0, sim.fault[0]
    totals = zeros(task.reward_weights)
    while status == RUNNING:
        if not is_finite(observation):
            status = NONFINITE
            break
        if track:
            add_observation(observation, first, sums, squares)
        fill_filtered(observation, filter, x)
        fill_scores(task.policy, weights, x, scratch, scores)
        act(task.actions, scores, low, high, action)
        reward, terminated = step_sim(task.env, sim, action)
        observe_sim(task.env, sim, observation)
        weighted = weigh(reward, task.reward_weights, task.is_fused)
        totals = plus(totals, reward)
        total += weighted
        length += 1
        if sim.fault[0] != 0:
            status = sim.fault[0]
        elif weighted - weighted != 0.0:
            status = NONFINITE
        elif terminated:
            status = TERMINATED
        elif length >= task.max_steps:
            status = TRUNCATED
    out.returns[episode] = total if status in (TERMINATED, TRUNCATED) else np.nan
    if len(totals) > 0:  # an empty row would be taken, too: 90 ns an episode
        put(out.task_returns[episode], 0, totals)
        if status not in (TERMINATED, TRUNCATED):
            out.task_returns[episode] = np.nan
    out.lengths[episode] = length
    out.status[episode] = status
    if track:
        out.moments.count[episode] = length
        for j in range(n_obs):
            out.moments.mean[episode, j] = first[j] + sums[j] / max(length, 1)
            out.moments.m2[episode, j] = max(squares[j] - sums[j] * sums[j] / max(length, 1), 0.0)


@inline
def is_finite(values):
    """Whether no value is NaN or infinite."""
    defect = 0.0
    for value in values:
        defect += value - value
    return defect == 0.0


@inline
def add_observation(observation, first, sums, squares):
    """Add the observation to the sums, as its difference from the episode's first one (as `track_lanes` does)."""
    for j in range(observation.shape[0]):
        difference = observation[j] - first[j]
        sums[j] += difference
        squares[j] += difference * difference
