"""Nothing runs compiled that is not the environment given: ways to change one, and the doors by which it comes in.

Broken on purpose, one at a time: `set_on` finds nothing -> the rows "set on" a wrapper, "options of reset", "a bound method" red,
and test_every_door_sees_a_method_that_was_set, test_own_environments_and_tasks; `altered` finds nothing -> the rows "class",
"base" and "global" of PATCHED and "another class" of MADE, and test_make_vec red; globals of modules, names of Python's own, or
the modules of `_CALLED` not compared -> the rows "global", "a name of Python's own", "the generator" red; ids are not walked as
environments are -> all rows of PATCHED but two red (a function of MuJoCo's; another text), and test_make_vec; the class of an id
is taken from its entry point -> "registered as another" red; attributes, the model or first positions not compared -> "a number",
"a list", "a range" and others, "time step" to "friction", "first positions" red; arrays by their type alone -> "bounds in place"
red; spaces not compared -> "a space of a wrapper" red; every wrapper of Gymnasium's known -> "a wrapper of Gymnasium's" red;
`refuse_hooks` left out -> "a function of MuJoCo", test_a_callback_of_mujoco red; tasks not looked at ->
test_own_environments_and_tasks red; `with_memory` finds nothing, or always -> test_a_wrapper_with_a_memory,
test_wrappers_without_such_a_memory red; an attribute that no function reads refused -> test_an_environment_that_only_watches red.
Without `called.py`, the rows "of another class", "of the same name", "other globals", "of NumPy", "gymnasium.make" and "a callable"
were red, and so were callbacks of MuJoCo in a later `learn`.
"""

import copy
import functools
import importlib
import sys
import types
from unittest import mock

import gymnasium
import numpy as np
import pytest
from gymnasium.envs.classic_control import AcrobotEnv, CartPoleEnv, PendulumEnv
from gymnasium.envs.classic_control import acrobot as acrobot_module
from gymnasium.envs.classic_control import cartpole as cartpole_module
from gymnasium.envs.classic_control import pendulum as pendulum_module
from gymnasium.wrappers import OrderEnforcing, TimeLimit

import fastars
from fastars import ARS, UnsupportedEnvError, evaluate_candidates
from fastars.callbacks import EvalCallback
from fastars.envs import compiled_env
from fastars.envs.changes import class_names
from fastars.envs.mujoco.task_env import TaskEnv
from fastars.envs.originals import altered, set_on
from fastars.envs.registry import COMPILED
from fastars.envs.vector import CompiledVectorEnv

SEEDS = [3, 4, 5]


def doubled(step):
    """Return a step with twice the reward."""

    @functools.wraps(step)
    def step_twice(*args):
        observation, reward, *rest = step(*args)
        return observation, 2 * reward, *rest

    return step_twice


def unnamed(step):
    return lambda *args: (lambda o, r, *rest: (o, r - 1.0, *rest))(*step(*args))


def on(name, depth, method="step", env_id="Pendulum-v1"):
    """Return a function that makes an environment with a method set on the layer at this depth."""

    def make():
        env = layer = gymnasium.make(env_id)
        for _ in range(depth):
            layer = layer.env
        setattr(layer, method, {"doubled": doubled, "unnamed": unnamed}[name](getattr(layer, method)))
        return env

    return make


def changed(env_id, change, **kwargs):
    """Return a function that makes an environment and changes it."""

    def make():
        env = gymnasium.make(env_id, **kwargs)
        replaced = change(env)
        return env if replaced is None else replaced

    return make


def with_options(env):
    env.reset = functools.partial(env.reset, options={"x_init": 0.1, "y_init": 0.1})


def bound_method(env):
    env.step = types.MethodType(lambda self, action: doubled(type(self).step)(self, action), env)


def patched_object(env):
    mock.patch.object(env.unwrapped, "step", side_effect=doubled(env.unwrapped.step)).start()


def of_another_class(env):
    class Unnamed(type(env)):
        def step(self, action):
            return doubled(super().step)(action)

    Unnamed.__name__, Unnamed.__qualname__, Unnamed.__module__ = "TimeLimit", "TimeLimit", "gymnasium.wrappers.common"
    env.__class__ = Unnamed


def of_a_namesake(env):
    class Namesake(PendulumEnv):
        def step(self, action):
            return doubled(super().step)(action)

    Namesake.__name__, Namesake.__qualname__, Namesake.__module__ = "PendulumEnv", "PendulumEnv", PendulumEnv.__module__
    env.unwrapped.__class__ = Namesake


