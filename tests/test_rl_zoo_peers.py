"""rl_zoo3 with fastars as its ARS: training, going on, tuning."""

import argparse
import csv

import numpy as np
import pytest

from fastars import ARS, NonFiniteReturnsError


@pytest.fixture
def zoo(tmp_path, monkeypatch):
    """rl_zoo3's experiments with fastars as its ARS, by their arguments."""
    # Not at the top: what it changes in Gymnasium would be changed for the tests of all files.
    rl_zoo3 = pytest.importorskip("rl_zoo3", reason="rl_zoo3 is not installed: pip install '.[compat]'")
    from rl_zoo3.exp_manager import ExperimentManager

    monkeypatch.setitem(rl_zoo3.ALGOS, "ars", ARS)
    defaults = {"n_timesteps": 2000, "eval_freq": 500, "n_eval_episodes": 2, "save_freq": 1000, "seed": 1, "verbose": 0}
    return lambda **arguments: ExperimentManager(
        argparse.Namespace(), "ars", "CartPole-v1", str(tmp_path), **{**defaults, **arguments}
    )


NORMALIZED = {"normalize": "{'norm_obs': True, 'norm_reward': False}", "zero_policy": False, "delta_std": 0.1}


def test_rl_zoo_trains_and_continues_with_it(zoo, tmp_path):
    manager = zoo(hyperparams=NORMALIZED)
    model, _ = manager.setup_experiment()
    manager.learn(model)
    manager.save_trained_model(model)
    assert isinstance(model, ARS)
    folder = tmp_path / "ars" / "CartPole-v1_1"
    assert {"CartPole-v1.zip", "best_model.zip", "evaluations.npz", "0.monitor.csv"} <= {path.name for path in folder.iterdir()}
    assert ARS.load(folder / "CartPole-v1.zip").num_timesteps >= 2000

    manager = zoo(hyperparams={**NORMALIZED, "learning_rate": 0.01}, trained_agent=str(folder / "CartPole-v1.zip"))
    again, _ = manager.setup_experiment()
    assert np.array_equal(again.theta, model.theta)
    assert again.learning_rate == 0.01
    manager.learn(again)
    assert not np.array_equal(again.theta, model.theta)


def test_rl_zoo_tunes_it(zoo, tmp_path):
    manager = zoo(optimize_hyperparameters=True, n_trials=2, n_evaluations=1, sampler="random", pruner="none", n_timesteps=500)
    manager.setup_experiment()
    manager.hyperparameters_optimization()
    (report,) = (tmp_path / "ars").glob("report_CartPole-v1_*.csv")
    with open(report, newline="") as file:
        trials = list(csv.DictReader(file))
    assert [trial["state"] for trial in trials] == ["COMPLETE"] * 2
    assert all(8.0 <= float(trial["value"]) <= 500.0 for trial in trials)  # CartPole's returns
    assert len({trial["params_delta_std"] for trial in trials}) == 2


def test_a_search_of_rl_zoo_goes_on_after_numbers_that_are_not_finite(zoo, monkeypatch, capsys):
    learn, calls = ARS.learn, []

    def failing_once(model, *args, **kwargs):
        calls.append(model)
        if len(calls) == 1:
            raise NonFiniteReturnsError("the step is not finite")
        return learn(model, *args, **kwargs)

    monkeypatch.setattr(ARS, "learn", failing_once)
    manager = zoo(optimize_hyperparameters=True, n_trials=2, n_evaluations=1, sampler="random", pruner="none", n_timesteps=500)
    manager.setup_experiment()
    manager.hyperparameters_optimization()
    assert len(calls) == 2
    assert "Number of finished trials:  2" in capsys.readouterr().out
