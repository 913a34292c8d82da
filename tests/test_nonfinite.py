"""NaN, infinite and huge rewards and observations: what they touch is dropped and counted, theta and filter stay finite.

Broken on purpose: every pair is taken for a finite one -> test_pairs_with_a_bad_reward_are_dropped_and_counted_exactly,
test_where_no_pair_is_left_ten_iterations_are_an_error, test_penalized_pairs_are_those_with_one_bad_reward and
test_raise_ends_the_run_where_the_first_bad_reward_is red; penalized pairs counted as dropped, too ->
test_penalized_pairs_are_those_with_one_bad_reward red; `tick` acts on bad observations ->
test_bad_observations_end_their_episode_and_are_not_in_the_filter and test_bad_numbers_of_one_of_several_environments red; NumPy
warns of the sum over several environments -> test_bad_numbers_of_one_of_several_environments red; `np.argmax` in the reference ->
test_scores_that_are_no_numbers_give_the_same_actions_in_kernels_and_twins red.
"""

import contextlib
import functools
import itertools
import math
from typing import NamedTuple

import faulty_envs
import gymnasium
import numba
import numpy as np
import pytest
from gymnasium.spaces import Box
from gymnasium.vector import AutoresetMode

import fastars
from fastars import ARS, NonFiniteReturnsError, kernels, reference
from fastars._compiled.structs import NONFINITE, TERMINATED, Argmax, Choices, Clip, Signs, Squash, Unclipped
from fastars.envs import USER_ENVS
from fastars.scalar import uniform

pytestmark = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="the environments are the same functions then")
N_STEPS, AT = 4, 2  # of an episode; the step in which a bad number comes
SEED = 7  # one in 10,000 of its episodes is in the first two iterations of 100 directions


class Spoiled(NamedTuple):
    """A target that the action should meet. One in so many episodes has a bad number: NaN, infinity or -infinity in turn."""

    rate: float = 0.0  # of the episodes
    in_observation: bool = False


def reset(env, rng):
    return uniform(rng, -1.0, 1.0), uniform(rng, 0.0, 1.0), 0


def bad_number(env, state):
    """0.0 where all is well."""
    _, luck, n = state
    third = math.floor(3e9 * luck) % 3
    number = math.nan if third == 0 else math.inf if third == 1 else -math.inf
    return number if n == AT and luck < env.rate else 0.0


def observe(env, state):
    return state[0] + (bad_number(env, state) if env.in_observation else 0.0), 0.1 * state[2]


def step(env, state, action):
    target, luck, n = state
    after = target, luck, n + 1
    miss = action[0] - target
    return after, -miss * miss + (0.0 if env.in_observation else bad_number(env, after)), n + 1 == N_STEPS


def step_for_two(env, state, action):
    after, reward, terminated = step(env, state, action)
    return after, (-abs(action[0]), reward), terminated


SPACES = {"observation_space": Box(-2, 2, (2,)), "action_space": Box(-1, 1, (1,)), "max_episode_steps": 10}
OURS = {
    env_id: fastars.register_env(env_id, Spoiled(), reset, observe, function, **SPACES)
    for env_id, function in (("Spoiled-v0", step), ("SpoiledTwo-v0", step_for_two))
}
SPECS = {env_id: gymnasium.spec(env_id) for env_id in OURS}


@pytest.fixture(autouse=True, scope="module")
def registered():
    """Under their ids while these tests run: those of own environments leave none behind."""
    USER_ENVS.update(OURS)
    gymnasium.registry.update(SPECS)
    yield
    for env_id in OURS:
        del USER_ENVS[env_id], gymnasium.registry[env_id]


def spoiled(env_id, **constants):
    return gymnasium.make(env_id, disable_env_checker=True, **constants)


WAYS = {
    "compiled": {},
    "in Python": {"compiled": False},
    "in workers": {"compiled": False, "n_workers": 2},
    "reference": {"backend": "numpy"},
}


@contextlib.contextmanager
def model_of(env_id, constants, way, **settings):
    model = ARS("LinearPolicy", spoiled(env_id, **constants), seed=SEED, noise_size=1 << 16, **WAYS[way], **settings)
    yield model
    model.close()


def iterate(model, n):
    for _ in range(n):
        model.learn(1, reset_num_timesteps=False)


@functools.cache
def replayed(env_id, constants, n_delta, n_iterations):
    """A plain loop over the episodes of a run, (n_iterations, n_delta, 2): which have a sum of rewards that is not finite.

    Whether one does depends on its seed alone, so any actions will do.
    """
    env, is_bad = spoiled(env_id, **constants._asdict()), np.zeros((n_iterations, n_delta, 2), bool)
    for iteration in range(n_iterations):
        seeds = reference.episode_seeds(np.uint64(SEED), iteration, n_delta, 1, False)
        for place in np.ndindex(n_delta, 2):
            env.reset(seed=int(seeds[place][0]))
            total, ended = 0.0, False
            while not ended:
                _, reward, terminated, truncated, _ = env.step(np.zeros(1, np.float32))
                total, ended = total + np.sum(reward), terminated or truncated
            is_bad[(iteration, *place)] = not np.isfinite(total)
    return is_bad


