"""Files made to do harm, for every reader: nothing in them runs, they take no second and no 64 MiB, and end in one named error.

Checkpoints are in test_checkpoint.py; compiled kernels, which are code, in test_jit.py.

Broken on purpose, one at a time: `Archive` without its limit of bytes -> "zip bomb", "zip bomb of 1.6 GB", "evaluations: zip
bomb" red; without that of members -> the reader does not end in a minute, red; a JSON text without its limit of values -> "lists
without end" red; pickles by `pickle.loads` -> "pickle in the weights" and six others red; rows of another length than the header
taken -> "monitor: a row cut in the middle" red; keys of any number of dots -> "config: a key of 16,000 parts" red; `content`
without `is_file` -> the reader waits for the pipe, red; ids of files given to `fastars.ARS` as they are ->
test_no_module_that_a_file_names_is_imported[rllib], [arrays] red; no look at NaN, or `named` without KeyError ->
test_a_field_that_makes_no_sense_is_a_checkpoint_error red.
"""

import io
import json
import os
import pickle
import sys
import zipfile

import numpy as np
import pytest
from fuzz.targets import CORPUS, DATA, unzipped, zipped
from test_checkpoint import Payload, crowded, deflated, overlapping, run

import fastars
from fastars import ARS
from fastars.files import checkpoint

linux = pytest.mark.skipif(sys.platform != "linux", reason="limits memory by /proc and RLIMIT_AS")


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def header(descr, shape, data=bytes(24)):
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode() + data


def compressed(members, method=zipfile.ZIP_DEFLATED):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return file.getvalue()


def with_member(members, info, data):
    """A zip with one more member, which may be there already."""
    file = io.BytesIO(zipped(members))
    with zipfile.ZipFile(file, "a") as archive:
        archive._didModify = True
        archive.NameToInfo.clear()  # or it would warn of the same name
        archive.writestr(info, data)
    return file.getvalue()


def link_member(name):
    info = zipfile.ZipInfo(name)
    info.external_attr = 0o120777 << 16
    return info


