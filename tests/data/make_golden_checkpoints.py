"""Make golden checkpoints of the schema that this version writes: `python tests/data/make_golden_checkpoints.py`.

They are kept for ever: `tests/test_golden_checkpoints.py` loads those of every schema there ever was, and goes on with them. Each
run is three iterations old. `golden/hashes.json` has the SHA-256 of its weights, and of those after three iterations more.
"""

import hashlib
import json
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1])]

from faulty_envs import Line  # noqa: E402

from fastars import ARS  # noqa: E402
from fastars.files.manifest import SCHEMA  # noqa: E402

HERE = Path(__file__).parent / "golden"
RUNS = {
    "plain": {"env": "CartPole-v1"},
    "filter_adam": {"env": "Pendulum-v1", "variant": "V2-t", "n_top": 3, "optimizer": "adam", "learning_rate": 0.01},
    "mlp": {"policy": "MlpPolicy", "env": "MountainCarContinuous-v0", "policy_kwargs": {"net_arch": [8]}, "momentum": 0.9},
    "tasks": {"env": "mo-mountaincar-v0", "weighting": "gradnorm", "preference": [1.0, 0.5, 0.5]},
    "python": {"env": Line, "variant": "V2", "n_eval_episodes": 2},
}


def iterate(model, iterations=3):
    for _ in range(iterations):
        model.learn(1, reset_num_timesteps=False)
    return hashlib.sha256(model.theta.tobytes()).hexdigest()


def main():
    folder = HERE / f"schema_{SCHEMA}"
    folder.mkdir(parents=True, exist_ok=True)
    hashes = {}
    for name, settings in RUNS.items():
        model = ARS(**{"policy": "LinearPolicy", "seed": 7, "n_delta": 4, **settings})
        saved = iterate(model)
        model.save(folder / f"{name}.zip")
        hashes[name] = {"saved": saved, "three iterations later": iterate(model)}
    path = HERE / "hashes.json"
    known = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({**known, f"schema_{SCHEMA}": hashes}, indent=1) + "\n")


if __name__ == "__main__":
    main()
