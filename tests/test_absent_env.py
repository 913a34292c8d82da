"""A model that is loaded without its environment acts at once, and trains as soon as `set_env` gives it one.

Broken on purpose: `save` without "spaces" (all of `test_a_model_acts...` red), `space_of` with the names of a Dict sorted, or the
start of a Discrete left out (their rows red), a space made before its size is known (`test_a_description...` red by its memory),
`learn` without `refuse_absent_env` (`test_training_asks...` red), `believed_folder` that returns every folder
(`test_a_folder_elsewhere...` red), and `save` without the settings of the log (`test_the_settings_of_the_log...` red).
"""

import os
import tempfile
import tracemalloc
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from fastars import ARS, CheckpointError, evaluate_policy, exchange
from fastars.callbacks import BaseCallback
from fastars.files import checkpoint

SMALL = {"n_delta": 2, "seed": 3, "n_threads": 1, "noise_size": 1 << 16}
UNEVEN = spaces.Box(np.array([-4.8, -np.inf, -0.1]), np.array([4.8, np.inf, 0.3]), dtype=np.float64)
PARTS = spaces.Dict([("speed", UNEVEN), ("angle", spaces.Discrete(3, start=1))])  # in this order, not in that of the names
CASES = {
    "box and discrete": (spaces.Box(-1.0, 1.0, (4,)), spaces.Discrete(3)),
    "start": (UNEVEN, spaces.Discrete(3, start=5)),
    "choices": (spaces.Discrete(4, start=2), spaces.MultiDiscrete([2, 3], start=[1, -1])),
    "table": (spaces.MultiDiscrete([[2, 3], [4, 2]]), spaces.MultiBinary(3)),
    "bits": (spaces.MultiBinary([2, 2]), spaces.Box(-3, 7, (2,), np.int32)),
    "dict": (PARTS, spaces.Box(np.float32(-0.1), np.float32(0.7), (2, 1))),
    "tuple": (spaces.Tuple([PARTS, spaces.MultiBinary(2)]), spaces.Box(-2.0, 2.0, (), np.float64)),
    "image": (spaces.Box(0, 255, (4, 4, 3), np.uint8), spaces.Box(-1.0, 1.0, (1,), np.float16)),
    "large integers": (spaces.Box(0, 2**64 - 1, (2,), np.uint64), spaces.Box(-np.inf, np.inf, (2,))),
}


class Robot(gymnasium.Env):
    """An environment that no id stands for: it is given as an object."""

    def __init__(self, observation_space, action_space):
        self.observation_space, self.action_space = observation_space, action_space

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.observation_space.seed(seed)
        self.n_steps = 0
        return self.observation_space.sample(), {}

    def step(self, action):
        self.n_steps += 1
        reward = float(np.sum(np.asarray(action, np.float64)) % 7.0)
        return self.observation_space.sample(), reward, False, self.n_steps == 5, {}


def trained(case, **settings):
    return ARS("LinearPolicy", Robot(*CASES[case]), **SMALL, **settings).learn(40)


def same(one, other):
    assert one.theta.tobytes() == other.theta.tobytes()


@pytest.mark.parametrize("case", CASES)
def test_a_model_acts_without_its_environment_and_trains_in_the_next_one(case, tmp_path):
    path, settings = tmp_path / "model.zip", {"policy": "MlpPolicy", "policy_kwargs": {"squash_output": case == "dict"}}
    model = trained(case) if case != "dict" else ARS(settings.pop("policy"), Robot(*CASES[case]), **SMALL, **settings).learn(40)
    model.save(path)
    loaded = ARS.load(path)
    assert (loaded.observation_space, loaded.action_space) == CASES[case]
    assert repr(loaded.observation_space) == repr(model.observation_space)
    for seed in range(20):
        model.observation_space.seed(seed)
        observation = model.observation_space.sample()
        ours, theirs = (each.predict(observation)[0] for each in (loaded, model))
        assert ours.dtype == theirs.dtype
        assert ours.tobytes() == theirs.tobytes()
    loaded.set_env(Robot(*CASES[case]))
    again = ARS.load(path, env=Robot(*CASES[case]))
    same(loaded.learn(40, reset_num_timesteps=False), again.learn(40, reset_num_timesteps=False))


def test_a_file_of_a_model_without_an_environment_is_the_same_file(tmp_path):
    trained("dict", normalize_observations=True).save(tmp_path / "a.zip")
    ARS.load(tmp_path / "a.zip").save(tmp_path / "b.zip")
    (one, first), (other, second) = (checkpoint.load(tmp_path / name) for name in ("a.zip", "b.zip"))
    assert one == other
    assert first.keys() == second.keys()
    assert all(first[name].tobytes() == second[name].tobytes() for name in first)


