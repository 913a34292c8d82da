"""RLlib's settings: their names in methods, attributes and dicts, and which of them have an effect here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from fastars._validate import did_you_mean, warn_user
from fastars.rllib.callbacks import DefaultCallbacks
from fastars.rllib.defaults import METHODS, MODEL, NO_METHOD
from fastars.rllib.other_settings import OTHER_SETTINGS

DEFAULTS: dict[str, Any] = {name: value for settings in (*METHODS.values(), NO_METHOD) for name, value in settings.items()}
EVALUATION_CONFIG = DEFAULTS["evaluation_config"]
# Settings with an effect, which a checkpoint keeps.
EFFECTIVE = (
    "env",
    "env_config",
    "num_rollout_workers",
    "observation_filter",
    "action_noise_std",
    "noise_stdev",
    "num_rollouts",
    "rollouts_used",
    "sgd_stepsize",
    "noise_size",
    "eval_prob",
    "report_length",
    "offset",
    "model",
    "num_gpus",
    "evaluation_duration",
    "evaluation_duration_unit",
    "evaluation_interval",
    "evaluation_config",
    "seed",
    "callbacks_class",
)
# Settings without effect that nobody misses: they choose a framework, processes or logs. The others cause a warning.
_UNMISSED = frozenset(
    name
    for method, left_out in {
        "python_environment": (),
        "framework": (),
        "reporting": (),
        "exploration": ("exploration_config",),
        "resources": ("placement_strategy",),
        "debugging": ("fake_sampler", "worker_cls"),
    }.items()
    for name in METHODS[method]
    if name not in left_out
) | {
    "disable_env_checking",
    "observation_space",
    "action_space",
    "auto_wrap_old_gym_envs",
    "num_envs_per_worker",
    "rollout_fragment_length",
    "batch_mode",
    "create_env_on_local_worker",
    "synchronize_filters",
    "evaluation_num_workers",
    "evaluation_parallel_to_training",
    "evaluation_sample_timeout_s",
    "tf_single_threaded",
    "recreate_failed_env_runners",
    "restart_failed_env_runners",
}
# Settings of `model` that choose a network which fastars does not have.
OTHER_NETWORKS = ("use_lstm", "use_attention", "custom_model", "custom_action_dist", "no_final_linear", "free_log_std")
_MERGED = ("model", "evaluation_config", "env_config", "optimizer", "exploration_config")  # dicts that are set key by key
_DICTS = ("model", "evaluation_config", "env_config")
# Keys of dicts whose settings have other names as attributes of the config.
_KEYS = {
    "callbacks": "callbacks_class",
    "create_env_on_driver": "create_env_on_local_worker",
    "custom_eval_function": "custom_evaluation_function",
    "framework": "framework_str",
    "input": "input_",
    "lambda": "lambda_",
    "num_cpus_for_driver": "num_cpus_for_local_worker",
    "num_workers": "num_rollout_workers",
}
MULTIAGENT = (
    "policies",
    "policy_mapping_fn",
    "policies_to_train",
    "policy_map_capacity",
    "policy_map_cache",
    "count_steps_by",
    "observation_fn",
)
OLD_KEYS = {setting: key for key, setting in _KEYS.items()}
# Names of arguments where the setting has another one, and names in versions of RLlib before 2.6.3, and after it.
_OTHER_NAMES = {
    "is_atari": "_is_atari",
    "learner_class": "_learner_class",
    "evaluation_num_episodes": "evaluation_duration",
    "num_env_runners": "num_rollout_workers",
    "num_envs_per_env_runner": "num_envs_per_worker",
    "create_local_env_runner": "create_env_on_local_worker",
    "evaluation_num_env_runners": "evaluation_num_workers",
    "synchronize_filter": "synchronize_filters",
}
_ARGUMENTS = {"framework_str": "framework", "_is_atari": "is_atari", "_learner_class": "learner_class"}
# Arguments that a method has in other versions, or had until 2.6.3.
_MORE_ARGUMENTS = {
    "rollouts": (
        "num_env_runners",
        "num_envs_per_env_runner",
        "create_local_env_runner",
        "synchronize_filter",
        "horizon",
        "soft_horizon",
        "no_done_at_end",
        *METHODS["fault_tolerance"],
    ),
    "evaluation": ("evaluation_num_episodes", "evaluation_num_env_runners"),
    "fault_tolerance": ("recreate_failed_env_runners", "restart_failed_env_runners"),
    "offline_data": ("input_evaluation",),
    "multi_agent": ("replay_mode",),
}
_OF_TUNE = ("__trial_info__", "__stdout_file__", "__stderr_file__")


def setting_of(key: str) -> str:
    """Return the name of a setting as an attribute of the config, for the key of an old-style dict."""
    return _KEYS.get(key, _OTHER_NAMES.get(key, key))


def near(name: str, methods: Iterable[str] = ()) -> str:
    """Return a hint with the known name that is nearest to an unknown one."""
    return did_you_mean(name, (*DEFAULTS, *_KEYS, *_OTHER_NAMES, *methods)) or did_you_mean(name, OTHER_SETTINGS)


def _is_known(setting: str) -> bool:
    return setting in DEFAULTS or setting in _UNMISSED or setting in OTHER_SETTINGS


def settings_in(config_dict: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings in an old-style dict, by the names that they have as attributes.

    Raises
    ------
    ValueError
        If no algorithm of RLlib has such a setting; the error suggests a near name.
    """
    found = {}
    for key, value in config_dict.items():
        setting = setting_of(key)
        if key == "multiagent":
            found.update(settings_in(value))
        elif key not in _OF_TUNE:
            if not _is_known(setting):
                raise ValueError(f"ARS has no setting {key!r}{near(key)}")
            found[setting] = value
    return found


