"""No argument in a file reaches code that is not ours, whatever reads the file: an argument may be a command, a module or a path.

Environments in Python are made as they are registered, or with arguments that the user says. Compiled ones get numbers and names.

Broken on purpose, one at a time: arguments of a registered environment not compared, or those of an episode given to any
environment whose id the user names -> test_no_argument_reaches_an_environment_of_others red; entry points not looked at ->
test_no_argument_reaches_what_is_registered_under_an_id_of_ours red; unknown names, or values of any kind, passed on ->
test_a_compiled_environment_gets_the_arguments_that_it_has_and_no_others red; paths opened without trust ->
test_no_path_in_a_file_is_opened red, and test_checkpoint's test_a_path_in_a_file_is_opened_with_trust_alone; functions that are
registered with Ray left out -> test_a_function_that_is_registered_with_ray_gets_no_argument_of_a_file red; no options in the
log's command, or texts that are written as they are -> test_the_command_in_the_log_says_the_arguments,
test_arguments_as_texts_come_back red.
"""

import inspect
import io
import json
import os
import re
import shlex
import subprocess
import sys
from functools import partial
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from fuzz.targets import CORPUS, DATA, unzipped, zipped

import fastars
from fastars import ARS, compiled_env_ids, exchange, rllib
from fastars.envs import UnsupportedEnvError, compiled_env, make
from fastars.envs.keywords import keyword_texts, parse_keywords
from fastars.envs.of_file import compiled_as_in_file
from fastars.files import checkpoint
from fastars.logger import Logger
from fastars.replay import replay
from fastars.training.failures import FailureLog

TESTS = Path(__file__).parent
needs_mujoco = pytest.mark.skipif(not any(Path(place, "mujoco").is_dir() for place in sys.path), reason="needs fastars[mujoco]")


