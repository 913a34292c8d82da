"""Settings by preset, variant and environment: the paper's table, the ones found by trying, and what goes before what."""

import pytest

from fastars import compiled_env_ids
from fastars.training import presets
from fastars.training.config import Config, make_config
from fastars.training.presets import CHOICES as PRESETS

# Environment, variant asked for, alpha, sigma, N, b, shift, variant that results. Mania, Guy & Recht 2018, appendix.
PUBLISHED = [
    ("Swimmer", None, 0.02, 0.01, 1, 1, 0, "V1"),
    ("Swimmer", "V1", 0.02, 0.01, 1, 1, 0, "V1"),
    ("Hopper", None, 0.01, 0.025, 8, 4, 1, "V2-t"),
    ("Hopper", "V2-t", 0.01, 0.025, 8, 4, 1, "V2-t"),
    ("Hopper", "V2", 0.02, 0.02, 4, 4, 1, "V2"),
    ("HalfCheetah", None, 0.02, 0.03, 32, 4, 0, "V2-t"),
    ("HalfCheetah", "V2-t", 0.02, 0.03, 32, 4, 0, "V2-t"),
    ("HalfCheetah", "V2", 0.02, 0.03, 8, 8, 0, "V2"),
    ("Walker2d", None, 0.03, 0.025, 40, 30, 1, "V2-t"),
    ("Walker2d", "V2-t", 0.03, 0.025, 40, 30, 1, "V2-t"),
    ("Walker2d", "V2", 0.025, 0.01, 60, 60, 1, "V2"),
    ("Ant", None, 0.015, 0.025, 60, 20, 1, "V2-t"),
    ("Ant", "V2-t", 0.015, 0.025, 60, 20, 1, "V2-t"),
    ("Ant", "V2", 0.01, 0.025, 40, 40, 1, "V2"),
    ("Humanoid", None, 0.02, 0.0075, 230, 230, 5, "V2"),
    ("Humanoid", "V2", 0.02, 0.0075, 230, 230, 5, "V2"),
]


def named(env_id):
    return env_id.rpartition("-v")[0]


@pytest.mark.parametrize("version", ["v4", "v5", "v12"])
@pytest.mark.parametrize(("env", "asked", "alpha", "sigma", "N", "b", "shift", "variant"), PUBLISHED)
def test_paper_has_its_own_hyperparameters_by_environment(version, env, asked, alpha, sigma, N, b, shift, variant):
    config = make_config("paper", asked, f"{env}-{version}")
    assert (config.learning_rate, config.delta_std, config.n_delta, config.n_top) == (alpha, sigma, N, b)
    assert str(config.alive_bonus_offset) == str(float(-shift) if shift else 0.0)  # and no -0.0
    assert config.variant == variant
    assert not config.clip_actions


@pytest.mark.parametrize(("env_id", "variant"), [("Pendulum-v1", None), ("Reacher-v5", "V2"), ("HalfCheetah-v5", "V1"), ("", None)])
def test_paper_has_its_choices_only_where_the_table_says_nothing(env_id, variant):
    assert make_config("paper", variant, env_id) == make_config("fastars", variant, clip_actions=False)


def test_asking_for_the_top_directions_needs_n_top_where_the_paper_has_none():
    with pytest.raises(ValueError, match="variant 'V2-t' needs n_top < n_delta, got n_top=8, n_delta=8"):
        make_config("paper", "V2-t", "Humanoid-v5")


@pytest.mark.parametrize("preset", sorted(set(PRESETS) - {"paper", "tuned"}))
def test_other_presets_are_the_same_for_every_environment(preset):
    assert make_config(preset, None, "HalfCheetah-v5") == make_config(preset)


def test_what_is_given_goes_before_the_table():
    config = make_config("paper", None, "Hopper-v5", learning_rate=0.5, alive_bonus_offset=0.0, clip_actions=True, n_top=2)
    assert (config.learning_rate, config.alive_bonus_offset, config.clip_actions, config.n_top) == (0.5, 0.0, True, 2)
    assert (config.delta_std, config.n_delta) == (0.025, 8)
    assert make_config("paper", None, "Hopper-v5", normalize_observations=False).variant == "V1-t"


@pytest.mark.parametrize("preset", ["paper", "tuned"])
def test_a_given_number_of_directions_drops_the_tables_top(preset):
    config = make_config(preset, None, "HalfCheetah-v5", n_delta=16)
    assert (config.n_delta, config.n_top, config.learning_rate) == (16, 16, 0.02)
    assert make_config(preset, None, "HalfCheetah-v5", n_delta=16, n_top=8).n_top == 8


def test_a_given_n_top_is_clamped_to_the_tables_directions():
    assert make_config("paper", None, "HalfCheetah-v5", n_top=9).n_top == 9
    with pytest.warns(UserWarning, match="n_top=33 is more than n_delta=32: all 32 directions are used"):
        assert make_config("paper", None, "HalfCheetah-v5", n_top=33).n_top == 32


def test_tuned_has_what_was_found_by_trying():
    car = make_config("tuned", None, "MountainCar-v0")
    assert (car.n_delta, car.n_top, car.learning_rate, car.n_eval_episodes, car.with_bias) == (32, 8, 0.05, 4, True)
    assert make_config("tuned", None, "MountainCarContinuous-v0") == Config(normalize_observations=True)
    for name, table in presets.environments("tuned").items():
        (row,) = table.get("rows", [{}])
        assert make_config("tuned", None, f"{name}-v5") == Config(**row)


@pytest.mark.parametrize("name", ["HalfCheetah", "Walker2d", "Ant", "Humanoid"])
def test_tuned_has_the_papers_rows_for_locomotion(name):
    assert make_config("tuned", None, f"{name}-v5") == make_config("paper", None, f"{name}-v5")


@pytest.mark.parametrize(("env_id", "variant"), [("Acrobot-v1", None), ("Reacher-v5", None), ("HalfCheetah-v5", "V1"), ("", None)])
def test_tuned_is_the_default_where_nothing_was_tried(env_id, variant):
    assert make_config("tuned", variant, env_id) == make_config(None, variant)


def test_tables_name_environments_that_there_are():
    names = {named(env_id) for family in ("classic", "mujoco") for env_id in compiled_env_ids(family)}
    assert set(presets.environments("paper")) <= names
    assert set(presets.environments("tuned")) == names
    assert all(set(table) <= {"total_timesteps", "source", "rows"} for table in presets.environments("tuned").values())


def test_results_are_of_the_steps_that_a_run_takes():
    assert presets.results()
    for env_id, found in presets.results().items():
        assert found["total_timesteps"] == presets.timesteps(env_id)
        assert env_id in compiled_env_ids()
        assert found["n_seeds"] >= 5


@pytest.mark.parametrize(
    ("env_id", "steps"),
    [
        ("CartPole-v0", 100_000),
        ("CartPole-v1", 100_000),
        ("HalfCheetah-v4", 6_000_000),
        ("Reacher-v5", 1_000_000),
        ("Mine-v0", 1_000_000),
    ],
)
def test_steps_suit_an_environment_of_any_version(env_id, steps):
    assert presets.timesteps(env_id) == steps
