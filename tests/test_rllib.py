"""RLlib's configs, results and functions; with Ray Tune: test_rllib_peers.py."""

import math
import shutil

import gymnasium
import numpy as np
import pytest

import fastars
from fastars.rllib import (
    ARS,
    SGD,
    Adam,
    ARSConfig,
    SharedNoiseTable,
    batched_weighted_sum,
    compute_centered_ranks,
    compute_ranks,
    create_shared_noise,
)

INFO = {"weights_norm", "weights_std", "grad_norm", "update_ratio", "episodes_this_iter", "episodes_so_far"}


def config(**training):
    settings = {"model": {"fcnet_hiddens": []}, "noise_size": 1 << 16, "num_rollouts": 8, "rollouts_used": 4, **training}
    return ARSConfig().environment("CartPole-v1").training(**settings).debugging(seed=1)


class Doubled(gymnasium.RewardWrapper):
    """An environment in Python, from a config."""

    def __init__(self, env_config):
        super().__init__(gymnasium.make("CartPole-v1", max_episode_steps=env_config.get("steps", 500)))

    def reward(self, reward):
        return 2.0 * reward


# --- The config


def test_defaults_are_rllibs():
    settings = ARSConfig().to_dict()
    assert settings["noise_stdev"] == 0.02
    assert (settings["num_rollouts"], settings["rollouts_used"], settings["sgd_stepsize"]) == (32, 32, 0.01)
    assert (settings["noise_size"], settings["eval_prob"], settings["report_length"]) == (250_000_000, 0.03, 10)
    assert (settings["offset"], settings["action_noise_std"], settings["num_workers"]) == (0, 0.0, 2)
    assert settings["observation_filter"] == "MeanStdFilter"


def test_settings_mean_for_the_trainer():
    arguments = config(num_rollouts=32, rollouts_used=16, sgd_stepsize=0.05, noise_stdev=0.1, offset=3, noise_size=99).arguments()
    assert (arguments["n_delta"], arguments["n_top"]) == (16, 8)  # episodes are two for each direction
    assert (arguments["learning_rate"], arguments["delta_std"], arguments["noise_size"]) == (0.05, 0.1, 99)
    assert (arguments["alive_bonus_offset"], arguments["normalize_observations"]) == (-3.0, True)
    assert (arguments["preset"], arguments["policy"], arguments["seed"]) == ("rllib", "LinearPolicy", 1)
    assert config(rollouts_used=100).arguments()["n_top"] == 4
    assert config(num_rollouts=7).arguments()["n_delta"] == 4


