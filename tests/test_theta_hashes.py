"""Short runs end with the bits they ended with when the table was made: policy, filter, weights of tasks, counters, row of the log.

The table is for refactoring, where nothing may change. A run that ends in another way is red, and its parts say where to look. Only
the public API is used, so that this file stays as it is when modules move. Where bits are meant to change, the table changes as
well: `tests/data/make_theta_hashes.py` makes it anew, and says which rows are others.

docs/promises.md says which bits are the same where. In classic control with a scalar reward, policy, filter and counters are those
of any x86-64 processor, under the same versions of NumPy and Numba (EVERYWHERE). Over lanes, they are those of any processor, too
(ON_ANY_CPU): `NUMBA_CPU_NAME=haswell` runs these rows with AVX2. All the rest is compared only where the processor, the libraries
and the versions are those of the table (HERE). The log of every run is part of the rest: it has means that NumPy
computes, and exponentials of the C library. Nothing is left out silently: a test is skipped, or prints what it does not compare.

Broken on purpose: other seeds of episodes in the kernels -> 151 of 164 rows are red (those of NumPy's backend draw their own, some
are told their returns, and some begin all episodes alike); a variance of observations divided by one more -> all rows of V2 in
kernels are red, and no others; a figure left out of the log -> all rows are red, in their record alone.
"""

import functools
import hashlib
import importlib.metadata
import importlib.util
import json
import math
import platform
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import faulty_envs
import gymnasium
import numba
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete

import fastars
from fastars import ARS
from fastars.weighting import GradNorm

pytestmark = [
    pytest.mark.skipif(numba.config.DISABLE_JIT, reason="the table is of compiled kernels"),
    pytest.mark.filterwarnings("ignore:.*precision lowered:UserWarning"),  # of mo-gymnasium's reward spaces
    pytest.mark.filterwarnings("ignore:.*v4 is out of date:DeprecationWarning"),
]
TABLE = Path(__file__).parent / "data" / "theta_hashes.json"

# --- What the bits depend on

EVERYWHERE = ("system", "numba", "numpy")
HERE = (*EVERYWHERE, "python", "gymnasium", "CPU of the kernels", "C library", "NumPy's functions", "BLAS")
MUJOCO, BOX2D, MO_GYMNASIUM = (*HERE, "mujoco"), (*HERE, "Box2D"), (*HERE, "mo-gymnasium")
ON_ANY_CPU = tuple(name for name in MUJOCO if name != "CPU of the kernels")
PACKAGES = "numba", "numpy", "gymnasium", "mujoco", "Box2D", "mo-gymnasium", "stable_baselines3"


def digest(*parts: bytes) -> str:
    return hashlib.sha256(b"".join(parts)).hexdigest()[:16]


@functools.cache
def machine() -> dict[str, Any]:
    """All that bits may depend on. Functions are told apart by what they give, for the same library has several of each."""
    numbers = np.random.default_rng(0).normal(size=(100, 1000))
    kernels = numba.core.registry.cpu_target.target_context.codegen().magic_tuple()
    functions = (getattr(math, name) for name in ("exp", "sin", "cos", "tan", "tanh", "atan", "erfc", "cbrt"))
    c_library = [function(x) for function in functions for x in numbers[:10].ravel()]
    c_library += [f(x) for f in (math.log, math.sqrt, lambda x: math.pow(x, 1.7)) for x in np.abs(numbers[:10]).ravel()]
    ufuncs = np.exp, np.sin, np.cos, np.tanh, np.square, np.cbrt, np.sum, np.mean, np.std
    in_numpy = [function(numbers) for function in ufuncs] + [numbers.astype(np.float32).sum(axis=1), numbers.sum(axis=1)]
    small = numbers[:20, :20]  # of large ones, the order of sums may depend on the number of threads
    products = [small @ small.T, numbers[:, :3] @ numbers[0, :3], np.linalg.eigh(numbers[:5, :5] @ numbers[:5, :5].T)[1]]
    products += [np.dot(row[:n], row[::-1][:n]) for row in numbers for n in (2, 3, 17, 1000)]
    return {
        "system": f"{sys.platform} {platform.machine()}",
        "python": ".".join(platform.python_version_tuple()[:2]),
        "CPU of the kernels": " ".join([*map(str, kernels), "with SVML" if numba.config.USING_SVML else "without SVML"]),
        "C library": f"{' '.join(platform.libc_ver())} {digest(np.array(c_library).tobytes())}",
        "NumPy's functions": digest(*(np.asarray(values).tobytes() for values in in_numpy)),
        "BLAS": digest(*(np.asarray(values).tobytes() for values in products)),
        **{name: importlib.metadata.version(name) if importlib.util.find_spec(MODULES[name]) else None for name in PACKAGES},
    }


