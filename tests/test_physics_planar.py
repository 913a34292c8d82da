"""One step of planar models over lanes against `mj_step`: every part that a planar model may have, and the corners of each.

MuJoCo runs at tolerance 0 here: what is left is rounding. States that its users meet by the thousand are in the tests of the twin.

Broken on purpose, one at a time: the edges without a tangent in the plane counted once -> `gymnasiums_model` red; the sign of
hinges or the turn of bodies left out, the axis of a hinge that does not move with its parent, priority, `solmix` or the
shortest time constant ignored, or the wrong side of a box in the fluid -> `of_a_tree` red; no contacts of parallel capsules ->
`parallel` red; no check of accelerations -> `bad_accelerations` red; lanes with bad numbers not put back -> `bad_numbers` red;
sine and cosine without the wide reduction -> `huge_angles` red; a limit of iterations of its own -> `limit_of_iterations` red;
`qacc` of the last stage of RK4 -> `outputs` red; crossing axes that push -> `cross` red; an array that no kernel reads ->
`all_arrays` red; u along a wall that nothing touches -> that row of `of_a_tree` red; u in no plane but those along x or z ->
`any_plane` red.
"""

import copy
import re
from pathlib import Path

import gymnasium
import numpy as np
import pytest

pytest.importorskip("mujoco", reason="MuJoCo environments need the mujoco package")

import mujoco

from fastars import physics
from fastars._compiled.jit import kernel
from fastars._compiled.protocol import forward_physics
from fastars._compiled.simd import LANES
from fastars.kernels.inspection import step_simulations
from fastars.physics import lane_model, new_lanes
from fastars.physics.model import LaneModel, Workspace
from fastars.physics.supported import unsupported

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*-v4 is out of date:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning"),
]
NAMES = ("HalfCheetah", "Hopper", "Walker2d", "Swimmer", "InvertedPendulum", "InvertedDoublePendulum", "Reacher")
OUTPUTS = ("xpos", "xquat", "xipos", "site_xpos", "subtree_com", "qacc", "qfrc_actuator", "qfrc_constraint", "cfrc_ext")

