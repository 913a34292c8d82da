"""Common behaviour of weighting methods: arguments and state of a step, and the state after a failed one."""

import copy
import json
import pickle
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fastars.weighting import (
    METHODS,
    CAGrad,
    Custom,
    DynamicWeightAverage,
    Fixed,
    GradNorm,
    Method,
    StandardDeviation,
    UncertaintyWeighting,
    Uniform,
    make_method,
)
from fastars.weighting.step import Step

PAGE = (Path(__file__).parent.parent / "docs" / "weighting.md").read_text(encoding="utf-8")
PROGRAMS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
RESULTS_OF_PROGRAMS = [
    r"Uniform leaves \[0\.9\d* +0\.[01]\d* *\] of .*\nGradNorm leaves \[0\.[34]\d* +0\.[34]\d* *\] of ",
    r"\[[\d.]+ [\d.]+\]\n\[1\. 1\.\] \[10\. +0\.1\]\n",
    r"\[1\.\d+ 0\.\d+\]\n",
    r"\[[\d.]+, [\d.]+\]\n",
    r"^\[1\.6+7? 1\.6+7?\] \[0\. 1\.\]\n",
]
GRADS = np.array([[3.0, 4.0], [0.0, 1.0]])


class Doubling(Method):
    """Twice the weights in every step, until a loss is 13."""

    name = "doubling"

    @property
    def needs(self):
        return ("losses",)

    def _first(self, n_tasks):
        return np.ones(n_tasks), {"n_calls": 0}

    def _next(self, weights, state, inputs):
        if 13.0 in inputs.losses:
            raise ValueError("13")
        return Step(weights, 2 * weights, {"n_calls": state["n_calls"] + 1}, lambda: {"doubled": 2 * weights})


# --- What a step takes


@pytest.mark.parametrize(
    "grads",
    [
        GRADS,
        GRADS.astype(np.float32),
        GRADS.astype(np.int64),
        np.asfortranarray(GRADS),
        list(GRADS),
        [gradient.reshape(1, 2) for gradient in GRADS],
        GRADS.tolist(),
    ],
    ids=["float64", "float32", "int64", "Fortran", "list", "shaped", "numbers"],
)
def test_gradients_give_norms(grads):
    method = GradNorm(alpha=0.0)
    method.step(grads=grads)
    np.testing.assert_array_equal(method.info["norms"], [5.0, 1.0])


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_gradients_have_norms_where_their_squares_are_out_of_range(scale):
    grads = scale * np.array([[3.0, 4.0], [0.0, 1.0]])
    method = GradNorm(alpha=0.0)
    method.step(grads=grads)
    np.testing.assert_allclose(method.info["norms"], [5.0 * scale, scale], rtol=1e-15)
    np.testing.assert_array_equal(make_method("mgda").step(grads=grads), make_method("mgda").step(grads=grads / scale))


def test_gram_matrix_gives_norms():
    """Its diagonal; that of a debiased one may be negative."""
    method = GradNorm(alpha=0.0)
    method.step(gram=[[25.0, 4.0], [4.0, 1.0]])
    np.testing.assert_array_equal(method.info["norms"], [5.0, 1.0])
    method.step(gram=[[25.0, 4.0], [4.0, -1.0]])
    assert method.info["norms"].tolist() == [5.0, 0.0]
    assert method.info["masked"].tolist() == [False, True]


