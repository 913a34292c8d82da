"""Lines that break between words: quantities, items and commands stay whole, and a shell reads a broken command as the whole one.

Broken on purpose: numbers apart from units, or from the names before them; long words broken; items broken at their spaces; no
backslash; arguments broken inside quotes; a command folded as a sentence; a form of the progress left out, or one that is too wide;
the log printed in an encoding that lacks a letter. Each is red, by the test of its name.
"""

import re
import shlex
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastars._folding import folded, folded_command, folded_items, folded_words, print_line
from fastars._progress import Standing, first_that_fits
from fastars.logger.table_output import TerminalOutput

TEXT = (
    "104,143 steps in 0.021 s (4.96 M steps/s), 20 iterations, seed 0, std 1.5, 95 % of /a/path/that/has-no-space, over 10 episodes"
)
WHOLE = ["104,143 steps", "0.021 s", "4.96 M steps/s", "20 iterations", "seed 0", "std 1.5", "95 %", "10 episodes"]


@pytest.mark.parametrize("width", [24, 33, 40, 60, 79, 200])
def test_a_number_stays_with_its_unit_and_its_name(width):
    lines = folded(TEXT, width)
    assert " ".join(lines) == TEXT
    assert max(map(len, lines)) <= max(width, len("/a/path/that/has-no-space,"))
    assert all(any(each in line for line in lines) for each in WHOLE)


@given(st.lists(st.text("ab1.- ", min_size=1).map(str.strip).filter(bool), min_size=1, max_size=12), st.integers(4, 60))
def test_items_stay_whole(items, width):
    items = [" ".join(item.split()) for item in items]
    lines = folded_items(items, width)
    assert " ".join(lines) == ", ".join(items)
    assert all(len(line) <= width or line.removesuffix(",") in items for line in lines)


ARGUMENTS = st.text("ab .=()'\"\\$*", min_size=1, max_size=30)


@given(st.lists(ARGUMENTS, min_size=1, max_size=6), st.integers(20, 60))
def test_python_reads_a_broken_command_as_the_whole_one(arguments, width):
    command = shlex.join(["fastars", "resume", *arguments])
    lines = folded_command(command, width)
    assert shlex.split("\n".join(lines).replace("\\\n", "")) == ["fastars", "resume", *arguments]


def test_a_shell_reads_a_broken_command_as_the_whole_one():
    arguments = ["resume", "a run", "--env", "arms:Arm-v0", "--env-kwargs", "range=(0.5, inf)", "it's", 'a "b"  c']
    for width in (24, 40, 60):
        lines = folded_command(shlex.join(["fastars", *arguments]), width)
        assert len(lines) > 1
        script = "fastars() { printf '%s\\n' \"$@\"; }\n" + "\n".join(lines)
        result = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
        assert result.stdout.splitlines() == arguments


def test_a_command_at_the_end_of_a_sentence_has_lines_of_its_own():
    text = "interrupted after 12 steps; the policy is in run/model.zip. To go on: fastars resume run --env a:b"
    assert folded(text, 200) == [text]
    assert folded(text, 60)[-1] == "fastars resume run --env a:b"


STANDING = Standing(12_300_000, 200_000_000, 0.0615, 1_234_567.0, 500.0, 153.0)


@pytest.mark.parametrize(
    ("width", "shown"),
    [
        (80, "  6% 12.3 M steps, 1.23 M steps/s, best return 500.0, 2:33 left"),
        (50, "  6% 12.3 M steps, best return 500.0, 2:33 left"),
        (40, "  6% best return 500.0, 2:33 left"),
        (20, "  6% 2:33 left"),
        (6, "  6%"),
    ],
)
def test_the_line_of_progress_leaves_out_what_has_no_room(width, shown):
    assert first_that_fits(STANDING.forms(), width) == shown


def test_the_line_of_progress_in_a_file():
    assert (
        STANDING._replace(label="seed 3").sentence()
        == "seed 3: 12.3 M of 200 M steps, 1.23 M steps/s, best return 500.0, 2:33 left"
    )


def test_a_name_that_stdout_cannot_encode_does_not_end_a_run(monkeypatch, tmp_path):
    with open(tmp_path / "out", "w", encoding="ascii") as file:
        monkeypatch.setattr("sys.stdout", file)
        TerminalOutput().write({"café": 1.0}, {"café": ()})
    assert re.search(r"\\xe9 +\| 1", (tmp_path / "out").read_text())


def test_lines_of_a_program_are_broken_on_a_terminal_alone(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "40")
    text = "1,500 steps: mean return 228.00 +/- 100.24, the best so far"
    print_line(text)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    print_line(text)
    assert capsys.readouterr().out == f"{text}\n1,500 steps: mean return\n228.00 +/- 100.24, the best so far\n"


def test_a_text_that_is_a_command_is_broken_as_one():
    assert folded("fastars eval runs/s40/seed_0 --env a:b", 26) == ["fastars eval \\", "    runs/s40/seed_0 \\", "    --env a:b"]
    assert folded_words("fastars eval [-h] [EVAL OPTIONS] RUN", 26) == ["fastars eval [-h] [EVAL", "OPTIONS] RUN"]


def test_a_sentence_that_begins_as_a_command_is_a_sentence():
    text = "fastars: error: fastars train takes ENV, such as CartPole-v1, or --config FILE"
    assert folded(text, 40) == ["fastars: error: fastars train takes ENV,", "such as CartPole-v1, or --config FILE"]
    assert "\\" not in "".join(folded("the command: fastars train has no option --x; did you mean --y?", 40))