MODULES = {**dict(zip(PACKAGES, PACKAGES, strict=True)), "mo-gymnasium": "mo_gymnasium"}


def differing(depends_on, table) -> str:
    """In which of these this machine is not that of the table; empty if in none."""
    theirs, ours = table["machine"], machine()
    found = [name for name in depends_on if ours[name] != theirs[name]]
    shown = {name: f"{name} {theirs[name]}, here {ours[name] or 'none'}" for name in (*PACKAGES, "system", "python")}
    return "; ".join(shown.get(name, f"another {name}") for name in found)


# --- Ways to run


class Row(NamedTuple):
    """A run, and what the bits of its policy depend on."""

    env: Any
    settings: dict[str, Any]
    how: Callable[..., Any]
    depends_on: tuple[str, ...]
    policy: str
    n_iterations: int
    is_made: bool  # `env` is called to make one, as each run needs its own


def iterate(model, n):
    end = model.iteration + n
    model.learn(10**9, lambda *_: model.iteration < end, reset_num_timesteps=False)


def in_one_call(model, row, folder):
    iterate(model, row.n_iterations)


def by_steps(model, row, folder):
    """With a progress that goes from 1 to 0."""
    model.learn(6_000)


def in_two_calls(model, row, folder):
    model.learn(3_000)
    model.learn(4_000, reset_num_timesteps=False)


def in_two_calls_counted_anew(model, row, folder):
    model.learn(3_000)
    model.learn(4_000)


def saved_and_loaded(model, row, folder):
    """A file holds no function and no class of an environment: they are given again."""
    iterate(model, row.n_iterations - 2)
    model.save(folder / "model.zip")
    model.close()
    given = {name: value for name, value in row.settings.items() if callable(value)}
    if not isinstance(row.env, str):
        given["env"] = row.env
    model = ARS.load(folder / "model.zip", **given)
    iterate(model, 2)
    return model


