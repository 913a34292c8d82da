"""The Ray actors of a sampler: start as many as are wanted and fit into the cluster, and replace lost ones."""

from __future__ import annotations

import contextlib
import math
import time
import weakref
from collections.abc import Iterator
from typing import Any

from fastars.envs import WorkerError
from fastars.samplers.ray.actor import Actor, Here, versions
from fastars.samplers.ray.evaluation import Span

_LOOK_SECONDS = 1.0  # between two looks at the cluster
_START_SECONDS = 120.0  # until one of the actors must be ready
_MAX_LOSSES = 10  # of actors, with no task finished between them
_PATIENCE = 60.0  # seconds without a finished task, after so many losses


class Worker:
    """An actor, its node, and the tasks that it has."""

    def __init__(self, actor: Any) -> None:
        self.actor = actor
        self.greeting = actor.here.remote()
        self.node = ""  # until it is ready
        self.table: Any = None  # reference to the noise table that its tasks read
        self.tasks: dict[Any, Span | None] = {}  # by reference, in their order; None: nobody waits for the result any more
        self.since = time.monotonic()  # about the time from which the first task runs


class Actors:
    """The actors of a sampler.

    Parameters
    ----------
    ray : module
    order : bytes
        The arguments of `make_sampler` in each actor, pickled.
    n_wanted : int, optional
        Number of actors. Default: as many as the CPUs of the cluster allow, also when it grows or shrinks.
    n_cpus : int
        CPUs of each.
    """

    def __init__(self, ray: Any, order: bytes, n_wanted: int | None, n_cpus: int) -> None:
        self._ray, self._order, self._n_wanted, self._n_cpus = ray, order, n_wanted, n_cpus
        self._all: list[Worker] = []
        self._next_look = -math.inf
        self._greeted, self._since = False, math.inf  # True once an actor was ready, and the time when one last was
        self._n_losses, self._progress = 0, 0.0  # actors lost since a task was finished, and the time of that
        self.n_lost = 0  # actors, in all
        weakref.finalize(self, _end, ray, self._all)

    def __iter__(self) -> Iterator[Worker]:
        return iter(self._all)

    @property
    def ready(self) -> list[Worker]:
        """The actors that are ready for tasks."""
        return [worker for worker in self._all if worker.node]

    def end(self) -> None:
        """End all actors; `look` starts new ones."""
        _end(self._ray, self._all)
        self.forget()

    def forget(self) -> None:
        """Forget all actors: their cluster is gone."""
        self._all.clear()
        self._next_look, self._greeted = -math.inf, False

    def look(self) -> None:
        """Start actors, or end some that are not ready, as the cluster grows and shrinks.

        Raises
        ------
        WorkerError
            If the cluster has no place for an actor, or if none is ready for two minutes.
        """
        now = time.monotonic()
        if now < self._next_look:
            return
        self._next_look = now + _LOOK_SECONDS
        n_cpus = [node["Resources"].get("CPU", 0.0) for node in self._ray.nodes() if node["Alive"]]
        n_fitting = sum(int(n // self._n_cpus) for n in n_cpus)
        if n_fitting == 0 and not self._greeted:  # nodes that were there may come back
            most = max(n_cpus, default=0)
            raise WorkerError(f"no node of the Ray cluster has {self._n_cpus} CPUs for an actor: the largest has {most:g}")
        n_wanted = n_fitting if self._n_wanted is None else self._n_wanted
        waiting = [worker for worker in self._all if not worker.node]
        for worker in waiting[: max(len(self._all) - n_wanted, 0)]:
            self._all.remove(worker)
            self._ray.kill(worker.actor)
        while len(self._all) < n_wanted:
            self._all.append(self._new())
        self._since = now if self.ready else min(self._since, now)
        if now > self._since + _START_SECONDS:
            free = self._ray.available_resources().get("CPU", 0.0)
            raise WorkerError(
                f"no actor was ready for {_START_SECONDS:g} s: of the {sum(n_cpus):g} CPUs of the Ray cluster, {free:g} are free; "
                "another model has its actors until close()"
            )

    def greet(self, worker: Worker, here: Here) -> None:
        """Note that an actor is ready.

        Raises
        ------
        WorkerError
            If it has other versions than this process, or can't make its environment.
        """
        if here.broken:
            raise WorkerError(f"a Ray actor could not make its environment:\n{here.broken}")
        ours = versions()
        if different := [name for name in ours if here.versions.get(name) != ours[name]]:
            each = ", ".join(f"{name} {here.versions.get(name)} there and {ours[name]} here" for name in different)
            raise WorkerError(f"results would depend on where episodes run: a node of the Ray cluster has {each}")
        worker.node, self._greeted = here.node, True

    def progress(self) -> None:
        """Note that a task is finished, or that an evaluation begins."""
        self._n_losses, self._progress, self._since = 0, time.monotonic(), math.inf

    def lose(self, worker: Worker, error: Exception) -> None:
        """Forget a lost actor; `look` starts another one.

        Raises
        ------
        WorkerError
            If it could not start at all, or if actors are lost again and again.
        """
        self._all.remove(worker)
        with contextlib.suppress(Exception):
            self._ray.kill(worker.actor)
        if "creation task" in str(error):  # it would not start anywhere: fastars is missing there, or older
            raise WorkerError(f"a Ray actor could not start: is this fastars on every node of the cluster? {error}") from error
        self.n_lost += 1
        self._next_look = -math.inf
        self.set_back(worker, error)

    def set_back(self, worker: Worker, error: Exception) -> None:
        """Note that an actor was lost, or data that its task needed.

        Raises
        ------
        WorkerError
            If that happens again and again, or to an actor that starts.
        """
        if not isinstance(error, self._ray.exceptions.RayActorError) and not worker.node:
            raise WorkerError(f"a Ray actor could not start: {error}") from error
        self._n_losses += 1
        if self._n_losses >= _MAX_LOSSES and time.monotonic() > self._progress + _PATIENCE:
            raise WorkerError(
                f"Ray lost actors or their data {self._n_losses} times in {_PATIENCE:g} s, and no task was finished: {error}"
            ) from error

    def _new(self) -> Worker:
        actor = self._ray.remote(num_cpus=self._n_cpus, max_restarts=0)(Actor)
        return Worker(actor.remote(self._order))


def _end(ray: Any, workers: list[Worker]) -> None:
    if ray.is_initialized():
        for worker in workers:
            with contextlib.suppress(Exception):
                ray.kill(worker.actor)
    workers.clear()
