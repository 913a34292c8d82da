"""Vector environments of stable-baselines3 that are not what their ids say are stepped as they are.

Broken on purpose: `changed_method` finds nothing -> classes and methods of one's own red; `are_alike` says yes -> the mixtures red;
`Unlike` says no, or always yes -> the environments of other processes, or the unchanged one among them, red; all specifications
taken for alike -> test_specifications red; every `Monitor` is taken off -> the monitors red.
"""

import gymnasium
import pytest
from test_given import attribute, changed, doubled, on, plain_rewards, rollouts, timestep

pytest.importorskip("stable_baselines3", reason="stable-baselines3 is not installed: pip install '.[compat]'")
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecMonitor, VecNormalize

from fastars import ARS
from fastars.sb3.alike import Unlike, are_of_one_kind


def plain():
    return gymnasium.make("Pendulum-v1")


class Doubling(Monitor):
    def step(self, action):
        return doubled(super().step)(action)


class Stepping(DummyVecEnv):
    def step_wait(self):
        return super().step_wait()


class Clipping(VecNormalize):
    def normalize_obs(self, obs):
        return super().normalize_obs(obs).clip(-1, 1)


def patched(vec_env):
    vec_env.step_wait = doubled(vec_env.step_wait)
    return vec_env


heavy, lighter = changed("Pendulum-v1", attribute("m", 2.0)), changed("Pendulum-v1", attribute("g", 3.0))


@pytest.mark.parametrize(
    "make",
    [
        lambda: DummyVecEnv([plain] * 2),
        lambda: VecNormalize(VecMonitor(DummyVecEnv([plain] * 2))),
        lambda: make_vec_env("Pendulum-v1", 2),
        lambda: make_vec_env("Pendulum-v1", 2, vec_env_cls=SubprocVecEnv),
    ],
)
def test_vector_environments_of_unchanged_environments_run_compiled(make):
    vec_env = make()
    assert ARS("LinearPolicy", vec_env, seed=0).is_compiled
    vec_env.close()


@pytest.mark.promise(24)
@pytest.mark.parametrize(
    "make",
    [
        lambda: Stepping([plain]),
        lambda: patched(DummyVecEnv([plain])),
        lambda: Clipping(DummyVecEnv([plain])),
        lambda: patched(VecMonitor(DummyVecEnv([plain]))),
        lambda: DummyVecEnv([plain, on("doubled", 0)]),
        lambda: DummyVecEnv([plain, lighter]),
        lambda: DummyVecEnv([plain, lambda: gymnasium.make("Pendulum-v1", g=3.0)]),
        lambda: DummyVecEnv([plain, lambda: gymnasium.make("Pendulum-v1", max_episode_steps=9)]),
        lambda: DummyVecEnv([plain, lambda: Doubling(plain())]),
        lambda: DummyVecEnv([lambda: gymnasium.make("Hopper-v5"), changed("Hopper-v5", timestep)]),
        lambda: SubprocVecEnv([plain, on("unnamed", 0)]),
    ],
)
def test_vector_environments_of_other_environments_are_stepped_as_they_are(make, tally):
    vec_env = make()
    model = ARS("LinearPolicy", vec_env, n_delta=1, seed=0)
    assert not model.is_compiled
    assert model.run.env.env.vec_env is vec_env
    vec_env.close()
    tally("vector environments of stable-baselines3 that were stepped as they are", 1, of=1)


def test_specifications_of_other_processes_are_compared():
    g = [gymnasium.make("Pendulum-v1", g=g).spec for g in (9.0, 9.0, 3.0)]
    assert are_of_one_kind(g[:2])
    assert not are_of_one_kind(g)
    assert not are_of_one_kind([g[0], gymnasium.make("Pendulum-v1", g=9.0, max_episode_steps=7).spec])
    assert not are_of_one_kind([g[0], gymnasium.wrappers.ClipAction(gymnasium.make("Pendulum-v1", g=9.0)).spec])


@pytest.mark.promise(24)
@pytest.mark.parametrize("make", [on("unnamed", 0), on("doubled", 3), heavy, lambda: Doubling(plain())])
def test_an_environment_in_another_process_is_asked_if_it_was_changed(make):
    assert isinstance(make(), Unlike)
    assert isinstance(Monitor(make()), Unlike)
    for unchanged in (plain(), Monitor(plain()), gymnasium.wrappers.ClipAction(plain()), gymnasium.make("FrozenLake-v1")):
        assert not isinstance(unchanged, Unlike)


@pytest.mark.parametrize("make", [on("doubled", 0), lambda: Doubling(plain()), lambda: patched_monitor(Monitor(plain())), lighter])
def test_a_changed_environment_in_a_dummy_vec_env_is_stepped_as_it_is(make, recwarn):
    model = ARS("LinearPolicy", DummyVecEnv([make]), seed=0)
    assert not model.is_compiled
    assert rollouts(model.run.env.env) == plain_rewards(make())


def patched_monitor(monitor):
    monitor.step = doubled(monitor.step)
    return monitor


def test_a_patched_monitor_is_not_taken_off(monkeypatch, recwarn):
    monkeypatch.setattr(Monitor, "step", doubled(Monitor.step))
    assert rollouts(ARS("LinearPolicy", Monitor(plain()), seed=0).run.env.env) == plain_rewards(Monitor(plain()))
