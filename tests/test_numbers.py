"""Numbers that a user can give: each is taken, or refused by a message with the name of its setting, before anything is allocated.

Seen failing: n_delta=2**31 and above, and 2**63 for every count, on checks without an upper bound; 10**400 on a check that lets
OverflowError pass; memory on runs and evaluations without `refuse_beyond_memory`; few places on a noise table that is only compared
with the number of weights; noise_size=2**47 on a table that is first made in training.
"""

import math
import warnings

import numpy as np
import pytest

from fastars import ARS, evaluate_candidates, evaluate_policy
from fastars._runtime import memory
from fastars._validate import integer, number, positive_int
from fastars.callbacks import CheckpointCallback, EvalCallback, StopTrainingOnMaxEpisodes
from fastars.cli import main
from fastars.training.config import Config
from fastars.training.run import Execution

HUGE = [2**31, 2**53, 2**62, 2**63, 2**64, 10**30, 10**400]
ODD = [
    5e-324,
    1e308,
    math.inf,
    -math.inf,
    math.nan,
    True,
    np.True_,
    np.float32(3),
    np.int8(3),
    np.float64(0.1),
    "3",
    b"3",
    [3],
    3 + 0j,
]
INTEGERS = ["n_delta", "n_top", "n_eval_episodes", "max_episode_steps", "noise_size", "return_ddof", "filter_ddof", "seed"]
FLOATS = [
    *("learning_rate", "delta_std", "alive_bonus_offset", "momentum", "weight_decay", "std_epsilon", "clip_observations"),
    *("filter_epsilon", "filter_var_epsilon", "filter_min_std"),
]


def accepted(name, value, call):
    """True if a call takes the value; otherwise it raises a ValueError or TypeError that names the argument and the value."""
    message = None
    try:
        call()
    except (ValueError, TypeError) as error:
        message = str(error)
    assert message is None or (name in message and (repr(value) in message or str(value) in message)), (name, value, message)
    return message is None


@pytest.mark.promise(21)
@pytest.mark.parametrize("value", [*HUGE, *ODD, 0, -1], ids=lambda value: repr(value)[:12])
@pytest.mark.parametrize("name", INTEGERS + FLOATS)
def test_a_setting_is_taken_as_a_finite_number_of_its_kind_or_refused_by_its_name(name, value, tally):
    is_taken = accepted(name, value, lambda: Config(**({"n_delta": 2**31 - 1} if name == "n_top" else {}), **{name: value}))
    tally("values of settings refused by the name of the setting, others taken as they are", int(not is_taken), of=1)
    if not is_taken:
        return
    taken = getattr(Config(**({"n_delta": 2**31 - 1} if name == "n_top" else {}), **{name: value}), name)
    assert type(taken) is (int if name in INTEGERS else float)
    assert taken == (value if name in INTEGERS else float(value))
    assert not math.isnan(taken)
    assert not isinstance(value, (bool, np.bool_))
    if name in INTEGERS:
        assert 0 <= taken < 2**64
    else:
        assert math.isfinite(taken) or name == "clip_observations"


@pytest.mark.parametrize("value", HUGE)
@pytest.mark.parametrize("name", ["n_threads", "n_workers"])
def test_threads_and_processes_have_a_limit(name, value):
    assert not accepted(name, value, lambda: Execution(**{name: value}))


def small(**settings):
    return ARS("LinearPolicy", "CartPole-v1", **{"n_delta": 2, "seed": 0, "noise_size": 1 << 14, "n_threads": 1, **settings})


@pytest.mark.promise(21)
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n_delta", 2**31 - 1),
        ("n_delta", 2**63),
        ("n_eval_episodes", 2**31 - 1),
        ("noise_size", 2**47),
        ("noise_size", 2**62),
        ("stats_window_size", 2**64),
        ("max_episode_steps", 2**63),
    ],
)
def test_a_run_that_no_memory_can_hold_is_refused_by_the_setting(name, value, tally):
    with pytest.raises(ValueError, match=rf"^ARS\(\): .*{name}"):
        small(**{name: value})
    tally("runs that no memory can hold, refused by the setting", 1, of=1)


@pytest.mark.parametrize("net_arch", [[2**24, 2**24], [2**40], [10**30], [2**63]])
def test_layers_that_no_memory_can_hold_are_refused(net_arch):
    with pytest.raises(ValueError, match=r"^ARS\(\): .*net_arch"):
        ARS("MlpPolicy", "CartPole-v1", policy_kwargs={"net_arch": net_arch}, seed=0)


def test_memory_is_compared_with_that_of_the_machine(monkeypatch):
    monkeypatch.setattr(memory, "physical_memory", lambda: 2**20)
    with pytest.raises(ValueError, match=r"^ARS\(\): n_delta=20000 and n_eval_episodes=1 must fit into the 0.0 GiB of memory"):
        small(n_delta=20_000, noise_size=1 << 20)
    model = small(n_delta=2_000, noise_size=1 << 16)
    monkeypatch.setattr(memory, "physical_memory", lambda: 2**17)
    with pytest.raises(ValueError, match=r"^ARS.ask\(\): n_delta=2000 candidates of 8 weights"):
        model.ask()
    monkeypatch.setattr(memory, "physical_memory", lambda: None)  # a system that does not say
    assert model.ask().shape == (4_000, 8)


