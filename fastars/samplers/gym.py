"""Evaluate candidates in environments that are stepped in Python, in this process or in worker processes."""

from __future__ import annotations

import sys
import weakref
from typing import Any, Protocol

import cloudpickle
import numpy as np
from gymnasium.vector import VectorEnv

from fastars._compiled.structs import Filter, FloatArray, Rollouts, RolloutSpec, SeedArray
from fastars._runtime.floats import IeeeFloats
from fastars._runtime.signals import HeldSignals
from fastars._validate import positive_int, positive_seconds, task_weights
from fastars.envs import UnsupportedEnvError
from fastars.envs.gym import GymEnv
from fastars.samplers.batch import Batch, Report
from fastars.samplers.candidates import Candidates
from fastars.samplers.episode_kernels import compiled_kernels, new_lanes
from fastars.samplers.episodes import Episodes
from fastars.samplers.failure import ATTEMPTS, Failure, OnFailure, log_failure
from fastars.samplers.vector import VectorEpisodes


class Runner(Protocol):
    """Runs batches of episodes: `Episodes`, `VectorEpisodes` or `Pool`."""

    n_lanes: int | None  # environments side by side in a process; None: not known yet

    def run(self, batch: Batch, report: Report) -> Rollouts:
        """Run the episodes of a batch, and call `report` for each attempt that failed."""

    def start(self, wait: bool = False) -> None:
        """Start worker processes, if there are any; with `wait`, return when they are ready."""

    def close(self) -> None:
        """Close the environments that were made for it, and end its processes."""


