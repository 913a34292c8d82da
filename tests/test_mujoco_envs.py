"""The compiled MuJoCo environments against Gymnasium's own: observations, rewards and terminations have its bits, step by step."""

import functools
import inspect
import math
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numba
import numpy as np
import pytest

pytest.importorskip("mujoco", reason="MuJoCo environments need the mujoco package")

import gymnasium

from fastars import ARS, UnsupportedEnvError, compiled_env_ids, evaluate_candidates, evaluate_policy
from fastars._compiled.blas import blas_is_fused
from fastars._compiled.kernel_cache import cache_directory
from fastars._compiled.rng import seed_generator
from fastars._compiled.simulated import needs_contact_forces, observe_sim, remember, reset_sim, reward_terms
from fastars._compiled.simulator import simulate
from fastars._compiled.structs import TERMINATED, TRUNCATED
from fastars._compiled.tuples import put
from fastars.envs import compiled_env, make
from fastars.envs.mujoco.ant import is_healthy
from fastars.envs.mujoco.capi import new_simulation
from fastars.envs.mujoco.inverted_double_pendulum import distance_penalty, velocity_penalty
from fastars.envs.mujoco.physics import norm, square_sum
from fastars.envs.terms import TERMS

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*-v4 is out of date:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:MuJoCo on .*:UserWarning"),  # what MuJoCo has to say about Gymnasium's files
]


@pytest.fixture(autouse=True)
def _in_temporary_folder(tmp_path, monkeypatch):
    """Gymnasium's own simulations write MUJOCO_LOG.TXT where they are."""
    monkeypatch.chdir(tmp_path)


ASSETS = Path(gymnasium.__file__).parent / "envs" / "mujoco" / "assets"
IDS = compiled_env_ids("mujoco")
N_THREADS = 1 if numba.config.DISABLE_JIT else 2  # without compilation, what conftest.py says about warnings holds for one thread
# Another value for every argument, chosen to show within a few steps.
CHANGED = {
    "contact_cost_range": (1e-3, 2e-3),
    "contact_cost_weight": 0.02,
    "contact_force_range": (-0.3, 0.2),
    "ctrl_cost_weight": 0.3,
    "exclude_current_positions_from_observation": False,
    "forward_reward_weight": 0.7,
    "frame_skip": 3,
    "healthy_angle_range": (-0.05, 0.03),
    "healthy_reward": 0.3,
    "healthy_state_range": (-0.5, 0.8),
    "healthy_z_range": (1.22, 1.26),
    "impact_cost_range": (0.01, 0.02),
    "impact_cost_weight": 1e-4,
    "include_cfrc_ext_in_observation": False,
    "include_cinert_in_observation": False,
    "include_cvel_in_observation": False,
    "include_qfrc_actuator_in_observation": False,
    "main_body": "aux_2",
    "reset_noise_scale": 0.07,
    "reward_control_weight": 0.7,
    "reward_dist_weight": 0.6,
    "reward_near_weight": 0.4,
    "terminate_when_unhealthy": False,
    "uph_cost_weight": 3.0,
    "use_contact_forces": True,
    "xml_file": "changed.xml",
}
CHANGED_IN = {
    "Ant": {"healthy_z_range": (0.6, 0.9)},
    "Humanoid": {"healthy_z_range": (1.37, 1.41)},
    "InvertedDoublePendulum": {"reset_noise_scale": 5.0},  # so that velocities and forces are clipped
}
WITHOUT_EFFECT = {"uph_cost_weight"}  # in Gymnasium, too
SHOWS_ONLY = {"self", "kwargs", "default_camera_config"}
TOGETHER = [
    (
        "Ant-v4",
        {"use_contact_forces": True, "contact_force_range": (0.1, 0.7), "exclude_current_positions_from_observation": False},
    ),
    ("Ant-v4", {"contact_force_range": (0.1, 0.7), "use_contact_forces": True}),
    ("Ant-v4", {"contact_cost_weight": 0.0, "use_contact_forces": True}),
    ("Ant-v5", {"contact_cost_weight": 0.0, "include_cfrc_ext_in_observation": False}),
    (
        "Ant-v5",
        {"main_body": 3, "contact_force_range": (0.1, 0.7), "terminate_when_unhealthy": False, "healthy_z_range": (0.6, 0.9)},
    ),
    ("Ant-v5", {"contact_cost_weight": 0.0}),
    ("HalfCheetah-v5", {"ctrl_cost_weight": 1, "forward_reward_weight": 2}),
    ("Hopper-v4", {"terminate_when_unhealthy": False, "healthy_z_range": [1.22, 1.3], "healthy_reward": 3}),
    ("Hopper-v5", {"terminate_when_unhealthy": False, "healthy_z_range": [1.22, 1.3], "healthy_reward": 3}),
    ("Humanoid-v5", {"contact_cost_weight": 0, "include_cfrc_ext_in_observation": False}),
    ("Humanoid-v5", {"contact_cost_weight": 0.0}),
    ("HumanoidStandup-v5", {"impact_cost_weight": 0.0}),
    ("HumanoidStandup-v5", {"impact_cost_weight": 0, "include_cfrc_ext_in_observation": False}),
]


