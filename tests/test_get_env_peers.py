"""The environments around a model, with stable-baselines3-contrib and with fastars: their seeds, their pictures, what they take.

Broken on purpose: the constructor seeds no environment -> test_two_runs and test_samples red; `get_env` makes environments
without a render_mode (as it was) -> test_get_env_renders red; a number is no observation of one entry -> test_a_number red.
"""

import random

import gymnasium
import numpy as np
import pytest
from drawing_envs import DRAWS, Drawing, of_numpy, of_observations
from gymnasium import spaces

sb3_contrib = pytest.importorskip("sb3_contrib", reason="stable-baselines3-contrib is not installed: pip install '.[compat]'")
from stable_baselines3.common.env_util import make_vec_env  # noqa: E402
from stable_baselines3.common.evaluation import evaluate_policy  # noqa: E402
from stable_baselines3.common.monitor import Monitor  # noqa: E402
from stable_baselines3.common.vec_env import SubprocVecEnv, VecFrameStack  # noqa: E402

from fastars import ARS  # noqa: E402
from fastars.sb3.training_env import TrainingEnv, make_rendering  # noqa: E402

both = pytest.mark.parametrize("algorithm", [sb3_contrib.ARS, ARS], ids=["sb3", "fastars"])


GIVEN = {
    **{draw.__name__: lambda draw=draw: Drawing(draw) for draw in DRAWS if draw is not of_observations},  # unseeded in theirs, too
    "Monitor": lambda: Monitor(Drawing(of_numpy)),
    "DummyVecEnv": lambda: make_vec_env(Drawing, 2),
    "VecFrameStack": lambda: VecFrameStack(make_vec_env(Drawing, 2), 2),
    "CartPole-v1": lambda: "CartPole-v1",
    "CartPole-v1, made": lambda: gymnasium.make("CartPole-v1"),
    "CartPole-v1 in a DummyVecEnv": lambda: make_vec_env("CartPole-v1", 2),
}


@both
@pytest.mark.parametrize("name", GIVEN)
def test_two_runs_with_one_seed_are_equal(algorithm, name):
    found = []
    for _ in range(2):
        env = GIVEN[name]()
        model = algorithm("LinearPolicy", env, n_delta=2, seed=4)
        drawn = [random.random(), np.random.random(), np.array(model.action_space.sample()).tolist()]
        model.learn(60)
        evaluated = evaluate_policy(model, model.get_env(), 4, return_episode_rewards=True, warn=False)
        found.append(
            (drawn, np.asarray(model.weights).tolist(), evaluated, np.array(model.get_env().action_space.sample()).tolist())
        )
        model.set_random_seed(9)
        found[-1] += (evaluate_policy(model, model.get_env(), 2, return_episode_rewards=True, warn=False), np.random.random())
    assert found[0] == found[1]


def test_samples_are_theirs():
    found = []
    for algorithm in (sb3_contrib.ARS, ARS):
        env = gymnasium.make("Pendulum-v1")
        model = algorithm("LinearPolicy", env, seed=8)
        found.append([model.action_space.sample().tolist(), random.random(), np.random.random()])
        found[-1] += [model.get_env().reset().tolist()]
        model.set_random_seed(5)
        found[-1] += [env.action_space.sample().tolist(), random.random(), model.get_env().reset().tolist()]
    assert found[0] == found[1]


@both
@pytest.mark.parametrize("env_id", ["CartPole-v1", "Pendulum-v1", "FrozenLake-v1"])
def test_get_env_renders_an_environment_given_by_its_id(algorithm, env_id):
    pytest.importorskip("pygame", reason="pygame is not installed: pip install pygame")
    model = algorithm("LinearPolicy", env_id, n_delta=2, seed=0)
    env = model.get_env()
    env.reset()
    shapes = [np.shape(env.render("rgb_array")), np.shape(env.render())]
    assert env.render_mode == "rgb_array"
    assert shapes[0] == shapes[1]
    assert shapes[0][2] == 3
    assert min(shapes[0][:2]) > 100


