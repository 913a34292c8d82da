"""Scripts written for stable-baselines3-contrib, run with theirs and with fastars: the import of ARS is all that changes."""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import gymnasium
import numpy as np
import pytest

sb3_contrib = pytest.importorskip("sb3_contrib", reason="stable-baselines3-contrib is not installed: pip install '.[compat]'")

from stable_baselines3.common.callbacks import (  # noqa: E402
    BaseCallback,
    CallbackList,
    CheckpointCallback,
    EvalCallback,
    StopTrainingOnMaxEpisodes,
    StopTrainingOnRewardThreshold,
)
from stable_baselines3.common.env_util import make_vec_env  # noqa: E402
from stable_baselines3.common.evaluation import evaluate_policy  # noqa: E402
from stable_baselines3.common.logger import configure  # noqa: E402
from stable_baselines3.common.monitor import Monitor, load_results  # noqa: E402
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecMonitor, VecNormalize  # noqa: E402

import fastars  # noqa: E402
from fastars import ARS  # noqa: E402

both = pytest.mark.parametrize("algorithm", [sb3_contrib.ARS, ARS], ids=["sb3", "fastars"])


def small(env="CartPole-v1", **settings):
    return ARS("LinearPolicy", env, **{"n_delta": 2, "seed": 0, "n_threads": 1, "noise_size": 1 << 16, **settings})


SCRIPT = """
import json, sys
import gymnasium as gym
from MODULE import ARS
from stable_baselines3.common.callbacks import BaseCallback, CallbackList, CheckpointCallback, EvalCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.logger import configure
from stable_baselines3.common.monitor import Monitor

class Watcher(BaseCallback):
    def __init__(self):
        super().__init__()
        self.seen = []
    def _on_training_start(self):
        self.seen.append("start")
    def _on_rollout_start(self):
        self.seen.append("rollout")
    def _on_step(self):
        self.seen.append("step")
        self.logger.record("own/steps", self.num_timesteps)
        return True
    def _on_rollout_end(self):
        self.seen.append("rollout end")
    def _on_training_end(self):
        self.seen.append("end")

folder = sys.argv[1]
env = Monitor(gym.make("CartPole-v1"), folder + "/train")
watcher = Watcher()
evaluations = EvalCallback(Monitor(gym.make("CartPole-v1")), n_eval_episodes=2, eval_freq=150, log_path=folder,
                           best_model_save_path=folder + "/best", verbose=0)
checkpoints = CheckpointCallback(save_freq=200, save_path=folder + "/checkpoints", name_prefix="ars")
settings = dict(policy_kwargs=dict(with_bias=True), stats_window_size=50, seed=1, verbose=0, device="cpu")
model = ARS("LinearPolicy", env, n_delta=4, n_top=2, learning_rate=lambda remaining: 0.05 * remaining, delta_std=0.1,
            zero_policy=False, n_eval_episodes=1, **settings)
model.set_logger(configure(folder, ["csv", "json", "tensorboard"]))
result = model.learn(600, callback=[watcher, evaluations, checkpoints], log_interval=1, progress_bar=False)
assert result is model
mean, std = evaluate_policy(model, Monitor(gym.make("CartPole-v1")), n_eval_episodes=3)
model.save(folder + "/model")
parameters = model.get_parameters()
again = ARS.load(folder + "/model.zip", env=make_vec_env("CartPole-v1", n_envs=2))
again.set_parameters(parameters)
observations = again.get_env().reset()
actions, states = again.predict(observations, deterministic=True)
again.learn(50, reset_num_timesteps=False)
steps = [i for i, event in enumerate(watcher.seen) if event == "step"]
print(json.dumps({
    "torch": "torch" in sys.modules,
    "order": [event for i, event in enumerate(watcher.seen) if i == 0 or event != watcher.seen[i - 1]][:4] + watcher.seen[-2:],
    "names": {name: list(value.shape) for name, value in parameters["policy"].items()},
    "actions": [list(actions.shape), str(actions.dtype)],
    "states": states,
    "evaluated": [type(mean).__name__, type(std).__name__],
    "enough steps": model.num_timesteps >= 600,
    "n_envs": again.n_envs,
    "goes on": again.num_timesteps > model.num_timesteps,
    "attributes": [model.n_delta, model.n_top, model.pop_size, model.zero_policy, str(model.device), model.seed, model.verbose],
    "checkpoints": len(__import__("os").listdir(folder + "/checkpoints")) >= 2,
    "calls": watcher.n_calls == model.num_timesteps,
}))
"""


