"""`fastars verify`: replay episodes of a run in plain Gymnasium and compare the results with the records in the run folder.

Episodes of training over lanes are replayed over lanes, for they have the same bits there alone; `lane_episodes` compares them with
Gymnasium.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import tyro

from fastars.cli.errors import WrongUseError, wrong_use
from fastars.cli.plan import read_config
from fastars.cli.run_folder import MODEL
from fastars.cli.settings import option
from fastars.cli.table import empty_table
from fastars.cli.terminal import console, print_sentence
from fastars.files.opening import is_there

if TYPE_CHECKING:
    from fastars.cli.recorded_episodes import Episode, RecordedEpisodes

_N_SHOWN = 10  # episodes that differ
_CHAOTIC = {"Acrobot-v1": 0.02}  # share of episodes that may differ: 4 of 1,000 do, because one ulp can grow to a swing


class Check(NamedTuple):
    """An episode that was replayed: number i of its recorded episodes."""

    recorded: RecordedEpisodes
    i: int
    replayed: Episode

    @property
    def is_equal(self) -> bool:
        """True if the replay gave the recorded result."""
        return self.recorded.agree(self.i, self.replayed)


@dataclass(frozen=True, kw_only=True)
class Verify:
    """Replay a sample of a run's episodes in plain Gymnasium, from their seeds, and compare. Exit code 1 if one differs.

    Training episodes over lanes (--physics lanes) are replayed over lanes. Their first steps and their mean return are compared
    with Gymnasium.
    """

    run_folder: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """The folder of the run. Episodes can be replayed if their policy is in the folder: its evaluations and, if the run was trained
    with --monitor, the episodes of the first iteration and of the iteration after each checkpoint."""
    episodes: int = 20
    """Number of episodes, spread evenly over all policies; fewer if the folder has fewer."""
    seed: Annotated[int | None, option("INT", "drawn, and reported", "-s")] = None
    """Seed of the choice of episodes."""
    env: Annotated[str | None, option("ENV", "the one of RUN")] = None
    """Id of the environment, if it is registered only by MODULE:ID."""
    env_kwargs: Annotated[tuple[tuple[str, ...], ...], tyro.conf.UseAppendAction, option("KEY=VALUE [KEY=VALUE ...]", "none")] = ()
    """Arguments of gymnasium.make, together with --env. Repeat them if the environment of RUN is not compiled."""

    def run(self) -> int:
        """Replay the episodes, print the comparison, and return the exit code."""
        import numpy as np

        from fastars._validate import integer, positive_int

        with wrong_use():
            positive_int("episodes", self.episodes)
            seed = None if self.seed is None else integer("seed", self.seed, 0, 2**63 - 1)
        if self.env_kwargs and self.env is None:
            raise WrongUseError("--env-kwargs needs --env")
        config = read_config(self.run_folder)
        if not is_there(self.run_folder / MODEL):
            raise WrongUseError(f"{self.run_folder} is no run folder: it has no {MODEL}")
        if seed is None:
            seed = int(np.random.SeedSequence().generate_state(1)[0])
        from fastars.cli.recorded_episodes import recorded_episodes

        kwargs = [item for items in self.env_kwargs for item in items]
        with recorded_episodes(self.run_folder, self.env, kwargs) as (recorded, n_rows):
            drawn = sample(recorded, self.episodes, np.random.default_rng(seed))
            checks = [Check(episodes, i, episodes.replay(i)) for episodes, i in drawn]
            if not checks:
                raise ValueError(f"{self.run_folder} has no episode that can be replayed: no evaluation of a policy in it, no rows")
            problems = _contradictions(config, recorded, n_rows, self.run_folder / MODEL)
            facts, disagreements = _facts(recorded, n_rows, seed), list[str]()
            if of_lanes := [(episodes, i) for episodes, i in drawn if episodes.physics == "lanes"]:
                from fastars.cli.lane_episodes import compared_with_gymnasium

                comparison = compared_with_gymnasium(of_lanes)
                facts, disagreements = [*facts, *comparison.facts], comparison.problems
            elif n_rows and config["settings"].get("physics") == "lanes":
                facts.append("training over lanes was not replayed: no policy is there that it began with, or no lanes are here")
            return _report(recorded, checks, {"the folder contradicts itself": problems, "lanes disagree": disagreements}, facts)


def sample(recorded: Sequence[RecordedEpisodes], n: int, rng: Any) -> list[tuple[RecordedEpisodes, int]]:
    """Draw up to n episodes, in turns from all policies, and return them in the order of the policies.

    An episode whose recorded return is not finite is never drawn: its environment failed, which a replay can't repeat.
    """
    orders = [rng.permutation(_finite(episodes)) for episodes in recorded]
    turns = sorted((turn, k) for k, order in enumerate(orders) for turn in range(min(len(order), n)))[:n]
    return [(recorded[k], int(orders[k][turn])) for k, turn in sorted((k, turn) for turn, k in turns)]


def _finite(episodes: RecordedEpisodes) -> Any:
    """Return the indices of the episodes with a finite return, int64."""
    import numpy as np

    n = len(episodes.results)
    return np.flatnonzero(np.fromiter((math.isfinite(result.total) for result in episodes.results), bool, n))


def _contradictions(config: dict[str, Any], recorded: Sequence[RecordedEpisodes], n_rows: int, last: Path) -> list[str]:
    """Return a sentence for each pair of files in the folder that can't come from one run."""
    problems = []
    for name, model in {episodes.policy: episodes.trained.model for episodes in recorded}.items():
        seed, env_id = config["run"].get("seed"), config["env"].get("id")
        if (seed, env_id) != (model.seed, model.env_id):
            problems.append(f"{name} is of seed {model.seed} in {model.env_id}, config.toml of seed {seed} in {env_id}")
    if config["run"].get("monitor"):
        from fastars.files import checkpoint

        n_episodes = checkpoint.load(last)[0]["counters"]["num_episodes"]
        if n_rows < n_episodes:
            problems.append(f"0.monitor.csv has {n_rows:,} rows, after {n_episodes:,} episodes")
    return problems


