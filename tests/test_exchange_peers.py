"""Policies in other people's files, against those people's own libraries."""

import io
import itertools
import zipfile
from collections import OrderedDict
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

sb3_contrib = pytest.importorskip("sb3_contrib", reason="stable-baselines3-contrib is not installed: pip install '.[compat]'")
onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: pip install '.[compat]'")
pytest.importorskip("onnx", reason="onnx is not installed: pip install '.[onnx]'")

import torch  # noqa: E402
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize  # noqa: E402

from fastars import ARS, exchange  # noqa: E402
from fastars.exchange import arrays, onnx, sb3  # noqa: E402
from fastars.files.archives import Archive  # noqa: E402
from fastars.training.state import ObsMoments  # noqa: E402

DATA = Path(__file__).parent / "data"


def with_weights(policy, env, normalised, **settings):
    """A model with weights and a filter, which no training has gone into."""
    model = ARS(policy, env, seed=0, normalize_observations=normalised, **settings)
    generator = np.random.default_rng(5)
    model.policy.load_from_vector(generator.normal(size=model.n_weights))
    if normalised:
        n_obs = len(model.policy.filter.mean)
        observations = generator.normal(size=(50, n_obs)) * 2 + 1
        centred = observations - observations.mean(axis=0)
        moments = ObsMoments(50, observations.mean(axis=0), (centred**2).sum(axis=0))
        model.state = model.state._replace(moments=moments)
    return model


@pytest.mark.parametrize(
    ("policy", "env", "kwargs"),
    [
        ("LinearPolicy", "CartPole-v1", {}),
        ("LinearPolicy", "Pendulum-v1", {"with_bias": True, "squash_output": True}),
        ("MlpPolicy", "Pendulum-v1", {"net_arch": [5, 3], "activation_fn": "tanh"}),
        ("MlpPolicy", "CartPole-v1", {"net_arch": [4], "with_bias": False}),
        ("MlpPolicy", "CartPole-v1", {"net_arch": [4], "activation_fn": "swish"}),
        ("MlpPolicy", "Pendulum-v1", {"net_arch": [4], "activation_fn": "linear"}),
        ("MlpPolicy", "Pendulum-v1", {"net_arch": [4], "squash_output": False}),
    ],
)
@pytest.mark.parametrize(("preset", "normalised"), [(None, False), (None, True), ("sb3", True)])
def test_stable_baselines3_loads_what_is_written(tmp_path, policy, env, kwargs, preset, normalised):
    model = with_weights(policy, env, normalised, policy_kwargs=kwargs, preset=preset)
    state = torch.random.get_rng_state(), np.random.get_state()[1].copy()
    beside = sb3.write(model, tmp_path / "policy")
    assert np.array_equal(state[1], np.random.get_state()[1])  # nobody's generators are seeded
    observations = (np.random.default_rng(0).normal(size=(40, *model.observation_space.shape)) * 3).astype(np.float32)
    given = observations
    assert (beside is not None) == normalised
    if normalised:
        given = VecNormalize.load(str(beside), DummyVecEnv([lambda: gymnasium.make(env)])).normalize_obs(observations)
    theirs = sb3_contrib.ARS.load(tmp_path / "policy")
    assert np.allclose(theirs.predict(given)[0], model.predict(observations)[0], rtol=0, atol=2e-5)
    assert (theirs.n_delta, theirs.seed, theirs.delta_std_schedule(1.0)) == (model.config.n_delta, model.seed, 0.05)
    back = exchange.to_model(exchange.read(tmp_path / "policy", trust=True), env, model_class=ARS)
    assert np.array_equal(back.theta, model.theta.astype(np.float32))
    assert np.allclose(back.predict(observations)[0], model.predict(observations)[0], rtol=0, atol=1e-6)


@pytest.mark.parametrize("trust", [False, True])
def test_a_model_in_their_normaliser_has_its_statistics(trust):
    venv = DummyVecEnv([lambda: gymnasium.make("Pendulum-v1")])
    env = VecNormalize.load(str(DATA / "sb3_linear_vecnormalize.pkl"), venv)
    model = ARS.load(DATA / "sb3_linear.zip", env=env, trust=trust)  # and no warning that they are not read
    expected = np.load(DATA / "sb3_actions.npz")
    given = env.normalize_obs(expected["linear_observations"])
    assert np.allclose(model.predict(given)[0], expected["linear_actions"], rtol=0, atol=1e-6)
    assert np.allclose(model.policy.filter.mean, env.obs_rms.mean, rtol=1e-12, atol=0)


