"""The sampler that deals episodes to Ray actors.

The results of an episode depend on its candidate, its seed and the filter alone. So it does not matter which actor runs it, how
often, and when: a task that was lost with its actor, or that keeps the others waiting, is given to another actor, and the first
result counts.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np

from fastars._compiled.structs import Filter, FloatArray, Rollouts, SeedArray
from fastars._imports import need
from fastars._runtime.signals import HeldSignals, OpenSignals, let_signals_in
from fastars.envs import CompiledEnv
from fastars.envs.env_tuple import EnvTuple
from fastars.envs.gym import GymEnv
from fastars.samplers.candidates import Candidates
from fastars.samplers.failure import OnFailure, log_failure
from fastars.samplers.ray.actor import Common, Here, Result
from fastars.samplers.ray.actors import Actors, Worker
from fastars.samplers.ray.cluster import connect
from fastars.samplers.ray.evaluation import Evaluation, Span, episode_seconds, episodes_at_once, task_size
from fastars.samplers.ray.node_tables import NodeTables
from fastars.samplers.ray.order import pickled_order

_LISTEN_SECONDS = 0.2  # between two looks at signals, while no actor has a result
_AHEAD = 2  # tasks that an actor has at a time: it need not wait for the next one
_LATE = 4.0  # an idle actor gets a task too, after so many times the expected time of the task ...
_LATE_SECONDS = 1.0  # ... and at least so many seconds


class RaySampler:
    """Runs the episodes of an environment in Ray actors. The results depend neither on their number nor on how often one is lost.

    Parameters
    ----------
    env : CompiledEnv, GymEnv or EnvTuple
    policy : LinearPolicy or MlpPolicy
    clip_actions, squash_output : bool
    n_workers : int, optional
        Actors. Default: as many as the CPUs of the cluster allow, also when it grows or shrinks.
    n_threads : int
        CPUs of an actor: threads for a compiled environment, processes for an environment in Python.
    env_timeout : float, optional
        Seconds that a call of an environment in Python may take. None: no limit.
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
        self._n_places = episodes_at_once(env, n_threads)
        arguments = {"policy": policy, "clip_actions": clip_actions, "squash_output": squash_output, "own_process": True}
        self._order = pickled_order(env, arguments | {"n_threads": n_threads, "n_workers": n_threads, "env_timeout": env_timeout})
        self._episode_seconds: float | None = None
        self._begin()

    def _begin(self) -> None:
        self._ray = need("ray", "ray", 'sampler="ray"')
        self._actors = Actors(self._ray, self._order, self.n_workers, self.n_threads)
        self._cluster = ""
        self._tables = NodeTables()

    def __getstate__(self) -> dict[str, Any]:
        """Return the state without actors: a copy starts its own."""
        left = "_ray", "_actors", "_cluster", "_tables"
        return {name: value for name, value in vars(self).items() if name not in left}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._begin()

    def __repr__(self) -> str:
        return f"<RaySampler of {self.env.id}: {self.description}>"

    @property
    def description(self) -> str:
        """Words for the place where episodes run."""
        n_cpus = f"{self.n_threads} CPU{'s' if self.n_threads > 1 else ''}"
        return f"on Ray, in {'as many actors as fit' if self.n_workers is None else f'{self.n_workers} actors'} of {n_cpus}"

    def start(self, wait: bool = False) -> None:
        """Do nothing: `evaluate` starts the actors when it has work, so that a waiting model keeps no CPU of the cluster."""

    def close(self) -> None:
        """End the actors. `evaluate` starts new ones."""
        self._actors.end()

    def evaluate(
        self,
        weights: FloatArray | Candidates,
        filter: Filter,
        seeds: SeedArray,
        track: bool,
        reward_weights: Any = None,
        on_failure: OnFailure = log_failure,
    ) -> Rollouts:
        """Run every episode, as `Sampler.evaluate` describes. `n_restarts` also counts actors that were replaced.

        Raises
        ------
        WorkerError
            If the cluster has no place for an actor, if an actor has other versions than this process or can't make its
            environment, or if actors are lost again and again.
        """
        self._connect()
        work = Evaluation(weights, filter, seeds, track, self.env.n_tasks, on_failure)
        theta, sigma = (weights.theta[np.newaxis], weights.sigma) if isinstance(weights, Candidates) else (weights, 0.0)
        if isinstance(weights, Candidates):
            self._tables.use(weights.table)
        with HeldSignals():
            common = self._ray.put(Common(np.asarray(theta), sigma, filter, track, reward_weights))
            return self._run(work, common)

    def _run(self, work: Evaluation, common: Any) -> Rollouts:
        """Let actors run all episodes of an evaluation."""
        n_lost = self._actors.n_lost
        self._actors.progress()
        try:
            while not work.is_done:
                self._actors.look()
                self._deal(work, common)
                self._listen(work)
                let_signals_in()
        finally:
            for worker in self._actors:  # another actor did what still runs, or nobody needs it any more
                worker.tasks = dict.fromkeys(worker.tasks)
        return work.results(n_lost_actors=self._actors.n_lost - n_lost)

    def _connect(self) -> None:
        with OpenSignals():  # Ray may start, which takes seconds
            cluster = connect(self._ray)
        if cluster != self._cluster:  # it does not know the actors of an earlier cluster
            self._actors.forget()
            self._tables.clear()
            self._cluster = cluster

    # --- Tasks go out

    def _deal(self, work: Evaluation, common: Any) -> None:
        """Give tasks to actors that have too few."""
        ready = self._actors.ready
        for n_tasks in range(_AHEAD):
            for worker in ready:
                if len(worker.tasks) == n_tasks and work.n_waiting:
                    span = work.take(task_size(work.n_waiting, len(ready), self._n_places, self._episode_seconds))
                    self._send(worker, work, span, common)
        if not work.n_waiting:
            idle = [worker for worker in ready if not worker.tasks]
            for worker, span in zip(idle, list(self._late(work)), strict=False):
                self._send(worker, work, span, common)

    def _send(self, worker: Worker, work: Evaluation, span: Span, common: Any) -> None:
        worker.table = self._tables.reference(worker) if work.needs_table else None
        if not worker.tasks:
            worker.since = time.monotonic()
        worker.tasks[worker.actor.run.remote(common, work.part(span), worker.table)] = span

    def _late(self, work: Evaluation) -> Iterator[Span]:
        """Yield the episodes of tasks that are late, and that only one actor has."""
        now = time.monotonic()
        slow = [worker for worker in self._actors if worker.tasks and now - worker.since > _LATE_SECONDS]
        if not slow:
            return
        n_actors = Counter(span for worker in self._actors for span in worker.tasks.values())
        for worker in slow:
            for span in worker.tasks.values():
                if span is None or work.has(span) or n_actors[span] > 1:
                    continue
                n_rounds = math.ceil((span[1] - span[0]) / self._n_places)
                if now - worker.since > _LATE * n_rounds * (self._episode_seconds or math.inf):
                    yield span

    # --- Results come back

    def _listen(self, work: Evaluation) -> None:
        """Receive the results of tasks, and the greetings of actors that are ready."""
        by_reference = {reference: worker for worker in self._actors for reference in worker.tasks}
        by_reference |= {worker.greeting: worker for worker in self._actors if not worker.node}
        done, others = self._ray.wait(list(by_reference), num_returns=1, timeout=_LISTEN_SECONDS)
        if done and others:  # many results at once cost one look at the actors
            done += self._ray.wait(others, num_returns=len(others), timeout=0)[0]
        for reference in done:
            self._receive(by_reference[reference], reference, work)

    def _receive(self, worker: Worker, reference: Any, work: Evaluation) -> None:
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
        """Handle a task without a result: its actor is lost, or data that it needed, or it raised an exception."""
        errors = self._ray.exceptions
        lost = errors.RayActorError, errors.ObjectLostError, errors.NodeDiedError, errors.OutOfMemoryError
        if isinstance(error, errors.RayTaskError) and not isinstance(error.cause, lost):
            if span is None and worker.node:  # nobody waits for this task
                return
            raise error.cause from error
        self._tables.drop(worker)
        spans = [span]
        if isinstance(error, errors.RayActorError) and not isinstance(error, errors.RayTaskError):
            spans += worker.tasks.values()
            worker.tasks.clear()
            if worker in self._actors:  # the first task that tells of it
                self._actors.lose(worker, error)
        else:
            self._actors.set_back(worker, error)
        elsewhere = {other for actor in self._actors for other in actor.tasks.values()}
        for missed in spans:
            if missed is not None and missed not in elsewhere:
                work.put_back(missed)

    def _keep(self, span: Span, result: Result, work: Evaluation) -> None:
        each = episode_seconds(result.seconds, span[1] - span[0], self._n_places)
        self._episode_seconds = each if self._episode_seconds is None else (self._episode_seconds + each) / 2
        work.write(span, result.rollouts)
        work.tell(span, result.failures)