@pytest.mark.parametrize("num_rollouts", [2, 4, 8, 32])
def test_rollouts_used_keeps_as_many_directions_as_rllib(num_rollouts):
    best = np.arange(num_rollouts // 2)  # of each direction, no two the same
    for used in range(1, num_rollouts + 1):
        reached = best >= np.percentile(best, 100 * (1 - used / num_rollouts))
        assert config(num_rollouts=num_rollouts, rollouts_used=used).arguments()["n_top"] == reached.sum(), used


def test_a_model_of_hidden_layers_is_a_network():
    arguments = config(model={"fcnet_hiddens": [8, 4], "fcnet_activation": "relu"}).arguments()
    assert arguments["policy"] == "MlpPolicy"
    assert arguments["policy_kwargs"] == {"net_arch": [8, 4], "activation_fn": "relu", "with_bias": True, "squash_output": False}
    assert ARSConfig().environment("CartPole-v1").arguments()["policy_kwargs"]["net_arch"] == [256, 256]


def test_methods_can_be_chained_and_take_arguments_without_effect():
    chained = (
        ARSConfig()
        .environment(env="CartPole-v1", env_config={"max_episode_steps": 9})
        .rollouts(num_rollout_workers=3, num_envs_per_worker=1, observation_filter="NoFilter")
        .framework("torch")
        .resources(num_gpus=1)
        .training(rollouts_used=4, tf_single_threaded=True)
        .evaluation(evaluation_interval=1, evaluation_duration=2)
        .reporting(min_time_s_per_iteration=0)
        .fault_tolerance(recreate_failed_env_runners=True)
        .debugging(seed=3, log_level="WARN")
    )
    assert (chained.num_rollout_workers, chained.observation_filter, chained.rollouts_used) == (3, "NoFilter", 4)
    assert (chained["num_workers"], chained.evaluation_duration, chained.seed) == (3, 2, 3)
    assert chained.env_runners(num_env_runners=5).num_rollout_workers == 5
    assert chained.build().model.env_kwargs["max_episode_steps"] == 9


def test_a_copy_has_settings_of_its_own():
    first = config()
    second = first.copy().training(model={"fcnet_activation": "relu"}, noise_stdev=7.0)
    assert (first.noise_stdev, second.noise_stdev) == (0.02, 7.0)
    assert (first.model["fcnet_activation"], second.model["fcnet_activation"]) == ("tanh", "relu")
    assert first.model["fcnet_hiddens"] == second.model["fcnet_hiddens"] == []
    first.to_dict()["model"]["fcnet_hiddens"].append(3)
    assert first.model["fcnet_hiddens"] == []


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda c: c.rollouts(num_rollout_workers=0), ValueError, "`num_rollout_workers` must be > 0 for ARS, got 0"),
        (lambda c: c.resources(num_gpus=2), ValueError, "`num_gpus` > 1 is not supported for ARS, got 2"),
        (lambda c: c.training(eval_prob=1.0), ValueError, "eval_prob must be a finite number of at least 0 and below 1, got 1.0"),
        (lambda c: c.rollouts(num_rollout_workers=1.5), ValueError, "num_rollout_workers must be an integer.*got 1.5"),
        (lambda c: c.rollouts(num_rollout_workers=None), TypeError, "num_rollout_workers must be a finite number, got None"),
        (
            lambda c: c.training(eval_prob="0.1"),
            TypeError,
            "eval_prob must be a finite number of at least 0 and below 1, got '0.1'",
        ),
        (lambda c: c.training(num_rollouts=math.nan), ValueError, "num_rollouts must be an integer of at least 1, got nan"),
        (lambda c: c.training(model=None), TypeError, "model must be a dict, got None"),
        (lambda c: c.training(num_rollouts=0), ValueError, "num_rollouts must be an integer of at least 1, got 0"),
        (lambda c: c.training(report_length=1.5), ValueError, "report_length must be an integer of at least 1, got 1.5"),
        (lambda c: c.training(action_noise_std=0.1), ValueError, "action_noise_std must be 0.*got 0.1"),
        (
            lambda c: c.rollouts(observation_filter="Mean"),
            ValueError,
            "observation_filter must be one of 'MeanStdFilter', 'NoFilter', got 'Mean'",
        ),
        (lambda c: c.environment(None), ValueError, "env must be given"),
        (
            lambda c: c.training(stepsize=1),
            TypeError,
            r"ARSConfig\.training\(\) got an unexpected .* 'stepsize'; did you mean 'sgd_stepsize'",
        ),
        (lambda c: c.environment("CartPole-v1", {}), TypeError, r"environment\(\) takes one argument by position, got 2"),
        (lambda c: c.training(model={"fcnet_hidden": []}), ValueError, "model has no setting 'fcnet_hidden'"),
        (lambda c: c.update_from_dict({"num_rollout": 3}), ValueError, "ARS has no setting 'num_rollout'"),
        (lambda c: c.evaluation(evaluation_interval=1.5), ValueError, "evaluation_interval must be an integer.*got 1.5"),
        (lambda c: c.evaluation(evaluation_interval=-1), ValueError, "evaluation_interval must be an integer.*got -1"),
        (
            lambda c: c.evaluation(evaluation_config={"num_envs_per_worker": 2}),
            ValueError,
            r"`evaluation_config\.num_envs_per_worker` must be 1 for ARS, got 2",
        ),
        (
            lambda c: c.evaluation(evaluation_config={"observation_filter": "MeanStdFilter"}),
            ValueError,
            r"`evaluation_config\.observation_filter` must be 'NoFilter' for ARS, got 'MeanStdFilter'",
        ),
        (
            lambda c: c.evaluation(evaluation_config={"gama": 1}),
            ValueError,
            "evaluation_config has no setting 'gama'; did you mean 'gamma'",
        ),
        (
            lambda c: c.evaluation(evaluation_duration_unit="timesteps"),
            ValueError,
            "evaluation_duration_unit must be 'episodes', got 'timesteps'",
        ),
    ],
)
def test_wrong_settings_are_refused_by_name(change, error, message):
    with pytest.raises(error, match=message):
        change(config()).validate()


