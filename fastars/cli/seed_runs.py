"""The runs of several seeds, one after the other: a seed that fails does not end the others. At the end, a table and a picture."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastars._progress import count, duration
from fastars.cli.interrupts import Interrupted, Interrupts
from fastars.cli.run_folder import in_use
from fastars.cli.seed_report import SeedResult, print_seeds, resume_command
from fastars.cli.seeds import read_seeds, run_folders, seed_folder, write_seeds
from fastars.cli.terminal import complain

if TYPE_CHECKING:
    from fastars.cli.training import TrainingRun


def begin_seeds(parent: Path, seeds: Sequence[int], new_run: Callable[[int, Path], TrainingRun], of_run: Mapping[str, Any]) -> None:
    """Make the run folder of each seed, with the state before its first iteration: all that `run_seeds` goes on from.

    If that fails, as on a full disk, nothing of it stays.
    """
    try:
        for seed in seeds:
            folder = seed_folder(parent, seed)
            folder.mkdir()
            run = new_run(seed, folder)
            run.begin(of_run)
            run.model.close()
        write_seeds(parent, seeds)
    except BaseException:
        for seed in seeds:
            shutil.rmtree(seed_folder(parent, seed), ignore_errors=True)
        raise


def run_seeds(parent: Path, reopen: Callable[[Path, str], TrainingRun], is_shown: bool) -> int:
    """Train the seeds of a folder that are not done, and print the results of all.

    Parameters
    ----------
    parent : Path
        The folder of several seeds.
    reopen : callable
        Returns the run in a folder, as it was at its last state; the second argument is the label of its progress.
    is_shown : bool
        True to show progress.

    Returns
    -------
    int
        The exit code: 1 if a seed failed.

    Raises
    ------
    Interrupted
        If a signal stops a run. Seeds that are done stay.
    """
    seeds, results, faults = read_seeds(parent), list[SeedResult](), dict[int, str]()
    run: TrainingRun | None = None
    for number, (seed, folder) in enumerate(zip(seeds, run_folders(parent), strict=True), start=1):
        label = f"seed {seed} ({number} of {len(seeds)})"
        try:
            with Interrupts(), in_use(folder):
                run = reopen(folder, label)
                results.append(_run_one(run, label, is_shown))
        except KeyboardInterrupt as interrupt:
            code = interrupt.exit_code if isinstance(interrupt, Interrupted) else 130
            text = f"interrupted at {label}; all seeds keep what they have. To go on: {resume_command(parent, run)}"
            raise Interrupted(text, code) from None
        except BrokenPipeError:
            raise
        except Exception as error:  # of anything: the other seeds go on
            faults[seed] = " ".join(f"{type(error).__name__}: {error}".split())
            complain(f"fastars: {label} failed, and the others go on: {faults[seed]}")
    print_seeds(parent, results, faults, run)
    return 1 if faults else 0


def _run_one(run: TrainingRun, label: str, is_shown: bool) -> SeedResult:
    """Train a seed to its end, if it is not done, and evaluate its policies."""
    start = time.perf_counter()
    try:
        was_finished = run.is_finished
        if not was_finished:
            run.train()
        evaluated = run.final_evaluation()
    finally:
        run.model.close()
    result = SeedResult(run.model.seed, run.model.num_timesteps, evaluated.returns(), evaluated.n_failed)
    if is_shown:
        how = "was done before" if was_finished else f"done in {duration(time.perf_counter() - start)}"
        complain(f"{label}: {how}, {count(result.steps)} steps, best return {result.returns['best']:.1f}")
    return result
