"""Spaces as vectors: observations flattened as Gymnasium does, scores that become actions of the space."""

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector.utils import batch_space, concatenate, create_empty_array
from hypothesis import given, settings
from hypothesis import strategies as st

from fastars import kernels, reference
from fastars._compiled.structs import Argmax, Choices, Clip, Signs, Squash, Unclipped
from fastars.envs import UnsupportedEnvError, environment
from fastars.envs.spaces import (
    UnsupportedSpaceError,
    action_form,
    action_rows,
    batched_actions,
    flat_batch,
    flat_size,
    flattener,
    is_batch,
    n_scores,
)

DTYPES = [np.float32, np.float64, np.float16, np.int32, np.int64, np.uint8, np.int8]
N_EXAMPLES = 200

shapes = st.lists(st.integers(1, 3), min_size=0, max_size=3).map(tuple)


@st.composite
def boxes(draw, bounded=False):
    dtype, shape = draw(st.sampled_from(DTYPES)), draw(shapes)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kind = "bounded" if bounded else draw(st.sampled_from(["bounded", "unbounded", "half", "point", "wide"]))
    if np.dtype(dtype).kind == "f":
        scale = draw(st.sampled_from([1e-3, 1.0, 1e4]))
        low = (rng.uniform(-scale, scale, shape)).astype(dtype)
        high = low if kind == "point" else (low + rng.uniform(0, scale, shape).astype(dtype)).astype(dtype)
        if kind == "unbounded":
            low, high = np.full(shape, -np.inf, dtype), np.full(shape, np.inf, dtype)
        elif kind == "half":
            high = np.full(shape, np.inf, dtype)
    else:
        info = np.iinfo(dtype)
        ends = np.sort(rng.integers(max(info.min, -100), min(info.max, 100), (2, *shape), np.int64), axis=0)
        low, high = ends[0].astype(dtype), ends[1].astype(dtype)
        if kind == "wide":
            low, high = np.full(shape, info.min, dtype), np.full(shape, info.max, dtype)
    return spaces.Box(low, high, shape, dtype)


discretes = st.builds(lambda n, start: spaces.Discrete(n, start=start), st.integers(1, 9), st.integers(-5, 5))
binaries = st.one_of(st.integers(1, 5), st.lists(st.integers(1, 3), min_size=1, max_size=2).map(tuple)).map(spaces.MultiBinary)


@st.composite
def multi_discretes(draw):
    shape = draw(st.lists(st.integers(1, 3), min_size=1, max_size=2))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return spaces.MultiDiscrete(rng.integers(1, 6, shape), start=rng.integers(-4, 4, shape))


parts = st.one_of(boxes(), discretes, multi_discretes(), binaries)
observation_spaces = st.recursive(
    parts,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map(lambda many: spaces.Tuple(tuple(many))),
        st.dictionaries(st.sampled_from("abcd"), inner, min_size=1, max_size=3).map(spaces.Dict),
    ),
    max_leaves=5,
)


@settings(max_examples=N_EXAMPLES)
@given(observation_spaces, st.integers(0, 2**32 - 1))
def test_flattening_is_gymnasiums(space, seed):
    space.seed(seed)
    flatten = flattener(space)
    assert flat_size(space) == spaces.flatdim(space)
    for _ in range(3):
        observation = space.sample()
        np.testing.assert_array_equal(flatten(observation), spaces.flatten(space, observation))


@settings(max_examples=N_EXAMPLES)
@given(observation_spaces, st.integers(1, 3), st.integers(0, 2**32 - 1))
def test_a_batch_is_told_from_one_observation_and_flattened_row_by_row(space, n, seed):
    space.seed(seed)
    observations = [space.sample() for _ in range(n)]
    batch = concatenate(space, observations, create_empty_array(space, n))
    assert batch_space(space, n).contains(batch)
    assert not is_batch(space, observations[0])
    assert is_batch(space, batch)
    expected = [spaces.flatten(space, observation) for observation in observations]
    np.testing.assert_array_equal(flat_batch(space, batch), np.array(expected, np.float64))


@settings(max_examples=N_EXAMPLES)
@given(parts, st.sampled_from([1e-3, 1.0, 1e3, 1e30]), st.integers(0, 2**32 - 1))
def test_clipped_actions_are_in_the_space(space, scale, seed):
    check_actions(space, *action_form(space, True, False), scale, seed)


@settings(max_examples=N_EXAMPLES)
@given(boxes(bounded=True), st.sampled_from([1e-3, 1.0, 1e3, 1e30]), st.integers(0, 2**32 - 1))
def test_squashed_actions_are_in_the_space(space, scale, seed):
    check_actions(space, *action_form(space, True, True), scale, seed)


