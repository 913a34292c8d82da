"""The folder of a run: its lock, `model.zip`, `best_model.zip`, `evaluations.npz` and checkpoints."""

from __future__ import annotations

import contextlib
import copy
import math
import os
import re
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastars.cli.errors import WrongUseError
from fastars.cli.near_paths import near_path
from fastars.cli.seeds import refuse_several
from fastars.files.checkpoint_names import BEST_MODEL, MODEL, checkpoints, keep_newest
from fastars.files.opening import file_in, is_there, refuse_link

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastars._compiled.structs import Rollouts
    from fastars.ars import ARS

EVALUATIONS = "evaluations.npz"
FIRST_MODEL = "first_model.zip"  # of a run that started from a policy (`--init`)
# The files that a run writes.
_OURS = re.compile(
    r"config\.toml|(best_|first_)?model\.zip|model_\d+_steps\.zip|evaluations\.npz|progress\.csv|0\.monitor\.csv"
    r"|params\.json|log\.txt|lin_policy_plus\.npz"
)


def refuse_links(folder: Path) -> None:
    """Raise if a name of ours in a run folder is a symbolic link, or another kind of file: a folder may come from anybody.

    Raises
    ------
    DamagedFileError
        Naming the first such file. Nothing in the folder has changed.
    """
    for name in sorted(os.listdir(folder)):
        if _OURS.fullmatch(name):
            refuse_link(folder / name)


def refuse_used_folder(path: Path) -> None:
    """Raise if `path` can't become the folder of a new run. Nothing in it is touched."""
    if path.is_dir() and any(path.iterdir()):
        raise WrongUseError(f"run folder {path} exists and is not empty: choose another one, or leave --run-folder out")
    if path.exists() and not path.is_dir():
        raise WrongUseError(f"run folder {path} is a file")


def refuse_existing(path: Path, overwrite: bool) -> None:
    """Raise if a file would be written over another one, or over a link, which may lead to a file that is not there yet."""
    if os.path.lexists(path) and not overwrite:
        raise WrongUseError(f"{path} exists: --overwrite replaces it, another --out keeps it")


def refuse_other(path: Path, overwrite: bool, mark: str, kind: str) -> None:
    """Raise if a picture or a page would be written over anything but an earlier one of the same runs, which has the same mark."""
    from fastars.plot.files import has_mark  # it imports NumPy, and `--help` imports this module

    if os.path.lexists(path) and not overwrite and not (path.is_file() and has_mark(path, mark)):
        raise WrongUseError(f"{path} is not {kind}: --overwrite replaces it, another --out keeps it")


@contextlib.contextmanager
def in_use(folder: Path) -> Iterator[None]:
    """Context that locks a run folder. The lock ends with the process at the latest.

    Raises
    ------
    WrongUseError
        If another process holds the lock: both would write into the same files.
    """
    if sys.platform == "win32":
        yield
        return
    import fcntl

    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise WrongUseError(f"run folder {folder} is in use by another process") from error
        except OSError:  # a file system without locks
            pass
        yield
    finally:
        os.close(descriptor)


def next_run_folder(log_dir: Path, env_id: str) -> Path:
    """Make the folder `<log_dir>/<env_id>_<number>`, numbered one higher than the highest there is."""
    log_dir.mkdir(parents=True, exist_ok=True)
    pattern = re.compile(re.escape(env_id) + r"_(\d+)")
    numbers = [int(match[1]) for entry in log_dir.iterdir() if (match := pattern.fullmatch(entry.name))]
    number = max(numbers, default=0)
    while True:
        number += 1
        folder = log_dir / f"{env_id}_{number}"
        try:
            folder.mkdir()
        except FileExistsError:  # another process took the number
            continue
        return folder


def model_file(run: Path, last: bool) -> Path:
    """Return the model file of a run folder, the best or the last one; a file stands for itself."""
    if not run.exists():
        raise WrongUseError(f"there is no run folder or model file {run}{near_path(run)}")
    if not run.is_dir():
        return run
    refuse_several(run)
    for name in (MODEL,) if last else (BEST_MODEL, MODEL):
        if is_there(run / name):
            return run / name
    raise WrongUseError(f"{run} is no run folder: it has no {MODEL}")


