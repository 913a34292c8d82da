"""Number of actors that are started, and errors if no node has room for one, on a simulated cluster.

Broken on purpose -> red: places counted over the cluster, or on dead nodes, too (`as_many`, `a_cpu_that`); nodes that went not
waited for, or without end, or the time not begun anew by another evaluation (`nodes_that_went`, `leave_no_cpu`); actors that find
no place any more kept (`follow`); an error in a greeting taken for a loss (`can_start_nowhere`); losses without a limit
(`without_end`).
"""

import time
from types import SimpleNamespace

import pytest

from fastars.envs import WorkerError

ray = pytest.importorskip("ray", reason='Ray is not installed: pip install "fastars[ray]"')
from fastars.samplers.ray import actors  # noqa: E402
from fastars.samplers.ray.actor import Here, versions  # noqa: E402


class MadeUp:
    """The functions of Ray that `Actors` calls, for nodes with these numbers of CPUs; a negative number is a dead node."""

    exceptions = ray.exceptions

    def __init__(self, *n_cpus):
        self.n_cpus, self.killed = n_cpus, 0

    def nodes(self):
        return [{"Alive": n > 0, "Resources": {"CPU": float(abs(n))}} for n in self.n_cpus]

    def available_resources(self):
        return {}

    def is_initialized(self):
        return True

    def kill(self, actor):
        self.killed += 1

    def remote(self, **arguments):
        made = SimpleNamespace(here=SimpleNamespace(remote=object))
        return lambda kind: SimpleNamespace(remote=lambda order: made)


@pytest.fixture
def clock(monkeypatch):
    now = SimpleNamespace(seconds=1000.0)
    monkeypatch.setattr(time, "monotonic", lambda: now.seconds)
    return now


def after(clock, seconds, made):
    clock.seconds += seconds
    made.look()
    return len(list(made))


def ready(made):
    for worker in made:
        made.greet(worker, Here("node", versions(), ""))


@pytest.mark.parametrize(
    ("n_cpus", "n_wanted", "n_of_actor", "n_actors"),
    [((3, 3), None, 2, 2), ((3, 3), None, 1, 6), ((2, -2), None, 1, 2), ((3, 3), 1, 2, 1), ((1, 4), None, 4, 1), ((2,), 3, 1, 3)],
)
def test_as_many_actors_are_started_as_the_nodes_have_place_for(clock, n_cpus, n_wanted, n_of_actor, n_actors):
    made = actors.Actors(MadeUp(*n_cpus), b"", n_wanted, n_of_actor)
    made.progress()
    assert after(clock, 0, made) == n_actors


def test_a_cpu_that_no_node_has_is_said_at_once(clock):
    made = actors.Actors(MadeUp(3, 3), b"", None, 4)
    made.progress()
    with pytest.raises(WorkerError, match="no node of the Ray cluster has 4 CPUs for an actor: the largest has 3"):
        made.look()


def test_actors_follow_the_nodes(clock):
    cluster = MadeUp(2)
    made = actors.Actors(cluster, b"", None, 1)
    made.progress()
    assert after(clock, 0, made) == 2
    ready(made)
    cluster.n_cpus = (2, 2)
    assert after(clock, 0.5, made) == 2  # a look a second
    assert after(clock, 1.0, made) == 4
    cluster.n_cpus = (2, 1)
    assert after(clock, 2.0, made) == 3
    assert (len(made.ready), cluster.killed) == (2, 1)


def test_nodes_that_went_are_waited_for(clock):
    """All of them may be taken away and come back, where they are cheap."""
    cluster = MadeUp(2)
    made = actors.Actors(cluster, b"", None, 1)
    made.progress()
    made.look()
    ready(made)
    for worker in list(made):
        made.lose(worker, ray.exceptions.ActorDiedError())
    cluster.n_cpus = ()
    assert after(clock, 1.0, made) == 0
    assert after(clock, 119.0, made) == 0
    with pytest.raises(WorkerError, match=r"no actor was ready for 120 s: of the 0 CPUs of the Ray cluster, 0 are free"):
        after(clock, 2.0, made)
    made.progress()  # another evaluation
    assert after(clock, 2.0, made) == 0


def test_actors_that_others_leave_no_cpu_for_are_waited_for_in_vain(clock):
    made = actors.Actors(MadeUp(2), b"", None, 1)
    made.progress()
    assert after(clock, 0, made) == 2
    assert after(clock, 120.0, made) == 2
    with pytest.raises(
        WorkerError, match=r"of the 2 CPUs of the Ray cluster, 0 are free; another model has its actors until close"
    ):
        after(clock, 2.0, made)


def test_an_actor_that_can_start_nowhere_is_said_at_once(clock):
    made = actors.Actors(MadeUp(2), b"", None, 1)
    made.look()
    with pytest.raises(WorkerError, match="a Ray actor could not start: Failed to set up runtime environment"):
        made.set_back(next(iter(made)), ray.exceptions.RuntimeEnvSetupError("no such package"))


def test_losses_without_end_are_an_error(clock):
    made = actors.Actors(MadeUp(2), b"", None, 1)
    made.progress()
    for _ in range(10):
        clock.seconds += 7.0
        made.look()
        ready(made)
        lost = next(iter(made))
        if _ < 9:
            made.lose(lost, ray.exceptions.ActorDiedError())
    with pytest.raises(WorkerError, match="lost actors or their data 10 times in 60 s"):
        made.lose(lost, ray.exceptions.ActorDiedError())
    made.progress()
    made.look()
    made.lose(next(iter(made)), ray.exceptions.ActorDiedError())
