"""Many episodes side by side in SIMD lanes, for policies without hidden layers. For others there is `rollout_single`.

A block holds up to `LANES` episodes, each in a lane: a column of its state, return and weights. One time step is one loop over the
lanes, which LLVM vectorises because every function in it is pure and inlined. A lane whose episode has ended takes up the next
episode. When none is left, the last active lane moves into its place, so the active lanes are always the first ones.

An episode is a function of its candidate and its seed alone: neither its lane, nor its block, nor the thread changes a bit of it.
"""

from typing import Any, NamedTuple

import numpy as np

from fastars._compiled.actions import choose
from fastars._compiled.borrowed import borrowed
from fastars._compiled.jit import inline, kernel
from fastars._compiled.lane_rows import LANES, accumulate, at, load, store
from fastars._compiled.protocol import observe, reset, step
from fastars._compiled.rng import seed_generator
from fastars._compiled.structs import NONFINITE, RUNNING, TERMINATED, TRUNCATED, Filter
from fastars._compiled.tuples import defect, entries, normalize, plus, weigh
from fastars.kernels.network_lanes import begin_policy, load_networks, most_lanes, networks_of, policy_rows, think
from fastars.kernels.policy import scores

_VECTOR = 8  # lanes are stepped in multiples of this: one AVX-512 vector of float64


class Lanes(NamedTuple):
    """A block of episodes, one lane each: entry r of lane l stands at `at(r, l)`."""

    # State, return, returns of tasks, weights; then of the observations: the first, sums of (observation - first), of its squares.
    floats: Any
    counters: Any  # episode, length, status, candidate


EPISODE, LENGTH, STATUS, CANDIDATE = 0, 1, 2, 3  # rows of the counters


@inline
def _policy_row(like):
    """Return the first row of what the policy needs: state and returns stand above it."""
    return len(like[0]) + 1 + len(like[2])


@inline
def roll_out_lanes(spec, filter, weights, seeds, start, stop, out):
    """Run episodes `start` to `stop - 1` in SIMD lanes."""
    rng = np.zeros(4, np.uint64)
    like_state = reset(spec.env, rng)  # only the lengths of these tuples are used
    like = (like_state, observe(spec.env, like_state), spec.reward_weights)
    n_obs, n_act, row = len(like[1]), len(spec.low), _policy_row(like)
    n_rows = row + policy_rows(spec.policy, n_obs, n_act) + 3 * n_obs
    lanes = Lanes(np.zeros(n_rows * LANES), np.zeros(4 * LANES, np.int64))
    networks = networks_of(spec.policy, n_obs, n_act)
    track = out.moments.count.shape[0] > 0
    active = min(most_lanes(spec.policy, n_obs, n_act), stop - start)
    for lane in range(active):
        begin_episode(spec, weights, seeds, start + lane, rng, lanes, lane, like)
    waiting = start + active
    while active > 0:
        load_networks(spec.policy, weights, lanes.counters[CANDIDATE * LANES :], networks, active)
        step_until_end(spec, filter, lanes, networks, active, track, like)
        for lane in range(active - 1, -1, -1):  # downwards: the lane that moves up has been checked already
            if lanes.counters[at(STATUS, lane)] == RUNNING:
                continue
            end_episode(lanes, lane, like, out)
            if waiting < stop:
                begin_episode(spec, weights, seeds, waiting, rng, lanes, lane, like)
                waiting += 1
            else:
                active -= 1
                move_lane(lanes, active, lane)


