"""The trainer: what it learns, that its runs don't depend on how they are run, and what it does with bad numbers and bad input."""

import dataclasses
import gc
import hashlib
import math
import os
import signal
import threading
import time
import weakref

import gymnasium
import numpy as np
import pytest

import fastars
from fastars import ARS, NonFiniteReturnsError, evaluate_policy, kernels
from fastars._compiled.structs import Rollouts, empty_rollouts
from fastars.callbacks import EveryIteration
from fastars.samplers.noise_table import NoiseTable
from fastars.training.config import Config
from fastars.training.iteration import ask, iterate
from fastars.training.presets import CHOICES as PRESETS
from fastars.training.state import ObsMoments, obs_filter


def digest(model):
    return hashlib.sha256(model.theta.tobytes()).hexdigest()


def small(env="CartPole-v1", **settings):
    return ARS("LinearPolicy", env, **{"seed": 5, "noise_size": 1 << 16, **settings})


# --- It trains


@pytest.mark.parametrize("seed", range(5))
def test_default_settings_solve_cartpole(seed):
    model = ARS("LinearPolicy", "CartPole-v1", seed=seed).learn(100_000)
    assert model.evaluate(100).returns.mean() >= 475


def test_normalised_observations_and_a_bias_train_the_continuous_car():
    model = ARS("LinearPolicy", "MountainCarContinuous-v0", variant="V2", n_delta=16, delta_std=0.5, learning_rate=0.1, seed=1)
    assert model.learn(1_000_000).evaluate(100).returns.mean() > 85


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_every_preset_learns_cartpole(preset):
    model = ARS("LinearPolicy", "CartPole-v1", preset=preset, seed=0).learn(60_000)
    assert model.evaluate(100).returns.mean() > 150


# --- One hash


@pytest.mark.parametrize("variant", ["V1", "V2"])
def test_threads_do_not_change_theta(variant):
    hashes = {digest(small(n_delta=300, variant=variant, n_threads=n).learn(300_000)) for n in (1, 2, 3, 4)}
    assert len(hashes) == 1


def test_threads_share_the_columns_of_a_weighted_sum(monkeypatch):
    alone = small(n_threads=1).learn(5000)
    assert np.all(alone.theta != 0)  # no column is left out
    monkeypatch.setattr("fastars.training.update._PARALLEL_SUM", 1)
    monkeypatch.setattr("fastars.training.update.SUM_COLUMNS", 3)
    assert digest(small(n_threads=3).learn(5000)) == digest(alone)


def test_noise_is_the_table_of_its_seed_and_size():
    model = small(noise_size=3_000_001, n_threads=3)
    assert np.array_equal(model.noise, fastars.kernels.noise_table(np.uint64(5), 3_000_001))


def test_a_model_is_freed_at_once():
    """Its noise table takes 16 MB: made anew each time, a hundred short runs would take twice as long."""
    model = small().learn(1000)
    noise = weakref.ref(model.noise)
    gc.disable()
    try:
        del model
        assert noise() is None
    finally:
        gc.enable()


def test_momentum_carries_on_from_one_iteration_to_the_next():
    model = small(momentum=0.5)
    model.ask()
    model.tell(np.arange(16.0))
    first = model.theta.copy()
    model.ask()
    model.tell(np.ones(16))  # no gradient: what moves is half of the velocity
    np.testing.assert_allclose(model.theta - first, 0.5 * first, rtol=1e-12)


def test_two_runs_are_equal_and_another_seed_is_not():
    assert digest(small().learn(5000)) == digest(small().learn(5000))
    assert digest(small().learn(5000)) != digest(small(seed=6).learn(5000))


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"variant": "V2-t", "n_top": 3},
        {"optimizer": "adam", "weight_decay": 0.01},
        {"momentum": 0.9, "fitness_shaping": "centered_ranks"},
        {"common_random_numbers": True, "n_eval_episodes": 3, "zero_policy": False},
    ],
)
def test_save_and_load_at_every_iteration_does_not_change_theta(tmp_path, settings):
    whole = small("Pendulum-v1", **settings)
    parts = small("Pendulum-v1", **settings)
    for _ in range(6):
        whole.learn(1, reset_num_timesteps=False)
        parts.learn(1, reset_num_timesteps=False)
        parts.save(tmp_path / "model.zip")
        parts = ARS.load(tmp_path / "model.zip")
    assert digest(parts) == digest(whole)
    for name in ("iteration", "num_timesteps", "num_episodes", "seed"):
        assert getattr(parts, name) == getattr(whole, name)
    assert np.array_equal(parts.policy.filter.mean, whole.policy.filter.mean)
    assert np.array_equal(parts.policy.filter.scale, whole.policy.filter.scale)


