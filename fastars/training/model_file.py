"""Save and restore a training run.

No generator is saved: all that is random follows from (seed, iteration). A file holds the settings and the `State` of a run.
"""

from __future__ import annotations

import dataclasses
import itertools
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fastars._validate import did_you_mean, warn_user
from fastars.envs import AS_COMPILED
from fastars.envs.absent import AbsentEnv
from fastars.files import checkpoint
from fastars.files.folder import whole_beside
from fastars.training.checkpoint_validation import check_arrays, check_config, check_counters, check_run
from fastars.training.config import Config
from fastars.training.file_limits import believed_folder, limited_run
from fastars.training.physics import refuse_lanes_in_run
from fastars.training.policy_classes import policy_settings
from fastars.training.run import Run
from fastars.training.state import Counters, ObsMoments, RecentEpisodes, State
from fastars.training.stored_env import described_env, described_spaces, named, remade_env

_LOG = logging.getLogger("fastars")
_LATER_COUNTERS = ("penalized_pairs",)  # files of 0.1 lack these
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
    "physics",
    "verbose",
    "tensorboard_log",
    "monitor_dir",
    "stats_window_size",
)

# What `_config` needs of a file that has a function in place of it: a policy does not depend on it.
_OF_ANOTHER_RUN = {"learning_rate": Config.learning_rate, "delta_std": Config.delta_std, "weighting": None}


class LogSettings(NamedTuple):
    """Arguments of a model that decide where its log goes."""

    verbose: int
    tensorboard_log: str | None


def save(path: Any, run: Run, state: State, log: LogSettings, sees_normalized: bool = False) -> None:
    """Write a run to one file, with the settings of its log; the file before it survives any error.

    With `sees_normalized`, the policy was trained in a `VecNormalize`. A script that loads it without an environment normalises
    observations by that wrapper, as it does with stable-baselines3, so the policy must not do it again.

    Raises
    ------
    OSError
        If the file can't be written.
    ValueError, TypeError
        If `load` would refuse the run. No state that training reaches is such a run.
    """
    manifest = {
        "algorithm": "ARS",
        **described_env(run.env),
        "spaces": described_spaces(run.env),
        "preset": run.preset,
        "backend": run.execution.backend,
        "stats_window_size": run.stats_window_size,
        "log": log._asdict(),
        "config": run.config.to_dict(),
        "counters": {"observations": int(state.moments.count), **state.counters._asdict()},
    }
    if sees_normalized:
        manifest["vec_normalize"] = True
    arrays: dict[str, np.ndarray] = {"theta": state.theta, "filter_mean": state.moments.mean, "filter_m2": state.moments.m2}
    arrays["recent_returns"], arrays["recent_lengths"] = state.recent
    arrays |= {f"optimizer_{k}": slot for k, slot in enumerate(state.slots)}
    if state.gradient is not None:
        arrays["gradient"] = state.gradient
    if state.tasks is not None:
        manifest["objectives"], tables = _divided(state.tasks.state_dict(), "objectives")
        arrays |= tables
    _checked(manifest, arrays, Config.from_dict(manifest["config"]))
    if state.tasks is not None and run.config.weighting != "custom":
        state.tasks.restored(state.tasks.state_dict())
    checkpoint.save(path, manifest, arrays)


def _checked(manifest: Mapping[str, Any], arrays: Mapping[str, np.ndarray], config: Config) -> None:
    """Raise for a field that can't be in the file of a run with these settings: `save` and `load` check by this one function."""
    check_run(manifest)
    check_config(manifest["config"])
    check_counters(manifest["counters"], _needed_counters())
    check_arrays(arrays, config)


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


