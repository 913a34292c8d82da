"""Rollouts: the same bits however they are cut up, and what they do with numbers that are not finite."""

import itertools
import os
import subprocess
import sys
import textwrap
from typing import NamedTuple

import numba
import numpy as np
import pytest

from fastars import ARS, evaluate_candidates, kernels, reference
from fastars._compiled.jit import inline
from fastars._compiled.protocol import register_functions
from fastars._compiled.structs import (
    NONFINITE,
    TERMINATED,
    TRUNCATED,
    Argmax,
    Clip,
    Filter,
    LinearPolicy,
    MlpPolicy,
    Relu,
    RolloutSpec,
    Squash,
    Tanh,
    empty_rollouts,
    identity_filter,
)
from fastars._runtime.threads import for_blocks
from fastars.envs import compiled_env
from fastars.kernels.policy_layout import n_weights
from fastars.kernels.rollout_lanes import roll_out
from fastars.samplers.compiled import CompiledSampler

CARTPOLE = compiled_env("CartPole-v1")


def candidates(n, seed=0):
    good = np.array([0, 0, 0, 0, 0.1, 0.3, 3, 1], float)
    weights = good + 0.5 * np.random.default_rng(seed).normal(size=(n, 8))
    return np.concatenate([weights, np.zeros((n, 2))], axis=1)


def same(a, b):
    flat_a, flat_b = [*a[:3], *a.moments], [*b[:3], *b.moments]
    return all(np.array_equal(x, y, equal_nan=True) for x, y in zip(flat_a, flat_b, strict=True))


@pytest.mark.parametrize("n_threads", [1, 2, 3, 4])
def test_threads_do_not_change_a_bit(n_threads):
    task, weights, seeds = CARTPOLE.rollout_spec(LinearPolicy()), candidates(5000)[:, :8], np.arange(5000, dtype=np.uint64)
    one = CompiledSampler(task, 1).evaluate(weights, identity_filter(4), seeds, True)
    assert same(CompiledSampler(task, n_threads).evaluate(weights, identity_filter(4), seeds, True), one)


def test_blocks_do_not_change_a_bit():
    task, weights, seeds = CARTPOLE.rollout_spec(LinearPolicy()), candidates(700), np.arange(700, dtype=np.uint64)
    whole, pieces = empty_rollouts(700, 4, True), empty_rollouts(700, 4, True)
    roll_out(task, identity_filter(4), weights, seeds, 0, 700, whole)
    for begin, end in [(0, 1), (1, 3), (3, 10), (10, 138), (138, 139), (139, 700)]:
        roll_out(task, identity_filter(4), weights, seeds, begin, end, pieces)
    assert same(whole, pieces)


def test_parallel_kernel_has_the_bits_of_the_serial_one():
    task, weights, seeds = CARTPOLE.rollout_spec(LinearPolicy()), candidates(1500), np.arange(1500, dtype=np.uint64)
    serial = empty_rollouts(1500, 4, True)
    roll_out(task, identity_filter(4), weights, seeds, 0, 1500, serial)
    threads = numba.get_num_threads()
    try:
        for n in {1, threads}:
            numba.set_num_threads(n)
            assert same(kernels.rollouts(task, identity_filter(4), weights, seeds, True), serial)
    finally:
        numba.set_num_threads(threads)


def test_an_episode_depends_on_its_candidate_and_seed_alone():
    weights, seeds = candidates(400)[:, :8], np.arange(400)
    together = evaluate_candidates("CartPole-v1", weights, seeds)
    order = np.random.default_rng(0).permutation(400)
    shuffled = evaluate_candidates("CartPole-v1", weights[order], seeds[order])
    assert np.array_equal(together.returns[order], shuffled.returns)
    alone = [evaluate_candidates("CartPole-v1", weights[i : i + 1], seeds[i : i + 1]).returns[0] for i in range(20)]
    assert np.array_equal(together.returns[:20], alone)