class Theirs(gymnasium.Env):
    """Somebody else's environment, which keeps what it was made with."""

    made = []  # noqa: RUF012 - of all of them
    observation_space = gymnasium.spaces.Box(-1.0, 1.0, (4,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self, hook="", **kwargs):
        self.made.append({"hook": hook, **kwargs})

    def reset(self, *, seed=None, options=None):
        return np.zeros(4, np.float32), {}

    def step(self, action):
        return np.zeros(4, np.float32), 1.0, True, False, {}


gymnasium.register("Theirs-v0", entry_point="test_file_arguments:Theirs", max_episode_steps=5)
gymnasium.register("Hooked-v0", entry_point="test_file_arguments:Theirs", max_episode_steps=5, kwargs={"hook": "mine"})

HOSTILE = [
    {"hook": "touch /tmp/x"},
    {"render_mode": "human"},
    {"hook": ["touch", "/tmp/x"]},
    {"hook": {"module": "os", "function": "system"}},
    {"entry_point": "os:system"},
    {"disable_env_checker": True},
    {"hook": ""},
    {"": 1},
]


@pytest.fixture(autouse=True)
def made(monkeypatch):
    monkeypatch.setattr(Theirs, "made", [])
    return Theirs.made


def stored_model(path, **changes):
    manifest, arrays = checkpoint.load(CORPUS / "checkpoint_file" / "model.zip")
    checkpoint.save(path, {**manifest, **changes}, arrays)
    return path


def stored_episode(path, env, kwargs):
    state = json.loads((CORPUS / "episode" / "episode.json").read_text())
    state |= {"env": env, "env_kwargs": kwargs, "max_steps": 5}
    checkpoint.save(path, state, {"weights": np.zeros(8), "mean": np.zeros(4), "scale": np.ones(4)})
    return path


def stored_algorithm(folder, env, kwargs):
    config = rllib.ARSConfig().environment("CartPole-v1").training(model={"fcnet_hiddens": []}, noise_size=100_000)
    saved = config.build().save(folder)
    state, arrays = checkpoint.load(f"{saved}/algorithm.zip")
    checkpoint.save(f"{saved}/algorithm.zip", {**state, "config": {**state["config"], "env": env, "env_config": kwargs}}, arrays)
    return saved


IN_PYTHON = {"reason": "compiled=False", "wrappers": []}
DOORS = {
    "model": lambda at, env, kwargs: ARS.load(stored_model(at / "a.zip", env=env, env_kwargs=with_limit(kwargs), python=IN_PYTHON)),
    "model, trusted": lambda at, env, kwargs: ARS.load(
        stored_model(at / "a.zip", env=env, env_kwargs=with_limit(kwargs), python=IN_PYTHON), trust=True
    ),
    "model that says it is compiled": lambda at, env, kwargs: ARS.load(
        stored_model(at / "a.zip", env=env, env_kwargs=with_limit(kwargs))
    ),
    "one of several": lambda at, env, kwargs: ARS.load(
        stored_model(at / "a.zip", several=[{"env": env, "env_kwargs": with_limit(kwargs), "python": IN_PYTHON}] * 2)
    ),
    "episode": lambda at, env, kwargs: replay(stored_episode(at / "a.zip", env, kwargs)),
    "episode, id given": lambda at, env, kwargs: replay(stored_episode(at / "a.zip", env, kwargs), env),
    "episode, module and id given": lambda at, env, kwargs: replay(
        stored_episode(at / "a.zip", env, kwargs), f"test_file_arguments:{env}"
    ),
    "rllib": lambda at, env, kwargs: rllib.ARS.from_checkpoint(stored_algorithm(at, env, kwargs)),
}


def with_limit(kwargs):
    return {**kwargs, "max_episode_steps": 5}


@pytest.mark.promise(6)
@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("env_id", ["Theirs-v0", "Hooked-v0"])
def test_no_argument_reaches_an_environment_of_others(tmp_path, door, env_id, made, tally):
    """It is not even made: an environment without the arguments is another one."""
    for kwargs in HOSTILE:
        with pytest.raises(ValueError, match=r"was made with|made with env_config|not registered here"):
            DOORS[door](tmp_path, env_id, kwargs)
        assert made == []
    tally(f"hostile arguments in a file that were refused: {door}, {env_id}", len(HOSTILE), of=len(HOSTILE))


@pytest.mark.promise(6)
@pytest.mark.parametrize("door", DOORS)
def test_no_argument_reaches_what_is_registered_under_an_id_of_ours(tmp_path, door, made, monkeypatch, tally):
    """A program may have registered another environment under the id of a compiled one."""
    spec = gymnasium.spec("Theirs-v0")
    spec.id, spec.name, spec.version = "CartPole-v1", "CartPole", 1
    for kwargs in [*HOSTILE, {"sutton_barto_reward": True}]:  # the last is an argument of ours
        with monkeypatch.context() as patch:
            if door == "rllib":  # which makes a model of its own first
                stored = stored_algorithm(tmp_path, "CartPole-v1", kwargs)
                patch.setitem(gymnasium.registry, "CartPole-v1", spec)
                read = partial(rllib.ARS.from_checkpoint, stored)
            else:
                patch.setitem(gymnasium.registry, "CartPole-v1", spec)
                read = partial(DOORS[door], tmp_path, "CartPole-v1", kwargs)
            with pytest.raises(ValueError, match=r"was made with|made with env_config|another environment is registered"):
                read()
        assert made == []
    tally(f"arguments refused for an id that is registered anew: {door}", len(HOSTILE) + 1, of=len(HOSTILE) + 1)


OF_OTHERS = [
    {"render_mode": "human"},
    {"disable_env_checker": True},
    {"sutton_barto_reward": "yes"},
    {"sutton_barto_reward": {"a": 1}},
    {"sutton_barto_reward": [True] * 1000},
    {"sutton_barto_reward": 10**30},
    {"sutton_barto_reward": None},
    {"env_id": "os:system"},
    {"id": "os:system"},
    {"vectorization_mode": "x"},
]


@pytest.mark.parametrize("door", ["model that says it is compiled", "episode", "episode, id given", "rllib"])
@pytest.mark.parametrize("kwargs", OF_OTHERS, ids=str)
def test_a_compiled_environment_gets_the_arguments_that_it_has_and_no_others(tmp_path, door, kwargs, monkeypatch):
    calls, plain = [], gymnasium.make
    if door == "rllib":
        read = partial(rllib.ARS.from_checkpoint, stored_algorithm(tmp_path, "CartPole-v1", kwargs))
    else:
        read = partial(DOORS[door], tmp_path, "CartPole-v1", kwargs)
    monkeypatch.setattr(gymnasium, "make", lambda *args, **options: (calls.append(options), plain(*args, **options))[1])
    with pytest.raises(ValueError, match=r"must be|compiled form does not take"):
        read()
    assert calls == []


@pytest.mark.parametrize("steps", [-1, 0, "many", None, 10**30, True, 1.5])
def test_a_time_limit_is_a_number_of_steps(tmp_path, steps):
    with pytest.raises(fastars.CheckpointError, match="max_episode_steps must be"):
        ARS.load(stored_model(tmp_path / "a.zip", env_kwargs={"max_episode_steps": steps}))


def test_a_compiled_environment_gets_its_own_arguments(tmp_path):
    kwargs = {"sutton_barto_reward": True}
    assert replay(stored_episode(tmp_path / "a.zip", "CartPole-v1", kwargs)) == (0.0, 5)
    assert replay(stored_episode(tmp_path / "a.zip", "CartPole-v1", {})) == (5.0, 5)
    assert replay(stored_episode(tmp_path / "a.zip", "CartPole-v1", {}), "CartPole-v1", kwargs) == (0.0, 5)
    loaded = ARS.load(stored_model(tmp_path / "a.zip", env_kwargs=with_limit(kwargs)))
    assert loaded.env_kwargs == with_limit(kwargs)


@pytest.mark.parametrize("env_id", [name for name in compiled_env_ids() if name not in compiled_env_ids("mujoco")])
def test_what_every_compiled_environment_was_made_with_comes_back(env_id):
    constants = compiled_env(env_id).constants
    kwargs = constants.gymnasium()[1] if hasattr(constants, "gymnasium") else make(env_id).unwrapped.kwargs
    compiled_as_in_file(env_id, {**kwargs, "max_episode_steps": 7})().close()


@needs_mujoco
@pytest.mark.filterwarnings("ignore:MuJoCo on half_cheetah.xml")
@pytest.mark.parametrize("env_id", [name for name in compiled_env_ids("mujoco") if name.endswith("v5")])
def test_what_every_environment_of_mujoco_was_made_with_comes_back(env_id):
    names = {name: value.default for name, value in parameters(env_id).items() if value.default is not value.empty}
    known = {name: value for name, value in names.items() if name not in ("default_camera_config", "render_mode", "kwargs")}
    kwargs = {name: list(value) if isinstance(value, tuple) else value for name, value in known.items()}
    env = compiled_as_in_file(env_id, {**kwargs, "max_episode_steps": 7})()
    assert compiled_env(env).max_steps == 7
    env.close()
    for name in ("render_mode", "width", "camera_name", "default_camera_config", "visual_options"):
        with pytest.raises(UnsupportedEnvError, match=f"made with {name}='x', which its compiled form does not take"):
            compiled_as_in_file(env_id, {name: "x", "max_episode_steps": 7})


def parameters(env_id):
    with make(env_id) as env:
        return inspect.signature(type(env.unwrapped).__init__).parameters


@needs_mujoco
@pytest.mark.promise(6)
@pytest.mark.parametrize("door", ["model that says it is compiled", "episode", "rllib"])
def test_no_path_in_a_file_is_opened(tmp_path, door, tally):
    """MuJoCo's own file under another name, which would load; pipes and devices, which would not end; and a share of Windows."""
    assets = Path(gymnasium.__file__).parent / "envs" / "mujoco" / "assets"
    (tmp_path / "moon.xml").write_text((assets / "hopper.xml").read_text())
    os.mkfifo(tmp_path / "pipe.xml")
    own = [str(tmp_path / "moon.xml"), "./moon.xml", "~/moon.xml", "../assets/hopper.xml", "//host/share/a.xml"]
    others = [str(tmp_path / "pipe.xml"), "/dev/stdin", "/dev/zero", "/proc/self/maps", "file:///etc/passwd", "\\\\host\\a.xml"]
    others += ["a\0.xml", "", 3, None, ["a"]]
    for path in (*own, *others):
        with pytest.raises(ValueError, match=r"no path in a file is opened|xml_file must be a path"):
            DOORS[door](tmp_path, "Hopper-v5", {"xml_file": path})
    tally(f"paths in files that were not opened: {door}", len(own) + len(others), of=len(own) + len(others))


def test_a_function_that_is_registered_with_ray_gets_no_argument_of_a_file(tmp_path, made):
    registry = pytest.importorskip("ray.tune.registry", reason="needs fastars[ray]")
    registry.register_env("theirs", lambda config: Theirs(**config))
    with pytest.raises(ValueError, match="was made with env_config="):
        rllib.ARS.from_checkpoint(stored_algorithm(tmp_path, "theirs", {"hook": "touch /tmp/x"}))
    assert made == []
    rllib.ARS.from_checkpoint(stored_algorithm(tmp_path, "theirs", {}))
    assert {"hook": ""} in made


def test_the_id_in_plain_arrays_is_looked_up_and_gets_no_argument(tmp_path, made):
    content = io.BytesIO()
    np.save(content, np.array("Theirs-v0"))
    members = unzipped((CORPUS / "foreign" / "arrays.npz").read_bytes())
    (tmp_path / "a.npz").write_bytes(zipped({**members, "env_id.npy": content.getvalue()}))
    exchange.read(tmp_path / "a.npz")
    assert made == []


def test_classes_in_a_file_of_stable_baselines3_are_names_only(tmp_path):
    members = unzipped((DATA / "sb3_linear.zip").read_bytes())
    data = json.loads(members["data"])
    data["policy_class"] = "<class 'os.system'>"
    (tmp_path / "a.zip").write_bytes(zipped({**members, "data": json.dumps(data).encode()}))
    with pytest.raises(fastars.CheckpointError, match="a policy of the class"):
        ARS.load(tmp_path / "a.zip", env="CartPole-v1")


def test_env_kwargs_are_the_users_word(tmp_path, made):
    path = stored_episode(tmp_path / "a.zip", "Theirs-v0", {"hook": "of the file"})
    assert replay(path, "Theirs-v0", {"hook": "mine"}) == (1.0, 1)
    assert replay(path, "test_file_arguments:Theirs-v0", {"hook": "mine"}) == (1.0, 1)
    assert {call["hook"] for call in made} == {"mine"}
    with pytest.raises(TypeError, match="env_kwargs must be None unless env is an id"):
        replay(path, Theirs, {"hook": "mine"})
    with pytest.raises(TypeError, match="env_kwargs must be None unless env is an id"):
        replay(path, None, {"hook": "mine"})


class Fails(Theirs):
    """Raises in every step."""

    def step(self, action):
        raise ArithmeticError(f"step of {self.made[-1]['hook']}")


gymnasium.register("Fails-v0", entry_point="test_file_arguments:Fails", max_episode_steps=5)


@pytest.mark.parametrize("hook", ["a b; c", "it's", "3", "(1, 2)", "'quoted'", "x=y"])
def test_the_command_in_the_log_says_the_arguments(tmp_path, hook, caplog):
    """A text comes back as it was, whatever a shell or Python would make of it."""
    env = gymnasium.make("Fails-v0", hook=hook)
    model = ARS("LinearPolicy", env, n_delta=1, seed=0)
    model.set_logger(Logger(tmp_path, formats=[]))
    with pytest.raises(fastars.NonFiniteReturnsError):
        model.learn(1)
    found = re.search(r"to see it again: python (-m fastars\.replay [^\n]*)", caplog.records[0].getMessage())
    arguments = shlex.split(found[1])
    assert arguments[3:5] == ["test_file_arguments:Fails-v0", "--env-kwargs"]
    assert parse_keywords("--env-kwargs", arguments[5:]) == {"hook": hook}
    if hook == "a b; c":
        done = subprocess.run([sys.executable, *arguments], cwd=TESTS, capture_output=True, text=True, check=False)
        assert done.stderr.rstrip().endswith(f"ArithmeticError: step of {hook}")


def test_the_command_of_a_registered_or_compiled_environment_says_no_arguments():
    for env in ("Hooked-v0", gymnasium.make("Theirs-v0"), "CartPole-v1", gymnasium.make("CartPole-v1", sutton_barto_reward=True)):
        model = ARS("LinearPolicy", env, seed=0, compiled=False)
        assert FailureLog(env, model.run.env).env_options == []


VALUES = [1, float("inf"), (0.5, -float("inf")), "inf", "1e5", " x", [None, True], "", "it's", "(1"]


@pytest.mark.parametrize("kwargs", [{}, *({"a": value} for value in VALUES)])
def test_arguments_as_texts_come_back(kwargs):
    assert parse_keywords("", keyword_texts(kwargs)) == kwargs


def test_arguments_that_are_no_texts_are_none():
    assert keyword_texts({"a": float("nan")}) is None
    assert keyword_texts({"not a name": 1}) is None
