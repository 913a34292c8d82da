"""rl_zoo3 with fastars as its ARS: training, going on, tuning, and `enjoy`, for trained models of both packages.

Broken on purpose -> red: the policy of a run in a `VecNormalize`, loaded without an environment, normalises once more
(`model_file.load`) -> test_rl_zoo_enjoys_a_model_as_it_was_trained[normalised] and [of a network].
"""

import argparse
import csv
import sys
import warnings

import numpy as np
import pytest

from fastars import ARS, NonFiniteReturnsError


@pytest.fixture
def rl_zoo3():
    # Not at the top: what it changes in Gymnasium would be changed for the tests of all files.
    return pytest.importorskip("rl_zoo3", reason="rl_zoo3 is not installed: pip install '.[compat]'")


@pytest.fixture
def zoo(rl_zoo3, tmp_path, monkeypatch):
    """rl_zoo3's experiments with fastars (or `algorithm`) as its ARS, by their arguments."""
    from rl_zoo3.exp_manager import ExperimentManager

    defaults = {
        "n_timesteps": 2000,
        "eval_freq": 500,
        "n_eval_episodes": 2,
        "save_freq": 1000,
        "seed": 1,
        "verbose": 0,
        "log_interval": -1,
    }
    defaults["args"] = argparse.Namespace(env_kwargs=None)

    def experiment(algorithm=ARS, env_id="CartPole-v1", **arguments):
        monkeypatch.setitem(rl_zoo3.ALGOS, "ars", algorithm)
        return ExperimentManager(algo="ars", env_id=env_id, log_folder=str(tmp_path), **{**defaults, **arguments})

    return experiment


@pytest.fixture
def enjoy(rl_zoo3, tmp_path, monkeypatch, capsys):
    """The episodes that `rl_zoo3 enjoy` prints for the last run, with an algorithm as its ARS: [(return, length), ...]."""
    from rl_zoo3.enjoy import enjoy

    def shown(algorithm, env_id="CartPole-v1", *options):
        monkeypatch.setitem(rl_zoo3.ALGOS, "ars", algorithm)
        arguments = ["--algo", "ars", "--env", env_id, "--folder", str(tmp_path), "--no-render", "-n", "1200", *options]
        monkeypatch.setattr(sys, "argv", ["enjoy", *arguments])
        capsys.readouterr()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of theirs, and of ours that the statistics beside a zip are not read
            enjoy()
        lines = [line.split(": ") for line in capsys.readouterr().out.splitlines()]
        returns = [float(line[1]) for line in lines if line[0] == "Episode Reward"]
        return list(zip(returns, [int(line[0].split()[-1]) for line in lines if line[0].startswith("Episode Length")], strict=True))

    return shown


NORMALIZED = {"normalize": "{'norm_obs': True, 'norm_reward': False}", "zero_policy": False, "delta_std": 0.1}


def trained(manager):
    """Train as rl_zoo3's command does, and return the model."""
    model, _ = manager.setup_experiment()
    manager.learn(model)
    manager.save_trained_model(model)
    return model


def test_rl_zoo_trains_and_continues_with_it(zoo, tmp_path):
    model = trained(zoo(hyperparams=NORMALIZED))
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


def test_rl_zoo_continues_with_a_model_of_theirs(zoo, tmp_path):
    sb3_contrib = pytest.importorskip("sb3_contrib")
    theirs = trained(zoo(sb3_contrib.ARS, hyperparams=NORMALIZED))
    path = tmp_path / "ars" / "CartPole-v1_1" / "CartPole-v1.zip"
    manager = zoo(hyperparams=NORMALIZED, trained_agent=str(path))
    again, _ = manager.setup_experiment()
    assert np.allclose(again.theta, theirs.weights.numpy())
    assert np.allclose(again.get_vec_normalize_env().obs_rms.mean, theirs.get_vec_normalize_env().obs_rms.mean)
    manager.learn(again)
    assert again.num_timesteps >= theirs.num_timesteps


ENJOYED = {
    "plain": ("CartPole-v1", {}),
    "normalised": ("CartPole-v1", NORMALIZED),
    "of a network": ("Pendulum-v1", {**NORMALIZED, "policy": "MlpPolicy", "policy_kwargs": "dict(net_arch=[16])"}),
    "frames stacked": ("CartPole-v1", {"frame_stack": 2, "delta_std": 0.1}),
    "frames stacked, normalised": ("CartPole-v1", {"frame_stack": 2, **NORMALIZED}),
    "time as an observation": ("CartPole-v1", {"env_wrapper": "rl_zoo3.wrappers.TimeFeatureWrapper"}),
}


@pytest.mark.parametrize(("env_id", "hyperparams"), ENJOYED.values(), ids=ENJOYED)
def test_rl_zoo_enjoys_a_model_as_it_was_trained(zoo, enjoy, env_id, hyperparams):
    """The episodes are those of the trained model itself, in the same environment."""
    model = trained(zoo(env_id=env_id, hyperparams=hyperparams, eval_freq=-1))
    assert enjoy(ARS, env_id) == enjoy(Loaded(model), env_id)


class Loaded:
    """An algorithm whose `load` returns a model that is there already."""

    def __init__(self, model):
        self.model = model

    def load(self, *_args, **_kwargs):
        return self.model


@pytest.mark.parametrize(("env_id", "hyperparams"), ENJOYED.values(), ids=ENJOYED)
def test_rl_zoo_enjoys_models_of_theirs_as_theirs_does(zoo, enjoy, env_id, hyperparams):
    sb3_contrib = pytest.importorskip("sb3_contrib")
    trained(zoo(sb3_contrib.ARS, env_id=env_id, hyperparams=hyperparams, eval_freq=-1))
    theirs, ours = enjoy(sb3_contrib.ARS, env_id), enjoy(ARS, env_id)
    assert [length for _, length in ours] == [length for _, length in theirs]
    assert np.allclose([total for total, _ in ours], [total for total, _ in theirs], rtol=1e-3)


def test_environments_in_other_processes_train_the_same(zoo, tmp_path):
    thetas = [trained(zoo(vec_env_type=kind, eval_freq=-1, n_timesteps=300)).theta for kind in ("dummy", "subproc")]
    assert np.array_equal(*thetas)


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
