"""Learning beside stable-baselines3: both packages get the same settings, and act on observations as training saw them.

Broken on purpose, one at a time, each seen by the test of its name: two episodes for each candidate of fastars, observations of
CartPole normalised, no lanes, rewards normalised -> same_settings; observations as they are -> as_training; another gamma for the
rewards, another activation -> ppo; workers that end with the first call, or never -> two_processes; steps that begin again ->
counts_the_steps.
"""

import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

pytest.importorskip("sb3_contrib", reason="it is the other side")
pytest.importorskip("mujoco", reason="some of the tasks are MuJoCo's")

from bench.beside.rows import LANES, OURS, PPO, TASKS, THEIRS, AloneRow, Row, sides  # noqa: E402
from bench.beside.sides import Fastars, TheirARS, TheirPPO  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*out of date:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:stable_baselines3"),
]


def settings_of(model):
    """Return what both packages call by one name."""
    names = ("n_delta", "n_top", "alive_bonus_offset", "zero_policy", "n_eval_episodes", "n_params")
    schedules = {name: getattr(model, name)(0.5) for name in ("lr_schedule", "delta_std_schedule")}
    return {name: getattr(model, name) for name in names} | schedules


@pytest.mark.parametrize("env_id", TASKS)
def test_both_packages_run_with_the_same_settings(env_id):
    if env_id.startswith("LunarLander"):
        pytest.importorskip("Box2D", reason="LunarLander needs it")
    theirs = TheirARS(Row(env_id, THEIRS), 0)
    for side in sides(env_id)[1:]:
        ours = Fastars(Row(env_id, side), 0)
        assert settings_of(ours.model) == settings_of(theirs.model)
        assert ours.model.config.normalize_observations == hasattr(theirs.env, "obs_rms") == TASKS[env_id].normalize
        assert type(ours.model.policy).__name__ in {type(theirs.model.policy).__name__, TASKS[env_id].settings["policy"]}
        assert ours.model.config.physics == ("lanes" if side == LANES else "mujoco")
        ours.close()
    if TASKS[env_id].normalize:
        assert not theirs.env.norm_reward
    theirs.close()


def test_actions_are_of_observations_as_training_normalises_them():
    theirs = TheirARS(Row("HalfCheetah-v4", THEIRS), 0)
    theirs.model.policy.load_from_vector(theirs.model.weights + 0.1)
    observations = np.full((2, 17), 0.3)
    before = theirs.act(observations)
    theirs.env.obs_rms.mean = np.full(17, 0.2)
    assert np.abs(theirs.act(observations) - before).max() > 0.1
    theirs.close()


def test_ppo_has_the_settings_of_rl_zoo_and_normalises_rewards():
    trainer = TheirPPO(AloneRow(PPO), 0)
    model = trainer.model
    assert (model.n_steps, model.batch_size, model.n_epochs, model.gamma) == (512, 64, 20, 0.98)
    assert (model.learning_rate, model.clip_range(1.0), model.max_grad_norm) == (2.0633e-05, 0.1, 0.8)
    assert [type(each).__name__ for each in model.policy.mlp_extractor.policy_net] == ["Linear", "ReLU"] * 2
    assert trainer.env.norm_reward
    assert trainer.env.gamma == 0.98
    trainer.close()


def test_their_two_processes_train_and_end():
    trainer = TheirARS(AloneRow(THEIRS, "CartPole-v1"), 0)
    workers = trainer.keywords["async_eval"].workers
    for least in (1, trainer.n_steps + 1):
        trainer.train(1)
        assert trainer.n_steps >= least
    assert len(workers.processes) == 2
    assert trainer.env.obs_rms.count > 1
    trainer.close()
    assert not any(process.is_alive() for process in workers.processes)


def test_fastars_counts_the_steps_that_it_is_asked_for():
    trainer = Fastars(Row("CartPole-v1", OURS), 0)
    trainer.train(5_000)  # more than an iteration can have
    first = trainer.n_steps
    trainer.train(1)
    assert first >= 5_000
    assert trainer.n_steps > first
    assert trainer.act(np.zeros((3, 4), dtype=np.float32)).shape == (3,)
