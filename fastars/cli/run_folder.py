"""The folder of a run: `config.toml`, `progress.csv`, `model.zip`, `best_model.zip`, `evaluations.npz`."""

from __future__ import annotations

import copy
import io
import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastars.cli import WrongUseError

if TYPE_CHECKING:
    from fastars._structs import Rollouts
    from fastars.ars import ARS

MODEL, BEST_MODEL = "model.zip", "best_model.zip"
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def refuse_used_folder(path: Path) -> None:
    """Raise if `path` can't become the folder of a new run. Nothing in it is touched."""
    if path.is_dir() and any(path.iterdir()):
        raise WrongUseError(f"run folder {path} exists and is not empty: choose another one, or leave --run-folder out")
    if path.exists() and not path.is_dir():
        raise WrongUseError(f"run folder {path} is a file")


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
    """The file of the model that `run`, a run folder or a file, stands for: the best one, or the last one."""
    if not run.exists():
        raise WrongUseError(f"there is no run folder or model file {run}")
    if not run.is_dir():
        return run
    for name in (MODEL,) if last else (BEST_MODEL, MODEL):
        if (run / name).is_file():
            return run / name
    raise WrongUseError(f"{run} is no run folder: it has no {MODEL}")


class Record:
    """The policy evaluated from time to time during a run, the best one kept, and both in the run folder.

    ARS steps don't shrink near an optimum, so a policy once found is lost again; hence the best one is kept.
    """

    def __init__(self, folder: Path, n_episodes: int) -> None:
        self.folder = folder
        self.best: ARS | None = None
        self.best_return = -math.inf
        self._n_episodes = n_episodes
        self._timesteps: list[int] = []
        self._rollouts: list[Rollouts] = []

    def evaluate(self, model: ARS) -> None:
        """Evaluate the policy on the same episodes every time. Of equals the later one is best: it had the more steps to settle."""
        rollouts = model.evaluate(self._n_episodes)
        mean = float(finished(rollouts).returns.mean())
        self._timesteps.append(model.num_timesteps)
        self._rollouts.append(rollouts)
        if mean >= self.best_return:
            self.best, self.best_return = snapshot(model), mean
        model.logger.record("eval/mean_reward", mean)
        model.logger.record("eval/mean_ep_length", float(rollouts.lengths.mean()))
        model.logger.record("time/total_timesteps", model.num_timesteps)
        model.logger.dump(model.num_timesteps)

    @property
    def evaluated_at(self) -> int:
        """Steps of training at the last evaluation; -1 before the first."""
        return self._timesteps[-1] if self._timesteps else -1

    def save(self, model: ARS) -> None:
        """Write all that is known of the run so far. Each file is replaced as a whole."""
        import numpy as np

        from fastars._atomic import write_atomically

        model.save(self.folder / MODEL)
        if self.best is None:
            return
        self.best.save(self.folder / BEST_MODEL)
        content = io.BytesIO()
        np.savez(
            content,
            timesteps=np.array(self._timesteps),
            results=np.array([rollouts.returns for rollouts in self._rollouts]),
            ep_lengths=np.array([rollouts.lengths for rollouts in self._rollouts]),
        )
        write_atomically(self.folder / "evaluations.npz", [content.getvalue()])


def finished(rollouts: Rollouts) -> Rollouts:
    """The rollouts without episodes in which an environment in Python failed, unless all did. A NaN of the policy's own stays."""
    from fastars._structs import FAILED

    kept = rollouts.status != FAILED
    if not kept.any():
        return rollouts
    return rollouts._replace(returns=rollouts.returns[kept], lengths=rollouts.lengths[kept], status=rollouts.status[kept])


def snapshot(model: ARS) -> ARS:
    """The model as it is now. An iteration replaces its arrays and never writes into them, so they need no copy."""
    taken = copy.copy(model)
    taken.policy = copy.copy(model.policy)
    taken.objectives = copy.deepcopy(model.objectives)
    return taken


def toml(document: Mapping[str, Any]) -> str:
    """A TOML document: str, bool, int, float, lists of these, and mappings as tables. None is left out."""
    return "\n".join(_toml_lines(document, ())) + "\n"


def _toml_lines(table: Mapping[str, Any], path: tuple[str, ...]) -> list[str]:
    values = {key: value for key, value in table.items() if value is not None and not isinstance(value, Mapping)}
    lines = [f"{_toml_key(key)} = {_toml_value(value)}" for key, value in values.items()]
    for key, value in table.items():
        if isinstance(value, Mapping):
            name = ".".join(map(_toml_key, (*path, key)))
            lines += ["", f"[{name}]", *_toml_lines(value, (*path, key))]
    return lines


def _toml_key(key: str) -> str:
    return key if _BARE_KEY.fullmatch(key) else _toml_value(key)


def _toml_value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, float):
        return repr(float(value))  # inf and nan are spelled the same in TOML
    if isinstance(value, str):
        # JSON's escapes are TOML's, but for DEL, and for characters beyond U+FFFF, which JSON would write as two surrogates.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_toml_value, value))}]"
    raise TypeError(f"TOML has no {type(value).__name__}: {value!r}")