def test_a_refused_setting_changes_nothing():
    settings = config()
    with pytest.raises(TypeError, match="nois"):
        settings.training(noise_stdev=7.0, nois=1)
    with pytest.raises(ValueError, match="no setting"):
        settings.update_from_dict({"noise_stdev": 7.0, "nois": 1})
    assert settings.noise_stdev == 0.02


def test_a_config_builds_the_class_that_it_was_made_with():
    class Mine(ARS):
        pass

    settings = ARSConfig(Mine).update_from_dict(config().to_dict())
    assert type(settings.copy().build()) is Mine
    assert type(Mine.get_default_config().update_from_dict(config().to_dict()).build()) is Mine
    assert type(config().build()) is ARS


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: ARSConfig().training(eval_prob=2.0).environment("CartPole-v1").build(), r"ARSConfig\.build\(\)"),
        (lambda: ARSConfig().training(model=3), r"ARSConfig\.training\(\)"),
        (lambda: ARS({"model": 3}), r"ARS\(\)"),
        (lambda: compute_ranks([[1]]), r"compute_ranks\(\)"),
    ],
)
def test_errors_begin_with_the_function_that_was_called(call, name):
    with pytest.raises((TypeError, ValueError), match=f"^{name}: "):
        call()


# --- The algorithm


def test_results_have_rllibs_keys_and_types():
    algorithm = config().build()
    result = algorithm.train()
    assert set(result["info"]) == INFO
    for name in ("episode_reward_mean", "episode_len_mean", "time_this_iter_s", "time_total_s"):
        assert type(result[name]) is float, name
    for name in ("timesteps_this_iter", "timesteps_total", "training_iteration", "episodes_total"):
        assert type(result[name]) is int, name
    assert all(type(value) in (int, float) for value in result["info"].values())
    assert result["done"] is False
    assert result["config"]["num_rollouts"] == 8
    assert result["sampler_results"] == {name: result[name] for name in ("episode_reward_mean", "episode_len_mean")}


def test_results_count_up():
    algorithm = config().build()
    results = [algorithm.train() for _ in range(3)]
    assert [result["training_iteration"] for result in results] == [1, 2, 3]
    assert [result["info"]["episodes_so_far"] for result in results] == [8, 16, 24]
    assert [result["info"]["episodes_this_iter"] for result in results] == [8, 8, 8]
    assert results[-1]["timesteps_total"] == sum(result["timesteps_this_iter"] for result in results)
    assert results[-1]["time_total_s"] == pytest.approx(sum(result["time_this_iter_s"] for result in results))


def test_norms_are_sums_of_squares():
    algorithm = config(sgd_stepsize=0.5).build()
    before = algorithm.get_policy().get_flat_weights()
    info = algorithm.train()["info"]
    after = algorithm.get_policy().get_flat_weights()
    step = after - before
    assert info["weights_norm"] == pytest.approx(np.sum(after**2), rel=1e-12)
    assert info["weights_std"] == pytest.approx(np.std(after), rel=1e-12)
    assert info["grad_norm"] == pytest.approx(np.sum((step / 0.5) ** 2), rel=1e-9)
    assert info["update_ratio"] == pytest.approx(np.linalg.norm(step) / np.linalg.norm(before), rel=1e-9)


def test_reward_is_that_of_the_policy_itself_and_never_nan():
    algorithm = config(eval_prob=0.0, offset=0.25).build()
    results = [algorithm.train() for _ in range(3)]
    assert len({result["episode_reward_mean"] for result in results}) == 1  # of the first iteration, as no other evaluates
    assert results[0]["episode_reward_mean"] == pytest.approx(0.75 * results[0]["episode_len_mean"])


