"""`fastars enjoy` and `fastars video`. Videos need moviepy, and are written and read back in test_watch_peers.py."""

import sys

import pytest

from fastars import ARS
from fastars.cli import main


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("run") / "model.zip"
    ARS("LinearPolicy", "CartPole-v1", n_delta=2, seed=0, noise_size=1 << 16, max_episode_steps=20).learn(200).save(path)
    return path


def test_enjoy_shows_the_episodes(model, monkeypatch, capsys):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    assert main(["enjoy", str(model), "--n-eval-episodes", "2", "--seed", "3"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines() if line.split()[:1] in (["3"], ["4"])]
    returns = ARS.load(model).evaluate(2, seed=3).returns
    assert [float(row[1]) for row in rows] == returns.tolist()


def test_enjoy_without_a_display_names_the_other_command(model, monkeypatch, capsys):
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    assert main(["enjoy", str(model)]) == 2
    assert f"there is no display here: fastars video {model} writes a file instead" in capsys.readouterr().err


def test_video_without_its_package(model, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "moviepy", None)
    assert main(["video", str(model)]) == 2
    assert "a video needs moviepy: pip install moviepy" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["enjoy", "no"], "there is no run folder or model file no"),
        (["enjoy", "MODEL", "--n-eval-episodes", "0"], "n_eval_episodes must be an integer of at least 1, got 0"),
        (["enjoy", "MODEL", "--seed", "-1"], "seed must be an integer from 0"),
        (["enjoy", "MODEL", "--env-kwargs", "a=1"], "--env-kwargs needs --env"),
    ],
)
def test_wrong_use_is_said(model, monkeypatch, capsys, arguments, message):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    assert main([str(model) if text == "MODEL" else text for text in arguments]) == 2
    assert message in capsys.readouterr().err
