"""The policy of an algorithm of RLlib: its networks, weights by layer and actions; facts of a live Ray 2.6.3.

`tests/data/make_rllib_facts.py` recorded `tests/data/rllib_facts.json`.

Broken on purpose: None no activation; the last layer named as a hidden one; weights set in place before all shapes are
checked; an action of no axes -> their tests red.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from fastars import kernels
from fastars.rllib import ARS, ARSConfig

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