@pytest.fixture(scope="module")
def scripts(tmp_path_factory):
    """The output and the files of the script, with theirs and with ours."""
    found = {}
    for module in ("sb3_contrib", "fastars"):
        folder = tmp_path_factory.mktemp(module)
        (folder / "script.py").write_text(SCRIPT.replace("MODULE", module))
        environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
        run = subprocess.run(
            [sys.executable, folder / "script.py", folder],
            capture_output=True,
            text=True,
            env=environment,
            timeout=250,
            check=False,
        )
        assert run.returncode == 0, run.stderr
        found[module] = json.loads(run.stdout.splitlines()[-1]), folder
    return found


def test_one_script_prints_the_same_with_both(scripts):
    theirs, ours = scripts["sb3_contrib"][0], scripts["fastars"][0]
    assert ours == theirs


def test_one_script_writes_the_same_files_with_both(scripts):
    def files(folder):
        return {
            path.relative_to(folder).as_posix()
            for path in folder.rglob("*")
            if path.is_file() and "tfevents" not in path.name and "checkpoints" not in path.parts
        }

    assert files(scripts["fastars"][1]) == files(scripts["sb3_contrib"][1])


def test_one_script_logs_at_least_the_keys_of_theirs(scripts):
    headers = {name: (folder / "progress.csv").read_text().splitlines()[0].split(",") for name, (_, folder) in scripts.items()}
    assert set(headers["sb3_contrib"]) - set(headers["fastars"]) == set()
    assert "own/steps" in headers["fastars"]


def test_their_reader_reads_the_episodes_of_one_script(scripts):
    ours = load_results(scripts["fastars"][1])
    assert list(ours.columns) == list(load_results(scripts["sb3_contrib"][1]).columns)
    assert ours["l"].sum() >= 600
    assert (ours["r"] == ours["l"]).all()


def test_evaluations_of_one_script_have_the_same_arrays(scripts):
    theirs, ours = (np.load(scripts[name][1] / "evaluations.npz") for name in ("sb3_contrib", "fastars"))
    assert set(ours.files) == set(theirs.files)
    assert ours["results"].shape[1] == theirs["results"].shape[1] == 2


