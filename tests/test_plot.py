"""Learning curves: what is read, what is averaged, and a picture in a file.

Broken on purpose: the axis does not begin at 0, steps without a space -> test_steps_begin_at_0..., test_seconds...; three runs have
an interquartile mean -> test_a_picture_says...; a line that is far away -> test_a_line_is...; another environment, a preference,
any metric -> test_values_that_are_no_returns...; the first three names, n_top always, folders always -> test_a_legend_names...;
one panel for all -> test_a_picture_has_a_panel..., test_axes_of_others...; a picture always has the same name, marks have no
metric, nobody looks at the file -> test_the_picture_of_other_runs..., test_a_file_of...; a long title in one line, dark ink on dark
paper, "solved" above the axes -> test_no_text_is_cut....
"""

import json
import re
import shutil
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from scipy import stats

from fastars import ARS
from fastars.callbacks import EvalCallback, EveryIteration
from fastars.cli import main
from fastars.logger import configure
from fastars.plot import Run, draw_curves, interquartile_mean, learning_curves, plot_runs, read_run

pytest.importorskip("matplotlib", reason="curves are drawn by matplotlib")

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text


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
    curves = learning_curves([run([0, 10], seed=1, n_delta=2), run([2, 30], seed=2, n_delta=2), run([4, 4], n_delta=3)], n_points=3)
    assert [curve.label for curve in curves] == ["n_delta=2", "n_delta=3"]
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
        ({"average": "max"}, "average must be one of 'iqm', 'mean', 'median', got 'max'"),
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
    ("average", "statistic"),
    [("mean", np.mean), ("median", np.median), ("iqm", lambda x, axis: stats.trim_mean(x, 0.25, axis=axis))],
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
        "n_delta=2",
        "n_delta=8",
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


def texts(axes):
    """Everything that is written beside and among the curves."""
    return [text.get_text() for text in axes.texts]


def legend(axes):
    return [] if axes.get_legend() is None else [text.get_text() for text in axes.get_legend().get_texts()]


def test_a_picture_has_a_panel_for_each_environment():
    runs = [run([0, 10], seed=1), run([-200, -110], env_id="MountainCar-v0"), run([5, 20], seed=2)]
    cart, car = plot_runs(runs, title="Two tasks").axes
    assert [axes.get_title("left") for axes in (cart, car)] == ["CartPole-v1", "MountainCar-v0"]
    assert [len(axes.get_legend_handles_labels()[0]) for axes in (cart, car)] == [1, 1]
    assert legend(cart) == legend(car) == []  # one curve needs none
    assert cart.figure.get_suptitle() == "Two tasks"
    assert texts(cart)[-1] == "mean of 2 seeds, 95 % band"
    assert texts(car)[-1] == "one run"


def test_axes_of_others_take_the_curves_of_one_environment():
    figure = Figure()
    axes = figure.add_subplot(1, 2, 2)
    draw_curves(axes, learning_curves([run([0, 10]), run([1, 20], seed=1)]), ylabel="return", theme="dark")
    assert (axes.get_title("left"), axes.get_ylabel()) == ("CartPole-v1", "return")
    two = learning_curves([run([0, 10]), run([0, 10], env_id="Acrobot-v1")])
    for curves, found in ((two, "CartPole-v1, Acrobot-v1"), ([], "no curve")):
        with pytest.raises(ValueError, match=rf"draw_curves\(\): curves must be of one environment, got {found}"):
            draw_curves(figure.add_subplot(1, 2, 1), curves)
    with pytest.raises(ValueError, match=r"plot_runs\(\): runs must be one or more runs"):
        plot_runs([])


@pytest.mark.parametrize("steps", [[25_000, 200_000], [160, 1_000_000], [3, 40]])
def test_steps_begin_at_0_and_are_round(steps):
    (axes,) = plot_runs([run([0, 10], steps)]).axes
    assert axes.get_xlim()[0] == 0.0
    axes.figure.draw_without_rendering()
    shown = [label.get_text() for label in axes.get_xticklabels()]
    assert len(shown) <= 8
    assert all(re.fullmatch(r"\d+(\.\d)?( [kM])?", text) for text in shown)


def test_seconds_begin_at_0():
    (axes,) = plot_runs([run([0, 10], seconds=[3.0, 9.0])], x="time").axes
    assert axes.get_xlim()[0] == 0.0
    assert axes.get_xlabel() == "seconds of training"


