"""The page of `fastars report`: its words are true, every text of a file is only text, and its HTML is in order.

Broken on purpose, one at a time: texts that are not escaped, or not made printable -> test_names_from_anybody_are_only_text,
test_a_text_is_never_markup and test_a_title_is_the_heading red; a command without settings, with another preset, or without
arguments of the environment -> test_the_command_on_the_page_repeats_the_run red; the first evaluation for the best one, every
setting "from the command", no machine or no options of the environment in config.toml, no first end of a run that was trained
on, a fault that is not counted, every run finished, a group for each run -> the tests of these words red; marks passed over, one
name for all pages -> the tests of the file red; a film through a link, a film of any size -> the tests of films red; a pale
line, headings that leave out a level, a style sheet from elsewhere, a round number too many -> the tests of the form red.
Seen red before they were mended: texts of config.toml that were options of the commands on the page (is_an_option), returns whose
distance is infinite (any_size), "n_top=None" in the name of a setting (n_top_is_named), and a file behind a link
(made_behind_a_link), and a space that does not break as its escape (is_an_escape).
"""

import html
import html.parser
import itertools
import json
import os
import re
import shlex
import shutil
import signal
import sys
import threading
import tomllib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastars
from fastars import ARS
from fastars.cli import commands, main
from fastars.cli.page.elements import element, table
from fastars.cli.page.facts import read_facts
from fastars.cli.page.numbers import round_numbers
from fastars.cli.page.repeat import train_command
from fastars.plot import score_interval

ROOT = Path(fastars.__file__).parents[1]
SHORT = ("--no-progress", "--n-threads", "1", "--noise-size", "65536", "--eval-episodes", "5")
CARTPOLE = ("CartPole-v1", "--total-timesteps", "3000", "--eval-freq", "1000")
MARKUP = """<script>alert(1)<b>&"'` onload=x"""
STYLE = (Path(fastars.__file__).parent / "cli" / "page" / "page.css").read_text(encoding="utf-8")


def train(folder, *arguments):
    assert main(["train", *arguments, *SHORT, "--run-folder", str(folder)]) == 0
    return folder


def page_of(*folders, out=None):
    """The text of the page about runs."""
    out = out or folders[0].parent / "page.html"
    assert main(["report", *map(str, folders), "--out", str(out), "--overwrite"]) == 0
    return out.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def trained(runs):
    return train(runs / "one", *CARTPOLE, "--seed", "7", "--n-delta", "4", "--learning-rate", "0.03", "--with-bias", "True")


@pytest.fixture(scope="module")
def several(runs):
    """Three seeds of each of two settings."""
    settings = [(n, seed) for n in (2, 6) for seed in (1, 2, 3)]
    return [train(runs / f"n{n}_{seed}", *CARTPOLE, "--n-delta", str(n), "--seed", str(seed)) for n, seed in settings]


@pytest.fixture(scope="module")
def multi_objective(runs):
    return train(runs / "multi", "fastars/mo-pendulum-v0", "--weighting", "std", "--total-timesteps", "9000", "--seed", "3")


@pytest.fixture
def copied(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "run")


class Outline(html.parser.HTMLParser):
    """Elements of a page, with their attributes and the text in each; a tag that closes no open one is an error."""

    VOID = ("meta", "link", "br", "img")

    def __init__(self, text):
        super().__init__()
        self.elements, self.open, self.texts = [], [], []
        self.feed(text)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        self.texts.append("")
        if tag not in self.VOID:
            self.open.append((tag, len(self.elements) - 1))

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        self.texts.append("")

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag, f"</{tag}> closes another element"

    def handle_data(self, data):
        for _, number in self.open:
            self.texts[number] += data

    def all(self, tag):
        return [(attributes, text) for (name, attributes), text in zip(self.elements, self.texts, strict=True) if name == tag]


