"""Environments and spaces of the old package gym, and environments of its interface, are named as such.

Broken on purpose: spaces are not looked at -> test_spaces red; environments are not -> test_an_environment and test_shimmy red; the
environment that a function makes is not -> "function" red; no note about four values -> test_a_step_with_four_values red.
"""

import sys
import types

import gymnasium
import numpy as np
import pytest
from faulty_envs import Line
from old_gym_classes import Box, OldEnv, OlderEnv, shimmy

from fastars import ARS, NonFiniteReturnsError, UnsupportedEnvError, evaluate_candidates, evaluate_policy


def test_spaces_of_gym_are_named():
    for name in ("observation_space", "action_space"):
        env = Line()
        setattr(env, name, Box(-1.0, 1.0, (2,)))
        with pytest.raises(UnsupportedEnvError, match=rf"the {name[:-6]} space .* is of the old package gym, not gymnasium: write"):
            ARS("LinearPolicy", env, seed=0)
    env = Line()
    env.observation_space = gymnasium.spaces.Dict()
    env.observation_space.spaces = {"a": Box(-1.0, 1.0, (2,))}
    with pytest.raises(UnsupportedEnvError, match="of the old package gym"):
        ARS("LinearPolicy", env, seed=0)


@pytest.mark.parametrize("given", [OldEnv(), OlderEnv(), OldEnv], ids=["0.26", "0.21", "function"])
def test_an_environment_of_gym_is_named(given, monkeypatch):
    monkeypatch.setitem(sys.modules, "shimmy", None)
    with pytest.raises(UnsupportedEnvError, match=r"of the old package gym, not of gymnasium: .*or `pip install shimmy gym`"):
        ARS("LinearPolicy", given, seed=0)
    with pytest.raises(UnsupportedEnvError, match="of the old package gym"):
        evaluate_candidates(given, np.zeros((1, 6)), [0])
    if not isinstance(given, type):
        with pytest.raises(UnsupportedEnvError, match="of the old package gym"):
            evaluate_policy(ARS("LinearPolicy", "CartPole-v1", seed=0), given)


@pytest.mark.parametrize("given", [OldEnv(), OlderEnv(), OldEnv, OlderEnv], ids=["0.26", "0.21", "function", "function of 0.21"])
def test_shimmy_adapts_an_environment_of_gym(given, monkeypatch):
    monkeypatch.setitem(sys.modules, "shimmy", shimmy)
    monkeypatch.setitem(sys.modules, "gym", types.ModuleType("gym"))
    with pytest.warns(UserWarning, match="of the old package gym, which shimmy adapts"):
        model = ARS("LinearPolicy", given, n_delta=2, seed=0).learn(20)
    assert model.num_timesteps == 20
    with pytest.warns(UserWarning, match="which shimmy adapts"):
        assert evaluate_candidates(given, np.zeros((1, 6)), [0]).lengths.tolist() == [5]


class OnlyObservation(Line):
    def __init__(self, space):
        self.observation_space = space

    def reset(self, **kwargs):
        super().reset(**kwargs)
        return self.observation_space.sample()


SPACES = [*(gymnasium.spaces.Box(-1, 1, (n,)) for n in (1, 2, 3)), gymnasium.spaces.Dict(a=gymnasium.spaces.Discrete(2))]


@pytest.mark.parametrize("space", [*SPACES, gymnasium.spaces.Discrete(3), gymnasium.spaces.Tuple([SPACES[0], SPACES[1]])], ids=str)
def test_a_reset_without_an_info_says_so_in_the_error(space):
    with pytest.raises(NonFiniteReturnsError, match=r"the first failure: TypeError: reset must return \(observation, info\)"):
        ARS("LinearPolicy", OnlyObservation(space), n_delta=2, seed=0).learn(20)


def test_a_step_with_four_values_says_so_in_the_error():
    class FourValues(Line):
        def step(self, action):
            return super().step(action)[:4]

    with pytest.raises(NonFiniteReturnsError, match=r"step must return \(observation, reward, terminated, truncated, info\)"):
        ARS("LinearPolicy", FourValues(), n_delta=2, seed=0).learn(20)
