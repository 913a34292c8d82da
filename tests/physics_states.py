"""Reachable and strange states of a MuJoCo model, for tests of its dynamics. The same seed gives the same states."""

from typing import Any, NamedTuple

import mujoco
import numpy as np

FREE, SLIDE, HINGE = 0, 2, 3


class States(NamedTuple):
    """Inputs of mj_step, a row for each state."""

    kind: Any  # (n,) str, the name of the function below that made it
    qpos: Any  # (n, nq)
    qvel: Any  # (n, nv)
    ctrl: Any  # (n, nu)
    qacc_warmstart: Any  # (n, nv)

    def __len__(self):
        return len(self.kind)

    def __getitem__(self, index):
        return States(*(np.atleast_1d(field[index]) if field.ndim == 1 else field[index] for field in self))


def states(mj_model, n, seed=0, kinds=None):
    """Return n states of a model, about as many of each kind."""
    rng, kinds = np.random.default_rng(seed), list(kinds or KINDS)
    rows = []
    for i, kind in enumerate(kinds):
        of_kind = KINDS[kind](mj_model, (n + len(kinds) - 1 - i) // len(kinds), rng)
        rows += [(kind, *row) for row in of_kind]
    return States(*(np.array(column) for column in zip(*rows, strict=True)))


def row(mj_data):
    return mj_data.qpos.copy(), mj_data.qvel.copy(), mj_data.ctrl.copy(), mj_data.qacc_warmstart.copy()


def ctrl_scale(mj_model):
    limited = np.asarray(mj_model.actuator_ctrllimited, bool)
    return np.where(limited, np.abs(mj_model.actuator_ctrlrange).max(axis=1, initial=0), 1.0)


def initial(mj_model, rng, position=0.1, velocity=0.1):
    """Return mjData near the model's initial state."""
    mj_data = mujoco.MjData(mj_model)
    mujoco.mj_integratePos(mj_model, mj_data.qpos, position * rng.normal(size=mj_model.nv), 1.0)
    mj_data.qvel[:] = velocity * rng.normal(size=mj_model.nv)
    return mj_data


def driven(mj_model, rng, gain, seconds):
    """Yield the states of one episode under a random linear policy, its control held for a few steps."""
    mj_data = initial(mj_model, rng)
    policy = gain * rng.normal(size=(mj_model.nu, mj_model.nq + mj_model.nv))
    for k in range(max(8, int(seconds / mj_model.opt.timestep))):
        if k % 4 == 0:
            features = np.concatenate([np.clip(mj_data.qpos, -5, 5), np.clip(mj_data.qvel, -10, 10)])
            mj_data.ctrl[:] = ctrl_scale(mj_model) * np.clip(policy @ features, -1.2, 1.2)
        yield mj_data
        mujoco.mj_step(mj_model, mj_data)


def policies(mj_model, n, rng):
    """States under random linear policies of several scales."""
    rows = []
    while len(rows) < n:
        episode = [row(mj_data) for mj_data in driven(mj_model, rng, rng.choice([0.03, 0.1, 0.3, 1.0, 3.0]), 3.0)]
        rows += [episode[i] for i in rng.choice(len(episode), min(8, len(episode)), replace=False)]
    return rows[:n]


def trained(mj_model, n, rng):
    """States under the best of several policies: the one under which the first coordinate goes farthest."""
    rows = []
    while len(rows) < n:
        seeds = rng.integers(1 << 30, size=6)
        far = [[abs(d.qpos[0]) for d in driven(mj_model, np.random.default_rng(s), 0.3, 1.0)][-1] for s in seeds]
        best = np.random.default_rng(seeds[int(np.argmax(far))])
        episode = [row(mj_data) for mj_data in driven(mj_model, best, 0.3, 3.0)]
        rows += [episode[i] for i in rng.choice(len(episode), min(16, len(episode)), replace=False)]
    return rows[:n]


def falling(mj_model, n, rng):
    """States of falls from any height and any pose, without control."""
    rows = []
    while len(rows) < n:
        mj_data = initial(mj_model, rng, position=rng.choice([0.3, 1.0]), velocity=rng.choice([0.3, 1.0, 5.0]))
        lift(mj_model, mj_data, rng.uniform(0, 1))
        for k in range(int(1.0 / mj_model.opt.timestep)):
            if k % 20 == 0:
                rows.append(row(mj_data))
            mujoco.mj_step(mj_model, mj_data)
    return rows[:n]


def lift(mj_model, mj_data, height):
    """Move roots upwards."""
    for joint in range(mj_model.njnt):
        at = mj_model.jnt_qposadr[joint]
        if mj_model.jnt_type[joint] == FREE:
            mj_data.qpos[at + 2] += height
        elif mj_model.jnt_type[joint] == SLIDE and abs(mj_model.jnt_axis[joint, 2]) > 0.9:
            mj_data.qpos[at] += height * np.sign(mj_model.jnt_axis[joint, 2])


def limits(mj_model, n, rng):
    """States with some joints at a limit, a little before or behind it, or exactly on it."""
    rows = []
    for _ in range(n):
        mj_data = initial(mj_model, rng)
        for joint in np.flatnonzero(mj_model.jnt_limited):
            if rng.random() < 0.5:
                end = rng.choice(mj_model.jnt_range[joint])
                mj_data.qpos[mj_model.jnt_qposadr[joint]] = end + rng.choice([0.0, 1e-9, 1e-3, 0.02, 0.3]) * rng.normal()
        mj_data.ctrl[:] = ctrl_scale(mj_model) * rng.uniform(-1.2, 1.2, mj_model.nu)
        rows.append(row(mj_data))
    return rows


def deep(mj_model, n, rng):
    """States deep in the floor, in any pose."""
    rows = []
    for _ in range(n):
        mj_data = initial(mj_model, rng, position=rng.choice([0.1, 0.5, 2.0]), velocity=rng.choice([0.0, 1.0, 10.0]))
        lift(mj_model, mj_data, -rng.uniform(0, 1.5))
        rows.append(row(mj_data))
    return rows


def turns(mj_model, n, rng):
    """States whose hinges without limits have made many whole turns, and whose slides are far away."""
    rows = []
    for mj_data_row in policies(mj_model, n, rng):
        qpos, *others = mj_data_row
        for joint in range(mj_model.njnt):
            at = mj_model.jnt_qposadr[joint]
            if np.any(mj_model.jnt_stiffness[joint] != 0):  # a spring that is so long does not stay finite
                continue
            if mj_model.jnt_type[joint] == HINGE and not mj_model.jnt_limited[joint]:
                qpos[at] += 2 * np.pi * np.rint(10.0 ** rng.uniform(0, 8)) * rng.choice([-1, 1])
            if mj_model.jnt_type[joint] != HINGE and not mj_model.jnt_limited[joint] and abs(mj_model.jnt_axis[joint, 2]) < 0.9:
                qpos[at] += rng.choice([0.0, 10.0, 1e3])
        rows.append((qpos, *others))
    return rows


def aligned(mj_model, n, rng):
    """States with all hinges at quarter turns, at heights where they touch: vertical tangents, parallel capsules."""
    rows = []
    for _ in range(n):
        mj_data = mujoco.MjData(mj_model)
        for joint in range(mj_model.njnt):
            if mj_model.jnt_type[joint] == HINGE:
                mj_data.qpos[mj_model.jnt_qposadr[joint]] += rng.choice([0, 0, 0, -1, 1, 2]) * np.pi / 2
        lift(mj_model, mj_data, -rng.choice([0.0, 0.01, 0.3, 1.0]) * rng.random())
        mj_data.qvel[:] = rng.choice([0.0, 1.0]) * rng.normal(size=mj_model.nv)
        rows.append(row(mj_data))
    return rows


def resting(mj_model, n, rng):
    """States at the end of falls, and exactly still ones."""
    rows = []
    while len(rows) < n:
        mj_data = initial(mj_model, rng, position=0.5, velocity=0.0)
        for k in range(int(4.0 / mj_model.opt.timestep)):
            mujoco.mj_step(mj_model, mj_data)
            if k % 100 == 99:
                rows.append(row(mj_data))
        mj_data.qvel[:] = 0
        rows.append(row(mj_data))
    return [rows[i] for i in rng.choice(len(rows), n, replace=False)]


KINDS = {
    "policies": policies,
    "trained": trained,
    "falling": falling,
    "limits": limits,
    "deep": deep,
    "turns": turns,
    "aligned": aligned,
    "resting": resting,
}


class Oracle:
    """mj_step from given states: with the solver as it comes, or run to its end."""

    def __init__(self, mj_model, is_exact=True):
        self.mj_model, self.mj_data = mj_model.__copy__(), None
        if is_exact:
            self.mj_model.opt.tolerance, self.mj_model.opt.iterations = 0.0, 500
            self.mj_model.opt.ls_tolerance, self.mj_model.opt.ls_iterations = 1e-6, 200
        self.mj_data = mujoco.MjData(self.mj_model)

    def at(self, qpos, qvel, ctrl, qacc_warmstart):
        """Return mjData of a state, before anything is computed."""
        mj_data = self.mj_data
        mujoco.mj_resetData(self.mj_model, mj_data)
        mj_data.qpos[:], mj_data.qvel[:], mj_data.ctrl[:] = qpos, qvel, ctrl
        mj_data.qacc_warmstart[:] = qacc_warmstart
        return mj_data

    def step(self, *state, n_steps=1):
        """Return mjData after mj_step, with contact forces on bodies."""
        mj_data = self.at(*state)
        mujoco.mj_step(self.mj_model, mj_data, n_steps)
        mujoco.mj_rnePostConstraint(self.mj_model, mj_data)
        return mj_data

    def forward(self, *state):
        """Return mjData after mj_forward, with contact forces on bodies."""
        mj_data = self.at(*state)
        mujoco.mj_forward(self.mj_model, mj_data)
        mujoco.mj_rnePostConstraint(self.mj_model, mj_data)
        return mj_data

    def passes(self, qpos, qvel, *others):
        """Yield mjData after each forward pass of a step: of Euler the only one, of Runge and Kutta all four."""
        mj_data = self.forward(qpos, qvel, *others)
        yield mj_data
        is_euler = self.mj_model.opt.integrator != mujoco.mjtIntegrator.mjINT_RK4
        for part in () if is_euler else (0.5, 0.5, 1.0):
            seconds, position = part * self.mj_model.opt.timestep, qpos.copy()
            mujoco.mj_integratePos(self.mj_model, position, mj_data.qvel.copy(), seconds)
            mj_data = self.forward(position, qvel + seconds * mj_data.qacc, *others)
            yield mj_data


def is_degenerate(mj_data):
    """Return True if two capsules cross, so that rounding alone decides the direction in which they push each other apart."""
    sizes = [mj_data.model.geom_size[contact.geom, 0].sum() for contact in mj_data.contact]
    return any(contact.dist < 1e-9 - size for contact, size in zip(mj_data.contact, sizes, strict=True) if contact.dim == 1)


def difference(found, expected):
    """Return the largest difference of two arrays, relative to 1 + the largest expected value."""
    found, expected = np.ravel(found), np.ravel(expected)
    return 0.0 if expected.size == 0 else float(np.max(np.abs(found - expected)) / (1 + np.max(np.abs(expected))))
