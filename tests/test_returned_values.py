"""Environments in Python that return other kinds of values than Gymnasium says: each is a failure of its episode.

Broken on purpose: rewards go through float() alone -> texts, complex and masked numbers are red; truth decides about ends ->
texts and None as terminated are red; nobody looks at the info -> its rows are red; observations are cast without a look at their
dtype -> complex, texts, objects and masked ones are red; refuse_bounds returns at once -> test_boxes_with_impossible_bounds red;
NumPy makes arrays of all rewards and ends -> bytearray, memoryview, range and deque are red.
"""

from collections import deque
from decimal import Decimal
from fractions import Fraction

import gymnasium
import numpy as np
import pytest
from faulty_envs import Line
from gymnasium import spaces

from fastars import ARS, UnsupportedEnvError, evaluate_candidates, evaluate_policy
from fastars._compiled.structs import FAILED, NONFINITE, TERMINATED
from fastars.envs.returned import checked_end, first_observation, flag, flags, real, real_array

WEIGHTS, SEEDS = np.full((1, 2), 0.1), [0]
NAN = float("nan")
SEQUENCES = (bytearray, memoryview, range, deque)
REWARDS = {
    "text": "1.5",
    "bytes": b"1.5",
    "text of NumPy": np.str_("1.5"),
    "array of text": np.array("1.5"),
    "None": None,
    "complex": 1.5 + 0j,
    "complex of NumPy": np.complex128(1.5),
    "array of complex": np.array([1.5 + 0j]),
    "several entries": np.array([1.0, 2.0]),
    "no entries": np.array([]),
    "list": [1.5],
    "object": np.array([1.5], object),
    "masked": np.ma.masked,
    "masked array": np.ma.array([1.5], mask=[True]),
    "time": np.timedelta64(1, "s"),
    "dict": {"reward": 1.5},
    "bytearray": bytearray(b"1"),
    "memoryview": memoryview(b"1"),
    "range": range(1),
    "deque": deque([1.5]),
}
OBSERVATIONS = {
    "complex": np.array([1.0 + 1j, 1.0]),
    "text": np.array(["1.5", "1.0"]),
    "list of texts": ["1.5", "1.0"],
    "bytes": np.array([b"1.5", b"1.0"]),
    "object": np.array([1.5, 1.0], object),
    "None": np.array([None, 1.0]),
    "masked": np.ma.array([1.5, 1.0], mask=[True, False]),
    "times": np.array([1, 2], "m8[s]"),
    "shape": np.zeros((2, 1)),
    "entries": np.zeros(3),
    "dict": {"a": 1.0, "b": 2.0},
    "None alone": None,
}
FLAGS = {
    "text": "False",
    "empty text": "",
    "None": None,
    "two": np.array([False, False]),
    "list": [False],
    "number": 0.5,
    "dict": {},
    "complex": 0j,
    "bytearray": bytearray(1),
    "range": range(1),
    "deque": deque([False]),
}
RESULTS = {
    **{f"reward: {name}": (1, value) for name, value in REWARDS.items()},
    **{f"observation: {name}": (0, value) for name, value in OBSERVATIONS.items()},
    **{f"terminated: {name}": (2, value) for name, value in FLAGS.items()},
    **{f"truncated: {name}": (3, value) for name, value in FLAGS.items()},
    **{f"info: {value!r}": (4, value) for value in (None, [], "info", 3)},
}


class Returns(Line):
    """A `Line` whose third step returns another value at one place."""

    def __init__(self, place, value):
        self.place, self.value = place, value

    def step(self, action):
        result = list(super().step(action))
        if self.n_steps == 3:
            result[self.place] = self.value
        return tuple(result)


@pytest.mark.promise(8)
@pytest.mark.parametrize("name", RESULTS)
def test_a_wrong_type_is_a_failure_of_the_episode(name, caplog, tally):
    rollouts = evaluate_candidates(Returns(*RESULTS[name]), WEIGHTS, SEEDS)
    assert rollouts.status.tolist() == [FAILED]
    assert np.isnan(rollouts.returns[0])
    assert "Error" in caplog.text
    tally("results of another type that were failures of their episodes", 1, of=1)
    if name.partition(": ")[2] in ("several entries", "no entries", "list") or isinstance(RESULTS[name][1], SEQUENCES):
        return  # a vector of rewards, which evaluate_policy takes
    with pytest.raises((TypeError, ValueError)):
        evaluate_policy(ARS("LinearPolicy", Line(), seed=0), Returns(*RESULTS[name]), 1, seed=0)


