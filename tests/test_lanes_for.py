"""Which environments run over lanes, and what happens where the lanes disagree with `mj_step`.

MuJoCo itself stands in for the lanes, with a model that is wrong in one number.

Broken on purpose, one at a time, each with a test red: agreements not kept, not read; a disagreement only logged; fields that the
lanes lack not looked for, or not in functions that a function calls, not behind `getattr`, or not inside an environment whose
reward is a vector; these fields left empty, or 0; functions not compiled for a lane before a run; forces of contacts beside a
planar body, or of parallel hinges, taken from the lanes; nothing in the report of doctor.
"""

import copy
import logging
import re

import mujoco
import numba
import numpy as np
import pytest

pytest.importorskip("mujoco", reason="MuJoCo environments need the mujoco package")

import fastars
from fastars import ARS, MujocoTask, evaluate_candidates
from fastars.cli import main, selfcheck
from fastars.envs import UnsupportedEnvError, compiled_env
from fastars.envs.errors import LanesDisagreeError
from fastars.envs.mujoco import kept_agreements, lanes
from fastars.envs.mujoco.agreement import compared, exact_model, mujoco_steps
from fastars.envs.mujoco.fields_read import fields_read
from fastars.envs.mujoco.lane_steps import lane_steps, missing_fields
from fastars.envs.mujoco.lanes import lanes_for, measure
from fastars.envs.mujoco.reachable import reachable_states
from fastars.envs.terms import with_terms
from fastars.physics import lane_model
from fastars.physics.workspace import one_simulation


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of its own for agreements, and nothing known in this process. MuJoCo stands in for the lanes."""
    stand_in(monkeypatch)
    (path := tmp_path / "cache").mkdir(mode=0o700)
    monkeypatch.setattr(kept_agreements, "cache_directory", lambda: str(path))
    monkeypatch.setattr(kept_agreements, "_known", {})
    return path


def stand_in(monkeypatch, change=lambda model: None):
    """Let MuJoCo's exact steps of a changed model be those of the lanes."""

    def changed(model):
        change(wrong := exact_model(model))
        return wrong

    monkeypatch.setattr(lanes, "lane_model", changed)
    monkeypatch.setattr(lanes, "missing_fields", lambda model, wrong: [])
    monkeypatch.setattr(lanes, "lane_steps", lambda model, wrong, states: mujoco_steps(wrong, states))


def heavier(model):
    model.body_mass[2] *= 1.0 + 1e-6


def test_at_first_use_the_agreement_is_measured_kept_and_logged(folder, caplog, monkeypatch):
    caplog.set_level(logging.INFO, logger="fastars")
    env = compiled_env("Hopper-v5")
    assert lanes_for(env).nq == env.model.nq
    (path,) = folder.glob("*.agreement")
    assert path.name.startswith("Hopper-v5.")
    (record,) = caplog.records
    assert re.fullmatch(
        r"In Hopper-v5, the lanes and mj_step after one step: differ by \d\.\de-1\d at most \(\S+(, \d)?\]?\), in 384 states",
        record.getMessage(),
    )
    monkeypatch.setattr(lanes, "measured", None)  # is not called again
    lanes_for(env)
    lanes_for(compiled_env("Hopper-v5"))
    kept_agreements._known.clear()  # as in another process
    lanes_for(env)
    assert len(caplog.records) == 1


def test_each_model_is_measured(folder):
    heavy = compiled_env("Hopper-v5")
    heavier(heavy.model)
    for env in (compiled_env("Hopper-v5"), compiled_env("Walker2d-v5"), heavy, compiled_env("Hopper-v5")):
        lanes_for(env)
    assert sorted(path.name.partition(".")[0] for path in folder.iterdir()) == ["Hopper-v5", "Hopper-v5", "Walker2d-v5"]


