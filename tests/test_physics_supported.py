"""The whitelist of models for the lanes: Gymnasium's models, one mutation for each reason, and completeness over MjModel's fields.

Broken on purpose, one after the other, and seen red: each rule of `supported`, `supported_trees` and `supported_contacts` that
a mutation below is for, made true or false; lines taken out of `ABSENT`, `FIXED` and `FIXED_OPTIONS`; the search for unknown fields
left out, or its comparison made always true; masks, exclusions, welded bodies, parents, or the world's part in `pairs.may_touch`
ignored; the rules of spheres in an oblique plane, of the scale of the tolerance and of the memory left out; limits read of a free
joint.
"""

import re

import gymnasium
import mujoco
import numpy as np
import pytest

from fastars.physics import lane_model
from fastars.physics.model_fields import FIXED, FIXED_OF_DOFS, fields_of, is_known
from fastars.physics.pairs import colliding_pairs
from fastars.physics.supported import faults, unsupported

PLANAR = """
<mujoco>
  <option integrator="RK4" timestep="0.01"/>
  <default><default class="m"><joint armature="0.1" damping="0.5"/></default><geom condim="3" friction="0.7 0.1 0.1"/></default>
  <worldbody>
    <geom name="floor" type="plane" size="9 9 1"/>
    <body name="torso" pos="0 0 1" childclass="m">
      <joint name="x" type="slide" axis="1 0 0"/><joint name="z" type="slide" axis="0 0 1"/><joint name="y" axis="0 1 0"/>
      <geom name="torso" type="capsule" size="0.1 0.2" contype="0" conaffinity="1"/>
      <site name="tip" pos="0 0 0.2"/>
      <body name="thigh" pos="0 0 -0.4">
        <joint name="hip" axis="0 -1 0" range="-90 20" limited="true" stiffness="2"/>
        <geom name="thigh" type="capsule" size="0.1 0.2" contype="0" conaffinity="1"/>
        <body name="foot" pos="0 0 -0.4">
          <joint name="ankle" axis="0 -1 0" range="-45 45" limited="true" ref="10"/>
          <geom name="foot" type="sphere" size="0.1" contype="0" conaffinity="1"/>
        </body>
      </body>
      <body name="arm" pos="0 0 0.4">
        <joint name="shoulder" axis="0 1 0" range="-45 45" limited="true"/>
        <geom name="arm" type="capsule" size="0.1 0.2" contype="0" conaffinity="1"/>
      </body>
    </body>
  </worldbody>
  <actuator><motor name="hip" joint="hip" gear="20" ctrlrange="-1 1" ctrllimited="true"/></actuator>
</mujoco>
"""
SPATIAL = """
<mujoco>
  <worldbody>
    <geom name="floor" type="plane" size="9 9 1"/>
    <body name="torso" pos="0 0 1">
      <freejoint name="root"/>
      <geom name="torso" type="sphere" size="0.2" contype="0" conaffinity="1"/>
      <body name="leg" pos="0.3 0 0">
        <joint name="hip" axis="0 1 1" range="-90 20" limited="true"/>
        <geom name="leg" type="capsule" size="0.1 0.2" contype="0" conaffinity="1"/>
      </body>
    </body>
  </worldbody>
  <actuator><motor name="hip" joint="hip"/></actuator>
</mujoco>
"""
OPTION = '<option integrator="RK4" timestep="0.01"/>'
HIP, FOOT, MOTOR = '<joint name="hip" axis="0 -1 0"', '<geom name="foot" type="sphere"', '<motor name="hip" joint="hip"'
FLOOR = '<geom name="floor" type="plane" size="9 9 1"/>'


def new(*since):
    """Return a mark: an older MuJoCo has no such thing."""
    found = tuple(int(part) for part in mujoco.__version__.split(".")[:2])
    return pytest.mark.skipif(found < since, reason=f"new in MuJoCo {'.'.join(map(str, since))}")


def options(text):
    return OPTION, f"<option {text}/>"