@pytest.mark.parametrize("value", [2**62, 2**63, 2**64, 10**30, 1e308, math.inf, math.nan, True, "3", 0, -1])
def test_arguments_of_functions_are_refused_by_their_names(value):
    model = small()
    assert not accepted("n_eval_episodes", value, lambda: model.evaluate(value))
    assert not accepted("n_eval_episodes", value, lambda: evaluate_policy(model, "CartPole-v1", value))
    if value not in (2**62, True, 0):  # as many timesteps as a run may count
        assert not accepted("total_timesteps", value, lambda: model.learn(value))
        model.ask()
        assert not accepted("n_steps", value, lambda: model.tell(np.zeros(4), n_steps=value))
    assert model.iteration == 0


def test_steps_are_counted_up_to_the_largest_number_that_a_file_holds(tmp_path):
    model = small()
    model.ask()
    model.tell(np.zeros(4), n_steps=2**62)
    model.ask()
    with pytest.raises(ValueError, match=r"n_steps must be an integer from 0 to 2\*\*62 - 1"):
        model.tell(np.zeros(4), n_steps=2**62)
    model.tell(np.zeros(4), n_steps=2**62 - 1)
    assert model.num_timesteps == 2**63 - 1
    model.save(tmp_path / "model.zip")
    assert ARS.load(tmp_path / "model.zip").num_timesteps == 2**63 - 1


@pytest.mark.parametrize("value", [2**63, 10**30, 1e308, math.nan, True, "3", 0])
def test_frequencies_of_callbacks_are_refused_by_their_names(value, tmp_path):
    assert not accepted("save_freq", value, lambda: CheckpointCallback(value, tmp_path))
    assert not accepted("max_episodes", value, lambda: StopTrainingOnMaxEpisodes(value))
    assert not accepted("n_eval_episodes", value, lambda: EvalCallback("CartPole-v1", n_eval_episodes=value))


@pytest.mark.parametrize("value", [2**63, 10**30])
@pytest.mark.parametrize("name", ["n_delta", "n_eval_episodes", "max_episode_steps", "noise_size", "total_timesteps"])
def test_options_of_the_command_are_refused_by_their_names(name, value, capsys, tmp_path):
    option = f"--{name.replace('_', '-')}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert main(["train", "CartPole-v1", option, str(value), "--run-folder", str(tmp_path / "run")]) == 2
    assert name in capsys.readouterr().err.replace("-", "_")
    assert not (tmp_path / "run").exists()


def test_checks_of_one_value():
    assert positive_int("n", 2**63 - 1) == 2**63 - 1
    with pytest.raises(ValueError, match=r"n must be an integer from 1 to 2\*\*63 - 1, got 9223372036854775808"):
        positive_int("n", 2**63)
    with pytest.raises(ValueError, match="n must be an integer of at least 1, got 0"):
        positive_int("n", 0)
    with pytest.raises(ValueError, match="x must be a finite number, got 1000"):
        number("x", 10**400)
    with pytest.raises(ValueError, match="x must be a finite number above 0, got -1000"):
        number("x", -(10**400), above=0.0)
    assert integer("n", np.float64(3.0)) == 3


# --- Places in the noise table


@pytest.mark.promise(21)
@pytest.mark.parametrize(("size", "n_delta", "least"), [(8, 1, 17), (15, 1, 17), (16, 1, 17), (86, 8, 87), (1_000, 200, 2_007)])
def test_a_noise_table_with_few_places_warns_and_names_a_size_that_does_not(size, n_delta, least, tally):
    """8 weights: a direction starts at one of size - 7 places."""
    with pytest.warns(
        UserWarning, match=rf"noise_size={size} has {size - 7} places .* Use at least {least} with n_delta={n_delta}"
    ):
        small(noise_size=size, n_delta=n_delta)
    small(noise_size=least, n_delta=n_delta)
    with pytest.warns(UserWarning, match="noise_size"):
        small(noise_size=least - 1, n_delta=n_delta)
    tally("noise tables with few places, warned of", 1, of=1)


def test_a_file_with_few_places_loads_and_warns(tmp_path):
    with pytest.warns(UserWarning, match="noise_size=8"):
        small(noise_size=8).save(tmp_path / "model.zip")
    with pytest.warns(UserWarning, match="noise_size=8 has 1 places"):
        assert ARS.load(tmp_path / "model.zip").config.noise_size == 8


def test_directions_of_fewer_places_than_weights_do_not_span_the_weights():
    from fastars import kernels

    for places in (1, 5, 8, 20):
        table = kernels.noise_table(3, places + 7)
        directions = kernels.noise_slices(table, np.arange(places), 8)
        assert np.linalg.matrix_rank(directions) == min(places, 8)


@pytest.mark.parametrize("seeds", [[2**64], [-1], [1.5], ["1"]])
def test_seeds_of_candidates_are_refused(seeds):
    with pytest.raises(ValueError, match="seeds must be integers from 0 to 2"):
        evaluate_candidates("CartPole-v1", np.zeros((1, 8)), seeds)
