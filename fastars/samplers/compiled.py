"""Evaluate candidates in compiled kernels, on threads of this process."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from fastars._compiled.structs import Filter, FloatArray, Rollouts, RolloutSpec, SeedArray, empty_rollouts, identity_filter
from fastars._runtime.cpus import available_cpus
from fastars._runtime.floats import IeeeFloats
from fastars._runtime.signals import HeldSignals
from fastars._runtime.threads import LONG_SECONDS, for_blocks
from fastars.envs import CompiledEnv
from fastars.kernels.network_lanes import most_lanes
from fastars.kernels.rollout_lanes import roll_out
from fastars.samplers.candidates import Candidates, n_pieces, of_episodes
from fastars.samplers.failure import OnFailure, log_failure
from fastars.samplers.kernel_inputs import padded_weights, with_reward_weights

# Steps of one kernel call: 0.04 s (MountainCar) to 0.3 s (Acrobot). Ctrl-C waits for a running kernel.
_CALL_STEPS = 4_000_000
_CALL_PRODUCTS = 1_000_000_000  # limit for products of weights and inputs, of which a core computes about 10 G/s


class CompiledSampler:
    """Runs episodes on `n_threads` threads.

    The threads are plain Python threads that share the blocks of a serial kernel without the GIL. To wake one takes 10 to 20 us,
    and they have none of OpenMP's problems: a launch of 15 ms on a busy machine, death of a forked child. Small work stays
    on the calling thread.

    Parameters
    ----------
    spec : RolloutSpec
        From `env.rollout_spec(policy)` of a CompiledEnv.
    n_threads : int, optional
        Default: as many as the CPUs that this process may keep busy.
    """

    takes_perturbed = False

    def __init__(self, spec: RolloutSpec, n_threads: int | None = None) -> None:
        self.spec = spec
        self.n_threads = n_threads or available_cpus()
        self._step_seconds = 1.0  # upper limit for a step in a block; not measured yet

    def __repr__(self) -> str:
        name = repr(self.spec.env).partition("(")[0]  # of a user's environment, its class is named by a digest
        return f"<CompiledSampler of {name}: {self.description}>"

    @property
    def description(self) -> str:
        """Words for the place where episodes run."""
        return f"in compiled kernels, on {self.n_threads} thread{'s' if self.n_threads > 1 else ''}"

    def evaluate(
        self,
        weights: FloatArray | Candidates,
        filter: Filter,
        seeds: SeedArray,
        track: bool,
        reward_weights: Any = None,
        on_failure: OnFailure = log_failure,
    ) -> Rollouts:
        """Run every episode, as `Sampler.evaluate` describes. The bits don't depend on the number of threads."""
        spec = with_reward_weights(self.spec, reward_weights)
        weights = weights if isinstance(weights, Candidates) else padded_weights(weights, spec)
        n_episodes = len(seeds)
        out = empty_rollouts(n_episodes, len(filter.mean), track, len(spec.reward_weights))
        n_blocks = self._n_blocks(n_episodes, weights.shape[1], len(filter.mean))
        n_blocks = min(max(n_blocks, n_pieces(weights)), max(n_episodes, 1))
        edges = [block * n_episodes // n_blocks for block in range(n_blocks + 1)]
        slowest = [0.0]

        def run(block: int) -> None:
            first, last = edges[block], edges[block + 1]
            rows, *others = of_episodes(weights, seeds, out, first, last)
            if isinstance(weights, Candidates):
                rows = padded_weights(rows, spec)
            start = time.perf_counter()
            with HeldSignals(), IeeeFloats():
                roll_out(spec, filter, rows, *others)
            seconds = time.perf_counter() - start
            slowest.append(seconds / max(int(out.lengths[first:last].sum()), 1))

        longest = -(-n_episodes // n_blocks) * spec.max_steps * self._step_seconds
        for_blocks(run, n_blocks, self.n_threads, aside=longest > LONG_SECONDS)
        self._step_seconds = max(slowest)
        return out

    def _n_blocks(self, n_episodes: int, n_weights: int, n_obs: int) -> int:
        """Return a number of blocks that keeps all threads busy and makes each block short enough for a signal to wait for."""
        n_steps = n_episodes * self.spec.max_steps
        lanes = most_lanes(self.spec.policy, n_obs, len(self.spec.low))
        is_small = lanes > 1 and n_episodes < 32 * lanes  # the last episodes of a block leave lanes empty
        n_blocks = min(max(n_episodes // lanes, 1), self.n_threads if is_small else 4 * self.n_threads)
        n_blocks = max(n_blocks, -(-n_steps // _CALL_STEPS), -(-n_steps * n_weights // _CALL_PRODUCTS))
        return max(min(n_blocks, n_episodes), 1)

    def start(self, wait: bool = False) -> None:
        """Do nothing: there are no worker processes, and threads wait parked between evaluations."""

    def close(self) -> None:
        """Do nothing: an evaluation leaves nothing open."""


def call_of_kernel(env: CompiledEnv, spec: RolloutSpec, track: bool) -> tuple[Any, ...]:
    """Return a call `(kernel, *arguments)` with the types of a sampler's arguments."""
    out = empty_rollouts(1, env.n_obs, track, len(spec.reward_weights))
    return roll_out, spec, identity_filter(env.n_obs), np.zeros((1, 1)), np.zeros(1, np.uint64), 0, 1, out
