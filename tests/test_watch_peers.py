"""Videos, written by moviepy and read back."""

import gymnasium
import pytest

pytest.importorskip("moviepy", reason="moviepy is not installed: pip install '.[video]'")
import imageio.v3 as imageio

from fastars import ARS
from fastars.cli import main

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::SyntaxWarning", "ignore::ResourceWarning")


def test_a_video_has_the_frames_of_the_episode(tmp_path, capsys):
    model = ARS("LinearPolicy", "CartPole-v1", n_delta=2, seed=0, noise_size=1 << 16, max_episode_steps=20).learn(200)
    model.save(tmp_path / "model.zip")
    assert main(["video", str(tmp_path / "model.zip"), "--n-eval-episodes", "2", "--out", str(tmp_path / "films")]) == 0
    paths = [line.strip() for line in capsys.readouterr().out.splitlines() if line.endswith(".mp4")]
    assert paths == [str(tmp_path / "films" / f"CartPole-v1-episode-{i}.mp4") for i in (0, 1)]
    lengths = model.evaluate(2, seed=0).lengths.tolist()
    for path, length in zip(paths, lengths, strict=True):
        frames = imageio.imread(path, plugin="FFMPEG")
        assert abs(len(frames) - (length + 1)) <= 1  # a frame of each state; the container may drop the last
        env = gymnasium.make("CartPole-v1", render_mode="rgb_array")
        env.reset(seed=0)
        assert frames.shape[1:] == env.render().shape
        env.close()


def test_an_environment_that_shows_nothing_is_said(tmp_path, capsys):
    model = ARS("LinearPolicy", "fastars/mo-pendulum-v0", n_delta=2, seed=0, noise_size=1 << 16, max_episode_steps=5).learn(20)
    model.save(tmp_path / "model.zip")
    assert main(["video", str(tmp_path / "model.zip")]) == 2
    assert "can't be rendered (rgb_array)" in capsys.readouterr().err


def test_several_rewards_are_recorded(tmp_path):
    pytest.importorskip("mo_gymnasium", reason="mo-gymnasium is not installed")
    model = ARS("LinearPolicy", "mo_gymnasium:mo-mountaincar-v0", n_delta=2, seed=0, noise_size=1 << 16, max_episode_steps=9)
    model.learn(20).save(tmp_path / "model.zip")
    assert main(["video", str(tmp_path / "model.zip"), "--env", "mo_gymnasium:mo-mountaincar-v0"]) == 0
    assert len(list((tmp_path / "videos").glob("*.mp4"))) == 1