def _report(
    recorded: Sequence[RecordedEpisodes], checks: Sequence[Check], problems: Mapping[str, Sequence[str]], facts: Sequence[str]
) -> int:
    """Print the comparison and return the exit code. `problems` has sentences, by the words that sum them up."""
    out, differing = console(), [check for check in checks if not check.is_equal]
    table = empty_table("policy", "episodes of", "recorded>", "replayed>", "equal>")
    for episodes in recorded:
        own = [check for check in checks if check.recorded is episodes]
        n_equal = sum(check.is_equal for check in own)
        table.add_row(episodes.policy, episodes.kind, f"{len(episodes.results):,}", str(len(own)), str(n_equal))
    out.print(table)
    for line in (*map(_difference, differing[:_N_SHOWN]), *(text for texts in problems.values() for text in texts)):
        print_sentence(out, line)
    for fact in facts:
        print_sentence(out, fact, "dim")
    n_allowed = math.ceil(_CHAOTIC.get(recorded[0].trained.model.env_id, 0.0) * len(checks))
    chaotic = f"; {n_allowed} may, as its pendulum is chaotic" if differing and n_allowed else ""
    n_lanes = sum(check.recorded.physics == "lanes" for check in checks)
    equal = f"All {len(checks)} are what Gymnasium gives"
    if n_lanes:
        equal = f"All {len(checks)} are as recorded, {len(checks) - n_lanes} in Gymnasium and {n_lanes} over lanes"
    verdict = f"{len(differing)} of {len(checks)} differ{chaotic}" if differing else equal
    found = [words for words, texts in problems.items() if texts]
    print_sentence(out, "; ".join([verdict, *found]), "bold")
    return 1 if found or len(differing) > n_allowed else 0


def _difference(check: Check) -> str:
    result, replayed, seed = check.recorded.results[check.i], check.replayed, int(check.recorded.seeds[check.i])
    again = f"replayed {replayed.total!r} in {replayed.length} (reset seed {seed})"
    return f"{check.recorded.locations[check.i]}: return {result.total!r} in {result.length} steps; {again}"


def _facts(recorded: Sequence[RecordedEpisodes], n_rows: int, seed: int) -> list[str]:
    """Return sentences on the meaning of "equal", the seed of the sample, and the rows that can't be replayed."""
    import gymnasium

    from fastars.cli.recorded_episodes import tolerance

    slack = tolerance(recorded[0].trained.model.env_id)
    equal = f"within {slack:g} of Gymnasium's" if slack else "the same bits"
    facts = [f"Gymnasium {gymnasium.__version__}; equal returns are {equal}", f"a sample of seed {seed}"]
    if n_rows:
        n = sum(len(episodes.results) for episodes in recorded if episodes.kind != "evaluation")
        facts.append(f"{n:,} of {n_rows:,} rows of 0.monitor.csv can be replayed; other policies are not kept")
    return facts
