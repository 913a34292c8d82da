"""Checkpoints: what is saved comes back to the bit, a save that fails costs nothing, and a file is never trusted."""

import errno
import hashlib
import importlib.util
import io
import json
import math
import os
import pickle
import random
import re
import signal
import stat
import struct
import subprocess
import sys
import time
import zipfile
import zlib
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastars import ARS
from fastars.envs import make
from fastars.files import atomic as _atomic
from fastars.files import checkpoint, stored_zip
from fastars.files.atomic import sweep_temporaries
from fastars.files.checkpoint import CheckpointError, load, save

posix = pytest.mark.skipif(os.name != "posix", reason="signals, limits and links of POSIX")

STATE = {"n_delta": 8, "seed": 2**64 - 1, "sigma": 0.05, "clip": math.inf, "preset": None, "layers": [64, 64], "name": 'a"\\é'}
ARRAYS = {
    "theta": np.arange(24, dtype=np.float64).reshape(2, 3, 4) / 7,
    "count": np.int64(-3),
    "filter.mean": np.zeros((0, 4), np.float32),
    "is_done": np.array([True, False, True]),
    "seeds": np.array([0, 2**64 - 1], np.uint64),
}


def bits(arrays):
    return {name: (a.dtype.str, a.shape, a.tobytes()) for name, a in ((name, np.asarray(a)) for name, a in arrays.items())}


def same(left, right):
    """Return True if two pairs of (manifest, arrays) are equal to the bit, NaN included."""
    return repr(left[0]) == repr(right[0]) and bits(left[1]) == bits(right[1])


def files(folder):
    return sorted(path.name for path in folder.iterdir())


def run(code, *arguments, **options):
    """A Python process on this package; its stdout."""
    command = [sys.executable, "-W", "error", "-c", code, *map(str, arguments)]
    done = subprocess.run(command, cwd=Path(checkpoint.__file__).parents[2], capture_output=True, text=True, timeout=60, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout


# What is saved comes back


@pytest.mark.parametrize("shape", [(), (0,), (1,), (7,), (3, 0, 2), (2, 3, 4), (1,) * 32], ids=str)
@pytest.mark.parametrize("dtype", ["float64", "float32", "int64", "uint64", "bool"])
def test_every_dtype_and_shape_comes_back_to_the_bit(tmp_path, dtype, shape):
    raw = np.random.default_rng(0).bytes(math.prod(shape) * np.dtype(dtype).itemsize)  # among floats: NaNs with payloads
    array = np.frombuffer(raw, dtype).reshape(shape) if dtype != "bool" else np.frombuffer(raw, np.uint8).reshape(shape) > 99
    save(tmp_path / "a.zip", {}, {"x": array})
    _, arrays = load(tmp_path / "a.zip")
    assert bits(arrays) == bits({"x": array})
    assert all(arrays["x"].flags[flag] for flag in ("OWNDATA", "WRITEABLE", "C_CONTIGUOUS"))


def test_the_order_in_memory_is_not_kept_but_the_values_are(tmp_path):
    array = np.arange(24.0).reshape(4, 6)
    save(tmp_path / "a.zip", {}, {"fortran": np.asfortranarray(array), "strided": array[::2, ::-3], "big": array.astype(">f8")})
    _, arrays = load(tmp_path / "a.zip")
    assert bits(arrays) == bits({"fortran": array, "strided": np.array(array[::2, ::-3]), "big": array})


keys = st.text(max_size=9).filter(lambda key: key != "$float")
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(keys, children, max_size=4),
    max_leaves=20,
)


@settings(max_examples=100)
@given(state=st.dictionaries(keys, plain, max_size=4))
def test_plain_data_comes_back_with_nan_infinities_and_minus_zero(tmp_path_factory, state):
    parts = checkpoint.encode(state, {})  # without the fsync
    path = tmp_path_factory.getbasetemp() / "plain.zip"
    path.write_bytes(b"".join(parts))
    back, _ = load(path)
    assert json.dumps(back, sort_keys=True) == json.dumps(state, sort_keys=True)  # tells -0.0 from 0.0, 1 from True and 1.0


def test_brackets_in_text_are_not_depth(tmp_path):
    state = {"[" * 99: ["{" * 99, '"' + "[" * 99, "\\" + "[" * 99, '\\"' + "{" * 99]}
    save(tmp_path / "a.zip", state, {})
    assert load(tmp_path / "a.zip")[0] == state


def test_equal_content_gives_equal_bytes(tmp_path):
    save(tmp_path / "a.zip", STATE, ARRAYS)
    time.sleep(0.01)
    save(tmp_path / "b.zip", dict(reversed(STATE.items())), dict(reversed(ARRAYS.items())))
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


def test_numpy_and_zipfile_read_it_too(tmp_path):
    save(tmp_path / "a.zip", STATE, ARRAYS)
    with zipfile.ZipFile(tmp_path / "a.zip") as archive, np.load(tmp_path / "a.zip", allow_pickle=False) as arrays:
        assert archive.testzip() is None
        assert all(info.compress_type == zipfile.ZIP_STORED for info in archive.infolist())
        manifest = json.loads(archive.read("manifest.json"))
        assert bits({name: arrays[name] for name in ARRAYS}) == bits(ARRAYS)
    assert manifest["schema"] == 1
    assert manifest["versions"]["numpy"] == np.__version__
    assert manifest["arrays"]["theta"]["shape"] == [2, 3, 4]