def test_backends_agree_over_twenty_iterations():
    """CartPole's returns are whole numbers, equal in both backends, and sums run in the same order: at most roundings differ."""
    models = [small(backend=backend, n_delta=4, noise_size=1 << 16) for backend in ("numba", "numpy")]
    for _ in range(20):
        returns = [model.learn(1, reset_num_timesteps=False).record["rollout/ep_rew_mean"] for model in models]
        assert returns[0] == returns[1]
    np.testing.assert_allclose(models[0].theta, models[1].theta, rtol=1e-12)


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_backends_agree_on_a_continuous_task(preset):
    """Pendulum's returns differ by 1e-10 (float32 squares, sines); ten normalised iterations amplify that to 1e-7 at most."""
    models = [
        small("Pendulum-v1", backend=backend, n_delta=3, n_top=2, preset=preset, normalize_observations=True)
        for backend in ("numba", "numpy")
    ]
    for model in models:
        for _ in range(10):
            model.learn(1, reset_num_timesteps=False)
    np.testing.assert_allclose(models[0].theta, models[1].theta, rtol=1e-7, atol=1e-9)


def test_ask_and_tell_make_the_run_that_learn_makes():
    learned, told = small(), small()
    for _ in range(5):
        learned.learn(1, reset_num_timesteps=False)
        candidates = told.ask()
        assert candidates.shape == (16, 8)
        seeds = fastars.kernels.episode_seeds(np.uint64(told.seed), told.iteration, 8, 1, False).ravel()
        told.tell(fastars.evaluate_candidates("CartPole-v1", candidates, seeds).returns)
    assert digest(told) == digest(learned)


def test_a_training_episode_can_be_replayed_in_gymnasium():
    model = small()
    candidates = model.ask()
    seeds = fastars.kernels.episode_seeds(np.uint64(model.seed), model.iteration, 8, 1, False).ravel()
    returns = fastars.evaluate_candidates("CartPole-v1", candidates, seeds).returns
    for weights, seed, expected in zip(candidates, seeds, returns, strict=True):
        model.policy.load_from_vector(weights)
        mean, _ = evaluate_policy(model, "CartPole-v1", n_eval_episodes=1, seed=int(seed))
        assert mean == expected


@pytest.mark.parametrize("env_id", ["CartPole-v1", "Pendulum-v1", "MountainCar-v0", "MountainCarContinuous-v0", "Acrobot-v1"])
@pytest.mark.parametrize("variant", ["V1", "V2"])
def test_kernels_report_what_gymnasium_and_predict_give(env_id, variant):
    model = ARS("LinearPolicy", env_id, seed=2, n_delta=4, variant=variant, policy_kwargs={"with_bias": True}).learn(20_000)
    ours = model.evaluate(20, seed=100)
    returns, lengths = evaluate_policy(model, env_id, n_eval_episodes=20, seed=100, return_episode_rewards=True)
    differ = ~np.isclose(ours.returns, returns, rtol=1e-9, atol=0.0) | (ours.lengths != lengths)
    assert differ.sum() <= (env_id == "Acrobot-v1")  # whose pendulum is chaotic: an ulp can grow to a swing


# --- Predict


def test_predict_takes_one_observation_or_many():
    model = small().learn(2000)
    observations = np.random.default_rng(0).normal(size=(7, 4)).astype(np.float32)
    actions, state = model.predict(observations)
    assert state is None
    assert actions.shape == (7,)
    assert actions.dtype == np.int64
    singles = [model.predict(observation)[0] for observation in observations]
    assert np.shape(singles[0]) == ()
    assert actions.tolist() == singles
    assert 0 < actions.sum() < 7


def test_box_actions_are_clipped_float32():
    model = small("Pendulum-v1")
    model.policy.load_from_vector([100.0, 0.0, 0.5])
    action, _ = model.predict(np.array([1.0, 0.0, 0.0]))
    assert action.dtype == np.float32
    assert action.tolist() == [2.0]
    assert model.predict(np.array([0.0, 0.0, 1.0]))[0].tolist() == [0.5]
    original = ARS("LinearPolicy", "Pendulum-v1", preset="modestyachts", seed=0)
    original.policy.load_from_vector([100.0, 0.0, 0.5])
    assert original.predict(np.array([1.0, 0.0, 0.0]))[0].tolist() == [100.0]


def test_observation_of_another_shape_is_an_error():
    with pytest.raises(ValueError, match=r"observation must have shape \(4,\) or \(n, 4\), got \(5,\)"):
        small().predict(np.zeros(5))


def test_policy_vector_round_trips_and_refuses_what_does_not_fit():
    model = small()
    weights = np.arange(8.0)
    model.policy.load_from_vector(weights)
    assert np.array_equal(model.policy.parameters_to_vector(), weights)
    for bad, message in ((np.zeros(7), "8 entries, got 7"), (np.full(8, np.inf), "must be finite")):
        with pytest.raises(ValueError, match=message):
            model.policy.load_from_vector(bad)
    assert np.array_equal(model.theta, weights)


def test_evaluation_leaves_the_run_alone():
    model = small(variant="V2").learn(2000)
    before = (digest(model), model.iteration, model.num_timesteps, model.state.moments[0])
    first, second = model.evaluate(10), model.evaluate(10)
    assert np.array_equal(first.returns, second.returns)
    assert (digest(model), model.iteration, model.num_timesteps, model.state.moments[0]) == before


# --- Numbers that are not finite, or all the same


class Faulty:
    """A sampler that spoils the results of another."""

    takes_perturbed = False

    def __init__(self, sampler, spoil):
        self.sampler, self.spoil, self.calls = sampler, spoil, 0

    takes_perturbed = False

    def evaluate(self, *args):
        rollouts = self.sampler.evaluate(*args)
        returns = rollouts.returns.copy()
        self.spoil(returns, self.calls)
        self.calls += 1
        return Rollouts(returns, *rollouts[1:])