def load(model_class: Any, path: Any, env: Any, settings: Mapping[str, Any], trust: bool = False) -> Any:
    """Return a model of `model_class` from a file, with some arguments of its constructor changed by `settings`.

    Unless `trust` is True, the model refuses to run what its file may not ask for (`file_limits`), and MuJoCo opens no file that
    an `xml_file` in the file leads to.

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
            hint = did_you_mean(name, CHANGEABLE)
            raise TypeError(f"{name} can't be changed on loading; only {', '.join(CHANGEABLE)} can{hint}")
    manifest, arrays = _read(path)
    with named(path):
        config = _config(manifest, settings)
        _checked(manifest, arrays, config)
        arguments = _arguments(manifest, config, settings)
        if "tensorboard_log" not in settings:
            arguments["tensorboard_log"] = believed_folder(arguments.get("tensorboard_log"), checkpoint.name_of(path), trust)
    _refuse_other_policy(arguments, **of_policy)
    zero_policy = config.zero_policy if arguments["zero_policy"] is None else bool(arguments["zero_policy"])
    arguments |= {"zero_policy": True}  # zeros take no memory before they are used; random weights would
    if env is not None:
        model = model_class(env=env, **arguments)
    else:
        with remade_env(path, manifest, trust, arrays["filter_mean"].size, arrays["theta"].size) as made:
            try:
                model = model_class(env=made, **arguments)
            except (ValueError, TypeError):  # of a setting of the user's, or of the file's
                with named(path):
                    model_class(env=made, **_arguments(manifest, config, {})).close()
                raise
    try:
        with named(path):
            misfit = _misfit(model.run, arrays["filter_mean"].size, arrays["theta"].size)
        if misfit:
            raise checkpoint.CheckpointError(f"{checkpoint.name_of(path)}: its policy {misfit}")
        with named(path):
            model.restore(_restored(model.state, manifest, arrays))
        if env is None:
            model.policy.sees_normalized = manifest.get("vec_normalize", False)
        is_absent = isinstance(model.run.env, AbsentEnv)
        if settings.get("physics") == "lanes" and not is_absent:
            refuse_lanes_in_run(model.run.env, model.backend)
    except (checkpoint.CheckpointError, ValueError):
        model.close()
        raise
    if config.physics != model.config.physics:
        was = f"with the physics {config.physics!r} so far"
        _LOG.info("%s: episodes ran %s, and run with %r from here on", checkpoint.name_of(path), was, model.config.physics)
    run = dataclasses.replace(model.run, config=dataclasses.replace(model.config, zero_policy=zero_policy))
    given = {name for name, value in settings.items() if value is not None}
    model.run = run if trust else limited_run(run, checkpoint.name_of(path), given, env_is_given=env is not None or is_absent)
    return model


def config_in(path: Any) -> Config:
    """Return the settings of the run in a file; a `CheckpointError` if they don't fit its arrays. No model is made."""
    manifest, arrays = _read(path)
    with named(path):
        config = _config(manifest, {})
        _checked(manifest, arrays, config)
    return config


def policy_in(path: Any) -> tuple[Config, np.ndarray, ObsMoments]:
    """Return settings, flat weights and moments of observations of the run in a file; errors are as in `config_in`."""
    manifest, arrays = _read(path)
    with named(path):
        check_run(manifest)
        config = _config(manifest, _OF_ANOTHER_RUN)
        _checked(manifest, arrays, config)
    return config, arrays["theta"], ObsMoments(manifest["counters"]["observations"], arrays["filter_mean"], arrays["filter_m2"])


def _needed_counters() -> list[str]:
    return ["observations", *(name for name in Counters._fields if name not in _LATER_COUNTERS)]


def _read(path: Any) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return the content of a file; the error of a damaged file names a readable checkpoint beside it."""
    try:
        return checkpoint.load(path)
    except checkpoint.CheckpointError as error:
        if hasattr(path, "read") or (other := whole_beside(Path(path))) is None:
            raise
        raise checkpoint.CheckpointError(f"{error}; {other.name} beside it is whole") from error


def _config(manifest: Mapping[str, Any], settings: Mapping[str, Any]) -> Config:
    """Return the settings in a file, some of them changed by `settings`."""
    check_run(manifest)  # first of all: it may be the file of another algorithm
    stored = dict(manifest["config"])
    check_config(stored)
    for name in ("learning_rate", "delta_std"):
        if name in settings:
            stored[name] = settings[name]
        elif isinstance(stored[name], Mapping):
            warn_user(f"{name} was a schedule, which a file can't hold: it stays at its first value; give load() {name}=...")
    if "weighting" in settings:
        stored["weighting_kwargs"] = {}
    elif stored["weighting"] == "custom":
        raise ValueError("its weighting is a function, which a file can't hold: give load() weighting=...")
    return Config.from_dict(stored)


def _arguments(manifest: Mapping[str, Any], config: Config, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of the constructor that a file stands for, except the environment."""
    compiled = False if (manifest.get("python") or {}).get("reason") in AS_COMPILED else None
    of_run = {name: manifest[name] for name in ("backend", "preset", "stats_window_size") if name in manifest}
    of_run |= manifest.get("log", {})
    return {**config.arguments(), **of_run, "compiled": compiled, **settings, "_init_setup_model": False}


