"""Episodes of environments in a physics over lanes (`SimulationLanes`): a simulation, and an episode, in each lane.

All lanes are stepped at once. What an environment and a policy compute around a step is scalar code, lane after lane: the same
functions that see an MjData see one lane in `lanes.sim`. A lane whose episode has ended takes the next one from a queue that all
threads share, so lanes stay full whatever the lengths of episodes. Where none is left, a lane is idle: it repeats the simulation
of another lane, which costs no row of contacts and no iteration of the solver beside it.

An episode is a function of its candidate and its seed alone: neither its lane, nor its neighbours, nor the thread changes a bit of
it.
"""

from typing import Any, NamedTuple

from fastars._compiled.borrowed import borrowed, take
from fastars._compiled.jit import inline, kernel
from fastars._compiled.protocol import forward_physics, step_physics
from fastars._compiled.rng import seed_generator
from fastars._compiled.simulated import draw_state, observe_sim, remember, reward_sim
from fastars._compiled.structs import NONFINITE, RUNNING, UNSTABLE
from fastars._compiled.tuples import entries, plus, put, weigh
from fastars.kernels.episode import (
    add_observation,
    begin_moments,
    choose_action,
    is_finite,
    status_after,
    write_moments,
    write_result,
)
from fastars.kernels.one_lane import copy_lane, read_lane, write_state
from fastars.kernels.policy import arrange

IDLE, BEGINS, ACTS, STEPPED = 0, 1, 2, 3  # modes of a lane: no episode; one in its first state; with an action; after a step


class Episodes(NamedTuple):
    """The episodes in the lanes of one thread, and scratch arrays. They last from one call of the kernel to the next."""

    queue: Any  # (1,), int64: the next episode, the same array for all threads
    steps: Any  # (1,), int64: steps of all lanes at once so far
    width: int  # lanes that are used, the first ones
    mode: Any  # (n_lanes,), int64
    episode: Any  # (n_lanes,), int64
    length: Any  # (n_lanes,), int64
    total: Any  # (n_lanes,)
    totals: Any  # (n_lanes, n_tasks), of each reward, where there are several
    weights: Any  # (n_lanes, arranged_size)
    before: Any  # (n_lanes, nq), what the reward of the next step compares with
    action: Any  # (n_lanes, n_act), float32
    first: Any  # (n_lanes, n_obs), the first observation
    sums: Any  # (n_lanes, n_obs), of observation - first
    squares: Any  # (n_lanes, n_obs), of their squares
    rng: Any  # (4,), uint64
    observation: Any  # (n_obs,)
    x: Any  # (n_obs,), the filtered observation
    scratch: Any  # of the policy
    scores: Any  # (n_act,)


@kernel
def roll_out_physics(spec, lanes, episodes, filter, weights, seeds, n_steps, out):
    """Run episodes of the queue for up to `n_steps` steps of all lanes; return the number of lanes whose episodes go on.

    It is called again, with the same lanes and episodes, until it returns 0. Results are written to `out` as by
    `roll_out_simulated`.
    """
    sim = borrowed(lanes.sim)
    spec, lanes, episodes, filter, out = borrowed(spec), borrowed(lanes), borrowed(episodes), borrowed(filter), borrowed(out)
    step, mode = 0, episodes.mode
    while True:
        n_live, n_new = 0, 0
        for lane in range(episodes.width):
            if mode[lane] == BEGINS or mode[lane] == STEPPED:
                serve(spec, lanes, sim, episodes, lane, filter, out)
            if mode[lane] == IDLE and episodes.queue[0] < seeds.shape[0]:
                n_new += take_episode(spec, lanes, sim, episodes, lane, weights, seeds)
            n_live += 1 if mode[lane] != IDLE else 0
        if n_live == 0 or (n_new == 0 and step >= n_steps):
            break
        fill_idle(lanes, mode)
        if n_new == 0:
            step_physics(lanes, spec.env.physics.frame_skip)
            step += 1
            for lane in range(episodes.width):
                mode[lane] = STEPPED if mode[lane] == ACTS else IDLE
        elif lanes.outputs.shape[1] > 0:  # of all lanes: the others have read theirs
            forward_physics(lanes)
    episodes.steps[0] += step
    return n_live


@inline
def take_episode(spec, lanes, sim, episodes, lane, weights, seeds):
    """Put the next episode of the queue into a lane; return 1, or 0 if there is none."""
    episode = take(episodes.queue)
    if episode >= seeds.shape[0]:
        return 0
    n_obs, n_act = episodes.x.shape[0], episodes.scores.shape[0]
    arrange(spec.policy, weights[episode // (seeds.shape[0] // weights.shape[0])], n_obs, n_act, episodes.weights[lane])
    seed_generator(episodes.rng, seeds[episode])
    draw_state(spec.env, sim, episodes.rng)
    write_state(lanes, lane, sim)
    episodes.episode[lane], episodes.length[lane], episodes.mode[lane] = episode, 0, BEGINS
    episodes.total[lane] = 0.0
    for k in range(episodes.totals.shape[1]):
        episodes.totals[lane, k] = 0.0
    return 1


@inline
def serve(spec, lanes, sim, episodes, lane, filter, out):
    """Count the step that a lane has taken; then choose its next action, or end its episode."""
    observation, first, sums, squares = episodes.observation, episodes.first[lane], episodes.sums[lane], episodes.squares[lane]
    has_stepped, status = episodes.mode[lane] == STEPPED, RUNNING
    read_lane(spec.env, lanes, lane, sim, has_stepped)
    observe_sim(spec.env, sim, observation)
    if has_stepped:
        status = count_step(spec, lanes, sim, episodes, lane)
    else:
        begin_moments(observation, first, sums, squares)
    if status == RUNNING and not is_finite(observation):
        status = NONFINITE
    track = out.moments.count.shape[0] > 0
    if status != RUNNING:
        episode, length = episodes.episode[lane], episodes.length[lane]
        totals = entries(episodes.totals[lane], 0, spec.reward_weights)
        write_result(out, episode, status, length, episodes.total[lane], totals)
        if track:
            write_moments(out.moments, episode, length, first, sums, squares)
        episodes.mode[lane] = IDLE
        return
    if track:
        add_observation(observation, first, sums, squares)
    action, thought = episodes.action[lane], (episodes.x, episodes.scratch, episodes.scores)
    choose_action(spec, (spec.low, spec.high), filter, episodes.weights[lane], observation, thought, action)
    remember(spec.env, sim, episodes.before[lane])
    for k in range(action.shape[0]):
        lanes.ctrl[k, lane] = action[k]
    episodes.mode[lane] = ACTS


@inline
def count_step(spec, lanes, sim, episodes, lane):
    """Add the reward of a step that a lane has taken; return the status of its episode."""
    reward, terminated = reward_sim(spec.env, sim, episodes.action[lane], episodes.before[lane])
    weighted = weigh(reward, spec.reward_weights, spec.is_fused)
    put(episodes.totals[lane], 0, plus(entries(episodes.totals[lane], 0, spec.reward_weights), reward))
    episodes.total[lane] += weighted
    episodes.length[lane] += 1
    fault = UNSTABLE if lanes.is_bad[lane] != 0 else RUNNING
    return status_after(spec, fault, weighted, terminated, episodes.length[lane])


@inline
def fill_idle(lanes, mode):
    """Give lanes without an episode the simulation of one that has an episode."""
    live = 0
    while mode[live] == IDLE:
        live += 1
    for lane in range(mode.shape[0]):
        if mode[lane] == IDLE:
            copy_lane(lanes, live, lane)
