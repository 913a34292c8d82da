"""Texts in files of anybody are shown with escapes: on the terminal, in errors that nobody catches, in warnings, in the log.

Every text and every name of a field is replaced, in turn, in every kind of file, and readers and commands are run. None of them
may show a character that is not printable, and no line may begin with what stands after the line end in the text. `terminal.py`
is the one place of the command that prints.

Broken on purpose, one at a time: `printable` that returns its text -> 12 tests red; `brief` without it ->
test_readers_of_run_folders, and `make_printable` that does nothing -> test_errors_that_nobody_catches, by the causes of errors,
red; `complain` or `say` without it -> test_the_name_of_a_folder red; the console, or the rows of tables, passed on ->
test_tables_and_texts red; `log_failure` and the rows of the log as they are -> their tests red; labels as they are, formulas in
labels or in the title -> test_labels_of_a_picture_are_printable_short_and_no_formula red; a `print` in a sub-command ->
test_one_file_prints red; what tyro prints as it is -> test_arguments_that_a_shell_made_of_names_of_files red.
"""

import ast
import contextlib
import copy
import io
import json
import logging
import shutil
import traceback
import warnings
from pathlib import Path

import numpy as np
import pytest
from fuzz.targets import CORPUS, DATA, unzipped, zipped

import fastars
from fastars import ARS, exchange, plot, rllib
from fastars import replay as _replay
from fastars._printable import printable
from fastars.cli import main
from fastars.cli.table import empty_table
from fastars.cli.terminal import console
from fastars.files import checkpoint
from fastars.logger import Logger
from fastars.samplers.failure import Failure, log_failure

FORGED = "fastars: FORGED"
# A title, a colour in 8 bits, the clipboard, text that runs backwards, a line of its own, DEL, no width, half a pair, a line's end.
TEXT = f"\x1b]0;owned\x07\x9b31m\x1b]52;c;AAAA\x07\u202e\r\n{FORGED}\x7f\u200b\ud800\u2028"


def is_shown_only(text):
    """Return True if a terminal only shows the text."""
    lines = text.split("\n")
    return all(line.isprintable() for line in lines) and not any(line.startswith(FORGED) for line in lines)


@pytest.mark.parametrize("text", ["", "plain", "näive ✓", "a\tb", TEXT, "".join(map(chr, range(0x180)))])
def test_printable_texts_are_their_own_and_others_have_escapes_as_in_repr(text):
    shown = printable(text)
    assert shown.isprintable()
    assert shown == (text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text))
    assert printable(shown) == shown
    assert printable(text, keep="\n").count("\n") == text.count("\n")


def changed(tree):
    """Yield copies of plain data, in each of which a value, or the name of a field, is the text; and the place of the change."""
    for path in places(tree):
        *above, last = path
        copied = copy.deepcopy(tree)
        inner = copied
        for step in above:
            inner = inner[step]
        inner[last] = TEXT
        yield "/".join(map(str, path)), copied
        if isinstance(last, str):
            copied = copy.deepcopy(tree)
            inner = copied
            for step in above:
                inner = inner[step]
            inner[TEXT] = inner[last]
            yield f"name beside {'/'.join(map(str, path))}", copied


def places(tree, path=()):
    pairs = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for name, value in pairs:
        yield (*path, name)
        yield from places(value, (*path, name))


