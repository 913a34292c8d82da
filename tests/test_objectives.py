"""The tasks of a vector reward between iterations: averages, regrets, preference, and tasks without a gradient."""

import copy
import logging

import numpy as np
import pytest

from fastars.training.evidence import Evidence
from fastars.training.objectives import new_objectives
from fastars.weighting import Fixed


class Recorded:
    """A method that remembers what it was given."""

    name = "recorded"
    needs = ("gram",)

    def __init__(self, n_tasks, weights=None, error=None):
        self.weights = np.ones(n_tasks) if weights is None else np.array(weights, float)
        self.error, self.calls, self.mask = error, [], np.ones(n_tasks, bool)

    def step(self, losses=None, *, gram=None, stds=None):
        if self.error is not None:
            raise self.error
        self.calls.append((losses, gram, stds, self.mask))

    def state_dict(self):
        return {"method": self.name, "n": len(self.calls)}

    def load_state_dict(self, state):
        self.calls = [None] * state["n"]


def evidence(returns=(1.0, 2.0), stds=(1.0, 1.0), raw=(2.0, 2.0), debiased=(1.0, 1.0), n_directions=8, n_weights=100):
    return Evidence(np.array(returns), np.array(stds), np.diag(raw), np.diag(debiased), n_directions, n_weights)


def objectives(method=None, **arguments):
    return new_objectives(method or Recorded(2), ("speed", "fuel"), **arguments)


def test_weights_stay_equal_while_the_averages_fill():
    tasks = objectives(Recorded(2, weights=[3.0, 1.0]))
    for _ in range(5):
        tasks = tasks.after(evidence())
        assert tasks.weights.tolist() == [1.0, 1.0]
    tasks = tasks.after(evidence())
    assert tasks.weights.tolist() == [1.5, 0.5]


def test_the_gram_matrix_is_an_average_over_ten_iterations():
    tasks = objectives()
    for value in range(1, 8):
        tasks = tasks.after(evidence(debiased=(value, 2.0 * value)))
    ages = np.arange(7)[::-1]
    expected = np.sum(0.9**ages * np.arange(1, 8)) / np.sum(0.9**ages)
    _, gram, _, _ = tasks.method.calls[-1]
    np.testing.assert_allclose(gram, np.diag([expected, 2.0 * expected]), rtol=1e-14)


def test_no_square_is_below_what_can_be_told_from_noise():
    """sqrt(2 / d) of the raw square in one iteration; less by the averaging over six of them."""
    tasks = objectives()
    for _ in range(6):
        tasks = tasks.after(evidence(raw=(3.0, 2.0), debiased=(-1.0, 2.0)))
    _, gram, _, _ = tasks.method.calls[-1]
    weights = 0.9 ** np.arange(6)
    averaging = np.sqrt((weights**2).sum()) / weights.sum()
    np.testing.assert_allclose(np.diag(gram), [3.0 * np.sqrt(2 / 100) * averaging, 2.0], rtol=1e-12)


def test_losses_are_regrets_of_averaged_returns():
    tasks = objectives(utopia=[10.0, 4.0])
    for _ in range(6):
        tasks = tasks.after(evidence(returns=(1.0, 2.0)))
    losses, *_ = tasks.method.calls[-1]
    np.testing.assert_allclose(losses, [9.0, 2.0], rtol=1e-14)


def test_rates_are_loss_ratios_over_their_mean():
    tasks = objectives(utopia=[10.0, 4.0])
    tasks = tasks.after(evidence(returns=(0.0, 0.0)))
    for _ in range(300):
        tasks = tasks.after(evidence(returns=(5.0, 3.0)))
    rows = tasks.rows()
    assert rows["tasks/speed/loss"] == pytest.approx(5.0)
    assert rows["tasks/speed/rate"] == pytest.approx(0.5 / 0.375)
    assert rows["tasks/fuel/rate"] == pytest.approx(0.25 / 0.375)
    assert rows["tasks/fuel/masked"] == 0.0


def test_losses_stay_between_a_thousandth_and_ten_times_the_first():
    tasks = objectives(utopia=[10.0, 4.0])
    tasks = tasks.after(evidence(returns=(0.0, 0.0)))
    for _ in range(100):
        tasks = tasks.after(evidence(returns=(11.0, -1e6)))
    losses, *_ = tasks.method.calls[-1]
    np.testing.assert_allclose(losses, [0.01, 40.0], rtol=1e-14)