def variants():
    """(id, arguments): each argument of each environment changed by itself, and some together."""
    found = []
    for env_id in IDS:
        name = env_id.partition("-")[0]
        for argument in inspect.signature(gymnasium_class(env_id).__init__).parameters:
            if argument in SHOWS_ONLY:
                continue
            kwargs = {argument: CHANGED_IN.get(name, {}).get(argument, CHANGED[argument])}
            if env_id == "Ant-v4" and argument.startswith("contact_"):
                kwargs["use_contact_forces"] = True  # without it they have no effect
            found.append((env_id, kwargs))
    return found + TOGETHER


def gymnasium_class(env_id):
    return gymnasium.envs.registration.load_env_creator(gymnasium.spec(env_id).entry_point)


def label(value):
    if isinstance(value, dict):
        return "+".join(value)
    return str(value)


def changed_file(env_id, folder):
    """A copy of the environment's file in which gravity is another, and ten boxes of different masses stand far away."""
    original = ASSETS / inspect.signature(gymnasium_class(env_id).__init__).parameters["xml_file"].default
    boxes = "".join(f'<body pos="{i} 50 1"><geom type="box" size=".1 .2 {0.3 + 0.05 * i}"/></body>' for i in range(10))
    path = folder / "changed.xml"
    text = original.read_text()
    assert text.count("<worldbody>") == 1
    path.write_text(text.replace("<worldbody>", f'<option gravity="0.5 0.3 -7"/><worldbody>{boxes}'))
    return str(path)


class Episode(NamedTuple):
    """Return the observations, rewards and ends of a plain Gymnasium loop."""

    seed: int
    observations: np.ndarray  # (n + 1, n_obs)
    actions: np.ndarray  # (n, n_act)
    rewards: np.ndarray  # (n,)
    terminated: np.ndarray  # (n,)
    terms: np.ndarray  # (n, n_terms), of the rewards, where they are reported


def gymnasium_episode(env, seed, policy, n_steps):
    observation, _ = env.reset(seed=int(seed))
    observations, actions, rewards, ends, terms = [observation], [], [], [], []
    truncated = False
    while len(actions) < n_steps and not truncated and not any(ends[-1:]):
        actions.append(policy(observation))
        observation, reward, terminated, truncated, info = env.step(actions[-1])
        observations.append(observation)
        rewards.append(float(reward))
        ends.append(terminated)
        terms.append([float(info[term]) for term in TERMS.get(env.spec.id, ())])
    actions = np.array(actions, np.float32).reshape(-1, *env.action_space.shape)
    return Episode(seed, np.array(observations), actions, np.array(rewards), np.array(ends, bool), np.array(terms))


def linear_policy(env, weights):
    """Scores summed from the first entry on, as the kernels do it; actions are clipped float32."""
    rows = weights.reshape(*env.action_space.shape, -1)

    def policy(observation):
        scores = np.cumsum(rows * observation, axis=1)[:, -1]
        return np.clip(scores.astype(np.float32), env.action_space.low, env.action_space.high)

    return policy


def random_weights(env, rng):
    """Of sizes from those that hardly act to those that do nothing but jump from bound to bound."""
    return rng.normal(size=env.action_space.shape[0] * env.observation_space.shape[0]) * 10 ** rng.uniform(-2.5, 0)