@pytest.mark.parametrize(
    "value", [1, True, np.float32(1.0), np.int8(1), np.bool_(True), np.array(1.0), np.array([1]), Fraction(1), Decimal(1)]
)
def test_numbers_of_any_type_are_rewards(value):
    plain = evaluate_candidates(Returns(1, 1.0), WEIGHTS, SEEDS)
    assert evaluate_candidates(Returns(1, value), WEIGHTS, SEEDS).returns.tolist() == plain.returns.tolist()
    assert plain.status.tolist() == [TERMINATED]
    model = ARS("LinearPolicy", Line(), seed=0)
    assert repr(evaluate_policy(model, Returns(1, value), 1, seed=0)) == repr(evaluate_policy(model, Returns(1, 1.0), 1, seed=0))


@pytest.mark.parametrize("value", [True, 1, 1.0, np.bool_(True), np.array(True), np.array([1])])
def test_flags_of_any_type_end_episodes(value):
    assert evaluate_candidates(Returns(2, value), WEIGHTS, SEEDS).lengths.tolist() == [3]
    assert evaluate_candidates(Returns(3, value), WEIGHTS, SEEDS).lengths.tolist() == [3]


@pytest.mark.parametrize(
    "value", [[0.5, 1.0], (0.5, 1.0), np.array([0.5, 1.0], np.float16), np.ma.array([0.5, 1.0]), np.array([1, 0]), [True, False]]
)
def test_numbers_of_any_type_are_observations(value):
    assert evaluate_candidates(Returns(0, value), WEIGHTS, SEEDS).status.tolist() == [TERMINATED]


@pytest.mark.parametrize("place", [0, 1])
def test_nan_ends_the_episode_with_its_own_status(place):
    value = np.array([NAN, 1.0]) if place == 0 else np.float32(NAN)
    assert evaluate_candidates(Returns(place, value), WEIGHTS, SEEDS).status.tolist() == [NONFINITE]


@pytest.mark.promise(8)
@pytest.mark.parametrize("first", [np.zeros(2), (np.zeros(2),), (np.zeros(2), None), {"a": 1, "b": 2}, "ab", (np.zeros(2), {}, {})])
def test_reset_of_old_gym_is_a_failure(first, caplog, tally):
    class Old(Line):
        def reset(self, **kwargs):
            super().reset(**kwargs)
            return first

    assert evaluate_candidates(Old(), WEIGHTS, SEEDS).status.tolist() == [FAILED]
    assert "reset must return (observation, info)" in caplog.text
    tally("results of `reset` that were failures", 1, of=1)


def test_step_of_old_gym_is_a_failure(caplog):
    class Old(Line):
        def step(self, action):
            return super().step(action)[:4]

    assert evaluate_candidates(Old(), WEIGHTS, SEEDS).status.tolist() == [FAILED]


PARTS = spaces.Dict(
    {"a": spaces.Box(-9, 9, (2,)), "b": spaces.Discrete(3, start=1), "c": spaces.MultiDiscrete([2, 3]), "d": spaces.MultiBinary(2)}
)
GOOD = {"a": np.zeros(2, np.float32), "b": 2, "c": np.array([1, 2]), "d": np.array([0, 1], np.int8)}


@pytest.mark.promise(8)
@pytest.mark.parametrize(
    "part",
    [
        {"a": np.array(["1", "2"])},
        {"a": np.zeros(2, complex)},
        {"a": np.ma.array([0.0, 0.0], mask=[1, 0])},
        {"a": np.zeros(3)},
        {"b": 0},
        {"b": 4},
        {"b": 2.5},
        {"c": np.array([2, 0])},
        {"c": np.array([0, -1])},
        {"d": np.array([0, 2])},
        {"d": np.array(["0", "1"])},
        {"e": 1.0},
    ],
    ids=str,
)
def test_parts_of_observations_of_another_kind_are_failures(part, tally):
    class Parts(Line):
        observation_space = PARTS

        def reset(self, **kwargs):
            super().reset(**kwargs)
            return GOOD, {}

        def step(self, action):
            _, *rest = super().step(action)
            return {**GOOD, **(part if self.n_steps == 3 else {})}, *rest

    assert evaluate_candidates(Parts(), np.zeros((1, 12)), SEEDS).status.tolist() == [FAILED]
    part.clear()
    assert evaluate_candidates(Parts(), np.zeros((1, 12)), SEEDS).status.tolist() == [TERMINATED]
    tally("parts of observations of another kind that were failures", 1, of=1)