# --- Rewards

RATES = {1e-4: 100, 1e-2: 50, 0.5: 8}  # of bad episodes, and directions that go with it


@pytest.mark.promise(7)
@pytest.mark.parametrize("env_id", OURS)
@pytest.mark.parametrize("rate", RATES)
def test_pairs_with_a_bad_reward_are_dropped_and_counted_exactly(rate, env_id, tally):
    """The count is that of a plain loop over the same seeds, and theta the same whoever runs the episodes."""
    n_iterations = tally.of(fast=10, full=200)
    is_bad = replayed(env_id, Spoiled(rate), RATES[rate], n_iterations)
    ways = [way for way in WAYS if way != "in workers" or rate == 0.5 or tally.is_full]
    thetas = {}
    for way in ways:
        with model_of(env_id, {"rate": rate}, way, n_delta=RATES[rate]) as model:
            iterate(model, n_iterations)
        thetas[way] = model.theta
        assert model.dropped_pairs == is_bad.any(axis=2).sum() > 0
        assert model.record["health/nonfinite_returns"] == model.dropped_pairs
        assert np.isfinite(model.theta).all()
        assert model.theta.any()
    assert all(np.array_equal(theta, thetas["compiled"]) for theta in thetas.values())
    n_pairs = len(ways) * int(is_bad.any(axis=2).sum())
    tally(f"pairs dropped in {env_id}, {rate:g} of episodes bad", n_pairs, of=n_pairs)


@pytest.mark.promise(7)
@pytest.mark.parametrize("env_id", OURS)
def test_where_no_pair_is_left_ten_iterations_are_an_error(env_id, tally):
    ways = [way for way in WAYS if way != "in workers" or tally.is_full]
    for way in ways:
        with model_of(env_id, {"rate": 1.0}, way, n_delta=3) as model:
            iterate(model, 9)
            with pytest.raises(NonFiniteReturnsError, match="no pair of candidates had finite returns for 10 iterations"):
                iterate(model, 1)
        assert not model.theta.any()
        assert (model.iteration, model.num_updates, model.dropped_pairs) == (10, 0, 30)
    tally(f"runs ended after ten iterations without a pair, {env_id}", len(ways), of=len(ways))


@pytest.mark.promise(7)
def test_penalized_pairs_are_those_with_one_bad_reward(tally):
    n_iterations = tally.of(fast=10, full=200)
    n_bad = replayed("Spoiled-v0", Spoiled(0.5), 8, n_iterations).sum(axis=2)
    ways = [way for way in WAYS if way != "in workers" or tally.is_full]
    thetas = []
    for way in ways:
        with model_of("Spoiled-v0", {"rate": 0.5}, way, n_delta=8, on_nonfinite="penalize") as model:
            iterate(model, n_iterations)
        assert model.penalized_pairs == (n_bad == 1).sum() > 0
        assert model.dropped_pairs == (n_bad == 2).sum() > 0
        assert np.isfinite(model.theta).all()
        thetas.append(model.theta)
    assert all(np.array_equal(theta, thetas[0]) for theta in thetas)
    n_pairs = len(ways) * int((n_bad == 1).sum())
    tally("pairs penalized, 0.5 of episodes bad", n_pairs, of=n_pairs)


@pytest.mark.parametrize("env_id", OURS)
@pytest.mark.parametrize("way", ["compiled", "in Python", "reference"])
def test_raise_ends_the_run_where_the_first_bad_reward_is(way, env_id):
    is_bad = replayed(env_id, Spoiled(1e-2), 50, 10).any(axis=(1, 2))
    with model_of(env_id, {"rate": 1e-2}, way, n_delta=50, on_nonfinite="raise") as model:
        with pytest.raises(NonFiniteReturnsError, match=r"\d of 50 pairs had a NaN or infinite return; theta is unchanged"):
            iterate(model, 10)
        assert model.iteration == np.argmax(is_bad)
        assert np.isfinite(model.theta).all()


@pytest.mark.parametrize("env_id", OURS)
def test_an_evaluation_says_how_many_episodes_have_no_return(env_id, caplog):
    with model_of(env_id, {"rate": 0.3}, "compiled", n_delta=1) as model:
        found = model.evaluate(100)
    n = int(np.isnan(found.returns).sum())
    assert 0 < n < 100
    (record,) = caplog.records
    text = f"of 100 episodes of an evaluation, {n} have no return: {n} with a NaN or infinite observation or reward"
    assert record.getMessage() == f"{env_id}: {text}"


