"""ARS on vector rewards: fixed weights are a linear reward, methods balance, and a run can be continued."""

import gymnasium
import mo_gymnasium
import numpy as np
import pytest

import fastars
from fastars import ARS
from fastars.callbacks import EveryIteration
from fastars.training.iteration import ask, roll_out
from fastars.weighting import METHODS, GradNorm

pytestmark = pytest.mark.filterwarnings("ignore:.*precision lowered:UserWarning")  # of mo-gymnasium's reward spaces

PENDULUM = "fastars/mo-pendulum-v0"
SMALL = {"n_delta": 4, "seed": 3, "noise_size": 10_000, "max_episode_steps": 30}


def trained(env=PENDULUM, n_iterations=8, **settings):
    model = ARS("LinearPolicy", env, **{**SMALL, **settings})
    model.learn(10**9, lambda local, _: model.iteration < n_iterations)
    return model


# --- Fixed weights


@pytest.mark.parametrize(
    ("env_id", "weights"),
    [
        ("mo-mountaincarcontinuous-v0", [0.3, 0.7]),
        ("mo-mountaincar-v0", [1.0, 0.01, -0.3]),
        ("deep-sea-treasure-v0", [0.31, 0.17]),
        ("water-reservoir-v0", [0.13, 1.7]),
    ],
)
def test_fixed_weights_train_as_mo_gymnasiums_linear_reward_does(env_id, weights):
    settings = {"normalize_observations": "sea" not in env_id, "zero_policy": False, "policy_kwargs": {"with_bias": True}}
    settings["delta_std"] = 1.0
    linear = mo_gymnasium.wrappers.LinearReward(mo_gymnasium.make(env_id), np.array(weights))
    theirs = trained(linear, n_iterations=3, **settings)
    compiled = trained(env_id, n_iterations=3, weighting="fixed", preference=weights, **settings)
    in_python = trained(mo_gymnasium.make(env_id), n_iterations=3, compiled=False, preference=weights, **settings)
    assert compiled.is_compiled
    assert not in_python.is_compiled
    assert theirs.objectives is None
    assert np.any(theirs.theta != ARS("LinearPolicy", linear, **SMALL, **settings).theta)
    np.testing.assert_array_equal(compiled.theta, theirs.theta)
    np.testing.assert_array_equal(in_python.theta, theirs.theta)
    assert compiled.record["rollout/ep_rew_mean"] == theirs.record["rollout/ep_rew_mean"]


class Single(gymnasium.Wrapper):
    """A scalar reward as a vector of one."""

    reward_space = gymnasium.spaces.Box(-np.inf, np.inf, (1,))

    def step(self, action):
        observation, reward, *rest = self.env.step(action)
        return observation, np.array([reward]), *rest


@pytest.mark.parametrize("weighting", ["fixed", "gradnorm", "std", "mgda", "nash-mtl"])
def test_a_single_task_trains_as_the_scalar_reward_does(weighting):
    scalar = trained(gymnasium.make("Pendulum-v1"), compiled=False)
    single = trained(Single(gymnasium.make("Pendulum-v1")), weighting=weighting)
    assert single.objectives.n_tasks == 1
    np.testing.assert_array_equal(single.theta, scalar.theta)
    for row in ("rollout/ep_rew_mean", "gradient/norm", "gradient/snr", "train/grad_norm"):
        assert single.record[row] == scalar.record[row]


def test_the_pendulums_natural_weights_are_gymnasiums_reward():
    natural = trained(preference=[1.0, 0.1, 0.001])
    plain = trained("Pendulum-v1")
    np.testing.assert_allclose(natural.theta, plain.theta, rtol=1e-6)
    assert natural.record["rollout/ep_rew_mean"] == pytest.approx(plain.record["rollout/ep_rew_mean"], rel=1e-6)


# --- Balancing


