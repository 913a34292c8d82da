"""RLlib's `ARSConfig`, with the same keys, defaults and errors, and the arguments of `fastars.ARS` that it stands for."""

from __future__ import annotations

import contextlib
import copy
import math
from collections.abc import Mapping
from typing import Any, ClassVar

from fastars._validate import known_names, number, one_of, positive_int, user_facing
from fastars.rllib.environments import env_argument
from fastars.rllib.settings import (
    COUNTS,
    DEFAULTS,
    METHODS,
    NESTED,
    NUMBERS,
    OLD_NAMES,
    WITHOUT_EFFECT,
    known_key,
    nested,
    plain,
)


class ARSConfig:
    """Settings of RLlib's ARS. Its methods can be chained; they refuse unknown arguments by name.

    Parameters
    ----------
    algo_class : type, optional
        The class that `build` makes. Default: `fastars.rllib.ARS`.

    Attributes
    ----------
    env : str, callable or class
        A Gymnasium id, whose `gymnasium.make` gets `env_config` as arguments; or a function or class that makes an environment from
        `env_config`; or a name that was registered with `ray.tune.register_env`.
    num_rollouts : int
        Episodes per iteration, two for each direction: 32 episodes are 16 directions.
    rollouts_used : int
        Number of these episodes whose directions are used for the step; if it is more than `num_rollouts`, all are used.
    noise_stdev, sgd_stepsize : float
        Exploration noise and step size.
    noise_size : int
        Entries of the noise table, 4 bytes each; it is filled when training begins.
    eval_prob : float
        Probability that an episode evaluates the unperturbed policy, at least 0 and below 1.
    report_length : int
        Number of iterations with such episodes over which `episode_reward_mean` is the mean.
    offset : float
        Its absolute value is subtracted from the reward of each step.
    observation_filter : {"MeanStdFilter", "NoFilter"}
    model : dict
        "fcnet_hiddens" (units of the hidden layers; [] is a linear policy) and "fcnet_activation" ("tanh" or "relu").
    evaluation_interval : int, optional
        Iterations between evaluations, whose results `train` returns under "evaluation"; None or 0: no evaluations.
    evaluation_duration : int
        Episodes of an evaluation.
    num_rollout_workers : int
        Processes, if the environment runs in Python; compiled environments run on threads.
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

    default_algo_class: ClassVar[Any] = None  # `fastars.rllib` sets it to its ARS: this module does not know the algorithm

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
        self.algo_class = algo_class or self.default_algo_class
        vars(self).update(copy.deepcopy(DEFAULTS))

    # --- Setting by name

    @user_facing
    def environment(self, *args: Any, **kwargs: Any) -> ARSConfig:
        """Set the environment: `env`, `env_config`."""
        return self._set("environment", args, kwargs)

    @user_facing
    def rollouts(self, *args: Any, **kwargs: Any) -> ARSConfig:
        """Set `num_rollout_workers`, `observation_filter`."""
        return self._set("rollouts", args, kwargs)

    @user_facing
    def env_runners(self, *args: Any, **kwargs: Any) -> ARSConfig:
        """Set `num_env_runners`, `observation_filter`: the later name of `rollouts`."""
        return self._set("env_runners", args, kwargs)

    @user_facing
    def training(self, *args: Any, **kwargs: Any) -> ARSConfig:
        """Set hyperparameters of ARS, and `model`."""
        return self._set("training", args, kwargs)

    @user_facing
    def framework(self, *args: Any, **kwargs: Any) -> ARSConfig:
        """Change nothing: there is one framework."""
        return self._set("framework", args, kwargs)

    @user_facing
    def resources(self, *args: Any, **kwargs: Any) -> ARSConfig:
        """Set `num_gpus`; 0 and 1 are allowed, and no GPU is used."""
        return self._set("resources", args, kwargs)

    @user_facing
    def evaluation(self, *args: Any, **kwargs: Any) -> ARSConfig:
        """Set `evaluation_interval`, `evaluation_duration`, `evaluation_duration_unit`, `evaluation_config`."""
        return self._set("evaluation", args, kwargs)

    @user_facing
    def debugging(self, *args: Any, **kwargs: Any) -> ARSConfig:
        """Set `seed`."""
        return self._set("debugging", args, kwargs)

    @user_facing
    def reporting(self, *args: Any, **kwargs: Any) -> ARSConfig:
        """Change nothing: every iteration has a result."""
        return self._set("reporting", args, kwargs)

    @user_facing
    def fault_tolerance(self, *args: Any, **kwargs: Any) -> ARSConfig:
        """Change nothing: failed episodes are tried again."""
        return self._set("fault_tolerance", args, kwargs)

    def _set(self, method: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> ARSConfig:
        """Set the settings that the arguments of a method stand for; set none if one argument is wrong."""
        known = METHODS.get(method, {})
        names = [*known, *WITHOUT_EFFECT.get(method, ())]
        if len(args) > 1:
            raise TypeError(f"ARSConfig.{method}() takes one argument by position, got {len(args)}")
        given = {**dict(zip(names, args, strict=False)), **kwargs}
        known_names(f"ARSConfig.{method}()", given, names)
        return self.update_from_dict({known[name]: value for name, value in given.items() if name in known})

    @user_facing
    def update_from_dict(self, config_dict: Mapping[str, Any]) -> ARSConfig:
        """Set the keys of an old-style config dict; known keys without effect are ignored, unknown keys refused.

        Raises
        ------
        ValueError, TypeError
            For an unknown key, or a `model` or `evaluation_config` that is no dict; nothing is then changed.
        """
        values = {}
        for name, value in config_dict.items():
            key = known_key(name)
            if key in DEFAULTS:
                values[key] = {**getattr(self, key), **nested(key, value)} if key in NESTED else value
        vars(self).update(values)
        return self

    # --- Reading

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as a new dict."""
        return copy.deepcopy({name: getattr(self, name) for name in DEFAULTS})

    def stored(self) -> dict[str, Any]:
        """Return the settings that a file can hold; an environment that is a function or a class is not among them."""
        found = {}
        for name, value in self.to_dict().items():
            with contextlib.suppress(TypeError):
                found[name] = plain(value)
        return found

    def copy(self) -> ARSConfig:
        """Return a new config with the same settings."""
        return ARSConfig(self.algo_class).update_from_dict(self.to_dict())

    __copy__ = copy

    def __getitem__(self, name: str) -> Any:
        return self.to_dict()[OLD_NAMES.get(name, name)]

    # --- Use

    @user_facing
    def validate(self) -> None:
        """Raise an error for settings that RLlib refuses, or that fastars can't run.

        Raises
        ------
        TypeError
            For a value of a wrong kind.
        ValueError
            For a value that is not allowed.
        """
        for name in NUMBERS:
            number(name, getattr(self, name))
        if self.num_gpus > 1:
            raise ValueError(f"`num_gpus` > 1 is not supported for ARS, got {self.num_gpus}")
        if self.num_rollout_workers <= 0:
            raise ValueError(f"`num_rollout_workers` must be > 0 for ARS, got {self.num_rollout_workers}")
        if self.env is None:
            raise ValueError("env must be given: ARSConfig().environment(...)")
        for name in COUNTS:
            positive_int(name, getattr(self, name))
        if self.evaluation_interval:
            positive_int("evaluation_interval", self.evaluation_interval)
        if self.evaluation_duration_unit != "episodes":
            raise ValueError(f"evaluation_duration_unit must be 'episodes', got {self.evaluation_duration_unit!r}")
        for name, value in DEFAULTS["evaluation_config"].items():
            if self.evaluation_config[name] != value:
                raise ValueError(f"`evaluation_config.{name}` must be {value!r} for ARS, got {self.evaluation_config[name]!r}")
        number("eval_prob", self.eval_prob, 0.0, 1.0)
        if self.action_noise_std != 0.0:
            raise ValueError(f"action_noise_std must be 0, as RLlib's rollouts of ARS add none, got {self.action_noise_std}")
        one_of("observation_filter", self.observation_filter, ("MeanStdFilter", "NoFilter"))

    @user_facing
    def build(self, env: Any = None, **_: Any) -> Any:
        """Make the algorithm.

        Parameters
        ----------
        env : str, callable or class, optional
            Instead of the one in the settings.

        Returns
        -------
        fastars.rllib.ARS
            Or an instance of `algo_class`.

        Raises
        ------
        ValueError, TypeError
            For settings that `validate` refuses, and as for `fastars.ARS`.
        """
        return self.algo_class(self, env)

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of `fastars.ARS` that the settings stand for, after validating them."""
        self.validate()
        n_delta = math.ceil(self.num_rollouts / 2)
        # RLlib uses the directions that reach a percentile of the returns. Their number is the whole part of this share.
        n_top = 1 + int(min(self.rollouts_used, self.num_rollouts) * (n_delta - 1) // self.num_rollouts)
        hidden, activation = tuple(self.model["fcnet_hiddens"]), self.model["fcnet_activation"]
        policy_kwargs: dict[str, Any] = {"with_bias": True, "squash_output": False}
        if hidden:
            policy_kwargs |= {"net_arch": list(hidden), "activation_fn": activation}
        return {
            "policy": "MlpPolicy" if hidden else "LinearPolicy",
            "env": env_argument(self.env, self.env_config),
            "policy_kwargs": policy_kwargs,
            "zero_policy": False,
            "n_delta": n_delta,
            "n_top": n_top,
            "learning_rate": float(self.sgd_stepsize),
            "delta_std": float(self.noise_stdev),
            "alive_bonus_offset": -abs(float(self.offset)),
            "normalize_observations": self.observation_filter == "MeanStdFilter",
            "noise_size": int(self.noise_size),
            "seed": self.seed,
            "preset": "rllib",
        }