class Record:
    """Evaluations of a run, and the best policy that they found; writes them and the model into the run folder.

    The steps of ARS don't shrink near an optimum, so the run loses good policies again; hence the best one is kept.
    """

    def __init__(self, folder: Path, n_episodes: int) -> None:
        self.folder = folder
        self.best: ARS | None = None
        self.best_return = -math.inf
        self._n_episodes = n_episodes
        self._evaluations: list[tuple[int, NDArray[Any], NDArray[Any]]] = []  # steps of training, returns, lengths

    def evaluate(self, model: ARS) -> float:
        """Evaluate the policy, always on the same episodes, and return the mean return.

        Of equals, the later policy is best: it had more steps to settle.
        """
        rollouts = model.evaluate(self._n_episodes)
        mean = float(finished(rollouts).returns.mean())
        self._evaluations.append((model.num_timesteps, rollouts.returns, rollouts.lengths))
        if mean >= self.best_return:
            self.best, self.best_return = copy.copy(model), mean
        model.logger.record("eval/mean_reward", mean)
        model.logger.record("eval/mean_ep_length", float(rollouts.lengths.mean()))
        model.logger.record("time/total_timesteps", model.num_timesteps)
        model.logger.dump(model.num_timesteps)
        return mean

    @property
    def evaluated_at(self) -> int:
        """Steps of training at the last evaluation; -1 before the first."""
        return self._evaluations[-1][0] if self._evaluations else -1

    def save(self, model: ARS) -> None:
        """Write the best policy, the evaluations and the model. Each file is replaced as a whole.

        The model comes last: if the process is killed in between, the evaluations are ahead of the model, never behind it.
        """
        if self.best is not None:
            self.best.save(self.folder / BEST_MODEL)
        if self._evaluations:
            from fastars.files.atomic import save_arrays  # it imports NumPy, and `--help` imports this module

            timesteps, results, ep_lengths = zip(*self._evaluations, strict=True)
            save_arrays(self.folder / EVALUATIONS, timesteps=timesteps, results=results, ep_lengths=ep_lengths)
        model.save(self.folder / MODEL)

    def restore(self, model: ARS, best: ARS | None) -> None:
        """Restore the evaluations of an earlier part of the run, up to the steps of `model`, and the best policy."""
        from fastars.files.tables import read_arrays

        path = self.folder / EVALUATIONS
        try:
            arrays = read_arrays(file_in(path))
            columns = arrays["timesteps"], arrays["results"], arrays["ep_lengths"]
            self._evaluations = [
                (int(steps), returns, lengths)
                for steps, returns, lengths in zip(*columns, strict=True)
                if steps <= model.num_timesteps and returns.shape == lengths.shape == (self._n_episodes,)
            ]
        except FileNotFoundError:  # the run was stopped before the first evaluation
            pass
        except (OSError, ValueError, KeyError, TypeError) as error:
            warnings.warn(f"{path} is damaged, the evaluations in it are lost: {error}", RuntimeWarning, stacklevel=2)
        if best is not None:  # it may be ahead of the evaluations, if the process was killed while saving: evaluate it again
            self.best, self.best_return = best, float(finished(best.evaluate(self._n_episodes)).returns.mean())


class Checkpoints:
    """Copies of the model every `save_freq` steps, `model_<steps>_steps.zip`. The newest `n_kept` stay."""

    def __init__(self, folder: Path, save_freq: int | None, n_kept: int) -> None:
        self.folder, self.n_kept = folder, n_kept
        self._save_freq = math.inf if save_freq is None else save_freq
        self._next: float = self._save_freq

    def restore(self, steps: int) -> None:
        """Plan the next checkpoint of a resumed run after the newest one up to `steps`. It may be due at once."""
        self._pass_over(max((at for at, _ in checkpoints(self.folder, "model") if at <= steps), default=0))

    def _pass_over(self, steps: int) -> None:
        self._next = math.inf if self._save_freq == math.inf else (steps // self._save_freq + 1) * self._save_freq

    def is_due(self, steps: int) -> bool:
        """Return True if a checkpoint is due after so many steps."""
        return steps >= self._next

    def save(self, model: ARS) -> None:
        """Write a checkpoint, then remove the ones that are too old."""
        model.save(self.folder / f"model_{model.num_timesteps}_steps.zip")
        self._pass_over(model.num_timesteps)
        keep_newest(self.folder, self.n_kept, "model")


def finished(rollouts: Rollouts) -> Rollouts:
    """Return the rollouts without episodes in which an environment in Python failed; all if all failed.

    A NaN return that comes from the policy stays.
    """
    from fastars._compiled.structs import FAILED

    kept = rollouts.status != FAILED
    if not kept.any():
        return rollouts
    return rollouts._replace(returns=rollouts.returns[kept], lengths=rollouts.lengths[kept], status=rollouts.status[kept])
