"""Evaluate candidates in the physics over SIMD lanes, on threads of this process."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from fastars._compiled.simd import LANES
from fastars._compiled.simulated import reads_outputs
from fastars._compiled.structs import (
    Filter,
    FloatArray,
    Rollouts,
    RolloutSpec,
    SeedArray,
    SimulationLanes,
    empty_rollouts,
    identity_filter,
)
from fastars._runtime.cpus import available_cpus
from fastars._runtime.floats import IeeeFloats
from fastars._runtime.signals import HeldSignals, let_signals_in
from fastars._runtime.threads import for_blocks
from fastars.envs import CompiledEnv
from fastars.envs.mujoco.arguments import refuse_hooks
from fastars.kernels.policy_layout import arranged_size, scratch_size
from fastars.kernels.rollout_physics import IDLE, Episodes, roll_out_physics
from fastars.physics import new_lanes
from fastars.physics.lanes import memory_of_lanes, step_lanes
from fastars.samplers.candidates import Candidates, in_pieces
from fastars.samplers.failure import OnFailure, log_failure
from fastars.samplers.kernel_inputs import with_reward_weights

_CALL_SECONDS = 0.05  # of one kernel call, about: Ctrl-C waits for it. A call costs about 50 us
_MORE = 16  # times as many steps in the next call as in the last, at most


class PhysicsSampler:
    """Runs episodes on `n_threads` threads, each of which has lanes of its own.

    All threads take episodes from one queue: a lane whose episode has ended takes the next one.

    Parameters
    ----------
    env : CompiledEnv
        One with a MuJoCo model.
    spec : RolloutSpec
        From `env.rollout_spec(policy)`.
    n_threads : int, optional
        Default: as many as the CPUs that this process may keep busy.
    lane_model : LaneModel
        The model as lanes step it.
    """

    takes_perturbed = False

    def __init__(self, env: CompiledEnv, spec: RolloutSpec, n_threads: int | None, lane_model: Any) -> None:
        self.spec = spec
        self.n_threads = n_threads or available_cpus()
        self._env_id = env.id
        self._lane_model, self._wants_outputs = lane_model, reads_outputs(env.constants)
        self._idle: list[SimulationLanes] = []
        self._call_steps = 1  # of one kernel call

    def __getstate__(self) -> dict[str, Any]:
        """Return the state without lanes, which are addresses of this process: a copy makes its own."""
        return {**vars(self), "_idle": []}

    def __repr__(self) -> str:
        return f"<PhysicsSampler of {self._env_id}: {self.description}>"

    @property
    def description(self) -> str:
        """Words for the place where episodes run."""
        return f"over SIMD lanes, on {self.n_threads} thread{'s' if self.n_threads > 1 else ''}"

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
        UnsupportedEnvError
            If a callback of MuJoCo was set: the lanes would not call it.
        """
        refuse_hooks(self._env_id)
        spec = with_reward_weights(self.spec, reward_weights)
        if isinstance(weights, Candidates):
            return self._in_pieces(weights, filter, seeds, track, reward_weights)
        weights = np.ascontiguousarray(weights)
        n_episodes = len(seeds)
        out = empty_rollouts(n_episodes, len(filter.mean), track, len(spec.reward_weights))
        n_threads = max(min(self.n_threads, n_episodes), 1)
        queue, is_over = np.zeros(1, np.int64), [False]

        def run(thread: int) -> None:
            lanes = self._lanes()
            episodes = new_episodes(spec, lanes, len(filter.mean), queue, -(-n_episodes // n_threads))
            try:
                while not is_over[0] and self._call(spec, lanes, episodes, filter, weights, seeds, out):
                    let_signals_in()
            except BaseException:
                is_over[0] = True
                raise
            self._idle.append(lanes)

        try:
            for_blocks(run, n_threads if n_episodes else 0, n_threads, aside=self._call_steps == 1)
        except BaseException:
            is_over[0] = True
            raise
        return out

    def _in_pieces(self, candidates: Candidates, filter: Filter, seeds: SeedArray, track: bool, reward_weights: Any) -> Rollouts:
        """Run a piece of the candidates at a time, at least four for each lane."""

        def evaluate(rows: FloatArray, some: SeedArray) -> Rollouts:
            return self.evaluate(rows, filter, some, track, reward_weights)

        return in_pieces(evaluate, candidates, filter, seeds, track, len(self.spec.reward_weights), 4 * LANES * self.n_threads)

    def start(self, wait: bool = False) -> None:
        """Do nothing: there are no worker processes, and threads wait parked between evaluations."""

    def close(self) -> None:
        """Free the lanes."""
        self._idle.clear()

    def _lanes(self) -> SimulationLanes:
        """Return lanes that no thread uses."""
        try:
            return self._idle.pop()
        except IndexError:
            return new_lanes(self._lane_model, self._wants_outputs)

    def _call(self, spec: RolloutSpec, lanes: SimulationLanes, episodes: Episodes, *others: Any) -> bool:
        """Run episodes for some steps; return True if any of them go on."""
        filter, weights, seeds, out = others
        n_steps, start = self._call_steps, time.perf_counter()
        with HeldSignals(), IeeeFloats():
            n_live = roll_out_physics(spec, lanes, episodes, filter, weights, seeds, n_steps, out)
        if n_live > 0:  # otherwise it may have ended before
            of_time = int(n_steps * _CALL_SECONDS / (time.perf_counter() - start))
            self._call_steps = min(max(of_time, 1), n_steps * _MORE)
        return bool(n_live > 0)


def new_episodes(spec: RolloutSpec, lanes: SimulationLanes, n_obs: int, queue: Any, width: int) -> Episodes:
    """Make the memory for episodes in up to `width` lanes, which take them from `queue`."""
    n_lanes, n_act = len(lanes.is_bad), len(spec.low)
    return Episodes(
        queue=queue,
        steps=np.zeros(1, np.int64),
        width=min(width, n_lanes),
        mode=np.full(n_lanes, IDLE),
        episode=np.zeros(n_lanes, np.int64),
        length=np.zeros(n_lanes, np.int64),
        total=np.zeros(n_lanes),
        totals=np.zeros((n_lanes, len(spec.reward_weights))),
        weights=np.zeros((n_lanes, arranged_size(spec.policy, n_obs, n_act))),
        before=np.zeros((n_lanes, len(lanes.qpos))),
        action=np.zeros((n_lanes, n_act), np.float32),
        first=np.zeros((n_lanes, n_obs)),
        sums=np.zeros((n_lanes, n_obs)),
        squares=np.zeros((n_lanes, n_obs)),
        rng=np.zeros(4, np.uint64),
        observation=np.zeros(n_obs),
        x=np.zeros(n_obs),
        scratch=np.zeros(scratch_size(spec.policy, n_obs, n_act)),
        scores=np.zeros(n_act),
    )


def calls_of_kernels(env: CompiledEnv, spec: RolloutSpec, lane_model: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Return calls `(kernel, *arguments)` with the types of a sampler's arguments: of rollouts, and of the lanes' steps."""
    lanes, tables = memory_of_lanes(lane_model, reads_outputs(env.constants))
    seeds, weights = np.zeros(1, np.uint64), np.zeros((1, 1))
    episodes = new_episodes(spec, lanes, env.n_obs, np.zeros(1, np.int64), 1)
    out = empty_rollouts(1, env.n_obs, False, env.n_tasks)
    of_rollouts = spec, lanes, episodes, identity_filter(env.n_obs), weights, seeds, 1, out
    return (roll_out_physics, *of_rollouts), (step_lanes, *tables, 0)
