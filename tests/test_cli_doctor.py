"""`fastars doctor` and `fastars warmup`."""

import json
import os
import re
import site

import numpy as np
import pytest
from test_cli import only_error, run

import fastars
from fastars import kernels
from fastars._runtime.cpus import allowed_cpus
from fastars.cli import doctor, main, selfcheck
from fastars.envs.mujoco import opengl
from fastars.training.config import make_config


@pytest.fixture(scope="module")
def examined():
    return doctor.examine()


def test_all_is_well_here(examined):
    assert examined["problems"] == []
    assert set(examined["checks"].values()) == {"ok"}
    assert examined["versions"]["fastars"] == fastars.__version__
    assert examined["threads"]["allowed"] >= 1
    assert 0.0 < examined["seconds"] < np.inf


def test_its_json_is_what_it_found(tmp_path):
    result = run("doctor", "--json", cwd=tmp_path)
    assert result.returncode == 0
    found = json.loads(result.stdout)
    assert list(found) == [
        "versions",
        "system",
        "threads",
        "cache",
        "extras",
        "films",
        "checks",
        "lanes",
        "notes",
        "seconds",
        "problems",
    ]
    assert set(found["checks"].values()) == {"ok"}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("missing", "kind", "text"),
    [
        ("imageio_ffmpeg", "none", 'imageio_ffmpeg missing: pip install imageio-ffmpeg "gymnasium[classic-control]"'),
        ("pygame", "classic control", 'pygame missing: pip install imageio-ffmpeg "gymnasium[classic-control]"'),
    ],
)
def test_films_that_can_not_be_made_are_said(missing, kind, text, monkeypatch):
    monkeypatch.setattr(doctor, "find_spec", lambda name: None if name == missing else object())
    monkeypatch.setattr(doctor, "version_of", lambda name: None)
    assert doctor._films() == {kind: text}


@pytest.mark.parametrize(
    ("chosen", "faults", "expected"),
    [
        ("", {"glfw": "no display", "egl": "", "osmesa": ""}, "yes, by egl"),
        ("", {"glfw": "", "egl": "", "osmesa": ""}, "yes, by egl"),
        ("", {"egl": "no device", "osmesa": ""}, "yes, by osmesa"),
        (
            "",
            {"egl": "no device", "osmesa": "no library"},
            "nothing draws here; without a display, MuJoCo draws with MUJOCO_GL=egl (",
        ),
        (
            "osmesa",
            {"osmesa": "no library"},
            "MUJOCO_GL=osmesa fails: no library; without a display, MuJoCo draws with MUJOCO_GL=egl (",
        ),
        ("egl", {"egl": ""}, "yes, by MUJOCO_GL=egl"),
    ],
)
def test_the_way_in_which_mujoco_draws_is_said(chosen, faults, expected, monkeypatch):
    monkeypatch.setattr(opengl, "fault_of", lambda backend: faults[backend])
    monkeypatch.setattr(doctor, "find_spec", lambda name: object())
    monkeypatch.setattr(doctor, "version_of", lambda name: "1")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MUJOCO_GL", chosen)
    assert doctor._films()["MuJoCo"].startswith(expected)


WRONG = {
    "noise_table": ["noise, kernel and twin"],
    "perturb": ["candidates, kernel and twin"],
    "weighted_sums": ["weighted sum, kernel and twin"],
    "merge_moments": ["filter, kernel and twin"],
    "filter_from_moments": ["filter, kernel and twin"],
}


@pytest.mark.parametrize("name", WRONG)
def test_a_kernel_that_computes_something_else_is_found(name, monkeypatch):
    kernel = getattr(kernels, name)

    def wrong(*args):
        first, *rest = result if isinstance(result := kernel(*args), tuple) else (result,)
        changed = first + 1e-6
        return (changed, *rest) if rest else changed

    monkeypatch.setattr(kernels, name, wrong)
    found = selfcheck.self_checks()
    assert [check for check, outcome in found.items() if outcome != "ok" and "kernel and twin" in check] == WRONG[name]


def test_an_environment_that_pays_otherwise_is_found(monkeypatch):
    evaluate = fastars.ARS.evaluate

    def wrong(self, *args, **kwargs):
        rollouts = evaluate(self, *args, **kwargs)
        return rollouts._replace(returns=rollouts.returns + (self.backend == "numba"))

    monkeypatch.setattr(fastars.ARS, "evaluate", wrong)
    found = selfcheck.self_checks()
    assert found["episodes of CartPole-v1, kernel and twin"] == "the results differ"
    assert found["episodes of CartPole-v1, kernel and Gymnasium"] == "the results differ"


