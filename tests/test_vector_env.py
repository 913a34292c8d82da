"""The compiled environments as Gymnasium vector environments, against `make_vec(..., vectorization_mode="sync")`.

What Gymnasium's tests/vector and tests/wrappers/vector ask of its own forms is asked of ours here.
"""

import copy
import itertools
import json
import pickle
import re
import runpy
import subprocess
import sys
from pathlib import Path

import gymnasium
import numba
import numpy as np
import pytest
from gymnasium import wrappers
from gymnasium.error import ClosedEnvironmentError, ResetNeeded
from gymnasium.utils.env_checker import data_equivalence
from gymnasium.vector import AutoresetMode

from fastars import SimulationError, compiled_env_ids
from fastars.envs import compiled_env
from fastars.envs.vector import CompiledVectorEnv

IDS = compiled_env_ids("classic")
ROOT = Path(__file__).parent.parent
ASSETS = Path(gymnasium.__file__).parent / "envs" / "mujoco" / "assets"
NEXT_STEP, SAME_STEP, DISABLED = AutoresetMode
pytestmark = pytest.mark.filterwarnings("ignore:.*is out of date:DeprecationWarning")


def make_ours(env_id, n, mode=NEXT_STEP, **kwargs):
    return gymnasium.make_vec(f"fastars/{env_id}", n, autoreset_mode=mode, **kwargs)


def make_sync(env_id, n, mode=NEXT_STEP, **kwargs):
    return gymnasium.make_vec(env_id, n, vectorization_mode="sync", vector_kwargs={"autoreset_mode": mode}, **kwargs)


def make_both(*args, **kwargs):
    return make_ours(*args, **kwargs), make_sync(*args, **kwargs)


def assert_same_observations(env_id, ours, theirs):
    assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=2e-6)


def assert_same_first_observations(env_id, ours, theirs):
    """Bit for bit; Acrobot's may be a float32 ulp off, as its file says."""
    np.testing.assert_array_max_ulp(ours, theirs, maxulp=1 if env_id == "Acrobot-v1" else 0)


def run_both(env_id, mode, n, n_steps, **kwargs):
    """Step both forms with the same random actions, and compare all they give; returns how often episodes ended each way."""
    ours, sync = make_both(env_id, n, mode, **kwargs)
    ends = np.zeros(2, int)
    first, infos = ours.reset(seed=17)
    theirs, their_infos = sync.reset(seed=17)
    assert_same_first_observations(env_id, first, theirs)
    assert infos == their_infos == {}
    begun = np.zeros(n, bool)
    ours.action_space.seed(3)
    for k in range(n_steps):
        actions = ours.action_space.sample()
        observations, rewards, terminations, truncations, infos = ours.step(actions)
        theirs, their_rewards, their_terminations, their_truncations, their_infos = sync.step(actions)
        assert np.array_equal(terminations, their_terminations)
        assert np.array_equal(truncations, their_truncations)
        np.testing.assert_allclose(rewards, their_rewards, rtol=1e-6, atol=1e-8)
        assert (rewards.dtype, terminations.dtype, truncations.dtype) == (np.float64, np.bool_, np.bool_)
        assert_same_observations(env_id, observations, theirs)
        assert data_equivalence(infos, their_infos)
        ended = terminations | truncations
        if mode == SAME_STEP:
            begun = ended
        assert_same_first_observations(env_id, observations[begun], theirs[begun])
        begun = ended if mode == NEXT_STEP else np.zeros(n, bool)
        if mode == DISABLED and ended.any():
            seeds = [1000 * k + i if i % 3 == 0 else None for i in range(n)]
            observations, _ = ours.reset(seed=seeds, options={"reset_mask": ended})
            theirs, _ = sync.reset(seed=seeds, options={"reset_mask": ended.copy()})
            assert_same_observations(env_id, observations, theirs)
            assert_same_first_observations(env_id, observations[ended], theirs[ended])
        ends += terminations.sum(), truncations.sum()
    assert [g.bit_generator.state["state"] for g in ours.np_random] == [g.bit_generator.state["state"] for g in sync.np_random]
    assert ours.np_random_seed == sync.np_random_seed
    return ends


@pytest.mark.parametrize("mode", AutoresetMode)
@pytest.mark.parametrize("env_id", IDS)
def test_every_step_is_that_of_gymnasiums_sync_form(env_id, mode):
    terminated, truncated = run_both(env_id, mode, n=131, n_steps=60, max_episode_steps=23)
    assert truncated > 0
    assert terminated > 0 or not env_id.startswith("CartPole")