LANES_SCRIPT = """
    import hashlib, sys
    import fastars._compiled.lane_rows as lanes
    lanes.LANES = int(sys.argv[1])
    from fastars import ARS
    from fastars.kernels import rollout_lanes
    assert rollout_lanes.LANES == lanes.LANES
    model = ARS("LinearPolicy", "Pendulum-v1", n_delta=20, seed=3, normalize_observations=True).learn(40_000)
    print(hashlib.sha256(model.theta.tobytes()).hexdigest())
"""


@pytest.mark.promise(14)
def test_lane_width_does_not_change_theta(tmp_path, tally):
    hashes = set()
    widths = tally.of(fast=("8", "64", "128"), full=("8", "16", "32", "64", "128", "256"))
    for width in widths:
        environment = {**os.environ, "FASTARS_CACHE_DIR": str(tmp_path / width)}
        command = [sys.executable, "-c", textwrap.dedent(LANES_SCRIPT), width]
        hashes.add(subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout)
    assert len(hashes) == 1
    assert len(hashes.pop()) == 65
    tally("widths of SIMD lanes with one hash", len(widths), of=len(widths))


def test_moments_are_those_of_the_observations_acted_on():
    """A replay in Gymnasium: the reset's observation counts, the last one does not."""
    import gymnasium

    weights = candidates(3)[:, :8]
    sampler = CompiledSampler(CARTPOLE.rollout_spec(LinearPolicy()), 1)
    moments = sampler.evaluate(weights, identity_filter(4), np.arange(3, dtype=np.uint64), True).moments
    env = gymnasium.make("CartPole-v1")
    for i in range(3):
        observation, _ = env.reset(seed=i)
        seen, ended = [], False
        while not ended:
            seen.append(observation.astype(float))
            scores = weights[i, :8].reshape(2, 4) @ observation
            observation, _, terminated, truncated, _ = env.step(int(np.argmax(scores)))
            ended = terminated or truncated
        assert moments.count[i] == len(seen)
        np.testing.assert_allclose(moments.mean[i], np.mean(seen, axis=0), rtol=1e-12)
        np.testing.assert_allclose(moments.m2[i], np.var(seen, axis=0) * len(seen), rtol=1e-10)


def test_constant_feature_has_exactly_no_variance():
    moments = run_odd(Odd(bad_step=10_000.0, kind=0.0)).moments
    assert np.array_equal(moments.mean[:, 1], np.full(8, np.float64(np.float32(0.1))))
    assert np.array_equal(moments.m2[:, 1], np.zeros(8))


class Odd(NamedTuple):
    """An environment that counts its steps and breaks at step `bad_step`."""

    bad_step: float
    kind: float  # 0: never; 1: NaN observation; 2: infinite observation; 3: observation of 1e300; 4: NaN reward; 5: infinite reward


@inline
def odd_reset(env, rng):
    return (0.0,)


@inline
def odd_observe(env, state):
    bad = state[0] == env.bad_step
    value = np.nan if env.kind == 1.0 else (np.inf if env.kind == 2.0 else 1e300)
    broken = bad & (env.kind >= 1.0) & (env.kind <= 3.0)
    return np.float32(value if broken else state[0]), np.float32(0.1)


@inline
def odd_step(env, state, action):
    bad = state[0] == env.bad_step
    reward = (np.nan if env.kind == 4.0 else np.inf) if bad & (env.kind >= 4.0) else 1.0
    return (state[0] + 1.0,), reward, state[0] >= 49.0


register_functions(Odd, odd_reset, odd_observe, odd_step)


POLICIES = pytest.mark.parametrize("policy", [LinearPolicy(True), MlpPolicy(())], ids=["linear", "network"])


def run_odd(env, max_steps=40, policy=LinearPolicy()):  # noqa: B008
    task = RolloutSpec(env, policy, Argmax(), (np.float32(0),) * 2, (np.float32(0),) * 2, max_steps)
    out = empty_rollouts(8, 2, True)
    roll_out(task, identity_filter(2), np.ones((8, 6)), np.arange(8, dtype=np.uint64), 0, 8, out)
    return out


