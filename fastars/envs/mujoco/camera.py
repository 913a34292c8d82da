"""The camera of films and windows: it follows a body that can leave the picture.

Gymnasium's renderer has a camera that stands still, if nobody chooses one: since 1.4 it takes no camera of the model, and the
`trackbodyid` of its settings has no effect on a camera of the type "free".
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastars.envs.mujoco.library import mujoco

_SIDE_VIEW = {"azimuth": 90.0, "elevation": -20.0}  # degrees: x to the right, from a little above
_DISTANCE = 3.2  # in radii of the body: at 45 degrees of view, half of the picture is 1.3 radii
_LEAST_SHARE = 0.5  # of all that moves: a lighter body, such as a ball that a robot throws, is not the one to follow


def follow(renderer: Any) -> None:
    """Let a `MujocoRenderer` of Gymnasium follow the body that moves, before its first picture.

    It takes the model's own camera that tracks, the one of the name "track" if there are several; otherwise a camera beside the
    heaviest body that nothing holds. Where there is neither, as for a pendulum, and where somebody chose a camera by id or name,
    nothing changes.
    """
    if renderer.camera_id not in (None, -1):
        return
    settings = _own_camera(renderer.model) or _beside_body(renderer.model, renderer.default_cam_config or {})
    if settings:
        renderer.default_cam_config, renderer.camera_id = settings, None  # None: pictures keep the type of the camera


def _own_camera(model: Any) -> dict[str, Any]:
    """Return the settings that take a camera of the model; empty if none of them tracks a body."""
    kinds = (int(mujoco.mjtCamLight.mjCAMLIGHT_TRACK), int(mujoco.mjtCamLight.mjCAMLIGHT_TRACKCOM))
    tracking = [i for i in range(model.ncam) if int(model.cam_mode[i]) in kinds and model.body_weldid[model.cam_bodyid[i]] != 0]
    if not tracking:
        return {}
    named = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_CAMERA, "track")
    return {"type": int(mujoco.mjtCamera.mjCAMERA_FIXED), "fixedcamid": named if named in tracking else tracking[0]}


def _beside_body(model: Any, given: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of a camera that follows a body; those that the environment gives go before. Empty if all bodies stay."""
    body = _free_body(model)
    if body is None:
        return {}
    view = {**_SIDE_VIEW, "distance": _DISTANCE * _radius(model, body), **given}
    view.pop("lookat", None)
    return {**view, "type": int(mujoco.mjtCamera.mjCAMERA_TRACKING), "trackbodyid": body}


def _free_body(model: Any) -> int | None:
    """Return the heaviest body that can go anywhere, with all that hangs on it; None if it is a small part of what moves."""
    is_free = model.jnt_type == int(mujoco.mjtJoint.mjJNT_FREE)
    is_slide = (model.jnt_type == int(mujoco.mjtJoint.mjJNT_SLIDE)) & (model.jnt_limited == 0)
    bodies = np.unique(model.jnt_bodyid[is_free | is_slide])
    if not len(bodies):
        return None
    heaviest = int(bodies[np.argmax(model.body_subtreemass[bodies])])
    moving = model.body_mass[model.body_weldid != 0].sum()
    return heaviest if model.body_subtreemass[heaviest] >= _LEAST_SHARE * moving else None


def _radius(model: Any, body: int) -> float:
    """Return the distance from the centre of a body to its farthest point, with all that hangs on it, in the first position."""
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    mujoco.mj_comPos(model, data)
    parts = {body}
    for child in range(body + 1, model.nbody):  # parents come before their children
        if int(model.body_parentid[child]) in parts:
            parts.add(child)
    geoms = [i for i in range(model.ngeom) if int(model.geom_bodyid[i]) in parts]
    reach = [float(np.linalg.norm(data.geom_xpos[i] - data.subtree_com[body])) + float(model.geom_rbound[i]) for i in geoms]
    return max(reach, default=0.0) or float(model.stat.extent)
