"""`fastars import` and `fastars export`: one line of result, exit codes, and files that the other reads."""

import sys
from pathlib import Path

import numpy as np
import pytest

from fastars import ARS, exchange
from fastars.cli import main

DATA = Path(__file__).parent / "data"


@pytest.fixture
def model(tmp_path):
    ARS("LinearPolicy", "CartPole-v1", seed=0, zero_policy=False).save(tmp_path / "model.zip")
    return tmp_path / "model.zip"


def test_an_imported_policy_is_evaluated(tmp_path, capsys):
    out = tmp_path / "ours.zip"
    assert main(["import", str(DATA / "sb3_bias.zip"), "--env", "CartPole-v1", "--out", str(out)]) == 0
    told = capsys.readouterr().out
    assert told.count("\n") == 1
    assert "LinearPolicy of stable-baselines3-contrib on 4 unfiltered observations" in told
    assert f"fastars eval {out}" in told
    assert main(["eval", str(out), "--n-eval-episodes", "2"]) == 0
    assert "over 2 episodes" in capsys.readouterr().out


@pytest.mark.filterwarnings("default")
def test_trust_takes_the_statistics_beside(tmp_path, capsys):
    arguments = ["import", str(DATA / "sb3_linear.zip"), "--env", "Pendulum-v1", "--out"]
    assert main([*arguments, str(tmp_path / "a.zip")]) == 0
    assert (
        "vecnormalize.pkl is not read: its statistics normalise observations with trust=True only (--trust"
        in capsys.readouterr().err
    )
    assert main([*arguments, str(tmp_path / "b.zip"), "--trust"]) == 0
    assert "3 normalised observations" in capsys.readouterr().out
    assert ARS.load(tmp_path / "b.zip").config.normalize_observations


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["none.zip", "--env", "CartPole-v1"], 2, "there is no file none.zip"),
        ([str(DATA / "sb3_bias.zip")], 2, "does not say which environment it is for: give --env"),
        (
            [str(DATA / "sb3_bias.zip"), "--env", "Pendulum-v1"],
            1,
            "takes 4 observations and gives 2 outputs; Pendulum-v1 has 3 and takes 1",
        ),
        (
            [str(DATA / "sb3_actions.npz"), "--env", "CartPole-v1"],
            1,
            "not a file of stable-baselines3-contrib, of the original ARS",
        ),
    ],
)
def test_what_can_not_be_imported_is_said_in_one_line(tmp_path, monkeypatch, capsys, arguments, code, told):
    monkeypatch.chdir(tmp_path)
    assert main(["import", *arguments]) == code
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("fastars: error: ")
    assert told in line
    assert list(tmp_path.iterdir()) == []


def test_no_file_is_overwritten_by_an_import(model, monkeypatch, capsys):
    content = model.read_bytes()
    monkeypatch.chdir(model.parent)
    assert main(["import", str(DATA / "sb3_bias.zip"), "--env", "CartPole-v1"]) == 2
    assert "model.zip exists: --overwrite replaces it, another --out keeps it" in capsys.readouterr().err
    assert model.read_bytes() == content


@pytest.mark.parametrize(("to", "name"), [("npz", "policy.npz"), ("original", "lin_policy_plus.npz")])
def test_an_exported_policy_is_imported(model, capsys, to, name):
    assert main(["export", str(model.parent), "--to", to]) == 0
    assert capsys.readouterr().out == f"{model.parent / name}: LinearPolicy of {model}, for CartPole-v1\n"
    back = model.with_name("back.zip")
    named = [] if to == "npz" else ["--env", "CartPole-v1"]
    assert main(["import", str(model.parent / name), "--out", str(back), *named]) == 0
    assert np.array_equal(ARS.load(back).theta, ARS.load(model).theta)


def test_an_export_goes_where_it_is_told(model, tmp_path):
    assert main(["export", str(model), "--to", "npz", "--out", str(tmp_path / "sub" / "a.npz")]) == 0
    assert exchange.read(tmp_path / "sub" / "a.npz").env_id == "CartPole-v1"


def test_an_export_does_not_replace_the_model(model, capsys):
    content = model.read_bytes()
    assert main(["export", str(model), "--to", "npz", "--out", str(model)]) == 2
    assert "is the model itself: choose another --out" in capsys.readouterr().err
    assert model.read_bytes() == content


@pytest.mark.parametrize(("to", "module", "package"), [("onnx", "onnx", "onnx"), ("sb3", "sb3_contrib", "sb3-contrib")])
def test_a_missing_package_is_wrong_use(model, monkeypatch, capsys, to, module, package):
    monkeypatch.setitem(sys.modules, module, None)
    assert main(["export", str(model), "--to", to]) == 2
    assert f"needs {module}: pip install {package}\n" in capsys.readouterr().err
    assert [path.name for path in model.parent.iterdir()] == ["model.zip"]
