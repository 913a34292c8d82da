"""Candidates evaluated in MuJoCo, on threads of this process, each with a simulation of its own that a compiled kernel steps."""

import threading
import time
from typing import Any

from fastars._compiled.structs import FAILED, Filter, FloatArray, Rollouts, RolloutSpec, SeedArray, Simulation, empty_rollouts
from fastars._runtime.floats import IeeeFloats
from fastars._runtime.signals import HeldSignals
from fastars._runtime.threads import for_blocks
from fastars.envs import CompiledEnv, SimulationError
from fastars.envs.mujoco.capi import failure, new_simulation
from fastars.envs.mujoco.clock import clock
from fastars.kernels.rollout_single import roll_out_simulated
from fastars.samplers.compiled import PATIENCE, weighted

_CALL_SECONDS = 0.05  # of one kernel call, about: Ctrl-C waits for it. A call costs some 30 us


class SimulatedSampler:
    """Runs the episodes of a task on `n_threads` threads.

    There are never more simulations than threads, whatever the population; they are made when a thread first needs one, and kept.
    """

    def __init__(self, env: CompiledEnv, task: RolloutSpec, n_threads: int) -> None:
        self.task = task
        self.n_threads = n_threads
        self._env_id = env.id
        self._model: Any = env.model  # kept alive: simulations hold its address
        self._idle: list[Simulation] = []
        self._episode_seconds = _CALL_SECONDS

    def __repr__(self) -> str:
        return f"<SimulatedSampler of {self._env_id}: {self.description}>"

    @property
    def description(self) -> str:
        """Where episodes run."""
        return f"in MuJoCo from compiled kernels, on {self.n_threads} thread{'s' if self.n_threads > 1 else ''}"

    def evaluate(self, weights: FloatArray, filter: Filter, seeds: SeedArray, track: bool, reward_weights: Any = None) -> Rollouts:
        """Run every episode; the arguments are those of `Sampler`. The bits don't depend on the number of threads.

        Raises
        ------
        SimulationError
            If MuJoCo failed in one of them.
        """
        task = weighted(self.task, reward_weights)
        n_episodes = len(seeds)
        out = empty_rollouts(n_episodes, len(filter.mean), track, len(task.reward_weights))
        per_call = max(min(int(_CALL_SECONDS / self._episode_seconds), n_episodes // (4 * self.n_threads)), 1)
        n_blocks = -(-n_episodes // per_call)
        lock, seconds = threading.Lock(), [0.0]

        def run(block: int) -> None:
            first, last = block * n_episodes // n_blocks, (block + 1) * n_episodes // n_blocks
            start = time.perf_counter()
            self._run(task, weights, filter, seeds, first, last, out)
            with lock:
                seconds[0] += time.perf_counter() - start

        with clock.stopped():
            for_blocks(run, n_blocks, self.n_threads, aside=self._episode_seconds * per_call > PATIENCE)
        self._episode_seconds = max(seconds[0] / n_episodes, 1e-6)
        return out

    def close(self) -> None:
        """Free the simulations."""
        self._idle.clear()

    def _run(
        self, task: RolloutSpec, weights: FloatArray, filter: Filter, seeds: SeedArray, first: int, last: int, out: Rollouts
    ) -> None:
        """Run episodes `first` to `last` in an idle simulation. One that failed is thrown away."""
        try:
            sim = self._idle.pop()
        except IndexError:
            sim = new_simulation(self._model)
        with HeldSignals(), IeeeFloats():
            roll_out_simulated(task, sim, filter, weights, seeds, first, last, out)
        for episode in range(first, last):
            if out.status[episode] == FAILED:
                raise SimulationError(
                    f"MuJoCo failed in {self._env_id}, in step {out.lengths[episode]} of the episode with seed {seeds[episode]}: "
                    f"{failure(sim)}"
                )
        self._idle.append(sim)
