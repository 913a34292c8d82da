"""Gymnasium's MuJoCo environments with models of other sizes: Gymnasium's returns, or an error that says what is missing.

A kernel reads where Gymnasium reads, and trusts the arrays. Broken on purpose: `check_model` not called -> `equal_gymnasiums` red
(a return where Gymnasium's step fails), and the tests of timestep and frame_skip; Ant's height taken from
the positions alone -> `two_positions` red.
"""

import math

import gymnasium
import numpy as np
import pytest

pytest.importorskip("mujoco", reason="MuJoCo environments need the mujoco package")

import mujoco

from fastars import ARS, MujocoTask, UnsupportedEnvError, compiled_env_ids, evaluate_candidates
from fastars._compiled.structs import UNSTABLE
from fastars.envs import compiled_env, make

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*-v4 is out of date:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:MuJoCo on .*NaN:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*Casting input x to numpy array:UserWarning"),
]
IDS = [name for name in compiled_env_ids("mujoco") if name.endswith("-v5") or name == "Ant-v4"]  # others of v4 take no xml_file
NAMES = ("torso", "fingertip", "target", "tips_arm", "object", "goal")
JOINTS = {
    "s": '<joint name="{name}" type="slide" axis="1 0 0"/>',
    "h": '<joint name="{name}" type="hinge" axis="0 1 0"/>',
    "b": '<joint name="{name}" type="ball"/>',
    "f": '<freejoint name="{name}"/>',
}
# Joints of a chain (f: a free joint, of a body of its own), still bodies, motors, True if bodies have names.
MODELS = [
    ("", 6, 1, True),
    ("s", 6, 1, True),
    ("h", 0, 2, True),
    ("sh", 6, 1, True),
    ("sh", 0, 3, False),
    ("shh", 6, 2, True),
    ("hhhh", 6, 1, True),
    ("hhhh", 2, 2, False),
    ("fh", 5, 1, True),
    ("bh", 5, 1, True),
    ("shhhhhhhhhh", 6, 3, True),
]


def model_file(folder, joints="sh", n_still=0, n_motors=1, has_names=True, option='timestep="0.01"'):
    """Write a model; return its path."""
    bodies, ends = "", ""
    for i, kind in enumerate(joints + "-" * n_still):
        name = f'name="{NAMES[i]}"' if has_names and i < len(NAMES) else ""
        joint = JOINTS[kind].format(name=f"joint{i}") if kind != "-" else ""
        bodies += f'<body {name} pos="0 0 .3">{joint}<geom size=".05" pos="0 0 .2" mass="1"/>'
        end = "</body>" if kind in "f-" else ""
        bodies, ends = bodies + end, ends + ("" if end else "</body>")
        bodies += ends if i == len(joints) - 1 else ""
    moved = [i for i, kind in enumerate(joints) if kind in "sh"]
    motors = "".join(
        f'<motor joint="joint{moved[i % len(moved)]}" gear="{5 + i}" ctrllimited="true" ctrlrange="-1 1"/>'
        for i in range(n_motors if moved else 0)
    )
    path = folder / f"{joints}{n_still}{n_motors}{has_names}.xml"
    world = f'<site pos="0 0 1.5"/><geom type="plane" size="9 9 1" pos="0 0 -9"/>{bodies}'
    path.write_text(f"<mujoco><option {option}/><worldbody>{world}</worldbody><actuator>{motors}</actuator></mujoco>")
    return str(path)


def gymnasiums(env, weights, n_steps):
    """Return (return, length) in a plain loop, or Gymnasium's error."""
    total, length, ended = 0.0, 0, False
    try:
        observation, _ = env.reset(seed=3)
        while not ended and length < n_steps:
            action = np.clip(weights.reshape(-1, len(observation)) @ observation, -1, 1).astype(np.float32)
            observation, reward, terminated, truncated, _ = env.step(action)
            total, length, ended = total + reward, length + 1, terminated or truncated
    except (IndexError, ValueError, KeyError) as error:
        return error
    return total, length


@pytest.mark.promise(23)
@pytest.mark.parametrize("env_id", IDS)
def test_returns_with_a_model_of_another_size_equal_gymnasiums_or_are_an_error(env_id, tmp_path, tally):
    n_equal = n_refused = 0
    for model in MODELS:
        path = model_file(tmp_path, *model)
        try:
            env = make(env_id, xml_file=path, disable_env_checker=True)
        except ValueError:  # Gymnasium's own constructor fails
            n_refused += 1
            continue
        weights = np.random.default_rng(0).normal(
            size=(1, math.prod(env.observation_space.shape) * max(env.action_space.shape[0], 1))
        )
        theirs = gymnasiums(env, 3 * weights, 20)
        if isinstance(theirs, Exception) or 0 in env.action_space.shape:
            n_refused += 1
            with pytest.raises(ValueError, match=rf"env '{env_id}': "):
                evaluate_candidates(compiled_env(env), 3 * weights, seeds=[3], max_episode_steps=20)
            continue
        ours = evaluate_candidates(compiled_env(env), 3 * weights, seeds=[3], max_episode_steps=20)
        if ours.status[0] != UNSTABLE:
            n_equal += 1
            assert ours.lengths[0] == theirs[1], model
            assert ours.returns[0] == pytest.approx(theirs[0], rel=1e-12), model  # scores of a policy are summed in another order
    assert n_refused > 0
    tally(f"{env_id}: models of another size with Gymnasium's returns, others refused", n_equal, of=len(MODELS))


