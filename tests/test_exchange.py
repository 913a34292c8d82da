"""Policies in other people's files: they act as they did there, and nothing in a file is executed."""

import base64
import contextlib
import io
import json
import os
import pickle
import random
import re
import subprocess
import sys
import warnings
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastars import ARS, CheckpointError, exchange
from fastars.exchange import arrays, onnx, original, sb3
from fastars.exchange.pickles import Made, Name, numpy_array, read_pickle
from fastars.exchange.statistics_files import statistics_beside
from fastars.files.archives import Archive
from fastars.training.state import ObsMoments

DATA = Path(__file__).parent / "data"
ENVS = {"linear": "Pendulum-v1", "bias": "CartPole-v1", "mlp": "Pendulum-v1", "tanh": "CartPole-v1", "old": "CartPole-v1"}
ACTIONS = np.load(DATA / "sb3_actions.npz")
OBSERVATIONS = np.random.default_rng(1).normal(size=(30, 4)).astype(np.float32)


def theirs(name):
    return DATA / f"sb3_{name}.zip"


def small(env="CartPole-v1", policy="LinearPolicy", **settings):
    """A model with some weights, and a filter if it normalises."""
    model = ARS(policy, env, **{"n_delta": 2, "seed": 3, "n_threads": 1, "noise_size": 1 << 16, "delta_std": 0.5, **settings})
    return model.learn(2 * 2 * 500)


def original_file(path, *parts, protocol=4):
    """A file as the original writes it; NumPy pickles its array of objects."""
    entries = np.empty(3, object)
    entries[:] = parts
    pickled = pickle.dumps(entries, protocol)
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|O", "fortran_order": False, "shape": (3,)})
    path.write_bytes(zipped({"arr_0.npy": header.getvalue() + pickled}))
    return path


def zipped(members):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return content.getvalue()


def unzipped(data):
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def same(left, right):
    """Return True if two trained policies are equal to the bit."""
    return all(np.array_equal(a, b) if isinstance(a, np.ndarray) else a == b for a, b in zip(left, right, strict=True))


# stable-baselines3-contrib


@pytest.mark.parametrize("name", ["linear", "bias", "mlp", "tanh"])
def test_a_policy_of_stable_baselines3_acts_as_there(name):
    model = exchange.to_model(exchange.read(theirs(name), trust=True), ENVS[name], model_class=ARS)
    actions, _ = model.predict(ACTIONS[f"{name}_observations"])
    assert np.allclose(actions, ACTIONS[f"{name}_actions"], rtol=0, atol=1e-6)  # they compute in float32


def test_hyperparameters_and_counters_come_along():
    model = exchange.to_model(exchange.read(theirs("bias")), "CartPole-v1", n_threads=1, model_class=ARS)
    config = model.config
    assert (config.n_delta, config.n_top, config.delta_std, config.learning_rate, config.seed) == (3, 2, 0.3, 0.1, 1)
    assert (config.divide_by_n_top, config.return_ddof) == (True, 1)  # as theirs takes a step
    assert model.num_timesteps == exchange.read(theirs("bias")).num_timesteps > 1000


def test_an_imported_policy_trains_on():
    model = exchange.to_model(exchange.read(theirs("bias")), "CartPole-v1", n_threads=1, noise_size=1 << 16, model_class=ARS)
    before, n_steps = model.theta.copy(), model.num_timesteps
    model.learn(100, reset_num_timesteps=False)
    assert model.num_timesteps > n_steps
    assert not np.array_equal(model.theta, before)


def test_files_from_before_1_7_are_read_and_say_what_they_lack():
    old = exchange.read(theirs("old"))
    with pytest.warns(UserWarning, match=r"delta_std can't be read from the file: it is 0.05 unless delta_std=... is given"):
        exchange.to_model(old, "CartPole-v1", model_class=ARS)
    assert exchange.to_model(old, "CartPole-v1", delta_std=0.3, model_class=ARS).config.delta_std == 0.3  # which is no warning
    new = exchange.read(theirs("bias"))
    assert np.array_equal(old.weights, new.weights)
    assert (old.policy, old.policy_kwargs) == (new.policy, new.policy_kwargs)
    assert "delta_std" not in old.config


