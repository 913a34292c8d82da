"""PufferLib's CartPole, compiled here from its source distribution.

The flags of the compiler are PufferLib's, and `-O3 -march=native` after them. Its Python class copies the actions into an array and
asks C for a step; here it is the same, without the log that its class asks for after every step.

Its rules differ from Gymnasium's: float32, starts within 0.04 and not 0.05, at most 200 steps and not 500, no reward for the last
step, a new episode within the step that ends one. The physics of a step is the same.
"""

import importlib.util
import subprocess
import sysconfig
import tempfile
from pathlib import Path

import numpy as np

from bench.peer_side.policies import actor

FLAGS = ["-O2", "-flto", "-fwrapv", "-fPIC", "-shared", "-w", "-DPLATFORM_DESKTOP", "-O3", "-march=native"]
DISCRETE = 0


def binding(source):
    """Compile the C functions of the environment in the folder of PufferLib's sources, and return them as a module."""
    source = Path(source)
    (raylib,) = source.glob("raylib-*_linux_amd64")
    headers = [f"-I{path}" for path in (raylib / "include", np.get_include(), sysconfig.get_paths()["include"])]
    code = [str(source / "pufferlib" / "ocean" / "cartpole" / "binding.c"), str(raylib / "lib" / "libraylib.a")]
    with tempfile.TemporaryDirectory() as folder:
        library = str(Path(folder) / "binding.so")
        subprocess.run(["cc", *FLAGS, *headers, *code, "-lm", "-o", library], check=True)
        spec = importlib.util.spec_from_file_location("binding", library)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module


class PufferLib:
    """CartPoles that are stepped together on one thread, `n_steps` times in a repetition."""

    def __init__(self, source, n_envs, n_steps, policy=None, actions=None):
        self.binding, self.act, self.n_envs, self.n_steps = binding(source), actor(policy, actions), n_envs, n_steps
        self.observations = np.zeros((n_envs, 4), np.float32)
        self.actions, self.rewards = np.zeros(n_envs, np.float32), np.zeros(n_envs, np.float32)
        self.terminals, truncations = np.zeros(n_envs, np.uint8), np.zeros(n_envs, np.uint8)
        arrays = (self.observations, self.actions, self.rewards, self.terminals, truncations)
        self.envs = self.binding.vec_init(*arrays, n_envs, 0, continuous=DISCRETE)
        self.binding.vec_reset(self.envs, 0)

    def run(self):
        for _ in range(self.n_steps):
            self.actions[:] = self.act(self.observations)
            self.binding.vec_step(self.envs)
        return self.n_steps * self.n_envs

    def trace(self, n_steps):
        """Return observations before and after, actions, and False for steps after which there is a new episode already."""
        self.binding.vec_reset(self.envs, 0)
        rows = []
        for _ in range(n_steps):
            before = self.observations.copy()
            self.actions[:] = self.act(before)
            self.binding.vec_step(self.envs)
            rows.append((before, self.actions.astype(np.int64), self.observations.copy(), self.terminals == 0))
        return [np.array(column) for column in zip(*rows, strict=True)]
