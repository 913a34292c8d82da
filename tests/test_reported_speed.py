"""The speed that `fastars train` reports is that of rollouts and updates: no evaluation, no row of the log and no file counts.

Broken on purpose: rows of the log and files count -> red.
"""

import re
from types import SimpleNamespace

import pytest

from fastars.cli import main, training
from fastars.cli.run_folder import Record
from fastars.logger import Logger
from fastars.samplers.compiled import CompiledSampler


@pytest.fixture
def clock(monkeypatch):
    """A clock that goes on by 1 s for all rollouts of an iteration, and by more for everything else that takes time."""
    now = [0.0]

    def takes(seconds, kind, name):
        whole = getattr(kind, name)

        def slow(*args, **kwargs):
            now[0] += seconds
            return whole(*args, **kwargs)

        monkeypatch.setattr(kind, name, slow)

    takes(1.0, CompiledSampler, "evaluate")
    takes(1e2, Logger, "dump")
    takes(1e4, Record, "evaluate")
    takes(1e6, Record, "save")
    monkeypatch.setattr(training, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    return now


def test_the_reported_seconds_are_those_of_rollouts_and_updates(clock, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["train", "CartPole-v1", "--seed", "0", "--total-timesteps", "20000", "--eval-freq", "2000", "--no-progress"]) == 0
    facts = r"training +[\d,]+ steps in (\S+) s \(.* steps/s\), (\d+) iterations"
    seconds, iterations = re.search(facts, capsys.readouterr().out).groups()
    assert int(iterations) > 3
    assert float(seconds) == int(iterations)
    assert clock[0] > 1e6  # the others did take their time