def test_norms_that_are_given_go_before_those_of_the_gram_matrix():
    method = GradNorm(alpha=0.0)
    method.step(norms=[2.0, 2.0], gram=[[25.0, 4.0], [4.0, 1.0]])
    np.testing.assert_array_equal(method.info["norms"], [2.0, 2.0])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"grads": [[1.0, 2.0], [1.0]]}, "all tasks need gradients of one length, got 2, 1"),
        ({"grads": GRADS[0]}, r"grads must have shape \(T, d\), got \(2,\)"),
        ({"grads": [["a", "b"], ["c", "d"]]}, "grads must be numbers, a row per task"),
        ({"grads": np.ones((2, 0))}, r"grads must have shape \(T, d\), got \(2, 0\)"),
        ({"grads": [[1.0, 2.0], [np.nan, 1.0]]}, "grads must be finite, and so must their norms, got a norm of nan for task 1"),
        ({"grads": np.ones((3, 4))}, "grads must have 2 entries, one per task, got 3"),
        ({"gram": np.ones((2, 3))}, r"gram must have shape \(T, T\), got \(2, 3\)"),
        ({"gram": [[1.0, np.nan], [np.nan, 1.0]]}, r"gram must be finite, got \[ 1. nan\] for task 0"),
        ({"norms": [[1.0, 1.0]]}, r"norms must have shape \(T,\), got \(1, 2\)"),
        ({"norms": ["a", "b"]}, "norms must be numbers"),
        ({"norms": ["1", "2"]}, "norms must be numbers: real numbers are needed, got <U1"),
        ({"norms": [1 + 1j, 2]}, "norms must be numbers: real numbers are needed, got complex128"),
        ({"grads": np.ones((2, 2)) * 1j}, "grads must be numbers, a row per task: real numbers are needed, got complex128"),
        ({"grads": [np.ones(2) * 1j, np.ones(2)]}, "real numbers are needed, got complex128"),
        ({"norms": np.array(["2020", "2021"], "M8[Y]")}, "norms must be numbers: real numbers are needed"),
        ({"norms": [1.0]}, "norms must have 2 entries, one per task, got 1"),
        ({"norms": [1.0, 1.0], "losses": [1.0]}, "losses must have 2 entries, one per task, got 1"),
        ({"losses": [1.0, 1.0]}, r"^GradNorm\.step\(\): GradNorm needs norms= \(or gram= or grads=\)"),
    ],
)
def test_what_a_step_can_not_use_is_named(given, message):
    method = GradNorm(2, alpha=0.0)
    with pytest.raises(ValueError, match=message):
        method.step(**given)
    assert method.n_steps == 0


# --- Gradients parameter by parameter


@pytest.mark.parametrize(
    "grads",
    [
        [[np.array([[1.0], [2.0]]), np.array(3.0)], [np.array([[0.0], [4.0]]), np.array(5.0)]],
        ([np.array([[1.0], [2.0]], np.float32), 3.0], (np.array([[0.0], [4.0]]), [5.0])),
        [{"b": np.array([2.0, 3.0]), "a": 1.0}, {"a": np.array([[0.0]]), "b": np.array([4, 5])}],
        [[[1.0, 2.0], [3.0]], [[0.0, 4.0], [5.0]]],
        [{"w": [[1.0], [2.0]], "inner": {"b": np.array([3.0])}}, {"w": [[0.0], [4.0]], "inner": {"b": np.array([5.0])}}],
        [[np.array([1.0]), np.array([2.0, 3.0]), None], [None, np.array([4.0, 5.0]), None]],
        [[np.array([1.0, 2.0, 3.0], np.float16)], [np.array([0.0, 4.0, 5.0], np.float16)]],
        np.array([[[1.0], [2.0], [3.0]], [[0.0], [4.0], [5.0]]]),
    ],
)
def test_gradients_may_come_parameter_by_parameter(grads):
    method = GradNorm(2, alpha=0.0)
    method.step(grads=grads)
    np.testing.assert_allclose(method.info["norms"], [np.sqrt(14.0), np.sqrt(41.0)], rtol=1e-15)


@pytest.mark.parametrize(
    ("grads", "message"),
    [
        ([[np.ones(2), np.ones(3)], [np.ones(3), np.ones(2)]], "all tasks need gradients of one length, got 2, 3 for parameter 0"),
        ([[np.ones(2), np.ones(3)], [np.ones(5)]], "all tasks need gradients of the same parameters, got 2, 1 of them"),
        ([[None, None], [None, None]], r"grads must have shape \(T, d\), got \(2, 0\)"),
        ([[np.ones(2), "a"], [np.ones(2), "b"]], "grads must be numbers, a row per task: "),
        ([[np.ones(2), np.nan], [np.ones(2), 1.0]], "grads must be finite"),
        ([], r"grads must have shape \(T, d\), got \(0, 0\)"),
    ],
)
def test_parameters_that_do_not_fit_are_named(grads, message):
    method = GradNorm(2, alpha=0.0)
    with pytest.raises(ValueError, match=message):
        method.step(grads=grads)
    assert method.n_steps == 0