def test_the_statistics_beside_are_read_with_trust_only():
    pickled = DATA / "sb3_linear_vecnormalize.pkl"
    with pytest.warns(UserWarning, match="sb3_linear_vecnormalize.pkl is not read: .* trust=True"):
        untrusted = exchange.read(theirs("linear"))
    assert (untrusted.mean, untrusted.unread) == (None, pickled)
    with pytest.warns(UserWarning, match="sb3_linear_vecnormalize.pkl is not read: .* trust=True"):
        exchange.to_model(untrusted, "Pendulum-v1", model_class=ARS)
    with pytest.raises(ValueError, match="vec_normalize is a pickle, which is read with trust=True only"):
        exchange.read(theirs("linear"), vec_normalize=pickled)
    trained = exchange.read(theirs("linear"), trust=True)
    assert same(trained, exchange.read(theirs("linear"), trust=True, vec_normalize=pickled))
    assert trained.count == 1207
    assert trained.clip_observations == 10.0


LAYOUTS = [  # of rl-zoo: the model, the statistics, other files and folders
    ("Pendulum-v1.zip", "Pendulum-v1/vecnormalize.pkl", []),
    ("best_model.zip", "Pendulum-v1/vecnormalize.pkl", ["Pendulum-v1.zip"]),
    ("rl_model_1000_steps.zip", "Pendulum-v1/vecnormalize.pkl", ["Pendulum-v1/args.yml", "plots/readme.txt"]),
    ("best_model.zip", "Pendulum-v1/vecnormalize.pkl", ["Pendulum-v1/config.yml", "Pendulum-v1/args.yml"]),
    ("ars-Pendulum-v1.zip", "vec_normalize.pkl", []),
    ("Pendulum-v1.zip", "Pendulum-v1/vec_normalize.pkl", ["Other-v1/vecnormalize.pkl"]),
]


@pytest.mark.promise(6)
@pytest.mark.parametrize(("model", "statistics", "others"), LAYOUTS)
def test_statistics_are_found_where_rl_zoo_puts_them(tmp_path, model, statistics, others, tally):
    run = tmp_path / "ars" / "Pendulum-v1_1"
    right = exchange.read(theirs("linear"), trust=True)
    for name in (model, statistics, *others):
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        (run / name).write_bytes(b"")
    (run / model).write_bytes(theirs("linear").read_bytes())
    (run / statistics).write_bytes((DATA / "sb3_linear_vecnormalize.pkl").read_bytes())
    assert same(exchange.read(run / model, trust=True), right)
    with pytest.warns(UserWarning, match=rf"{statistics} is not read: .* trust=True"):
        assert exchange.read(run / model).unread == run / statistics
    assert np.array_equal(ARS.load(run / model, env="Pendulum-v1", trust=True).policy.filter.mean, right.mean)
    tally("layouts in which the statistics of a VecNormalize were found", 1, of=1)


@pytest.mark.promise(6)
@pytest.mark.parametrize("trust", [False, True])
def test_statistics_that_are_not_there_are_missed(tmp_path, trust):
    (tmp_path / "model.zip").write_bytes(theirs("linear").read_bytes())
    for folder in ("a", "b"):  # two runs: neither is known to be the one
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "args.yml").touch()
        (tmp_path / folder / "vecnormalize.pkl").touch()
    with pytest.warns(UserWarning, match=r"model.zip: a VecNormalize normalised its observations, and no file of it was found"):
        exchange.read(tmp_path / "model.zip", trust=trust)
    with pytest.warns(UserWarning, match=r"a VecNormalize normalised its observations"):
        ARS.load(tmp_path / "model.zip", env="Pendulum-v1", trust=trust)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        exchange.read(theirs("bias"))  # was trained without one


def test_the_filter_is_the_one_of_their_statistics():
    trained = exchange.read(theirs("linear"), trust=True)
    model = exchange.to_model(trained, "Pendulum-v1", model_class=ARS)
    assert np.array_equal(model.policy.filter.mean, trained.mean)
    assert np.allclose(model.policy.filter.scale, 1.0 / trained.std, rtol=1e-14, atol=0)
    assert model.policy.filter.clip == 10.0


