"""Read ARS files of stable-baselines3-contrib without that package and without PyTorch, and write files that it loads.

A file is a zip with two members. `data` is a JSON text; it also has pickles of its values, which are not read. `policy.pth` is a
zip of PyTorch with a pickle and raw numbers. The statistics of a `VecNormalize` are in a pickle beside the file.
"""

from __future__ import annotations

import io
import math
import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from fastars._imports import need
from fastars._validate import stored_integer, user_facing
from fastars.envs.spaces import is_image
from fastars.exchange.pickles import Made, Name, Stored, numpy_array, read_pickle
from fastars.exchange.sb3_images import WHITE, scaled, with_channels_first
from fastars.exchange.sb3_spaces import space_of_text
from fastars.exchange.trained import TrainedPolicy, normalisation, policy_of_layers, trained_of
from fastars.files.archives import MAX_NUMBERS, Archive, json_object
from fastars.files.atomic import write_atomically
from fastars.training.setting_checks import ACTIVATIONS

_POLICIES = {"ARSLinearPolicy": "LinearPolicy", "ARSPolicy": "MlpPolicy"}
_CONSTRUCTOR = re.compile(r"<function (\w+)\.__init__ at ")
_CLASS = re.compile(r"<class '[\w.]*?(\w+)'>")
_CONSTANT = re.compile(r"ConstantSchedule\(val=([^()]+)\)")
_STORAGES = {Name("torch", "FloatStorage"): "f4", Name("torch", "DoubleStorage"): "f8"}
_LAYER = re.compile(r"action_net\.(?:(\d{1,4})\.)?(weight|bias)")  # before 1.7 the layer of a linear policy had no number
_INTEGERS = ("n_delta", "n_top", "n_eval_episodes")
_MOST_OF_FOLDER = 4096  # characters of a path
_PACKAGES = ("sb3_contrib", "torch", "stable_baselines3.common.vec_env")  # that `write` needs


def matches(names: list[str]) -> bool:
    """Return True if a zip with members of these names is a file of stable-baselines3."""
    return "data" in names and "policy.pth" in names


def read(archive: Archive, statistics: bytes | None = None) -> TrainedPolicy:
    """Read the policy in a file of stable-baselines3-contrib's ARS, and the statistics in the pickle of a `VecNormalize`, if given.

    Raises
    ------
    ValueError, KeyError, TypeError
        If the file holds no policy of ARS.
    """
    data = json_object(archive.read("data"))
    if "n_delta" not in data:
        raise ValueError("it is of another algorithm of stable-baselines3 than ARS")
    layers = _layers(Archive(archive.read("policy.pth")))
    weights, sizes, with_bias = policy_of_layers(layers)
    kind = _policy_class(data)
    kwargs = _policy_kwargs(data, kind, with_bias, sizes[1:-1])
    space = space_of_text(data.get("observation_space"), sizes[0])
    if is_image(space):
        weights = scaled(weights, sizes[1], sizes[0], 1.0 / WHITE)
    trained = TrainedPolicy(
        weights=weights,
        n_obs=sizes[0],
        n_act=sizes[-1],
        policy=kind,
        policy_kwargs=kwargs,
        source="sb3",
        squash_output=kwargs["squash_output"],
        observation_space=space,
        action_space=space_of_text(data.get("action_space"), sizes[-1], of_actions=True),
        num_timesteps=stored_integer("num_timesteps", data["num_timesteps"]),
        preset="sb3",
        config=_config(data),
    )
    return trained if statistics is None else _normalised(trained, read_pickle(statistics))


