"""Films of `fastars video`, written by ffmpeg and read back; MuJoCo draws by EGL, without a display.

Broken on purpose: a camera that follows nothing -> the two tests of a body in every frame, or picture, red.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import gymnasium
import numpy as np
import pytest

imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg", reason="imageio-ffmpeg is not installed: pip install '.[video]'")

from fastars import ARS  # noqa: E402
from fastars.cli import film, main  # noqa: E402

# imageio-ffmpeg leaves the pipes of its processes open
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
ROOT = Path(__file__).parent.parent
RUNNER = """
<mujoco><option timestep="0.02" gravity="0 0 0"/>
  <worldbody><light pos="0 0 30" dir="0 0 -1"/><geom type="plane" size="90 90 1" rgba=".3 .3 .3 1"/>
    <body name="puck" pos="0 0 .5"><joint name="x" type="slide" axis="1 0 0"/><geom size=".4" rgba="1 0 0 1"/></body>
  </worldbody>
  <actuator><motor joint="x" ctrllimited="true" ctrlrange="-1 1"/></actuator>
</mujoco>
"""
NO_DISPLAY = ("DISPLAY", "WAYLAND_DISPLAY", "MUJOCO_GL", "PYOPENGL_PLATFORM")


def frames_of(path):
    reader = imageio_ffmpeg.read_frames(str(path))
    width, height = next(reader)["size"]
    return np.array([np.frombuffer(frame, np.uint8).reshape(height, width, 3) for frame in reader])


def saved(path, env, n_steps=20, **settings):
    settings = {"n_delta": 2, "seed": 0, "noise_size": 1 << 16, "max_episode_steps": n_steps} | settings
    model = ARS("LinearPolicy", env, **settings).learn(4 * n_steps)
    model.save(path)
    return model


def films_in(folder):
    return sorted(path.name for path in Path(folder).iterdir())


@pytest.fixture(scope="module")
def cartpole(tmp_path_factory):
    pytest.importorskip("pygame", reason="pygame is not installed: pip install '.[video]'")
    path = tmp_path_factory.mktemp("run") / "model.zip"
    saved(path, "CartPole-v1")
    return path


# --- Films of any environment


def test_a_video_has_the_frames_of_the_episode(cartpole, tmp_path, capsys):
    assert main(["video", str(cartpole), "--n-eval-episodes", "2", "--seed", "7", "--out", str(tmp_path / "films")]) == 0
    paths = [line.strip() for line in capsys.readouterr().out.splitlines() if line.endswith(".mp4")]
    assert paths == [str(tmp_path / "films" / f"{cartpole.parent.name}-model-seed-{seed}.mp4") for seed in (7, 8)]
    lengths = ARS.load(cartpole).evaluate(2, seed=7).lengths.tolist()
    for path, length in zip(paths, lengths, strict=True):
        frames = frames_of(path)
        assert len(frames) == length + 1  # one of each state
        env = gymnasium.make("CartPole-v1", render_mode="rgb_array")
        env.reset(seed=7)
        assert frames.shape[1:] == env.render().shape
        env.close()
    difference = np.abs(frames_of(paths[0])[0].astype(float) - frames_of(paths[1])[0].astype(float))
    assert difference.mean() > 0.1  # other seeds begin elsewhere


def test_films_of_policies_in_one_folder_do_not_replace_each_other(cartpole, tmp_path):
    for name in ("one", "other"):
        (tmp_path / f"{name}.zip").write_bytes(cartpole.read_bytes())
        for seed in ("0", "1"):
            assert main(["video", str(tmp_path / f"{name}.zip"), "--seed", seed]) == 0
    assert films_in(tmp_path / "videos") == [f"{name}-seed-{seed}.mp4" for name in ("one", "other") for seed in (0, 1)]


def test_progress_is_shown(cartpole, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(film, "_INTERVAL", 0.0)
    assert main(["video", str(cartpole), "--n-eval-episodes", "2", "--out", str(tmp_path)]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("film 1 of 2: 1 of at most 21 frames, ")
    assert lines[-1].startswith("film 2 of 2: ")
    assert lines[0].endswith(" frames/s")


def test_several_rewards_are_recorded(tmp_path):
    pytest.importorskip("mo_gymnasium", reason="mo-gymnasium is not installed")
    pytest.importorskip("pygame", reason="pygame is not installed: pip install '.[video]'")
    saved(tmp_path / "model.zip", "mo_gymnasium:mo-mountaincar-v0", 9)
    assert main(["video", str(tmp_path / "model.zip"), "--env", "mo_gymnasium:mo-mountaincar-v0"]) == 0
    assert films_in(tmp_path / "videos") == ["model-seed-0.mp4"]


# --- Environments of one's own


class Drawn(gymnasium.Env):
    """Draws a square at its state, in whatever form the test wants."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 7}  # noqa: RUF012
    observation_space, action_space = gymnasium.spaces.Box(-9.0, 9.0, (1,)), gymnasium.spaces.Box(-1.0, 1.0, (1,))

    def __init__(self, render_mode=None, form="right"):
        self.render_mode, self.form, self.n = render_mode, form, 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.n = 0
        return np.zeros(1, np.float32), {}

    def step(self, action):
        self.n += 1
        return np.full(1, self.n, np.float32), 1.0, self.n == 8, False, {}

    def render(self):
        frame = np.zeros((61, 83 + (self.n if self.form == "growing" else 0), 3), np.uint8)
        frame[10:20, 5 * self.n : 5 * self.n + 10] = 250
        match self.form:
            case "float":
                return frame / 255.0
            case "grey":
                return frame[:, :, 0]
            case "nothing":
                return None
            case "text":
                return "a square"
            case "error":
                raise NotImplementedError("the artist is on holiday")
        return frame


