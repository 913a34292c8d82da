"""Environments whose step gives several rewards, in everything that runs episodes."""

import contextlib
import functools
import re
import warnings
from typing import NamedTuple

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box
from gymnasium.vector.utils import batch_space

import fastars
from fastars import kernels
from fastars._compiled.blas import blas_is_fused, fma
from fastars._compiled.jit import may_vectorise
from fastars._compiled.structs import (
    FAILED,
    NONFINITE,
    TERMINATED,
    TRUNCATED,
    Filter,
    LinearPolicy,
    MlpPolicy,
    Rollouts,
    identity_filter,
)
from fastars._compiled.tuples import weigh
from fastars.envs import USER_ENVS, environment
from fastars.kernels import rollout
from fastars.kernels.policy_layout import n_weights
from fastars.samplers import make_sampler
from fastars.samplers.kernel_inputs import padded_weights, with_reward_weights
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
OURS = {env.id: env for env in (CART, SCALAR, ALONE)}
SPECS = {env_id: gymnasium.spec(env_id) for env_id in OURS}
POLICIES = {"lanes": LinearPolicy(), "alone": MlpPolicy((3,))}  # a linear policy runs in lanes, another one episode by episode


@pytest.fixture(autouse=True, scope="module")
def registered():
    """Under their ids while these tests run: those of own environments leave none behind."""
    USER_ENVS.update(OURS)
    gymnasium.registry.update(SPECS)
    yield
    for env_id in OURS:
        del USER_ENVS[env_id], gymnasium.registry[env_id]


def candidates(policy):
    return np.random.default_rng(0).normal(0.0, 2.0, (12, n_weights(policy, 2, 1)))


def on_one_thread(env, policy, **settings):  # errors of NumPy are ignored in this one alone without compilation
    return make_sampler(env, policy, n_threads=1, **settings)


def evaluated(env, policy=POLICIES["lanes"], reward_weights=None, make=on_one_thread, **settings):
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
    """Assert that all bits are the same, but for the moments, which are summed in another order."""
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
    same(ours, evaluated(CART, reward_weights=WEIGHTS, make=lambda env, policy: ReferenceSampler(env, env.rollout_spec(policy))))


def test_blocks_of_rollouts_give_task_returns(monkeypatch):
    task = with_reward_weights(CART.rollout_spec(LinearPolicy()), WEIGHTS)
    rows = padded_weights(candidates(LinearPolicy()), task)
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
    with pytest.raises(ValueError, match=r"reward_weights must be finite and of shape \(2,\), one for each task, got"):
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


# --- In Python


class Walk(gymnasium.Env):
    """A walk with three rewards, float32 as mo-gymnasium's: the reward itself, or the info's where that is a number."""

    observation_space = Box(-10, 10, (2,))
    action_space = Box(-1, 1, (1,))

    def __init__(self, in_info=False, bad=None):
        self.in_info, self.bad = in_info, bad
        if not in_info:
            self.reward_space = Box(-10, 10, (3,))

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.x, self.t = self.np_random.uniform(-1, 1, 2), 0
        return self.x.astype(np.float32), {}

    def step(self, action):
        self.x = 0.9 * self.x + 0.1 * float(action[0])
        self.t += 1
        rewards = np.array([self.x[0], -(self.x[1] ** 2), -0.01 * float(action[0]) ** 2], np.float32)
        if self.bad is not None and self.t == 5:
            rewards = self.bad
        info = {"vector_reward": rewards} if self.in_info else {}
        return self.x.astype(np.float32), (0.0 if self.in_info else rewards), False, self.t >= 5 + 10 * abs(self.x[0]), info


class Summed(gymnasium.Wrapper):
    """Makes a number of the rewards."""

    def step(self, action):
        observation, rewards, *rest = self.env.step(action)
        return observation, float(rewards.sum()), *rest


THREE = [0.1, 1.3, 7.7]
LINEAR = POLICIES["lanes"]


def in_python(env, tasks=False, **settings):
    return evaluated(environment(env, tasks=tasks), LINEAR, **settings)


