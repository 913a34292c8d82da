"""Methods that scripts for stable-baselines3 call on a model, without stable-baselines3 (with it: test_sb3_peers.py)."""

import io
import sys
import time

import gymnasium
import numpy as np
import pytest

from fastars import ARS, AsyncEval, evaluate_candidates, evaluate_policy, exchange
from fastars.callbacks import EveryIteration
from fastars.sb3.parameters import ParameterMismatchError
from fastars.sb3.training_env import TrainingEnv


def small(policy="LinearPolicy", env="CartPole-v1", **settings):
    return ARS(policy, env, **{"n_delta": 2, "seed": 0, "n_threads": 1, "noise_size": 1 << 16, **settings})


class Doubled(gymnasium.RewardWrapper):
    """An environment that runs in Python."""

    def reward(self, reward):
        return 2.0 * reward


@pytest.fixture
def without_theirs(monkeypatch):
    """As if no test in this process had imported stable-baselines3."""
    monkeypatch.delitem(sys.modules, "stable_baselines3.common.vec_env", raising=False)


@pytest.mark.usefixtures("without_theirs")
def test_the_usual_loop_over_get_env_runs():
    model = small().learn(200)
    env = model.get_env()
    assert isinstance(env, TrainingEnv)
    assert env is model.get_env()
    observations, total = env.reset(), 0.0
    for _ in range(600):
        actions, _ = model.predict(observations, deterministic=True)
        observations, rewards, dones, infos = env.step(actions)
        total += rewards[0]
        if dones[0]:
            break
    assert (observations.shape, rewards.shape, dones.shape) == ((1, 4), (1,), (1,))
    assert infos[0]["terminal_observation"].shape == (4,)
    assert not np.array_equal(infos[0]["terminal_observation"], observations[0])  # the next episode's first
    assert infos[0]["TimeLimit.truncated"] == (total == 500.0)


@pytest.mark.usefixtures("without_theirs")
def test_the_environment_of_get_env_is_one_to_evaluate_in():
    model = small().learn(200)
    assert isinstance(model.get_env(), TrainingEnv)
    # The first of them starts from the seed, the others go on from there.
    returns, lengths = evaluate_policy(model, model.get_env(), 3, return_episode_rewards=True, seed=5)
    assert (len(returns), returns) == (3, lengths)
    assert returns[0] == model.evaluate(1, seed=5).returns[0]


@pytest.mark.usefixtures("without_theirs")
def test_get_env_has_the_environment_that_was_given():
    env = gymnasium.make("CartPole-v1")
    assert small(env=env).get_env().envs[0] is env


@pytest.mark.usefixtures("without_theirs")
@pytest.mark.parametrize("how", ["setting", "environment", "python"])
def test_get_env_is_made_as_the_one_that_trains(how):
    made = gymnasium.make("CartPole-v1", max_episode_steps=7)
    given = {"setting": {"max_episode_steps": 7}, "environment": {"env": made}, "python": {"env": Doubled(made)}}[how]
    env = small(**given).get_env()
    env.reset()
    lasts = [env.step([0])[2][0] for _ in range(7)]
    assert lasts[-1]


@pytest.mark.usefixtures("without_theirs")
def test_get_env_is_the_first_of_several():
    long = gymnasium.make("CartPole-v1")
    assert small(env=[long, gymnasium.make("CartPole-v1", max_episode_steps=9)]).get_env().envs[0] is long
    assert small(env=["CartPole-v1", long]).get_env().envs[0].spec.id == "CartPole-v1"


@pytest.mark.usefixtures("without_theirs")
def test_training_env_starts_from_its_seed():
    env = small().get_env()
    assert env.seed(5) == [5]
    assert np.array_equal(env.reset()[0], gymnasium.make("CartPole-v1").reset(seed=5)[0])
    assert not np.array_equal(env.reset()[0], gymnasium.make("CartPole-v1").reset(seed=5)[0])


@pytest.mark.usefixtures("without_theirs")
def test_training_env_reaches_the_environment_inside():
    env = small(env=Doubled(gymnasium.make("CartPole-v1"))).get_env()
    assert env.env_is_wrapped(Doubled) == [True]
    assert env.env_is_wrapped(gymnasium.wrappers.RecordVideo) == [False]
    env.set_attr("gravity", 1.5)
    assert env.get_attr("gravity") == [1.5]
    assert env.env_method("get_wrapper_attr", "gravity") == [1.5]
    env.reset()
    env.step_async([1])
    assert env.step_wait()[1].tolist() == [2.0]
    env.close()