def told(function, *arguments, **options):
    """Return all that a program would print: warnings, and the traceback of an error that it does not catch."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            function(*arguments, **options)
            text = ""
        except Exception as error:
            text = "".join(traceback.format_exception(error))
    return "\n".join([text, *(str(warning.message) for warning in caught)])


def model_files():
    for name in ("model", "tasks"):
        yield checkpoint.load(CORPUS / "checkpoint_file" / f"{name}.zip")


def files(folder):
    """Yield (what was changed, path, function that reads it) for all kinds of files."""
    for number, (manifest, arrays) in enumerate(model_files()):
        for place, state in changed(manifest):
            path = folder / f"model_{number}.zip"
            checkpoint.save(path, state, arrays)
            yield f"model: {place}", path, ARS.load
    state = json.loads((CORPUS / "episode" / "episode.json").read_text())
    for place, episode in changed(state):
        path = folder / "failure.zip"
        checkpoint.save(path, episode, {"weights": np.zeros(8), "mean": np.zeros(4), "scale": np.ones(4)})
        yield f"failure: {place}", path, _replay.replay
    saved = Path(
        rllib.ARSConfig().environment("CartPole-v1").training(model={"fcnet_hiddens": []}, noise_size=100_000).build().save(folder)
    )
    state, _ = checkpoint.load(saved / "algorithm.zip")
    for place, algorithm in changed(state):
        checkpoint.save(saved / "algorithm.zip", algorithm, {})
        yield f"rllib: {place}", saved, rllib.ARS.from_checkpoint
    members = unzipped((DATA / "sb3_linear.zip").read_bytes())
    for place, data in changed(json.loads(members["data"])):
        path = folder / "theirs.zip"
        path.write_bytes(zipped({**members, "data": json.dumps(data).encode()}))
        yield f"sb3: {place}", path, lambda path: ARS.load(path, env="CartPole-v1")
    members = unzipped((CORPUS / "foreign" / "arrays.npz").read_bytes())
    for name in members:
        path = folder / "arrays.npz"
        content = io.BytesIO()
        np.save(content, np.array(TEXT.replace("\ud800", "")))
        path.write_bytes(zipped({**members, name: content.getvalue()}))
        yield f"arrays: {name}", path, exchange.read
        yield f"arrays: {name}", path, ARS.load


@pytest.mark.promise(6)
def test_errors_that_nobody_catches(tmp_path, tally):
    raw, n = [], 0
    for what, path, read in files(tmp_path):
        n += 1
        if not is_shown_only(told(read, path)):
            raw.append(what)
    assert not raw
    assert n > 300
    tally("texts of files in errors and warnings, shown with escapes", n, of=n)


def said(capfd, *arguments):
    """Return what the command prints."""
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        main([str(argument) for argument in arguments])
    out, err = capfd.readouterr()
    return f"{out}\n{err}"


@pytest.mark.promise(6)
def test_the_command_on_a_model(tmp_path, capfd, tally):
    """`fastars eval`, and now and then the others with the same loader."""
    manifest, arrays = next(model_files())
    raw, n = [], 0
    for place, state in changed(manifest):
        checkpoint.save(tmp_path / "model.zip", state, arrays)
        for command in ("eval",) if n % 8 else ("eval", "export", "video"):
            n += 1
            text = said(capfd, command, tmp_path / "model.zip", *(["--to", "npz"] if command == "export" else []))
            if not is_shown_only(text):
                raw.append((command, place))
    assert not raw
    tally("runs of the command on texts in a model, shown with escapes", n, of=n)


def test_the_command_that_replays(tmp_path, capfd, monkeypatch):
    state = json.loads((CORPUS / "episode" / "episode.json").read_text())
    raw = []
    for place, episode in changed(state):
        checkpoint.save(tmp_path / "a.zip", episode, {"weights": np.zeros(8), "mean": np.zeros(4), "scale": np.ones(4)})
        monkeypatch.setattr("sys.argv", ["replay", str(tmp_path / "a.zip")])
        try:
            _replay.main()
            left = ""
        except SystemExit as error:
            left = str(error)
        out, err = capfd.readouterr()
        if not is_shown_only(f"{out}\n{err}\n{left}"):
            raw.append(place)
    assert not raw


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    options = ["--total-timesteps", "1000", "--eval-freq", "300", "--eval-episodes", "2", "--save-freq", "500", "--n-delta", "2"]
    assert main(["train", "CartPole-v1", "--run-folder", str(folder), "--monitor", "--no-progress", "--seed", "1", *options]) == 0
    return folder


def in_toml(text):
    return json.dumps(text.replace("\ud800", "").replace("\x7f", ""), ensure_ascii=True)


def damaged_folders(folder):
    """Yield what is changed in a run folder; the folder is as it was afterwards."""
    quoted, plain = in_toml(TEXT), TEXT.replace("\ud800", "").encode()
    config, progress = (folder / "config.toml").read_bytes(), (folder / "progress.csv").read_bytes()
    header = progress.split(b"\n")[0]
    cell = b'"' + plain + b'"'
    edits = {
        "config.toml": {
            "id": config.replace(b'"CartPole-v1"', quoted.encode()),
            "a key": config + f"\n[{quoted}]\na = 1\n".encode(),
            "a setting": config.replace(b"[settings]", f"[settings]\n{quoted} = {quoted}".encode()),
            "a plan": config.replace(b"total_timesteps = 1000", f"total_timesteps = {quoted}".encode()),
            "a twin": config + f"\n{quoted} = 1\n{quoted} = 2\n".encode(),
            "raw": config + plain,
            "schema": config.replace(b"schema = 1", f"schema = {quoted}".encode()),
        },
        "progress.csv": {
            "all columns": progress.replace(header, cell),
            "a column": progress.replace(b"rollout/ep_rew_mean", cell),
            "a cell": progress.replace(b"\n", b"\n" + cell + b",", 1),
            "cells": header + b"\n" + b",".join([cell] * (header.count(b",") + 1)) + b"\n",
        },
        "0.monitor.csv": {
            "the header": b"#" + plain + b"\n",
            "a row": b'#{"t_start": 1.0}\nr,l,t\n' + plain.replace(b"\n", b"") + b"\n",
        },
    }
    for name, contents in edits.items():
        before = (folder / name).read_bytes()
        for what, content in contents.items():
            (folder / name).write_bytes(content)
            yield f"{name}, {what}"
        (folder / name).write_bytes(before)
    name = TEXT.replace("\ud800", "").replace("/", "")
    for file in (f"{name}_7_steps.zip", f"{name}.monitor.csv"):
        (folder / file).write_bytes(b"nothing")
        yield f"a file's name, {file!r}"
        (folder / file).unlink()


@pytest.mark.promise(6)
def test_the_command_on_a_run_folder(run_folder, capfd, tally, tmp_path):
    pytest.importorskip("matplotlib", reason="needs fastars[plot]")
    commands = {
        "eval": ["eval", run_folder],
        "verify": ["verify", run_folder, "--seed", 1, "--episodes", 2],
        "plot": ["plot", run_folder, "--out", tmp_path / "a.svg"],
        "plot a column": ["plot", run_folder, "--metric", "rollout/ep_rew_mean", "--out", tmp_path / "a.png"],
        "plot train": ["plot", run_folder, "--metric", "train", "--out", tmp_path / "a.png"],
        "report": ["report", run_folder, "--out", tmp_path / "a.html"],
        "resume": ["resume", run_folder, "--no-progress"],
    }
    raw, n = [], 0
    for what in damaged_folders(run_folder):
        for name, arguments in commands.items():
            n += 1
            if not is_shown_only(said(capfd, *arguments)):
                raw.append((what, name))
    assert not raw
    tally("runs of the command on texts in a run folder, shown with escapes", n, of=n)


def test_readers_of_run_folders(run_folder):
    raw = [
        (what, metric)
        for what in damaged_folders(run_folder)
        for metric in ("eval", "train", "rollout/ep_rew_mean", "nothing")
        if not is_shown_only(told(plot.read_run, run_folder, metric))
    ]
    raw += [what for what in damaged_folders(run_folder) if not is_shown_only(told(fastars.latest_checkpoint, run_folder))]
    assert not raw


def test_the_name_of_a_folder(run_folder, tmp_path, capfd):
    """A received archive names its folders."""
    folder = tmp_path / TEXT.replace("\ud800", "").replace("/", "")
    for content in ([], ["config.toml"], ["evaluations.npz"], ["progress.csv"], ["a_1_steps.zip", "b_1_steps.zip"]):
        folder.mkdir()
        for name in content:
            (folder / name).write_bytes((run_folder / name).read_bytes() if (run_folder / name).exists() else b"")
        for metric in ("eval", "train", "nothing"):
            text = told(lambda metric=metric: plot.learning_curves([plot.read_run(folder, metric)], x="time"))
            assert is_shown_only(text)
        for read in (fastars.latest_checkpoint, ARS.load, exchange.read, rllib.ARS.from_checkpoint, _replay.replay):
            assert is_shown_only(told(read, folder))
        for command in ("eval", "verify", "plot", "report", "resume"):
            assert is_shown_only(said(capfd, command, folder))
        shutil.rmtree(folder)


def test_labels_of_a_picture_are_printable_short_and_no_formula(run_folder, tmp_path):
    pytest.importorskip("matplotlib", reason="needs fastars[plot]")
    config = (run_folder / "config.toml").read_text()
    folders = []
    for number, name in enumerate(("$\\frac$", TEXT.replace("\ud800", "").replace("\x7f", ""), "x" * 10_000)):
        folders.append(tmp_path / f"run_{number}")
        folders[-1].mkdir()
        (folders[-1] / "config.toml").write_text(config.replace('"CartPole-v1"', json.dumps(name)))
        (folders[-1] / "evaluations.npz").write_bytes((run_folder / "evaluations.npz").read_bytes())
    curves = plot.learning_curves([plot.read_run(folder) for folder in folders])
    assert all(curve.label.isprintable() and len(curve.label) < 2_000 for curve in curves)
    figure = plot.plot_runs([plot.read_run(folder) for folder in folders])
    titles = [axes.get_title("left").replace("\n", "") for axes in figure.axes]
    assert len(titles) == 3
    assert all(title.isprintable() and 0 < len(title) < 200 for title in titles)
    figure.savefig(io.BytesIO())  # draws the formula, if there is one
    settings = [{"preset": name} for name in ("$\\frac$", TEXT, "x" * 10_000)]
    runs = [plot.read_run(run_folder)._replace(settings=each) for each in settings]
    (axes,) = plot.plot_runs(runs).axes
    legend = [text.get_text() for text in axes.get_legend().get_texts()]
    assert all(text.replace("\n", "").isprintable() and len(text) < 200 for text in legend)
    axes.figure.savefig(io.BytesIO())
    plot.plot_runs([plot.read_run(folders[0])]).savefig(io.BytesIO())  # its title


def test_tables_and_texts(capfd):
    table = empty_table(TEXT, "b>")
    table.add_row(TEXT, "1")
    for stderr in (False, True):
        out = console(stderr=stderr)
        out.print(table)
        out.print(f"\n {TEXT}", soft_wrap=True)
        out.print(TEXT, style="bold")
    out, err = capfd.readouterr()
    assert is_shown_only(out)
    assert is_shown_only(err)
    assert out.count("\\x1b]0;owned") == 4


def test_the_log_of_failures(caplog):
    with caplog.at_level(logging.WARNING, "fastars"):
        log_failure(Failure(0, 1, 1, False, f'Traceback (most recent call last):\n  File "a.py"\nValueError: {TEXT}'))
    (message,) = [record.getMessage() for record in caplog.records]
    lines = message.split("\n")
    assert all(line.isprintable() for line in lines)
    assert lines[1] == '  File "a.py"'


def test_rows_of_the_log_on_the_terminal(capfd):
    logger = Logger(formats=["stdout"])
    logger.record(f"a/{TEXT}", TEXT)
    logger.record(TEXT, 1.0)
    logger.dump()
    assert is_shown_only(capfd.readouterr().out)


@pytest.mark.parametrize("arguments", [["plot", f"--{TEXT}"], ["eval", "a", TEXT], [TEXT]])
def test_arguments_that_a_shell_made_of_names_of_files(arguments, capfd):
    with contextlib.suppress(SystemExit):
        assert main(arguments) == 2
    out, err = capfd.readouterr()
    assert is_shown_only(out + err)
    assert "\\x1b]0;owned" in err


def test_one_file_prints():
    """No other file of the command calls `print` or writes to stdout or stderr."""
    found = []
    for path in sorted((Path(fastars.__file__).parent / "cli").glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        calls = [ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)]
        found += [
            (path.name, call) for call in calls if call == "print" or call.endswith(("stdout.write", "stderr.write", "print_exc"))
        ]
    assert {name for name, _ in found} == {"terminal.py"}
