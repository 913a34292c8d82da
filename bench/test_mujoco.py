"""Env steps per second in MuJoCo: kernels, the limit set by `mj_step`, Gymnasium, MuJoCo's rollouts, EnvPool, training.

A competitor that writes a MUJOCO_LOG.TXT writes it into a temporary folder.
"""

import functools
import time

import gymnasium
import numpy as np
import pytest

from bench import peers
from bench.machine import THREADS
from bench.peer_side.policies import linear_policy
from bench.peers import optional
from fastars import ARS, compiled_env_ids, evaluate_candidates
from fastars._compiled.structs import LinearPolicy
from fastars.envs import compiled_env, make

replay = pytest.importorskip("bench.replay", reason="the mujoco package is not installed", exc_type=ImportError)

ENVS = [env_id for env_id in compiled_env_ids("mujoco") if env_id.endswith("-v5")]
POOLED = [env_id for env_id in compiled_env_ids("mujoco") if env_id.endswith("-v4")]
TRAINED = "HalfCheetah-v5"
KERNEL, ONE_THREAD = f"fastars, {THREADS} threads", "fastars, 1 thread"
# Episodes, deviation of the policies' weights, time limit where it is not Gymnasium's: about 0.4 s on one thread. A call of
# `evaluate_candidates` takes 6 ms before the first step, for Gymnasium to make an environment.
WORK = {
    "Ant": (10, 0.005, 200),
    "HalfCheetah": (16, 0.05, None),
    "Hopper": (100, 0.05, None),
    "Humanoid": (80, 0.05, None),
    "HumanoidStandup": (10, 0.05, 100),
    "InvertedDoublePendulum": (800, 0.05, None),
    "InvertedPendulum": (800, 0.05, None),
    "Pusher": (100, 0.05, None),
    "Reacher": (400, 0.05, None),
    "Swimmer": (10, 0.05, None),
    "Walker2d": (160, 0.05, None),
}
OBSERVES_FORCES = ("Ant", "Humanoid", "HumanoidStandup")
# What is aimed at, shown beside what was measured.
OF_BARE = {"Ant": 0.95, "Humanoid": 0.95, "HalfCheetah": 0.9, "Hopper": 0.9, "Walker2d": 0.9, "Swimmer": 0.9}
TWO_THREADS, OF_TRAINING, OF_ENVPOOL = 1.9, 10.0, {"HalfCheetah-v4": 1.5}


@pytest.fixture(autouse=True)
def _in_temporary_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def made(env_id):
    """Return the environment with the time limit of these benchmarks."""
    return make(env_id, max_episode_steps=limit(env_id))


def limit(env_id):
    return WORK[env_id.rpartition("-")[0]][2] or gymnasium.spec(env_id).max_episode_steps