def test_gradnorm_gives_all_tasks_gradients_of_one_size():
    def spread(weighting):
        model, sizes = ARS("LinearPolicy", PENDULUM, weighting=weighting, n_delta=32, seed=3), []

        def collect(local, _):
            sizes.append([model.record[f"tasks/{name}/weighted_grad_norm_sq"] for name in model.objectives.names])
            return model.iteration < 150

        model.learn(10**9, EveryIteration(collect))
        means = np.sqrt(np.mean(sizes[50:], axis=0))
        assert model.objectives.weights.mean() == pytest.approx(1.0, abs=1e-12)
        return means.max() / means.min()

    assert spread("fixed") > 3.0
    assert spread("gradnorm") < 1.6


def test_weights_are_known_before_the_rollouts():
    told = []

    def weigh(gram, returns):
        told.append((gram, returns))
        return [1.0, 2.0, 3.0]

    model = trained(n_iterations=5, weighting=weigh)
    assert not told
    model.learn(1, reset_num_timesteps=False)
    assert len(told) == 1
    assert model.record["tasks/velocity/weight"] == 1.0
    np.testing.assert_allclose(model.objectives.weights, [0.5, 1.0, 1.5])
    model.learn(1, reset_num_timesteps=False)
    assert model.record["tasks/velocity/weight"] == 1.0
    assert model.record["tasks/torque/weight"] == 1.5
    gram, returns = told[-1]
    assert gram.shape == (3, 3)
    assert (returns < 0.0).all()


def test_a_preference_multiplies_the_balanced_weights_and_compares_policies():
    model = trained(n_iterations=30, weighting="std", preference=[2.0, 1.0, 1.0])
    plain = trained(n_iterations=6, weighting="std", stats_window_size=1).record  # means of the last iteration
    ratio = model.objectives.weights / model.objectives.method.weights
    np.testing.assert_allclose(ratio / ratio[1], [2.0, 1.0, 1.0], rtol=1e-12)
    rollouts = model.evaluate(5)
    np.testing.assert_allclose(rollouts.returns, rollouts.task_returns @ [2.0, 1.0, 1.0], rtol=1e-12)
    total = sum(plain[f"tasks/{name}/return"] for name in model.objectives.names)
    assert plain["rollout/ep_rew_mean"] == pytest.approx(total, rel=1e-12)


@pytest.mark.parametrize("n_threads", [2, 3])
def test_the_result_does_not_depend_on_the_number_of_threads(n_threads):
    one = trained(weighting="gradnorm", n_threads=1, n_delta=40)
    many = trained(weighting="gradnorm", n_threads=n_threads, n_delta=40)
    np.testing.assert_array_equal(one.theta, many.theta)
    assert one.record["gradient/norm"] == many.record["gradient/norm"]


def test_the_numpy_reference_trains_alike():
    settings = {"weighting": "gradnorm", "n_delta": 3, "max_episode_steps": 12}
    compiled, reference = trained(**settings), trained(**settings, backend="numpy")
    np.testing.assert_allclose(compiled.theta, reference.theta, rtol=1e-6, atol=1e-9)
    assert reference.objectives.weights.tolist() != [1.0, 1.0, 1.0]


@pytest.mark.parametrize("names", [("forward", "ctrl")])
def test_the_terms_of_a_mujoco_reward_are_tasks(names):
    model = trained("HalfCheetah-v5", weighting="gradnorm", n_iterations=7, stats_window_size=1)
    assert model.is_compiled
    assert model.objectives.names == names
    assert model.record["tasks/ctrl/return"] < 0.0
    total = sum(model.record[f"tasks/{name}/return"] for name in names)
    assert model.record["rollout/ep_rew_mean"] == pytest.approx(total, rel=1e-12)


def test_ask_and_tell_take_a_return_for_each_task():
    learned, told = trained(n_iterations=1), ARS("LinearPolicy", PENDULUM, **SMALL)
    other = ARS("LinearPolicy", PENDULUM, **SMALL)
    other.ask()
    with pytest.raises(ValueError, match=r"returns must have shape \(8, 3\), got \(8,\)"):
        other.tell(np.zeros(8))
    candidates = told.ask()
    asked = ask(told.run, told.state, 1.0)
    rollouts = roll_out(told.run, told.state, asked, candidates)
    told.tell(rollouts.task_returns)
    np.testing.assert_allclose(told.theta, learned.theta, rtol=1e-12)