def test_lanes_that_disagree_are_refused_in_one_sentence(folder, monkeypatch):
    stand_in(monkeypatch, heavier)
    env = compiled_env("Hopper-v5")
    for _ in range(2):  # the second time from the file
        with pytest.raises(LanesDisagreeError) as refused:
            lanes_for(env)
        assert re.fullmatch(
            r"the lanes do not agree with mujoco \S+ in Hopper-v5: after one step \S+(, \d\])? is \S+ in the lanes and \S+ in "
            r"mj_step, in reachable state \d+, at qpos \[[^\]]+\]: they differ by \d\.\de-0\d of the field's "
            r"size, and 1e-09 is allowed",
            str(refused.value),
        )
        kept_agreements._known.clear()
        monkeypatch.setattr(lanes, "measured", None)


def test_a_run_falls_back_to_mj_step_with_a_warning(folder, monkeypatch):
    stand_in(monkeypatch, heavier)
    monkeypatch.setattr("fastars.training.runner.compile_ahead", lambda *arguments: None)  # a stand-in has no types of lanes
    weights = np.zeros((2, 33))
    with pytest.warns(UserWarning, match="Hopper-v5 runs through mj_step, not over lanes: the lanes do not agree with mujoco"):
        over_lanes = evaluate_candidates("Hopper-v5", weights, range(2), physics="lanes")
    assert np.array_equal(over_lanes.returns, evaluate_candidates("Hopper-v5", weights, range(2)).returns)
    with pytest.warns(UserWarning, match="Hopper-v5 runs through mj_step, not over lanes: the lanes do not agree with mujoco"):
        model = ARS("LinearPolicy", "Hopper-v5", n_delta=1, seed=0, physics="lanes").learn(1)
    assert np.array_equal(model.theta, ARS("LinearPolicy", "Hopper-v5", n_delta=1, seed=0).learn(1).theta)


def test_a_model_with_other_parts_is_named_in_one_sentence(folder):
    with pytest.raises(UnsupportedEnvError) as refused:
        lanes_for(compiled_env("Humanoid-v5"))
    assert "\n" not in str(refused.value)
    assert list(folder.iterdir()) == []  # nothing was measured


def test_damaged_files_are_measured_again(folder, monkeypatch):
    env = compiled_env("Swimmer-v5")
    lanes_for(env)
    (path,) = folder.glob("*.agreement")
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    kept_agreements._known.clear()
    lanes_for(env)
    assert path.read_bytes() == whole


def test_another_version_of_mujoco_is_measured_again(folder, monkeypatch):
    env, calls = compiled_env("Swimmer-v5"), []
    measured = lanes.measured
    monkeypatch.setattr(lanes, "measured", lambda *args: calls.append(1) or measured(*args))
    lanes_for(env)
    monkeypatch.setattr(kept_agreements.mujoco, "mj_versionString", lambda: "9.9.9")
    lanes_for(env)
    lanes_for(env)
    assert len(calls) == 2


def test_without_a_folder_a_process_measures_once(folder, monkeypatch):
    env, calls = compiled_env("Swimmer-v5"), []
    measured = lanes.measured
    monkeypatch.setattr(lanes, "measured", lambda *args: calls.append(1) or measured(*args))
    monkeypatch.setattr(kept_agreements, "cache_directory", lambda: None)
    lanes_for(env)
    lanes_for(env)
    assert len(calls) == 1
    assert list(folder.iterdir()) == []


def test_the_report_of_doctor_has_it(folder, monkeypatch, capsys):
    lanes_for(compiled_env("Swimmer-v5"))
    stand_in(monkeypatch, heavier)
    with pytest.raises(UnsupportedEnvError):
        lanes_for(compiled_env("Hopper-v5"))
    monkeypatch.setattr(selfcheck, "_CHECKS", {})
    assert main(["doctor"]) == 0
    said = capsys.readouterr().out
    assert re.search(
        r"lanes and mj_step, one step\n   Hopper-v5 +after one step .* allowed\n   Swimmer-v5 +differ by \d\.\de-", said
    )


