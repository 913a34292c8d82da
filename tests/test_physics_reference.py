"""The twin of forward dynamics: numbers worked out by hand, and mj_step.

Broken on purpose, one after the other, and seen red: anchors and order of quaternions, sign of a cross product, reference
positions, moments of subtrees; armature, gyroscopic and Coriolis terms, gravity, clamped and bad controls, springs, drag;
margins, frames, friction and ends of contacts; time constants, impedance, softness of pyramids and sides of limits; a full step
in place of a line search, a line search without kinks; implicit damping, weights of Runge-Kutta, rates of rotation vectors and
qacc by version; signs, arms and tangents of contact forces.
"""

import gymnasium
import mujoco
import numpy as np
import pytest
from physics_models import random_model
from physics_states import Oracle, difference, is_degenerate, states

from fastars.reference.physics import forward, is_bad, step, version_of
from fastars.reference.physics.constraints import impedance, reference
from fastars.reference.physics.contacts import contact_frame, contacts, nearest_points
from fastars.reference.physics.integrators import rotation_rate
from fastars.reference.physics.kinematics import forward_kinematics, jacobian, matrix, turn
from fastars.reference.physics.solver import line_search

VERSION = version_of(mujoco.__version__)
MODELS = ["InvertedPendulum", "InvertedDoublePendulum", "Reacher", "Swimmer", "Hopper", "HalfCheetah", "Walker2d", "Ant"]
NO_GRAVITY = '<option gravity="0 0 0" timestep="0.1"/>'


def model(bodies, options="<option/>", actuators=""):
    return mujoco.MjModel.from_xml_string(f"<mujoco>{options}<worldbody>{bodies}</worldbody>{actuators}</mujoco>")


def link(joints, mass=1.0, at="0 0 0", inertia="1 1 1", inside=""):
    return f'<body>{joints}<inertial pos="{at}" mass="{mass}" diaginertia="{inertia}"/>{inside}</body>'


def accelerate(mj_model, qpos, qvel, ctrl=(), version=VERSION):
    return forward(mj_model, np.array(qpos, np.float64), np.array(qvel, np.float64), np.array(ctrl, np.float64), version)


def advance(mj_model, qpos, qvel, version=mujoco.__version__):
    return step(mj_model, np.array(qpos, np.float64), np.array(qvel, np.float64), np.zeros(0), version)


# --- smooth dynamics


def test_a_pendulum_with_spring_damper_armature_and_motor():
    """2 kg, 0.5 m below a hinge, at 30 degrees: the moment of inertia is 0.2 + 2 * 0.25 + 0.3 = 1.0.

    Torques: gravity -2 * 9.81 * 0.5 * sin(30) = -4.905; damper -0.4 * 2 = -0.8; spring -3 * (pi / 6 - 0.1); motor 5 * 0.25,
    clamped.
    """
    joint = '<joint name="j" axis="0 1 0" damping="0.4" stiffness="3" springref="0.1" armature="0.3"/>'
    motor = '<actuator><motor joint="j" gear="5" ctrllimited="true" ctrlrange="-0.25 0.25"/></actuator>'
    mj_model = model(link(joint, 2, "0 0 -0.5", "0.2 0.2 0.2"), '<compiler angle="radian"/>', motor)
    now = accelerate(mj_model, [np.pi / 6], [2.0], [7.0])
    assert now.qfrc_actuator == pytest.approx([1.25])
    assert now.qacc == pytest.approx([-4.905 - 0.8 - 3 * (np.pi / 6 - 0.1) + 1.25])
    assert accelerate(mj_model, [0.0], [0.0], [np.nan]).qfrc_actuator == [0.0]
    mj_model.actuator_ctrllimited[:] = False
    assert accelerate(mj_model, [0.0], [0.0], [1e10]).qfrc_actuator == [5e10]
    assert accelerate(mj_model, [0.0], [0.0], [1.1e10]).qfrc_actuator == [0.0]  # such a number is bad