def faulty(spoil, **settings):
    model = small(**settings)
    model.sampler = Faulty(model.sampler, spoil)
    return model


@pytest.mark.promise(7)
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_pair_with_a_bad_return_is_dropped_and_counted(bad):
    def spoil(returns, call):
        returns[3] = bad  # the second direction's minus

    model = faulty(spoil)
    for _ in range(7):
        model.learn(1, reset_num_timesteps=False)
    assert model.dropped_pairs == 7
    assert model.record["health/nonfinite_returns"] == 7
    assert np.isfinite(model.theta).all()
    assert np.any(model.theta != 0)
    assert np.isfinite(model.record["rollout/ep_rew_mean"])


@pytest.mark.promise(7)
def test_dropping_a_pair_is_running_without_it():
    """Its returns don't matter, whatever the other half was."""

    def spoil(value):
        def inner(returns, call):
            returns[2:4] = value, math.nan

        return inner

    thetas = [faulty(spoil(value)).learn(1).theta for value in (0.0, 500.0, math.inf)]
    assert np.array_equal(thetas[0], thetas[1])
    assert np.array_equal(thetas[0], thetas[2])


@pytest.mark.promise(7)
def test_no_pair_left_skips_the_update_and_ten_in_a_row_raise():
    def spoil(returns, call):
        if call >= 2:
            returns[::2] = math.nan

    model = faulty(spoil)
    model.learn(1, reset_num_timesteps=False)
    model.learn(1, reset_num_timesteps=False)
    before = model.theta.copy()
    for _ in range(9):
        model.learn(1, reset_num_timesteps=False)
        assert np.array_equal(model.theta, before)
    with pytest.raises(NonFiniteReturnsError, match="10 iterations"):
        model.learn(1, reset_num_timesteps=False)
    assert np.array_equal(model.theta, before)
    assert model.dropped_pairs == 80


@pytest.mark.promise(7)
def test_on_nonfinite_raise_raises_and_changes_nothing():
    def spoil(returns, call):
        returns[0] = math.nan if call == 3 else returns[0]

    model = faulty(spoil, on_nonfinite="raise")
    for _ in range(3):
        model.learn(1, reset_num_timesteps=False)
    before = digest(model)
    with pytest.raises(NonFiniteReturnsError, match="1 of 8 pairs"):
        model.learn(1, reset_num_timesteps=False)
    assert digest(model) == before
    assert model.iteration == 3


@pytest.mark.promise(7)
@pytest.mark.parametrize("backend", ["numba", "numpy"])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_penalized_returns_are_the_worst_of_the_iteration(bad, backend):
    """The run is the one in which the candidate got the least return of all."""

    def spoil(returns, call, value=bad):
        returns[3] = value

    def spoil_as_penalized(returns, call):
        spoil(returns, call, np.delete(returns, 3).min())

    model = faulty(spoil, on_nonfinite="penalize", backend=backend)
    other = faulty(spoil_as_penalized, backend=backend)
    for each in (model, other):
        for _ in range(3):
            each.learn(1, reset_num_timesteps=False)
    assert np.array_equal(model.theta, other.theta)
    assert np.any(model.theta != 0)
    assert (model.penalized_pairs, model.dropped_pairs, model.record["health/nonfinite_returns"]) == (3, 0, 3)
    assert model.record["gradient/norm"] == other.record["gradient/norm"]


@pytest.mark.promise(7)
def test_pairs_that_can_not_be_penalized_are_dropped(tmp_path):
    def spoil(returns, call):
        returns[0] = returns[2] = returns[3] = math.nan

    model = faulty(spoil, on_nonfinite="penalize").learn(1)
    assert (model.penalized_pairs, model.dropped_pairs) == (1, 1)
    model.save(tmp_path / "model.zip")
    assert ARS.load(tmp_path / "model.zip").penalized_pairs == 1
    model = faulty(lambda returns, call: returns.fill(math.nan), on_nonfinite="penalize")
    with pytest.raises(NonFiniteReturnsError, match="10 iterations"):
        model.learn(100_000)
    assert (model.penalized_pairs, model.dropped_pairs) == (0, 80)
    assert not model.theta.any()


def test_penalty_of_a_vector_reward_is_refused():
    with pytest.raises(ValueError, match='on_nonfinite must be "drop" or "raise" for a vector reward, got "penalize"'):
        ARS("LinearPolicy", "fastars/mo-mountaincar-v0", on_nonfinite="penalize")


@pytest.mark.promise(19)
@pytest.mark.parametrize("preset", sorted(PRESETS))
@pytest.mark.parametrize("n_delta", [1, 8])
def test_equal_returns_leave_theta_unchanged(preset, n_delta):
    def spoil(returns, call):
        returns[:] = 17.0

    model = faulty(spoil, preset=preset, n_delta=n_delta, zero_policy=False)
    before = model.theta.copy()
    for _ in range(3):
        model.learn(1, reset_num_timesteps=False)
    assert np.array_equal(model.theta, before)
    assert model.dropped_pairs == 0