def pairs(text):
    """The names and values of all lists of facts on a page."""
    outline = Outline(text)
    return list(zip((t for _, t in outline.all("dt")), (t for _, t in outline.all("dd")), strict=True))


# --- What it says


def test_no_word_of_the_page_is_an_escape(several, multi_objective):
    """A number and its unit have a space between them that does not break, which is not among the printable characters."""
    for text in (page_of(*several), page_of(multi_objective)):
        assert re.findall(r"\\x[0-9a-f]{2}|\\u[0-9a-f]{4}", text) == []


def test_a_page_has_the_facts_of_its_run(trained):
    said, model = dict(pairs(page_of(trained))), ARS.load(trained / "model.zip")
    config = tomllib.loads((trained / "config.toml").read_text())
    assert f"{model.num_timesteps:,} steps (finished)" in said["training"]
    assert said["seed"] == "7"
    assert said["environment"] == "CartPole-v1 (max_episode_steps=500)"
    assert f"numpy {np.__version__}" in said["versions"]
    assert all(str(value) in said["machine"] for value in config["machine"].values())
    evaluations = np.load(trained / "evaluations.npz")
    means = evaluations["results"].mean(axis=1)
    assert f"mean return {means.max():,.1f}" in said["result"]


def test_the_table_of_evaluations_has_every_evaluation_and_marks_the_best(trained):
    outline = Outline(page_of(trained))
    evaluations, best = np.load(trained / "evaluations.npz"), ARS.load(trained / "best_model.zip").num_timesteps
    text = next(text for _, text in outline.all("table") if "5 episodes for each row" in text)
    for steps, returns in zip(evaluations["timesteps"], evaluations["results"], strict=True):
        assert f"{steps:,}{' best' if steps == best else ''}" in text
        assert f"{returns.std():,.1f}" in text or f"{returns.std():.2f}" in text or returns.std() == 0
    assert text.count(" best") == 1
    (marked,) = [text for attributes, text in outline.all("tr") if attributes.get("class") == "marked"]
    assert marked.startswith(f"{best:,} best")


def test_settings_that_are_not_the_defaults_are_listed_with_their_source(trained):
    rows = [text for _, text in Outline(page_of(trained)).all("tr")]
    assert "n_delta48the command" in rows
    assert "learning_rate0.030.02the command" in rows
    assert "with_biasTrueFalsethe command" in rows
    assert not [row for row in rows if row.startswith(("zero_policy", "n_top", "variant"))]


def test_a_setting_of_the_preset_is_no_setting_of_the_command(runs):
    folder = train(runs / "pendulum", "Pendulum-v1", "--preset", "sb3", "--total-timesteps", "4000", "--seed", "1")
    rows = [text for _, text in Outline(page_of(folder)).all("tr")]
    assert "return_ddof10the preset" in rows


REPEATED = {
    "options": [*CARTPOLE, "--n-delta", "3", "--n-top", "2", "--common-random-numbers", "True", "--save-freq", "1000"],
    "a preset of the environment": ["Pendulum-v1", "--total-timesteps", "4000"],
    "arguments": [*CARTPOLE, "--env-kwargs", "max_episode_steps=60", "sutton_barto_reward=True"],
    "a network": [*CARTPOLE, "--policy", "MlpPolicy", "--net-arch", "5", "3", "--activation-fn", "tanh", "--iterations", "3"],
    "several rewards": [
        "fastars/mo-pendulum-v0",
        "--weighting",
        "gradnorm",
        "--preference",
        "1",
        "2",
        "1",
        "--total-timesteps",
        "6000",
    ],
    "the original": ["CartPole-v1", "--preset", "modestyachts", "-n", "12", "-nd", "4", "-r", "50"],
    "a variant": [*CARTPOLE, "--variant", "V2-t", "--n-top", "4", "--optimizer", "adam"],
}


