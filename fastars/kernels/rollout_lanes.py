"""Many episodes side by side in SIMD lanes.

A block holds up to `LANES` episodes, each in a lane: a column of its state, return and weights. With networks there are fewer, and
their weights have a place of their own (`network_lanes`). One time step is one loop over the lanes, which LLVM vectorises because
every function in it is pure and inlined. A lane whose episode has ended takes up the next episode. When none is left, the last
active lane moves into its place, so the active lanes are always the first ones.

A step does as little as it can for an episode that goes on. It marks what ends one: a terminated step, or numbers that are not
finite. The length follows from a clock that all lanes share, and the time limit from the lane that began first. Marks and lengths
become a status where an episode has ended.

An episode is a function of its candidate and its seed alone: neither its lane, nor its block, nor the thread changes a bit of it.
"""

from typing import Any, NamedTuple

import numpy as np

from fastars._compiled.actions import choose
from fastars._compiled.borrowed import borrowed
from fastars._compiled.jit import inline, kernel
from fastars._compiled.lane_rows import LANES, accumulate, at, load, store, wide_vectors, zero_rows
from fastars._compiled.protocol import observe, reset, step
from fastars._compiled.rng import seeded
from fastars._compiled.structs import NONFINITE, RUNNING, TERMINATED, TRUNCATED, Filter
from fastars._compiled.tuples import are_finite, entries, normalize, plus, weigh
from fastars.kernels.network_lanes import load_networks, most_lanes, n_weights_in_rows, networks_of, policy_rows, think
from fastars.kernels.policy import scores

_VECTOR = 8  # lanes are stepped in multiples of this: one AVX-512 vector of float64


class Lanes(NamedTuple):
    """A block of episodes, one lane each: entry r of lane l stands at `at(r, l)`."""

    # State, return, returns of tasks, the policy; of the observations: the first, sums of (observation - first), of its squares.
    floats: Any
    counters: Any  # episode, the clock at its beginning, mark of its last step
    generators: Any  # uint64, 4 rows: of the next episodes, seeded `LANES` at a time
    rng: Any  # (4,), uint64: the one that an environment draws from
    networks: Any  # `Networks`, or `NoNetworks`


class Episodes(NamedTuple):
    """The episodes of a call: episode j runs candidate j // (m // n), m seeds for n candidates."""

    weights: Any  # (n, n_weights)
    seeds: Any  # (m,), uint64
    start: int
    stop: int


EPISODE, BEGAN, MARK = 0, 1, 2  # rows of the counters
_TERMINATED, _BAD_REWARD, _BAD_OBSERVATION = 2, 4, 8  # marks; not 1, for which LLVM takes two operations


@inline
def _policy_row(like):
    """Return the first row of the policy: state and returns stand above it."""
    return len(like[0]) + 1 + len(like[2])


@inline
def _first_row(spec, like):
    """Return the row of the first observation, below the policy."""
    return _policy_row(like) + policy_rows(spec.policy, len(like[1]), len(spec.low))


@kernel
def roll_out(spec, filter, weights, seeds, start, stop, out):
    """Run episodes `start` to `stop - 1` of `rollouts`, serially, and write their results to `out`."""
    rng = np.zeros(4, np.uint64)
    like_state = reset(spec.env, rng)  # only the lengths of these tuples are used
    like = (like_state, observe(spec.env, like_state), spec.reward_weights)
    n_rows = _first_row(spec, like) + 3 * len(like[1])
    networks = networks_of(spec.policy, len(like[1]), len(spec.low))
    lanes = Lanes(zero_rows(n_rows), np.zeros(3 * LANES, np.int64), np.zeros(4 * LANES, np.uint64), rng, networks)
    run_episodes(spec, filter, lanes, Episodes(weights, seeds, start, stop), out, like)