def random_policy(env, rng):
    """Actions all over the space, and half as far again beyond it."""
    high = env.action_space.high
    return lambda observation: (1.5 * high * rng.uniform(-1, 1, high.shape)).astype(np.float32)


@numba.njit
def play(env, sim, seed, actions, observations, rewards, terminated, terms):
    """One episode under given actions, in the words of the rollout kernel."""
    rng = np.zeros(4, np.uint64)
    seed_generator(rng, seed)
    reset_sim(env, sim, rng)
    observe_sim(env, sim, observations[0])
    before = np.empty(len(sim.qpos))
    for t in range(len(actions)):
        remember(env, sim, before)
        simulate(sim, actions[t], env.physics.frame_skip, needs_contact_forces(env))
        terms_of_step, rewards[t], terminated[t] = reward_terms(env, sim, actions[t], before)
        put(terms[t], 0, terms_of_step)
        observe_sim(env, sim, observations[t + 1])


def played(compiled, sim, seed, actions):
    """(observations, rewards, terminated, terms) of the kernels. What is not written is NaN; beyond the observations, all is."""
    n = len(actions)
    room = np.full((n + 2) * compiled.n_obs, np.nan)
    observations, beyond = room[: -compiled.n_obs].reshape(n + 1, compiled.n_obs), room[-compiled.n_obs :]
    rewards, terminated, terms = np.full(n, np.nan), np.zeros(n, bool), np.full((n, 4), np.nan)
    play(compiled.constants, sim, np.uint64(seed), actions, observations, rewards, terminated, terms)
    assert np.isnan(beyond).all()
    return observations, rewards, terminated, terms[:, : len(TERMS.get(compiled.id, ()))]


def assert_same_bits(ours, theirs):
    assert ours.dtype == theirs.dtype == np.float64
    np.testing.assert_array_equal(ours, theirs)
    assert ours.tobytes() == theirs.tobytes()  # 0.0 and -0.0, too


def assert_episodes_equal(env, n_episodes, n_steps):
    """Compare episodes under linear policies and under random actions; what Gymnasium saw."""
    compiled = compiled_env(env)
    sim = new_simulation(compiled.model)
    episodes = []
    for seed in range(n_episodes):
        rng = np.random.default_rng(seed)
        for policy in (linear_policy(env, random_weights(env, rng)), random_policy(env, rng)):
            theirs = gymnasium_episode(env, seed, policy, n_steps(seed))
            observations, rewards, terminated, terms = played(compiled, sim, seed, theirs.actions)
            assert_same_bits(observations, theirs.observations)
            assert_same_bits(rewards, theirs.rewards)
            if compiled.id in TERMS:
                assert_same_bits(terms, theirs.terms)
            assert terminated.tolist() == theirs.terminated.tolist()
            episodes.append(theirs)
    return episodes


def shows(env, episodes):
    """Return True if an episode differs from the episode in the environment `env`."""
    compiled = compiled_env(env)
    if episodes[0].observations.shape[1] != compiled.n_obs:
        return True
    sim = new_simulation(compiled.model)
    for theirs in episodes:
        observations, rewards, terminated, _ = played(compiled, sim, theirs.seed, theirs.actions)
        pairs = ((observations, theirs.observations), (rewards, theirs.rewards), (terminated, theirs.terminated))
        if not all(np.array_equal(ours, other) for ours, other in pairs):
            return True
    return False


@functools.cache
def unchanged(env_id):
    compiled = compiled_env(env_id)
    return compiled, new_simulation(compiled.model)


def make_variant(env_id, kwargs, folder):
    kwargs = {**kwargs, "xml_file": changed_file(env_id, folder)} if "xml_file" in kwargs else kwargs
    return make(env_id, disable_env_checker=True, **kwargs)