def test_a_double_pendulum_of_point_masses():
    """Two masses of 1 kg on rods of 1 m, without gravity, elbow at 60 degrees, speeds (1, 2).

    M = [[3 + 2 cos, 1 + cos], [1 + cos, 1]] = [[4, 1.5], [1.5, 1]]; c = (-2 sin w1 w2 - sin w2^2, sin w1^2) = sin (-8, 1).
    """
    outer = '<body pos="0 0 -1"><joint axis="0 1 0"/><inertial pos="0 0 -1" mass="1" diaginertia="1 1 1"/></body>'
    mj_model = model(link('<joint axis="0 1 0"/>', 1, "0 0 -1", inside=outer), NO_GRAVITY)
    mj_model.body_inertia[:] = 0
    now = accelerate(mj_model, [0.3, np.pi / 3], [1.0, 2.0])
    mass, bias = np.array([[4, 1.5], [1.5, 1]]), np.sin(np.pi / 3) * np.array([-8, 1])
    assert now.mass_matrix == pytest.approx(mass)
    assert now.qfrc_smooth == pytest.approx(-bias)
    assert now.qacc == pytest.approx(np.linalg.solve(mass, -bias))


def test_a_mass_that_slides_on_a_turning_arm():
    """Centrifugal acceleration r w^2 outwards, Coriolis torque -2 m r w v. r = 2, w = 3, v = 5, m = 1, no inertia."""
    joints = '<joint axis="0 1 0"/><joint type="slide" axis="1 0 0"/>'
    mj_model = model(link(joints), NO_GRAVITY)
    mj_model.body_inertia[:] = 0
    now = accelerate(mj_model, [0.4, 2.0], [3.0, 5.0])
    assert now.mass_matrix == pytest.approx(np.diag([4.0, 1.0]))
    assert now.qfrc_smooth == pytest.approx([-2 * 2 * 3 * 5, 2 * 9])


def test_a_free_body_falls_and_precesses():
    """Euler: I alpha = -omega x I omega. With I = (1, 2, 3) and omega = (1, 1, 1): -(1, -2, 1), so alpha = (-1, 1, -1/3)."""
    mj_model = model(link("<freejoint/>", 1, "0 0 0", "1 2 3"))
    now = accelerate(mj_model, [5, 6, 7, 0.6, 0, 0.8, 0], [1, 2, 3, 1, 1, 1])
    assert now.qacc == pytest.approx([0, 0, -9.81, -1, 1, -1 / 3])


def test_a_medium():
    """A body of 6 kg with moments 1 is a cube of 1 m. Viscosity 1 / pi, density 2.

    At 2 m/s: 3 * 1 * 2 + 2 / 2 * 1 * 4 = 10 N. At 2 rad/s: 1 * 2 + 2 / 64 * (1 + 1) * 4 = 2.25 Nm.
    """
    medium = f'<option gravity="0 0 0" density="2" viscosity="{1 / np.pi!r}"/>'
    mj_model = model(link('<joint type="slide" axis="1 0 0"/><joint axis="0 0 1"/>', 6), medium)
    assert accelerate(mj_model, [0, 0], [2.0, 0]).qfrc_smooth == pytest.approx([-10, 0])
    assert accelerate(mj_model, [0, 0], [0, 2.0]).qfrc_smooth == pytest.approx([0, -2.25])


def test_jacobians_are_derivatives_of_positions():
    rng = np.random.default_rng(0)
    mj_model = mujoco.MjModel.from_xml_string(random_model(rng, is_spatial=True))
    qpos, direction, h = states(mj_model, 1).qpos[0], rng.normal(size=mj_model.nv), 1e-6

    def ahead(by):
        moved = qpos.copy()
        mujoco.mj_integratePos(mj_model, moved, direction, by)
        return forward_kinematics(mj_model, moved).xipos

    now = forward_kinematics(mj_model, qpos)
    for body in range(mj_model.nbody):
        linear, _ = jacobian(mj_model, now, body, now.xipos[body])
        assert linear @ direction == pytest.approx((ahead(h) - ahead(-h))[body] / (2 * h), abs=1e-7)