def test_without_a_utopia_the_reward_space_says_what_is_possible():
    tasks = objectives(highest=[5.0, np.inf])
    tasks = tasks.after(evidence(returns=(1.0, 2.0), stds=(1.0, 3.0)))
    for _ in range(200):
        tasks = tasks.after(evidence(returns=(1.0, 12.0)))
    losses, *_ = tasks.method.calls[-1]
    np.testing.assert_allclose(losses, [4.0, 1.0], rtol=1e-6)  # the second: 10 % of (12 - 2) above the best


def test_regret_is_measured_from_the_best_return_so_far():
    tasks = objectives(highest=[np.inf, np.inf])
    for returns in ((0.0, 0.0), (10.0, 20.0), *[(4.0, 8.0)] * 100):
        tasks = tasks.after(evidence(returns=returns))
    np.testing.assert_allclose(tasks.losses, [10.0 + 1.0 - 4.0, 10.0], rtol=1e-4)  # the second: at most 10 deviations


def test_the_deviation_is_the_first_scale_where_nothing_else_is_known():
    tasks = objectives()
    for _ in range(6):
        tasks = tasks.after(evidence(returns=(3.0, 3.0), stds=(2.0, 500.0)))
    np.testing.assert_allclose(tasks.losses, [0.002, 0.5], rtol=1e-14)


def test_preference_multiplies_what_the_method_gives():
    tasks = objectives(Recorded(2, weights=[3.0, 1.0]), preference=[1.0, 3.0])
    assert tasks.weights.tolist() == [0.5, 1.5]
    for _ in range(6):
        tasks = tasks.after(evidence())
    assert tasks.weights.tolist() == [1.0, 1.0]
    assert tasks.utility.tolist() == [1.0, 3.0]


def test_fixed_weights_are_the_preference_itself():
    tasks = objectives(Fixed(2), preference=[-0.1, 30.0])
    for _ in range(8):
        tasks = tasks.after(evidence())
    assert tasks.weights.tolist() == tasks.utility.tolist() == [-0.1, 30.0]


def test_fixed_weights_may_also_be_those_of_the_method():
    tasks = objectives(Fixed(constants=[2.0, 3.0]))
    assert tasks.weights.tolist() == tasks.utility.tolist() == [2.0, 3.0]
    assert objectives(Fixed(constants=[2.0, 3.0]), preference=[1.0, -1.0]).weights.tolist() == [2.0, -3.0]


def test_a_task_whose_gradient_is_noise_is_left_out_and_comes_back(caplog):
    caplog.set_level(logging.INFO)
    tasks = objectives(Recorded(2))
    for i in range(40):  # d = 100: noise has a mean of zero, and sqrt(2/100) of the raw square as its deviation
        tasks = tasks.after(evidence(debiased=(1.0, 0.1 * (-1) ** i), n_directions=32))
    assert tasks.masked.tolist() == [False, True]
    assert tasks.method.calls[-1][3].tolist() == [True, False]
    assert [record.getMessage() for record in caplog.records] == [
        "task 'fuel' takes no part in the balancing: its gradient can't be told from noise"
    ]
    for _ in range(25):
        tasks = tasks.after(evidence())
    assert not tasks.masked.any()
    assert len(caplog.records) == 2


@pytest.mark.parametrize(("n_directions", "n_weights"), [(8, 4_481), (32, 10_601), (64, 10_000)])
def test_no_task_is_lost_where_a_healthy_one_could_not_be_told_from_noise(n_directions, n_weights):
    """The debiased square of a linear return is 1 here, and scatters by more than that."""
    draw = np.random.default_rng(0)
    tasks = objectives(Recorded(2))
    raw = 1.0 + (n_weights + 1) / n_directions
    for _ in range(300):
        debiased = 1.0 + raw * np.sqrt(2 / n_weights) * draw.standard_normal(2)
        tasks = tasks.after(evidence(raw=(raw, raw), debiased=debiased, n_directions=n_directions, n_weights=n_weights))
        assert not tasks.masked.any()


@pytest.mark.parametrize(("n_directions", "n_weights"), [(8, 10), (16, 41), (32, 100)])
def test_a_healthy_task_stays_in_where_noise_is_found(n_directions, n_weights):
    draw = np.random.default_rng(0)
    tasks = objectives(Recorded(2))
    raw = 1.0 + (n_weights + 1) / n_directions
    for _ in range(300):
        noise = raw * np.sqrt(2 / n_weights) * draw.standard_normal(2)
        tasks = tasks.after(evidence(raw=(raw, raw), debiased=[1.0, 0.0] + noise, n_directions=n_directions, n_weights=n_weights))
        assert not tasks.masked[0]
    assert tasks.masked[1]


