"""Env steps per second of the vector environments, with ready-made random actions, beside those of other packages.

Of MuJoCo's, EnvPool may have another version than this process, and begins episodes elsewhere: their steps are not compared.
`mujoco.batch` steps the physics of the same environments, without observations, rewards or ends of episodes.
"""

import itertools
import os

import gymnasium
import numpy as np
import pytest

from bench import peers
from bench.machine import THREADS
from bench.peer_physics import assert_same_steps
from bench.stepping import N_ACTIONS, many_steps, random_actions
from fastars import compiled_env_ids

ENVS = [env_id for env_id in compiled_env_ids("classic") if env_id != "CartPole-v0"]  # which is CartPole-v1 with a shorter limit
SIZES = (64, 1_024, 4_096, 65_536)
SIMULATED = ("HalfCheetah-v4", "Hopper-v4", "Ant-v4", "Humanoid-v4")  # EnvPool has no v5
CASES = [*itertools.product(ENVS, SIZES), *((env_id, 64) for env_id in SIMULATED)]
OURS, BATCH = f"fastars, {THREADS} threads", f"`mujoco.batch`, {THREADS} threads"
SYNC, VECTORISED = "Gymnasium, sync", "Gymnasium, vectorised"
CARTPOLE = "CartPole-v1"


def made(env_id, n):
    """Return the vector environments of this process by name."""
    envs = {OURS: gymnasium.make_vec(f"fastars/{env_id}", n)}
    if n < 65_536:  # a step takes 2 s, to make them 13 s
        envs[SYNC] = gymnasium.make_vec(env_id, n, vectorization_mode="sync")
    if gymnasium.spec(env_id).vector_entry_point:
        envs[VECTORISED] = gymnasium.make_vec(env_id, n)
    return envs


def made_elsewhere(env_id, n, actions):
    """Return the competitors in processes of their own, by name, and the peers that are missing."""
    n_steps = 16 if env_id in SIMULATED else max(4, 2**17 // n)  # of a repetition, which a message begins
    settings = {"n_envs": n, "n_steps": n_steps, "actions": actions}
    kinds = {"EnvPool": {"env_id": env_id, "n_threads": THREADS}}
    if env_id == CARTPOLE:
        kinds["PufferLib"] = {"source": os.environ.get(peers.PUFFERLIB)}
    found, missing = {}, []
    for kind, more in kinds.items():
        for name, python in peers.versions(kind).items():
            found[name] = peers.Peer(python, kind, settings | more)
        if not peers.versions(kind):
            missing.append(kind)
    return found, missing


class Batch:
    """`mujoco.batch` with ready-made actions: the physics of an environment's steps alone.

    All simulations begin again when random actions have ended an episode in the mean: who lies on the floor has more contacts.
    """

    def __init__(self, env_id, n, actions):
        batch = peers.optional("mujoco.batch")
        env = gymnasium.make(env_id)
        self.n_steps, self.n_frames = random_length(env), env.unwrapped.frame_skip
        env.reset(seed=0)
        self.actions, self.taken, data = np.float64(actions), 0, env.unwrapped.data
        self.simulations = batch.Batch(env.unwrapped.model, nsim=n, nthread=THREADS)
        for name in ("qpos", "qvel", "qacc_warmstart"):
            getattr(self.simulations, name)[:] = getattr(data, name)
        self.first = self.simulations.state.copy()
        self()
        env.step(actions[0, 0])
        np.testing.assert_array_equal(self.simulations.qpos[0], data.qpos)

    def __call__(self):
        if self.taken % self.n_steps == 0:
            self.simulations.state[:] = self.first
        self.simulations.ctrl[:] = self.actions[self.taken % N_ACTIONS]
        self.simulations.step(nstep=self.n_frames)
        self.taken += 1


def random_length(env, n_episodes=5):
    """Return the mean length of episodes of random actions."""
    env.action_space.seed(0)
    n_steps = 0
    for seed in range(n_episodes):
        env.reset(seed=seed)
        ended = False
        while not ended:
            ended = any(env.step(env.action_space.sample())[2:4])
            n_steps += 1
    return n_steps // n_episodes


@pytest.mark.parametrize(("env_id", "n"), CASES)
@pytest.mark.filterwarnings("ignore")  # theirs, from any line of theirs
def test_vector_steps(env_id, n, race, record, quick):
    if quick and n > 1_024:
        pytest.skip("takes too long to be quick")
    if env_id in SIMULATED:
        pytest.importorskip("mujoco")
    actions, envs = random_actions(env_id, n), made(env_id, n)
    theirs, missing = made_elsewhere(env_id, n, actions)
    if SYNC in envs:
        assert_equal_steps(envs[OURS], envs[SYNC], actions)
    for each in theirs.values() if env_id not in SIMULATED else ():
        assert_same_steps(env_id, each.ask("trace", 20))
    runs = {name: many_steps(each, actions) for name, each in envs.items()} | theirs
    if env_id in SIMULATED:
        runs[BATCH] = Batch(env_id, n, actions)
    seconds = race(runs, budget=5.0)
    for each in (*envs.values(), *theirs.values()):
        each.close()
    steps = dict.fromkeys(envs, n * N_ACTIONS) | {BATCH: n} | {name: each.steps_per_call for name, each in theirs.items()}
    kind, targets = "simulated" if env_id in SIMULATED else "classic", aims(env_id, theirs)
    record(env=env_id, kind=kind, environments=n, steps_per_s={name: steps[name] / seconds[name] for name in runs}, targets=targets)
    for peer in missing:
        record(kind="missing", peer=peer, reason=peers.why_missing(peer))


def aims(env_id, theirs):
    """Return the ratios to reach, by the name of the other one."""
    if env_id == "HalfCheetah-v4":
        return {name: 1.5 for name in theirs if name.startswith("EnvPool")}
    return {VECTORISED: 5.0} if env_id == CARTPOLE else {}


def assert_equal_steps(ours, theirs, actions):
    np.testing.assert_array_max_ulp(ours.reset(seed=5)[0], theirs.reset(seed=5)[0], maxulp=1)
    for k in range(N_ACTIONS):
        for mine, other in zip(ours.step(actions[k])[:4], theirs.step(actions[k])[:4], strict=True):
            np.testing.assert_allclose(mine, other, rtol=1e-5, atol=1e-6)