def test_rotations():
    assert matrix(turn(np.array([0, 0, 1]), np.pi / 2)) @ [1, 0, 0] == pytest.approx([0, 1, 0])
    mj_model = model(link('<joint axis="0 0 1" pos="1 0 0"/>'))
    now = forward_kinematics(mj_model, np.array([np.pi / 2]))
    assert now.xpos[1] == pytest.approx([1, -1, 0])  # the anchor (1, 0, 0) stays


# --- constraints


@pytest.mark.parametrize(("gap", "d"), [(-0.025, 0.275), (-0.05, 0.5), (-0.075, 0.725), (-0.1, 0.8), (-5, 0.8)])
def test_impedance(gap, d):
    """From 0.2 to 0.8 over 0.1: a quarter of the way is y = 0.25^2 / 0.5 = 0.125."""
    assert impedance(gap, 0.2, 0.8, 0.1, 0.5, 2) == pytest.approx(d)


def test_the_reference_of_solref():
    spring = reference((0.02, 0.5), (0.9, 0.9, 0, 0.5, 2), -0.01, 0.005)
    assert spring == pytest.approx((0.9, 2 / (0.9 * 0.02), 1 / (0.9 * 0.02 * 0.5) ** 2))
    assert reference((0.02, 0.5), (0.9, 0.9, 0, 0.5, 2), -0.01, 0.05).b == pytest.approx(2 / (0.9 * 0.1))  # at least two steps


FLAT = "0.9 0.9 0 0.5 2"
STILL = '<option gravity="0 0 0" timestep="0.001"/>'


def test_a_limit():
    """1 kg, 1 cm beyond its limit, going on at 0.5 m/s, d = 0.9: b = 1000 / 9, k = (1 / 0.018)^2.

    aref = 0.5 b + 0.9 * 0.01 k = 83.333; R = 0.1 / 0.9, D = 9: qacc = 9 * 83.333 / (1 + 9) = 75.
    """
    joint = f'<joint type="slide" axis="1 0 0" limited="true" range="-1 2" solimplimit="{FLAT}"/>'
    mj_model = model(link(joint), STILL)
    now = accelerate(mj_model, [-1.01], [-0.5])
    assert now.qacc == pytest.approx([75])
    assert now.qfrc_constraint == pytest.approx([75])
    assert accelerate(mj_model, [2.01], [0.5]).qacc == pytest.approx([-75])
    assert accelerate(mj_model, [-0.99], [-0.5]).qacc == [0]
    assert accelerate(mj_model, [-1.01], [20.0]).qacc == [0]  # it leaves the limit faster than aref


def block(friction, condim=3):
    joints = '<joint type="slide" axis="1 0 0"/><joint type="slide" axis="0 0 1"/>'
    ball = f'<geom size="1" pos="0 0 1" condim="{condim}" friction="{friction} 0 0" solimp="{FLAT}"/>'
    floor = f'<geom type="plane" size="1 1 1" friction="0 0 0" condim="1" solimp="{FLAT}"/>'
    mj_model = model(floor + link(joints, inside=ball), STILL)
    mj_model.body_invweight0[1, 0] = 1
    return mj_model


def test_a_contact_without_friction():
    assert accelerate(block(0, condim=1), [0, -0.01], [3, -0.5]).qacc == pytest.approx([0, 75])


def test_a_contact_that_sticks():
    """As the limit above, with friction 0.5 and 0.1 m/s along the floor: all four edges act.

    R = 2 * 0.25 * (1.25 / 9), D = 14.4; aref of the edges = 83.333 (twice), 83.333 -+ 0.05 b = 77.778, 88.889.
    Vertical: a = 14.4 * 4 * 83.333 / (1 + 57.6). Along the floor: a = -7.2 (a + 0.1 b).
    """
    assert accelerate(block(0.5), [0, -0.01], [0.1, -0.5]).qacc == pytest.approx([-80 / 8.2, 4800 / 58.6])


