"""Environments whose step gives several rewards, in everything that runs episodes."""

import contextlib
from typing import NamedTuple

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box

import fastars
from fastars import kernels
from fastars._blas import blas_is_fused, fma
from fastars._structs import NONFINITE, TERMINATED, TRUNCATED, Filter, LinearPolicy, MlpPolicy, Rollouts
from fastars._tuples import weigh
from fastars.kernels import rollout
from fastars.kernels.policy import n_weights
from fastars.samplers import make_sampler
from fastars.samplers.compiled import padded, weighted
from fastars.samplers.reference import ReferenceSampler
from fastars.scalar import uniform

WEIGHTS = [0.3, 1.7]  # of which no binary fraction is exact: the place of every rounding shows
SEEDS = np.arange(24, dtype=np.uint64)
FILTER = Filter(np.array([0.1, -0.2]), np.array([0.7, 1.3]), 5.0)


class Cart(NamedTuple):
    """A cart that should be in the middle, and should not be pushed: two rewards."""

    force: float = 2.0  # N
    edge: float = 1e9  # m, beyond it the second reward is infinite


def reset(env, rng):
    return uniform(rng, -1.0, 1.0), 0.0


def observe(env, state):
    return state


def step(env, state, action):
    x, v = state
    push = env.force * action[0]
    v = v + 0.05 * push
    x = x + 0.05 * v
    return (x, v), (-x * x, -0.1 * push * push if x < env.edge else -np.inf), abs(x) > 2.0


def step_for_place(env, state, action):
    after, rewards, terminated = step(env, state, action)
    return after, rewards[0], terminated


def step_for_place_alone(env, state, action):
    after, rewards, terminated = step(env, state, action)
    return after, (rewards[0],), terminated


SPACES = {"observation_space": Box(-10, 10, (2,)), "action_space": Box(-1, 1, (1,)), "max_episode_steps": 60}
CART = fastars.register_env("VectorCart-v0", Cart(), reset, observe, step, **SPACES, task_names=("place", "push"))


SCALAR = fastars.register_env("ScalarCart-v0", Cart(), reset, observe, step_for_place, **SPACES)
ALONE = fastars.register_env("AloneCart-v0", Cart(), reset, observe, step_for_place_alone, **SPACES)
POLICIES = {"lanes": LinearPolicy(), "alone": MlpPolicy((3,))}  # a linear policy runs in lanes, another one episode by episode


def candidates(policy):
    return np.random.default_rng(0).normal(0.0, 2.0, (12, n_weights(policy, 2, 1)))


def evaluated(env, policy=POLICIES["lanes"], reward_weights=None, make=make_sampler, **settings):
    sampler = make(env, policy, **settings)
    with contextlib.closing(sampler):
        return sampler.evaluate(candidates(policy), FILTER, SEEDS, True, reward_weights)


def looped(env, policy, reward_weights=None):
    """Returns, lengths and sums of rewards of a plain Gymnasium loop; the reward is a number unless there are weights for it."""
    episodes = []
    for j, seed in enumerate(SEEDS):
        weights = candidates(policy)[j // 2]
        observation, _ = env.reset(seed=int(seed))
        total, totals, length, ended = 0.0, 0.0, 0, False
        while not ended:
            scores = kernels.action_scores(policy, weights, observation.astype(np.float64), FILTER)
            observation, reward, terminated, truncated, _ = env.step(np.clip(scores.astype(np.float32), -1.0, 1.0))
            totals = totals + reward
            total += float(reward if reward_weights is None else np.dot(reward, reward_weights))
            length, ended = length + 1, terminated or truncated
        episodes.append((total, length, totals))
    return [np.array(column) for column in zip(*episodes, strict=True)]


def same(ours: Rollouts, theirs: Rollouts):
    """Whether all bits are the same, but for the moments, which are of another order."""
    for name in ("returns", "lengths", "status", "task_returns"):
        np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name), err_msg=name)


# --- Compiled


@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
def test_compiled_rollouts_have_the_bits_of_a_loop_over_weighted_rewards(policy):
    rollouts = evaluated(CART, policy, WEIGHTS)
    with gymnasium.make("VectorCart-v0") as env:
        returns, lengths, totals = looped(env, policy, np.array(WEIGHTS))
    np.testing.assert_array_equal(rollouts.returns, returns)
    np.testing.assert_array_equal(rollouts.lengths, lengths)
    np.testing.assert_array_equal(rollouts.task_returns, totals)
    assert {TERMINATED, TRUNCATED} == set(rollouts.status)


