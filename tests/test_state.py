"""A run is a value: states of it stay as they are, copies go their own ways, and an error leaves the state before.

Broken on purpose -> red: the frame that `warn_user` names; signals not held in `obs_filter`; a shallow copy of a user's method;
failures not counted in `_commit`; `refuse_other_state` not called; the seed and theta not compared in `tell`; a copy without a
state of its own; a second name before an error (`_NAMED`).
"""

import copy
import pickle
import signal
import warnings

import numpy as np
import pytest
from broken_envs import AlwaysRaises

from fastars import ARS
from fastars._runtime.signals import signals_wait
from fastars.callbacks import EvalCallback
from fastars.training.iteration import NonFiniteReturnsError, ask, iterate, perturbed_thetas, roll_out
from fastars.weighting import GradNorm

PENDULUM = "fastars/mo-pendulum-v0"


def small(env="CartPole-v1", **settings):
    return ARS("LinearPolicy", env, **{"n_delta": 4, "seed": 0, "n_threads": 1, "normalize_observations": True, **settings})


def test_four_functions_are_an_iteration_of_learn():
    model, learned = small(), small().learn(1)
    run, state = model.run, model.state
    asked = ask(run, state, 1.0)
    rollouts = roll_out(run, state, asked, perturbed_thetas(run, state, asked))
    following, row = iterate(run, state, asked, rollouts)
    for ours, theirs in zip(following.moments, learned.state.moments, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(following.theta, learned.theta)
    assert following.counters == learned.state.counters
    np.testing.assert_equal({key: value for key, value in learned.record.items() if key in row.values}, row.values)


@pytest.mark.parametrize("settings", [{}, {"optimizer": "adam"}, {"momentum": 0.9}, {"env": PENDULUM, "weighting": "gradnorm"}])
def test_a_kept_state_does_not_change_and_goes_on_with_the_same_bits(settings):
    model = small(**settings).learn(1)
    kept = model.state
    content = pickle.dumps(kept)
    model.learn(3_000, reset_num_timesteps=False)
    end = model.theta
    assert pickle.dumps(kept) == content
    model.state = kept
    model.learn(3_000, reset_num_timesteps=False)
    np.testing.assert_array_equal(model.theta, end)


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_a_copy_trains_alone_and_its_policy_with_it(copied):
    model = small().learn(500)
    before = model.theta.copy()
    other = copied(model).learn(500, reset_num_timesteps=False)
    np.testing.assert_array_equal(model.theta, before)
    np.testing.assert_array_equal(other.policy.weights, other.theta)
    assert not np.array_equal(other.theta, before)
    model.learn(500, reset_num_timesteps=False)
    np.testing.assert_array_equal(model.theta, other.theta)


class Recording(GradNorm):
    """A method that writes into a list of its own, and raises in its fourth step."""

    def reset(self):
        super().reset()
        self.calls = []

    def _next(self, weights, state, inputs):
        self.calls.append(len(self.calls))
        if len(self.calls) == 4:
            raise RuntimeError("the fourth")
        return super()._next(weights, state, inputs)


def test_an_exception_of_a_method_leaves_it_as_it_was():
    model = small(PENDULUM, weighting=Recording(alpha=0.0))
    first = model.state
    with pytest.raises(RuntimeError, match="the fourth"):
        model.learn(1_000_000)
    assert model.objectives.method.calls == [0, 1, 2]
    assert first.tasks.method.calls == []
    assert model.iteration == 8  # five iterations in which the averages fill, and three steps


def test_failures_of_an_iteration_that_raises_are_counted():
    model = ARS("LinearPolicy", AlwaysRaises, n_delta=2, seed=0)
    with pytest.raises(NonFiniteReturnsError, match="failed in every episode"):
        model.learn(1)
    assert (model.iteration, model.env_failures) == (0, 8)  # two attempts at each of four episodes


def test_the_filter_is_derived_while_signals_wait(monkeypatch):
    from fastars import kernels

    held, original = [], kernels.filter_from_moments

    def watched(*args):
        signal.raise_signal(signal.SIGUSR1)
        held.append(signals_wait())
        return original(*args)

    monkeypatch.setattr(kernels, "filter_from_moments", watched)
    before = signal.signal(signal.SIGUSR1, lambda *_: None)
    try:
        model = small().learn(300)
        model.state = model.state.counting(num_episodes=1)  # another state, whose filter is derived outside of `learn`
        model.policy.filter  # noqa: B018 - it derives it
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert held
    assert all(held)


def test_learn_in_a_callback_does_not_move_the_progress_of_the_outer_call():
    seen = []

    def inner(local, _):
        if local["self"].iteration == 1:
            local["self"].learn(1, reset_num_timesteps=False)

    small(learning_rate=lambda progress: seen.append(progress) or 0.02).learn(2_000, callback=inner)
    assert all(0.0 <= progress <= 1.0 for progress in seen)
    assert seen[0] == seen[1] == 1.0 or seen[1] < 1.0


@pytest.mark.parametrize("change", ["seed", "weights"])
def test_tell_refuses_returns_of_other_candidates(change):
    model = small(normalize_observations=False)
    model.ask()
    if change == "seed":
        model.set_random_seed(1)
    else:
        model.policy.load_from_vector(np.ones(model.n_weights))
    before = model.theta
    with pytest.raises(RuntimeError, match="the seed and the weights that ask"):
        model.tell(np.arange(8.0))
    np.testing.assert_array_equal(model.theta, before)


class Own(ARS):
    """A subclass of the user's."""


@pytest.mark.parametrize("model_class", [ARS, Own])
def test_a_warning_points_at_the_line_that_called(model_class):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model_class("LinearPolicy", "CartPole-v1", device="cuda", n_workers=3, n_delta=2, n_top=3)
    assert len(caught) == 3
    assert {warning.filename for warning in caught} == {__file__}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: small(n_detla=3), r"^ARS\(\) got an unexpected keyword argument 'n_detla'; did you mean 'n_delta'\?"),
        (lambda: small(backend="nmpy"), r"^ARS\(\): backend must be one of 'numba', 'numpy', got 'nmpy'; did you mean 'numpy'\?"),
        (lambda: Own("LinearPolicy", "CartPole-v1", n_delta=0), r"^Own\(\): n_delta must be an integer of at least 1, got 0"),
        (lambda: small().learn("many"), r"^ARS\.learn\(\): total_timesteps must be an integer of at least 1, got 'many'"),
        (lambda: small().evaluate(0), r"^ARS\.evaluate\(\): n_eval_episodes must be an integer of at least 1, got 0"),
    ],
)
def test_errors_begin_with_the_function_that_the_user_called(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ARS("LinearPolicy"), r"^ARS\(\) missing 1 required positional argument: 'env'"),
        (
            lambda: EvalCallback(eval_frq=3),
            r"^EvalCallback\(\) got an unexpected keyword argument 'eval_frq'; did you mean 'eval_freq'\?",
        ),
        (lambda: GradNorm(2, alphaa=1.0), r"^GradNorm\(\) got an unexpected keyword argument 'alphaa'; did you mean 'alpha'\?"),
        (
            lambda: small().learn(1, callback=lambda local, _: local["self"].evaluate(0)),
            r"^ARS\.evaluate\(\): n_eval_episodes must",
        ),
        (lambda: small().learn(1, log_interval="x"), r"^ARS\.learn\(\): log_interval must be an integer of at least 0, got 'x'"),
        (
            lambda: small(learning_rate=lambda _: "x").learn(1),
            r"learning_rate\(1\.0\) must be a finite number of at least 0, got 'x'",
        ),
        (
            lambda: small().evaluate(2, seed="x"),
            r"^ARS\.evaluate\(\): seed must be an integer from 0 to 2\*\*64 - 2, got 'x'",
        ),
        (lambda: small().policy.load_from_vector("x"), r"^ARSLinearPolicy\.load_from_vector\(\): weights must be numbers, got 'x'"),
        (lambda: small("CartPole-v9"), r"^ARS\(\): env 'CartPole-v9' is not a known environment id"),
    ],
)
def test_errors_name_one_function_and_the_argument(call, message):
    with pytest.raises((TypeError, ValueError), match=message) as caught:
        call()
    assert str(caught.value).count("(): ") <= 1


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (lambda: small("Pendulum-v1").state, r"whose theta have shapes \[\(8,\)\], got \[\(3,\)\]"),
        (lambda: small(optimizer="adam").state, r"whose slots have shapes"),
        (lambda: small().state._replace(theta=np.full(8, np.nan)), "finite weights"),
        (lambda: None, "state must be a State, got None"),
    ],
)
def test_a_state_of_another_run_is_refused(other, message):
    model = small().learn(300)
    before = model.state
    with pytest.raises((TypeError, ValueError), match=message):
        model.state = other()
    assert model.state is before


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda pair: pickle.loads(pickle.dumps(pair))])
def test_a_model_and_its_policy_stay_together_in_a_copy(copied):
    model = small()
    other, policy = copied((model, model.policy))
    other.learn(500)
    assert policy is other.policy
    np.testing.assert_array_equal(policy.weights, other.theta)
    assert not model.theta.any()