# A body that turns and slides against its parent, a welded one, spheres and capsules, a hinge the other way round, motors on both.
TREE = """
<mujoco><option timestep="0.004" integrator="Euler" gravity="0.7 0 -9.81"/>
<default><geom condim="3" friction="0.7 0.1 0.1" solref="0.01 0.9" solimp="0.8 0.95 0.02 0.4 2"/></default>
<worldbody><geom type="plane" size="9 9 1" pos="0 0 0.05" MORE_FLOOR/><site name="still" pos="0.1 0.2 0.3"/>
<body name="root" pos="0.1 0.3 1.2" euler="0 20 0">
  <joint type="slide" axis="1 0 0"/><joint type="slide" axis="0 0 1"/>
  <joint name="turn" type="hinge" axis="0 1 0" pos="0.02 0 0.03"/>
  <geom type="capsule" fromto="-0.3 0 0 0.3 0 0.02" size="0.06"/><site name="end" pos="0.3 0 0.1"/>
  <body pos="0.3 0 0"><geom type="sphere" size="0.1" pos="0.02 0 -0.02" mass="0.4" MORE_BALL/>
    <body pos="0.1 0 -0.1" euler="0 -35 0">
      <joint name="knee" type="hinge" axis="0 -1 0" range="-40 60" limited="true" damping="0.3" armature="0.02" stiffness="2"
        springref="10" margin="0.05" solreflimit="0.03 0.8"/>
      <joint name="push" type="slide" axis="0.6 0 -0.8" range="-0.05 0.1" limited="true" damping="1" stiffness="30"/>
      <geom type="capsule" fromto="0 0 0 0 0 -0.4" size="0.05"/>
      <body pos="0 0 -0.4"><joint name="ankle" type="hinge" axis="0 1 0" armature="0.01" damping="0.1"/>
        <geom type="capsule" fromto="-0.1 0 0 0.2 0 -0.02" size="0.04" MORE_FOOT/></body>
    </body>
  </body>
  <body pos="-0.3 0 0"><joint type="hinge" axis="0 1 0" damping="0.2"/>
    <geom type="capsule" fromto="0 0 0 -0.1 0 -0.5" size="0.05"/></body>
</body>
<body name="other" pos="-1 0 0.2"><joint type="hinge" axis="0 1 0"/><joint type="slide" axis="1 0 0" damping="1"/>
  <geom type="sphere" size="0.2" mass="0.7" contype="2" conaffinity="1"/></body>
</worldbody>
<actuator><motor joint="knee" gear="30" ctrlrange="-1 0.7" ctrllimited="true"/><motor joint="ankle" gear="-9"/>
<motor joint="push" gear="20"/><motor joint="knee" gear="5" ctrlrange="-2 2" ctrllimited="true"/></actuator></mujoco>"""
NO_PAIRS = "contype 1: the floor's alone"
VARIANTS = {
    "Euler": (),
    "RK4": (('integrator="Euler"', 'integrator="RK4"'),),
    "fluid": (('integrator="Euler"', 'integrator="Euler" density="90" viscosity="0.8"'),),
    "fluid without a density": (('integrator="Euler"', 'integrator="RK4" viscosity="1.5"'),),
    "no friction": (('condim="3"', 'condim="1"'),),
    "one frictionless geom of two": (("MORE_FLOOR", 'condim="1"'), ("MORE_BALL", 'condim="1"'), ("MORE_FOOT", 'condim="1"')),
    "priority": (("MORE_FOOT", 'priority="1" friction="0.2 0.1 0.1" solref="0.02 1.2" condim="3"'),),
    "mixed": (("MORE_FOOT", 'solmix="3" friction="1.5 0.1 0.1" solref="0.03 1.1" solimp="0.5 0.99 0.1 0.5 2"'),),
    "flat impedance": (('solimp="0.8 0.95 0.02 0.4 2"', 'solimp="0.9 0.9 0.02 0.4 2"'),),
    "shorter than two steps": (('solref="0.01 0.9"', 'solref="0.002 1"'),),
    "a wall that nothing touches": (
        ("<worldbody>", "<worldbody><geom type='plane' size='1 1 1' pos='-3 0 0' zaxis='1 0 0' contype='0' conaffinity='0'/>"),
    ),
    "margins": (("MORE_FLOOR", 'margin="0.02"'), ("MORE_FOOT", 'margin="0.05"'), ("MORE_BALL", 'margin="0.01"')),
}


def tree(*changes):
    """Return the model TREE with pieces of its text replaced. Its own geoms don't touch each other."""
    text = TREE
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    for name in ("MORE_FLOOR", "MORE_BALL", "MORE_FOOT"):
        text = text.replace(name, "")
    text = text.replace("<geom condim", '<geom contype="2" conaffinity="1" condim').replace(
        'type="plane"', 'type="plane" contype="1" conaffinity="2"'
    )
    return mujoco.MjModel.from_xml_string(text)


# Three links that can fold together: the third touches the first.
FOLDED = """
<mujoco><option timestep="0.002" gravity="0 0 -9.81" integrator="RK4"/><worldbody><body pos="0 0 3">
  <joint type="slide" axis="1 0 0"/><joint type="slide" axis="0 0 1"/><joint type="hinge" axis="0 1 0"/>
  <geom FIRST/><body pos="0.4 0 0"><joint type="hinge" axis="0 1 0" damping="0.1"/>
    <geom type="capsule" fromto="0 0 0 0 0 0.16" size="0.02" contype="0" conaffinity="0"/>
    <body pos="0 0 0.16"><joint type="hinge" axis="0 1 0" damping="0.1"/><geom THIRD/></body></body>
</body></worldbody></mujoco>"""
LINK = 'type="capsule" fromto="{} 0 0 {} 0 0" size="0.05" condim="1" margin="0.01"'
BALL = 'type="sphere" pos="{} 0 0" size="0.06" condim="1" margin="0.01"'


@kernel
def compute(lanes):
    forward_physics(lanes)