@pytest.fixture(scope="module")
def rollouts_compiled():
    """A function that waits for the rollout kernels: another process compiles them while this one is busy with `play`."""
    if numba.config.DISABLE_JIT or cache_directory() is None:
        yield lambda: None
        return
    program = (
        "import sys, numpy, fastars\n"
        "from fastars.envs import compiled_env, make\n"
        "for env_id in sys.argv[1:]:\n"
        "    env = make(env_id, max_episode_steps=1)\n"
        "    fastars.evaluate_candidates(env, numpy.zeros((1, compiled_env(env).n_act * compiled_env(env).n_obs)), [0])\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program, *(env_id for env_id in IDS if env_id.endswith("v5"))])
    yield process.wait
    process.kill()
    process.wait()


# --- Step by step


@pytest.mark.parametrize("env_id", IDS)
def test_episodes_equal_gymnasiums_step_by_step(env_id, rollouts_compiled):
    """20 episodes of each kind, of which one has all of its 1,000 steps and the others up to 200 (HumanoidStandup: 400 and 40)."""
    long, short = (400, 40) if env_id.startswith("HumanoidStandup") else (1000, 200)
    episodes = assert_episodes_equal(make(env_id, disable_env_checker=True), 20, lambda seed: short if seed else long)
    ends = [bool(episode.terminated[-1]) for episode in episodes]
    endless = env_id.partition("-")[0] in ("HalfCheetah", "HumanoidStandup", "Pusher", "Reacher", "Swimmer")
    assert any(ends) != endless


@pytest.mark.parametrize(("env_id", "kwargs"), variants(), ids=label)
def test_arguments_change_what_they_change_in_gymnasium(env_id, kwargs, tmp_path):
    """The first one named is also seen to change something at all."""
    n_steps = 20 if env_id.startswith("Humanoid") else 60
    episodes = assert_episodes_equal(make_variant(env_id, kwargs, tmp_path), 2, lambda seed: n_steps)
    argument, *others = kwargs
    without = make_variant(env_id, {name: kwargs[name] for name in others}, tmp_path)
    assert shows(without, episodes) != (argument in WITHOUT_EFFECT)


@pytest.mark.slow
@pytest.mark.parametrize(("env_id", "kwargs"), [*((env_id, {}) for env_id in IDS), *variants()], ids=label)
def test_twenty_episodes_of_a_thousand_steps_equal_gymnasiums(env_id, kwargs, tmp_path):
    assert_episodes_equal(make_variant(env_id, kwargs, tmp_path), 20, lambda seed: 1000)


@pytest.mark.parametrize("version", [4, 5])
@pytest.mark.parametrize(
    ("name", "argument", "entries"),
    [
        ("Ant", "healthy_z_range", slice(2, 3)),
        ("Hopper", "healthy_z_range", slice(1, 2)),
        ("Hopper", "healthy_angle_range", slice(2, 3)),
        ("Hopper", "healthy_state_range", slice(2, None)),
        ("Humanoid", "healthy_z_range", slice(2, 3)),
        ("Walker2d", "healthy_z_range", slice(1, 2)),
        ("Walker2d", "healthy_angle_range", slice(2, 3)),
    ],
)
def test_bounds_of_health_are_open_or_closed_as_in_gymnasium(name, version, argument, entries):
    """A bound that is reached exactly: Ant is healthy there, the others are not."""
    env_id, kwargs = f"{name}-v{version}", {"exclude_current_positions_from_observation": False}
    env = make(env_id, disable_env_checker=True, terminate_when_unhealthy=False, **kwargs)
    wide = gymnasium_episode(env, 3, lambda observation: np.zeros(env.action_space.shape, np.float32), 5)
    values = wide.observations[1:, entries]
    for bounds in ((float(values.min()), math.inf), (-math.inf, float(values.max()))):
        env = make(env_id, disable_env_checker=True, **kwargs, **{argument: bounds})
        theirs = gymnasium_episode(env, 3, lambda observation: wide.actions[0], 5)
        compiled = compiled_env(env)
        _, rewards, terminated, _ = played(compiled, new_simulation(compiled.model), 3, theirs.actions)
        assert_same_bits(rewards, theirs.rewards)
        assert terminated.tolist() == theirs.terminated.tolist()
        assert terminated.any() == (name != "Ant")


@pytest.mark.parametrize("env_id", ["InvertedPendulum-v5", "Ant-v5"])
def test_overflow_in_the_last_of_mujocos_steps_is_what_it_is_in_gymnasium(env_id, tmp_path):
    """MuJoCo looks for bad numbers before a step, not after it; with steps of 1e60 s, one is enough."""
    original = ASSETS / inspect.signature(gymnasium_class(env_id).__init__).parameters["xml_file"].default
    path = tmp_path / "endless.xml"
    path.write_text(original.read_text().replace("<worldbody>", '<option timestep="1e60"/><worldbody>'))
    env = make(env_id, disable_env_checker=True, frame_skip=1, xml_file=str(path))
    for episode in assert_episodes_equal(env, 3, lambda seed: 1):
        assert not np.isfinite(episode.observations[1]).all()
        assert episode.terminated.tolist() == [True]


def test_ant_in_a_state_that_is_not_finite_is_unhealthy():
    @numba.njit
    def healthy(env, sim):
        return is_healthy(env, sim)

    env = make("Ant-v5")
    compiled, sim = unchanged("Ant-v5")
    for array, theirs in ((sim.qpos, env.unwrapped.data.qpos), (sim.qvel, env.unwrapped.data.qvel)):
        for value in (math.nan, math.inf):
            played(compiled, sim, 0, np.zeros((0, 8), np.float32))
            env.reset(seed=0)
            assert healthy(compiled.constants, sim)
            assert env.unwrapped.is_healthy
            array[5] = theirs[5] = value
            with np.errstate(invalid="ignore"):
                assert not healthy(compiled.constants, sim)
            assert not env.unwrapped.is_healthy


@pytest.mark.parametrize("env_id", IDS)
def test_initial_states_have_gymnasiums_bits(env_id):
    env = make(env_id, disable_env_checker=True)
    compiled, sim = unchanged(env_id)
    no_actions = np.zeros((0, compiled.n_act), np.float32)
    for seed in (*range(201), 2**32, 2**63 + 5):
        theirs, _ = env.reset(seed=seed)
        observations, *_ = played(compiled, sim, seed, no_actions)
        assert_same_bits(observations[0], theirs)
        assert_same_bits(sim.qpos, env.unwrapped.data.qpos)
        assert_same_bits(sim.qvel, env.unwrapped.data.qvel)


def test_squares_of_the_double_pendulums_reward_are_the_c_librarys():
    """pow(x, 2) is not always x * x: about once in 1,000, and then by one ulp, which a bonus of 10 hides."""

    @numba.njit
    def penalties(env, x, y, v1, v2):
        return distance_penalty(env, x, y), velocity_penalty(env, v1, v2)

    env = make("InvertedDoublePendulum-v5").unwrapped
    compiled, _ = unchanged("InvertedDoublePendulum-v5")
    rng = np.random.default_rng(6)
    for x, y, v1, v2 in rng.normal(size=(20_000, 4)) * 10 ** rng.uniform(-1, 1, (20_000, 4)):
        env.data.qvel[1:3] = v1, v2
        _, theirs = env._get_rew(x, y + 2.0, False)
        assert penalties(compiled.constants, x, y + 2.0, v1, v2) == (-theirs["distance_penalty"], -theirs["velocity_penalty"])


@pytest.mark.parametrize(
    ("env_id", "kwargs"),
    [(env_id, {}) for env_id in IDS]
    + [(i, k) for i, k in variants() if "exclude_current" in label(k) or "include_" in label(k) or "use_contact" in label(k)],
    ids=label,
)
def test_observation_has_as_many_entries_as_its_space(env_id, kwargs):
    compiled = compiled_env(make(env_id, **kwargs))
    observations, *_ = played(compiled, new_simulation(compiled.model), 0, np.zeros((1, compiled.n_act), np.float32))
    assert compiled.n_obs == compiled.observation_space.shape[0]
    assert not np.isnan(observations).any()


# --- Whole episodes


@pytest.mark.parametrize("env_id", IDS)
def test_candidates_returns_equal_gymnasiums(env_id, rollouts_compiled):
    rollouts_compiled()
    env = make(env_id, disable_env_checker=True, max_episode_steps=30)
    weights = np.array([random_weights(env, np.random.default_rng(seed)) for seed in range(10)])
    seeds = np.arange(10) + 500
    ours = evaluate_candidates(env, weights, seeds, n_threads=N_THREADS)
    for i, seed in enumerate(seeds):
        theirs = gymnasium_episode(env, seed, linear_policy(env, weights[i]), 30)
        assert ours.returns[i] == sum(theirs.rewards.tolist())
        assert ours.lengths[i] == len(theirs.rewards)
        assert ours.status[i] == (TERMINATED if theirs.terminated[-1] else TRUNCATED)


@pytest.mark.parametrize("env_id", IDS)
def test_training_episodes_can_be_replayed_in_gymnasium(env_id, monkeypatch, rollouts_compiled):
    """Those of the second iteration, whose observations are normalised."""
    rollouts_compiled()
    env = make(env_id, disable_env_checker=True, max_episode_steps=20)
    model = ARS(
        "LinearPolicy",
        env,
        n_delta=2,
        delta_std=0.1,
        variant="V2",
        seed=9,
        noise_size=1 << 16,
        n_threads=N_THREADS,
        stats_window_size=1,
    )
    model.learn(1)
    evaluate, calls = model.sampler.evaluate, []

    def watched(weights, filter, seeds, *args):
        rollouts = evaluate(weights, filter, seeds, *args)
        calls.append((weights.copy(), filter, seeds, rollouts))
        return rollouts

    before = model.state
    monkeypatch.setattr(model.sampler, "evaluate", watched)
    model.learn(1, reset_num_timesteps=False)
    [(weights, filter, seeds, rollouts)] = calls
    assert filter.mean.any()
    for i, seed in enumerate(seeds):
        model.state = before._replace(theta=weights[i, : model.n_weights])
        returns, lengths = evaluate_policy(model, env, 1, seed=int(seed), return_episode_rewards=True)
        assert (returns, lengths) == ([rollouts.returns[i]], [rollouts.lengths[i]])
    assert model.record["rollout/ep_rew_mean"] == pytest.approx(rollouts.returns.mean())


# --- Sums in NumPy's order


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_square_sum_is_numpys(dtype):
    rng = np.random.default_rng(3)
    for n in (*range(1, 300), 511, 512, 513, 1000, 1023, 1030, 4097, 20_001):
        values = (rng.normal(size=n) * 10 ** rng.uniform(-3, 3, n)).astype(dtype)
        ours, theirs = square_sum(values), np.sum(np.square(values))
        assert (ours, theirs.dtype) == (theirs, dtype)
    matrix = rng.normal(size=(37, 6)).astype(dtype)  # such as cfrc_ext
    assert square_sum(matrix.ravel()) == np.sum(np.square(matrix)) == np.square(matrix).sum()


def test_norm_is_numpys():
    vectors = np.random.default_rng(4).normal(size=(50_000, 3))

    @numba.njit
    def norms(vectors, is_fused):
        return np.array([norm(x, y, z, is_fused) for x, y, z in vectors])

    @numba.njit
    def plane_norms(vectors, is_fused):
        return np.array([norm(x, y, 0.0, is_fused) for x, y, _ in vectors])

    fused = blas_is_fused()
    assert norms(vectors, fused).tolist() == [np.linalg.norm(vector) for vector in vectors]
    assert plane_norms(vectors, fused).tolist() == [np.linalg.norm(vector[:2]) for vector in vectors]
    assert not np.array_equal(norms(vectors, fused), norms(vectors, not fused))


# --- What is refused


def test_unknown_argument_is_refused_by_name():
    env = make("HalfCheetah-v5")
    env.spec.kwargs["mass"] = 2.0
    with pytest.raises(UnsupportedEnvError, match=r"mass=2\.0 is not compiled \(compiled: forward_reward_weight, .*, frame_skip\)"):
        compiled_env(env)


def test_argument_of_another_version_is_refused_by_name():
    env = make("Ant-v4")
    env.spec.kwargs["main_body"] = 1
    with pytest.raises(UnsupportedEnvError, match=r"'Ant-v4': the keyword argument main_body=1 is not compiled"):
        compiled_env(env)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"ctrl_cost_weight": np.float64(0.1)}, r"ctrl_cost_weight must be of plain Python numbers, got np\.float64\(0\.1\)"),
        ({"ctrl_cost_weight": np.float32(0.1)}, r"ctrl_cost_weight must be of plain Python numbers, got np\.float32"),
        ({"healthy_z_range": (np.float64(0.7), 1.0)}, r"healthy_z_range must be of plain Python numbers"),
        ({"healthy_reward": math.nan}, "healthy_reward must be a number, got nan"),
        ({"healthy_z_range": (0.7, math.nan)}, r"healthy_z_range must be two numbers, got \(0\.7, nan\)"),
        ({"healthy_z_range": (0.7, 1.0, 2.0)}, r"healthy_z_range must be two numbers, got \(0\.7, 1\.0, 2\.0\)"),
        ({"healthy_z_range": 0.7}, r"healthy_z_range must be two numbers, got 0\.7"),
        ({"reset_noise_scale": None}, "reset_noise_scale must be a number, got None"),
        ({"reset_noise_scale": "0.1"}, "reset_noise_scale must be a number, got '0.1'"),
        ({"reset_noise_scale": (0.1,)}, "reset_noise_scale must be a number"),
        ({"terminate_when_unhealthy": 2}, "terminate_when_unhealthy must be True or False, got 2"),
    ],
)
def test_arguments_that_gymnasium_computes_otherwise_with_are_refused(kwargs, message):
    with pytest.raises(UnsupportedEnvError, match=message):
        compiled_env(make("Hopper-v5", **kwargs))