def test_a_contact_that_slides():
    """At 1 m/s along the floor, one edge acts: a = D r (-0.5, 1) with r = aref / (1 + 1.25 D), aref = 83.333 + 0.5 b."""
    assert accelerate(block(0.5), [0, -0.01], [1.0, -0.5]).qacc == pytest.approx([-1000 / 19, 2000 / 19])


def test_external_forces_are_moments_about_the_tree():
    """The block's contact is 5 mm above its lowest point (0, 0, -0.01), and its centre of mass at (0, 0, -0.01)."""
    now = accelerate(block(0.5), [0, -0.01], [1.0, -0.5])
    force = np.array([-1000 / 19, 0, 2000 / 19])
    arm = np.array([0, 0, 0.005])
    assert now.cfrc_ext[1] == pytest.approx([*np.cross(arm, force), *force], abs=1e-9)


def test_the_line_search_finds_the_zero_of_a_piecewise_line():
    """slope -10 + t; a row -1 + t (D = 2) acts until t = 1; a row 6 - 2 t (D = 1) acts from t = 3 on.

    Before 1: -10 + t + 2 (t - 1). From 1 to 3: -10 + t = -7 at 3. Beyond: -10 + t - 2 (6 - 2 t) = -22 + 5 t, zero at 4.4.
    """
    found = line_search(1.0, -10.0, np.array([-1.0, 6.0]), np.array([1.0, -2.0]), np.array([2.0, 1.0]))
    assert found == pytest.approx(4.4)
    assert line_search(1.0, -2.0, np.array([5.0]), np.array([1.0]), np.array([1.0])) == pytest.approx(2.0)
    # Two rows that act from 0.3 on (D = 9) and from 0.5 on: -1 + t + 9 (t - 0.3) is zero between, at 0.37.
    assert line_search(1.0, -1.0, np.array([0.3, 0.5]), np.array([-1.0, -1.0]), np.array([9.0, 100.0])) == pytest.approx(0.37)


# --- contacts


@pytest.mark.parametrize(
    ("half1", "centre2", "half2", "expected"),
    [
        ((1, 0, 0), (0, 0, 1), (0, 1, 0), [((0, 0, 0), (0, 0, 1))]),  # crossing
        ((1, 0, 0), (3, 0, 1), (0, 1, 0), [((1, 0, 0), (3, 0, 1))]),  # beyond the first one's end
        ((1, 0, 0), (0, 4, 1), (0, 1, 0), [((0, 0, 0), (0, 3, 1))]),  # beyond the second one's end
        ((1, 0, 0), (5, 0, 1), (0, 0, 0), [((1, 0, 0), (5, 0, 1))]),  # a sphere
        ((1, 0, 0), (0.5, 0, 1), (1, 0, 0), [((-0.5, 0, 0), (-0.5, 0, 1)), ((1, 0, 0), (1, 0, 1))]),  # side by side for 1.5
    ],
)
def test_nearest_points(half1, centre2, half2, expected):
    vectors = (np.zeros(3), np.array(half1, np.float64), np.array(centre2, np.float64), np.array(half2, np.float64))
    assert np.array(nearest_points(*vectors, (4, 0))) == pytest.approx(np.array(expected))
    if len(expected) == 1:
        assert np.array(nearest_points(*vectors, (3, 3))) == pytest.approx(np.array(expected))


def test_parallel_capsules_of_older_versions():
    """The points nearest to the ends of the first segment, then of the second: MuJoCo before 3.17."""
    found = nearest_points(np.zeros(3), np.array([1.0, 0, 0]), np.array([0.5, 0, 1]), np.array([1.0, 0, 0]), (3, 15))
    expected = [((1, 0, 0), (1, 0, 1)), ((-1, 0, 0), (-0.5, 0, 1)), ((1, 0, 0), (1.5, 0, 1)), ((-0.5, 0, 0), (-0.5, 0, 1))]
    assert np.array(found) == pytest.approx(np.array(expected))