def states_of(model, n, seed=0, steps=200, spread=0.3):
    """Return n states of simulations under random controls, falls and hits included: rows of (qpos, qvel, ctrl, qacc_warmstart)."""
    rng, data, rows = np.random.default_rng(seed), mujoco.MjData(model), []
    limits = np.where(model.actuator_ctrllimited[:, None], model.actuator_ctrlrange, (-1.0, 1.0))
    while len(rows) < n:
        mujoco.mj_resetData(model, data)
        data.qpos[:] += rng.normal(scale=spread, size=model.nq)
        data.qvel[:] = rng.normal(scale=1.0, size=model.nv)
        for step in range(steps):
            if step % 10 == 0:
                data.ctrl[:] = rng.uniform(*limits.T) * rng.choice((0.0, 1.0, 1.5))
            if rng.random() < 4 / steps:
                rows.append([data.qpos.copy(), data.qvel.copy(), data.ctrl.copy(), data.qacc_warmstart.copy()])
            mujoco.mj_step(model, data)
    return rows[:n]


def in_lanes(lanes, rows):
    """Put up to LANES states into lanes, the last one also into those that are left."""
    for lane in range(LANES):
        for array, values in zip(
            (lanes.qpos, lanes.qvel, lanes.ctrl, lanes.qacc_warmstart), rows[min(lane, len(rows) - 1)], strict=True
        ):
            array[:, lane] = values


def in_mujoco(model, row, n_steps):
    """Return the MjData of a state after steps, 0 for the forces of the state; the solver goes on until nothing changes."""
    data, exact = mujoco.MjData(model), copy.copy(model)
    exact.opt.tolerance, exact.opt.iterations, exact.opt.ls_tolerance, exact.opt.ls_iterations = 0.0, 300, 1e-6, 100
    data.qpos[:], data.qvel[:], data.ctrl[:], data.qacc_warmstart[:] = row
    mujoco.mj_step(exact, data, n_steps) if n_steps else mujoco.mj_forward(exact, data)
    return data


def differences(model, rows, n_steps=1):
    """Return the largest difference of qpos and qvel after steps, in each state, as a part of the largest number there."""
    lanes, worst = new_lanes(lane_model(model), False), []
    for start in range(0, len(rows), LANES):
        in_lanes(lanes, rows[start : start + LANES])
        step_simulations(lanes, n_steps)
        for lane, row in enumerate(rows[start : start + LANES]):
            data = in_mujoco(model, row, n_steps)
            scale = 1.0 + max(np.abs(data.qvel).max(), np.abs(row[1]).max())
            worst.append(max(np.abs(lanes.qpos[:, lane] - data.qpos).max(), np.abs(lanes.qvel[:, lane] - data.qvel).max()) / scale)
    assert not lanes.is_bad.any()
    return np.array(worst)


@pytest.mark.parametrize("version", ["v4", "v5"])
@pytest.mark.parametrize("name", NAMES)
def test_a_step_of_gymnasiums_model_equals_mujocos(name, version):
    model = gymnasium.make(f"{name}-{version}").unwrapped.model
    assert differences(model, states_of(model, 200)).max() < 1e-11


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_step_of_a_tree_equals_mujocos(variant):
    model = tree(*VARIANTS[variant])
    assert differences(model, states_of(model, 160)).max() < 1e-11


ANY_PLANE = """
<mujoco><worldbody><body pos="0 0 1"><joint axis="{0}" damping="0.1"/><geom size="0.1" pos="0.3 0.1 0" mass="1"/>
  <body pos="0.3 0.1 0.2"><joint axis="{0}" range="-0.5 0.5" limited="true"/>
    <geom type="capsule" size="0.1 0.2" pos="0.1 0 0.2" mass="1" contype="0"/></body></body></worldbody></mujoco>"""


@pytest.mark.parametrize("axis", ["1 0 1", "1 1 1", "0 1 1", "-1 2 3", "1 1 0", "1 0 0", "0 0 1"])
def test_a_step_in_any_plane_equals_mujocos(axis):
    model = mujoco.MjModel.from_xml_string(ANY_PLANE.format(axis))
    assert unsupported(model) is None
    assert differences(model, states_of(model, 40)).max() < 1e-11