def test_a_normaliser_without_statistics_gets_those_of_the_file():
    env = VecNormalize(DummyVecEnv([lambda: gymnasium.make("Pendulum-v1")]))
    model = ARS.load(DATA / "sb3_linear.zip", env=env, trust=True)
    assert np.allclose(env.obs_rms.mean, model.policy.filter.mean, rtol=1e-12, atol=0)


def test_stable_baselines3_trains_on_with_what_is_written(tmp_path):
    model = with_weights("LinearPolicy", "CartPole-v1", False)
    sb3.write(model, tmp_path / "policy.zip")
    theirs = sb3_contrib.ARS.load(tmp_path / "policy.zip", env=gymnasium.make("CartPole-v1"))
    assert torch.equal(theirs.weights, torch.nn.utils.parameters_to_vector(theirs.policy.parameters()))
    theirs.n_delta, theirs.pop_size = 1, 2
    theirs.learn(10)


def test_what_stable_baselines3_has_no_policy_for_is_refused(tmp_path):
    model = ARS("LinearPolicy", lambda: Random(box(2), spaces.MultiBinary(2)))
    with pytest.raises(ValueError, match=r"has the action space MultiBinary\(2\), for which .* has no policy"):
        sb3.write(model, tmp_path / "policy.zip")


def state_of(tensors, **options):
    """A state dict read back from PyTorch's file."""
    content = io.BytesIO()
    torch.save(OrderedDict(tensors), content, **options)
    return sb3._layers(Archive(content.getvalue()))


@pytest.mark.parametrize(
    "weights",
    [
        torch.arange(6.0).reshape(2, 3),
        torch.arange(6.0, dtype=torch.float64).reshape(3, 2).T,
        torch.arange(20.0)[4:10].reshape(2, 3),
        torch.nn.Parameter(torch.arange(6.0).reshape(2, 3)),
    ],
    ids=["plain", "transposed", "part", "parameter"],
)
def test_tensors_of_every_layout_are_read(weights):
    ((found, bias),) = state_of({"action_net.0.weight": weights})
    assert np.array_equal(found, weights.detach().numpy())
    assert bias is None


def test_other_tensors_than_floats_are_refused():
    with pytest.raises(ValueError, match="other numbers than float32 and float64"):
        state_of({"action_net.0.weight": torch.zeros(2, 3, dtype=torch.int64)})
    with pytest.raises(ValueError, match="which policies of ARS don't have"):
        state_of({"critic.weight": torch.zeros(2, 3)})


def test_the_format_of_pytorch_before_1_6_is_named():
    content = io.BytesIO()
    torch.save({}, content, _use_new_zipfile_serialization=False)
    with pytest.raises(ValueError, match="its zip is damaged"):
        Archive(content.getvalue())
    renamed = io.BytesIO()
    with zipfile.ZipFile(renamed, "w") as archive:
        archive.writestr("other", b"")
    with pytest.raises(ValueError, match=r"not of PyTorch 1.6 or later"):
        sb3._layers(Archive(renamed.getvalue()))


# ONNX


def box(*shape, dtype=np.float32):
    return spaces.Box(-2, 3, shape, dtype)


class Random(gymnasium.Env):
    """Observations and actions of any spaces."""

    def __init__(self, observation_space, action_space):
        self.observation_space, self.action_space = observation_space, action_space

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.observation_space.sample(), {}

    def step(self, action):
        return self.observation_space.sample(), 0.0, True, False, {}


SPACES = {
    "box": (box(3), box(2)),
    "discrete": (box(3), spaces.Discrete(4, start=3)),
    "axes": (box(2, 3), box(2, 2)),
    "float64": (box(3, dtype=np.float64), box(2, dtype=np.float64)),
    "parts": (spaces.Dict(a=box(2), b=spaces.Discrete(3)), spaces.MultiDiscrete([2, 3], start=[0, 5])),
    "grid": (box(3), spaces.MultiDiscrete([[2, 3], [4, 2]])),
    "binary": (box(3), spaces.MultiBinary(4)),
    "no axes": (spaces.Discrete(5), box()),
}
POLICIES = [
    ("LinearPolicy", {}),
    ("LinearPolicy", {"with_bias": True, "squash_output": True}),
    ("MlpPolicy", {"net_arch": [4]}),
    ("MlpPolicy", {"net_arch": [4], "activation_fn": "tanh", "with_bias": False, "squash_output": False}),
    ("MlpPolicy", {"net_arch": [4], "activation_fn": "swish"}),
    ("MlpPolicy", {"net_arch": [4], "activation_fn": "linear"}),
]
FILTERS = [(False, {}), (True, {"clip_observations": 1.5, "clip_actions": False})]


