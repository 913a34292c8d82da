"""A model of an iteration on Ray: one driver that deals tasks, actors that run them, the noise summed at the end.

Events follow each other as in `fastars.samplers.ray`: an actor has two tasks at a time; the driver does one thing at a time. What
each thing costs is measured (`bench.ray_scaling`), how long episodes take is given.
"""

import heapq
from collections import deque
from typing import NamedTuple

import numpy as np

from fastars.samplers.ray.evaluation import task_size

AHEAD = 2  # tasks that an actor has at a time


class Costs(NamedTuple):
    """Costs of the parts of an iteration, in seconds, and a bandwidth in bytes per second."""

    begin: float = 0.0  # of the driver, before its first task
    send: float = 0.0  # of the driver, for a task
    hear: float = 0.0  # of the driver, for a result
    look: float = 0.0  # of the driver, for a result and each task that is out at that time
    episode: float = 0.0  # of the driver, for an episode in a result
    way: float = 0.0  # of a message, there or back
    work: float = 0.0  # of an actor, for a task, besides its episodes
    fetch: float = 0.0  # of a node that gets theta, whatever its size
    bandwidth: float = np.inf  # bytes per second, of the driver's node, which all others get theta from
    end: float = 0.0  # of the driver, after the last result: moments merged, noise summed, log


class Cluster(NamedTuple):
    """The actors and nodes that run episodes."""

    n_actors: int
    n_threads: int = 1  # of an actor
    n_nodes: int = 1  # several: others than the driver's
    n_cpus: float = np.inf  # in all: actors that have fewer CPUs than threads are slower by that


class Iteration(NamedTuple):
    """Times of an iteration, in seconds."""

    total: float
    dealt: float  # when the last task was sent
    last: float  # when the last result was heard
    n_tasks: int


def iteration(episodes: np.ndarray, cluster: Cluster, costs: Costs, n_bytes: float = 0.0) -> Iteration:
    """Return the times of an iteration from the seconds of its episodes, in order, and the bytes of theta and filter."""
    slower = max(cluster.n_actors * cluster.n_threads / cluster.n_cpus, 1.0)
    each = slower * float(np.mean(episodes))  # as the sampler has found it in the iterations before
    free, results = _arrivals(len(episodes), cluster, costs, n_bytes), []
    now, first, n_tasks, dealt = costs.begin, 0, 0, 0.0
    to_fill = deque(actor for _ in range(AHEAD) for actor in range(cluster.n_actors))
    while to_fill or results:
        while to_fill:
            actor = to_fill.popleft()
            if first == len(episodes):
                continue
            last = min(first + task_size(len(episodes) - first, cluster.n_actors, cluster.n_threads, each), len(episodes))
            now += costs.send
            start = max(free[actor], now + costs.way)
            free[actor] = start + costs.work + slower * makespan(episodes[first:last], cluster.n_threads)
            heapq.heappush(results, (free[actor] + costs.way, actor, last - first))
            first, n_tasks, dealt = last, n_tasks + 1, now
        if results:
            at, actor, n = heapq.heappop(results)
            now = max(now, at) + costs.hear + costs.look * (len(results) + 1) + costs.episode * n
            to_fill.append(actor)
    return Iteration(now + costs.end, dealt, now, n_tasks)


def _arrivals(n_episodes: int, cluster: Cluster, costs: Costs, n_bytes: float) -> list[float]:
    """Return the time at which an actor has theta. One node sends it to all others with tasks, which share its bandwidth."""
    n_nodes = min(cluster.n_nodes, -(-n_episodes // cluster.n_threads))
    sent = costs.fetch + n_nodes * n_bytes / costs.bandwidth if cluster.n_nodes > 1 else 0.0
    return [costs.begin + sent] * cluster.n_actors


def makespan(episodes: np.ndarray, n_threads: int) -> float:
    """Return the seconds until all episodes are done. The first free thread begins the next one."""
    if n_threads == 1:
        return float(np.sum(episodes))
    threads = [0.0] * min(n_threads, len(episodes))
    for seconds in episodes:
        heapq.heapreplace(threads, threads[0] + seconds)
    return max(threads)
