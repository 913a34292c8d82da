"""Screens of the command on terminals of several widths, and the golden files that hold them.

    FASTARS_WRITE_SCREENS=1 python -m pytest tests/test_screens.py    writes the golden files anew: look at them

A screen is the state of pyte, an emulator of terminals. A golden file has it for each width, and below a line with styles a line
that begins with `~` and has a letter for each column: b bold, d dim, x any other one. One process, which is
`python tests/screens.py NAME ...`, prints all of them on a pseudo-terminal, whose width it sets itself. In it, clocks tick evenly
and versions are fixed, so that nothing depends on the machine.
"""

import contextlib
import itertools
import os
import re
import select
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

WIDTHS = (40, 60, 80, 120)
HELP_WIDTHS = (40, 80)  # of sub-commands that have no golden file
GOLDEN = Path(__file__).parent / "data" / "screens"
LINES = 300
_MARK = re.compile(rb"\x1b_(\w+) (\d+)\x1b\\")  # a string for applications, which terminals don't show


# --- The process on the terminal


class Clock:
    """A module `time` whose counter goes on by 1 ms at each look."""

    def __init__(self):
        ticks = itertools.count()
        self.perf_counter = lambda: next(ticks) / 1000.0

    def __getattr__(self, name):
        return getattr(time, name)


def command(*args):
    def show(_):
        from fastars.cli import main

        with contextlib.suppress(SystemExit):
            main(args)

    return show


def train(width):
    """A run in a folder for each width, with a clock that ticks evenly."""
    import fastars.cli.training

    fastars.cli.training.time = Clock()
    options = "--total-timesteps", "100000", "--seed", "0", "--n-threads", "1", "--run-folder", f"runs/CartPole-v1_{width}"
    command("train", "CartPole-v1", *options, "--no-progress", "--eval-episodes", "20")(width)


def of_run(name, *options):
    return lambda width: command(name, f"runs/CartPole-v1_{width}", *options)(width)


def doctor(width):
    from fastars.cli import doctor

    doctor.examine = lambda: {
        "versions": {
            "fastars": "0.1.0",
            "python": "3.11.7",
            "numba": "0.68.1",
            "numpy": "2.4.6",
            "gymnasium": "1.3.0",
            "mujoco": "4.0.0",
        },
        "system": "Linux x86_64",
        "threads": {"used": 2, "allowed": 2, "cpus": 64, "limits": {"OMP_NUM_THREADS": 7, "quota": 1.5}, "layer": "omp"},
        "cache": {"directory": "/home/zaphod/.cache/fastars/1f0c", "kernels": 212, "megabytes": 48.3},
        "extras": {"cli": "installed", "ray": 'ray missing: pip install "ray[tune]"'},
        "films": {"classic control": "yes", "MuJoCo": "yes, by MUJOCO_GL=egl"},
        "checks": {"noise, kernel and twin": "ok", "episodes of CartPole-v1, kernel and Gymnasium": "ok"},
        "lanes": {"InvertedDoublePendulum-v5": "differ by 5.1e-14 at most (qfrc_constraint[12]), in 384 states"},
        "notes": [
            "mujoco 4.0.0 has a wrong Newton factor for some models with a sparse Jacobian, of 60 or more degrees of freedom"
        ],
        "seconds": 1.23,
        "problems": [],
    }
    command("doctor")(width)


def bar(width):
    """The progress in the middle of a run."""
    from fastars.cli import progress
    from fastars.cli.terminal import console

    seconds = iter((0.0, 10.0))
    progress.time = SimpleNamespace(perf_counter=lambda: next(seconds))
    with progress.progress(console(stderr=True), 200_000_000, label="seed 12") as shown:
        shown.update(12_300_000, 0.0615, -1234.56)
        time.sleep(0.3)
        mark("bar", width)
    progress.time = time


def no_bar(_):
    """A bar that is gone leaves nothing."""
    from fastars._progress import Bar, Standing
    from fastars.cli.terminal import console

    shown = Bar(console(stderr=True), Standing(0, 200_000_000, 0.0))
    shown.start()
    time.sleep(0.1)
    shown.stop()


def compiling(_):
    from fastars._compiled import kernel_cache
    from fastars._compiled.announcing import announce
    from fastars.cli import progress
    from fastars.cli.terminal import console

    progress.time = Clock()
    kernel_cache.cache_directory = lambda: "/home/zaphod/.cache/fastars/1f0c"
    compilation = progress.Compilation(console(stderr=True))
    with compilation.part(is_last=False):
        announce(Path("a file of the cache"))
    with compilation.part():
        announce(Path("another file"))


def log(_):
    from fastars.logger import Logger

    logger = Logger(formats=["stdout"])
    for name, value in {"rollout/ep_rew_mean": 123.456, "train/iterations": 7, "health/nonfinite_returns": 0}.items():
        logger.record(name, value)
    logger.dump()
    logger.record("tasks/the distance that the rover has come", 1e-6)
    logger.dump()


def error(_):
    from fastars.cli.terminal import complain

    complain(
        "fastars: interrupted after 12,345,678 steps; the policy is in runs/CartPole-v1_1/model.zip. To go on: "
        "fastars resume runs/CartPole-v1_1 --env arms:Arm-v0 --env-kwargs length=0.5 'healthy_z_range=(0.5, inf)'"
    )


