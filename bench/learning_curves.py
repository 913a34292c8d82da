"""The runs on docs/plots.md, by the commands of the page: `python -m bench.learning_curves`, some seconds.

Their evaluations go to `results/learning_curves.json`, the picture to `docs/images/learning_curves.png`.
"""

import contextlib
import io
import re
import shlex
import tempfile
from pathlib import Path

import numpy as np

import fastars.cli
from bench.experiments import write
from bench.machine import take_two_cpus
from fastars.plot import Run, plot_runs, read_run

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "plots.md"
RESULTS = Path(__file__).parent / "results" / "learning_curves.json"


def commands():
    """Return the lines of the loop over seeds on the page, with each of the seeds."""
    ((seeds, lines),) = re.findall(r"^for seed in ([\d ]+); do\n(.*?)^done$", PAGE.read_text(encoding="utf-8"), re.M | re.S)
    return [line.strip().replace("$seed", seed) for seed in seeds.split() for line in lines.splitlines()]


def run():
    """Run the commands in an empty folder. Return a row for each run: settings, steps and mean returns of its evaluations."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        for command in commands():
            program, *arguments = shlex.split(command)
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                assert program == "fastars", command
                assert fastars.cli.main(arguments) == 0, command
        return [row(read_run(run)) for run in sorted(Path("runs").iterdir(), key=lambda path: int(path.name.rpartition("_")[2]))]


def row(run):
    settings = {name: value for name, value in run.settings.items() if value is not None}
    of = {"env_id": run.env_id, "seed": run.seed, "settings": settings, "of_env": list(run.of_env)}
    return of | {"steps": run.steps.tolist(), "returns": run.values.tolist()}


def runs(rows):
    """Return the runs of rows, without their times: they are another machine's."""
    return [
        Run(
            Path(f"{row['env_id']}_{number}"),
            row["env_id"],
            row["seed"],
            row["settings"],
            np.array(row["steps"]),
            np.full(len(row["steps"]), np.nan),
            np.array(row["returns"]),
            "eval",
            tuple(row["of_env"]),
        )
        for number, row in enumerate(rows, 1)
    ]


def draw(rows):
    """Return the picture that `fastars plot` draws of these runs."""
    return plot_runs(runs(rows), ylabel="mean return of evaluations")


def main():
    from bench.pictures import write_picture

    write(RESULTS, run())
    write_picture("learning_curves")


if __name__ == "__main__":
    take_two_cpus()
    main()