@pytest.mark.parametrize("healthy", [True, False])
def test_ant_of_two_positions_has_its_height_where_gymnasium_has_it(tmp_path, healthy):
    """`state_vector()[2]` is the first velocity then."""
    env = make("Ant-v5", xml_file=model_file(tmp_path, "sh", 1), terminate_when_unhealthy=healthy, healthy_z_range=(-3.0, 3.0))
    weights = np.random.default_rng(0).normal(size=(8, math.prod(env.observation_space.shape)))
    ours = evaluate_candidates(env, weights, seeds=range(8), max_episode_steps=30)
    for seed in range(8):
        observation, _ = env.reset(seed=seed)
        total, length, ended = 0.0, 0, False
        while not ended and length < 30:
            action = np.clip(weights[seed] @ observation, -1, 1).astype(np.float32)
            observation, reward, ended, _, _ = env.step(np.array([action]))
            total, length = total + reward, length + 1
        assert (ours.returns[seed], ours.lengths[seed]) == (pytest.approx(total, rel=1e-12), length)
    assert len(set(ours.lengths)) > 1 or not healthy


@pytest.mark.promise(23)
@pytest.mark.parametrize(
    ("env_id", "joints", "text"),
    [
        ("Hopper-v5", "sh", "must have at least 3 positions, which Gymnasium's step reads, got 2"),
        ("Walker2d-v5", "s", "must have at least 3 positions, which Gymnasium's step reads, got 1"),
        ("Humanoid-v5", "hh", "must have at least 3 positions"),
        ("Swimmer-v5", "s", "must have at least 2 positions"),
        ("Ant-v5", "s", "must have at least 3 positions and velocities, which Gymnasium's step reads, got 2"),
        ("InvertedDoublePendulum-v5", "sh", "must have at least 3 velocities"),
        ("Reacher-v5", "shh", "does not fit this environment: .*fingertip"),
        ("Ant-v4", "shh", "does not fit this environment: .*torso"),
    ],
)
def test_what_a_model_lacks_is_said_with_its_file(env_id, joints, text, tmp_path, tally):
    path = model_file(tmp_path, joints, has_names=False)
    env = gymnasium.make(
        env_id, xml_file=path, **({} if env_id != "Humanoid-v5" else {"include_qfrc_actuator_in_observation": False})
    )
    with pytest.raises(ValueError, match=rf"^ARS\(\): env '{env_id}': xml_file {path} {text}"):
        ARS("LinearPolicy", env, seed=0)
    tally("models that lack what a step reads, refused with their file", 1, of=1)


def test_a_model_without_motors_is_refused(tmp_path):
    env = gymnasium.make("HalfCheetah-v5", xml_file=model_file(tmp_path, "shh", n_motors=0))
    with pytest.raises(UnsupportedEnvError, match="has 0 controls"):
        compiled_env(env)
    with pytest.raises(UnsupportedEnvError, match="no entries"):
        ARS("LinearPolicy", env)


@pytest.mark.parametrize("seconds", ["0", "nan", "inf", "-0.01", "1e-320"])
def test_a_timestep_that_is_none_is_said_with_its_value(seconds, tmp_path):
    path = model_file(tmp_path, "shh", option=f'timestep="{seconds}"')
    with pytest.raises(ValueError, match=rf"xml_file {path}: timestep must be a finite number of seconds of at least 1e-15, got "):
        compiled_env(make("HalfCheetah-v5", xml_file=path))
    for model in (path, mujoco.MjModel.from_xml_path(path)):
        with pytest.raises(
            ValueError, match=r"^MujocoTask\(\): model must have a timestep .* a finite number of seconds of at least 1e-15, got "
        ):
            MujocoTask(model, observe, reward, n_obs=1)


def observe(constants, sim, observation):
    observation[0] = sim.qpos[0]


def reward(constants, sim, action, before):
    return 1.0


@pytest.mark.parametrize("frame_skip", [2**31, 2**40, 2**70])
def test_more_steps_than_mujoco_takes_are_refused(frame_skip, tmp_path):
    path = model_file(tmp_path, "shh")
    text = rf"^{{name}}\(\): .*frame_skip must be an integer from 1 to .*, got {frame_skip}"
    env = gymnasium.make("HalfCheetah-v5", xml_file=path, frame_skip=frame_skip)
    with pytest.raises(ValueError, match=text.format(name="ARS")):
        ARS("LinearPolicy", env)
    with pytest.raises(ValueError, match=text.format(name="MujocoTask")):
        MujocoTask(path, observe, reward, n_obs=1, frame_skip=frame_skip)


def test_a_task_whose_functions_read_beyond_an_array_is_refused(tmp_path):
    def reads_beyond(constants, sim, observation):
        observation[0] = sim.qpos[2]

    with pytest.raises(IndexError, match=r"observe goes beyond an array: .*nq=2"):
        MujocoTask(model_file(tmp_path, "sh"), reads_beyond, reward, n_obs=1)