def test_the_zip_is_byte_for_byte_what_zipfile_writes(tmp_path):
    save(tmp_path / "a.zip", STATE, ARRAYS)
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        members = [(name, archive.read(name)) for name in archive.namelist()]
    assert (tmp_path / "a.zip").read_bytes() == zipped(members)


@pytest.mark.parametrize(("given_name", "written"), [("a", "a.zip"), ("a.zip", "a.zip"), ("a.ckpt", "a.ckpt"), ("v1.5", "v1.5")])
@pytest.mark.parametrize("kind", [str, Path])
def test_a_path_without_suffix_gets_zip(tmp_path, kind, given_name, written):
    save(kind(tmp_path / given_name), STATE, {})
    assert files(tmp_path) == [written]
    assert load(kind(tmp_path / given_name))[0] == STATE


def test_a_folder_of_the_same_name_does_not_hide_the_file(tmp_path):
    (tmp_path / "a").mkdir()
    save(tmp_path / "a", STATE, {})
    assert load(tmp_path / "a")[0] == STATE


def test_a_missing_folder_is_made(tmp_path):
    save(tmp_path / "new" / "folder" / "a", STATE, {})
    assert files(tmp_path / "new" / "folder") == ["a.zip"]


@posix
def test_a_symbolic_link_stays_one(tmp_path):
    (tmp_path / "runs").mkdir()
    (tmp_path / "latest.zip").symlink_to(tmp_path / "runs" / "a.zip")
    save(tmp_path / "latest.zip", STATE, {})
    assert (tmp_path / "latest.zip").is_symlink()
    assert files(tmp_path / "runs") == ["a.zip"]


@posix
def test_a_new_file_has_the_mode_that_umask_gives(tmp_path):
    save(tmp_path / "a.zip", {}, {})
    (tmp_path / "ordinary").touch()
    assert (tmp_path / "a.zip").stat().st_mode == (tmp_path / "ordinary").stat().st_mode


def test_importing_it_imports_neither_numba_nor_gymnasium():
    code = "import sys, fastars.files.checkpoint, fastars.logger; print([m for m in ('numba', 'gymnasium') if m in sys.modules])"
    assert run(code) == "[]\n"


# A save that fails costs nothing


def fail(*_, **__):
    raise OSError(errno.EIO, "injected")


@pytest.mark.parametrize("function", ["fsync", "replace"])
def test_the_previous_file_survives_a_failing(tmp_path, monkeypatch, function):
    save(tmp_path / "a.zip", STATE, ARRAYS)
    before, n_open = (tmp_path / "a.zip").read_bytes(), len(os.listdir("/dev/fd"))
    monkeypatch.setattr(_atomic.os, function, fail)
    with pytest.raises(OSError, match="injected"):
        save(tmp_path / "a.zip", {}, {})
    assert (tmp_path / "a.zip").read_bytes() == before
    assert files(tmp_path) == ["a.zip"]
    assert len(os.listdir("/dev/fd")) == n_open


@posix
def test_the_previous_file_survives_a_full_disk(tmp_path):
    save(tmp_path / "a.zip", STATE, ARRAYS)
    before = (tmp_path / "a.zip").read_bytes()
    code = """if True:
        import resource, sys, numpy as np
        from fastars.files.checkpoint import save
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        try:
            save(sys.argv[1], {}, {"x": np.ones(50_000)})
        except OSError as error:
            print(type(error).__name__)
    """
    assert run(code, tmp_path / "a.zip") == "OSError\n"
    assert (tmp_path / "a.zip").read_bytes() == before
    assert files(tmp_path) == ["a.zip"]


