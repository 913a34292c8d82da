"""Subclasses that change methods of stable-baselines3-contrib's ARS; with both packages: test_subclassing_peers.py.

Broken on purpose, one at a time: evaluate_candidates not called -> 6 tests red; candidates or returns in our own order ->
test_a_subclass_that_only_calls_its_parent, candidates also test_the_candidates_come_in_their_order; weights that were tried kept
-> test_weights_that_a_subclass_tries; steps kept after an error -> test_an_error_in_a_subclass; the episodes of the parent's
method forgotten -> test_a_subclass_that_only_calls_its_parent; no warning, or one more for a subclass of the class ->
test_a_method_that_nothing_calls; `_setup_model` or `_update_info_buffer` not called -> test_a_subclass_hears_of_episodes; None
taken for a number -> test_wrong_returns.
"""

import sys
import warnings

import numpy as np
import pytest

from fastars import ARS, evaluate_policy
from fastars.callbacks import EvalCallback


def made(cls=ARS, **settings):
    return cls("LinearPolicy", "CartPole-v1", **{"n_delta": 3, "seed": 0, "n_threads": 1, "noise_size": 1 << 16, **settings})


@pytest.fixture(autouse=True)
def _without_torch(monkeypatch):
    """As if no test in this process had imported PyTorch."""
    monkeypatch.delitem(sys.modules, "torch", raising=False)


class Same(ARS):
    def evaluate_candidates(self, candidate_weights, callback, async_eval):
        return super().evaluate_candidates(candidate_weights, callback, async_eval)

    def _do_one_update(self, callback, async_eval):
        super()._do_one_update(callback, async_eval)


TIMING = "time/time_elapsed", "time/fps"
SETTINGS = {
    "plain": {},
    "normalised": {"normalize_observations": True},
    "more episodes": {"n_eval_episodes": 3, "alive_bonus_offset": -0.5, "n_top": 2},
    "in Python": {"compiled": False},
}


@pytest.mark.parametrize("settings", SETTINGS)
def test_a_subclass_that_only_calls_its_parent_trains_as_the_parent(settings):
    models = [made(cls, **SETTINGS[settings]).learn(600) for cls in (ARS, Same)]
    for name in ("theta", "iteration", "num_timesteps", "num_episodes", "num_updates"):
        assert np.array_equal(*(getattr(model, name) for model in models)), name
    assert np.array_equal(models[0].policy.filter.mean, models[1].policy.filter.mean)
    rows = [{name: value for name, value in model.record.items() if name not in TIMING} for model in models]
    assert repr(rows[0]) == repr(rows[1])  # NaN is not NaN


def test_the_returns_of_a_subclass_make_the_step():
    class Towards(ARS):
        """Only the first weight counts."""

        def evaluate_candidates(self, candidate_weights, callback, async_eval):
            self.num_timesteps += 10
            return candidate_weights[:, 0]

    model = made(Towards).learn(200)
    assert (model.iteration, model.num_timesteps) == (20, 200)
    assert model.theta[0] > 0.1
    assert abs(model.theta[1:]).max() < model.theta[0]


def test_weights_that_a_subclass_tries_are_not_those_of_the_model():
    class Norms(ARS):
        tries = False

        def evaluate_candidates(self, candidate_weights, callback, async_eval):
            self.num_timesteps += 10
            if self.tries:
                self.policy.load_from_vector(candidate_weights[0])
            return -abs(candidate_weights).sum(axis=1)

    class Trying(Norms):
        tries = True

    assert np.array_equal(made(Norms).learn(100).theta, made(Trying).learn(100).theta)


def test_the_candidates_come_in_their_order():
    seen = []

    class Look(ARS):
        def evaluate_candidates(self, candidate_weights, callback, async_eval):
            seen.append(np.array(candidate_weights))
            return super().evaluate_candidates(candidate_weights, callback, async_eval)

    made(Look).learn(1)
    assert seen[0].shape == (6, 8)
    assert np.allclose(seen[0][:3], -seen[0][3:])
    assert np.array_equal(seen[0][:3], made(normalize_observations=False).ask()[::2])


@pytest.mark.parametrize(
    ("returns", "error", "message"),
    [
        (lambda weights: weights[:2, 0], ValueError, "the returns of evaluate_candidates must be 6 numbers, got 2"),
        (lambda weights: None, TypeError, "the returns of evaluate_candidates must be numbers, got None"),
        (lambda weights: ["a"] * 6, TypeError, "the returns of evaluate_candidates must be numbers"),
    ],
)
def test_wrong_returns_are_an_error_and_change_nothing(returns, error, message):
    class Wrong(ARS):
        def evaluate_candidates(self, candidate_weights, callback, async_eval):
            return returns(candidate_weights)

    model = made(Wrong)
    with pytest.raises(error, match=message):
        model.learn(1)
    assert (model.iteration, model.num_timesteps) == (0, 0)


def test_an_error_in_a_subclass_leaves_the_last_whole_iteration():
    class Failing(ARS):
        def evaluate_candidates(self, candidate_weights, callback, async_eval):
            super().evaluate_candidates(candidate_weights, callback, async_eval)
            raise OSError("no")

    model = made(Failing)
    with pytest.raises(OSError, match="no"):
        model.learn(1)
    assert (model.iteration, model.num_timesteps, model.num_episodes) == (0, 0, 0)


def test_a_method_set_on_the_model_is_called():
    model, calls = made(), []
    original = model._do_one_update
    model._do_one_update = lambda callback, async_eval: calls.append(model.iteration) or original(callback, async_eval)
    model.learn(200)
    assert calls == list(range(model.iteration))


@pytest.mark.parametrize(
    "name", ["_trigger_callback", "_mimic_monitor_wrapper", "_excluded_save_params", "collect_rollouts", "train"]
)
def test_a_method_that_nothing_calls_is_named_at_the_definition(name):
    with pytest.warns(UserWarning, match=f"Own.{name} is never called by fastars: ") as caught:
        own = type("Own", (ARS,), {name: lambda self, *args: None})
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        type("Again", (own,), {})
        type("Other", (ARS,), {"my_own": 3, "learn": ARS.learn})


def test_an_evaluation_without_the_predict_of_a_subclass_says_so():
    class Other(ARS):
        def predict(self, observation, state=None, episode_start=None, deterministic=False):
            return np.array(0), state

    with pytest.warns(UserWarning, match=r"^Other\.predict is not called by fastars' EvalCallback") as caught:
        made(Other).learn(1, EvalCallback(eval_freq=1, verbose=0))
    assert len(caught) == 1
    assert evaluate_policy(made(Other), "CartPole-v1", 2)[0] < 12


def test_a_subclass_hears_of_episodes_and_can_set_the_model_up():
    class Watching(ARS):
        def _setup_model(self):
            super()._setup_model()
            self.infos = []

        def _update_info_buffer(self, infos, dones=None):
            super()._update_info_buffer(infos, dones)
            self.infos.extend(infos)

        def _setup_learn(self, total_timesteps, *args, **kwargs):
            return super()._setup_learn(total_timesteps // 2, *args, **kwargs)

        def dump_logs(self):
            self.n_rows = getattr(self, "n_rows", 0) + 1
            super().dump_logs()

    model = made(Watching, max_episode_steps=7).learn(600)
    assert 300 <= model.num_timesteps < 400
    assert [info["episode"]["l"] for info in model.infos] == [7] * model.num_episodes
    assert model.n_rows == model.iteration
