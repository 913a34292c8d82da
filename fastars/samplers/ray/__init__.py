"""Candidates evaluated by Ray actors, on this machine or on many.

An episode is a pure function of its candidate, its seed and the filter. So it does not matter which actor runs it, how often, and
when: a task that was lost with its actor, or that keeps the others waiting, is given to another one, and the first result counts.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import cloudpickle
import numpy as np

from fastars._compiled.structs import Filter, FloatArray, Rollouts, SeedArray
from fastars._imports import need
from fastars.envs import CompiledEnv, UnsupportedEnvError
from fastars.envs.env_tuple import EnvTuple
from fastars.envs.gym import GymEnv
from fastars.samplers.gym import Failure, log_failure
from fastars.samplers.perturbed import Perturbed
from fastars.samplers.ray.actor import Common, Here, Result
from fastars.samplers.ray.actors import LOOK_SECONDS, Actors, Worker
from fastars.samplers.ray.cluster import connect
from fastars.samplers.ray.evaluation import Evaluation, Span, episode_seconds, task_size

_AHEAD = 2  # tasks that an actor has at a time: it need not wait for the next one
_LATE = 4.0  # times what a task should take, after which an idle actor gets it, too
_LATE_SECONDS = 1.0  # and at least


class RaySampler:
    """Runs the episodes of an environment in Ray actors. The results depend neither on their number nor on what becomes of them.

    Parameters
    ----------
    env : CompiledEnv, GymEnv or EnvTuple
    policy : LinearPolicy or MlpPolicy
    clip_actions, squash_output : bool
    n_workers : int, optional
        Actors. Default: as many as the CPUs of the cluster allow, also when it grows or shrinks.
    n_threads : int
        CPUs of an actor: threads for a compiled environment, processes for one in Python.
    env_timeout : float, optional
        Seconds that a call of an environment in Python may take.

    Attributes
    ----------
    n_failures, n_restarts : int
        Attempts at an episode that failed; actors, and processes of theirs, that were replaced.
    on_failure : callable
        Called with a `Failure`. Default: logs it.
    """

    takes_perturbed = True

    def __init__(
        self,
        env: CompiledEnv | GymEnv | EnvTuple,
        policy: Any,
        clip_actions: bool = True,
        squash_output: bool = False,
        n_workers: int | None = None,
        n_threads: int = 1,
        env_timeout: float | None = 60.0,
    ) -> None:
        self.env, self.n_workers, self.n_threads = env, n_workers, n_threads
        self.n_failures = self._n_restarts = 0
        self.on_failure: Callable[[Failure], None] = log_failure
        arguments = {"policy": policy, "clip_actions": clip_actions, "squash_output": squash_output, "apart": True}
        self._order = _order(env, arguments | {"n_threads": n_threads, "n_workers": n_threads, "env_timeout": env_timeout})
        self._episode_seconds: float | None = None
        self._begin()

    def _begin(self) -> None:
        self._ray = need("ray", "ray", 'sampler="ray"')
        self._actors = Actors(self._ray, self._order, self.n_workers, self.n_threads)
        self._cluster = ""
        self._tables: dict[str, Any] = {}  # references to the noise table, by node
        self._table_key = (0, 0)

    def __getstate__(self) -> dict[str, Any]:
        """A copy has actors of its own."""
        left = "_ray", "_actors", "_cluster", "_tables", "_table_key"
        return {name: value for name, value in vars(self).items() if name not in left} | {"_n_restarts": self.n_restarts}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._begin()

    def __repr__(self) -> str:
        return f"<RaySampler of {self.env.id}: {self.description}>"

    @property
    def n_restarts(self) -> int:
        """Actors, and processes of theirs, that were replaced."""
        return self._n_restarts + self._actors.n_lost

    @property
    def description(self) -> str:
        """Where episodes run."""
        n_cpus = f"{self.n_threads} CPU{'s' if self.n_threads > 1 else ''}"
        return f"on Ray, in {'as many actors as fit' if self.n_workers is None else f'{self.n_workers} actors'} of {n_cpus}"

    def close(self) -> None:
        """End the actors. `evaluate` starts others."""
        self._actors.end()

    def evaluate(
        self, weights: FloatArray | Perturbed, filter: Filter, seeds: SeedArray, track: bool, reward_weights: Any = None
    ) -> Rollouts:
        """Run every episode; the arguments are those of `Sampler`.

        Raises
        ------
        WorkerError
            If the cluster has no place for an actor, if an actor has other versions than this process or can't make its
            environment, or if actors are lost again and again.
        """
        self._connect()
        work = Evaluation(weights, filter, seeds, track, self.env.n_tasks)
        is_perturbed = isinstance(weights, Perturbed)
        theta, sigma = (weights.theta[np.newaxis], weights.sigma) if isinstance(weights, Perturbed) else (weights, 0.0)
        if isinstance(weights, Perturbed) and self._table_key != (key := (weights.table.seed, weights.table.size)):
            self._tables.clear()
            self._table_key = key
        common = self._ray.put(Common(np.asarray(theta), sigma, filter, track, reward_weights))
        self._actors.progress()
        try:
            while not work.is_done:
                self._actors.look()
                self._deal(work, common, is_perturbed)
                self._listen(work)
        finally:
            for worker in self._actors:  # what still runs was done by somebody else, or is not wanted any more
                worker.tasks = dict.fromkeys(worker.tasks)
        return work.out

    def _connect(self) -> None:
        cluster = connect(self._ray)
        if cluster != self._cluster:  # another one than before, which knows of no actors
            self._actors.forget()
            self._tables.clear()
            self._cluster = cluster

    # --- Tasks go out

    def _deal(self, work: Evaluation, common: Any, needs_table: bool) -> None:
        """Give tasks to actors that have too few."""
        ready = self._actors.ready
        for n_tasks in range(_AHEAD):
            for worker in ready:
                if len(worker.tasks) == n_tasks and work.n_waiting:
                    span = work.take(task_size(work.n_waiting, len(ready), self.n_threads, self._episode_seconds))
                    self._send(worker, work, span, common, needs_table)
        if not work.n_waiting:
            idle = [worker for worker in ready if not worker.tasks]
            for worker, span in zip(idle, list(self._late(work)), strict=False):
                self._send(worker, work, span, common, needs_table)

    def _send(self, worker: Worker, work: Evaluation, span: Span, common: Any, needs_table: bool) -> None:
        worker.table = self._table(worker) if needs_table else None
        if not worker.tasks:
            worker.since = time.monotonic()
        worker.tasks[worker.actor.run.remote(common, work.part(span), worker.table)] = span

    def _table(self, worker: Worker) -> Any:
        """The noise table of a node, which the first of its actors fills."""
        if worker.node not in self._tables:
            self._tables[worker.node] = worker.actor.noise_table.remote(*self._table_key)
        return self._tables[worker.node]

    def _late(self, work: Evaluation) -> Iterator[Span]:
        """The episodes of tasks that should have been done long since, and that a single actor has."""
        now = time.monotonic()
        slow = [worker for worker in self._actors if worker.tasks and now - worker.since > _LATE_SECONDS]
        if not slow:
            return
        n_actors = Counter(span for worker in self._actors for span in worker.tasks.values())
        for worker in slow:
            for span in worker.tasks.values():
                if span is None or work.has(span) or n_actors[span] > 1:
                    continue
                n_rounds = math.ceil((span[1] - span[0]) / self.n_threads)
                if now - worker.since > _LATE * n_rounds * (self._episode_seconds or math.inf):
                    yield span

    # --- Results come back

    def _listen(self, work: Evaluation) -> None:
        """Hear of tasks that are done, and of actors that are ready or lost."""
        by_reference = {reference: worker for worker in self._actors for reference in worker.tasks}
        by_reference |= {worker.greeting: worker for worker in self._actors if not worker.node}
        done, others = self._ray.wait(list(by_reference), num_returns=1, timeout=LOOK_SECONDS)
        if done and others:  # a burst of results costs one look at the actors
            done += self._ray.wait(others, num_returns=len(others), timeout=0)[0]
        for reference in done:
            self._hear(by_reference[reference], reference, work)

    def _hear(self, worker: Worker, reference: Any, work: Evaluation) -> None:
        span = worker.tasks.pop(reference, None)
        try:
            answer = self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            self._miss(worker, span, error, work)
            return
        if isinstance(answer, Here):
            self._actors.greet(worker, answer)
            return
        worker.since = time.monotonic()
        self._actors.progress()
        if span is not None and not work.has(span):
            self._keep(span, answer, work)

    def _miss(self, worker: Worker, span: Span | None, error: Exception, work: Evaluation) -> None:
        """There is no result: the actor is gone, or what the task needed, or it failed."""
        errors = self._ray.exceptions
        gone = errors.RayActorError, errors.ObjectLostError, errors.NodeDiedError, errors.OutOfMemoryError
        if isinstance(error, errors.RayTaskError) and not isinstance(error.cause, gone):
            if span is None and worker.node:  # of a task that nobody waits for
                return
            raise error.cause from error
        if self._tables.get(worker.node) is worker.table:  # the actor was filling it, or waited for the one that did
            self._tables.pop(worker.node, None)
        spans = [span]
        if isinstance(error, errors.RayActorError) and not isinstance(error, errors.RayTaskError):
            spans += worker.tasks.values()
            worker.tasks.clear()
            if worker in self._actors:  # it is the first to hear of it
                self._actors.lose(worker, error)
        else:
            self._actors.set_back(worker, error)
        elsewhere = {other for actor in self._actors for other in actor.tasks.values()}
        for lost in spans:
            if lost is not None and lost not in elsewhere:
                work.put_back(lost)

    def _keep(self, span: Span, result: Result, work: Evaluation) -> None:
        each = episode_seconds(result.seconds, span[1] - span[0], self.n_threads)
        self._episode_seconds = each if self._episode_seconds is None else (self._episode_seconds + each) / 2
        self._n_restarts += result.n_restarts
        work.write(span, result.rollouts)
        for failure in result.failures:
            self.n_failures += 1
            self.on_failure(failure._replace(episode=span[0] + failure.episode))


def _order(env: Any, arguments: dict[str, Any]) -> bytes:
    """The arguments of `make_sampler` as they travel to actors."""
    try:
        return cloudpickle.dumps({"env": _portable(env), **arguments})
    except UnsupportedEnvError:
        raise
    except Exception as error:  # whatever an object raises when it is pickled
        raise UnsupportedEnvError(
            f"env {env.id!r} can't be sent to Ray actors ({type(error).__name__}: {error}): give its id, or a function that makes "
            "all it needs"
        ) from error


def _portable(env: Any) -> Any:
    """An environment without one that was given, of which a copy can be made."""
    if isinstance(env, EnvTuple):
        return env._replace(envs=tuple(map(_portable, env.envs)))
    return env._replace(make=env.maker(), env=None) if isinstance(env, GymEnv) else env
