"""The log of scripts written for stable-baselines3, run with theirs and with fastars.

Broken on purpose -> red: fastars' own logger where the program has imported stable-baselines3's (`logger_of_theirs` returns None)
-> the outputs, SB3_LOGDIR and the writer of TensorBoard; a logger of the user's replaced by `learn` -> the last test.
"""

import pytest

sb3_contrib = pytest.importorskip("sb3_contrib", reason="stable-baselines3-contrib is not installed: pip install '.[compat]'")
pytest.importorskip("tensorboard", reason="TensorBoard is not installed: pip install '.[compat]'")

from stable_baselines3.common.callbacks import BaseCallback  # noqa: E402
from stable_baselines3.common.logger import HumanOutputFormat, TensorBoardOutputFormat, configure  # noqa: E402

from fastars import ARS  # noqa: E402

both = pytest.mark.parametrize("algorithm", [sb3_contrib.ARS, ARS], ids=["sb3", "fastars"])
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of TensorBoard


def small(algorithm, **settings):
    return algorithm("LinearPolicy", "CartPole-v1", n_delta=2, seed=0, **settings)


@both
@pytest.mark.parametrize("verbose", [0, 1])
@pytest.mark.parametrize("has_folder", [False, True])
def test_outputs_are_of_their_classes(algorithm, verbose, has_folder, tmp_path):
    model = small(algorithm, verbose=verbose, tensorboard_log=str(tmp_path) if has_folder else None)
    for number in (1, 2):
        model.learn(10)
        kinds = [type(output) for output in model.logger.output_formats]
        assert kinds == [HumanOutputFormat] * verbose + [TensorBoardOutputFormat] * has_folder
        if has_folder:
            assert model.logger.dir == str(tmp_path / f"ARS_{number}")


@both
def test_the_folder_in_the_environment_is_that_of_the_log(algorithm, tmp_path, monkeypatch):
    monkeypatch.setenv("SB3_LOGDIR", str(tmp_path / "logs"))
    model = small(algorithm).learn(10)
    assert (model.logger.dir, model.logger.output_formats) == (str(tmp_path / "logs"), [])


class WritesText(BaseCallback):
    """Writes a text by the writer of TensorBoard, as scripts do it for hyperparameters and videos."""

    def _on_training_start(self):
        (self.output,) = (each for each in self.logger.output_formats if isinstance(each, TensorBoardOutputFormat))
        self.output.writer.add_text("note", "begun", 0)

    def _on_step(self):
        return True


@both
def test_a_callback_finds_the_writer_of_tensorboard(algorithm, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    model = small(algorithm, tensorboard_log=str(tmp_path)).learn(10, callback=WritesText())
    model.logger.close()
    tags = EventAccumulator(str(tmp_path / "ARS_1")).Reload().Tags()
    assert "note/text_summary" in tags["tensors"]
    assert {"rollout/ep_rew_mean", "time/fps", "train/step_size"} <= set(tags["scalars"])


@both
def test_a_logger_that_was_set_stays(algorithm, tmp_path):
    logger = configure(str(tmp_path), ["csv"])
    model = small(algorithm, verbose=1)
    model.set_logger(logger)
    assert model.learn(10).logger is logger
    logger.close()
    assert "rollout/ep_rew_mean" in (tmp_path / "progress.csv").read_text()