def with_property(env):
    class Heavy(type(env.unwrapped)):
        @property
        def g(self):
            return 3.0

        @g.setter
        def g(self, value):
            pass

    env.unwrapped.__class__ = Heavy


def with_getattribute(env):
    class Odd(type(env.unwrapped)):
        def __getattribute__(self, name):
            return 0.5 if name == "l" else super().__getattribute__(name)

    env.unwrapped.__class__ = Odd


class Delegate(gymnasium.Env):
    """An environment around another one that is no `gymnasium.Wrapper`, and says that the other is its `unwrapped`."""

    def __init__(self, env):
        self.env, self.spec = env, env.spec
        self.observation_space, self.action_space = env.observation_space, env.action_space

    @property
    def unwrapped(self):
        return self.env.unwrapped

    def reset(self, **kwargs):
        return self.env.reset(**kwargs)

    def step(self, action):
        return doubled(self.env.step)(action)


class Twice(gymnasium.Wrapper, gymnasium.utils.RecordConstructorArgs):
    def __init__(self, env):
        gymnasium.utils.RecordConstructorArgs.__init__(self)
        super().__init__(env)

    def step(self, action):
        return doubled(self.env.step)(action)


def renamed_wrapper(env):
    wrapper = type("TimeLimit", (Twice,), {})(env)
    type(wrapper).__module__ = "gymnasium.wrappers.common"
    return wrapper


class Tripled(float):
    """A number that is three times as large in products."""

    def __mul__(self, other):
        return 3.0 * float(self) * other

    __rmul__ = __mul__


class Raised(np.ndarray):
    """An array that is larger in sums."""

    def __add__(self, other):
        return self.view(np.ndarray) + other + 0.3


def raised_start(env):
    env.unwrapped.init_qpos = env.unwrapped.init_qpos.view(Raised)


def attribute(name, value):
    def change(env):
        setattr(env.unwrapped, name, value)

    return change


def space(env):
    env.action_space.low[:], env.action_space.high[:] = 0.5, 1.0


def space_of_a_wrapper(env):
    env.action_space = gymnasium.spaces.Box(0.5, 1.0, (1,))


def twice(env):
    return gymnasium.wrappers.TransformReward(env, lambda reward: 2 * reward)


def timestep(env):
    env.unwrapped.model.opt.timestep *= 0.5


def gravity(env):
    env.unwrapped.model.opt.gravity[2] = -1.6


def masses(env):
    env.unwrapped.model.body_mass[1:] *= 2.0


def friction(env):
    env.unwrapped.model.geom_friction[:] *= 0.1


def start(env):
    env.unwrapped.init_qpos[1] += 0.1


def another_spec(env):
    env.unwrapped.spec = copy.deepcopy(gymnasium.spec("Pendulum-v1"))
    env.unwrapped.spec.kwargs["g"] = 3.0


