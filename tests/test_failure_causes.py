"""An error of training that failing episodes lead to has the first failure in its text, and as its cause.

Broken on purpose: `explained` passes the error on -> all red; the exception itself is not kept -> "in this process" red;
evaluations count -> test_a_failed_evaluation red; a copy keeps the exception -> test_a_copy red.
"""

import copy

import faulty_envs
import pytest
from faulty_envs import Line

from fastars import ARS, NonFiniteReturnsError
from fastars.samplers.failure import EpisodeError, Failure


class SensorError(Exception):
    """An exception that can't be copied or pickled."""

    def __init__(self, name, value):
        super().__init__(f"sensor {name} gave {value}")


class Failing(Line):
    place, last = "step", 1 << 40

    def reset(self, **kwargs):
        if self.place == "reset":
            raise SensorError("r", 3)
        return super().reset(**kwargs)

    def step(self, action):
        if self.place == "step" and self.n_steps == 2:
            raise SensorError("s", 4)
        return super().step(action)


class FailingAtOnce(Failing):
    place = "reset"


@pytest.mark.parametrize(("kind", "text"), [(Failing, "sensor s gave 4"), (FailingAtOnce, "sensor r gave 3")])
@pytest.mark.parametrize("given", ["object", "function"])
def test_an_exception_in_this_process_is_the_cause(kind, text, given, caplog):
    model = ARS("LinearPolicy", kind() if given == "object" else kind, n_delta=2, seed=0, noise_size=4096)
    with pytest.raises(
        NonFiniteReturnsError, match=rf"failed in every episode .*the first failure: .*SensorError: {text}"
    ) as caught:
        model.learn(50)
    assert type(caught.value.__cause__) is SensorError
    assert caught.value.__cause__.__traceback__ is not None
    assert model.iteration == 0


def test_a_failure_in_a_worker_process_is_the_cause_as_a_text(caplog):
    make = faulty_envs.make(faulty_envs.raises, n_bad=1 << 62)
    model = ARS("LinearPolicy", make, n_delta=2, n_workers=2, seed=0, noise_size=4096)
    try:
        with pytest.raises(NonFiniteReturnsError, match="the first failure: ") as caught:
            model.learn(50)
    finally:
        model.close()
    assert type(caught.value.__cause__) is EpisodeError
    assert "Traceback" in str(caught.value.__cause__)


def test_failures_that_begin_later_are_the_cause_after_ten_iterations(caplog):
    class Later(Line):
        n_resets = 0

        def reset(self, **kwargs):
            Later.n_resets += 1
            return super().reset(**kwargs)

        def step(self, action):
            if Later.n_resets > 4:
                raise SensorError("late", Later.n_resets)
            return super().step(action)

    model = ARS("LinearPolicy", Later(), n_delta=2, seed=0, noise_size=4096).learn(1)
    with pytest.raises(NonFiniteReturnsError, match=r"for 10 iterations; the first failure: .*sensor late gave 5$"):
        model.learn(100_000, reset_num_timesteps=False)


def test_a_failed_evaluation_is_no_cause(caplog):
    class Once(Line):
        is_bad = False

        def step(self, action):
            observation, _, *rest = super().step(action)
            if self.is_bad:
                raise SensorError("e", 1)
            return observation, float("nan"), *rest

    env = Once()
    model = ARS("LinearPolicy", env, n_delta=2, seed=0, noise_size=4096)

    def evaluate(seen, _):
        env.is_bad = True
        assert seen["self"].evaluate(1).n_failures == 2
        env.is_bad = False

    with pytest.raises(NonFiniteReturnsError, match=r"iterations$"):
        model.learn(100_000, callback=evaluate)


def test_a_copy_has_no_failure(caplog):
    model = ARS("LinearPolicy", Failing, n_delta=2, seed=0, noise_size=4096)
    with pytest.raises(NonFiniteReturnsError):
        model.learn(50)
    assert copy.deepcopy(model).iteration == 0


def test_the_summary_is_the_last_line():
    assert Failure(0, 0, 1, False, "Traceback\n  File\nValueError: x\n").summary == "ValueError: x"
    assert str(Failure(0, 0, 1, False, "exit code 3").cause) == "exit code 3"