@kernel
def step_until_end(spec, filter, lanes, networks, active, track, like):
    """Step the first `active` lanes until an episode ends."""
    width = -(-active // _VECTOR) * _VECTOR
    spec, lanes, networks = borrowed(spec), borrowed(lanes), borrowed(networks)  # each count would cost 5 ns a step
    filter = Filter(entries(filter.mean, 0, like[1]), entries(filter.scale, 0, like[1]), filter.clip)
    while True:
        if track:
            track_lanes(spec, lanes, width, like)
        think(spec, filter, lanes.floats, _policy_row(like), networks, active, like)
        step_lanes(spec, filter, lanes, width, like)
        if any_ended(lanes.counters, active):
            return


@kernel
def step_lanes(spec, filter, lanes, width, like):
    """Advance the first `width` lanes by one step."""
    like_state, _, like_rewards = like
    floats, counters = lanes.floats, lanes.counters
    for lane in range(width):
        state = load(floats, lane, 0, like_state)
        observation = observe(spec.env, state)
        x = normalize(observation, filter.mean, filter.scale, filter.clip)
        action_scores = scores(spec.policy, floats, lane, _policy_row(like), x, spec.low)
        action = choose(spec.actions, action_scores, spec.low, spec.high)
        state, reward, terminated = step(spec.env, state, action)
        store(floats, lane, 0, state)
        row = len(like_state) + 1
        store(floats, lane, row, plus(load(floats, lane, row, like_rewards), reward))
        weighted = weigh(reward, like_rewards, spec.is_fused)
        acted = defect(0.0, observation) == 0.0
        length = counters[at(LENGTH, lane)] + (1 if acted else 0)
        ended = TERMINATED if terminated else (TRUNCATED if length >= spec.max_steps else RUNNING)
        floats[at(len(like_state), lane)] += weighted
        counters[at(LENGTH, lane)] = length
        counters[at(STATUS, lane)] = ended if acted & (weighted - weighted == 0.0) else NONFINITE


@kernel
def track_lanes(spec, lanes, width, like):
    """Add the observations of the first `width` lanes to their sums.

    The sums are of differences from the episode's first observation: a constant feature then adds exactly zero, and nothing is lost
    to cancellation. An observation that is not finite is not added.
    """
    like_state, like_observation, _ = like
    n_obs = len(like_observation)
    first = _policy_row(like) + policy_rows(spec.policy, n_obs, len(spec.low))
    for lane in range(width):
        observation = observe(spec.env, load(lanes.floats, lane, 0, like_state))
        counts = defect(0.0, observation) == 0.0
        accumulate(lanes.floats, lane, first, first + n_obs, first + 2 * n_obs, observation, counts)


@kernel
def any_ended(counters, width):
    """Return True if an episode has ended in one of the first `width` lanes."""
    ended = 0
    for lane in range(width):
        ended |= counters[at(STATUS, lane)]
    return ended != RUNNING


@kernel
def begin_episode(spec, weights, seeds, episode, rng, lanes, lane, like):
    """Start an episode in a lane."""
    floats, counters = lanes.floats, lanes.counters
    for row in range(floats.shape[0] // LANES):
        floats[at(row, lane)] = 0.0
    seed_generator(rng, seeds[episode])
    state = reset(spec.env, rng)
    store(floats, lane, 0, state)
    candidate = episode // (seeds.shape[0] // weights.shape[0])
    observation, row = observe(spec.env, state), _policy_row(like)
    begin_policy(spec.policy, weights, candidate, floats, row, lane)
    store(floats, lane, row + policy_rows(spec.policy, len(observation), len(spec.low)), observation)
    counters[at(EPISODE, lane)] = episode
    counters[at(CANDIDATE, lane)] = candidate
    counters[at(LENGTH, lane)] = 0
    counters[at(STATUS, lane)] = RUNNING


@kernel
def end_episode(lanes, lane, like, out):
    """Write the result of a lane whose episode has ended."""
    floats, n_obs = lanes.floats, len(like[1])
    episode, length, status = lanes.counters[at(EPISODE, lane)], lanes.counters[at(LENGTH, lane)], lanes.counters[at(STATUS, lane)]
    out.returns[episode] = np.nan if status == NONFINITE else floats[at(len(like[0]), lane)]
    for k in range(out.task_returns.shape[1]):
        out.task_returns[episode, k] = np.nan if status == NONFINITE else floats[at(len(like[0]) + 1 + k, lane)]
    out.lengths[episode] = length
    out.status[episode] = status
    if out.moments.count.shape[0] > 0:
        out.moments.count[episode] = length
        first = floats.shape[0] // LANES - 3 * n_obs
        for k in range(n_obs):
            total = floats[at(first + n_obs + k, lane)]
            squares = floats[at(first + 2 * n_obs + k, lane)]
            out.moments.mean[episode, k] = floats[at(first + k, lane)] + total / max(length, 1)
            out.moments.m2[episode, k] = max(squares - total * total / max(length, 1), 0.0)


@kernel
def move_lane(lanes, source, target):
    """Move an episode to another lane."""
    for row in range(lanes.floats.shape[0] // LANES):
        lanes.floats[at(row, target)] = lanes.floats[at(row, source)]
    for row in range(lanes.counters.shape[0] // LANES):
        lanes.counters[at(row, target)] = lanes.counters[at(row, source)]