def test_ctrl_c_during_a_save_leaves_no_temporary_file(tmp_path, monkeypatch):
    def interrupt(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(_atomic.os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        save(tmp_path / "a.zip", {}, {})
    assert files(tmp_path) == []


def test_a_folder_that_refuses_fsync_does_not_fail_a_save_that_is_done(tmp_path, monkeypatch):
    monkeypatch.setattr(_atomic, "_sync_folder", fail)
    save(tmp_path / "a.zip", STATE, {})
    assert load(tmp_path / "a.zip")[0] == STATE


@posix
def test_file_and_folder_are_synced_before_and_after_the_rename(tmp_path, monkeypatch):
    calls = []
    fsync, replace = os.fsync, os.replace
    is_folder = lambda descriptor: stat.S_ISDIR(os.fstat(descriptor).st_mode)  # noqa: E731
    monkeypatch.setattr(_atomic.os, "fsync", lambda fd: (calls.append("folder" if is_folder(fd) else "file"), fsync(fd)))
    monkeypatch.setattr(_atomic.os, "replace", lambda a, b: (calls.append("rename"), replace(a, b)))
    save(tmp_path / "a.zip", STATE, {})
    assert calls == ["file", "rename", "folder"]


@posix
def test_only_regular_files_are_replaced_or_read(tmp_path):
    os.mkfifo(tmp_path / "pipe.zip")
    with pytest.raises(OSError, match="not a regular file"):
        save(tmp_path / "pipe.zip", {}, {})
    with pytest.raises(CheckpointError, match=r"pipe\.zip: not a regular file"):
        load(tmp_path / "pipe.zip")
    with pytest.raises(CheckpointError, match=r"is a folder, not a regular file$"):
        load(tmp_path)
    assert files(tmp_path) == ["pipe.zip"]


def test_the_error_for_a_run_folder_names_its_policies(tmp_path):
    save(tmp_path / "model.zip", STATE, {})
    with pytest.raises(CheckpointError, match=r"is a folder, not a regular file; it has model\.zip$"):
        load(tmp_path)
    save(tmp_path / "best_model.zip", STATE, {})
    with pytest.raises(CheckpointError, match=r"it has model\.zip and best_model\.zip$"):
        load(tmp_path)


SAVER = """if True:
    import sys, numpy as np
    from fastars.files.atomic import sweep_temporaries
    from fastars.files.checkpoint import save
    sweep_temporaries(sys.argv[1])
    step = int(sys.argv[2])
    while True:
        step += 1
        save(sys.argv[1] + "/a.zip", {"step": step}, {"x": np.full(60_000, step, np.float64)})
        print(step, flush=True)
"""


@posix
@pytest.mark.promise(1)
def test_kill_during_a_save_leaves_the_newest_whole_file(tmp_path, tally):
    n_kills, generator, step, n_strays = tally.of(10, 50), random.Random(0), 0, 0
    for _ in range(n_kills):
        with subprocess.Popen(
            [sys.executable, "-c", SAVER, tmp_path, str(step)], stdout=subprocess.PIPE, cwd=Path(checkpoint.__file__).parents[2]
        ) as saver:
            acknowledged = saver.stdout.readline()
            time.sleep(generator.uniform(0, 0.03))
            saver.send_signal(signal.SIGKILL)
            acknowledged += saver.stdout.read()
        last = int(acknowledged.split()[-1])
        manifest, arrays = load(tmp_path / "a.zip")
        step = manifest["step"]
        assert step in (last, last + 1)  # killed after the rename, before the print: one more
        assert np.all(arrays["x"] == step)
        n_strays += len(files(tmp_path)) - 1
        sweep_temporaries(tmp_path)
        assert files(tmp_path) == ["a.zip"]
    assert n_strays > 0  # a kill fell into the writing of a file
    tally("kill -9 while files are written: newest whole one there", n_kills, of=n_kills)
    tally("kill -9 while files are written: temporary files left, and swept", n_strays)


def test_sweep_spares_a_file_that_is_being_written(tmp_path, monkeypatch):
    fsync, swept = os.fsync, []
    monkeypatch.setattr(_atomic.os, "fsync", lambda descriptor: (swept.append(sweep_temporaries(tmp_path)), fsync(descriptor)))
    save(tmp_path / "a.zip", STATE, {})
    assert swept[0] == 0
    assert load(tmp_path / "a.zip")[0] == STATE


def test_sweep_removes_stale_files_and_nothing_else(tmp_path):
    names = ["a.zip", ".fastars-1-0123456789abcdef.tmp.zip", "fastars-1-0123456789abcdef.tmp", ".tmp"]
    for name in [*names, ".fastars-1-0123456789abcdef.tmp", f".fastars-{os.getpid()}-0123456789abcdef.tmp"]:
        (tmp_path / name).touch()
    (tmp_path / ".fastars-2-0123456789abcdef.tmp").mkdir()
    assert sweep_temporaries(tmp_path) == 2
    assert files(tmp_path) == sorted([*names, ".fastars-2-0123456789abcdef.tmp"])
    assert sweep_temporaries(tmp_path / "missing") == 0


def nested(depth):
    return [] if depth == 0 else [nested(depth - 1)]


endless: list = []
endless.append(endless)


@pytest.mark.parametrize(
    ("state", "arrays", "message"),
    [
        ({}, {"x": np.array([{}])}, "dtype"),
        ({}, {"x": np.array(["text"])}, "dtype"),
        ({}, {"x": np.array([1j])}, "dtype"),
        ({}, {"x": np.zeros(3, "f8,i8")}, "dtype"),
        ({}, {"x": np.zeros((1,) * 33)}, "shape"),
        ({}, {"x": np.zeros((0, 2**31))}, "shape"),
        ({}, {"x": np.zeros(10**5)}, "bytes, more than"),
        ({}, {"../x": np.zeros(1)}, "named '../x'"),
        ({}, {"": np.zeros(1)}, "named ''"),
        ({}, {"a..b": np.zeros(1)}, "named 'a..b'"),
        ({}, {"x" * 101: np.zeros(1)}, "named 'xxx"),
        ({}, {f"x{i}": np.zeros(1) for i in range(256)}, "fewer than 256 arrays"),
        ({"a": [1, {1, 2}]}, {}, r"manifest\['a'\]\[1\] is a set"),
        ({"a": np.int64(3)}, {}, "is a int64"),
        ({1: 2}, {}, "the key 1"),
        ({"$float": "nan"}, {}, "the key"),
        ({"a": nested(40)}, {}, "nested deeper"),
        ({"a": endless}, {}, "nested deeper"),
        ({"a": "x" * 2**20}, {}, "a manifest of"),
    ],
)
def test_what_the_format_does_not_hold_is_refused_before_anything_is_written(tmp_path, monkeypatch, state, arrays, message):
    save(tmp_path / "a.zip", STATE, {})
    before = (tmp_path / "a.zip").read_bytes()
    monkeypatch.setattr(stored_zip, "MAX_BYTES", 500_000 if "bytes" in message else stored_zip.MAX_BYTES)
    with pytest.raises((TypeError, ValueError), match=message):
        save(tmp_path / "a.zip", state, arrays)
    assert (tmp_path / "a.zip").read_bytes() == before
    assert files(tmp_path) == ["a.zip"]


# A damaged file


def test_a_missing_file_is_a_file_not_found_error(tmp_path):
    for name in ("a", "a.zip", "folder/a"):
        with pytest.raises(FileNotFoundError, match=name):
            load(tmp_path / name)


@pytest.mark.promise(5)
def test_every_64th_truncation_is_a_checkpoint_error(tmp_path, tally):
    save(tmp_path / "a.zip", STATE, ARRAYS)
    content, cut = (tmp_path / "a.zip").read_bytes(), tmp_path / "cut.zip"
    lengths = [*range(0, len(content), 64), len(content) - 1]
    for length in lengths:
        cut.write_bytes(content[:length])
        with pytest.raises(CheckpointError, match=r"cut\.zip: "):
            load(cut)
    tally("truncated checkpoints refused", len(lengths), of=len(lengths))


def edited(content, generator):
    """The content with a few bits, bytes or runs of bytes changed, inserted, removed or moved."""
    content = bytearray(content)
    for _ in range(generator.choice((1, 1, 1, 2, 5, 40))):
        at, length = generator.randrange(len(content)), generator.choice((1, 2, 4, 30))
        match generator.randrange(6):
            case 0:
                content[at] ^= 1 << generator.randrange(8)
            case 1:
                content[at] = generator.choice((0, 1, 0x7F, 0x80, 0xFF))
            case 2:
                content[at : at + length] = generator.randbytes(length)
            case 3:
                content[at:at] = generator.randbytes(length)
            case 4:
                del content[at : at + length]
            case _:
                source = generator.randrange(len(content))
                content[at : at + length] = content[source : source + length]
    return bytes(content)


@pytest.mark.promise(5)
def test_random_edits_are_refused_or_change_nothing(tmp_path, tally):
    save(tmp_path / "a.zip", STATE, ARRAYS)
    content, path = (tmp_path / "a.zip").read_bytes(), tmp_path / "edited.zip"
    expected, generator, n_refused, n_equal, n_edits = (
        load(tmp_path / "a.zip"),
        random.Random(0),
        0,
        0,
        tally.of(fast=2000, full=10_000),
    )
    for _ in range(n_edits):
        path.write_bytes(edited(content, generator))
        try:
            found = load(path)
        except CheckpointError:
            n_refused += 1
        else:
            assert same(found, expected)
            n_equal += 1
    assert n_refused > 0.95 * n_edits
    assert n_refused + n_equal == n_edits
    tally("edits of a checkpoint: refused, all others loaded bit-equal", n_refused, of=n_edits)


@pytest.mark.promise(5)
def test_random_edits_of_a_manifest_with_right_checksums_raise_nothing_but_checkpoint_errors(tmp_path, tally):
    save(tmp_path / "a.zip", STATE, ARRAYS)
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        (_, text), *members = [(name, archive.read(name)) for name in archive.namelist()]
    generator, path, n_refused, n_edits = random.Random(0), tmp_path / "edited.zip", 0, tally.of(fast=1000, full=10_000)
    for _ in range(n_edits):
        path.write_bytes(zipped([("manifest.json", edited(text, generator)), *members]))
        try:
            _, arrays = load(path)
        except CheckpointError:
            n_refused += 1
        else:
            assert bits(arrays) == bits(ARRAYS)  # the arrays are under their sha256; a right checksum vouches for the rest
    tally("edits of a manifest under right checksums, refused", n_refused, of=n_edits)


# A model's file names its environment


needs_mujoco = pytest.mark.skipif(importlib.util.find_spec("mujoco") is None, reason="needs fastars[mujoco]")
ASSETS = Path(gymnasium.__file__).parent / "envs" / "mujoco" / "assets"


def saved_model(path, env="CartPole-v1", **settings):
    model = ARS("LinearPolicy", env, seed=0, noise_size=1 << 16, **settings)
    model.save(path)
    return model


def saved_with(path, **changes):
    """A model's file whose manifest is changed."""
    saved_model(path)
    state, arrays = load(path)
    save(path, {**state, **changes}, arrays)


@pytest.fixture
def moon_file(tmp_path):
    """(a model's file, the file of the user's own that its environment is made from)."""
    text = (ASSETS / "hopper.xml").read_text()
    xml = tmp_path / "moon.xml"
    xml.write_text(text.replace("<option ", '<option gravity="0 0 -1.6" '))
    env = make("Hopper-v5", xml_file=str(xml), healthy_z_range=(0.5, math.inf))
    saved_model(tmp_path / "moon.zip", env)
    env.close()
    return tmp_path / "moon.zip", xml


@needs_mujoco
def test_ranges_and_file_names_of_an_environment_come_back(moon_file, tmp_path, monkeypatch):
    path, xml = moon_file
    monkeypatch.chdir(tmp_path)
    loaded = ARS.load(path, trust=True)
    assert loaded.env_kwargs == {"xml_file": str(xml), "healthy_z_range": (0.5, math.inf), "max_episode_steps": 1000}
    assert loaded.run.env.model.opt.gravity[2] == -1.6
    loaded.save(tmp_path / "again.zip")
    assert (tmp_path / "again.zip").read_bytes() == path.read_bytes()


@needs_mujoco
def test_a_file_name_is_kept_as_an_absolute_one(moon_file, tmp_path, monkeypatch):
    _, xml = moon_file
    monkeypatch.chdir(xml.parent)
    env = make("Hopper-v5", xml_file="./moon.xml")
    saved_model(tmp_path / "relative.zip", env)
    env.close()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert ARS.load(tmp_path / "relative.zip", trust=True).env_kwargs["xml_file"] == str(xml)


@needs_mujoco
def test_a_path_in_a_file_is_opened_with_trust_alone(moon_file, monkeypatch):
    path, xml = moon_file
    with pytest.raises(CheckpointError, match=rf"made with xml_file='{xml}', and no path in a file is opened without trust=True"):
        ARS.load(path).learn(1)
    env = make("Hopper-v5", xml_file=str(xml))  # or by the user's own word
    assert ARS.load(path, env=env).env_kwargs["xml_file"] == str(xml)
    env.close()


@needs_mujoco
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "File {xml} does not exist"),
        ("<mujoco><boxx/></mujoco>", "xml_file {xml}: XML Error: .*"),
        ("", "xml_file {xml}: .*"),
    ],
)
def test_a_model_whose_environment_cannot_be_made_says_what_to_do(moon_file, content, message):
    path, xml = moon_file
    xml.unlink() if content is None else xml.write_text(content)
    message = message.format(xml=re.escape(str(xml)))
    reason = rf"{path}: its environment 'Hopper-v5' can't be made: {message}"
    sentence = rf"{reason}; ARS\.load\(path, env=\.\.\.\) takes one that can, and so does model\.set_env"
    with pytest.raises(CheckpointError) as caught:
        ARS.load(path, trust=True).evaluate(1)
    assert re.fullmatch(sentence, str(caught.value))  # and in one line
    assert ARS.load(path, env="Hopper-v5").env_kwargs == {"max_episode_steps": 1000}


