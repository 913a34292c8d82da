"""Write the corpus: small real files, as `fastars` and others write them. `cd tests && python -m fuzz.make_corpus`."""

import base64
import io
import json
import pickle
import re
import shutil
import tempfile
from pathlib import Path

import numpy as np

from fastars import ARS, exchange
from fastars.cli import main
from fastars.files import checkpoint
from fastars.rllib import ARSConfig
from fuzz.targets import CORPUS, DATA, unzipped, zipped

MODELS = {
    "model": {},
    "filtered": {"normalize_observations": True, "optimizer": "adam", "preset": "sb3"},
    "mlp": {"policy": "MlpPolicy", "policy_kwargs": {"net_arch": [3], "activation_fn": "tanh"}},
    "tasks": {"env": "fastars/deep-sea-treasure-v0", "weighting": "gradnorm"},
}


def keep(target, name, content):
    path = CORPUS / target / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def state_of(content):
    """The caller's part of the manifest of a checkpoint, as JSON in one line."""
    state = json.loads(unzipped(content)["manifest.json"])["state"]
    return json.dumps(state).encode()


def models(folder):
    for name, settings in MODELS.items():
        settings = {"env": "CartPole-v1", "policy": "LinearPolicy", "n_delta": 2, "seed": 3, "n_threads": 1, **settings}
        model = ARS(**settings)
        if name != "model":
            model.learn(300)
        model.save(folder / f"{name}.zip")
        content = (folder / f"{name}.zip").read_bytes()
        keep("checkpoint_file", f"{name}.zip", content)
        keep("manifest", f"{name}.json", json.dumps({**json.loads(unzipped(content)["manifest.json"]), "arrays": {}}).encode())
        if name != "mlp":
            keep("tasks" if name == "tasks" else "model", f"{name}.json", state_of(content))
        if name == "filtered":
            exchange.original.write(ARS("LinearPolicy", "CartPole-v1", preset="modestyachts"), folder / "original.npz")
            exchange.arrays.write(model, folder / "arrays.npz")


def others(folder):
    for name in ("original", "arrays"):
        keep("foreign", f"{name}.npz", (folder / f"{name}.npz").read_bytes())
    keep("original", "original", unzipped((folder / "original.npz").read_bytes())["arr_0.npy"])
    for name, content in unzipped((folder / "arrays.npz").read_bytes()).items():
        if name.removesuffix(".npy") in ("W0", "action", "with_bias", "obs_clip", "env_id"):
            keep("array", name, name.encode() + b"\0" + content)
    for name in ("linear", "tanh", "old"):
        members = unzipped((DATA / f"sb3_{name}.zip").read_bytes())
        inner = unzipped(members["policy.pth"])
        # Not the pickles of spaces and schedules, 20 kB of text that is not looked at.
        data = re.sub(rb'":serialized:": "[^"]*"', b'":serialized:": "' + base64.b64encode(b"N.") + b'"', members["data"])
        keep("sb3_text", f"{name}.json", data)
        tree = next(content for path, content in inner.items() if path.endswith("data.pkl"))
        if name == "linear":
            keep("sb3_pickle", f"{name}.pkl", tree)
        keep("pickles", f"{name}.pkl", tree)
        keep("foreign", f"{name}.zip", zipped({"data": data, "policy.pth": zipped(inner)}))
    statistics = (DATA / "sb3_linear_vecnormalize.pkl").read_bytes()
    keep("statistics", "linear.pkl", statistics)
    for protocol in (2, 5):
        keep("pickles", f"objects_{protocol}.pkl", pickle.dumps(np.array([np.ones((2, 2)), 0, 1], object), protocol))
        keep("pickles", f"array_{protocol}.pkl", pickle.dumps(np.ones(3, np.float32), protocol))


def run_folder(folder):
    """A run as the command leaves it."""
    run = folder / "run"
    arguments = ["--total-timesteps", "2000", "--eval-freq", "1000", "--eval-episodes", "3", "--n-delta", "2", "--seed", "3"]
    assert main(["train", "CartPole-v1", "--run-folder", str(run), "--monitor", "--no-progress", *arguments]) == 0
    for name, target in (("config.toml", "config"), ("progress.csv", "progress"), ("evaluations.npz", "evaluations")):
        keep(target, name, (run / name).read_bytes()[:8000])
    lines = (run / "0.monitor.csv").read_bytes().splitlines(keepends=True)
    keep("monitor", "0.monitor.csv", b"".join(lines[:20]))


def episode():
    model = ARS("LinearPolicy", "CartPole-v1", n_delta=2, seed=3)
    state = {"kind": "episode", "env": "CartPole-v1", "env_kwargs": {}, "max_steps": 500, "config": model.config.to_dict()}
    place = {"iteration": 0, "direction": 1, "sign": "-", "episode": 0, "seed": 2**63}
    file = io.BytesIO()
    checkpoint.save(file, {**state, "place": place}, {})
    keep("episode", "episode.json", state_of(file.getvalue()))


def failure():
    """The file that a run writes of a failed episode."""
    state = json.loads((CORPUS / "episode" / "episode.json").read_text())
    file = io.BytesIO()
    checkpoint.save(file, state, {"weights": np.ones(8), "mean": np.zeros(4), "scale": np.ones(4)})
    keep("failure", "failure_0.zip", file.getvalue())


def algorithm(folder):
    """A checkpoint of RLlib's algorithm: its state, beside the model."""
    config = ARSConfig().environment("CartPole-v1").debugging(seed=3)
    made = config.training(model={"fcnet_hiddens": []}, noise_size=1000, num_rollouts=4, rollouts_used=4).build()
    made.train()
    made.save_into(folder / "algorithm")
    keep("checkpoint_file", "rllib.zip", (folder / "algorithm" / "model.zip").read_bytes())
    keep("algorithm", "algorithm.json", state_of((folder / "algorithm" / "algorithm.zip").read_bytes()))


def small_run(folder):
    """The files of a run of two iterations, each behind its name."""
    run = folder / "small_run"
    arguments = [
        "--iterations",
        "2",
        "--eval-freq",
        "10",
        "--eval-episodes",
        "2",
        "--n-delta",
        "1",
        "--seed",
        "3",
        "--save-freq",
        "10",
    ]
    assert main(["train", "CartPole-v1", "--run-folder", str(run), "--monitor", "--no-progress", *arguments]) == 0
    for path in sorted(run.iterdir()):
        keep("run_folder", path.name, path.name.encode() + b"\0" + path.read_bytes())


if __name__ == "__main__":
    shutil.rmtree(CORPUS, ignore_errors=True)
    with tempfile.TemporaryDirectory() as temporary:
        models(Path(temporary))
        others(Path(temporary))
        run_folder(Path(temporary))
        algorithm(Path(temporary))
        small_run(Path(temporary))
    episode()
    failure()
    print(f"{sum(path.stat().st_size for path in CORPUS.rglob('*') if path.is_file()):,} bytes in {CORPUS}")