class Shown(Drawn):
    metadata = {"render_modes": ["human", "ansi"]}  # noqa: RUF012


class Blind(gymnasium.Env):
    """Knows nothing of pictures."""

    observation_space, action_space = Drawn.observation_space, Drawn.action_space

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(1, np.float32), {}

    def step(self, action):
        return np.zeros(1, np.float32), 1.0, False, False, {}


@pytest.fixture(autouse=True)
def registered():
    for cls in (Drawn, Shown, Blind):
        gymnasium.register(f"{cls.__name__}-v0", cls, disable_env_checker=True)
    yield
    for cls in (Drawn, Shown, Blind):
        del gymnasium.registry[f"{cls.__name__}-v0"]


def test_an_environment_of_ones_own_is_filmed(tmp_path):
    """With an odd size, which H.264 does not have, and its own frames per second."""
    saved(tmp_path / "model.zip", "Drawn-v0")
    assert main(["video", str(tmp_path / "model.zip"), "--env", "Drawn-v0"]) == 0
    path = tmp_path / "videos" / "model-seed-0.mp4"
    frames = frames_of(path)
    assert frames.shape == (9, 62, 84, 3)
    assert next(imageio_ffmpeg.read_frames(str(path)))["fps"] == 7
    for n, frame in enumerate(frames):
        assert frame[12:18, 5 * n + 2 : 5 * n + 8].min() > 200
        assert frame[30:].max() < 60


@pytest.mark.parametrize(
    ("name", "form", "message"),
    [
        (
            "Drawn-v0",
            "float",
            r"a film needs frames that are arrays (height, width, 3) of uint8; render() returned float64 (61, 83, 3)",
        ),
        ("Drawn-v0", "grey", "render() returned uint8 (61, 83)"),
        ("Drawn-v0", "nothing", "render() returned a NoneType"),
        ("Drawn-v0", "text", "render() returned a str"),
        ("Drawn-v0", "growing", "a film needs frames of one size; render() returned (61, 83, 3), then (61, 84, 3)"),
        ("Drawn-v0", "error", "can't be rendered (rgb_array): the artist is on holiday"),
        ("Shown-v0", "right", "Shown-v0 has no render mode rgb_array; it has human, ansi"),
        ("Blind-v0", None, "Blind-v0 can't be drawn: it takes no render_mode"),
        ("fastars/mo-pendulum-v0", None, "can't be rendered (rgb_array)"),
    ],
)
def test_an_environment_that_gives_no_frames_is_said(name, form, message, tmp_path, capsys):
    saved(tmp_path / "model.zip", name, 5)
    options = [] if form is None else ["--env-kwargs", f"form={form}"]
    assert main(["video", str(tmp_path / "model.zip"), "--env", name, *options]) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert message in said[-1]
    assert "Traceback" not in said[-1]
    assert not (tmp_path / "videos").exists() or films_in(tmp_path / "videos") == []


