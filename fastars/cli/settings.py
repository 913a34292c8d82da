"""Options of the command that are settings of `ARS`."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from fastars.cli.original import PRESET

if TYPE_CHECKING:
    from fastars.ars import ARS

OF_POLICY = ("net_arch", "activation_fn", "with_bias", "squash_output")  # among the settings; `ARS` takes them in `policy_kwargs`


def option(metavar: str, default: str, *short: str) -> Any:
    """Return an option whose help describes its default in words, with short names such as -n."""
    return tyro.conf.arg(metavar=metavar, help_behavior_hint=f"(default: {default})", aliases=short or None)


def option_name(name: str) -> str:
    """Return the name of the option for a field: --n-delta for n_delta."""
    return f"--{name.replace('_', '-')}"


BOOL = "[True|False]"  # the option alone means True
Preset = Literal["fastars", "tuned", "paper", "modestyachts", "rllib", "sb3"]
PRESETS = "{fastars,tuned,paper,modestyachts,rllib,sb3}"
Variant = Literal["V1", "V1-t", "V2", "V2-t"]
Shaping = Literal["none", "centered_ranks", "sign"]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings that are not given come from the preset, or else are the defaults shown."""

    n_delta: Annotated[int | None, option("INT", "8")] = None
    """Directions per iteration; each is tried with both signs."""
    n_top: Annotated[int | None, option("INT", "n_delta")] = None
    """Directions used for the step."""
    learning_rate: Annotated[float | None, option("FLOAT", "0.02")] = None
    """Step size."""
    delta_std: Annotated[float | None, option("FLOAT", "0.05")] = None
    """Exploration noise: standard deviation of the directions."""
    n_eval_episodes: Annotated[int | None, option("INT", "1")] = None
    """Episodes per candidate."""
    preset: Annotated[Preset | None, option(PRESETS, "tuned; with --variant, fastars")] = None
    """A set of defaults. tuned and paper know hyperparameters of many ENVs; modestyachts takes the original's flags."""
    variant: Annotated[Variant | None, option("{V1,V1-t,V2,V2-t}", "V1")] = None
    """Variant by the paper's names: V2 normalises observations, -t uses only the top directions."""
    normalize_observations: Annotated[bool | None, option(BOOL, "False")] = None
    """Normalise by the mean and the standard deviation of all observations seen."""
    policy: Annotated[Literal["LinearPolicy", "MlpPolicy"] | None, option("{LinearPolicy,MlpPolicy}", "LinearPolicy")] = None
    """Linear policy, or a network with hidden layers."""
    net_arch: Annotated[tuple[int, ...] | None, option("INT [INT ...]", "64 64")] = None
    """Units of the hidden layers of an MlpPolicy."""
    activation_fn: Annotated[Literal["relu", "tanh", "swish", "linear"] | None, option("{relu,tanh,swish,linear}", "relu")] = None
    """Activation function of the hidden layers."""
    with_bias: Annotated[bool | None, option(BOOL, "False; of an MlpPolicy, True")] = None
    """Give the layers of the policy a bias."""
    squash_output: Annotated[bool | None, option(BOOL, "False; of an MlpPolicy, True")] = None
    """Map actions into their bounds by a tanh."""
    zero_policy: Annotated[bool | None, option(BOOL, "True")] = None
    """Start from zero weights."""
    alive_bonus_offset: Annotated[float | None, option("FLOAT", "0")] = None
    """Number added to the training return for every step."""
    physics: Annotated[Literal["mujoco", "lanes"] | None, option("{mujoco,lanes}", "mujoco; preset tuned: lanes if available")] = (
        None
    )
    """Physics of training in MuJoCo's environments: its mj_step, or our own over SIMD lanes. Evaluations are always in MuJoCo."""
    optimizer: Annotated[Literal["sgd", "adam"] | None, option("{sgd,adam}", "sgd")] = None
    """Optimizer that takes the step."""
    momentum: Annotated[float | None, option("FLOAT", "0")] = None
    """Momentum of sgd."""
    weight_decay: Annotated[float | None, option("FLOAT", "0")] = None
    """Pull of the weights towards zero."""
    fitness_shaping: Annotated[Shaping | None, option("{none,centered_ranks,sign}", "none")] = None
    """Use ranks or signs instead of returns."""
    common_random_numbers: Annotated[bool | None, option(BOOL, "False")] = None
    """Let both signs of a direction start from the same states."""
    on_nonfinite: Annotated[Literal["drop", "penalize", "raise"] | None, option("{drop,penalize,raise}", "drop")] = None
    """For a NaN or infinite return: drop its pair, count it as the worst return, or end the run."""
    noise_size: Annotated[int | None, option("INT", "4194304")] = None
    """Entries of the noise table."""
    max_episode_steps: Annotated[int | None, option("INT", "the time limit, or 10000")] = None
    """Largest number of steps in an episode."""
    weighting: Annotated[str | None, option("METHOD", "fixed")] = None
    """Method that weights the tasks of a vector reward: fixed, uniform, std, gradnorm, mgda, nash-mtl, upgrad, ..."""
    preference: Annotated[tuple[float, ...] | None, option("FLOAT [FLOAT ...]", "1 for each")] = None
    """Value of each task to you. With the weighting fixed, these are the weights."""
    utopia: Annotated[tuple[float, ...] | None, option("FLOAT [FLOAT ...]", "estimated")] = None
    """An upper bound of the return of each task."""

    def given(self) -> dict[str, Any]:
        """Return the arguments of `ARS` that were given."""
        given = {name: value for name, value in self._options().items() if value is not None}
        names = [name for name in OF_POLICY if name in given]
        if names:
            given["policy_kwargs"] = {name: given.pop(name) for name in names}
        return given

    def _options(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(Settings)}

    def resolved(self) -> dict[str, Any]:
        """Return the arguments of `ARS`: the settings that were given, and the preset for the rest."""
        given = self.given()
        if "variant" not in given:
            given.setdefault("preset", "tuned")
            if given["preset"] == PRESET:
                given.setdefault("normalize_observations", True)
        if given.get("preset") == PRESET:  # the default of the original's command line
            given.setdefault("delta_std", 0.03)
        return given

    def refuse_excess(self, model: ARS) -> None:
        """Raise for a count that is not the user's, and too large. Options are the user's."""