def test_backward_needs_tensors(monkeypatch):
    """Without PyTorch, too, which nothing imports here."""
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    with pytest.raises(
        TypeError, match=r"^GradNorm\.backward\(\): losses must be tensors of PyTorch, got a list; step\(\) takes arr"
    ):
        GradNorm(2).backward([1.0, 2.0], [np.ones(3)])
    assert "torch" not in sys.modules


def test_lengths_must_agree_where_the_number_of_tasks_is_not_known():
    method = GradNorm()
    with pytest.raises(ValueError, match="norms must have 2 entries, one per task, got 3"):
        method.step(losses=[1.0, 1.0], norms=[1.0, 1.0, 1.0])
    assert method.n_tasks is None


def test_a_method_that_needs_nothing_has_to_know_how_many_tasks_there_are():
    with pytest.raises(ValueError, match=r"^Uniform\.step\(\): n_tasks must be known at the first step"):
        Uniform().step()
    with pytest.raises(ValueError, match="Uniform has no weights before its first step: n_tasks is not known"):
        _ = Uniform().weights
    np.testing.assert_array_equal(Uniform(3).step(), [1.0, 1.0, 1.0])


# --- What a step leaves behind


def test_a_step_that_fails_changes_nothing():
    method = Doubling(2)
    method.step(losses=[1.0, 1.0])
    before = method.state_dict()
    with pytest.raises(ValueError, match="13"):
        method.step(losses=[1.0, 13.0])
    np.testing.assert_equal(method.state_dict(), before)


def test_weights_that_are_not_finite_are_an_error_that_names_the_input():
    method = Custom(lambda gram, losses: np.where(losses > 0.0, losses, np.inf), 2)
    method.step(losses=[1.0, 2.0], gram=np.eye(2))
    before = method.state_dict()
    with pytest.raises(ValueError, match=r"Custom has no finite weights for losses=\[0.0, 1.0\], norms=\[1.0, 1.0\]"):
        method.step(losses=[0.0, 1.0], gram=np.eye(2))
    np.testing.assert_equal(method.state_dict(), before)


def test_info_is_computed_when_it_is_asked_for():
    method, calls = Doubling(1), []
    method.step(losses=[1.0])
    method._info_of_step = lambda: calls.append(1) or {"a": 1}
    assert calls == []
    assert method.info == method.info == {"a": 1}
    assert calls == [1]


def test_update_every_skips_steps():
    method = Doubling(1, update_every=3)
    assert [float(method.step(losses=[1.0])[0]) for _ in range(7)] == [1.0, 2.0, 2.0, 2.0, 4.0, 4.0, 4.0]


def test_frozen_weights_are_used_and_counted():
    method = Doubling(1)
    method.freeze = True
    assert [float(method.step(losses=[1.0])[0]) for _ in range(3)] == [1.0, 1.0, 1.0]
    method.freeze = False
    assert [float(method.step(losses=[1.0])[0]) for _ in range(2)] == [1.0, 2.0]
    assert method.mean_weights_ == [1.2]


@pytest.mark.parametrize("name", METHODS)
def test_mask_and_freeze_may_be_given_to_every_method(name):
    method = make_method(name, mask=[True, False], freeze=True)
    assert method.n_tasks == 2
    assert method.freeze
    assert method.mask.tolist() == [True, False]
    assert method.arguments() == {"mask": [True, False], "freeze": True}
    method.reset()
    assert method.freeze
    assert method.mask.tolist() == [True, False]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mask": [True]}, r"mask must be True for at least one of 2 tasks, got .*True"),
        ({"mask": [False, False]}, "mask must be True for at least one of 2 tasks"),
    ],
)
def test_mask_and_freeze_must_fit(arguments, message):
    with pytest.raises(ValueError, match=message):
        GradNorm(2, **arguments)


def test_freeze_must_be_true_or_false():
    with pytest.raises(TypeError, match="freeze must be True or False, got 'yes'"):
        GradNorm(2, freeze="yes")


def test_a_mask_of_all_tasks_is_none():
    method = GradNorm(2, mask=[True, True])
    assert method.arguments() == {}
    assert "mask" not in method.state_dict()