@pytest.mark.parametrize(
    ("env_id", "kwargs"),
    [
        ("Humanoid-v5", {"include_cvel_in_observation": 1}),  # Gymnasium: `is True`
        ("Ant-v4", {"use_contact_forces": True, "xml_file": "changed.xml"}),
        ("Reacher-v5", {"xml_file": "longer.xml"}),
    ],
    ids=label,
)
def test_observations_that_do_not_fit_their_space_are_refused(env_id, kwargs, tmp_path):
    if kwargs.get("xml_file") == "longer.xml":
        text = (ASSETS / "reacher.xml").read_text()
        path = tmp_path / "longer.xml"
        path.write_text(text.replace("<worldbody>", '<worldbody><body><freejoint/><geom size=".1" pos="0 9 0"/></body>'))
        env = make(env_id, xml_file=str(path))
    else:
        env = make_variant(env_id, kwargs, tmp_path)
    with pytest.raises(UnsupportedEnvError, match=r"its observations have shape \(\d+,\), its observation_space says \(\d+,\)"):
        compiled_env(env)


def test_changed_model_is_refused():
    env = make("Hopper-v5")
    env.unwrapped.model.opt.gravity[2] = -5
    with pytest.raises(
        UnsupportedEnvError, match=r"its MuJoCo model is not that of .*hopper\.xml; write the change into an xml_file"
    ):
        compiled_env(env)


