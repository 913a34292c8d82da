"""Candidates evaluated in environments that are stepped in Python, in this process or in worker processes."""

from __future__ import annotations

import logging
import os
import weakref
from collections.abc import Callable
from typing import Any, NamedTuple

import cloudpickle
import numpy as np
from gymnasium.vector import VectorEnv

from fastars._compiled.structs import Filter, FloatArray, Rollouts, RolloutSpec, SeedArray
from fastars._runtime.floats import IeeeFloats
from fastars._validate import positive_int, positive_seconds, task_weights
from fastars.envs import UnsupportedEnvError
from fastars.envs.gym import GymEnv
from fastars.samplers.episodes import ATTEMPTS, Batch, Episodes, compiled_kernels, new_lanes
from fastars.samplers.vector import VectorEpisodes


class Failure(NamedTuple):
    """A failed attempt at an episode."""

    episode: int  # its index among those of the evaluation
    seed: int
    attempt: int  # 1 or 2
    is_final: bool  # no other attempt is made: the episode's status is `FAILED`
    text: str  # the environment's traceback, or what became of the process that it ran in


def log_failure(failure: Failure) -> None:
    """Log a failed attempt as a warning."""
    logging.getLogger("fastars").warning(
        "episode %d (seed %d) failed, attempt %d of %d: %s",
        failure.episode,
        failure.seed,
        failure.attempt,
        ATTEMPTS,
        failure.text.rstrip(),
    )