def test_fastars_alone_does_not_import_torch():
    program = """
    import sys
    from fastars import ARS
    from fastars.callbacks import EvalCallback
    model = ARS("LinearPolicy", "CartPole-v1", n_delta=1, seed=0, noise_size=65536)
    model.learn(50, callback=EvalCallback("CartPole-v1", eval_freq=20))
    model.get_env().reset()
    assert not {"torch", "stable_baselines3", "sb3_contrib"} & set(sys.modules)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=True, timeout=250)


def test_their_evaluation_of_our_model_is_ours():
    model = small().learn(2000)
    env = Monitor(gymnasium.make("CartPole-v1"))
    env.reset(seed=3)
    returns, lengths = evaluate_policy(model, env, n_eval_episodes=2, return_episode_rewards=True)
    assert returns == lengths
    vec_env = make_vec_env("CartPole-v1", n_envs=1, seed=11)
    first = evaluate_policy(model, vec_env, n_eval_episodes=1, return_episode_rewards=True)[0]
    assert first == model.evaluate(1, seed=11).returns.tolist()


def test_our_evaluation_takes_their_model():
    theirs = sb3_contrib.ARS("LinearPolicy", "CartPole-v1", seed=0)
    mean, std = fastars.evaluate_policy(theirs, "CartPole-v1", n_eval_episodes=3, seed=0)
    assert 8.0 <= mean <= 11.0
    assert std >= 0.0


def test_environments_inside_of_theirs_run_compiled():
    for env in (
        make_vec_env("CartPole-v1", n_envs=2),
        VecMonitor(DummyVecEnv([lambda: gymnasium.make("CartPole-v1")])),
        Monitor(gymnasium.make("CartPole-v1")),
    ):
        assert small(env=env).is_compiled
    assert small(env=make_vec_env("CartPole-v1", n_envs=2)).n_envs == 2


def test_rollouts_do_not_depend_on_how_the_environment_is_given():
    plain = small().learn(300)
    for env in (make_vec_env("CartPole-v1", n_envs=2), Monitor(gymnasium.make("CartPole-v1"))):
        assert np.array_equal(small(env=env).learn(300).theta, plain.theta)


def test_environments_in_other_processes_are_made_here():
    env = make_vec_env("CartPole-v1", n_envs=2, vec_env_cls=SubprocVecEnv, env_kwargs={"max_episode_steps": 9})
    try:
        model = small(env=env)
        assert model.is_compiled
        assert model.n_workers == 2
        model.learn(1)
        assert model.num_timesteps <= 4 * 9
        assert model.get_env() is env
    finally:
        env.close()


def test_vec_normalize_keeps_the_statistics_of_the_run():
    env = VecNormalize(make_vec_env("CartPole-v1"), norm_reward=False)
    model = small(env=env).learn(400)
    count, mean, m2 = model.state.moments
    assert model.config.normalize_observations
    assert count >= 400
    assert np.array_equal(env.obs_rms.mean, mean)
    assert np.allclose(env.obs_rms.var, m2 / count, rtol=1e-15)
    assert model.get_vec_normalize_env() is env
    observations = np.array([[0.1, -0.2, 0.03, 0.4], [1.0, 0.5, -0.1, -1.0]])
    unaware = ARS("LinearPolicy", "CartPole-v1", seed=0, normalize_observations=True, **env_settings(env))
    unaware.state = model.state
    theirs = model.predict(env.normalize_obs(observations))[0]
    assert np.array_equal(theirs, unaware.predict(observations)[0])


def env_settings(env):
    return {"filter_ddof": 0, "filter_var_epsilon": env.epsilon, "filter_min_std": 0.0, "clip_observations": env.clip_obs}


def test_vec_normalize_filters_as_theirs_does():
    env = VecNormalize(make_vec_env("Pendulum-v1"), norm_reward=False, clip_obs=1.25)
    model = small(env=env).learn(400)
    observations = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32) * [1, 1, 8]
    ours = np.clip((observations - model.policy.filter.mean) * model.policy.filter.scale, -1.25, 1.25)
    assert np.allclose(ours, env.normalize_obs(observations), rtol=1e-6, atol=1e-7)
    assert np.abs(ours).max() == 1.25


def test_statistics_that_do_not_learn_stay_as_they_are():
    env = VecNormalize(make_vec_env("CartPole-v1"), norm_reward=False)
    model = small(env=env).learn(200)
    env.training = False
    before, theta = (env.obs_rms.count, env.obs_rms.mean.copy()), model.theta.copy()
    model.learn(200, reset_num_timesteps=False)
    assert env.obs_rms.count == before[0]
    assert np.array_equal(env.obs_rms.mean, before[1])
    assert not np.array_equal(model.theta, theta)  # which learns
    env.training = True
    model.learn(200, reset_num_timesteps=False)
    assert env.obs_rms.count > before[0]


def test_a_new_vec_normalize_takes_over_the_statistics_of_the_run():
    model = small(env=VecNormalize(make_vec_env("CartPole-v1"), norm_reward=False)).learn(400)
    before = model.get_vec_normalize_env().obs_rms
    new = VecNormalize(make_vec_env("CartPole-v1"), norm_reward=False)
    model.set_env(new)
    assert new.obs_rms.count == before.count
    assert np.array_equal(new.obs_rms.mean, before.mean)
    assert np.array_equal(new.obs_rms.var, before.var)


def test_statistics_of_another_wrapper_are_gone_on_with(tmp_path):
    model = small(env=VecNormalize(make_vec_env("CartPole-v1"), norm_reward=False)).learn(200)
    model.save(tmp_path / "model.zip")
    other = VecNormalize(make_vec_env("CartPole-v1"), norm_reward=False, training=False)
    other.obs_rms.mean += 5.0
    other.obs_rms.count = 1000.0
    model.set_env(other)
    for each in (model, ARS.load(tmp_path / "model.zip", env=other)):
        each.learn(200, reset_num_timesteps=False)
        assert other.obs_rms.mean.tolist() == [5.0] * 4
        assert each.policy.filter.mean.tolist() == [5.0] * 4


def test_vec_normalize_and_a_setting_that_contradicts_it():
    with pytest.raises(ValueError, match="norm_obs=True, which contradicts normalize_observations=False"):
        small(env=VecNormalize(make_vec_env("CartPole-v1")), normalize_observations=False)


def test_vec_normalize_of_dict_observations_says_what_to_do_instead():
    class Parts(gymnasium.ObservationWrapper):
        def __init__(self, env):
            super().__init__(env)
            self.observation_space = gymnasium.spaces.Dict({"cart": env.observation_space})

        def observation(self, observation):
            return {"cart": observation}

    env = DummyVecEnv([lambda: Parts(gymnasium.make("CartPole-v1"))])
    with pytest.raises(fastars.UnsupportedEnvError, match="leave the wrapper out and give normalize_observations=True"):
        small(env=VecNormalize(env, norm_reward=False))
    model = small(env=env, normalize_observations=True).learn(50)
    assert model.state.moments[0] == model.num_timesteps


def test_statistics_that_were_there_are_gone_on_with(tmp_path):
    first = VecNormalize(make_vec_env("CartPole-v1"), norm_reward=False)
    model = small(env=first).learn(400)
    model.save(tmp_path / "model.zip")
    first.save(tmp_path / "normalizer.pkl")
    again = VecNormalize.load(tmp_path / "normalizer.pkl", make_vec_env("CartPole-v1"))
    again.training = False
    loaded = ARS.load(tmp_path / "model.zip", env=again)
    observations = again.normalize_obs(np.ones((2, 4)))
    assert np.array_equal(loaded.predict(observations)[0], model.predict(observations)[0])
    fresh = small(env=VecNormalize.load(tmp_path / "normalizer.pkl", make_vec_env("CartPole-v1")))
    assert fresh.state.moments[0] == model.state.moments[0]
    assert np.allclose(fresh.state.moments[2], model.state.moments[2], rtol=1e-14)


def test_resume_with_their_vec_normalize_is_bit_for_bit(tmp_path):
    whole = small(env=VecNormalize(make_vec_env("CartPole-v1"), norm_reward=False)).learn(300)
    whole.save(tmp_path / "model.zip")
    again = ARS.load(tmp_path / "model.zip", env=VecNormalize(make_vec_env("CartPole-v1"), norm_reward=False))
    for model in (whole, again):
        model.learn(300, reset_num_timesteps=False)
    assert np.array_equal(whole.theta, again.theta)
    assert np.array_equal(whole.get_vec_normalize_env().obs_rms.mean, again.get_vec_normalize_env().obs_rms.mean)


@both
def test_parameters_that_do_not_fit_raise_the_same(algorithm):
    model = algorithm("LinearPolicy", "CartPole-v1", n_delta=2, seed=0)
    right = model.get_parameters()
    with pytest.raises(ValueError, match="invalid object name"):
        model.set_parameters({"critic": {}})
    with pytest.raises(ValueError, match="Names of parameters do not match"):
        model.set_parameters({})
    with pytest.raises(RuntimeError):
        model.set_parameters({"policy": {}})
    with pytest.raises(RuntimeError):
        model.set_parameters({"policy": {name: value[:1] for name, value in right["policy"].items()}})
    model.set_parameters({"policy": {}}, exact_match=False)
    model.set_parameters(right)


def test_parameters_go_from_theirs_to_ours_and_back():
    theirs = sb3_contrib.ARS("MlpPolicy", "Pendulum-v1", seed=0, zero_policy=False, policy_kwargs={"net_arch": [5]})
    ours = ARS("MlpPolicy", "Pendulum-v1", seed=0, policy_kwargs={"net_arch": [5]})
    ours.set_parameters(theirs.get_parameters())
    observations = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
    assert np.allclose(ours.predict(observations)[0], theirs.predict(observations)[0], atol=1e-5)
    back = sb3_contrib.ARS("MlpPolicy", "Pendulum-v1", seed=1, policy_kwargs={"net_arch": [5]})
    torch = sys.modules["torch"]
    back.set_parameters({"policy": {name: torch.as_tensor(value) for name, value in ours.get_parameters()["policy"].items()}})
    assert np.array_equal(back.predict(observations)[0], theirs.predict(observations)[0])


def test_their_file_is_loaded_and_gone_on_with(tmp_path):
    settings = {"n_delta": 3, "n_top": 2, "learning_rate": 0.07, "delta_std": 0.2, "zero_policy": False, "seed": 5}
    theirs = sb3_contrib.ARS("LinearPolicy", "CartPole-v1", policy_kwargs={"with_bias": True}, **settings)
    theirs.learn(200)
    theirs.save(tmp_path / "theirs")
    ours = ARS.load(tmp_path / "theirs", env="CartPole-v1")
    observations = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    assert np.array_equal(ours.predict(observations)[0], theirs.predict(observations)[0])
    assert (ours.n_delta, ours.n_top, ours.learning_rate, ours.delta_std, ours.num_timesteps) == (
        3,
        2,
        0.07,
        0.2,
        theirs.num_timesteps,
    )
    ours.learn(100, reset_num_timesteps=False)
    other = small(policy_kwargs={"with_bias": True})
    other.set_parameters(str(tmp_path / "theirs.zip"))
    assert np.array_equal(other.theta, theirs.weights.numpy())
    with pytest.raises(RuntimeError, match="it has 10 weights, the policy has 8"):
        small().set_parameters(tmp_path / "theirs.zip")


@both
def test_too_many_top_directions_are_a_warning(algorithm):
    with pytest.warns(UserWarning, match="n_top"):
        model = algorithm("LinearPolicy", "CartPole-v1", n_delta=2, n_top=3)
    assert model.n_top == 2


@both
def test_classes_of_policies_are_taken(algorithm):
    from sb3_contrib.ars.policies import ARSPolicy, LinearPolicy
    from torch import nn

    assert len(algorithm(LinearPolicy, "CartPole-v1").get_parameters()["policy"]) == 1
    model = algorithm(ARSPolicy, "CartPole-v1", policy_kwargs={"net_arch": [3], "activation_fn": nn.Tanh, "with_bias": False})
    assert [list(value.shape) for value in model.get_parameters()["policy"].values()] == [[3, 4], [2, 3]]


def test_a_callback_that_returns_false_stops():
    class Stop(BaseCallback):
        def _on_step(self):
            return self.num_timesteps < 100

    model = small()
    model.learn(100_000, callback=Stop())
    assert 100 <= model.num_timesteps < 400


def test_reward_threshold_stops_and_the_best_model_is_kept(tmp_path):
    env = Monitor(gymnasium.make("CartPole-v1"))
    stop = StopTrainingOnRewardThreshold(reward_threshold=400, verbose=0)
    evaluation = EvalCallback(env, callback_on_new_best=stop, eval_freq=2000, best_model_save_path=tmp_path, verbose=0)
    model = ARS("LinearPolicy", "CartPole-v1", seed=0).learn(1_000_000, callback=evaluation)
    assert model.num_timesteps < 500_000
    best = ARS.load(tmp_path / "best_model.zip")
    assert best.evaluate(20).returns.mean() > 300


def test_max_episodes_stop():
    model = small().learn(100_000, callback=StopTrainingOnMaxEpisodes(max_episodes=10, verbose=0))
    assert model.num_episodes == 12  # at the end of the third iteration of 4


def test_checkpoints_are_by_steps(tmp_path):
    model = small(max_episode_steps=50)  # iterations of at most 200 steps
    model.learn(1000, callback=CallbackList([CheckpointCallback(save_freq=250, save_path=tmp_path)]))
    assert len(list(tmp_path.glob("rl_model_*_steps.zip"))) == model.num_timesteps // 250 == 4


def test_their_logger_gets_every_row(tmp_path):
    model, logger = small(), configure(str(tmp_path), ["csv"])
    model.set_logger(logger)
    model.learn(300)
    logger.close()
    rows = (tmp_path / "progress.csv").read_text().splitlines()
    assert len(rows) == model.iteration + 1
    assert "None" not in "".join(rows)


def test_get_env_is_one_of_theirs_where_theirs_are_imported():
    model = small()
    env = model.get_env()
    assert isinstance(env, DummyVecEnv)
    mean, _ = evaluate_policy(model, env, n_eval_episodes=2)
    assert mean > 5


def test_async_eval_of_theirs_is_accepted():
    from sb3_contrib.common.vec_env import AsyncEval

    theirs = sb3_contrib.ARS("LinearPolicy", "CartPole-v1", n_delta=2)
    workers = AsyncEval([lambda: DummyVecEnv([lambda: gymnasium.make("CartPole-v1")]) for _ in range(2)], theirs.policy)
    model = small().learn(200, async_eval=workers)
    assert np.array_equal(model.theta, small().learn(200).theta)
    assert workers.closed
    assert not any(process.is_alive() for process in workers.processes)


def test_monitors_of_several_environments_share_the_episodes(tmp_path):
    env = make_vec_env("CartPole-v1", n_envs=2, monitor_dir=str(tmp_path))
    model = small(env=env).learn(300)
    env.close()
    assert len(load_results(str(tmp_path))) == model.num_episodes
    assert sorted(path.name for path in Path(tmp_path).iterdir()) == ["0.monitor.csv", "1.monitor.csv"]


@both
def test_a_vec_monitor_has_all_episodes_and_each_monitor_those_of_its_environment(algorithm, tmp_path):
    env = make_vec_env("CartPole-v1", n_envs=3, monitor_dir=str(tmp_path / "each"))
    with pytest.warns(UserWarning, match="already wrapped with a `Monitor`"):
        env = VecMonitor(env, str(tmp_path / "all"))
    algorithm("LinearPolicy", env, n_delta=3, seed=0).learn(100)
    env.close()
    everything, each = load_results(str(tmp_path)), load_results(str(tmp_path / "each"))  # "all.monitor.csv" and "each/*.csv"
    assert sorted(everything["r"]) == sorted(each["r"])
    sizes = [len(path.read_text().splitlines()) - 2 for path in (tmp_path / "each").iterdir()]
    assert sum(sizes) == len(everything)
    assert min(sizes) > 0


def test_monitors_inside_of_each_other_have_the_same_episodes(tmp_path):
    def watched_twice():
        inner = Monitor(gymnasium.make("CartPole-v1"), str(tmp_path / "inner"))
        return Monitor(inner, str(tmp_path / "outer"))

    model = small(env=DummyVecEnv([lambda: Monitor(gymnasium.make("CartPole-v1")), watched_twice])).learn(100)
    model.get_env().close()
    files = [(tmp_path / f"{name}.monitor.csv").read_text().splitlines()[2:] for name in ("inner", "outer")]
    inner, outer = ([row.split(",")[:2] for row in rows] for rows in files)
    assert inner == outer
    assert len(outer) == model.num_episodes // 2  # the first environment keeps no file


OF_MODEL = (
    "_current_progress_remaining _custom_logger _logger _n_updates _num_timesteps_at_start "
    "_total_timesteps _vec_normalize_env alive_bonus_offset delta_std_schedule device ep_info_buffer learning_rate "
    "lr_schedule n_delta n_envs n_params n_top num_timesteps policy policy_class policy_kwargs pop_size seed start_time "
    "tensorboard_log use_sde verbose weights zero_policy"
)
OF_POLICY = "action_space device load_from_vector observation_space parameters_to_vector predict set_training_mode squash_output"


@both
def test_names_that_callbacks_and_rl_zoo_read_are_there(algorithm):
    model = algorithm("LinearPolicy", "CartPole-v1", n_delta=2, seed=0).learn(50)
    assert [name for name in OF_MODEL.split() if not hasattr(model, name)] == []
    assert [name for name in OF_POLICY.split() if not hasattr(model.policy, name)] == []
    assert (model._total_timesteps, model._num_timesteps_at_start, model.n_params, model.policy.squash_output) == (50, 0, 8, False)
    assert (model.lr_schedule(0.5), model.delta_std_schedule(0.5)) == (0.02, 0.05)
    assert type(model.start_time) is int
    assert len(model.weights) == 8


@both
def test_parameters_are_tensors_and_copies(algorithm):
    import torch

    model = algorithm("LinearPolicy", "CartPole-v1", n_delta=2, seed=0)
    (weight,) = model.get_parameters()["policy"].values()
    assert isinstance(weight, torch.Tensor)
    changed = {"policy": {"action_net.0.weight": torch.rand_like(weight)}}
    model.set_parameters(changed)
    assert torch.equal(model.get_parameters()["policy"]["action_net.0.weight"], changed["policy"]["action_net.0.weight"])
    if algorithm is ARS:  # theirs hands out its own weights
        model.get_parameters()["policy"]["action_net.0.weight"][:] = 7.0
        assert not (model.theta == 7.0).any()


@both
def test_what_a_file_leaves_out_has_its_default(algorithm, tmp_path):
    model = algorithm("LinearPolicy", "CartPole-v1", n_delta=2, seed=0, verbose=2)
    for exclude, include, verbose in ((None, None, 2), (["verbose"], None, 0), (["verbose"], ["verbose"], 2)):
        model.save(tmp_path / "model", exclude=exclude, include=include)
        assert algorithm.load(tmp_path / "model").verbose == verbose


def test_a_constant_schedule_of_theirs_is_its_number(tmp_path):
    from stable_baselines3.common.utils import ConstantSchedule, FloatSchedule, LinearSchedule

    model = small(learning_rate=ConstantSchedule(0.5), delta_std=FloatSchedule(0.25))
    assert (model.learning_rate, model.delta_std) == (0.5, 0.25)
    model.save(tmp_path / "model")
    assert ARS.load(tmp_path / "model").learning_rate == 0.5
    linear = small(learning_rate=FloatSchedule(LinearSchedule(1.0, 0.0, 1.0)))
    assert linear.lr_schedule(0.25) == 0.25
    linear.save(tmp_path / "linear")
    with pytest.warns(UserWarning, match="learning_rate was a schedule"):
        ARS.load(tmp_path / "linear")
