"""Golden screens of the command at 40, 60, 80 and 120 columns; and the same without styles, in ASCII, in a pipe.

FASTARS_WRITE_SCREENS=1 python -m pytest tests/test_screens.py    writes the golden files of tests/data/screens anew

Broken on purpose: tables that never change their form, and yellow names of columns -> golden files and
test_nothing_is_cut_and_styles_are_those_that_every_background_shows red; help folded for a wider terminal, or with the ends of
its texts cut off -> test_help_has_the_same_whole_words_at_any_width; numbers that stay broken ->
test_a_number_that_tyro_broke_is_whole_again; rich's width of a dumb terminal -> test_other_terminals_show_the_same_text; lines
broken in a pipe, and FORCE_COLOR taken for a terminal -> test_a_pipe_gets_lines_that_are_not_broken; `main` without `any_text` ->
test_no_character_is_an_error_where_the_encoding_lacks_it.
"""

import ast
import inspect
import os
import re
import textwrap

import pytest
import screens

from fastars.cli import commands
from fastars.cli.help import lines

pytest.importorskip("pyte", reason="needs pyte, a terminal in memory: fastars[test]")
pytestmark = pytest.mark.skipif(os.name != "posix", reason="pseudo-terminals are of POSIX")

WRITE = os.environ.get("FASTARS_WRITE_SCREENS", "0") not in ("", "0")
HELP = [f"help_{name}" for name in commands.COMMANDS]
VARIED = ["help_eval", "doctor", "log", "error", "compiling", "missing"]  # without rollouts


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """{(name, width): screen} of one process."""
    return screens.screens(dict.fromkeys([*screens.SCREENS, *HELP]), tmp_path_factory.mktemp("screens"))


@pytest.fixture(scope="module")
def golden():
    return {name: screens.read_golden(name) for name in screens.SCREENS} if not WRITE else {}


@pytest.mark.parametrize("name", screens.SCREENS)
def test_a_screen_is_the_golden_one(name, shown, golden):
    if name == "envs":
        pytest.importorskip("mujoco", reason="needs mujoco: the list has its environments")
    texts = {width: screens.golden_text(shown[name, width]) for width in screens.WIDTHS}
    if WRITE:
        screens.write_golden(name, texts)
    else:
        assert texts == golden[name]


@pytest.mark.parametrize("width", screens.WIDTHS)
def test_nothing_is_cut_and_styles_are_those_that_every_background_shows(width, shown):
    for (name, columns), screen in shown.items():
        if columns == width:
            assert "…" not in screens.text_of(screen), name
            assert {letter for *_, letter in screens.styles_of(screen)} <= {" ", "b", "d"}, name


@pytest.mark.parametrize("name", HELP)
def test_help_has_the_same_whole_words_at_any_width(name, shown):
    """A list of choices may go on in another line after a comma."""
    texts = {width: screens.text_of(screen) for (each, width), screen in shown.items() if each == name}
    words = {re.sub(r",\s+", ",", " ".join(text.split())) for text in texts.values()}
    assert len(words) == 1
    command = commands.COMMANDS[name.removeprefix("help_")]
    for width, text in texts.items():
        assert max(map(len, text.split("\n"))) <= width
        assert [sentence for sentence in documented(command) if _words(sentence) not in _words(text)] == []


def documented(command):
    """The texts of the options of a sub-command, as its source has them."""
    classes = [kind for kind in command.__mro__ if kind.__module__.startswith("fastars")]
    if "settings" in command.__dataclass_fields__:
        classes.append(commands.Settings)
    for kind in classes:
        statements = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0].body
        yield from (ast.literal_eval(each.value) for each in statements[1:] if isinstance(each, ast.Expr))


def _words(text):
    """A text without spaces, in which words of broken lines are found."""
    return "".join(text.split())


def plain(golden, name, width=80):
    return screens.without_styles(golden[name][width])


def ascii_only(text):
    """The text as rich writes its rules and boxes where the encoding has no others."""
    return re.sub("[─━]", "-", text)


@pytest.mark.parametrize(
    "env",
    [
        {"NO_COLOR": "1"},
        {"TERM": "dumb"},
        {"PYTHONUTF8": "0", "LC_ALL": "C", "LANG": "C", "PYTHONCOERCECLOCALE": "0"},
    ],
    ids=["no colours", "dumb", "locale C"],
)
def test_other_terminals_show_the_same_text(env, golden, tmp_path):
    names = [name for name in VARIED if "TERM" not in env or name != "compiling"]  # two lines where none can be written again
    found = screens.screens(names, tmp_path, **env)
    for (name, width), screen in found.items():
        expected = plain(golden, name, width)
        assert screens.text_of(screen) == (ascii_only(expected) if "PYTHONUTF8" in env else expected), (name, width)
        if "TERM" in env:
            assert screens.styles_of(screen) <= {("default", "default", " ")}


@pytest.mark.parametrize("env", [{}, {"FORCE_COLOR": "1"}], ids=["plain", "colours forced"])
def test_a_pipe_gets_lines_that_are_not_broken(env, golden, tmp_path):
    for (name, _), written in screens.piped([*VARIED, "bar"], tmp_path, **env).items():
        text = re.sub(r"\x1b\[[0-9;]*m", "", written)
        assert not re.search("[\x1b\r]", text), name  # nothing moves the cursor
        assert env or text == written, name  # no styles
        if name in ("error", "missing"):
            assert text.count("\n") == 1


def test_no_character_is_an_error_where_the_encoding_lacks_it(tmp_path):
    env = {"PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"}
    for (name, _), screen in screens.screens(["foreign", "train", "export"], tmp_path, **env).items():
        assert screens.text_of(screen).count("\\xe9") == {"foreign": 3, "train": 0, "export": 1}[name]


def test_a_number_that_tyro_broke_is_whole_again():
    box = " options        \n ---------------- \n  --size INT  has 12,\n              345 of a,\n              b\n"
    text = f"usage: x [-h]\n\nDo it.\n\n{box}"
    assert ("  --size INT", f"{'has 12,345 of a, b':>36}") in lines(text, 80)
