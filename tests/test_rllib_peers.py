"""RLlib's surface under a real Ray Tune.

Broken on purpose: ARS not derived from Trainable; the config no `_Config` of Tune; no name "ARS"; results that pass no callbacks
-> their tests red.
"""

import subprocess
import sys
import textwrap

import gymnasium
import pytest

ray = pytest.importorskip("ray", reason="Ray is not installed: pip install '.[ray]'")
pytest.importorskip("ray.tune", reason="Ray Tune is not installed: pip install '.[ray]'")

from ray import tune  # noqa: E402
from ray.tune.registry import register_env  # noqa: E402

from fastars.rllib import ARS, ARSConfig, DefaultCallbacks  # noqa: E402
from fastars.rllib.tune import Trainable, register  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning", "ignore::FutureWarning")


@pytest.fixture(scope="module")
def cluster():
    ray.init("local", num_cpus=2, include_dashboard=False, configure_logging=False, log_to_driver=False)
    yield
    ray.shutdown()


def config(**training):
    settings = {"model": {"fcnet_hiddens": []}, "noise_size": 1 << 16, "num_rollouts": 8, "rollouts_used": 8, **training}
    return ARSConfig().environment("CartPole-v1").training(**settings).debugging(seed=1)


def fitted(trainable, space, folder, n_iterations=3):
    """The results of the trials of a Tuner, each with a checkpoint at its end."""
    run = tune.RunConfig(
        storage_path=str(folder),
        name="trials",
        stop={"training_iteration": n_iterations},
        verbose=0,
        checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=True),
    )
    grid = tune.Tuner(trainable, param_space=space, run_config=run).fit()
    assert not grid.errors
    return list(grid)


@pytest.mark.usefixtures("cluster")
def test_trials_of_tune_train_and_leave_checkpoints(tmp_path):
    results = fitted(ARS, config(noise_stdev=tune.grid_search([0.02, 0.2])), tmp_path)
    assert sorted(result.config["noise_stdev"] for result in results) == [0.02, 0.2]
    for result in results:
        assert result.metrics["training_iteration"] == 3
        assert result.metrics["info"]["episodes_so_far"] == 24
        assert result.metrics["trial_id"] != "default"
        assert result.metrics["config"]["num_workers"] == 2
        again = ARS.from_checkpoint(result.checkpoint)
        assert again.config.noise_stdev == result.config["noise_stdev"]
        whole = config(noise_stdev=result.config["noise_stdev"]).build()
        for _ in range(3):
            whole.train()
        assert again.model.theta.tolist() == whole.model.theta.tolist()


@pytest.mark.usefixtures("cluster")
def test_a_trial_has_environments_of_a_class_and_callbacks(tmp_path):
    class Short(gymnasium.Wrapper):
        def __init__(self, env_config):
            super().__init__(gymnasium.make("CartPole-v1", max_episode_steps=env_config["steps"]))

    class Marked(DefaultCallbacks):
        def on_train_result(self, *, algorithm, result, **kwargs):
            result["mine"] = 10 * result["training_iteration"]

    ours = config().environment(Short, env_config={"steps": 4}).rollouts(num_rollout_workers=1).callbacks(Marked)
    (result,) = fitted(ARS, ours.to_dict(), tmp_path, 2)
    assert result.metrics["timesteps_this_iter"] == 8 * 4
    assert result.metrics["mine"] == 20


@pytest.mark.usefixtures("cluster")
def test_a_config_from_before_is_a_space_for_tune(tmp_path):
    space = {
        "env": "CartPole-v1",
        "num_workers": 1,
        "framework": "torch",
        "model": {"fcnet_hiddens": tune.grid_search([[], [4]]), "fcnet_activation": None},
        "noise_size": 1 << 16,
        "num_rollouts": 4,
        "rollouts_used": 4,
        "evaluation_interval": 1,
        "evaluation_num_episodes": 2,
    }
    results = fitted(ARS, space, tmp_path, 2)
    assert [result.metrics["evaluation"]["episodes_this_iter"] for result in results] == [2, 2]


def test_a_trainable_goes_on_from_its_checkpoint(tmp_path):
    first, second = Trainable(config().to_dict()), Trainable(config().to_dict())
    assert Trainable is ARS
    first.train()
    first.save_checkpoint(str(tmp_path))
    second.load_checkpoint(str(tmp_path))
    assert second.train()["info"] == first.train()["info"]
    first.stop()
    second.stop()


def test_another_name_can_be_registered():
    register("mine")
    assert tune.registry.get_trainable_cls("mine") is ARS
    assert tune.registry.get_trainable_cls("ARS") is ARS


@pytest.mark.parametrize("order", [("fastars.rllib", "ray.tune"), ("ray.tune", "fastars.rllib")], ids=" then ".join)
def test_ars_is_a_trainable_whichever_is_imported_first(order):
    program = f"""
    import importlib, sys
    import fastars.rllib
    assert "ray" not in sys.modules or {order[0]!r} == "ray.tune"
    for name in {order!r}:
        importlib.import_module(name)
    from ray import tune
    from fastars.rllib import ARS, ARSConfig
    assert issubclass(ARS, tune.Trainable)
    config = ARSConfig().environment("CartPole-v1").training(model={{"fcnet_hiddens": []}}, noise_size=1000, num_rollouts=2)
    algorithm = config.build()
    assert isinstance(algorithm, tune.Trainable)
    assert algorithm.train()["trial_id"] == algorithm.trial_id == "default"
    assert algorithm.logdir and repr(algorithm).startswith("ARS(ARS(")
    algorithm.stop()
    """
    program = textwrap.dedent(program)
    if order[0] == "ray.tune":
        program = program.replace("import fastars.rllib\n", "", 1)
    subprocess.run([sys.executable, "-W", "ignore", "-c", program], check=True, timeout=120)


def test_a_registered_environment_is_found_by_its_name():
    register_env("short_cartpole", lambda env_config: gymnasium.make("CartPole-v1", max_episode_steps=env_config["steps"]))
    algorithm = config().environment("short_cartpole", env_config={"steps": 4}).rollouts(num_rollout_workers=1).build()
    assert algorithm.train()["timesteps_this_iter"] == 8 * 4


@pytest.mark.usefixtures("cluster")
def test_a_trial_finds_a_registered_environment(tmp_path):
    register_env("shorter", lambda env_config: gymnasium.make("CartPole-v1", max_episode_steps=env_config["steps"]))
    ours = config().environment("shorter", env_config={"steps": 3}).rollouts(num_rollout_workers=1)
    (result,) = fitted("ARS", ours.to_dict(), tmp_path, 1)
    assert result.metrics["timesteps_this_iter"] == 8 * 3