@pytest.mark.promise(19)
@pytest.mark.parametrize("scale", [1e300, 1e-300])
def test_huge_and_tiny_rewards_keep_theta_finite(scale):
    def spoil(returns, call):
        returns *= scale

    model = faulty(spoil, variant="V2")
    for _ in range(5):
        model.learn(1, reset_num_timesteps=False)
    assert np.isfinite(model.theta).all()
    plain = small(variant="V2")
    plain.learn(1)
    once = faulty(spoil, variant="V2")
    once.learn(1)
    np.testing.assert_allclose(once.theta, plain.theta, rtol=1e-9)  # sigma_R takes the scale out


@pytest.mark.promise(19)
def test_one_direction_trains():
    model = small(n_delta=1).learn(3000)
    assert np.isfinite(model.theta).all()
    assert np.any(model.theta != 0)


def test_more_top_directions_than_directions_warn_and_clamp():
    with pytest.warns(UserWarning, match="n_top=9 is more than n_delta=4"):
        model = small(n_delta=4, n_top=9)
    assert model.config.n_top == 4


def test_failing_step_changes_nothing():
    model = small(variant="V2").learn(2000)
    before = (digest(model), model.iteration, model.num_timesteps, model.state.moments[0])
    wrong = lambda progress: math.nan  # noqa: E731
    object.__setattr__(model.config, "learning_rate", wrong)
    with pytest.raises(ValueError, match="learning_rate"):
        model.learn(1, reset_num_timesteps=False)
    assert (digest(model), model.iteration, model.num_timesteps, model.state.moments[0]) == before


# --- Settings


def test_schedules_follow_the_progress_remaining():
    seen = []

    def half(progress):
        seen.append(progress)
        return 0.02 * progress

    model = small(learning_rate=half)
    model.learn(3000)
    assert seen[0] == 1.0
    assert seen == sorted(seen, reverse=True)
    assert 0.0 < seen[-1] < 1.0
    assert model.record["train/learning_rate"] == 0.02 * seen[-1]


def test_callback_returning_false_stops():
    calls = []

    def callback(local, glob):
        calls.append(local["self"].iteration)
        return len(calls) < 3

    model = small().learn(1_000_000, callback=EveryIteration(callback))
    assert calls == [1, 2, 3]
    assert model.iteration == 3


def test_counters_count():
    model = small(n_delta=4, n_eval_episodes=3).learn(1)
    assert model.num_episodes == 24
    assert model.num_timesteps == round(model.record["rollout/ep_len_mean"] * 24)
    more = model.num_timesteps
    assert model.learn(1, reset_num_timesteps=False).num_timesteps > more
    assert model.learn(1).num_timesteps < 2 * more + 24 * 500


def test_record_has_the_keys_of_the_log():
    record = small().learn(1).record
    for key in (
        "rollout/ep_rew_mean",
        "rollout/return_std",
        "time/fps",
        "time/total_timesteps",
        "train/iterations",
        "train/step_size",
    ):
        assert isinstance(record[key], (int, float))
    assert record["train/grad_norm_sq"] == pytest.approx(record["train/grad_norm"] ** 2)
    assert record["train/update_ratio"] is None  # theta was zero


def test_variant_is_what_the_settings_make():
    assert small().config.variant == "V1"
    assert small(n_top=3).config.variant == "V1-t"
    assert small(normalize_observations=True).config.variant == "V2"
    assert small(variant="V2-t", n_top=3).config.normalize_observations


def test_preset_has_the_hyperparameters_of_the_environment():
    pytest.importorskip("mujoco")
    config = ARS("LinearPolicy", "HalfCheetah-v5", preset="paper", seed=0).config
    assert config == Config(
        n_delta=32, n_top=4, learning_rate=0.02, delta_std=0.03, normalize_observations=True, clip_actions=False, seed=0
    )
    made = fastars.envs.make("HalfCheetah-v5", ctrl_cost_weight=0.2)  # quietly
    config = ARS("LinearPolicy", made, preset="paper", variant="V2", seed=0).config
    assert (config.n_delta, config.n_top, config.variant) == (8, 8, "V2")


def test_tuned_preset_may_give_the_policy_a_bias():
    tuned = ARS("LinearPolicy", "MountainCar-v0", preset="tuned", seed=0)
    assert (tuned.n_weights, tuned.config.with_bias, tuned.policy.structure.with_bias) == (9, True, True)
    plain = ARS("LinearPolicy", "MountainCar-v0", preset="tuned", seed=0, policy_kwargs={"with_bias": False})
    assert (plain.n_weights, plain.config.with_bias, plain.config.n_delta) == (6, False, 32)
    assert ARS("LinearPolicy", "MountainCar-v0", preset="tuned", seed=0, policy_kwargs={}).n_weights == 9


