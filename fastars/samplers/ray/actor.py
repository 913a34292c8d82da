"""What a Ray actor runs: episodes of an environment, by order of the process that trains."""

from __future__ import annotations

import functools
import pickle
import platform
import time
import traceback
from importlib.metadata import PackageNotFoundError, version
from typing import Any, NamedTuple

import numpy as np

from fastars import kernels
from fastars._compiled.structs import Filter, FloatArray, IntArray, NoiseArray, Rollouts, SeedArray
from fastars.samplers import make_sampler
from fastars.samplers.gym import Failure

_PACKAGES = "fastars", "numpy", "numba", "gymnasium", "mujoco"  # whose versions decide the bits of an episode


class Common(NamedTuple):
    """What all tasks of an evaluation share; it is put into Ray's object store once."""

    weights: FloatArray  # (n, n_weights), the candidates; or theta, (1, n_weights), of which the tasks make them
    sigma: float
    filter: Filter
    track: bool
    reward_weights: Any


class Part(NamedTuple):
    """Episodes of an evaluation: all of some candidates, or some of a single one."""

    rows: slice  # of the candidates, or of those that the directions make
    seeds: SeedArray  # (m,)
    indices: IntArray | None  # where the directions stand in the noise table


class Result(NamedTuple):
    """What became of a part."""

    rollouts: Rollouts
    seconds: float
    failures: list[Failure]  # `episode` counts from the first of the part
    n_restarts: int  # of processes that step an environment in Python


class Here(NamedTuple):
    """Where an actor is, and what it runs with."""

    node: str
    versions: dict[str, str]
    broken: str  # the traceback, if it could not make its sampler


class Actor:
    """Holds a sampler.

    Parameters
    ----------
    order : bytes
        The arguments of `make_sampler`, pickled by the process that trains.
    """

    def __init__(self, order: bytes) -> None:
        self._failures: list[Failure] = []
        self._broken = ""
        try:
            self._sampler = make_sampler(**pickle.loads(order))  # from the process that started this one
            if hasattr(self._sampler, "on_failure"):
                self._sampler.on_failure = self._failures.append
        except Exception:
            self._broken = traceback.format_exc()

    def here(self) -> Here:
        """Where this is."""
        import ray

        return Here(ray.get_runtime_context().get_node_id(), versions(), self._broken)

    def run(self, common: Common, part: Part, table: NoiseArray | None) -> Result:
        """Run the episodes of a part: a function of the arguments, wherever it runs."""
        start, n_before = time.perf_counter(), getattr(self._sampler, "n_restarts", 0)
        self._failures.clear()
        weights = common.weights
        if part.indices is not None:
            weights = kernels.perturb(weights[0], common.sigma, table, part.indices)
        rollouts = self._sampler.evaluate(
            np.ascontiguousarray(weights[part.rows]), common.filter, part.seeds, common.track, common.reward_weights
        )
        n_restarts = getattr(self._sampler, "n_restarts", 0) - n_before
        return Result(rollouts, time.perf_counter() - start, list(self._failures), n_restarts)

    def noise_table(self, seed: int, size: int) -> NoiseArray:
        """The noise table of a run. Ray keeps it in memory that all actors of this node read."""
        table = np.empty(size, np.float32)
        kernels.fill_noise(np.uint64(seed), 0, table)
        return table


@functools.cache  # 20 ms
def versions() -> dict[str, str]:
    """Versions of what decides the bits of an episode, by package."""
    found = {"Python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "missing"
    return found
