"""Every file of ours that is read, cut and edited: it is refused by one error that names it, or read as it was.

Checkpoints as such are in test_checkpoint.py, files of others in test_exchange.py. Tables and settings are text without a checksum:
an edit that leaves them well-formed is read as what it says.

Broken on purpose: no CRC of members -> test_arrays and both of test_exported_policies red.
"""

import json
import random
import shutil
import warnings

import numpy as np
import pytest
from fuzz.targets import CORPUS
from test_checkpoint import bits
from test_checkpoint import edited as edited_bytes

import fastars
from fastars import ARS, exchange
from fastars.cli import main
from fastars.files import checkpoint
from fastars.files.tables import read_arrays
from fastars.plot.runs import read_evaluations
from fastars.replay import read_episode
from fastars.training import presets


def pieces(content):
    """The content cut at every 64th byte."""
    return [content[:end] for end in range(0, len(content), 64)]


def damaged(content, n_edits, name):
    generator = random.Random(name)
    return [*pieces(content), *(edited_bytes(content, generator) for _ in range(n_edits))]


def names(path, error):
    """Return True if an error names the file."""
    assert str(path) in str(error)
    return True


def counted(read, expected, path, contents, errors):
    """Return how many of these contents are refused. AssertionError if one is read as something else."""
    n_refused = 0
    for content in contents:
        path.write_bytes(content)
        try:
            found = read(path)
        except errors as error:
            n_refused += names(path, error)
        else:
            assert found == expected
    return n_refused


def tell(tally, what, n_refused, contents):
    tally(f"damaged {what}: refused, all others read bit-equal", n_refused, of=len(contents))
    assert n_refused > 0.9 * len(contents)


def state_of(model):
    counters = model.iteration, model.num_timesteps, model.num_episodes
    return model.config, counters, bits({"theta": model.theta, "mean": model.state.moments[1], "m2": model.state.moments[2]})


@pytest.mark.promise(5)
def test_models(tmp_path, tally):
    content = (CORPUS / "checkpoint_file" / "filtered.zip").read_bytes()
    path, read = tmp_path / "model.zip", lambda path: state_of(ARS.load(path))
    path.write_bytes(content)
    contents = damaged(content, tally.of(fast=200, full=10_000), "models")
    tell(tally, "models", counted(read, read(path), path, contents, fastars.CheckpointError), contents)


@pytest.mark.promise(5)
def test_files_of_failures(tmp_path, tally):
    state = json.loads((CORPUS / "episode" / "episode.json").read_text())
    path = tmp_path / "failure_0.zip"
    checkpoint.save(path, state, {"weights": np.ones(8), "mean": np.zeros(4), "scale": np.ones(4)})

    def read(path):
        episode = read_episode(path)
        return episode[:-1], bits(episode.arrays)

    expected, contents = read(path), damaged(path.read_bytes(), tally.of(fast=200, full=10_000), "failures")
    tell(tally, "files of failures", counted(read, expected, path, contents, fastars.CheckpointError), contents)


@pytest.mark.promise(5)
def test_arrays(tmp_path, tally):
    path = tmp_path / "evaluations.npz"
    shutil.copy(CORPUS / "evaluations" / "evaluations.npz", path)

    def read(path):
        arrays = read_arrays(path)
        values = read_evaluations(path.parent)
        return bits({name: arrays[name] for name in ("timesteps", "results", "ep_lengths")}), [value.tobytes() for value in values]

    expected, contents = read(path), damaged(path.read_bytes(), tally.of(fast=500, full=10_000), "arrays")
    n_refused = 0
    for content in contents:
        path.write_bytes(content)
        try:
            found = read(path)
        except KeyError:  # a name of a member is under no checksum
            n_refused += 1
        except ValueError as error:
            n_refused += names(path, error)
        else:
            assert found == expected
    tally("damaged evaluations.npz: refused, all others read bit-equal", n_refused, of=len(contents))
    assert n_refused > 0.8 * len(contents)


