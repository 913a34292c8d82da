"""What of a run goes into a file, and how it comes back.

No generator is saved: all that is random follows from (seed, iteration). So the state of a run is its settings, a few counters, and
the arrays of weights, optimizer and filter.
"""

from __future__ import annotations

import contextlib
import itertools
import warnings
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from fastars.envs import AS_COMPILED, CompiledEnv, UnsupportedEnvError, compiled_env, compiled_env_ids, make
from fastars.envs.env_tuple import EnvTuple
from fastars.envs.gym import GymEnv, most_steps
from fastars.files import checkpoint
from fastars.files.folder import whole_beside
from fastars.training.checkpoint_validation import check_arrays, check_config, check_counters, check_kwargs, check_run
from fastars.training.config import Config
from fastars.training.policy import policy_settings
from fastars.training.update import filter_of

_COUNTERS = (
    "iteration",
    "num_timesteps",
    "num_episodes",
    "num_updates",
    "dropped_pairs",
    "penalized_pairs",
    "unstable_episodes",
    "env_failures",
    "worker_restarts",
    "_empty_iterations",
)
_STORED_COUNTERS = [name.strip("_") for name in ("observations", *_COUNTERS) if name != "penalized_pairs"]  # files of 0.1 lack this
CHANGEABLE = (
    "learning_rate",
    "delta_std",
    "n_delta",
    "n_top",
    "n_eval_episodes",
    "alive_bonus_offset",
    "seed",
    "zero_policy",  # without effect on what has begun; rl_zoo3 gives all settings again
    "weighting",
    "n_threads",
    "n_workers",
    "sampler",
    "env_timeout",
    "backend",
    "verbose",
    "tensorboard_log",
    "monitor_dir",
    "stats_window_size",
)


def save(model: Any, path: Any) -> None:
    """Write a model; the file before it survives any error."""
    observations, mean, m2 = model._moments
    manifest = {
        "algorithm": "ARS",
        **_environment(model._env),
        "preset": model.preset,
        "backend": model.backend,
        "stats_window_size": model._stats_window_size,
        "config": model.config.to_dict(),
        "counters": {"observations": int(observations), **{name.strip("_"): getattr(model, name) for name in _COUNTERS}},
    }
    arrays = {"theta": model.theta, "filter_mean": mean, "filter_m2": m2}
    arrays["recent_returns"], arrays["recent_lengths"] = model._recent
    arrays |= {f"optimizer_{k}": slot for k, slot in enumerate(model._slots)}
    if model._gradient is not None:
        arrays["gradient"] = model._gradient
    if model.objectives is not None:
        manifest["objectives"], tables = _divided(model.objectives.state_dict(), "objectives")
        arrays |= tables
    checkpoint.save(path, manifest, arrays)


