"""MuJoCo on many threads of Python: models made, episodes run and warnings collected at once, beside plain Gymnasium.

MuJoCo has one handler of warnings for the process, which is the user's. Broken on purpose: warnings collected by exchanging it ->
`beside_plain_gymnasium` red (the process dies, as MuJoCo calls a handler that is gone), `each_thread` and `another_kind` red; a
context that does not set back what was there -> `contexts` and `stays_as_it_was` red; the guard forgets the handler that was there
-> `a_guarded_call` red; episodes in Python without `warnings_logged` -> `in_python`, `in_workers` and `in_its_maker` red
(MUJOCO_LOG.TXT).
"""

import ctypes
import json
import logging
import os
import random
import re
import signal
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import numba
import numpy as np
import pytest

pytest.importorskip("mujoco", reason="MuJoCo environments need the mujoco package")

import gymnasium
import mujoco

import fastars
from fastars import ARS, SimulationError, evaluate_candidates, evaluate_policy
from fastars._compiled.structs import UNSTABLE
from fastars.envs import make
from fastars.envs.mujoco import messages
from fastars.envs.mujoco.capi import new_simulation
from fastars.envs.mujoco.guard import engine
from fastars.envs.mujoco.messages import collected_warnings

ASSETS = Path(gymnasium.__file__).parent / "envs" / "mujoco" / "assets"
N_STEPS = 20  # of plain Gymnasium, in an episode
SLIDES = "".join(f'<body><joint type="slide" axis="1 0 0"/><geom size=".1" pos="0 {i} 0"/></body>' for i in range(16))


@pytest.fixture(autouse=True)
def _a_folder_that_stays_empty(tmp_path, monkeypatch):
    """MuJoCo writes MUJOCO_LOG.TXT where the process is."""
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    yield
    assert list((tmp_path / "cwd").iterdir()) == []


@pytest.fixture
def heard():
    """The texts that a handler of the user's hears."""
    texts = []
    mujoco.set_mju_user_warning(texts.append)
    yield texts
    mujoco.set_mju_user_warning(None)


def strong_cheetah(folder):
    """Write a cheetah whose motors are too strong: it is unstable within some steps."""
    path = Path(folder) / "strong.xml"
    path.write_text(re.sub(r'gear="\d+"', 'gear="1e9"', (ASSETS / "half_cheetah.xml").read_text()))
    return {"xml_file": str(path), "max_episode_steps": N_STEPS}


def cramped_hopper(folder):
    """Write a hopper beside a pile of boxes, with too little memory for all their contacts: a fatal error in MuJoCo."""
    boxes = "".join(
        f'<body pos="{5 + 0.05 * i} 0 {0.3 + 0.25 * i}"><freejoint/><geom type="box" size=".1 .1 .1" contype="1"/></body>'
        for i in range(8)
    )
    text = (ASSETS / "hopper.xml").read_text().replace("<worldbody>", '<size memory="64K"/><worldbody>', 1)
    path = Path(folder) / "cramped.xml"
    path.write_text(text.replace("</worldbody>", boxes + "</worldbody>"))
    return {"xml_file": str(path), "terminate_when_unhealthy": False}


def walk_in_gymnasium(env):
    """Step an unstable environment for some episodes of plain Gymnasium; return the sum of the rewards."""
    total = 0.0
    for seed in range(5):
        env.reset(seed=seed)
        env.action_space.seed(seed)
        for _ in range(N_STEPS - 1):
            total += float(env.step(env.action_space.sample())[1])
    return total


def works(folder):
    """Functions to call at the same time; each gives the same at every call."""
    weights, seeds = np.random.default_rng(0).standard_normal((4, 6 * 17)) * 5, np.arange(4)
    strong, cramped = strong_cheetah(folder), cramped_hopper(folder)
    unstable, failing = make("HalfCheetah-v5", **strong), make("Hopper-v5", **cramped)
    n_failing = int(np.prod(failing.observation_space.shape)) * 3

    def fail(seed):
        with pytest.raises(SimulationError) as error:
            evaluate_candidates(failing, np.zeros((1, n_failing)), seeds=[seed])
        return re.sub(r"[\d.,]+ ?[KM]?B?\b", "", str(error.value)), f"seed {seed}:" in str(error.value)

    def unstable_episodes():
        found = evaluate_candidates(unstable, weights, seeds=seeds)
        return found.status.tolist(), found.lengths.tolist()

    return {
        "make a model": lambda: ARS("LinearPolicy", "HalfCheetah-v5", seed=0, n_delta=1, max_episode_steps=5).n_weights,
        "make an environment": lambda: make("HalfCheetah-v5", **strong).unwrapped.model.nq,
        "unstable episodes": unstable_episodes,
        "learn": lambda: ARS("LinearPolicy", "HalfCheetah-v5", seed=1, n_delta=2, max_episode_steps=9).learn(40).theta.tolist(),
        "fail": lambda: fail(7),
        "fail otherwise": lambda: fail(8),
    }


