"""Targets of the fuzzer: a function of bytes for every reader of fastars. It returns, or raises the error that its reader promises.

Where a checksum stands before what is of interest, the bytes are put inside of it: `manifest` and `model` are under a right sha256,
`sb3_text`, `sb3_pickle`, `original` and `array` under a right CRC.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import json
import shutil
import tempfile
import warnings
import zipfile
import zlib
from pathlib import Path

import gymnasium
import numpy as np

from fastars import ARS, CheckpointError, exchange, replay, rllib
from fastars.cli import WrongUseError, main
from fastars.cli.plan import read_config, read_plan
from fastars.cli.run_log import cut_monitor, cut_progress
from fastars.exchange import sb3
from fastars.exchange.pickles import numpy_array, numpy_objects, read_pickle
from fastars.files import checkpoint, stored_zip
from fastars.files.archives import Archive, reading
from fastars.files.tables import read_arrays
from fastars.plot.runs import read_column, read_episodes, read_evaluations, read_settings

CORPUS = Path(__file__).parent / "corpus"
DATA = Path(__file__).parent.parent / "data"


def zipped(members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def unzipped(data):
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def forged(text, arrays):
    """A checkpoint with this text as its manifest, right in all that is computed."""
    members = {"manifest.json": text}
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        members[f"{name}.npy"] = checkpoint.npy_header(array.dtype.str, arrays[name].shape) + array.tobytes()
    parts = [stored_zip.Member(name, zlib.crc32(content), len(content)) for name, content in members.items()]
    bodies = [stored_zip.local_header(part) + members[part.name] for part in parts]
    return b"".join([*bodies, stored_zip.directory(parts)])


def entries_of(arrays):
    found = {}
    for name, array in arrays.items():
        content = checkpoint.npy_header(array.dtype.str, array.shape) + array.tobytes()
        found[name] = {"dtype": array.dtype.str, "shape": list(array.shape), "sha256": hashlib.sha256(content).hexdigest()}
    return found


@functools.cache
def folder():
    return Path(tempfile.mkdtemp(prefix="fastars-fuzz-"))


@functools.cache
def arrays_of(name):
    """The arrays of the file of a model, and what the manifest says of them."""
    arrays = checkpoint.load(CORPUS / "checkpoint_file" / f"{name}.zip")[1]
    return arrays, json.dumps(entries_of(arrays)).encode()


def with_state(state, arrays, entries):
    """A checkpoint whose manifest has this text where the state of the caller stands."""
    text = b'{"format": "fastars checkpoint", "schema": 1, "versions": {}, "arrays": ' + entries + b', "state": ' + state + b"}"
    return forged(text, arrays)


@functools.cache
def theirs():
    return unzipped((DATA / "sb3_linear.zip").read_bytes())


def expects(*errors):
    """A target that may raise these."""

    def decorate(function):
        @functools.wraps(function)
        def target(data):
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    function(data)
            except errors:
                return False
            return True

        TARGETS[function.__name__] = target
        return target

    return decorate


TARGETS = {}


@expects(CheckpointError)
def checkpoint_file(data):
    checkpoint.load(io.BytesIO(data))


@expects(CheckpointError)
def manifest(data):
    checkpoint.load(io.BytesIO(forged(data[: 1 << 16], {})))


@expects(CheckpointError)
def model(data):
    """The state of a model, as JSON."""
    ARS.load(io.BytesIO(with_state(data, *arrays_of("filtered"))))


@expects(CheckpointError)
def tasks(data):
    """That of one with several tasks."""
    ARS.load(io.BytesIO(with_state(data, *arrays_of("tasks"))))


@expects(CheckpointError)
def episode(data):
    """The state of a failure's file, as JSON; two steps of its policy in an environment that is not the file's."""
    arrays = {"weights": np.zeros(8), "mean": np.zeros(4), "scale": np.ones(4)}
    path = folder() / "episode.zip"
    path.write_bytes(with_state(data, arrays, json.dumps(entries_of(arrays)).encode()))
    replay.read_episode(path)
    replay.replay(path, cartpole, max_steps=2)


def cartpole():
    return gymnasium.make("CartPole-v1")


@expects(CheckpointError)
def failure(data):
    """A failure's file as a whole."""
    path = folder() / "failure.zip"
    path.write_bytes(data)
    replay.read_episode(path)
    replay.replay(path, cartpole, max_steps=2)