def test_reward_is_the_mean_of_the_last_iterations_that_evaluated():
    algorithm = config(eval_prob=0.9, report_length=2).build()
    means = []
    for _ in range(4):
        algorithm.train()
        means.append(algorithm._counts.rewards[-1])
    assert algorithm.train()["episode_reward_mean"] == pytest.approx(np.mean([means[-1], algorithm._counts.rewards[-1]]))


def test_evaluating_changes_no_bit_of_training():
    theta = [config(eval_prob=p).build().model for p in (0.0, 0.5)]
    algorithms = [config(eval_prob=p).build() for p in (0.0, 0.5)]
    for algorithm in algorithms:
        algorithm.train()
        algorithm.train()
    assert np.array_equal(algorithms[0].model.theta, algorithms[1].model.theta)
    assert theta[0].n_delta == 4


def test_looking_does_not_change_the_filter():
    algorithm = config().build()
    algorithm.train()
    before = algorithm.model.policy.filter.mean.copy()
    action = algorithm.compute_single_action(np.array([9.0, 9.0, 9.0, 9.0], np.float32))
    assert action in (0, 1)
    assert algorithm.compute_single_action(np.zeros(4), full_fetch=True)[1:] == ([], {})
    assert np.array_equal(algorithm.model.policy.filter.mean, before)


def test_policy_gives_and_takes_flat_weights():
    algorithm = config().build()
    policy = algorithm.get_policy()
    assert policy.num_params == 10
    policy.set_flat_weights(np.arange(10.0))
    assert algorithm.model.theta.tolist() == list(range(10))
    algorithm.set_weights({"default_policy": np.ones(10)})
    assert policy.get_flat_weights().tolist() == [1.0] * 10
    actions, states, extra = policy.compute_actions([np.ones(4), np.zeros(4)], add_noise=True)
    assert (actions.shape, states, extra) == ((2,), [], {})
    assert policy.compute_single_action(np.ones(4))[0] == actions[0]
    with pytest.raises(ValueError, match="ARS has no policy 'other'"):
        algorithm.get_policy("other")


def test_restore_goes_on_bit_for_bit(tmp_path):
    whole = config(eval_prob=0.5).build()
    for _ in range(2):
        whole.train()
    path = whole.save(tmp_path)
    assert path == str(tmp_path / "checkpoint_000002")
    again = config(eval_prob=0.5).build()
    again.restore(path)
    for _ in range(2):
        ours, theirs = whole.train(), again.train()
    assert np.array_equal(whole.model.theta, again.model.theta)
    for name in ("episode_reward_mean", "timesteps_total", "training_iteration", "info"):
        assert ours[name] == theirs[name], name
    assert fastars.ARS.load(tmp_path / "checkpoint_000002" / "model.zip").iteration == 2


def test_restore_keeps_the_settings_of_the_algorithm(tmp_path):
    first = config(sgd_stepsize=0.05).build()
    first.train()
    path = first.save(tmp_path)
    other = config(sgd_stepsize=0.5, noise_stdev=0.3, num_rollouts=16, rollouts_used=16, offset=2).build()
    other.restore(path)
    assert np.array_equal(other.model.theta, first.model.theta)
    used = other.model.config
    assert (used.learning_rate, used.delta_std, used.n_delta, used.n_top, used.alive_bonus_offset) == (0.5, 0.3, 8, 8, -2.0)
    assert other.train()["info"]["episodes_this_iter"] == 16


def test_restore_refuses_another_filter_and_damaged_counts(tmp_path):
    first = config().build()
    path = first.save(tmp_path)
    unfiltered = config().rollouts(observation_filter="NoFilter").build()
    with pytest.raises(ValueError, match="observation_filter must be the filter of the run, got 'NoFilter'"):
        unfiltered.restore(path)
    fastars.files.checkpoint.save(tmp_path / "checkpoint_000000" / "algorithm.zip", {"kind": "rllib", "iteration": 0}, {})
    before = first.model
    with pytest.raises(fastars.CheckpointError, match="not an algorithm of this version"):
        first.restore(path)
    assert first.model is before


