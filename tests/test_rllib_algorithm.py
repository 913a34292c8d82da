"""Scripts for RLlib read policies, workers, callbacks, results and checkpoints of an algorithm; facts of a live Ray 2.6.3.

`tests/data/make_rllib_facts.py` recorded `tests/data/rllib_facts.json`.

Broken on purpose: None no activation; the last layer named as a hidden one; weights set in place before all shapes are
checked; the policy of the model before `restore` or `copy`; an action of no axes; counts that do not begin anew at
`restore`; `lr` in a checkpoint; no `node_ip`; workers counted from 0; `on_train_result` not called, callbacks that
nothing calls not named; an environment made from a plain dict; a path of a class as an id -> their tests red.
"""

import copy
import json
import warnings
from pathlib import Path

import gymnasium
import numpy as np
import pytest

import fastars
from fastars import exchange, kernels
from fastars.rllib import ARS, ARSConfig, DefaultCallbacks, EnvContext

FACTS = json.loads((Path(__file__).parent / "data" / "rllib_facts.json").read_text(encoding="utf-8"))["run"]


def config(hiddens=(), activation="tanh", **training):
    model = {"fcnet_hiddens": list(hiddens), "fcnet_activation": activation}
    settings = {"model": model, "noise_size": 1 << 16, "num_rollouts": 4, "rollouts_used": 4, **training}
    return ARSConfig().environment("CartPole-v1").training(**settings).debugging(seed=1)


# --- Networks


@pytest.mark.parametrize(
    ("activation", "name"),
    [
        (None, "linear"),
        ("linear", "linear"),
        ("relu", "relu"),
        ("tanh", "tanh"),
        ("swish", "swish"),
        ("silu", "swish"),
        ("ReLU", "relu"),
    ],
)
def test_activations_by_rllibs_names(activation, name, tmp_path):
    algorithm = config([10], activation).build()
    algorithm.train()
    assert algorithm.model.config.activation_fn == name
    again = ARS.from_checkpoint(algorithm.save(tmp_path))
    assert again.config.model["fcnet_activation"] == activation
    assert np.array_equal(again.model.theta, algorithm.model.theta)
    algorithm.train()
    again.train()
    assert np.array_equal(again.model.theta, algorithm.model.theta)


def test_the_one_test_that_rllib_had_for_ars():
    ours = ARSConfig()
    ours.training(model={"fcnet_hiddens": [10], "fcnet_activation": None}, noise_size=2500000)
    ours.evaluation(evaluation_interval=1, evaluation_num_workers=1)
    with pytest.warns(DeprecationWarning, match="CartPole-v0"):
        algorithm = ours.framework("torch").build(env="CartPole-v0")
    for _ in range(2):
        result = algorithm.train()
    assert result["training_iteration"] == 2
    assert algorithm.compute_single_action(algorithm.get_policy().observation_space.sample()) in (0, 1)
    algorithm.stop()


def test_a_linear_network_of_layers_is_a_product():
    algorithm = config([3], None).build()
    weights = algorithm.get_policy().get_weights()
    matrix = weights["_logits._model.0.weight"] @ weights["_hidden_layers.0._model.0.weight"]
    bias = weights["_logits._model.0.weight"] @ weights["_hidden_layers.0._model.0.bias"] + weights["_logits._model.0.bias"]
    rows = np.random.default_rng(0).normal(size=(5, 4))
    scores, state = algorithm.get_policy().model({"obs": rows})
    assert np.allclose(scores, rows @ matrix.T + bias, rtol=1e-12)
    assert state == []


# --- The policy


@pytest.mark.parametrize(("hiddens", "facts"), [([3], "weights"), ([], "linear weights")])
def test_weights_are_named_as_rllibs_policy_layers(hiddens, facts):
    found = config(hiddens).build().get_policy().get_weights()
    theirs = {name: shape for name, shape in FACTS[facts].items() if "_value" not in name}
    assert {name: list(value.shape) for name, value in found.items()} == theirs


