"""Command line and files of the original ARS (modestyachts/ARS), for `fastars train --preset modestyachts`."""

from __future__ import annotations

import itertools
import json
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastars.cli.errors import WrongUseError
from fastars.files.opening import is_there, open_regular, without_link

if TYPE_CHECKING:
    from fastars.ars import ARS
    from fastars.cli.plan import Plan

PRESET = "modestyachts"
_COLUMNS = ("Time", "Iteration", "AverageReward", "StdRewards", "MaxRewardRollout", "MinRewardRollout", "timesteps")
_INTERVAL, _N_EPISODES = 10, 100  # iterations between rows of log.txt, and episodes of a row
_SHORT = {
    "-n": "--n_iter",
    "-nd": "--n_directions",
    "-du": "--deltas_used",
    "-s": "--step_size",
    "-std": "--delta_std",
    "-e": "--n_workers",
    "-r": "--rollout_length",
}
_DELTAS_USED = 8  # the original's default
_NUMBER = re.compile(r"[0-9]{1,19}")


def translate(arguments: Sequence[str]) -> list[str]:
    """Translate the original's flags (`--n_directions`, `-nd`) among the arguments of `fastars train` into options of fastars.

    Raises
    ------
    WrongUseError
        If a flag has no value, or a value that fastars does not support.
    """
    if not _is_original(arguments):
        return list(arguments)
    flags, rest = _flags(arguments)
    if "--n_directions" in flags and "--deltas_used" not in flags:
        flags["--deltas_used"] = str(min(_DELTAS_USED, int(flags["--n_directions"]))) if flags["--n_directions"].isdigit() else "1"
    env = [flags.pop("--env_name")] if "--env_name" in flags else []
    ours = [option for name, value in flags.items() for option in _TRANSLATIONS[name](value)]
    return [rest[0], *env, *rest[1:], *ours]


def _is_original(arguments: Sequence[str]) -> bool:
    pairs = itertools.pairwise(arguments)
    named = ("--preset", PRESET) in pairs or f"--preset={PRESET}" in arguments
    return bool(arguments) and arguments[0] == "train" and named


def _flags(arguments: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Return the original's flags by their long names, and the other arguments."""
    flags: dict[str, str] = {}
    rest: list[str] = []
    remaining = iter(arguments)
    for argument in remaining:
        name, equals, value = argument.partition("=")
        name = _SHORT.get(name, name)
        if name not in _TRANSLATIONS and name != "--env_name":
            rest.append(argument)
            continue
        found = value if equals else next(remaining, None)
        if found is None:
            raise WrongUseError(f"{argument} needs a value")
        flags[name] = found
    return flags, rest


def _as(option: str) -> Callable[[str], list[str]]:
    return lambda value: [f"{option}={value}"]


def _policy_type(value: str) -> list[str]:
    if value != "linear":
        raise WrongUseError(f"--policy_type must be linear, got {value!r}")
    return ["--policy=LinearPolicy"]


def _filter(value: str) -> list[str]:
    if value not in ("MeanStdFilter", "NoFilter"):
        raise WrongUseError(f"--filter must be MeanStdFilter or NoFilter, got {value!r}")
    return [f"--normalize-observations={value == 'MeanStdFilter'}"]


def _shift(value: str) -> list[str]:
    try:
        return [f"--alive-bonus-offset={0.0 - float(value)}"]
    except ValueError as error:
        raise WrongUseError(f"--shift must be a number, got {value!r}") from error


_TRANSLATIONS: dict[str, Callable[[str], list[str]]] = {
    "--n_iter": _as("--iterations"),
    "--n_directions": _as("--n-delta"),
    "--deltas_used": _as("--n-top"),
    "--step_size": _as("--learning-rate"),
    "--delta_std": _as("--delta-std"),
    "--n_workers": lambda value: [f"--n-threads={value}", f"--n-workers={value}"],
    "--rollout_length": _as("--max-episode-steps"),
    "--shift": _shift,
    "--policy_type": _policy_type,
    "--dir_path": _as("--run-folder"),
    "--filter": _filter,
}


class OriginalFiles:
    """The files `params.json`, `log.txt` and `lin_policy_plus.npz` of a run, in the formats of the original.

    Parameters
    ----------
    folder : Path
    model : ARS
    plan : Plan
    goes_on : bool
        True to keep the rows of an earlier part of the run, up to the iteration of the model; later rows come again.
    seconds : float
        Time that earlier parts of the run took.
    """

    def __init__(self, folder: Path, model: ARS, plan: Plan, goes_on: bool, seconds: float) -> None:
        self._log, self._policy = folder / "log.txt", folder / "lin_policy_plus.npz"
        from fastars.files.lines import LineWriter  # it imports NumPy, and `--help` imports this module

        self._start = time.perf_counter() - seconds
        rows = self._rows(model.iteration) if goes_on else []
        self._logged = max((int(row.split("\t")[1]) for row in rows), default=0)
        self._write(folder / "params.json", json.dumps(params(model, plan, folder), indent=1, sort_keys=True) + "\n")
        self._write(self._log, "".join(f"{row}\n" for row in ("\t".join(_COLUMNS), *rows)))
        self._lines = LineWriter(self._log, append=True)

    def after_iteration(self, model: ARS) -> None:
        """Every tenth iteration, evaluate the unperturbed policy, write a row of the log, and save the policy."""
        if model.iteration % _INTERVAL or model.iteration <= self._logged:
            return
        returns = model.evaluate(_N_EPISODES).returns
        figures = returns.mean(), returns.std(), returns.max(), returns.min()
        row = time.perf_counter() - self._start, model.iteration, *map(float, figures), model.num_timesteps
        self._lines.write("\t".join(map(str, row)) + "\n")
        self._logged = model.iteration
        self.save(model)

    def save(self, model: ARS) -> None:
        """Write the policy, unless the original does not know its kind."""
        if model.config.policy != "LinearPolicy" or model.config.with_bias or model.config.squash_output:
            return
        from fastars.exchange.original import write

        write(model, without_link(self._policy))

    def _rows(self, iteration: int) -> list[str]:
        """Return the complete rows of the log up to an iteration."""
        if not is_there(self._log):
            return []
        with open_regular(self._log, "r", encoding="utf-8", errors="replace") as file:
            lines = file.read().split("\n")[1:-1]
        split = [line.split("\t") for line in lines]
        return [
            "\t".join(row) for row in split if len(row) == len(_COLUMNS) and _NUMBER.fullmatch(row[1]) and int(row[1]) <= iteration
        ]

    @staticmethod
    def _write(path: Path, text: str) -> None:
        from fastars.files.atomic import write_atomically

        write_atomically(path, [text.encode()], follow=False)


def params(model: ARS, plan: Plan, folder: Path) -> dict[str, Any]:
    """Return the settings of a run under the original's names."""
    config = model.config
    return {
        "env_name": model.env_id,
        "n_iter": plan.iterations,
        "n_directions": config.n_delta,
        "deltas_used": config.n_top,
        "step_size": config.learning_rate,
        "delta_std": config.delta_std,
        "n_workers": model.n_threads if model.is_compiled else model.n_workers,
        "rollout_length": model.run.env.max_steps,
        "shift": 0.0 - config.alive_bonus_offset,
        "seed": model.seed,
        "policy_type": "linear" if config.policy == "LinearPolicy" else config.policy,
        "dir_path": str(folder),
        "filter": "MeanStdFilter" if config.normalize_observations else "NoFilter",
    }