def test_loaded_run_keeps_its_settings_whatever_its_preset(tmp_path):
    ARS("LinearPolicy", "MountainCar-v0", preset="tuned", n_delta=3, seed=0, policy_kwargs={"with_bias": False}).save(
        tmp_path / "a"
    )
    loaded = ARS.load(tmp_path / "a")
    assert (loaded.preset, loaded.config.n_delta, loaded.config.n_top, loaded.n_weights) == ("tuned", 3, 3, 6)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"n_delta": 0}, ValueError, "n_delta must be an integer of at least 1, got 0"),
        ({"n_delta": 2.5}, ValueError, "n_delta must be an integer of at least 1, got 2.5"),
        ({"n_top": 0}, ValueError, "n_top must be an integer of at least 1"),
        ({"learning_rate": -0.1}, ValueError, "learning_rate must be a finite number of at least 0, got -0.1"),
        ({"learning_rate": math.nan}, ValueError, "learning_rate must be a finite number"),
        ({"delta_std": 0.0}, ValueError, "delta_std must be positive"),
        ({"delta_std": "big"}, TypeError, "delta_std must be a finite number of at least 0, got 'big'"),
        ({"alive_bonus_offset": math.inf}, ValueError, "alive_bonus_offset must be a finite number"),
        ({"n_eval_episodes": -1}, ValueError, "n_eval_episodes must be an integer"),
        ({"momentum": 1.0}, ValueError, "momentum must be a finite number of at least 0 and below 1"),
        ({"noise_size": 7}, ValueError, "noise_size must be at least the 8 weights of the policy, got 7"),
        ({"seed": -1}, ValueError, r"seed must be an integer from 0 to 2\*\*64 - 1"),
        ({"seed": 2**64}, ValueError, r"seed must be an integer from 0 to 2\*\*64 - 1"),
        ({"optimizer": "adm"}, ValueError, "optimizer must be one of 'sgd', 'adam', got 'adm'; did you mean 'adam'"),
        ({"preset": "papr"}, ValueError, "did you mean 'paper'"),
        ({"variant": "V3"}, ValueError, "variant must be one of"),
        ({"variant": "V1", "normalize_observations": True}, ValueError, "contradicts"),
        ({"variant": "V2-t"}, ValueError, "needs n_top < n_delta"),
        ({"backend": "torch"}, ValueError, "backend must be one of 'numba', 'numpy'"),
        ({"n_threads": 0}, ValueError, "n_threads must be an integer of at least 1"),
        (
            {"policy_kwargs": {"net_arch": [8]}},
            TypeError,
            "policy_kwargs of LinearPolicy are with_bias, squash_output; got 'net_arch'",
        ),
        ({"policy_kwargs": {"squash_output": 2}}, TypeError, "squash_output must be True or False, got 2"),
        ({"n_workers": 0}, ValueError, "n_workers must be an integer of at least 1"),
        ({"env_timeout": 0}, ValueError, "env_timeout must be a positive number of seconds or None, got 0"),
        ({"max_episode_steps": 0}, ValueError, "max_episode_steps must be an integer of at least 1, got 0"),
        ({"clip_observations": 0.0}, ValueError, "clip_observations must be a finite number above 0"),
        ({"keep_ties": 2}, TypeError, "keep_ties must be True or False, got 2"),
        ({"stats_window_size": 0}, ValueError, "stats_window_size must be an integer of at least 1, got 0"),
    ],
)
def test_bad_setting_is_named_with_its_value(settings, error, message):
    with pytest.raises(error, match=message):
        ARS("LinearPolicy", "CartPole-v1", **settings)


def test_unknown_setting_is_a_type_error():
    with pytest.raises(TypeError, match="learning_rat"):
        ARS("LinearPolicy", "CartPole-v1", learning_rat=0.1)


@pytest.mark.parametrize(
    ("name", "message"),
    [("CnnPolicy", "policy must be one of 'LinearPolicy', 'MlpPolicy', got 'CnnPolicy'"), ("linearpolicy", "did you mean")],
)
def test_wrong_policy_name_is_an_error(name, message):
    with pytest.raises(ValueError, match=message):
        ARS(name, "CartPole-v1")


@pytest.mark.parametrize("bad", [0, -5, 2.5, "many"])
def test_bad_number_of_timesteps_is_an_error(bad):
    with pytest.raises(TypeError if bad == "many" else ValueError, match="total_timesteps must be an integer of at least 1"):
        small().learn(bad)


def test_tell_without_ask_and_with_wrong_returns_is_an_error():
    model = small()
    with pytest.raises(RuntimeError, match="call ask"):
        model.tell(np.zeros(16))
    model.ask()
    with pytest.raises(ValueError, match="16 entries, got 3"):
        model.tell(np.zeros(3))
    model.tell(np.arange(16.0))
    assert model.iteration == 1


# --- A setting reaches the step


R = np.array([[10, 4], [3, 8], [1, 2], [7, 7.5]])  # of the golden values: NumPy and the published formulas, run by hand
DELTAS = (np.arange(12) / 10 - 0.5).astype(np.float32)
STEP = 0.02 * np.array([-0.3494816226644151, -0.33200754153119444, -0.31453346039797364])


def golden(returns=R, n_top=2, **settings):
    """A model of three weights after one step along directions 0 to 3 of the golden values."""
    model = ARS("LinearPolicy", "Pendulum-v1", n_delta=4, n_top=n_top, seed=0, **settings)
    table = NoiseTable(kernels, 0, DELTAS.size)
    table.whole()[:] = DELTAS
    model.run = dataclasses.replace(model.run, noise=table)
    asked = ask(model.run, model.state, 1.0)._replace(indices=np.array([0, 3, 6, 9]), sigma=0.05)
    rollouts = empty_rollouts(8, 3, False)._replace(returns=np.ravel(returns).astype(float))
    model.state, model._row = iterate(model.run, model.state, asked, rollouts, 0)
    return model