@pytest.mark.parametrize(
    ("name", "beside"),
    [
        ("ars.zip", "ars_vecnormalize.pkl"),
        ("best_model.zip", "vecnormalize.pkl"),
        ("model.zip", "vec_normalize.pkl"),
        ("rl_model_800_steps.zip", "rl_model_vecnormalize_800_steps.pkl"),
    ],
)
def test_statistics_are_found_under_the_usual_names(tmp_path, name, beside):
    assert statistics_beside(tmp_path / name) is None
    (tmp_path / beside).touch()
    assert statistics_beside(tmp_path / name) == tmp_path / beside


def test_a_file_without_suffix_and_an_open_one_are_read():
    assert same(exchange.read(DATA / "sb3_bias"), exchange.read(io.BytesIO(theirs("bias").read_bytes())))


def test_a_model_loads_from_their_file_and_takes_its_settings():
    model = ARS.load(theirs("bias"), "CartPole-v1", n_delta=5)
    assert (model.config.n_delta, model.config.learning_rate) == (5, 0.1)
    assert np.array_equal(model.theta, exchange.read(theirs("bias")).weights)


def test_what_is_of_neither_is_an_error_as_for_a_model(tmp_path):
    (tmp_path / "none.txt").write_text("hello")
    (tmp_path / "some.zip").write_bytes(zipped({"hello": b""}))
    (tmp_path / "cut.zip").write_bytes(theirs("bias").read_bytes()[:500])
    for name in ("none.txt", "some.zip", "cut.zip"):
        assert not exchange.is_foreign(tmp_path / name)
        with pytest.raises(CheckpointError, match=name):
            ARS.load(tmp_path / name)


def test_a_model_of_fastars_is_told_by_its_beginning(monkeypatch):
    class Watched(io.BytesIO):
        def read(self, size=-1):
            sizes.append(size)
            return super().read(size)

    file, sizes = Watched(), []
    ARS("LinearPolicy", "CartPole-v1").save(file)
    assert not exchange.is_foreign(file)
    assert 0 < max(sizes) < 100
    assert min(sizes) > 0
    monkeypatch.setattr("fastars.files.archives.MAX_BYTES", 1000)
    assert ARS.load(file).env_id == "CartPole-v1"


def changed(name, **values):
    """The members of a file of theirs, with other values in its data."""
    members = unzipped(theirs(name).read_bytes())
    members["data"] = json.dumps({**json.loads(members["data"]), **values}).encode()
    return io.BytesIO(zipped(members))


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"n_delta": -1}, "n_delta must be an integer from 0"),
        ({"num_timesteps": "many"}, "num_timesteps must be an integer"),
        ({"learning_rate": float("nan")}, "where a finite number is expected"),
        ({"policy_class": {"__init__": "<function MyPolicy.__init__ at 0x1>"}}, "a policy of the class 'MyPolicy'"),
        ({"policy_kwargs": {"activation_fn": "<class 'torch.nn.modules.activation.ELU'>"}}, "known are ReLU, Tanh, SiLU, Identity"),
    ],
)
def test_data_of_theirs_that_make_no_policy_are_refused(values, told):
    with pytest.raises(CheckpointError, match=told):
        exchange.read(changed("mlp", **values))


def test_another_algorithm_of_theirs_is_named_as_such():
    members = unzipped(theirs("mlp").read_bytes())
    members["data"] = b'{"gamma": 0.99}'
    with pytest.raises(CheckpointError, match="of another algorithm of stable-baselines3 than ARS"):
        exchange.read(io.BytesIO(zipped(members)))


# The original


WEIGHTS, MEAN, STD = np.arange(8.0).reshape(2, 4) / 7 - 0.3, np.array([0.1, -0.2, 0.3, 0.0]), np.array([1.0, 0.5, 2.0, 4.0])


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_files_of_the_original_are_read(tmp_path, protocol):
    trained = exchange.read(original_file(tmp_path / "lin_policy_plus.npz", WEIGHTS, MEAN, STD, protocol=protocol))
    assert np.array_equal(trained.weights, WEIGHTS.ravel())
    assert np.array_equal(trained.mean, MEAN)
    assert np.array_equal(trained.std, STD)
    model = exchange.to_model(trained, "CartPole-v1", model_class=ARS)
    scores = ((OBSERVATIONS.astype(float) - MEAN) / STD) @ WEIGHTS.T
    assert np.array_equal(model.predict(OBSERVATIONS)[0], scores.argmax(axis=1))


