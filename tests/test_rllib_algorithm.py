"""Scripts for RLlib read workers, results, checkpoints, callbacks and environments of an algorithm; facts of a live Ray 2.6.3.

`tests/data/make_rllib_facts.py` recorded `tests/data/rllib_facts.json`.

Broken on purpose: the policy of the model before `restore` or `copy`; counts that do not begin anew at `restore`; `lr`
in a checkpoint; no `node_ip`; workers counted from 0; `on_train_result` not called, callbacks that nothing calls not
named; an environment made from a plain dict; a path of a class as an id -> their tests red.
"""

import copy
import json
import warnings
from pathlib import Path

import gymnasium
import numpy as np
import pytest

import fastars
from fastars import exchange
from fastars.rllib import ARS, ARSConfig, DefaultCallbacks, EnvContext

FACTS = json.loads((Path(__file__).parent / "data" / "rllib_facts.json").read_text(encoding="utf-8"))["run"]


def config(hiddens=(), activation="tanh", **training):
    model = {"fcnet_hiddens": list(hiddens), "fcnet_activation": activation}
    settings = {"model": model, "noise_size": 1 << 16, "num_rollouts": 4, "rollouts_used": 4, **training}
    return ARSConfig().environment("CartPole-v1").training(**settings).debugging(seed=1)


# --- Workers


def test_workers_are_a_list_that_shares_the_policy():
    algorithm = config().rollouts(num_rollout_workers=3).build()
    workers = algorithm.workers
    assert isinstance(workers, list)
    assert (len(workers), workers.num_remote_workers(), len(workers.remote_workers())) == (3, 3, 3)
    assert [worker.worker_index for worker in workers] == [1, 2, 3]
    assert workers.foreach_worker(lambda worker: worker.worker_index) == [0, 1, 2, 3]
    assert workers.foreach_worker(lambda worker: worker.worker_index, local_worker=False) == [1, 2, 3]
    local = workers.local_worker()
    local.get_policy().set_flat_weights(np.ones(10))
    assert algorithm.model.theta.tolist() == [1.0] * 10
    assert (
        local.for_policy(lambda policy: policy.num_params) == workers.foreach_policy(lambda policy, _: policy.num_params)[0] == 10
    )
    assert local.get_weights().keys() == {"default_policy"}
    assert local.env.observation_space.shape == (4,)
    assert (local.config.num_rollout_workers, list(local.filters)) == (3, ["default_policy"])


# --- Results


def test_results_have_the_keys_of_ray():
    algorithm = config().build()
    result = algorithm.train()
    missing = FACTS["result"].keys() - result.keys()
    assert missing <= NOT_THERE, missing - NOT_THERE
    assert (result["trial_id"], algorithm.trial_id, result["node_ip"].count(".")) == ("default", "default", 3)
    assert (algorithm.logdir, algorithm.episodes_so_far, len(algorithm.reward_list)) == (str(Path.cwd()), 4, 1)
    assert type(result["config"]) is dict
    assert len(result["config"]) == 147


# What RLlib's ARS reports of its actors and of parts that fastars does not have.
NOT_THERE = {"perf"}


def test_results_count_since_restore(tmp_path):
    first = config().build()
    for _ in range(3):
        result = first.train()
    assert (result["iterations_since_restore"], result["timesteps_since_restore"]) == (3, result["timesteps_total"])
    assert result["time_since_restore"] == result["time_total_s"]
    again = ARS.from_checkpoint(first.save(tmp_path))
    first.restore(tmp_path / "checkpoint_000003")
    for algorithm in (first, again):
        result = algorithm.train()
        assert (result["training_iteration"], result["iterations_since_restore"]) == (4, 1)
        assert result["timesteps_since_restore"] == result["timesteps_this_iter"] < result["timesteps_total"]
        assert 0.0 < result["time_since_restore"] == pytest.approx(result["time_this_iter_s"])


# --- Checkpoints


def test_a_checkpoint_is_written_into_the_folder_that_is_given(tmp_path):
    algorithm = config(noise_stdev=0.3).build()
    algorithm.train()
    assert algorithm.save_checkpoint(str(tmp_path / "here")) == str(tmp_path / "here")
    other = config(noise_stdev=0.3).build()
    other.load_checkpoint(str(tmp_path / "here"))
    again = ARS.from_checkpoint(tmp_path / "here")
    assert again.config.noise_stdev == 0.3
    assert again.config.to_dict() == algorithm.config.to_dict()
    assert again.get_config() is again.config
    assert np.array_equal(again.get_policy().get_flat_weights(), again.model.theta)
    assert again.get_policy() is again.policy
    again.train()
    assert np.array_equal(again.get_policy().get_flat_weights(), again.model.theta)
    assert not np.array_equal(again.model.theta, algorithm.model.theta)
    assert np.array_equal(other.model.theta, algorithm.model.theta)
    assert fastars.ARS.load(tmp_path / "here" / "model.zip").iteration == 1
    with pytest.raises(AttributeError, match="already frozen"):
        again.config.noise_stdev = 1.0


