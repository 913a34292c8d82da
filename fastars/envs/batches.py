"""Batches of environments for `vector`: in SIMD lanes, each in a simulator of its own, or over the lanes of a physics."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from time import perf_counter
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from fastars._compiled.jit import compiles, entry
from fastars._compiled.structs import SeedArray, Simulation, SimulationLanes
from fastars._runtime.signals import HeldSignals
from fastars._runtime.threads import for_blocks
from fastars.envs.compiled import CompiledEnv
from fastars.envs.errors import SimulationError
from fastars.envs.vector_arguments import BoolArray
from fastars.kernels.vector import Steps, observe_envs, reset_envs, seed_envs, step_envs
from fastars.kernels.vector import new_batch as new_lane_batch

_CALL_ENVS = 128  # simulations stepped by one kernel call, which Ctrl-C waits for: 40 ms of Humanoids
_CALL_CHUNKS = 128  # of as many environments as there are lanes, stepped by one kernel call
# Least work for a thread, which must be woken and waited for, and least work between two looks at the counter.
_THREAD_SECONDS = 1.5e-4
_BLOCK_SECONDS = 1e-4


class KernelBatch(ABC):
    """Environments whose state is in arrays that kernels read and write: `_batch`."""

    _batch: Any

    @property
    def generators(self) -> npt.NDArray[np.uint64]:
        """Each environment's generator, (n, 4)."""
        return self._batch.generators

    def seed(self, seeds: SeedArray, mask: BoolArray) -> None:
        """Seed the generators of the environments in `mask`."""
        seed_envs(self._batch.generators, seeds, mask)

    @abstractmethod
    def reset(self, mask: BoolArray, observations: npt.NDArray[Any]) -> None:
        """Begin an episode in the environments in `mask`, and write the observations of all environments."""

    def reset_ended(self, mask: BoolArray, observations: npt.NDArray[Any]) -> None:
        """Begin an episode in the environments in `mask`; the observations of the others are already written."""
        self.reset(mask, observations)

    @abstractmethod
    def step(self, max_steps: int, actions: npt.NDArray[Any], out: Steps) -> None:
        """Step every environment; those whose episode has ended begin a new one."""

    def ended(self) -> BoolArray:
        """Return a mask of the environments whose last step ended an episode."""
        return self._batch.ended.copy()


