"""Environments, optimisers and trainers of other packages, beside fastars.

Packages with threads of their own, or for another Python, run in processes of their own (`bench.peer_side`), which wait for their
turn without work: beside JAX's threads in one process, EnvPool was three times as slow. `FASTARS_BENCH_PEERS` has the interpreters,
separated as in PATH; default: this one. Each version of a package that they have is a competitor. `FASTARS_BENCH_PUFFERLIB` is the
folder of PufferLib's sources, which are compiled.
"""

import functools
import importlib
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import gymnasium
import pytest

from bench.peer_side.policies import linear_policy

ROOT = Path(__file__).parent.parent
BATCH = 1024  # environments side by side, for the libraries that work so
INTERPRETERS, PUFFERLIB = "FASTARS_BENCH_PEERS", "FASTARS_BENCH_PUFFERLIB"
PACKAGES = {"EnvPool": "envpool", "gymnax": "gymnax", "evosax": "evosax"}
_ASK = """
import importlib.metadata as m, json, sys
found = {}
for name in sys.argv[1:]:
    try:
        found[name] = m.version(name)
    except m.PackageNotFoundError:
        pass
print(json.dumps([f"Python {sys.version_info[0]}.{sys.version_info[1]}", found]))
"""


def optional(module):
    """Return the module, or skip the test with the reason."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        pytest.skip(f"{module} can't be imported: {error}")


class Peer:
    """A competitor in a process of its own. A call is a repetition; `steps_per_call` are the environment steps of the last one."""

    def __init__(self, python, kind, settings):
        command = [python, "-W", "ignore", "-m", "bench.peer_side"]
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        self.process = subprocess.Popen(command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.steps, self.calls = 0, 0
        try:
            self.ask("make", kind, settings)
        except RuntimeError:
            self.close()
            raise

    def ask(self, name, *arguments):
        pickle.dump((name, arguments), self.process.stdin)
        self.process.stdin.flush()
        is_done, answer = pickle.load(self.process.stdout)
        if not is_done:
            raise RuntimeError(answer)
        return answer

    def __call__(self):
        self.steps += self.ask("run")
        self.calls += 1

    @property
    def steps_per_call(self):
        return self.steps / self.calls

    def close(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


@functools.cache
def interpreters():
    """Return (interpreter, "Python 3.x", versions of packages) for each one that is to be looked at."""
    found = []
    for python in filter(None, os.environ.get(INTERPRETERS, sys.executable).split(os.pathsep)):
        command = [python, "-c", _ASK, *PACKAGES.values()]
        found.append((python, *json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)))
    return found


def versions(peer):
    """Return {name of the competitor: interpreter} with an interpreter for each version of a peer."""
    if peer == "PufferLib":
        return _pufferlib()
    package, found = PACKAGES[peer], {}
    for python, name, packages in interpreters():
        if package in packages and not any(each.startswith(f"{peer} {packages[package]},") for each in found):
            found[f"{peer} {packages[package]}, {name}"] = python
    return found


def _pufferlib():
    """Return the same for the sources of PufferLib, which need NumPy alone: the last interpreter."""
    if PUFFERLIB not in os.environ:
        return {}
    head = (Path(os.environ[PUFFERLIB]) / "PKG-INFO").read_text(encoding="utf-8").splitlines()
    version = next(line.split()[1] for line in head if line.startswith("Version:"))
    return {f"PufferLib {version}": interpreters()[-1][0]}


def why_missing(peer):
    """Return the reason why there is no competitor of this name."""
    if peer == "PufferLib":
        return f"{PUFFERLIB} names no folder of its sources"
    return f"no interpreter of {INTERPRETERS} has it"


def policy(task, weights):
    """Return the arguments of a peer's linear policies: of a rollout spec, and weights (n, n_act * n_obs)."""
    is_discrete = type(task.actions).__name__ == "Argmax"
    return weights.reshape(len(weights), len(task.low), -1), task.low, task.high, is_discrete


def gymnasium_vector_steps(env_id, policies, n_steps):
    """Return a function that takes `n_steps` steps of `BATCH` environments in Gymnasium's own vectorised form, if it has one."""
    if gymnasium.spec(env_id).vector_entry_point is None:
        pytest.skip(f"Gymnasium has no vectorised {env_id}")
    envs = gymnasium.make_vec(env_id, num_envs=BATCH, vectorization_mode="vector_entry_point")
    act = linear_policy(*policies)
    last = [envs.reset()[0]]

    def run():
        for _ in range(n_steps):
            last[0] = envs.step(act(last[0]))[0]

    return run