class GymSampler:
    """Runs the episodes of a task in environments that are stepped in Python. The results don't depend on the number of workers.

    An episode that fails is tried once more in a fresh environment; if it fails again, its status is `FAILED` and its return NaN.
    It fails if the environment raises, returns something of another shape or type than its spaces and Gymnasium say, does not
    return from a call within `env_timeout`, or ends the process. Worker processes that end are replaced; where somebody else killed
    one, no episode has failed, and its episodes run again.

    In this process (`n_workers=1`) nothing stops an environment that hangs, crashes or exits; one given as an instance is not made
    anew; and what a vector environment raises is passed on to the caller.

    Parameters
    ----------
    env : GymEnv
        The environment, from `fastars.envs.environment`.
    task : RolloutSpec
        From `env.rollout_spec(policy)`.
    n_workers : int
        1: in this process. More: in so many worker processes.
    env_timeout : float or None
        Seconds that a call of the environment may take in a worker process. None: for ever.
    envs_per_worker : int, optional
        Environments side by side in a process, whose actions are computed by one kernel call. Default: as many as are worth it, 1
        to 16; one whose step takes 60 us or more runs alone.
    apart : bool
        Whether a single worker is a process of its own, too: it can hang and crash.

    Attributes
    ----------
    n_failures : int
        Attempts that failed.
    n_restarts : int
        Worker processes that were replaced.
    on_failure : callable
        Called with a `Failure` as soon as it is known. Default: logs it.
    """

    def __init__(
        self,
        env: GymEnv,
        task: RolloutSpec,
        n_workers: int = 1,
        env_timeout: float | None = 60.0,
        envs_per_worker: int | None = None,
        apart: bool = False,
    ) -> None:
        self.env = env
        self.task = task
        self.n_workers = positive_int("n_workers", n_workers)
        self.env_timeout = None if env_timeout is None else positive_seconds("env_timeout", env_timeout)
        self.envs_per_worker = None if envs_per_worker is None else positive_int("envs_per_worker", envs_per_worker)
        self.apart = apart
        self.n_failures = 0
        self.on_failure: Callable[[Failure], None] = log_failure
        self._runner = self._new_runner()

    def _new_runner(self) -> Any:
        env = self.env
        arguments: dict[str, Any] = {
            "task": self.task,
            "make": env.make,
            "env": env.env,
            "observation_space": env.observation_space,
            "action_space": env.action_space,
            "n_lanes": self.envs_per_worker,
            "n_tasks": env.n_tasks,
            "in_info": env.in_info,
        }
        if self.n_workers > 1 or self.apart:
            compiled_kernels(self.task, new_lanes(self.task, env.n_obs, env.action_space, 1))  # the workers find them in the cache
            if os.name != "posix":
                raise NotImplementedError(f"n_workers must be 1 on this system: worker processes need POSIX, got {self.n_workers}")
            from fastars.samplers.pool import Pool

            return Pool(self._sent(arguments | {"make": env.maker(), "env": None}), self.n_workers, self.env_timeout)
        if isinstance(env.env, VectorEnv):
            return VectorEpisodes(self.task, env.env, env.n_tasks, env.in_info)
        episodes = Episodes(**arguments)
        weakref.finalize(self, episodes.close)
        return episodes

    def __getstate__(self) -> dict[str, Any]:
        """A copy makes environments and worker processes of its own."""
        return {name: value for name, value in vars(self).items() if name != "_runner"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._runner = self._new_runner()

    def _sent(self, arguments: dict[str, Any]) -> bytes:
        """The arguments of `Episodes` as they travel to worker processes."""
        try:
            return cloudpickle.dumps(arguments)
        except Exception as error:  # whatever an object raises when it is pickled
            raise UnsupportedEnvError(
                f"env {self.env.id!r} can't be sent to worker processes ({type(error).__name__}: {error}): give its id, or a "
                "function that makes all it needs"
            ) from error

    @property
    def n_restarts(self) -> int:
        """Worker processes that were replaced."""
        return getattr(self._runner, "n_restarts", 0)

    def evaluate(self, weights: FloatArray, filter: Filter, seeds: SeedArray, track: bool, reward_weights: Any = None) -> Rollouts:
        """Run every episode.

        Parameters
        ----------
        weights : ndarray of float64, shape (n, n_weights)
            A candidate per row: the flat weights of the policy.
        filter : Filter
            Applied to every observation.
        seeds : ndarray of uint64, shape (m,)
            A seed per episode, m a multiple of n: episode j runs candidate j // (m // n) and starts as
            `env.reset(seed=int(seeds[j]))`.
        track : bool
            Whether to keep the moments of the observations.
        reward_weights : array_like of float, shape (n_tasks,), optional
            As for `Sampler`.

        Returns
        -------
        Rollouts
            Of the m episodes.

        Raises
        ------
        WorkerError
            If a worker process can't make its environment, or if workers are killed again and again.
        ValueError
            For weights of rewards that are not n_tasks finite numbers, or where the reward is a number.
        """
        n, m = len(weights), len(seeds)
        checked = task_weights(reward_weights, self.env.n_tasks)
        frozen = Filter(np.array(filter.mean, np.float64), np.array(filter.scale, np.float64), float(filter.clip))
        rows, attempts = np.arange(m) // (m // n), np.zeros(m, np.int64)
        batch = Batch(frozen, track, np.array(weights, np.float64), rows, seeds, attempts, checked)

        def report(episode: int, attempt: int, text: str) -> None:
            self.n_failures += 1
            self.on_failure(Failure(episode, int(seeds[episode]), attempt, attempt >= ATTEMPTS, text))

        with IeeeFloats():
            rollouts: Rollouts = self._runner.run(batch, report)
        return rollouts

    def start(self, wait: bool = False) -> None:
        """Start the worker processes, so that they make their environments while this one does other things.

        Parameters
        ----------
        wait : bool
            Whether to return when they are ready, and raise what `evaluate` raises if they can't be.
        """
        if self.n_workers > 1:
            (self._runner.wait if wait else self._runner.start)()

    def close(self) -> None:
        """Close the environments that were made here, and end the worker processes. `evaluate` makes others."""
        self._runner.close()

    def __repr__(self) -> str:
        return f"<GymSampler of {self.env.id}: {self.description}>"

    @property
    def description(self) -> str:
        """Where episodes run, and why not in compiled kernels."""
        n = getattr(self._runner, "n_lanes", self.envs_per_worker)
        each = f"each of {self.n_workers} worker processes" if self.n_workers > 1 else "a worker process"
        where = each if self.n_workers > 1 or self.apart else "this process"
        side_by_side = "1 to 16 environments" if n is None else f"{n} environment{'s' if n > 1 else ''}"
        cap = f", for at most {self.env.max_steps:,} steps as it has no time limit" if self.env.is_capped else ""
        return f"in Python ({self.env.reason}), {side_by_side} in {where}{cap}"
