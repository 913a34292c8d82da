"""RLlib's `ARSConfig`, with the keys, defaults and errors of Ray 2.6.3."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import ItemsView, Iterator, KeysView, Mapping, ValuesView
from typing import Any, ClassVar

from fastars._validate import user_facing
from fastars.rllib.arguments import arguments_of, refuse_wrong
from fastars.rllib.config_methods import ConfigMethods
from fastars.rllib.settings import (
    DEFAULTS,
    EFFECTIVE,
    MULTIAGENT,
    OLD_KEYS,
    as_setting,
    differs,
    merged,
    near,
    plain,
    setting_of,
    settings_in,
    warn_without_effect,
)


class ARSConfig(ConfigMethods):
    """Settings of RLlib's ARS. Methods can be chained; settings are also attributes and items.

    Settings that RLlib has for other algorithms, or for parts that fastars does not have, are kept without effect. A warning names
    those that could be missed.

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
        "fcnet_hiddens" (units of the hidden layers; [] is a linear policy) and "fcnet_activation" ("tanh", "relu", "swish", or
        "linear" or None for none).
    evaluation_interval : int, optional
        Iterations between evaluations, whose results `train` returns under "evaluation"; None or 0: no evaluations.
    evaluation_duration : int
        Episodes of an evaluation.
    callbacks_class : type
        Its `on_train_result` runs after each iteration; see `DefaultCallbacks`.
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
    not_settings: ClassVar[frozenset[str]] = frozenset({"algo_class", "_is_frozen"})
    _is_frozen = False

    @user_facing
    def __init__(self, algo_class: Any = None) -> None:
        vars(self).update(copy.deepcopy(DEFAULTS), algo_class=algo_class or self.default_algo_class, _is_frozen=False)

    @classmethod
    @user_facing
    def from_dict(cls, config_dict: Mapping[str, Any]) -> ARSConfig:
        """Return new settings, with those of an old-style dict."""
        return cls().update_from_dict(config_dict)

    @classmethod
    @user_facing
    def overrides(cls, **kwargs: Any) -> dict[str, Any]:
        """Return settings as a dict, for `evaluation_config`, after checking their names."""
        return settings_in(kwargs)

    # --- Setting

    @user_facing
    def update_from_dict(self, config_dict: Mapping[str, Any]) -> ARSConfig:
        """Set the keys of an old-style config dict.

        Raises
        ------
        ValueError, TypeError
            For an unknown key, or a `model` or `evaluation_config` that is no dict; nothing is then changed.
        """
        settings = settings_in(config_dict)
        if settings:
            self._refuse_if_frozen(", ".join(settings))
        values = {name: merged(name, vars(self).get(name), as_setting(name, value)) for name, value in settings.items()}
        warn_without_effect(settings)
        vars(self).update(values)
        return self

    update = update_from_dict

    def __setattr__(self, name: str, value: Any) -> None:
        setting = setting_of(name)
        if setting != "_is_frozen":
            self._refuse_if_frozen(name)
        if setting in vars(self) or type(self) is not ARSConfig:  # a class of the user's may have attributes of its own
            vars(self)[setting] = as_setting(setting, value)
            if setting in DEFAULTS:
                warn_without_effect({setting: value})
            return
        try:
            self.update_from_dict({name: value})
        except ValueError as error:
            raise AttributeError(str(error)) from None

    def __setitem__(self, key: str, value: Any) -> None:
        setattr(self, key, value)

    def freeze(self) -> None:
        """Let settings be changed no more."""
        self._is_frozen = True

    def _refuse_if_frozen(self, name: str) -> None:
        if self._is_frozen:
            raise AttributeError(
                f"Cannot set attribute ({name}) of an already frozen {type(self).__name__}: copy(copy_frozen=False)"
            )

    # --- Reading

    def __getattr__(self, name: str) -> Any:
        setting = setting_of(name)
        if setting != name and setting in vars(self):
            return vars(self)[setting]
        hint = "" if name.startswith("__") else near(name, dir(type(self)))
        raise AttributeError(f"{type(self).__name__} has no setting {name!r}{hint}")

    def __getitem__(self, key: str) -> Any:
        return getattr(self, setting_of(key))

    def __contains__(self, key: str) -> bool:
        return setting_of(key) in (*vars(self), "multiagent")

    def __iter__(self) -> Iterator[str]:
        return iter(self.to_dict())

    @property
    def multiagent(self) -> dict[str, Any]:
        """Settings of several agents, which have no effect."""
        return {name: vars(self)[name] for name in MULTIAGENT}

    def get(self, key: str, default: Any = None) -> Any:
        """Return a setting, or the default if there is none of this name."""
        return getattr(self, setting_of(key), default)

    def pop(self, key: str, default: Any = None) -> Any:
        """Return a setting as `get` does. RLlib removes none, either."""
        return self.get(key, default)

    def keys(self) -> KeysView[str]:
        """Return the keys of `to_dict`."""
        return self.to_dict().keys()

    def values(self) -> ValuesView[Any]:
        """Return the values of `to_dict`."""
        return self.to_dict().values()

    def items(self) -> ItemsView[str, Any]:
        """Return the keys and values of `to_dict`."""
        return self.to_dict().items()

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as a new dict, with the old keys: "num_workers", "framework", ..."""
        found = copy.deepcopy({name: value for name, value in vars(self).items() if name not in self.not_settings})
        return {OLD_KEYS.get(name, name): value for name, value in found.items()}

    def serialize(self) -> dict[str, Any]:
        """Return the settings that JSON can hold, as a new dict."""
        found = {}
        for name, value in self.to_dict().items():
            with contextlib.suppress(TypeError):
                found[name] = plain(value)
        return found

    def stored(self) -> dict[str, Any]:
        """Return the settings with an effect that a file can hold; functions and classes are not among them."""
        found = {}
        for name in EFFECTIVE:
            value = getattr(self, name)
            if name == "model":
                value = {key: inner for key, inner in value.items() if differs(inner, DEFAULTS["model"].get(key)) or "fcnet" in key}
            with contextlib.suppress(TypeError):
                found[name] = plain(value)
        return found

    def copy(self, copy_frozen: bool | None = None) -> ARSConfig:
        """Return new settings with the same values.

        Parameters
        ----------
        copy_frozen : bool, optional
            True: the copy is frozen; False: it can be changed; default: as this one.
        """
        copied = copy.deepcopy(self)
        vars(copied)["_is_frozen"] = self._is_frozen if copy_frozen is None else bool(copy_frozen)
        return copied

    __copy__ = copy

    # --- Use

    def is_multi_agent(self) -> bool:
        """Return False: ARS has one policy."""
        return False

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
        refuse_wrong(self)

    @user_facing
    def build(self, env: Any = None, logger_creator: Any = None, use_copy: bool = True) -> Any:
        """Make the algorithm.

        Parameters
        ----------
        env : str, callable or class, optional
            Instead of the one in the settings, from now on.
        logger_creator, use_copy
            Without effect.

        Returns
        -------
        fastars.rllib.ARS
            Or an instance of `algo_class`.

        Raises
        ------
        ValueError, TypeError
            For settings that `validate` refuses, and as for `fastars.ARS`.
        """
        if env is not None:
            self.env = env
        return self.algo_class(self)

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of `fastars.ARS` that the settings stand for, after validating them."""
        self.validate()
        return arguments_of(self)