def foreign(_):
    """Text that ASCII lacks, in a line, in a table and in the log of a model."""
    from fastars.cli.table import empty_table
    from fastars.cli.terminal import any_text, console, say
    from fastars.logger import Logger

    with any_text():  # as `main` does
        say("runs/café")
        table = empty_table("folder", "return>")
        table.add_row("café", "1.0")
        console().print(table)
    logger = Logger(formats=["stdout"])
    logger.record("café", 1.0)
    logger.dump()


SCREENS = {
    "help": command("--help"),
    "help_eval": command("eval", "--help"),
    "envs": command("envs"),
    "presets": command("envs", "--presets"),
    "train": train,
    "eval": of_run("eval"),
    "resume": of_run("resume"),
    "verify": of_run("verify", "--seed", "0"),
    "export": of_run("export", "--to", "npz", "--out", "runs/café.npz", "--overwrite"),
    "doctor": doctor,
    "bar": bar,
    "no_bar": no_bar,
    "compiling": compiling,
    "log": log,
    "foreign": foreign,
    "error": error,
    "missing": command("eval", "runs/no_such_run_of_mine_here"),
}


def resize(columns):
    if sys.stdout.isatty():
        import fcntl
        import struct
        import termios

        fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, columns, 0, 0))


def mark(name, columns):
    """End a screen: what was written since the last mark is shown by a terminal of so many columns."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.write(1, f"\x1b_{name} {columns}\x1b\\".encode())


def print_all(names):
    import gymnasium

    gymnasium.__version__ = "1.3.0"
    for name in names:
        for width in WIDTHS if name in SCREENS else HELP_WIDTHS:
            resize(width)
            show = SCREENS.get(name) or command(name.removeprefix("help_"), "--help")
            show(width)
            mark("end" if name == "bar" else name, width)


# --- The terminal


def emulator(columns):
    """A terminal in memory. pyte knows no dim text: here it is italic, which nothing of ours is."""
    import pyte

    class Screen(pyte.Screen):
        def select_graphic_rendition(self, *attributes, **options):
            super().select_graphic_rendition(*(3 if each == 2 else each for each in attributes), **options)

    screen = Screen(columns, LINES)
    screen.set_mode(pyte.modes.LNM)
    return screen


def screens(names, cwd, **env):
    """{(name, width): what a terminal of this width shows}."""
    import pyte

    shown = {}
    for name, columns, written in chunks(names, cwd, True, **env):
        screen = emulator(columns)
        pyte.ByteStream(screen).feed(written)
        shown[name, columns] = screen
    return shown


def piped(names, cwd, **env):
    """{(name, width): the text that a pipe gets}."""
    return {(name, columns): written.decode() for name, columns, written in chunks(names, cwd, False, **env)}


def chunks(names, cwd, is_terminal, **env):
    """Yield (name, width, what was written) for each screen of a process."""
    import pty

    ours, theirs = pty.openpty() if is_terminal else os.pipe()
    root = Path(__file__).parent.parent
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "FASTARS_CACHE_DIR", "LANG") if name in os.environ}
    environment = {**inherited, "PYTHONPATH": str(root), "TERM": "xterm-256color", "PYTHONUTF8": "1"} | env
    arguments = [sys.executable, __file__, *names]
    process = subprocess.Popen(arguments, cwd=cwd, env=environment, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs)
    os.close(theirs)
    written = b""
    try:
        with contextlib.suppress(OSError):  # Linux's end of file on a terminal
            while select.select([ours], [], [], 120.0)[0] and (part := os.read(ours, 1 << 16)):
                written += part
    finally:
        os.close(ours)
        process.kill()
        process.wait()
    parts = _MARK.split(written)
    assert not parts[-1].strip(), parts[-1].decode()
    for chunk, name, columns in zip(parts[::3], parts[1::3], parts[2::3], strict=False):
        yield name.decode(), int(columns), chunk


def text_of(screen):
    """The text of a screen."""
    return "\n".join(line.rstrip() for line in screen.display).rstrip()


def styles_of(screen):
    """All styles on a screen: (foreground, background, letter)."""
    cells = (screen.buffer[y][x] for y in range(screen.lines) for x in range(screen.columns))
    return {(cell.fg, cell.bg, _letter(cell)) for cell in cells if cell.data.strip()}


def _letter(cell):
    is_plain = (cell.fg, cell.bg, cell.reverse, cell.underscore) == ("default", "default", False, False)
    return {(True, False, False): " ", (True, True, False): "b", (True, False, True): "d"}.get(
        (is_plain, cell.bold, cell.italics), "x"
    )


def golden_text(screen):
    """The text of a screen with its styles."""
    lines = []
    for y in range(len(text_of(screen).split("\n"))):
        row = screen.buffer[y]
        lines.append("".join(row[x].data for x in range(screen.columns)).rstrip())
        letters = "".join(_letter(row[x]) if row[x].data.strip() else " " for x in range(screen.columns)).rstrip()
        if letters:
            lines.append(f"~{letters}")
    return "\n".join(lines)


def without_styles(golden):
    """The text of a golden screen alone."""
    return "\n".join(line for line in golden.split("\n") if not line.startswith("~"))


def read_golden(name):
    """{width: golden text}."""
    parts = re.split(r"^=== (\d+) columns ===\n", (GOLDEN / f"{name}.txt").read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {int(width): text.rstrip("\n") for width, text in zip(parts[1::2], parts[2::2], strict=True)}


def write_golden(name, texts):
    GOLDEN.mkdir(parents=True, exist_ok=True)
    text = "\n".join(f"=== {width} columns ===\n{text}\n" for width, text in texts.items())
    (GOLDEN / f"{name}.txt").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    print_all(sys.argv[1:])