def foreign():
    """Hostile files of others, by name. Each is right but for what its name says."""
    plain = unzipped((CORPUS / "foreign" / "arrays.npz").read_bytes())
    sb3 = unzipped((DATA / "sb3_linear.zip").read_bytes())
    inner = unzipped(sb3["policy.pth"])
    (tree,) = [name for name in inner if name.endswith("data.pkl")]
    (storage,) = [name for name in inner if "/data/" in name]
    data = json.loads(sb3["data"])

    def arrays(**changes):
        return zipped({**plain, **{f"{name}.npy": content for name, content in changes.items()}})

    def policy(**changes):
        return zipped({**sb3, "policy.pth": zipped({**inner, **changes})})

    def text(content):
        return zipped({**sb3, "data": content})

    weights = np.array(np.load(io.BytesIO(plain["W0.npy"])))
    many = b"\x80\x04" + b"]" * 10**6 + b"."
    return {
        "zip bomb": lambda: compressed({**plain, "W0.npy": header("'|u1'", "(1, 104857600)", bytes(100 << 20))}),
        "zip bomb of 1.6 GB": lambda: deflated(b"W0.npy", 96 << 24),
        "zip bomb below the limit": lambda: compressed({**plain, "W0.npy": header("'|u1'", "(1, 15728640)", bytes(15 << 20))}),
        "zip bomb in a zip": lambda: policy(**{tree: deflated(b"data.pkl", 1 << 24)}),
        "zip of zips of zips": zipped({**sb3, "policy.pth": zipped({"a/data.pkl": zipped(sb3)})}),
        "bzip2": compressed(plain, zipfile.ZIP_BZIP2),
        "lzma": compressed(plain, zipfile.ZIP_LZMA),
        "10^6 members": lambda: crowded(10**6, 0xFFFF),
        "10^6 members that say 200": lambda: crowded(10**6, 200),
        "member twice": with_member(plain, "W0.npy", plain["W0.npy"]),
        "overlapping members": overlapping(),
        "encrypted": zipped(plain).replace(b"PK\1\2\x14\x03\x14\0\0\0", b"PK\1\2\x14\x03\x14\0\1\0"),
        "object array": arrays(W0=header("'|O'", "(1,)", pickle.dumps(np.array([Payload()], object)))),
        "object array of the original": zipped({"arr_0.npy": header("'|O'", "(3,)", pickle.dumps(np.array([Payload()] * 3)))}),
        "pickle for weights": zipped({**sb3, "policy.pth": pickle.dumps(Payload())}),
        "pickle in the weights": policy(**{tree: pickle.dumps(Payload())}),
        "pickle of 10^6 lists": policy(**{tree: many}),
        "pickle of a deep tuple": policy(**{tree: b"\x80\x04)" + b"\x85" * 150_000 + b"."}),
        "pickle of 10^6 bytes that say 10^18": policy(**{tree: b"\x80\x04\x8e" + (10**18).to_bytes(8, "little") + bytes(10**6)}),
        "storage of another size": policy(**{storage: bytes(3)}),
        "storage of NaN": policy(**{storage: b"\xff" * len(inner[storage])}),
        "shape of 10^12": arrays(W0=header("'<f8'", "(1000000, 1000000)")),
        "shape of 0 x 10^12": arrays(W0=header("'<f8'", "(0, 1000000000000)", b"")),
        "negative shape": arrays(W0=header("'<f8'", "(-1, -3)")),
        "shape that calls": arrays(W0=header("'<f8'", "__import__('os').system('exit 3')")),
        "dtype of 10^9": arrays(W0=header("'|V1000000000'", "(0,)")),
        "dtype structured": arrays(W0=header("[('a', '<f8')]", "(3,)")),
        "wrong size": arrays(W0=plain["W0.npy"][:-1]),
        "NaN weights": arrays(W0=npy(weights * np.nan)),
        "infinite weights": arrays(W0=npy(weights + np.inf)),
        "NaN mean": arrays(obs_mean=npy(np.full(4, np.nan))),
        "negative deviation": arrays(obs_std=npy(np.full(4, -1.0))),
        "deep JSON": text(b"[" * 10**6),
        "deep JSON, closed": text(b'{"n_delta":' * 10**5 + b"0" + b"}" * 10**5),
        "lists without end": text(b'{"n_delta": [' + b"[]," * 10**6 + b"0]}"),
        "lists hidden in UTF-16": text('{"n_delta": ["∀", '.encode("utf-16-le") + b"[\0]\0,\0" * 500_000),
        "JSON of an integer of 10^6 digits": text(b'{"n_delta": ' + b"9" * 10**6 + b"}"),
        "JSON that is a list": text(b"[]"),
        "n_delta of 10^30": text(json.dumps({**data, "n_delta": 10**30}).encode()),
        "policy_kwargs that are a list": text(json.dumps({**data, "policy_kwargs": [1]}).encode()),
        "seed of -1": text(json.dumps({**data, "seed": -1}).encode()),
    }


HARMLESS = {  # names in a zip are no paths here
    "name with ..": lambda: zipped({**unzipped((CORPUS / "foreign" / "arrays.npz").read_bytes()), "../../x.npy": npy(np.ones(1))}),
    "link as a member": lambda: with_member(
        unzipped((CORPUS / "foreign" / "arrays.npz").read_bytes()), link_member("link.npy"), npy(np.ones(1))
    ),
}