def test_what_is_wrong_is_said_and_is_exit_code_1(monkeypatch, capsys):
    monkeypatch.setattr(selfcheck, "_CHECKS", {"sums": lambda: False, "moons": lambda: 1 / 0, "suns": lambda: True})
    assert main(["doctor"]) == 1
    said = capsys.readouterr().out
    assert "   sums   the results differ\n" in said
    assert "2 problems: sums: the results differ; moons: ZeroDivisionError: division by zero, in " in said


@pytest.mark.parametrize("columns", [60, 80, 100])
def test_on_a_terminal_it_fits_the_columns(columns, examined, monkeypatch, capsys):
    long = "differ by 5.1e-14 at most (qfrc_constraint[12]), in 384 states"
    found = examined | {"lanes": {"InvertedDoublePendulum-v5": long, "Ant-v5": long}, "notes": ["one word " * 30]}
    monkeypatch.setattr(doctor, "examine", lambda: found)
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    main(["doctor"])
    lines = re.sub(r"\x1b\[[\d;]*m", "", capsys.readouterr().out).splitlines()
    wide = [line for line in lines if len(line) > columns]
    assert [line for line in wide if len(line.split()) > 2] == []  # a path has no place to go on in another line
    assert " ".join(long.split()) in " ".join(" ".join(lines).split())


def test_a_cache_that_is_not_kept_is_a_problem(monkeypatch):
    monkeypatch.setattr("fastars._compiled.kernel_cache.cache_directory", lambda: None)
    monkeypatch.setenv("FASTARS_CACHE_DIR", "/everybodys")
    assert doctor._cache()["problem"].startswith(
        "kernels are not kept: /everybodys can't be written, or other users can write to it"
    )
    monkeypatch.setattr(selfcheck, "_CHECKS", {})
    assert doctor.examine()["problems"] == [doctor._cache()["problem"]]


def test_a_missing_extra_is_no_problem_and_says_what_installs_it(monkeypatch):
    monkeypatch.setattr(doctor, "find_spec", lambda name: None if name == "matplotlib" else object())
    assert doctor._extra("plot", ("matplotlib",)) == "matplotlib missing: pip install matplotlib"
    assert doctor._extra("cli", ("tyro", "rich")) == "installed"


def test_what_limits_the_threads_is_said(monkeypatch, capsys):
    monkeypatch.setattr(selfcheck, "_CHECKS", {})
    monkeypatch.setattr("fastars._runtime.cpus.cpu_quota", lambda: 1.5)
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("NUMBA_NUM_THREADS", raising=False)
    assert main(["doctor"]) == 0
    allowed = allowed_cpus()
    said = (
        f" threads    {min(2, allowed)} by default; {allowed} of {os.cpu_count()} CPUs, OMP_NUM_THREADS 7, a quota of 1.5; Numba's"
    )
    assert said in capsys.readouterr().out


def test_warmup_says_what_took_how_long_and_where_it_is_kept(tmp_path):
    result = run("warmup", "CartPole-v1", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert re.match(r" CartPole-v1 +[\d.]+ s\n Kernels of 1 environment in [\d.]+ s, kept in /", result.stdout)


def test_warmup_makes_the_kernels_that_training_takes(tmp_path, monkeypatch):
    warmed = []
    monkeypatch.setattr("fastars.cli.training.warm_up", lambda model: warmed.append((model.env_id, model.config, model.preset)))
    assert main(["warmup"]) == 0
    assert [name for name, _, _ in warmed] == [name for name in fastars.compiled_env_ids("classic") if name != "CartPole-v0"]
    assert all(config == make_config("tuned", None, name, seed=0) for name, config, _ in warmed)


def test_warmup_of_what_is_not_compiled_is_wrong_use(tmp_path):
    result = run("warmup", "FrozenLake-v1", cwd=tmp_path)
    assert result.returncode == 2
    assert "FrozenLake-v1 runs in Python: it has no kernels to compile" in only_error(result)


def test_no_name_of_the_user_is_in_a_report(tmp_path):
    home = tmp_path / "zaphod"
    home.mkdir()
    user = {"HOME": str(home), "USER": "zaphod", "LOGNAME": "zaphod", "PYTHONUSERBASE": site.getuserbase()}
    found = json.loads(run("doctor", "--json", cwd=home, **user).stdout)
    assert set(found["checks"].values()) == {"ok"}
    del found["cache"]  # the user can see where the kernels are
    assert "zaphod" not in json.dumps(found)