def test_files_of_every_numpy_are_read(tmp_path):
    path = original_file(tmp_path / "new.npz", WEIGHTS, MEAN, STD, protocol=2)
    content = unzipped(path.read_bytes())["arr_0.npy"]
    assert (b"numpy._core" in content) == (int(np.__version__.split(".")[0]) >= 2)
    for spelling in (b"numpy.core", b"numpy._core"):
        spelled = re.sub(rb"numpy\._?core", spelling, content)
        assert same(exchange.read(io.BytesIO(zipped({"arr_0.npy": spelled}))), exchange.read(path))


def test_columns_first_and_float32_are_read(tmp_path):
    trained = exchange.read(original_file(tmp_path / "a.npz", np.asfortranarray(WEIGHTS), MEAN.astype(np.float32), STD))
    assert np.array_equal(trained.weights, WEIGHTS.ravel())
    assert np.array_equal(trained.mean, MEAN.astype(np.float32))


def test_the_numbers_0_and_1_are_no_filter(tmp_path):
    trained = exchange.read(original_file(tmp_path / "a.npz", WEIGHTS, 0, 1))
    assert trained.mean is None
    assert not exchange.to_model(trained, "CartPole-v1", model_class=ARS).config.normalize_observations


def test_an_observation_that_never_varied_counts_nothing(tmp_path):
    trained = exchange.read(original_file(tmp_path / "a.npz", WEIGHTS, MEAN, np.array([1.0, 1e-8, np.inf, 2.0])))
    assert np.array_equal(trained.std, [1.0, np.inf, np.inf, 2.0])
    model = exchange.to_model(trained, "CartPole-v1", model_class=ARS)
    assert np.allclose(model.policy.filter.scale, [1.0, 0.0, 0.0, 0.5], rtol=1e-14, atol=0)


def test_a_policy_for_other_observations_says_which(tmp_path):
    trained = exchange.read(original_file(tmp_path / "a.npz", WEIGHTS, MEAN, STD))
    with pytest.raises(CheckpointError, match="takes 4 observations and gives 2 outputs; Pendulum-v1 has 3 and takes 1"):
        exchange.to_model(trained, "Pendulum-v1", model_class=ARS)


@pytest.mark.parametrize(
    ("n_obs", "n_act", "env_id"), [(4, 2, "CartPole-v1"), (3, 1, "Pendulum-v1"), (6, 3, "Acrobot-v1"), (17, 6, "HalfCheetah-v5")]
)
def test_without_an_environment_one_is_named_that_fits(tmp_path, n_obs, n_act, env_id):
    trained = exchange.read(original_file(tmp_path / "a.npz", np.ones((n_act, n_obs)), np.zeros(n_obs), np.ones(n_obs)))
    message = f"takes {n_obs} observations and gives {n_act} outputs: give env=..., such as env='{env_id}'"
    with pytest.raises(CheckpointError, match=re.escape(message)):
        exchange.to_model(trained, model_class=ARS)


def test_their_file_asks_for_an_environment():
    with pytest.raises(CheckpointError, match=r"does not say which environment its policy is for"):
        ARS.load(theirs("bias")).learn(1)


@pytest.mark.parametrize("normalised", [False, True])
def test_what_the_original_reads_is_written(tmp_path, normalised):
    model = small(preset="modestyachts", normalize_observations=normalised)
    original.write(model, tmp_path / "lin_policy_plus.npz")
    weights, mean, std = np.load(tmp_path / "lin_policy_plus.npz", allow_pickle=True)["arr_0"]
    scores = ((OBSERVATIONS - mean) / std) @ weights.T  # as its run_policy.py has it
    assert np.array_equal(scores.argmax(axis=1), model.predict(OBSERVATIONS)[0])
    back = exchange.to_model(exchange.read(tmp_path / "lin_policy_plus.npz"), "CartPole-v1", model_class=ARS)
    assert np.array_equal(back.theta, model.theta)
    assert np.allclose(back.policy.filter.scale, model.policy.filter.scale, rtol=1e-13, atol=0)


@pytest.mark.parametrize("settings", [{"policy": "MlpPolicy"}, {"policy_kwargs": {"with_bias": True}}])
def test_what_the_original_cannot_hold_is_refused(tmp_path, settings):
    model = ARS(settings.pop("policy", "LinearPolicy"), "CartPole-v1", **settings)
    with pytest.raises(ValueError, match="must have a linear policy without bias and squash_output"):
        original.write(model, tmp_path / "a.npz")
    assert not (tmp_path / "a.npz").exists()


