"""The command in a real terminal, seen as a terminal shows it, and piped: help, errors, what is missing, Ctrl-C."""

import contextlib
import os
import re
import select
import signal
import subprocess
import sys
import time

import pytest
from test_cli import COMMAND, ENVIRONMENT, ROOT, only_error, run

from fastars.cli import commands, main

pyte = pytest.importorskip("pyte", reason="needs pyte, a terminal in memory: fastars[test]")
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are of POSIX")

COLUMNS, LINES = 80, 200
ALL_HELP = """
import sys
from fastars.cli import commands, main
for name in ["", *commands.COMMANDS]:
    try:
        main([name, "--help"] if name else ["--help"])
    except SystemExit as end:
        print(f"exit {end.code} of {name}")
print([name for name in ("numba", "gymnasium", "numpy", "torch", "matplotlib", "ray") if name in sys.modules])
"""


class Terminal:
    """A process on a pseudo-terminal, and the screen that it writes to."""

    def __init__(self, command, cwd, columns=COLUMNS, **env):
        import fcntl
        import pty
        import struct
        import termios

        self.screen = pyte.Screen(columns, LINES)
        self._stream = pyte.ByteStream(self.screen)
        self._leader, follower = pty.openpty()
        fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, columns, 0, 0))

        def take_terminal():
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        env = ENVIRONMENT | {"TERM": "xterm-256color"} | env
        self.process = subprocess.Popen(
            command, cwd=cwd, env=env, stdin=follower, stdout=follower, stderr=follower, preexec_fn=take_terminal
        )
        os.close(follower)

    def read(self, until=None, seconds=60.0):
        """Read until the screen has the pattern, or until the process ends."""
        deadline = time.monotonic() + seconds
        while not (until and re.search(until, self.text)):
            assert time.monotonic() < deadline, self.text
            if not select.select([self._leader], [], [], 1.0)[0]:
                continue
            with contextlib.suppress(OSError):  # Linux's end of file on a terminal
                if data := os.read(self._leader, 65536):
                    self._stream.feed(data)
                    continue
            return

    def type(self, characters):
        os.write(self._leader, characters)

    def end(self):
        """The exit code."""
        self.read()
        os.close(self._leader)
        return self.process.wait(60)

    @property
    def text(self):
        """The text that the screen shows."""
        return "\n".join(line.rstrip() for line in self.screen.display).rstrip()


@pytest.fixture
def terminal(tmp_path):
    opened = []

    def open_terminal(*args, columns=COLUMNS, **env):
        opened.append(Terminal([*COMMAND, *args], tmp_path, columns, **env))
        return opened[-1]

    yield open_terminal
    for each in opened:
        each.process.kill()
        each.process.wait()


# --- Narrow terminals


@pytest.mark.parametrize("columns", [40, 60])
def test_a_narrow_terminal_cuts_no_number_name_or_word(terminal, columns):
    """Seen failing on tables that rich cut ("500…"), and on lines that ended in the middle of a word."""
    listed = terminal("envs", columns=columns)
    assert listed.end() == 0
    trained = terminal("train", "CartPole-v1", "--seed", "0", "--total-timesteps", "20000", columns=columns)
    assert trained.end() == 0
    assert "…" not in listed.text + trained.text
    words = listed.text.split()
    assert {"CartPole-v1", "475", "InvertedDoublePendulum-v5", "9100", "returns."} <= set(words)
    assert re.search(r"^ *(Replay it in plain Gymnasium: +)?fastars eval runs/CartPole-v1_1$", trained.text, re.MULTILINE)
    assert {"episode", "length"} <= set(re.sub(r"[,.]", "", trained.text).split())
    evaluated = terminal("eval", "runs/CartPole-v1_1", columns=columns)
    assert evaluated.end() == 0
    assert re.sub(r"\s+", " ", evaluated.text).endswith(", without compiled rollouts")
    exported = terminal("export", "runs/CartPole-v1_1", "--to", "npz", columns=columns)
    assert exported.end() == 0
    assert {"runs/CartPole-v1_1/policy.npz:", "runs/CartPole-v1_1/best_model.zip,"} <= set(exported.text.split())
    wrong = terminal("resume", "runs/CartPole-v1_1", "--total-timesteps", "15000", columns=columns)
    assert wrong.end() == 2
    assert "total_timesteps must be at least the" in " ".join(wrong.text.split())


# --- Help


def test_every_help_fits_the_terminal_and_imports_nothing_heavy(tmp_path):
    shown = Terminal([sys.executable, "-c", ALL_HELP], tmp_path)
    shown.screen.resize(lines=1500, columns=COLUMNS)
    assert shown.end() == 0
    assert shown.text.endswith("[]")
    for name in commands.COMMANDS:
        assert f"exit 0 of {name}" in shown.text
        assert f"usage: fastars {name} " in shown.text
    assert "Traceback" not in shown.text


