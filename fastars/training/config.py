"""The settings of a run in one frozen dataclass, and the making of it from a preset and arguments.

Two kinds of settings: hyperparameters, named as in stable-baselines3-contrib, and the choices in which the published
implementations differ. A preset (`fastars.training.presets`) sets the choices, and "paper" and "tuned" also the hyperparameters of
the environments they know; each of them can still be set by itself. `fastars.training.setting_checks` has the values that each
setting may have.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fastars._validate import boolean, integer, known_names, number, one_of, warn_user
from fastars.training import presets
from fastars.training.setting_checks import CHECKS, POLICY_KWARGS

Schedule = float | Callable[[float], float]

VARIANTS = ("V1", "V1-t", "V2", "V2-t")


@dataclass(frozen=True, kw_only=True)
class Config:
    """Settings of a run.

    Attributes
    ----------
    n_delta : int
        Directions per iteration (N of the paper), each tried with both signs.
    n_top : int
        Directions used for the step (b), at most `n_delta`.
    learning_rate : float or callable
        Step size alpha; a callable takes the progress remaining, from 1 to 0.
    delta_std : float or callable
        Standard deviation nu of the exploration noise; a callable as for `learning_rate`.
    zero_policy : bool
        Start from zero weights; otherwise from U(-1/sqrt(n_obs), 1/sqrt(n_obs)).
    policy : {"LinearPolicy", "MlpPolicy"}
        Scores linear in the observation, or the outputs of a network with hidden layers.
    with_bias : bool
        True: its layers have a bias.
    net_arch : tuple of int
        Units of the hidden layers of an `MlpPolicy`, from the observation on.
    activation_fn : {"relu", "tanh", "swish", "linear"}
        Function of the hidden units of an `MlpPolicy`.
    squash_output : bool
        Put the actions of a Box between its bounds by a tanh.
    alive_bonus_offset : float
        Added to the return for every step, in training only (the paper's shift is its negative).
    n_eval_episodes : int
        Episodes per candidate.
    max_episode_steps : int or None
        Steps after which an episode ends, if nothing ends it before; None: the time limit of the environment, or 10,000 steps where
        it has none.
    normalize_observations : bool
        V2: observations are normalised by mean and deviation of all observations seen.
    keep_ties : bool
        Select all directions at or above the percentile 100 (1 - n_top / n_delta), so ties may keep more than `n_top`.
    return_ddof : int
        Degrees of freedom removed in the deviation sigma_R of the returns used.
    std_epsilon : float
        Added to (divisor * sigma_R).
    divide_by_n_top : bool
        Divide by `n_top` even where fewer or more directions were used.
    clip_actions : bool
        Clip actions of a Box to its bounds.
    filter_ddof : int
        Degrees of freedom removed in the variance of observations.
    filter_epsilon : float
        Added to the deviation: an observation is multiplied by 1 / (sqrt(variance + filter_var_epsilon) + filter_epsilon).
    filter_var_epsilon : float
        Added to the variance.
    filter_min_std : float
        An entry of the observation whose deviation is below it becomes 0.
    clip_observations : float
        Filtered observations are clipped to +- this.
    common_random_numbers : bool
        Both signs of a direction start from the same initial states.
    fitness_shaping : {"none", "centered_ranks", "sign"}
        Replace the returns by their centered ranks, or by the sign of their difference, before the step.
    optimizer : {"sgd", "adam"}
        Rule that makes a step of the gradient.
    momentum : float
        Of "sgd": v = momentum v + (1 - momentum) g, and v takes the place of the gradient g.
    weight_decay : float
        The step is less by learning_rate * weight_decay * theta.
    on_nonfinite : {"drop", "penalize", "raise"}
        Reaction to a NaN or infinite return. "drop": its pair of candidates is left out, and counted. "penalize": the return counts
        as the least finite one of the iteration (`kernels.penalized_returns`), so that the step leads away from the candidate; a
        pair of two such returns is dropped, and so is one whose environment failed. Of a scalar reward only. "raise": an error.
    noise_size : int or None
        Entries of the noise table, at least the number of weights; None: 4,194,304, or 64 times the number of weights if that is
        more, but not above 2^28 (1 GiB), or twice the number of weights if that is more. A warning says if a direction has fewer
        places to start than there are weights, or than 10 times `n_delta`.
    weighting : str or None
        How the tasks of a vector reward are weighted: a name of `fastars.weighting.METHODS`, "custom" for a function, or None for a
        scalar reward.
    weighting_kwargs : dict
        Arguments of that method.
    preference : tuple of float or None
        Worth of each task.
    utopia : tuple of float or None
        A return of each task that can't be surpassed.
    physics : {"mujoco", "lanes"}
        The physics of training episodes in MuJoCo's environments: `mj_step`, or the package's own over SIMD lanes
        (docs/physics.md). Evaluations are in MuJoCo, always.
    diagnostics : bool
        True: every row of the log shows how far the gradient can be trusted (docs/diagnostics.md). It costs about 30 us, a third of
        a tiny iteration (8 directions, episodes of 50 steps). Several tasks need it.
    seed : int
        Below 2**64. All that is random is a pure function of (seed, iteration).
    """

    n_delta: int = 8
    n_top: int | None = None
    learning_rate: Schedule = 0.02
    delta_std: Schedule = 0.05
    zero_policy: bool = True
    policy: str = "LinearPolicy"
    with_bias: bool = False
    net_arch: tuple[int, ...] = ()
    activation_fn: str = "relu"
    squash_output: bool = False
    alive_bonus_offset: float = 0.0
    n_eval_episodes: int = 1
    max_episode_steps: int | None = None
    normalize_observations: bool = False
    keep_ties: bool = False
    return_ddof: int = 0
    std_epsilon: float = 0.0
    divide_by_n_top: bool = False
    clip_actions: bool = True
    filter_ddof: int = 1
    filter_epsilon: float = 0.0
    filter_var_epsilon: float = 0.0
    filter_min_std: float = 1e-7
    clip_observations: float = math.inf
    common_random_numbers: bool = False
    fitness_shaping: str = "none"
    optimizer: str = "sgd"
    momentum: float = 0.0
    weight_decay: float = 0.0
    on_nonfinite: str = "drop"
    physics: str = "mujoco"
    noise_size: int | None = None
    weighting: str | None = None
    weighting_kwargs: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    preference: tuple[float, ...] | None = None
    utopia: tuple[float, ...] | None = None
    diagnostics: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        for name, check in _CHECKS.items():
            object.__setattr__(self, name, check(name, getattr(self, name)))
        if self.n_top is None:
            object.__setattr__(self, "n_top", self.n_delta)
        if self.n_top > self.n_delta:  # type: ignore[operator]
            raise ValueError(f"n_top must be at most n_delta ({self.n_delta}), got {self.n_top}")
        if self.delta_std == 0:
            raise ValueError("delta_std must be positive, got 0: without noise there is no gradient")
        if self.on_nonfinite == "penalize" and self.weighting is not None:
            raise ValueError(
                'on_nonfinite must be "drop" or "raise" for a vector reward, got "penalize": which return of a task is the worst '
                "depends on the weights of the others"
            )
        if self.net_arch and self.policy == "LinearPolicy":
            raise ValueError(f"a LinearPolicy has no hidden layers, got net_arch={self.net_arch}")

    @property
    def variant(self) -> str:
        """Name in the paper: V1 or V2 (normalised observations), "-t" if only the top directions are used."""
        return ("V2" if self.normalize_observations else "V1") + ("-t" if self.n_top < self.n_delta else "")  # type: ignore[operator]

    def arguments(self) -> dict[str, Any]:
        """Return the settings as arguments of `ARS`."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        of_policy = {name: values.pop(name) for name in POLICY_KWARGS["MlpPolicy"]}
        return {**values, "policy_kwargs": {name: of_policy[name] for name in POLICY_KWARGS[self.policy]}}

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for a file; a schedule is stored as its value at the start, or None without one, and marked."""
        values = dataclasses.asdict(self)
        for name in ("net_arch", "preference", "utopia"):
            values[name] = None if values[name] is None else list(values[name])
        values["weighting_kwargs"] = values["weighting_kwargs"] or None
        for name in ("learning_rate", "delta_std"):
            if callable(values[name]):
                values[name] = {"schedule": _first_value(name, values[name])}
        if math.isinf(self.clip_observations):
            values["clip_observations"] = None
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Config:
        """Return the settings that `to_dict` wrote; a schedule comes back as its value at the start, without one as the default."""
        known = {field.name for field in dataclasses.fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise ValueError(f"unknown settings: {', '.join(unknown)}")
        plain = dict(values)
        for name in ("learning_rate", "delta_std"):
            if isinstance(plain.get(name), Mapping):
                first = plain[name].get("schedule")
                plain[name] = getattr(cls, name) if first is None else first
        plain["weighting_kwargs"] = plain.get("weighting_kwargs") or {}
        if plain.get("clip_observations", 0) is None:
            plain["clip_observations"] = math.inf
        return cls(**plain)


def make_config(preset: str | None = None, variant: str | None = None, env_id: str = "", **settings: Any) -> Config:
    """Return the settings of a preset for an environment, overridden by `settings` (None: not given).

    Parameters
    ----------
    preset : {"fastars", "tuned", "paper", "modestyachts", "rllib", "sb3"}, optional
        Default "fastars".
    variant : {"V1", "V1-t", "V2", "V2-t"}, optional
        Sets `normalize_observations`, and holds `n_top` to what the name says.
    env_id : str, optional
        Without it, "tuned" and "paper" don't set hyperparameters.
    **settings
        Fields of `Config`. An `n_top` above `n_delta` is a warning, and clamped; a preset's is left out where `n_delta` is given.

    Raises
    ------
    ValueError, TypeError
        Naming the setting, its value and what is allowed.
    """
    preset = preset or "fastars"
    one_of("preset", preset, tuple(presets.CHOICES))
    known_names("ARS()", settings, _FIELDS)
    given = {name: value for name, value in settings.items() if value is not None}
    if variant is not None:
        one_of("variant", variant, VARIANTS)
        normalized = variant.startswith("V2")
        if given.setdefault("normalize_observations", normalized) != normalized:
            raise ValueError(f"variant {variant!r} contradicts normalize_observations={given['normalize_observations']}")
    suited = suited_settings(preset, env_id, variant)
    if "n_delta" in given:
        suited.pop("n_top", None)
    chosen = {**presets.CHOICES[preset], **suited, **given}
    n_delta, n_top = (integer(name, chosen.get(name, Config.n_delta), 1) for name in ("n_delta", "n_top"))
    if "n_top" in chosen and n_top > n_delta:
        warn_user(f"n_top={n_top} is more than n_delta={n_delta}: all {n_delta} directions are used")
        chosen["n_top"] = n_delta
    config = Config(**chosen)
    if variant is not None and config.variant != variant:
        wanted = "n_top < n_delta" if variant.endswith("-t") else "n_top = n_delta"
        raise ValueError(f"variant {variant!r} needs {wanted}, got n_top={config.n_top}, n_delta={config.n_delta}")
    return config


def suited_settings(preset: str, env_id: str, variant: str | None = None) -> dict[str, Any]:
    """Return the hyperparameters of a preset for an environment; empty where it has none, or none for this variant."""
    return next((row for row in presets.rows(preset, env_id) if variant in (None, Config(**row).variant)), {})


def _first_value(name: str, schedule: Callable[[float], float]) -> float | None:
    """Return the value of a schedule at the start; None if a constant setting could not have it. A run that goes on needs none."""
    try:
        first = number(name, schedule(1.0), 0.0)
    except Exception:  # of the user's function
        return None
    return None if name == "delta_std" and first == 0.0 else first


_FIELDS = tuple(field.name for field in dataclasses.fields(Config))
# Arguments of `ARS` by which they are set; those of a policy are in its `policy_kwargs`.
SETTINGS = tuple(name for name in _FIELDS if name not in ("policy", *POLICY_KWARGS["MlpPolicy"]))
_CHECKS = {**CHECKS, **dict.fromkeys((field.name for field in dataclasses.fields(Config) if field.type == "bool"), boolean)}
