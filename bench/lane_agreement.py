"""Compare one step of the lanes with one `mj_step` in several versions of MuJoCo: `python -m bench.lane_agreement [PYTHON ...]`.

PYTHON is the interpreter of an environment with fastars' dependencies and another version of MuJoCo; without one, this interpreter
is taken. Results of a version replace those of an earlier run, in `results/lane_agreement.json`. It takes a minute for each
version. To make an environment:

    python -m venv OTHER && OTHER/bin/pip install -e . "gymnasium[mujoco]" "mujoco==3.3.0"
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

from bench.machine import machine_info

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results" / "lane_agreement.json"
NAMES = ("Swimmer", "Hopper", "HalfCheetah", "Walker2d", "InvertedPendulum", "InvertedDoublePendulum", "Reacher", "Ant")
N_STATES = 4_000


def main():
    parser = argparse.ArgumentParser(description="Compare the lanes with versions of MuJoCo.")
    parser.add_argument("interpreters", nargs="*", metavar="PYTHON", default=[sys.executable])
    parser.add_argument("--states", type=int, default=N_STATES, help="of each model; default 4,000")
    parser.add_argument("--print", action="store_true", help="only print the rows of this interpreter, as JSON")
    args = parser.parse_args()
    if args.print:
        print(json.dumps([row(name, args.states) for name in NAMES]))
        return
    rows = json.loads(RESULTS.read_text(encoding="utf-8"))["rows"] if RESULTS.exists() else []
    for interpreter in args.interpreters:
        found = rows_of(interpreter, args.states)
        version = found[0]["mujoco"]
        rows = sorted([other for other in rows if other["mujoco"] != version] + found, key=order)
        RESULTS.write_text(json.dumps({"table": "lane_agreement", "machine": machine_info(), "rows": rows}, indent=1) + "\n")
        print(version, {one["env"]: one["reason"] or f"{one['difference']:.1e}" for one in found}, flush=True)


def rows_of(interpreter, n_states):
    """Return the rows that another interpreter makes."""
    command = [interpreter, "-m", "bench.lane_agreement", "--print", "--states", str(n_states)]
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    result = subprocess.run(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(result.stdout.splitlines()[-1])


def row(name, n_states):
    """Return the agreement of one of Gymnasium's models; a reason where the lanes can't step it."""
    import gymnasium

    from fastars.envs import compiled_env
    from fastars.envs.mujoco.lanes import measure
    from fastars.envs.mujoco.library import mujoco
    from fastars.physics import lane_model
    from fastars.physics.supported import unsupported

    model = compiled_env(f"{name}-v5").model
    head = {"mujoco": mujoco.mj_versionString(), "gymnasium": gymnasium.__version__, "env": f"{name}-v5"}
    if (reason := unsupported(model)) is not None:
        return {**head, "reason": reason}
    found = measure(model, lane_model(model), n_states, seed=1)
    numbers = {"n_states": found.n_states, "difference": found.difference, "field": found.field, "solver_error": found.solver_error}
    return {**head, "reason": None, **numbers}


def order(row):
    """Return the key by which rows are sorted: versions, then environments."""
    return [int(part) for part in row["mujoco"].split(".")], NAMES.index(row["env"].partition("-")[0])


if __name__ == "__main__":
    main()