def asked_and_told(model, row, folder):
    """An episode of each candidate, of seeds that are told here."""
    for _ in range(row.n_iterations):
        candidates = model.ask()
        rollouts = fastars.evaluate_candidates(model.env_id, candidates, np.arange(len(candidates)) // 2, max_episode_steps=60)
        model.tell(rollouts.returns if model.objectives is None else rollouts.task_returns, int(rollouts.lengths.sum()))


def told_of_a_parabola(model, row, folder):
    """No environment: the return is highest where all weights are 0.3."""
    for _ in range(row.n_iterations):
        model.tell([-sum((x - 0.3) * (x - 0.3) for x in candidate) for candidate in model.ask().tolist()])


def with_another_seed(model, row, folder):
    iterate(model, 2)
    model.set_random_seed(2**63 + 11)
    iterate(model, 2)


def in_another_env(model, row, folder):
    iterate(model, 2)
    model.set_env(gymnasium.make("Pendulum-v1", g=2.0))
    iterate(model, 2)


def until_it_raises(model, row, folder):
    with pytest.raises(fastars.NonFiniteReturnsError):
        iterate(model, 100)


# --- Environments


class Boxes(gymnasium.Env):
    """Spaces of several kinds: what is seen is a Dict, an action is one of several numbers each."""

    observation_space = Dict(
        {
            "where": Box(-1.0, 1.0, (2,), np.float32),
            "which": Discrete(3, start=1),
            "how": MultiDiscrete([2, 3]),
            "lights": MultiBinary(2),
        }
    )
    action_space = MultiDiscrete([3, 2])

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.n_steps, self.where = 0, self.np_random.uniform(-1.0, 1.0, 2)
        return self._seen(), {}

    def step(self, action):
        self.n_steps += 1
        self.where = np.clip(self.where + 0.25 * (np.asarray(action) - [1, 0]), -1.0, 1.0)
        return self._seen(), 1.0 - abs(float(self.where[0])) - 0.5 * float(action[1]), self.n_steps == 15, False, {}

    def _seen(self):
        n = self.n_steps
        lights = np.array([n % 2, self.where[1] > 0.0], np.int8)
        return {"where": self.where.astype(np.float32), "which": 1 + n % 3, "how": np.array([n % 2, n % 3]), "lights": lights}


class Choice(Boxes):
    """The same with one action of three."""

    action_space = Discrete(3, start=-1)

    def step(self, action):
        return super().step([int(action) + 1, 0])


class Pair(gymnasium.Env):
    """Two rewards in Python: to be in the middle, and not to be pushed."""

    observation_space, action_space, reward_space = Box(-9, 9, (2,), np.float64), Box(-1, 1, (1,)), Box(-9, 0, (2,))

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.n_steps, self.x = 0, self.np_random.uniform(-1.0, 1.0)
        return np.array([self.x, 1.0]), {}

    def step(self, action):
        self.n_steps, self.x = self.n_steps + 1, self.x + 0.2 * float(action[0])
        rewards = np.array([-self.x * self.x, -0.3 * abs(float(action[0]))])
        return np.array([self.x, 1.0]), rewards, self.n_steps == 15, False, {}


class Cart(NamedTuple):
    force: float = 2.0
    edge: float = 1e9  # beyond it rewards are NaN


def reset_cart(env, rng):
    return fastars.scalar.uniform(rng, -1.0, 1.0), 0.0


def observe_cart(env, state):
    return state


def step_cart(env, state, action):
    x, v = state
    v = v + 0.05 * env.force * action[0]
    x = x + 0.05 * v
    return (x, v), -x * x - 0.1 * (action[0] * action[0]) + (0.0 if x < env.edge else math.nan), abs(x) > 2.0


def step_cart_for_two(env, state, action):
    after, _, terminated = step_cart(env, state, action)
    return after, (-after[0] * after[0], -0.1 * (action[0] * action[0])), terminated


def cart(step=step_cart, edge=1e9):
    """An environment of the user's own, compiled."""
    env_id = "HashedCart-v0" if step is step_cart else "HashedCarts-v0"
    spaces = {"observation_space": Box(-10, 10, (2,)), "action_space": Box(-1, 1, (1,)), "max_episode_steps": 40}
    fastars.register_env(env_id, Cart(edge=edge), reset_cart, observe_cart, step, **spaces)
    return env_id


POINT = """<mujoco><option timestep="0.01"/><worldbody><body>
<joint name="x" type="slide" axis="1 0 0" damping="1"/><geom size="0.1" mass="1"/></body></worldbody>
<actuator><motor name="push" joint="x" ctrllimited="true" ctrlrange="-1 1" gear="5"/></actuator></mujoco>"""


def observe_point(constants, sim, observation):
    observation[0] = sim.qpos[0]
    observation[1] = sim.qvel[0]


def reward_point(constants, sim, action, before):
    return -abs(sim.qpos[0] - 0.1)


def point():
    """A MuJoCo task of the user's own."""
    how = {"n_obs": 2, "max_episode_steps": 20, "reset_noise_scale": 0.5, "name": "HashedPoint-v0"}
    return fastars.MujocoTask(POINT, observe_point, reward_point, **how)


PENDULUM = POINT.replace('name="x" type="slide" axis="1 0 0" damping="1"', 'name="x" axis="0 1 0"').replace(
    "mass", 'pos="0 0 -.4" mass'
)


def observe_pendulum(constants, sim, observation):
    observation[0] = sim.qpos[0]
    observation[1] = sim.qvel[0]
    observation[2] = sim.xipos[1, 0]
    observation[3] = sim.qacc[0]


def pendulum():
    """A MuJoCo task of the user's own whose model can be stepped over lanes."""
    how = {"n_obs": 4, "max_episode_steps": 20, "reset_noise_scale": 0.5, "name": "HashedPendulum-v0"}
    return fastars.MujocoTask(PENDULUM, observe_pendulum, reward_point, **how)


def lander(**kwargs):
    pytest.importorskip("Box2D")  # it also hears Box2D's warnings, which would be errors
    return gymnasium.make("LunarLander-v3", **kwargs)


def of_mo_gymnasium(env_id):
    import mo_gymnasium

    return mo_gymnasium.make(env_id)


HEAVY = functools.partial(gymnasium.make, "Pendulum-v1", g=5.0)
NAN_REWARD = faulty_envs.make(faulty_envs.gives_nan_reward, n_bad=1 << 29)  # one of eight seeds
NAN_SEEN = faulty_envs.make(faulty_envs.gives_nan_observation, n_bad=1 << 29)
INFINITE = faulty_envs.make(faulty_envs.gives_infinite_reward, n_bad=1 << 29)
ALWAYS_NAN = faulty_envs.make(faulty_envs.gives_nan_reward, n_bad=1 << 62)

# --- The rows


def row(env="CartPole-v1", how=in_one_call, on=EVERYWHERE, policy="LinearPolicy", n_iterations=4, is_made=False, **settings):
    # By default, steps and noise are large enough for a policy of zeros to be left soon.
    settings = {"n_delta": 4, "seed": 7, "noise_size": 1 << 16, "delta_std": 0.5, "learning_rate": 0.1, **settings}
    return Row(env, settings, how, on, policy, n_iterations, is_made)


def mlp(env, how=in_one_call, *, delta_std=0.2, variant="V1", **policy_kwargs):
    return row(env, how, EVERYWHERE, "MlpPolicy", delta_std=delta_std, variant=variant, policy_kwargs=policy_kwargs)


def tasks(env="fastars/mo-pendulum-v0", how=in_one_call, on=HERE, **settings):
    """Methods weigh all tasks the same in the first five iterations."""
    return row(env, how, on, **{"n_iterations": 9, "max_episode_steps": 40, **settings})


here = functools.partial(row, on=HERE)
mujoco = functools.partial(row, on=MUJOCO, max_episode_steps=30, delta_std=0.1)
over_lanes = functools.partial(row, on=ON_ANY_CPU, physics="lanes", max_episode_steps=30, delta_std=0.1)
V1_T, V2_T = {"variant": "V1-t", "n_top": 2}, {"variant": "V2-t", "n_top": 2}
MANY = {"n_delta": 150, "variant": "V2-t", "n_top": 40}  # episodes enough for two threads
BIAS, SQUASH = {"with_bias": True}, {"squash_output": True}

ROWS = {
    # classic control
    "CartPole, V1": row(),
    "CartPole, V1-t": row(**V1_T),
    "CartPole, V2": row(variant="V2"),
    "CartPole, V2-t, bias": row(**V2_T, policy_kwargs=BIAS),
    "CartPole-v0, the noise table as large as by default": row("CartPole-v0", noise_size=None),
    "Pendulum, V2": row("Pendulum-v1", variant="V2"),
    "Pendulum, squashed": row("Pendulum-v1", policy_kwargs=SQUASH),
    "Pendulum, squashed, bias": row("Pendulum-v1", policy_kwargs={**SQUASH, **BIAS}, clip_actions=False),
    "Pendulum of another gravity": row(HEAVY, is_made=True, variant="V2"),
    "Acrobot, V1": row("Acrobot-v1", delta_std=1.0),
    "Acrobot, V2-t": row("Acrobot-v1", **V2_T),
    "MountainCar, V2-t": row("MountainCar-v0", **V2_T, delta_std=2.0, n_delta=16),
    "MountainCarContinuous, bias": row("MountainCarContinuous-v0", policy_kwargs=BIAS),
    "MountainCarContinuous, V2": row("MountainCarContinuous-v0", variant="V2"),
    # networks
    "MLP, relu": mlp("CartPole-v1", net_arch=[8]),
    "MLP, tanh": mlp("Pendulum-v1", net_arch=[8, 5], activation_fn="tanh"),
    "MLP, tanh, neither bias nor squashed": mlp(
        "MountainCarContinuous-v0", net_arch=[6], activation_fn="tanh", with_bias=False, squash_output=False
    ),
    "MLP, swish": mlp("Pendulum-v1", net_arch=[8, 5], activation_fn="swish"),
    "MLP, linear, saved and loaded": mlp("CartPole-v1", how=saved_and_loaded, net_arch=[4], activation_fn="linear"),
    "MLP, relu, V2": mlp("Acrobot-v1", net_arch=[4, 4, 4], variant="V2", delta_std=0.5),
    "MLP, as large as by default": mlp("Pendulum-v1"),
    "MLP, saved and loaded": mlp("CartPole-v1", how=saved_and_loaded, net_arch=[8], activation_fn="tanh", variant="V2"),
    # presets
    "preset fastars": row("Pendulum-v1", preset="fastars", delta_std=None, learning_rate=None),
    "preset tuned": row("Pendulum-v1", preset="tuned", delta_std=None, learning_rate=None, n_delta=None),
    "preset tuned, another environment": row("MountainCarContinuous-v0", preset="tuned", delta_std=None, n_delta=None),
    "preset paper": row("Pendulum-v1", preset="paper", **V2_T),
    "preset modestyachts": row(preset="modestyachts", **V2_T, n_delta=12),
    "preset rllib": row("MountainCarContinuous-v0", preset="rllib", variant="V2"),
    "preset sb3": row("Pendulum-v1", preset="sb3", variant="V2"),
    "preset sb3, V1-t": row(preset="sb3", **V1_T),
    # steps
    "momentum": row("Pendulum-v1", momentum=0.9),
    "momentum and weight decay": row(momentum=0.5, weight_decay=0.1),
    "Adam": here("Pendulum-v1", optimizer="adam"),  # its powers are the C library's
    "Adam and weight decay": here(optimizer="adam", weight_decay=0.1, **V2_T),
    "centered ranks": row("Pendulum-v1", fitness_shaping="centered_ranks"),
    "centered ranks of many ties": row(fitness_shaping="centered_ranks", n_delta=20, **V1_T),
    "signs": row("Pendulum-v1", fitness_shaping="sign", momentum=0.9),
    "schedule of the step": row("Pendulum-v1", by_steps, learning_rate=lambda progress: 0.2 * progress * progress),
    "schedule of the noise": row("Acrobot-v1", by_steps, delta_std=lambda progress: 0.5 + progress, **V1_T),
    "schedules of both, saved and loaded": row(
        how=saved_and_loaded, delta_std=lambda progress: 0.5 * progress, learning_rate=lambda progress: 0.1 * progress
    ),
    "weights that are drawn at the start": row("Pendulum-v1", zero_policy=False),
    "settings of the deviation of returns": row("Pendulum-v1", return_ddof=1, std_epsilon=0.1, divide_by_n_top=True, n_top=3),
    "settings of the filter": row(
        "Pendulum-v1", variant="V2", filter_ddof=0, filter_epsilon=0.01, filter_var_epsilon=0.1, clip_observations=0.7
    ),
    "an alive bonus taken away": row(alive_bonus_offset=-0.5, n_eval_episodes=2, policy_kwargs=BIAS),
    "ties are kept": row("Acrobot-v1", keep_ties=True, n_delta=10, n_top=3),
    "no diagnostics": row("Pendulum-v1", diagnostics=False),
    "a short time limit": row("Pendulum-v1", max_episode_steps=17),
    # episodes
    "two episodes of each candidate": row(n_eval_episodes=2, **V2_T),
    "five episodes of each candidate": row("Pendulum-v1", n_eval_episodes=5),
    "common random numbers": row("Pendulum-v1", common_random_numbers=True),
    "common random numbers, three episodes": row(common_random_numbers=True, n_eval_episodes=3, variant="V2"),
    "a large seed": row(seed=2**64 - 1),
    # who runs it
    "one thread": row(n_threads=1, **MANY),
    "two threads": row("Acrobot-v1", n_threads=2, **MANY),
    "two threads, a network": row(
        policy="MlpPolicy", policy_kwargs={"net_arch": [16]}, n_threads=2, n_delta=20, delta_std=0.2, n_iterations=3
    ),
    "NumPy's backend": here(backend="numpy", **V2_T),
    "NumPy's backend, squashed": here("Pendulum-v1", backend="numpy", max_episode_steps=40, policy_kwargs=SQUASH),
    "NumPy's backend, a network": here(
        "Pendulum-v1", policy="MlpPolicy", policy_kwargs={"net_arch": [5]}, backend="numpy", max_episode_steps=40
    ),
    "NumPy's backend, Adam, ranks": here(backend="numpy", optimizer="adam", fitness_shaping="centered_ranks"),
    # ways to train
    "saved and loaded": row(how=saved_and_loaded, momentum=0.9, **V2_T),
    "saved and loaded, Adam": here("Pendulum-v1", saved_and_loaded, optimizer="adam"),
    "two calls of learn": row("Pendulum-v1", in_two_calls, learning_rate=lambda progress: 0.1 * progress),
    "two calls of learn, counted anew": row(how=in_two_calls_counted_anew, delta_std=lambda progress: 0.1 + progress),
    "ask and tell": row("Pendulum-v1", asked_and_told, momentum=0.5),
    "ask and tell, no environment": row("Acrobot-v1", told_of_a_parabola, n_iterations=6, **V1_T),
    "ask and tell, several tasks": tasks(how=asked_and_told, weighting="gradnorm"),
    "another seed while it runs": row("Pendulum-v1", with_another_seed, variant="V2"),
    "another environment while it runs": row("Pendulum-v1", in_another_env, variant="V2"),
    # environments in Python
    "Python: CartPole": here(compiled=False, **V2_T),
    "Python: Pendulum, squashed": here("Pendulum-v1", compiled=False, max_episode_steps=40, policy_kwargs=SQUASH),
    "Python: a network": here(faulty_envs.Line, policy="MlpPolicy", policy_kwargs={"net_arch": [5]}, n_workers=1, variant="V2"),
    "Python: Dict and MultiDiscrete": here(Boxes, variant="V2", policy_kwargs=BIAS),
    "Python: Dict and Discrete": here(Choice, **V1_T),
    "Python: one worker": here(faulty_envs.Line, n_workers=1, n_eval_episodes=2, variant="V2"),
    "Python: two workers": here(faulty_envs.Line, n_workers=2, **V2_T),
    "Python: a vector environment": here(lambda: gymnasium.make_vec("CartPole-v1", 3, "sync"), is_made=True, **V2_T),
    "Python: a vector environment of kernels": here(
        lambda: gymnasium.make_vec("fastars/CartPole-v1", 3, vectorization_mode="vector_entry_point"), is_made=True
    ),
    "Python: saved and loaded": here(faulty_envs.Line, saved_and_loaded, optimizer="adam", **V2_T),
    "Python: LunarLander": here(lander, is_made=True, on=BOX2D, max_episode_steps=60, variant="V2"),
    "Python: LunarLanderContinuous": here(
        functools.partial(lander, continuous=True), is_made=True, on=BOX2D, max_episode_steps=60, policy_kwargs=BIAS
    ),
    # numbers that are not finite
    "NaN rewards, dropped": here(NAN_REWARD, n_delta=12),
    "NaN rewards, penalized": here(NAN_REWARD, n_delta=12, on_nonfinite="penalize", **V1_T),
    "infinite rewards, penalized": here(INFINITE, n_delta=12, on_nonfinite="penalize", variant="V2"),
    "NaN observations, dropped": here(NAN_SEEN, n_delta=12, variant="V2"),
    "NaN rewards raise": here(NAN_REWARD, until_it_raises, n_delta=2, on_nonfinite="raise", seed=3),
    "NaN rewards of all candidates raise": here(ALWAYS_NAN, until_it_raises),
    "NaN rewards in kernels, dropped": row(functools.partial(cart, edge=0.97), is_made=True, n_delta=20),
    "NaN rewards in kernels, penalized": row(
        functools.partial(cart, edge=0.97), is_made=True, n_delta=20, on_nonfinite="penalize", variant="V2"
    ),
    # the user's own
    "an own environment": row(cart, is_made=True, variant="V2"),
    "an own environment, a network": row(cart, is_made=True, policy="MlpPolicy", policy_kwargs={"net_arch": [4]}),
    "an own environment in Python": here(cart, is_made=True, compiled=False, variant="V2"),
    "an own environment of two tasks": tasks(functools.partial(cart, step_cart_for_two), is_made=True, weighting="std"),
    "a MuJoCo task": mujoco(point, is_made=True, variant="V2", delta_std=0.5),
    # MuJoCo
    "HalfCheetah-v5": mujoco("HalfCheetah-v5", **V2_T),
    "HalfCheetah-v4": mujoco("HalfCheetah-v4", policy_kwargs=BIAS),
    "HalfCheetah in Python": mujoco("HalfCheetah-v5", compiled=False, variant="V2"),
    "HalfCheetah, a network": mujoco(
        "HalfCheetah-v5", policy="MlpPolicy", policy_kwargs={"net_arch": [8], "activation_fn": "tanh"}, variant="V2"
    ),
    "HalfCheetah, NumPy's backend": mujoco("HalfCheetah-v5", backend="numpy", n_delta=2),
    "HalfCheetah, preset paper": mujoco("HalfCheetah-v5", preset="paper", variant="V2-t", n_delta=None, delta_std=None),
    "Swimmer, preset paper": mujoco("Swimmer-v5", preset="paper", n_delta=None, delta_std=None, learning_rate=None),
    "Hopper, preset tuned": mujoco("Hopper-v5", preset="tuned", physics="mujoco", delta_std=None, learning_rate=None),
    "Hopper-v4": mujoco("Hopper-v4", alive_bonus_offset=-1.0, variant="V2"),
    "Walker2d-v5": mujoco("Walker2d-v5", variant="V2"),
    "Walker2d-v4": mujoco("Walker2d-v4", **V1_T),
    "Ant-v5": mujoco("Ant-v5", variant="V2"),
    "Humanoid-v4": mujoco("Humanoid-v4", variant="V2", n_iterations=2, max_episode_steps=15),
    "HumanoidStandup-v5": mujoco("HumanoidStandup-v5", n_iterations=2, max_episode_steps=10),
    "Swimmer-v4": mujoco("Swimmer-v4", policy_kwargs=SQUASH),
    "Reacher-v5": mujoco("Reacher-v5", variant="V2"),
    "Pusher-v5": mujoco("Pusher-v5", variant="V2", common_random_numbers=True),
    "InvertedPendulum-v5": mujoco("InvertedPendulum-v5", delta_std=0.5, n_threads=2),
    "InvertedDoublePendulum-v4": mujoco("InvertedDoublePendulum-v4", how=saved_and_loaded, momentum=0.9, **V2_T),
    # MuJoCo's models over lanes
    "over lanes: HalfCheetah-v5": over_lanes("HalfCheetah-v5", **V2_T),
    "over lanes: HalfCheetah-v5, one thread": over_lanes("HalfCheetah-v5", n_delta=9, variant="V2", n_threads=1),
    "over lanes: HalfCheetah-v5, two threads": over_lanes("HalfCheetah-v5", n_delta=9, variant="V2", n_threads=2),
    "over lanes: HalfCheetah-v4, squashed": over_lanes("HalfCheetah-v4", policy_kwargs=SQUASH),
    "over lanes: Hopper-v5, a network": over_lanes(
        "Hopper-v5", policy="MlpPolicy", policy_kwargs={"net_arch": [8], "activation_fn": "tanh"}, variant="V2"
    ),
    "over lanes: Hopper-v4, two episodes of each candidate": over_lanes("Hopper-v4", alive_bonus_offset=-1.0, n_eval_episodes=2),
    "over lanes: Walker2d-v5": over_lanes("Walker2d-v5", variant="V2", n_eval_episodes=3, common_random_numbers=True),
    "over lanes: Swimmer-v5, preset tuned": over_lanes("Swimmer-v5", preset="tuned", delta_std=None, learning_rate=None),
    "over lanes: Reacher-v5": over_lanes("Reacher-v5", policy_kwargs=BIAS, variant="V2"),
    "over lanes: InvertedPendulum-v5": over_lanes("InvertedPendulum-v5", delta_std=0.5, n_threads=2),
    "over lanes: InvertedDoublePendulum-v4, saved and loaded": over_lanes(
        "InvertedDoublePendulum-v4", saved_and_loaded, momentum=0.9, **V2_T
    ),
    "over lanes: Ant-v5": over_lanes("Ant-v5", variant="V2"),
    "over lanes: a MuJoCo task": over_lanes(pendulum, is_made=True, delta_std=0.5),
    "over lanes: terms of HalfCheetah": tasks("HalfCheetah-v5", on=MUJOCO, physics="lanes", weighting="std", delta_std=0.1),
    "over lanes: terms of Ant, V2": tasks("Ant-v5", on=MUJOCO, physics="lanes", n_iterations=3, variant="V2", delta_std=0.1),
    "over lanes: two environments": tasks(
        ["HalfCheetah-v5", "Walker2d-v5"], on=MUJOCO, physics="lanes", weighting="gradnorm", delta_std=0.1
    ),
    # several tasks
    "fixed weights of 1": tasks(on=EVERYWHERE, n_iterations=4),
    "fixed weights of 1, V2": tasks("fastars/mo-mountaincarcontinuous-v0", on=EVERYWHERE, n_iterations=4, variant="V2"),
    "fixed weights": tasks(weighting="fixed", preference=[1.0, 0.3, -0.7]),
    "fixed weights, MountainCar": tasks("fastars/mo-mountaincar-v0", preference=[1.0, 0.01, 0.3], delta_std=1.0),
    "fixed weights, a network": tasks(policy="MlpPolicy", policy_kwargs={"net_arch": [5]}, preference=[1.0, 0.1, 0.001]),
    "std": tasks(weighting="std"),
    "std with a preference": tasks("fastars/water-reservoir-v0", weighting="std", preference=[1.0, 0.5], policy_kwargs=BIAS),
    "GradNorm": tasks(weighting="gradnorm", **V2_T),
    "GradNorm with losses": tasks(weighting="gradnorm", weighting_kwargs={"alpha": 0.5, "update": "paper"}, utopia=[0.0, 0.0, 0.0]),
    "GradNorm as an object": tasks(weighting=GradNorm(alpha=1.5), utopia=[1.0, 1.0, 0.5], preference=[1.0, 2.0, 0.5]),
    "GradNorm, saved and loaded": tasks(how=saved_and_loaded, weighting="gradnorm", optimizer="adam"),
    "GradNorm, NumPy's backend": tasks(weighting="gradnorm", backend="numpy", n_iterations=7, max_episode_steps=20),
    "GradNorm, a task without a gradient": tasks("fastars/mo-mountaincar-3d-v0", weighting="gradnorm", n_delta=8, n_iterations=30),
    "uncertainty": tasks(weighting="uncertainty", utopia=[0.0, 0.0, 0.0]),
    "uncertainty, DeepSeaTreasure": tasks("fastars/deep-sea-treasure-v0", weighting="uncertainty", policy_kwargs=BIAS),
    "UW-SO": tasks(weighting="uw-so"),
    "dynamic weight average": tasks(weighting="dwa"),
    "random weights": tasks(weighting="random"),
    "FAMO": tasks(weighting="famo"),
    "STCH": tasks(weighting="stch", weighting_kwargs={"mu": 50.0}, preference=[1.0, 0.5, 0.5]),
    "MGDA": tasks(weighting="mgda"),
    "DB-MTL": tasks(weighting="db-mtl"),
    "ConFIG": tasks(weighting="config"),
    "IMTL-G": tasks(weighting="imtl-g"),
    "PCGrad": tasks(weighting="pcgrad"),
    "CAGrad": tasks(weighting="cagrad", weighting_kwargs={"c": 0.3}),
    "Aligned-MTL": tasks(weighting="aligned-mtl"),
    "Nash-MTL": tasks(weighting="nash-mtl"),
    "FairGrad": tasks(weighting="fairgrad"),
    "DualProj": tasks(weighting="dualproj"),
    "UPGrad": tasks(weighting="upgrad"),
    "a function": tasks(weighting=lambda gram, returns: 1.0 / (1.0 + abs(returns))),
    "a function, saved and loaded": tasks(how=saved_and_loaded, weighting=lambda gram, returns: 1.0 / (1e-3 + gram.diagonal())),
    "a function, MountainCar": tasks(
        "fastars/mo-mountaincar-3d-v0", weighting=lambda gram, returns: [1.0, 0.5, -0.1], delta_std=1.0, max_episode_steps=100
    ),
    "several tasks in Python": tasks(Pair, weighting="gradnorm", variant="V2"),
    "several tasks of two workers": tasks(Pair, weighting="mgda", n_workers=2),
    "mo-gymnasium's in Python": tasks(
        functools.partial(of_mo_gymnasium, "deep-sea-treasure-v0"),
        on=MO_GYMNASIUM,
        compiled=False,
        preference=[1.0, 0.1],
        policy_kwargs=BIAS,
    ),
    "mo-gymnasium's, compiled": tasks("mo-mountaincar-v0", on=MO_GYMNASIUM, weighting="std", delta_std=2.0, max_episode_steps=200),
    "terms of HalfCheetah": tasks("HalfCheetah-v5", on=MUJOCO, weighting="gradnorm", delta_std=0.1),
    "terms of Ant, V2": tasks("Ant-v5", on=MUJOCO, weighting="fixed", n_iterations=3, variant="V2", delta_std=0.1),
    "terms of Hopper in Python": tasks(
        lambda: fastars.RewardTerms(gymnasium.make("Hopper-v5")), on=MUJOCO, weighting="std", compiled=False, n_iterations=7
    ),
    # several environments
    "two environments": tasks(lambda: ["Pendulum-v1", HEAVY()], is_made=True, weighting="gradnorm"),
    "two environments, fixed, V2": tasks(lambda: [HEAVY(), "Pendulum-v1"], is_made=True, preference=[1.0, 0.3], variant="V2"),
    "one compiled, one in Python": tasks(["Pendulum-v1", HEAVY], weighting="fairgrad"),
    "two environments in Python": tasks([faulty_envs.Line, NAN_SEEN], weighting="mgda"),
}

# --- A run and its hashes


def run(row, folder):
    """The model after a run."""
    env = row.env() if row.is_made else row.env
    model = ARS(row.policy, env, **row.settings)
    model = row.how(model, row, folder) or model
    model.close()
    if row.is_made and hasattr(env, "close"):
        env.close()
    return model


def hashes(model):
    """A short hash of each part. The log is without times, and without restarts of workers, which a busy machine may have."""
    filter, objectives = model.policy.filter, model.objectives
    counters = "iteration", "num_timesteps", "num_episodes", "num_updates", "dropped_pairs", "penalized_pairs"
    rows = {name: value for name, value in model.record.items() if not name.startswith(("time/", "health/worker_restarts"))}
    shown = {name: None if value is None else repr(float(value)) for name, value in sorted(rows.items())}
    found = {
        "theta": digest(np.asarray(model.theta, np.float64).tobytes()),
        "filter": digest(*(np.asarray(part, np.float64).tobytes() for part in (filter.mean, filter.scale))),
        "counters": digest(json.dumps([int(getattr(model, name)) for name in counters]).encode()),
        "record": digest(json.dumps(shown).encode()),
    }
    if objectives is not None:
        found["weights"] = digest(np.asarray(objectives.weights, np.float64).tobytes())
    return found


def check(row, expected, table, folder):
    """Run it, and hold the parts against the table that must be the same on this machine."""
    if reason := differing(row.depends_on, table):
        pytest.skip(reason)
    reason = differing({*row.depends_on, *HERE}, table)
    found = hashes(run(row, folder))
    if reason:
        print(f"the record is not compared: {reason}")
        found["record"] = expected["record"]
    assert found == expected


def read_table():
    return json.loads(TABLE.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", ROWS)
def test_a_run_ends_with_the_bits_it_ended_with(name, tmp_path):
    table = read_table()
    check(ROWS[name], table["test_theta_hashes"][name], table, tmp_path)


def test_the_table_has_these_rows_and_no_others():
    assert list(read_table()["test_theta_hashes"]) == list(ROWS)


def test_this_machine_is_that_of_the_table():
    """Skipped elsewhere, to say that the log is not compared."""
    if reason := differing(machine(), read_table()):
        pytest.skip(f"what depends on these is not compared: {reason}")
