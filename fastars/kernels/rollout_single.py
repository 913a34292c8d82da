"""Episodes one after the other, for environments in a simulator (MuJoCo). Each thread has its own simulator.

An episode is a function of its candidate and its seed alone: the simulator is reset at its start, whatever it did before.
"""

from typing import Any, NamedTuple

import numpy as np

from fastars._compiled.actions import empty_action
from fastars._compiled.jit import inline, kernel
from fastars._compiled.rng import seed_generator
from fastars._compiled.simulated import observe_sim, reset_sim, step_sim
from fastars._compiled.structs import FAILED, NONFINITE, RUNNING
from fastars._compiled.tuples import plus, weigh, zeros
from fastars.kernels.episode import (
    add_observation,
    begin_moments,
    choose_action,
    is_finite,
    status_after,
    write_moments,
    write_result,
)
from fastars.kernels.policy import arrange
from fastars.kernels.policy_layout import arranged_size, scratch_size


class Room(NamedTuple):
    """Scratch arrays of an episode."""

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


@kernel
def roll_out_simulated(spec, sim, filter, weights, seeds, start, stop, out):
    """Run episodes `start` to `stop - 1` of `rollouts` in the simulator `sim`, and write their results to `out`."""
    n_obs, n_act = filter.mean.shape[0], len(spec.low)
    room = Room(
        np.zeros(4, np.uint64),
        np.empty(arranged_size(spec.policy, n_obs, n_act)),
        np.asarray(spec.low),
        np.asarray(spec.high),
        np.empty(n_obs),
        np.empty(n_obs),
        np.zeros(scratch_size(spec.policy, n_obs, n_act)),
        np.empty(n_act),
        empty_action(spec.actions, n_act),
        np.empty(n_obs),
        np.empty(n_obs),
        np.empty(n_obs),
    )
    per_candidate = seeds.shape[0] // weights.shape[0]
    for episode in range(start, stop):
        arrange(spec.policy, weights[episode // per_candidate], n_obs, n_act, room.weights)
        seed_generator(room.rng, seeds[episode])
        run_episode(spec, sim, filter, room, out, episode)
        if out.status[episode] == FAILED:
            return


@inline
def run_episode(spec, sim, filter, room, out, episode):
    """Run one episode, whose initial state is drawn from `rng`."""
    # Taken out of the tuple once: each access counts references by atomic operations, which costs 100 ns per step.
    rng, weights, low, high, observation, x, scratch, scores, action, first, sums, squares = room
    track = out.moments.count.shape[0] > 0
    reset_sim(spec.env, sim, rng)
    observe_sim(spec.env, sim, observation)
    begin_moments(observation, first, sums, squares)
    total, length, status = 0.0, 0, sim.fault[0]
    totals = zeros(spec.reward_weights)
    while status == RUNNING:
        if not is_finite(observation):
            status = NONFINITE
            break
        if track:
            add_observation(observation, first, sums, squares)
        choose_action(spec, (low, high), filter, weights, observation, (x, scratch, scores), action)
        reward, terminated = step_sim(spec.env, sim, action)
        observe_sim(spec.env, sim, observation)
        weighted = weigh(reward, spec.reward_weights, spec.is_fused)
        totals = plus(totals, reward)
        total += weighted
        length += 1
        status = status_after(spec, sim.fault[0], weighted, terminated, length)
    write_result(out, episode, status, length, total, totals)
    if track:
        write_moments(out.moments, episode, length, first, sums, squares)