def test_a_presets_offset_is_left_out_and_one_that_is_given_is_refused():
    plain = ARS("LinearPolicy", "Hopper-v5", preset="tuned", seed=0)
    assert plain.config.alive_bonus_offset == -1.0
    assert ARS("LinearPolicy", "Hopper-v5", preset="tuned", seed=0, weighting="std").config.alive_bonus_offset == 0.0
    with pytest.raises(ValueError, match="alive_bonus_offset needs a scalar reward, got -1"):
        ARS("LinearPolicy", "Hopper-v5", alive_bonus_offset=-1, weighting="std")


def test_without_diagnostics_a_scalar_run_is_the_same_and_logs_less():
    silent, plain = trained("Pendulum-v1", diagnostics=False), trained("Pendulum-v1")
    np.testing.assert_array_equal(silent.theta, plain.theta)
    assert "gradient/norm" in plain.record
    assert not any(name.startswith(("gradient/", "returns/")) for name in silent.record)


# --- Files


@pytest.mark.parametrize("weighting", METHODS)
def test_a_loaded_run_goes_on_with_the_same_bits(weighting, tmp_path):
    settings = {"weighting": weighting, "preference": [1.0, 2.0, 3.0], "utopia": [0.0, 0.0, 0.0]}
    whole = trained(n_iterations=14, **settings)
    trained(n_iterations=8, **settings).save(tmp_path / "model")
    model = ARS.load(tmp_path / "model.zip")
    assert model.config.weighting == weighting
    model.learn(10**9, lambda local, _: model.iteration < 14, reset_num_timesteps=False)
    np.testing.assert_array_equal(model.theta, whole.theta)
    np.testing.assert_equal(model.objectives.state_dict(), whole.objectives.state_dict())
    rows = {name: value for name, value in model.record.items() if not name.startswith("time/")}
    np.testing.assert_equal(rows, {name: value for name, value in whole.record.items() if not name.startswith("time/")})


@pytest.mark.parametrize(
    "env",
    ["HalfCheetah-v5", [gymnasium.make("Pendulum-v1", g=g) for g in (9.0, 4.0)], ["MountainCarContinuous-v0"] * 2],
    ids=["terms", "variants", "twins"],
)
def test_the_tasks_of_a_file_are_found_again(env, tmp_path):
    settings = {"weighting": "std", "n_delta": 2, "max_episode_steps": 10}
    whole, half = trained(env, n_iterations=10, **settings), trained(env, n_iterations=7, **settings)
    half.save(tmp_path / "model")
    model = ARS.load(tmp_path / "model.zip")
    model.learn(10**9, lambda local, _: model.iteration < 10, reset_num_timesteps=False)
    assert model.objectives.names == whole.objectives.names
    np.testing.assert_array_equal(model.theta, whole.theta)


def test_the_log_of_a_loaded_run_goes_on_with_its_first_row(tmp_path):
    whole = trained(n_iterations=9)
    trained(n_iterations=8).save(tmp_path / "model")
    model = ARS.load(tmp_path / "model.zip").learn(1, reset_num_timesteps=False)
    assert model.iteration == 9
    assert model.record["gradient/cos_prev"] == whole.record["gradient/cos_prev"]


def test_the_arguments_of_a_method_are_in_the_file(tmp_path):
    method = GradNorm(alpha=0.5, update="paper", min_weight=0.01, initial_losses=["first", 2.0, 3.0])
    model = trained(weighting=method, n_iterations=7)
    model.save(tmp_path / "model")
    loaded = ARS.load(tmp_path / "model.zip").objectives.method
    assert repr(loaded) == repr(model.objectives.method)
    assert loaded.alpha == 0.5
    assert loaded.n_steps == 2


@pytest.mark.parametrize(("weighting", "alpha"), [("gradnorm", 0.0), (GradNorm(), 1.5), (GradNorm(alpha=0.0), 0.0)])
def test_the_alpha_of_a_file_is_that_of_the_run(weighting, alpha, tmp_path):
    trained(weighting=weighting, n_iterations=1).save(tmp_path / "model")
    assert ARS.load(tmp_path / "model.zip").objectives.method.alpha == alpha