@needs_mujoco
def test_a_model_where_mujoco_is_missing_says_what_to_install(moon_file):
    code = """if True:
        import sys
        sys.modules["mujoco"] = None
        from fastars import ARS, CheckpointError
        try:
            ARS.load(sys.argv[1]).evaluate(1)
        except CheckpointError as error:
            print(error)
    """
    said = run(code, moon_file[0])
    assert said.startswith(f"{moon_file[0]}: its environment 'Hopper-v5' can't be made: ")
    assert 'pip install "gymnasium[mujoco]" "mujoco<5"' in said
    assert said.endswith("; ARS.load(path, env=...) takes one that can, and so does model.set_env\n")


def test_no_environment_is_made_but_one_that_is_registered(tmp_path, monkeypatch):
    """Gymnasium imports the module that an id such as `module:Env-v0` names."""
    (tmp_path / "payload.py").write_text("raise SystemExit(3)")
    monkeypatch.syspath_prepend(tmp_path)
    for env_id in ("payload:CartPole-v1", "MyTask-v0", ["CartPole-v1"], None):
        saved_with(tmp_path / "a.zip", env=env_id)
        with pytest.raises(CheckpointError, match=r"can't be made: .*; ARS"):
            ARS.load(tmp_path / "a.zip").evaluate(1)
        assert ARS.load(tmp_path / "a.zip", env="CartPole-v1").env_id == "CartPole-v1"