@pytest.mark.parametrize("geoms", ["capsules", "sphere first", "sphere last", "spheres"])
def test_a_step_with_contacts_of_a_chain_equals_mujocos(geoms):
    model = folded(geoms)
    rows = states_of(model, 160, steps=400, spread=1.5)
    touching = [in_mujoco(model, row, 0).ncon > 0 for row in rows]
    assert sum(touching) >= 5
    assert differences(model, rows).max() < 1e-11


def folded(geoms):
    first = BALL.format(0.1) if geoms in ("sphere first", "spheres") else LINK.format(0, 0.4)
    third = BALL.format(-0.2) if geoms in ("sphere last", "spheres") else LINK.format(0, -0.3)
    return mujoco.MjModel.from_xml_string(FOLDED.replace("FIRST", first).replace("THIRD", third))


@pytest.mark.parametrize("gap", [0.09, 0.1, 0.105])
def test_parallel_capsules_touch_at_two_points(gap):
    model = folded("capsules")
    model.body_pos[3, 2] = gap
    rows = [
        [np.array((0.3, 0.0, angle, fold, -fold)), np.zeros(5), np.zeros(0), np.zeros(5)]
        for angle in (0.0, 0.4)
        for fold in (0.0, 1e-9)
    ]
    for row in rows:
        assert in_mujoco(model, row, 0).ncon == 2
    assert differences(model, rows, 3).max() < 1e-11
    mixed = [*rows, *states_of(model, 4, spread=1.5)]
    assert differences(model, mixed, 1).max() < 1e-11


def test_capsules_whose_axes_cross_push_nowhere():
    model = folded("capsules")
    row = [np.array((0.0, 0.0, 0.0, 0.0, -np.pi / 3)), np.zeros(5), np.zeros(0), np.zeros(5)]
    assert in_mujoco(model, row, 0).ncon == 1
    assert differences(model, [row]).max() < 1e-11


@pytest.mark.parametrize("name", ["Hopper-v5", "Walker2d-v5"])
def test_upright_legs_deep_in_the_floor_are_pushed_as_by_mujoco(name):
    model, rows = (gymnasium.make(name).unwrapped.model), []
    for depth in (0.0, 1e-3, 0.02, 0.2):
        qpos = model.qpos0.copy()
        qpos[1] -= depth
        rows.append([qpos, np.zeros(model.nv), np.zeros(model.nu), np.zeros(model.nv)])
    assert in_mujoco(model, rows[-1], 0).ncon >= 2
    assert differences(model, rows).max() < 1e-11


@pytest.mark.parametrize("size", [1e4, 1e6, 1e8, 9e9])
def test_huge_angles_are_turned_exactly(size):
    model, rng, rows = (
        (tree(('limited="true" damping="0.3"', 'limited="false" damping="0.3"'), ('stiffness="2"', ""))),
        np.random.default_rng(1),
        [],
    )
    for row in states_of(model, 40):
        row[0][[2, 3, 5, 6]] += size * rng.uniform(-1, 1, 4)
        rows.append(row)
    lanes = new_lanes(lane_model(model), True)
    in_lanes(lanes, rows[:LANES])
    compute(lanes)
    for lane in range(LANES):
        n = 3 * model.nbody
        np.testing.assert_allclose(lanes.outputs[lane, :n], in_mujoco(model, rows[lane], 0).xpos.ravel(), atol=1e-13)
    speeds = differences(model, rows)
    assert speeds.max() < 1e-11