def test_the_command_on_the_page_repeats_a_run_that_starts_from_a_policy(runs, trained):
    first, again = runs / "started", runs / "started again"
    train(first, *CARTPOLE, "--init", str(trained), "--with-bias", "True", "--seed", "2")
    line = next(line for line in code_of(page_of(first)) if line.startswith("fastars train"))
    assert main([*shlex.split(line)[1:-1], str(again), "--no-progress"]) == 0
    assert read_facts(first).last.digest == read_facts(again).last.digest


@pytest.mark.parametrize("what", REPEATED)
def test_the_command_on_the_page_repeats_the_run(runs, what):
    first, again = train(runs / what, *REPEATED[what], "--seed", "11"), runs / f"{what} again"
    line = next(line for line in code_of(page_of(first)) if line.startswith("fastars train"))
    command = [*shlex.split(line)[1:-1], str(again)]
    assert main([*command, "--no-progress"]) == 0
    for one, other in zip(read_facts(first)[3:5], read_facts(again)[3:5], strict=True):
        assert one.digest == other.digest
    one, other = (settings_in(folder) for folder in (first, again))
    assert one == other
    assert f"sha256 {read_facts(again).last.digest}" in dict(pairs(page_of(first)))["weights of model.zip"]


def test_lanes_are_of_the_preset_that_prefers_them(copied):
    config = (copied / "config.toml").read_text()
    assert 'physics = "mujoco"' in config
    config = config.replace('id = "CartPole-v1"', 'id = "HalfCheetah-v5"')
    for physics, source in (("lanes", "the preset"), ("mujoco", None)):
        (copied / "config.toml").write_text(config.replace('physics = "mujoco"', f'physics = "{physics}"'))
        rows = [text for _, text in Outline(page_of(copied)).all("tr")]
        assert [row for row in rows if row.startswith("physics")] == ([f"physicslanesmujoco{source}"] if source else [])
        command = train_command(read_facts(copied))
        assert command[command.index("--physics") + 1] == physics


def settings_in(folder):
    """All that decides a run. A preset without a name is "fastars", and threads decide nothing."""
    config = tomllib.loads((folder / "config.toml").read_text())
    run = {"preset": "fastars", **config["run"]}
    return config["env"], config["settings"], {name: value for name, value in run.items() if name != "n_threads"}


def code_of(text):
    """The lines of the commands on a page."""
    return [line for _, block in Outline(text).all("pre") for line in block.split("\n")]


def test_the_command_names_the_module_of_an_environment(copied):
    config = (copied / "config.toml").read_text()
    options = '[run]\nenv_options = ["--env", "arm_env:Arm-v0", "--env-kwargs", "k=1"]'
    (copied / "config.toml").write_text(config.replace("[run]", options))
    command = train_command(read_facts(copied))
    assert command[:6] == ["fastars", "train", "arm_env:Arm-v0", "--env-kwargs", "k=1", "--seed"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("[run]", '[run]\nenv_options = ["--env", "a:A-v0", "--env-kwargs", "k=1", "--ray=10.0.0.1:6379"]'),
        ("[run]", '[run]\nenv_options = ["--trust", "a:A-v0"]'),
        ("[run]", '[run]\nenv_options = ["--env", "--trust"]'),
        ("[run]", '[run]\ninit = "--ray=10.0.0.1:6379"'),
        ('id = "CartPole-v1"', 'id = "--config=a.toml"'),
        ("net_arch = []", 'net_arch = ["5", "--ray=10.0.0.1:6379"]'),
    ],
)
def test_no_text_of_a_file_is_an_option_of_a_command(copied, old, new, capsys):
    """A reader copies the commands of a page. With --ray, another machine would send code; --trust reads what is not trusted."""
    config = (copied / "config.toml").read_text()
    assert old in config
    (copied / "config.toml").write_text(config.replace(old, new))
    assert main(["report", str(copied)]) == 1
    assert f"{copied / 'config.toml'} is damaged" in capsys.readouterr().err
    assert not (copied / "report.html").exists()