def test_no_argument_in_a_file_reaches_an_environment_of_somebody_else(tmp_path):
    kwargs = {"map_name": "4x4", "desc": "payload", "max_episode_steps": 100}
    saved_with(tmp_path / "a.zip", env="FrozenLake-v1", env_kwargs=kwargs, python={"reason": "", "wrappers": []})
    with pytest.raises(CheckpointError, match="it was made with desc='payload'; ARS"):
        ARS.load(tmp_path / "a.zip").evaluate(1)


@pytest.mark.parametrize("kwargs", [{"g": 1.0}, {"env_id": "CartPole-v1"}, [], None, {"max_episode_steps": "many"}])
def test_wrong_arguments_of_an_environment_are_a_checkpoint_error(tmp_path, kwargs):
    saved_with(tmp_path / "a.zip", env_kwargs=kwargs)
    with pytest.raises(CheckpointError, match="its environment 'CartPole-v1' can't be made: "):
        ARS.load(tmp_path / "a.zip")


@pytest.mark.parametrize("with_bias", [False, True])
def test_a_policy_for_other_observations_names_both_sizes(tmp_path, with_bias):
    saved_model(tmp_path / "a.zip", policy_kwargs={"with_bias": with_bias})
    with pytest.raises(
        CheckpointError, match=r"a\.zip: its policy takes observations of 4 numbers; an observation of Acrobot-v1 has 6"
    ):
        ARS.load(tmp_path / "a.zip", env="Acrobot-v1")


