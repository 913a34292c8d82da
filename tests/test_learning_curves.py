"""The rows of the picture on docs/plots.md are what the commands of the page give today.

Broken on purpose: 12 directions on the page, not 16 -> both tests of the commands.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from bench import learning_curves, pictures


def test_the_commands_of_the_page_give_the_rows_of_the_picture():
    """All twenty runs, to the bit: their environment is a built-in one, whose bits are the same on every x86-64 CPU."""
    assert learning_curves.run() == pictures.rows_of("learning_curves")


def test_the_page_has_as_many_commands_as_the_picture_has_runs():
    rows = pictures.rows_of("learning_curves")
    commands = learning_curves.commands()
    assert len(rows) == len(commands)
    assert {f"--seed {row['seed']} --n-delta {row['settings']['n_delta']}" for row in rows} == {
        " ".join(command.split()[3:7]) for command in commands
    }


def test_rows_are_the_runs_that_the_command_reads():
    """From rows to runs and back nothing is lost."""
    rows = pictures.rows_of("learning_curves")
    assert [learning_curves.row(run) for run in learning_curves.runs(rows)] == rows