def _refuse_other_policy(arguments: Mapping[str, Any], policy: Any = None, policy_kwargs: Any = None) -> None:
    """Raise if the user names another policy than the file."""
    kind = arguments["policy"]
    stored = policy_settings(kind, arguments["policy_kwargs"])
    given = policy_settings(policy or kind, arguments["policy_kwargs"] if policy_kwargs is None else policy_kwargs)
    if differing := [name for name, value in given.items() if _plain_tuple(value) != _plain_tuple(stored.get(name))]:
        changes = ", ".join(f"{name}={given[name]!r} (in the file: {stored.get(name)!r})" for name in differing)
        raise ValueError(f"the policy can't be changed on loading: {changes}")


def _plain_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def weights_in(path: Any, n_weights: int) -> np.ndarray:
    """Return the flat weights in the file of a model.

    Raises
    ------
    fastars.CheckpointError
        If the file holds no model, or another number of weights.
    """
    weights = checkpoint.load(path)[1].get("theta", np.zeros(0))
    if weights.shape != (n_weights,) or weights.dtype != np.float64:
        raise checkpoint.CheckpointError(f"{checkpoint.name_of(path)}: it has {weights.size} weights, the policy has {n_weights}")
    return weights


def _misfit(run: Run, n_obs: int, n_weights: int) -> str:
    """Return the reason why a policy of these sizes does not fit the environment of a run; nothing if it fits."""
    env, config = run.env, run.config
    if n_obs != env.n_obs:
        return f"takes observations of {n_obs} numbers; an observation of {env.id} has {env.n_obs}"
    sizes = (n_obs, *config.net_arch)
    hidden = sum((n_in + config.with_bias) * n_out for n_in, n_out in itertools.pairwise(sizes))
    n_act, rest = divmod(n_weights - hidden, sizes[-1] + config.with_bias)
    return f"gives {n_act} action scores, {env.id} takes {env.n_act}" if not rest and n_act != env.n_act else ""


def _restored(fresh: State, manifest: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> State:
    """Return the state in a file, checked against the first state of the same run."""

    def array(name: str, like: np.ndarray) -> np.ndarray:
        if arrays[name].shape != like.shape:
            raise ValueError(f"{name} must have shape {like.shape}, got {arrays[name].shape}")
        return arrays[name]

    counters = {**dict.fromkeys(_LATER_COUNTERS, 0), **manifest["counters"]}
    tasks = fresh.tasks
    if tasks is not None:
        tasks = tasks.restored(_joined(manifest["objectives"], arrays, "objectives"))
    return State(
        theta=array("theta", fresh.theta),
        moments=ObsMoments(
            counters.pop("observations"), array("filter_mean", fresh.moments.mean), array("filter_m2", fresh.moments.m2)
        ),
        slots=tuple(array(f"optimizer_{k}", slot) for k, slot in enumerate(fresh.slots)),
        gradient=array("gradient", fresh.theta) if "gradient" in arrays else None,
        tasks=tasks,
        recent=_recent(arrays, fresh),
        counters=Counters(**{name: counters[name] for name in Counters._fields}),
    )


def _recent(arrays: Mapping[str, np.ndarray], fresh: State) -> RecentEpisodes:
    if "recent_returns" not in arrays:  # files of 0.1 have none
        return fresh.recent
    return RecentEpisodes(arrays["recent_returns"], arrays["recent_lengths"])
