"""Environments with vector rewards against mo-gymnasium's own, and the pendulum against Gymnasium's."""

import copy
import math
import pickle
import sys

import gymnasium
import numba
import numpy as np
import pytest

from fastars import UnsupportedEnvError, compiled_env_ids, evaluate_candidates
from fastars._compiled.rng import seed_generator
from fastars.envs import compiled_env, environment
from fastars.envs.multi.deep_sea_treasure import MAPS, sea_map
from fastars.envs.multi.water_reservoir import draw_below

pytestmark = pytest.mark.filterwarnings("ignore:.*precision lowered by casting:UserWarning")  # of mo-gymnasium's spaces

IDS = compiled_env_ids("multi")
THEIRS = [env_id.removeprefix("fastars/") for env_id in IDS if env_id != "fastars/mo-pendulum-v0"]
# What else the arguments change.
CHANGED = [
    ("mo-mountaincar-v0", {"goal_velocity": 0.02}),
    ("mo-mountaincarcontinuous-v0", {"goal_velocity": 0.02}),
    ("deep-sea-treasure-v0", {"float_state": True}),
    ("water-reservoir-v0", {"nO": 3, "penalize": True}),
    ("water-reservoir-v0", {"nO": 4}),
    ("water-reservoir-v0", {"normalized_action": True, "penalize": True}),
]
VARIANTS = [*((env_id, {}) for env_id in THEIRS), *CHANGED]
# Their velocities come from another cosine than the C library's: the last bit differs at about 4 % of angles.
WITHIN_1E_6 = ("mo-mountaincar",)


@pytest.fixture(scope="module")
def mo_gymnasium():
    return pytest.importorskip("mo_gymnasium", reason="compares with mo-gymnasium")


def label(value):
    return "+".join(value) or "as it is" if isinstance(value, dict) else str(value)


def actions_of(env, rng):
    """Actions all over the space and beyond its bounds, every fourth on one. A car is mostly pushed the way it goes."""
    name = env.spec.id.removeprefix("fastars/")

    def action(observation, t):
        if "mountaincar" in name and rng.random() < 0.9:
            push = 1.0 if observation[1] >= 0.0 else -1.0
            return 1 + int(push) if hasattr(env.action_space, "n") else np.array([push * rng.uniform(0.5, 1.5)], np.float32)
        if hasattr(env.action_space, "n"):
            return int(rng.integers(env.action_space.n))
        low, high = env.action_space.low, np.minimum(env.action_space.high, 150.0)
        if t % 4 == 0:
            return low if t % 8 else high
        return (low + (high - low) * rng.uniform(-0.2, 1.2, 1)).astype(np.float32)

    return action


def assert_equal(ours, theirs, exact):
    assert ours.dtype == theirs.dtype
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, rtol=0.0, atol=0.0 if exact else 1e-6)


@pytest.mark.parametrize(("env_id", "kwargs"), VARIANTS, ids=label)
def test_a_thousand_steps_equal_mo_gymnasiums(mo_gymnasium, env_id, kwargs):
    """Observations, vector rewards and ends; episodes start with seeds 0, 1, ..., of which some end by themselves."""
    theirs = mo_gymnasium.make(env_id, **kwargs)
    ours = gymnasium.make(f"fastars/{env_id}", **kwargs)
    assert ours.observation_space == theirs.observation_space
    assert ours.action_space == theirs.action_space
    assert ours.unwrapped.reward_space == theirs.unwrapped.reward_space
    assert len(ours.unwrapped.task_names) == ours.unwrapped.reward_dim == theirs.unwrapped.reward_dim
    exact = not env_id.startswith(WITHIN_1E_6)
    action = actions_of(ours, np.random.default_rng(5))
    ended, seed, n_terminated = True, 0, 0
    for t in range(1000):
        if ended:
            (mine, _), (observation, _) = ours.reset(seed=seed), theirs.reset(seed=seed)
            assert_equal(mine, observation, exact=True)
            seed += 1
        chosen = action(observation, t)
        mine, my_reward, *my_ends, _ = ours.step(chosen)
        observation, reward, *ends, _ = theirs.step(chosen)
        assert_equal(mine, np.asarray(observation), exact)
        assert_equal(my_reward, reward, exact)
        assert my_ends == ends
        ended, n_terminated = any(ends), n_terminated + ends[0]
    assert (n_terminated > 0) != env_id.startswith("water")


