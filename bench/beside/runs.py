"""The curve of a run: against environment steps on one thread, or against wall time on two CPUs with nothing else on them.

The clock runs while a package trains: not while it is imported, compiles kernels, starts workers, or is evaluated. With steps it
counts the CPU time of the process, which also means something if the run shares its CPU, or is stopped for a while.
"""

import contextlib
import math
import os
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from bench.beside.episodes import N_EPISODES, N_FINAL_EPISODES, Evaluator
from bench.beside.rows import AloneRow, Row
from bench.beside.sides import Trainer, make_trainer


def run_steps(row: Row, seed: int) -> dict[str, Any]:
    """Return the result of a seed: steps, CPU seconds of training, and mean returns at the marks of the row.

    `others` are the CPUs that other processes kept busy during training, `deviation` is over the episodes of the last evaluation.
    """
    warnings.simplefilter("ignore", DeprecationWarning)  # -v4 is not the newest
    trainer, evaluator, points = make_trainer(row, seed), Evaluator(row.env_id), []
    others, seconds = Others(), 0.0
    for number, mark in enumerate(row.marks):
        if trainer.n_steps < mark:
            with others:
                start = time.process_time()
                trainer.train(mark - trainer.n_steps)
                seconds += time.process_time() - start
        n_episodes = N_EPISODES if mark < row.marks[-1] else N_FINAL_EPISODES
        returns = evaluator.returns(trainer.act, number, n_episodes)
        points.append(_point(trainer, seconds, returns))
    trainer.close()
    return {"seed": seed, "others": others.cpus(), **_columns(points), "deviation": _rounded(returns.std())}


def run_alone(row: AloneRow, seed: int, seconds: float) -> dict[str, Any]:
    """Return the result of a seed that trains so many seconds of wall time."""
    warnings.simplefilter("ignore", DeprecationWarning)
    trainer, evaluator, points = make_trainer(row, seed), Evaluator(row.env_id), []
    others, clock = Others(), 0.0
    for number, mark in enumerate(time_marks(seconds)):
        if clock >= mark:
            continue  # its last iteration took longer than the time to this mark
        with others:
            start = time.perf_counter()
            while clock + time.perf_counter() - start < mark:
                trainer.train(1)
            clock += time.perf_counter() - start
        points.append(_point(trainer, clock, evaluator.returns(trainer.act, number, N_EPISODES)))
    trainer.close()
    return {"seed": seed, "seconds": seconds, "others": others.cpus(), **_columns(points)}


def time_marks(seconds: float) -> list[float]:
    """Return the seconds of training after which a run is evaluated: doubled from 0.25 on, with one between, and the last."""
    marks = [base * 2**k for k in range(30) for base in (0.25, 0.375)]
    return [mark for mark in marks if mark < 0.9 * seconds] + [seconds]


def _point(trainer: Trainer, seconds: float, returns: np.ndarray) -> tuple[int, float, float | None]:
    return trainer.n_steps, round(seconds, 3), _rounded(returns.mean())


def _columns(points: list[tuple[int, float, float | None]]) -> dict[str, Any]:
    steps, seconds, means = zip(*points, strict=True)
    return {"steps": steps, "train_s": seconds, "means": means}


def _rounded(value: float) -> float | None:
    """Return a number for the file. None: it is not finite."""
    return round(float(value), 2) if math.isfinite(value) else None


class Others:
    """CPU time of other processes while a block runs, again and again."""

    def __init__(self) -> None:
        self._wall_s = self._cpu_s = 0.0

    def __enter__(self) -> None:
        self._wall_s -= time.perf_counter()
        self._cpu_s -= _busy_outside()

    def __exit__(self, *_: object) -> None:
        self._wall_s += time.perf_counter()
        self._cpu_s += _busy_outside()

    def cpus(self) -> float:
        """Return the number of CPUs that other processes kept busy, on average."""
        return round(max(self._cpu_s / self._wall_s, 0.0), 2)


def _busy_outside() -> float:
    """Return the CPU seconds of all processes of the machine, without those of this session that are running."""
    with open("/proc/stat", encoding="ascii") as file:
        user, nice, system, _, _, *interrupts = map(int, file.readline().split()[1:9])
    ticks, session = user + nice + system + sum(interrupts), os.getsid(0)
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has ended
            fields = path.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
            if int(fields[3]) == session:
                ticks -= int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")
