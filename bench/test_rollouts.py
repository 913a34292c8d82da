"""Env steps per second, environment by environment: the kernel, the limit of its arithmetic, its twin, Gymnasium, and prior art.

Aims: .92 of the speed of a lane loop written by hand for CartPole; .8 to .9 of the bare loop of the same physics; 1.9 times the
speed with two threads as with one, where a call has work enough. A row says how long a call takes on one thread.
"""

import os

import gymnasium
import numpy as np
import pytest

from bench import lanes, peers
from bench.machine import THREADS
from bench.peer_physics import assert_same_steps
from fastars import compiled_env_ids, evaluate_candidates, reference
from fastars._compiled.lane_rows import LANES
from fastars._compiled.structs import LinearPolicy, identity_filter
from fastars._runtime.threads import for_blocks
from fastars.envs import compiled_env
from fastars.samplers.kernel_inputs import padded_weights

ENVS = [env_id for env_id in compiled_env_ids("classic") if env_id != "CartPole-v0"]  # which is CartPole-v1 with a shorter limit
N_CANDIDATES = 20_480
N_PLAIN = 10  # episodes of the competitors written in Python
BARE, BARE_ONE = f"bare loop, {THREADS} threads", "bare loop, 1 thread"
KERNEL, ONE_THREAD = f"fastars, {THREADS} threads", "fastars, 1 thread"
OF_BARE = {"CartPole-v1": 0.9, "MountainCar-v0": 0.8, "Pendulum-v1": 0.9}  # aims, with each number of threads
TWO_TO_ONE, OF_HAND = 1.9, 0.92


def candidates(env_id, n):
    """Return linear policies (n, n_weights) and seeds. On CartPole they last for about 425 of 500 steps, as in late training."""
    env, draw = compiled_env(env_id), np.random.default_rng(0)
    weights = 0.3 * draw.standard_normal((n, env.n_act * env.n_obs))
    if env_id == "CartPole-v1":
        weights[:, 4:] += np.array([0.1, 0.3, 3.0, 1.0])
    return weights, draw.integers(0, 2**32, n, np.uint64)


def gymnasium_loop(env_id, weights, seeds):
    """Return returns and lengths of episodes in a plain loop with a policy in NumPy."""
    env = gymnasium.make(env_id)
    discrete = isinstance(env.action_space, gymnasium.spaces.Discrete)
    returns, lengths = [], []
    for row, seed in zip(weights, seeds, strict=True):
        matrix = row.reshape(-1, env.observation_space.shape[0])
        observation, _ = env.reset(seed=int(seed))
        total, length, ended = 0.0, 0, False
        while not ended:
            scores = matrix @ observation
            action = int(np.argmax(scores)) if discrete else np.clip(scores, env.action_space.low, env.action_space.high)
            observation, reward, terminated, truncated, _ = env.step(action if discrete else action.astype(np.float32))
            total, length, ended = total + float(reward), length + 1, terminated or truncated
        returns.append(total)
        lengths.append(length)
    env.close()
    return np.array(returns), np.array(lengths)


def bare_loop(env_id, weights, seeds, n_steps, n_threads):
    """Return a function that steps every lane n_steps times, and its number of env steps."""
    env = compiled_env(env_id)
    task, n_blocks = env.rollout_spec(LinearPolicy(True)), len(weights) // LANES
    policies = padded_weights(weights, env.rollout_spec(LinearPolicy())).reshape(n_blocks, LANES, -1)
    rows = seeds.reshape(n_blocks, LANES)

    def block_steps(block):
        lanes.bare_steps(task, policies[block], rows[block], n_steps)

    return lambda: for_blocks(block_steps, n_blocks, n_threads), n_blocks * LANES * n_steps


@pytest.mark.parametrize("env_id", ENVS)
def test_rollouts(env_id, race, record, quick):
    n = 512 if quick else N_CANDIDATES
    weights, seeds = candidates(env_id, n)
    few, few_seeds = weights[:N_PLAIN], seeds[:N_PLAIN]
    env = compiled_env(env_id)
    task, unfiltered = env.rollout_spec(LinearPolicy(True)), identity_filter(env.n_obs)
    policies = padded_weights(few, env.rollout_spec(LinearPolicy()))

    full = evaluate_candidates(env_id, weights, seeds, n_threads=THREADS)
    plain_returns, plain_lengths = gymnasium_loop(env_id, few, few_seeds)
    np.testing.assert_array_equal(full.lengths[:N_PLAIN], plain_lengths)
    np.testing.assert_allclose(full.returns[:N_PLAIN], plain_returns, rtol=1e-9)
    np.testing.assert_array_equal(evaluate_candidates(env_id, weights, seeds, n_threads=1).returns, full.returns)
    twin = reference.rollouts(task, unfiltered, policies, few_seeds, False)
    np.testing.assert_array_equal(twin.lengths, plain_lengths)

    bare, bare_steps = bare_loop(env_id, weights[: 8 * LANES], seeds[: 8 * LANES], 100 if quick else 2_000, THREADS)
    bare_one, _ = bare_loop(env_id, weights[: 8 * LANES], seeds[: 8 * LANES], 100 if quick else 2_000, 1)
    n_steps, n_plain = int(full.lengths.sum()), int(plain_lengths.sum())
    seconds = race(
        {
            KERNEL: lambda: evaluate_candidates(env_id, weights, seeds, n_threads=THREADS),
            ONE_THREAD: lambda: evaluate_candidates(env_id, weights, seeds, n_threads=1),
            BARE: bare,
            BARE_ONE: bare_one,
            "NumPy twin": lambda: reference.rollouts(task, unfiltered, policies, few_seeds, False),
            "Gymnasium loop": lambda: gymnasium_loop(env_id, few, few_seeds),
        },
        budget=8.0,
    )
    steps = {
        KERNEL: n_steps,
        ONE_THREAD: n_steps,
        BARE: bare_steps,
        BARE_ONE: bare_steps,
        "NumPy twin": n_plain,
        "Gymnasium loop": n_plain,
    }
    rates = {name: steps[name] / seconds[name] for name in steps}
    aims = {"of bare": OF_BARE.get(env_id), "two to one": TWO_TO_ONE}
    record(env=env_id, kind="rates", mean_length=n_steps / n, episodes=n, steps_per_s=rates, aims=aims)