def tables():
    """Hostile files of a run folder: (file, content)."""
    good = unzipped((CORPUS / "evaluations" / "evaluations.npz").read_bytes())
    columns = b"time/total_timesteps,rollout/ep_rew_mean"
    return {
        "evaluations: zip bomb": ("evaluations.npz", lambda: deflated(b"results.npy", 96 << 24)),
        "evaluations: compressed": ("evaluations.npz", lambda: compressed({**good, "results.npy": npy(np.zeros((10**6, 2)))})),
        "evaluations: object array": (
            "evaluations.npz",
            zipped({**good, "results.npy": header("'|O'", "(1,)", pickle.dumps(Payload()))}),
        ),
        "evaluations: shape of 10^12": ("evaluations.npz", zipped({**good, "results.npy": header("'<f8'", "(1000000, 1000000)")})),
        "evaluations: text": ("evaluations.npz", zipped({**good, "results.npy": npy(np.array([["a"]]))})),
        "evaluations: no episodes": ("evaluations.npz", zipped({**good, "results.npy": npy(np.zeros((2, 0)))})),
        "evaluations: 10^6 members": ("evaluations.npz", lambda: crowded(10**6, 200)),
        "evaluations: a list of steps that is none": ("evaluations.npz", zipped({**good, "timesteps.npy": npy(np.int64(3))})),
        "progress: a header of 10^5 columns": ("progress.csv", columns + b",x" * 10**5 + b"\n" + b"1\n" * 10**5),
        "progress: a line of 2 MiB": ("progress.csv", columns + b"," + b"x" * (2 << 20) + b"\n"),
        "progress: a cell of 200 kB": ("progress.csv", columns + b"\n1," + b"9" * 200_000 + b"\n"),
        "progress: no UTF-8": ("progress.csv", columns + b"\n1,\xff\n"),
        "progress: text for a number": ("progress.csv", columns + b"\n1,__import__('os')\n"),
        "progress: an open quote": ("progress.csv", columns + b'\n1,"' + b"a\n" * 10**5),
        "monitor: a header that is deep JSON": ("0.monitor.csv", b"#" + b"[" * 10**6 + b"\nr,l,t\n"),
        "monitor: a time that is NaN": ("0.monitor.csv", b'#{"t_start": NaN}\nr,l,t\n1,2,3\n'),
        "monitor: a row cut in the middle": ("0.monitor.csv", b'#{"t_start": 1.0}\nr,l,t\n1,2\n3,4,5\n'),
        "config: a key of 16,000 parts": ("config.toml", b"a." * 16_000 + b"a = 1\n"),
        "config: a key of 16,000 parts behind quotes": (
            "config.toml",
            b"x = {a = ''' ' ''', " + b"b." * 16_000 + b"b = 1, c = ''}",
        ),
        "config: lists of lists": ("config.toml", b"a = " + b"[" * 60_000),
        "config: 100 MB": ("config.toml", lambda: b"a = 1 #" + b"x" * 100_000_000),
        "config: no UTF-8": ("config.toml", b"a = '\xff'"),
        "config: an integer of 10^4 digits": ("config.toml", b"[run]\ntotal_timesteps = " + b"9" * 10_000),
        "config: settings that are no table": ("config.toml", b"settings = 3"),
    }


METRICS = {"evaluations.npz": "eval", "progress.csv": "rollout/ep_rew_mean", "0.monitor.csv": "train", "config.toml": "eval"}