def _divided(state: Mapping[str, Any], path: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The plain data of a nested state, and its arrays by their path."""
    values: dict[str, Any] = {}
    arrays: dict[str, np.ndarray] = {}
    for name, value in state.items():
        if isinstance(value, Mapping):
            values[name], inner = _divided(value, f"{path}.{name}")
            arrays |= inner
        elif isinstance(value, np.ndarray):
            arrays[f"{path}.{name}"] = value
        else:
            values[name] = value
    return values, arrays


def _joined(values: Mapping[str, Any], arrays: Mapping[str, np.ndarray], path: str) -> dict[str, Any]:
    """The nested state that `_divided` took apart."""
    inner = {name: _joined(value, arrays, f"{path}.{name}") for name, value in values.items() if isinstance(value, Mapping)}
    of_this = {name.removeprefix(f"{path}."): array for name, array in arrays.items() if name.startswith(f"{path}.")}
    return {**values, **inner, **{name: array for name, array in of_this.items() if "." not in name}}


def plain(value: Any) -> Any:
    """A value as a file can hold it: what is no plain data becomes its text, which tells it from another."""
    if isinstance(value, Mapping):
        return {str(name): plain(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    return value if value is None or isinstance(value, (bool, int, float, str)) else repr(value)


def _environment(env: CompiledEnv | GymEnv | EnvTuple) -> dict[str, Any]:
    """What a file says of an environment. "python" is what the id of one that is not compiled does not say."""
    described = {"env": env.id, "env_kwargs": plain({**env.kwargs, "max_episode_steps": env.max_steps})}
    if isinstance(env, EnvTuple):
        return {**described, "several": [_environment(one) for one in env.envs]}
    return {**described, "python": None if isinstance(env, CompiledEnv) else {"reason": env.reason, "wrappers": list(env.wrappers)}}


def load(model_class: Any, path: Any, env: Any, settings: Mapping[str, Any]) -> Any:
    """A model of `model_class` from a file, with some arguments of its constructor changed by `settings`.

    Raises
    ------
    fastars.CheckpointError
        If the file holds no model that fits this version and this environment.
    TypeError
        For settings that would make it another run.
    """
    of_policy = {name: settings[name] for name in ("policy", "policy_kwargs") if settings.get(name) is not None}
    settings = {name: value for name, value in settings.items() if name not in ("policy", "policy_kwargs")}
    for name in settings:
        if name not in CHANGEABLE:
            raise TypeError(f"{name} can't be changed on loading; only {', '.join(CHANGEABLE)} can")
    manifest, arrays = _read(path)
    with named(path):
        config = _config(manifest, settings)
        check_counters(manifest["counters"], _STORED_COUNTERS)
        check_arrays(arrays, config)
        arguments = _arguments(manifest, config, settings)
    _refuse_other_policy(arguments, **of_policy)
    if env is not None:
        model = model_class(env=env, **arguments)
    else:
        with _remade(path, manifest) as made, contextlib.nullcontext() if settings else named(path):
            model = model_class(env=made, **arguments)
    with named(path):
        misfit = _misfit(model, arrays["filter_mean"].size, arrays["theta"].size)
    if misfit:
        raise checkpoint.CheckpointError(f"{checkpoint.name_of(path)}: its policy {misfit}")
    with named(path):
        _restore(model, manifest["counters"], arrays)
        if model.objectives is not None:
            model.objectives.load_state_dict(_joined(manifest["objectives"], arrays, "objectives"))
    return model


def _read(path: Any) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The content of a file; the error of a damaged one names a whole one beside it."""
    try:
        return checkpoint.load(path)
    except checkpoint.CheckpointError as error:
        if hasattr(path, "read") or (other := whole_beside(Path(path))) is None:
            raise
        raise checkpoint.CheckpointError(f"{error}; {other.name} beside it is whole") from error


@contextlib.contextmanager
def named(path: Any, what: str = "a model") -> Iterator[None]:
    """Whatever does not fit is the file's fault."""
    try:
        yield
    except checkpoint.CheckpointError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, MemoryError, gymnasium.error.Error) as error:
        told = f"it lacks {error}" if isinstance(error, KeyError) else checkpoint.brief(error)
        raise checkpoint.CheckpointError(f"{checkpoint.name_of(path)}: not {what} of this version: {told}") from error


@contextlib.contextmanager
def _remade(path: Any, manifest: Mapping[str, Any]) -> Iterator[Any]:
    """The environment that a file names, closed afterwards. That it can't be made here need not be the file's fault."""
    with named(path):
        described = [(one["env"], one["env_kwargs"], one.get("python")) for one in manifest.get("several", [manifest])]
    with contextlib.ExitStack() as stack:
        made = []
        for env_id, kwargs, python in described:
            try:
                env = _made(env_id, kwargs) if python is None else _in_python(env_id, kwargs, python, manifest["config"])
            except Exception as error:  # of Gymnasium, of MuJoCo, of the file system
                named_env = checkpoint.brief(repr(env_id))
                told = f"{checkpoint.name_of(path)}: its environment {named_env} can't be made: {checkpoint.brief(error)}"
                raise checkpoint.CheckpointError(f"{told}; ARS.load(path, env=...) takes one that can") from error
            made.append(env)
            if isinstance(env, gymnasium.Env):
                stack.callback(env.close)
        yield made if "several" in manifest else made[0]


def _made(env_id: str, kwargs: Mapping[str, Any]) -> gymnasium.Env:
    """A compiled environment, made with the arguments in a file."""
    check_kwargs(kwargs)
    if env_id not in compiled_env_ids():
        raise UnsupportedEnvError("as a compiled environment it is not registered here")
    env = make(env_id, **{name: tuple(value) if isinstance(value, list) else value for name, value in kwargs.items()})
    compiled_env(env)
    return env


def _in_python(env_id: Any, kwargs: Mapping[str, Any], python: Mapping[str, Any], config: Mapping[str, Any]) -> Any:
    """An environment in Python: its id, or a function that makes it, if the id stands for the environment of the file."""
    env = registered(env_id, kwargs, wanted := kwargs["max_episode_steps"])
    spec = gymnasium.spec(env_id)
    if python["wrappers"] != [wrapper.name for wrapper in spec.additional_wrappers]:
        raise UnsupportedEnvError(f"it had other wrappers around it ({', '.join(python['wrappers']) or 'none'})")
    if env_id in compiled_env_ids() and python["reason"] not in AS_COMPILED:
        raise UnsupportedEnvError(f"it is compiled, and was not: {python['reason']}")
    return env_id if wanted == most_steps(spec.max_episode_steps, config["max_episode_steps"]) else env