@pytest.mark.parametrize("env_id", [env_id for env_id in THEIRS if env_id.startswith("deep")])
def test_every_move_in_the_sea_is_mo_gymnasiums(mo_gymnasium, env_id):
    ours, theirs = gymnasium.make(f"fastars/{env_id}").unwrapped, mo_gymnasium.make(env_id).unwrapped
    treasures = 0
    for row, column in np.argwhere(theirs.sea_map == 0):  # an episode ends where a treasure is
        for action in range(4):
            ours.state, theirs.current_state = (float(row), float(column)), np.array([row, column], np.int32)
            observation, reward, terminated, *_ = ours.step(action)
            their_observation, their_reward, their_terminated, *_ = theirs.step(action)
            assert_equal(observation, their_observation, exact=True)
            assert_equal(reward, their_reward, exact=True)
            assert terminated == their_terminated
            treasures += terminated
    assert treasures >= 10


@pytest.mark.parametrize(("env_id", "kwargs"), [(env_id, {}) for env_id in THEIRS] + CHANGED[3:4], ids=label)
def test_initial_states_have_mo_gymnasiums_bits(mo_gymnasium, env_id, kwargs):
    theirs, ours = mo_gymnasium.make(env_id, **kwargs), gymnasium.make(f"fastars/{env_id}", **kwargs)
    for seed in [*range(300), 2**32 - 1, 2**32, 2**63 + 5]:
        assert_equal(ours.reset(seed=seed)[0], theirs.reset(seed=seed)[0], exact=True)


def test_draw_below_is_numpys_even_where_draws_are_rejected():
    @numba.njit
    def draws(n, seeds):
        out, rng = np.zeros(len(seeds), np.uint64), np.zeros(4, np.uint64)
        for i in range(len(seeds)):
            seed_generator(rng, seeds[i])
            out[i] = draw_below(n, rng)
        return out

    n = 3_000_000_000  # 30 % of draws are rejected
    seeds = np.arange(1000, dtype=np.uint64)
    theirs = [np.random.Generator(np.random.PCG64(int(seed))).integers(n, size=1)[0] for seed in seeds]
    assert draws(n, seeds).tolist() == theirs


def test_maps_are_mo_gymnasiums(mo_gymnasium):
    from mo_gymnasium.envs.deep_sea_treasure import deep_sea_treasure as theirs

    for name, their_map in zip(MAPS, (theirs.DEFAULT_MAP, theirs.CONCAVE_MAP, theirs.MIRRORED_MAP), strict=True):
        assert np.array_equal(sea_map(name), their_map)
        made = gymnasium.make("fastars/deep-sea-treasure-v0", dst_map=their_map)
        compiled = compiled_env(made)
        assert compiled.kwargs == ({} if name == "convex" else {"dst_map": name})
        assert compiled == compiled_env(mo_gymnasium.make("deep-sea-treasure-v0", dst_map=their_map))


def test_weighted_pendulum_is_gymnasiums():
    """The weights of Pendulum-v1: its cost of torque is rounded to float32, ours is not."""
    env, theirs = gymnasium.make("fastars/mo-pendulum-v0", g=9.0), gymnasium.make("Pendulum-v1", g=9.0)
    assert env.observation_space == theirs.observation_space
    assert env.action_space == theirs.action_space
    rng = np.random.default_rng(0)
    for seed in range(5):
        ours, _ = env.reset(seed=seed)
        assert np.array_equal(ours, theirs.reset(seed=seed)[0])
        for _ in range(200):
            action = rng.uniform(-3.0, 3.0, 1).astype(np.float32)
            ours, terms, *my_ends, _ = env.step(action)
            observation, reward, *ends, _ = theirs.step(action)
            assert my_ends == ends
            assert env.unwrapped.reward_space.contains(terms)
            assert ours == pytest.approx(observation, abs=1e-6)
            assert terms @ [1.0, 0.1, 0.001] == pytest.approx(reward, abs=1e-8)


