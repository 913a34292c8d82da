"""Faults inside MuJoCo: fatal errors, instability, missing packages. None ends the process, and none is lost."""

import gc
import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("mujoco", reason="MuJoCo environments need the mujoco package")

import gymnasium
import mujoco

from fastars import ARS, SimulationError, evaluate_candidates
from fastars._compiled.structs import TERMINATED, TRUNCATED, UNSTABLE, LinearPolicy, Simulation, identity_filter
from fastars.envs import compiled_env, make
from fastars.envs.mujoco import capi
from fastars.envs.mujoco.clock import clock
from fastars.envs.mujoco.messages import collected_warnings
from fastars.samplers import make_sampler

ASSETS = Path(gymnasium.__file__).parent / "envs" / "mujoco" / "assets"


@pytest.fixture
def cramped_hopper(tmp_path):
    """A hopper beside a pile of boxes, with too little memory for all their contacts: a fatal error in MuJoCo, some steps later."""
    boxes = "".join(
        f'<body pos="{5 + 0.05 * i} 0 {0.3 + 0.25 * i}"><freejoint/><geom type="box" size=".1 .1 .1" contype="1"/></body>'
        for i in range(8)
    )
    text = (ASSETS / "hopper.xml").read_text().replace("<worldbody>", '<size memory="64K"/><worldbody>', 1)
    path = tmp_path / "cramped.xml"
    path.write_text(text.replace("</worldbody>", boxes + "</worldbody>"))
    return make("Hopper-v5", xml_file=str(path), terminate_when_unhealthy=False)


@pytest.fixture
def wild_pendulum(tmp_path):
    """An inverted pendulum whose motor is so strong that its acceleration overflows as soon as it is used."""
    text = (ASSETS / "inverted_pendulum.xml").read_text()
    path = tmp_path / "wild.xml"
    path.write_text(re.sub(r'gear="[^"]*"', 'gear="1e12"', text))
    assert "1e12" in path.read_text()
    return make("InvertedPendulum-v5", xml_file=str(path))


def weights_for(env, n, scale=0.1):
    compiled = compiled_env(env)
    return scale * np.random.default_rng(0).standard_normal((n, compiled.n_act * compiled.n_obs))


def test_fatal_error_raises_with_mujocos_text(cramped_hopper):
    with pytest.raises(SimulationError, match=r"MuJoCo failed in Hopper-v5, in step \d+ of the episode with seed 7: mj_stackAlloc"):
        evaluate_candidates(cramped_hopper, weights_for(cramped_hopper, 1), [7], n_threads=1)


def test_fatal_error_is_the_one_of_mujocos_own_bindings(cramped_hopper):
    """The same step, the same text but for the numbers of bytes."""
    weights = 0.0 * weights_for(cramped_hopper, 1)
    cramped_hopper.reset(seed=3)
    length, theirs = 0, None
    while theirs is None:
        length += 1
        try:
            cramped_hopper.step(np.zeros(3, np.float32))
        except mujoco.FatalError as error:
            theirs = error
    with pytest.raises(SimulationError, match=f"in step {length} of") as ours:
        evaluate_candidates(cramped_hopper, weights, [3])
    assert str(theirs).split("\n")[0] in str(ours.value)


@pytest.mark.promise(9)
def test_fatal_error_leaves_model_and_process_usable(cramped_hopper):
    model = ARS("LinearPolicy", cramped_hopper, n_delta=4, seed=0)
    for _ in range(3):
        with pytest.raises(SimulationError):
            model.learn(100)
    assert model.iteration == 0
    assert not model.theta.any()
    good = make("Hopper-v5")
    rollouts = evaluate_candidates(good, weights_for(good, 4), range(4))
    assert (rollouts.status == TERMINATED).all()


def test_fatal_errors_on_all_threads_at_once(cramped_hopper):
    """A failed simulation is thrown away; 400 failures on 4 threads take no memory with them.

    Each has more than 500 kB, 200 MB in all; the process as a whole was seen to move by 6 MB.
    """
    env = compiled_env(cramped_hopper)
    sampler = make_sampler(env, LinearPolicy(False), n_threads=4)
    weights, seeds = np.zeros((16, env.n_act * (env.n_obs + 1))), np.arange(16, dtype=np.uint64)

    def fail(n):
        for _ in range(n):
            with pytest.raises(SimulationError):
                sampler.evaluate(weights, identity_filter(env.n_obs), seeds, True)

    fail(50)
    before = resident_bytes()
    fail(100)
    assert resident_bytes() - before < 20 << 20