def test_a_step_may_terminate_and_reach_the_time_limit():
    both = []
    for envs in make_both("CartPole-v1", 300, max_episode_steps=10):
        envs.reset(seed=0)
        steps = [envs.step(np.ones(300, int)) for _ in range(10)]
        both.append(sum(np.count_nonzero(terminations & truncations) for _, _, terminations, truncations, _ in steps))
    assert both[0] == both[1] > 0


@pytest.mark.parametrize("env_id", IDS)
def test_an_environment_does_not_depend_on_its_place(env_id):
    def observations(n, place):
        envs, draw = CompiledVectorEnv(compiled_env(env_id), n), np.random.default_rng(0)
        seeds = [99] * n
        seeds[place] = 7
        seen = [envs.reset(seed=seeds)[0][place]]
        for _ in range(250):  # more than MountainCar's time limit
            actions = np.zeros(envs.action_space.shape, envs.action_space.dtype)
            actions[place] = draw.integers(2)
            seen.append(envs.step(actions)[0][place])
        return np.array(seen)

    alone = observations(1, 0)
    for n, place in ((2, 1), (8, 7), (129, 127), (129, 128), (300, 150)):
        assert np.array_equal(observations(n, place), alone)


@pytest.mark.parametrize(
    ("env_id", "kwargs"),
    [
        ("CartPole-v1", {"sutton_barto_reward": True}),
        ("Pendulum-v1", {"g": 2.5}),
        ("MountainCar-v0", {"goal_velocity": 0.02, "max_episode_steps": -1}),
        ("MountainCarContinuous-v0", {"goal_velocity": 0.03, "disable_env_checker": True}),
    ],
)
def test_make_vec_takes_the_arguments_of_make(env_id, kwargs):
    run_both(env_id, NEXT_STEP, n=5, n_steps=210, **kwargs)


def test_no_time_limit():
    envs = make_ours("MountainCar-v0", 2, max_episode_steps=-1)
    envs.reset(seed=0)
    for _ in range(300):  # the time limit is 200
        *_, terminations, truncations, _ = envs.step([1, 1])
        assert not (terminations | truncations).any()


def test_unknown_argument_of_make_is_refused_as_gymnasium_does():
    with pytest.raises(TypeError, match="mass"):
        make_ours("Pendulum-v1", 2, mass=3.0)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"num_envs": 0}, r"num_envs must be an integer of at least 1, got 0"),
        ({"num_envs": 2.5}, r"num_envs must be an integer of at least 1, got 2\.5"),
        ({"max_episode_steps": 0}, r"max_episode_steps must be an integer of at least 1 \(or -1: no limit\), got 0"),
        ({"autoreset_mode": "Never"}, r"autoreset_mode must be an AutoresetMode or one of 'NextStep', .*, got 'Never'"),
        ({"render_mode": "rgb_array"}, r"render_mode must be None, got 'rgb_array'"),
    ],
)
def test_wrong_argument_is_named(kwargs, message):
    with pytest.raises(ValueError, match=message):
        gymnasium.make_vec("fastars/CartPole-v1", **kwargs)


def test_autoreset_mode_may_be_a_string():
    envs = make_ours("CartPole-v1", 2, "SameStep")
    assert envs.metadata["autoreset_mode"] is SAME_STEP


def test_spaces_are_those_of_the_sync_form():
    for env_id in IDS:
        ours, sync = make_both(env_id, 3)
        for name in ("observation_space", "action_space", "single_observation_space", "single_action_space", "num_envs"):
            assert getattr(ours, name) == getattr(sync, name)
        assert ours.reset(seed=0)[0] in ours.observation_space


# MuJoCo


@pytest.fixture
def mujoco(tmp_path, monkeypatch):
    """MuJoCo, in a temporary folder: Gymnasium's own simulations write MUJOCO_LOG.TXT where they are."""
    monkeypatch.chdir(tmp_path)
    return pytest.importorskip("mujoco", reason="MuJoCo environments need the mujoco package")