def test_a_run_of_a_module_keeps_the_options_that_name_it(tmp_path):
    pytest.importorskip("broken_envs")
    folder = train(tmp_path / "run", "broken_envs:Walk-v0", "--total-timesteps", "100", "--seed", "1")
    lines = code_of(page_of(folder))
    assert [line for line in lines if line.startswith("fastars train broken_envs:Walk-v0 --seed 1 ")]
    assert f"fastars verify {folder} --env broken_envs:Walk-v0" in lines


# --- Several runs


def test_runs_that_differ_in_their_seed_are_one_curve_with_a_band(several):
    text = page_of(*several)
    outline = Outline(text)
    evaluations = next(figure for figure in re.findall(r"<figure>.*?</figure>", text, re.DOTALL) if "Evaluations" in figure)
    assert evaluations.count("<polygon") == 2
    legend = re.findall(r"<li><svg.*?</svg>(.*?)</li>", evaluations)
    assert legend[:2] == [
        "n_delta=2 (3 seeds)",
        "n_delta=6 (3 seeds)",
    ]
    last = {folder: np.load(folder / "evaluations.npz")["results"][-1].mean() for folder in several}
    rows = [text for _, text in outline.all("tr")]
    for n in (2, 6):
        score = score_interval([value for folder, value in last.items() if folder.name.startswith(f"n{n}_")])
        found = next(row for row in rows if row.startswith(f"n_delta={n}3"))
        assert f"{score.center:,.1f}" in found
        assert f"{score.low:,.1f} to {score.high:,.1f}" in found
    assert [text for _, text in outline.all("h1")] == ["CartPole-v1, 6 runs of 2 settings"]


def test_n_top_is_named_as_a_number(several, runs):
    other = train(runs / "top", *CARTPOLE, "--n-delta", "6", "--n-top", "2", "--seed", "1")
    text = page_of(several[3], other)
    assert "n_top=6" in text
    assert "n_top=2" in text
    assert "None" not in text


def test_the_folder_of_several_seeds_stands_for_their_runs(tmp_path):
    train(tmp_path / "seeds", *CARTPOLE, "--seeds", "3")
    assert main(["report", str(tmp_path / "seeds")]) == 0
    text = (tmp_path / "seeds" / "report.html").read_text(encoding="utf-8")
    assert [text for _, text in Outline(text).all("h1")] == ["CartPole-v1, 3 runs"]
    assert dict(pairs(text))["seeds"] == "0, 1, 2"


def test_each_environment_has_figures_of_its_own(trained, multi_objective):
    titles = [text for _, text in Outline(page_of(trained, multi_objective)).all("figcaption")]
    assert titles[:2] == ["Evaluations in CartPole-v1", "Training episodes in CartPole-v1"]
    assert "Evaluations in fastars/mo-pendulum-v0" in titles


def test_a_run_that_is_named_twice_is_there_once(trained):
    assert dict(pairs(page_of(trained, trained.parent / ".." / trained.parent.name / "one")))["seed"] == "7"


def test_several_rewards_have_figures_and_weights(multi_objective):
    outline = Outline(page_of(multi_objective))
    titles = [text for _, text in outline.all("figcaption")]
    model = ARS.load(multi_objective / "model.zip")
    assert [f"Task {name}, training" for name in model.objectives.names] == [title for title in titles if title.startswith("Task ")]
    assert "Weights of the tasks" in titles
    rows = [text for _, text in outline.all("tr")]
    for name, weight in zip(model.objectives.names, model.objectives.weights, strict=True):
        assert f"{name}{weight:.3g}" in rows


# --- Runs that are not whole


def test_a_stopped_run_says_so_and_how_it_goes_on(tmp_path):
    threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT)).start()
    arguments = ["train", "CartPole-v1", "--total-timesteps", "2000000000", *SHORT, "--run-folder", str(tmp_path / "run")]
    assert main(arguments) == 130
    text = page_of(tmp_path / "run")
    assert "stopped, or not done yet, of 2,000,000,000" in dict(pairs(text))["training"]
    assert f"fastars resume {tmp_path / 'run'}" in code_of(text)


