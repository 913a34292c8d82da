"""Evaluate candidates in MuJoCo, on threads of this process. Each thread has its own simulation, which a compiled kernel steps."""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

import numpy as np

from fastars._compiled.structs import (
    FAILED,
    Filter,
    FloatArray,
    Rollouts,
    RolloutSpec,
    SeedArray,
    Simulation,
    empty_rollouts,
    identity_filter,
)
from fastars._runtime.cpus import available_cpus
from fastars._runtime.floats import IeeeFloats
from fastars._runtime.signals import HeldSignals
from fastars._runtime.threads import LONG_SECONDS, for_blocks
from fastars.envs import CompiledEnv, SimulationError
from fastars.envs.mujoco.arguments import refuse_hooks
from fastars.envs.mujoco.capi import failure, new_simulation
from fastars.envs.mujoco.clock import clock
from fastars.envs.mujoco.messages import collected_warnings, kinds_of
from fastars.kernels.rollout_single import roll_out_simulated
from fastars.samplers.candidates import Candidates, n_pieces, of_episodes
from fastars.samplers.failure import OnFailure, log_failure
from fastars.samplers.kernel_inputs import with_reward_weights

_LOG = logging.getLogger("fastars")
_INSTABILITY = "Nan, Inf or huge value"  # in MuJoCo's warnings of positions, velocities, accelerations and controls
_CALL_SECONDS = 0.05  # of one kernel call, about: Ctrl-C waits for it. A call costs about 30 us


class SimulatedSampler:
    """Runs episodes on `n_threads` threads.

    There are never more simulations than threads, whatever the population. A simulation is made when a thread first needs one, and
    kept for later evaluations.

    Parameters
    ----------
    env : CompiledEnv
        One with a MuJoCo model.
    spec : RolloutSpec
        From `env.rollout_spec(policy)`.
    n_threads : int, optional
        Default: as many as the CPUs that this process may keep busy.
    """

    takes_perturbed = False

    def __init__(self, env: CompiledEnv, spec: RolloutSpec, n_threads: int | None = None) -> None:
        self.spec = spec
        self.n_threads = n_threads or available_cpus()
        self._env_id = env.id
        self._model: Any = env.model  # kept alive: simulations hold its address
        self._idle: list[Simulation] = []
        self._warned: set[str] = set()  # kinds of warnings that were logged
        self._episode_seconds = _CALL_SECONDS

    def __getstate__(self) -> dict[str, Any]:
        """Return the state without simulations, which are addresses of this process: a copy makes its own."""
        return {**vars(self), "_idle": []}

    def __repr__(self) -> str:
        return f"<SimulatedSampler of {self._env_id}: {self.description}>"

    @property
    def description(self) -> str:
        """Words for the place where episodes run."""
        return f"in MuJoCo from compiled kernels, on {self.n_threads} thread{'s' if self.n_threads > 1 else ''}"

    def evaluate(
        self,
        weights: FloatArray | Candidates,
        filter: Filter,
        seeds: SeedArray,
        track: bool,
        reward_weights: Any = None,
        on_failure: OnFailure = log_failure,
    ) -> Rollouts:
        """Run every episode, as `Sampler.evaluate` describes. The bits don't depend on the number of threads.

        Raises
        ------
        SimulationError
            If MuJoCo failed in one of them.
        UnsupportedEnvError
            If a callback of MuJoCo was set, which is Python's and can't be called here.
        """
        refuse_hooks(self._env_id)
        spec = with_reward_weights(self.spec, reward_weights)
        n_episodes = len(seeds)
        out = empty_rollouts(n_episodes, len(filter.mean), track, len(spec.reward_weights))
        per_call = max(min(int(_CALL_SECONDS / self._episode_seconds), n_episodes // (4 * self.n_threads)), 1)
        n_blocks = min(max(-(-n_episodes // per_call), n_pieces(weights)), n_episodes)
        lock, seconds = threading.Lock(), [0.0]

        def run(block: int) -> None:
            first, last = block * n_episodes // n_blocks, (block + 1) * n_episodes // n_blocks
            start = time.perf_counter()
            self._run(spec, weights, filter, seeds, slice(first, last), out)
            with lock:
                seconds[0] += time.perf_counter() - start

        with HeldSignals(), clock.stopped():
            for_blocks(run, n_blocks, self.n_threads, aside=self._episode_seconds * per_call > LONG_SECONDS)
        if n_episodes > 0:
            self._episode_seconds = max(seconds[0] / n_episodes, 1e-6)
        return out

    def start(self, wait: bool = False) -> None:
        """Do nothing: there are no worker processes, and threads wait parked between evaluations."""

    def close(self) -> None:
        """Free the simulations."""
        self._idle.clear()

    def _run(
        self, spec: RolloutSpec, weights: FloatArray | Candidates, filter: Filter, seeds: SeedArray, episodes: slice, out: Rollouts
    ) -> None:
        """Run some episodes in an idle simulation. A simulation that failed is not used again."""
        with collected_warnings() as texts:
            try:
                sim = self._idle.pop()
            except IndexError:
                sim = new_simulation(self._model)
            arguments = of_episodes(weights, seeds, out, episodes.start, episodes.stop)
            with HeldSignals(), IeeeFloats():
                roll_out_simulated(spec, sim, filter, *arguments)
        self._log(texts)
        for episode in range(episodes.start, episodes.stop):
            if out.status[episode] == FAILED:
                raise SimulationError(
                    f"MuJoCo failed in {self._env_id}, in step {out.lengths[episode]} of the episode with seed {seeds[episode]}: "
                    f"{failure(sim)}"
                )
        self._idle.append(sim)

    def _log(self, texts: list[str]) -> None:
        """Log MuJoCo's warnings, each kind once. Unstable episodes are not among them: their status counts them."""
        for kind, alike in kinds_of(texts).items():
            if _INSTABILITY not in kind and kind not in self._warned:
                self._warned.add(kind)
                _LOG.warning("MuJoCo warned in %s: %s", self._env_id, alike[0])


def call_of_kernel(env: CompiledEnv, spec: RolloutSpec, track: bool) -> tuple[Any, ...]:
    """Return a call `(kernel, *arguments)` with the types of a sampler's arguments."""
    out = empty_rollouts(1, env.n_obs, track, len(spec.reward_weights))
    arguments = identity_filter(env.n_obs), np.zeros((1, 1)), np.zeros(1, np.uint64), 0, 1, out
    return roll_out_simulated, spec, new_simulation(env.model), *arguments
