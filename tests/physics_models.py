"""Random models made of the parts that the lanes support, as XML. The same generator gives the same model."""

import numpy as np

PLANES = {"xz": ((1, 0, 0), (0, 0, 1), (0, 1, 0)), "yz": ((0, 1, 0), (0, 0, 1), (1, 0, 0)), "xy": ((1, 0, 0), (0, 1, 0), (0, 0, 1))}


class Planar:
    """Joints, positions and turns in a plane: two directions in it, and its normal."""

    def __init__(self, rng):
        self.rng = rng
        self.u, self.w, self.normal = (np.array(v, np.float64) for v in PLANES[rng.choice(["xz", "xz", "xz", "yz", "xy"])])
        self.has_floor = abs(self.normal[2]) < 0.5
        self.thickness = 0.1 * (rng.random() < 0.3)  # of the layer in which the bodies lie

    def point(self, scale):
        in_plane = scale * (self.rng.normal() * self.u + self.rng.normal() * self.w)
        return in_plane + self.thickness * self.rng.normal() * self.normal

    def turn(self):
        return np.append(self.normal, self.rng.uniform(-180, 180))

    def axis(self, kind):
        if kind == "hinge":
            return self.rng.choice([-1, 1]) * self.normal
        angle = self.rng.uniform(0, 2 * np.pi) if self.rng.random() < 0.3 else self.rng.choice(4) * np.pi / 2
        return np.cos(angle) * self.u + np.sin(angle) * self.w

    def direction(self):
        angle = self.rng.uniform(0, 2 * np.pi)
        return np.cos(angle) * self.u + np.sin(angle) * self.w

    def roots(self):
        joints = [
            ["slide", "slide", "hinge"],
            ["slide", "slide", "hinge"],
            ["hinge"],
            ["slide", "hinge"],
            ["slide"],
            ["hinge", "slide"],
        ]
        return joints[self.rng.choice(len(joints))]

    def joints(self):
        joints = [["hinge"], ["hinge"], ["hinge"], ["slide"], ["hinge", "slide"], ["slide", "hinge"], ["hinge", "hinge"], []]
        return joints[self.rng.choice(len(joints))]


class Spatial:
    """Joints, positions and turns in space, below a free root."""

    has_floor, thickness = True, 0.0

    def __init__(self, rng):
        self.rng = rng

    def point(self, scale):
        return scale * self.rng.normal(size=3)

    def turn(self):
        return np.append(self.direction(), self.rng.uniform(-180, 180))

    def axis(self, kind):
        return np.zeros(3) if kind == "free" else self.direction()

    def direction(self):
        vector = self.rng.normal(size=3)
        return vector / np.linalg.norm(vector)

    def roots(self):
        return ["free"]

    def joints(self):
        return [["hinge"], ["hinge"], ["hinge", "hinge"], []][self.rng.choice(4)]


def random_model(rng, is_spatial=False, can_touch_itself=True):
    """Return the XML of a random model."""
    while True:
        text = Builder(rng, Spatial(rng) if is_spatial else Planar(rng), can_touch_itself).model()
        if 'type="hinge"' in text:
            return text