def test_compiled_rollouts_have_the_bits_of_a_loop_over_mo_gymnasiums_linear_reward():
    wrappers = pytest.importorskip("mo_gymnasium.wrappers")
    with gymnasium.make("VectorCart-v0") as env:
        returns, _, _ = looped(wrappers.LinearReward(env, np.array(WEIGHTS)), POLICIES["lanes"])
    np.testing.assert_array_equal(evaluated(CART, reward_weights=WEIGHTS).returns, returns)


def test_one_reward_in_a_tuple_has_the_bits_of_a_number():
    alone = evaluated(ALONE)
    with gymnasium.make("ScalarCart-v0") as env:
        returns, lengths, _ = looped(env, POLICIES["lanes"])
    np.testing.assert_array_equal(alone.returns, returns)
    np.testing.assert_array_equal(alone.lengths, lengths)
    np.testing.assert_array_equal(alone.task_returns[:, 0], returns)


def test_weights_are_ones_unless_given():
    same(evaluated(CART), evaluated(CART, reward_weights=[1.0, 1.0]))
    assert not np.array_equal(evaluated(CART).returns, evaluated(CART, reward_weights=WEIGHTS).returns)


def test_weights_change_no_return_of_a_task():
    np.testing.assert_array_equal(evaluated(CART).task_returns, evaluated(CART, reward_weights=WEIGHTS).task_returns)


def test_the_reference_gives_the_same_bits():
    ours = evaluated(CART, reward_weights=WEIGHTS)
    same(ours, evaluated(CART, reward_weights=WEIGHTS, make=lambda env, policy: ReferenceSampler(env, env.task(policy))))


def test_blocks_of_rollouts_give_task_returns(monkeypatch):
    task = weighted(CART.task(LinearPolicy()), WEIGHTS)
    rows = padded(candidates(LinearPolicy()), LinearPolicy(), 1)
    seeds = np.tile(SEEDS, 25)  # 600: several blocks
    monkeypatch.setattr(rollout, "_rollouts", getattr(rollout._rollouts, "py_func", rollout._rollouts))  # 8 s to compile
    rollouts = getattr(rollout.rollouts, "py_func", rollout.rollouts)
    many, few = rollouts(task, FILTER, rows[:1], seeds, True), rollouts(task, FILTER, rows[:1], SEEDS, True)
    np.testing.assert_array_equal(many.task_returns, np.tile(few.task_returns, (25, 1)))
    np.testing.assert_array_equal(many.returns, np.tile(few.returns, 25))
    assert np.ptp(few.task_returns, axis=0).all()


@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
def test_a_reward_that_is_not_finite_makes_all_returns_nan(policy):
    env = CART._replace(constants=CART.constants._replace(edge=0.5))
    for weights in (None, [1.0, 0.0]):
        rollouts = evaluated(env, policy, weights)
        bad = rollouts.status == NONFINITE
        assert 0 < bad.sum() < len(SEEDS)
        assert np.isnan(rollouts.returns[bad]).all()
        assert np.isnan(rollouts.task_returns[bad]).all()
        assert np.isfinite(rollouts.task_returns[~bad]).all()


@pytest.mark.parametrize("weights", [[1.0], [1.0, np.nan], [[1.0, 2.0]], [1.0, 2.0, 3.0]])
def test_weights_that_do_not_fit_are_refused(weights):
    with pytest.raises(ValueError, match="reward_weights must be 2 finite numbers, one for each task, got"):
        evaluated(CART, reward_weights=weights)


def test_a_number_as_the_reward_takes_no_weights():
    with pytest.raises(ValueError, match="reward_weights must be None where the reward is a number"):
        evaluated(SCALAR, reward_weights=[1.0])


def test_products_of_up_to_15_rewards_round_as_numpys_blas():
    rng = np.random.default_rng(0)
    for n in range(1, 16):
        for dtype in (np.float32, np.float64):
            rewards, weights = rng.standard_normal((100, n)).astype(dtype), rng.standard_normal((100, n))
            ours = [weigh(tuple(r), tuple(w), blas_is_fused()) for r, w in zip(rewards, weights, strict=True)]
            assert ours == [np.dot(r, w) for r, w in zip(rewards, weights, strict=True)]


def test_fused_products_round_once_where_all_is_finite():
    x = 1.0 + 2.0**-30
    assert fma(x, x, -1.0 - 2.0**-29) == 2.0**-60
    assert fma(np.inf, 1.0, 1.0) == np.inf
    assert np.isnan(fma(np.inf, 0.0, 1.0))
