"""The camera of films follows the body, by MuJoCo's own scene: no picture is drawn, so this runs without OpenGL.

Broken on purpose, one at a time: `follow` that does nothing -> all of GOING and of OWN red; the model's own cameras left out, or
the first of them taken -> test_the_camera_that_a_model_names_track_goes_before_others red; a camera of the type "free" -> five of
OWN red; a body of any mass followed -> "ball on a beam" red; one distance for all -> "small" and "huge" red; slides with limits
taken for free ones -> InvertedPendulum and "limited" red.
"""

from types import SimpleNamespace

import gymnasium
import numpy as np
import pytest

mujoco = pytest.importorskip("mujoco", reason="MuJoCo is not installed: pip install '.[mujoco]'")

from fastars.envs.mujoco.camera import follow  # noqa: E402

GOING = ["HalfCheetah-v5", "Hopper-v5", "Walker2d-v5", "Ant-v5", "Swimmer-v5", "Humanoid-v5", "HumanoidStandup-v5"]
STAYING = ["InvertedPendulum-v5", "InvertedDoublePendulum-v5", "Reacher-v5", "Pusher-v5"]

FLOOR = '<geom type="plane" size="40 40 1"/>'
BOX = '<geom type="box" size=".3 .1 .1" mass="2"/>'
FREE = (
    f'<body name="a" pos="0 0 1"><freejoint/>{BOX}<body pos=".4 0 0"><joint axis="0 1 0"/><geom size=".1" mass="1"/></body></body>'
)
PLANAR = f'<body name="a" pos="0 0 1"><joint type="slide" axis="1 0 0"/><joint type="slide" axis="0 0 1"/>{BOX}</body>'
TRACKED = f"""<body pos="3 0 1"><freejoint/>{BOX}</body>
    <body name="a" pos="0 0 1"><freejoint/>{BOX}<camera name="near" pos="0 -1 0" mode="fixed" xyaxes="1 0 0 0 0 1"/>
    <camera name="mine" pos="0 -3 1" mode="trackcom" xyaxes="1 0 0 0 .3 1"/></body>"""
LIGHT_BALL = f'<body name="a" pos="0 0 1"><freejoint/>{BOX}</body><body pos="1 0 1"><freejoint/><geom size=".05" mass=".1"/></body>'
SMALL = '<body name="a" pos="0 0 .01"><freejoint/><geom size=".01" mass=".01"/></body>'
HUGE = '<body name="a" pos="0 0 100"><freejoint/><geom type="capsule" size="20 60" mass="1000"/></body>'
OWN = {"free": FREE, "planar": PLANAR, "tracked": TRACKED, "light ball": LIGHT_BALL, "small": SMALL, "huge": HUGE}

BEAM = '<body pos="0 0 1"><joint axis="0 1 0"/><geom type="box" size="1 .1 .05" mass="5"/></body>'
BALL = '<body pos="0 0 1.1"><freejoint/><geom size=".05" mass=".1"/></body>'
LIMITED = '<body><joint type="slide" axis="1 0 0" limited="true" range="-1 1"/><geom size=".1" mass="1"/></body>'
HELD = {"ball on a beam": BEAM + BALL, "limited": LIMITED, "hinge": BEAM, "nothing": ""}


def renderer_of(model, data, **settings):
    """A renderer, as far as `follow` sees it."""
    return SimpleNamespace(model=model, data=data, **{"default_cam_config": None, "camera_id": -1, **settings})


def own(bodies):
    model = mujoco.MjModel.from_xml_string(f"<mujoco><worldbody>{FLOOR}{bodies}</worldbody></mujoco>")
    return model, mujoco.MjData(model)


def camera(renderer):
    """The camera as Gymnasium's viewer sets it before the first picture."""
    cam = mujoco.MjvCamera()
    cam.type, cam.fixedcamid = mujoco.mjtCamera.mjCAMERA_FREE, -1
    for name, value in (renderer.default_cam_config or {}).items():
        if isinstance(value, np.ndarray):
            getattr(cam, name)[:] = value
        else:
            setattr(cam, name, value)
    if renderer.camera_id is not None:
        cam.type = mujoco.mjtCamera.mjCAMERA_FREE if renderer.camera_id == -1 else mujoco.mjtCamera.mjCAMERA_FIXED
        cam.fixedcamid = renderer.camera_id
    return cam