@pytest.mark.parametrize(
    ("group", "expected"),
    [
        ([{"n_delta": 4}, {"n_delta": 16}], ["n_delta=4", "n_delta=16"]),
        ([{"n_delta": 4, "n_top": 4}, {"n_delta": 8, "n_top": 8}], ["n_delta=4", "n_delta=8"]),
        ([{"n_delta": 8, "n_top": 4}, {"n_delta": 8, "n_top": 8}], ["n_top=4", "n_top=8"]),
        ([{"a": 1, "b": 1, "c": 1}, {"a": 2, "b": 2, "c": 2}], ["a=1, b=1, c=1", "a=2, b=2, c=2"]),
        # more than three: those that tell them apart, the preset before all others
        ([{"a": 1, "b": 1, "c": 1, "preset": "x"}, {"a": 2, "b": 2, "c": 2, "preset": "y"}], ["preset=x, ...", "preset=y, ..."]),
        (
            [{"a": a, "b": b, "c": c, "d": a, "preset": a} for a, b, c in ((0, 0, 0), (0, 1, 0), (1, 1, 1), (1, 1, 0))],
            ["preset=0, b=0, c=0, ...", "preset=0, b=1, c=0, ...", "preset=1, b=1, c=1, ...", "preset=1, b=1, c=0, ..."],
        ),
        ([{"policy_kwargs": {"net_arch": [64]}}, {"policy_kwargs": {"net_arch": [8]}}], ["net_arch=[64]", "net_arch=[8]"]),
        ([{"n_delta": 4}, {}], ["x/run_0", "x/run_1"]),  # the second is a folder of stable-baselines3
        ([{"n_delta": 4}, {"n_delta": 8}, {}], ["n_delta=4", "n_delta=8", "x/run_2"]),
    ],
)
def test_a_legend_names_what_differs(group, expected):
    runs = [run([0, 1], folder=f"/y/x/run_{i}", **settings) for i, settings in enumerate(group)]
    assert [curve.label for curve in learning_curves(runs)] == expected


def test_legends_name_no_environment_and_all_are_different():
    runs = [
        run([0, 1], folder=f"/runs/{env_id}_{seed}", env_id=env_id, seed=seed, n_delta=n)
        for env_id in ("CartPole-v1", "Acrobot-v1")
        for n in (4, 8)
        for seed in (1, 2)
    ]
    for axes in plot_runs(runs[:-1]).axes:
        assert len(set(legend(axes))) == 2
        assert "v1" not in " ".join(legend(axes))
    assert legend(axes) == ["n_delta=4 (2 seeds)", "n_delta=8 (1 seed)"]  # the numbers, where they differ


@pytest.mark.parametrize(
    ("average", "n", "caption"),
    [
        ("iqm", 4, "interquartile mean of 4 seeds, 95 % band"),
        ("iqm", 3, "mean of 3 seeds, 95 % band"),  # of three, none is cut
        ("mean", 4, "mean of 4 seeds, 95 % band"),
        ("median", 5, "median of 5 seeds, 95 % band"),
    ],
)
def test_a_picture_says_what_line_and_band_are(average, n, caption):
    (axes,) = plot_runs([run([0, 10 + seed], seed=seed) for seed in range(n)], average=average).axes
    assert texts(axes)[-1] == caption


def lines_at(axes):
    return [line.get_ydata()[0] for line in axes.get_lines() if line.get_label().startswith("_") and line.get_marker() == "None"]


@pytest.mark.parametrize(
    ("values", "env_id", "text", "is_drawn"),
    [
        ([20, 500], "CartPole-v1", "solved\n475", True),
        ([-200, -120], "MountainCar-v0", "solved\n-110", True),
        ([9, 12], "CartPole-v1", "↑ solved\n475", False),  # a line would press the curve flat
        ([50_000, 60_000], "CartPole-v1", "↓ solved\n475", False),
        ([0, 1], "Pendulum-v1", None, False),  # Gymnasium has no threshold
        ([0, 1], "none:of_ours-v0", None, False),
    ],
)
def test_a_line_is_where_the_environment_is_solved(values, env_id, text, is_drawn):
    (axes,) = plot_runs([run(values, env_id=env_id)]).axes
    assert [found for found in texts(axes) if "solved" in found] == ([] if text is None else [text])
    assert lines_at(axes) == ([gymnasium.spec(env_id).reward_threshold] if is_drawn else [])