def flags(text):
    return OPTION, f"<option><flag {text}/></option>"


FLAGS_OFF = ["constraint", "equality", "frictionloss", "limit", "contact", "gravity", "clampctrl", "warmstart", "filterparent"]
FLAGS_OFF += ["actuation", "refsafe", "sensor", "midphase", "nativeccd", "eulerdamp", "autoreset"]
EARLY, LATE = "MuJoCo may stop before the solution", "the plane in which the model moves"

# (text of the planar model, text in its place, the sentence as a regular expression)
PLANAR_REASONS = [
    (*options('integrator="implicitfast"'), "option integrator=implicitfast"),
    (*options('integrator="implicit"'), "option integrator=implicit"),
    (*options('solver="PGS"'), "option solver=PGS"),
    (*options('solver="CG"'), "option solver=CG"),
    (*options('cone="elliptic"'), "option cone=elliptic"),
    (*options('impratio="2"'), "option impratio=2"),
    (*options('wind="1 0 0"'), "option wind=1 0 0"),
    (*options('density="-1"'), "option density=-1"),
    (*options('noslip_iterations="3"'), "option noslip_iterations=3"),
    (*options('iterations="5"'), f"option iterations=5: {EARLY}"),
    (*options('ls_iterations="5"'), f"option ls_iterations=5: {EARLY}"),
    (*options('tolerance="1e-3"'), f"option tolerance=0.001: {EARLY}"),
    (OPTION, f'{OPTION}<statistic meaninertia="1e9"/>', rf"statistic meaninertia=1e\+09 scales the tolerance: {EARLY}"),
    (OPTION, f'{OPTION}<size memory="10K"/>', "size memory=10240: MuJoCo may run out of it"),
    (*options('actuatorgroupdisable="0"'), "option disableactuator=1"),
    *((*flags(f'{name}="disable"'), r"option disableflags=\d+") for name in FLAGS_OFF),
    *((*flags(f'{name}="enable"'), r"a flag is enabled: enableflags=\d+") for name in ("override", "invdiscrete")),
    pytest.param(*flags('sleep="enable"'), r"a flag is enabled: enableflags=\d+", marks=new(3, 4)),
    ("<actuator>", '<tendon><fixed><joint joint="hip" coef="1"/></fixed></tendon><actuator>', "there is a tendon"),
    ("<actuator>", '<equality><joint joint1="hip" joint2="ankle"/></equality><actuator>', "there is an equality constraint"),
    ("<actuator>", '<contact><pair geom1="foot" geom2="arm"/></contact><actuator>', "there is an explicit contact pair"),
    ("<worldbody>", '<worldbody><body mocap="true"/>', "there is a mocap body"),
    (
        "<worldbody>",
        '<worldbody><flexcomp name="f" type="grid" count="3 1 1" spacing="1 1 1" radius=".1" dim="1"/>',
        "there is a flexible body",
    ),
    ('<joint name="y" axis="0 1 0"/>', '<joint name="y" type="ball"/>', "the joint 'y' is a ball joint"),
    (HIP, '<joint name="hip" axis="1 0 0"', "the joint 'hip' is not parallel to the first hinge, and there is no free joint"),
    (HIP, '<joint name="hip" axis="0 1 .01"', "the joint 'hip' is not parallel to the first hinge, and there is no free joint"),
    ('name="x" type="slide" axis="1 0 0"', 'name="x" type="slide" axis="0 1 0"', f"the joint 'x' slides out of {LATE}"),
    ('<body name="arm"', '<body name="arm" euler="10 0 0"', f"the body 'arm' is turned out of {LATE}"),
    ('stiffness="2"', 'frictionloss="2"', "the joint 'hip' has friction loss"),
    ('stiffness="2"', 'actuatorfrcrange="-1 1"', "the joint 'hip' has a force range of its actuators"),
    ('stiffness="2"', 'actuatorgravcomp="true"', "the joint 'hip' has gravity compensation by actuators"),
    ('stiffness="2"', 'margin="1"', "the joint 'hip' can be at both of its limits"),
    ('stiffness="2"', 'solreflimit="-100 -10"', "the limits of the joint 'hip' have a solref that is not positive"),
    ('stiffness="2"', 'solimplimit=".9 .95 .001 .5 3"', "the limits of the joint 'hip' have a solimp with power 3"),
    ('stiffness="2"', 'damping="-1"', "the joint 'hip' has negative damping"),
    pytest.param('stiffness="2"', 'stiffness="2 1"', "the joint 'hip' has a nonlinear spring", marks=new(3, 7)),
    pytest.param('stiffness="2"', 'damping="2 1"', "the joint 'hip' has nonlinear damping", marks=new(3, 7)),
    ('<body name="arm"', '<body name="arm" gravcomp="1"', "the body 'arm' has gravity compensation"),
    (MOTOR, '<general name="hip" biastype="affine" joint="hip"', "the actuator 'hip' has a bias: it is no motor"),
    (MOTOR, '<general name="hip" gaintype="affine" joint="hip"', "the actuator 'hip' has a gain that is not fixed"),
    (MOTOR, '<general name="hip" dyntype="filter" joint="hip"', "there is an actuator with an activation"),
    (MOTOR, '<motor name="hip" forcerange="-1 1" forcelimited="true" joint="hip"', "the actuator 'hip' has a force range"),
    (MOTOR, '<motor name="hip" site="tip"', "the actuator 'hip' does not drive a joint"),
    (MOTOR, '<motor name="hip" jointinparent="hip"', "the actuator 'hip' does not drive a joint"),
    pytest.param(MOTOR, '<position kp="1" name="hip" joint="hip"', "the actuator 'hip' has a bias: it is no motor", id="position"),
    pytest.param(MOTOR, '<motor name="hip" armature="1" joint="hip"', "the .* 'hip' has armature.*", marks=new(3, 7)),
    pytest.param(MOTOR, '<motor name="hip" damping="1" joint="hip"', "the .* 'hip' has .*damping.*", marks=new(3, 7)),
    pytest.param(MOTOR, '<motor name="hip" delay=".02" nsample="3" joint="hip"', "the actuator 'hip' has a delay", marks=new(3, 5)),
    (
        FLOOR,
        FLOOR + '<geom name="step" type="plane" size="1 1 1" pos="0 0 -1"/>',
        "there are several floors: the geom 'floor' and the geom 'step'",
    ),
    (FLOOR, FLOOR.replace("/>", ' euler="0 5 0"/>'), "the geom 'floor' is a plane that is not horizontal"),
    (FLOOR, '<geom name="ball" size="1"/>', "the geom 'ball' is fixed to the world and no plane"),
    (FLOOR, '<geom name="block" type="box" size="9 9 1"/>', "the geom 'block' is a box"),
    (FOOT, f'{FOOT} condim="4"', "the geom 'foot' has condim 4"),
    (FOOT, f'{FOOT} condim="6"', "the geom 'foot' has condim 6"),
    (FOOT, f'{FOOT} gap=".01" margin=".01"', "the geom 'foot' has a gap"),
    (FOOT, f'{FOOT} solref="-100 -10"', "the geom 'foot' has a solref that is not positive"),
    (FOOT, f'{FOOT} solimp=".9 .95 .001 .5 1"', "the geom 'foot' has a solimp with power 1"),
    (FOOT, f'{FOOT} fluidshape="ellipsoid"', "the geom 'foot' has fluid coefficients of its own"),
    (f'{FOOT} size="0.1"', '<geom name="foot" type="ellipsoid" size="1 1 1"', "the geom 'foot' is an ellipsoid"),
    (f'{FOOT} size="0.1"', '<geom name="foot" type="cylinder" size="1 1"', "the geom 'foot' is a cylinder"),
    (
        f'{FOOT} size="0.1" contype="0"',
        f'{FOOT} size="0.1" contype="1"',
        "the geom 'foot' and the geom 'torso' may touch, with friction",
    ),
    (
        '<geom name="arm" type="capsule"',
        '<geom name="arm" type="capsule" euler="10 0 0"',
        f"the geom 'arm' is a capsule that is not in {LATE}",
    ),
]
FRICTIONLESS = PLANAR.replace('condim="3"', 'condim="1"')
TOUCHING = FRICTIONLESS.replace(f'{FOOT} size="0.1" contype="0"', f'{FOOT} size="0.1" contype="1"')
LYING = (
    FRICTIONLESS.replace('axis="0 0 1"', 'axis="0 9 0"')
    .replace('axis="0 1 0"', 'axis="0 0 1"')
    .replace('axis="0 -1 0"', 'axis="0 0 1"')
)
TILTED = '<inertial pos="0 0 0" mass="1" diaginertia="1 1.1 1.2" euler="30 20 10"/><site'
OTHER_REASONS = [
    pytest.param(
        PLANAR.replace('friction="0.7 0.1 0.1"', 'friction="0 0 0"'),
        "the friction of the geom 'floor' and the geom 'torso' is 0: too small for exact numbers, condim 1 has none",
        id="friction",
    ),
    pytest.param("<mujoco/>", "there is no joint", id="empty"),
    pytest.param(
        re.sub("<joint name=.[yhas].*?/>", "", PLANAR).replace('<motor name="hip" joint="hip"', '<motor joint="x"'),
        "there is neither a hinge nor a free joint",
        id="slides",
    ),
    pytest.param(TOUCHING, "the geom 'foot' and the geom 'arm' may touch, and are in two branches of the tree", id="branches"),
    pytest.param(
        TOUCHING.replace(FOOT, f'{FOOT} pos="0 .1 0"'),
        "the geom 'foot' and the geom 'torso' may touch, and do not lie in one plane",
        id="depths",
    ),
    pytest.param(
        LYING.replace('"capsule"', '"capsule" euler="0 90 0"'),
        "the geom 'torso' may touch the floor, and the model does not move in a vertical plane",
        id="lying",
    ),
    pytest.param(
        PLANAR.replace(OPTION, '<option density="9"/>').replace("<site", TILTED),
        "the body 'torso' has axes of inertia out of the plane, in a fluid",
        id="fluid",
    ),
    pytest.param(SPATIAL.replace("<joint", "<joint type='slide'"), "the joint 'hip' is a slide below a free joint", id="slide"),
    pytest.param(
        SPATIAL.replace('<freejoint name="root"/>', '<joint name="root" type="free" stiffness="1"/>'),
        "the joint 'root' is free and has a spring",
        id="spring",
    ),
    pytest.param(
        SPATIAL.replace("</worldbody>", '<body name="box"><freejoint/><geom size="1"/></body></worldbody>'),
        "there are several trees in space: the body 'torso' and the body 'box'",
        id="trees",
    ),
    pytest.param(
        SPATIAL.replace('joint="hip"', 'joint="root"'),
        "the actuator 'hip' drives the joint 'root', which is no slide or hinge",
        id="motor",
    ),
]