@pytest.mark.parametrize("n_steps", [0, 1, 2])
@pytest.mark.parametrize("integrator", ["Euler", "RK4"])
def test_outputs_are_what_mujoco_leaves(integrator, n_steps):
    model = tree(('integrator="Euler"', f'integrator="{integrator}"'))
    lanes = new_lanes(lane_model(model), True)
    for rows in np.array_split(np.array(states_of(model, 5 * LANES), object), 5):
        in_lanes(lanes, rows)
        before = lanes.qpos.copy(), lanes.qvel.copy(), lanes.qacc_warmstart.copy()
        step_simulations(lanes, n_steps) if n_steps else compute(lanes)
        if not n_steps:
            assert all(np.array_equal(a, b) for a, b in zip(before, (lanes.qpos, lanes.qvel, lanes.qacc_warmstart), strict=True))
        for lane, row in enumerate(rows):
            data, place = in_mujoco(model, row, n_steps), 0
            mujoco.mj_rnePostConstraint(model, data)
            for name in OUTPUTS:
                expected = np.ravel(getattr(data, name))
                found = lanes.outputs[lane, place : place + expected.size]
                scale = 1.0 + np.abs(expected).max(initial=0.0)
                np.testing.assert_allclose(found, expected, atol=1e-11 * scale, rtol=0, err_msg=name)
                place += expected.size
            assert place == lanes.outputs.shape[1]


BAD = {"nan": np.nan, "inf": np.inf, "too large": 1.1e10, "too small": -1.1e10}


@pytest.mark.parametrize("field", ["qpos", "qvel", "ctrl"])
@pytest.mark.parametrize("number", BAD)
def test_bad_numbers_mark_their_lane_alone(field, number):
    model = tree()
    model.actuator_ctrllimited[:] = 0  # a control that has a range is clamped first
    rows, lanes, clean = states_of(model, LANES), new_lanes(lane_model(model), False), new_lanes(lane_model(model), False)
    in_lanes(clean, rows)
    in_lanes(lanes, rows)
    getattr(lanes, field)[0, 3] = BAD[number]
    for _ in range(20):
        step_simulations(lanes, 3)
        step_simulations(clean, 3)
    assert lanes.is_bad.tolist() == [0, 0, 0, 1, 0, 0, 0, 0]
    others = np.arange(LANES) != 3
    assert np.array_equal(lanes.qpos[:, others], clean.qpos[:, others])
    assert np.array_equal(lanes.qvel[:, others], clean.qvel[:, others])
    assert np.isfinite(lanes.qpos).all()
    lanes.is_bad[3] = 0
    step_simulations(lanes, 1)
    assert not lanes.is_bad.any()


@pytest.mark.parametrize("integrator", ["Euler", "RK4"])
def test_bad_accelerations_mark_their_lane_where_mujoco_resets(integrator):
    model = tree(('integrator="Euler"', f'integrator="{integrator}"'))
    lanes, rows = new_lanes(lane_model(model), False), states_of(model, LANES)
    for row, speed in zip(rows, (0.0, 1e3, 1e4, 3e4, 1e5, 3e5, 1e6, 1e7), strict=True):
        row[1][2] += speed  # the body flies apart, at speed**2
    in_lanes(lanes, rows)
    step_simulations(lanes, 1)
    resets = [int(in_mujoco(model, row, 1).warning[mujoco.mjtWarning.mjWARN_BADQACC].number) for row in rows]
    assert 0 < sum(resets) < LANES
    assert lanes.is_bad.tolist() == resets


def test_the_limit_of_iterations_is_the_models():
    model = gymnasium.make("Walker2d-v5").unwrapped.model
    rows = [row for row in states_of(model, 80) if in_mujoco(model, row, 1).solver_niter[0] > 3]
    assert differences(model, rows).max() < 1e-11
    few = lane_model(model)._replace(max_iterations=np.array(1))
    lanes = new_lanes(few, False)
    in_lanes(lanes, rows)
    step_simulations(lanes, 1)
    moved = [np.abs(lanes.qvel[:, lane] - in_mujoco(model, row, 1).qvel).max() for lane, row in enumerate(rows[:LANES])]
    assert max(moved) > 1e-6
    assert np.isfinite(lanes.qvel).all()


def test_kernels_read_all_arrays_of_model_and_workspace():
    folder = Path(physics.__file__).parent
    source = "".join(path.read_text(encoding="utf-8") for path in folder.glob("*.py"))
    read = set(re.findall(r"\b[mw]\.(\w+)", source)) | {"gravity"}  # copied into the workspace
    read |= {"n_sensor_numbers"}  # the size of a field of NaN
    assert [name for name in LaneModel._fields + Workspace._fields if name not in read] == []