def call_at_once(n_threads, n_calls, folder):
    """Make `n_calls` calls on `n_threads` threads, beside plain Gymnasium with a handler; print what came of it."""
    warnings.simplefilter("ignore")
    calls, texts = works(folder), []
    expected = {name: call() for name, call in calls.items()}
    mujoco.set_mju_user_warning(texts.append)
    handler, plain = mujoco.get_mju_user_warning(), gymnasium.make("HalfCheetah-v5", **strong_cheetah(folder))
    texts.clear()
    walked = walk_in_gymnasium(plain)
    heard_alone, wrong, left = texts.copy(), [], n_calls
    lock, start, is_over = threading.Lock(), threading.Barrier(n_threads + 1), threading.Event()

    def work(number):
        nonlocal left
        pick = random.Random(number)
        start.wait()
        while True:
            with lock:
                if left == 0:
                    return
                left -= 1
            name = pick.choice(list(calls))
            try:
                if calls[name]() != expected[name]:
                    wrong.append(name)
            except BaseException as error:
                wrong.append(f"{name}: {error!r}")

    def walk():
        start.wait()
        while not is_over.is_set():
            texts.clear()
            if walk_in_gymnasium(plain) != walked or texts != heard_alone:
                wrong.append(f"plain Gymnasium, with {len(texts)} warnings instead of {len(heard_alone)}")

    beside = threading.Thread(target=walk)
    threads = [threading.Thread(target=work, args=(number,)) for number in range(n_threads)]
    for thread in [beside, *threads]:
        thread.start()
    for thread in threads:
        thread.join()
    is_over.set()
    beside.join()
    kept = mujoco.get_mju_user_warning() is handler
    print(json.dumps({"wrong": wrong, "kept": kept, "heard": len(heard_alone), "files": os.listdir()}))


@pytest.mark.promise(16)
@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="without compilation, no kernel leaves the GIL")
@pytest.mark.parametrize("n_threads", [2, 4, 16])
def test_calls_on_threads_beside_plain_gymnasium_are_what_each_is_alone(n_threads, tmp_path, tally):
    n_calls = tally.of(fast=60, full=1_000)
    path = os.pathsep.join([str(Path(fastars.__file__).parent.parent), str(Path(__file__).parent)])
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            f"from test_mujoco_threads import call_at_once; call_at_once({n_threads}, {n_calls}, {str(tmp_path)!r})",
        ],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["heard"] > 0
    assert found == {"wrong": [], "kept": True, "heard": found["heard"], "files": []}
    assert "WARNING" not in done.stdout + done.stderr
    tally(f"calls in MuJoCo from {n_threads} threads beside plain Gymnasium, all right", n_calls, of=n_calls)


@pytest.mark.promise(16)
def test_each_thread_collects_its_own_warnings_and_all_of_them(tally):
    """The degree of freedom in the text tells which thread it belongs to."""
    model = mujoco.MjModel.from_xml_string(f"<mujoco><worldbody>{SLIDES}</worldbody></mujoco>")
    start, collected = threading.Barrier(16), {}

    def work(number):
        data = mujoco.MjData(model)
        start.wait()
        with collected_warnings() as texts:
            for _ in range(200):
                mujoco.mj_resetData(model, data)
                data.qpos[number] = np.nan
                mujoco.mj_step(model, data)
        collected[number] = texts

    threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, texts in collected.items():
        assert len(texts) == 200
        assert {re.search(r"in QPOS at DOF (\d+)", text).group(1) for text in texts} == {str(number)}
    tally("warnings of MuJoCo on 16 threads, each collected by its own", sum(map(len, collected.values())), of=16 * 200)


def unstable_step(model):
    data = mujoco.MjData(model)
    data.qpos[0] = np.nan
    mujoco.mj_step(model, data)


def test_contexts_may_be_nested_and_end_by_errors(heard):
    model = mujoco.MjModel.from_xml_string(f"<mujoco><worldbody>{SLIDES}</worldbody></mujoco>")
    with collected_warnings() as outer:
        unstable_step(model)
        with pytest.raises(ZeroDivisionError), collected_warnings() as inner:  # noqa: PT012
            unstable_step(model)
            unstable_step(model)
            raise ZeroDivisionError
        unstable_step(model)
    unstable_step(model)
    assert (len(outer), len(inner), len(heard)) == (2, 2, 1)


def test_a_guarded_call_inside_of_a_context_leaves_it_open():
    """As a kernel calls MuJoCo on this thread."""
    model = mujoco.MjModel.from_xml_string(f"<mujoco><worldbody>{SLIDES}</worldbody></mujoco>")
    sim = new_simulation(model)
    words = (ctypes.c_ssize_t, ctypes.c_ssize_t, ctypes.c_int64, ctypes.c_ssize_t)
    step = ctypes.CFUNCTYPE(ctypes.c_int32, *words)(engine.get_function_address("fastars_mj_step"))
    with collected_warnings() as texts:
        unstable_step(model)
        assert step(sim.model, sim.data, 1, sim.frame.ctypes.data) == 0
        unstable_step(model)
    assert len(texts) == 2


