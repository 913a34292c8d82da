"""Learning curves: what is read, what is averaged, and a picture in a file."""

import json

import numpy as np
import pytest
from scipy import stats

from fastars import ARS
from fastars.callbacks import EvalCallback, EveryIteration
from fastars.cli import main
from fastars.logger import configure
from fastars.plot import Run, interquartile_mean, learning_curves, plot_runs, read_run


def run(values, steps=None, folder="run", env_id="CartPole-v1", seed=0, seconds=None, **settings):
    values = np.array(values, float)
    steps = np.arange(len(values)) * 100.0 if steps is None else np.array(steps, float)
    return Run(folder, env_id, seed, settings, steps, steps / 50.0 if seconds is None else np.array(seconds, float), values)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of a run by callbacks, as scripts for stable-baselines3 leave it."""
    folder = tmp_path_factory.mktemp("runs") / "CartPole-v1_7"
    model = ARS("LinearPolicy", "CartPole-v1", n_delta=2, seed=0, noise_size=1 << 16, max_episode_steps=30, monitor_dir=folder)
    model.set_logger(configure(folder, ["csv"]))
    rows = []
    evaluation = EvalCallback(eval_freq=200, n_eval_episodes=2, log_path=folder, verbose=0)
    model.learn(1000, callback=[evaluation, EveryIteration(lambda local, _: rows.append(dict(model.record)))])
    return folder, evaluation, rows


def test_evaluations_are_read(trained):
    folder, evaluation, _ = trained
    found = read_run(folder)
    assert (found.env_id, found.seed) == ("CartPole-v1", None)
    assert found.steps.tolist() == evaluation.evaluations_timesteps
    assert found.values.tolist() == np.mean(evaluation.evaluations_results, axis=1).tolist()
    log = read_run(folder, "time/time_elapsed")
    assert found.seconds.tolist() == pytest.approx(np.interp(found.steps, log.steps, log.values))


def test_columns_of_the_log_are_read(trained):
    folder, _, rows = trained
    found = read_run(folder, "train")
    assert found.values.tolist() == [row["rollout/ep_rew_mean"] for row in rows]
    assert found.steps.tolist() == [row["time/total_timesteps"] for row in rows]
    assert read_run(folder, "train/grad_norm").values.tolist() == [row["train/grad_norm"] for row in rows]
    assert len(read_run(folder, "train/update_ratio").values) == len(rows) - 1  # there is none where the weights are 0


def test_episodes_are_read_where_there_is_nothing_else(tmp_path):
    for name, start, rows in (("0", 100.0, ["1,10,1", "5,20,3"]), ("1", 101.0, ["3,30,1"])):
        header = f"#{json.dumps({'t_start': start, 'env_id': 'X'})}\nr,l,t\n"
        (tmp_path / f"{name}.monitor.csv").write_text(header + "\n".join(rows) + "\n")
    found = read_run(tmp_path, "train", window=2)
    assert found.steps.tolist() == [40, 60]  # in the order of time: returns 1, 3, 5
    assert found.values.tolist() == [2.0, 4.0]
    assert found.seconds.tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    ("metric", "error", "message"),
    [
        ("eval", FileNotFoundError, "has no evaluations.npz"),
        ("train", FileNotFoundError, "neither a progress.csv nor episodes"),
        ("train/grad_norm", FileNotFoundError, "has no progress.csv"),
    ],
)
def test_what_is_not_there_is_said(tmp_path, metric, error, message):
    with pytest.raises(error, match=message):
        read_run(tmp_path, metric)


def test_a_column_that_is_not_there_is_said(trained):
    with pytest.raises(ValueError, match=r"has no column 'train/grad'; it has .*train/grad_norm"):
        read_run(trained[0], "train/grad")
    with pytest.raises(FileNotFoundError, match="there is no run folder"):
        read_run(trained[0] / "no")


@pytest.mark.parametrize("n", [1, 3, 4, 7, 10])
def test_interquartile_mean_is_scipys(n):
    values = np.random.default_rng(n).normal(size=(n, 5))
    np.testing.assert_allclose(interquartile_mean(values), stats.trim_mean(values, 0.25, axis=0), rtol=1e-14)


def test_interquartile_mean_of_hand_worked_numbers():
    assert interquartile_mean(np.array([[100.0], [2.0], [4.0], [-50.0]])).tolist() == [3.0]


def test_runs_that_differ_in_their_seed_are_one_curve():
    curves = learning_curves([run([0, 10], seed=1), run([2, 30], seed=2), run([4, 4], n_delta=3)], n_points=3)
    assert [curve.label for curve in curves] == ["CartPole-v1, n_delta=None (2 seeds)", "CartPole-v1, n_delta=3"]
    assert curves[0].x.tolist() == [0, 50, 100]
    assert curves[0].center.tolist() == [1, 10.5, 20]
    assert curves[1].low.tolist() == curves[1].center.tolist() == [4, 4]


def test_a_curve_is_where_all_of_its_runs_are():
    (curve,) = learning_curves([run([0, 10, 20], [0, 100, 200]), run([5, 15], [50, 150])], n_points=3)
    assert curve.x.tolist() == [50, 100, 150]
    assert curve.center.tolist() == [5, 10, 15]


def test_runs_that_do_not_overlap_hold_their_ends():
    (curve,) = learning_curves([run([1, 2], [0, 10]), run([5, 7], [20, 30])], n_points=4)
    assert curve.x.tolist() == [0, 10, 20, 30]
    assert curve.center.tolist() == [3, 3.5, 3.5, 4.5]


def test_curves_by_time():
    (curve,) = learning_curves([run([0, 10], seconds=[0, 2])], x="time")
    assert curve.x.tolist() == [0, 2]
    with pytest.raises(ValueError, match=r"learning_curves\(\): run has no times of training: x must be 'steps', got 'time'"):
        learning_curves([run([0, 10], seconds=[np.nan, np.nan])], x="time")
    with pytest.raises(ValueError, match="has 1 points; a curve needs at least 2"):
        learning_curves([run([0, np.nan])])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"x": "step"}, "x must be one of 'steps', 'time', got 'step'; did you mean 'steps'?"),
        ({"average": "median"}, "average must be one of 'iqm', 'mean', got 'median'"),
        ({"n_points": 0}, "n_points must be an integer of at least 1, got 0"),
        ({"confidence": 95}, "confidence must be a finite number above 0 and below 1, got 95"),
        ({"n_resamples": 0}, "n_resamples must be an integer of at least 1, got 0"),
    ],
)
def test_a_wrong_argument_is_named(arguments, message):
    with pytest.raises(ValueError) as caught:
        learning_curves([run([0, 10])], **arguments)
    assert str(caught.value).startswith(f"learning_curves(): {message}")


@pytest.mark.parametrize(
    ("average", "statistic"), [("mean", np.mean), ("iqm", lambda x, axis: stats.trim_mean(x, 0.25, axis=axis))]
)
def test_the_band_is_scipys_bootstrap(average, statistic):
    values = np.random.default_rng(0).normal(size=12)
    (curve,) = learning_curves([run([value, value], seed=i) for i, value in enumerate(values)], average=average, n_resamples=20_000)
    theirs = stats.bootstrap((values,), statistic, n_resamples=20_000, method="percentile", rng=1).confidence_interval
    assert (curve.low[0], curve.high[0]) == pytest.approx((theirs.low, theirs.high), abs=0.03)


def test_a_picture_has_every_curve():
    runs = [run([0, 10], seed=seed, n_delta=n) for n in (2, 8) for seed in (1, 2)]
    (axes,) = plot_runs(runs, title="Cart").axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [
        "CartPole-v1, n_delta=2 (2 seeds)",
        "CartPole-v1, n_delta=8 (2 seeds)",
    ]
    assert len(axes.collections) == 2  # the bands
    assert axes.get_title("left") == "Cart"
    assert axes.get_xlabel() == "environment steps"


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_the_command_writes_a_picture(trained, tmp_path, capsys, suffix):
    out = tmp_path / "new" / f"curve{suffix}"
    assert main(["plot", str(trained[0]), "--out", str(out), "--metric", "train", "--x", "time"]) == 0
    assert capsys.readouterr().out == f"{out}\n"
    magic = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}[suffix]
    assert out.read_bytes().startswith(magic)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no"], "there is no run folder no"),
        (["RUN", "--metric", "x"], "has no column 'x'"),
        (["RUN", "--out", "a.jpeg"], "--out must end with .png, .svg or .pdf, got a.jpeg"),
        (["RUN", "--window", "0"], "window must be an integer of at least 1, got 0"),
    ],
)
def test_the_command_says_what_is_wrong(trained, arguments, message, capsys):
    assert main(["plot", *[str(trained[0]) if text == "RUN" else text for text in arguments]]) == 2
    assert message in capsys.readouterr().err


def test_the_command_without_matplotlib(trained, monkeypatch, capsys):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    assert main(["plot", str(trained[0])]) == 2
    assert "a picture needs matplotlib: pip install matplotlib" in capsys.readouterr().err
