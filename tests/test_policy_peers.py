"""Names that scripts read on models and policies of stable-baselines3-contrib, read on both.

Broken on purpose: a policy without `__repr__` (`test_a_policy_prints...` red), `register_with_theirs` without one of its classes
(`test_checks_of_classes...` red), `readable` that gives arrays (`test_layers...` red), spaces that are not read from a file of
theirs (`test_a_file_of_theirs...` red), `dump_logs` without `_excluding` (`test_the_terminal...` red), no `policy.save`
(`test_a_policy_is_saved...` red), `weights` as an array (`test_flat_weights...` red).
"""

import re
import subprocess
import sys
import textwrap

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

sb3_contrib = pytest.importorskip("sb3_contrib", reason="stable-baselines3-contrib is not installed: pip install '.[compat]'")

import torch  # noqa: E402
from sb3_contrib.ars.policies import ARSLinearPolicy, ARSPolicy  # noqa: E402
from stable_baselines3.common.base_class import BaseAlgorithm  # noqa: E402
from stable_baselines3.common.policies import BasePolicy  # noqa: E402

from fastars import ARS, CheckpointError  # noqa: E402
from fastars.training import policy as ours_policy  # noqa: E402

both = pytest.mark.parametrize("algorithm", [sb3_contrib.ARS, ARS], ids=["sb3", "fastars"])
POLICIES = {
    "linear": ("LinearPolicy", {}),
    "bias": ("LinearPolicy", {"with_bias": True, "squash_output": True}),
    "mlp": ("MlpPolicy", {}),
    "tanh": ("MlpPolicy", {"net_arch": [5, 4], "activation_fn": torch.nn.Tanh, "squash_output": False}),
}


class Robot(gymnasium.Env):
    def __init__(self, observation_space=None, action_space=None):
        self.observation_space = observation_space or spaces.Box(-1.0, 1.0, (3,))
        self.action_space = action_space or spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.observation_space.seed(seed)
        self.n_steps = 0
        return self.observation_space.sample(), {}

    def step(self, action):
        self.n_steps += 1
        return self.observation_space.sample(), float(np.sum(action)), False, self.n_steps == 5, {}


def pair(policy="LinearPolicy", kwargs=None, env_id="Pendulum-v1", **settings):
    """One model of each, with the same weights."""
    settings = {"n_delta": 2, "seed": 0, "zero_policy": False, "policy_kwargs": dict(kwargs or {}), **settings}
    theirs, ours = sb3_contrib.ARS(policy, env_id, **settings), ARS(policy, env_id, **settings)
    ours.set_parameters(theirs.get_parameters())
    return theirs, ours


@pytest.mark.parametrize("env_id", ["CartPole-v1", "Pendulum-v1"])
@pytest.mark.parametrize("name", POLICIES)
def test_a_policy_prints_and_has_what_theirs_has(name, env_id):
    theirs, ours = (model.policy for model in pair(*POLICIES[name], env_id))
    assert repr(ours) == repr(theirs)
    for attribute in ("net_arch", "squash_output", "features_dim", "device"):
        assert getattr(ours, attribute) == getattr(theirs, attribute), attribute
    assert len(ours.action_net) == len(theirs.action_net)
    if POLICIES[name][0] == "MlpPolicy":
        assert ours.activation_fn is theirs.activation_fn
    assert list(ours.state_dict()) == list(theirs.state_dict())


def test_layers_are_tensors_where_the_script_has_imported_pytorch():
    theirs, ours = pair(*POLICIES["tanh"])
    for mine, other in zip(ours.policy.action_net, theirs.policy.action_net, strict=True):
        assert str(mine) == str(other)
        if isinstance(other, torch.nn.Linear):
            assert torch.equal(mine.weight, other.weight)
            assert torch.equal(mine.bias, other.bias)
    assert sum(p.numel() for p in ours.policy.parameters()) == sum(p.numel() for p in theirs.policy.parameters())
    theirs.policy.load_state_dict(ours.policy.state_dict())
    ours.policy.load_state_dict(theirs.policy.state_dict())
    assert ours.device == theirs.device == torch.device("cpu")