def test_python_rollouts_have_the_bits_of_a_loop_over_weighted_rewards():
    found = environment(Walk)
    assert (found.n_tasks, found.task_names, found.reward_space) == (3, ("reward_0", "reward_1", "reward_2"), Box(-10, 10, (3,)))
    rollouts = in_python(Walk, reward_weights=THREE)
    returns, lengths, totals = looped(Walk(), LINEAR, np.array(THREE))
    np.testing.assert_array_equal(rollouts.returns, returns)
    np.testing.assert_array_equal(rollouts.lengths, lengths)
    np.testing.assert_allclose(rollouts.task_returns, totals, rtol=1e-6)  # of float32 here, of float64 there


def test_rewards_in_the_info_are_found_where_tasks_are_asked_for():
    assert environment(lambda: Walk(in_info=True)).n_tasks == 0
    found = environment(lambda: Walk(in_info=True), tasks=True)
    assert found.n_tasks == 3
    assert found.in_info
    same(in_python(lambda: Walk(in_info=True), tasks=True, reward_weights=THREE), in_python(Walk, reward_weights=THREE))


def test_a_wrapper_that_makes_a_number_of_the_rewards_makes_a_scalar_environment():
    for tasks in (False, True):
        assert environment(lambda: Summed(Walk()), tasks=tasks).n_tasks == 0
    assert in_python(lambda: Summed(Walk())).task_returns.shape == (len(SEEDS), 0)


def test_the_reward_itself_is_taken_where_the_info_has_one_too():
    class Both(Walk):
        def step(self, action):
            *rest, _ = super().step(action)
            return *rest, {"vector_reward": np.zeros(2)}

    found = environment(Both, tasks=True)
    assert (found.n_tasks, found.in_info) == (3, False)


def test_the_rewards_of_an_environment_that_fails_at_first_are_those_of_its_space():
    class Failing(Walk):
        def step(self, action):
            raise OSError("no network")

    assert environment(Failing).n_tasks == 3


def test_the_look_at_a_first_step_leaves_the_generator_of_the_actions():
    env = Walk()
    env.action_space = Box(-1, 1, (1,), seed=3)
    environment(env)
    assert env.action_space.sample() == Box(-1, 1, (1,), seed=3).sample()


def test_worker_processes_give_the_same_bits():
    here = in_python(Walk, reward_weights=THREE)
    same(in_python(functools.partial(Walk), reward_weights=THREE, n_workers=2), here)


@pytest.mark.parametrize("in_info", [False, True])
def test_rewards_of_another_shape_are_a_failure_that_names_it(in_info):
    env = environment(lambda: Walk(in_info, np.zeros(2)), tasks=in_info)
    failures = []
    sampler = make_sampler(env, LINEAR)
    rollouts = sampler.evaluate(candidates(LINEAR)[:1], FILTER, SEEDS[:1], False, THREE, failures.append)
    where = r"info\['vector_reward'\]" if in_info else "the reward"
    assert re.search(where + r" must have shape \(3,\), one entry for each task, got \(2,\)", failures[-1].text)
    assert rollouts.status.tolist() == [FAILED]
    assert np.isnan(rollouts.returns).all()
    assert np.isnan(rollouts.task_returns).all()


@pytest.mark.parametrize("n_workers", [1, 2])
def test_python_rewards_that_are_not_finite_make_all_returns_nan(n_workers):
    make = functools.partial(Walk, bad=np.array([np.inf, 1.0, 1.0], np.float32))
    rollouts = in_python(make, reward_weights=[0.0, 1.0, 1.0], n_workers=n_workers)
    assert (rollouts.status == NONFINITE).all()
    assert np.isnan(rollouts.returns).all()
    assert np.isnan(rollouts.task_returns).all()


def test_a_compiled_environment_gives_the_same_bits_in_python():
    python = environment("VectorCart-v0", compiled=False)
    assert (python.task_names, python.reward_space) == (CART.task_names, CART.reward_space)
    same(evaluated(python, reward_weights=WEIGHTS), evaluated(CART, reward_weights=WEIGHTS))