@pytest.mark.promise(5)
@pytest.mark.parametrize("name", ["original.npz", "arrays.npz"])
def test_exported_policies(tmp_path, name, tally):
    content, path = (CORPUS / "foreign" / name).read_bytes(), tmp_path / name

    def read(path):
        trained = exchange.read(path)
        return trained.weights.tobytes(), *(None if each is None else each.tobytes() for each in (trained.mean, trained.std))

    path.write_bytes(content)
    expected, contents = read(path), damaged(content, tally.of(fast=200, full=10_000), name)
    n_refused = counted(read, expected, path, contents, fastars.CheckpointError)
    tally(f"damaged {name}: refused, all others read bit-equal", n_refused, of=len(contents))
    assert n_refused > 0.8 * len(contents)


def test_a_preset_that_is_damaged_is_named(monkeypatch, tmp_path):
    (tmp_path / "tuned.toml").write_bytes(b"[CartPole\n")
    monkeypatch.setattr(presets, "files", lambda package: tmp_path)
    with pytest.raises(ValueError, match=r"tuned\.toml is damaged: .*; install fastars again"):
        presets._table.__wrapped__("tuned")


# Run folders, by the command


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    """A finished run with every file that a run can have."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    arguments = [
        "--total-timesteps",
        "1000",
        "--eval-freq",
        "500",
        "--eval-episodes",
        "2",
        "--seed",
        "1",
        "--no-progress",
        "--monitor",
    ]
    assert main(["train", "CartPole-v1", "--preset", "modestyachts", "--run-folder", str(folder), *arguments]) == 0
    return folder


COMMANDS = {
    "resume": lambda folder: ["resume", str(folder), "--total-timesteps", "1500", "--no-progress"],
    "eval": lambda folder: ["eval", str(folder)],
    "plot": lambda folder: ["plot", str(folder), "--out", str(folder / "curve.png")],
    "report": lambda folder: ["report", str(folder), "--out", str(folder / "page.html")],
    "import": lambda folder: [
        "import",
        str(folder / "lin_policy_plus.npz"),
        "--env",
        "CartPole-v1",
        "--out",
        str(folder / "imported.zip"),
    ],
}
FILES = {
    "model.zip": ("resume", "eval", "report"),
    "best_model.zip": ("resume", "eval", "report"),
    "evaluations.npz": ("resume", "plot", "report"),
    "config.toml": ("resume", "plot", "report"),
    "progress.csv": ("resume", "plot", "report"),
    "0.monitor.csv": ("resume",),
    "log.txt": ("resume",),
    "params.json": ("resume",),
    "lin_policy_plus.npz": ("import",),
}


@pytest.mark.promise(5)
@pytest.mark.parametrize("name", FILES)
def test_the_command_ends_in_one_line_or_goes_on(tmp_path, run_folder, name, tally, capsys):
    pytest.importorskip("matplotlib", reason="needs fastars[plot]")
    content, generator = (run_folder / name).read_bytes(), random.Random(name)
    cuts = generator.sample(pieces(content), min(len(pieces(content)), tally.of(fast=2, full=40)))
    contents = [*cuts, *(edited_bytes(content, generator) for _ in range(tally.of(fast=2, full=160)))]
    n_errors = 0
    for k, damage in enumerate(contents):
        for command in FILES[name]:
            folder = tmp_path / f"{command}_{k}"
            shutil.copytree(run_folder, folder)
            (folder / name).write_bytes(damage)
            with warnings.catch_warnings():
                warnings.simplefilter("always")  # as outside of tests
                code = main(COMMANDS[command](folder))
            said = capsys.readouterr().err
            assert code in (0, 1, 2)
            assert "Traceback" not in said
            errors = [line for line in said.splitlines() if line.startswith("fastars: error: ")]
            assert len(errors) == (code != 0), said  # one line, however long
            assert "--traceback shows where" not in said  # which it says of an error that nobody thought of
            n_errors += code != 0
            shutil.rmtree(folder)
    tally(
        f"runs of the command on a damaged {name} that end in one line, others go on", n_errors, of=len(contents) * len(FILES[name])
    )