def test_a_clip_that_the_original_does_not_know_is_said(tmp_path):
    model = ARS("LinearPolicy", "CartPole-v1", preset="sb3", normalize_observations=True)
    with pytest.warns(UserWarning, match="clip_observations=10 is left out"):
        original.write(model, tmp_path / "a.npz")


# Plain arrays


VARIETIES = [
    {},
    {"normalize_observations": True, "clip_observations": 1.0},
    {"policy": "MlpPolicy", "policy_kwargs": {"net_arch": [4], "activation_fn": "tanh"}, "zero_policy": False},
    {"policy": "MlpPolicy", "policy_kwargs": {"net_arch": [4], "activation_fn": "swish"}, "zero_policy": False},
    {"policy": "MlpPolicy", "policy_kwargs": {"net_arch": [4], "activation_fn": "linear"}, "zero_policy": False},
]


@pytest.mark.parametrize("settings", VARIETIES)
def test_plain_arrays_come_back(tmp_path, settings):
    model = small(**settings)
    arrays.write(model, tmp_path / "policy.npz")
    back = exchange.to_model(exchange.read(tmp_path / "policy.npz"), model_class=ARS)
    assert (back.env_id, back.num_timesteps, back.config.policy) == ("CartPole-v1", model.num_timesteps, model.config.policy)
    assert np.array_equal(back.theta, model.theta)
    assert np.allclose(back.policy.filter.scale, model.policy.filter.scale, rtol=1e-13, atol=0)
    assert np.array_equal(back.predict(OBSERVATIONS)[0], model.predict(OBSERVATIONS)[0])


def test_the_page_on_files_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page = (Path(__file__).parent.parent / "docs" / "files.md").read_text(encoding="utf-8")
    names = {}
    for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        exec(block, names)
    model = names["model"]
    assert np.array_equal([names["act"](observation) for observation in OBSERVATIONS], model.predict(OBSERVATIONS)[0])
    assert names["again"].num_timesteps >= 10_000


def loader_of_the_docs(folder):
    """The function `act` of the page on files."""
    page = (Path(__file__).parent.parent / "docs" / "files.md").read_text(encoding="utf-8")
    (code,) = [block for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "def act" in block]
    assert len(code.strip().splitlines()) <= 20
    names = {}
    exec(code.replace('"policy.npz"', repr(str(folder / "policy.npz"))), names)
    return names["act"]


@pytest.mark.parametrize(
    ("env", "settings"),
    [
        *(("CartPole-v1", settings) for settings in VARIETIES),
        ("Pendulum-v1", {"normalize_observations": True}),
        ("Pendulum-v1", {"clip_actions": False, "delta_std": 5.0}),
        ("Pendulum-v1", {"policy": "MlpPolicy", "policy_kwargs": {"net_arch": [4]}, "zero_policy": False}),
    ],
)
def test_the_loader_of_the_docs_acts_as_the_model(tmp_path, env, settings):
    model = ARS(settings.get("policy", "LinearPolicy"), env, **{"seed": 1, **{k: v for k, v in settings.items() if k != "policy"}})
    generator = np.random.default_rng(0)
    model.policy.load_from_vector(generator.normal(size=model.n_weights) * settings.get("delta_std", 1.0))
    n_obs = len(model.policy.filter.mean)
    moments = ObsMoments(100, generator.normal(size=n_obs), 99.0 / generator.uniform(0.1, 2.0, n_obs) ** 2)
    model.state = model.state._replace(moments=moments)
    arrays.write(model, tmp_path / "policy.npz")
    act = loader_of_the_docs(tmp_path)
    for observation in generator.normal(size=(20, n_obs)).astype(np.float32) * 2:
        action, _ = model.predict(observation)
        found = act(observation)
        assert np.shape(found) == np.shape(action)
        assert np.asarray(found).dtype == action.dtype
        assert np.allclose(found, action, rtol=0, atol=1e-6)