@pytest.mark.promise(8)
@POLICIES
@pytest.mark.parametrize("kind", [1.0, 2.0, 3.0])
def test_non_finite_observation_ends_the_episode_before_it_is_acted_on(kind, policy):
    out = run_odd(Odd(7.0, kind), policy=policy)
    assert (out.status == NONFINITE).all()
    assert (out.lengths == 7).all()
    assert np.isnan(out.returns).all()
    assert (out.moments.count == 7).all()  # the bad one is not pushed
    assert np.array_equal(out.moments.mean[0], [3.0, np.float32(0.1)])
    assert np.isfinite(out.moments.m2).all()


@pytest.mark.promise(7)
@POLICIES
@pytest.mark.parametrize("kind", [4.0, 5.0])
def test_non_finite_reward_ends_the_episode(kind, policy):
    out = run_odd(Odd(7.0, kind), policy=policy)
    assert (out.status == NONFINITE).all()
    assert (out.lengths == 8).all()
    assert np.isnan(out.returns).all()


@POLICIES
def test_status_says_how_an_episode_ended(policy):
    assert (run_odd(Odd(-1.0, 0.0), max_steps=40, policy=policy).status == TRUNCATED).all()
    assert (run_odd(Odd(-1.0, 0.0), max_steps=60, policy=policy).status == TERMINATED).all()
    assert (run_odd(Odd(-1.0, 0.0), max_steps=50, policy=policy).status == TERMINATED).all()  # both at once: it terminated


def test_filter_is_applied_before_the_policy():
    """Shifting and scaling the observation by the filter equals doing so to the weights, for a policy with bias."""
    mean, scale = np.array([0.01, -0.02, 0.005, 0.03]), np.array([2.0, 0.5, 3.0, 1.5])
    weights = candidates(64)
    filtered = CompiledSampler(CARTPOLE.rollout_spec(LinearPolicy(True)), 1).evaluate(
        weights, Filter(mean, scale, np.inf), np.arange(64, dtype=np.uint64), False
    )
    matrix = weights[:, :8].reshape(-1, 2, 4) * scale
    folded = np.concatenate([matrix.reshape(-1, 8), weights[:, 8:] - matrix @ mean], axis=1)
    plain = CompiledSampler(CARTPOLE.rollout_spec(LinearPolicy(True)), 1).evaluate(
        folded, identity_filter(4), np.arange(64, dtype=np.uint64), False
    )
    assert np.array_equal(filtered.returns, plain.returns)
    assert len(set(filtered.returns)) > 5


def test_filtered_observations_are_clipped_on_both_sides():
    """Scores of a continuous action show every entry: a clip that cuts most of them, against NumPy's."""
    pendulum = compiled_env("Pendulum-v1")
    weights = np.concatenate([np.random.default_rng(0).normal(size=(6, 3)), np.zeros((6, 1))], axis=1)
    filter = Filter(np.array([0.1, -0.2, 0.3]), np.array([2.0, 1.0, 0.5]), 0.4)
    seeds, task = np.arange(6, dtype=np.uint64), pendulum.rollout_spec(LinearPolicy())
    clipped = CompiledSampler(task, 1).evaluate(weights, filter, seeds, False).returns
    np.testing.assert_allclose(clipped, reference.rollouts(task, filter, weights, seeds, False).returns, rtol=1e-9)
    assert not np.allclose(clipped, CompiledSampler(task, 1).evaluate(weights, filter._replace(clip=np.inf), seeds, False).returns)


def test_exception_in_a_block_reaches_the_caller():
    def run(block):
        if block == 5:
            raise ValueError("block 5")

    with pytest.raises(ValueError, match="block 5"):
        for_blocks(run, 20, 3)


def test_every_block_runs_once():
    counts = np.zeros(1000, int)

    def run(block):
        counts[block] += 1

    for_blocks(run, 1000, 4)
    assert (counts == 1).all()


@pytest.mark.parametrize(
    ("weights", "seeds", "message"),
    [
        (np.zeros((3, 7)), [0, 1, 2], r"weights must have shape \(n, 8\).*\(3, 7\)"),
        (np.zeros(8), [0], r"weights must have shape \(n, 8\)"),
        (np.full((3, 8), np.nan), [0, 1, 2], "weights must be finite, got nan in row 0"),
        (np.zeros((3, 8)), [0, 1], r"seeds must have shape \(3,\)"),
        (np.zeros((3, 8)), [0, 1, -2], "seeds must be integers from 0"),
        (np.zeros((3, 8)), [0.0, 1.0, 2.0], "seeds must be integers from 0"),
    ],
)
def test_bad_candidates_are_named(weights, seeds, message):
    with pytest.raises(ValueError, match=message):
        evaluate_candidates("CartPole-v1", weights, seeds)