def test_restore_of_another_run_changes_nothing(tmp_path):
    algorithm, other = config().build(), config(model={"fcnet_hiddens": [3]}).build()
    other.train()
    theta = algorithm.model.theta.copy()
    with pytest.raises(ValueError, match="its policy has"):
        algorithm.restore(other.save(tmp_path))
    path = tmp_path / "mixed"
    first = config().build()
    first.save_into(path)
    first.train()
    first.model.save(path / "model.zip")
    with pytest.raises(fastars.CheckpointError, match="not of the same iteration"):
        algorithm.restore(path)
    with pytest.raises(FileNotFoundError, match="none"):
        algorithm.restore(tmp_path / "none")
    assert np.array_equal(algorithm.model.theta, theta)


def test_environments_are_made_from_their_config():
    algorithm = config().environment(Doubled, env_config={"steps": 5}).rollouts(num_rollout_workers=1).build()
    result = algorithm.train()
    assert result["timesteps_this_iter"] <= 8 * 5
    assert result["episode_reward_mean"] == 2.0 * result["episode_len_mean"]


def test_worker_processes_do_not_change_the_result():
    one, two = (config().environment(Doubled).rollouts(num_rollout_workers=n).build() for n in (1, 2))
    assert (one.model.n_workers, two.model.n_workers) == (1, 2)
    for algorithm in (one, two):
        algorithm.train()
        algorithm.stop()
    assert np.array_equal(one.model.theta, two.model.theta)


def test_an_old_config_dict_is_taken():
    algorithm = ARS({"num_workers": 2, "model": {"fcnet_hiddens": []}, "noise_size": 1000, "framework": "tf"}, env="CartPole-v1")
    assert (algorithm.config["num_rollout_workers"], algorithm.model.config.noise_size) == (2, 1000)
    assert algorithm.training_iteration == 0


def test_the_noise_table_is_not_made_before_it_is_needed():
    assert not ARS(ARSConfig().environment("CartPole-v1")).model.run.noise._is_filled.any()  # which would take 1 GB


def test_evaluation_is_of_the_policy():
    algorithm = config().evaluation(evaluation_duration=7).build()
    found = algorithm.evaluate()["evaluation"]
    assert found["episodes_this_iter"] == 7
    assert found["episode_reward_min"] <= found["episode_reward_mean"] <= found["episode_reward_max"]
    assert found == algorithm.evaluate()["evaluation"]


def test_an_interval_puts_evaluations_into_results():
    algorithm = config().evaluation(evaluation_interval=2, evaluation_duration=3, evaluation_config={"explore": False}).build()
    plain = config().build()
    results = [algorithm.train() for _ in range(4)]
    assert ["evaluation" in result for result in results] == [False, True, False, True]
    assert results[3]["evaluation"] == algorithm.evaluate()["evaluation"]
    assert results[3]["evaluation"]["episodes_this_iter"] == 3
    assert not any("evaluation" in plain.train() for _ in range(4))
    assert np.array_equal(algorithm.model.theta, plain.model.theta)


def test_default_config_is_that_of_a_new_config():
    assert ARS.get_default_config().to_dict() == ARSConfig().to_dict()


def test_a_checkpoint_says_how_to_make_the_algorithm(tmp_path):
    settings = config(num_rollouts=np.int64(6), sgd_stepsize=0.5).environment(env_config={"max_episode_steps": 9})
    first = settings.build()
    first.train()
    saved = first.save(tmp_path)
    assert saved == saved.checkpoint.path == str(tmp_path / "checkpoint_000001")
    for given in (saved, str(saved), tmp_path / "checkpoint_000001"):
        again = ARS.from_checkpoint(given)
        assert again.config.to_dict() == first.config.to_dict()
        assert again.model.env_kwargs["max_episode_steps"] == 9
    first.train()
    again.train()
    assert np.array_equal(first.model.theta, again.model.theta)


