"""Learning beside stable-baselines3: settings, plan, clock, evaluator, result files and tables, without any other package.

Broken on purpose, one at a time, each seen by the test of its name: all directions for Walker2d, Swimmer normalised -> rl_zoo;
fewer evaluations of one package -> same_settings; a row that is not in the plan -> plan; a side that is not looked at ->
asked_for; the same episodes in every evaluation or part of one, the last reward alone -> plain_loop; training beyond a mark that
was passed, or by all of it, a second for an evaluation -> over_steps; many iterations at a time, an evaluation twice ->
over_time; doubled times alone -> doubled; no compilation before the clock -> compiled_before; an error that ends the process,
seeds that are done run again -> run_once; a busy machine's run kept, any run kept or replaced -> run_alone; the first seed for
the least, a ratio upside down, a column of a time that no run has -> tables_have; the first evaluation, or none after the time
-> value_at; an empty panel, one seed of several -> pictures.
"""

import math
import sys
from pathlib import Path
from types import SimpleNamespace

import gymnasium
import numpy as np
import pytest

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

pytest.importorskip("mujoco", reason="six of the tasks are MuJoCo's")

from bench.beside import __main__ as command  # noqa: E402
from bench.beside import runs, sides  # noqa: E402
from bench.beside.episodes import N_EPISODES, Evaluator  # noqa: E402
from bench.beside.rows import ALONE, LANES, OURS, PPO, TASKS, THEIRS, AloneRow, Row, all_rows, plan  # noqa: E402
from bench.paper.store import Store  # noqa: E402
from bench.tables.beside import tables, value_at  # noqa: E402

CARTPOLE = Row("CartPole-v1", OURS)


# --- Settings and plan


def test_settings_are_those_of_rl_zoo():
    assert Row("Walker2d-v4", THEIRS).settings == {
        "policy": "LinearPolicy",
        "learning_rate": 0.03,
        "delta_std": 0.025,
        "n_delta": 40,
        "n_top": 30,
        "alive_bonus_offset": -1.0,
    }
    network = {"policy": "MlpPolicy", "policy_kwargs": {"net_arch": [16]}, "zero_policy": False}
    common = network | {"learning_rate": 0.018, "n_top": 1}
    assert Row("MountainCar-v0", OURS).settings == common | {"n_delta": 8, "delta_std": 0.1}
    assert Row("MountainCarContinuous-v0", OURS).settings == common | {"n_delta": 4, "delta_std": 0.2}
    assert CARTPOLE.settings == {"policy": "LinearPolicy", "n_delta": 2}
    assert {env_id for env_id, task in TASKS.items() if not task.normalize} == {"CartPole-v1", "Swimmer-v4"}
    assert AloneRow(LANES).settings == AloneRow(THEIRS).settings == TASKS["HalfCheetah-v4"].settings
    assert AloneRow(PPO).settings["learning_rate"] == 2.0633e-05


def test_all_packages_of_a_task_have_the_same_settings_steps_and_evaluations():
    for row in all_rows():
        theirs = Row(row.env_id, THEIRS)
        assert row.described | {"side": THEIRS} == theirs.described
        assert row.marks[-1] == row.task.steps


def test_the_plan_has_every_seed_of_every_row_once():
    work = plan()
    assert len(work) == len(set(work))
    assert set(work) == {(row, seed) for row in all_rows() for seed in range(row.task.n_seeds)}
    assert [row.name for row, _ in work[:3]] == ["CartPole-v1_sb3-contrib", "CartPole-v1_fastars", "CartPole-v1_sb3-contrib"]
    assert work[-1] == (Row("Ant-v4", THEIRS), 2)


def test_only_rows_that_there_are_can_be_asked_for():
    def asked(*words):
        return command.planned(command.arguments().parse_args(words))

    assert asked("Hopper-v4", "fastars-lanes", "--seeds", "2") == [(Row("Hopper-v4", LANES), seed) for seed in (0, 1)]
    assert {row.side for row, _ in asked("Hopper-v4")} == {THEIRS, OURS, LANES}
    with pytest.raises(SystemExit, match="no row of CartPole-v1 fastars-lanes: CartPole-v1_sb3-contrib, "):
        asked("CartPole-v1", "fastars-lanes")


# --- The evaluator


def upright(observations):
    """A policy that balances for some time."""
    return (observations[:, 2] > 0).astype(int)