def test_plain_arrays_hold_no_pickle_and_explain_themselves(tmp_path):
    arrays.write(small(), tmp_path / "policy.npz")
    with np.load(tmp_path / "policy.npz", allow_pickle=False) as entries:
        assert all(entries[name].dtype != object for name in entries)
        assert "x = clip((o - obs_mean) / obs_std" in str(entries["README"])


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("W0", np.zeros((2, 4, 1)), "layer 0 has weights of shape"),
        ("W0", np.full((2, 4), np.nan), "weights that are not finite"),
        ("b0", np.zeros(3), "the biases of layer 0"),
        ("obs_std", np.array([1.0, -1.0, 1.0, 1.0]), "a deviation that is negative"),
        ("obs_clip", np.array(np.nan), "obs_clip must be positive"),
        ("policy", np.array("CnnPolicy"), "policy must be one of LinearPolicy, MlpPolicy, got 'CnnPolicy'"),
        ("with_bias", np.array(1.0), "with_bias must be a bool"),
        ("num_timesteps", np.array(-1), "num_timesteps must be an integer"),
        ("W0", np.array([["a"]]), "W0 must be numbers"),
    ],
)
def test_plain_arrays_that_make_no_policy_are_refused(tmp_path, name, value, told):
    arrays.write(small(normalize_observations=True, policy_kwargs={"with_bias": True}), tmp_path / "policy.npz")
    with np.load(tmp_path / "policy.npz") as entries:
        np.savez(tmp_path / "bad.npz", **{**entries, name: value})
    with pytest.raises(CheckpointError, match=told):
        exchange.read(tmp_path / "bad.npz")


# What must not happen


class Hostile:
    """Its pickle makes a file when it is loaded by Python's own."""

    def __reduce__(self):
        return os.system, ("touch executed",)


def hostile_files(folder):
    """A file for each place that can hold a pickle, with one that calls os.system."""
    bad = pickle.dumps(Hostile())
    members = unzipped(theirs("linear").read_bytes())
    pth = unzipped(members["policy.pth"])
    in_pth = {name: bad if name.endswith("data.pkl") else data for name, data in pth.items()}
    (folder / "pth.zip").write_bytes(zipped({**members, "policy.pth": zipped(in_pth)}))
    value = OrderedDict({"action_net.0.weight": Hostile()})
    in_value = {name: pickle.dumps(value, 2) if name.endswith("data.pkl") else data for name, data in pth.items()}
    (folder / "value.zip").write_bytes(zipped({**members, "policy.pth": zipped(in_value)}))
    data = json.loads(members["data"])
    text = base64.b64encode(bad).decode()
    data = {name: {**value, ":serialized:": text} if isinstance(value, dict) else value for name, value in data.items()}
    (folder / "data.zip").write_bytes(zipped({**members, "data": json.dumps(data), "pytorch_variables.pth": bad}))
    (folder / "beside.zip").write_bytes(theirs("linear").read_bytes())
    (folder / "beside_vecnormalize.pkl").write_bytes(bad)
    original_file(folder / "original.npz", Hostile(), MEAN, STD)
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|O", "fortran_order": False, "shape": (3,)})
    (folder / "array.npz").write_bytes(zipped({"arr_0.npy": header.getvalue() + bad}))
    np.savez(folder / "plain.npz", README="", W0=np.array([Hostile()], object))
    return ["pth.zip", "value.zip", "data.zip", "beside.zip", "original.npz", "array.npz", "plain.npz"]


WATCHED = """
import sys, warnings
from fastars import CheckpointError, exchange

events = []
warnings.simplefilter("ignore")
watched = ("os.system", "os.exec", "os.posix_spawn", "os.fork", "subprocess.", "pickle.find_class", "ctypes.")
sys.addaudithook(lambda event, arguments: event.startswith(watched) and events.append((event, str(arguments[:1]))))
for path in sys.argv[1:]:
    try:
        print(path, exchange.read(path, trust=True).policy)
    except CheckpointError as error:
        print(path, "refused")
print("events", events)
print("modules", [name for name in ("torch", "stable_baselines3") if name in sys.modules])
"""


def test_nothing_in_a_file_is_executed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = hostile_files(tmp_path)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    told = subprocess.run(
        [sys.executable, "-c", WATCHED, *names], env=environment, capture_output=True, text=True, check=True
    ).stdout
    assert not (tmp_path / "executed").exists()
    assert "data.zip LinearPolicy" in told  # what is not looked at does no harm
    assert [line for line in told.splitlines() if line.endswith("refused")] == [
        f"{name} refused" for name in names if name != "data.zip"
    ]
    assert "events []" in told
    assert "modules []" in told
    pickle.loads((tmp_path / "beside_vecnormalize.pkl").read_bytes())
    assert (tmp_path / "executed").exists()  # so it would have been seen