class LaneBatch(KernelBatch):
    """Environments in SIMD lanes."""

    def __init__(self, compiled: CompiledEnv, n: int, n_threads: int) -> None:
        self._env, self._n, self._n_obs, self._n_tasks = compiled.constants, n, compiled.n_obs, compiled.n_tasks
        self._like = 0 if hasattr(compiled.action_space, "n") else (np.float32(0.0),) * compiled.n_act
        with HeldSignals():
            self._batch = new_lane_batch(self._env, n)
        self._blocks = _Blocks(len(self._batch.states), _CALL_CHUNKS, n_threads if compiles() else 1)
        self._prepare()

    def _prepare(self) -> None:
        """Compile the kernels of `step`: later calls run no Python code in which the exception of a signal could get lost."""
        actions = np.zeros(0, np.int64 if self._like == 0 else np.float32)
        flags, rewards = np.zeros(1, np.bool_), np.zeros((1, self._n_tasks) if self._n_tasks else 1)
        out = Steps(np.zeros((1, self._n_obs), np.float32), rewards, flags, flags)
        with HeldSignals():
            self._step_envs = entry(step_envs, self._env, self._batch, 1, actions, self._like, out, 0, 0)
            self._reset_envs = entry(reset_envs, self._env, self._batch, np.zeros(0, np.bool_), out.observations)

    def reset(self, mask: BoolArray, observations: npt.NDArray[Any]) -> None:
        """Begin an episode in the environments in `mask`, and write the observations of all environments."""
        with HeldSignals():
            observe_envs(self._env, self._batch, observations)
            reset_envs(self._env, self._batch, mask, observations)

    def reset_ended(self, mask: BoolArray, observations: npt.NDArray[Any]) -> None:
        """Begin an episode in the environments in `mask`; the observations of the others are already written."""
        self._reset_envs(self._env, self._batch, mask, observations)

    def step(self, max_steps: int, actions: npt.NDArray[Any], out: Steps) -> None:
        """Step every environment; those whose episode has ended begin a new one."""
        flat = actions.reshape(-1)

        def run(first: int, end: int) -> None:
            self._step_envs(self._env, self._batch, max_steps, flat, self._like, out, first, end)

        self._blocks.run(run)

    def ended(self) -> BoolArray:
        """Return a mask of the environments whose last step ended an episode."""
        return self._batch.lengths.ravel()[: self._n] < 0

    def __getstate__(self) -> dict[str, Any]:
        """Return the state without the compiled kernels: a copy takes its own."""
        return {name: value for name, value in vars(self).items() if name not in ("_step_envs", "_reset_envs")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._prepare()


class SimulatedBatch(KernelBatch):
    """Environments with a simulation each. They can't be copied or pickled: MuJoCo holds their memory."""

    def __init__(self, compiled: CompiledEnv, n: int, n_threads: int) -> None:
        from fastars.envs.mujoco.capi import new_simulation
        from fastars.kernels import vector_simulated

        self._compiled, self._blocks = compiled, _Blocks(n, _CALL_ENVS, n_threads)
        self._simulations = [new_simulation(compiled.model) for _ in range(n)]  # kept alive: the batch holds their addresses
        addresses = np.array([_addresses(sim) for sim in self._simulations], np.int64)
        generators, lengths, ended = np.zeros((n, 4), np.uint64), np.zeros(n, np.int64), np.zeros(n, np.bool_)
        self._batch = vector_simulated.SimulatedBatch(generators, addresses, self._simulations[0], lengths, ended)

    def reset(self, mask: BoolArray, observations: npt.NDArray[Any]) -> None:
        """Begin an episode in the environments in `mask`, and write the observations of all environments."""
        from fastars.kernels.vector_simulated import reset_simulated

        self._run(reset_simulated, mask, observations)

    def step(self, max_steps: int, actions: npt.NDArray[Any], out: Steps) -> None:
        """Step every environment; those whose episode has ended begin a new one.

        Raises
        ------
        SimulationError
            If MuJoCo failed in one of them.
        """
        from fastars.kernels.vector_simulated import step_simulated

        self._run(step_simulated, max_steps, actions, out)

    def _run(self, kernel: Any, *arguments: Any) -> None:
        from fastars.envs.mujoco.clock import clock

        failed: list[int] = []

        def run(first: int, end: int) -> None:
            if (i := kernel(self._compiled.constants, self._batch, *arguments, first, end)) >= 0:
                failed.append(i)

        with clock.stopped(), HeldSignals():
            self._blocks.run(run)
            if failed:
                self._replace(sorted(failed))

    def _replace(self, failed: list[int]) -> NoReturn:
        """Put new simulations in the places of those in which MuJoCo failed, and raise the error of the first."""
        from fastars.envs.mujoco.capi import failure, new_simulation

        text = failure(self._simulations[failed[0]])
        for i in failed:
            self._simulations[i] = new_simulation(self._compiled.model)
            self._batch.addresses[i] = _addresses(self._simulations[i])
        raise SimulationError(f"MuJoCo failed in {self._compiled.id}, in environment {failed[0]}: {text}")

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise TypeError(f"{self._compiled.id} can't be copied or pickled: MuJoCo holds its state")


class PhysicsBatch(KernelBatch):
    """Environments whose simulations run over SIMD lanes (`fastars.physics`)."""

    def __init__(self, compiled: CompiledEnv, n: int, n_threads: int) -> None:
        from fastars.envs.mujoco.lanes import lanes_for

        self._env = compiled.constants
        self._lane_model = lanes_for(compiled)
        lanes = self._new_lanes()
        n_chunks = -(-n // len(lanes.is_bad))
        self._blocks = _Blocks(n_chunks, _CALL_CHUNKS, n_threads)
        self._batch = _new_physics_batch(lanes, n, n_chunks, compiled.n_obs)
        self._workspaces = self._new_workspaces()

    def _new_lanes(self) -> SimulationLanes:
        from fastars._compiled.simulated import reads_outputs
        from fastars.physics import new_lanes

        return new_lanes(self._lane_model, reads_outputs(self._env))

    def _new_workspaces(self) -> list[tuple[SimulationLanes, Any]]:
        """Return lanes for each thread, with the batch and a mask of its own in it."""
        all_lanes = [self._new_lanes() for _ in range(self._blocks.most_threads)]
        return [(lanes, self._batch._replace(due=np.zeros(len(lanes.is_bad), np.int64))) for lanes in all_lanes]

    def reset(self, mask: BoolArray, observations: npt.NDArray[Any]) -> None:
        """Begin an episode in the environments in `mask`, and write the observations of all environments."""
        from fastars.kernels.vector_physics import reset_in_physics

        self._run(reset_in_physics, mask, observations)

    def step(self, max_steps: int, actions: npt.NDArray[Any], out: Steps) -> None:
        """Step every environment; those whose episode has ended begin a new one."""
        from fastars.kernels.vector_physics import step_in_physics

        self._run(step_in_physics, max_steps, actions, out)

    def _run(self, kernel: Any, *arguments: Any) -> None:
        free = self._workspaces.copy()

        def run(first: int, end: int) -> None:
            lanes, batch = workspace = free.pop()  # there is one for each thread
            kernel(self._env, lanes, batch, *arguments, first, end)
            free.append(workspace)

        with HeldSignals():
            self._blocks.run(run)

    def __getstate__(self) -> dict[str, Any]:
        """Return the state without the lanes, which are addresses: a copy makes its own."""
        return {name: value for name, value in vars(self).items() if name != "_workspaces"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._workspaces = self._new_workspaces()


def _new_physics_batch(lanes: SimulationLanes, n: int, n_chunks: int, n_obs: int) -> Any:
    """Return the state of `n` environments in `n_chunks` chunks of lanes."""
    from fastars.kernels import vector_physics

    return vector_physics.PhysicsBatch(
        generators=np.zeros((n, 4), np.uint64),
        qpos=np.zeros((n_chunks, *lanes.qpos.shape)),
        qvel=np.zeros((n_chunks, *lanes.qvel.shape)),
        qacc_warmstart=np.zeros((n_chunks, *lanes.qvel.shape)),
        before=np.zeros((n, len(lanes.qpos))),
        observations=np.zeros((n, n_obs)),
        lengths=np.zeros(n, np.int64),
        ended=np.zeros(n, np.bool_),
        due=np.zeros(len(lanes.is_bad), np.int64),
    )


class _Blocks:
    """Threads that share the `n` parts of a batch, in blocks of up to `most` for one kernel call."""

    def __init__(self, n: int, most: int, n_threads: int) -> None:
        self._n, self._most, self.most_threads = n, most, min(n_threads, n)
        self._part_seconds = 0.0  # of the last call: the first one has one thread

    def run(self, run: Callable[[int, int], None]) -> None:
        """Call `run(first, end)` for each block."""
        n_threads = max(min(self.most_threads, int(self._n * self._part_seconds / _THREAD_SECONDS)), 1)
        size = self._size(n_threads)
        start = perf_counter()
        if size >= self._n:
            run(0, self._n)
        else:
            for_blocks(lambda block: run(block * size, min((block + 1) * size, self._n)), -(-self._n // size), n_threads)
        self._part_seconds = (perf_counter() - start) * n_threads / self._n

    def _size(self, n_threads: int) -> int:
        if n_threads == 1:
            return self._most
        worth = math.ceil(_BLOCK_SECONDS / self._part_seconds)
        return min(max(self._n // (4 * n_threads), worth), -(-self._n // n_threads), self._most)


def new_batch(compiled: CompiledEnv, n: int, n_threads: int) -> KernelBatch:
    """Return the batch of `n` environments for what steps them, on up to `n_threads` threads."""
    if compiled.model is None:
        return LaneBatch(compiled, n, n_threads)
    return (PhysicsBatch if compiled.physics == "lanes" else SimulatedBatch)(compiled, n, n_threads)


def _addresses(sim: Simulation) -> list[int]:
    """Return the addresses of the fields of a Simulation."""
    return [value if isinstance(value, int) else value.ctypes.data for value in sim]
