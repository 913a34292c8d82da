"""The search space: the settings that a search tries, and their ranges or choices."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from fastars.cli.settings import OF_POLICY

if TYPE_CHECKING:
    from fastars.training.config import Config

FRACTION = "top_fraction"  # n_top / n_delta: the range of n_top itself would depend on n_delta
INTEGERS = ("n_delta", "n_top", "n_eval_episodes", "noise_size", "max_episode_steps")
FLOATS = ("learning_rate", "delta_std", "alive_bonus_offset", "momentum", "weight_decay", FRACTION)
BOOLS = ("normalize_observations", "with_bias", "squash_output", "zero_policy", "common_random_numbers")
TEXTS = ("policy", "activation_fn", "optimizer", "fitness_shaping", "on_nonfinite", "physics", "weighting")
NETS = ("net_arch",)  # texts such as "64 64"
NAMES = (*INTEGERS, *FLOATS, *BOOLS, *TEXTS, *NETS)
MOST_POINTS = 10_000  # of a grid


@dataclass(frozen=True, kw_only=True)
class Axis:
    """A setting of the search: its choices, or a range from `low` to `high`.

    Attributes
    ----------
    name : str
        A setting of `fastars train`, or `top_fraction`.
    choices : tuple
        Empty for a range.
    low, high : int or float or None
        Both belong to the range.
    log : bool
        True: uniform in the logarithm.
    """

    name: str
    choices: tuple[Any, ...] = ()
    low: float | None = None
    high: float | None = None
    log: bool = False

    def __str__(self) -> str:
        if self.choices:
            return f"{self.name} {', '.join(map(shown, self.choices))}"
        return f"{self.name} {shown(self.low)} to {shown(self.high)}{' (log)' if self.log else ''}"

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Axis:
        """Return the axis that `asdict` made a dictionary of, and JSON a copy."""
        return cls(**{**values, "choices": tuple(values["choices"])})

    def has(self, value: Any) -> bool:
        """Return True if the search can try the value."""
        if self.choices or value is None:
            return value in self.choices
        return bool(self.low <= value <= self.high)

    def distribution(self, distributions: Any) -> Any:
        """Return the axis as a distribution of the module `optuna.distributions`."""
        if self.choices:
            return distributions.CategoricalDistribution(self.choices)
        kind = distributions.IntDistribution if self.name in INTEGERS else distributions.FloatDistribution
        return kind(self.low, self.high, log=self.log)


def default_axes(config: Config) -> dict[str, Axis]:
    """Return the axes that are searched where nothing else is said, wide enough for the settings of `fastars train`.

    The settings that the paper and the preset "tuned" found have steps from 0.01 to 0.2, noise from 0.0075 to 0.5, and up to 230
    directions. Where a bonus for being alive is taken off, both is tried.
    """
    bonus = config.alive_bonus_offset
    settings = settings_of(config.to_dict())
    axes = {
        axis.name: axis
        for axis in (
            _widened("learning_rate", 0.002, 0.5, settings, log=True),
            _widened("delta_std", 0.005, 0.5, settings, log=True),
            _widened("n_delta", 4, 64, settings, log=True),
            _widened(FRACTION, 0.1, 1.0, settings),
            Axis(name="normalize_observations", choices=(False, True)),
        )
    }
    return {**axes, "alive_bonus_offset": Axis(name="alive_bonus_offset", choices=(0.0, bonus))} if bonus else axes


def settings_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of all possible axes in the settings of a run, as `Config.to_dict` writes them."""
    values = {name: config.get(name) for name in NAMES if name != FRACTION}
    return {**values, FRACTION: config["n_top"] / config["n_delta"], "net_arch": " ".join(map(str, config["net_arch"]))}


def _widened(name: str, low: float, high: float, settings: Mapping[str, Any], log: bool = False) -> Axis:
    value = settings[name]
    if log and value <= 0:
        return Axis(name=name, low=low, high=high, log=log)
    return Axis(name=name, low=min(low, value), high=max(high, value), log=log)


def points(axes: Sequence[Axis]) -> list[dict[str, Any]]:
    """Return all combinations of choices, up to `MOST_POINTS`."""
    combined = itertools.islice(itertools.product(*(axis.choices for axis in axes)), MOST_POINTS)
    return [dict(zip((axis.name for axis in axes), values, strict=True)) for values in combined]


def shown(value: Any) -> str:
    """Write a value as a person does."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def arguments_of(params: Mapping[str, Any], fixed: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of `ARS` for a trial.

    Parameters
    ----------
    params : mapping
        The values that the trial tries.
    fixed : mapping
        The arguments that all trials have.
    """
    found = {**fixed, **params}
    n_delta, fraction = found.get("n_delta"), found.pop(FRACTION, None)
    if fraction is not None:
        found["n_top"] = max(round(fraction * n_delta), 1)
    elif n_delta is not None and "n_top" in found:
        found["n_top"] = min(found["n_top"], n_delta)
    if str(found.get("variant")).endswith("-t") and "n_top" in found and n_delta is not None:
        found["n_top"] = min(found["n_top"], max(n_delta - 1, 1))  # the variant uses fewer than all directions
    of_policy = {**(found.pop("policy_kwargs", None) or {}), **{name: found.pop(name) for name in OF_POLICY if name in found}}
    if "net_arch" in params:
        of_policy["net_arch"] = [int(units) for units in params["net_arch"].split()]
    if found.get("policy") == "LinearPolicy":  # it has no hidden layers, which other trials may have
        of_policy = {name: value for name, value in of_policy.items() if name in ("with_bias", "squash_output")}
    return {**found, "policy_kwargs": of_policy} if of_policy else found


def plain_axes(axes: Iterable[Axis]) -> list[dict[str, Any]]:
    """Return axes as JSON has them."""
    return [{**asdict(axis), "choices": list(axis.choices)} for axis in axes]
