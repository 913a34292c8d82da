"""Candidates evaluated in this process, in compiled kernels, on threads."""

import time
from typing import Any

import numpy as np

from fastars._compiled.structs import Filter, FloatArray, LinearPolicy, Rollouts, RolloutSpec, SeedArray, empty_rollouts
from fastars._runtime.cpus import available_cpus
from fastars._runtime.floats import IeeeFloats
from fastars._runtime.signals import HeldSignals
from fastars._runtime.threads import for_blocks
from fastars._validate import task_weights
from fastars.kernels.policy_layout import n_padding
from fastars.kernels.rollout import LANES, roll_out

# Steps of one kernel call: 0.04 s (MountainCar) to 0.3 s (Acrobot). Ctrl-C waits for a running kernel.
_CALL_STEPS = 4_000_000
_CALL_PRODUCTS = 1_000_000_000  # the same for products of weights and inputs, of which a core does some 10 G/s
PATIENCE = 0.25  # seconds; calls that may take longer are made on other threads, while this one hears signals


class CompiledSampler:
    """Runs the episodes of a task on `n_threads` threads.

    The threads are plain Python threads that share the blocks of a serial kernel without the GIL: about 115 us to start and join
    one, and none of OpenMP's traps (a launch of 15 ms on a busy machine, death of a forked child). Small work stays on the calling
    thread.
    """

    def __init__(self, task: RolloutSpec, n_threads: int | None = None) -> None:
        self.task = task
        self.n_threads = n_threads or available_cpus()
        self._step_seconds = 1.0  # of a step in a block, at most: not known yet

    def __repr__(self) -> str:
        return f"<CompiledSampler of {type(self.task.env).__name__}: {self.description}>"

    @property
    def description(self) -> str:
        """Where episodes run."""
        return f"in compiled kernels, on {self.n_threads} thread{'s' if self.n_threads > 1 else ''}"

    def evaluate(self, weights: FloatArray, filter: Filter, seeds: SeedArray, track: bool, reward_weights: Any = None) -> Rollouts:
        """Run every episode; the arguments are those of `Sampler`. The bits don't depend on the number of threads."""
        task = weighted(self.task, reward_weights)
        weights = padded(weights, task.policy, len(task.low))
        n_episodes = len(seeds)
        out = empty_rollouts(n_episodes, len(filter.mean), track, len(task.reward_weights))
        n_blocks = self._n_blocks(n_episodes, weights.shape[1])
        edges = [block * n_episodes // n_blocks for block in range(n_blocks + 1)]

        slowest = [0.0]

        def run(block: int) -> None:
            first, last = edges[block], edges[block + 1]
            start = time.perf_counter()
            with HeldSignals(), IeeeFloats():
                roll_out(task, filter, weights, seeds, first, last, out)
            seconds = time.perf_counter() - start
            slowest.append(seconds / max(int(out.lengths[first:last].sum()), 1))

        longest = -(-n_episodes // n_blocks) * task.max_steps * self._step_seconds
        for_blocks(run, n_blocks, self.n_threads, aside=longest > PATIENCE)
        self._step_seconds = max(slowest)
        return out

    def _n_blocks(self, n_episodes: int, n_weights: int) -> int:
        """Blocks that keep the threads busy, each of a size that a signal can wait for."""
        n_steps = n_episodes * self.task.max_steps
        if not isinstance(self.task.policy, LinearPolicy):  # one episode after the other
            n_blocks = max(8 * self.n_threads, -(-n_steps * n_weights // _CALL_PRODUCTS))
            return min(n_blocks, n_episodes)
        n_blocks = min(max(n_episodes // LANES, 1), self.n_threads if n_episodes < 32 * LANES else 4 * self.n_threads)
        return max(n_blocks, -(-n_steps // _CALL_STEPS))

    def close(self) -> None:
        """There is nothing to let go of."""


def padded(weights: FloatArray, policy: Any, n_act: int) -> FloatArray:
    """The weights as the rollout kernels take them: those of a linear policy without bias have zeros in its place."""
    n_zeros = n_padding(policy, n_act)
    if n_zeros == 0:
        return np.ascontiguousarray(weights)
    rows = np.zeros((len(weights), weights.shape[1] + n_zeros))
    rows[:, :-n_zeros] = weights  # 2 us; np.pad takes 20
    return rows


def weighted(task: RolloutSpec, reward_weights: Any) -> RolloutSpec:
    """The task with these weights of its rewards; None: as it is."""
    if reward_weights is None:
        return task
    return task._replace(reward_weights=tuple(task_weights(reward_weights, len(task.reward_weights)).tolist()))
