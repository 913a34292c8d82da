"""Env steps per second of the vector environments, with ready-made random actions, beside Gymnasium's and EnvPool's."""

import importlib
import itertools

import gymnasium
import numpy as np
import pytest

from bench.machine import THREADS
from bench.stepping import N_ACTIONS, many_steps, random_actions
from fastars import compiled_env_ids

ENVS = [env_id for env_id in compiled_env_ids("classic") if env_id != "CartPole-v0"]  # which is CartPole-v1 with a shorter limit
SIZES = (64, 1_024, 4_096, 65_536)
SIMULATED = ("HalfCheetah-v4", "Hopper-v4", "Ant-v4", "Humanoid-v4")  # EnvPool has no v5
CASES = [*itertools.product(ENVS, SIZES), *((env_id, 64) for env_id in SIMULATED)]
OURS, ENVPOOL = f"fastars, {THREADS} threads", f"EnvPool, {THREADS} threads"
SYNC, VECTORISED = "Gymnasium, sync", "Gymnasium, vectorised"
AIMS = {("CartPole-v1", n): {VECTORISED: 5.0} for n in SIZES} | {("HalfCheetah-v4", 64): {ENVPOOL: 1.5}}


def make(name, env_id, n):
    """Return a competitor, or None if it has no such environment."""
    if name == OURS:
        return gymnasium.make_vec(f"fastars/{env_id}", n)
    if name == SYNC:
        return (
            gymnasium.make_vec(env_id, n, vectorization_mode="sync") if n < 65_536 else None
        )  # a step takes 2 s, to make them 13 s
    if name == VECTORISED:
        return gymnasium.make_vec(env_id, n) if gymnasium.spec(env_id).vector_entry_point else None
    try:
        envpool = importlib.import_module("envpool")
    except ImportError:
        return None
    return envpool.make_gymnasium(env_id, num_envs=n, num_threads=THREADS, seed=0)


@pytest.mark.parametrize(("env_id", "n"), CASES)
@pytest.mark.filterwarnings("ignore")  # theirs, from any line of theirs
def test_vector_steps(env_id, n, race, record, quick):
    if quick and n > 1_024:
        pytest.skip("takes too long to be quick")
    if env_id in SIMULATED:
        pytest.importorskip("mujoco")
    actions = random_actions(env_id, n)
    envs = {name: made for name in (OURS, SYNC, VECTORISED, ENVPOOL) if (made := make(name, env_id, n)) is not None}
    if SYNC in envs:
        assert_equal_steps(envs[OURS], envs[SYNC], actions)
    seconds = race({name: many_steps(made, actions) for name, made in envs.items()}, budget=4.0)
    for made in envs.values():
        made.close()
    rates = {name: n * N_ACTIONS / value for name, value in seconds.items()}
    record(env=env_id, environments=n, steps_per_s=rates, targets=AIMS.get((env_id, n), {}))


def assert_equal_steps(ours, theirs, actions):
    np.testing.assert_array_max_ulp(ours.reset(seed=5)[0], theirs.reset(seed=5)[0], maxulp=1)
    for k in range(N_ACTIONS):
        for mine, other in zip(ours.step(actions[k])[:4], theirs.step(actions[k])[:4], strict=True):
            np.testing.assert_allclose(mine, other, rtol=1e-5, atol=1e-6)