@pytest.mark.parametrize("with_bias", [False, True])
def test_a_policy_for_other_actions_names_both_sizes(tmp_path, with_bias):
    saved_model(tmp_path / "a.zip", "MountainCar-v0", policy_kwargs={"with_bias": with_bias})
    with pytest.raises(CheckpointError, match=r"a\.zip: its policy gives 3 action scores, MountainCarContinuous-v0 takes 1"):
        ARS.load(tmp_path / "a.zip", env="MountainCarContinuous-v0")


@needs_mujoco
def test_an_ant_that_does_not_feel_contacts_is_not_one_that_does(tmp_path):
    env = make("Ant-v5", include_cfrc_ext_in_observation=False)
    saved_model(tmp_path / "ant.zip", env, variant="V2")
    env.close()
    with pytest.raises(CheckpointError, match="takes observations of 27 numbers; an observation of Ant-v5 has 105"):
        ARS.load(tmp_path / "ant.zip", env="Ant-v5")
    assert ARS.load(tmp_path / "ant.zip").env_kwargs["include_cfrc_ext_in_observation"] is False


# A hostile file


def zipped(members):
    """A zip written by zipfile, with the dates and modes of ours."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members:
            info = zipfile.ZipInfo(name)
            info.external_attr = 0o100644 << 16
            archive.writestr(info, content)
    return file.getvalue()


def entry(member, dtype="<f8", shape=(3,)):
    return {"dtype": dtype, "shape": list(shape), "sha256": hashlib.sha256(member).hexdigest()}


def manifest_text(entries, **changes):
    document = {"format": "fastars checkpoint", "schema": 1, "versions": {}, "arrays": entries, "state": {}, **changes}
    return json.dumps(document).encode()


def npy(text, data):
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode() + data


def good_npy(dtype="<f8", shape=(3,), data=bytes(24)):
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {tuple(shape)}, }}"
    return npy(text + " " * (-(len(text) + 11) % 64) + "\n", data)


def forged(member=None, name="x", **of_entry):
    """A checkpoint of one array: right in everything but what is asked for."""
    member = good_npy() if member is None else member
    return zipped([("manifest.json", manifest_text({name: entry(member, **of_entry)})), (f"{name}.npy", member)])


def with_text(text):
    return zipped([("manifest.json", text)])


def with_state(text):
    return with_text(manifest_text({}).replace(b'"state": {}', b'"state": ' + text))


def flat(item):
    """A manifest of nearly 1 MiB that repeats an item."""
    return with_state(b'{"a": [' + b",".join([item] * ((2**20 - 200) // (len(item) + 1))) + b"]}")


class Payload:
    """An object whose pickle runs a command in the process that reads it."""

    def __reduce__(self):
        return os.system, ("exit 3",)


def object_npy():
    file = io.BytesIO()
    np.save(file, np.array([Payload()], object), allow_pickle=True)
    return file.getvalue()


def deflated(name, n_bytes):
    """A zip of one member of zeros, 1000 times smaller than it says."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    chunk = compressor.compress(bytes(2**24)) + compressor.flush(zlib.Z_FULL_FLUSH)  # may be repeated: refers to nothing before it
    content = chunk * (n_bytes >> 24)
    fields = (0, 8, 0, 33, 0, len(content), n_bytes, len(name), 0)
    local = struct.pack("<4s5H3I2H", b"PK\3\4", 20, *fields) + name
    central = struct.pack("<4s6H3I5H2I", b"PK\1\2", 0x314, 20, *fields, 0, 0, 0, 0, 0) + name
    size = len(local) + len(content)
    return local + content + central + struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 1, 1, len(central), size, 0)


def crowded(n_members, n_said):
    """Nothing but a directory; where the number of members does not fit 16 bits, in zip's 64-bit form."""
    central = struct.pack("<4s6H3I5H2I", b"PK\1\2", 0x314, 20, *[0] * 7, 13, *[0] * 6) + b"manifest.json"
    size = n_members * len(central)
    zip64 = struct.pack("<4sQ2H2I4Q", b"PK\6\6", 44, 45, 45, 0, 0, n_members, n_members, size, 0)
    zip64 += struct.pack("<4sIQI", b"PK\6\7", 0, size, 1)
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, n_said, n_said, size, 0, 0)
    return central * n_members + (zip64 if n_said == 0xFFFF else b"") + end


def overlapping():
    """Two arrays that share their bytes: names say so, offsets would be believed by a reader that seeks."""
    member = good_npy()
    entries = {"x": entry(member), "y": entry(member)}
    content = zipped([("manifest.json", manifest_text(entries)), ("x.npy", member)])
    last = content.rindex(b"PK\1\2")
    central, record = content[last:-22], bytearray(content[-22:])
    (n_bytes,) = struct.unpack("<I", record[12:16])
    record[8:16] = struct.pack("<2HI", 3, 3, n_bytes + len(central))
    return content[:-22] + central.replace(b"x.npy", b"y.npy") + bytes(record)


def patched(content, old, new, count=-1):
    assert old in content
    return content.replace(old, new, count)