# --- Observations


class Seen(NamedTuple):
    """Moments of all observations of a run before the bad ones."""

    count: int
    mean: np.ndarray
    variance: np.ndarray
    statuses: list  # by episode


@functools.cache
def seen(rate, n_delta, n_iterations):
    """The same by a plain loop: observations of this environment don't depend on actions."""
    env, observations, statuses = spoiled("Spoiled-v0", rate=rate, in_observation=True), [], []
    for iteration in range(n_iterations):
        for seed in reference.episode_seeds(np.uint64(SEED), iteration, n_delta, 1, False).ravel():
            observation, _ = env.reset(seed=int(seed))
            ended = False
            while not ended and np.isfinite(observation).all():
                observations.append(observation.astype(np.float64))
                observation, _, ended, _, _ = env.step(np.zeros(1, np.float32))
            statuses.append(TERMINATED if ended else NONFINITE)
    return Seen(len(observations), np.mean(observations, axis=0), np.var(observations, axis=0), statuses)


def in_vector_env(mode):
    def make(rate):
        one = functools.partial(spoiled, "Spoiled-v0", rate=rate, in_observation=True)
        return gymnasium.vector.SyncVectorEnv([one] * 3, autoreset_mode=mode)

    return make


class Watched:
    """A sampler that keeps how episodes ended."""

    takes_perturbed = False

    def __init__(self, sampler):
        self.sampler, self.statuses = sampler, []

    takes_perturbed = False

    def evaluate(self, *arguments):
        rollouts = self.sampler.evaluate(*arguments)
        self.statuses += rollouts.status.tolist()
        return rollouts

    def close(self):
        self.sampler.close()


LAYERS = {"policy": "MlpPolicy", "policy_kwargs": {"net_arch": [3]}, "zero_policy": False}
OBSERVERS = {way: (None, {"policy": "LinearPolicy", **settings}) for way, settings in WAYS.items()}
OBSERVERS["compiled, network"] = (None, LAYERS)
OBSERVERS |= {f"vector environment, {mode.name}": (in_vector_env(mode), {"policy": "LinearPolicy"}) for mode in AutoresetMode}


@pytest.mark.promise(8)
@pytest.mark.parametrize("way", OBSERVERS)
def test_bad_observations_end_their_episode_and_are_not_in_the_filter(way, tally):
    """Counts, mean and deviation are those of a plain loop that stops at the bad ones."""
    make, settings = OBSERVERS[way]
    n_iterations = tally.of(fast=4, full=100)
    expected = seen(0.3, 8, n_iterations)
    env = make(0.3) if make else spoiled("Spoiled-v0", rate=0.3, in_observation=True)
    model = ARS(env=env, seed=SEED, n_delta=8, variant="V2", noise_size=1 << 16, **settings)
    model.sampler = Watched(model.sampler)
    iterate(model, n_iterations)
    model.close()
    assert model.sampler.statuses == expected.statuses
    assert 0 < expected.statuses.count(NONFINITE) < len(expected.statuses)
    count, mean, m2 = model.state.moments
    assert count == model.num_timesteps == expected.count
    np.testing.assert_allclose(mean, expected.mean, rtol=1e-12)
    np.testing.assert_allclose(m2 / count, expected.variance, rtol=1e-12)
    assert all(np.isfinite(part).all() for part in (*model.policy.filter[:2], model.theta))
    n_bad = expected.statuses.count(NONFINITE)
    tally(f"bad observations kept out, {way}", n_bad, of=n_bad)


@pytest.mark.promise(8)
def test_huge_observations_are_not_in_the_filter(tally):
    """1e300 is a number like others, and its episode goes on; but its square is none: the filter learns nothing of that episode."""
    n_iterations, n = tally.of(fast=3, full=100), 0
    seeds = [int(s) for i in range(n_iterations) for s in reference.episode_seeds(np.uint64(SEED), i, 8, 1, False).ravel()]
    good = [seed for seed in seeds if seed >= 1 << 31]
    assert 0 < len(good) < len(seeds)
    make = faulty_envs.make(faulty_envs.gives_huge_observation, n_bad=1 << 31)
    vector_envs = [gymnasium.vector.SyncVectorEnv([make] * 3, autoreset_mode=mode) for mode in AutoresetMode]
    for env, n_workers in ((make, 1), (make, 2), *((env, 1) for env in vector_envs)):
        model = ARS("LinearPolicy", env, seed=SEED, n_delta=8, variant="V2", n_workers=n_workers)
        model.sampler = Watched(model.sampler)
        iterate(model, n_iterations)
        model.close()
        assert set(model.sampler.statuses) == {TERMINATED}
        assert model.num_timesteps == sum(faulty_envs.N_STEPS - seed % 3 for seed in seeds)
        assert model.state.moments[0] == sum(faulty_envs.N_STEPS - seed % 3 for seed in good)
        assert (np.abs(model.state.moments[1]) < 10.0).all()
        assert all(np.isfinite(part).all() for part in (*model.policy.filter[:2], model.theta))
        n += len(seeds) - len(good)
    tally("episodes with an observation of 1e300 passed over", n, of=n)