@pytest.mark.parametrize(
    ("env_id", "mode"),
    [*(("Hopper-v5", mode) for mode in AutoresetMode), ("Ant-v5", NEXT_STEP), ("InvertedPendulum-v4", SAME_STEP)],
)
def test_simulated_steps_have_the_bits_of_gymnasiums_sync_form(env_id, mode, mujoco):
    ours, sync = make_both(env_id, 7, mode, max_episode_steps=15)
    assert ours.observation_space == sync.observation_space
    assert np.array_equal(ours.reset(seed=5)[0], sync.reset(seed=5)[0])
    ours.action_space.seed(0)
    n_ended = 0
    for _ in range(40):
        actions = ours.action_space.sample()
        *mine, infos = ours.step(actions)
        *theirs, their_infos = sync.step(actions)
        for one, other in zip(mine, theirs, strict=True):
            assert one.dtype == other.dtype
            assert np.array_equal(one, other)
        if mode == SAME_STEP:
            assert data_equivalence(infos.get("final_obs"), their_infos.get("final_obs"), exact=True)
        if mode == DISABLED and (mask := mine[2] | mine[3]).any():
            results = [envs.reset(seed=9, options={"reset_mask": mask.copy()})[0] for envs in (ours, sync)]
            assert np.array_equal(*results)
        n_ended += np.count_nonzero(mine[2] | mine[3])
    assert n_ended >= 14
    assert [g.bit_generator.state["state"] for g in ours.np_random] == [g.bit_generator.state["state"] for g in sync.np_random]


def test_more_simulations_than_a_call_takes(mujoco):
    ours = make_ours("InvertedPendulum-v5", 300, reset_noise_scale=0.02)
    sync = make_sync("InvertedPendulum-v5", 300, reset_noise_scale=0.02)
    assert np.array_equal(ours.reset(seed=0)[0], sync.reset(seed=0)[0])
    for k in range(3):
        actions = np.full((300, 1), 0.1 * k, np.float32)
        assert all(np.array_equal(*pair) for pair in zip(ours.step(actions)[:4], sync.step(actions)[:4], strict=True))


def test_mujoco_task_is_a_vector_environment_too(mujoco):
    task = runpy.run_path(str(ROOT / "examples" / "own_mujoco_task.py"))["task"]
    ours = CompiledVectorEnv(task.compiled, 6, max_episode_steps=30)
    sync = gymnasium.vector.SyncVectorEnv([lambda: wrappers.TimeLimit(task.make().unwrapped, 30)] * 6)
    assert np.array_equal(ours.reset(seed=1)[0], sync.reset(seed=1)[0])
    ours.action_space.seed(0)
    for _ in range(70):
        actions = ours.action_space.sample()
        assert all(np.array_equal(*pair) for pair in zip(ours.step(actions)[:4], sync.step(actions)[:4], strict=True))


def test_simulations_are_not_copied(mujoco):
    envs = make_ours("InvertedPendulum-v5", 2)
    for copied in (copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="InvertedPendulum-v5 can't be copied or pickled"):
            copied(envs)


