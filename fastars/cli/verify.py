"""`fastars verify`: episodes of a run again, in plain Gymnasium, and whether they gave what the run folder says."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import tyro

from fastars.cli import WrongUseError
from fastars.cli.plan import read_config
from fastars.cli.report import console, empty_table
from fastars.cli.run_folder import MODEL
from fastars.cli.settings import option

if TYPE_CHECKING:
    from fastars.cli.recorded_episodes import Episode, RecordedEpisodes

_SHOWN = 10  # of the episodes that differ
_CHAOTIC = {"Acrobot-v1": 0.02}  # of its episodes may differ: 4 of 1,000 do, as one ulp can grow to a swing


class Checked(NamedTuple):
    """An episode that was run again."""

    claims: RecordedEpisodes
    i: int
    replayed: Episode

    @property
    def is_equal(self) -> bool:
        """Whether the run folder told the truth of it."""
        return self.claims.agree(self.i, self.replayed)


@dataclass(frozen=True, kw_only=True)
class Verify:
    """Replay a sample of a run's episodes in plain Gymnasium, from their seeds, and compare. Exit code 1 if one differs."""

    run_folder: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """The folder of the run. Episodes whose policy is in it can be replayed: those of its evaluations, and, with --monitor in
    training, those of the first iteration and of each that a checkpoint began."""
    episodes: int = 20
    """Episodes, alike from all policies; at most those there are."""
    seed: Annotated[int | None, option("INT", "drawn, and reported")] = None
    """Which episodes these are follows from it."""
    env: Annotated[str | None, option("ENV", "the one of RUN")] = None
    """Id of the environment, for one that is registered only by MODULE:ID."""
    env_kwargs: Annotated[tuple[tuple[str, ...], ...], tyro.conf.UseAppendAction, option("KEY=VALUE [KEY=VALUE ...]", "none")] = ()
    """Its arguments, with --env: those of a RUN in an environment that is not compiled have to be repeated."""

    def run(self) -> int:
        """Verify; the exit code."""
        if self.episodes < 1:
            raise WrongUseError(f"episodes must be an integer of at least 1, got {self.episodes}")
        if self.seed is not None and not 0 <= self.seed < 2**63:
            raise WrongUseError(f"seed must be an integer from 0 to 2**63 - 1, got {self.seed}")
        if self.env_kwargs and self.env is None:
            raise WrongUseError("--env-kwargs needs --env")
        config = read_config(self.run_folder)
        if not (self.run_folder / MODEL).is_file():
            raise WrongUseError(f"{self.run_folder} is no run folder: it has no {MODEL}")
        import numpy as np

        from fastars.cli.recorded_episodes import claims

        seed = int(np.random.SeedSequence().generate_state(1)[0]) if self.seed is None else self.seed
        with claims(self.run_folder, self.env, [item for items in self.env_kwargs for item in items]) as (found, n_rows):
            checked = [Checked(each, i, each.replayed(i)) for each, i in sample(found, self.episodes, np.random.default_rng(seed))]
            if not checked:
                raise ValueError(f"{self.run_folder} has no episode that can be replayed: no evaluation of a policy in it, no rows")
            problems = _contradictions(config, found, n_rows, self.run_folder / MODEL)
            return _report(found, checked, problems, n_rows, seed)


def sample(found: Sequence[RecordedEpisodes], n: int, rng: Any) -> list[tuple[RecordedEpisodes, int]]:
    """Up to n episodes, taken in turns from all policies, in their order. NaN is no return that could be found again."""
    orders = [rng.permutation([i for i, told in enumerate(each.told) if math.isfinite(told.total)]) for each in found]
    turns = sorted((turn, k) for k, order in enumerate(orders) for turn in range(len(order)))[:n]
    return [(found[k], int(orders[k][turn])) for k, turn in sorted((k, turn) for turn, k in turns)]


def _contradictions(config: dict[str, Any], found: Sequence[RecordedEpisodes], n_rows: int, last: Path) -> list[str]:
    """What in the folder can't be of one run."""
    problems = []
    for name, model in {each.policy: each.trained.model for each in found}.items():
        told = config["run"].get("seed"), config["env"].get("id")
        if told != (model.seed, model.env_id):
            problems.append(f"{name} is of seed {model.seed} in {model.env_id}, config.toml of seed {told[0]} in {told[1]}")
    if config["run"].get("monitor"):
        from fastars.files import checkpoint

        n_episodes = checkpoint.load(last)[0]["counters"]["num_episodes"]
        if n_rows < n_episodes:
            problems.append(f"0.monitor.csv has {n_rows:,} rows, after {n_episodes:,} episodes")
    return problems


def _report(found: Sequence[RecordedEpisodes], checked: Sequence[Checked], problems: Sequence[str], n_rows: int, seed: int) -> int:
    """Print what was found; the exit code."""
    out, differing = console(), [one for one in checked if not one.is_equal]
    rows = empty_table("policy", "episodes of", "there>", "replayed>", "equal>")
    for each in found:
        of_these = [one for one in checked if one.claims is each]
        n_equal = sum(one.is_equal for one in of_these)
        rows.add_row(each.policy, each.what, f"{len(each.told):,}", str(len(of_these)), str(n_equal))
    out.print(rows)
    for line in (*map(_difference, differing[:_SHOWN]), *problems):
        out.print(f" {line}", soft_wrap=True)
    env_id = found[0].trained.model.env_id
    for fact in _facts(env_id, found, n_rows, seed):
        out.print(f" {fact}", style="dim", soft_wrap=True)
    allowed = math.ceil(_CHAOTIC.get(env_id, 0.0) * len(checked))
    chaotic = f"; {allowed} may, as its pendulum is chaotic" if differing and allowed else ""
    verdict = f"{len(differing)} of {len(checked)} differ{chaotic}" if differing else f"All {len(checked)} are what Gymnasium gives"
    out.print(f" {verdict}{'; the folder contradicts itself' if problems else ''}", style="bold", soft_wrap=True)
    return 1 if problems or len(differing) > allowed else 0


def _difference(one: Checked) -> str:
    told, again, seed = one.claims.told[one.i], one.replayed, int(one.claims.seeds[one.i])
    replayed = f"replayed {again.total!r} in {again.length} (reset seed {seed})"
    return f"{one.claims.places[one.i]}: return {told.total!r} in {told.length} steps; {replayed}"


def _facts(env_id: str, found: Sequence[RecordedEpisodes], n_rows: int, seed: int) -> list[str]:
    """What "equal" means, which sample it was, and what can't be known."""
    import gymnasium

    from fastars.cli.recorded_episodes import tolerance

    slack = f"within {tolerance(env_id):g} of theirs" if tolerance(env_id) else "the same bits"
    facts = [f"Gymnasium {gymnasium.__version__}; equal returns are {slack}", f"a sample of seed {seed}"]
    if n_rows:
        n = sum(len(each.told) for each in found if each.what != "evaluation")
        facts.append(f"{n:,} of {n_rows:,} rows of 0.monitor.csv can be replayed; other policies are not kept")
    return facts
