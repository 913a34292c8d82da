"""Load a trained policy from a run folder or a model file, together with its environment in Gymnasium."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import tyro

from fastars.cli.drawing import make_drawn
from fastars.cli.environment import describe_env, environment, kwargs_text, parse_kwargs
from fastars.cli.errors import WrongUseError, wrong_use
from fastars.cli.report import print_evaluation
from fastars.cli.run_folder import model_file
from fastars.cli.settings import option

if TYPE_CHECKING:
    import gymnasium

    from fastars.ars import ARS


class Trained(NamedTuple):
    """A trained policy, and the environment to replay it in."""

    model: ARS
    env: gymnasium.Env
    path: Path  # the model file
    reward_weights: Any  # weights of the tasks of a vector reward; None if the reward is a number


@dataclass(frozen=True, kw_only=True)
class ReplayOptions:
    """Options that choose a policy, its environment and the episodes to replay."""

    run_path: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """A run folder, or a model file."""
    n_eval_episodes: int = 1
    """Number of episodes."""
    seed: Annotated[int, tyro.conf.arg(aliases=("-s",))] = 0
    """Episode i starts from env.reset(seed=seed + i). By default the episodes of training's final evaluation."""
    env: Annotated[str | None, option("ENV", "the one of RUN")] = None
    """Id of the environment, if it is registered only by MODULE:ID."""
    env_kwargs: Annotated[tuple[tuple[str, ...], ...], tyro.conf.UseAppendAction, option("KEY=VALUE [KEY=VALUE ...]", "none")] = ()
    """Arguments of gymnasium.make, together with --env. Repeat them if the environment of RUN is not compiled."""
    last: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Take the last policy of the run, not the best one."""

    def load(self, render_mode: str | None = None) -> Trained:
        """Load the policy and make its environment; WrongUseError if the options are wrong or contradict each other."""
        from fastars._validate import integer, positive_int  # it imports NumPy, and `--help` imports this module

        with wrong_use():
            positive_int("n_eval_episodes", self.n_eval_episodes)
            integer("seed", self.seed, 0, 2**63 - 1)
        if self.env_kwargs and self.env is None:
            raise WrongUseError("--env-kwargs needs --env")
        kwargs = (item for items in self.env_kwargs for item in items)
        return load_trained(self.run_path, self.last, self.env, kwargs, render_mode)


def load_trained(run: Path, last: bool, env_id: str | None, env_kwargs: Iterable[str], render_mode: str | None) -> Trained:
    """Load the model of a run and make its environment anew, with a vector of reward terms if the run was trained on one."""
    path, kwargs = model_file(run, last), parse_kwargs(env_kwargs)
    from fastars.ars import ARS
    from fastars.envs import make
    from fastars.envs.terms import RewardTerms

    model = ARS.load(path, env=None if env_id is None else environment(env_id, kwargs), verbose=0)
    refuse_absent_env(model)
    model.run.refuse_excess(training=False)
    if env_id is not None and not kwargs:
        _warn_of_other_arguments(path, model)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the loading of the model has given the same warnings
        made = env_id or model.env_id
        env = make(made, **model.env_kwargs) if render_mode is None else make_drawn(made, model.env_kwargs, render_mode)
    weights = None if model.objectives is None else model.objectives.utility
    if weights is not None and not hasattr(env.unwrapped, "reward_space"):
        env = RewardTerms(env)
    return Trained(model, env, path, weights)


def _warn_of_other_arguments(path: Path, model: ARS) -> None:
    """Warn if the environment of a model, found by its id alone, has other arguments than the environment in the file."""
    from fastars import exchange
    from fastars.files import checkpoint
    from fastars.training.stored_env import env_kwargs, plain

    if exchange.is_foreign(path):  # such a file names no environment
        return
    manifest, _ = checkpoint.load(path)
    here = plain(env_kwargs(model.run.env))
    changed = {name: value for name, value in manifest["env_kwargs"].items() if name not in here or here[name] != value}
    if manifest["env"] == model.env_id and changed:
        there = checkpoint.brief(kwargs_text(changed))
        warnings.warn(f"{path} is of {model.env_id} with {there}, and --env alone is without: add --env-kwargs", stacklevel=2)


def replay(trained: Trained, n_episodes: int, seed: int, how: str) -> None:
    """Run the episodes, print their returns, and close the environment."""
    from fastars.evaluation import evaluate_policy

    model, env, path, weights = trained
    try:
        returns, lengths = evaluate_policy(model, env, n_episodes, return_episode_rewards=True, seed=seed, reward_weights=weights)
    finally:
        env.close()
    print_evaluation(describe_env(model.env_id, model.env_kwargs), seed, returns, lengths, f"{path}, {how}")


def refuse_absent_env(model: ARS) -> None:
    """Raise a CheckpointError with what the command can do about it, if the environment of a model can't be made here."""
    from fastars.envs.absent import AbsentEnv
    from fastars.files.errors import CheckpointError

    env = model.run.env
    if isinstance(env, AbsentEnv):
        raise CheckpointError(env.reason)  # whose advice `main` puts into words of the command