@pytest.mark.parametrize("env_id", THEIRS)
def test_environments_of_mo_gymnasium_are_compiled_also_in_the_middle_of_an_episode(mo_gymnasium, env_id):
    env = mo_gymnasium.make(env_id)
    env.reset(seed=0)
    env.step(env.action_space.sample())
    compiled = environment(env, compiled=True)
    assert compiled == environment(env_id) == environment(f"fastars/{env_id}") == compiled_env(env_id)
    assert compiled.id == f"fastars/{env_id}"
    assert compiled.n_tasks == len(compiled.task_names) == env.unwrapped.reward_dim
    assert compiled.reward_space == env.unwrapped.reward_space


@pytest.mark.parametrize(("env_id", "kwargs"), CHANGED, ids=label)
def test_arguments_are_taken_over_and_given_on(mo_gymnasium, env_id, kwargs):
    compiled = compiled_env(mo_gymnasium.make(env_id, **kwargs))
    assert compiled.kwargs == kwargs
    spec, arguments = compiled.gymnasium()
    again = compiled_env(gymnasium.make(spec, max_episode_steps=compiled.max_steps, **arguments))
    assert again == compiled
    assert again.constants != compiled_env(env_id).constants


def test_time_limit_of_the_reservoir_is_taken_over(mo_gymnasium):
    assert compiled_env("water-reservoir-v0").max_steps == 100
    compiled = compiled_env(mo_gymnasium.make("water-reservoir-v0", time_limit=150))
    assert (compiled.max_steps, compiled.kwargs) == (150, {})
    assert compiled_env(mo_gymnasium.make("water-reservoir-v0", time_limit=150, max_episode_steps=20)).max_steps == 20
    with pytest.raises(UnsupportedEnvError, match="no time limit"):
        compiled_env(mo_gymnasium.make("water-reservoir-v0", time_limit=0))


@pytest.mark.filterwarnings("error")
def test_they_are_there_without_mo_gymnasium(monkeypatch):
    monkeypatch.setitem(sys.modules, "mo_gymnasium", None)
    for env_id in IDS:
        compiled = compiled_env(env_id)
        assert environment(env_id.removeprefix("fastars/")) == compiled
        observation, _ = gymnasium.make(env_id).reset(seed=1)
        assert compiled.observation_space.contains(observation)


def test_what_is_not_compiled_is_refused_by_name(mo_gymnasium):
    with pytest.raises(UnsupportedEnvError, match=r"initial_state=.*is not compiled \(compiled: nO, penalize"):
        compiled_env(mo_gymnasium.make("water-reservoir-v0", initial_state=np.ones(1, np.float32)))
    with pytest.raises(UnsupportedEnvError, match="nO must be an integer from 2 to 4, got 1"):
        compiled_env(mo_gymnasium.make("water-reservoir-v0", nO=1))
    env = mo_gymnasium.make("mo-mountaincar-v0")
    env.unwrapped.gravity = 0.1
    with pytest.raises(UnsupportedEnvError, match=r"its attribute gravity is 0\.1"):
        compiled_env(env)
    env = mo_gymnasium.wrappers.LinearReward(mo_gymnasium.make("mo-mountaincar-v0"), np.ones(3))
    with pytest.raises(UnsupportedEnvError, match="wrapper LinearReward"):
        compiled_env(env)


