"""The comparison of the lanes with `mj_step` at the first use of a model, and the file that keeps its result.

Broken on purpose, one at a time, each with a test red: differences from MuJoCo as it comes alone, or from the exact answer alone;
not divided by the field's size; numbers that are no numbers, or huge, or after bad ones; bad numbers of one alone not looked at;
few states enough; short episodes, weak policies, no starts in any pose, no keyframes; the key without version, processor, sources
or model; files read without their digest, or from anybody, or not written as a whole; names of users as paths; agreements of other
versions shown; nothing known without a folder.
"""

import copy
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("mujoco", reason="MuJoCo environments need the mujoco package")

import mujoco

from fastars._compiled import kernel_cache
from fastars.envs import compiled_env
from fastars.envs.mujoco import agreement, kept_agreements
from fastars.envs.mujoco.agreement import ALLOWED, N_STATES, Agreement, Stepped, compared, exact_model, measured, mujoco_steps
from fastars.envs.mujoco.reachable import reachable_states

MODELS = ["Swimmer", "Hopper", "HalfCheetah", "Walker2d", "InvertedPendulum", "InvertedDoublePendulum", "Reacher", "Ant"]


@pytest.fixture(scope="module")
def models():
    return {name: compiled_env(f"{name}-v5").model for name in MODELS}


def steps_of(model):
    """A stand-in for the lanes: MuJoCo's exact steps of a model, which may be another one."""
    return lambda states: mujoco_steps(exact_model(model), states)


# The states


@pytest.mark.parametrize("name", ["Hopper", "HalfCheetah", "Walker2d", "Ant"])
def test_states_are_of_all_kinds(models, name):
    """On the feet and in the air, fallen, at limits, with contacts of every kind that the model has."""
    model, n_contacts, at_limits = models[name], set(), 0
    data = mujoco.MjData(model)
    states = reachable_states(model, N_STATES)
    assert states.shape == (N_STATES, model.nq + 2 * model.nv + model.nu)
    for state in states:
        data.qpos[:], data.qvel[:] = state[: model.nq], state[model.nq : model.nq + model.nv]
        mujoco.mj_forward(model, data)
        n_contacts.add(data.ncon)
        at_limits += int(np.sum(data.efc_type[: data.nefc] == mujoco.mjtConstraint.mjCNSTR_LIMIT_JOINT) > 0)
    assert {0, 1, 2, 3} <= n_contacts
    assert at_limits > N_STATES // 10
    controls = states[:, model.nq + model.nv : model.nq + model.nv + model.nu]
    is_at_bound = np.abs(np.abs(controls) - np.abs(model.actuator_ctrlrange[:, 1])) == 0.0
    assert 0.1 < is_at_bound.mean() < 0.9


@pytest.mark.parametrize(("name", "geoms"), [("HalfCheetah", {"torso", "head", "bfoot", "ffoot"}), ("Walker2d", {"torso_geom"})])
def test_what_touches_the_floor_when_a_model_is_turned_over_does_so(models, name, geoms):
    model, touching = models[name], set()
    data = mujoco.MjData(model)
    for state in reachable_states(model, N_STATES):
        data.qpos[:] = state[: model.nq]
        mujoco.mj_forward(model, data)
        touching |= {model.geom(geom).name for contact in data.contact for geom in contact.geom}
    assert geoms <= touching


def test_a_hopper_falls(models):
    heights = reachable_states(models["Hopper"], N_STATES)[:, 1]
    assert heights.min() < 0.2
    assert heights.max() > 1.2


