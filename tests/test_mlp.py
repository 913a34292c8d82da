"""The trainer with policies that have hidden layers, and with squashed actions."""

import gymnasium
import numpy as np
import pytest

from fastars import ARS, CheckpointError, evaluate_candidates, evaluate_policy

TINY = {"net_arch": [5, 3], "activation_fn": "tanh"}


def trained(env="CartPole-v1", n_iterations=4, **settings):
    settings = {"policy_kwargs": TINY, "n_delta": 4, "zero_policy": False, "seed": 2, **settings}
    model = ARS("MlpPolicy", env, **settings)
    return model.learn(10**9, lambda local, _: local["self"].iteration < n_iterations)


def test_a_network_learns_cartpole():
    model = ARS("MlpPolicy", "CartPole-v1", policy_kwargs={"net_arch": [16]}, zero_policy=False, delta_std=0.1, seed=0)
    model.learn(300_000)
    assert model.evaluate(100).returns.mean() > 450


def test_defaults_are_those_of_stable_baselines3_contrib():
    model = ARS("MlpPolicy", "Pendulum-v1", seed=0)
    assert model.n_weights == (3 + 1) * 64 + (64 + 1) * 64 + (64 + 1)
    config = model.config
    assert (config.net_arch, config.activation_fn, config.with_bias, config.squash_output) == ((64, 64), "relu", True, True)


@pytest.mark.parametrize("variant", ["V1", "V2"])
@pytest.mark.parametrize("env", ["CartPole-v1", "Pendulum-v1"])
def test_theta_does_not_depend_on_threads(env, variant):
    first, *others = [trained(env, n_delta=40, n_threads=n, variant=variant).theta for n in (1, 2, 3, 4)]
    assert np.any(first != ARS("MlpPolicy", env, policy_kwargs=TINY, zero_policy=False, seed=2).theta)
    for other in others:
        np.testing.assert_array_equal(first, other)


@pytest.mark.parametrize("policy_kwargs", [TINY, {"net_arch": [4], "with_bias": False}, {"net_arch": [], "squash_output": False}])
def test_compiled_python_and_reference_agree(policy_kwargs):
    compiled = trained(variant="V2", policy_kwargs=policy_kwargs)
    np.testing.assert_array_equal(compiled.theta, trained(variant="V2", policy_kwargs=policy_kwargs, compiled=False).theta)
    by_twin = trained(variant="V2", policy_kwargs=policy_kwargs, backend="numpy")
    np.testing.assert_allclose(compiled.theta, by_twin.theta, rtol=1e-9)


@pytest.mark.parametrize("policy", ["LinearPolicy", "MlpPolicy"])
@pytest.mark.parametrize("env", ["Pendulum-v1", "CartPole-v1"])
def test_squashed_episodes_replay_in_gymnasium(policy, env):
    network = TINY if policy == "MlpPolicy" else {}  # a kernel that other tests compile, too
    model = ARS(policy, env, policy_kwargs={**network, "squash_output": True}, zero_policy=False, seed=4).learn(3000)
    ours = model.evaluate(5, seed=9)
    theirs, lengths = evaluate_policy(model, env, 5, seed=9, return_episode_rewards=True)
    np.testing.assert_allclose(ours.returns, theirs, rtol=1e-9)
    assert ours.lengths.tolist() == lengths


def test_squashed_actions_stay_within_the_bounds():
    model = ARS("LinearPolicy", "Pendulum-v1", policy_kwargs={"squash_output": True}, seed=0)
    model.policy.load_from_vector([0.5, 0.0, 0.0])
    actions = model.predict([[1.0, 0.0, 0.0], [1000.0, 0, 0], [-1000.0, 0, 0]])[0]
    np.testing.assert_allclose(actions[:, 0], [2 * np.tanh(0.5), 2, -2], rtol=1e-7)


def test_a_network_without_hidden_layers_is_the_linear_policy_with_bias():
    weights = np.random.default_rng(0).normal(size=(20, 10))
    ours = evaluate_candidates("CartPole-v1", weights, np.arange(20), "MlpPolicy", {"net_arch": []})
    linear = evaluate_candidates("CartPole-v1", weights, np.arange(20), "LinearPolicy", {"with_bias": True})
    np.testing.assert_array_equal(ours.returns, linear.returns)
    assert len(set(ours.returns)) > 5


def test_a_network_runs_in_mujoco_and_replays_with_the_same_bits():
    pytest.importorskip("mujoco", reason="MuJoCo environments need the mujoco package")
    model = trained("Hopper-v5", 2, delta_std=0.3)
    ours = model.evaluate(3, seed=1)
    theirs, lengths = evaluate_policy(model, "Hopper-v5", 3, seed=1, return_episode_rewards=True)
    assert (ours.returns.tolist(), ours.lengths.tolist()) == (theirs, lengths)


def test_first_weights_are_drawn_layer_by_layer():
    weights = ARS("MlpPolicy", "CartPole-v1", policy_kwargs={"net_arch": [100]}, zero_policy=False, seed=0).theta
    first, last = weights[: 5 * 100], weights[5 * 100 :]
    assert len(last) == 101 * 2
    assert 0.45 < np.abs(first).max() <= 0.5  # 1 / sqrt(4)
    assert 0.09 < np.abs(last).max() <= 0.1


def test_activations_are_also_torchs_classes():
    class ReLU:  # as torch.nn.ReLU is called
        pass

    class Tanh:
        pass

    names = [ARS("MlpPolicy", "CartPole-v1", policy_kwargs={"activation_fn": f}, seed=0).config.activation_fn for f in (ReLU, Tanh)]
    assert names == ["relu", "tanh"]


@pytest.mark.parametrize(
    ("kwargs", "error", "message"),
    [
        ({"net_arch": [0]}, ValueError, "net_arch must be an integer of at least 1, got 0"),
        ({"net_arch": 64}, TypeError, "net_arch must be a list of integers, got 64"),
        ({"activation_fn": "gelu"}, ValueError, "activation_fn must be one of 'relu', 'tanh', got 'gelu'"),
        ({"net_arc": [3]}, TypeError, "got 'net_arc'"),
    ],
)
def test_bad_arguments_of_the_policy_are_named(kwargs, error, message):
    with pytest.raises(error, match=message):
        ARS("MlpPolicy", "CartPole-v1", policy_kwargs=kwargs)


def test_a_run_goes_on_from_its_file(tmp_path):
    whole, half = trained(n_iterations=6, variant="V2"), trained(n_iterations=3, variant="V2")
    half.save(tmp_path / "half.zip")
    model = ARS.load(tmp_path / "half.zip")
    model.learn(10**9, lambda local, _: local["self"].iteration < 6, reset_num_timesteps=False)
    np.testing.assert_array_equal(whole.theta, model.theta)
    assert repr(model).startswith("ARS('MlpPolicy'")


def test_a_file_for_another_action_space_is_refused(tmp_path):
    trained().save(tmp_path / "model.zip")

    class Three(gymnasium.Env):
        observation_space = gymnasium.spaces.Box(-1, 1, (4,))
        action_space = gymnasium.spaces.Discrete(3)

    with pytest.raises(CheckpointError, match="gives 2 action scores, Three takes 3"):
        ARS.load(tmp_path / "model.zip", env=Three)