@kernel
def run_episodes(spec, filter, lanes, episodes, out, like):
    """Run episodes in lanes whose memory the caller holds: to count references to shared arrays would slow threads down."""
    lanes, episodes, out = borrowed(lanes), borrowed(episodes), borrowed(out)
    start, stop = episodes.start, episodes.stop
    track = out.moments.count.shape[0] > 0
    active = min(most_lanes(spec.policy, len(like[1]), len(spec.low)), stop - start)
    waiting, clock = start, 0
    while active > 0:
        for group in range((active - 1) // _VECTOR, -1, -1):  # downwards: the lane that moves up has been checked already
            if clock > 0 and not any_ended(lanes, group * _VECTOR, clock - spec.max_steps):
                continue
            for lane in range(min((group + 1) * _VECTOR, active) - 1, group * _VECTOR - 1, -1):
                if clock > 0:  # before the first step, all lanes are free
                    status = status_of(spec, lanes, lane, clock)
                    if status == RUNNING:
                        continue
                    end_episode(spec, lanes, lane, clock, status, like, out)
                if waiting < stop:
                    begin_episode(spec, episodes, waiting, lanes, lane, clock, like)
                    waiting += 1
                else:
                    active -= 1
                    move_lane(lanes, active, lane)
        if active > 0:
            load_networks(spec.policy, episodes, lanes.counters, lanes.networks, active)
            left = spec.max_steps - (clock - earliest(lanes, active))
            clock += advance(spec, filter, lanes, active, left, track, like)


@kernel
def advance(spec, filter, lanes, active, most, track, like):
    """Step the first `active` lanes until an episode ends, but at most `most` times. Return the number of steps."""
    wide_vectors()
    like_state, like_observation, like_rewards = like
    filter = Filter(entries(filter.mean, 0, like_observation), entries(filter.scale, 0, like_observation), filter.clip)
    floats, counters, networks = lanes.floats, lanes.counters, borrowed(lanes.networks)
    width = -(-active // _VECTOR) * _VECTOR
    for step_number in range(1, most + 1):
        marked = 0
        if track:
            track_lanes(spec, lanes, width, like)
        think(spec, filter, floats, _policy_row(like), networks, active, like)
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
            floats[at(len(like_state), lane)] += weighted
            mark = _TERMINATED if terminated else 0
            mark = mark if weighted - weighted == 0.0 else _BAD_REWARD
            mark = mark if are_finite(observation) else _BAD_OBSERVATION
            counters[at(MARK, lane)] = mark
            marked |= mark
        if marked != 0 and any_marked(lanes, 0, active):  # the lanes up to `width` may be marked for ever
            return step_number
    return most


@inline
def any_marked(lanes, first, n):
    """Return True if one of `n` lanes is marked."""
    counters, marked = lanes.counters, 0
    for lane in range(first, first + n):
        marked |= counters[at(MARK, lane)]
    return marked != 0


@inline
def any_ended(lanes, first, began):
    """Return True if one of `_VECTOR` lanes is marked, or began at this clock or before."""
    counters, n_ended = lanes.counters, 0
    for lane in range(first, first + _VECTOR):
        n_ended += (counters[at(MARK, lane)] != 0) | (counters[at(BEGAN, lane)] <= began)
    return n_ended != 0


@kernel
def track_lanes(spec, lanes, width, like):
    """Add the observations of the first `width` lanes to their sums.

    The sums are of differences from the episode's first observation: a constant feature then adds exactly zero, and nothing is lost
    to cancellation. An observation that is not finite is not added.
    """
    wide_vectors()
    floats, n_obs, first = lanes.floats, len(like[1]), _first_row(spec, like)
    for lane in range(width):
        observation = observe(spec.env, load(floats, lane, 0, like[0]))
        counts = are_finite(observation)
        accumulate(floats, lane, first, first + n_obs, first + 2 * n_obs, observation, counts)


@inline
def earliest(lanes, active):
    """Return the clock at the beginning of the oldest episode in the first `active` lanes."""
    counters = lanes.counters
    began = counters[at(BEGAN, 0)]
    for lane in range(active):
        began = min(began, counters[at(BEGAN, lane)])
    return began


@inline
def status_of(spec, lanes, lane, clock):
    """Return the status of a lane's episode after the last step."""
    mark = lanes.counters[at(MARK, lane)]
    if mark > _TERMINATED:
        return NONFINITE
    if mark == _TERMINATED:
        return TERMINATED
    return TRUNCATED if clock - lanes.counters[at(BEGAN, lane)] >= spec.max_steps else RUNNING


@inline
def begin_episode(spec, episodes, episode, lanes, lane, clock, like):
    """Start an episode in a lane."""
    floats, counters, weights, rng = lanes.floats, lanes.counters, episodes.weights, lanes.rng
    place = (episode - episodes.start) % LANES
    if place == 0:
        seed_lanes(lanes.generators, episodes.seeds, episode, min(episodes.stop - episode, LANES))
    for k in range(4):
        rng[k] = lanes.generators[at(k, place)]
    state = reset(spec.env, rng)
    store(floats, lane, 0, state)
    row, first = _policy_row(like), _first_row(spec, like)
    for k in range(len(like[0]), row):
        floats[at(k, lane)] = 0.0
    candidate, n_weights = episode // (episodes.seeds.shape[0] // weights.shape[0]), n_weights_in_rows(spec.policy, weights)
    for k in range(n_weights):
        floats[at(row + k, lane)] = weights[candidate, k]
    for k in range(row + n_weights, first):  # a bias that the policy does not have, or all that a network has there
        floats[at(k, lane)] = 0.0
    store(floats, lane, first, observe(spec.env, state))
    for k in range(first + len(like[1]), first + 3 * len(like[1])):
        floats[at(k, lane)] = 0.0
    counters[at(EPISODE, lane)] = episode
    counters[at(BEGAN, lane)] = clock


@kernel
def seed_lanes(generators, seeds, first, n):
    """Seed the generators of `n` episodes, from episode `first` on."""
    for k in range(n):
        high, low, increment_high, increment_low = seeded(seeds[np.uintp(first + k)])
        generators[at(0, k)], generators[at(1, k)] = high, low
        generators[at(2, k)], generators[at(3, k)] = increment_high, increment_low


@inline
def end_episode(spec, lanes, lane, clock, status, like, out):
    """Write the result of a lane whose episode has ended. A step that began with a bad observation does not count."""
    floats, counters, n_obs = lanes.floats, lanes.counters, len(like[1])
    episode = counters[at(EPISODE, lane)]
    length = clock - counters[at(BEGAN, lane)] - (1 if counters[at(MARK, lane)] == _BAD_OBSERVATION else 0)
    out.returns[episode] = np.nan if status == NONFINITE else floats[at(len(like[0]), lane)]
    for k in range(out.task_returns.shape[1]):
        out.task_returns[episode, k] = np.nan if status == NONFINITE else floats[at(len(like[0]) + 1 + k, lane)]
    out.lengths[episode] = length
    out.status[episode] = status
    if out.moments.count.shape[0] > 0:
        out.moments.count[episode] = length
        first = _first_row(spec, like)
        for k in range(n_obs):
            total = floats[at(first + n_obs + k, lane)]
            squares = floats[at(first + 2 * n_obs + k, lane)]
            out.moments.mean[episode, k] = floats[at(first + k, lane)] + total / max(length, 1)
            out.moments.m2[episode, k] = max(squares - total * total / max(length, 1), 0.0)


@inline
def move_lane(lanes, source, target):
    """Move an episode to another lane."""
    floats, counters = lanes.floats, lanes.counters
    for row in range(floats.shape[0] // LANES):
        floats[at(row, target)] = floats[at(row, source)]
    for row in range(counters.shape[0] // LANES):
        counters[at(row, target)] = counters[at(row, source)]