def test_a_checkpoint_of_an_environment_by_its_class_asks_for_the_config(tmp_path):
    settings = config().environment(Doubled).rollouts(num_rollout_workers=1)
    first = settings.build()
    first.train()
    saved = first.save(tmp_path)
    with pytest.raises(ValueError, match=r"checkpoint_000001: its env could not be put into the file: give config="):
        ARS.from_checkpoint(saved)
    assert np.array_equal(ARS.from_checkpoint(saved, settings).model.theta, first.model.theta)


def test_what_is_no_checkpoint_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"algorithm\.zip"):
        ARS.from_checkpoint(tmp_path)
    saved = config().build().save(tmp_path)
    shutil.copy(tmp_path / "checkpoint_000000" / "model.zip", tmp_path / "checkpoint_000000" / "algorithm.zip")
    with pytest.raises(fastars.CheckpointError, match=r"algorithm\.zip: not an algorithm"):
        ARS.from_checkpoint(saved)


# --- Helpers


@pytest.mark.parametrize("batch_size", [1, 6, 7, 8, 500])
def test_batched_weighted_sum_is_a_product(batch_size):
    generator = np.random.default_rng(0)
    weights, vectors = generator.normal(size=7), generator.normal(size=(7, 33)).astype(np.float32)
    total, count = batched_weighted_sum(weights, (row for row in vectors), batch_size)
    assert (total.dtype, total.shape, count) == (np.float32, (33,), 7)
    np.testing.assert_allclose(total, weights @ vectors.astype(np.float64), rtol=1e-6, atol=1e-6)


def test_batched_weighted_sum_of_nothing():
    total, count = batched_weighted_sum([], iter(()), 3)
    assert (total.shape, float(total), count) == ((), 0.0, 0)


@pytest.mark.parametrize(
    ("weights", "vectors", "batch_size", "message"),
    [
        ([1.0, 2.0], [[1.0]], 5, "must have equal length, got 2 and 1"),
        ([1.0], [[1.0], [2.0]], 1, "must have equal length, got 1 and 2"),
        ([1.0, 1.0], [[1.0], [2.0, 3.0]], 5, "vecs must have shape"),
        ([1.0, 1.0], [[1.0], [2.0, 3.0]], 1, "vecs must have shape"),
        ([1.0], [[1.0]], 0, "batch_size must be an integer of at least 1, got 0"),
    ],
)
def test_batched_weighted_sum_refuses_what_does_not_fit(weights, vectors, batch_size, message):
    with pytest.raises(ValueError, match=message):
        batched_weighted_sum(weights, vectors, batch_size)


def test_noise_has_rllibs_numbers():
    noise = create_shared_noise(3)
    assert noise.dtype == np.float32
    assert noise.tolist() == [np.float32(-1.0856306552886963), np.float32(0.9973454475402832), np.float32(0.28297850489616394)]


def test_noise_in_blocks_is_noise_at_once(monkeypatch):
    whole = create_shared_noise(10)
    monkeypatch.setattr("fastars.rllib.noise_table._BLOCK", 4)
    assert np.array_equal(create_shared_noise(10), whole)


def test_noise_table_gives_views():
    noise = create_shared_noise(50)
    table = SharedNoiseTable(noise, seed=0)
    index, view = table.get_delta(7)
    assert np.shares_memory(view, noise)
    assert np.array_equal(view, noise[index : index + 7])
    assert {table.sample_index(48) for _ in range(200)} == {0, 1, 2}
    with pytest.raises(ValueError, match="i must be an integer from 0 to 43"):
        table.get(44, 7)
    with pytest.raises(TypeError, match="float32"):
        SharedNoiseTable(np.zeros(3))


def test_tables_of_two_workers_draw_different_directions():
    noise = create_shared_noise(1000)
    assert len({SharedNoiseTable(noise).sample_index(1) for _ in range(20)}) > 10


def test_ranks_of_hand_worked_numbers():
    assert compute_ranks([30, 10, 20]).tolist() == [2, 0, 1]
    np.testing.assert_allclose(compute_centered_ranks([[1, 5], [3, 2]]), [[-0.5, 0.5], [1 / 6, -1 / 6]], atol=1e-7)
    assert compute_centered_ranks([4.0]).tolist() == [-0.5]
    with pytest.raises(ValueError, match="x must have one axis"):
        compute_ranks([[1]])


