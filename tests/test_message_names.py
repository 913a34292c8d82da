"""Messages name what the user called and gave: no private function, no address in memory, no class that fastars made up.

Broken on purpose: addresses left in, near names by capitals, hints with extras of fastars or with torch, parameters of one
constructor only, Numba's own words about SciPy. Seen red before there was a name: classes of constants, five constructors.
"""

import builtins
import collections
import importlib
import inspect
import re
import tomllib
from pathlib import Path

import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete

import fastars
from fastars import ARS, evaluate_policy, register_env
from fastars._imports import pip_install
from fastars._validate import did_you_mean, without_addresses
from fastars.weighting import METHODS, make_method

MODULES = ("", ".weighting", ".callbacks", ".logger", ".exchange", ".plot", ".envs", ".rllib")
INTERNAL = re.compile(r"0x[0-9a-f]+|__init__|\bchecked\(|\b_\w+\(|<locals>")
# Without exceptions, and without tuples, which are results.
PUBLIC = [
    (name, value)
    for module in map(importlib.import_module, (f"fastars{each}" for each in MODULES))
    for name in module.__all__
    if callable(value := getattr(module, name)) and not (inspect.isclass(value) and issubclass(value, (Exception, tuple)))
]


class Strange:
    """An object of the user's that no argument takes, with Python's own text."""

    def method(self):
        pass


def message(call, *args, **kwargs):
    """The text of the error that a call ends with; nothing if there is none."""
    try:
        call(*args, **kwargs)
    except Exception as error:
        return str(error)
    return ""


# --- Arguments that nobody knows


@pytest.mark.parametrize(("name", "call"), PUBLIC, ids=[name for name, _ in PUBLIC])
def test_an_unknown_argument_is_of_the_function_that_was_called(name, call):
    text = message(call, no_such_argument=1)
    assert not INTERNAL.search(text), text
    if "no_such_argument" in text:
        assert re.match(rf"(\w+\.)*{name}\(", text), text


@pytest.mark.parametrize("name", METHODS)
def test_an_unknown_argument_of_a_method_is_not_of_its_base_class(name):
    kind = type(make_method(name, 2))
    assert message(kind, 2, normalise="sum").startswith(
        f"{kind.__name__}() got an unexpected keyword argument 'normalise'; did you mean 'normalize'?"
    )
    assert "Method" not in message(kind, 2, no_such=1)


# --- Objects without a text of their own


def values():
    yield Strange()
    yield message
    yield Strange().method
    yield [Strange()]