def changed(text, old, new_text):
    assert old in text
    return mujoco.MjModel.from_xml_string(text.replace(old, new_text))


def same(sentence, found):
    return found is not None and re.fullmatch(sentence, found)


@pytest.mark.parametrize(
    "name", ["InvertedPendulum", "InvertedDoublePendulum", "Reacher", "Swimmer", "Hopper", "HalfCheetah", "Walker2d", "Ant"]
)
@pytest.mark.parametrize("suffix", ["v4", "v5"])
@pytest.mark.filterwarnings("ignore:.*out of date:DeprecationWarning")
def test_gymnasiums_models_are_supported(name, suffix):
    assert unsupported(gymnasium.make(f"{name}-{suffix}").unwrapped.model) is None


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("Humanoid-v5", "there is a tendon"),
        ("HumanoidStandup-v5", "there is a tendon"),
        ("Pusher-v5", "the joint 'r_shoulder_lift_joint' is not parallel to the first hinge, and there is no free joint"),
    ],
)
def test_other_models_of_gymnasium_are_named(name, sentence):
    assert unsupported(gymnasium.make(name).unwrapped.model) == sentence


@pytest.mark.parametrize("text", [PLANAR, SPATIAL, FRICTIONLESS])
def test_the_models_that_are_changed_below_are_supported(text):
    assert unsupported(mujoco.MjModel.from_xml_string(text)) is None