@pytest.mark.promise(8)
def test_instability_is_a_status_and_counted(wild_pendulum, capfd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rollouts = evaluate_candidates(wild_pendulum, weights_for(wild_pendulum, 6), range(6))
    assert (rollouts.status == UNSTABLE).all()
    assert np.isnan(rollouts.returns).all()
    assert (rollouts.lengths >= 1).all()

    model = ARS("LinearPolicy", wild_pendulum, n_delta=3, delta_std=1.0, zero_policy=False, seed=0)
    model.learn(1)
    assert model.record["health/unstable_episodes"] == 6
    assert model.dropped_pairs == 3
    model.learn(1, reset_num_timesteps=False)
    assert model.record["health/unstable_episodes"] == 12
    assert capfd.readouterr() == ("", "")  # neither printed
    assert not (tmp_path / "MUJOCO_LOG.TXT").exists()  # nor written to the user's folder


def test_differs_from_gymnasium_an_unstable_episode_ends(wild_pendulum):
    """Gymnasium goes on, from the state into which MuJoCo has put the simulation without a word in `step`'s answer."""
    wild_pendulum.reset(seed=0)
    data = wild_pendulum.unwrapped.data
    with collected_warnings() as texts:
        _, reward, terminated, truncated, _ = wild_pendulum.step(np.ones(1, np.float32))
    assert data.warning[mujoco.mjtWarning.mjWARN_BADQACC].number >= 1
    assert texts
    assert (reward, terminated, truncated) == (1, False, False)
    weights = np.array([[1e6, 1e6, 1e6, 1e6]])
    assert evaluate_candidates(wild_pendulum, weights, [0]).status[0] == UNSTABLE


def test_action_that_is_not_a_number_is_unstable():
    """Scores inf - inf: MuJoCo sets a control that is no number to 0, and counts it."""
    env = compiled_env("InvertedPendulum-v5")
    filter = identity_filter(4)._replace(scale=np.full(4, 1e300))
    weights = np.array([[1e300, -1e300, 1e300, -1e300, 0.0]])
    rollouts = make_sampler(env, LinearPolicy(False)).evaluate(weights, filter, np.arange(20, dtype=np.uint64), True)
    assert (rollouts.status == UNSTABLE).any()
    assert (rollouts.lengths[rollouts.status == UNSTABLE] == 1).any()


def test_bad_numbers_are_counted_where_the_kernel_looks():
    model = compiled_env("Swimmer-v5").model
    sim, data = capi.new_simulation(model), mujoco.MjData(model)
    assert sim.bad.tolist() == [0, 0, 0, 0]
    warnings = mujoco.mjtWarning
    kinds = (warnings.mjWARN_BADQPOS, warnings.mjWARN_BADQVEL, warnings.mjWARN_BADQACC, warnings.mjWARN_BADCTRL)
    assert [int(kind) - int(kinds[0]) for kind in kinds] == [0, 1, 2, 3]
    assert sim.bad.base is not None  # a view
    assert data.warning.number[int(kinds[0]) : int(kinds[3]) + 1].shape == sim.bad.shape


def test_no_log_file_is_left_by_training(tmp_path):
    """MuJoCo 4 warns about Gymnasium's half_cheetah.xml: not in the user's folder, nor on the terminal."""
    program = (
        "from fastars import ARS, evaluate_policy\n"
        "model = ARS('LinearPolicy', 'HalfCheetah-v5', n_delta=1, seed=0).learn(1)\n"
        "model.save('model.zip')\n"
        "evaluate_policy(ARS.load('model.zip'), 'HalfCheetah-v5', 1)\n"
        "ARS('LinearPolicy', 'HalfCheetah-v5', n_delta=1, seed=0, backend='numpy').learn(1)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")
    assert [path.name for path in tmp_path.iterdir()] == ["model.zip"]


def test_mujocos_clock_goes_on_after_rollouts(cramped_hopper):
    """It stands still while they run, and goes on whether they ended well or not."""

    def timed_steps():
        model = mujoco.MjModel.from_xml_path(str(ASSETS / "hopper.xml"))
        data = mujoco.MjData(model)
        mujoco.mj_step(model, data)
        return data.timer[mujoco.mjtTimer.mjTIMER_STEP].duration

    assert timed_steps() > 0
    evaluate_candidates("Swimmer-v5", np.zeros((2, 16)), range(2))
    assert timed_steps() > 0
    with pytest.raises(SimulationError):
        evaluate_candidates(cramped_hopper, weights_for(cramped_hopper, 1), [7])
    assert timed_steps() > 0
    with clock.stopped():
        with clock.stopped():
            assert timed_steps() == 0
        assert timed_steps() == 0
    assert timed_steps() > 0


def test_a_clock_that_the_user_sets_during_rollouts_stays():
    """MuJoCo's own comes back at the end: in some versions `mujoco.set_mjcb_time(None)` leaves no clock, in 4.0 its own."""
    own = clock._callback.value
    try:
        with clock.stopped():
            mujoco.set_mjcb_time(lambda: 1.0)
            users = clock._callback.value
        assert clock._callback.value == users
        assert users not in (own, clock._no_time)
    finally:
        mujoco.set_mjcb_time(None)
        clock._callback.value = own


def test_simulations_are_as_many_as_threads():
    sampler = make_sampler(compiled_env("Swimmer-v5"), LinearPolicy(False), n_threads=2)
    rollouts = sampler.evaluate(np.zeros((40, 18)), identity_filter(8), np.arange(40, dtype=np.uint64), False)
    assert (rollouts.status == TRUNCATED).all()
    assert 1 <= len(sampler._idle) <= 2


def test_simulation_keeps_its_memory_alive():
    """The arrays hold the MjData, the sampler holds the model: neither goes with the names they were made under."""
    env = compiled_env("Swimmer-v5")
    sampler = make_sampler(env, LinearPolicy(False), n_threads=1)
    want = sampler.evaluate(np.ones((1, 18)), identity_filter(8), np.zeros(1, np.uint64), False).returns[0]
    del env
    gc.collect()
    for _ in range(20):
        make("Swimmer-v5").close()
    gc.collect()
    assert sampler.evaluate(np.ones((1, 18)), identity_filter(8), np.zeros(1, np.uint64), False).returns[0] == want


def test_simulation_names_are_mujocos():
    env = compiled_env("Ant-v5")
    sim, data = capi.new_simulation(env.model), mujoco.MjData(env.model)
    for name in set(Simulation._fields) - {"model", "data", "frame", "fault", "bad"}:
        assert getattr(sim, name).shape == getattr(data, name).shape


def theta_hash(env_id, n_threads):
    model = ARS("LinearPolicy", env_id, n_delta=5, n_top=3, variant="V2-t", seed=4, n_threads=n_threads)
    model.learn(1)
    model.learn(2000, reset_num_timesteps=False)
    return hashlib.sha256(model.theta.tobytes() + model.policy.filter.scale.tobytes()).hexdigest(), model.num_timesteps


@pytest.mark.parametrize("env_id", ["Hopper-v5", "Swimmer-v5"])
def test_theta_is_the_same_for_any_number_of_threads(env_id):
    assert len({theta_hash(env_id, n_threads) for n_threads in (1, 2, 3, 4)}) == 1


def resident_bytes():
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


FIFTY_ITERATIONS = """
import sys
from fastars import ARS
from test_mujoco_faults import resident_bytes

model = ARS("LinearPolicy", "Hopper-v5", n_delta=8, variant="V2", seed=0, n_threads=2, physics=sys.argv[1])
assert model.noise.all()  # the table grows as directions reach further
model.learn(3000)
before, iterations = resident_bytes(), model.iteration
while model.iteration < iterations + 50:
    model.learn(1, reset_num_timesteps=False)
print(resident_bytes() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc")
@pytest.mark.parametrize("physics", ["mujoco", "lanes"])
def test_fifty_iterations_leave_no_growth_of_memory(physics):
    """In a process of its own: after thousands of tests, one of 3.8 GB gained 8 MB of the allocator's."""
    path = os.pathsep.join([str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    program = [sys.executable, "-c", FIFTY_ITERATIONS, physics]
    done = subprocess.run(program, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 1 << 20
