"""RLlib's `ARSConfig`: the same keys, defaults and errors, and what they mean for `fastars.ARS`."""

from __future__ import annotations

import contextlib
import copy
import math
import numbers
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from fastars._validate import positive_int
from fastars.rllib.environments import made_by

if TYPE_CHECKING:
    from fastars.rllib.algorithm import ARS

_DEFAULTS: dict[str, Any] = {
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
# What each method sets, by the names of its arguments.
_METHODS: dict[str, dict[str, str]] = {
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
# Arguments that RLlib has as well, and that say nothing here: rollouts run in compiled code, on the threads of this process.
_WITHOUT_EFFECT: dict[str, tuple[str, ...]] = {
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
_OLD_NAMES = {"num_workers": "num_rollout_workers", "num_env_runners": "num_rollout_workers"}
_COUNTS = ("num_rollout_workers", "num_rollouts", "rollouts_used", "report_length", "noise_size", "evaluation_duration")
_NUMBERS = ("num_gpus", "num_rollout_workers", "action_noise_std", "noise_stdev", "sgd_stepsize", "eval_prob", "offset")
_OF_DICTS = {
    "model": ("fcnet_hiddens", "fcnet_activation"),
    "evaluation_config": ("num_envs_per_worker", "observation_filter", "explore", "render_env"),
}


class ARSConfig:
    """Settings of RLlib's ARS, set by methods that can be chained; an argument that they don't know is refused by name.

    Attributes
    ----------
    env : str, callable or class
        A Gymnasium id, for whose `make` `env_config` has the arguments; or what makes an environment from `env_config`. Also a name
        that was registered with `ray.tune.register_env`.
    num_rollouts : int
        Episodes per iteration, two for each direction: 32 are 16 directions.
    rollouts_used : int
        Of these, the ones whose directions the step is made of; more than `num_rollouts` are all.
    noise_stdev, sgd_stepsize : float
        Exploration noise and step size.
    noise_size : int
        Entries of the noise table, 4 bytes each; it is filled when training begins.
    eval_prob : float
        Probability that an episode is one of the unperturbed policy, from 0 and below 1.
    report_length : int
        `episode_reward_mean` is the mean over so many of the last iterations with such episodes.
    offset : float
        Its absolute value is subtracted from the reward of each step.
    observation_filter : {"MeanStdFilter", "NoFilter"}
    model : dict
        "fcnet_hiddens" (units of the hidden layers; [] is a linear policy) and "fcnet_activation" ("tanh" or "relu").
    evaluation_interval : int, optional
        Iterations between evaluations, whose results `train` then has under "evaluation"; None or 0: none.
    evaluation_duration : int
        Episodes of an evaluation.
    num_rollout_workers : int
        Processes, where the environment runs in Python; compiled ones run on threads.
    seed : int, optional

    Examples
    --------
    >>> from fastars.rllib import ARSConfig
    >>> config = ARSConfig().environment("CartPole-v1").debugging(seed=0)
    >>> config = config.training(model={"fcnet_hiddens": []}, noise_size=1_000_000)
    >>> result = config.build().train()
    >>> result["info"]["episodes_this_iter"]
    32
    """

    env: Any
    env_config: dict[str, Any]
    num_rollout_workers: int
    observation_filter: str
    action_noise_std: float
    noise_stdev: float
    num_rollouts: int
    rollouts_used: int
    sgd_stepsize: float
    noise_size: int
    eval_prob: float
    report_length: int
    offset: float
    model: dict[str, Any]
    num_gpus: float
    evaluation_duration: int
    evaluation_duration_unit: str
    evaluation_interval: int | None
    evaluation_config: dict[str, Any]
    seed: int | None

    def __init__(self, algo_class: Any = None) -> None:
        vars(self).update(copy.deepcopy(_DEFAULTS))

    def environment(self, *args: Any, **kwargs: Any) -> ARSConfig:
        """The environment: `env`, `env_config`."""
        return self._set("environment", args, kwargs)

    def rollouts(self, *args: Any, **kwargs: Any) -> ARSConfig:
        """`num_rollout_workers`, `observation_filter`."""
        return self._set("rollouts", args, kwargs)

    def env_runners(self, *args: Any, **kwargs: Any) -> ARSConfig:
        """`num_env_runners`, `observation_filter`: what `rollouts` was called later."""
        return self._set("env_runners", args, kwargs)

    def training(self, *args: Any, **kwargs: Any) -> ARSConfig:
        """What is special to ARS, and `model`."""
        return self._set("training", args, kwargs)

    def framework(self, *args: Any, **kwargs: Any) -> ARSConfig:
        """Without effect: there is one framework."""
        return self._set("framework", args, kwargs)

    def resources(self, *args: Any, **kwargs: Any) -> ARSConfig:
        """`num_gpus`, of which 0 and 1 are allowed, and none used."""
        return self._set("resources", args, kwargs)

    def evaluation(self, *args: Any, **kwargs: Any) -> ARSConfig:
        """`evaluation_interval`, `evaluation_duration`."""
        return self._set("evaluation", args, kwargs)

    def debugging(self, *args: Any, **kwargs: Any) -> ARSConfig:
        """`seed`."""
        return self._set("debugging", args, kwargs)

    def reporting(self, *args: Any, **kwargs: Any) -> ARSConfig:
        """Without effect."""
        return self._set("reporting", args, kwargs)

    def fault_tolerance(self, *args: Any, **kwargs: Any) -> ARSConfig:
        """Without effect: what fails is tried again."""
        return self._set("fault_tolerance", args, kwargs)

    def _set(self, method: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> ARSConfig:
        """Set what the arguments of a method stand for; nothing if one of them is wrong."""
        known, ignored = _METHODS.get(method, {}), _WITHOUT_EFFECT.get(method, ())
        names = [*known, *ignored]
        if len(args) > 1:
            raise TypeError(f"{method}() takes one argument by position, got {len(args)}")
        given = {**dict(zip(names, args, strict=False)), **kwargs}
        for name in given:
            if name not in names:
                raise TypeError(f"{method}() has no argument {name!r}; it has {', '.join(names)}")
        return self.update_from_dict({known[name]: value for name, value in given.items() if name in known})

    def update_from_dict(self, config_dict: Mapping[str, Any]) -> ARSConfig:
        """Set keys of an old-style config dict; those that have no meaning here are passed over, unknown ones refused."""
        ignored = {name for names in _WITHOUT_EFFECT.values() for name in names}
        values = {}
        for name, value in config_dict.items():
            key = _OLD_NAMES.get(name, name)
            if key not in _DEFAULTS and key not in ignored:
                raise ValueError(f"ARS has no setting {name!r}; it has {', '.join(_DEFAULTS)}")
            if key in _DEFAULTS:
                values[key] = {**getattr(self, key), **_named(key, value)} if key in _OF_DICTS else value
        vars(self).update(values)
        return self

    def to_dict(self) -> dict[str, Any]:
        """The settings as a dict of their own."""
        return copy.deepcopy({name: getattr(self, name) for name in _DEFAULTS})

    def stored(self) -> dict[str, Any]:
        """The settings that a file can hold: not an environment that is a function or a class."""
        found = {}
        for name, value in self.to_dict().items():
            with contextlib.suppress(TypeError):
                found[name] = _plain(value)
        return found

    def copy(self) -> ARSConfig:
        """Another one with the same settings."""
        return ARSConfig().update_from_dict(self.to_dict())

    def __getitem__(self, name: str) -> Any:
        return self.to_dict()[_OLD_NAMES.get(name, name)]

    def validate(self) -> None:
        """Raise a ValueError for settings that RLlib refuses, or that can't be run."""
        for name in _NUMBERS:
            if isinstance(value := getattr(self, name), bool) or not isinstance(value, numbers.Real):
                raise ValueError(f"{name} must be a number, got {value!r}")
        if self.num_gpus > 1:
            raise ValueError(f"`num_gpus` > 1 is not supported for ARS, got {self.num_gpus}")
        if self.num_rollout_workers <= 0:
            raise ValueError(f"`num_rollout_workers` must be > 0 for ARS, got {self.num_rollout_workers}")
        if self.env is None:
            raise ValueError("env must be given: ARSConfig().environment(...)")
        for name in _COUNTS:
            positive_int(name, getattr(self, name))
        if self.evaluation_interval:
            positive_int("evaluation_interval", self.evaluation_interval)
        if self.evaluation_duration_unit != "episodes":
            raise ValueError(f"evaluation_duration_unit must be 'episodes', got {self.evaluation_duration_unit!r}")
        for name, value in _DEFAULTS["evaluation_config"].items():
            if self.evaluation_config[name] != value:
                raise ValueError(f"`evaluation_config.{name}` must be {value!r} for ARS, got {self.evaluation_config[name]!r}")
        if not 0.0 <= self.eval_prob < 1.0:
            raise ValueError(f"eval_prob must be at least 0 and below 1, got {self.eval_prob!r}")
        if self.action_noise_std != 0.0:
            raise ValueError(f"action_noise_std must be 0, as RLlib's rollouts of ARS add none, got {self.action_noise_std}")
        if self.observation_filter not in ("MeanStdFilter", "NoFilter"):
            raise ValueError(f"observation_filter must be 'MeanStdFilter' or 'NoFilter', got {self.observation_filter!r}")

    def build(self, env: Any = None, **_: Any) -> ARS:
        """The algorithm.

        Raises
        ------
        ValueError
            For settings that RLlib refuses, too.
        """
        from fastars.rllib.algorithm import ARS

        return ARS(self, env)

    def arguments(self) -> dict[str, Any]:
        """Arguments of `fastars.ARS` that the settings stand for."""
        self.validate()
        n_delta = math.ceil(self.num_rollouts / 2)
        # As many as reach RLlib's percentile, which is less than this share of them where that is no whole number.
        n_used = 1 + int(min(self.rollouts_used, self.num_rollouts) * (n_delta - 1) // self.num_rollouts)
        hidden, activation = tuple(self.model["fcnet_hiddens"]), self.model["fcnet_activation"]
        policy_kwargs: dict[str, Any] = {"with_bias": True, "squash_output": False}
        if hidden:
            policy_kwargs |= {"net_arch": list(hidden), "activation_fn": activation}
        return {
            "policy": "MlpPolicy" if hidden else "LinearPolicy",
            "env": made_by(self.env, self.env_config),
            "policy_kwargs": policy_kwargs,
            "zero_policy": False,
            "n_delta": n_delta,
            "n_top": n_used,
            "learning_rate": float(self.sgd_stepsize),
            "delta_std": float(self.noise_stdev),
            "alive_bonus_offset": -abs(float(self.offset)),
            "normalize_observations": self.observation_filter == "MeanStdFilter",
            "noise_size": int(self.noise_size),
            "seed": self.seed,
            "preset": "rllib",
        }


def _named(key: str, given: Any) -> dict[str, Any]:
    """Settings in a dict of their own, such as those of a policy, checked by name."""
    if not isinstance(given, Mapping):
        raise ValueError(f"{key} must be a dict, got {given!r}")
    for name in given:
        if name not in _OF_DICTS[key]:
            raise ValueError(f"{key} has no setting {name!r} for ARS; it has {', '.join(_OF_DICTS[key])}")
    return dict(given)


def _plain(value: Any) -> Any:
    """A value as JSON holds it; a TypeError for one that it can't hold."""
    if isinstance(value, Mapping):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"no plain value: {value!r}")
