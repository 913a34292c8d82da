"""Environment steps per second on CartPole-v1, from the first training of a user to many candidates at once.

An iteration costs some time for its rows of the log, its callbacks and its step, whatever it rolls out. With few directions that is
most of the time. The first iterations have short episodes besides.
"""

import re
import statistics
import time

from bench.machine import THREADS
from bench.test_rollouts import candidates
from fastars import ARS, evaluate_candidates
from fastars.cli import main

ENV = "CartPole-v1"
COMMAND = ["train", ENV, "--seed", "0", "--total-timesteps", "100000", "--no-progress"]
_SIZES = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9}
_ROUNDS = 9


def by_command(capsys):
    """Return the rate that the command reports after a training."""
    assert main(COMMAND) == 0
    number, size = re.search(r"\(([\d.]+) ?([kMG]?) steps/s", capsys.readouterr().out).groups()
    return float(number) * _SIZES[size]


def by_learning(n_delta, n_steps):
    model = ARS("LinearPolicy", ENV, n_delta=n_delta, seed=0, n_threads=THREADS)
    start = time.perf_counter()
    model.learn(n_steps)
    return model.num_timesteps / (time.perf_counter() - start)


def by_candidates(weights, seeds, n_threads):
    start = time.perf_counter()
    rollouts = evaluate_candidates(ENV, weights, seeds, n_threads=n_threads)
    return int(rollouts.lengths.sum()) / (time.perf_counter() - start)


def test_sizes(record, quick, tmp_path, monkeypatch, capsys):
    """All in turn, so that other work on the machine hits all; medians."""
    monkeypatch.chdir(tmp_path)
    weights, seeds = candidates(ENV, 2_000 if quick else 20_480)
    measured = {
        ("`fastars train CartPole-v1`, as it reports", 16): lambda: by_command(capsys),
        ("`model.learn(100_000)`, n_delta=8", 16): lambda: by_learning(8, 100_000),
        ("`model.learn(1_000_000)`, n_delta=64", 128): lambda: by_learning(64, 1_000_000),
        ("`model.learn(20_000_000)`, n_delta=1024", 2_048): lambda: by_learning(1_024, 2_000_000 if quick else 20_000_000),
        ("`evaluate_candidates`, 1 thread", len(weights)): lambda: by_candidates(weights, seeds, 1),
        ("`evaluate_candidates`, 2 threads", len(weights)): lambda: by_candidates(weights, seeds, THREADS),
    }
    rates = {key: [] for key in measured}
    for _ in range(2 if quick else _ROUNDS + 1):
        for key, measure in measured.items():
            rates[key].append(measure())
    for (what, episodes), found in rates.items():
        record(what=what, episodes=episodes, steps_per_s=statistics.median(found[1:]))  # the first one may compile
