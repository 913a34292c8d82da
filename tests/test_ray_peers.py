"""Episodes in Ray actors: a real Ray on this machine, without a dashboard, on loopback only.

Broken on purpose -> red: results put where they arrive (`is_that_of_a_local_run`); a table for each actor (`one_table_each`);
tasks of a lost actor forgotten (`killed`); late tasks left to whoever has them (`done_by_another`); the place of an episode in
its task (`failing_episode`); versions not compared (`other_versions`); no look at Ray's token or at its
default, or no word of it (`anybody_may_use`).

Likewise: a task whose table is lost taken for one that failed (`fills_the_table`); a kill from outside blames nobody
(`kills_its_worker`).
"""

import contextlib
import copy
import logging
import os
import pickle
import random
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import faulty_envs
import numpy as np
import pytest

from fastars import ARS
from fastars.envs import UnsupportedEnvError, WorkerError

ray = pytest.importorskip("ray", reason='Ray is not installed: pip install "fastars[ray]"')
from ray_clusters import IGNORED, LOOPBACK, actors, cluster, join, parent, settings, state, trained  # noqa: E402

from fastars.samplers.ray import RaySampler, actor  # noqa: E402
from fastars.samplers.ray.node_tables import NodeTables  # noqa: E402

pytestmark = [pytest.mark.timeout(600), pytest.mark.filterwarnings(*IGNORED)]


@pytest.fixture(scope="module")
def two_nodes():
    """Two CPUs on one node, one on another."""
    with cluster(2, 1) as made:
        yield made


@pytest.mark.promise(14)
@pytest.mark.parametrize(
    ("env", "more", "n_workers"),
    [
        ("CartPole-v1", {}, (None, 1, 2, 3)),
        ("HalfCheetah-v5", {}, (2, 1, 3)),
        ("HalfCheetah-v5", {"physics": "lanes"}, (2, 1, 3)),
        (faulty_envs.Line, {}, (3, 1, 2)),
        ("CartPole-v1", {"policy": "MlpPolicy", "n_eval_episodes": 3}, (2, 1)),
        ("mo-mountaincar-v0", {"weighting": "gradnorm"}, (2, 1)),
        (["CartPole-v1", "CartPole-v0"], {}, (2,)),
    ],
    ids=["compiled", "mujoco", "lanes", "python", "mlp", "tasks", "several"],
)
def test_theta_is_that_of_a_local_run(two_nodes, tally, env, more, n_workers):
    counts = n_workers[: tally.of(1, len(n_workers))]
    local, model = trained(env, **more)
    for n in counts:
        there, model = trained(env, sampler="ray", n_workers=n, **more)
        assert there == local
    tally(f"{model.env_id}: numbers of actors that give the local hash", len(counts), of=len(counts))


def test_evaluations_are_those_of_a_local_model(two_nodes):
    local = trained("CartPole-v1")[1].evaluate(23, seed=5)
    with contextlib.closing(ARS(**settings("CartPole-v1", sampler="ray", n_workers=2))) as model:
        for _ in range(3):
            model.learn(1, reset_num_timesteps=False)
        there = model.evaluate(23, seed=5)
    np.testing.assert_array_equal(there.returns, local.returns)
    np.testing.assert_array_equal(there.lengths, local.lengths)


def test_a_run_moves_from_this_machine_to_ray_and_back(two_nodes, tmp_path):
    _, model = trained("CartPole-v1", iterations=1)
    for k, sampler in enumerate(["ray", "local"]):
        model.save(tmp_path / f"{k}.zip")
        model = ARS.load(tmp_path / f"{k}.zip", sampler=sampler)
        model.learn(1, reset_num_timesteps=False)
        model.close()
    assert state(model) == trained("CartPole-v1", iterations=3)[0]


def test_nodes_hold_one_table_each_however_many_actors_read_it(two_nodes, monkeypatch):
    made = []
    table = NodeTables.reference
    monkeypatch.setattr(NodeTables, "reference", lambda self, worker: made.append((worker.node, ref := table(self, worker))) or ref)
    with contextlib.closing(ARS(**settings("HalfCheetah-v5", sampler="ray", n_workers=3))) as model:
        for _ in range(3):
            model.learn(1, reset_num_timesteps=False)
        nodes = {worker.node: set() for worker in model.sampler._actors}
        n_actors = len(model.sampler._actors.ready)
    for node, reference in made:
        nodes[node].add(reference)
    assert n_actors == 3
    assert [len(references) for references in nodes.values()] == [1, 1]  # of two nodes, though three actors read


# --- What becomes of actors