def hostile_files():
    """Content by name (a function of it, where it is large). Each passes every check but the one its name speaks of."""
    plain_zip = forged()
    huge, evil = 10**12, "__import__('os').system('exit 3')"
    padded = evil + " " * (117 - len(evil)) + "\n"
    return {
        "empty": b"",
        "text": b"not a checkpoint " * 9,
        "pickle": pickle.dumps(Payload()),
        "npy": good_npy(),
        "npz": zipped([("x.npy", good_npy())]),
        "object array": forged(object_npy(), shape=(1,), dtype="|O"),
        "object array said to be float": forged(object_npy(), shape=(1,)),
        "header that calls a function": forged(npy(padded, bytes(24))),
        "header of another shape": forged(good_npy(shape=(4,), data=bytes(24))),
        "header of Fortran order": forged(patched(good_npy(), b"False,", b"True, ")),
        "zip bomb": lambda: deflated(b"manifest.json", 100 << 24),
        "zip bomb of 4 GiB": lambda: deflated(b"manifest.json", 255 << 24),
        "shape of 10^12": forged(good_npy(shape=(huge,), data=bytes(24)), shape=(huge,)),
        "shape of 10^9": forged(good_npy(shape=(10**9,), data=bytes(24)), shape=(10**9,)),
        "shape of 0 x 10^12": forged(good_npy(shape=(0, huge), data=b""), shape=(0, huge)),
        "shape of 0 x 10^9 x 10^9 x 10^9": forged(good_npy(shape=(0, *[10**9] * 3), data=b""), shape=(0, *[10**9] * 3)),
        "shape of 10^4000": forged(shape=(10**4000,)),
        "shape of 1000 dimensions": forged(shape=(1,) * 1000),
        "negative shape": forged(good_npy(shape=(-1, -3)), shape=(-1, -3)),
        "boolean shape": forged(good_npy(shape=(True,), data=bytes(8)), shape=(True,)),
        "float shape": forged(good_npy(shape=(3.0,)), shape=(3.0,)),
        "shape that is a number": zipped(
            [("manifest.json", manifest_text({"x": {**entry(good_npy()), "shape": 3}})), ("x.npy", good_npy())]
        ),
        "dtype void of 10^9": forged(dtype="|V1000000000", shape=()),
        "dtype that is a list": forged(dtype=[["a", "<f8"]]),
        "dtype structured": forged(dtype="<f8,<f8"),
        "dtype big-endian": forged(good_npy(">f8"), dtype=">f8"),
        "booleans of 2": forged(good_npy("|b1", data=b"\1\2\0"), dtype="|b1"),
        "wrong sha256": patched(plain_zip, bytes(24), bytes(23) + b"\1"),
        "sha256 that is a number": with_text(manifest_text({"x": {**entry(b""), "sha256": 3}})),
        "name with ..": forged(name="../x"),
        "name that is absolute": forged(name="/tmp/x"),
        "name with a null": forged(name="x\0y"),
        "member not listed": zipped([("manifest.json", manifest_text({})), ("x.npy", good_npy())]),
        "listed array missing": with_text(manifest_text({"x": entry(good_npy())})),
        "members in another order": zipped([("x.npy", good_npy()), ("manifest.json", manifest_text({"x": entry(good_npy())}))]),
        "member twice": zipped(
            [("manifest.json", manifest_text({"x": entry(good_npy())})), ("x.npy", good_npy()), ("y.npy", good_npy())]
        ).replace(b"y.npy", b"x.npy"),
        "array listed twice": with_text(patched(manifest_text({"x": entry(good_npy())}), b'"x": {', b'"x": {}, "x": {')),
        "overlapping members": overlapping(),
        "10^6 members": lambda: crowded(10**6, 0xFFFF),
        "10^6 members that say 200": lambda: crowded(10**6, 200),
        "a comment": plain_zip[:-2] + b"\5\0hello",
        "bytes before it": b"#!/bin/sh\n" + plain_zip,
        "bytes after it": plain_zip + b"\n",
        "encrypted": patched(plain_zip, b"PK\1\2\x14\x03\x14\0\0\0", b"PK\1\2\x14\x03\x14\0\1\0"),
        "local header of another name": patched(plain_zip, b"x.npy", b"y.npy", 1),
        "schema 2": with_text(manifest_text({}, schema=2, arrays="other", state=[])),
        "schema 0": with_text(manifest_text({}, schema=0)),
        "schema true": with_text(manifest_text({}, schema=True)),
        "format of another program": with_text(manifest_text({}, format="other")),
        "manifest that is a list": with_text(b"[]"),
        "manifest that is cut": with_text(manifest_text({})[:-5]),
        "manifest in UTF-16": with_text(manifest_text({}).decode().encode("utf-16")),
        "state that is a list": with_text(manifest_text({}, state=[])),
        "arrays that are a list": with_text(manifest_text([])),
        "entry that is a list": with_text(manifest_text({"x": []})),
        "300 arrays": with_text(manifest_text({f"x{i}": entry(b"") for i in range(300)})),
        "deep lists": with_text(b"[" * 10**6),
        "deep lists, closed": with_state(b'{"a":' + b"[" * 10**5 + b"]" * 10**5 + b"}"),
        "deep dicts": with_state(b'{"a":' * 10**5 + b"0" + b"}" * 10**5),
        "deep lists behind a quote": with_state(b'{"a\\"[": "[\\\\", "b":' + b"[" * 10**5 + b"]" * 10**5 + b"}"),
        "quotes without end": with_text(b'\\"' * (2**19 - 1)),
        "manifest over 1 MiB": with_state(b'{"a": "' + b"x" * 2**20 + b'"}'),
        "manifest of 100 MiB": lambda: with_state(b'{"a": "' + b"x" * (100 << 20) + b'"}'),
        "many small dicts": flat(b'{"":0}') + b"\n",
        "many nested dicts": flat(b'{"":' * 20 + b"{}" + b"}" * 20)[:-1],
        "1 MiB of dicts without an end": with_text(b'{"state": [' + b'{"":{}},' * (2**17 - 10)),
        "integer of 10^6 digits": with_state(b'{"a": ' + b"9" * 10**6 + b"}"),
        "NaN literal": with_state(b'{"a": NaN}'),
        "infinite number": with_state(b'{"a": 1e999}'),
        "unknown float": with_state(b'{"a": {"$float": "exit()"}}'),
        "float that is a list": with_state(b'{"a": {"$float": []}}'),
        "float with company": with_state(b'{"a": {"$float": "nan", "b": 1}}'),
        "key twice": with_state(b'{"a": 1, "a": 2}'),
    }


