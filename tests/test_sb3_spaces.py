"""Spaces from the texts in files of stable-baselines3, of this and of earlier versions (with files: test_policy_peers.py).

Broken on purpose: "shape" and the module "gym" of earlier versions not known (rows of `OLD` red), the start of a Discrete left out
(its row red), bounds of actions guessed (`test_bounds_of_actions...` red), a size that is not compared with
the one of the policy (`test_what_is_no_space...` red).
"""

import numpy as np
import pytest
from gymnasium import spaces

from fastars.exchange.sb3_spaces import space_of_text


def stored(space, module="gymnasium", **others):
    """The texts that stable-baselines3 keeps of a space: those of its attributes."""
    kind = type(space).__name__
    texts = {name: str(value) for name, value in vars(space).items() if value is not None}
    return {":type:": f"<class '{module}.spaces.{kind.lower()}.{kind}'>", **texts, "_shape": list(space.shape), **others}


BOX = spaces.Box(np.array([-4.8, -np.inf, -0.41887903], np.float32), np.array([1e-3, np.inf, 3.1415927], np.float32))
SPACES = [
    BOX,
    spaces.Box(-2.0, 2.0, (1,)),
    spaces.Box(-2.0, 2.0, ()),
    spaces.Box(-1e10, 3.4e38, (2, 2), np.float32),
    spaces.Box(0, 255, (2, 3), np.uint8),
    spaces.Discrete(3),
    spaces.Discrete(3, start=-2),
    spaces.MultiDiscrete([[2, 3], [4, 5]]),
    spaces.MultiDiscrete([2, 3], start=[1, -1]),
    spaces.MultiBinary(4),
    spaces.MultiBinary([2, 2]),
]
OLD = [
    (stored(BOX, "gym", _shape=None, shape=[3]), BOX),
    (stored(spaces.Discrete(3), "gym", n=3, start=0), spaces.Discrete(3)),
    ({":type:": "<class 'gym.spaces.discrete.Discrete'>", "n": 2}, spaces.Discrete(2)),
    ({":type:": "<class 'gym.spaces.multi_binary.MultiBinary'>", "n": 4}, spaces.MultiBinary(4)),
]


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_a_space_is_read_from_its_texts(space):
    found = space_of_text(stored(space), 100)
    assert found == space
    if isinstance(space, spaces.Box):
        assert found.low.tobytes() == space.low.tobytes()
        assert found.high.tobytes() == space.high.tobytes()


@pytest.mark.parametrize(("texts", "space"), OLD)
def test_a_space_of_an_earlier_version_is_read(texts, space):
    if texts.get("_shape", 0) is None:
        del texts["_shape"]
    assert space_of_text(texts, 100) == space


def test_bounds_of_actions_are_not_guessed():
    texts = stored(spaces.Box(-1.0, 1.0, (1200,)))
    assert "..." in texts["low"]
    assert space_of_text(texts, 1200) == spaces.Box(-1.0, 1.0, (1200,))
    assert space_of_text(texts, 1200, of_actions=True) is None
    assert space_of_text({**texts, "low_repr": "-1.0", "high_repr": "1.0"}, 1200, of_actions=True) is not None


@pytest.mark.parametrize(
    "texts",
    [
        None,
        [],
        {},
        {":type:": "<class 'os.system'>"},
        {":type:": 3},
        stored(BOX, low="[1. 2.]"),
        stored(BOX, low=3.0),
        stored(BOX, low="x" * 10),
        stored(BOX, dtype="object"),
        stored(BOX, dtype=["float32"]),
        stored(BOX, _shape=[10**9]),
        stored(BOX, _shape="3"),
        stored(spaces.Discrete(3), n="3.5"),
        stored(spaces.Discrete(3), n=10**9),
        stored(spaces.Discrete(3), n="1" * 10**4),
        stored(spaces.MultiBinary(3), n="[10000000000]"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_what_is_no_space_of_this_size_is_none(texts):
    assert space_of_text(texts, 100) is None