@pytest.mark.parametrize("mask", [[False, False], [True, True, True], [[True, False]], []])
def test_mask_must_leave_a_task(mask):
    method = Uniform(2)
    with pytest.raises(ValueError, match="mask must be True for at least one of 2 tasks"):
        method.mask = mask
    assert method.mask.all()


@pytest.mark.parametrize("name", METHODS)
def test_nobody_looks_at_masked_tasks(name):
    method, other = make_method(name, 3), make_method(name, 3)
    given = {"losses": [1.0, 0.5, 2.0], "grads": [*GRADS, [1.0, 1.0]], "stds": [1.0, 3.0, 2.0]}
    absent = {"losses": [1.0, np.nan, 2.0], "grads": [GRADS[0], GRADS[1] * np.nan, [1.0, 1.0]], "stds": [1.0, -1.0, 2.0]}
    for one in (method, other):
        one.mask = [True, False, True]
    for _ in range(3):
        np.testing.assert_array_equal(method.step(**absent), other.step(**given))
    np.testing.assert_array_equal(method.weights, other.weights)


def test_normalized_weights_of_any_sign_have_a_sum_of_absolute_values():
    np.testing.assert_array_equal(Fixed(constants=[3.0, -1.0], normalize="sum").step(), [0.75, -0.25])
    np.testing.assert_array_equal(Fixed(constants=[3.0, -1.0], normalize="mean").weights, [1.5, -0.5])
    np.testing.assert_array_equal(Fixed(constants=[0.0, 0.0], normalize="sum").weights, [0.0, 0.0])


# --- Files


def test_state_of_another_method_or_of_other_tasks_is_refused():
    method, two, three = UncertaintyWeighting(2), GradNorm(2), UncertaintyWeighting(3)
    for other in (two, three):
        other.step(losses=np.ones(other.n_tasks), norms=np.ones(other.n_tasks))
    before = method.state_dict()
    with pytest.raises(ValueError, match="the state must be one of 'uncertainty', got 'gradnorm'"):
        method.load_state_dict(two.state_dict())
    with pytest.raises(ValueError, match="the state must be one of 2 tasks, got 3"):
        method.load_state_dict(three.state_dict())
    np.testing.assert_equal(method.state_dict(), before)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights": np.array([1.0, np.nan])}, "weights must be 2 finite numbers"),
        ({"weights": np.ones(3)}, "weights must be 2 finite numbers"),
        ({"n_steps": -1}, "n_steps must be an integer of at least 0, got -1"),
        ({"state": {}}, "the state has no fitting 'losses'"),
        ({"state": {"losses": np.ones(3)}}, "the state has no fitting 'losses'"),
    ],
)
def test_damaged_state_is_refused(change, message):
    method = DynamicWeightAverage(2)
    method.step(losses=[1.0, 2.0])
    state = method.state_dict()
    with pytest.raises(ValueError, match=message):
        method.load_state_dict({**state, **change})
    np.testing.assert_equal(method.state_dict(), state)


def test_state_is_the_callers_own():
    method = GradNorm(2)
    method.step(losses=[1.0, 2.0], norms=[1.0, 3.0])
    state = method.state_dict()
    weights = method.weights
    state["weights"][:] = 0.0
    state["state"]["initial"][:] = 0.0
    np.testing.assert_array_equal(method.weights, weights)
    assert method.state_dict()["state"]["initial"][0] == 1.0


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda method: pickle.loads(pickle.dumps(method))], ids=["copy", "pickle"])
def test_a_copy_goes_on_with_the_same_bits(name, copied):
    method = make_method(name, 2)
    given = {"losses": [1.0, 2.0], "grads": GRADS, "stds": [1.0, 3.0]}
    method.step(**given)
    other = copied(method)
    for _ in range(3):
        np.testing.assert_array_equal(other.step(**given), method.step(**given))
    np.testing.assert_equal(other.info, method.info)


