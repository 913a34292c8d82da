"""The Ray actor: it runs episodes of an environment for the process that trains."""

from __future__ import annotations

import functools
import pickle
import platform
import time
import traceback
from typing import Any, NamedTuple

import numpy as np

from fastars import kernels
from fastars._compiled.structs import Filter, FloatArray, IntArray, NoiseArray, Rollouts, SeedArray
from fastars._imports import version_of
from fastars.envs.physics_choice import refuse_disagreement
from fastars.samplers import make_sampler
from fastars.samplers.failure import Failure

_PACKAGES = "fastars", "numpy", "numba", "gymnasium", "mujoco"  # their versions decide the bits of an episode


class Common(NamedTuple):
    """Data that all tasks of an evaluation share; it is put into Ray's object store once."""

    weights: FloatArray  # (n, n_weights), the candidates; or theta, (1, n_weights), from which the tasks make them
    sigma: float
    filter: Filter
    track: bool
    reward_weights: Any


class Part(NamedTuple):
    """Episodes of an evaluation: all of some candidates, or some of a single candidate."""

    rows: slice  # of the candidates, or of the candidates that the directions make
    seeds: SeedArray  # (m,)
    indices: IntArray | None  # where each direction starts in the noise table


class Result(NamedTuple):
    """Results of a part."""

    rollouts: Rollouts
    seconds: float
    failures: list[Failure]  # `episode` counts from the first episode of the part


class Here(NamedTuple):
    """The greeting of an actor: its node, its versions, and an error if it has one."""

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
        self._broken = ""
        try:
            arguments = pickle.loads(order)  # from the process that started this one
            refuse_disagreement(arguments["env"])
            self._sampler = make_sampler(**arguments)
        except Exception:
            self._broken = traceback.format_exc()

    def here(self) -> Here:
        """Return the node and the versions of this actor."""
        import ray

        return Here(ray.get_runtime_context().get_node_id(), versions(), self._broken)

    def run(self, common: Common, part: Part, table: NoiseArray | None) -> Result:
        """Run the episodes of a part. The results depend on the arguments alone."""
        start = time.perf_counter()
        failures: list[Failure] = []
        weights = common.weights
        if part.indices is not None:
            weights = kernels.perturb(weights[0], common.sigma, table, part.indices)
        rows = np.ascontiguousarray(weights[part.rows])
        shared = common.filter, part.seeds, common.track, common.reward_weights
        rollouts = self._sampler.evaluate(rows, *shared, on_failure=failures.append)
        return Result(rollouts, time.perf_counter() - start, failures)

    def noise_table(self, seed: int, size: int) -> NoiseArray:
        """Make the noise table of a run. Ray keeps it in memory that all actors of this node read."""
        table = np.empty(size, np.float32)
        kernels.fill_noise(np.uint64(seed), 0, table)
        return table


@functools.cache  # 20 ms
def versions() -> dict[str, str]:
    """Return the versions of the packages that decide the bits of an episode, by name."""
    return {"Python": platform.python_version(), **{package: version_of(package) or "missing" for package in _PACKAGES}}