@pytest.mark.parametrize(
    ("preset", "step"),
    [
        ("fastars", STEP),
        ("tuned", 0.05 / 0.02 * STEP),
        ("paper", STEP),
        ("modestyachts", STEP),
        ("rllib", STEP),
        ("sb3", [-0.006053198351633424, -0.005750538434051754, -0.005447878516470081]),
    ],
)
def test_every_preset_takes_its_golden_step(preset, step):
    np.testing.assert_allclose(golden(preset=preset).theta, step, rtol=2e-6)  # the table is float32


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_percentile_presets_keep_ties(preset):
    """Directions 1 and 2 tie for second place: the original and RLlib use both, the others the first."""
    ties = np.array([[10, 4], [3, 8], [8, 2], [7, 7.5]])
    used = [0, 1, 2] if preset in ("modestyachts", "rllib") else [0, 1]
    ddof, epsilon = (1, 1e-6) if preset == "sb3" else (0, 0.0)
    directions = DELTAS.reshape(4, 3).astype(float)[used]
    weights = (ties[used, 0] - ties[used, 1]) / (len(used) * ties[used].std(ddof=ddof) + epsilon)
    theta = golden(ties, preset=preset, learning_rate=0.02).theta
    np.testing.assert_allclose(theta, 0.02 * weights @ directions, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_filter_of_every_preset(preset):
    """Variance 4 of 9 observations (n - 1) or 32 / 9 (population); a feature that never changed."""
    model = ARS("LinearPolicy", "Pendulum-v1", preset=preset, normalize_observations=True, seed=0)
    filter = obs_filter(kernels, model.config, ObsMoments(9, np.array([1.0, 2.0, 3.0]), np.array([32.0, 32.0, 0.0])))
    expected = {
        "fastars": (0.5, 0.0, math.inf),
        "tuned": (0.5, 0.0, math.inf),
        "paper": (0.5, 0.0, math.inf),
        "modestyachts": (1 / (2 + 1e-8), 0.0, math.inf),
        "rllib": (1 / (2 + 1e-6), 1e6, math.inf),
        "sb3": (1 / math.sqrt(32 / 9 + 1e-8), 1e4, 10.0),
    }[preset]
    np.testing.assert_allclose([filter.scale[0], filter.scale[2], filter.clip], expected, rtol=1e-12)
    assert model.policy.filter.clip == expected[2]  # from the first iteration on
    first = {"modestyachts": 1 / (1 + 1e-8), "rllib": 1 / (1 + 1e-6), "sb3": 1 / math.sqrt(1 + 1e-8)}.get(preset, 1.0)
    assert model.policy.filter.scale.tolist() == [first] * 3


def test_divisor_is_the_directions_used_or_n_top():
    """With one pair dropped, three are left of n_top = 4."""
    returns = R.copy()
    returns[3] = math.nan
    used = golden(returns, n_top=4).theta
    asked = golden(returns, n_top=4, divide_by_n_top=True).theta
    np.testing.assert_allclose(asked, used * 3 / 4, rtol=1e-12)


def test_weight_decay_pulls_towards_zero():
    start = ARS("LinearPolicy", "Pendulum-v1", n_delta=4, seed=0, zero_policy=False).theta
    step = golden(zero_policy=False).theta - start
    decayed = golden(zero_policy=False, weight_decay=0.1).theta - start
    np.testing.assert_allclose(decayed, step - 0.02 * 0.1 * start, rtol=1e-12)


def test_adam_counts_the_steps_it_took():
    """Its first step is learning_rate times the sign of the gradient, also after iterations without one."""
    model = ARS("LinearPolicy", "Pendulum-v1", n_delta=4, seed=0, optimizer="adam")
    for _ in range(9):
        model.ask()
        model.tell(np.full(8, math.nan))
    assert model.num_updates == 0
    model.ask()
    model.tell(np.arange(8.0))
    np.testing.assert_allclose(np.abs(model.theta), 0.02, rtol=1e-5)
    first = model.theta.copy()
    model.ask()
    model.tell(np.zeros(8))
    m_hat, v_hat = 0.9 * 0.1 / (1 - 0.9**2), 0.999 * 0.001 / (1 - 0.999**2)
    np.testing.assert_allclose(np.abs(model.theta - first), 0.02 * m_hat / math.sqrt(v_hat), rtol=1e-5)


def test_shaping_comes_after_the_selection():
    returns = np.zeros((4, 2))
    returns[3] = 1000.0, 999.0
    returns[1] = 5.0, 4.0
    for kind, weight in (("sign", 1.0), ("centered_ranks", 1 / 7)):
        theta = golden(returns, n_top=1, fitness_shaping=kind).theta
        shaped = np.array([0.5, -0.5]) if kind == "sign" else np.array([0.5, 0.5 - 1 / 7])
        np.testing.assert_allclose(theta, 0.02 * weight / shaped.std() * DELTAS[9:], rtol=1e-6)


@pytest.mark.promise(19)
@pytest.mark.parametrize("kind", ["none", "centered_ranks", "sign"])
def test_equal_returns_leave_theta_unchanged_however_they_are_shaped(kind):
    assert np.array_equal(golden(np.full((4, 2), 500.0), fitness_shaping=kind).theta, np.zeros(3))


def test_alive_bonus_offset_counts_every_step():
    """CartPole pays 1 per step: with an offset of -1 all returns are equal, and nothing is learned."""
    assert np.array_equal(small(alive_bonus_offset=-1.0).learn(2000).theta, np.zeros(8))
    assert np.any(small(alive_bonus_offset=-0.5).learn(2000).theta)


def test_common_random_numbers_start_both_signs_alike():
    seen = []

    class Watching(Faulty):
        def evaluate(self, weights, filter, seeds, *args):
            seen.append(seeds.reshape(8, 2))
            return super().evaluate(weights, filter, seeds, *args)

    for common in (True, False):
        model = small(common_random_numbers=common)
        model.sampler = Watching(model.sampler, lambda returns, call: None)
        model.learn(1)
    assert np.array_equal(seen[0][:, 0], seen[0][:, 1])
    assert not np.any(seen[1][:, 0] == seen[1][:, 1])


def test_progress_counts_to_the_goal_of_a_continued_run():
    seen = []
    model = small(learning_rate=lambda progress: seen.append(progress) or 0.01)
    model.learn(1)
    model.learn(10 * model.num_timesteps, reset_num_timesteps=False)
    assert seen[1] == pytest.approx(1 - 1 / 11)


@pytest.mark.promise(7)
def test_step_that_is_not_finite_raises_and_changes_nothing():
    with pytest.raises(NonFiniteReturnsError, match="the step is not finite"):
        small(learning_rate=1e308, delta_std=1e-3).learn(30_000)
    huge = np.array([[1.7e308, -1.7e308], [1e308, 1.0], [2.0, 3.0], [4.0, 5.0]])
    assert np.isfinite(golden(huge).theta).all()


# --- Borders


def test_ctrl_c_raises_keyboard_interrupt_and_leaves_a_whole_model(no_gc_callbacks):
    """Signals at random moments of an iteration; a kernel that returned while one was raised used to kill the process."""
    model = small(learning_rate=1e-6)
    model.learn(5000)
    interrupts = 0
    for delay in np.random.default_rng(0).uniform(0.0005, 0.004, 150):
        timer = threading.Thread(target=lambda wait=delay: (time.sleep(wait), os.kill(os.getpid(), signal.SIGINT)))
        try:
            timer.start()
            model.learn(10**9, reset_num_timesteps=False)  # ends by the signal alone, however late it comes
        except KeyboardInterrupt:
            interrupts += 1
        timer.join()
        assert model.num_episodes == 16 * model.iteration
    assert interrupts == 150
    replay = small(learning_rate=1e-6)
    while replay.iteration < model.iteration:
        replay.learn(1, reset_num_timesteps=False)
    assert digest(replay) == digest(model)


def test_ask_and_tell_refuse_what_they_can_not_do():
    with pytest.raises(ValueError, match="normalize_observations=False"):
        small(variant="V2").ask()
    model = small()
    model.ask()
    model.learn(1)
    with pytest.raises(RuntimeError, match="call ask"):
        model.tell(np.zeros(16))
    model.ask()
    with pytest.raises(ValueError, match="n_steps must be an integer of at least 0, got -5"):
        model.tell(np.zeros(16), n_steps=-5)


def test_n_top_is_clamped_to_the_default_n_delta():
    with pytest.warns(UserWarning, match="n_top=9 is more than n_delta=8"):
        assert small(n_top=np.int64(9)).config.n_top == 8


def test_whole_floats_count_as_numbers_of_steps():
    assert small().learn(1e3).num_timesteps >= 1000


def test_callback_that_is_no_function_is_refused_before_the_first_iteration():
    model = small()
    with pytest.raises(TypeError, match="callback must be a function"):
        model.learn(1000, callback=[1])
    assert model.iteration == 0


def test_models_can_be_copied():
    import copy

    model = small().learn(1000)
    twin = copy.deepcopy(model)
    assert digest(twin.learn(1, reset_num_timesteps=False)) == digest(model.learn(1, reset_num_timesteps=False))


@pytest.mark.parametrize("seed", [-1, 2**64, 2.5])
def test_evaluation_seed_out_of_range_is_an_error(seed):
    with pytest.raises((ValueError, TypeError), match=r"^ARS\.evaluate\(\): seed must be an integer from 0 to 2\*\*64 - 3, got"):
        small().evaluate(3, seed=seed)


def test_seeds_above_two_to_the_63_are_accepted():
    rollouts = fastars.evaluate_candidates("CartPole-v1", np.zeros((2, 8)), [0, 2**63 + 5])
    assert rollouts.returns.min() > 5


def test_recurrent_models_get_their_state_back():
    class Counter:
        def predict(self, observation, state=None, deterministic=True):
            state = 0 if state is None else state + 1
            return state % 2, state

    mean, _ = evaluate_policy(Counter(), "CartPole-v1", n_eval_episodes=5, seed=0)
    assert mean > 20  # pushing left and right by turns holds longer than the 9 steps of pushing one way


# --- Files


def test_loaded_model_predicts_the_same(tmp_path):
    model = small("Pendulum-v1", variant="V2", policy_kwargs={"with_bias": True}).learn(20_000)
    model.save(tmp_path / "model")
    loaded = ARS.load(tmp_path / "model.zip")
    observations = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    assert np.array_equal(model.predict(observations)[0], loaded.predict(observations)[0])
    assert loaded.env_id == "Pendulum-v1"
    assert loaded.config == model.config


def test_environment_arguments_are_kept(tmp_path):
    model = ARS("LinearPolicy", gymnasium.make("Pendulum-v1", g=3.0, max_episode_steps=50), seed=1).learn(1000)
    model.save(tmp_path / "model.zip")
    loaded = ARS.load(tmp_path / "model.zip")
    assert loaded.env_kwargs == {"g": 3.0, "max_episode_steps": 50}
    assert np.array_equal(loaded.evaluate(5).returns, model.evaluate(5).returns)
    assert (loaded.evaluate(5).lengths == 50).all()


def test_model_of_another_environment_is_refused(tmp_path):
    small().learn(1).save(tmp_path / "model.zip")
    with pytest.raises(fastars.CheckpointError, match="takes observations of 4 numbers; an observation of Pendulum-v1 has 3"):
        ARS.load(tmp_path / "model.zip", env="Pendulum-v1")


def test_foreign_file_is_a_clear_error(tmp_path):
    from fastars.files import checkpoint

    checkpoint.save(tmp_path / "other.zip", {"algorithm": "PPO"}, {})
    with pytest.raises(fastars.CheckpointError, match="not a model of this version: algorithm is 'PPO'"):
        ARS.load(tmp_path / "other.zip")
    (tmp_path / "text.zip").write_text("hello")
    with pytest.raises(fastars.CheckpointError, match=r"text\.zip"):
        ARS.load(tmp_path / "text.zip")
    with pytest.raises(FileNotFoundError, match=r"missing\.zip"):
        ARS.load(tmp_path / "missing.zip")


def test_schedule_comes_back_as_its_first_value_or_as_given(tmp_path):
    model = small(learning_rate=lambda progress: 0.5 * progress).learn(1)
    model.save(tmp_path / "model.zip")
    with pytest.warns(UserWarning, match="learning_rate was a schedule"):
        assert ARS.load(tmp_path / "model.zip").config.learning_rate == 0.5
    schedule = lambda progress: progress  # noqa: E731
    assert ARS.load(tmp_path / "model.zip", learning_rate=schedule).config.learning_rate is schedule


def test_sb3_filter_continues_bit_for_bit_from_the_start(tmp_path):
    settings = {"preset": "sb3", "normalize_observations": True, "n_delta": 32, "delta_std": 0.5, "seed": 4}
    model = ARS("LinearPolicy", "Acrobot-v1", **settings)
    model.save(tmp_path / "model.zip")
    loaded = ARS.load(tmp_path / "model.zip")
    assert loaded.policy.filter.clip == model.policy.filter.clip == 10.0
    assert digest(loaded.learn(1)) == digest(model.learn(1))


def test_numpy_arguments_of_make_can_be_saved(tmp_path):
    ARS("LinearPolicy", gymnasium.make("Pendulum-v1", g=np.float32(3.1)), seed=1).save(tmp_path / "model.zip")
    assert ARS.load(tmp_path / "model.zip").env_kwargs["g"] == float(np.float32(3.1))


def test_schedule_that_starts_at_zero_can_be_loaded(tmp_path):
    def schedule(progress):
        return 0.1 * (1.1 - progress) if progress < 1 else 0.0

    small(delta_std=schedule).save(tmp_path / "model.zip")
    assert ARS.load(tmp_path / "model.zip", delta_std=schedule).config.delta_std is schedule


def test_errors_of_the_caller_are_not_blamed_on_the_file(tmp_path):
    small().save(tmp_path / "model.zip")
    for settings, error, message in (
        ({"env": "CartPol-v1"}, fastars.UnsupportedEnvError, "did you mean 'CartPole-v1'"),
        ({"n_threads": 0}, ValueError, "n_threads must be"),
        ({"n_thread": 2}, TypeError, "n_thread can't be changed on loading"),
        ({"policy_kwargs": {"with_bias": True}}, ValueError, r"with_bias=True \(in the file: False\)"),
        ({"policy": "MlpPolicy"}, ValueError, "policy='MlpPolicy'"),
    ):
        with pytest.raises(error, match=message) as caught:
            ARS.load(tmp_path / "model.zip", **settings)
        assert not isinstance(caught.value, fastars.CheckpointError)


def test_evaluate_policy_accepts_any_model_with_predict():
    class Left:
        def predict(self, observation, deterministic=True):
            return 0, None

    mean, std = evaluate_policy(Left(), "CartPole-v1", n_eval_episodes=5, seed=0)
    assert 8 <= mean <= 11
    assert std > 0
    with pytest.raises(ValueError, match="n_eval_episodes"):
        evaluate_policy(Left(), "CartPole-v1", n_eval_episodes=0)
    with pytest.raises(TypeError, match="env must be"):
        evaluate_policy(Left(), 7)