@pytest.mark.parametrize(("old", "new_text", "sentence"), PLANAR_REASONS)
def test_one_line_makes_a_planar_model_unsupported(old, new_text, sentence):
    found = unsupported(changed(PLANAR, old, new_text))
    assert same(sentence, found), found


@pytest.mark.parametrize(("text", "sentence"), OTHER_REASONS)
def test_other_models_are_unsupported(text, sentence):
    found = unsupported(mujoco.MjModel.from_xml_string(text))
    assert same(sentence, found), found


@pytest.mark.parametrize(
    ("old", "new_text"),
    [
        pytest.param(*flags('energy="enable" fwdinv="enable"'), id="measured"),
        pytest.param("<actuator>", '<sensor><jointpos joint="hip"/></sensor><actuator>', id="sensor"),
        pytest.param("<worldbody>", '<worldbody><camera name="c"/><light name="l"/><body><site/></body>', id="drawn"),
        pytest.param(FLOOR, FLOOR + '<geom type="box" size="1 1 1" contype="0" conaffinity="0" condim="6" gap="1"/>', id="box"),
        pytest.param("<actuator>", '<contact><exclude body1="foot" body2="arm"/></contact><actuator>', id="exclude"),
        pytest.param(
            FOOT, f'{FOOT} friction=".01" solref=".01 .5" solimp=".5 .9 .01 .3 2" margin=".01" priority="1" solmix="3"', id="soft"
        ),
        pytest.param('<body name="arm"', '<body name="arm" euler="0 30 0"', id="turned"),
        pytest.param('name="hip" joint="hip"', 'name="hip" joint="hip" group="3"', id="group"),
    ],
)
def test_harmless_changes_leave_a_model_supported(old, new_text):
    assert unsupported(changed(PLANAR, old, new_text)) is None