def test_states_are_the_same_every_time(models):
    first, again = (reachable_states(models["Walker2d"], 64) for _ in range(2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, reachable_states(models["Walker2d"], 64, seed=1))


def test_keyframes_are_starts():
    model = mujoco.MjModel.from_xml_string(
        "<mujoco><worldbody><body><joint name='x' type='slide'/><geom size='.1'/></body></worldbody>"
        "<actuator><motor joint='x'/></actuator><keyframe><key qpos='100'/></keyframe></mujoco>"
    )
    positions = reachable_states(model, N_STATES)[:, 0]
    assert (positions > 90.0).any()
    assert (positions < 10.0).any()


# The comparison


@pytest.mark.parametrize("name", MODELS)
def test_rounding_is_no_fault(models, name):
    """MuJoCo's exact steps stand in for the lanes: their accelerations of 1e4 rad/s^2 differ from MuJoCo's by 1e-9."""
    found = measured(models[name], steps_of(models[name]))
    assert found.n_states == N_STATES
    assert found.difference <= 1e-11
    assert found.fault == ""


def test_a_difference_is_of_its_fields_size(models):
    """An acceleration of 1e3 rad/s^2 and more that is wrong by 1e-10 of it, and one below 1 that is wrong by 1e-8."""
    model, states = models["HalfCheetah"], reachable_states(models["HalfCheetah"], N_STATES)
    ours = mujoco_steps(model, states)
    qacc = slice(first := model.nq + model.nv + 13 * model.nbody + 3 * model.nsite, first + model.nv)
    assert np.array_equal(ours.rows[7, qacc], mujoco_steps(model, states, ("qacc",)).rows[7])
    ours.rows[:, qacc] *= 1.0 + 1e-10
    assert np.abs(ours.rows[:, qacc]).max() > 1e3
    assert compared(model, states, ours).fault == ""
    ours.rows[7, model.nq] += 1e-8
    assert compared(model, states, ours).fault != ""


CHANGES = {
    "mass": ("Hopper", lambda model: model.body_mass.__setitem__(-1, model.body_mass[-1] * (1 + 1e-6))),
    "centre of mass": ("Ant", lambda model: model.body_ipos.__setitem__((4, 0), model.body_ipos[4, 0] + 1e-6)),
    "inertia": ("Walker2d", lambda model: model.body_inertia.__imul__(1 + 1e-6)),
    "damping": ("HalfCheetah", lambda model: model.dof_damping.__imul__(1 + 1e-6)),
    "armature": ("Hopper", lambda model: model.dof_armature.__imul__(1 + 1e-6)),
    "stiffness": ("HalfCheetah", lambda model: model.jnt_stiffness.__imul__(1 + 1e-6)),
    "friction": ("Walker2d", lambda model: model.geom_friction.__imul__(1 + 1e-6)),
    "size": ("Ant", lambda model: model.geom_size.__imul__(1 + 1e-6)),
    "margin": ("Ant", lambda model: model.geom_margin.__imul__(1 + 1e-6)),
    "a limit": ("Reacher", lambda model: model.jnt_range.__imul__(1 + 1e-6)),
    "a limit of a rail": ("InvertedPendulum", lambda model: model.jnt_range.__imul__(1 + 1e-6)),
    "solver's reference": ("Hopper", lambda model: model.geom_solref.__imul__(1 + 1e-6)),
    "impedance": ("HalfCheetah", lambda model: model.geom_solimp.__imul__(1 - 1e-6)),
    "gear": ("Swimmer", lambda model: model.actuator_gear.__imul__(1 + 1e-6)),
    "viscosity": ("Swimmer", lambda model: setattr(model.opt, "viscosity", model.opt.viscosity * (1 + 1e-6))),
    "gravity": ("InvertedDoublePendulum", lambda model: model.opt.gravity.__imul__(1 + 1e-6)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_number_of_the_model_that_is_wrong_by_1e_6_is_found(models, change):
    name, apply = CHANGES[change]
    apply(wrong := copy.copy(models[name]))
    found = measured(models[name], steps_of(wrong))
    assert ALLOWED < found.difference < 1.0
    assert found.fault.startswith(
        f"after one step {found.field} is {found.ours!r} in the lanes and {found.theirs!r} in mj_step, in "
    )
    assert f"they differ by {found.difference:.1e} of the field's size, and 1e-09 is allowed" in found.fault
    assert "\n" not in found.fault


def test_the_sentence_names_field_numbers_and_state():
    found = Agreement(384, 2e-6, "qacc[3]", 1.5, 1.500003, 17, (0.25, -1.0 / 3.0), 0.0)
    assert found.fault == (
        "after one step qacc[3] is 1.5 in the lanes and 1.500003 in mj_step, in reachable state 17, at qpos [0.25, -0.333333]: "
        "they differ by 2.0e-06 of the field's size, and 1e-09 is allowed"
    )


def test_the_state_of_the_sentence_is_the_one_that_differs(models):
    """One number of one state is wrong: an entry of `xpos` of a body."""
    model, states = models["Hopper"], reachable_states(models["Hopper"], N_STATES)
    ours = mujoco_steps(model, states)
    column = model.nq + model.nv + 3 * 2 + 1
    ours.rows[37, column] += 1e-6
    found = compared(model, states, ours)
    assert (found.state, found.field) == (37, "xpos[2, 1]")
    assert found.qpos == tuple(states[37, : model.nq])
    assert found.ours == ours.rows[37, column]
    assert found.ours - found.theirs == pytest.approx(1e-6, rel=1e-6)


def test_a_difference_that_mujocos_tolerance_explains_is_no_fault(models):
    loose = copy.copy(models["HalfCheetah"])
    loose.opt.tolerance, loose.opt.iterations = 1e-2, 2
    found = measured(loose, steps_of(models["HalfCheetah"]))
    assert found.solver_error > 1e-6
    assert found.difference < 1e-11
    assert found.fault == ""


def test_the_answer_as_it_comes_is_as_good_as_the_exact_one(models, monkeypatch):
    """If MuJoCo's solver does not get nearer with more iterations."""
    model = models["HalfCheetah"]
    monkeypatch.setitem(agreement._EXACT, "iterations", 0)
    assert measured(model, lambda states: _moved(mujoco_steps(model, states), 1e-11)).fault == ""


def _moved(stepped, by):
    return stepped._replace(rows=stepped.rows + by)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_not_finite_are_a_fault(models, value):
    def step(states):
        found = mujoco_steps(models["Swimmer"], states)
        found.rows[5, 2] = value
        return found

    found = measured(models["Swimmer"], step)
    assert (found.difference, found.state, found.field) == (np.inf, 5, "qpos[2]")
    assert f"qpos[2] is {value!r} in the lanes" in found.fault


def test_bad_numbers_that_only_one_finds_are_a_fault(models):
    model, states = models["Swimmer"], reachable_states(models["Swimmer"], N_STATES)
    for wrong, who in ((states, "the lanes"), (_with_huge_velocity(model, states), "mj_step")):
        theirs = mujoco_steps(model, wrong)
        ours = Stepped(theirs.rows, theirs.is_bad.copy())
        ours.is_bad[9] = who == "the lanes"
        found = compared(model, wrong, ours)
        assert (found.difference, found.state) == (np.inf, 9)
        assert found.fault.startswith(f"bad numbers are found in {who} only, in reachable state 9, at qpos [")


def test_bad_numbers_that_both_find_are_no_fault(models):
    model, states = models["Swimmer"], reachable_states(models["Swimmer"], N_STATES)
    states[9, model.nq + model.nv] = np.nan
    ours = mujoco_steps(model, states)
    assert ours.is_bad.sum() == 1
    ours.rows[9] = 1e300  # MuJoCo goes on with a control of 0, the lanes from nowhere
    assert compared(model, states, ours).fault == ""


def test_huge_numbers_are_not_compared(models):
    """A velocity of 1e7 rad/s turns by 1e5 rad in a step, and rounding moves that by 1e-11 rad."""
    model = models["InvertedPendulum"]
    states = reachable_states(model, N_STATES)
    states[9, model.nq] = 1e7
    states[10, 1] = -1e7
    ours = mujoco_steps(model, states)
    ours.rows[9:11] += 1.0
    found = compared(model, states, ours)
    assert (found.fault, found.n_states) == ("", N_STATES - 2)


def _with_huge_velocity(model, states):
    states = states.copy()
    states[9, model.nq] = 1e11
    return states


def test_too_few_states_are_a_fault():
    """A motor that is too strong by far: MuJoCo finds bad numbers in the first step of every episode."""
    model = mujoco.MjModel.from_xml_string(
        "<mujoco><worldbody><body><joint name='x' type='slide'/><geom size='.1'/></body></worldbody>"
        "<actuator><motor joint='x' gear='1e12'/></actuator></mujoco>"
    )
    found = measured(model, steps_of(model))
    assert found.n_states < 64
    assert found.fault == f"only {found.n_states} states with numbers below 1e+06 were found to compare the lanes with mj_step in"


# The file


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A cache of its own, and nothing known in this process."""
    monkeypatch.setenv("FASTARS_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(kept_agreements, "_known", {})
    kernel_cache.cache_directory.cache_clear()
    yield tmp_path / "cache"
    kernel_cache.cache_directory.cache_clear()


FOUND = Agreement(256, 3.25e-14, "qacc[3]", 1.5, 1.25, 17, (0.25, -1.0), 0.0)


def kept(folder):
    """The agreement is written, and forgotten by this process."""
    kept_agreements.keep_agreement("Hopper-v5", "a" * 64, FOUND)
    kept_agreements._known.clear()
    (path,) = folder.glob("*.agreement")
    return path


def test_it_is_kept_in_a_file_of_this_user(folder):
    path = kept(folder)
    assert path.name == f"Hopper-v5.{'a' * 32}.agreement"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert kept_agreements.known_agreement("Hopper-v5", "a" * 64) == FOUND
    assert kept_agreements.known_agreement("Hopper-v5", "b" * 64) is None
    assert [(each.env_id, each.agreement) for each in kept_agreements.kept_agreements()] == [("Hopper-v5", FOUND)]


def test_a_name_of_a_user_is_no_path(folder):
    kept_agreements.keep_agreement("../../a b", "a" * 64, FOUND)
    assert [path.name for path in folder.iterdir()] == [f"______a_b.{'a' * 32}.agreement"]


def test_a_damaged_file_is_none(folder):
    path = kept(folder)
    content = path.read_bytes()
    for n in range(len(content)):
        path.write_bytes(content[:n])
        assert kept_agreements.known_agreement("Hopper-v5", "a" * 64) is None
        path.write_bytes(content[:n] + bytes([content[n] ^ 1]) + content[n + 1 :])
        assert kept_agreements.known_agreement("Hopper-v5", "a" * 64) is None
    path.write_bytes(content)
    assert kept_agreements.known_agreement("Hopper-v5", "a" * 64) == FOUND


@pytest.mark.parametrize(
    "payload", [b"", b"[]", b"{}", b'{"agreement": 1}', b"\xff", json.dumps({"agreement": FOUND._asdict()}).encode()]
)
def test_a_whole_file_of_another_form_is_none(folder, payload):
    path = kept(folder)
    kernel_cache.keep_payload(path, payload)
    assert kept_agreements.known_agreement("Hopper-v5", "a" * 64) is None
    assert kept_agreements.kept_agreements() == []


def test_a_file_that_others_can_have_written_is_none(folder):
    path = kept(folder)
    path.chmod(0o666)
    assert kept_agreements.known_agreement("Hopper-v5", "a" * 64) is None
    path.chmod(0o600)
    path.rename(folder / "elsewhere")
    path.symlink_to(folder / "elsewhere")
    assert kept_agreements.known_agreement("Hopper-v5", "a" * 64) is None


def test_without_a_folder_this_process_still_knows(folder, monkeypatch):
    monkeypatch.setattr(kept_agreements, "cache_directory", lambda: None)
    kept_agreements.keep_agreement("Hopper-v5", "a" * 64, FOUND)
    assert kept_agreements.known_agreement("Hopper-v5", "a" * 64) == FOUND
    assert kept_agreements.kept_agreements() == []
    assert not folder.exists()


def test_a_folder_that_can_not_be_written_is_no_error(folder, monkeypatch):
    """Root may write everywhere, so the folder is gone instead."""
    monkeypatch.setattr(kept_agreements, "cache_directory", lambda: str(folder / "gone"))
    kept_agreements.keep_agreement("Hopper-v5", "a" * 64, FOUND)
    assert kept_agreements.known_agreement("Hopper-v5", "a" * 64) == FOUND


def test_the_key_depends_on_model_version_processor_and_code(models, monkeypatch, tmp_path):
    keys = [kept_agreements.agreement_key(models["Hopper"])]
    keys.append(kept_agreements.agreement_key(models["Walker2d"]))
    moved = copy.copy(models["Hopper"])
    moved.body_mass[1] = np.nextafter(moved.body_mass[1], np.inf)
    keys.append(kept_agreements.agreement_key(moved))
    with monkeypatch.context() as patch:
        patch.setattr(kept_agreements.mujoco, "mj_versionString", lambda: "9.9.9")
        keys.append(kept_agreements.agreement_key(models["Hopper"]))
    with monkeypatch.context() as patch:
        patch.setattr(kept_agreements, "build_digest", lambda: "another processor")
        keys.append(kept_agreements.agreement_key(models["Hopper"]))
    with monkeypatch.context() as patch:
        patch.setattr(kept_agreements, "_PACKAGE", tmp_path)
        (tmp_path / "physics").mkdir()
        (tmp_path / "envs" / "mujoco").mkdir(parents=True)
        for name in ("physics/model.py", "envs/mujoco/agreement.py", "envs/mujoco/lane_steps.py", "envs/mujoco/reachable.py"):
            for text in ("a = 1", "a = 2"):
                (tmp_path / name).write_text(text)
                kept_agreements._sources_digest.cache_clear()
                keys.append(kept_agreements.agreement_key(models["Hopper"]))
        kept_agreements._sources_digest.cache_clear()
    assert len(set(keys)) == len(keys) == 13
    assert kept_agreements.agreement_key(copy.copy(models["Hopper"])) == keys[0]


def test_the_build_depends_on_the_processor():
    """`NUMBA_CPU_NAME` stands for another processor."""
    program = "from fastars._compiled.kernel_cache import build_digest; print(build_digest())"

    def digest(**env):
        result = subprocess.run([sys.executable, "-c", program], env=os.environ | env, capture_output=True, text=True, check=True)
        return result.stdout

    assert len({digest(), digest(NUMBA_CPU_NAME="generic", NUMBA_CPU_FEATURES=""), digest(NUMBA_BOUNDSCHECK="1")}) == 3
    assert digest() == digest()


def test_agreements_of_another_version_are_not_shown(folder, monkeypatch):
    kept(folder)
    monkeypatch.setattr(kept_agreements.mujoco, "mj_versionString", lambda: "9.9.9")
    assert kept_agreements.kept_agreements() == []


def test_processes_that_write_at_once_leave_one_whole_file(folder):
    program = (
        "from fastars.envs.mujoco import kept_agreements\n"
        "from fastars.envs.mujoco.agreement import Agreement\n"
        f"for k in range(200): kept_agreements.keep_agreement('Hopper-v5', 'a' * 64, Agreement(*{tuple(FOUND)!r}))\n"
    )
    writers = [subprocess.Popen([sys.executable, "-c", program]) for _ in range(2)]
    seen = 0
    while any(writer.poll() is None for writer in writers):
        if list(Path(folder).glob("*.agreement")):
            assert kept_agreements.known_agreement("Hopper-v5", "a" * 64) == FOUND
            seen += 1
    assert [writer.returncode for writer in writers] == [0, 0]
    assert seen > 0
    assert len(list(folder.iterdir())) == 1