def test_doctor_checks_the_lanes_whatever_is_kept(monkeypatch):
    name = "a step of HalfCheetah-v5, lanes and mj_step"
    monkeypatch.setattr(selfcheck, "_CHECKS", {name: selfcheck._CHECKS[name]})
    assert selfcheck.self_checks() == {name: "ok"}
    monkeypatch.setattr(fastars.physics, "lane_model", heavier_lanes)
    assert selfcheck.self_checks() == {name: "the results differ"}


def heavier_lanes(model):
    heavier(changed := copy.copy(model))
    return fastars.physics.reading.lane_model(changed)


# --- The lanes themselves


ENVS = ["Swimmer", "Hopper", "HalfCheetah", "Walker2d", "InvertedPendulum", "InvertedDoublePendulum", "Reacher", "Ant"]


@pytest.mark.parametrize("name", ENVS)
def test_the_lanes_agree(name):
    model = compiled_env(f"{name}-v5").model
    found = measure(model, lane_model(model))
    assert found.fault == ""
    assert found.difference < 1e-11
    assert found.n_states == 384


@pytest.mark.parametrize("name", ENVS)
def test_a_mass_that_is_wrong_by_1e_6_is_found_in_the_lanes(name):
    model = compiled_env(f"{name}-v5").model
    wrong = copy.copy(model)
    wrong.body_mass[-1] *= 1.0 + 1e-6
    found = measure(model, lane_model(wrong))
    assert 1e-9 < found.difference < 1.0
    assert " in the lanes and " in found.fault


def test_the_lanes_agree_in_each_lane():
    """37 states: the last group of lanes is not full."""
    model = compiled_env("Hopper-v5").model
    states = reachable_states(model, 37)
    all_at_once, alone = lane_steps(model, lane_model(model), states), lane_steps(model, lane_model(model), states[36:])
    assert all_at_once.rows.shape[0] == len(all_at_once.is_bad) == 37
    assert np.array_equal(all_at_once.rows[36], alone.rows[0])
    moved = lane_steps(model, lane_model(model), states[5:])
    assert np.array_equal(all_at_once.rows[5:], moved.rows)


TASK = """<mujoco><worldbody><body><joint name="x" axis="0 1 0"/><geom size="0.1" mass="1"/></body></worldbody>
<actuator><motor joint="x" ctrllimited="true" ctrlrange="-1 1" gear="5"/></actuator>%s</mujoco>"""
SENSOR = "<sensor><jointpos joint='x'/></sensor>"


def task(observe, xml):
    return compiled_env(MujocoTask(xml, observe, reward_of_place, n_obs=1, max_episode_steps=20, name="Point-v0"))


def reward_of_place(constants, sim, action, before):
    return -abs(sim.qpos[0])


def observe_place(constants, sim, observation):
    observation[0] = sim.qpos[0]


def observe_turning(constants, sim, observation):
    observation[0] = _turning(sim)


@numba.njit
def _turning(sim):
    return sim.cvel[1, 0]


def observe_by_name(constants, sim, observation):
    observation[0] = getattr(sim, "cvel")[1, 0]  # noqa: B009


def observe_sensor(constants, sim, observation):
    observation[0] = sim.sensordata.sum()


@pytest.mark.parametrize(
    ("observe", "xml", "field"),
    [(observe_turning, TASK % "", "cvel"), (observe_by_name, TASK % "", "cvel"), (observe_sensor, TASK % SENSOR, "sensordata")],
)
def test_a_task_that_reads_what_lanes_do_not_compute_is_refused(observe, xml, field):
    with pytest.raises(UnsupportedEnvError, match=f"^Point-v0 reads {field}, which the lanes do not compute$"):
        lanes_for(task(observe, xml))


def observe_by_number(constants, sim, observation):
    observation[0] = sim[5][0]


def observe_length(constants, sim, observation):
    observation[0] = sim.qpos[0] * len(sim)


@pytest.mark.parametrize("observe", [observe_by_number, observe_length])
def test_a_task_that_reads_other_than_by_name_is_refused(observe):
    message = "^a function of Point-v0 uses sim in other ways than by the names of its fields$"
    with pytest.raises(UnsupportedEnvError, match=message):
        lanes_for(task(observe, TASK % ""))