class Changed:
    """A model of which some fields are other ones, or new ones."""

    from_xml_string = staticmethod(mujoco.MjModel.from_xml_string)

    def __init__(self, mj_model, **fields):
        self._mj_model, self._fields = mj_model, fields

    def __getattr__(self, name):
        return self._fields[name] if name in self._fields else getattr(self._mj_model, name)

    def __dir__(self):
        return [*dir(self._mj_model), *self._fields]


@pytest.mark.parametrize("name", sorted({**FIXED, **FIXED_OF_DOFS}))
def test_every_fixed_field_is_looked_at(name):
    mj_model = mujoco.MjModel.from_xml_string(PLANAR)
    if not hasattr(mj_model, name):
        pytest.skip(f"this MuJoCo has no {name}")
    value, words = {**FIXED, **FIXED_OF_DOFS}[name]
    field = np.array(getattr(mj_model, name), np.float64)
    assert len(field)
    field[-1] = value + 1
    assert unsupported(Changed(mj_model, **{name: field})).endswith(f"has {words}")


@pytest.mark.parametrize("text", [PLANAR, SPATIAL])
def test_every_field_of_this_mujoco_is_known(text):
    assert [name for name in fields_of(mujoco.MjModel.from_xml_string(text)) if not is_known(name)] == []


def test_an_unknown_field_is_a_reason_unless_it_is_at_its_default(monkeypatch):
    mj_model = mujoco.MjModel.from_xml_string(PLANAR)
    found = unsupported(Changed(mj_model, body_novelty=np.ones(mj_model.nbody)))
    assert found == "the model has the field 'body_novelty', which is unknown here, and it is not at its default"
    monkeypatch.setattr("fastars.physics.model_fields.LISTED", set())  # all fields are unknown: those at their defaults pass
    found = unsupported(mujoco.MjModel.from_xml_string(SPATIAL))
    assert found.startswith("the model has the field ")
    assert "'body_gravcomp'" not in found
    harmless = Changed(mj_model, body_novelty=np.zeros(0), jnt_novelty=np.zeros((0, 3)))
    monkeypatch.undo()
    assert unsupported(harmless) is None