def until(condition):
    deadline = time.monotonic() + 60.0
    while not (answer := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return answer


def kill_actors(which, rng):
    """Kill one actor, or all of them, as soon as there are any: how many that were."""
    found = until(actors)
    chosen = [rng.choice(found)] if which == "one actor" else found
    for process in chosen:
        os.kill(process, signal.SIGKILL)
    return len(chosen)


@pytest.mark.promise(12)
@pytest.mark.parametrize(
    ("which", "env"), [("one actor", "HalfCheetah-v5"), ("all actors", "HalfCheetah-v5"), ("one actor", faulty_envs.Slow)]
)
def test_actors_that_are_killed_change_no_bit(two_nodes, tally, monkeypatch, which, env):
    n_kills = tally.of(2, 30 if which == "one actor" else 6)  # every 2 s for a minute; where all go, they must first come back
    results, rng = [], random.Random(0)
    keep = RaySampler._keep
    monkeypatch.setattr(RaySampler, "_keep", lambda self, *args: (results.append(time.monotonic()), keep(self, *args)))
    with contextlib.closing(ARS(**settings(env, sampler="ray", n_workers=3))) as model, ThreadPoolExecutor(1) as pool:
        model.learn(1)

        def recovery():
            """Seconds from a kill to the first result after the model has heard of it."""
            time.sleep(2.0)
            n_lost, at = model.worker_restarts, time.monotonic()
            n_lost += kill_actors(which, rng)
            until(lambda: model.worker_restarts >= n_lost)
            n_results = len(results)
            until(lambda: len(results) > n_results)
            return results[n_results] - at

        killer = pool.submit(lambda: [recovery() for _ in range(n_kills)])
        while not killer.done():
            model.learn(1, reset_num_timesteps=False)
        recoveries = killer.result()
        n_iterations, there = model.iteration, state(model)
    assert there == trained(env, iterations=n_iterations)[0]
    name = "HalfCheetah-v5" if env == "HalfCheetah-v5" else "an environment in Python"
    tally(f"{name}: {which} killed, the hash that of a local run", n_kills, of=n_kills)
    tally(f"{name}: {which} killed, the slowest recovery", round(max(recoveries), 1), unit="s")


@pytest.mark.promise(12)
def test_an_actor_killed_while_it_fills_the_table_is_not_waited_for(two_nodes):
    killed = []

    def kill():
        """The one that fills the table of the node with two actors: the other waits for it."""
        while not killed:
            found = {process: parent(process) for process in actors()}
            for process, node in found.items():
                if list(found.values()).count(node) == 2 and b"noise_table" in Path(f"/proc/{process}/cmdline").read_bytes():
                    os.kill(process, signal.SIGKILL)
                    killed.append(process)

    with contextlib.closing(ARS(**settings("CartPole-v1", sampler="ray", n_workers=3, noise_size=1 << 25))) as model:  # 0.3 s
        while len(model.sampler._actors.ready) < 3:
            model.evaluate(8)  # which needs no table
        killer = threading.Thread(target=kill, daemon=True)
        killer.start()
        model.learn(1)
        assert killed
        assert model.worker_restarts == 1
        assert state(model) == trained("CartPole-v1", iterations=1, noise_size=1 << 25)[0]


def test_a_run_goes_on_in_another_connection(two_nodes):
    with contextlib.closing(ARS(**settings("CartPole-v1", sampler="ray", n_workers=2))) as model:
        for _ in range(3):
            model.learn(1, reset_num_timesteps=False)
            ray.shutdown()
            join(two_nodes)
        assert state(model) == trained("CartPole-v1")[0]
        assert model.worker_restarts == 0


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))], ids=["deepcopy", "pickle"])
def test_a_copy_of_a_model_has_actors_of_its_own(two_nodes, copied):
    with contextlib.closing(ARS(**settings("CartPole-v1", sampler="ray", n_workers=1))) as model:
        model.learn(1)
        with contextlib.closing(copied(model)) as other:
            other.learn(1, reset_num_timesteps=False)
            assert other.sampler._actors is not model.sampler._actors
            assert state(other) == trained("CartPole-v1", iterations=2)[0]


def test_what_keeps_the_others_waiting_is_done_by_another(two_nodes, monkeypatch):
    monkeypatch.setattr("fastars.samplers.ray.sampler._LATE_SECONDS", 0.3)
    with contextlib.closing(ARS(**settings("HalfCheetah-v5", sampler="ray", n_workers=3))) as model:
        model.learn(1)
        stopped = actors()[0]
        os.kill(stopped, signal.SIGSTOP)
        try:
            model.learn(1, reset_num_timesteps=False)
            assert Path(f"/proc/{stopped}/stat").read_text().rpartition(")")[2].split()[0] == "T"
        finally:
            os.kill(stopped, signal.SIGCONT)
        assert state(model) == trained("HalfCheetah-v5", iterations=2)[0]


