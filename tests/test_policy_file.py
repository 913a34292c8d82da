"""A policy alone in a file: it acts as it did, under the name given, and a file that makes no sense is one named error.

Broken on purpose, one at a time: the filter left out of `load`, or `clip_actions` (`test_a_policy_acts...` red), `sees_normalized`
left out (`test_a_policy_that_saw...` red), a suffix added (`test_the_file_has...` red), no look at the sizes of spaces, at names of
layers, or at switches (`test_a_file_that_makes_no_sense...` red), and `load` that gives any class (`test_a_policy_of_the_other...`
red).
"""

import io

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from fastars import ARS, CheckpointError
from fastars.files import checkpoint
from fastars.training.policy import ARSLinearPolicy, ARSPolicy

BOX = spaces.Box(-1.0, 1.0, (4,))
BOUNDED = spaces.Box(-0.1, 0.3, (2,))


class Robot(gymnasium.Env):
    def __init__(self, action_space, observation_space=BOX):
        self.action_space, self.observation_space = action_space, observation_space

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.observation_space.sample(), {}

    def step(self, action):
        return self.observation_space.sample(), float(np.sum(action)), True, False, {}


def model(action_space=BOUNDED, policy="LinearPolicy", **settings):
    settings = {"n_delta": 2, "seed": 3, "noise_size": 1 << 16, "delta_std": 1.0, **settings}
    return ARS(policy, Robot(action_space), **settings).learn(12)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"preset": "paper", "normalize_observations": True},
        {"clip_actions": False},
        {"policy_kwargs": {"squash_output": True, "with_bias": True}},
        {"policy": "MlpPolicy", "policy_kwargs": {"net_arch": [3, 2], "activation_fn": "tanh", "with_bias": False}},
        {"policy": "MlpPolicy", "policy_kwargs": {"net_arch": []}, "action_space": spaces.Discrete(3, start=-1)},
        {"action_space": spaces.MultiDiscrete([2, 3])},
    ],
    ids=str,
)
def test_a_policy_acts_as_before_it_was_saved(tmp_path, settings):
    policy = model(**settings).policy
    policy.save(tmp_path / "policy.pkl")
    loaded = type(policy).load(tmp_path / "policy.pkl")
    assert type(loaded) is type(policy)
    assert repr(loaded) == repr(policy)
    assert (loaded.observation_space, loaded.action_space) == (policy.observation_space, policy.action_space)
    assert (loaded.sees_normalized, loaded.trainer()) == (policy.sees_normalized, None)
    observations = np.random.default_rng(0).uniform(-1.0, 1.0, (20, 4)).astype(np.float32)
    expected, _ = policy.predict(observations)
    actions, _ = loaded.predict(observations)
    assert (actions.tobytes(), actions.dtype) == (expected.tobytes(), expected.dtype)
    loaded.save(again := io.BytesIO())
    np.testing.assert_array_equal(ARSPolicy.load(again).predict(observations)[0], expected)
    loaded.load_from_vector(np.zeros_like(loaded.weights))  # nobody else's weights
    np.testing.assert_array_equal(policy.predict(observations)[0], expected)


def test_a_policy_that_saw_normalised_observations_sees_them_after_loading():
    policy = model(normalize_observations=True).policy
    policy.sees_normalized = True
    policy.save(file := io.BytesIO())
    assert ARSPolicy.load(file).sees_normalized
    np.testing.assert_array_equal(ARSPolicy.load(file).predict(np.ones(4))[0], policy.predict(np.ones(4))[0])


def test_the_file_has_the_name_given(tmp_path):
    policy = model().policy
    for name in ("policy", "policy.pth", "new/policy.tar"):
        policy.save(tmp_path / name)
        assert (tmp_path / name).is_file()
        ARSLinearPolicy.load(str(tmp_path / name), device="cpu")
    assert {path.name for path in tmp_path.iterdir()} == {"policy", "policy.pth", "new"}


def test_a_policy_of_the_other_class_is_refused(tmp_path):
    model().policy.save(tmp_path / "linear")
    model(policy="MlpPolicy", policy_kwargs={"net_arch": [2]}).policy.save(tmp_path / "mlp")

    class Wide(ARSPolicy):
        pass

    with pytest.raises(ValueError, match=r"of the class ARSPolicy: use ARSPolicy.load\(path\)"):
        ARSLinearPolicy.load(tmp_path / "mlp")
    with pytest.raises(ValueError, match=r"of the class ARSLinearPolicy: use"):
        Wide.load(tmp_path / "linear")
    assert type(ARSPolicy.load(tmp_path / "linear")) is ARSLinearPolicy
    assert type(Wide.load(tmp_path / "mlp")) is ARSPolicy


