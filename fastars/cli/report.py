"""Tables and texts that the command prints on stdout."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastars._progress import count, duration
from fastars.cli.environment import describe_env
from fastars.cli.table import empty_table
from fastars.cli.terminal import console, print_command, print_fact, print_sentence
from fastars.training import presets

if TYPE_CHECKING:
    from fastars._compiled.structs import Rollouts
    from fastars.ars import ARS


def print_training(
    model: ARS,
    policies: Mapping[str, tuple[ARS, Rollouts]],
    threshold: float | None,
    time_spent: tuple[int, float],
    episodes: str,
    folder: Path,
    env_options: Sequence[str],
) -> None:
    """Print the result of a run: a row per policy, facts about the training, and the command that replays the best policy.

    Parameters
    ----------
    model : ARS
        The model after training.
    policies : mapping of str to (ARS, Rollouts)
        Each policy by its name, with the rollouts of its evaluation.
    threshold : float or None
        Return from which the environment counts as solved.
    time_spent : (int, float)
        Steps of the earlier parts of the run, and seconds of this part.
    episodes : str
        The episodes of the evaluation, in words.
    folder : Path
        The run folder.
    env_options : sequence of str
        Arguments that `fastars eval` needs to find the environment.
    """
    out = console()
    table = empty_table("policy", "after steps>", "return>", "std>", "min>", "max>", "episode length>")
    for name, (policy, rollouts) in policies.items():
        table.add_row(name, f"{policy.num_timesteps:,}", *_summary(rollouts))
    iterations = _counted(model.iteration, "iteration")
    before, seconds = time_spent
    new = model.num_timesteps - before
    resumed = f", of them {new:,}" if before and new else ""
    speed = f"{duration(seconds)} ({count(new / seconds)} steps/s)" if new else "an earlier part of the run"
    best_return = max(float(rollouts.returns.mean()) for _, rollouts in policies.values())
    facts = {
        **run_facts(model, best_return, threshold, f"seed {model.seed}"),
        "rollouts": model.sampler.description,
        "training": f"{model.num_timesteps:,} steps{resumed} in {speed}, {iterations}",
        "evaluation": episodes,
        **_tasks(model, policies),
        "run folder": str(folder),
    }
    out.print(table)
    for name, fact in facts.items():
        print_fact(out, f" {name:<11}  ", fact)
    out.print("")
    print_command(out, shlex.join(["fastars", "eval", str(folder), *env_options]), "Replay it in plain Gymnasium:")


def run_facts(model: ARS, best_return: float, threshold: float | None, seeds: str) -> dict[str, str]:
    """Describe what a run was: its environment, solved by its best return or not, and its algorithm."""
    config = model.config
    top = f"the top {config.n_top} of " if config.n_top != config.n_delta else ""
    return {
        "environment": describe_env(model.env_id, model.env_kwargs) + _verdict(best_return, threshold),
        "algorithm": f"ARS {config.variant} with {top}{_counted(config.n_delta, 'direction')}, {seeds}",
    }


def _counted(n: int, what: str) -> str:
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def _tasks(model: ARS, policies: Mapping[str, tuple[ARS, Rollouts]]) -> dict[str, str]:
    """Describe the tasks of a vector reward: mean returns, and the last weights."""
    if model.objectives is None:
        return {}
    names, weights = model.objectives.names, model.objectives.weights
    facts = {
        f"tasks, {policy}": ", ".join(
            f"{name} {mean:.2f}" for name, mean in zip(names, rollouts.task_returns.mean(axis=0), strict=True)
        )
        for policy, (_, rollouts) in policies.items()
    }
    masked = model.objectives.masked
    weighted = ", ".join(
        f"{name} {weight:.3g}{', left out' if is_masked else ''}"
        for name, weight, is_masked in zip(names, weights, masked, strict=True)
    )
    return {**facts, "weights": f"{weighted} ({model.config.weighting})"}


def print_evaluation(env: str, seed: int, returns: Sequence[float], lengths: Sequence[int], source: str) -> None:
    """Print a row for each of the first ten episodes, and mean and standard deviation of all."""
    out, n = console(), len(returns)
    table = empty_table("reset seed>", "return>", "episode length>")
    for i in range(min(n, 10)):
        table.add_row(str(seed + i), f"{returns[i]:.2f}", str(lengths[i]))
    if n > 10:
        table.add_row("...", "...", "...")
    mean = math.fsum(returns) / n
    std = math.sqrt(math.fsum((value - mean) ** 2 for value in returns) / n)
    out.print(table)
    print_sentence(out, f"{env}: return {mean:.2f}, std {std:.2f}, over {n} episode{'' if n == 1 else 's'}", "bold")
    print_sentence(out, source, "dim")


def print_environments(specs: Mapping[str, tuple[Any, Any, Any]], missing: str | None) -> None:
    """Print a row per environment: (spec, observation space, action space). If spaces are None, `missing` says what to install."""
    out, table = console(), empty_table("environment", "observation", "action", "steps>", "solved at>")
    for env_id, (spec, observation_space, action_space) in specs.items():
        threshold = "-" if spec.reward_threshold is None else f"{spec.reward_threshold:g}"
        table.add_row(env_id, _space(observation_space), _space(action_space), str(spec.max_episode_steps), threshold)
    out.print(table)
    if missing is not None:
        print_sentence(out, missing)
    print_sentence(out, "`fastars envs --presets` lists suitable settings and their measured returns.")


def print_presets() -> None:
    """Print a row per environment: the settings of the preset "tuned", and the measured return if there is one."""
    from fastars.training.config import Config  # it imports NumPy, and `--help` imports this module

    out, table = console(), empty_table("environment", "steps>", "best return>", "ARS", "top>", "step>", "noise>")
    by_task = {presets.task_name(env_id): found for env_id, found in presets.results().items()}
    for name, suited in presets.environments("tuned").items():
        (row,) = suited.get("rows", [{}])
        config, found = Config(**row), by_task.get(name)
        reached = "-" if found is None else _plus_minus(found["best_return_mean"], found["best_return_std"])
        top = f"{config.n_top}/" if config.n_top != config.n_delta else ""
        numbers = f"{config.learning_rate:g}", f"{config.delta_std:g}"
        table.add_row(name, count(suited["total_timesteps"]), reached, config.variant, f"{top}{config.n_delta}", *numbers)
    out.print(table)
    print_sentence(out, "best return: of the best policy in 100 fresh episodes, over 5 seeds")
    print_sentence(out, "top: directions used for the step, of those tried")


def _plus_minus(mean: float, std: float) -> str:
    """Write a mean and its standard deviation, without powers of ten."""
    return f"{mean:.4g} +- {std:.3g}" if max(abs(mean), std) < 1000.0 else f"{mean:.0f} +- {std:.0f}"


def _verdict(best_return: float, threshold: float | None) -> str:
    if threshold is None:
        return ""
    if best_return >= threshold:
        return f", solved: a return of {threshold:g} or more"
    return f", not solved yet: that takes a return of {threshold:g}"


def _summary(rollouts: Rollouts) -> list[str]:
    returns = rollouts.returns
    return [f"{x:.1f}" for x in (returns.mean(), returns.std(), returns.min(), returns.max(), rollouts.lengths.mean())]


def _space(space: Any) -> str:
    """Describe a Gymnasium space in words."""
    from gymnasium.spaces import Discrete

    if space is None:
        return "-"
    if isinstance(space, Discrete):
        return f"one of {space.n}"
    n, low, high = math.prod(space.shape), float(space.low.min()), float(space.high.max())
    if n > 1:
        return f"{n} numbers"
    return f"one in [{low:g}, {high:g}]" if math.isfinite(high - low) else "one number"
