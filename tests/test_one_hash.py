"""One run, whatever runs it: policy, filter, optimizer, weights of tasks, counters and rows of the log have the same bits.

Of each task, the ways to run it are combined: threads or worker processes, where episodes run, in which order they come back, what
fails, and where the run is cut into pieces by files. `make trust` takes all combinations; every change, so many that each two
values meet in one.

Broken on purpose -> test_one_hash red: results of worker processes, or moments of threads, merged in the order in which they
arrive (in Python, Pendulum); a weighted sum in as many parts as there are threads (all); a file without the optimizer's state
(Adam); a second attempt from another seed (an environment that fails); a lane's next episode begins with the return of the one
before (HalfCheetah over lanes).
"""

import hashlib
import importlib.util
import itertools
import json
import os
import random
from typing import Any, NamedTuple

import faulty_envs
import gymnasium
import numpy as np
import pytest

from fastars import ARS, evaluate_candidates, kernels
from fastars._runtime.threads import for_blocks
from fastars.callbacks import EveryIteration
from fastars.samplers import compiled, physics, simulated

N_ITERATIONS = 6
COUNTS = 1, 2, 3, 4, 8
CHANGES = "", "every iteration", "random iterations", "other threads"  # where a run is saved, loaded and gone on with
NOT_OF_THE_RUN = "time/", "health/env_failures", "health/worker_restarts"
needs_mujoco = pytest.mark.skipif(importlib.util.find_spec("mujoco") is None, reason="needs fastars[mujoco]")
pytestmark = pytest.mark.skipif(os.name != "posix", reason="worker processes need POSIX")


class Task(NamedTuple):
    """A training run and the ways to run it: of each, the values for every change and those for `make trust`."""

    env: Any
    settings: dict[str, Any]
    ways: dict[str, tuple[tuple[Any, ...], tuple[Any, ...]]]
    policy: str = "LinearPolicy"


THREADS = {"n_threads": ((1, 3, 8), COUNTS), "change": (CHANGES[::2], CHANGES), "is_shuffled": ((False, True), (False, True))}
PROCESSES = {"n_workers": ((1, 3), COUNTS), "change": (CHANGES[:1], CHANGES[::2])}
V2 = {"variant": "V2-t", "n_delta": 6, "n_top": 4, "delta_std": 0.2}
MANY = {"n_delta": 150, "delta_std": 0.2}  # episodes enough for several threads
MUJOCO = {**V2, "max_episode_steps": 100}
GRADNORM = {**MANY, "weighting": "gradnorm", "max_episode_steps": 100}
TASKS = {
    "CartPole": Task("CartPole-v1", {**MANY, "variant": "V2-t", "n_top": 40, "n_eval_episodes": 2}, THREADS),
    "CartPole, Adam": Task("CartPole-v1", {**MANY, "optimizer": "adam"}, {**THREADS, "by": (("learn", "tell"),) * 2}),
    "CartPole in Python": Task(
        "CartPole-v1", V2, {**PROCESSES, "where": (("compiled", "python"), ("compiled", "python", "vector"))}
    ),
    "Pendulum": Task("Pendulum-v1", {**MANY, "variant": "V2"}, THREADS),
    "a network": Task("CartPole-v1", {"policy_kwargs": {"net_arch": [16]}, "delta_std": 0.1}, THREADS, "MlpPolicy"),
    "HalfCheetah": Task("HalfCheetah-v5", MUJOCO, THREADS),
    "HalfCheetah over lanes": Task("HalfCheetah-v5", {**MUJOCO, **MANY, "physics": "lanes"}, THREADS),
    "HalfCheetah in Python": Task("HalfCheetah-v5", MUJOCO, {**PROCESSES, "where": (("compiled", "python"),) * 2}),
    "GradNorm": Task("fastars/mo-pendulum-v0", GRADNORM, THREADS),
    "an environment that fails": Task(
        faulty_envs.Line,
        V2,
        {**PROCESSES, "fault": (("", "raises", "is_killed"), ("", "raises", "is_killed", "leaves", "from outside"))},
    ),
}


def combinations(ways, is_full):
    """All combinations of the ways, or few in which each two values meet."""
    values = [of_way[is_full] for of_way in ways.values()]
    everything = [dict(zip(ways, chosen, strict=True)) for chosen in itertools.product(*values)]
    if is_full:
        return everything
    unmet = set().union(*map(pairs, everything))
    chosen = []
    while unmet:
        chosen.append(max(everything, key=lambda way: len(pairs(way) & unmet)))
        unmet -= pairs(chosen[-1])
    return chosen


def pairs(way):
    return set(itertools.combinations(way.items(), 2))


def hashes(model, rows):
    """(of the policy, of all that the run is)."""
    theta = hashlib.sha256(model.theta.tobytes())
    count, *moments = model.state.moments
    arrays = [
        *moments,
        model.policy.filter.mean,
        model.policy.filter.scale,
        *model.state.slots,
        model.state.gradient,
        *model.state.recent,
    ]
    counters = count, model.iteration, model.num_timesteps, model.num_episodes, model.num_updates, model.dropped_pairs
    objectives = None if model.objectives is None else repr(model.objectives.state_dict())
    everything = [theta.hexdigest(), *(array.tobytes().hex() for array in arrays), counters, objectives, rows]
    return theta.hexdigest(), hashlib.sha256(json.dumps(everything).encode()).hexdigest()