# --- A film that is not finished


def test_an_interrupted_film_leaves_nothing(cartpole, tmp_path):
    """SIGINT and SIGTERM: the film that was there before stays, and the unfinished one is gone."""
    ran = tmp_path / "run.zip"
    ran.write_bytes(cartpole.read_bytes())
    before = tmp_path / "videos" / "run-seed-0.mp4"
    before.parent.mkdir()
    before.write_bytes(b"the film of yesterday")
    command = [sys.executable, "-m", "fastars", "video", str(ran), "--n-eval-episodes", "5000", "--overwrite"]
    for number in (signal.SIGINT, signal.SIGTERM):
        process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, cwd=ROOT)
        while process.poll() is None and not list(before.parent.glob(".fastars-*/*.mp4")):
            time.sleep(0.05)
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
        assert process.returncode == 128 + number, said
        assert "interrupted" in said.splitlines()[-1]
        assert films_in(before.parent) == ["run-seed-0.mp4"]
        assert before.read_bytes() == b"the film of yesterday"


def test_a_film_that_ffmpeg_can_not_write_is_said(cartpole, tmp_path, monkeypatch, capsys):
    exe = tmp_path / "ffmpeg"
    exe.write_text('#!/bin/sh\ncase "$*" in *rawvideo*) exit 1;; esac\nexec "' + imageio_ffmpeg.get_ffmpeg_exe() + '" "$@"\n')
    exe.chmod(0o755)
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(exe))
    (tmp_path / "model.zip").write_bytes(cartpole.read_bytes())
    assert main(["video", str(tmp_path / "model.zip")]) == 1
    assert "model-seed-0.mp4 can't be written: " in capsys.readouterr().err
    assert films_in(tmp_path / "videos") == []


# --- MuJoCo without a display


@pytest.fixture(scope="module")
def cheetah(tmp_path_factory):
    pytest.importorskip("mujoco", reason="MuJoCo is not installed: pip install '.[mujoco]'")
    path = tmp_path_factory.mktemp("cheetah") / "model.zip"
    saved(path, "HalfCheetah-v5", 12)
    return path


def filmed(path, out, **variables):
    """The command in a process without a display: (exit code, stderr)."""
    environment = {name: value for name, value in os.environ.items() if name not in NO_DISPLAY} | variables
    command = [sys.executable, "-m", "fastars", "video", str(path), "--out", str(out)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=ROOT, timeout=200, check=False)
    return done.returncode, done.stderr


@pytest.fixture(scope="module")
def egl():
    from fastars.envs.mujoco.opengl import fault_of

    if fault := fault_of("egl"):
        pytest.skip(f"EGL does not draw here: {fault}")


@pytest.mark.usefixtures("egl")
def test_mujoco_is_filmed_without_a_display_and_without_a_choice(cheetah, tmp_path):
    """The cheetah's bright body is in every frame, near the middle."""
    code, said = filmed(cheetah, tmp_path)
    assert code == 0, said
    (path,) = tmp_path.glob("*.mp4")
    frames = frames_of(path).astype(int)
    assert frames.shape == (13, 480, 480, 3)
    for frame in frames:
        orange = (frame[..., 0] > 120) & (frame[..., 0] - frame[..., 2] > 50)
        assert orange.sum() > 2000
        rows, columns = np.nonzero(orange)
        assert 100 < columns.mean() < 380
        assert 60 < rows.mean() < 420


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        ("glfw", ["MUJOCO_GL is glfw", "without a display, MuJoCo draws with MUJOCO_GL=egl (", "apt-get install libegl1 libgl1"]),
        ("osmesa", ["MUJOCO_GL=osmesa", "its library is not found", "apt-get install libosmesa6"]),
        ("metal", ["MUJOCO_GL=metal", "invalid value"]),
    ],
)
def test_a_choice_that_does_not_draw_is_said(choice, words, cheetah, tmp_path):
    from fastars.envs.mujoco.opengl import fault_of

    if choice != "metal" and not fault_of(choice):
        pytest.skip(f"{choice} draws here")
    code, said = filmed(cheetah, tmp_path, MUJOCO_GL=choice)
    assert code in (1, 2)
    last = said.strip().splitlines()[-1]
    assert all(word in last for word in words), said
    assert "ARS.load" not in last
    assert films_in(tmp_path) == []