@both
def test_the_environment_of_one_model_is_given_to_another(algorithm):
    env = algorithm("LinearPolicy", "CartPole-v1", n_delta=2, seed=0).get_env()
    model = algorithm("LinearPolicy", env, n_delta=2, seed=0)
    model.learn(50)
    assert model.get_env() is env
    alone = TrainingEnv(gymnasium.make("CartPole-v1"))
    assert ARS("LinearPolicy", alone, n_delta=2, seed=0).learn(50).get_env() is alone


def test_fastars_own_vector_environment_renders_too():
    pytest.importorskip("pygame", reason="pygame is not installed: pip install pygame")
    env = TrainingEnv(make_rendering("CartPole-v1"))
    env.reset()
    assert env.render("rgb_array").shape == env.render().shape == (400, 600, 3)
    with pytest.warns(UserWarning, match=r"render\(mode='ansi'\) has no effect: .* render_mode='rgb_array'"):
        assert env.render("ansi") is None
    plain = TrainingEnv(gymnasium.make("CartPole-v1"))
    with pytest.warns(UserWarning, match="render_mode=None"):
        assert plain.render("human") is None


@pytest.mark.parametrize("space", [spaces.Box(-1.0, 1.0, (2,)), spaces.Discrete(2)])
def test_an_environment_without_pictures_is_made_without(space, recwarn):
    gymnasium.register("Blind-v0", entry_point=lambda: Drawing(of_numpy))
    try:
        assert make_rendering("Blind-v0").render_mode is None
        assert make_rendering(gymnasium.spec("CartPole-v1")).render_mode == "rgb_array"
        assert [str(each.message) for each in recwarn] == []
    finally:
        del gymnasium.registry["Blind-v0"]


class Numbers(gymnasium.Env):
    """An environment whose observation is a number, in one form or another."""

    action_space = spaces.Discrete(2)

    def __init__(self, form, space):
        self.form, self.observation_space = form, space

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.n_steps = 0
        return self.form(self.np_random.integers(2)), {}

    def step(self, action):
        self.n_steps += 1
        return self.form(self.np_random.integers(2)), 1, self.n_steps > 9, False, {}


FORMS = {
    "int": int,
    "float": float,
    "np.float32": np.float32,
    "0-d array": np.array,
    "list": lambda x: [x],
    "(1, 1)": lambda x: np.full((1, 1), x),
}
BOX = spaces.Box(-np.inf, np.inf, (1,))


@both
@pytest.mark.parametrize("form", FORMS)
def test_a_number_is_an_observation_of_one_entry(algorithm, form):
    env = Numbers(FORMS[form], BOX)
    model = algorithm("LinearPolicy", env, n_delta=2, seed=0)
    model.learn(100)
    assert model.num_timesteps >= 100
    assert np.isfinite(evaluate_policy(model, env, 2, warn=False)[0])
    assert model.get_env().reset().shape == (1, 1)


@both
@pytest.mark.parametrize(
    ("space", "form"),
    [
        (spaces.Box(-np.inf, np.inf, (3,)), lambda x: np.full((1, 3), x)),
        (spaces.Box(-np.inf, np.inf, (1, 3)), lambda x: np.full(3, x)),
    ],
    ids=["(1, 3) for (3,)", "(3,) for (1, 3)"],
)
def test_axes_of_length_1_are_left_out_or_added(algorithm, space, form):
    model = algorithm("LinearPolicy", Numbers(form, space), n_delta=2, seed=0)
    model.learn(100)
    assert model.num_timesteps >= 100


@pytest.mark.parametrize("n_envs", [1, 3])
def test_a_number_is_an_observation_in_a_vector_environment(n_envs):
    env = SubprocVecEnv([lambda: Numbers(int, BOX)] * n_envs, start_method="fork")
    assert ARS("LinearPolicy", env, n_delta=2, seed=0).learn(50).num_timesteps >= 50
    env.close()
    assert ARS("LinearPolicy", Numbers(int, BOX), n_delta=2, seed=0).predict(0.5)[0] in (0, 1)