def test_training_asks_for_an_environment_before_anything_else_happens(tmp_path):
    trained("start").save(tmp_path / "model.zip")
    model, called = ARS.load(tmp_path / "model.zip"), []

    class Watcher(BaseCallback):
        def _on_training_start(self):
            called.append("start")

        def _on_step(self):
            return True

    for call in (
        lambda: model.learn(10, callback=Watcher()),
        lambda: model.evaluate(2),
    ):
        with pytest.raises(CheckpointError, match=r"'Robot' can't be made: it is not registered here; .*model\.set_env"):
            call()
    assert called == []
    assert model.get_env() is None
    assert model.env is None
    assert "nowhere yet" in model.sampler.description
    mean, _ = evaluate_policy(model, Robot(*CASES["start"]), 2, seed=0)
    assert np.isfinite(mean)


def test_a_loop_of_ones_own_goes_on_without_an_environment(tmp_path):
    model = trained("start", normalize_observations=False)
    model.save(tmp_path / "model.zip")
    loaded = ARS.load(tmp_path / "model.zip")
    returns = np.arange(4.0)
    for each in (model, loaded):
        each.ask()
        each.tell(returns)
    same(model, loaded)


def test_another_environment_than_the_one_of_the_file_is_refused(tmp_path):
    trained("start").save(tmp_path / "model.zip")
    model = ARS.load(tmp_path / "model.zip")
    with pytest.raises(ValueError, match="the observation_space of env does not match"):
        model.set_env("CartPole-v1")
    with pytest.raises(CheckpointError, match="set_env"):
        model.learn(10)


def wrapped():
    return gymnasium.wrappers.TransformReward(gymnasium.make("CartPole-v1"), lambda reward: -reward)


def heavier():
    env = gymnasium.make("Pendulum-v1")
    env.unwrapped.g = 20.0
    return env


@pytest.mark.parametrize(
    "make", [wrapped, heavier, lambda: [gymnasium.make("CartPole-v1"), wrapped()]], ids=["wrapper", "attribute", "several"]
)
def test_what_an_id_does_not_stand_for_acts_and_says_what_it_lacks(make, tmp_path):
    model = ARS("LinearPolicy", make(), **SMALL).learn(100)
    model.save(tmp_path / "model.zip")
    loaded = ARS.load(tmp_path / "model.zip")
    observation = model.observation_space.sample()
    assert loaded.predict(observation)[0].tobytes() == model.predict(observation)[0].tobytes()
    assert loaded.env_id == model.env_id
    with pytest.raises(CheckpointError, match=r"can't be made: it .*; ARS.load"):
        loaded.learn(100)
    loaded.set_env(make())
    same(loaded.learn(100, reset_num_timesteps=False), model.learn(100, reset_num_timesteps=False))


BOX = {"type": "Box", "shape": [4], "dtype": "float32", "low": -1.0, "high": 1.0}


@pytest.mark.parametrize(
    "observation",
    [
        {**BOX, "shape": [10**7]},
        {**BOX, "shape": [2] * 100},
        {**BOX, "shape": [4] * 12},
        {**BOX, "shape": [3]},
        {**BOX, "shape": "4"},
        {**BOX, "shape": [-4]},
        {**BOX, "dtype": "object"},
        {**BOX, "dtype": "uint8"},
        {**BOX, "low": [0.0] * 3},
        {**BOX, "low": "0"},
        {**BOX, "low": float("nan")},
        {**BOX, "low": 2.0},
        {"type": "Discrete", "n": 10**7, "start": 0, "dtype": "int64"},
        {"type": "Discrete", "n": 4, "start": 2**70, "dtype": "int64"},
        {"type": "MultiDiscrete", "shape": [2], "dtype": "int64", "nvec": [2, 10**7], "start": [0, 0]},
        {"type": "MultiBinary", "n": 10**7},
        {"type": "Dict", "spaces": []},
        {"type": "Dict", "spaces": [["a", BOX], ["a", BOX]]},
        {"type": "Dict", "spaces": [["a", BOX], ["b", {**BOX, "shape": [10**7]}]]},
        {"type": "Tuple", "spaces": [3]},
        {"type": "Text"},
        [],
        None,
    ],
    ids=str,
)
def test_a_description_of_a_space_that_is_wrong_or_large_is_not_believed(observation, tmp_path):
    refuses_spaces(tmp_path / "model.zip", observation=observation)