@pytest.mark.parametrize("n_episodes", [1, 5])
@pytest.mark.parametrize("largest", [1.7e308, 1e300, 5e-324, 1e16])
def test_returns_of_any_size_have_a_page(copied, largest, n_episodes):
    with np.load(copied / "evaluations.npz") as arrays:
        changed = {**arrays, "results": np.full((len(arrays["results"]), n_episodes), largest)}
    changed["results"][0] = changed["results"][:, 1:2] = -largest
    np.savez(copied / "evaluations.npz", **{**changed, "ep_lengths": changed["ep_lengths"][:, :n_episodes]})
    assert Outline(page_of(copied)).all("figure")


def test_a_run_without_evaluations_has_a_page(copied):
    (copied / "evaluations.npz").unlink()
    (copied / "best_model.zip").unlink()
    outline = Outline(page_of(copied))
    assert [text for _, text in outline.all("figcaption")] == ["Training episodes"]
    assert "It has no evaluations." in [text for _, text in outline.all("li")]


def test_a_run_with_nothing_but_its_settings_has_a_page(copied):
    for name in ("evaluations.npz", "best_model.zip", "model.zip", "progress.csv"):
        (copied / name).unlink()
    text = page_of(copied)
    assert "There is no model.zip" in text
    assert "No curve of CartPole-v1" in text


def test_a_run_that_was_trained_on_says_so(copied):
    assert main(["resume", str(copied), "--total-timesteps", "6000", "--no-progress"]) == 0
    text = page_of(copied)
    assert "It was planned for 3000 steps first" in text
    assert "--total-timesteps 6000" in next(line for line in code_of(text) if line.startswith("fastars train"))


def test_faults_are_counted(copied, trained):
    from fastars.files import checkpoint

    manifest, arrays = checkpoint.load(copied / "model.zip")
    manifest["counters"] |= {"dropped_pairs": 12, "env_failures": 3, "worker_restarts": 4}
    checkpoint.save(copied / "model.zip", manifest, arrays)
    said = dict(pairs(page_of(copied)))
    names = (
        "returns that are no number",
        "episodes with an unstable simulation",
        "failures of the environment",
        "restarts of worker processes",
    )
    assert [said[name] for name in names] == ["12", "0", "3", "4"]
    said = page_of(copied, trained, out=copied / "both.html")
    assert (
        f"<li>{copied}: 12 returns that are no number, 3 failures of the environment, 4 restarts of worker processes.</li>" in said
    )