def _layers(archive: Archive) -> list[tuple[np.ndarray, np.ndarray | None]]:
    """Return the pairs (W, b) of the layers of a state dict in PyTorch's format."""
    folder = next((name.removesuffix("data.pkl") for name in archive.names if re.fullmatch(r"[^/]+/data\.pkl", name)), None)
    if folder is None:
        raise ValueError("its policy.pth has no data.pkl: it is not of PyTorch 1.6 or later")
    order = archive.read(f"{folder}byteorder") if f"{folder}byteorder" in archive.names else b"little"
    tree = read_pickle(archive.read(f"{folder}data.pkl"))
    if type(tree) is not Made or not tree.is_a(Name("collections", "OrderedDict")):
        raise ValueError("its policy.pth holds no state of a module")
    named: dict[int, dict[str, np.ndarray]] = {}
    n_numbers = 0
    for name, value in tree.items.items():
        match = _LAYER.fullmatch(str(name)[:40])
        if match is None:
            raise ValueError(f"a parameter {str(name)[:40]!r}, which policies of ARS don't have")
        tensor = _tensor(value, archive, folder, ">" if order == b"big" else "<")
        if (n_numbers := n_numbers + tensor.size) > MAX_NUMBERS:
            raise ValueError(f"a policy of more than {MAX_NUMBERS} numbers")
        named.setdefault(int(match[1] or 0), {})[match[2]] = tensor
    return [(named[number]["weight"], named[number].get("bias")) for number in sorted(named)]


def _tensor(tree: Any, archive: Archive, folder: str, order: str) -> np.ndarray:
    """Return a tensor, which is a view of a storage; the storage is a member of the archive."""
    if type(tree) is Made and tree.is_a(Name("torch._utils", "_rebuild_parameter")):
        tree = tree.arguments[0]
    if type(tree) is not Made or not tree.is_a(Name("torch._utils", "_rebuild_tensor_v2")):
        raise ValueError("a parameter that is no tensor")
    storage, offset, size, stride = tree.arguments[:4]
    if type(storage) is not Stored or type(storage.id) is not tuple:
        raise ValueError("a tensor without numbers")
    _, kind, number, *_ = storage.id
    if type(kind) is not Name or kind not in _STORAGES or type(number) is not str:
        raise ValueError("a tensor of other numbers than float32 and float64")
    values = np.frombuffer(archive.read(f"{folder}data/{number}"), order + _STORAGES[kind])
    lengths = (offset, *size, *stride)
    if len(size) != len(stride) or not all(type(n) is int and 0 <= n <= values.size for n in lengths) or 0 in size:
        raise ValueError("a tensor that is no part of its storage")
    if len(size) > 2 or math.prod(size) > min(values.size, MAX_NUMBERS):
        raise ValueError(f"a tensor of more than two axes, larger than its storage, or of more than {MAX_NUMBERS} numbers")
    last = offset + sum((length - 1) * step for length, step in zip(size, stride, strict=True))
    if last >= values.size:
        raise ValueError("a tensor that is no part of its storage")
    strides = [step * values.itemsize for step in stride]
    return np.lib.stride_tricks.as_strided(values[offset:], size, strides, writeable=False).astype(np.float64)


def _policy_class(data: Mapping[str, Any]) -> str:
    """Return the name of the policy in fastars, from the printed form of its class."""
    printed = data["policy_class"]
    match = _CONSTRUCTOR.match(str(printed.get("__init__"))) if isinstance(printed, Mapping) else None
    name = match[1] if match else str(printed)[:40]
    if name not in _POLICIES:
        raise ValueError(f"a policy of the class {name!r}; known are {', '.join(_POLICIES)}")
    return _POLICIES[name]


def _policy_kwargs(data: Mapping[str, Any], kind: str, with_bias: bool, hidden: list[int]) -> dict[str, Any]:
    """Return the keyword arguments of the policy. The text has the arguments that the weights don't show."""
    given = data.get("policy_kwargs") or {}
    squash = str(given.get("squash_output", kind == "MlpPolicy")) == "True"
    if kind == "LinearPolicy":
        return {"with_bias": with_bias, "squash_output": squash}
    match = _CLASS.fullmatch(str(given.get("activation_fn", "<class 'ReLU'>")))
    activation = match[1] if match else ""
    names = {of_torch: name for name, of_torch in ACTIVATIONS.items()}
    if activation not in names:
        raise ValueError(
            f"a policy with activation_fn {str(given['activation_fn'])[:60]}; known are {', '.join(ACTIVATIONS.values())}"
        )
    return {"net_arch": hidden, "activation_fn": names[activation], "with_bias": with_bias, "squash_output": squash}