def test_parameters_have_the_names_of_torch_modules():
    parameters = small("MlpPolicy", policy_kwargs={"net_arch": [3]}, zero_policy=False).get_parameters()
    shapes = {name: value.shape for name, value in parameters["policy"].items()}
    assert shapes == {
        "action_net.0.weight": (3, 4),
        "action_net.0.bias": (3,),
        "action_net.2.weight": (2, 3),
        "action_net.2.bias": (2,),
    }


def test_parameters_follow_the_order_of_the_flat_weights():
    model = small(policy_kwargs={"with_bias": True})
    model.policy.load_from_vector(np.arange(10.0))
    parameters = model.get_parameters()["policy"]
    assert parameters["action_net.0.weight"].tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert parameters["action_net.0.bias"].tolist() == [8, 9]
    parameters["action_net.0.bias"][:] = -1.0
    assert model.theta[8:].tolist() == [8, 9]  # they are copies
    model.set_parameters({"policy": parameters})
    assert model.theta.tolist() == [0, 1, 2, 3, 4, 5, 6, 7, -1, -1]


def test_parameters_come_from_a_file(tmp_path):
    trained, other = small().learn(500), small()
    trained.save(tmp_path / "model.zip")
    other.set_parameters(str(tmp_path / "model.zip"))
    assert np.array_equal(other.theta, trained.theta)


@pytest.mark.parametrize(
    ("given", "exact_match", "error", "message"),
    [
        ({"critic": {}}, True, ValueError, "Key critic is an invalid object name"),
        ({}, True, ValueError, "Names of parameters do not match"),
        ({"policy": {}}, True, ParameterMismatchError, "missing action_net.0.weight; unknown none"),
        ({"policy": {"action_net.0.weight": np.zeros((2, 4)), "x": 1}}, True, RuntimeError, "missing none; unknown x"),
        ({"policy": {"action_net.0.weight": np.zeros((4, 2))}}, True, RuntimeError, r"must have shape \(2, 4\), got \(4, 2\)"),
        ({"policy": {"action_net.0.weight": np.zeros((4, 2))}}, False, ValueError, r"must have shape \(2, 4\), got \(4, 2\)"),
        ({"policy": {"action_net.0.weight": np.full((2, 4), np.nan)}}, True, ValueError, "weights must be finite"),
    ],
)
def test_parameters_that_do_not_fit_change_nothing(given, exact_match, error, message):
    model = small().learn(200)
    before = model.theta.copy()
    with pytest.raises(error, match=message):
        model.set_parameters(given, exact_match=exact_match)
    assert np.array_equal(model.theta, before)


def test_without_exact_match_unknown_names_are_passed_over():
    model = small()
    model.set_parameters({"policy": {"action_net.weight": np.ones((2, 4)), "log_std": 3.0}}, exact_match=False)
    assert model.theta.tolist() == [1.0] * 8  # by its name of old
    model.set_parameters({}, exact_match=False)
    assert model.theta.tolist() == [1.0] * 8


def test_set_env_goes_on_with_the_same_policy():
    model = small().learn(300)
    theta, steps = model.theta.copy(), model.num_timesteps
    model.set_env(gymnasium.make("CartPole-v1", max_episode_steps=5))
    assert np.array_equal(model.theta, theta)
    model.learn(30, reset_num_timesteps=False)
    assert model.num_timesteps - steps == 40  # two iterations of 4 episodes of 5 steps
    model.set_env(Doubled(gymnasium.make("CartPole-v1")))
    assert not model.is_compiled
    model.learn(1, reset_num_timesteps=False)


def test_set_env_refuses_other_spaces():
    model = small()
    with pytest.raises(ValueError, match="observation_space of env does not match"):
        model.set_env("Pendulum-v1")
    assert model.env_id == "CartPole-v1"
    model.learn(1)


