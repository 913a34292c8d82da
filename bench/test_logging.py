"""Time to write a row of the log, by the kinds of its files."""

import json

import numpy as np
import pytest

from fastars.logger import configure
from fastars.logger.monitor import EpisodeWriter

FILES = ("csv",), ("json",), ("tensorboard",), ("csv", "json", "tensorboard")
N_KEYS = 35
AIM = 100e-6  # s: 2 % of an iteration of 5 ms


@pytest.mark.parametrize("files", FILES, ids=" ".join)
def test_a_row_of_the_log(files, race, record, tmp_path):
    if "tensorboard" in files:
        pytest.importorskip("tensorboardX", reason="tensorboardX is not installed: pip install '.[tensorboard]'")
    values = np.random.default_rng(0).normal(size=N_KEYS).tolist()
    keys = [f"{'rollout' if i % 2 else 'train'}/value_{i}" for i in range(N_KEYS)]
    logger = configure(tmp_path, files)

    def row():
        for key, value in zip(keys, values, strict=True):
            logger.record(key, value)
        logger.dump(1)

    row()
    if "json" in files:
        assert list(json.loads((tmp_path / "progress.json").read_text()).values()) == values
    seconds = race({"row": row})["row"]
    logger.close()
    record(kind="row", files=list(files), n_keys=N_KEYS, seconds=seconds, aim=AIM)


def test_rows_of_episodes(race, record, tmp_path):
    returns, lengths = np.random.default_rng(0).normal(size=512), np.arange(512)
    writer = EpisodeWriter(tmp_path / "0.monitor.csv", "CartPole-v1")
    writer.write(returns, lengths)
    assert len((tmp_path / "0.monitor.csv").read_text().splitlines()) == 2 + 512
    seconds = race({"rows": lambda: writer.write(returns, lengths)})["rows"]
    writer.close()
    record(kind="episodes", rows_per_s=len(returns) / seconds)