@pytest.mark.parametrize(
    ("env_id", "kwargs", "kind", "message"),
    [
        ("fastars/mo-pendulum-v0", {"g": math.nan}, ValueError, "g must be a finite number, got nan"),
        ("fastars/mo-mountaincar-v0", {"merge_move_penalty": 2}, TypeError, "merge_move_penalty must be True or False, got 2"),
        ("fastars/water-reservoir-v0", {"nO": True}, TypeError, "nO must be an integer from 2 to 4, got True"),
        ("fastars/deep-sea-treasure-v0", {"dst_map": "flat"}, ValueError, "dst_map must be one of 'convex', 'concave', 'mirrored'"),
        ("fastars/deep-sea-treasure-v0", {"dst_map": np.zeros((11, 11))}, ValueError, "dst_map must be one of 'convex'"),
    ],
)
def test_wrong_arguments_are_named(env_id, kwargs, kind, message):
    with pytest.raises(kind, match=message):
        gymnasium.make(env_id, **kwargs)


@pytest.mark.parametrize(
    ("env_id", "action", "message"),
    [
        ("fastars/deep-sea-treasure-v0", 4, "action must be an integer from 0 to 3, got 4"),
        ("fastars/mo-pendulum-v0", np.zeros(2), r"action must have shape \(1,\), got \(2,\)"),
    ],
)
def test_wrong_actions_are_named(env_id, action, message):
    env = gymnasium.make(env_id).unwrapped
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step(action)
    env.reset(seed=0)
    with pytest.raises(ValueError, match=message):
        env.step(action)


def test_copies_go_on_alike():
    env = gymnasium.make("fastars/water-reservoir-v0")
    env.reset(seed=4)
    env.step([20.0])
    others = copy.deepcopy(env), pickle.loads(pickle.dumps(env))
    expected = env.step([30.0])
    for other in others:
        observation, reward, *_ = other.step([30.0])
        assert (observation == expected[0]).all()
        assert (reward == expected[1]).all()


def test_a_reset_without_a_seed_gives_another_episode():
    """The numbers that the steps of an episode draw are not those of the next one, moved by one."""
    env = gymnasium.make("fastars/water-reservoir-v0")

    def inflows(**kwargs):
        level = env.reset(**kwargs)[0][0]
        found = []
        for _ in range(50):
            action = np.array([min(level, 100.0)], np.float32)
            before = level
            level = env.step(action)[0][0]
            found.append(level - before + action[0])
        return found

    first, second, third = inflows(seed=3), inflows(), inflows()
    values = {round(float(x), 2) for x in first}
    for other in (second, third):
        assert len(values & {round(float(x), 2) for x in other}) < 10
    assert inflows(seed=3) == first


@pytest.mark.parametrize(("env_id", "n"), [("water-reservoir-v0", 150), ("mo-mountaincarcontinuous-v0", 10)])
def test_rollouts_equal_a_loop_over_mo_gymnasium(mo_gymnasium, env_id, n):
    """More episodes than there are lanes, in one of them: the reservoir's generators go where their episodes go."""
    compiled = compiled_env(env_id)
    weights = np.random.default_rng(1).uniform(0.1, 1.0, (n, compiled.n_act * compiled.n_obs))
    weights[::2] *= 30.0 if "car" in env_id else 1.0
    seeds = np.arange(n) + 50
    ours = evaluate_candidates(env_id, weights, seeds)
    env = mo_gymnasium.make(env_id)
    for i in range(n):
        observation, _ = env.reset(seed=int(seeds[i]))
        totals, length, ended = np.zeros(compiled.n_tasks), 0, False
        while not ended:
            score = sum(w * float(x) for w, x in zip(weights[i], observation, strict=True))
            action = np.clip(np.array([score], np.float32), env.action_space.low, env.action_space.high)
            observation, reward, terminated, truncated, _ = env.step(action)
            totals, length, ended = totals + reward, length + 1, terminated or truncated
        assert length == ours.lengths[i]
        np.testing.assert_allclose(ours.task_returns[i], totals, rtol=0.0 if env_id.startswith("water") else 1e-9)