def test_set_random_seed_is_the_seed_of_what_follows():
    seeded, reseeded = small(seed=3), small(seed=4)
    reseeded.noise  # noqa: B018 - it is filled
    reseeded.set_random_seed(None)
    assert reseeded.seed == 4
    reseeded.set_random_seed(3)
    assert reseeded.seed == 3
    assert np.array_equal(seeded.learn(300).theta, reseeded.learn(300).theta)


def test_attributes_are_those_of_the_settings():
    model = small(n_delta=4, n_top=2, learning_rate=0.5, delta_std=0.25, alive_bonus_offset=-1.0, n_eval_episodes=3)
    assert (model.n_delta, model.n_top, model.pop_size, model.n_eval_episodes, model.n_envs) == (4, 2, 8, 3, 1)
    assert (model.learning_rate, model.delta_std, model.alive_bonus_offset, model.zero_policy) == (0.5, 0.25, -1.0, True)
    assert str(model.device) == "cpu"  # a device of PyTorch, if a test before this one has imported it
    assert set(ARS.policy_aliases) == {"LinearPolicy", "MlpPolicy"}
    assert model.get_vec_normalize_env() is None


def test_private_names_that_callbacks_read_are_there():
    model = small(learning_rate=lambda remaining: 0.5 * remaining)
    assert (model.start_time, model._n_updates, model._total_timesteps, model._custom_logger) == (0, 0, 0, False)
    before = time.time_ns()
    seen = []
    look = EveryIteration(lambda *_: seen.append((model._current_progress_remaining, model.start_time)))
    model.learn(1000, callback=look)
    first = model.num_timesteps
    model.learn(200, reset_num_timesteps=False)
    assert (model._num_timesteps_at_start, model._total_timesteps, model._n_updates) == (first, first + 200, model.iteration)
    assert seen[0][0] == 1.0
    assert 0.0 < seen[1][0] < 1.0
    assert all(before <= start <= time.time_ns() for _, start in seen)
    model.set_logger(model.logger)
    assert model._custom_logger
    assert model._vec_normalize_env is None
    assert (model.lr_schedule(0.5), model.delta_std_schedule(0.5), model.use_sde) == (0.25, 0.05, False)


def test_a_policy_is_described_by_its_arguments():
    model = small("MlpPolicy", policy_kwargs={"net_arch": [3]})
    again = small("MlpPolicy", policy_kwargs=model.policy_kwargs)
    assert again.config == model.config
    assert model.n_params == len(model.weights) == 4 * 3 + 3 + 3 * 2 + 2
    assert model.policy_class is type(model.policy)
    model.policy.set_training_mode(False)
    boxed = small("MlpPolicy", "Pendulum-v1")
    assert (boxed.policy.squash_output, model.policy.squash_output, small().policy.squash_output) == (True, False, False)


@pytest.mark.usefixtures("without_theirs")
def test_the_environment_of_get_env_can_be_deleted():
    model = small()
    first = model.env
    del model.env
    assert model.env is not first
    assert model.env is model.get_env()


def test_logged_means_are_of_the_last_episodes():
    model, returns = small(stats_window_size=6), []
    for _ in range(3):
        model.learn(
            1, callback=EveryIteration(lambda local, _: returns.extend(local["rollouts"].returns)), reset_num_timesteps=False
        )
    assert len(returns) == 12
    assert model.record["rollout/ep_rew_mean"] == np.mean(returns[-6:])
    assert [info["r"] for info in model.ep_info_buffer] == returns[-6:]


def test_no_episode_of_an_iteration_is_left_out_of_its_mean():
    model, returns = small(n_delta=4, stats_window_size=1), []
    model.learn(1, callback=EveryIteration(lambda local, _: returns.extend(local["rollouts"].returns)))
    assert model.record["rollout/ep_rew_mean"] == np.mean(returns)
    assert len(model.ep_info_buffer) == 8


def test_logged_means_go_on_after_load():
    model, file = small(stats_window_size=30).learn(500), io.BytesIO()
    model.save(file)
    loaded = ARS.load(file)
    for each in (model, loaded):
        each.learn(300, reset_num_timesteps=False)
    assert loaded.record["rollout/ep_rew_mean"] == model.record["rollout/ep_rew_mean"]