@pytest.mark.parametrize("kind", ["linear", "mlp", "original", "plain"])
def test_random_edits_are_refused_or_change_nothing(tmp_path, kind):
    path = tmp_path / "edited.zip"
    if kind == "original":
        content = original_file(path, WEIGHTS, MEAN, STD).read_bytes()
    elif kind == "plain":
        arrays.write(ARS("LinearPolicy", "CartPole-v1"), path)
        content = path.read_bytes()
    else:
        content = theirs(kind).read_bytes()
    expected, generator, n_refused = exchange.read_quietly(io.BytesIO(content)), random.Random(0), 0
    for _ in range(200):
        edited = bytearray(content)
        at = generator.randrange(len(edited))
        match generator.randrange(3):
            case 0:
                edited[at] ^= 1 << generator.randrange(8)
            case 1:
                edited[at : at + generator.randrange(1, 20)] = generator.randbytes(generator.randrange(20))
            case 2:
                del edited[at:]
        try:
            found = exchange.read_quietly(io.BytesIO(bytes(edited)))
        except CheckpointError:
            n_refused += 1
        else:
            assert same(found, expected)
    assert n_refused > 50


def test_random_edits_under_right_checksums_raise_nothing_but_checkpoint_errors():
    members, generator, n_refused = unzipped(theirs("linear").read_bytes()), random.Random(0), 0
    pth = unzipped(members["policy.pth"])
    statistics = (DATA / "sb3_linear_vecnormalize.pkl").read_bytes()
    (pkl,) = [name for name in pth if name.endswith("data.pkl")]

    def edited(data):
        edited = bytearray(data)
        for _ in range(generator.randrange(1, 4)):
            edited[generator.randrange(len(edited))] = generator.randrange(256)
        return bytes(edited)

    for k in range(600):
        changed, beside = dict(members), statistics
        match k % 3:
            case 0:
                changed["data"] = edited(members["data"])
            case 1:
                changed["policy.pth"] = zipped({**pth, pkl: edited(pth[pkl])})
            case 2:
                beside = edited(statistics)
        try:
            exchange.read(io.BytesIO(zipped(changed)), trust=True, vec_normalize=io.BytesIO(beside))
        except CheckpointError:
            n_refused += 1
    assert n_refused > 100


@pytest.mark.parametrize(
    ("members", "told"),
    [
        ({f"{k}.npy": b"" for k in range(300)}, "a zip of 300 members; allowed are 256"),
        ({"readme.txt": b"hello"}, "not a file of stable-baselines3-contrib, of the original ARS or of plain arrays"),
        ({"manifest.json": b"{}"}, "it is a model of fastars, which ARS.load reads"),
        ({"data": b"[" * 100_000, "policy.pth": b""}, "maximum recursion depth|nested"),
        ({"data": b'{"n_delta": 1}', "policy.pth": b"PK"}, "its zip is damaged"),
        ({"arr_0.npy": b"\x93NUMPY\x01\x00"}, "no file of a policy"),
    ],
)
def test_foreign_files_are_named_as_what_they_are_not(members, told):
    with pytest.raises(CheckpointError, match=told):
        exchange.read(io.BytesIO(zipped(members)))


def test_a_zip_that_unpacks_to_too_much_is_refused_before_it_is_unpacked(tmp_path):
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("data", bytes(1 << 27))
        archive.writestr("policy.pth", b"")
    assert (tmp_path / "bomb.zip").stat().st_size < 1 << 18
    with pytest.raises(CheckpointError, match="a zip that unpacks to 134217728 bytes; allowed are 16777216"):
        exchange.read(tmp_path / "bomb.zip")


def test_two_members_of_one_name_are_refused():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w") as archive:
            for data in (b"1", b"2"):
                archive.writestr("data", data)
    with pytest.raises(ValueError, match="two members of one name"):
        Archive(content.getvalue())


def test_an_array_of_a_million_millions_is_refused():
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (10**12,)})
    with pytest.raises(CheckpointError, match="which are not float64 of shape"):
        exchange.read(io.BytesIO(zipped({"README.npy": header.getvalue(), "W0.npy": header.getvalue()})))