@pytest.mark.parametrize("kind", SPACES)
def test_onnx_acts_as_the_model(tmp_path, kind):
    observation_space, action_space = SPACES[kind]
    observation_space.seed(0)
    for (policy, kwargs), (normalised, settings) in itertools.product(POLICIES, FILTERS):
        model = with_weights(policy, lambda: Random(observation_space, action_space), normalised, policy_kwargs=kwargs, **settings)
        onnx.write(model, tmp_path / "policy.onnx")
        session = onnxruntime.InferenceSession(tmp_path / "policy.onnx", providers=["CPUExecutionProvider"])
        observations = [observation_space.sample() for _ in range(30)]
        flat = isinstance(observation_space, spaces.Box)
        rows = observations if flat else [spaces.flatten(observation_space, each).astype(np.float64) for each in observations]
        (actions,) = session.run(None, {"observation": np.stack(rows)})
        expected = np.stack([model.predict(each)[0] for each in observations])
        assert (actions.dtype, actions.shape) == (expected.dtype, expected.shape)
        assert np.allclose(actions, expected, rtol=0, atol=1e-6)
        arrays.write(model, tmp_path / "policy.npz")
        back = exchange.to_model(
            exchange.read(tmp_path / "policy.npz"), lambda: Random(observation_space, action_space), model_class=ARS
        )
        assert np.allclose([back.predict(each)[0] for each in observations], expected, rtol=0, atol=1e-6)


def test_onnx_says_where_it_is_from(tmp_path):
    onnx.write(with_weights("LinearPolicy", "CartPole-v1", True), tmp_path / "policy.onnx")
    about = onnxruntime.InferenceSession(tmp_path / "policy.onnx").get_modelmeta()
    assert (about.producer_name, about.custom_metadata_map["env_id"]) == ("fastars", "CartPole-v1")


def test_whole_numbers_are_refused(tmp_path):
    model = ARS("LinearPolicy", lambda: Random(box(2), spaces.Box(0, 5, (2,), np.int64)))
    for write in (onnx.write, arrays.write):
        with pytest.raises(ValueError, match="are rounded to whole numbers; this format can't hold that"):
            write(model, tmp_path / "policy")


class Images(gymnasium.Env):
    """Random images, of which a policy sees every number."""

    def __init__(self, shape, action_space):
        self.observation_space, self.action_space = spaces.Box(0, 255, shape, np.uint8), action_space

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.image(), {}

    def step(self, action):
        return self.image(), 1.0, False, True, {}

    def image(self):
        return self.np_random.integers(0, 256, self.observation_space.shape).astype(np.uint8)


@pytest.mark.parametrize("shape", [(36, 38, 3), (3, 36, 38), (36, 38, 1)])
@pytest.mark.parametrize(
    ("policy", "kwargs", "action_space"),
    [
        ("MlpPolicy", {"net_arch": [8]}, spaces.Box(-1.0, 1.0, (2,))),
        ("MlpPolicy", {"net_arch": [8, 4], "squash_output": False}, spaces.Box(-1.0, 1.0, (3,))),
        ("LinearPolicy", {}, spaces.Box(-1.0, 1.0, (2,))),
    ],
)
def test_images_go_into_files_and_out_of_them(tmp_path, shape, policy, kwargs, action_space):
    """Red without the division by 255, and without the order of the channels: actions at their bounds, other choices."""
    env = Images(shape, action_space)
    theirs = sb3_contrib.ARS(policy, env, seed=0, zero_policy=False, policy_kwargs=kwargs)
    theirs.save(tmp_path / "theirs")
    images = [env.reset(seed=seed)[0] for seed in range(20)]
    expected = [theirs.predict(image)[0] for image in images]
    ours = ARS.load(tmp_path / "theirs.zip", env=env)
    assert np.allclose([ours.predict(image)[0] for image in images], expected, atol=1e-5)
    assert np.unique(expected, axis=0).shape[0] > 1  # not all alike, or at a bound
    alone = ARS.load(tmp_path / "theirs.zip")  # with the channels first
    assert np.allclose([alone.predict(image)[0] for image in images], expected, atol=1e-5)
    assert np.allclose(alone.predict(np.array(images))[0], expected, atol=1e-5)
    assert alone.policy.is_vectorized_observation(np.array(images))
    assert not alone.policy.is_vectorized_observation(images[0])
    sb3.write(ours, tmp_path / "back.zip")
    back = sb3_contrib.ARS.load(tmp_path / "back.zip", env=env)
    assert np.allclose([back.predict(image)[0] for image in images], expected, atol=1e-5)