def test_an_evaluation_has_the_returns_of_a_plain_loop_on_seeds_that_training_never_has():
    returns = Evaluator("CartPole-v1").returns(upright, 3, 2 * N_EPISODES)
    env, expected = gymnasium.make("CartPole-v1"), []
    for seed in range(2**32 + 3_000, 2**32 + 3_000 + 2 * N_EPISODES):
        observation, _ = env.reset(seed=seed)
        total, is_done = 0.0, False
        while not is_done:
            observation, reward, terminated, truncated, _ = env.step(int(upright(observation[None])[0]))
            total, is_done = total + reward, terminated or truncated
        expected.append(total)
    np.testing.assert_array_equal(returns, expected)
    assert len(set(expected)) > 1


# --- Curves, with a trainer that takes 30 steps and 3 s an iteration, and an evaluator that takes a minute


class Clocked:
    """A trainer with a clock."""

    def __init__(self):
        self.n_steps, self.now, self.asked = 0, 0.0, []

    def train(self, n_steps):
        self.asked.append(n_steps)
        for _ in range(math.ceil(n_steps / 30)):
            self.n_steps, self.now = self.n_steps + 30, self.now + 3.0

    def act(self, observations):
        return np.zeros(len(observations), dtype=int)

    def close(self):
        self.asked.append("close")

    def returns(self, act, number, n_episodes):
        self.now += 60.0
        return np.array([self.n_steps, 10.0 * number])


@pytest.fixture
def clocked(monkeypatch):
    trainer = Clocked()
    clock = SimpleNamespace(process_time=lambda: trainer.now, perf_counter=lambda: trainer.now)
    monkeypatch.setattr(runs, "time", clock)
    monkeypatch.setattr(runs, "_busy_outside", lambda: 0.25 * trainer.now)
    monkeypatch.setattr(runs, "make_trainer", lambda row, seed: trainer)
    monkeypatch.setattr(runs, "Evaluator", lambda env_id: trainer)
    return trainer


def test_a_curve_over_steps_counts_the_time_of_training_alone(clocked, monkeypatch):
    monkeypatch.setattr(Row, "marks", [40, 50, 100])
    found = runs.run_steps(CARTPOLE, 7)
    assert clocked.asked == [40, 40, "close"]  # 60 steps are past the second mark
    assert found == {
        "seed": 7,
        "others": 0.25,
        "steps": (60, 60, 120),
        "train_s": (6.0, 6.0, 12.0),
        "means": (30.0, 35.0, 70.0),
        "deviation": 50.0,
    }


def test_a_curve_over_time_trains_an_iteration_at_a_time_and_evaluates_none_twice(clocked):
    found = runs.run_alone(AloneRow(OURS), 7, 10.0)
    assert clocked.asked == [1, 1, 1, 1, "close"]
    assert found["train_s"] == (3.0, 6.0, 9.0, 12.0)
    assert found["steps"] == (30, 60, 90, 120)
    assert (found["seed"], found["seconds"], found["others"]) == (7, 10.0, 0.25)


def test_times_are_doubled_with_one_between():
    assert runs.time_marks(4.0) == [0.25, 0.375, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0]
    assert runs.time_marks(3.2)[-2:] == [2.0, 3.2]


def test_kernels_are_compiled_before_the_clock_runs(monkeypatch):
    made = []

    class Compiling(Clocked):
        def __init__(self, row, seed):
            super().__init__()
            made.append(self)

    monkeypatch.setattr(sides, "Fastars", Compiling)
    monkeypatch.setitem(sides.CLASSES, OURS, Compiling)
    trainer = sides.make_trainer(CARTPOLE, 0)
    assert [each.asked for each in made] == [[1, "close"], []]
    assert trainer is made[1]


# --- Result files


def result_of(seed, means=(1.0, 2.0), train_s=(1.0, 4.0), **more):
    return {"seed": seed, "others": 0.1, "steps": [100, 400], "train_s": list(train_s), "means": list(means)} | more


def test_a_seed_is_run_once_in_a_process_and_an_error_ends_it_alone(monkeypatch, tmp_path, capsys):
    ran, failing = [], {(THEIRS, 0)}

    def in_process(function, row, seed):
        ran.append((function, row.side, seed))
        return result_of(seed) if (row.side, seed) not in failing else 1 / 0

    monkeypatch.setattr(command, "in_process", in_process)
    store, rows = Store(tmp_path), [Row("CartPole-v1", THEIRS), CARTPOLE]
    work = [(row, seed) for seed in (1, 0) for row in rows]
    assert command.run(work, store) == 1
    assert [each[1:] for each in ran] == [(THEIRS, 1), (OURS, 1), (THEIRS, 0), (OURS, 0)]
    assert {each[0] for each in ran} == {runs.run_steps}
    assert "CartPole-v1_sb3-contrib 0: Traceback" in capsys.readouterr().err
    assert [each["seed"] for each in store.read(CARTPOLE)["seeds"]] == [0, 1]
    ran.clear()
    failing.clear()
    assert command.run(work, store) == 0
    assert ran == [(runs.run_steps, THEIRS, 0)]
    assert store.done(rows[0]) == {0, 1}