# --- In vector environments


class Walks(gymnasium.vector.VectorEnv):
    """Walks side by side, which wait to be reset where they have ended."""

    metadata = {"autoreset_mode": gymnasium.vector.AutoresetMode.DISABLED}  # noqa: RUF012

    def __init__(self, n, **settings):
        self.envs = [Walk(**settings) for _ in range(n)]
        self.num_envs = n
        self.single_observation_space, self.single_action_space = Walk.observation_space, Walk.action_space
        self.observation_space = batch_space(Walk.observation_space, n)
        self.action_space = batch_space(Walk.action_space, n)
        if hasattr(self.envs[0], "reward_space"):
            self.reward_space = self.envs[0].reward_space

    def reset(self, *, seed=None, options=None):
        seeds = seed if isinstance(seed, list) else [seed] * self.num_envs
        mask = (options or {}).get("reset_mask", np.ones(self.num_envs, bool))
        for i in np.flatnonzero(mask):
            self.envs[i].reset(seed=seeds[i])
        return np.array([env.x.astype(np.float32) for env in self.envs]), {}

    def step(self, actions):
        observations, rewards, terminated, truncated, infos = zip(*map(Walk.step, self.envs, actions), strict=True)
        info = {"vector_reward": np.array([info["vector_reward"] for info in infos])} if infos[0] else {}
        return np.array(observations), np.array(rewards), np.array(terminated), np.array(truncated), info


@pytest.mark.parametrize("in_info", [False, True])
def test_a_vector_environment_gives_the_bits_of_single_ones(in_info):
    assert environment(Walks(4, in_info=in_info), tasks=in_info).n_tasks == 3
    ours = in_python(Walks(4, in_info=in_info), tasks=in_info, reward_weights=THREE)
    same(ours, in_python(Walk, reward_weights=THREE))


def test_vector_rewards_that_are_not_finite_make_all_returns_nan():
    rollouts = in_python(Walks(3, bad=np.array([np.nan, 1.0, 1.0], np.float32)), reward_weights=[0.0, 1.0, 1.0])
    assert (rollouts.status == NONFINITE).all()
    assert np.isnan(rollouts.returns).all()
    assert np.isnan(rollouts.task_returns).all()


def test_a_vector_environment_whose_rewards_change_their_shape_is_named():
    with pytest.raises(ValueError, match=r"step gave rewards of shape \(4, 2\), not \(4, 3\)"):
        in_python(Walks(4, bad=np.zeros(2)), reward_weights=THREE)


@pytest.mark.parametrize("mode", ["NextStep", "SameStep"])
def test_make_vec_of_a_compiled_environment_gives_the_rewards_of_single_ones(mode):
    envs = gymnasium.make_vec("VectorCart-v0", 3, autoreset_mode=mode)
    assert envs.reward_space == CART.reward_space
    singles = [gymnasium.make("VectorCart-v0") for _ in range(3)]
    actions = np.random.default_rng(0).uniform(-1, 1, (100, 3, 1)).astype(np.float32)
    envs.reset(seed=0)
    for i, single in enumerate(singles):
        single.reset(seed=i)
    due = np.zeros(3, bool)
    for batch in actions:
        _, rewards, terminated, truncated, _ = envs.step(batch)
        assert rewards.shape == (3, 2)
        for i, single in enumerate(singles):
            if due[i]:
                assert rewards[i].tolist() == [0.0, 0.0]
                single.reset()
            else:
                assert rewards[i].tolist() == single.step(batch[i])[1].tolist()
                if mode == "SameStep" and (terminated[i] or truncated[i]):
                    single.reset()
        due = (terminated | truncated) if mode == "NextStep" else due