@expects(CheckpointError, ValueError)
def algorithm(data):
    """The state of RLlib's algorithm, as JSON, beside a model; a ValueError asks for a config. The policy then acts."""
    of_algorithm = folder() / "algorithm"
    of_algorithm.mkdir(exist_ok=True)
    (of_algorithm / "model.zip").write_bytes((CORPUS / "checkpoint_file" / "rllib.zip").read_bytes())
    (of_algorithm / "algorithm.zip").write_bytes(with_state(data, {}, b"{}"))
    try:
        made = rllib.ARS.from_checkpoint(of_algorithm)
    except CheckpointError:
        raise
    except ValueError as error:
        if "give config=" not in str(error):
            raise AssertionError(str(error)) from error
        raise
    made.compute_single_action(np.zeros(made.model.observation_space.shape))
    made.stop()


class OneLineError(Exception):
    """The command ended with an error of one line."""


@expects(OneLineError)
def run_folder(data):
    """A file of a run folder, its name before the first null: `eval`, `verify` and `resume` end in one line, and none trains."""
    n_errors = 0
    name, _, content = data.partition(b"\0")
    name = name.decode("latin-1")
    files = {path.name: path.read_bytes().partition(b"\0")[2] for path in (CORPUS / "run_folder").iterdir()}
    if name not in files:
        return
    for command in (["eval"], ["verify", "--episodes", "2", "--seed", "0"], ["resume", "--iterations", "2", "--no-progress"]):
        shutil.rmtree(folder() / "run", ignore_errors=True)
        (folder() / "run").mkdir()
        for each, good in files.items():
            (folder() / "run" / each).write_bytes(content if each == name else good)
        said = io.StringIO()
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
            code = main([command[0], str(folder() / "run"), *command[1:]])
        errors = [line for line in said.getvalue().splitlines() if line.startswith("fastars: error: ")]
        if code not in (0, 1, 2) or "--traceback shows where" in said.getvalue() or len(errors) > (code != 0):
            raise AssertionError(f"{command}: code {code}, {said.getvalue()}")
        n_errors += len(errors)
    if n_errors:
        raise OneLineError


@expects(CheckpointError)
def foreign(data):
    exchange.is_foreign(io.BytesIO(data))
    exchange.read_quietly(io.BytesIO(data))


@expects(CheckpointError)
def sb3_text(data):
    exchange.read_quietly(io.BytesIO(zipped({**theirs(), "data": data})))


@expects(CheckpointError)
def sb3_pickle(data):
    inner = unzipped(theirs()["policy.pth"])
    (name,) = [name for name in inner if name.endswith("data.pkl")]
    exchange.read_quietly(io.BytesIO(zipped({**theirs(), "policy.pth": zipped({**inner, name: data})})))


@expects(CheckpointError)
def statistics(data):
    with reading("statistics"):
        sb3.read(Archive(zipped(theirs())), data)


@expects(CheckpointError)
def original(data):
    exchange.read_quietly(io.BytesIO(zipped({"arr_0.npy": data})))


@expects(CheckpointError)
def array(data):
    """A member of a file of plain arrays: its name is what stands before the first null."""
    name, _, content = data.partition(b"\0")
    members = unzipped((CORPUS / "foreign" / "arrays.npz").read_bytes())
    exchange.read_quietly(io.BytesIO(zipped({**members, name.decode("latin-1") or "x": content})))


@expects(ValueError, OverflowError)
def pickles(data):
    tree = read_pickle(data)
    for function in (numpy_array, numpy_objects):
        try:
            function(tree)
        except (ValueError, OverflowError):
            continue


@expects(ValueError, WrongUseError)
def config(data):
    (folder() / "config.toml").write_bytes(data)
    try:
        read_plan(folder(), read_config(folder()))
    finally:
        read_settings(folder())


@expects(ValueError)
def progress(data):
    path = folder() / "progress.csv"
    path.write_bytes(data)
    try:
        read_column(path, "rollout/ep_rew_mean")
    finally:
        cut_progress(path, 10_000, 0)


@expects(ValueError, FileNotFoundError)
def monitor(data):
    of_monitors = folder() / "monitors"
    of_monitors.mkdir(exist_ok=True)
    (of_monitors / "0.monitor.csv").write_bytes(data)
    try:
        read_episodes(of_monitors, 100)
    finally:
        cut_monitor(of_monitors / "0.monitor.csv", 10)


@expects(ValueError)
def evaluations(data):
    path = folder() / "evaluations.npz"
    path.write_bytes(data)
    (folder() / "progress.csv").unlink(missing_ok=True)
    try:
        read_evaluations(folder())
    finally:
        read_arrays(path)
