"""The checkpoints in a folder: the newest whole one is found, old ones go, an error names a good one.

Broken on purpose: sorted by name -> "the newest by number" red; damaged files taken -> "said and passed over", "told apart" red;
the newest removed -> "a callback keeps the newest" red.
"""

import pytest

from fastars import ARS, CheckpointError, latest_checkpoint
from fastars.callbacks import CheckpointCallback
from fastars.files.checkpoint_names import checkpoints


@pytest.fixture
def model():
    return ARS("LinearPolicy", "CartPole-v1", seed=0, n_delta=2)


def save(model, folder, *names):
    for name in names:
        model.save(folder / name)


def test_the_newest_by_number_is_found(model, tmp_path):
    save(model, tmp_path, "rl_model_900_steps.zip", "rl_model_1000_steps.zip", "rl_model_20_steps.zip", "best_model.zip")
    assert latest_checkpoint(tmp_path) == tmp_path / "rl_model_1000_steps.zip"


def test_of_a_run_folder_the_model_itself_is_the_newest(model, tmp_path):
    save(model, tmp_path, "model.zip", "model_1000_steps.zip")
    assert latest_checkpoint(tmp_path) == tmp_path / "model.zip"


def test_damaged_ones_are_said_and_passed_over(model, tmp_path):
    save(model, tmp_path, "a_10_steps.zip", "a_20_steps.zip", "a_30_steps.zip")
    (tmp_path / "a_30_steps.zip").write_bytes(b"PK")
    with pytest.warns(RuntimeWarning, match=r"a_30_steps\.zip: no zip directory .*; the checkpoint before it is taken"):
        assert latest_checkpoint(tmp_path) == tmp_path / "a_20_steps.zip"


@pytest.mark.filterwarnings("ignore:.*the checkpoint before it is taken")
def test_none_and_none_whole_are_told_apart(model, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"has no model\.zip and no <name>_<steps>_steps\.zip"):
        latest_checkpoint(tmp_path)
    (tmp_path / "a_30_steps.zip").write_bytes(b"PK")
    with pytest.raises(CheckpointError, match="no checkpoint that can be read"):
        latest_checkpoint(tmp_path)


def test_of_several_runs_one_has_to_be_named(model, tmp_path):
    save(model, tmp_path, "a_10_steps.zip", "b_20_steps.zip")
    with pytest.raises(ValueError, match="name_prefix must be one of 'a', 'b', got None"):
        latest_checkpoint(tmp_path)
    assert latest_checkpoint(tmp_path, "a") == tmp_path / "a_10_steps.zip"


def test_the_error_of_a_damaged_file_names_a_whole_one_beside_it(model, tmp_path):
    save(model, tmp_path, "model.zip", "model_10_steps.zip", "model_20_steps.zip")
    for name in ("model.zip", "model_20_steps.zip"):
        (tmp_path / name).write_bytes(b"PK")
    with pytest.raises(CheckpointError, match=r"model\.zip: no zip directory .*; model_10_steps\.zip beside it is whole$"):
        ARS.load(tmp_path / "model.zip")
    (tmp_path / "model_10_steps.zip").write_bytes(b"PK")
    with pytest.raises(CheckpointError, match=r"or it is no checkpoint$"):
        ARS.load(tmp_path / "model.zip")


@pytest.mark.parametrize("kept", [1, 3])
def test_a_callback_keeps_the_newest(model, tmp_path, kept):
    model.save(tmp_path / "other_5_steps.zip")
    model.learn(2_000, CheckpointCallback(100, tmp_path, keep_checkpoints=kept))
    steps = [at for at, _ in checkpoints(tmp_path, "rl_model")]
    assert len(steps) == kept
    assert steps == [model.num_timesteps // 100 * 100 - 100 * i for i in range(kept)]
    assert (tmp_path / "other_5_steps.zip").exists()
    assert steps[0] <= ARS.load(latest_checkpoint(tmp_path, "rl_model")).num_timesteps <= model.num_timesteps


def test_how_many_are_kept_is_checked(tmp_path):
    with pytest.raises(ValueError, match="keep_checkpoints must be an integer of at least 1, got 0"):
        CheckpointCallback(100, tmp_path, keep_checkpoints=0)