def places(model, data, cam, scene, body, with_radius=False):
    """Places in the picture of a body's geoms and of all that hangs on it: 0 is the middle, 1 the edge, NaN behind."""
    mujoco.mjv_updateScene(model, data, mujoco.MjvOption(), mujoco.MjvPerturb(), cam, mujoco.mjtCatBit.mjCAT_ALL, scene)
    view, other = scene.camera  # two eyes, between which a picture is taken
    pos, forward, up = (np.array(each, np.float64) for each in ((view.pos + other.pos) / 2, view.forward, view.up))
    right = np.cross(forward, up)
    parts = {body}
    for child in range(body + 1, model.nbody):
        if model.body_parentid[child] in parts:
            parts.add(child)
    found = []
    for geom in np.flatnonzero([each in parts for each in model.geom_bodyid]):
        to = data.geom_xpos[geom] - pos
        half = (to @ forward) * (view.frustum_top - view.frustum_bottom) / 2 / view.frustum_near
        radius = model.geom_rbound[geom] if with_radius else 0.0
        found.append((max(abs(to @ right), abs(to @ up)) + radius) / half if half > 0 else np.nan)
    return np.array(found)


def journey(model, data, cam, body, root_joint, with_radius=False):
    """Places in pictures along a journey of 40 m; for a free body also sideways, and turned round."""
    scene, at = mujoco.MjvScene(model, 1000), model.jnt_qposadr[root_joint]
    is_free = model.jnt_type[root_joint] == mujoco.mjtJoint.mjJNT_FREE
    seen = []
    for way in np.linspace(0.0, 40.0, 81):
        data.qpos[at] = way
        if is_free:
            data.qpos[at + 1] = way / 2
            data.qpos[at + 3 : at + 7] = [np.cos(way), 0.0, 0.0, np.sin(way)]
        mujoco.mj_forward(model, data)
        seen.append(places(model, data, cam, scene, body, with_radius))
    return np.array(seen)


@pytest.mark.parametrize("env_id", GOING)
def test_the_body_of_gymnasiums_model_is_in_every_picture(env_id):
    env = gymnasium.make(env_id, render_mode="rgb_array")
    env.reset(seed=0)
    inner = env.unwrapped
    follow(inner.mujoco_renderer)
    seen = journey(inner.model, inner.data, camera(inner.mujoco_renderer), 1, 0)
    assert seen.max() < 1.0
    assert np.abs(seen - seen.mean(axis=0)).max() < 0.5  # and it stays where it is in the picture
    env.close()


@pytest.mark.parametrize("env_id", STAYING)
def test_a_camera_of_a_model_that_stays_is_gymnasiums(env_id):
    env = gymnasium.make(env_id)
    before = dict(vars(env.unwrapped.mujoco_renderer))
    follow(env.unwrapped.mujoco_renderer)
    assert vars(env.unwrapped.mujoco_renderer) == before
    env.close()


@pytest.mark.parametrize("name", OWN)
def test_the_body_of_a_model_of_ones_own_is_in_every_picture(name):
    model, data = own(OWN[name])
    renderer = renderer_of(model, data)
    follow(renderer)
    body = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_BODY, "a")
    seen = journey(model, data, camera(renderer), body, model.body_jntadr[body], with_radius=True)
    assert seen.max() < 1.0
    assert seen.max(axis=1).min() > 0.1  # and more than a dot


@pytest.mark.parametrize("name", HELD)
def test_nothing_is_followed_where_the_body_is_held(name):
    """A ball on a beam moves, but the beam is what is looked at."""
    renderer = renderer_of(*own(HELD[name]))
    follow(renderer)
    assert (renderer.default_cam_config, renderer.camera_id) == (None, -1)


def test_the_camera_that_a_model_names_track_goes_before_others():
    two = TRACKED.replace('name="near" pos="0 -1 0" mode="fixed"', 'name="first" pos="0 -1 0" mode="track"')
    model, data = own(two.replace('name="mine"', 'name="track"'))
    renderer = renderer_of(model, data)
    follow(renderer)
    assert camera(renderer).fixedcamid == 1


def test_a_camera_that_somebody_chose_stays():
    model, data = own(TRACKED)
    renderer = renderer_of(model, data, camera_id=0)
    follow(renderer)
    assert (renderer.default_cam_config, renderer.camera_id) == (None, 0)


def test_distance_and_angle_that_the_environment_gives_go_before():
    model, data = own(FREE)
    renderer = renderer_of(
        model, data, default_cam_config={"distance": 7.0, "elevation": -45.0, "lookat": np.ones(3), "trackbodyid": 9}
    )
    follow(renderer)
    cam = camera(renderer)
    assert (cam.distance, cam.elevation, cam.azimuth, cam.trackbodyid) == (7.0, -45.0, 90.0, 1)
    assert cam.type == mujoco.mjtCamera.mjCAMERA_TRACKING
