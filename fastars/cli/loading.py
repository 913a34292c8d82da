"""A trained policy and its environment in Gymnasium, of a run folder or of the file of a model."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import tyro

from fastars.cli import WrongUseError
from fastars.cli.environment import described, environment, parse_kwargs
from fastars.cli.report import print_evaluation
from fastars.cli.run_folder import model_file
from fastars.cli.settings import option

if TYPE_CHECKING:
    import gymnasium

    from fastars.ars import ARS


class Trained(NamedTuple):
    """A policy, ready to be watched."""

    model: ARS
    env: gymnasium.Env
    path: Path  # of the model
    reward_weights: Any  # of several rewards; None where there is one


@dataclass(frozen=True, kw_only=True)
class Trainee:
    """Which policy, in which environment, in which episodes."""

    run_path: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """A run folder, or the file of a model."""
    n_eval_episodes: int = 1
    """Episodes."""
    seed: int = 0
    """Episode i starts from env.reset(seed=seed + i). By default the same episodes as those of the final evaluation in training."""
    env: Annotated[str | None, option("ENV", "the one of RUN")] = None
    """Id of the environment, for one that is registered only by MODULE:ID."""
    env_kwargs: Annotated[tuple[tuple[str, ...], ...], tyro.conf.UseAppendAction, option("KEY=VALUE [KEY=VALUE ...]", "none")] = ()
    """Its arguments, with --env: those of a RUN in an environment that is not compiled have to be repeated."""
    last: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """The last policy of the run, not the best one."""

    def loaded(self, render_mode: str | None = None) -> Trained:
        """The policy and a new environment; WrongUseError for options that contradict each other."""
        if self.n_eval_episodes < 1:
            raise WrongUseError(f"n_eval_episodes must be an integer of at least 1, got {self.n_eval_episodes}")
        if not 0 <= self.seed < 2**63:
            raise WrongUseError(f"seed must be an integer from 0 to 2**63 - 1, got {self.seed}")
        if self.env_kwargs and self.env is None:
            raise WrongUseError("--env-kwargs needs --env")
        return loaded(self.run_path, self.last, self.env, (item for items in self.env_kwargs for item in items), render_mode)


def loaded(run: Path, last: bool, env_id: str | None, env_kwargs: Iterable[str], render_mode: str | None) -> Trained:
    """The model of a run, and its environment made anew, with the terms of its reward apart where the run had them so."""
    path, kwargs = model_file(run, last), parse_kwargs(env_kwargs)
    from fastars.ars import ARS
    from fastars.envs import make
    from fastars.envs.terms import RewardTerms

    model = ARS.load(path, env=None if env_id is None else environment(env_id, kwargs))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # said on loading
        env = make(env_id or model.env_id, **model.env_kwargs, **({} if render_mode is None else {"render_mode": render_mode}))
    weights = None if model.objectives is None else model.objectives.utility
    if weights is not None and not hasattr(env.unwrapped, "reward_space"):
        env = RewardTerms(env)
    return Trained(model, env, path, weights)


def replay(trained: Trained, n_episodes: int, seed: int, how: str) -> None:
    """Run the episodes, print their returns, and close the environment."""
    from fastars.evaluation import evaluate_policy

    model, env, path, weights = trained
    try:
        returns, lengths = evaluate_policy(model, env, n_episodes, return_episode_rewards=True, seed=seed, reward_weights=weights)
    finally:
        env.close()
    print_evaluation(described(model.env_id, model.env_kwargs), seed, returns, lengths, f"{path}, {how}")
