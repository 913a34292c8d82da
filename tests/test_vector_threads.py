"""Vector environments in MuJoCo and over lanes on several threads: no bit changes, each part is stepped once, errors arrive.

Broken on purpose, each seen red: one set of lanes for all threads; a part at the end of no block; the parts of a block twice;
one thread only; of two failures the last is raised.
"""

import copy
from pathlib import Path

import numba
import numpy as np
import pytest

pytest.importorskip("mujoco", reason="MuJoCo environments need the mujoco package")

from gymnasium import make_vec
from gymnasium.envs.mujoco import mujoco_env
from watched_blocks import watched_blocks

from fastars import SimulationError
from fastars.envs import batches

N = 37  # five chunks of lanes, the last of them not full
PHYSICS = [
    "mujoco",
    pytest.param("lanes", marks=pytest.mark.skipif(numba.config.DISABLE_JIT, reason="the lanes' own physics is compiled")),
]


@pytest.fixture(autouse=True)
def any_work_is_worth_a_thread(monkeypatch):
    """And a block is as small as it can be."""
    monkeypatch.setattr(batches, "_THREAD_SECONDS", 1e-12)
    monkeypatch.setattr(batches, "_BLOCK_SECONDS", 1e-12)


def made(physics, n_threads, n=N, env_id="Hopper-v5"):
    env = make_vec(f"fastars/{env_id}", n, physics=physics, n_threads=n_threads)
    env.reset(seed=3)
    return env


def random_actions(env, n_steps=40):
    return np.random.default_rng(0).uniform(-1, 1, (n_steps, *env.action_space.shape)).astype(np.float32)


def assert_same_steps(env, other, actions):
    for action in actions:
        for ours, theirs in zip(env.step(action)[:4], other.step(action)[:4], strict=True):
            assert ours.tobytes() == theirs.tobytes()


@pytest.mark.parametrize("n_threads", [2, 3, 64])
@pytest.mark.parametrize("physics", PHYSICS)
def test_threads_change_no_bit(physics, n_threads):
    env, other = made(physics, n_threads), made(physics, 1)
    assert_same_steps(env, other, random_actions(env))  # Hopper falls: episodes end and begin in between
    mask = np.arange(N) % 3 == 0
    again, theirs = (each.reset(seed=5, options={"reset_mask": mask})[0] for each in (env, other))
    assert again.tobytes() == theirs.tobytes()
    assert_same_steps(env, other, random_actions(env, 5))


@pytest.mark.parametrize("physics", PHYSICS)
def test_more_threads_than_one_step(physics, monkeypatch):
    env, used = made(physics, 2), watched_blocks(monkeypatch, batches)
    env.step(random_actions(env, 1)[0])
    blocks = [block for block, _ in used]
    assert sorted(blocks) == list(range(len(blocks)))
    assert len({thread for _, thread in used}) == 2


@pytest.mark.parametrize(
    ("n", "most", "n_threads"), [(1, 128, 4), (5, 2, 1), (37, 128, 3), (100, 7, 2), (129, 128, 1), (1000, 128, 8)]
)
def test_each_part_is_in_one_block(n, most, n_threads):
    blocks, seen = batches._Blocks(n, most, n_threads), []
    for _ in range(3):  # of which the first has one thread
        seen.clear()
        blocks.run(lambda first, end: seen.extend(range(first, end)))
        assert sorted(seen) == list(range(n))


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="the lanes' own physics is compiled")
def test_a_copy_has_lanes_of_its_own():
    env = made("lanes", 3)
    other = copy.deepcopy(env)
    assert_same_steps(env, other, random_actions(env))


def test_of_several_failures_the_first_environment_is_named(tmp_path):
    """Boxes fall on each other, and there is too little memory for their contacts."""
    places = [f"{5 + 0.05 * k} 0 {0.3 + 0.25 * k}" for k in range(8)]
    boxes = "".join(f'<body pos="{at}"><freejoint/><geom type="box" size=".1 .1 .1" contype="1"/></body>' for at in places)
    text = (Path(mujoco_env.__file__).parent / "assets" / "hopper.xml").read_text()
    text = text.replace("<worldbody>", '<size memory="64K"/><worldbody>', 1).replace("</worldbody>", boxes + "</worldbody>")
    (tmp_path / "cramped.xml").write_text(text)
    settings = {"xml_file": str(tmp_path / "cramped.xml"), "terminate_when_unhealthy": False}
    env = make_vec("fastars/Hopper-v5", 9, n_threads=4, **settings)
    for _ in range(3):
        env.reset(seed=0)
        with pytest.raises(SimulationError, match="MuJoCo failed in Hopper-v5, in environment 0: mj_stackAlloc"):  # noqa: PT012
            for _ in range(100):
                env.step(np.zeros((9, 3)))


@pytest.mark.parametrize("n_threads", [0, -1, 1.5, "2", True])
def test_a_wrong_number_of_threads_is_named(n_threads):
    with pytest.raises((ValueError, TypeError), match="n_threads must be an integer of at least 1, got "):
        make_vec("fastars/Hopper-v5", 2, n_threads=n_threads)
