"""RLlib's settings of ARS: their names, their defaults, and the methods of `ARSConfig` that set them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fastars._validate import did_you_mean

DEFAULTS: dict[str, Any] = {
    "env": None,
    "env_config": {},
    "num_rollout_workers": 2,
    "observation_filter": "MeanStdFilter",
    "action_noise_std": 0.0,
    "noise_stdev": 0.02,
    "num_rollouts": 32,
    "rollouts_used": 32,
    "sgd_stepsize": 0.01,
    "noise_size": 250_000_000,
    "eval_prob": 0.03,
    "report_length": 10,
    "offset": 0,
    "model": {"fcnet_hiddens": [256, 256], "fcnet_activation": "tanh"},
    "num_gpus": 0,
    "evaluation_duration": 10,
    "evaluation_duration_unit": "episodes",
    "evaluation_interval": None,
    "evaluation_config": {"num_envs_per_worker": 1, "observation_filter": "NoFilter"},
    "seed": None,
}
# For each method of `ARSConfig`: its arguments, and the setting that each of them sets.
METHODS: dict[str, dict[str, str]] = {
    "environment": {"env": "env", "env_config": "env_config"},
    "rollouts": {"num_rollout_workers": "num_rollout_workers", "observation_filter": "observation_filter"},
    "env_runners": {"num_env_runners": "num_rollout_workers", "observation_filter": "observation_filter"},
    "training": {
        name: name
        for name in (
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
        )
    },
    "resources": {"num_gpus": "num_gpus"},
    "evaluation": {
        name: name for name in ("evaluation_interval", "evaluation_duration", "evaluation_duration_unit", "evaluation_config")
    },
    "debugging": {"seed": "seed"},
}
# Arguments that RLlib has as well, and that have no effect here: rollouts run in compiled code, on the threads of this process.
WITHOUT_EFFECT: dict[str, tuple[str, ...]] = {
    "environment": ("disable_env_checking", "render_env", "clip_actions", "normalize_actions", "observation_space", "action_space"),
    "rollouts": (
        "num_envs_per_worker",
        "rollout_fragment_length",
        "batch_mode",
        "create_env_on_local_worker",
        "recreate_failed_workers",
    ),
    "env_runners": ("num_envs_per_env_runner", "rollout_fragment_length", "batch_mode", "create_local_env_runner"),
    "training": ("tf_single_threaded", "gamma", "lr", "train_batch_size", "optimizer"),
    "framework": ("framework", "eager_tracing", "torch_compile_worker"),
    "resources": ("num_cpus_per_worker", "num_gpus_per_worker", "num_cpus_for_local_worker", "num_learner_workers"),
    "evaluation": ("evaluation_num_workers", "evaluation_num_env_runners", "evaluation_parallel_to_training"),
    "debugging": ("log_level", "logger_config", "logger_creator", "log_sys_usage"),
    "reporting": ("min_time_s_per_iteration", "min_sample_timesteps_per_iteration", "metrics_num_episodes_for_smoothing"),
    "fault_tolerance": ("recreate_failed_env_runners", "restart_failed_env_runners"),
}
OLD_NAMES = {"num_workers": "num_rollout_workers", "num_env_runners": "num_rollout_workers"}
COUNTS = ("num_rollout_workers", "num_rollouts", "rollouts_used", "report_length", "noise_size", "evaluation_duration")
NUMBERS = ("num_gpus", "num_rollout_workers", "action_noise_std", "noise_stdev", "sgd_stepsize", "offset")
NESTED = {
    "model": ("fcnet_hiddens", "fcnet_activation"),
    "evaluation_config": ("num_envs_per_worker", "observation_filter", "explore", "render_env"),
}


def known_key(name: str) -> str:
    """Return the key of a setting that may have an old name; a key that has no effect here is returned unchanged.

    Raises
    ------
    ValueError
        If RLlib's ARS has no such setting.
    """
    key = OLD_NAMES.get(name, name)
    if key not in DEFAULTS and not any(key in names for names in WITHOUT_EFFECT.values()):
        hint = did_you_mean(name, DEFAULTS) or f"; it has {', '.join(DEFAULTS)}"
        raise ValueError(f"ARS has no setting {name!r}{hint}")
    return key


def nested(key: str, given: Any) -> dict[str, Any]:
    """Return the settings of `model` or `evaluation_config`, which are dicts of their own, after checking their names.

    Raises
    ------
    TypeError
        If they are no dict.
    ValueError
        If a name is unknown.
    """
    if not isinstance(given, Mapping):
        raise TypeError(f"{key} must be a dict, got {given!r}")
    for name in given:
        if name not in NESTED[key]:
            hint = did_you_mean(name, NESTED[key]) or f"; it has {', '.join(NESTED[key])}"
            raise ValueError(f"{key} has no setting {name!r} for ARS{hint}")
    return dict(given)


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