# Ways to change an environment itself: a name, and a function that makes one. The rewards of the plain environment are others.
MADE = {
    "set on the wrapper": on("doubled", 0),
    "set on the wrapper, a lambda": on("unnamed", 0),
    "set on a wrapper inside": on("doubled", 1),
    "set on the wrapper that checks": on("unnamed", 2),
    "set on the environment": on("unnamed", 3),
    "set on the environment, CartPole": on("doubled", 3, env_id="CartPole-v1"),
    "set on the wrapper, CartPole": on("doubled", 0, env_id="CartPole-v1"),
    "set on the wrapper, Hopper": on("doubled", 0, env_id="Hopper-v5"),
    "set on a private method, Hopper": changed("Hopper-v5", lambda env: setattr(env.unwrapped, "_get_rew", lambda *_: (1.5, {}))),
    "set on a property, Hopper": changed("Hopper-v5", lambda env: setattr(env.unwrapped, "control_cost", lambda action: 1.0)),
    "set on a helper, Acrobot": changed("Acrobot-v1", lambda env: setattr(env.unwrapped, "_terminal", lambda: True)),
    "options of reset": changed("Pendulum-v1", with_options),
    "a bound method": changed("Pendulum-v1", bound_method),
    "mock.patch.object": changed("Pendulum-v1", patched_object),
    "another class of a wrapper, with its name": changed("Pendulum-v1", of_another_class),
    "another class of the environment, with its name": changed("Pendulum-v1", of_a_namesake),
    "a property in the place of an attribute": changed("Pendulum-v1", with_property),
    "__getattribute__": changed("Pendulum-v1", with_getattribute),
    "an environment around it": changed("Pendulum-v1", Delegate),
    "a wrapper": changed("Pendulum-v1", Twice),
    "a wrapper of Gymnasium's": changed("Pendulum-v1", twice),
    "a wrapper with the name of a known one": changed("Pendulum-v1", renamed_wrapper),
    "a number": changed("Pendulum-v1", attribute("g", 3.0)),
    "a number of NumPy": changed("Pendulum-v1", attribute("l", np.float64(0.7))),
    "a number of another class": changed("Pendulum-v1", attribute("g", Tripled(10.0))),
    "an array of another class": changed("Hopper-v5", raised_start),
    "a number of the class": changed("Acrobot-v1", attribute("dt", 2.0)),
    "a list of the class": changed("Acrobot-v1", attribute("AVAIL_TORQUE", [-50.0, 0.0, 50.0])),
    "a number, CartPole": changed("CartPole-v1", attribute("force_mag", 30.0)),
    "bounds in place": changed("Pendulum-v1", space),
    "a space of a wrapper": changed("Pendulum-v1", space_of_a_wrapper),
    "time step of MuJoCo": changed("Hopper-v5", timestep),
    "gravity of MuJoCo": changed("Hopper-v5", gravity),
    "masses of MuJoCo": changed("Hopper-v5", masses),
    "friction of MuJoCo": changed("HalfCheetah-v5", friction),
    "first positions of MuJoCo": changed("Hopper-v5", start),
    "frame_skip": changed("Hopper-v5", attribute("frame_skip", 2)),
    "a range of MuJoCo": changed("Hopper-v5", attribute("_healthy_z_range", (1.24, 10.0))),
    "a weight of MuJoCo": changed("HalfCheetah-v5", attribute("_forward_reward_weight", 3.0)),
    "keyword arguments in the spec alone": changed("Pendulum-v1", another_spec),
}


def method_of(kind, name, change=doubled):
    return lambda patch: patch.setattr(kind, name, change(getattr(kind, name)))


def registered_as(**kwargs):
    return lambda patch: patch.setitem(
        gymnasium.registry, "Pendulum-v1", gymnasium.envs.registration.EnvSpec("Pendulum-v1", **kwargs)
    )


def new_code(patch):
    patch.setattr(
        PendulumEnv.step,
        "__code__",
        pendulum_code().replace(co_consts=tuple(5.0 if c == 0.1 else c for c in pendulum_code().co_consts)),
    )


def pendulum_code():
    return PendulumEnv.step.__code__


def added(patch):
    look_up = PendulumEnv.__getattribute__
    patch.setattr(PendulumEnv, "__getattribute__", lambda self, name: 3.0 if name == "g" else look_up(self, name), raising=False)


def fixed_reset(patch):
    def reset(self, *, seed=None, options=None):
        self.np_random = np.random.default_rng(9)

    patch.setattr(gymnasium.Env, "reset", reset)


def rewritten(patch):
    """Load the module anew from another text."""
    text = importlib.util.find_spec(pendulum_module.__name__).loader.get_source(pendulum_module.__name__)
    module = types.ModuleType(pendulum_module.__name__)
    module.__file__ = pendulum_module.__file__
    exec(compile(text.replace("0.1 *", "0.7 *"), pendulum_module.__file__, "exec"), vars(module))
    patch.setitem(sys.modules, pendulum_module.__name__, module)
    registered_as(entry_point=module.PendulumEnv, max_episode_steps=200)(patch)