def test_unknown_policy_is_named():
    with pytest.raises(ValueError, match="'LinearPolcy'; did you mean 'LinearPolicy'"):
        evaluate_candidates("CartPole-v1", np.zeros((1, 8)), [0], policy="LinearPolcy")


@pytest.mark.parametrize("env_id", ["CartPole-v1", "Acrobot-v1", "InvertedPendulum-v5", "FrozenLake-v1"])
@pytest.mark.parametrize("policy", ["LinearPolicy", "MlpPolicy"])
def test_no_candidates_give_no_results(env_id, policy):
    if env_id == "InvertedPendulum-v5":
        pytest.importorskip("mujoco", reason="MuJoCo environments need the mujoco package")
    n_weights = ARS(policy, env_id, seed=0).n_weights
    rollouts = evaluate_candidates(env_id, np.zeros((0, n_weights)), [], policy=policy)
    assert rollouts.returns.shape == rollouts.lengths.shape == (0,)


def test_policy_with_bias_takes_its_weights_after_w():
    weights = candidates(50)
    with_bias = evaluate_candidates("CartPole-v1", weights, range(50), policy_kwargs={"with_bias": True})
    assert np.array_equal(with_bias.returns, evaluate_candidates("CartPole-v1", weights[:, :8], range(50)).returns)
    weights[:, 8] = 1e6  # a bias that always pushes left
    assert evaluate_candidates("CartPole-v1", weights, range(50), policy_kwargs={"with_bias": True}).returns.max() < 15


# Policies with hidden layers run one episode after the other; of scalar environments too.


def serially(task, filter, weights, seeds, edges=None, track=True):
    out = empty_rollouts(len(seeds), len(filter.mean), track)
    edges = edges or [0, len(seeds)]
    for start, stop in itertools.pairwise(edges):
        roll_out(task, filter, weights, seeds, start, stop, out)
    return out


def networks(env, policy, n, seed=0):
    draw = np.random.default_rng(seed)
    weights = 0.5 * draw.standard_normal((n, n_weights(policy, env.n_obs, env.n_act)))
    filter = Filter(0.1 * draw.standard_normal(env.n_obs), draw.uniform(0.5, 2.0, env.n_obs), 2.0)
    return filter, weights, draw.integers(0, 2**32, 2 * n, np.uint64)


@pytest.mark.parametrize("env_id", ["CartPole-v1", "Pendulum-v1"])
def test_a_network_without_hidden_layers_has_the_bits_of_a_linear_policy(env_id):
    """A network without hidden layers is a linear policy, but its weights lie beside the lanes."""
    env = compiled_env(env_id)
    filter, weights, seeds = networks(env, MlpPolicy(()), 50)
    lanes = serially(env.rollout_spec(LinearPolicy(True)), filter, weights, seeds)
    assert same(serially(env.rollout_spec(MlpPolicy(())), filter, weights, seeds), lanes)


