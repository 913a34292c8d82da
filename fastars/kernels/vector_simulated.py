"""Steps of many environments, each of which has a simulator of its own (MuJoCo), as `vector` steps environments in lanes.

A call with a `Simulation` as an argument spends 30 us on its 21 arrays, as much as a step of HalfCheetah. So all simulations are
passed as one table of addresses, from which the kernel makes the arrays.
"""

import ctypes
from typing import Any, NamedTuple

import numpy as np
from numba import carray
from numba.core import types
from numba.extending import intrinsic, overload

from fastars._compiled.jit import INLINE, inline, kernel
from fastars._compiled.simulated import observe_sim, reset_sim, step_sim
from fastars._compiled.structs import FAILED, Simulation
from fastars._compiled.tuples import put, rewards_of


class SimulatedBatch(NamedTuple):
    """Environments side by side."""

    generators: Any  # (n, 4), uint64: each environment has its own, as in Gymnasium
    addresses: Any  # (n, 21), int64: addresses of the fields of each environment's Simulation
    like: Any  # one Simulation: the arrays of the others have the same shapes
    lengths: Any  # (n,), int64, steps of the episode
    ended: Any  # (n,), bool, True if the last step ended the episode


@kernel
def reset_simulated(env, batch, mask, observations, begin_at, end_at):
    """Begin an episode in the environments of `mask`, and write all observations.

    Return the number of the environment whose simulator failed, or -1.
    """
    for i in range(begin_at, end_at):
        sim = simulation(batch, i)
        if mask[i]:
            begin_episode(env, batch, sim, i)
        observe_sim(env, sim, observations[i])
        if sim.fault[0] == FAILED:
            return i
    return -1


@kernel
def step_simulated(env, batch, max_steps, actions, out, begin_at, end_at):
    """Step environments as `step_envs` does; return the number of the environment whose simulator failed, or -1.

    Actions are rows of float32. Where a simulation becomes unstable, MuJoCo puts it into its first state and goes on, and so does
    Gymnasium.
    """
    rewards = out.rewards.reshape(out.rewards.size)
    n_rewards = rewards.size // out.terminations.size
    for i in range(begin_at, end_at):
        sim = simulation(batch, i)
        if batch.ended[i]:
            begin_episode(env, batch, sim, i)
            rewards[i * n_rewards : (i + 1) * n_rewards] = 0.0
            out.terminations[i], out.truncations[i] = False, False
        else:
            reward, out.terminations[i] = step_sim(env, sim, actions[i])
            put(rewards, i * n_rewards, rewards_of(reward))
            batch.lengths[i] += 1
            out.truncations[i] = batch.lengths[i] >= max_steps
            batch.ended[i] = out.terminations[i] or out.truncations[i]
        observe_sim(env, sim, out.observations[i])
        if sim.fault[0] == FAILED:
            return i
    return -1


@inline
def begin_episode(env, batch, sim, i):
    """Put environment i into an initial state."""
    reset_sim(env, sim, batch.generators[i])
    batch.lengths[i] = 0
    batch.ended[i] = False


@inline
def simulation(batch, i):
    """Return the Simulation of environment i."""
    row, like = batch.addresses[i], batch.like
    return Simulation(
        row[0],
        row[1],
        array_at(row[2], like.frame),
        array_at(row[3], like.fault),
        array_at(row[4], like.bad),
        array_at(row[5], like.qpos),
        array_at(row[6], like.qvel),
        array_at(row[7], like.act),
        array_at(row[8], like.ctrl),
        array_at(row[9], like.qacc),
        array_at(row[10], like.xpos),
        array_at(row[11], like.xquat),
        array_at(row[12], like.xipos),
        array_at(row[13], like.site_xpos),
        array_at(row[14], like.subtree_com),
        array_at(row[15], like.sensordata),
        array_at(row[16], like.cinert),
        array_at(row[17], like.cvel),
        array_at(row[18], like.cfrc_ext),
        array_at(row[19], like.qfrc_actuator),
        array_at(row[20], like.qfrc_constraint),
    )


def array_at(address, like):
    """Return the array at an address, of the shape and dtype of `like`."""
    memory = (ctypes.c_byte * like.nbytes).from_address(int(address))
    return np.frombuffer(memory, like.dtype).reshape(like.shape) if like.size else like


@overload(array_at, jit_options=INLINE)
def _array_at(address, like):
    return lambda address, like: carray(_pointer(address), like.shape, like.dtype)


@intrinsic
def _pointer(typingctx, address):
    def codegen(context, builder, signature, arguments):
        return builder.inttoptr(arguments[0], context.get_value_type(types.voidptr))

    return types.voidptr(types.intp), codegen