READER = """if True:
    import json, resource, sys, time, tracemalloc, warnings
    from pathlib import Path
    import fastars
    from fastars import exchange, plot
    from fastars.plot.runs import read_settings

    warnings.simplefilter("ignore")
    metrics, folder, names = json.loads(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]
    events = []
    quiet = ("os.listdir", "os.scandir", "glob.glob", "pathlib.Path.glob", "object.__getattr__", "sys._getframe")
    sys.addaudithook(lambda event, arguments: event not in quiet and events.append([event, *map(str, arguments[:2])]))

    def read(name):
        path = folder / name
        if path.is_dir():
            (file,) = [each for each in metrics if (path / each).exists()] if (path / "hostile").exists() else ["evaluations.npz"]
            return read_settings(path) if file == "config.toml" else plot.read_run(path, metrics[file])
        exchange.is_foreign(path)
        return exchange.read(path)

    def outcome(name):
        try:
            read(name)
            return "loaded", ""
        except BaseException as error:
            return type(error).__name__, str(error)

    for name in names[:3]:
        outcome(name)
    for name in names:
        pages = int(open("/proc/self/statm").read().split()[0])
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 64 * 2**20, resource.RLIM_INFINITY))
        events.clear()
        start = time.process_time()  # of this process alone, however busy the machine is
        found = outcome(name)
        seconds, seen = time.process_time() - start, events[:]
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        tracemalloc.start()
        outcome(name)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        print(json.dumps([name, *found, seconds, seen, peak]))
"""


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Return the outcome of each file: (error, its message, seconds of CPU time, events of the audit hook, bytes of memory)."""
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "good").write_bytes((CORPUS / "foreign" / "arrays.npz").read_bytes())
    files = {**foreign(), **HARMLESS}
    for name, content in files.items():
        (folder / name).write_bytes(content() if callable(content) else content)
    of_runs = tables()
    for name, (file, content) in of_runs.items():
        (folder / name).mkdir()
        (folder / name / "hostile").touch()
        (folder / name / file).write_bytes(content() if callable(content) else content)
    with open(folder / "sparse file of 1 TiB", "wb") as file:
        file.truncate(2**40)
    os.mkfifo(folder / "pipe")
    (folder / "device").symlink_to("/dev/zero")
    for name, file in (
        ("evaluations: pipe", "evaluations.npz"),
        ("progress: pipe", "progress.csv"),
        ("config: pipe", "config.toml"),
    ):
        (folder / name).mkdir()
        (folder / name / "hostile").touch()
        os.mkfifo(folder / name / file)
    others = ["sparse file of 1 TiB", "pipe", "device", "evaluations: pipe", "progress: pipe", "config: pipe"]
    names = ["good", "object array of the original", "deep JSON", *files, *of_runs, *others]
    found = map(json.loads, run(READER, json.dumps(METRICS), folder, *names).splitlines())
    return folder, {name: rest for name, *rest in found}


@linux
@pytest.mark.promise(6)
def test_hostile_files_run_nothing_and_end_in_one_error_within_a_second_and_64_mib(results, tally):
    folder, found = results
    faults = {}
    for name, (kind, message, seconds, events, peak) in found.items():
        is_run, is_harmless = ":" in name, name in ("good", *HARMLESS)
        expected = "loaded" if is_harmless else ("DamagedFileError", "FileNotFoundError") if is_run else "CheckpointError"
        checks = {
            f"{kind}: {message[:200]}": kind == expected or (is_run and kind in expected),
            "its message does not name the file": is_harmless or message.startswith(str(folder / name)),
            f"a message of {len(message)} characters": len(message) < 1000,
            f"{seconds} s": seconds <= 1.0,
            f"{peak / 2**20} MiB": peak <= 64 * 2**20,
            f"events {events}": all(event[0] == "open" and event[2] in ("r", "rb", "None") for event in events),  # None: os.open
        }
        faults |= {name: [told for told, is_right in checks.items() if not is_right]} if not all(checks.values()) else {}
    assert not faults, json.dumps(faults, indent=1)[:5000]
    assert len(found) > 70
    tally("hostile files of others and of run folders, refused or harmless", len(found), of=len(found))
    tally("slowest of them", round(max(rest[2] for rest in found.values()), 3), unit="s")
    tally("most memory that one of them took", round(max(rest[4] for rest in found.values()) / 2**20, 1), unit="MiB")


# What a file names is looked up, never imported


PLANTED = "planted_by_a_file"


@pytest.fixture
def planted(tmp_path, monkeypatch):
    """A module that a file may name, on the path of imports; it is not to be imported."""
    (tmp_path / f"{PLANTED}.py").write_text("raise SystemExit(3)")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(SystemExit):
        __import__(PLANTED)  # so an import would be seen
    return f"{PLANTED}:CartPole-v1"


def stored_run(path, **changes):
    """The file of a model with other fields, or fields of its config."""
    manifest, arrays = checkpoint.load(CORPUS / "checkpoint_file" / "model.zip")
    config = {**manifest["config"], **changes.pop("config", {})}
    checkpoint.save(path, {**manifest, "config": config, **changes}, {**arrays, **changes.pop("arrays", {})})
    return path


def stored_episode(path, env):
    state = json.loads((CORPUS / "episode" / "episode.json").read_text())
    checkpoint.save(path, {**state, "env": env}, {"weights": np.zeros(8), "mean": np.zeros(4), "scale": np.ones(4)})
    return path


def stored_algorithm(folder, env):
    from fastars.rllib import ARSConfig

    saved = ARSConfig().environment("CartPole-v1").build().save(folder)
    state, arrays = checkpoint.load(f"{saved}/algorithm.zip")
    checkpoint.save(f"{saved}/algorithm.zip", {**state, "config": {**state["config"], "env": env}}, arrays)
    return saved


def stored_arrays(path, env):
    members = unzipped((CORPUS / "foreign" / "arrays.npz").read_bytes())
    path.write_bytes(zipped({**members, "env_id.npy": npy(np.array(env))}))
    return path


@pytest.mark.promise(6)
@pytest.mark.parametrize("reader", ["model", "episode", "rllib", "arrays"])
def test_no_module_that_a_file_names_is_imported(planted, reader, tmp_path, tally):
    from fastars import rllib
    from fastars.replay import replay

    readers = {
        "model": lambda: ARS.load(stored_run(tmp_path / "a.zip", env=planted)),
        "episode": lambda: replay(stored_episode(tmp_path / "a.zip", planted)),
        "rllib": lambda: rllib.ARS.from_checkpoint(stored_algorithm(tmp_path, planted)),
        "arrays": lambda: ARS.load(stored_arrays(tmp_path / "a.npz", planted)),
    }
    with pytest.raises(fastars.CheckpointError, match=f"environment '{planted}'"):
        readers[reader]()
    assert PLANTED not in sys.modules
    tally(f"modules imported that the file of {reader} names", 0, of=1)


# Every field of a model's file


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"counters": {"iteration": -1}}, "it lacks 'observations'"),
        *(
            ({"counter": value}, "num_episodes must be an integer from 0 to 2..63 - 1, got")
            for value in (-1, 2**63, 10**30, True, 1.0, "1", None, [1])
        ),
        ({"counters": []}, "not a model of this version"),
        ({"backend": "cuda"}, "backend must be one of 'numba', 'numpy', got 'cuda'"),
        ({"preset": ["sb3"]}, "preset must be one of "),
        ({"stats_window_size": 10**30}, "stats_window_size must be an integer"),
        ({"algorithm": 3}, "algorithm is 3"),
        ({"env": "x" * 10**5}, "its environment 'xxx.* ...; ARS|can't be made"),
        ({"env_kwargs": {"max_episode_steps": 2**63}}, "max_episode_steps must be an integer"),
        ({"several": [{}] * 1000}, "1000 environments; allowed are 64"),
        ({"config": {"n_delta": 10**30}}, "n_delta must be below 2..63"),
        ({"config": {"n_delta": True}}, "n_delta must be an integer"),
        ({"config": {"n_delta": 1.5}}, "n_delta must be an integer"),
        ({"config": {"learning_rate": "0.1"}}, "learning_rate must be no text, got '0.1'"),
        ({"config": {"net_arch": [10**9]}}, r"net_arch must be an integer from 1 to 16777216"),
        (
            {"config": {"policy": "MlpPolicy", "net_arch": [10**7, 10**7]}},
            "theta must be the weights of a policy of layers from 4, 10000000, 10000000 on",
        ),
        ({"config": {"noise_size": 3}}, "noise_size must be at least the 8 weights"),
        ({"config": {"seed": 2**64}}, r"seed must be an integer from 0 to 2\*\*64 - 1"),
        ({"config": {"clip_actions": "yes"}}, "clip_actions must be no text"),
        ({"config": {"weighting": "nonsense"}}, "weighting must be one of"),
        ({"config": {"weighting": "gradnorm"}}, "scalar"),
        ({"config": {"momentum": float("nan")}}, "momentum must be a finite number"),
        ({"theta": np.full(8, np.nan)}, "theta must be finite"),
        ({"theta": np.full(8, np.inf)}, "theta must be finite"),
        ({"theta": np.zeros(7)}, "theta must be the weights of a policy of layers from 4 on, got 7"),
        ({"theta": np.zeros((2, 4))}, "theta must be float64 with one axis"),
        ({"theta": np.zeros(8, np.float32)}, "theta must be float64 with one axis"),
        ({"theta": np.zeros(12), "optimizer_0": np.zeros(12)}, "gives 3 action scores, CartPole-v1 takes 2"),
        ({"filter_mean": np.full(4, np.nan)}, "filter_mean must be finite"),
        ({"filter_m2": np.full(4, -1.0)}, "filter_m2 must be 4 sums of squares, of at least 0"),
        ({"filter_m2": np.zeros(5)}, "filter_m2 must be 4 sums"),
        ({"optimizer_0": np.zeros(9)}, "optimizer_0 must have the 8 entries of theta, got 9"),
        ({"optimizer_0": None}, "it lacks 'optimizer_0'"),
        ({"recent_lengths": np.full(3, -1)}, "recent_returns and recent_lengths must be"),
        ({"recent_returns": np.zeros((2, 2))}, "recent_returns and recent_lengths must be"),
    ],
    ids=lambda value: str(value)[:50],
)
def test_a_field_that_makes_no_sense_is_a_checkpoint_error(tmp_path, changes, message):
    manifest, arrays = checkpoint.load(CORPUS / "checkpoint_file" / "model.zip")
    path = tmp_path / "a.zip"
    of_arrays = {name: value for name, value in changes.items() if name.startswith(("theta", "filter", "optimizer", "recent"))}
    arrays = {name: value for name, value in {**arrays, **of_arrays}.items() if value is not None}
    state = {name: value for name, value in changes.items() if name not in (*of_arrays, "counter", "config")}
    if "counter" in changes:
        state["counters"] = {**manifest["counters"], "num_episodes": changes["counter"]}
    checkpoint.save(path, {**manifest, "config": {**manifest["config"], **changes.get("config", {})}, **state}, arrays)
    for env in (None, "CartPole-v1"):
        if env is not None and (changes.keys() & {"env", "env_kwargs", "several"} or message == "scalar"):
            continue  # that of the file is not looked at, or the environment given is what does not fit
        with pytest.raises(fastars.CheckpointError, match=message) as caught:
            ARS.load(path, env=env)
        assert len(str(caught.value)) < 2000


@pytest.mark.skipif(os.name != "posix", reason="pipes and devices of POSIX")
@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "name"])
def test_an_xml_file_that_is_no_file_is_not_opened(tmp_path, kind):
    pytest.importorskip("mujoco", reason="needs fastars[mujoco]")
    os.mkfifo(tmp_path / "pipe.xml")
    xml = {"pipe": str(tmp_path / "pipe.xml"), "device": "/dev/zero", "folder": str(tmp_path), "name": "x/../../pipe.xml"}[kind]
    path = stored_run(tmp_path / "a.zip", env="Hopper-v5", env_kwargs={"xml_file": xml, "max_episode_steps": 10})
    with pytest.raises(fastars.CheckpointError, match="no path in a file is opened without trust=True"):
        ARS.load(path)
    with pytest.raises(fastars.CheckpointError, match=r"is no regular file|File .* does not exist"):
        ARS.load(path, trust=True)