@pytest.mark.parametrize("hiddens", [[], [3], [5, 4]])
def test_weights_by_layer_go_round(hiddens):
    algorithm, other = config(hiddens).build(), config(hiddens).debugging(seed=2).build()
    policy = algorithm.get_policy()
    weights = algorithm.get_weights()
    assert not np.array_equal(other.model.theta, algorithm.model.theta)
    other.set_weights(weights)
    assert np.array_equal(other.model.theta, algorithm.model.theta)
    for values in weights["default_policy"].values():
        values[...] = 0.0  # copies
    assert np.array_equal(policy.get_flat_weights(), other.model.theta)
    assert np.concatenate([value.ravel() for value in policy.get_weights().values()]).tolist() == other.model.theta.tolist()
    policy.set_weights(policy.get_flat_weights() * 2)
    other.get_policy().set_state(policy.get_state())
    assert np.array_equal(other.model.theta, algorithm.model.theta)
    named = policy.model.variables(as_dict=True)
    assert list(named) == list(policy.model.state_dict()) == list(policy.get_weights())
    assert len(policy.model.trainable_variables()) == len(list(policy.model.parameters())) == len(named)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w.pop("_logits._model.0.bias"), "weights have no '_logits._model.0.bias'"),
        (
            lambda w: w.update({"_logit._model.0.bias": 1}),
            "an unknown '_logit._model.0.bias'; did you mean '_logits._model.0.bias'",
        ),
        (lambda w: w.update({"_logits._model.0.bias": np.zeros(3)}), r"_logits._model.0.bias must have shape \(2,\), got \(3,\)"),
    ],
)
def test_weights_of_other_layers_are_refused_and_change_nothing(change, message):
    policy = config([3]).build().get_policy()
    weights, before = policy.get_weights(), policy.get_flat_weights()
    weights["_hidden_layers.0._model.0.weight"] += 1.0
    change(weights)
    with pytest.raises(ValueError, match=message):
        policy.set_weights(weights)
    assert np.array_equal(policy.get_flat_weights(), before)


def test_the_network_of_a_policy_gives_the_scores_of_filtered_observations():
    algorithm = config([3], "swish").build()
    algorithm.train()
    policy = algorithm.get_policy()
    rows = np.random.default_rng(0).normal(size=(9, 4)).astype(np.float32)
    filtered = np.clip((rows - policy.observation_filter.mean) * policy.observation_filter.scale, -np.inf, np.inf)
    scores, _ = policy.model({"obs": filtered})
    assert np.array_equal(scores.argmax(axis=1), policy.compute_actions(rows)[0])
    assert np.allclose(
        scores, kernels.batch_action_scores(algorithm.model.run.policy, algorithm.model.theta, rows, policy.observation_filter)
    )
    assert np.array_equal(policy.compute_actions_from_input_dict({"obs": rows})[0], policy.compute_actions(rows)[0])
    assert (policy.model.num_outputs, policy.model.get_initial_state(), policy.is_recurrent()) == (2, [], False)
    assert policy.config["model"]["fcnet_activation"] == policy.model.model_config["fcnet_activation"] == "swish"
    assert "(_hidden_layers.0._model.0.weight): 3 x 4" in repr(policy.model)


def test_actions_have_the_types_of_rllibs():
    algorithm = config().build()
    action = algorithm.compute_single_action(np.zeros(4, np.float32), explore=False)
    assert isinstance(action, np.int64)
    assert algorithm.compute_actions({"a": np.zeros(4), 7: np.ones(4)}, explore=False).keys() == {"a", 7}
    pendulum = config().environment("Pendulum-v1").build()
    assert pendulum.compute_single_action(np.zeros(3, np.float32)).shape == (1,)
    assert pendulum.compute_single_action(np.zeros(3, np.float32), full_fetch=True)[1:] == ([], {})


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