@pytest.mark.parametrize("parameter", [name for name in inspect.signature(ARS).parameters if name not in ("args", "kwargs")])
@pytest.mark.filterwarnings("ignore")
def test_no_error_of_ars_has_an_address(parameter, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for value in values():
        text = message(ARS, **{"env": "CartPole-v1", "seed": 0, parameter: value})
        assert not INTERNAL.search(text), text


@pytest.mark.parametrize("name", METHODS)
def test_no_error_of_a_method_has_an_address(name):
    kind = type(make_method(name, 2))
    for parameter in inspect.signature(kind).parameters:
        for value in values():
            text = message(kind, **{"n_tasks": 2, parameter: value})
            assert not INTERNAL.search(text), text


def test_no_error_of_a_model_has_an_address(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = ARS("LinearPolicy", "CartPole-v1", seed=0, n_delta=1)
    for value in values():
        for call, arguments in (
            (model.learn, (10, value)),
            (model.learn, (value,)),
            (model.predict, (value,)),
            (model.set_env, (value,)),
            (model.set_parameters, (value,)),
            (model.set_random_seed, (value,)),
            (model.evaluate, (value,)),
            (model.tell, (value,)),
            (evaluate_policy, (value, "CartPole-v1")),
            (evaluate_policy, (model, value)),
            (evaluate_policy, (model, "CartPole-v1", value)),
            (fastars.compiled_env_ids, (value,)),
            (fastars.envs.compiled_env, (value,)),
            (fastars.envs.environment, (value,)),
            (fastars.callbacks.make_callback, (value,)),
            (fastars.callbacks.CallbackList, (value,)),
            (fastars.callbacks.EvalCallback, (value,)),
            (fastars.logger.configure, (str(tmp_path), [value])),
        ):
            text = message(call, *arguments)
            assert not INTERNAL.search(text), (call, text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("got <__main__.Arm object at 0x7f12ab>", "got an object of the class Arm"),
        ("<a.b.C object at 0x1> and <a.D object at 0x2>", "an object of the class C and an object of the class D"),
        ("<function step at 0x7f>", "the function step"),
        ("<function test.<locals>.step at 0x7f>", "the function step"),
        ("<function <lambda> at 0x7f>", "the function <lambda>"),
        ("<bound method C.m of <a.C object at 0x7f>>", "<bound method C.m of an object of the class C>"),
        ("<generator object f at 0x7f>", "<generator object f>"),
        ("0x7f and <1 at 2>", "0x7f and <1 at 2>"),
    ],
)
def test_an_address_becomes_a_word(text, shown):
    assert without_addresses(text) == shown


def test_a_near_name_is_found_whatever_its_capitals():
    assert did_you_mean("v2", ["V1", "V2"]) == "; did you mean 'V2'?"
    assert did_you_mean("LINEARPOLICY", ["LinearPolicy", "MlpPolicy"]) == "; did you mean 'LinearPolicy'?"
    assert did_you_mean("xyz", ["V1", "V2"]) == ""


# --- Environments of the user's own


ArmP = collections.namedtuple("ArmP", ["gain"])
SPACES = {"observation_space": Box(-9.0, 9.0, (2,)), "action_space": Discrete(2), "max_episode_steps": 5}


def reset(env, rng):
    return 0.0, 1.0


def observe(env, state):
    return state


def step(env, state, action):
    return (state[0] + env.gain, state[1]), 1.0, False


def test_the_constants_of_an_environment_have_the_users_name():
    env = register_env("NamedArm-v0", ArmP(0.5), reset, observe, step, **SPACES)
    model = ARS("LinearPolicy", "NamedArm-v0", seed=0, n_delta=1)
    for value in (env, model, model.sampler, model.run.env, repr(env.constants)):
        assert not re.search(r"ArmP_\w", repr(value)), value
    assert "ArmP" in repr(model.sampler)


def test_linear_algebra_without_scipy_says_what_to_do(monkeypatch):
    real = builtins.__import__

    def without_scipy(name, *args, **kwargs):
        if name.partition(".")[0] == "scipy":
            raise ImportError(f"No module named {name!r}")
        return real(name, *args, **kwargs)

    def norm_step(env, state, action):
        return state, np.linalg.norm(np.array(state)), False

    monkeypatch.setattr(builtins, "__import__", without_scipy)
    with pytest.raises(fastars.UnsupportedEnvError) as refused:
        register_env("NormArm-v0", ArmP(0.5), reset, observe, norm_step, **SPACES)
    assert str(refused.value).startswith("register_env(): step must be what Numba can compile.")
    assert "pip install scipy, or write the numbers out, such as math.sqrt(x * x + y * y) for np.linalg.norm" in str(refused.value)


# --- Packages that are missing

EXTRAS = tomllib.loads((Path(fastars.__file__).parents[1] / "pyproject.toml").read_text())["project"]["optional-dependencies"]


@pytest.mark.parametrize("extra", ["cli", "mujoco", "tensorboard", "plot", "video", "onnx", "ray"])
def test_a_hint_installs_what_the_extra_has_and_nothing_of_the_name_of_fastars(extra):
    hint = pip_install(extra).removeprefix("pip install ").replace('"', "").split()
    names = {re.split("[<>=]", requirement)[0] for requirement in EXTRAS[extra]}
    assert {re.split("[<>=]", package)[0] for package in hint} == names
    assert not any("fastars" in package for package in hint)


def test_no_hint_brings_ray_or_torch_but_the_one_for_ray():
    assert pip_install("sb3") == "pip install sb3-contrib"
    assert [extra for extra in ("cli", "mujoco", "tensorboard", "plot", "video", "onnx", "ray") if "ray" in pip_install(extra)] == [
        "ray"
    ]