def test_what_lanes_do_not_compute_is_nan_of_mujocos_size():
    model = mujoco.MjModel.from_xml_string(TASK % SENSOR)
    sim, data = one_simulation(lane_model(model)), mujoco.MjData(model)
    for name in ("sensordata", "cinert", "cvel"):
        assert getattr(sim, name).shape == getattr(data, name).shape
        assert np.isnan(getattr(sim, name)).all()


@pytest.mark.parametrize("xml", [TASK % "", TASK % SENSOR])
def test_a_task_that_reads_the_state_alone_is_not(xml):
    lanes_for(task(observe_place, xml))


def test_the_force_of_capsules_that_cross_in_a_plane_is_not_in_the_lanes():
    """Of the models in a plane, those without such pairs have contact forces; HalfCheetah and Ant have."""
    for name, fields in (
        ("Hopper", ["cinert", "cvel", "cfrc_ext"]),
        ("HalfCheetah", ["cinert", "cvel"]),
        ("Ant", ["cinert", "cvel"]),
    ):
        model = compiled_env(f"{name}-v5").model
        assert missing_fields(model, lane_model(model)) == fields
    model = compiled_env("Hopper-v5").model
    assert measure(model, lane_model(model), 4_000, seed=1).fault == ""  # some of these states have crossing capsules


ROD = '<geom type="capsule" fromto="0 0 0 .3 0 0" size=".05" condim="1"/>'
CHAIN = f"""<mujoco><worldbody><body pos="0 0 1"><freejoint/>{ROD}<body pos=".3 0 0"><joint axis="0 1 0"/>{ROD}
<body pos=".3 0 0"><joint axis="%s"/>{ROD}</body></body></body></worldbody></mujoco>"""


@pytest.mark.parametrize(("axis", "is_there"), [("0 1 0", False), ("0 -1 0", False), ("0 1 1", True)])
def test_the_force_of_capsules_that_cross_in_a_plane_of_a_free_body_is_not_in_the_lanes(axis, is_there):
    model = mujoco.MjModel.from_xml_string(CHAIN % axis)
    assert ("cfrc_ext" not in missing_fields(model, lane_model(model))) == is_there
    states = np.concatenate([reachable_states(model, 8)] * 8)
    states[:, 7:9] = np.random.default_rng(0).uniform(-np.pi, np.pi, (64, 2))  # some of them cross
    assert compared(model, states, lane_steps(model, lane_model(model), states)).fault == ""


BESIDE = """<mujoco><worldbody><body name="ground"><geom type="plane" size="1 1 1"/></body>%s</worldbody></mujoco>"""
BALL = '<body pos="0 %g .1"><joint type="slide" axis="0 0 1"/><joint axis="0 1 0"/><geom size=".1" pos="0 %g 0"/></body>'


@pytest.mark.parametrize(
    ("bodies", "is_there"),
    [
        (BALL % (0, 0), True),
        (BALL % (0.3, 0), True),
        (BALL % (0, 0.3), False),
        (BALL % (0, 0) + BALL % (2, 0), False),
    ],
    ids=["centred", "moved", "beside", "two"],
)
def test_the_force_of_contacts_beside_a_planar_body_is_not_in_the_lanes(bodies, is_there):
    model = mujoco.MjModel.from_xml_string((BESIDE % bodies).replace('size=".1"', 'size=".1" contype="0"'))
    assert ("cfrc_ext" not in missing_fields(model, lane_model(model))) == is_there
    assert measure(model, lane_model(model)).fault == ""


def test_terms_of_a_reward_are_looked_through():
    env = compiled_env("Humanoid-v5")
    hopper = compiled_env("Hopper-v5")
    assert fields_read(with_terms(env).constants, ["cinert", "cvel", "qpos", "sensordata"]) == ["cinert", "cvel", "qpos"]
    assert fields_read(with_terms(hopper).constants, ["cinert", "cvel", "qpos", "sensordata"]) == ["qpos"]