def test_check_env_compares_every_reward():
    report = fastars.check_env("VectorCart-v0", rtol=0, atol=0, n_episodes=3)
    assert report.largest_difference == 0.0
    assert report.vectorised or not may_vectorise()

    class Off(gymnasium.Wrapper):
        def step(self, action):
            observation, rewards, *rest = self.env.step(action)
            return observation, rewards + [0.0, 0.1], *rest

    with gymnasium.make("VectorCart-v0") as env, pytest.raises(fastars.EnvMismatchError, match="step 1: reward 'push' is"):
        fastars.check_env("VectorCart-v0", Off(env), n_episodes=1)
    with gymnasium.make("ScalarCart-v0") as env, pytest.raises(fastars.EnvMismatchError, match=r"reward has shape \(2,\) compiled"):
        fastars.check_env("VectorCart-v0", env, n_episodes=1)


# --- Registered


def register(step=step, **settings):
    return fastars.register_env("Refused-v0", Cart(), reset, observe, step, **SPACES, **settings)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"task_names": ("a",)}, "task_names must be 2 different names, one for each reward, got"),
        ({"task_names": ("a", "a")}, "task_names must be 2 different names"),
        ({"reward_space": Box(-1, 1, (3,))}, r"reward_space must be a Box of shape \(2,\), as step gives 2 rewards"),
        ({"step": step_for_place, "task_names": ("a",)}, "task_names must be None where step gives a number as the reward"),
        ({"step": step_for_place, "reward_space": Box(-1, 1, (1,))}, "reward_space must be None where step gives a number"),
    ],
)
def test_names_and_spaces_that_do_not_fit_the_rewards_are_refused(settings, said):
    with pytest.raises(ValueError, match=said):
        register(**settings)
    assert "Refused-v0" not in gymnasium.registry


def test_rewards_of_other_kinds_and_of_changing_number_are_refused():
    with pytest.raises(TypeError, match="step must give a number as the reward, or a tuple of numbers, got tuple: "):
        register(lambda env, state, action: (state, (), False))
    with pytest.raises(TypeError, match="or a tuple of numbers, got list"):
        register(lambda env, state, action: (state, [1.0], False))
    with pytest.raises(ValueError, match="as many rewards at every step, got a tuple of 2 and then a number"):
        register(lambda env, state, action: (state, (1.0, 2.0) if action[0] < 0 else 0.0, False))


def test_rewards_have_names_and_a_space_if_none_are_given():
    found = fastars.register_env("Unnamed-v0", Cart(), reset, observe, step, **SPACES)
    assert found.task_names == ("reward_0", "reward_1")
    assert found.reward_space == Box(-np.inf, np.inf, (2,), np.float64)


# --- mo-gymnasium's


@pytest.fixture
def mo():
    """mo-gymnasium, whose environments warn of the precision of their own bounds."""
    mo = pytest.importorskip("mo_gymnasium")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*precision lowered by casting.*")
        yield mo


@pytest.fixture
def policy_of():
    """Twelve candidates for an environment, each with two episodes."""
    return lambda env: np.random.default_rng(0).standard_normal((12, n_weights(LINEAR, env.n_obs, env.n_act)))