@pytest.mark.parametrize(
    "expression",
    [
        "GradNorm(n_tasks=2, alpha=0.5, update='paper', learning_rate=0.01, initial_losses=[1.0, 'first'])",
        "UncertaintyWeighting(names=('a', 'b'), kind=['laplace', 'liebel'], update='sgd')",
        "FAMO(n_tasks=2, lower_bounds=[0.0, 1.0], decay=1e-05)",
        "STCH(n_tasks=2, mu=0.5, preference=[0.25, 0.75], reference=[0.0, 1.0])",
        "RandomWeighting(seed=3, normalize='mean', update_every=2)",
        "Fixed(n_tasks=2, constants=[1.0, -2.0])",
        "GradNorm(n_tasks=3, alpha=0.5, mask=[True, False, True], freeze=True)",
        "MGDA(names=('a', 'b'), mask=[True, False])",
    ],
)
def test_repr_says_what_is_not_a_default(expression):
    import fastars.weighting

    assert repr(eval(expression, {name: getattr(fastars.weighting, name) for name in fastars.weighting.__all__})) == expression


# --- Those that are simple


def test_fixed_weights_are_those_given():
    method = Fixed(constants=[1.0, -2.0])
    np.testing.assert_array_equal(method.step(), [1.0, -2.0])
    np.testing.assert_array_equal(method.weights, [1.0, -2.0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"constants": [1.0, np.inf]}, "each entry of constants must be a finite number, got inf"),
        ({"constants": []}, r"constants must have an entry per task, got \[\]"),
        ({"constants": [1.0], "n_tasks": 2}, "constants must have 2 entries, one per task"),
    ],
)
def test_constants_must_fit(arguments, message):
    with pytest.raises(ValueError, match=message):
        Fixed(**arguments)


def test_standard_deviations_are_divided_by():
    np.testing.assert_allclose(StandardDeviation().step(stds=[3.0, 1.0]), [0.5, 1.5], rtol=1e-15)
    assert np.isfinite(StandardDeviation().step(stds=[3.0, 0.0])).all()
    np.testing.assert_array_equal(StandardDeviation().step(stds=[0.0, 0.0]), [1.0, 1.0])


def test_equal_norms_are_the_closed_form_of_gradnorm_with_alpha_0():
    stds = np.array([3.0, 0.2, 1.0])
    method = GradNorm(alpha=0.0, update="closed")
    method.step(norms=stds)
    np.testing.assert_allclose(method.weights, StandardDeviation().step(stds=stds), rtol=1e-14)


def test_a_function_may_be_a_method():
    method = make_method(lambda gram, losses: losses / np.diag(gram), 2)
    np.testing.assert_array_equal(method.step(losses=[1.0, 2.0], grads=GRADS), [1.0 / 25.0, 2.0])
    with pytest.raises(ValueError, match=r"the function must give 2 weights, got shape \(3,\)"):
        Custom(lambda gram, losses: np.ones(3)).step(losses=[1.0, 2.0], grads=GRADS)
    with pytest.raises(TypeError, match="function must be callable, got 3"):
        Custom(3)


def test_a_function_gets_its_warnings():
    method = Custom(lambda gram, losses: losses / np.zeros(2))
    with np.errstate(divide="raise"), pytest.raises(FloatingPointError, match="divide by zero"):
        method.step(losses=[1.0, 2.0], grads=GRADS)


def test_a_function_does_not_change_the_weights_of_masked_tasks():
    method = Custom(lambda gram, losses: losses)
    method.step(losses=[1.0, 2.0], grads=GRADS)
    method.mask = [True, False]
    np.testing.assert_array_equal(method.step(losses=[3.0, 4.0], grads=GRADS), [3.0, 2.0])


# --- The registry


def test_a_method_is_made_by_its_name():
    method = make_method("cagrad", 2, names=("a", "b"), c=0.25)
    assert isinstance(method, CAGrad)
    assert (method.n_tasks, method.names, method.c) == (2, ("a", "b"), 0.25)


def test_a_method_that_fits_is_given_back_with_the_tasks_names():
    method = GradNorm()
    assert make_method(method, 2, ("a", "b")) is method
    assert (method.n_tasks, method.names) == (2, ("a", "b"))