def test_pairs_are_those_that_mujoco_tests():
    """All geoms lie in one point, so that MuJoCo makes a contact of each pair that it tests."""
    rng = np.random.default_rng(0)
    for _ in range(30):
        mj_model = mujoco.MjModel.from_xml_string(nested(rng, 8))
        mj_data = mujoco.MjData(mj_model)
        mujoco.mj_forward(mj_model, mj_data)
        touching = {tuple(sorted(map(int, contact.geom))) for contact in mj_data.contact}
        assert {tuple(sorted(pair)) for pair in colliding_pairs(mj_model)} == touching


def nested(rng, n_bodies):
    """Return a random tree of spheres about the origin, with random masks, some bodies without joints, and an exclusion."""
    lines, depth = ['<geom size="1" contype="3" conaffinity="3"/>'], 0
    for body in range(n_bodies):
        up = int(rng.integers(0, depth + 1))
        joint = '<joint axis="0 1 0"/>' if rng.random() < 0.6 else ""
        contype, conaffinity = rng.integers(0, 4, 2)
        lines += ["</body>"] * up
        lines.append(f'<body name="b{body}">{joint}<geom size="1" contype="{contype}" conaffinity="{conaffinity}"/>')
        depth += 1 - up
    first, second = rng.choice(n_bodies, 2, replace=False)
    exclude = f'<contact><exclude body1="b{first}" body2="b{second}"/></contact>'
    return f"<mujoco><worldbody>{''.join(lines)}{'</body>' * depth}</worldbody>{exclude}</mujoco>"


def test_a_free_joint_has_no_limits_whatever_its_field_says():
    mj_model = mujoco.MjModel.from_xml_string(SPATIAL)
    assert lane_model(mj_model).n_limits == 1
    mj_model.jnt_limited[0], mj_model.jnt_range[0] = 1, (-0.1, 0.1)
    assert unsupported(mj_model) is None
    assert lane_model(mj_model).n_limits == 1


def test_a_plane_on_a_moving_body_is_a_reason():
    """MuJoCo's compiler refuses such a model, but the field can be written afterwards."""
    mj_model = mujoco.MjModel.from_xml_string(PLANAR)
    mj_model.geom_type[mj_model.geom("foot").id] = 0
    assert unsupported(mj_model) == "the geom 'foot' is a plane on a moving body"


OBLIQUE = """<mujoco><worldbody><geom type="plane" size="1 1 1"/><body pos="0 0 5"><joint axis="-1 1 0"/>
<geom type="capsule" size=".1 .5"/><body pos="0 0 1"><joint axis="-1 1 0" range="-1 1" limited="true"/>
<geom name="tip" size=".1" %s/></body></body></worldbody></mujoco>"""


def test_friction_of_a_sphere_in_an_oblique_plane_is_a_reason_before_it_touches():
    """MuJoCo's friction of spheres is along the world's x and y, that of capsules along their axis."""
    sentence = "the geom 'tip' is a sphere that may touch the floor with friction, and the model moves in a plane "
    assert unsupported(mujoco.MjModel.from_xml_string(OBLIQUE % "")) == f"{sentence}along neither the world's x nor its y axis"
    assert unsupported(mujoco.MjModel.from_xml_string(OBLIQUE.replace("-1 1 0", "-1 0 0") % "")) is None
    capsule = 'type="capsule" fromto="0 0 0 .1 .1 .1"'
    assert unsupported(mujoco.MjModel.from_xml_string(OBLIQUE % capsule)) is None


def test_all_faults_can_be_listed():
    mj_model = gymnasium.make("Humanoid-v5").unwrapped.model
    assert {"there is a tendon", "option solver=PGS"} < set(faults(mj_model))
