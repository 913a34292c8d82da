"""RLlib's surface under a real Ray Tune."""

import pytest

ray = pytest.importorskip("ray", reason="Ray is not installed: pip install '.[ray]'")
pytest.importorskip("ray.tune", reason="Ray Tune is not installed: pip install '.[ray]'")

from ray import tune  # noqa: E402

from fastars.rllib import ARSConfig  # noqa: E402
from fastars.rllib.tune import Trainable, register  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning", "ignore::FutureWarning")


@pytest.fixture(scope="module")
def cluster():
    ray.init("local", num_cpus=2, include_dashboard=False, configure_logging=False, log_to_driver=False)
    yield
    ray.shutdown()


def config():
    settings = {"model": {"fcnet_hiddens": []}, "noise_size": 1 << 16, "num_rollouts": 8, "rollouts_used": 8}
    return ARSConfig().environment("CartPole-v1").training(**settings).debugging(seed=1)


@pytest.mark.usefixtures("cluster")
def test_trials_of_tune_train_and_leave_checkpoints(tmp_path):
    register("ARS")
    space = {**config().to_dict(), "noise_stdev": tune.grid_search([0.02, 0.2])}
    run = tune.RunConfig(
        storage_path=str(tmp_path),
        name="trials",
        stop={"training_iteration": 3},
        verbose=0,
        checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=True),
    )
    grid = tune.Tuner("ARS", param_space=space, run_config=run).fit()
    assert not grid.errors
    assert sorted(result.config["noise_stdev"] for result in grid) == [0.02, 0.2]
    for result in grid:
        assert result.metrics["training_iteration"] == 3
        assert result.metrics["info"]["episodes_so_far"] == 24
        again = config().training(noise_stdev=result.config["noise_stdev"]).build()
        again.restore(result.checkpoint.path)
        whole = config().training(noise_stdev=result.config["noise_stdev"]).build()
        for _ in range(3):
            whole.train()
        assert again.model.theta.tolist() == whole.model.theta.tolist()


def test_a_trainable_goes_on_from_its_checkpoint(tmp_path):
    first, second = Trainable(config().to_dict()), Trainable(config().to_dict())
    first.train()
    first.save_checkpoint(str(tmp_path))
    second.load_checkpoint(str(tmp_path))
    assert second.train()["info"] == first.train()["info"]
    first.stop()
    second.stop()


def test_a_registered_environment_is_found_by_its_name():
    import gymnasium
    from ray.tune.registry import register_env

    register_env("short_cartpole", lambda env_config: gymnasium.make("CartPole-v1", max_episode_steps=env_config["steps"]))
    algorithm = config().environment("short_cartpole", env_config={"steps": 4}).rollouts(num_rollout_workers=1).build()
    assert algorithm.train()["timesteps_this_iter"] == 8 * 4
