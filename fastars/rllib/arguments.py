"""The arguments of `fastars.ARS` that settings of RLlib stand for, and the settings that have no such arguments."""

from __future__ import annotations

import math
from typing import Any

from fastars._validate import number, one_of, positive_int
from fastars.rllib.environments import env_argument
from fastars.rllib.settings import EVALUATION_CONFIG, MODEL, OTHER_NETWORKS, differs
from fastars.training.policy_structure import activation_name
from fastars.training.setting_checks import ACTIVATIONS

_COUNTS = ("num_rollout_workers", "num_rollouts", "rollouts_used", "report_length", "noise_size", "evaluation_duration")
_NUMBERS = ("num_gpus", "num_rollout_workers", "action_noise_std", "noise_stdev", "sgd_stepsize", "offset")
_FILTERS = ("MeanStdFilter", "NoFilter")


def refuse_wrong(config: Any) -> None:
    """Raise a TypeError or ValueError for settings that RLlib refuses, or that fastars can't run."""
    for name in _NUMBERS:
        number(name, getattr(config, name))
    if config.num_gpus > 1:
        raise ValueError(f"`num_gpus` > 1 is not supported for ARS, got {config.num_gpus}")
    if config.num_rollout_workers <= 0:
        raise ValueError(f"`num_rollout_workers` must be > 0 for ARS, got {config.num_rollout_workers}")
    if config.env is None:
        raise ValueError("env must be given: ARSConfig().environment(...)")
    for name in _COUNTS:
        positive_int(name, getattr(config, name))
    if config.evaluation_interval:
        positive_int("evaluation_interval", config.evaluation_interval)
    if config.evaluation_duration_unit != "episodes":
        raise ValueError(f"evaluation_duration_unit must be 'episodes', got {config.evaluation_duration_unit!r}")
    for name, value in EVALUATION_CONFIG.items():
        found = (config.evaluation_config or EVALUATION_CONFIG).get(name, value)
        if found != value:
            raise ValueError(f"`evaluation_config.{name}` must be {value!r} for ARS, got {found!r}")
    number("eval_prob", config.eval_prob, 0.0, 1.0)
    if config.action_noise_std != 0.0:
        raise ValueError(f"action_noise_std must be 0, as RLlib's rollouts of ARS add none, got {config.action_noise_std}")
    one_of("observation_filter", config.observation_filter, _FILTERS)
    if not callable(config.callbacks_class):
        raise ValueError(f"callbacks_class must be a class, got {config.callbacks_class!r}")
    _refuse_other_networks(config.model)


def _refuse_other_networks(model: dict[str, Any]) -> None:
    for name in OTHER_NETWORKS:
        if differs(model.get(name, MODEL[name]), MODEL[name]):
            raise ValueError(f"model: {name} must be {MODEL[name]!r}, as fastars has no such network, got {model[name]!r}")


def activation(model: dict[str, Any]) -> str:
    """Return fastars' name of the activation in `model`; None is "linear"."""
    given = model.get("fcnet_activation", MODEL["fcnet_activation"])
    try:
        return activation_name("linear" if given in (None, "none") else given)
    except ValueError:
        allowed = ", ".join(map(repr, (None, *ACTIVATIONS)))
        raise ValueError(f"model: fcnet_activation must be one of {allowed}, got {given!r}") from None


def arguments_of(config: Any) -> dict[str, Any]:
    """Return the arguments of `fastars.ARS` for settings that `refuse_wrong` has passed."""
    n_delta = math.ceil(config.num_rollouts / 2)
    # RLlib uses the directions that reach a percentile of the returns. Their number is the whole part of this share.
    n_top = 1 + int(min(config.rollouts_used, config.num_rollouts) * (n_delta - 1) // config.num_rollouts)
    hidden = tuple(config.model.get("fcnet_hiddens", MODEL["fcnet_hiddens"]))
    policy_kwargs: dict[str, Any] = {"with_bias": True, "squash_output": False}
    if hidden:
        policy_kwargs |= {"net_arch": list(hidden), "activation_fn": activation(config.model)}
    return {
        "policy": "MlpPolicy" if hidden else "LinearPolicy",
        "env": env_argument(config.env, config.env_config),
        "policy_kwargs": policy_kwargs,
        "zero_policy": False,
        "n_delta": n_delta,
        "n_top": n_top,
        "learning_rate": float(config.sgd_stepsize),
        "delta_std": float(config.noise_stdev),
        "alive_bonus_offset": -abs(float(config.offset)),
        "normalize_observations": config.observation_filter == "MeanStdFilter",
        "noise_size": int(config.noise_size),
        "seed": config.seed,
        "preset": "rllib",
    }