@pytest.mark.parametrize("place", ["_begin", "_end"])
def test_a_signal_leaves_no_handler_of_ours_on_the_thread(heard, monkeypatch, place):
    def raising(number, frame):
        raise KeyboardInterrupt

    def with_signal(*args):
        result = original(*args)
        signal.raise_signal(signal.SIGUSR1)
        return result

    model = mujoco.MjModel.from_xml_string(f"<mujoco><worldbody>{SLIDES}</worldbody></mujoco>")
    original = getattr(messages, place)
    monkeypatch.setattr(messages, place, with_signal)
    before = signal.signal(signal.SIGUSR1, raising)
    try:
        with pytest.raises(KeyboardInterrupt), collected_warnings():
            unstable_step(model)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert heard == []
    unstable_step(model)
    assert len(heard) == 1


@pytest.mark.promise(16)
@pytest.mark.filterwarnings("ignore:MuJoCo on ")
def test_the_users_handler_stays_as_it_was(heard, tmp_path):
    """It hears what plain Gymnasium does, and not what fastars collects."""
    before = mujoco.get_mju_user_warning()
    model = ARS("LinearPolicy", "HalfCheetah-v5", n_delta=1, seed=0, max_episode_steps=5).learn(1)
    unstable = make("HalfCheetah-v5", **strong_cheetah(tmp_path))
    found = evaluate_candidates(unstable, np.full((2, model.n_weights), 5.0), seeds=[0, 1])
    assert (found.status == UNSTABLE).all()
    assert heard == []
    walk_in_gymnasium(unstable)
    assert "The simulation is unstable" in heard[0]
    assert mujoco.get_mju_user_warning() is before


@pytest.mark.filterwarnings("ignore:MuJoCo on ")
class TestInPython:
    """Environments that fastars steps in Python, where MuJoCo calls its own handler for warnings."""

    def test_warnings_of_episodes_in_python_are_logged(self, tmp_path, caplog, capfd):
        env = make("HalfCheetah-v5", **strong_cheetah(tmp_path))
        model = ARS("LinearPolicy", env, n_delta=1, seed=0, delta_std=5.0, compiled=False).learn(1)
        assert re.search(r"MuJoCo warned \d+ times, first in HalfCheetah-v5: Nan, Inf or huge value in", caplog.text)
        caplog.clear()
        model.policy.load_from_vector(np.full(model.n_weights, 5.0))
        evaluate_policy(model, env, 1, seed=0)
        assert "MuJoCo warned" in caplog.text
        assert "WARNING" not in "".join(capfd.readouterr())

    def test_the_users_handler_hears_of_episodes_in_python(self, tmp_path, caplog, heard):
        env = make("HalfCheetah-v5", **strong_cheetah(tmp_path))
        ARS("LinearPolicy", env, n_delta=1, seed=0, delta_std=5.0, compiled=False).learn(1)
        assert "The simulation is unstable" in heard[0]
        assert "MuJoCo warned" not in caplog.text

    def test_warnings_of_an_environment_in_its_maker_are_logged(self, tmp_path, caplog):
        kwargs = strong_cheetah(tmp_path)

        def maker():
            env = gymnasium.make("HalfCheetah-v5", **kwargs)
            unstable_step(env.unwrapped.model)
            return env

        ARS("LinearPolicy", maker, n_delta=1, seed=0)
        assert "The simulation is unstable" in caplog.text

    def test_warnings_of_episodes_in_workers_are_said_by_the_workers(self, tmp_path, capfd):
        env = make("HalfCheetah-v5", **strong_cheetah(tmp_path))
        ARS("LinearPolicy", env, n_delta=1, seed=0, delta_std=5.0, compiled=False, n_workers=2).learn(1)
        assert "MuJoCo warned" in "".join(capfd.readouterr())


@pytest.mark.filterwarnings("ignore:MuJoCo on ")
def test_a_warning_of_another_kind_in_kernels_is_logged_once(tmp_path, caplog):
    """Two hinges on one axis: their matrix of inertia is singular."""
    hinge = '<joint type="hinge" axis="0 1 0" limited="false" armature="0"/>'
    twice = f'<body pos="3 0 0">{hinge}{hinge}<geom type="sphere" size=".1"/></body>'
    path = tmp_path / "twice.xml"
    path.write_text((ASSETS / "swimmer.xml").read_text().replace("</worldbody>", f"{twice}</worldbody>"))
    model = ARS("LinearPolicy", make("Swimmer-v5", xml_file=str(path)), n_delta=2, seed=0, max_episode_steps=9)
    for _ in range(3):
        model.learn(1, reset_num_timesteps=False)
    said = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert len(said) == 1, said
    assert "MuJoCo warned in Swimmer-v5: Inertia matrix is too close to singular" in said[0]