class Runner:
    """A red puck that slides away, as an environment of Gymnasium's base class of MuJoCo environments."""

    @staticmethod
    def make(render_mode=None, **options):
        from gymnasium.envs.mujoco import MujocoEnv

        class RunnerEnv(MujocoEnv):
            metadata = {"render_modes": ["human", "rgb_array", "depth_array", "rgbd_tuple"], "render_fps": 10}  # noqa: RUF012

            def reset_model(self):
                self.set_state(self.init_qpos, np.full(1, 9.0))
                return self.data.qvel.copy()

            def step(self, action):
                self.do_simulation(action, self.frame_skip)
                return self.data.qvel.copy(), 1.0, False, False, {}

        space = gymnasium.spaces.Box(-np.inf, np.inf, (1,), np.float64)
        path = Path(options.pop("folder")) / "runner.xml"
        path.write_text(RUNNER)
        return RunnerEnv(str(path), 5, space, render_mode, **options)


@pytest.fixture
def drawn_by_egl(egl, monkeypatch):
    monkeypatch.setenv("MUJOCO_GL", "egl")


@pytest.mark.usefixtures("drawn_by_egl")
def test_the_body_of_an_environment_of_ones_own_is_in_every_frame(tmp_path):
    """At 9 m/s; the camera of Gymnasium sees it in the first frames only."""
    pytest.importorskip("mujoco", reason="MuJoCo is not installed: pip install '.[mujoco]'")
    gymnasium.register("Runner-v0", Runner.make, max_episode_steps=30, disable_env_checker=True, kwargs={"folder": str(tmp_path)})
    try:
        saved(tmp_path / "model.zip", "Runner-v0", 30)
        assert main(["video", str(tmp_path / "model.zip"), "--env", "Runner-v0"]) == 0
    finally:
        del gymnasium.registry["Runner-v0"]
    frames = frames_of(tmp_path / "videos" / "model-seed-0.mp4").astype(int)
    assert len(frames) == 31
    red = (frames[..., 0] > 90) & (frames[..., 1] < 60) & (frames[..., 2] < 60)
    assert red.sum(axis=(1, 2)).min() > 0.5 * red[0].sum() > 500


@pytest.mark.usefixtures("drawn_by_egl")
def test_the_body_of_a_task_is_in_every_picture():
    pytest.importorskip("mujoco", reason="MuJoCo is not installed: pip install '.[mujoco]'")
    from fastars import MujocoTask

    def observe(constants, sim, observation):
        observation[0] = sim.qvel[0]

    def reward(constants, sim, action, before):
        return sim.qvel[0]

    small = RUNNER.replace("<worldbody>", '<visual><global offwidth="64" offheight="64"/></visual><worldbody>')
    task = MujocoTask(small, observe, reward, n_obs=1, frame_skip=5)
    env = task.make(render_mode="rgb_array")
    env.reset(seed=0)
    env.unwrapped.data.qvel[0] = 9.0
    seen = []
    for _ in range(30):
        env.step(np.zeros(1, np.float32))
        frame = env.render().astype(int)
        assert frame.shape == (480, 480, 3)
        seen.append(((frame[..., 0] > 90) & (frame[..., 1] < 60) & (frame[..., 2] < 60)).sum())
    env.close()
    assert min(seen) > 0.5 * seen[0] > 500