def test_networks_equal_their_twin():
    policy = MlpPolicy((6, 5))
    filter, weights, seeds = networks(CARTPOLE, policy, 20)
    task = CARTPOLE.rollout_spec(policy)
    ours, twins = (f(task, filter, weights, seeds, True) for f in (kernels.rollouts, reference.rollouts))
    assert np.array_equal(ours.returns, twins.returns)
    assert np.array_equal(ours.status, twins.status)
    assert len(set(ours.returns)) > 3
    np.testing.assert_allclose(ours.moments.mean, twins.moments.mean, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(ours.moments.m2, twins.moments.m2, rtol=1e-7, atol=1e-12)


def test_squashing_networks_equal_their_twin():
    pendulum, policy = compiled_env("Pendulum-v1"), MlpPolicy((6, 5), Tanh())
    filter, weights, seeds = networks(pendulum, policy, 5)
    task = pendulum.rollout_spec(policy)._replace(actions=Squash())
    squashed = serially(task, filter, weights, seeds).returns
    np.testing.assert_allclose(squashed, reference.rollouts(task, filter, weights, seeds, False).returns, rtol=1e-6)
    assert not np.allclose(squashed, reference.rollouts(task._replace(actions=Clip()), filter, weights, seeds, False).returns)


def test_squashed_actions_in_lanes_equal_their_twin():
    pendulum = compiled_env("Pendulum-v1")
    filter, weights, seeds = networks(pendulum, LinearPolicy(True), 5)
    task = pendulum.rollout_spec(LinearPolicy(True))._replace(actions=Squash())
    twin = reference.rollouts(task, filter, weights, seeds, False)
    np.testing.assert_allclose(serially(task, filter, weights, seeds).returns, twin.returns, rtol=1e-6)


def test_blocks_and_threads_do_not_change_a_bit_of_networks():
    policy = MlpPolicy((6, 5))
    filter, weights, seeds = networks(CARTPOLE, policy, 60)
    task = CARTPOLE.rollout_spec(policy)
    whole = serially(task, filter, weights, seeds)
    assert same(serially(task, filter, weights, seeds, [0, 1, 2, 50, 119, 120]), whole)
    assert same(kernels.rollouts(task, filter, weights, seeds, True), whole)
    assert same(CompiledSampler(task, 3).evaluate(weights, filter, seeds, True), whole)


@pytest.mark.parametrize("activation", [Relu(), Tanh()])
def test_scores_of_a_batch_are_those_of_a_rollout(activation):
    """A replay in Gymnasium with actions computed outside of the kernel."""
    import gymnasium

    policy = MlpPolicy((6, 5), activation)
    filter, weights, seeds = networks(CARTPOLE, policy, 6, seed=1)
    lengths = serially(CARTPOLE.rollout_spec(policy), filter, weights, seeds[:6]).lengths
    env = gymnasium.make("CartPole-v1")
    for i in range(6):
        observation, _ = env.reset(seed=int(seeds[i]))
        ended, length, action = False, 0, np.empty((1, 1), np.int64)
        while not ended:
            scores = kernels.batch_action_scores(policy, weights[i], observation[None], filter)
            kernels.fill_actions(Argmax(), np.zeros(0), np.zeros(0), scores, action)
            observation, _, terminated, truncated, _ = env.step(int(action[0, 0]))
            ended, length = terminated or truncated, length + 1
        assert length == lengths[i]


@pytest.mark.parametrize("with_bias", [True, False])
def test_antithetic_networks_are_perturbed_in_all_their_weights(with_bias):
    policy = MlpPolicy((6, 5), Relu(), with_bias)
    filter, (theta, *_), seeds = networks(CARTPOLE, policy, 4)
    noise, indices = np.random.default_rng(5).standard_normal(1000).astype(np.float32), np.array([3, 500])
    both = kernels.antithetic_rollouts(CARTPOLE.rollout_spec(policy), filter, theta, 0.3, noise, indices, seeds, True)
    candidates = kernels.perturb(theta, 0.3, noise, indices)
    assert same(kernels.rollouts(CARTPOLE.rollout_spec(policy), filter, candidates, seeds, True), both)
    np.testing.assert_array_equal(
        reference.antithetic_rollouts(CARTPOLE.rollout_spec(policy), filter, theta, 0.3, noise, indices, seeds, True).returns,
        both.returns,
    )


def test_twin_knows_the_zeros_in_place_of_a_bias():
    car = compiled_env("MountainCar-v0")  # 3 scores of 2 observations
    weights = np.concatenate([np.random.default_rng(6).standard_normal((2, 6)), np.zeros((2, 3))], axis=1)
    runs = [
        reference.rollouts(
            car.rollout_spec(policy)._replace(max_steps=20), identity_filter(2), weights, np.arange(2, dtype=np.uint64), True
        )
        for policy in (LinearPolicy(False), LinearPolicy(True))
    ]
    assert same(*runs)
