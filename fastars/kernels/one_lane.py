"""One lane of a physics over lanes, as an environment sees it."""

from fastars._compiled.jit import inline, kernel


@inline
def read_lane(lanes, lane, with_contact_forces):
    """Copy the state of a lane, and its outputs if there are any, to `lanes.sim`."""
    sim = lanes.sim
    for k in range(sim.qpos.shape[0]):
        sim.qpos[k] = lanes.qpos[k, lane]
    for k in range(sim.qvel.shape[0]):
        sim.qvel[k] = lanes.qvel[k, lane]
    for k in range(sim.ctrl.shape[0]):
        sim.ctrl[k] = lanes.ctrl[k, lane]
    if lanes.outputs.shape[1] > 0:
        read_outputs(lanes, lane, with_contact_forces)


@inline
def read_outputs(lanes, lane, with_contact_forces):
    """Copy the outputs of a lane to `lanes.sim`. Contact forces are 0 unless they are wanted, as in MuJoCo."""
    sim, outputs = lanes.sim, lanes.outputs[lane]
    n = read(outputs, 0, sim.xpos)
    n = read(outputs, n, sim.xquat)
    n = read(outputs, n, sim.xipos)
    n = read(outputs, n, sim.site_xpos)
    n = read(outputs, n, sim.subtree_com)
    n = read(outputs, n, sim.qacc)
    n = read(outputs, n, sim.qfrc_actuator)
    n = read(outputs, n, sim.qfrc_constraint)
    if with_contact_forces:
        read(outputs, n, sim.cfrc_ext)
    else:
        sim.cfrc_ext[:] = 0.0


@inline
def read(outputs, start, array):
    """Fill an array from `outputs[start:]`; return the index after it."""
    flat = array.reshape(array.size)
    for k in range(flat.shape[0]):
        flat[k] = outputs[start + k]
    return start + flat.shape[0]


@inline
def write_state(lanes, lane):
    """Put the state of `lanes.sim` into a lane, as the first one of an episode.

    The solver starts from an acceleration of 0, as after a reset in MuJoCo.
    """
    sim = lanes.sim
    for k in range(sim.qpos.shape[0]):
        lanes.qpos[k, lane] = sim.qpos[k]
    for k in range(sim.qvel.shape[0]):
        lanes.qvel[k, lane] = sim.qvel[k]
        lanes.qacc_warmstart[k, lane] = 0.0
    for k in range(sim.ctrl.shape[0]):
        lanes.ctrl[k, lane] = 0.0
    lanes.is_bad[lane] = 0


@inline
def copy_lane(lanes, source, target):
    """Make a lane simulate what another lane does."""
    for k in range(lanes.qpos.shape[0]):
        lanes.qpos[k, target] = lanes.qpos[k, source]
    for k in range(lanes.qvel.shape[0]):
        lanes.qvel[k, target] = lanes.qvel[k, source]
        lanes.qacc_warmstart[k, target] = lanes.qacc_warmstart[k, source]
    for k in range(lanes.ctrl.shape[0]):
        lanes.ctrl[k, target] = lanes.ctrl[k, source]