def test_every_help_is_plain_text_when_it_is_piped(tmp_path):
    result = subprocess.run(
        [sys.executable, "-c", ALL_HELP], cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, timeout=60
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.count("exit 0 of") == len(commands.COMMANDS) + 1
    assert not re.search(r"[\x00-\x09\x0b-\x1f]", result.stdout)
    assert max(map(len, result.stdout.splitlines())) <= COLUMNS


@pytest.mark.parametrize("name", commands.COMMANDS)
def test_a_wrong_flag_is_wrong_use(name, capsys):
    assert main([name, *([] if name in ("envs", "warmup", "doctor") else ["RUN"]), "--no-such-flag"]) == 2
    assert capsys.readouterr().err.startswith(f"fastars: error: fastars {name} has no option --no-such-flag")


# --- Runs


def test_training_leaves_a_table_and_no_bar(terminal):
    shown = terminal("train", "CartPole-v1", "--total-timesteps", "20000000", "--run-folder", "run", "--eval-episodes", "5")
    shown.read(until=r"\d+% [\d.]+ [kM] steps, [\d.]+ [kM] steps/s, best return [\d.]+, \d+ s left")
    assert shown.end() == 0
    assert re.search(r"^ policy +after steps", shown.text, re.MULTILINE)
    assert shown.text.endswith("Replay it in plain Gymnasium:  fastars eval run")
    assert "left" not in shown.text
    assert not shown.screen.cursor.hidden


def test_ctrl_c_stops_says_where_it_is_and_resume_goes_on(terminal, tmp_path):
    shown = terminal("train", "CartPole-v1", "--total-timesteps", "400000000", "--run-folder", "run", "--eval-episodes", "5")
    shown.read(until=r"steps/s, best return")
    shown.type(b"\x03")
    assert shown.end() == 130
    told = r"fastars:interruptedafter[\d,]+steps;thepolicyisinrun/model\.zip\.Togoon:fastarsresumerun"
    assert re.fullmatch(told, "".join(shown.text.split()))  # wherever the line is broken; and nothing is left of the bar
    assert not shown.screen.cursor.hidden
    steps = int(re.search(r"after ([\d,]+) steps", shown.text)[1].replace(",", ""))
    resumed = terminal("resume", "run", "--total-timesteps", str(steps + 1000))
    assert resumed.end() == 0
    assert re.match(r"Going on with run after [\d.]+ [kM] steps, from model.zip\n", resumed.text)
    again = terminal("resume", "run")
    assert again.end() == 0
    assert "run is finished" in again.text


def test_no_progress_shows_none(terminal):
    shown = terminal("train", "CartPole-v1", "--total-timesteps", "3000000", "--no-progress", "--run-folder", "run")
    shown.read(until="steps/s")
    assert "left" not in shown.text
    assert shown.end() == 0
    assert "steps/s)" in shown.text  # of the report


def test_the_doctor_and_the_list_fit_the_terminal(terminal):
    doctor = terminal("doctor")
    assert doctor.end() == 0
    assert re.search(r"^ (All is well|No problems, \d notes? above), in ", doctor.text, re.MULTILINE)
    envs = terminal("envs")
    assert envs.end() == 0
    rows = [line for line in envs.text.splitlines() if re.match(r" \S+-v\d", line)]
    assert len(rows) > 5


# --- What is missing


BLOCKED = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == {name!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Blocked())
"""


@pytest.mark.parametrize(
    ("name", "packages", "args"),
    [
        ("tyro", "tyro rich", ["envs"]),
        ("rich", "tyro rich", ["train", "CartPole-v1"]),
        ("tensorboardX", "tensorboardX crc32c", ["train", "CartPole-v1", "--tensorboard"]),
    ],
)
def test_a_missing_package_is_wrong_use_and_says_how_to_install_it(tmp_path, name, packages, args):
    path = tmp_path / "path"
    path.mkdir()
    (path / "sitecustomize.py").write_text(BLOCKED.format(name=name))
    result = run(*args, cwd=tmp_path, PYTHONPATH=f"{path}{os.pathsep}{ROOT}")
    assert result.returncode == 2
    assert only_error(result).endswith(f"needs {name}: pip install {packages}")
    assert [item.name for item in tmp_path.iterdir()] == ["path"]


@pytest.mark.parametrize("args", [["eval", "nothing"], ["resume", "nothing"]])
def test_a_missing_run_is_one_line_in_a_terminal(terminal, args):
    shown = terminal(*args)
    assert shown.end() == 2
    assert re.fullmatch(r"fastars: error: there is no run folder( or model file)? nothing", shown.text)


def test_a_hung_up_terminal_ends_the_run(terminal, tmp_path):
    shown = terminal("train", "CartPole-v1", "--total-timesteps", "4000000000", "--run-folder", "run")
    shown.read(until=r"steps/s, best return")
    shown.process.send_signal(signal.SIGTERM)
    assert shown.end() == 143
    assert (tmp_path / "run" / "model.zip").exists()