def test_callbacks_see_the_episodes_of_an_iteration():
    seen = []
    model = small().learn(1, callback=EveryIteration(lambda local, _: seen.append((local["iteration"], local["rollouts"]))))
    ((iteration, rollouts),) = seen
    assert iteration == 1
    assert rollouts.returns.tolist() == [info["r"] for info in model.ep_info_buffer]
    assert rollouts.lengths.sum() == model.num_timesteps


def test_async_eval_says_how_many_processes_run():
    serial = small(env=Doubled(gymnasium.make("CartPole-v1"))).learn(200)
    model = small(env=Doubled(gymnasium.make("CartPole-v1")))
    model.learn(200, async_eval=AsyncEval([None, None], model.policy))
    assert (model.n_workers, serial.n_workers) == (2, 1)
    assert "2 worker processes" in model.sampler.description
    assert np.array_equal(model.theta, serial.theta)
    model.close()


def test_a_model_goes_through_an_open_file(tmp_path):
    model = small().learn(300)
    with open(tmp_path / "model.zip", "wb") as file:
        model.save(file, exclude=["logger"], include=None)
    with open(tmp_path / "model.zip", "rb") as file:
        loaded = ARS.load(file)
    assert np.array_equal(loaded.theta, model.theta)


def test_a_damaged_open_file_is_named(tmp_path):
    (tmp_path / "model.zip").write_bytes(b"PK")
    with open(tmp_path / "model.zip", "rb") as file, pytest.raises(ValueError, match=r"model\.zip: no zip directory"):
        ARS.load(file)
    with pytest.raises(ValueError, match="the file: no zip directory"):
        ARS.load(io.BytesIO(b"PK"))


def test_settings_change_on_loading(tmp_path):
    small().learn(300).save(tmp_path / "model.zip")
    settings = {"n_delta": 5, "seed": 9, "policy": "LinearPolicy", "policy_kwargs": {"with_bias": False}}
    model = ARS.load(tmp_path / "model.zip", device="auto", custom_objects={"lr_schedule": 0.5, "clip_range": 0.1}, **settings)
    assert (model.n_delta, model.n_top, model.seed, model.learning_rate) == (5, 2, 9, 0.5)


def test_system_info_is_printed(tmp_path, capsys):
    small().save(tmp_path / "model.zip")
    ARS.load(tmp_path / "model.zip", print_system_info=True)
    assert "NumPy" in capsys.readouterr().out


def test_a_class_stands_for_the_policy_of_its_name():
    mlp, linear = type("ARSPolicy", (), {}), type("ARSLinearPolicy", (), {})
    assert (small(mlp).config.policy, small(linear).config.policy) == ("MlpPolicy", "LinearPolicy")


def test_policies_predict_as_models_do():
    model = small().learn(300)
    for observations in (np.ones((3, 4)), np.ones(4)):
        actions, state = model.policy.predict(observations, "memory", None, True)
        assert np.array_equal(actions, model.predict(observations)[0])
        assert state == "memory"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: AsyncEval(3), r"^AsyncEval\(\): envs_fn must be a sequence"),
        (lambda: evaluate_policy(None, 3), r"^evaluate_policy\(\): env must be an environment id"),
        (
            lambda: evaluate_policy(None, "CartPole-v1", seed=1.5),
            r"^evaluate_policy\(\): seed must be an integer of at least 0, got 1.5",
        ),
        (lambda: evaluate_candidates("CartPole-v1", [1.0], [0]), r"^evaluate_candidates\(\): weights must have shape \(n, 8\)"),
        (lambda: exchange.read("a.zip", vec_normalize="b.pkl"), r"^read\(\): vec_normalize is a pickle"),
    ],
)
def test_errors_begin_with_the_function_that_was_called(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call()


def test_a_threshold_of_several_rewards_is_an_assertion_error():
    with pytest.raises(AssertionError, match=r"below threshold: \[.*\] < 1000.00"):
        evaluate_policy(Still(), Two(), 1, reward_threshold=1000.0, max_episode_steps=3)


class Still:
    def predict(self, observation, state=None, deterministic=True):
        return np.zeros(1), None


class Two(gymnasium.Env):
    observation_space = action_space = gymnasium.spaces.Box(-1.0, 1.0, (1,))

    def reset(self, *, seed=None, options=None):
        return np.zeros(1), {}

    def step(self, action):
        return np.zeros(1), np.array([1.0, 2.0]), False, False, {}