@pytest.mark.parametrize("angle", [0.0, 1e-9, 9e-5, -9e-5, 3e-4, 0.1])
@pytest.mark.parametrize(
    ("shift", "half", "turn_back"), [(0.0, 0.2, 0), (0.05, 0.5, 0), (0.35, 0.2, 180), (-0.4, 0.2, 0), (0.49999, 0.2, 180)]
)
def test_nearly_parallel_capsules_touch_as_in_mujoco(angle, shift, half, turn_back):
    """An angle of 1e-4 is where versions since 3.16 begin to take them as parallel."""
    bar = '<geom type="capsule" size="0.1 {}" euler="{} 0 0" condim="1" {}/>'
    upper = bar.format(half, 90 + turn_back, f'pos="0 {shift} 0"')
    joints = '<joint type="slide" axis="0 0 1"/><joint axis="1 0 0"/>'
    mj_model = model(bar.format(0.3, 90, "") + link(joints, inside=upper))
    qpos = np.array([0.15, angle])
    mj_data = Oracle(mj_model).forward(qpos, np.zeros(2), np.zeros(0), np.zeros(2))
    found = contacts(mj_model, forward_kinematics(mj_model, qpos), VERSION)
    assert len(found) == mj_data.ncon > 0
    places = sorted((contact.distance, *contact.position) for contact in found)
    assert np.array(places) == pytest.approx(np.array(sorted((c.dist, *c.pos) for c in mj_data.contact)), abs=1e-12)


def test_contact_frames():
    up = np.array([0.0, 0.0, 1.0])
    assert contact_frame(up, np.zeros(3)) == pytest.approx(np.array([[0, 0, 1], [0, 1, 0], [-1, 0, 0]]))
    assert contact_frame(up, np.array([0.6, 0, 0.8])) == pytest.approx(np.array([[0, 0, 1], [1, 0, 0], [0, 1, 0]]))
    assert contact_frame(up, up)[1] == pytest.approx([1, 0, 0])  # a vertical capsule


@pytest.mark.parametrize(("version", "margin"), [((3, 4), 0.3), ((3, 5), 0.5), ((4, 0), 0.5)])
def test_margins_of_a_pair(version, margin):
    """Seen: MuJoCo 3.3.0, 3.3.7 and 3.4.0 take the larger margin; 3.5.0, 3.12.0, 3.17.0 and 4.0.0 the sum."""
    mj_model = model(
        '<geom size="0.1" margin="0.3"/>' + link('<joint type="slide" axis="0 0 1"/>', inside='<geom size="0.1" margin="0.2"/>')
    )
    now = forward_kinematics(mj_model, np.array([0.3]))
    assert [contact.margin for contact in contacts(mj_model, now, version)] == pytest.approx([margin])


# --- integrators


def test_euler_takes_damping_implicitly():
    mj_model = model(link('<joint type="slide" axis="1 0 0" damping="1"/>'), NO_GRAVITY)
    after = advance(mj_model, [0], [1])
    assert after.qacc == pytest.approx([-1])
    assert after.qvel == pytest.approx([1 / 1.1])
    assert after.qpos == pytest.approx([0.1 / 1.1])


def test_runge_kutta_is_of_fourth_order():
    """An oscillator with period 2 pi: the Taylor polynomials of cosine and sine, up to h^4."""
    mj_model = model(
        link('<joint type="slide" axis="1 0 0" stiffness="1"/>'), NO_GRAVITY.replace("timestep", 'integrator="RK4" timestep')
    )
    after, h = advance(mj_model, [1], [0]), 0.1
    assert after.qpos == pytest.approx([1 - h**2 / 2 + h**4 / 24], rel=1e-15)
    assert after.qvel == pytest.approx([-h + h**3 / 6], rel=1e-15)