def test_failure_of_a_simulation_is_an_error_and_a_reset_mends_it(mujoco, tmp_path):
    """As in test_mujoco_faults.py: boxes fall on each other, and there is too little memory for their contacts."""
    places = [f"{5 + 0.05 * k} 0 {0.3 + 0.25 * k}" for k in range(8)]
    boxes = "".join(f'<body pos="{at}"><freejoint/><geom type="box" size=".1 .1 .1" contype="1"/></body>' for at in places)
    text = (ASSETS / "hopper.xml").read_text().replace("<worldbody>", '<size memory="64K"/><worldbody>', 1)
    (tmp_path / "cramped.xml").write_text(text.replace("</worldbody>", boxes + "</worldbody>"))
    envs = make_ours("Hopper-v5", 3, xml_file=str(tmp_path / "cramped.xml"), terminate_when_unhealthy=False)
    lengths = []
    for _ in range(2):
        envs.reset(seed=0)
        with pytest.raises(SimulationError, match="MuJoCo failed in Hopper-v5, in environment 0: mj_stackAlloc"):  # noqa: PT012
            for k in range(100):
                lengths.append(k)
                envs.step(np.zeros((3, 3)))
        with pytest.raises(ResetNeeded):
            envs.step(np.zeros((3, 3)))
    assert lengths == [*range(len(lengths) // 2)] * 2


def test_unstable_simulation_goes_on_as_in_gymnasium(mujoco, tmp_path):
    text = re.sub(r'gear="[^"]*"', 'gear="1e12"', (ASSETS / "inverted_pendulum.xml").read_text())
    (tmp_path / "wild.xml").write_text(text)
    ours, sync = make_both("InvertedPendulum-v5", 3, xml_file=str(tmp_path / "wild.xml"))
    ours.reset(seed=0)
    sync.reset(seed=0)
    for _ in range(4):
        results = [envs.step(np.float32([[1], [0], [-1]]))[:4] for envs in (ours, sync)]
        assert all(np.array_equal(*pair) for pair in zip(*results, strict=True))


# Seeds


def test_seeds_are_those_of_gymnasium():
    ours, sync = make_both("CartPole-v1", 3)
    for seed in (5, [3, 1, 2], [2**40, 2**63 + 1, 0], None, [None, 8, None], None, [4, None, None]):
        assert np.array_equal(ours.reset(seed=seed)[0], sync.reset(seed=seed)[0])
        assert ours.np_random_seed == sync.np_random_seed


@pytest.mark.parametrize("seed", [np.int64(5), np.array([5, 6, 7]), (5, 6, 7), np.array([5, 6, 7], np.uint64)])
def test_seeds_of_numpy_are_taken(seed):
    ours = make_ours("CartPole-v1", 3)
    assert np.array_equal(ours.reset(seed=seed)[0], make_sync("CartPole-v1", 3).reset(seed=5)[0])


def test_seed_of_an_environment_that_is_not_reset_is_not_used():
    ours, sync = make_both("CartPole-v1", 3, DISABLED)
    mask = np.array([True, False, True])
    for envs in (ours, sync):
        envs.reset(seed=0)
        envs.reset(seed=50, options={"reset_mask": mask.copy()})
    assert ours.np_random_seed == sync.np_random_seed == (50, 1, 52)
    assert np.array_equal(ours.reset()[0], sync.reset()[0])


def test_without_a_seed_environments_differ():
    first, second = make_ours("CartPole-v1", 50).reset()[0], make_ours("CartPole-v1", 50).reset()[0]
    assert len(np.unique(np.concatenate([first, second]), axis=0)) == 100


def test_seeds_are_there_before_the_first_reset():
    envs = make_ours("CartPole-v1", 4)
    seeds, generators = envs.np_random_seed, envs.np_random
    assert len(set(seeds)) == 4
    assert np.array_equal(envs.reset()[0][2], generators[2].uniform(-0.05, 0.05, 4).astype(np.float32))
    assert envs.np_random_seed == seeds


@pytest.mark.parametrize(
    ("seed", "message"),
    [
        (-1, "seed must be an integer from 0 .*got -1"),
        (2**64 - 2, "seed must be an integer from 0 .*got 18446744073709551614"),
        ([1, 2], "seed must be .*a sequence of 3.*got 2"),
        ([1, 2, -3], "seed must be made of integers from 0 .*got -3"),
        ([1, 2, 0.5], r"seed must be made of integers from 0 .*got 0\.5"),
    ],
)
def test_wrong_seed_is_named(seed, message):
    envs = make_ours("CartPole-v1", 3)
    before, _ = envs.reset(seed=1)
    with pytest.raises(ValueError, match=message):
        envs.reset(seed=seed)
    assert np.array_equal(envs.reset(seed=1)[0], before)


# Options, as in Gymnasium's tests/vector/test_vector_env.py


def test_partial_reset_leaves_the_others():
    envs = make_ours("CartPole-v1", 3, DISABLED)
    first, _ = envs.reset(seed=[0, 1, 2])
    for _ in range(3):
        last = envs.step([0, 1, 0])[0]
    options = {"reset_mask": np.array([True, True, False])}
    observations, _ = envs.reset(seed=[0, 1, 0], options=options)
    assert np.array_equal(observations[:2], first[:2])
    assert np.array_equal(observations[2], last[2])
    assert "reset_mask" in options


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"reset_mask": [True] * 3}, TypeError, "must be a numpy array"),
        ({"reset_mask": np.array([True])}, ValueError, r"must have shape `\(3,\)`, got \(1,\)"),
        ({"reset_mask": np.ones((1, 3), bool)}, ValueError, r"must have shape `\(3,\)`, got \(1, 3\)"),
        ({"reset_mask": np.zeros(3, bool)}, ValueError, "at least one True value"),
        ({"reset_mask": np.array([1, 1, 0])}, TypeError, "must have `dtype=np.bool_`, got int64"),
        ({"low": -0.1}, ValueError, r"options may have 'reset_mask' only; options\['low'\] is -0\.1"),
    ],
)
def test_wrong_option_is_named(options, kind, message):
    envs = make_ours("CartPole-v1", 3)
    envs.reset(seed=0)
    with pytest.raises(kind, match=message):
        envs.reset(options=options)