def check_actions(space, kind, low, high, scale, seed):
    """Actions from large and small scores are contained in the space, one by one and as a batch; kernel and twin agree."""
    scores = np.random.default_rng(seed).standard_normal((4, n_scores(space))) * scale
    rows, by_twin = action_rows(space, 4), action_rows(space, 4)
    kernels.fill_actions(kind, low, high, scores, rows)
    reference.fill_actions(kind, low, high, scores, by_twin)
    if rows.dtype == np.int64:
        np.testing.assert_array_equal(rows, by_twin)
    else:
        np.testing.assert_allclose(rows, by_twin, rtol=1e-6, atol=1e-6 * np.max(np.abs(np.where(np.isfinite(high), high - low, 1))))
    batch = batched_actions(space, rows)
    assert all(space.contains(batch[i, ...]) for i in range(4))
    assert batch_space(space, 4).contains(batch)


def test_scores_become_actions_by_hand():
    def actions(space, scores, clip=True, squash=False):
        rows = action_rows(space, len(scores))
        kernels.fill_actions(*action_form(space, clip, squash), np.array(scores, np.float64), rows)
        return batched_actions(space, rows).tolist()

    assert actions(spaces.Discrete(3, start=5), [[1, 3, 3], [0, -1, -2]]) == [6, 5]  # the first of equals
    assert actions(spaces.MultiDiscrete([2, 3], start=[0, 10]), [[1, 2, 5, 4, 6]]) == [[1, 12]]
    assert actions(spaces.MultiBinary(3), [[0.0, 0.1, -0.1]]) == [[0, 1, 0]]  # 1 needs a score above 0
    box = spaces.Box(np.float32([-1, 0]), np.float32([1, 4]))
    assert actions(box, [[-3, 2], [0.5, 9]]) == [[-1, 2], [0.5, 4]]
    assert actions(box, [[-3, 9]], clip=False) == [[-3, 9]]
    assert actions(box, [[0, 0]], squash=True) == [[0, 2]]
    assert actions(box, [[40, -40]], squash=True) == [[1, 0]]
    np.testing.assert_allclose(actions(box, [[0.5, 0.5]], squash=True), [[np.tanh(0.5), 2 * np.tanh(0.5) + 2]], rtol=1e-7)
    assert actions(spaces.Box(0, 255, (1, 2), np.uint8), [[3.6, 300.0]]) == [[[4, 255]]]  # rounded, then within the bounds


@pytest.mark.parametrize(
    ("space", "kind"),
    [
        (spaces.Discrete(2), Argmax),
        (spaces.MultiDiscrete([2]), Choices),
        (spaces.MultiBinary(2), Signs),
        (spaces.Box(0, 1, (2,)), Clip),
    ],
)
def test_each_space_has_its_form(space, kind):
    assert type(action_form(space, True, False)[0]) is kind


def test_a_box_may_stay_unclipped_or_be_squashed():
    box = spaces.Box(-1, 1, (2,))
    assert type(action_form(box, False, False)[0]) is Unclipped
    assert type(action_form(box, False, True)[0]) is Squash
    assert type(action_form(spaces.Discrete(2), False, True)[0]) is Argmax
    assert type(action_form(spaces.Box(0, 9, (2,), np.int64), False, False)[0]) is Clip  # nothing else is a whole number


@pytest.mark.parametrize(
    "space",
    [
        spaces.Text(5),
        spaces.Sequence(spaces.Discrete(2)),
        spaces.Dict(a=spaces.Text(3)),
        spaces.Dict(a=spaces.Dict({}), b=spaces.Discrete(2)),
    ],
)
def test_an_observation_space_without_a_fixed_size_is_refused_by_name(space):
    part = space["a"] if isinstance(space, spaces.Dict) else space
    with pytest.raises(UnsupportedSpaceError) as caught:
        flat_size(space)
    assert str(part) in str(caught.value)
    assert "TransformObservation" in str(caught.value)


@pytest.mark.parametrize("space", [spaces.Text(5), spaces.Dict(a=spaces.Discrete(2)), spaces.Tuple((spaces.Discrete(2),))])
def test_an_action_space_that_scores_cannot_fill_is_refused_by_name(space):
    with pytest.raises(UnsupportedSpaceError) as caught:
        n_scores(space)
    assert str(space) in str(caught.value)
    assert "TransformAction" in str(caught.value)


def test_an_unbounded_box_is_not_squashed():
    with pytest.raises(UnsupportedSpaceError, match=r"squash_output=True needs bounds.*Box\(-inf"):
        action_form(spaces.Box(-np.inf, np.inf, (2,)), True, True)


@pytest.mark.parametrize("observation", [np.zeros(3), 0.0, np.zeros((2, 2)), None, "abcd"])
def test_an_observation_of_another_shape_is_an_error(observation):
    with pytest.raises((TypeError, ValueError), match=r"shape|real numbers"):
        flattener(spaces.Box(0, 1, (2,)))(observation)


def test_a_number_beyond_float32_is_infinite_without_a_warning():
    assert flattener(spaces.Box(0, 1, (1,)))(np.array([1e300])).tolist() == [np.inf]


class Talker(gymnasium.Env):
    observation_space = spaces.Dict(said=spaces.Text(9))
    action_space = spaces.Discrete(2)


def test_an_environment_with_such_a_space_is_refused_by_name_of_both():
    with pytest.raises(UnsupportedEnvError, match=r"'Talker'.*Text\(1, 9"):
        environment(Talker)