def test_a_method_is_copied_and_starts_anew():
    method = GradNorm(3, alpha=0.0)
    method.step(norms=[1.0, 2.0, 3.0])
    model = trained(weighting=method, n_iterations=7)
    assert method.n_steps == 1
    np.testing.assert_array_equal(model.theta, trained(weighting="gradnorm", n_iterations=7).theta)


def test_another_method_goes_on_from_the_same_averages(tmp_path):
    trained(weighting="gradnorm", n_iterations=9).save(tmp_path / "model")
    model = ARS.load(tmp_path / "model.zip", weighting="std").learn(1, reset_num_timesteps=False)
    assert model.config.weighting == "std"
    assert model.objectives.method.n_steps == 1
    np.testing.assert_allclose(model.objectives.weights, model.objectives.method.weights, rtol=1e-15)  # scaled once more


def test_a_function_has_to_be_given_again(tmp_path):
    def weigh(gram, returns):
        return np.arange(1.0, 4.0)

    trained(weighting=weigh).save(tmp_path / "model")
    with pytest.raises(
        fastars.CheckpointError, match=r"its weighting is a function, which a file can't hold: give load\(\) weighting="
    ):
        ARS.load(tmp_path / "model.zip")
    model = ARS.load(tmp_path / "model.zip", weighting=weigh)
    np.testing.assert_allclose(model.objectives.weights, [0.5, 1.0, 1.5])


def test_a_file_of_several_tasks_is_refused_for_a_scalar_reward(tmp_path):
    trained("mo-mountaincarcontinuous-v0", n_iterations=1).save(tmp_path / "model")
    with pytest.raises(ValueError, match="needs a vector reward"):
        ARS.load(tmp_path / "model.zip", env="MountainCarContinuous-v0")


# --- Borders


@pytest.mark.parametrize(
    ("env", "arguments", "message"),
    [
        ("CartPole-v1", {"weighting": "gradnorm"}, "vector reward"),
        ("CartPole-v1", {"preference": [1.0]}, "preference needs a vector reward"),
        ("CartPole-v1", {"utopia": [1.0]}, "utopia needs a vector reward"),
        (PENDULUM, {"weighting": "gradnrom"}, "weighting must be one of uniform, .* got 'gradnrom'"),
        (
            PENDULUM,
            {"preference": [1.0, 2.0]},
            r"preference must have a finite number for each of the 3 tasks \(angle, velocity, torque\)",
        ),
        (PENDULUM, {"weighting": GradNorm(2)}, "weighting must be a method of 3 tasks, got GradNorm"),
        (
            PENDULUM,
            {"weighting": "gradnorm", "weighting_kwargs": {"alpha": -1.0}},
            "alpha must be a finite number of at least 0, got -1.0",
        ),
    ],
)
def test_what_does_not_fit_is_refused_by_name(env, arguments, message):
    with pytest.raises(ValueError, match=message):
        ARS("LinearPolicy", env, **SMALL, **arguments)


@pytest.mark.parametrize("weighting", [3, GradNorm])
def test_a_weighting_of_a_wrong_type_is_refused(weighting):
    with pytest.raises(TypeError, match=r"weighting must be a name, a method of fastars\.weighting or a function, got"):
        ARS("LinearPolicy", PENDULUM, **SMALL, weighting=weighting)


def test_nothing_changes_when_a_function_of_the_users_raises():
    def weigh(gram, returns):
        raise ZeroDivisionError("mine")

    model = trained(n_iterations=5, weighting=weigh)
    theta, state = model.theta.copy(), model.objectives.state_dict()
    with pytest.raises(ZeroDivisionError, match="mine"):
        model.learn(1, reset_num_timesteps=False)
    assert model.iteration == 5
    np.testing.assert_array_equal(model.theta, theta)
    np.testing.assert_equal(model.objectives.state_dict(), state)


@pytest.mark.parametrize("given", [[1.0, np.nan, 1.0], [1.0, 1.0]])
def test_weights_of_a_function_that_can_not_be_used_are_refused(given):
    model = trained(n_iterations=5, weighting=lambda gram, returns: given)
    with pytest.raises(ValueError, match="weights"):
        model.learn(1, reset_num_timesteps=False)
    assert model.iteration == 5