def test_the_first_reset_is_of_all():
    envs = make_ours("CartPole-v1", 2)
    with pytest.raises(ResetNeeded, match="the first reset must be of all"):
        envs.reset(options={"reset_mask": np.array([True, False])})
    envs.reset(options={"reset_mask": np.array([True, True])})


# Actions


@pytest.mark.parametrize("actions", [[0, 1, 1], (0, 1, 1), np.array([0, 1, 1], np.int32), np.array([0, 1, 1], np.uint8)])
def test_integers_of_any_kind_are_discrete_actions(actions):
    ours, sync = make_both("CartPole-v1", 3)
    ours.reset(seed=0)
    sync.reset(seed=0)
    assert np.array_equal(ours.step(actions)[0], sync.step(np.array([0, 1, 1]))[0])


@pytest.mark.parametrize("actions", [np.array([[0.5], [-7.0], [9.0]]), [[0.5], [-7], [9]], np.float32([[0.5], [-7], [9]])])
@pytest.mark.parametrize("env_id", ["Pendulum-v1", "MountainCarContinuous-v0"])
def test_numbers_of_any_kind_are_box_actions(env_id, actions):
    ours, sync = make_both(env_id, 3)
    ours.reset(seed=0)
    sync.reset(seed=0)
    for mine, theirs in zip(ours.step(actions)[:2], sync.step(np.float32(actions))[:2], strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-6)


@pytest.mark.parametrize(
    ("env_id", "actions", "kind", "message"),
    [
        ("CartPole-v1", 1, TypeError, "actions must be an array of 3 actions, got 1"),
        ("CartPole-v1", [0, 1], ValueError, r"actions must have shape \(3,\), got \(2,\)"),
        ("CartPole-v1", [0, 1, 0, 1], ValueError, r"actions must have shape \(3,\), got \(4,\)"),
        ("CartPole-v1", [[0], [1], [0]], ValueError, r"actions must have shape \(3,\), got \(3, 1\)"),
        ("CartPole-v1", [0.0, 1.0, 0.0], TypeError, "actions must be integers, got dtype float64"),
        ("CartPole-v1", [True, False, True], TypeError, "actions must be integers, got dtype bool"),
        ("CartPole-v1", [0, 2, 0], ValueError, "actions must be integers from 0 to 1, got 2 for environment 1"),
        ("Acrobot-v1", [0, 2, -1], ValueError, "actions must be integers from 0 to 2, got -1 for environment 2"),
        ("Pendulum-v1", [0.5, 0.5, 0.5], ValueError, r"actions must have shape \(3, 1\), got \(3,\)"),
        ("Pendulum-v1", [["a"], ["b"], ["c"]], TypeError, "actions must be numbers, got dtype <U1"),
    ],
)
def test_wrong_actions_are_named_and_change_nothing(env_id, actions, kind, message):
    envs = make_ours(env_id, 3)
    envs.reset(seed=0)
    before = copy.deepcopy(envs)
    with pytest.raises(kind, match=message):
        envs.step(actions)
    right = envs.action_space.sample()
    assert np.array_equal(envs.step(right)[0], before.step(right)[0])


def test_actions_of_environments_that_begin_an_episode_are_not_looked_at():
    ours, sync = make_both("CartPole-v1", 40)
    ours.reset(seed=0)
    sync.reset(seed=0)
    n_ended = 0
    actions = np.ones(40, int)
    for _ in range(12):
        results = ours.step(actions), sync.step(actions)
        assert all(np.array_equal(mine, theirs) for mine, theirs in zip(*(result[:4] for result in results), strict=True))
        ended = results[0][2] | results[0][3]
        actions = np.where(ended, -7, 1)
        n_ended += ended.sum()
    assert n_ended > 0