def test_files_of_models_and_of_policies_are_told_apart(tmp_path):
    robot = model()
    robot.save(tmp_path / "model")
    robot.policy.save(tmp_path / "policy")
    with pytest.raises(CheckpointError, match=r"model: .* file of a model, use ARS.load\(path\).policy"):
        ARSPolicy.load(tmp_path / "model")
    with pytest.raises(CheckpointError, match=r"file of a policy, use ARSPolicy.load\(path\)"):
        ARS.load(tmp_path / "policy")
    (tmp_path / "other").write_bytes(b"other")
    with pytest.raises(CheckpointError, match="other"):
        ARSPolicy.load(tmp_path / "other")


def test_spaces_that_no_file_holds_are_refused(tmp_path):
    bounds = np.random.default_rng(0).uniform(1.0, 2.0, 20_000)
    policy = ARSLinearPolicy(spaces.Box(-bounds, bounds, dtype=np.float64), BOX)
    with pytest.raises(ValueError, match=r"save\(\): a file can't hold the space"):
        policy.save(tmp_path / "policy")
    assert not list(tmp_path.iterdir())


HUGE = {"type": "Box", "shape": [1 << 40], "dtype": "float32", "low": -1.0, "high": 1.0}
BAD = {
    "layers": [
        {"with_bias": False},
        {"with_bias": False, "squash_output": "yes", "net_arch": [2], "activation_fn": "relu"},
        {"with_bias": False, "squash_output": False, "net_arch": [1 << 40], "activation_fn": "relu"},
        {"with_bias": False, "squash_output": False, "net_arch": [2.0], "activation_fn": "relu"},
        {"with_bias": False, "squash_output": False, "net_arch": [2], "activation_fn": "exec"},
        {"with_bias": False, "squash_output": False, "net_arch": [2], "activation_fn": "relu", "seed": 1},
        {"with_bias": False, "squash_output": False},
        3,
    ],
    "observation_space": [HUGE, None, {"type": "Discrete", "n": 3, "start": 0, "dtype": "int64"}],
    "action_space": [HUGE, {"type": "Discrete", "n": 7, "start": 0, "dtype": "int64"}, "Box"],
    "clip": [float("nan"), 0.0, "x", None],
    "clip_actions": ["no"],
    "sees_normalized": [2],
    "backend": ["torch", None],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in BAD.items() for value in values])
def test_a_file_that_makes_no_sense_is_one_error(tmp_path, name, value):
    model(policy="MlpPolicy", policy_kwargs={"net_arch": [2], "with_bias": False}).policy.save(tmp_path / "policy")
    manifest, arrays = checkpoint.load(tmp_path / "policy")
    checkpoint.save(tmp_path / "bad.zip", {**manifest, name: value}, arrays)
    with pytest.raises(CheckpointError, match=r"bad.zip: not a policy of this version"):
        ARSPolicy.load(tmp_path / "bad.zip")
    checkpoint.save(tmp_path / "bad.zip", {key: kept for key, kept in manifest.items() if key != name}, arrays)
    with pytest.raises(CheckpointError, match=f"it lacks '{name}'"):
        ARSPolicy.load(tmp_path / "bad.zip")


@pytest.mark.parametrize(
    "changes",
    [{"weights": [np.nan] * 12}, {"weights": np.zeros(10)}, {"mean": np.zeros(3)}, {"scale": np.zeros(4, bool)}],
    ids=["nan", "too few", "mean", "bool"],
)
def test_arrays_that_make_no_sense_are_one_error(tmp_path, changes):
    model(policy="MlpPolicy", policy_kwargs={"net_arch": [2], "with_bias": False}).policy.save(tmp_path / "policy")
    manifest, arrays = checkpoint.load(tmp_path / "policy")
    checkpoint.save(tmp_path / "bad.zip", manifest, {**arrays, **changes})
    with pytest.raises(CheckpointError, match=r"bad.zip: not a policy of this version"):
        ARSPolicy.load(tmp_path / "bad.zip")
