"""Files of episodes; that stable-baselines3 reads them: test_sb3_peers.py."""

import json

import numpy as np
import pytest

from fastars import ARS
from fastars.callbacks import EveryIteration
from fastars.logger.monitor import EpisodeWriter


def written(path):
    header, columns, *rows = path.read_text().splitlines()
    return json.loads(header.removeprefix("#")), columns, [row.split(",") for row in rows]


def test_every_episode_of_training_has_a_row(tmp_path):
    returns = []
    model = ARS("LinearPolicy", "CartPole-v1", n_delta=2, seed=0, noise_size=1 << 16, monitor_dir=tmp_path / "run")
    model.learn(300, callback=EveryIteration(lambda local, _: returns.extend(local["rollouts"].returns)))
    header, columns, rows = written(tmp_path / "run" / "0.monitor.csv")
    assert header["env_id"] == "CartPole-v1"
    assert header["t_start"] > 1.7e9
    assert columns == "r,l,t"
    assert [float(row[0]) for row in rows] == returns
    assert [int(row[1]) for row in rows] == returns  # a reward of 1 for each step
    assert 0.0 <= float(rows[0][2]) <= float(rows[-1][2])


def test_a_file_is_gone_on_with(tmp_path):
    path = tmp_path / "0.monitor.csv"
    EpisodeWriter(path, "A").write(np.array([1.0]), np.array([2]))
    with open(path, "a") as file:
        file.write("3.0,4")  # of a process that was killed
    EpisodeWriter(path, "B", append=True).write(np.array([-1.5, np.nan]), np.array([6, 7]))
    header, _, rows = written(path)
    assert header["env_id"] == "A"
    assert [row[:2] for row in rows] == [["1.000000", "2"], ["-1.500000", "6"], ["nan", "7"]]


def test_without_append_a_file_starts_anew(tmp_path):
    path = tmp_path / "0.monitor.csv"
    for env_id in "AB":
        EpisodeWriter(path, env_id).write(np.array([1.0]), np.array([2]))
    header, _, rows = written(path)
    assert (header["env_id"], len(rows)) == ("B", 1)


def test_a_file_that_has_only_half_a_header_gets_a_whole_one(tmp_path):
    path = tmp_path / "0.monitor.csv"
    path.write_text('#{"t_start": 1')
    EpisodeWriter(path, "A", append=True)
    assert written(path)[1:] == ("r,l,t", [])


def test_a_full_disk_is_a_warning_and_no_half_row(tmp_path, monkeypatch):
    path = tmp_path / "0.monitor.csv"
    writer = EpisodeWriter(path, "A")

    def full(self, text):
        raise OSError("no space left on device")

    monkeypatch.setattr("fastars.files.lines.LineWriter.write", full)
    with pytest.warns(RuntimeWarning, match=r"rows of .*monitor\.csv are lost, training goes on: no space"):
        writer.write(np.array([1.0]), np.array([2]))
    writer.write(np.array([1.0]), np.array([2]))  # and is not said again
    monkeypatch.undo()
    writer.write(np.array([5.0]), np.array([6]))
    assert [row[:2] for row in written(path)[2]] == [["5.000000", "6"]]