def test_an_ended_episode_needs_a_reset_where_autoreset_is_disabled():
    envs = make_ours("CartPole-v1", 2, DISABLED, max_episode_steps=3)
    envs.reset(seed=0)
    for _ in range(3):
        *_, truncations, _ = envs.step([0, 1])
    assert truncations.all()
    with pytest.raises(ResetNeeded, match="2 environments, 0 the first of them, need a reset"):
        envs.step([0, 1])
    envs.reset(options={"reset_mask": np.array([True, False])})
    with pytest.raises(ResetNeeded, match="1 environments, 1 the first of them"):
        envs.step([0, 1])
    envs.reset(options={"reset_mask": np.array([False, True])})
    envs.step([0, 1])


# Life and death of the object


def test_step_before_reset_is_an_error():
    with pytest.raises(ResetNeeded, match=r"env\.step\(\) before calling env\.reset\(\)"):
        make_ours("CartPole-v1", 2).step([0, 0])


def test_closed_environment_is_an_error():
    envs = make_ours("CartPole-v1", 2)
    envs.reset()
    envs.close()
    envs.close()
    with pytest.raises(ClosedEnvironmentError):
        envs.step([0, 0])
    with pytest.raises(ClosedEnvironmentError):
        envs.reset()


def test_results_are_new_arrays_unless_told_otherwise():
    for keep in (True, False):
        envs = make_ours("CartPole-v1", 3, copy=keep)
        results = [envs.reset(seed=0)[0], envs.step([0, 1, 0])[0], envs.step([0, 1, 0])[0]]
        assert all(np.shares_memory(*pair) is not keep for pair in itertools.combinations(results, 2))


def test_a_copy_goes_on_alike():
    envs = make_ours("CartPole-v1", 50, SAME_STEP)
    envs.reset(seed=0)
    for _ in range(10):
        envs.step(np.ones(50, int))
    for other in (copy.deepcopy(envs), pickle.loads(pickle.dumps(envs))):
        assert np.array_equal(other.np_random_seed, envs.np_random_seed)
    copies = [copy.deepcopy(envs), pickle.loads(pickle.dumps(envs))]
    for _ in range(30):
        expected = envs.step(np.ones(50, int))[0]
        assert all(np.array_equal(other.step(np.ones(50, int))[0], expected) for other in copies)


def test_no_pictures():
    with pytest.raises(NotImplementedError, match="no pictures"):
        make_ours("CartPole-v1", 2).render()


# Gymnasium's vector wrappers, as in its tests/wrappers/vector: the same around ours as around the sync form


WRAPPERS = [
    ("CartPole-v1", "RecordEpisodeStatistics", {}),
    ("CartPole-v1", "FlattenObservation", {}),
    ("CartPole-v1", "RescaleObservation", {"min_obs": np.array([0, -np.inf] * 2), "max_obs": np.array([1, np.inf] * 2)}),
    ("CartPole-v1", "DtypeObservation", {"dtype": np.float64}),
    ("CartPole-v1", "ReshapeObservation", {"shape": (2, 2)}),
    ("CartPole-v1", "NormalizeObservation", {}),
    ("CartPole-v1", "NormalizeReward", {}),
    ("CartPole-v1", "ClipReward", {"min_reward": -0.25, "max_reward": 0.75}),
    ("CartPole-v1", "TransformReward", {"func": lambda reward: 2 * reward}),
    ("CartPole-v1", "TransformObservation", {"func": lambda observation: observation / 2}),
    ("CartPole-v1", "DictInfoToList", {}),
    ("MountainCarContinuous-v0", "ClipAction", {}),
    ("MountainCarContinuous-v0", "RescaleAction", {"min_action": 1.0, "max_action": 2.0}),
]


# Gymnasium's observation wrappers refuse same-step autoreset.
WRAPPED = [(*row, mode) for row in WRAPPERS for mode in (NEXT_STEP, SAME_STEP) if mode == NEXT_STEP or "Observation" not in row[1]]


@pytest.mark.filterwarnings("ignore:.*precision lowered by casting:UserWarning")
@pytest.mark.parametrize(("env_id", "name", "kwargs", "mode"), WRAPPED, ids=[f"{name}-{mode.name}" for _, name, _, mode in WRAPPED])
def test_gymnasiums_vector_wrapper_gives_the_same(env_id, name, kwargs, mode):
    ours, sync = (getattr(wrappers.vector, name)(envs, **kwargs) for envs in make_both(env_id, 6, mode, max_episode_steps=20))
    assert ours.observation_space == sync.observation_space
    assert ours.action_space == sync.action_space
    assert data_equivalence(ours.reset(seed=123), sync.reset(seed=123))
    ours.action_space.seed(0)
    for _ in range(50):
        actions = ours.action_space.sample()
        results = [envs.step(actions) for envs in (ours, sync)]
        assert data_equivalence(*(without_time(result) for result in results))