def peers_of(env_id, peer, policies, n_steps):
    """Return the competitors of a peer: a process for each version of it."""
    settings = {"n_envs": peers.BATCH, "n_steps": n_steps, "policy": policies}
    settings |= {
        "EnvPool": {"env_id": env_id, "n_threads": THREADS},
        "gymnax": {"env_id": env_id},
        "PufferLib": {"source": os.environ.get(peers.PUFFERLIB)},
    }[peer]
    return {name: peers.Peer(python, peer, settings) for name, python in peers.versions(peer).items()}


@pytest.mark.parametrize("env_id", ENVS)
@pytest.mark.parametrize("peer", ["EnvPool", "gymnax", "PufferLib"])
def test_peers(env_id, peer, race, record, quick):
    """Race linear policies in the vector environments of others, which begin an episode where one ends."""
    if peer == "PufferLib" and env_id != "CartPole-v1":
        pytest.skip(f"PufferLib has no {env_id}")
    weights, seeds = candidates(env_id, 2048 if quick else N_CANDIDATES)
    policies = peers.policy(compiled_env(env_id).rollout_spec(LinearPolicy(True)), weights[: peers.BATCH])
    theirs = peers_of(env_id, peer, policies, 20 if quick else 200)
    if not theirs:
        record(kind="missing", peer=peer, reason=peers.why_missing(peer))
        return
    for each in theirs.values():
        assert_same_steps(env_id, each.ask("trace", 60))
    ours = int(evaluate_candidates(env_id, weights, seeds, n_threads=THREADS).lengths.sum())
    seconds = race({KERNEL: lambda: evaluate_candidates(env_id, weights, seeds, n_threads=THREADS), **theirs}, budget=2.0)
    for name, each in theirs.items():
        each.close()
        rates = {KERNEL: ours / seconds[KERNEL], name: each.steps_per_call / seconds[name]}
        record(env=env_id, kind="peer", peer=peer, steps_per_s=rates)


def test_gymnasium_vectorised(race, record, quick):
    """Race Gymnasium's own vectorised environment, which only CartPole has."""
    env_id, n_steps = "CartPole-v1", 20 if quick else 200
    weights, seeds = candidates(env_id, 2048 if quick else N_CANDIDATES)
    policies = peers.policy(compiled_env(env_id).rollout_spec(LinearPolicy(True)), weights[: peers.BATCH])
    run = peers.gymnasium_vector_steps(env_id, policies, n_steps)
    ours = int(evaluate_candidates(env_id, weights, seeds, n_threads=THREADS).lengths.sum())
    name = "Gymnasium, vectorised"
    seconds = race({KERNEL: lambda: evaluate_candidates(env_id, weights, seeds, n_threads=THREADS), name: run}, budget=2.0)
    rates = {KERNEL: ours / seconds[KERNEL], name: peers.BATCH * n_steps / seconds[name]}
    record(env=env_id, kind="peer", peer=name, steps_per_s=rates)


def test_cartpole_against_hand_written_lanes(race, record, quick):
    """Compare the public function with a loop that gets its initial states and transposed weights for free."""
    n = 512 if quick else N_CANDIDATES
    weights, seeds = candidates("CartPole-v1", n)
    blocks = np.ascontiguousarray(weights.reshape(-1, LANES, 8).transpose(0, 2, 1))
    drawn = [np.random.Generator(np.random.PCG64(np.random.SeedSequence(int(seed)))).uniform(-0.05, 0.05, 4) for seed in seeds]
    states = np.ascontiguousarray(np.array(drawn).reshape(-1, LANES, 4).transpose(0, 2, 1))
    returns = np.empty((len(blocks), LANES))

    def by_hand(n_threads):
        for_blocks(lambda k: lanes.cartpole_returns(blocks[k], states[k], 500, returns[k]), len(blocks), n_threads)

    ours = evaluate_candidates("CartPole-v1", weights, seeds, n_threads=THREADS)
    by_hand(THREADS)
    assert (
        np.mean(returns.ravel() == ours.lengths) > 0.99
    )  # its sine is not ours: an action may differ where scores are nearly equal
    seconds = race(
        {
            KERNEL: lambda: evaluate_candidates("CartPole-v1", weights, seeds, n_threads=THREADS),
            f"by hand, {THREADS} threads": lambda: by_hand(THREADS),
            ONE_THREAD: lambda: evaluate_candidates("CartPole-v1", weights, seeds, n_threads=1),
            "by hand, 1 thread": lambda: by_hand(1),
        },
        budget=6.0,
    )
    n_steps = int(ours.lengths.sum())
    rates = {name: n_steps / value for name, value in seconds.items()}
    record(kind="by hand", mean_return=float(ours.returns.mean()), steps_per_s=rates, target=OF_HAND)