@pytest.mark.parametrize(
    "action",
    [
        {**BOX, "shape": [10**7]},
        {"type": "Discrete", "n": 10**7, "start": 0, "dtype": "int64"},
        {"type": "MultiDiscrete", "shape": [2], "dtype": "int64", "nvec": [2, 10**7], "start": [0, 0]},
        {"type": "MultiBinary", "n": 10**7},
        {"type": "Dict", "spaces": [["a", BOX]]},
    ],
    ids=str,
)
def test_a_description_of_actions_that_is_wrong_or_large_is_not_believed(action, tmp_path):
    refuses_spaces(tmp_path / "model.zip", action=action)


def refuses_spaces(path, **changed):
    # Its noise is as large as the policy needs: no other size is checked first.
    ARS("LinearPolicy", Robot(*CASES["box and discrete"]), n_delta=2, seed=3).save(path)
    manifest, arrays = checkpoint.load(path)
    checkpoint.save(path, {**manifest, "spaces": {**manifest["spaces"], **changed}}, arrays)
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError):
            ARS.load(path)
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()


def test_a_space_that_no_file_holds_is_asked_for(tmp_path):
    low = np.linspace(-1.0, 0.0, 10_000)  # bounds of an image that differ from entry to entry
    env = Robot(spaces.Box(low, low + 1.0, dtype=np.float64), spaces.Discrete(2))
    model = ARS("LinearPolicy", env, **SMALL)
    model.save(tmp_path / "model.zip")
    with pytest.raises(CheckpointError, match=r"ARS.load\(path, env=...\) takes one that can"):
        ARS.load(tmp_path / "model.zip")
    same(ARS.load(tmp_path / "model.zip", env=env), model)


# --- The settings of the log


def test_the_settings_of_the_log_come_back(tmp_path, monkeypatch, capsys):
    pytest.importorskip("tensorboardX", reason="needs fastars[tensorboard]")
    monkeypatch.chdir(tmp_path)
    for folder in ("events", str(tmp_path / "more" / "events"), Path("third")):
        model = ARS("LinearPolicy", "CartPole-v1", verbose=1, tensorboard_log=folder, stats_window_size=7, **SMALL)
        model.save("model.zip")
        capsys.readouterr()
        loaded = ARS.load("model.zip")
        assert capsys.readouterr().out == ""  # only training prints
        assert (loaded.verbose, loaded.tensorboard_log, loaded._stats_window_size) == (1, str(folder), 7)
        loaded.learn(50)
        assert "ep_rew_mean" in capsys.readouterr().out
        assert list((Path(folder) / "ARS_1").iterdir())
    quiet = ARS.load("model.zip", verbose=0, tensorboard_log=None)
    assert (quiet.verbose, quiet.tensorboard_log) == (0, None)


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A folder that is neither in the current one, nor in the home of the user, nor among the temporary ones."""
    for name in ("here", "home", "temporary", "elsewhere"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    return tmp_path / "elsewhere"


@pytest.mark.skipif(os.name != "posix", reason="HOME of POSIX")
def test_a_folder_elsewhere_is_not_written_to_for_a_file(elsewhere):
    pytest.importorskip("tensorboardX", reason="needs fastars[tensorboard]")
    (Path("link")).symlink_to(elsewhere)
    for folder in (str(elsewhere), f"../{elsewhere.name}", "link", "x/../../elsewhere/new"):
        ARS("LinearPolicy", "CartPole-v1", tensorboard_log=folder, **SMALL).save("model.zip")
        with pytest.warns(UserWarning, match=r"its log for TensorBoard went to .* give tensorboard_log"):
            loaded = ARS.load("model.zip")
        assert loaded.tensorboard_log is None
        loaded.learn(50)
        assert list(elsewhere.iterdir()) == []
        assert ARS.load("model.zip", trust=True).tensorboard_log == folder
        assert ARS.load("model.zip", tensorboard_log=folder).tensorboard_log == folder
    for folder in (elsewhere.parent / "home" / "tb", elsewhere.parent / "temporary" / "tb", "tb"):
        ARS("LinearPolicy", "CartPole-v1", tensorboard_log=folder, **SMALL).save("model.zip")
        assert ARS.load("model.zip").tensorboard_log == str(folder)


@pytest.mark.skipif(os.name != "posix", reason="HOME of POSIX")
def test_a_folder_that_is_given_takes_the_place_of_the_one_in_a_policys_file(elsewhere):
    trained = exchange.TrainedPolicy(np.zeros(8), 4, 2, "LinearPolicy", {}, "npz", config={"tensorboard_log": str(elsewhere)})
    for given in ("tb", None):
        model = exchange.to_model(trained, "CartPole-v1", model_class=ARS, tensorboard_log=given)
        assert model.tensorboard_log == given
    with pytest.warns(UserWarning, match="its log for TensorBoard went to"):
        assert exchange.to_model(trained, "CartPole-v1", model_class=ARS).tensorboard_log is None