def half_steps(patch):
    import mujoco

    step = mujoco.mj_step
    patch.setattr(mujoco, "mj_step", lambda model, data, nstep: step(model, data, nstep=max(nstep // 2, 1)))


def replaced_in(module, **functions):
    """Return a module of the same name with other functions."""
    fake = types.ModuleType(module.__name__)
    vars(fake).update({**vars(module), **functions})
    return fake


def changed_maker(patch):
    original = gymnasium.make

    def make(*args, **kwargs):
        env = original(*args, **kwargs)
        if isinstance(env.unwrapped, PendulumEnv):
            env.unwrapped.g = 3.0
        return env

    patch.setattr(gymnasium, "make", make)


def other_globals(patch):
    namespace = {**vars(pendulum_module), "np": replaced_in(np, sin=np.cos)}
    patch.setattr(PendulumEnv, "step", types.FunctionType(pendulum_code(), namespace, "step"))


class NoStep:
    """A callable in the place of `mj_step`."""

    def __call__(self, model, data, nstep=1):
        pass


def no_steps(patch):
    mujoco = pytest.importorskip("mujoco", reason="mujoco is not installed: pip install '.[mujoco]'")
    patch.setattr(mujoco, "mj_step", NoStep())


def another_mujoco(patch):
    mujoco = pytest.importorskip("mujoco", reason="mujoco is not installed: pip install '.[mujoco]'")
    module = importlib.import_module("gymnasium.envs.mujoco.mujoco_env")
    patch.setattr(module, "mujoco", replaced_in(mujoco, mj_step=NoStep()))


# Ways to change what an id stands for, in its class, its module or its registration: a name, an id, and what changes it.
PATCHED = {
    "class": ("Pendulum-v1", method_of(PendulumEnv, "step")),
    "class, a lambda": ("Pendulum-v1", method_of(PendulumEnv, "step", unnamed)),
    "class, CartPole": ("CartPole-v1", method_of(CartPoleEnv, "step")),
    "class, code of a function": ("Pendulum-v1", new_code),
    "class of a wrapper": ("Pendulum-v1", method_of(TimeLimit, "step")),
    "class, added": ("Pendulum-v1", added),
    "class of a wrapper inside": ("Pendulum-v1", method_of(OrderEnforcing, "step")),
    "class, a constant": ("Acrobot-v1", lambda patch: patch.setattr(AcrobotEnv, "dt", 2.0)),
    "class, a list": ("Acrobot-v1", lambda patch: patch.setattr(AcrobotEnv, "AVAIL_TORQUE", [-50.0, 0.0, 50.0])),
    "base, reset of all": ("Pendulum-v1", fixed_reset),
    "global, a function": ("Pendulum-v1", lambda patch: patch.setattr(pendulum_module, "angle_normalize", lambda x: x)),
    "global, a number": ("Pendulum-v1", lambda patch: patch.setattr(pendulum_module, "DEFAULT_X", 0.1)),
    "global, a function of Acrobot": (
        "Acrobot-v1",
        lambda patch: patch.setattr(acrobot_module, "bound", lambda x, m, M=None: 20.0),
    ),
    "global, a name of Python's own": (
        "CartPole-v1",
        lambda patch: patch.setattr(cartpole_module, "bool", lambda value: True, raising=False),
    ),
    "global, another module": (
        "Pendulum-v1",
        lambda patch: patch.setattr(pendulum_module, "np", types.SimpleNamespace(**{**vars(np), "sin": np.cos})),
    ),
    "global, the generator": (
        "Pendulum-v1",
        lambda patch: patch.setattr(gymnasium.utils.seeding, "np_random", lambda seed=None: (np.random.default_rng(9), 9)),
    ),
    "global, another module of the same name": (
        "Pendulum-v1",
        lambda patch: patch.setattr(pendulum_module, "np", replaced_in(np, sin=np.cos)),
    ),
    "class, a function with other globals": ("Pendulum-v1", other_globals),
    "a function of NumPy": ("CartPole-v1", lambda patch: patch.setattr(np, "sin", np.cos)),
    "a function of NumPy, a lambda": ("Hopper-v5", lambda patch: patch.setattr(np, "square", lambda values: 0.0 * values + 1.0)),
    "a generator of NumPy": ("Pendulum-v1", lambda patch: patch.setattr(np.random, "PCG64", np.random.MT19937)),
    "gymnasium.make": ("Pendulum-v1", changed_maker),
    "a callable in the place of a function of MuJoCo": ("Hopper-v5", no_steps),
    "MuJoCo, another module of the same name": ("Hopper-v5", another_mujoco),
    "a function of MuJoCo": ("Hopper-v5", half_steps),
    "registered as another": (
        "Pendulum-v1",
        registered_as(entry_point="gymnasium.envs.classic_control:MountainCarEnv", max_episode_steps=200),
    ),
    "registered with a wrapper": (
        "Pendulum-v1",
        registered_as(
            entry_point="gymnasium.envs.classic_control:PendulumEnv",
            max_episode_steps=200,
            additional_wrappers=(gymnasium.envs.registration.WrapperSpec("Twice", f"{__name__}:Twice", {}),),
        ),
    ),
    "registered as a class of another text": ("Pendulum-v1", rewritten),
}


def plain_rewards(env):
    """Return (returns, lengths) of episodes in plain Gymnasium whose actions are those of a policy of zeros."""
    returns, lengths = [], []
    action = (
        0
        if hasattr(env.action_space, "n")
        else np.clip(np.zeros(env.action_space.shape, np.float32), env.action_space.low, env.action_space.high)
    )
    for seed in SEEDS:
        env.reset(seed=seed)
        total, length, ended = 0.0, 0, False
        while not ended:
            _, reward, terminated, truncated, _ = env.step(action)
            total, length, ended = total + float(reward), length + 1, terminated or truncated
        returns.append(total)
        lengths.append(length)
    return returns, lengths


def rollouts(env):
    """Return (returns, lengths) of the same episodes by fastars."""
    single = gymnasium.make(env) if isinstance(env, str) else env
    n_scores = single.action_space.n if hasattr(single.action_space, "n") else single.action_space.shape[0]
    weights = np.zeros((len(SEEDS), n_scores * single.observation_space.shape[0]))
    out = evaluate_candidates(env, weights, SEEDS)
    return out.returns.tolist(), out.lengths.tolist()


@pytest.fixture(autouse=True)
def nothing_stays_patched():
    yield
    mock.patch.stopall()


@pytest.mark.promise(24)
@pytest.mark.parametrize("name", MADE)
def test_a_changed_environment_is_stepped_as_it_is_given(name, recwarn, tally):
    make = MADE[name]
    plain = gymnasium.make(make().spec.id if name != "keyword arguments in the spec alone" else "Pendulum-v1")
    expected = plain_rewards(make())
    if name != "keyword arguments in the spec alone":  # which change nothing
        assert expected != plain_rewards(plain)
    with pytest.raises(UnsupportedEnvError):
        compiled_env(make())
    found = rollouts(make())
    assert found == expected
    tally("ways to change an environment after which it was stepped as it is", 1, of=1)


@pytest.mark.promise(24)
@pytest.mark.parametrize("name", PATCHED)
def test_a_patched_class_is_seen_behind_its_id(name, monkeypatch, recwarn, tally):
    env_id, patch = PATCHED[name]
    before = plain_rewards(gymnasium.make(env_id))
    assert compiled_env(env_id).id == env_id
    patch(monkeypatch)
    with pytest.raises(UnsupportedEnvError):
        compiled_env(env_id)
    with pytest.raises(UnsupportedEnvError):
        compiled_env(gymnasium.make(env_id))
    expected = plain_rewards(gymnasium.make(env_id))
    assert expected != before
    assert rollouts(env_id) == expected
    assert rollouts(gymnasium.make(env_id)) == expected
    monkeypatch.undo()
    assert compiled_env(env_id).id == env_id
    tally("ways to change what an id stands for after which it was stepped as it is", 1, of=1)


@pytest.mark.promise(24)
def test_every_door_sees_a_method_that_was_set(tmp_path, recwarn):
    make = on("doubled", 0)
    expected = plain_rewards(make())[0]
    zeros = {"zero_policy": True, "n_delta": 2, "seed": 0}

    def of(model):
        model.policy.load_from_vector(np.zeros(3))
        return model.sampler.evaluate(np.zeros((1, 3)), model.policy.filter, np.array(SEEDS, np.uint64), False).returns.tolist()

    assert of(ARS("LinearPolicy", make(), **zeros)) == expected
    assert of(ARS("LinearPolicy", make, **zeros)) == expected
    ARS("LinearPolicy", "Pendulum-v1", **zeros).save(tmp_path / "plain.zip")
    assert of(ARS.load(tmp_path / "plain.zip", env=make())) == expected
    model = ARS("LinearPolicy", "Pendulum-v1", **zeros)
    model.set_env(make())
    assert of(model) == expected
    both = ARS("LinearPolicy", [make(), gymnasium.make("Pendulum-v1")], **zeros)
    assert [sampler.description.partition(" ")[2][:6] for sampler in both.sampler.samplers] == ["Python", "compil"]
    callback = EvalCallback(make(), n_eval_episodes=2, eval_freq=1_000, verbose=0)
    theirs = EvalCallback(make, n_eval_episodes=2, eval_freq=1_000, verbose=0)
    ARS("LinearPolicy", "Pendulum-v1", **zeros).learn(1_000, callback=[callback, theirs])
    assert callback.last_mean_reward == theirs.last_mean_reward
    for refused in (
        lambda: ARS("LinearPolicy", make(), compiled=True),
        lambda: fastars.check_env(make()),
        lambda: CompiledVectorEnv(compiled_env(make())),
    ):
        with pytest.raises(UnsupportedEnvError, match="its attribute step was set on the TimeLimit"):
            refused()


@pytest.mark.promise(24)
def test_make_vec_sees_a_patched_class(monkeypatch):
    gymnasium.make_vec("fastars/Pendulum-v1", 2).close()
    monkeypatch.setattr(PendulumEnv, "step", doubled(PendulumEnv.step))
    with pytest.raises(UnsupportedEnvError, match=r"PendulumEnv\.step is not as the file of its module has it"):
        gymnasium.make_vec("fastars/Pendulum-v1", 2)
    with pytest.raises(UnsupportedEnvError, match=r"PendulumEnv\.step"):
        ARS("LinearPolicy", "Pendulum-v1", compiled=True)


def test_a_callback_of_mujoco_is_called(recwarn):
    mujoco = pytest.importorskip("mujoco", reason="mujoco is not installed: pip install '.[mujoco]'")
    before, env = plain_rewards(gymnasium.make("Hopper-v5")), gymnasium.make("Hopper-v5")

    def push(model, data):
        data.qfrc_passive[0] += 50.0

    model = ARS("LinearPolicy", "Hopper-v5", seed=0, n_delta=2)
    mujoco.set_mjcb_passive(push)
    try:
        with pytest.raises(UnsupportedEnvError, match="MuJoCo's callback mjcb_passive is set"):
            model.learn(100)
        with pytest.raises(UnsupportedEnvError, match="MuJoCo's callback mjcb_passive is set"):
            compiled_env(env)
        found = rollouts(env)
        assert found == plain_rewards(env) != before
    finally:
        mujoco.set_mjcb_passive(None)
    assert compiled_env(env).id == "Hopper-v5"


def test_own_environments_and_tasks_that_were_changed_are_stepped_in_python(recwarn, monkeypatch):
    xml = """<mujoco><worldbody><body><joint name="hinge" axis="0 1 0" damping="1"/><geom size="0.1" pos="0 0 -1" mass="1"/></body>
    </worldbody><actuator><motor joint="hinge" ctrllimited="true" ctrlrange="-1 1" gear="15"/></actuator></mujoco>"""

    def observe(constants, sim, observation):
        observation[0] = sim.qpos[0]

    def reward(constants, sim, action, before):
        return -abs(sim.qpos[0] - 1.0)

    task = fastars.MujocoTask(xml, observe, reward, n_obs=1, max_episode_steps=5, name="GivenTask-v0")
    env = task.make()
    assert compiled_env(env).id == "GivenTask-v0"
    env.step = doubled(env.step)
    with pytest.raises(UnsupportedEnvError, match="attribute step was set"):
        compiled_env(env)
    assert rollouts(env) == plain_rewards(env)
    other = task.make()
    other.unwrapped.sim = other.unwrapped.sim._replace(qpos=np.ones(1))
    with pytest.raises(UnsupportedEnvError, match="its sim is not that of its data"):
        compiled_env(other)
    for name in ("definition", "compiled", "spec", "model"):  # which kernels and `make` have in common
        with pytest.raises(AttributeError):
            setattr(task, name, None)
    task.model.qpos0[:] = 0.5
    for given in (task, task.make()):
        with pytest.raises(UnsupportedEnvError, match="qpos0 of its model is"):
            compiled_env(given)
        assert evaluate_candidates(given, np.zeros((3, 1)), SEEDS).returns.tolist() == plain_rewards(task.make())[0]
    task.model.qpos0[:] = 0.0
    plain = plain_rewards(task.make())
    with monkeypatch.context() as patch:
        patch.setattr(TaskEnv, "step", doubled(TaskEnv.step))
        out = evaluate_candidates(task, np.zeros((3, 1)), SEEDS)
        assert out.returns.tolist() == plain_rewards(task.make())[0] != plain[0]
    task.make = lambda: Twice(fastars.MujocoTask.make(task))
    out = evaluate_candidates(task, np.zeros((3, 1)), SEEDS)
    assert out.returns.tolist() == plain_rewards(task.make())[0] != plain[0]


def test_an_environment_that_only_watches_or_was_used_runs_compiled():
    env = gymnasium.wrappers.RecordEpisodeStatistics(gymnasium.make("Pendulum-v1", g=9.0))
    env.reset(seed=0)
    env.step(np.zeros(1, np.float32))
    env.action_space.seed(5)
    env.unwrapped.note = env.unwrapped.cos = "mine"  # no function reads `env.cos`: np.cos is another name
    env.action_space = gymnasium.spaces.Box(np.full(1, -2.0, np.float32), np.full(1, 2.0, np.float32))  # an equal one
    compiled = compiled_env(env)
    assert compiled.kwargs == {"g": 9.0}
    hopper = gymnasium.make("Hopper-v5")
    hopper.reset(seed=0)
    hopper.unwrapped.data.qpos[:] = 3.0  # which the next reset overwrites
    assert compiled_env(hopper).id == "Hopper-v5"


def test_classes_of_all_compiled_environments_are_as_their_files_say():
    for env_id in COMPILED:
        for name in class_names(env_id):
            module, _, kind = name.rpartition(".")
            if module.startswith("mo_gymnasium") and not importlib.util.find_spec("mo_gymnasium"):
                continue
            assert altered(getattr(importlib.import_module(module), kind)) is None, name
    assert set_on(gymnasium.make("Hopper-v5").unwrapped) is None


def test_attributes_of_used_environments_are_no_changes(recwarn):
    for env_id in ("Reacher-v5", "Pusher-v5", "Swimmer-v4", "Acrobot-v1", "MountainCar-v0", "fastars/water-reservoir-v0"):
        env = fastars.envs.make(env_id)
        env.reset(seed=0)
        for _ in range(3):
            env.step(env.action_space.sample())
        assert compiled_env(env).id == env_id


def normalized(env):
    return gymnasium.wrappers.NormalizeObservation(env)


class Subclass(gymnasium.wrappers.NormalizeReward):
    pass


class NoSpec(PendulumEnv):
    """An environment that is not registered."""


def vectors(wrapper):
    return gymnasium.make_vec("Pendulum-v1", 2, vectorization_mode="sync", wrappers=[wrapper])


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: normalized(gymnasium.make("Pendulum-v1")), "NormalizeObservation"),
        (lambda: lambda: normalized(gymnasium.make("Pendulum-v1")), "NormalizeObservation"),
        (lambda: gymnasium.wrappers.ClipAction(normalized(gymnasium.make("Pendulum-v1"))), "NormalizeObservation"),
        (lambda: gymnasium.wrappers.NormalizeReward(gymnasium.make("Pendulum-v1")), "NormalizeReward"),
        (lambda: Subclass(gymnasium.make("Pendulum-v1")), "Subclass"),
        (lambda: normalized(NoSpec()), "NormalizeObservation"),
        (lambda: [gymnasium.make("Pendulum-v1"), normalized(gymnasium.make("Pendulum-v1"))], "NormalizeObservation"),
        (lambda: vectors(normalized), "NormalizeObservation"),
        (lambda: gymnasium.wrappers.vector.NormalizeObservation(gymnasium.make_vec("Pendulum-v1", 2)), "NormalizeObservation"),
        (lambda: gymnasium.wrappers.vector.NormalizeReward(gymnasium.make_vec("Pendulum-v1", 2)), "NormalizeReward"),
    ],
)
def test_a_wrapper_with_a_memory_across_episodes_is_warned_of(make, name):
    with pytest.warns(UserWarning, match=rf"{name}, whose statistics.*normalize_observations=True") as seen:
        ARS("LinearPolicy", make(), seed=0, max_episode_steps=200)
    assert seen[0].filename == __file__


def test_wrappers_without_such_a_memory_are_not_warned_of(recwarn):
    fixed = normalized(gymnasium.make("Pendulum-v1"))
    fixed.update_running_mean = False
    wrappers = gymnasium.wrappers
    frames = wrappers.FrameStackObservation(wrappers.RecordEpisodeStatistics(gymnasium.make("Pendulum-v1")), 2)
    for env in (fixed, frames):
        ARS("LinearPolicy", env, seed=0)
    assert not [warning for warning in recwarn if "memory" in str(warning.message) or "statistics" in str(warning.message)]