@pytest.mark.parametrize("name", ["config.toml", "model.zip", "best_model.zip", "evaluations.npz", "progress.csv"])
def test_a_damaged_file_is_named_and_nothing_is_written(copied, name, capsys):
    content = (copied / name).read_bytes()
    (copied / name).write_bytes(content[: len(content) // 2].replace(b"0", b"\x01") + b'\n"a",,\n')
    assert main(["report", str(copied)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"fastars: error: {copied / name}")
    assert not (copied / "report.html").exists()


# --- Texts of files


def test_names_from_anybody_are_only_text(trained, tmp_path):
    """Names of folders, of environments, of tasks and settings, arguments, versions, films."""
    folder = shutil.copytree(trained, tmp_path / MARKUP)
    config = (folder / "config.toml").read_text()
    hostile = json.dumps(MARKUP)
    config = config.replace('"CartPole-v1"', hostile).replace(
        "max_episode_steps = 500", f"max_episode_steps = 500\n{hostile} = {hostile}"
    )
    config = config.replace("[versions]", f"[versions]\n{hostile} = {hostile}").replace(
        "[settings]", "[settings]\nkeep_{ties} = 1".replace("{", "").replace("}", "")
    )
    config = re.sub(r"^keep_ties = 1\n", f"extra = {hostile}\n", config, flags=re.MULTILINE)
    (folder / "config.toml").write_text(config)
    (folder / "videos").mkdir()
    (folder / "videos" / f"{MARKUP}.mp4").write_bytes(b"film")
    text = page_of(folder, trained, out=tmp_path / "page.html")
    outline = Outline(text)
    assert not outline.all("script")
    assert not outline.all("b")
    assert not [name for _, attributes in outline.elements for name in attributes if name.startswith("on")]
    assert MARKUP in outline.all("h1")[0][1] or any(MARKUP in value for _, value in pairs(text))
    assert text.isascii() or "\u202e" not in text


@given(st.text() | st.text("<>&\"'/=!-ab "))
def test_a_text_is_never_markup(text):
    made = Outline(element("p", text, title=text))
    assert [tag for tag, _ in made.elements] == ["p"]
    assert not set(made.texts[0]) & {chr(n) for n in range(32)}


def test_a_table_has_a_row_header_in_each_row():
    made = Outline(table("Title", ("name", "value>"), [("a", 1), ("b", 2)]))
    assert [(attributes["scope"], text) for attributes, text in made.all("th")] == [
        ("col", "name"),
        ("col", "value"),
        ("row", "a"),
        ("row", "b"),
    ]


# --- The form of the page


@pytest.fixture(scope="module")
def pages(trained, several, multi_objective):
    return {"one": page_of(trained), "several": page_of(*several), "several rewards": page_of(multi_objective)}


@pytest.mark.parametrize("which", ["one", "several", "several rewards"])
def test_a_page_is_whole_and_in_order(pages, which):
    outline = Outline(pages[which])
    (attributes, _), ids = outline.all("html")[0], [attributes["id"] for _, attributes in outline.elements if "id" in attributes]
    assert attributes["lang"] == "en"
    assert len(set(ids)) == len(ids)
    levels = [int(tag[1]) for tag, _ in outline.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    assert len(outline.all("caption")) == len(outline.all("table")) > 0
    assert all("scope" in attributes for attributes, _ in outline.all("th"))
    drawings = [attributes for attributes, _ in outline.all("svg")]
    assert all(attributes.get("aria-label") or attributes.get("aria-hidden") for attributes in drawings)
    links = [attributes["href"] for attributes, _ in outline.all("a")]
    assert all(link[0] == "#" and link[1:] in ids for link in links)
    sources = [value for _, attributes in outline.elements for name, value in attributes.items() if name in ("src", "href")]
    assert all(source.startswith(("data:", "#")) for source in sources)
    assert not re.search(r"url\(|@import|https?:", pages[which])


def luminance(colour):
    """WCAG 2.2, relative luminance."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("mode", [0, 1])
def test_colours_have_the_contrast_of_level_aa(mode):
    """Texts 4.5, lines 3."""
    blocks = re.findall(r":root \{(.*?)\}", STYLE, re.DOTALL)
    assert len(blocks) == 2
    colours = dict(re.findall(r"--(\w+): (#[0-9a-f]{6});", blocks[mode]))
    for background in ("paper", "soft", "mark"):
        for text in ("ink", "faint", "link", "good"):
            assert contrast(colours[text], colours[background]) >= 4.5, (text, background)
    for i in range(6):
        assert contrast(colours[f"look{i}"], colours["paper"]) >= 3.0, i


@given(st.floats(-1e9, 1e9), st.floats(1e-6, 1e9), st.integers(3, 8))
def test_round_numbers_are_inside_few_and_evenly_spread(low, size, n):
    high = low + size
    found = round_numbers(low, high, n)
    slack = 1e-6 * size + 1e-9 * abs(low)
    assert all(low - slack <= value <= high + slack for value in found)
    assert n / 2.5 - 1 <= len(found) <= n + 1 or slack > 0.01 * size


# --- Films


def test_a_small_film_is_on_the_page_and_a_large_one_is_named(copied):
    assert "fastars video" in "".join(code_of(page_of(copied)))
    (copied / "videos").mkdir()
    (copied / "videos" / "a.mp4").write_bytes(b"a film")
    with open(copied / "videos" / "b.mp4", "wb") as file:
        file.truncate(9 << 20)
    text = page_of(copied)
    ((attributes, _),) = Outline(text).all("video")
    assert attributes["src"] == "data:video/mp4;base64,YSBmaWxt"
    assert "controls" in attributes
    assert f"{copied / 'videos' / 'b.mp4'} is not on this page: 9.4 MB" in html.unescape(text)


def test_no_film_behind_a_link_is_read(copied, tmp_path, capsys):
    (tmp_path / "secret").write_bytes(b"secret")
    (copied / "videos").mkdir()
    (copied / "videos" / "a.mp4").symlink_to(tmp_path / "secret")
    assert main(["report", str(copied)]) == 1
    assert "a.mp4 is a symbolic link" in capsys.readouterr().err


# --- The file


def test_a_page_goes_into_the_run_folder_and_takes_no_other_page_s_place(copied, trained, capsys):
    assert main(["report", str(copied)]) == 0
    assert main(["report", str(copied)]) == 0
    assert main(["report", str(copied), str(trained)]) == 0
    one, again, both = capsys.readouterr().out.split()
    assert (one, again, both) == (str(copied / "report.html"), str(copied / "report.html"), str(copied / "report_2.html"))
    assert "seed 7" in Path(one).read_text(encoding="utf-8")


def test_another_file_stays_unless_the_user_says_so(copied, tmp_path, capsys):
    (tmp_path / "mine.html").write_text("mine")
    command = ["report", str(copied), "--out", str(tmp_path / "mine.html")]
    assert main(command) == 2
    assert "mine.html is not a page of these runs: --overwrite replaces it" in capsys.readouterr().err
    assert (tmp_path / "mine.html").read_text() == "mine"
    assert main([*command, "--overwrite"]) == 0
    assert main(command) == 0


@pytest.mark.parametrize(("command", "suffix"), [("report", ".html"), ("plot", ".svg")])
def test_no_file_is_made_behind_a_link_unless_the_user_says_so(trained, tmp_path, command, suffix):
    """As for `export` and `import`: the link may lead to a file that is not there yet."""
    if command == "plot":
        pytest.importorskip("matplotlib", reason="the picture is drawn by matplotlib")
    link, behind = tmp_path / f"link{suffix}", tmp_path / f"behind{suffix}"
    link.symlink_to(behind)
    asked = [command, str(trained), "--out", str(link)]
    assert main(asked) == 2
    assert not behind.exists()
    assert main([*asked, "--overwrite"]) == 0
    assert behind.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no"], "there is no run folder no"),
        (["."], "is no run folder: it has no config.toml"),
        (["RUN", "--out", "a.pdf"], "--out must end with .html or .htm, got a.pdf"),
        ([], "fastars report takes run folders"),
    ],
)
def test_the_command_says_what_is_wrong(trained, arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["report", *[str(trained) if text == "RUN" else text for text in arguments]]) == 2
    assert message in capsys.readouterr().err


def test_a_title_is_the_heading(trained, tmp_path):
    assert commands.parse(["report", str(trained), "--title", "<Mine>", "--out", str(tmp_path / "a.html")]).run() == 0
    assert "<h1>&lt;Mine&gt;</h1>" in (tmp_path / "a.html").read_text()


def test_the_screenshot_of_the_docs_shows_what_its_commands_give(tmp_path):
    sys.path.insert(0, str(ROOT))
    from bench import screenshots

    made = screenshots.mark(screenshots.make_page(tmp_path))
    assert made.encode() in screenshots.REPORT.read_bytes(), "run `make screenshots`"