def test_what_is_no_regular_file_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="not a regular file"):
        exchange.read(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"none\.zip"):
        exchange.read(tmp_path / "none.zip")


# Pickles as data


plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**600), 2**600) | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.lists(inner).map(tuple),
    max_leaves=20,
)


@given(plain, st.integers(3, 5))
def test_a_pickle_of_plain_data_is_read_as_these(value, protocol):
    assert read_pickle(pickle.dumps(value, protocol)) == value


@given(st.binary(max_size=300))
@settings(max_examples=300)
def test_bytes_that_are_no_pickle_are_a_value_error(data):
    with contextlib.suppress(ValueError):
        read_pickle(b"\x80\x04" + data)


def test_what_a_pickle_would_call_is_only_named():
    made = read_pickle(pickle.dumps(Hostile(), 4))
    assert type(made) is Made
    assert (made.what, made.arguments) == (Name(os.system.__module__, "system"), ("touch executed",))


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"\x80\x02" + b"N0" * 15_000 + b"N.", "more than 20000 instructions|the instruction POP"),
        (b"\x80\x02" + b"N" * 20_001 + b".", "more than 20000 instructions"),
        (b"\x80\x02(.", "leaves other than one value"),
        (b"\x80\x02R.", "REDUCE has not what it needs"),
        (b"\x80\x02h\x05.", "BINGET has not what it needs"),
        (b"\x80\x02ios\nsystem\n.", "the instruction INST"),
        (b"\x80\x02}))s.", "SETITEM has not what it needs"),
    ],
)
def test_damaged_pickles_are_a_value_error(data, told):
    with pytest.raises(ValueError, match=told):
        read_pickle(data)


def deep(n=15_000):
    """A tuple in a tuple, and so on."""
    return b"N" + b"\x85" * n


def laughing(n=60):
    """A tuple of twice the one before it, and so on: 2**n parts in what it prints."""
    return b"N" + b"".join(b"q\x00h\x00\x86" for _ in range(n))


@pytest.mark.parametrize("value", [deep(), laughing()])
def test_what_is_nested_deeply_or_often_is_refused_as_anything_else(value):
    head = b"\x80\x02"
    dtype = b"cnumpy\ndtype\n" + value + b"\x85R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    array = b"cnumpy.core.multiarray\n_reconstruct\n)R(K\x01K\x02\x85" + dtype + b"\x89U\x01atb"
    with pytest.raises(ValueError, match="something else where an array"):
        numpy_array(read_pickle(head + array + b"."))
    with pytest.raises(ValueError, match="something else where an array"):
        numpy_array(read_pickle(head + value + b"."))
    rebuilt = b"ctorch._utils\n_rebuild_tensor_v2\n(("
    ends = b"K\x00K\x01\x85K\x01\x85tRs."
    pth = unzipped(unzipped(theirs("bias").read_bytes())["policy.pth"])
    (pkl,) = [name for name in pth if name.endswith("data.pkl")]
    for stored in (b"U\x07storage" + value + b"U\x010", b"U\x07storagectorch\nFloatStorage\n" + value):
        tree = b"ccollections\nOrderedDict\n)RU\x13action_net.0.weight" + rebuilt + stored + b"tQ" + ends
        members = {**unzipped(theirs("bias").read_bytes()), "policy.pth": zipped({**pth, pkl: head + tree})}
        with pytest.raises(CheckpointError, match="a tensor of other numbers"):
            exchange.read(io.BytesIO(zipped(members)))


def test_a_far_index_costs_no_memory():
    assert read_pickle(b"\x80\x02Nr\xff\xff\xff\xff.") is None  # Python's own makes room for 2**32 entries


# Packages that are needed for one thing only


def test_a_missing_package_is_named_with_its_extra(tmp_path, monkeypatch):
    model = ARS("LinearPolicy", "CartPole-v1")
    monkeypatch.setitem(sys.modules, "onnx", None)
    monkeypatch.setitem(sys.modules, "sb3_contrib", None)
    with pytest.raises(ImportError, match="writing ONNX needs onnx: pip install onnx"):
        onnx.write(model, tmp_path / "a.onnx")
    with pytest.raises(ImportError, match="needs sb3_contrib: pip install sb3-contrib"):
        sb3.write(model, tmp_path / "a.zip")
    assert list(tmp_path.iterdir()) == []