@pytest.mark.parametrize(
    ("version", "quaternion", "is_mean"),
    [
        ("3.3.0", [0.98280085, 0.03427127, 0.10531109, 0.14777529], False),  # printed by MuJoCo 3.3.0, and by 3.17.0
        ("4.0.0", [0.98280019, 0.0339791, 0.10455526, 0.14838265], True),  # printed by MuJoCo 4.0.0
    ],
)
def test_runge_kutta_of_a_spinning_body(version, quaternion, is_mean):
    options = '<option gravity="0 0 0" timestep="0.1" integrator="RK4"/>'
    mj_model = model(link("<freejoint/>", 1, "0 0 0", "0.1 0.2 0.3").replace("<body>", '<body pos="0 0 1">'), options)
    after = advance(mj_model, mj_model.qpos0, [0, 0, 0, 1, 2, 3], version)
    assert after.qpos[3:] == pytest.approx(quaternion, abs=1e-8)
    mean = (after.qvel - [0, 0, 0, 1, 2, 3]) / 0.1
    assert after.qacc == pytest.approx(mean if is_mean else after.last.qacc)
    assert np.max(np.abs(mean - after.last.qacc)) > 0.01


@pytest.mark.parametrize("length", [0.05, 0.15, 0.25, 2.5])
def test_the_rate_of_a_rotation_vector(length):
    """Moving a rotation vector by its rate is turning at omega, to first order."""
    u, omega, h = length * np.array([0.48, 0.6, 0.64]), np.array([0.3, -0.7, 0.2]), 1e-6
    vectors = (u - h * rotation_rate(u, omega), u + h * rotation_rate(u, omega))
    before, after = (matrix(turn(v / np.linalg.norm(v), np.linalg.norm(v))) for v in vectors)
    spin = before.T @ (after - before) / (2 * h)
    assert [spin[2, 1], spin[0, 2], spin[1, 0]] == pytest.approx(omega, abs=1e-5)


def test_bad_numbers():
    assert not is_bad(np.array([1e10, -1e10]))
    assert is_bad(np.array([0, np.nan]))
    assert is_bad(np.array([-1.1e10]))


# --- MuJoCo


def agreement(mj_model, state, oracle):
    """Return the largest relative difference of the twin and MuJoCo after one step, over all that mjData holds of it."""
    expected, found = oracle.step(*state), step(mj_model, *state[:3], mujoco.__version__)
    last = found.last
    pairs = [
        *((found.qpos, expected.qpos), (found.qvel, expected.qvel), (found.qacc, expected.qacc)),
        *((last.qacc, expected.qacc_warmstart), (last.qfrc_constraint, expected.qfrc_constraint)),
        *((last.qfrc_actuator, expected.qfrc_actuator), (last.cfrc_ext, expected.cfrc_ext)),
        *(
            (getattr(last.kinematics, name), getattr(expected, name))
            for name in ("xpos", "xquat", "xipos", "site_xpos", "subtree_com")
        ),
    ]
    return max(difference(*pair) for pair in pairs)


@pytest.mark.parametrize("name", MODELS)
def test_the_twin_is_mj_step(name):
    mj_model = gymnasium.make(f"{name}-v5").unwrapped.model
    oracle = Oracle(mj_model)
    for kind, *state in zip(*states(mj_model, 48), strict=True):
        bound = 1e-9 if kind == "turns" else 1e-11  # a kilometre from the origin, positions have three digits less
        assert is_degenerate(oracle.step(*state)) or agreement(mj_model, state, oracle) < bound, kind


@pytest.mark.parametrize("is_spatial", [False, True])
def test_the_twin_is_mj_step_for_random_models(is_spatial):
    """The bound is that of MuJoCo's own rounding: conditions are as they come."""
    n = 0
    for seed in range(16):
        mj_model = mujoco.MjModel.from_xml_string(random_model(np.random.default_rng(seed), is_spatial))
        oracle = Oracle(mj_model)
        for kind, *state in zip(*states(mj_model, 8, seed, ["policies", "limits", "deep", "falling"]), strict=True):
            if all(np.all(np.abs(part) < 1e4) for part in state):
                assert is_degenerate(oracle.step(*state)) or agreement(mj_model, state, oracle) < 1e-9, (seed, kind)
                n += 1
    assert n > 80
