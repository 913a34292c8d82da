"""Env steps per second in MuJoCo: the kernels, the limit that `mj_step` sets, Gymnasium, MuJoCo's rollouts, EnvPool, training.

Whoever takes part writes a MUJOCO_LOG.TXT, if it does, into a temporary folder.
"""

import functools
import time

import gymnasium
import numpy as np
import pytest

from bench.machine import THREADS
from bench.peers import linear_policy, optional
from fastars import ARS, compiled_env_ids, evaluate_candidates
from fastars._structs import LinearPolicy
from fastars.envs import compiled_env, make

replay = pytest.importorskip("bench.replay", reason="the mujoco package is not installed", exc_type=ImportError)

ENVS = [env_id for env_id in compiled_env_ids("mujoco") if env_id.endswith("-v5")]
POOLED = [env_id for env_id in compiled_env_ids("mujoco") if env_id.endswith("-v4")]
TRAINED = "HalfCheetah-v5"
KERNEL, ONE_THREAD = f"fastars, {THREADS} threads", "fastars, 1 thread"
# Episodes, deviation of the policies' weights, time limit where it is not Gymnasium's: about 0.5 s on one thread.
WORK = {
    "Ant": (12, 0.005, 200),
    "HalfCheetah": (16, 0.05, None),
    "Hopper": (120, 0.05, None),
    "Humanoid": (96, 0.05, None),
    "HumanoidStandup": (12, 0.05, 100),
    "InvertedDoublePendulum": (960, 0.05, None),
    "InvertedPendulum": (960, 0.05, None),
    "Pusher": (120, 0.05, None),
    "Reacher": (480, 0.05, None),
    "Swimmer": (10, 0.05, None),
    "Walker2d": (192, 0.05, None),
}
OBSERVES_FORCES = ("Ant", "Humanoid", "HumanoidStandup")
# What is aimed at, shown beside what was measured.
OF_BARE = {"Ant": 0.95, "Humanoid": 0.95, "HalfCheetah": 0.9, "Hopper": 0.9, "Walker2d": 0.9, "Swimmer": 0.9}
TWO_THREADS, OF_TRAINING, OF_ENVPOOL = 1.9, 10.0, {"HalfCheetah-v4": 1.5}
# EnvPool's environments, and how many of them are waited for.
POOLS = [(64, 64), (256, 256), (1024, 1024), (16, 8), (64, 32), (256, 64)]


@pytest.fixture(autouse=True)
def _in_temporary_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def made(env_id):
    """The environment with the time limit of its episodes here."""
    return make(env_id, max_episode_steps=limit(env_id))


def limit(env_id):
    return WORK[env_id.rpartition("-")[0]][2] or gymnasium.spec(env_id).max_episode_steps