class GymSampler:
    """Runs episodes in environments that are stepped in Python. The results don't depend on the number of workers.

    An episode that fails is tried once more in a fresh environment; if it fails again, its status is `FAILED` and its return NaN.
    It fails if the environment raises, returns something of another shape or type than its spaces and Gymnasium say, does not
    return from a call within `env_timeout`, or ends the process. Worker processes that end are replaced; where somebody else killed
    one, no episode has failed, and its episodes run again.

    In this process (`n_workers=1`) nothing stops an environment that hangs or ends the process; an environment that was given as an
    instance is not made anew; and an exception of a vector environment is passed on to the caller. An exception of a signal's
    handler is no failure of an episode: it ends the evaluation.

    Parameters
    ----------
    env : GymEnv
        The environment, from `fastars.envs.environment`.
    spec : RolloutSpec
        From `env.rollout_spec(policy)`.
    n_workers : int
        1: in this process. More: in so many worker processes.
    env_timeout : float or None
        Seconds that a call of the environment may take in a worker process. None: no limit.
    envs_per_worker : int, optional
        Environments side by side in a process, whose actions are computed by one kernel call. Default: as many as are worth it, 1
        to 16; an environment whose step takes 90 us or more runs alone.
    own_process : bool
        True if a single worker is a separate process too: it can hang and crash.
    """

    takes_perturbed = False

    def __init__(
        self,
        env: GymEnv,
        spec: RolloutSpec,
        n_workers: int = 1,
        env_timeout: float | None = 60.0,
        envs_per_worker: int | None = None,
        own_process: bool = False,
    ) -> None:
        self.env = env
        self.spec = spec
        self.n_workers = positive_int("n_workers", n_workers)
        self.env_timeout = None if env_timeout is None else positive_seconds("env_timeout", env_timeout)
        self.envs_per_worker = None if envs_per_worker is None else positive_int("envs_per_worker", envs_per_worker)
        self.own_process = own_process
        self._runner = self._new_runner()

    def _new_runner(self) -> Runner:
        env = self.env
        if self.n_workers > 1 or self.own_process:
            self._refuse_windows()
            compiled_kernels(self.spec, new_lanes(self.spec, env.n_obs, env.action_space, 1))  # the workers find them in the cache
            from fastars.samplers.pool import Pool

            return Pool(self._order(), self.n_workers, self.env_timeout, self.envs_per_worker)
        if isinstance(env.env, VectorEnv):
            return VectorEpisodes(self.spec, env.env, env.n_tasks, env.in_info)
        episodes = Episodes(self.spec, env, self.envs_per_worker)
        weakref.finalize(self, episodes.close)
        return episodes

    def _refuse_windows(self) -> None:
        """Raise a ValueError where there are no worker processes: they inherit pipes and files, and answer to signals."""
        if sys.platform == "win32":
            given = "sampler must be 'local'" if self.own_process else f"n_workers must be 1, got {self.n_workers}"
            raise ValueError(f"{given}: env {self.env.id!r} is stepped in Python, and worker processes need Linux or macOS")

    def _order(self) -> bytes:
        """Pickle the arguments of `Episodes` for worker processes."""
        portable = self.env._replace(make=self.env.maker(), env=None, kwargs={}, reward_space=None)
        try:
            return cloudpickle.dumps({"spec": self.spec, "env": portable, "n_lanes": self.envs_per_worker})
        except Exception as error:  # an object may raise anything when it is pickled
            raise UnsupportedEnvError(
                f"env {self.env.id!r} can't be sent to worker processes ({type(error).__name__}: {error}): give its id, or a "
                "function that makes all it needs"
            ) from error

    def __getstate__(self) -> dict[str, Any]:
        """Return the state without the runner: a copy makes its own environments and worker processes."""
        return {name: value for name, value in vars(self).items() if name != "_runner"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._runner = self._new_runner()

    def __repr__(self) -> str:
        return f"<GymSampler of {self.env.id}: {self.description}>"

    @property
    def description(self) -> str:
        """Words for the place where episodes run, and for the reason why not in compiled kernels."""
        n = self._runner.n_lanes
        each = f"each of {self.n_workers} worker processes" if self.n_workers > 1 else "a worker process"
        where = each if self.n_workers > 1 or self.own_process else "this process"
        side_by_side = "1 to 16 environments" if n is None else f"{n} environment{'s' if n > 1 else ''}"
        cap = f", for at most {self.env.max_steps:,} steps as it has no time limit" if self.env.is_capped else ""
        return f"in Python ({self.env.reason}), {side_by_side} in {where}{cap}"

    def evaluate(
        self,
        weights: FloatArray | Candidates,
        filter: Filter,
        seeds: SeedArray,
        track: bool,
        reward_weights: Any = None,
        on_failure: OnFailure = log_failure,
    ) -> Rollouts:
        """Run every episode, as `Sampler.evaluate` describes.

        Raises
        ------
        WorkerError
            If a worker process can't make its environment, or if workers are killed again and again.
        ValueError
            If `reward_weights` are not n_tasks finite numbers, or are given where the reward is a number.
        """
        n, m = len(weights), len(seeds)
        checked = task_weights(reward_weights, self.env.n_tasks)
        frozen = Filter(np.array(filter.mean, np.float64), np.array(filter.scale, np.float64), float(filter.clip))
        rows, attempts = np.arange(m) // (m // max(n, 1) or 1), np.zeros(m, np.int64)
        own = weights if isinstance(weights, Candidates) else np.array(weights, np.float64)
        batch = Batch(frozen, track, own, rows, seeds, attempts, checked)
        n_failures = 0

        def report(episode: int, attempt: int, text: str, error: BaseException | None = None) -> None:
            nonlocal n_failures
            n_failures += 1
            on_failure(Failure(episode, int(seeds[episode]), attempt, attempt >= ATTEMPTS, text, error))

        with HeldSignals(), IeeeFloats():
            rollouts = self._runner.run(batch, report)
        return rollouts._replace(n_failures=n_failures)

    def start(self, wait: bool = False) -> None:
        """Start the worker processes, if there are any, so that they make their environments while this one does other things.

        Parameters
        ----------
        wait : bool
            True if the call returns only when they are ready. It then raises the errors of `evaluate` if they can't start.
        """
        self._runner.start(wait)

    def close(self) -> None:
        """Close the environments that were made here, and end the worker processes. `evaluate` makes new ones."""
        self._runner.close()