class Builder:
    """Writes one model."""

    def __init__(self, rng, space, can_touch_itself):
        self.rng, self.space, self.names = rng, space, []
        # Geoms that touch each other must be on one branch, in one plane, and without friction.
        self.touches_itself = bool(can_touch_itself and space.thickness == 0 and rng.random() < 0.3)
        self.has_damping = rng.random() < 0.7
        self.has_fluid = space.thickness == 0 and rng.random() < 0.25

    def chance(self, probability):
        return self.rng.random() < probability

    def model(self):
        n_trees = 1 + (isinstance(self.space, Planar) and not self.touches_itself and self.chance(0.2))
        trees = "".join(self.body("", is_root=True, depth=0) for _ in range(n_trees))
        moving = [name for name, kind in self.names if kind != "free"]
        motors = "".join(self.motor(name) for name in moving if self.chance(0.7))
        actuators = f"<actuator>{motors}</actuator>" if motors else ""
        return f"<mujoco>{self.option()}<worldbody>{self.floor()}{trees}</worldbody>{actuators}</mujoco>"

    def option(self):
        rng = self.rng
        gravity = (0, 0, -9.81) if self.chance(0.6) else rng.normal(size=3) * 5
        fluid = f'density="{rng.uniform(0, 1000):g}" viscosity="{rng.uniform(0, 0.5):g}"' if self.has_fluid else ""
        integrator = rng.choice(["Euler", "RK4"])
        return f'<option integrator="{integrator}" timestep="{rng.uniform(0.001, 0.015):g}" {vector("gravity", gravity)} {fluid}/>'

    def floor(self):
        if not self.space.has_floor:
            return ""
        height = 0.0 if self.chance(0.5) else self.rng.normal() * 0.3
        margin = self.rng.choice([0.0, 0.0, 0.02])
        plane = (
            f'<geom type="plane" size="5 5 1" friction="{self.rng.uniform(0.05, 1):g} 0 0" margin="{margin}" {self.softness(0.3)} '
        )
        if self.chance(0.3):
            return f'<body pos="1 2 {height / 2:g}">{plane} pos="0 0 {height / 2:g}"/></body>'
        return f'{plane} pos="0 0 {height:g}"/>'

    def body(self, parent, is_root, depth):
        drawn = self.rng.integers(1000) if parent else ""  # keeps later draws as they were
        name = f"{parent}b{depth}{drawn}n{len(self.names)}" if parent else f"root{len(self.names)}"
        place = self.space.point(0.3) + (np.array([0, 0, 0.8]) if is_root else 0)
        turned = f" {vector('axisangle', self.space.turn())}" if self.chance(0.3) else ""
        kinds = self.space.roots() if is_root else self.space.joints()
        least = 0.1 if len(set(kinds)) < len(kinds) else 0.0  # two joints that do the same would make the mass matrix singular
        joints = "".join(self.joint(f"{name}j{i}", kind, least) for i, kind in enumerate(kinds))
        parts = joints + self.matter() + f"<site {vector('pos', self.space.point(0.2))}/>"
        n_children = 0 if depth >= 4 else int(self.rng.choice([0, 1, 2] if not is_root else [1, 2, 3]))
        if self.touches_itself:
            n_children = min(n_children, 1)
        children = "".join(self.body(name, False, depth + 1) for _ in range(n_children))
        return f'<body name="{name}" {vector("pos", place)}{turned}>{parts}{children}</body>'

    def joint(self, name, kind, armature):
        rng = self.rng
        self.names.append((name, kind))
        text = f'<joint name="{name}" type="{kind}" armature="{armature + rng.choice([0, 0, 0.1, 1]) * rng.random():g}"'
        if kind == "free":
            return f'{text} damping="{rng.choice([0, 0, 0.3])}"/>'
        text += f" {vector('axis', self.space.axis(kind))}"
        if self.chance(0.4):
            text += f" {vector('pos', self.space.point(0.2))}"
        if self.has_damping and self.chance(0.7):
            text += f' damping="{rng.exponential():g}"'
        if self.chance(0.3):
            text += f' stiffness="{10 * rng.exponential():g}" springref="{rng.normal():g}"'
        if self.chance(0.3):
            text += f' ref="{rng.normal():g}"'
        if self.chance(0.5):
            low, high = np.sort(rng.normal(size=2))
            unit = 50 if kind == "hinge" else 0.5
            margin = rng.choice([0.0, 0.0, 0.01])
            text += f' limited="true" range="{unit * (low - 0.1):g} {unit * (high + 0.1):g}" margin="{margin}" '
            text += self.softness(0.4, "limit")
        return text + "/>"

    def softness(self, probability, suffix=""):
        """Return solref and solimp, or nothing."""
        rng, text = self.rng, ""
        if self.chance(probability):
            text += f'solref{suffix}="{rng.uniform(0.002, 0.1):g} {rng.uniform(0.3, 2):g}" '
        if self.chance(probability):
            low, high = np.sort(rng.uniform(0, 1, 2))
            high = low if self.chance(0.3) else high
            width, midpoint = rng.choice([0, 0.001, 0.03]), rng.uniform(0.1, 0.9)
            text += f'solimp{suffix}="{low:g} {high:g} {width:g} {midpoint:g} 2" '
        return text

    def matter(self):
        """Return the geoms of a body, and perhaps an inertia of its own."""
        rng, geoms = self.rng, ""
        for _ in range(rng.choice([1, 1, 2])):
            shape = rng.choice(["capsule", "capsule", "sphere"])
            radius, half = rng.uniform(0.03, 0.12), rng.uniform(0.05, 0.3)
            size = f"{radius:g} {half:g}" if shape == "capsule" else f"{radius:g}"
            masks = 'contype="1" conaffinity="1"' if self.touches_itself else 'contype="0" conaffinity="1"'
            condim = 1 if self.touches_itself or self.chance(0.2) else 3
            geoms += f'<geom type="{shape}" size="{size}" {masks} condim="{condim}" density="{rng.uniform(300, 2000):g}" '
            geoms += f'friction="{rng.choice([0.05, 0.3, 1, 2]) * rng.uniform(0.3, 1):g} 0 0" margin="{rng.choice([0, 0, 0.01])}" '
            geoms += f"{vector('pos', self.space.point(0.1))} {vector('zaxis', self.space.direction())} "
            geoms += self.softness(0.3) + ('priority="1"' if self.chance(0.1) else "") + "/>"
        if self.chance(0.2) and not self.has_fluid:
            a, b, c = rng.uniform(0.05, 0.2, 3)  # the moments of a box, in any turn
            inertia = np.array([b + c, a + c, a + b])
            place = f"{vector('pos', self.space.point(0.1))} {vector('axisangle', [*rng.normal(size=3), rng.uniform(0, 180)])}"
            geoms += f'<inertial {place} mass="{rng.uniform(0.3, 3):g}" {vector("diaginertia", inertia)}/>'
        return geoms

    def motor(self, joint):
        rng = self.rng
        low, high = np.sort(rng.normal(size=2))
        limits = f'ctrllimited="true" ctrlrange="{low:g} {high:g}"' if self.chance(0.7) else 'ctrllimited="false"'
        return f'<motor joint="{joint}" gear="{10 * rng.normal():g}" {limits}/>'


def vector(name, values):
    return f'{name}="{" ".join(f"{value:.17g}" for value in values)}"'
