"""Upper limits of MuJoCo: loops that contain `mj_step` and nothing else, with the controls of recorded episodes.

No policy, observation, reward, guard against errors or look at warnings. `bare` is such a loop of ours; `with_rollout` and
`with_batch` are the ones that come with MuJoCo.

MuJoCo's Python bindings give it a clock, with which it times its parts; it reads it some 40 times a step.
"""

import ctypes
from pathlib import Path
from typing import NamedTuple

import mujoco
import numpy as np
from numba import njit

from fastars._runtime.threads import for_blocks

_library = ctypes.CDLL(str(next(Path(mujoco.__file__).parent.glob("libmujoco.*"))))
_clock = ctypes.c_void_p.in_dll(_library, "mjcb_time")


def _of_addresses(name):
    """Return a function of MuJoCo that takes the addresses of an mjModel and an mjData."""
    function = getattr(_library, name)
    function.argtypes, function.restype = [ctypes.c_size_t, ctypes.c_size_t], None
    return function


_reset, _forward, _step = map(_of_addresses, ("mj_resetData", "mj_forward", "mj_step"))
_contact_forces = _of_addresses("mj_rnePostConstraint")


class Episodes(NamedTuple):
    """Recorded episodes, one after the other. Steps `edges[i]` to `edges[i + 1]` belong to episode i."""

    model: mujoco.MjModel
    n_frames: int  # `mj_step`s in a step
    qpos: np.ndarray  # (n, nq), where episodes start
    qvel: np.ndarray  # (n, nv)
    warmstart: np.ndarray  # (n, nv), of the solver
    controls: np.ndarray  # (n_steps, nu)
    positions: np.ndarray  # (n_steps, nq), after every step
    edges: np.ndarray  # (n + 1,)
    returns: np.ndarray  # (n,)

    @property
    def lengths(self) -> np.ndarray:
        return np.diff(self.edges)

    @property
    def last_positions(self) -> np.ndarray:
        return self.positions[self.edges[1:] - 1]


def record_episodes(env, weights, seeds):
    """Record the episodes of linear policies in Gymnasium."""
    unwrapped, low, high = env.unwrapped, env.action_space.low, env.action_space.high
    data, starts, steps, edges, returns = unwrapped.data, [], [], [0], []
    for row, seed in zip(weights, seeds, strict=True):
        matrix = row.reshape(len(low), -1)
        observation, _ = env.reset(seed=int(seed))
        starts.append((data.qpos.copy(), data.qvel.copy(), data.qacc_warmstart.copy()))
        total, ended = 0.0, False
        while not ended:
            scores = np.cumsum(matrix * observation, axis=1)[:, -1]  # from the first entry to the last, as in our kernels
            observation, reward, terminated, truncated, _ = env.step(np.clip(scores.astype(np.float32), low, high))
            steps.append((data.ctrl.copy(), data.qpos.copy()))
            total, ended = total + float(reward), terminated or truncated
        edges.append(len(steps))
        returns.append(total)
    parts = [np.array(part) for part in (*zip(*starts, strict=True), *zip(*steps, strict=True), edges, returns)]
    return Episodes(unwrapped.model, unwrapped.frame_skip, *parts)


def of_one_length(episodes):
    """Return the episodes that last at least as long as the median one, cut to its length."""
    length = int(np.median(episodes.lengths))
    kept = np.flatnonzero(episodes.lengths >= length)
    steps = (episodes.edges[kept, np.newaxis] + np.arange(length)).ravel()
    return episodes._replace(
        qpos=episodes.qpos[kept],
        qvel=episodes.qvel[kept],
        warmstart=episodes.warmstart[kept],
        controls=episodes.controls[steps],
        positions=episodes.positions[steps],
        edges=np.arange(len(kept) + 1) * length,
        returns=np.full(len(kept), np.nan),
    )


@njit(error_model="numpy", nogil=True)
def _replay(model, data, episodes, qpos, qvel, ctrl, first, last, with_contact_forces, final):
    starts, velocities, controls, edges, n_frames = episodes
    for episode in range(first, last):
        _reset(model, data)
        qpos[:] = starts[episode]
        qvel[:] = velocities[episode]
        _forward(model, data)
        for step in range(edges[episode], edges[episode + 1]):
            for k in range(ctrl.shape[0]):
                ctrl[k] = controls[step, k]
            for _ in range(n_frames):
                _step(model, data)
            if with_contact_forces:
                _contact_forces(model, data)
        final[episode] = qpos


def bare(episodes, n_threads, with_contact_forces=False, with_clock=True):
    """Return a function that replays the episodes and returns their last positions.

    If wanted, with `mj_rnePostConstraint` once a step, or with MuJoCo's clock taken away meanwhile.
    """
    n = len(episodes.qpos)
    n_blocks = min(n, 16 * n_threads)
    idle, final = [mujoco.MjData(episodes.model) for _ in range(n_threads)], np.empty_like(episodes.qpos)
    arrays = (episodes.qpos, episodes.qvel, episodes.controls, episodes.edges, episodes.n_frames)

    def run(block):
        data = idle.pop()
        addresses, views = (episodes.model._address, data._address), (data.qpos, data.qvel, data.ctrl)
        first, last = block * n // n_blocks, (block + 1) * n // n_blocks
        _replay(*addresses, arrays, *views, first, last, with_contact_forces, final)
        idle.append(data)

    def replay():
        before = _clock.value
        try:
            _clock.value = before if with_clock else None
            for_blocks(run, n_blocks, n_threads)
        finally:
            _clock.value = before
        return final

    return replay


def with_rollout(episodes, n_threads):
    """Return the same for `mujoco.rollout`, which chooses its own chunks. All episodes have one length."""
    from mujoco import rollout

    states, controls, n_frames = _starts_and_controls(episodes, mujoco.mjtState.mjSTATE_FULLPHYSICS)
    data = [mujoco.MjData(episodes.model) for _ in range(n_threads)]
    pool, nq = rollout.Rollout(nthread=n_threads), episodes.qpos.shape[1]

    def replay():
        after, _ = pool.rollout(episodes.model, data, states, controls, nstep=n_frames, initial_warmstart=episodes.warmstart)
        return after[:, -1, 1 : 1 + nq]  # after the time

    return replay


def with_batch(episodes, n_threads):
    """Return the same for `mujoco.batch`, which MuJoCo has from 4.0 on."""
    from mujoco import batch

    states, controls, n_frames = _starts_and_controls(episodes, mujoco.mjtState.mjSTATE_INTEGRATION)
    simulations = batch.Batch(episodes.model, nsim=len(states), nthread=n_threads)

    def replay():
        simulations.state[:] = states
        simulations.rollout(n_frames, controls, record=())
        return simulations.qpos

    return replay


def _starts_and_controls(episodes, parts):
    """Return first states (n, size), the controls of every frame (n, n_frames, nu), and the number of frames."""
    data, states = mujoco.MjData(episodes.model), np.empty((len(episodes.qpos), mujoco.mj_stateSize(episodes.model, parts)))
    for state, qpos, qvel, warmstart in zip(states, episodes.qpos, episodes.qvel, episodes.warmstart, strict=True):
        mujoco.mj_resetData(episodes.model, data)
        data.qpos, data.qvel, data.qacc_warmstart = qpos, qvel, warmstart
        mujoco.mj_getState(episodes.model, data, state, parts)
    n_frames = int(episodes.lengths[0]) * episodes.n_frames
    controls = np.repeat(episodes.controls, episodes.n_frames, axis=0).reshape(len(states), n_frames, -1)
    return states, controls, n_frames
