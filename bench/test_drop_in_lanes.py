"""A script of stable-baselines3-contrib, with the import of ARS swapped and `physics="lanes"` added, as `test_drop_in.py` times it.

Theirs runs as it runs fastest. All take turns: theirs, fastars with its default `mj_step`, and fastars over lanes.
"""

import pytest

from bench.peers import optional
from bench.script_runs import OURS, ROUNDS, THEIRS, Case, Script, fastest, rates_by_mode

pytest.importorskip("mujoco")
pytestmark = pytest.mark.filterwarnings("ignore")  # theirs, from any line of theirs

LANES = "fastars, lanes"
CASES = [
    Case("HalfCheetah-v5", 8, 1, 160_000, 60.0),
    Case("HalfCheetah-v5", 32, 1, 160_000, 60.0),  # fills lanes: 64 candidates
]


@pytest.mark.parametrize("case", CASES, ids=[f"{case.env_id}-{case.n_delta}" for case in CASES])
def test_same_script(case, record, quick):
    optional("sb3_contrib")
    if quick:
        case = case._replace(n_delta=2, steps=1_000)
    trials = rates_by_mode("sb3_contrib", case)
    best = fastest(trials)
    settings = case.env_id, best, case.n_delta, case.n_eval_episodes
    with (
        Script("fastars", *settings, "lanes") as lanes,
        Script("sb3_contrib", *settings) as theirs,
        Script("fastars", *settings) as ours,
    ):
        scripts = {LANES: lanes, THEIRS: theirs, OURS: ours}
        for each in (lanes, ours):
            each.first_iteration(0)[0].close()  # compiles
            each.starts.clear()
        for seed in range(1 if quick else ROUNDS):
            for each in scripts.values():
                each.run(seed, case.steps)
    runs = {name: each.runs for name, each in scripts.items()}
    record(kind="learn", **case._asdict(), mode=best, trials=trials, runs=runs)
