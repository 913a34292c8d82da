"""Candidates evaluated in this process, in compiled kernels, on threads."""

import itertools
import math
import operator
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from fastars._floats import IeeeFloats
from fastars._signals import HeldSignals, let_signals_in, wait_for
from fastars._structs import Filter, FloatArray, LinearPolicy, Rollouts, SeedArray, Task, empty_rollouts
from fastars.kernels.policy import n_padding
from fastars.kernels.rollout import LANES, roll_out
from fastars.samplers.cpus import available_cpus

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

    def __init__(self, task: Task, n_threads: int | None = None) -> None:
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


def for_blocks(run: Callable[[int], None], n_blocks: int, n_threads: int, aside: bool = False) -> None:
    """Call `run(block)` for every block, on up to `n_threads` threads of which the caller is one.

    Blocks are taken from a common counter, so threads that finish early take more. An exception in any of them is raised here, once
    the others have finished the block they are in. The handler of a signal runs between two blocks; with `aside`, where blocks may
    take long, the caller only waits: what a handler raises is raised at once, and threads in a block are left to finish it.
    """
    counter = itertools.count()
    failures: list[BaseException] = []

    def work() -> None:
        try:
            while not failures and (block := next(counter)) < n_blocks:
                run(block)
                let_signals_in()
        except BaseException as failure:  # KeyboardInterrupt too: the helpers must stop
            failures.append(failure)

    aside = aside and threading.current_thread() is threading.main_thread()
    helpers = [threading.Thread(target=work, daemon=True) for _ in range(min(n_threads, n_blocks) - (not aside))]
    for helper in helpers:
        helper.start()
    if aside:
        try:
            wait_for(*helpers)
        except BaseException as failure:
            failures.append(failure)
            raise
    else:
        work()
        for helper in helpers:
            helper.join()
    if failures:
        raise failures[0]


def padded(weights: FloatArray, policy: Any, n_act: int) -> FloatArray:
    """The weights as the rollout kernels take them: those of a linear policy without bias have zeros in its place."""
    n_zeros = n_padding(policy, n_act)
    if n_zeros == 0:
        return np.ascontiguousarray(weights)
    rows = np.zeros((len(weights), weights.shape[1] + n_zeros))
    rows[:, :-n_zeros] = weights  # 2 us; np.pad takes 20
    return rows


def weighted(task: Task, reward_weights: Any) -> Task:
    """The task with these weights of its rewards; None: as it is."""
    if reward_weights is None:
        return task
    return task._replace(reward_weights=tuple(reward_weights_of(reward_weights, len(task.reward_weights)).tolist()))


def reward_weights_of(values: Any, n_tasks: int) -> FloatArray:
    """The weights of n rewards as float64, (n_tasks,); None: all 1.

    Raises
    ------
    ValueError
        If there are not n of them, or one is not finite.
    """
    if values is None:
        return np.ones(n_tasks)
    if n_tasks == 0:
        raise ValueError(f"reward_weights must be None where the reward is a number, got {values!r}")
    weights = np.array(values, np.float64)
    if weights.shape != (n_tasks,) or not np.isfinite(weights).all():
        raise ValueError(f"reward_weights must be finite and of shape ({n_tasks},), one for each task, got {values!r}")
    return weights


def at_least_one(name: str, value: Any) -> int:
    """The value as an int of at least 1; whole floats such as 1e5 count.

    Raises
    ------
    ValueError
        Naming the argument, its value and what is allowed.
    """
    try:
        integer = int(value) if isinstance(value, float) and value.is_integer() else operator.index(value)
    except TypeError:
        integer = 0
    if isinstance(value, bool) or integer < 1:
        raise ValueError(f"{name} must be an integer of at least 1, got {value!r}")
    return integer


def seconds(name: str, value: Any) -> float:
    """The value as a positive number of seconds.

    Raises
    ------
    ValueError
        Naming the argument, its value and what is allowed.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0.0 < value < math.inf:
        raise ValueError(f"{name} must be a positive number of seconds or None, got {value!r}")
    return float(value)


def seed_array(seeds: Any, n: int) -> SeedArray:
    """The seeds of n episodes as uint64.

    Raises
    ------
    ValueError
        If there are not n of them, or one is no integer from 0 to 2**64 - 1.
    """
    values = np.asarray(seeds, dtype=object) if isinstance(seeds, (list, tuple)) else np.asarray(seeds)
    if values.shape != (n,):
        raise ValueError(f"seeds must have shape ({n},), one per candidate, got {values.shape}")
    for seed in values if values.dtype.kind not in "iu" else values[values < 0]:
        if not isinstance(seed, (int, np.integer)) or not 0 <= seed < 2**64:
            raise ValueError(f"seeds must be integers from 0 to 2**64 - 1, got {seed!r}")
    return values.astype(np.uint64)