@pytest.mark.parametrize("name", ["init_qpos", "init_qvel"])
@pytest.mark.parametrize("env_id", ["Hopper-v5", "Pusher-v5"])
def test_changed_first_positions_are_refused(env_id, name):
    env = make(env_id)
    getattr(env.unwrapped, name)[1] += 0.1
    with pytest.raises(UnsupportedEnvError, match=f"its attribute {name} is "):
        compiled_env(env)


@pytest.mark.parametrize(
    ("name", "value"),
    [("_ctrl_cost_weight", 0.2), ("frame_skip", 2), ("_healthy_z_range", (0.0, 1.0)), ("_terminate_when_unhealthy", 0)],
)
def test_changed_attribute_is_refused_by_name(name, value):
    env = make("Hopper-v5")
    setattr(env.unwrapped, name, value)
    with pytest.raises(UnsupportedEnvError, match=f"its attribute {name} is "):
        compiled_env(env)


def test_wrapper_is_refused_by_name():
    env = gymnasium.wrappers.TransformReward(make("Hopper-v5"), lambda reward: 2 * reward)
    with pytest.raises(UnsupportedEnvError, match="wrapper TransformReward"):
        compiled_env(env)


@pytest.mark.parametrize("env_id", IDS)
def test_environment_in_use_is_accepted(env_id):
    env = make(env_id)
    env.reset(seed=0)
    env.step(env.action_space.sample())
    assert compiled_env(env).constants.physics.init_qpos.tolist() == env.unwrapped.model.qpos0.tolist()


def test_file_that_is_not_there_is_named(tmp_path):
    path = tmp_path / "nowhere.xml"
    with pytest.raises(OSError, match=rf"File {path} does not exist"):
        make("Ant-v5", xml_file=str(path))


def test_file_that_does_not_compile_is_named_with_mujocos_text(tmp_path):
    path = tmp_path / "weightless.xml"
    path.write_text("<mujoco><worldbody><body><joint/></body></worldbody></mujoco>")
    with pytest.raises(ValueError, match=rf"xml_file {path}: .*mass and inertia of moving bodies must be larger"):
        make("Ant-v5", xml_file=str(path))