def test_a_checkpoint_keeps_no_setting_without_effect(tmp_path):
    with pytest.warns(UserWarning, match="without effect"):
        algorithm = config().training(lr=0.5, model={"vf_share_layers": False}).build()
    saved = algorithm.save(tmp_path)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert ARS.from_checkpoint(saved).config.lr == 0.001
    assert not [each for each in caught if "lr" in str(each.message)]


def test_a_network_with_swish_is_exported(tmp_path):
    algorithm = config([3], "swish").build()
    algorithm.train()
    exchange.arrays.write(algorithm.model, tmp_path / "policy.npz")
    back = exchange.to_model(exchange.read(tmp_path / "policy.npz"), model_class=fastars.ARS)
    assert back.config.activation_fn == "swish"
    assert np.array_equal(back.theta, algorithm.model.theta)


def test_a_copy_trains_alone():
    algorithm = config().build()
    algorithm.train()
    copied = copy.copy(algorithm)
    before = algorithm.model.theta.copy()
    assert copied.train()["training_iteration"] == 2
    assert np.array_equal(algorithm.model.theta, before)


# --- Callbacks


class Heard(DefaultCallbacks):
    """Callbacks that note what they hear."""

    calls: list = []  # noqa: RUF012

    def on_algorithm_init(self, *, algorithm, **kwargs):
        self.calls.append(("init", algorithm.iteration))

    def on_train_result(self, *, algorithm, result, **kwargs):
        self.calls.append(("train", result["training_iteration"]))
        result["mine"] = algorithm.iteration * 10

    def on_evaluate_end(self, *, algorithm, evaluation_metrics, **kwargs):
        self.calls.append(("evaluated", evaluation_metrics["evaluation"]["episodes_this_iter"]))

    def on_checkpoint_loaded(self, *, algorithm, **kwargs):
        self.calls.append(("loaded", algorithm.iteration))


def test_callbacks_hear_of_iterations_and_change_results(tmp_path):
    Heard.calls = []
    algorithm = config().callbacks(Heard).evaluation(evaluation_interval=2, evaluation_duration=3).build()
    assert [algorithm.train()["mine"] for _ in range(2)] == [10, 20]
    assert isinstance(algorithm.callbacks, Heard)
    algorithm.restore(algorithm.save(tmp_path))
    assert Heard.calls == [("init", 0), ("train", 1), ("evaluated", 3), ("train", 2), ("loaded", 2)]
    assert config().callbacks(None).build().callbacks.__class__ is DefaultCallbacks


def test_callbacks_that_nothing_calls_are_named():
    class OfEpisodes(DefaultCallbacks):
        def on_episode_end(self, **kwargs):
            """Never called."""

        def on_train_result(self, *, result, **kwargs):
            result["mine"] = 1

    with pytest.warns(UserWarning, match="OfEpisodes: ARS never calls on_episode_end, nor did RLlib's") as caught:
        algorithm = config().callbacks(OfEpisodes).build()
    assert len(caught) == 1
    assert algorithm.train()["mine"] == 1


# --- Environments


class Configured(gymnasium.Wrapper):
    """An environment from RLlib's context."""

    def __init__(self, env_config):
        assert isinstance(env_config, EnvContext)
        assert (env_config.worker_index, env_config.vector_index, env_config.num_workers) == (1, 0, None)
        env_config.set_defaults({"steps": 7, "other": 1})
        assert env_config["other"] == 1
        super().__init__(gymnasium.make("CartPole-v1", max_episode_steps=env_config["steps"]))


def test_an_environment_gets_a_context():
    result = config().environment(Configured, env_config={"steps": 3}).rollouts(num_rollout_workers=1).build().train()
    assert result["timesteps_this_iter"] == 12
    context = EnvContext({"a": 1}, worker_index=2, num_workers=4)
    other = context.copy_with_overrides(worker_index=3)
    assert (other, other.worker_index, other.num_workers, context.worker_index) == ({"a": 1}, 3, 4, 2)
    assert context.copy_with_overrides(env_config={"b": 2}) == {"b": 2}


def test_an_environment_is_imported_by_the_path_of_its_class():
    made = config().environment(f"{__name__}.Configured", env_config={"steps": 3}).rollouts(num_rollout_workers=1).build()
    assert made.train()["timesteps_this_iter"] == 12