def test_a_failing_episode_is_told_with_its_place_and_its_pair_dropped(two_nodes, caplog):
    env = faulty_envs.Sometimes
    with caplog.at_level(logging.WARNING, logger="fastars"):
        there, model = trained(env, sampler="ray", n_workers=2)
    told = [told_of(record) for record in caplog.records]
    caplog.clear()
    local, here = trained(env)
    assert there == local
    assert (model.env_failures, model.dropped_pairs) == (here.env_failures, here.dropped_pairs)
    assert here.dropped_pairs > 0
    assert sorted(told) == sorted(told_of(record) for record in caplog.records)


@pytest.mark.promise(9)
def test_an_episode_that_kills_its_worker_is_dropped_as_in_a_local_run(two_nodes, tally):
    there, model = trained(partial(faulty_envs.Seldom, faulty_envs.is_killed), 2, seed=1, n_delta=6, sampler="ray", n_workers=2)
    local, here = trained(partial(faulty_envs.Seldom, faulty_envs.raises), 2, seed=1, n_delta=6)
    assert there == local
    assert (model.env_failures, model.dropped_pairs) == (here.env_failures, here.dropped_pairs) == (4, 2)
    tally("pairs dropped on Ray as here, whose episodes killed their workers", 2, of=2)


def told_of(record):
    """Return the log message of a failure, without the file that repeats it."""
    return record.getMessage().partition(";")[0]


# --- What cannot be done is said in a sentence


def test_an_environment_that_cannot_be_made_there_is_said(two_nodes):
    model = ARS(**settings(faulty_envs.OnlyHere, sampler="ray", n_workers=1))
    with contextlib.closing(model), pytest.raises(WorkerError, match=r"(?s)could not make its environment.*not in this process"):
        model.learn(1)


def test_what_cannot_travel_is_refused_at_once(two_nodes):
    env = faulty_envs.Line()
    env.lock = threading.Lock()
    with pytest.raises(UnsupportedEnvError, match="give its id, or a function"):
        ARS(**settings(env, sampler="ray"))


def test_other_versions_there_are_named(two_nodes, monkeypatch):
    monkeypatch.setattr("fastars.samplers.ray.actors.versions", lambda: {**actor.versions(), "numpy": "1.0"})
    model = ARS(**settings("CartPole-v1", sampler="ray", n_workers=1))
    with contextlib.closing(model), pytest.raises(WorkerError, match=rf"has numpy {np.__version__} there and 1\.0 here"):
        model.learn(1)


def test_no_cluster_at_an_address_is_said(monkeypatch):
    from fastars.samplers.ray.cluster import connect

    def init(**arguments):
        raise ConnectionError("ray client connection timeout")

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", init)
    with pytest.raises(WorkerError, match=r"no Ray cluster could be reached at 10\.0\.0\.1:6379: .*timeout"):
        connect(ray, "10.0.0.1:6379")


@pytest.mark.parametrize("address", ["ray://127.0.0.1:10001", "127.0.0.1:1", "nowhere"])
def test_an_address_in_the_environment_is_looked_at_as_one_that_is_given(monkeypatch, address):
    from fastars.samplers.ray.cluster import connect

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(WorkerError, match=r"Ray Client \(ray://\)|no Ray cluster answers at|must be auto or HOST:PORT"):
        connect(ray)


@pytest.mark.parametrize(
    ("host", "mode", "default", "warned"),
    [
        ("10.1.2.3", "disabled", True, True),
        ("10.1.2.3", "token", False, False),
        ("10.1.2.3", None, False, True),  # Ray before it asks every cluster for a token
        ("10.1.2.3", None, True, False),  # and after that
        (LOOPBACK, "disabled", False, False),
    ],
)
def test_a_cluster_that_anybody_may_use_is_warned_of(two_nodes, monkeypatch, recwarn, tmp_path, host, mode, default, warned):
    from fastars.samplers.ray.cluster import connect

    if mode is None:
        monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    else:
        monkeypatch.setenv("RAY_AUTH_MODE", mode)
    monkeypatch.setattr("ray._private.authentication.authentication_utils.is_token_auth_enabled", lambda: default)
    monkeypatch.setenv("HOME", str(tmp_path))  # Ray keeps a token there
    context = SimpleNamespace(gcs_address=f"{host}:6379", get_job_id=lambda: "01")
    monkeypatch.setattr(ray, "get_runtime_context", lambda: context)
    connect(ray)
    assert ["runs code of whoever reaches it" in str(warning.message) for warning in recwarn] == [True] * warned


def test_a_wrong_sampler_is_named():
    with pytest.raises(ValueError, match="sampler must be one of 'local', 'ray', got 'rey'"):
        ARS(**settings("CartPole-v1", sampler="rey"))
    with pytest.raises(ValueError, match="sampler must be 'local' with backend 'numpy', got 'ray'"):
        ARS(**settings("CartPole-v1", sampler="ray", backend="numpy"))