def candidates(env_id, quick):
    """Linear policies (n, n_weights) and seeds."""
    n, scale, _ = WORK[env_id.rpartition("-")[0]]
    env, draw = compiled_env(env_id), np.random.default_rng(0)
    weights = scale * draw.standard_normal((n, env.n_act * env.n_obs))
    seeds = draw.integers(0, 2**32, n, np.uint64)
    n = max(n // 16, 2) if quick else n
    return weights[:n], seeds[:n]


@functools.cache
def recorded(env_id, quick):
    """Policies and seeds, their episodes in Gymnasium, and the number of steps; the episodes are those of the kernels."""
    weights, seeds = candidates(env_id, quick)
    env = made(env_id)
    episodes = replay.record_episodes(env, weights, seeds)
    ours = evaluate_candidates(env, weights, seeds, n_threads=THREADS)
    np.testing.assert_array_equal(ours.lengths, episodes.lengths)
    np.testing.assert_allclose(ours.returns, episodes.returns, rtol=1e-9)
    return env, weights, seeds, episodes, int(ours.lengths.sum())


@pytest.mark.parametrize("env_id", ENVS)
def test_against_bare_steps(env_id, race, record, quick):
    env, weights, seeds, episodes, n_steps = recorded(env_id, quick)
    name = env_id.rpartition("-")[0]
    competitors = {
        KERNEL: lambda: evaluate_candidates(env, weights, seeds, n_threads=THREADS),
        ONE_THREAD: lambda: evaluate_candidates(env, weights, seeds, n_threads=1),
    }
    for what, with_forces in {"bare": False, "with contact forces": True}.items():
        for n_threads in (THREADS, 1) if name in OBSERVES_FORCES or not with_forces else ():
            run = replay.bare(episodes, n_threads, with_forces)
            np.testing.assert_array_equal(run(), episodes.last_positions)
            competitors[f"{what}, {n_threads} threads"] = run
    seconds = race(competitors, budget=8.0)
    rates = {key: n_steps / value for key, value in seconds.items()}
    record(
        env=env_id,
        kind="bare",
        episodes=len(seeds),
        mean_length=n_steps / len(seeds),
        n_frames=episodes.n_frames,
        target=OF_BARE.get(name),
        target_threads=TWO_THREADS,
        steps_per_s=rates,
    )


def gymnasium_loop(env, weights, seeds):
    """A plain loop, the policy a product of NumPy arrays; the steps it took."""
    low, high, n_steps = env.action_space.low, env.action_space.high, 0
    for row, seed in zip(weights, seeds, strict=True):
        matrix = row.reshape(len(low), -1)
        observation, _ = env.reset(seed=int(seed))
        ended = False
        while not ended:
            observation, _, terminated, truncated, _ = env.step(np.clip((matrix @ observation).astype(np.float32), low, high))
            n_steps, ended = n_steps + 1, terminated or truncated
    return n_steps


def vectorised(env_id, mode, weights, n_steps):
    """A function that takes `n_steps` steps of `THREADS` environments side by side, and what closes them."""
    from fastars.envs.mujoco.capi import collected_warnings

    with collected_warnings():
        envs = gymnasium.make_vec(env_id, num_envs=THREADS, vectorization_mode=mode, max_episode_steps=limit(env_id))
    act = linear_policy(compiled_env(env_id).task(LinearPolicy(False)), weights[:THREADS])
    last = [envs.reset(seed=0)[0]]

    def run():
        for _ in range(n_steps):
            last[0] = envs.step(act(last[0]))[0]

    return run, envs.close


@pytest.mark.parametrize("env_id", ENVS)
@pytest.mark.filterwarnings("ignore")  # theirs, from any line of theirs
def test_against_gymnasium(env_id, race, record, quick):
    env, weights, seeds, _, n_steps = recorded(env_id, quick)
    few = max(len(seeds) // 8, 2)
    n_few = gymnasium_loop(env, weights[:few], seeds[:few])
    n_vector = max(n_few // THREADS, 1)
    (sync, close_sync), (workers, close_workers) = (vectorised(env_id, mode, weights, n_vector) for mode in ("sync", "async"))
    try:
        seconds = race(
            {
                KERNEL: lambda: evaluate_candidates(env, weights, seeds, n_threads=THREADS),
                "Gymnasium loop": lambda: gymnasium_loop(env, weights[:few], seeds[:few]),
                "`make_vec`, sync": sync,
                f"`make_vec`, async, {THREADS} workers": workers,
            },
            budget=3.0,
        )
    finally:
        close_sync()
        close_workers()
    ours, loop, *vector = seconds.values()
    counts = [n_steps / ours, n_few / loop, *(n_vector * THREADS / value for value in vector)]
    record(env=env_id, kind="peer", steps_per_s=dict(zip(seconds, counts, strict=True)))


@pytest.mark.parametrize("env_id", ENVS)
@pytest.mark.parametrize(
    ("module", "make_replay"), [("rollout", replay.with_rollout), ("batch", replay.with_batch)], ids=["rollout", "batch"]
)
def test_against_mujoco(env_id, module, make_replay, race, record, quick):
    """They want episodes of one length, and step as many frames as there are controls."""
    optional(f"mujoco.{module}")
    env, weights, seeds, episodes, n_steps = recorded(env_id, quick)
    even = replay.of_one_length(episodes)
    theirs = make_replay(even, THREADS)
    np.testing.assert_array_equal(theirs(), even.last_positions)
    name = f"`mujoco.{module}`, {THREADS} threads"
    seconds = race({KERNEL: lambda: evaluate_candidates(env, weights, seeds, n_threads=THREADS), name: theirs}, budget=2.0)
    counts = {KERNEL: n_steps, name: len(even.positions)}
    record(env=env_id, kind="peer", steps_per_s={key: counts[key] / value for key, value in seconds.items()})


def pooled(envpool, env_id, weights, n_envs, n_waited, n_steps):
    """A function that takes about `n_steps` steps in EnvPool; the actions are computed for `n_waited` environments at a time."""
    kwargs = {"num_envs": n_envs, "batch_size": n_waited, "num_threads": THREADS, "seed": 0, "max_episode_steps": limit(env_id)}
    envs = envpool.make_gymnasium(env_id, **kwargs)
    task = compiled_env(env_id).task(LinearPolicy(False))
    policies = np.resize(weights, (n_envs, weights.shape[1]))
    act = linear_policy(task, policies)
    envs.async_reset()

    def run():
        for _ in range(-(-n_steps // n_waited)):
            observations, *_, info = envs.recv()
            chosen = info["env_id"]
            actions = act(observations) if n_waited == n_envs else linear_policy(task, policies[chosen])(observations)
            envs.send(actions, chosen)

    return run, n_waited * -(-n_steps // n_waited)


@pytest.mark.parametrize("env_id", POOLED)
@pytest.mark.filterwarnings("ignore")
def test_against_envpool(env_id, race, record, quick):
    envpool = optional("envpool")
    if env_id not in envpool.list_all_envs():
        pytest.skip(f"EnvPool has no {env_id}")
    weights, seeds = candidates(env_id, quick)
    env = made(env_id)
    n_steps = int(evaluate_candidates(env, weights, seeds, n_threads=THREADS).lengths.sum())
    trials = {}
    for n_envs, n_waited in POOLS[:1] if quick else POOLS:
        run, n_taken = pooled(envpool, env_id, weights, n_envs, n_waited, max(n_steps // 4, 2 * n_envs))
        run()
        start = time.perf_counter()
        run()
        trials[n_envs, n_waited] = n_taken / (time.perf_counter() - start)
    best = max(trials, key=trials.__getitem__)
    theirs, n_taken = pooled(envpool, env_id, weights, *best, n_steps)
    seconds = race({KERNEL: lambda: evaluate_candidates(env, weights, seeds, n_threads=THREADS), "EnvPool": theirs}, budget=2.0)
    record(
        env=env_id,
        kind="envpool",
        mean_length=n_steps / len(seeds),
        environments=best[0],
        batch=best[1],
        target=OF_ENVPOOL.get(env_id),
        steps_per_s={KERNEL: n_steps / seconds[KERNEL], "EnvPool": n_taken / seconds["EnvPool"]},
    )


@pytest.mark.filterwarnings("ignore")
def test_training_against_sb3_contrib(race, record, quick):
    """One iteration of either, with 16 episodes of 1,000 steps."""
    ars, vec_env = optional("sb3_contrib").ARS, optional("sb3_contrib.common.vec_env")
    make_vec_env = optional("stable_baselines3.common.env_util").make_vec_env

    class Lasting(vec_env.AsyncEval):
        def close(self):
            """`learn` closes it at its end."""

    n_delta = 1 if quick else 8
    model = ARS("LinearPolicy", TRAINED, n_delta=n_delta, seed=0, n_threads=THREADS)
    theirs = ars("LinearPolicy", TRAINED, n_delta=n_delta, seed=0, device="cpu")
    workers = Lasting([functools.partial(make_vec_env, TRAINED, n_envs=1) for _ in range(THREADS)], theirs.policy)
    runs = {
        "fastars": lambda: model.learn(1, reset_num_timesteps=False),
        "stable-baselines3-contrib": lambda: theirs.learn(1, reset_num_timesteps=False, async_eval=workers),
    }
    try:
        seconds = race(runs, budget=15.0)
    finally:
        vec_env.AsyncEval.close(workers)
    assert theirs.num_timesteps % (2 * n_delta * 1000) == model.num_timesteps % (2 * n_delta * 1000) == 0
    rates = {name: 2 * n_delta * 1000 / value for name, value in seconds.items()}
    record(env=TRAINED, kind="training", n_delta=n_delta, target=OF_TRAINING, steps_per_s=rates)