@pytest.mark.promise(8)
@pytest.mark.parametrize("fault", ["huge_observation", "nan_observation", "nan_reward", "huge_reward"])
def test_bad_numbers_of_one_of_several_environments(fault, tally):
    """The other one is as it is; where a weighted return is not finite, the pair is dropped."""
    n_iterations = tally.of(fast=3, full=100)
    bad = faulty_envs.make(getattr(faulty_envs, f"gives_{fault}"), n_bad=1 << 31)
    model = ARS("LinearPolicy", [bad, faulty_envs.Line], seed=SEED, n_delta=8, variant="V2", preference=[2.0, 1.0])
    model.sampler = Watched(model.sampler)
    iterate(model, n_iterations)
    seeds = [reference.episode_seeds(np.uint64(SEED), i, 8, 1, False)[:, :, 0] for i in range(n_iterations)]
    is_bad = np.array(seeds) < 1 << 31
    assert 0 < is_bad.sum() < is_bad.size
    assert model.dropped_pairs == (0 if fault == "huge_observation" else is_bad.any(axis=2).sum())
    lengths = 2 * (faulty_envs.N_STEPS - np.array(seeds) % 3)
    assert (model.state.moments[0] == lengths[~is_bad].sum()) == (fault == "huge_observation")
    assert (np.abs(model.state.moments[1]) < 10.0).all()
    assert all(np.isfinite(part).all() for part in (*model.policy.filter[:2], model.theta))
    assert model.theta.any()
    tally(f"episodes of several environments with a {fault.replace('_', ' ')}", int(is_bad.sum()), of=int(is_bad.sum()))


def test_what_is_too_large_for_the_space_is_infinite():
    """As in a space of float32."""
    model = ARS("LinearPolicy", faulty_envs.HugeForItsSpace, seed=SEED, n_delta=2, variant="V2")
    rollouts = model.sampler.evaluate(np.zeros((2, 2)), model.policy.filter, np.arange(2, dtype=np.uint64), True)
    assert rollouts.status.tolist() == [NONFINITE] * 2
    assert rollouts.lengths.tolist() == [faulty_envs.AT] * 2


# --- Policies


@pytest.mark.parametrize("size", [1e150, 1e300, 1.7e308])
@pytest.mark.parametrize("env_id", ["CartPole-v1", "Pendulum-v1"])
@pytest.mark.parametrize("variant", ["V1", "V2"])
def test_a_huge_policy_warns_of_nothing_and_stays_finite(env_id, variant, size):
    """Its scores are infinite, or NaN; the kernels and the environments in Python make the same of them."""
    found = []
    for way in ("compiled", "in Python", "reference"):
        model = ARS("LinearPolicy", env_id, seed=SEED, n_delta=2, max_episode_steps=20, variant=variant, **WAYS[way])
        model.policy.load_from_vector(np.resize([size, -size, size], model.n_weights))
        iterate(model, 2)
        assert np.isfinite(model.theta).all()
        assert np.isfinite(model.policy.filter[:2]).all()
        found.append((model.dropped_pairs, model.num_timesteps, model.evaluate(5).status.tolist()))
    assert found[0] == found[1] == found[2]


SCORES = np.array(list(itertools.product([math.nan, math.inf, -math.inf, 1e300, -1e300, 0.0, 1.0], repeat=3)))
BOX = np.array([-1, -2, -5], np.float32), np.array([1, 2, 5], np.float32)
FORMS = [
    (Argmax(3), 1),
    (Choices(np.array([0, -1]), np.array([2, 1])), 2),
    (Signs(), 3),
    (Clip(), 3),
    (Unclipped(), 3),
    (Squash(), 3),
]


@pytest.mark.parametrize(("form", "n"), FORMS, ids=lambda value: type(value).__name__)
def test_scores_that_are_no_numbers_give_the_same_actions_in_kernels_and_twins(form, n):
    dtype = np.float32 if isinstance(form, (Clip, Unclipped, Squash)) else np.int64
    ours, theirs = np.empty((2, len(SCORES), n), dtype)
    kernels.fill_actions(form, *BOX, SCORES, ours)
    reference.fill_actions(form, *BOX, SCORES, theirs)
    np.testing.assert_array_equal(ours, theirs)