# Loads each file in a process that may use 64 MiB more memory, and tells what happened and what was seen by an audit hook.
READER = """if True:
    import json, resource, sys, time, tracemalloc
    from fastars.files.checkpoint import CheckpointError, load

    folder, warm, *names = sys.argv[1:]
    load(f"{folder}/{warm}")
    events = []
    sys.addaudithook(lambda event, arguments: events.append([event, str(arguments[0]) if arguments else ""]))

    def outcome(path):
        try:
            load(path)
            return "loaded", ""
        except BaseException as error:
            return type(error).__name__, str(error)

    def limited(path):
        pages = int(open("/proc/self/statm").read().split()[0])
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 64 * 2**20, resource.RLIM_INFINITY))
        events.clear()
        start = time.process_time()  # of this process alone, however busy the machine is
        found = outcome(path)
        seconds, seen = time.process_time() - start, events[:]
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        return *found, seconds, seen

    for name in names:
        result = limited(f"{folder}/{name}")
        tracemalloc.start()
        outcome(f"{folder}/{name}")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        print(json.dumps([name, *result, peak]))
"""
HOSTILE = hostile_files()


@pytest.fixture(scope="module")
def hostile_results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "good").write_bytes(forged())
    for name, content in HOSTILE.items():
        (folder / name).write_bytes(content() if callable(content) else content)
    with open(folder / "sparse file of 1 TiB", "wb") as file:
        file.truncate(2**40)
    lines = run(READER, folder, "good", *HOSTILE, "sparse file of 1 TiB").splitlines()
    results = {name: rest for name, *rest in map(json.loads, lines)}
    return folder, results


@pytest.mark.skipif(sys.platform != "linux", reason="limits memory by /proc and RLIMIT_AS")
@pytest.mark.promise(6)
def test_hostile_checkpoints_are_counted(hostile_results, tally):
    _, results = hostile_results
    tally("hostile checkpoints refused", sum(kind == "CheckpointError" for kind, *_ in results.values()), of=len(results))
    tally("slowest of them", round(max(rest[2] for rest in results.values()), 3), unit="s")
    tally("most memory that one of them took", round(max(rest[4] for rest in results.values()) / 2**20, 1), unit="MiB")
    assert all(kind == "CheckpointError" for kind, *_ in results.values())


@pytest.mark.skipif(sys.platform != "linux", reason="limits memory by /proc and RLIMIT_AS")
@pytest.mark.parametrize("name", [*HOSTILE, "sparse file of 1 TiB"])
def test_hostile_file_is_refused_within_a_second_and_64_mib_and_runs_nothing(hostile_results, name):
    folder, results = hostile_results
    kind, message, seconds, events, peak = results[name]
    assert kind == "CheckpointError"
    assert message.startswith(f"{folder / name}: ")
    assert len(message) < 1000
    assert seconds <= 1
    assert peak <= 64 * 2**20
    assert {tuple(event) for event in events} == {("open", str(folder / name))}  # no import, no exec, no other file


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("schema 2", "newer fastars .*upgrade"),
        ("npz", "no checkpoint of fastars"),
        ("text", "no checkpoint"),
        ("wrong sha256", "'x' is damaged"),
        ("zip bomb", "is compressed"),
        ("10^6 members", "65535 members; allowed are 1 to 256"),
        ("manifest over 1 MiB", "more than the 1048576 allowed"),
        ("deep dicts", "nested deeper than 32"),
        ("shape of 10^12", "shape"),
        ("negative shape", "an array's shape"),
        ("shape of 10^9", "bytes are not float64 of shape"),
        ("object array", "dtype"),
        ("name with ..", "named '../x'"),
        ("overlapping members", "zip directory is damaged"),
        ("member twice", "not the arrays that its manifest lists"),
    ],
)
def test_the_message_says_what_is_wrong(tmp_path, name, message):
    content = HOSTILE[name]
    (tmp_path / "a.zip").write_bytes(content() if callable(content) else content)
    with pytest.raises(CheckpointError, match=message):
        load(tmp_path / "a.zip")


def test_a_forgery_without_a_fault_loads(tmp_path):
    (tmp_path / "a.zip").write_bytes(forged())
    assert same(load(tmp_path / "a.zip"), ({}, {"x": np.zeros(3)}))
