"""Our logs, read by others: TensorBoard's own reader, and pandas."""

import numpy as np
import pytest

pytest.importorskip("tensorboardX", reason="tensorboardX is not installed: pip install '.[tensorboard]'")
accumulator = pytest.importorskip(
    "tensorboard.backend.event_processing.event_accumulator", reason="TensorBoard is not installed: pip install '.[compat]'"
)

from fastars import ARS  # noqa: E402
from fastars.callbacks import EveryIteration  # noqa: E402
from fastars.logger import configure  # noqa: E402


def small(**settings):
    return ARS("LinearPolicy", "CartPole-v1", **{"n_delta": 2, "seed": 0, "noise_size": 1 << 16, **settings})


def events(folder):
    read = accumulator.EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0, "images": 0, "histograms": 0})
    return read.Reload()


def test_tensorboard_reads_every_row(tmp_path):
    rows = []
    noting = EveryIteration(lambda local, _: rows.append(dict(local["self"].record)))
    model = small(tensorboard_log=str(tmp_path)).learn(500, callback=noting)
    read = events(tmp_path / "ARS_1")
    scalars = read.Scalars("rollout/ep_rew_mean")
    assert [scalar.step for scalar in scalars] == [row["time/total_timesteps"] for row in rows]
    assert np.allclose([scalar.value for scalar in scalars], [row["rollout/ep_rew_mean"] for row in rows])
    assert len(scalars) == model.iteration
    tags = set(read.Tags()["scalars"])
    assert {"train/grad_norm", "time/fps", "rollout/ep_len_mean", "train/step_size"} <= tags
    assert not tags & {"time/time_elapsed", "time/total_timesteps", "train/iterations"}


def test_every_call_of_learn_has_a_run_of_its_own_unless_it_goes_on(tmp_path):
    model = small(tensorboard_log=str(tmp_path))
    model.learn(1, tb_log_name="first")
    model.learn(1, tb_log_name="first")
    model.learn(1, tb_log_name="first", reset_num_timesteps=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first_1", "first_2"]
    assert len(events(tmp_path / "first_2").Scalars("rollout/ep_rew_mean")) == 2


def test_other_values_than_numbers(tmp_path):
    class Figure:
        def __init__(self):
            import matplotlib

            matplotlib.use("agg")
            from matplotlib import pyplot

            self.figure, self.close = pyplot.figure(), True

    logger = configure(tmp_path, ["tensorboard"])
    logger.record("text", "words")
    logger.record("weights", np.arange(5.0))
    logger.record("flag", True)
    logger.record("nothing", None)
    logger.record("hidden", 1.0, exclude="tensorboard")
    logger.record("picture", Figure())
    logger.dump(7)
    logger.close()
    tags = events(tmp_path).Tags()
    assert tags["scalars"] == ["flag"]
    assert tags["tensors"] == ["text/text_summary"]
    assert tags["histograms"] == ["weights"]
    assert tags["images"] == ["picture"]


def test_pandas_reads_our_files(tmp_path):
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    model = small()
    model.set_logger(configure(tmp_path, ["csv", "json"]))
    model.learn(400)
    for table in (pandas.read_csv(tmp_path / "progress.csv"), pandas.read_json(tmp_path / "progress.json", lines=True)):
        assert table["time/total_timesteps"].tolist()[-1] == model.num_timesteps
        assert len(table) == model.iteration
        assert table["rollout/ep_rew_mean"].tolist()[-1] == pytest.approx(model.record["rollout/ep_rew_mean"])


def test_pictures_of_theirs_are_left_out_of_text(tmp_path):
    theirs = pytest.importorskip("stable_baselines3.common.logger", reason="stable-baselines3 is not installed")
    logger = configure(tmp_path, ["csv", "json", "log"])
    logger.record("picture", theirs.Image(np.zeros((3, 3, 1)), "HWC"))
    logger.record("a", 1)
    logger.dump()
    assert (tmp_path / "progress.csv").read_text() == "a\n1\n"
    assert (tmp_path / "progress.json").read_text() == '{"a": 1}\n'
    assert "picture" not in (tmp_path / "log.txt").read_text()