def test_a_task_that_is_left_out_has_no_more_than_an_equal_share():
    """Methods may have weights of any size; those of tasks left out stay what they were, but for that."""
    tasks = objectives(Recorded(2, weights=[1e-3, 9e-3]), preference=[1.0, 3.0])
    for _ in range(6):
        tasks = tasks.after(evidence())
    assert tasks.weights.tolist() == pytest.approx([2 / 28, 2 * 27 / 28])
    for _ in range(100):
        tasks = tasks.after(evidence(debiased=(1.0, 0.0), n_directions=32))
    assert tasks.masked.tolist() == [False, True]
    assert tasks.weights.tolist() == pytest.approx([0.5, 1.5])


def test_a_mask_of_the_users_stays():
    method = Recorded(2)
    method.mask = np.array([True, False])
    tasks = objectives(method)
    for _ in range(7):
        tasks = tasks.after(evidence())
    assert tasks.method.calls[-1][3].tolist() == [True, False]
    assert method.mask.tolist() == [True, False]


def test_nothing_is_learned_from_squares_beyond_all_bounds():
    tasks = objectives()
    before = copy.deepcopy(tasks.state_dict())
    tasks = tasks.after(evidence(raw=(np.inf, 1.0)))
    np.testing.assert_equal(tasks.state_dict(), before)


def test_a_constant_task_is_left_out_at_once():
    tasks = objectives()
    tasks = tasks.after(evidence(raw=(2.0, 0.0), debiased=(1.0, 0.0), stds=(1.0, 0.0)))
    assert tasks.masked.tolist() == [False, True]


def test_a_method_that_looks_at_no_gradient_keeps_all_tasks():
    method = Recorded(2)
    method.needs = ("losses",)
    tasks = objectives(method)
    for _ in range(30):
        tasks = tasks.after(evidence(raw=(2.0, 0.0), debiased=(-1.0, 0.0)))
    assert not tasks.masked.any()


def test_with_a_single_direction_nothing_is_left_out():
    tasks = objectives()
    for _ in range(30):
        tasks = tasks.after(evidence(debiased=(-1.0, -1.0), n_directions=1))
    assert not tasks.masked.any()


def test_nothing_changes_when_the_method_raises():
    tasks = objectives(Recorded(2, error=ValueError("no")))
    for _ in range(5):
        tasks = tasks.after(evidence())
    before = copy.deepcopy(tasks.state_dict())
    with pytest.raises(ValueError, match="no"):
        tasks = tasks.after(evidence(returns=(5.0, 5.0)))
    np.testing.assert_equal(tasks.state_dict(), before)


def test_a_loaded_state_continues_with_the_same_bits():
    draw = np.random.default_rng(1)
    rows = [evidence(draw.standard_normal(2), draw.random(2), draw.random(2), draw.random(2)) for _ in range(20)]
    whole, first, second = objectives(), objectives(), objectives()
    for row in rows:
        whole = whole.after(row)
    for row in rows[:9]:
        first = first.after(row)
    second = second.restored(first.state_dict())
    for row in rows[9:]:
        second = second.after(row)
    np.testing.assert_equal(second.method.calls[-1], whole.method.calls[-1])
    state, expected = second.state_dict(), whole.state_dict()
    np.testing.assert_equal(state, expected)


def test_a_state_of_other_tasks_is_refused_and_changes_nothing():
    tasks, other = objectives(), new_objectives(Recorded(3), "abc")
    before = copy.deepcopy(tasks.state_dict())
    with pytest.raises(ValueError, match=r"quiet must have shape \(2,\), got \(3,\)"):
        tasks.restored(other.state_dict())
    np.testing.assert_equal(tasks.state_dict(), before)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"preference": [1.0]}, r"preference must have a finite number for each of the 2 tasks \(speed, fuel\), got \[1.0\]"),
        ({"preference": [1.0, -1.0]}, r"preference must have no entry below 0 and one above, got \[1.0, -1.0\]"),
        ({"preference": [0.0, 0.0]}, "preference must have no entry below 0"),
        ({"method": Fixed(2), "preference": [0.0, 0.0]}, "preference must have an entry other than 0, got"),
        ({"preference": [1.0, np.nan]}, "preference must have a finite number"),
        ({"preference": "much"}, "preference must be numbers, got 'much'"),
        ({"utopia": [1.0, 2.0, 3.0]}, "utopia must have a finite number for each of the 2 tasks"),
    ],
)
def test_what_does_not_fit_the_tasks_is_refused_by_name(arguments, message):
    with pytest.raises(ValueError, match=message):
        objectives(**arguments)