class Weights:
    """A policy as the optimizers know it."""

    def __init__(self, theta):
        self.theta, self.num_params = np.array(theta, np.float32), len(theta)

    def get_flat_weights(self):
        return self.theta


def test_sgd_goes_down_with_momentum():
    optimizer = SGD(Weights([1.0, 2.0, 2.0]), 0.1, momentum=0.5)
    theta, ratio = optimizer.update([2.0, 0.0, -4.0])
    np.testing.assert_allclose(theta, [0.9, 2.0, 2.2], rtol=1e-12)  # v = 0.5 g
    assert ratio == pytest.approx(0.1 * math.sqrt(5.0) / 3.0)
    np.testing.assert_allclose(optimizer.v, [1.0, 0.0, -2.0])
    np.testing.assert_allclose(optimizer.update([2.0, 0.0, -4.0])[0], [0.85, 2.0, 2.3], rtol=1e-12)
    assert SGD(Weights([0.0]), 1.0).update([1.0])[1] == math.inf
    with pytest.raises(ValueError, match=r"globalg must have shape \(3,\), got \(2,\)"):
        optimizer.update([1.0, 2.0])


def test_adam_takes_its_first_step_by_the_sign():
    optimizer = Adam(Weights([1.0, 1.0]), 0.1)
    theta, _ = optimizer.update([3.0, -0.01])
    np.testing.assert_allclose(theta, [0.9, 1.1], rtol=1e-4)
    # By hand: m = .9 * .3 + .1 * 1 = .37, v = .999 * .009 + .001 = .009991, a = .1 sqrt(1 - .999^2) / (1 - .9^2)
    step = 0.1 * math.sqrt(1 - 0.999**2) / (1 - 0.9**2) * 0.37 / (math.sqrt(0.009991) + 1e-8)
    assert optimizer.update([1.0, 0.0])[0][0] == pytest.approx(1.0 - step, rel=1e-9)


def test_the_golden_step_of_rllib():
    """N = 4 directions of which the better 2 are used, as RLlib writes it with its helpers."""
    deltas = (np.arange(12).reshape(4, 3) / 10 - 0.5).astype(np.float32)
    returns = np.array([[10, 4], [3, 8], [1, 2], [7, 7.5]])
    used = np.flatnonzero(returns.max(axis=1) >= np.percentile(returns.max(axis=1), 50))
    assert used.tolist() == [0, 1]
    g, count = batched_weighted_sum(returns[used, 0] - returns[used, 1], (deltas[i] for i in used), 500)
    g = g / count / np.std(returns[used])
    np.testing.assert_allclose(g, [-0.3494816226644151, -0.33200754153119444, -0.31453346039797364], rtol=1e-6)
    assert np.sum(g.astype(np.float64) ** 2) == pytest.approx(0.3312977099236641, rel=1e-6)
    theta, _ = SGD(Weights([0.0, 0.0, 0.0]), 0.02).update(-g)
    np.testing.assert_allclose(theta, 0.02 * g, rtol=1e-7)


def test_an_imitation_of_ray_changes_nothing(monkeypatch):
    """Sphinx imitates packages that are missing."""
    import sys
    from types import ModuleType, SimpleNamespace

    from fastars.rllib import trial

    for name, module in {"ray": ModuleType("ray"), "ray.tune": SimpleNamespace(Trainable=object()), "ray.tune.tune": None}.items():
        monkeypatch.setitem(sys.modules, name, module or ModuleType(name))
    before = ARS.__mro__
    trial._become_trainable()
    assert ARS.__mro__ == before


def test_ray_that_is_missing_is_named(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.setitem(sys.modules, "ray.tune", None)
    monkeypatch.delitem(sys.modules, "fastars.rllib.tune", raising=False)
    with pytest.raises(ImportError, match=r'fastars.rllib.tune needs ray: pip install "ray\[tune\]"'):
        import fastars.rllib.tune  # noqa: F401