@pytest.mark.parametrize(
    ("weighting", "error", "message"),
    [
        ("grad-norm", ValueError, "weighting must be one of 'uniform', .*, got 'grad-norm'"),
        (GradNorm(3), ValueError, "weighting must be a method of 2 tasks, got GradNorm"),
        (7, TypeError, r"weighting must be a name, a method \(not its class\) or a function, got 7"),
    ],
)
def test_what_is_no_method_is_named(weighting, error, message):
    with pytest.raises(error, match=message):
        make_method(weighting, 2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Uniform(2, normalize="max"), r"^Uniform\(\): normalize must be"),
        (lambda: GradNorm(2, update_every=0), r"^GradNorm\(\): update_every must be"),
        (lambda: Doubling(2, update_every=0), r"^Doubling\(\): update_every must be"),
        (lambda: Doubling(2).step(losses=[1.0]), r"^Doubling\.step\(\): losses must have 2 entries"),
        (lambda: Uniform(2).load_state_dict({}), r"^Uniform\.load_state_dict\(\): the state has no 'method'"),
        (lambda: make_method("gradnorm", 2, update_every=0), r"^make_method\(\): update_every must be"),
    ],
)
def test_an_error_names_the_function_that_was_called(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("weighting", ["gradnorm", lambda gram, losses: losses])
def test_an_unknown_argument_is_named_with_a_near_one(weighting):
    with pytest.raises(TypeError, match=r"\(\) got an unexpected keyword argument 'normalise'; did you mean 'normalize'\?"):
        make_method(weighting, 2, normalise="sum")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Fixed(constants=3.0), "constants must have an entry per task, got 3.0"),
        (lambda: Fixed(constants=["a"]), "each entry of constants must be a finite number, got 'a'"),
        (lambda: GradNorm(2, alpha="a"), "alpha must be a finite number of at least 0, got 'a'"),
        (lambda: GradNorm("2"), "n_tasks must be an integer of at least 1, got '2'"),
    ],
)
def test_arguments_of_another_kind_are_type_errors(make, message):
    with pytest.raises(TypeError, match=message):
        make()


def test_every_method_is_found_by_the_name_it_has():
    assert [make_method(name, 2).name for name in METHODS] == list(METHODS)


def test_import_of_the_package_compiles_nothing():
    code = "import sys, fastars.weighting; assert 'numba' not in sys.modules; assert 'GradNorm' in dir(fastars.weighting)"
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


# --- The page


def test_page_has_a_row_for_every_method():
    sums = {"T": 2.0, "1": 1.0}
    for name in METHODS:
        method = make_method(name, 2)
        (reads, total) = re.search(rf"\| `{name}` \| `{type(method).__name__}` \| (.*?) \| (.*?) \|", PAGE).groups()
        assert reads == (", ".join(method.needs) or "-")
        for _ in range(3):
            weights = method.step(losses=[1.0, 2.0], grads=GRADS, stds=[1.0, 3.0])
            assert total == "-" or weights.sum() == pytest.approx(sums[total], rel=1e-12)


@pytest.mark.parametrize(("program", "expected"), list(zip(PROGRAMS, RESULTS_OF_PROGRAMS, strict=True)))
def test_program_of_the_page_runs(program, expected, tmp_path):
    if "import torch" in program:
        pytest.importorskip("torch", reason="PyTorch is not installed: pip install torch")
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert re.search(expected, done.stdout), done.stdout


def test_the_mask_that_is_read_is_a_copy():
    method = make_method("gradnorm", 2)
    method.mask = [True, False]
    method.mask[:] = False
    assert method.mask.tolist() == [True, False]


def test_names_of_another_number_of_tasks_are_refused_and_not_kept():
    method = make_method("gradnorm", 2)
    with pytest.raises(ValueError, match=r"names must have 2 entries, one per task, got \('a', 'b', 'c'\)"):
        make_method(method, 2, ("a", "b", "c"))
    assert method.names is None


@pytest.mark.parametrize("missing", ["method", "n_tasks", "n_steps", "freeze"])
def test_a_state_that_is_not_whole_is_refused(missing):
    method = make_method("gradnorm", 2)
    state = method.state_dict()
    del state[missing]
    with pytest.raises(ValueError, match=f"the state has no '{missing}'"):
        method.load_state_dict(state)


def test_a_state_comes_back_from_json():
    method, other = (make_method("gradnorm", 2, alpha=0.0, update="softmax") for _ in range(2))
    method.step(norms=[1.0, 2.0])
    plain = json.loads(json.dumps(method.state_dict(), default=lambda array: array.tolist()))
    other.load_state_dict(plain)
    for _ in range(3):
        np.testing.assert_array_equal(method.step(norms=[1.0, 2.0]), other.step(norms=[1.0, 2.0]))