def arguments_given(method: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that the arguments of a method of the config stand for.

    Raises
    ------
    TypeError
        For an argument that the method does not have; the error suggests a near name, or the method that has it.
    """
    names = [_ARGUMENTS.get(name, name) for name in METHODS[method]]
    allowed = {*names, *_MORE_ARGUMENTS.get(method, ()), *(OTHER_SETTINGS if method == "training" else ())}
    if len(args) > 1:
        raise TypeError(f"ARSConfig.{method}() takes one argument by position, got {len(args)}")
    for name in kwargs:
        if name not in allowed:
            owner = next((other for other, settings in METHODS.items() if name in settings), None)
            hint = f"; it is an argument of {owner}()" if owner else did_you_mean(name, names)
            raise TypeError(f"ARSConfig.{method}() got an unexpected keyword argument {name!r}{hint}")
    return {**dict(zip(names, args, strict=False)), **kwargs}


def _is_searched(value: Any) -> bool:
    """Return True for what Ray Tune replaces by a value: `tune.grid_search`, `tune.choice` and the like."""
    is_grid = isinstance(value, Mapping) and set(value) == {"grid_search"}
    return is_grid or type(value).__module__.startswith("ray.tune")


def as_setting(name: str, value: Any) -> Any:
    """Return a value as the config keeps it.

    Raises
    ------
    TypeError
        If a dict is expected.
    ValueError
        If `model` or `evaluation_config` have a key that is unknown.
    """
    if value is None and name in ("callbacks_class", "evaluation_config"):
        return DefaultCallbacks if name == "callbacks_class" else dict(EVALUATION_CONFIG)
    if name not in _DICTS or _is_searched(value):
        return value
    if name == "evaluation_config" and hasattr(value, "to_dict"):
        value = {key: value.get(key) for key in EVALUATION_CONFIG}
    if not isinstance(value, Mapping):
        raise TypeError(f"{name} must be a dict, got {value!r}")
    if name == "env_config":
        return value
    for key in value:
        if not (key in MODEL if name == "model" else _is_known(setting_of(key))):
            hint = did_you_mean(key, MODEL) if name == "model" else near(key)
            raise ValueError(f"{name} has no setting {key!r}{hint}")
    return dict(value)


def merged(name: str, old: Any, new: Any) -> Any:
    """Return the new value of a setting; settings that are dicts keep the keys that are not given."""
    both = isinstance(old, Mapping) and isinstance(new, Mapping) and not _is_searched(new)
    return {**old, **new} if both and name in _MERGED else new


def differs(value: Any, default: Any) -> bool:
    """Return True if a value is not the default; a dict is the default if all that it has is."""
    if isinstance(value, Mapping) and isinstance(default, Mapping):
        return any(key not in default or differs(inner, default[key]) for key, inner in value.items())
    try:
        return bool(value != default)
    except (TypeError, ValueError):  # arrays
        return True


def warn_without_effect(settings: Mapping[str, Any]) -> None:
    """Warn, once for a call of the user's, about settings that could be missed: without effect, and not the default."""
    names = [
        name
        for name, value in settings.items()
        if name not in EFFECTIVE and name not in _UNMISSED and differs(value, DEFAULTS.get(name, OTHER_SETTINGS))
    ]
    ignored = (key for key in MODEL if not key.startswith("fcnet_") and key not in OTHER_NETWORKS)
    model = settings.get("model") or {}
    names += [f"model.{key}" for key in ignored if key in model and differs(model[key], MODEL[key])]
    if names:
        warn_user(f"ARS has no use for {', '.join(names)}: without effect")


def plain(value: Any) -> Any:
    """Return a value in the form in which JSON holds it; raise a TypeError if JSON can't hold it."""
    if isinstance(value, Mapping):
        return {str(name): plain(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    if isinstance(value, (np.generic, np.ndarray)):
        return plain(value.tolist())
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"JSON can't hold {value!r}")
