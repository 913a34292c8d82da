"""Steps of many environments whose simulations run over lanes, as `vector_simulated` steps environments in simulators.

Environment i is lane i % n_lanes of chunk i // n_lanes. One `SimulationLanes` serves all chunks: their states wait in tables.
"""

from typing import Any, NamedTuple

from fastars._compiled.borrowed import borrowed
from fastars._compiled.jit import inline, kernel
from fastars._compiled.protocol import forward_physics, step_physics
from fastars._compiled.simulated import draw_state, observe_sim, remember, reward_sim
from fastars._compiled.tuples import put, rewards_of
from fastars.kernels.one_lane import copy_lane, read_lane, write_state


class PhysicsBatch(NamedTuple):
    """Environments side by side."""

    generators: Any  # (n, 4), uint64: each environment has its own, as in Gymnasium
    qpos: Any  # (n_chunks, nq, n_lanes)
    qvel: Any  # (n_chunks, nv, n_lanes)
    qacc_warmstart: Any  # (n_chunks, nv, n_lanes)
    before: Any  # (n, nq), what the reward of the next step compares with
    observations: Any  # (n, n_obs), the last ones
    lengths: Any  # (n,), int64, steps of the episode
    ended: Any  # (n,), bool, True if the last step ended the episode
    due: Any  # (n_lanes,), int64, 1 for lanes of the present chunk in which an episode begins


@kernel
def reset_in_physics(env, lanes, batch, mask, observations, first_chunk, end_chunk):
    """Begin an episode in the environments of `mask`, and write all observations."""
    sim, lanes, batch = borrowed(lanes.sim), borrowed(lanes), borrowed(batch)
    n, n_lanes = mask.shape[0], lanes.is_bad.shape[0]
    for chunk in range(first_chunk, end_chunk):
        first, count = chunk * n_lanes, min(n_lanes, n - chunk * n_lanes)
        read_chunk(lanes, batch, chunk)
        for lane in range(count):
            batch.due[lane] = 1 if mask[first + lane] else 0
        begin_due(env, lanes, sim, batch, first, count)
        write_chunk(lanes, batch, chunk)
        for i in range(first, first + count):
            write_observation(batch, i, observations)
    return 0


@kernel
def step_in_physics(env, lanes, batch, max_steps, actions, out, first_chunk, end_chunk):
    """Step environments as `step_envs` does. Actions are rows of float32.

    Where a simulation becomes unstable, it is put into its first state and goes on, as in MuJoCo and in Gymnasium.
    """
    sim, lanes, batch, out = borrowed(lanes.sim), borrowed(lanes), borrowed(batch), borrowed(out)
    n, n_lanes = batch.ended.shape[0], lanes.is_bad.shape[0]
    for chunk in range(first_chunk, end_chunk):
        first, count = chunk * n_lanes, min(n_lanes, n - chunk * n_lanes)
        read_chunk(lanes, batch, chunk)
        step_chunk(env, lanes, batch, actions, first, count)
        for lane in range(count):
            if batch.due[lane] == 0:
                finish_step(env, lanes, sim, batch, lane, first + lane, max_steps, actions, out)
            else:
                write_nothing(out, first + lane)
        begin_due(env, lanes, sim, batch, first, count)
        write_chunk(lanes, batch, chunk)
        for i in range(first, first + count):
            write_observation(batch, i, out.observations)
    return 0


@inline
def step_chunk(env, lanes, batch, actions, first, count):
    """Step the lanes whose episodes go on; the others do what one of these does."""
    live = -1
    for lane in range(count):
        batch.due[lane] = 1 if batch.ended[first + lane] else 0
        if batch.due[lane] == 0:
            live = lane
            for k in range(actions.shape[1]):
                lanes.ctrl[k, lane] = actions[first + lane, k]
    if live < 0:
        return
    for lane in range(lanes.is_bad.shape[0]):
        if lane >= count or batch.due[lane] != 0:
            copy_lane(lanes, live, lane)
    step_physics(lanes, env.physics.frame_skip)


@inline
def finish_step(env, lanes, sim, batch, lane, i, max_steps, actions, out):
    """Write the results of the step that a lane has taken."""
    read_lane(env, lanes, lane, sim, True)
    reward, terminated = reward_sim(env, sim, actions[i], batch.before[i])
    observe_sim(env, sim, batch.observations[i])
    remember(env, sim, batch.before[i])
    put(out.rewards.reshape(out.rewards.size), i * (out.rewards.size // out.terminations.size), rewards_of(reward))
    batch.lengths[i] += 1
    truncated = batch.lengths[i] >= max_steps
    out.terminations[i], out.truncations[i] = terminated, truncated
    batch.ended[i] = terminated or truncated


@inline
def begin_due(env, lanes, sim, batch, first, count):
    """Begin an episode in the lanes that are due."""
    n_due = 0
    for lane in range(count):
        if batch.due[lane] != 0:
            n_due += 1
            draw_state(env, sim, batch.generators[first + lane])
            write_state(lanes, lane, sim)
            batch.lengths[first + lane], batch.ended[first + lane] = 0, False
    if n_due == 0:
        return
    if lanes.outputs.shape[1] > 0:
        for lane in range(count, lanes.is_bad.shape[0]):
            copy_lane(lanes, 0, lane)
        forward_physics(lanes)
    for lane in range(count):
        if batch.due[lane] != 0:
            read_lane(env, lanes, lane, sim, False)
            observe_sim(env, sim, batch.observations[first + lane])
            remember(env, sim, batch.before[first + lane])


@inline
def write_nothing(out, i):
    """Write the results of an environment that only begins an episode."""
    rewards, n_rewards = out.rewards.reshape(out.rewards.size), out.rewards.size // out.terminations.size
    for k in range(i * n_rewards, (i + 1) * n_rewards):
        rewards[k] = 0.0
    out.terminations[i], out.truncations[i] = False, False


@inline
def write_observation(batch, i, observations):
    """Write the last observation of environment i to its row of `observations`."""
    for k in range(observations.shape[1]):
        observations[i, k] = batch.observations[i, k]


@inline
def read_chunk(lanes, batch, chunk):
    """Copy the states of a chunk to the lanes."""
    copy_table(batch.qpos[chunk], lanes.qpos)
    copy_table(batch.qvel[chunk], lanes.qvel)
    copy_table(batch.qacc_warmstart[chunk], lanes.qacc_warmstart)


@inline
def write_chunk(lanes, batch, chunk):
    """Copy the states of the lanes to a chunk."""
    copy_table(lanes.qpos, batch.qpos[chunk])
    copy_table(lanes.qvel, batch.qvel[chunk])
    copy_table(lanes.qacc_warmstart, batch.qacc_warmstart[chunk])


@inline
def copy_table(source, target):
    """Copy rows of lanes."""
    for k in range(source.shape[0]):
        for lane in range(source.shape[1]):
            target[k, lane] = source[k, lane]