def test_a_run_alone_is_kept_if_the_machine_was_quiet_and_replaced_by_a_longer_one(monkeypatch, tmp_path, capsys):
    others = iter([0.5, 0.1, 0.1])
    monkeypatch.setattr(command, "in_process", lambda f, row, seed, s: result_of(seed, seconds=s) | {"others": next(others)})
    store, line = Store(tmp_path), AloneRow(PPO)
    assert command.alone([line], range(1), 10.0, store) == 1
    assert store.read(line)["seeds"] == []
    assert "HalfCheetah-v4_PPO 0: not kept, other processes took 0.5 CPUs" in capsys.readouterr().err
    for seconds in (10.0, 5.0, 10.0, 20.0):
        assert command.alone([line], range(1), seconds, store) == 0
    assert [each["seconds"] for each in store.read(line)["seeds"]] == [20.0]
    assert next(others, None) is None


# --- Tables and pictures


def filled(folder):
    """Two seeds of sb3-contrib and one of each physics of fastars for Hopper, and a line alone."""
    store, alone = Store(folder / "steps"), Store(folder / "alone")
    for seed, means in enumerate([(10.0, 3000.0), (20.0, 1000.0)]):
        store.add(Row("Hopper-v4", THEIRS), result_of(seed, means, (50.0, 2000.0)))
    store.add(Row("Hopper-v4", OURS), result_of(0, (900.0, 950.0), (10.0, 100.0)))
    store.add(Row("Hopper-v4", LANES), result_of(0, (900.0, None), (1.0, 10.0)))
    alone.add(AloneRow(OURS), result_of(0, (5.0, 7.0), (1.05, 8.0), seconds=8.0))
    return store, alone


def line_of(table, name):
    (line,) = [line for line in table.splitlines() if line.startswith(f"| {name} |")]
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


def test_tables_have_every_seed_and_say_what_was_not_run(tmp_path, monkeypatch):
    versions = dict.fromkeys(("numba", "mujoco", "sb3-contrib", "stable-baselines3", "torch"), "1")
    machine = {"cpu": "a processor", "python": "3", "date": "2030-01-02", "versions": versions}
    monkeypatch.setattr("bench.paper.store.machine_info", lambda: machine)
    made = tables(*filled(tmp_path))
    assert line_of(made["beside-steps"], "Hopper-v4") == [
        "7,000,000",
        "3,344 (Hopper-v3, 7M)",
        "2,000 (1,000 to 3,000; 2 seeds)",
        "950.0 (950.0 to 950.0; 1 seed)",
        "nan (nan to nan; 1 seed)",
    ]
    assert line_of(made["beside-steps"], "CartPole-v1")[2:] == ["not run yet", "not run yet", "-"]
    assert line_of(made["beside-time"], "Hopper-v4") == ["2,000 s", "100 s (20 x)", "10.0 s (200 x)", "less than 1/64 of its steps"]
    assert line_of(made["beside-alone"], "fastars") == ["50.0", "5.0", "-", "-", "1"]
    assert line_of(made["beside-alone"], "sb3-contrib") == ["not run yet"] * 4 + ["0"]
    assert made["beside-machines"] == (
        "a processor, Python 3, numba 1, mujoco 1, sb3-contrib 1, stable-baselines3 1, torch 1: 2030-01-02 to 2030-01-02."
        " Other processes kept 0.10 to 0.10 CPUs busy during a run, 0.10 in the median."
    )


def test_the_value_at_a_time_is_the_last_evaluation_until_then():
    assert value_at(result_of(0), 0.5) is None
    assert value_at(result_of(0), 3.0) == 1.0
    assert value_at(result_of(0), 3.7) == 2.0  # 4 s are within a tenth


def test_pictures_have_a_line_for_each_seed_that_was_run(tmp_path):
    pytest.importorskip("matplotlib", reason="pictures are drawn by matplotlib")
    from bench.beside import over_steps, over_time

    store, alone = filled(tmp_path)
    panels = over_steps.draw([store.read(row) for row in all_rows()]).axes
    assert [panel.get_title(loc="left") for panel in panels] == ["Hopper-v4"]
    assert len(panels[0].get_lines()) == 5  # and rl-zoo's figure
    (panel,) = over_time.draw([alone.read(row) for row in ALONE]).axes
    assert [line.get_label() for line in panel.get_lines()] == ["fastars, 1 seed"]