def test_a_dict_is_no_tuple_of_observations():
    class Keys(Line):
        observation_space = spaces.Tuple([spaces.Discrete(2)])

        def reset(self, **kwargs):
            super().reset(**kwargs)
            return (1,), {}

        def step(self, action):
            _, *rest = super().step(action)
            return {0: 1}, *rest

    assert evaluate_candidates(Keys(), np.zeros((1, 2)), SEEDS).status.tolist() == [FAILED]


@pytest.mark.parametrize(("place", "value"), [(1, "1.5"), (1, 1j), (2, "False"), (2, None), (0, np.zeros(2, complex))])
def test_a_wrong_type_in_a_vector_environment_is_an_error(place, value):
    class Vector(gymnasium.vector.SyncVectorEnv):
        def step(self, actions):
            result = list(super().step(actions))
            result[place] = np.array([value, value])
            return tuple(result)

    with pytest.raises(TypeError, match="must be"):
        evaluate_candidates(Vector([Line, Line], autoreset_mode=gymnasium.vector.AutoresetMode.NEXT_STEP), WEIGHTS, SEEDS)


@pytest.mark.parametrize("value", ["1.5", np.array(["1", "2"], object), 1j])
def test_several_rewards_of_another_kind_are_failures(value):
    class Several(Line):
        reward_space = spaces.Box(-9, 9, (2,))

        def step(self, action):
            observation, reward, *rest = super().step(action)
            return observation, np.array([value, value]) if self.n_steps == 3 else np.array([reward, 1.0]), *rest

    assert evaluate_candidates(Several(), WEIGHTS, SEEDS).status.tolist() == [FAILED]


def test_predict_takes_numbers_only():
    model = ARS("LinearPolicy", Line(), seed=0)
    for wrong in (["1.5", "1"], [1j, 1], [None, 1], np.ma.array([1.0, 2.0], mask=[0, 1])):
        with pytest.raises(TypeError, match="observation must be of real numbers"):
            model.predict(wrong)
    assert model.predict([0.5, 1])[0].shape == (1,)


def box(low, high):
    space = spaces.Box(-1.0, 1.0, (2,), np.float64)
    space.low[:], space.high[:] = low, high
    return space


@pytest.mark.promise(8)
@pytest.mark.parametrize("name", ["observation_space", "action_space", "part"])
@pytest.mark.parametrize("bounds", [(NAN, 1.0), (-1.0, NAN), (2.0, 1.0), ([0.0, 3.0], 1.0)], ids=str)
def test_boxes_with_impossible_bounds_are_refused(name, bounds, tally):
    env, space = Line(), box(*bounds)
    setattr(env, "observation_space" if name == "part" else name, spaces.Dict({"x": space}) if name == "part" else space)
    with pytest.raises(UnsupportedEnvError, match=r"has a bound that is NaN, or low > high: low="):
        ARS("LinearPolicy", env, seed=0)
    with pytest.raises(UnsupportedEnvError, match="has a bound"):
        ARS("LinearPolicy", lambda: env, seed=0)
    tally("spaces with impossible bounds that were refused", 1, of=1)


def test_functions_by_hand():
    assert real("x", np.array([[2.0]])) == 2.0
    assert flag("x", np.int64(0)) is False
    assert checked_end(np.bool_(True), 0, {}) == (True, False)
    assert flags("x", [0, 1], 2).tolist() == [False, True]
    assert real_array("x", [1, 2]).tolist() == [1, 2]
    assert first_observation((3, {})) == 3
    for wrong in (
        lambda: real("x", [2.0]),
        lambda: flag("x", 2),
        lambda: flags("x", [0, 2], 2),
        lambda: flags("x", [1], 2),
        lambda: first_observation(3),
    ):
        with pytest.raises(TypeError):
            wrong()