def without_time(result):
    """The result of a step without the seconds that `RecordEpisodeStatistics` counts."""
    *arrays, infos = result
    if "episode" not in infos:
        return result
    return *arrays, infos | {"episode": {key: value for key, value in infos["episode"].items() if key not in ("t", "_t")}}


# Gymnasium's registry


def test_spec_makes_the_same_again():
    envs = gymnasium.make_vec("fastars/Pendulum-v1", 5, g=3.0, max_episode_steps=11, autoreset_mode="SameStep")
    spec = gymnasium.envs.registration.EnvSpec.from_json(envs.spec.to_json())
    for again in (gymnasium.make_vec(spec), gymnasium.make_vec(envs.spec)):
        assert type(again) is CompiledVectorEnv
        assert again.spec == envs.spec
        assert again.num_envs == 5
        assert again.autoreset_mode is SAME_STEP
        assert again.compiled.constants.g == 3.0
    assert repr(envs) == "CompiledVectorEnv(fastars/Pendulum-v1, num_envs=5)"


@pytest.mark.parametrize("env_id", IDS)
def test_make_gives_gymnasiums_own_environment(env_id):
    ours, theirs = gymnasium.make(f"fastars/{env_id}"), gymnasium.make(env_id)
    assert type(ours.unwrapped) is type(theirs.unwrapped)
    assert ours.spec.max_episode_steps == theirs.spec.max_episode_steps
    assert ours.spec.reward_threshold == theirs.spec.reward_threshold


MAKE = "envs = gymnasium.make_vec('fastars/CartPole-v1', 3); print(envs.reset(seed=1)[0].tolist())"


@pytest.mark.parametrize(
    "program",
    [
        f"import fastars, gymnasium; {MAKE}",
        f"import gymnasium, fastars; {MAKE}",
        f"import gymnasium; {MAKE.replace('fastars/', 'fastars:fastars/')}",
        f"import fastars; from gymnasium.vector import AutoresetMode; import gymnasium; {MAKE}",
    ],
)
def test_ids_are_known_whichever_is_imported_first(program):
    command = [sys.executable, "-W", "error", "-W", "ignore:overflow encountered:RuntimeWarning", "-c", program]  # see conftest.py
    outcome = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert outcome.returncode == 0, outcome.stderr
    assert outcome.stderr == ""
    assert json.loads(outcome.stdout) == make_sync("CartPole-v1", 3).reset(seed=1)[0].tolist()


def test_registration_imports_nothing_heavy():
    program = (
        "import sys, fastars; assert not {'numpy', 'gymnasium', 'numba'} & set(sys.modules); "
        "import gymnasium; assert 'numba' not in sys.modules; print(*(key for key in gymnasium.registry if '/' in key))"
    )
    outcome = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=True, timeout=60)
    ids = set(compiled_env_ids()) - set(compiled_env_ids("user"))  # of this process: other tests have registered them
    assert {f"fastars/{env_id.removeprefix('fastars/')}" for env_id in ids} <= set(outcome.stdout.split())


@pytest.mark.parametrize("name", ["a_module_that_is_not_there", "json.tool"])
def test_waiting_for_a_module_disturbs_no_import(name):
    program = (
        "import sys; from fastars._imports import when_imported\n"
        f"seen = []; before = list(sys.meta_path); when_imported({name!r}, lambda: seen.append({name!r} in sys.modules))\n"
        "try:\n"
        f"    import {name}\n"
        "    assert seen == [True] and sys.meta_path == before, (seen, sys.meta_path)\n"
        f"    when_imported({name!r}, lambda: seen.append(2))\n"
        "    assert seen == [True, 2]\n"
        "except ModuleNotFoundError:\n"
        "    assert seen == [] and len(sys.meta_path) == len(before) + 1\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True, timeout=60)


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="takes minutes uncompiled")
def test_programs_of_the_page_run(tmp_path):
    page = (ROOT / "docs" / "vector_environments.md").read_text()
    programs = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    outputs = []
    for program in programs:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120
        )
        assert done.returncode == 0, done.stderr
        outputs.append(done.stdout)
    assert re.fullmatch(r"(9\d\.\d|100\.0)% of 1024 poles stand for 500 steps\n", outputs[1])