def loop_over(env, weights):
    """The returns of a loop over an environment of a Discrete action space."""
    returns = []
    for j, seed in enumerate(SEEDS):
        observation, _ = env.reset(seed=int(seed))
        total, ended = 0.0, False
        while not ended:
            filter = identity_filter(len(observation))
            scores = kernels.action_scores(LINEAR, weights[j // 2], observation.astype(np.float64), filter)
            observation, reward, terminated, truncated, _ = env.step(int(np.argmax(scores)))
            total, ended = total + float(reward), terminated or truncated
        returns.append(total)
    return returns


def test_mo_gymnasiums_environments_have_the_bits_of_their_linear_reward(mo, policy_of):
    weights = np.array(WEIGHTS)
    make = functools.partial(mo.make, "mo-mountaincar-timespeed-v0", max_episode_steps=30)
    vector = mo.wrappers.vector.MOSyncVectorEnv([make] * 3)
    returns = None
    for env in (make, make(), vector):
        found = environment(env, compiled=False)
        assert (found.n_tasks, found.reward_space) == (2, make().unwrapped.reward_space)
        candidates = policy_of(found)
        with contextlib.closing(make_sampler(found, LINEAR)) as sampler:
            rollouts = sampler.evaluate(candidates, identity_filter(found.n_obs), SEEDS, False, weights)
        returns = returns or loop_over(mo.wrappers.LinearReward(make(), weights), candidates)
        assert rollouts.returns.tolist() == returns
    assert len(set(returns)) > 10


def test_linear_reward_is_a_scalar_environment_unless_tasks_are_asked_for(mo):
    env = mo.wrappers.LinearReward(mo.make("mo-mountaincar-v0"), np.array([0.3, 1.7, 0.9]))
    assert environment(env).n_tasks == 0
    found = environment(env, tasks=True)
    assert (found.n_tasks, found.in_info, found.reward_space) == (3, True, env.unwrapped.reward_space)


def test_gymnasiums_checker_says_nothing_of_several_rewards(mo):
    env = environment("mo-mountaincar-v0", compiled=False).maker()()
    env.reset(seed=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _, reward, *_ = env.step(0)
    assert np.shape(reward) == (3,)


# --- Evaluation


class Still:
    """A model that does nothing."""

    def predict(self, observation, deterministic=True):
        return np.full(1, 0.5, np.float32), None


def test_evaluate_candidates_takes_weights_of_rewards():
    rows = candidates(LINEAR)
    ours = fastars.evaluate_candidates(CART, rows, SEEDS[:12], reward_weights=WEIGHTS)
    with contextlib.closing(make_sampler(CART, LINEAR)) as sampler:
        same(ours, sampler.evaluate(rows, identity_filter(2), SEEDS[:12], False, WEIGHTS))
    in_info = fastars.evaluate_candidates(lambda: Walk(in_info=True), rows, SEEDS[:12], reward_weights=THREE)
    same(in_info, fastars.evaluate_candidates(Walk, rows, SEEDS[:12], reward_weights=THREE))


def test_evaluate_policy_gives_the_mean_of_every_reward_or_of_the_weighted_one():
    returns, lengths = fastars.evaluate_policy(Still(), Walk(), 4, seed=0, return_episode_rewards=True)
    assert np.shape(returns) == (4, 3)
    mean, std = fastars.evaluate_policy(Still(), Walk(), 4, seed=0)
    np.testing.assert_array_equal(mean, np.mean(returns, axis=0))
    np.testing.assert_array_equal(std, np.std(returns, axis=0))
    for env in (Walk(), Walk(in_info=True)):
        weighted, same_lengths = fastars.evaluate_policy(Still(), env, 4, seed=0, return_episode_rewards=True, reward_weights=THREE)
        np.testing.assert_allclose(weighted, np.array(returns) @ THREE)
        assert same_lengths == lengths
        assert isinstance(fastars.evaluate_policy(Still(), env, 4, seed=0, reward_weights=THREE)[0], float)


def test_evaluate_policy_refuses_weights_that_do_not_fit():
    with pytest.raises(ValueError, match=r"there are 2, and the step gave rewards of shape \(3,\)"):
        fastars.evaluate_policy(Still(), Walk(), reward_weights=WEIGHTS)
    with pytest.raises(ValueError, match="there are 2, and the step gave a number as its reward"):
        fastars.evaluate_policy(Still(), Summed(Walk()), reward_weights=WEIGHTS)
    with pytest.raises(ValueError, match=r"reward_weights must be finite and of shape \(1,\)"):
        fastars.evaluate_policy(Still(), Walk(), reward_weights=[np.nan])


def test_tasks_of_a_mujoco_environment_are_the_terms_of_its_reward():
    pytest.importorskip("mujoco")
    assert environment("Reacher-v5").n_tasks == 0
    for env in ("Reacher-v5", gymnasium.make("Reacher-v5")):
        assert environment(env, tasks=True).task_names == ("dist", "ctrl")
    python = environment("Reacher-v5", compiled=False, tasks=True)
    assert (python.task_names, type(python).__name__) == (("dist", "ctrl"), "GymEnv")