@pytest.mark.parametrize(
    "changes",
    [
        {"metric": "train/grad_norm"},
        {"settings": {"max_episode_steps": 100}, "of_env": ("max_episode_steps",)},
        {"settings": {"gravity": 1.0}, "of_env": ("gravity",)},
        {"settings": {"preference": [1.0, 2.0]}},
    ],
)
def test_values_that_are_no_returns_of_gymnasium_have_no_such_line(changes):
    plain = run([20, 500])
    same = plain._replace(settings={"max_episode_steps": 500, "preference": [1, 1.0]}, of_env=("max_episode_steps",))
    assert learning_curves([plain])[0].solved_at == learning_curves([same])[0].solved_at == 475.0
    assert learning_curves([plain._replace(**changes)])[0].solved_at is None


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", ["page", "phone"])
@pytest.mark.parametrize("n_curves", [1, 3, 8])
def test_no_text_is_cut_or_over_another(theme, size, n_curves):
    """In the rendered picture: inside of it, and readable on its paper. Phones have all panels one below the other."""
    runs = [run([20, 400 + n], env_id=env_id, n_delta=n, preset="x" * 30)
            for env_id in ("CartPole-v1", "MountainCarContinuous-v0") for n in range(n_curves)]  # fmt: skip
    figure = plot_runs(runs, theme=theme, size=size, title="A title that is longer than the picture is wide, at least on a phone")
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    edge, renderer = figure.bbox, canvas.get_renderer()
    assert figure.get_suptitle().startswith("A title")
    (heading,) = [child.get_window_extent(renderer) for child in figure.get_children() if isinstance(child, Text)]
    assert edge.x0 <= heading.x0 < heading.x1 <= edge.x1
    for axes in figure.axes:
        written = [axes.xaxis.label, axes.yaxis.label, *(child for child in axes.get_children() if isinstance(child, Text))]
        written += axes.get_legend().get_texts() if axes.get_legend() else []
        low, high = axes.get_xlim()
        written += [label for at, label in zip(axes.get_xticks(), axes.get_xticklabels(), strict=True) if low <= at <= high]
        written = [text for text in written if text.get_text()]
        boxes = [text.get_window_extent(renderer) for text in written]
        for box in boxes:
            assert edge.x0 <= box.x0 < box.x1 <= edge.x1
            assert edge.y0 <= box.y0 < box.y1 <= edge.y1
        assert not [(a, b) for i, a in enumerate(boxes) for b in boxes[:i] if a.overlaps(b)]
        (solved,) = [box for box, text in zip(boxes, written, strict=True) if "solved" in text.get_text()]
        assert axes.bbox.y0 - 1 <= solved.y0 < solved.y1 <= axes.bbox.y1 + 1  # beside the axes, below the caption
        paper = sum(to_rgb(axes.get_facecolor()))
        assert all(abs(sum(to_rgb(text.get_color())) - paper) > 1.0 for text in written)
    columns = {round(axes.get_position().x0, 3) for axes in figure.axes}
    assert len(columns) == (1 if size == "phone" else 2)


def test_the_picture_of_other_runs_is_never_overwritten(trained, tmp_path, capsys):
    """`learning_curve.png` of one run, of two, and of another column are three files; the same command writes the same file."""
    one, two = tmp_path / "a", tmp_path / "b"
    for folder in (one, two):
        shutil.copytree(trained[0], folder)
    asked = [[one], [one, two], [one, "--metric", "train"], [one, two], [one], [two, one]]
    written = []
    for arguments in asked:
        assert main(["plot", *map(str, arguments)]) == 0
        written.append(Path(capsys.readouterr().out.strip()).relative_to(tmp_path).as_posix())
    names = ["learning_curve.png", "learning_curve_2.png", "learning_curve_3.png"]
    assert written == [f"a/{names[0]}", f"a/{names[1]}", f"a/{names[2]}", f"a/{names[1]}", f"a/{names[0]}", f"b/{names[0]}"]


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_a_file_of_the_user_is_overwritten_if_it_is_the_same_picture(trained, tmp_path, capsys, suffix):
    out = tmp_path / f"curve{suffix}"
    command = ["plot", str(trained[0]), "--out", str(out)]
    assert main(command) == 0
    first = out.read_bytes()
    assert main([*command, "--title", "Of the same curves"]) == 0
    second = out.read_bytes()
    assert second != first
    assert main([*command, "--average", "median"]) == 2
    assert f"{out} is not a picture of these curves: --overwrite replaces it" in capsys.readouterr().err
    out.write_bytes(b"notes of mine")
    assert main(command) == 2
    assert out.read_bytes() == b"notes of mine"
    assert main([*command, "--overwrite"]) == 0
    assert out.read_bytes() == first  # the same command gives the same bytes