def made(task, folder, n_threads=1, n_workers=1, where="compiled", fault="", **_):
    """(environment, arguments of the constructor that say how to run it)."""
    how = {"n_threads": n_threads, "n_workers": n_workers}
    env = task.env
    if fault not in ("", "from outside"):  # one in 16 seeds is bad, at its first attempt
        env = faulty_envs.make(getattr(faulty_envs, fault), n_bad=1 << 28, once=folder)
    if where == "vector":
        return gymnasium.make_vec(env, n_workers, "sync"), {"n_threads": 1}
    if isinstance(env, str) and where == "compiled":
        return env, {"n_threads": n_workers if n_workers > 1 else n_threads}
    return env, {**how, "compiled": False}


def run(task, way, folder, draw):
    """Hashes of a run, and how often its environment failed and a worker was replaced."""
    env, how = made(task, folder, **way)
    model = ARS(task.policy, env, seed=3, noise_size=1 << 16, **task.settings, **how)
    rows = []
    for end in [*cuts(way.get("change"), draw), N_ITERATIONS]:
        advance(model, end, rows, way)
        if end < N_ITERATIONS:
            model.save(folder / "model.zip")
            model.close()
            how["n_threads"] = draw.choice(COUNTS) if way["change"] == CHANGES[3] else how["n_threads"]
            given = {} if how.get("compiled") is None else {"env": env}
            changed = {name: value for name, value in how.items() if name != "compiled"}
            model = ARS.load(folder / "model.zip", **given, **changed)
    model.close()
    return hashes(model, rows), model.env_failures, model.worker_restarts


def cuts(change, draw):
    """Iterations at which a run is cut."""
    if not change:
        return []
    if change == CHANGES[1]:
        return range(1, N_ITERATIONS)
    return sorted(draw.sample(range(1, N_ITERATIONS - 1), 2))  # two are left to the last part: a worker is killed between them


def advance(model, end, rows, way):
    """Train up to an iteration, and keep its rows of the log."""
    if way.get("by") == "tell":
        while model.iteration < end:
            tell(model)
        return

    def after(*_):
        rows.append({name: value for name, value in model.record.items() if not name.startswith(NOT_OF_THE_RUN)})
        if way.get("fault") == "from outside" and model.iteration < end:  # later ones would be replaced by `close`
            random.choice(model.sampler._runner._workers).process.kill()
        return model.iteration < end

    model.learn(10**9, EveryIteration(after), reset_num_timesteps=False)


def tell(model):
    """An iteration by `ask` and `tell`."""
    candidates = model.ask()
    seeds = kernels.episode_seeds(np.uint64(model.seed), model.iteration, model.config.n_delta, 1, False).ravel()
    returns = evaluate_candidates(model.env_id, candidates, seeds, n_threads=model.n_threads)
    model.tell(returns.returns, int(returns.lengths.sum()))


def shuffled(for_blocks, draw, pieces):
    """Pieces of the work in another order each time; `pieces` gets their numbers."""

    def in_disorder(work, n_blocks, n_threads, **how):
        pieces.append(n_blocks)
        order = draw.sample(range(n_blocks), n_blocks)
        for_blocks(lambda block: work(order[block]), n_blocks, n_threads, **how)

    return in_disorder


@pytest.mark.promise(14)
@pytest.mark.parametrize("name", [pytest.param(name, marks=needs_mujoco if "HalfCheetah" in name else ()) for name in TASKS])
def test_one_hash(name, tally, tmp_path, monkeypatch):
    task, draw = TASKS[name], random.Random(14)
    ways = [way for way in combinations(task.ways, tally.is_full) if is_possible(way)]
    expected, _, _ = run(task, {}, tmp_path, draw)
    n_failures, n_restarts, pieces = 0, 0, []
    for number, way in enumerate(ways):
        folder = tmp_path / str(number)
        folder.mkdir()
        with monkeypatch.context() as patch:
            if way.get("is_shuffled"):
                for module in (compiled, simulated, physics):
                    patch.setattr(module, "for_blocks", shuffled(for_blocks, draw, pieces))
            found, failures, restarts = run(task, way, folder, draw)
        told = way.get("by") == "tell"  # it does not know what the episodes were
        assert found[:1] == expected[:1], way
        assert told or found == expected, way
        assert bool(failures) == (way.get("fault") in ("raises", "leaves")), way
        assert bool(restarts) == (way.get("fault") in ("is_killed", "leaves", "from outside")), way
        n_failures, n_restarts = n_failures + failures, n_restarts + restarts
    assert max(pieces, default=1) > 1 or "is_shuffled" not in task.ways  # there was something to shuffle
    tally(f"ways to run {name} with one hash", len(ways), of=len(ways))
    if n_restarts:
        tally(f"episodes of {name} that failed once", n_failures)
        tally(f"workers of {name} that were replaced", n_restarts)


def is_possible(way):
    """In this process, an environment that ends it does."""
    ends = way.get("fault") in ("is_killed", "leaves", "from outside")
    is_given = way.get("where") == "vector" and way.get("change")  # no file stands for a vector environment
    return not (ends and way["n_workers"] == 1) and not is_given