@both
def test_checks_of_classes_pass(algorithm):
    model = algorithm("LinearPolicy", "CartPole-v1", seed=0)
    assert isinstance(model, BaseAlgorithm)
    assert isinstance(model.policy, BasePolicy)
    assert isinstance(model.policy, ARSLinearPolicy)
    assert issubclass(model.policy_class, ARSPolicy)
    assert isinstance(model.policy, model.policy_class)
    assert issubclass(algorithm.policy_aliases["MlpPolicy"], ARSPolicy)
    assert not isinstance(algorithm("MlpPolicy", "CartPole-v1").policy, ARSLinearPolicy)


def test_checks_of_classes_pass_whichever_package_is_imported_first():
    program = """
    import sys
    from fastars import ARS
    model = ARS("LinearPolicy", "CartPole-v1", seed=0)
    assert "torch" not in sys.modules
    assert model.device == "cpu"
    from stable_baselines3.common.base_class import BaseAlgorithm
    from stable_baselines3.common.policies import BasePolicy
    assert isinstance(model, BaseAlgorithm) and isinstance(model.policy, BasePolicy)
    from sb3_contrib.ars.policies import ARSPolicy
    assert isinstance(model.policy, ARSPolicy)
    import torch
    assert model.policy.device == torch.device("cpu")
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=True, timeout=120)


class Theirs(ARSPolicy):
    def __init__(self, observation_space, action_space, **kwargs):
        super().__init__(observation_space, action_space, net_arch=[7], activation_fn=torch.nn.Tanh, **kwargs)


class TheirLinear(ARSLinearPolicy):
    def __init__(self, observation_space, action_space):
        super().__init__(observation_space, action_space, with_bias=True)


class Ours(ours_policy.ARSPolicy):
    def __init__(self, observation_space, action_space, **kwargs):
        super().__init__(observation_space, action_space, net_arch=[7], activation_fn=torch.nn.Tanh, **kwargs)


@pytest.mark.parametrize("env_id", ["CartPole-v1", "Pendulum-v1"])
def test_classes_that_name_other_layers_are_trained(env_id):
    for kind, kwargs in ((Theirs, {}), (Theirs, {"with_bias": False}), (TheirLinear, {})):
        theirs, ours = pair(kind, kwargs, env_id)
        assert repr(ours.policy.action_net) == repr(theirs.policy.action_net)
    mine = ARS(Ours, env_id, n_delta=2, seed=0, policy_kwargs={"squash_output": False}).learn(50)
    same = ARS(Theirs, env_id, n_delta=2, seed=0, policy_kwargs={"squash_output": False}).learn(50)
    assert mine.theta.tobytes() == same.theta.tobytes()


class Dropping(ARSPolicy):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.action_net = torch.nn.Sequential(torch.nn.Dropout(), *self.action_net)


class Bare(ARSPolicy):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.action_net = torch.nn.Sequential(torch.nn.Flatten())


class OneModule(ARSPolicy):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.action_net = torch.nn.Identity()


class Forward(ARSPolicy):
    def forward(self, obs):
        return 2 * super().forward(obs)


def test_classes_of_theirs_that_compute_something_else_are_refused():
    with pytest.raises(ValueError, match="got Forward with a 'forward' of its own"):
        ARS(Forward, "Pendulum-v1")
    with pytest.raises(ValueError, match=r"(?s)got Dropping, whose action_net is.*Dropout"):
        ARS(Dropping, "Pendulum-v1")
    for kind in (Bare, OneModule):  # no layer with weights; no sequence of layers
        with pytest.raises(ValueError, match=rf"got {kind.__name__}, whose action_net is"):
            ARS(kind, "Pendulum-v1")


# --- Actions


@both
def test_predict_returns_arrays_and_names_mistakes(algorithm):
    model = algorithm("LinearPolicy", "CartPole-v1", seed=0)
    one, many = model.predict(np.zeros(4, np.float32))[0], model.predict(np.zeros((2, 4), np.float32))[0]
    assert (type(one), one.shape, one.dtype) == (np.ndarray, (), np.int64)
    assert (many.shape, many.dtype) == ((2,), np.int64)
    env = gymnasium.make("CartPole-v1")
    observation, _ = env.reset()
    env.step(model.predict(observation, deterministic=True)[0])
    with pytest.raises(ValueError, match="info"):
        model.predict(env.reset())
    with pytest.raises(ValueError, match=r"\(5,\)"):
        model.predict(np.zeros(5))


# --- Files

OBSERVATIONS = {
    "box": spaces.Box(np.array([-0.1, -2.5, -np.inf], np.float32), np.array([0.3, 1 / 3, np.inf], np.float32)),
    "discrete": spaces.Discrete(4),
    "choices": spaces.MultiDiscrete([3, 2]),
    "bits": spaces.MultiBinary(3),
    "matrix": spaces.Box(-1.0, 1.0, (2, 3), np.float64),
    "long": spaces.Box(-1.0, 1.0, (1200,)),
}
ACTIONS = {
    "discrete": spaces.Discrete(3),
    "box": spaces.Box(np.array([-1 / 3, -2.0], np.float32), np.array([0.1, 7.0], np.float32)),
    "uniform": spaces.Box(-0.7, 0.7, (2, 2)),
}


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("observation", OBSERVATIONS)
@pytest.mark.filterwarnings("ignore:(learning_rate|delta_std) can't be read")
def test_a_file_of_theirs_acts_without_an_environment(observation, action, tmp_path):
    env = Robot(OBSERVATIONS[observation], ACTIONS[action])
    policy = "MlpPolicy" if action == "box" else "LinearPolicy"
    theirs = sb3_contrib.ARS(policy, env, n_delta=2, seed=1, zero_policy=False, verbose=0, stats_window_size=9)
    theirs.verbose = 1
    theirs.save(tmp_path / "model")
    ours = ARS.load(tmp_path / "model")
    assert ours.observation_space == env.observation_space
    assert ours.action_space == env.action_space
    assert (ours.verbose, ours._stats_window_size) == (1, 9)
    batch = np.array([env.observation_space.sample() for _ in range(20)])
    np.testing.assert_allclose(ours.predict(batch)[0], theirs.predict(batch)[0], rtol=1e-4, atol=1e-5)
    with pytest.raises(CheckpointError, match=r"does not say which environment .* model\.set_env"):
        ours.learn(10)
    ours.set_env(env)
    ours.verbose = 0
    assert ours.learn(20).num_timesteps >= 20


@both
def test_a_model_is_loaded_and_acts_and_then_trains(algorithm, tmp_path):
    """Every script of a deployment: the environment is there for training alone."""
    model = algorithm("MlpPolicy", Robot(), n_delta=2, seed=0, policy_kwargs={"net_arch": [4]}, verbose=0, stats_window_size=5)
    model.learn(20)
    model.verbose, model.tensorboard_log = 1, str(tmp_path / "events")
    model.save(tmp_path / "model")
    loaded = algorithm.load(tmp_path / "model")
    assert loaded.get_env() is None
    assert (loaded.observation_space, loaded.action_space) == (model.observation_space, model.action_space)
    observation = np.full(3, 0.5, np.float32)
    assert loaded.predict(observation)[0] == model.predict(observation)[0]
    kept = "verbose tensorboard_log _stats_window_size n_delta n_top pop_size n_eval_episodes zero_policy alive_bonus_offset seed "
    kept += "learning_rate num_timesteps _n_updates n_params n_envs use_sde sde_sample_freq action_noise processes"
    assert [name for name in kept.split() if getattr(loaded, name) != getattr(model, name)] == []
    with pytest.raises((AssertionError, ValueError)):
        algorithm.load(tmp_path / "model").learn(20)
    loaded.set_env(Robot())
    loaded.learn(20, reset_num_timesteps=False)
    assert loaded.num_timesteps >= 40
    assert [path.name for path in (tmp_path / "events").iterdir()]


# --- The terminal


@both
def test_names_of_arguments_are_refused_by_the_same_errors(algorithm):
    with pytest.raises(TypeError, match=r"ARS.*\(\) got an unexpected keyword argument 'gamma'"):
        algorithm("LinearPolicy", "CartPole-v1", gamma=0.9)
    with pytest.raises(TypeError, match="net_arc"):
        algorithm("MlpPolicy", "CartPole-v1", policy_kwargs={"net_arc": [3]})
    with pytest.raises(ValueError, match="CnnPolicy"):
        algorithm("CnnPolicy", "CartPole-v1")
    with pytest.warns(UserWarning, match="n_top"):
        algorithm("LinearPolicy", "CartPole-v1", n_delta=2, n_top=3)
    with pytest.raises(gymnasium.error.Error):
        algorithm("LinearPolicy", "NoSuchEnv-v0")


def printed_rows(output):
    return re.findall(r"\| +(\w+)/? +\| ", output)


def test_the_terminal_shows_the_rows_of_theirs(tmp_path, capsys):
    found = {}
    for module in (sb3_contrib.ARS, ARS):
        model = module("LinearPolicy", "CartPole-v1", n_delta=2, seed=0, verbose=1)
        capsys.readouterr()
        model.learn(150, log_interval=1)
        output = capsys.readouterr().out
        found[module] = printed_rows(output)
        assert "nan" not in output
        assert "None" not in output
    first = found[sb3_contrib.ARS][: found[sb3_contrib.ARS].index("step_size") + 1]
    assert len(first) == 10 + 3  # rows, and the names of their groups
    assert found[ARS][: len(first)] == first
    from fastars.logger import configure

    logged = ARS("LinearPolicy", "CartPole-v1", n_delta=2, seed=0)
    logged.set_logger(configure(tmp_path, ["csv", "log"]))
    logged.learn(60)
    header = (tmp_path / "progress.csv").read_text().splitlines()[0]
    assert len(header.split(",")) > 25
    assert "grad_norm" in (tmp_path / "log.txt").read_text()


# --- Files of a policy, and flat weights


def test_a_policy_is_saved_and_loaded_by_the_same_script(tmp_path):
    observations = np.random.default_rng(0).uniform(-1.0, 1.0, (5, 3)).astype(np.float32)
    found = []
    # Theirs can't load a linear policy, nor one that was made with other switches.
    for each, model in zip(("theirs", "ours"), pair("MlpPolicy", {"net_arch": [6], "activation_fn": torch.nn.Tanh}), strict=True):
        model.policy.save(tmp_path / each)
        assert (tmp_path / each).is_file()
        loaded = model.policy_class.load(tmp_path / each, device="cpu").to("cpu")
        assert type(loaded) is type(model.policy)
        actions, _ = loaded.predict(observations, deterministic=True)
        np.testing.assert_array_equal(actions, model.policy.predict(observations, deterministic=True)[0])
        for name, value in model.policy.state_dict().items():
            assert torch.equal(loaded.state_dict()[name], value)
        found.append((actions, repr(loaded), list(loaded.net_arch)))
    np.testing.assert_allclose(found[0][0], found[1][0], rtol=1e-5, atol=1e-6)
    assert found[0][1:] == found[1][1:]


def test_flat_weights_are_a_tensor():
    robot = ARS("LinearPolicy", "Pendulum-v1", n_delta=2, seed=0, zero_policy=False)
    theirs = sb3_contrib.ARS("LinearPolicy", "Pendulum-v1", n_delta=2, seed=0).learn(400)
    assert (type(robot.weights), robot.weights.shape, robot.weights.dtype) == (torch.Tensor, theirs.weights.shape, torch.float32)
    assert torch.equal(robot.weights, torch.nn.utils.parameters_to_vector(robot.policy.parameters()))
    assert float(torch.norm(robot.weights)) > 0.0