def registered(env_id: Any, kwargs: Mapping[str, Any], max_steps: Any) -> Callable[[], gymnasium.Env]:
    """A function that makes the environment of a file, with its time limit, if it is registered here with its arguments.

    Nothing is imported for a file, and no argument in it is handed to somebody else's code.
    """
    spec = gymnasium.registry.get(env_id)
    if spec is None:
        raise UnsupportedEnvError("it is not registered here")
    for name, value in kwargs.items():
        if name != "max_episode_steps" and plain(spec.kwargs.get(name)) != value:
            raise UnsupportedEnvError(f"it was made with {name}={value!r}")
    if type(max_steps) is not int or max_steps < 1:
        raise ValueError(f"max_episode_steps must be an integer of at least 1, got {max_steps!r}")
    return partial(make, env_id, max_episode_steps=max_steps)


def _config(manifest: Mapping[str, Any], settings: Mapping[str, Any]) -> Config:
    """The settings that the file stands for, some of them changed by `settings`."""
    check_run(manifest)
    stored = dict(manifest["config"])
    check_config(stored)
    for name in ("learning_rate", "delta_std"):
        if name in settings:
            stored[name] = settings[name]
        elif isinstance(stored[name], Mapping):
            warnings.warn(
                f"{name} was a schedule, which a file can't hold: it stays at its first value; give load() {name}=...", stacklevel=4
            )
    if "weighting" in settings:
        stored["weighting_kwargs"] = {}
    elif stored["weighting"] == "custom":
        raise ValueError("its weighting is a function, which a file can't hold: give load() weighting=...")
    return Config.from_dict(stored)


def _arguments(manifest: Mapping[str, Any], config: Config, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of the constructor that the file stands for, but for the environment."""
    compiled = False if (manifest.get("python") or {}).get("reason") in AS_COMPILED else None
    of_run = {name: manifest[name] for name in ("backend", "preset", "stats_window_size") if name in manifest}
    return {**config.arguments(), **of_run, "compiled": compiled, **settings}


def _refuse_other_policy(arguments: Mapping[str, Any], policy: Any = None, policy_kwargs: Any = None) -> None:
    """Raise if a policy that the user names is not the one in a file."""
    kind = arguments["policy"]
    stored = policy_settings(kind, arguments["policy_kwargs"])
    given = policy_settings(policy or kind, arguments["policy_kwargs"] if policy_kwargs is None else policy_kwargs)
    if differing := [name for name, value in given.items() if _plain_tuple(value) != _plain_tuple(stored.get(name))]:
        told = ", ".join(f"{name}={given[name]!r} (in the file: {stored.get(name)!r})" for name in differing)
        raise ValueError(f"the policy can't be changed on loading: {told}")


def _plain_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def weights_in(path: Any, n_weights: int) -> np.ndarray:
    """The flat weights in the file of a model.

    Raises
    ------
    fastars.CheckpointError
        If it is none, or has another number of weights.
    """
    weights = checkpoint.load(path)[1].get("theta", np.zeros(0))
    if weights.shape != (n_weights,) or weights.dtype != np.float64:
        raise checkpoint.CheckpointError(f"{checkpoint.name_of(path)}: it has {weights.size} weights, the policy has {n_weights}")
    return weights


def _misfit(model: Any, n_obs: int, n_weights: int) -> str:
    """Why a policy of these sizes is none for the environment of `model`, or nothing."""
    env = model._env
    if n_obs != env.n_obs:
        return f"takes observations of {n_obs} numbers, those of {env.id} have {env.n_obs}"
    config = model.config
    sizes = (n_obs, *config.net_arch)
    hidden = sum((n_in + config.with_bias) * n_out for n_in, n_out in itertools.pairwise(sizes))
    n_act, rest = divmod(n_weights - hidden, sizes[-1] + config.with_bias)
    return f"gives {n_act} action scores, {env.id} takes {env.n_act}" if not rest and n_act != env.n_act else ""


def _restore(model: Any, counters: Mapping[str, int], arrays: Mapping[str, np.ndarray]) -> None:
    """Put the state of a file into a new model, after checking it."""

    def array(name: str, like: np.ndarray) -> np.ndarray:
        if arrays[name].shape != like.shape:
            raise ValueError(f"{name} must have shape {like.shape}, got {arrays[name].shape}")
        return arrays[name]

    model.policy.weights = array("theta", model.theta)
    model._slots = [array(f"optimizer_{k}", slot) for k, slot in enumerate(model._slots)]
    mean, m2 = array("filter_mean", model._moments[1]), array("filter_m2", model._moments[2])
    model._moments = (counters["observations"], mean, m2)
    model._agree_on_statistics()
    if "recent_returns" in arrays:  # files of 0.1 have none
        model._recent = arrays["recent_returns"], arrays["recent_lengths"]
    if "gradient" in arrays:
        model._gradient = array("gradient", model.theta)
    if model.config.normalize_observations:
        model.policy.filter = filter_of(model._ops, model.config, model._moments)
    counters = {"penalized_pairs": 0, **counters}  # files of 0.1 have none
    for name in _COUNTERS:
        setattr(model, name, counters[name.strip("_")])