def _config(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the hyperparameters that can be read."""
    config: dict[str, Any] = {name: stored_integer(name, data[name]) for name in _INTEGERS if name in data}
    for name, count in config.items():
        if count == 0:
            raise ValueError(f"{name} must be at least 1, got 0")
    config["zero_policy"] = data.get("zero_policy") is not False
    config["alive_bonus_offset"] = _number(data.get("alive_bonus_offset", 0.0)) or 0.0
    if data.get("seed") is not None:
        config["seed"] = stored_integer("seed", data["seed"])
    rates = {"learning_rate": data.get("learning_rate"), "delta_std": data.get("delta_std_schedule")}
    found = {name: rate for name, value in rates.items() if (rate := _number(value)) is not None}
    for name, rate in found.items():
        if rate < 0.0 or (name == "delta_std" and rate == 0.0):
            raise ValueError(f"{name} must be {'positive' if name == 'delta_std' else 'at least 0'}, got {rate}")
    return config | found | _log_settings(data)


def _log_settings(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments that decide about the log, if they are what they should be. `to_model` decides if the folder is used."""
    counts = {"verbose": data.get("verbose"), "stats_window_size": data.get("_stats_window_size")}
    settings: dict[str, Any] = {name: value for name, value in counts.items() if type(value) is int and 0 < value < 2**63}
    folder = data.get("tensorboard_log")
    return settings if not isinstance(folder, str) or len(folder) > _MOST_OF_FOLDER else {**settings, "tensorboard_log": folder}


def _number(value: Any) -> float | None:
    """Return a number, or the value of a constant schedule; None for any other schedule."""
    if isinstance(value, Mapping):
        match = _CONSTANT.fullmatch(str(value.get("value_schedule"))[:80])
        return None if match is None else _number(float(match[1]))
    if type(value) not in (int, float) or not math.isfinite(value):
        raise ValueError(f"{str(value)[:40]!r} where a finite number is expected")
    return float(value)


def _normalised(trained: TrainedPolicy, tree: Any) -> TrainedPolicy:
    """Return the policy with the statistics of a `VecNormalize`."""
    if type(tree) is not Made or type(tree.what) is not Name or tree.what.name != "VecNormalize" or type(tree.state) is not dict:
        raise ValueError("the pickle beside it is no VecNormalize")
    if tree.state.get("norm_obs", True) is False:
        return trained
    statistics = tree.state["obs_rms"]
    if type(statistics) is not Made or type(statistics.state) is not dict:
        raise ValueError("the VecNormalize beside it has no statistics of one observation: of dictionaries they can't be used")
    epsilon, clip, count = (
        float(numpy_array(each)) for each in (tree.state["epsilon"], tree.state["clip_obs"], statistics.state["count"])
    )
    if not (0.0 <= epsilon < math.inf and clip > 0.0 and 0.0 <= count < 2**63):
        raise ValueError(f"the VecNormalize beside it has epsilon={epsilon}, clip_obs={clip}, count={count}")
    mean, variance = numpy_array(statistics.state["mean"]), numpy_array(statistics.state["var"])
    mean, std = normalisation(mean, np.sqrt(np.maximum(variance, 0.0) + epsilon), trained.n_obs)
    return trained._replace(
        mean=mean, std=std, count=round(count), clip_observations=clip, config={**trained.config, "filter_var_epsilon": epsilon}
    )


def was_normalised(archive: Archive) -> bool:
    """Return True if a file of stable-baselines3 says that a `VecNormalize` was around the environment of training.

    Its model keeps the last observation before normalisation then, and none otherwise.
    """
    return json_object(archive.read("data")).get("_last_original_obs") is not None


@user_facing
def write(model: Any, path: Any) -> Path | None:
    """Write a model's policy to a file that `sb3_contrib.ARS.load` reads.

    The weights in the file are float32, rounded to about 7 digits.

    Parameters
    ----------
    model : fastars.ARS
        A model.
    path : str or PathLike
        The file. A path without a suffix gets `.zip`.

    Returns
    -------
    Path or None
        A second file with the statistics of observations, for `VecNormalize.load`; None if observations are not normalised.

    Raises
    ------
    ImportError
        Without stable-baselines3-contrib.
    ValueError
        If the action space is neither a Box nor Discrete: ARS of stable-baselines3-contrib has no other policies.
    """
    sb3_contrib, torch, vec_env = (need(name, "sb3", "writing a file of stable-baselines3-contrib") for name in _PACKAGES)
    if type(model.action_space).__name__ not in ("Box", "Discrete"):
        raise ValueError(
            f"model has the action space {model.action_space}, for which stable-baselines3-contrib's ARS has no policy: it must be "
            "a Box or Discrete"
        )
    trained = trained_of(model)
    envs = vec_env.DummyVecEnv([lambda: _Spaces(model.observation_space, model.action_space)])
    written = _sb3_model(sb3_contrib.ARS, torch.nn, envs, trained, model.config)
    path, content = Path(path), io.BytesIO()
    path = path if path.suffix else path.with_name(f"{path.name}.zip")
    written.save(content)
    write_atomically(path, [content.getvalue()])
    if trained.mean is None or trained.std is None:
        return None
    epsilon, shape = model.config.filter_var_epsilon, model.observation_space.shape
    normalizer = vec_env.VecNormalize(envs, norm_reward=False, clip_obs=trained.clip_observations, epsilon=epsilon)
    normalizer.obs_rms.mean = trained.mean.reshape(shape)
    normalizer.obs_rms.var = (trained.std**2 - epsilon).reshape(shape)
    normalizer.obs_rms.count = float(trained.count or 0)
    beside = vec_normalize_file(path)
    write_atomically(beside, [pickle.dumps(normalizer)], follow=False)
    return beside


def vec_normalize_file(path: Path) -> Path:
    """Return the second file that `write` may write beside `path`."""
    return path.with_name(f"{path.stem}_vecnormalize.pkl")


def _sb3_model(model_class: Any, nn: Any, envs: Any, trained: TrainedPolicy, config: Any) -> Any:
    """Make a model of stable-baselines3-contrib with a trained policy and the hyperparameters of a model of fastars."""
    kwargs = dict(trained.policy_kwargs)
    if trained.policy == "MlpPolicy":
        activation = getattr(nn, ACTIVATIONS[kwargs["activation_fn"]])
        kwargs |= {"activation_fn": activation, "net_arch": list(kwargs["net_arch"])}
    model = model_class(  # without the seed, which would seed the generators of the whole program
        trained.policy,
        envs,
        policy_kwargs=kwargs,
        n_delta=config.n_delta,
        n_top=config.n_top,
        learning_rate=config.learning_rate,
        delta_std=config.delta_std,
        zero_policy=config.zero_policy,
        alive_bonus_offset=config.alive_bonus_offset,
        n_eval_episodes=config.n_eval_episodes,
    )
    model.seed, model.num_timesteps = config.seed, trained.num_timesteps
    model.policy.load_from_vector(_their_weights(trained))
    model.weights = nn.utils.parameters_to_vector(model.policy.parameters()).detach()
    return model


def _their_weights(trained: TrainedPolicy) -> np.ndarray:
    """Return the weights for observations as stable-baselines3 gives them to a policy."""
    space = trained.observation_space
    if not is_image(space) or trained.mean is not None:  # a VecNormalize gives numbers that are no image
        return trained.weights
    n_rows = trained.first_outputs
    return scaled(with_channels_first(trained.weights, n_rows, space), n_rows, trained.n_obs, WHITE)


class _Spaces(gymnasium.Env[Any, Any]):
    """An environment that has spaces only."""

    def __init__(self, observation_space: Any, action_space: Any) -> None:
        self.observation_space, self.action_space = observation_space, action_space