def candidates(env_id, quick):
    """Return linear policies (n, n_weights) and seeds."""
    n, scale, _ = WORK[env_id.rpartition("-")[0]]
    env, draw = compiled_env(env_id), np.random.default_rng(0)
    weights = scale * draw.standard_normal((n, env.n_act * env.n_obs))
    seeds = draw.integers(0, 2**32, n, np.uint64)
    n = max(n // 16, 2) if quick else n
    return weights[:n], seeds[:n]


@functools.cache
def recorded(env_id, quick):
    """Return policies, seeds, their episodes in Gymnasium and the number of steps. The kernels must run the same episodes."""
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
    for n_threads in (THREADS, 1):
        competitors[f"bare, {n_threads} threads"] = replay.bare(episodes, n_threads)
        if name in OBSERVES_FORCES:
            competitors[f"with contact forces, {n_threads} threads"] = replay.bare(episodes, n_threads, with_contact_forces=True)
    competitors["without clock, 1 thread"] = replay.bare(episodes, 1, with_clock=False)
    for run in list(competitors.values())[2:]:
        np.testing.assert_array_equal(run(), episodes.last_positions)
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
    """Run episodes in a plain loop with a policy in NumPy. Return the number of steps."""
    low, high, n_steps = env.action_space.low, env.action_space.high, 0
    for row, seed in zip(weights, seeds, strict=True):
        matrix = row.reshape(len(low), -1)
        observation, _ = env.reset(seed=int(seed))
        ended = False
        while not ended:
            observation, _, terminated, truncated, _ = env.step(np.clip((matrix @ observation).astype(np.float32), low, high))
            n_steps, ended = n_steps + 1, terminated or truncated
    return n_steps


class Vectorised:
    """Environments of Gymnasium side by side. A call takes `n_steps` steps of each; a reset does not count as a step."""

    def __init__(self, env_id, mode, weights, n_steps):
        from fastars.envs.mujoco.messages import collected_warnings

        with collected_warnings():
            self.envs = gymnasium.make_vec(env_id, num_envs=THREADS, vectorization_mode=mode, max_episode_steps=limit(env_id))
        self.act = linear_policy(*peers.policy(compiled_env(env_id).rollout_spec(LinearPolicy(False)), weights[:THREADS]))
        self.observations, _ = self.envs.reset(seed=0)
        self.n_steps, self.taken, self.calls = n_steps, 0, 0

    def __call__(self):
        self.calls += 1
        for _ in range(self.n_steps):
            self.observations, _, terminated, truncated, _ = self.envs.step(self.act(self.observations))
            self.taken += THREADS - np.count_nonzero(terminated | truncated)  # which are reset by their next step


@pytest.mark.parametrize("env_id", ENVS)
@pytest.mark.filterwarnings("ignore")  # theirs, from any line of theirs
def test_against_gymnasium(env_id, race, record, quick):
    env, weights, seeds, _, n_steps = recorded(env_id, quick)
    few = max(len(seeds) // 8, 2)
    n_few = gymnasium_loop(env, weights[:few], seeds[:few])
    sync, workers = (Vectorised(env_id, mode, weights, max(n_few // n, 1)) for mode, n in {"sync": 4, "async": 12}.items())
    competitors = {
        KERNEL: lambda: evaluate_candidates(env, weights, seeds, n_threads=THREADS),
        "Gymnasium loop": lambda: gymnasium_loop(env, weights[:few], seeds[:few]),
        "`make_vec`, sync": sync,
        f"`make_vec`, async, {THREADS} workers": workers,
    }
    try:
        seconds = race(competitors, budget=3.0)
    finally:
        sync.envs.close()
        workers.envs.close()
    counts = [n_steps, n_few, *(vector.taken / vector.calls for vector in (sync, workers))]
    rates = {name: count / seconds[name] for name, count in zip(seconds, counts, strict=True)}
    record(env=env_id, kind="peer", steps_per_s=rates)


@pytest.mark.parametrize("env_id", ENVS)
@pytest.mark.parametrize("module", ["rollout", "batch"])
def test_against_mujoco(env_id, module, race, record, quick):
    """Time MuJoCo's own rollouts, which need episodes of one length."""
    optional(f"mujoco.{module}")
    env, weights, seeds, episodes, n_steps = recorded(env_id, quick)
    even = replay.of_one_length(episodes)
    theirs = {"rollout": replay.with_rollout, "batch": replay.with_batch}[module](even, THREADS)
    np.testing.assert_array_equal(theirs(), even.last_positions)
    name = f"`mujoco.{module}`, {THREADS} threads"
    seconds = race({KERNEL: lambda: evaluate_candidates(env, weights, seeds, n_threads=THREADS), name: theirs}, budget=2.0)
    counts = {KERNEL: n_steps, name: len(even.positions)}
    record(env=env_id, kind="peer", steps_per_s={key: counts[key] / value for key, value in seconds.items()})


def pool(python, env_id, weights, n_envs, n_waited, n_steps):
    """Return `n_envs` environments in EnvPool.

    It has as many environments as we have episodes, or a fraction of that, so that its calls go through whole episodes: the first
    steps of one may take half as long as the others.
    """
    policy = peers.policy(compiled_env(env_id).rollout_spec(LinearPolicy(False)), weights[:n_envs])
    settings = {"env_id": env_id, "max_steps": limit(env_id), "policy": policy, "n_threads": THREADS}
    settings |= {"n_envs": n_envs, "n_waited": n_waited, "n_steps": n_steps}
    return peers.Peer(python, "EnvPool, some at a time", settings)


def best_pool(python, env_id, weights, n_steps):
    """Return the fastest of some numbers of environments and sizes of batches: it, its number and its size."""
    n = len(weights)
    sizes = {(n // part, n // part // waits) for part in (1, 2, 8) for waits in (1, 2) if n // part >= 2 * THREADS} or {(n, n)}
    rates = {}
    for size in sizes:
        trial = pool(python, env_id, weights, *size, n_steps)
        start = time.perf_counter()
        trial()
        rates[size] = trial.steps / (time.perf_counter() - start)
        trial.close()
    best = max(rates, key=rates.__getitem__)
    return pool(python, env_id, weights, *best, n_steps), *best


@pytest.mark.parametrize("env_id", POOLED)
@pytest.mark.filterwarnings("ignore")  # of Gymnasium: v4 is out of date
def test_against_envpool(env_id, race, record, quick):
    if not peers.versions("EnvPool"):
        record(kind="missing", peer="EnvPool", reason=peers.why_missing("EnvPool"))
        return
    weights, seeds = candidates(env_id, quick)
    env = made(env_id)
    n_steps = int(evaluate_candidates(env, weights, seeds, n_threads=THREADS).lengths.sum())
    pools = {name: best_pool(python, env_id, weights, n_steps) for name, python in peers.versions("EnvPool").items()}
    runs = {name: each for name, (each, _, _) in pools.items()}
    seconds = race({KERNEL: lambda: evaluate_candidates(env, weights, seeds, n_threads=THREADS), **runs}, budget=3.0)
    for name, (theirs, n_envs, n_waited) in pools.items():
        theirs.close()
        record(
            env=env_id,
            kind="envpool",
            peer=name,
            mean_length=n_steps / len(seeds),
            environments=n_envs,
            batch=n_waited,
            target=OF_ENVPOOL.get(env_id),
            steps_per_s={KERNEL: n_steps / seconds[KERNEL], "EnvPool": theirs.steps_per_call / seconds[name]},
        )


@pytest.mark.filterwarnings("ignore")
def test_training_against_sb3_contrib(race, record, quick):
    """Time one iteration of each trainer, with 16 episodes of 1,000 steps."""
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
