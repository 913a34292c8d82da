"""Properties of every registered weighting method, future ones included."""

import numpy as np
import pytest

import fastars.weighting
from fastars.weighting import METHODS, make_method
from fastars.weighting.gram_method import GramMethod

EVERY = pytest.mark.parametrize("name", METHODS)
SCALES = [0.0, 1e-10, 1e-5, 1.0, 1e5, 1e10, 1e15]
SUM_TO_1 = ("mgda", "imtl-g", "random", "uw-so")
SUM_TO_T = ("uniform", "std", "gradnorm", "dwa")
ANY_SIGN = ("imtl-g", "config", "aligned-mtl", "fixed")
BY_CHANCE = ("pcgrad", "random")  # what a task gets depends on its place


def tasks(n_tasks, seed=0, scale=1.0):
    """All that a method may ask for."""
    draw = np.random.default_rng([n_tasks, seed])
    grads = draw.standard_normal((n_tasks, 9)) * draw.uniform(0.1, 10.0, (n_tasks, 1)) * scale
    return {"losses": draw.uniform(0.5, 2.0, n_tasks), "grads": grads, "stds": draw.uniform(0.1, 10.0, n_tasks) * scale}


def run(method, n_tasks, n_steps=5, **kwargs):
    return np.array([method.step(**tasks(n_tasks, seed, **kwargs)) for seed in range(n_steps)])


def assert_same(one, other):
    assert one.keys() == other.keys()
    for key, value in one.items():
        if isinstance(value, dict):
            assert_same(value, other[key])
        else:
            np.testing.assert_array_equal(value, other[key])


@EVERY
@pytest.mark.parametrize("n_tasks", [1, 2, 5])
def test_weights_are_finite_and_of_the_promised_sign(name, n_tasks):
    weights = run(make_method(name, n_tasks), n_tasks)
    assert weights.dtype == np.float64
    assert weights.shape == (5, n_tasks)
    assert np.isfinite(weights).all()
    if name not in ANY_SIGN:
        assert (weights >= 0.0).all()


@pytest.mark.parametrize("name", [name for name in METHODS if name in SUM_TO_1 + SUM_TO_T])
@pytest.mark.parametrize("n_tasks", [1, 2, 5])
def test_weights_have_the_sum_that_the_method_states(name, n_tasks):
    expected = 1.0 if name in SUM_TO_1 else n_tasks
    np.testing.assert_allclose(run(make_method(name, n_tasks), n_tasks).sum(axis=1), expected, rtol=1e-12)


@EVERY
@pytest.mark.parametrize(("normalize", "total"), [("sum", 1.0), ("mean", 3.0)])
def test_normalize_scales_the_sum_of_absolute_values(name, normalize, total):
    method = make_method(name, 3, normalize=normalize)
    np.testing.assert_allclose(np.abs(run(method, 3)).sum(axis=1), total, rtol=1e-12)
    np.testing.assert_allclose(np.abs(method.weights).sum(), total, rtol=1e-12)


@EVERY
def test_number_of_tasks_is_that_of_the_first_step(name):
    method = make_method(name)
    method.step(**tasks(3))
    assert method.n_tasks == len(method.weights) == 3
    with pytest.raises(ValueError, match="must have 3 entries"):
        method.step(**tasks(4))


@pytest.mark.parametrize("name", [name for name in METHODS if name not in BY_CHANCE])
def test_permuted_tasks_have_permuted_weights(name):
    order = np.array([2, 0, 3, 1])
    one, other = make_method(name, 4), make_method(name, 4)
    for seed in range(4):
        given = tasks(4, seed)
        weights = one.step(**given)
        permuted = other.step(**{key: value[order] for key, value in given.items()})
        np.testing.assert_allclose(permuted, weights[order], rtol=1e-8)


@EVERY
@pytest.mark.parametrize("scale", SCALES)
def test_gradients_of_any_scale_have_finite_weights(name, scale):
    method = make_method(name, 3)
    assert np.isfinite(run(method, 3, scale=scale)).all()
    assert np.isfinite(method.weights).all()


@EVERY
def test_a_task_without_a_gradient_has_a_finite_weight(name):
    method = make_method(name, 3)
    given = tasks(3)
    given["grads"][1], given["stds"][1] = 0.0, 0.0
    for _ in range(20):
        assert np.isfinite(method.step(**given)).all()


@EVERY
def test_float32_gradients_have_the_weights_of_their_float64_copies(name):
    given = tasks(3)
    single = given["grads"].astype(np.float32)
    weights = make_method(name, 3).step(**given | {"grads": single})
    np.testing.assert_array_equal(weights, make_method(name, 3).step(**given | {"grads": single.astype(np.float64)}))


@EVERY
def test_a_step_changes_none_of_its_arguments(name):
    given = tasks(3)
    make_method(name, 3).step(**given)
    assert_same(given, tasks(3))


@EVERY
def test_returned_weights_are_the_callers_own(name):
    method = make_method(name, 3)
    method.step(**tasks(3))[:] = np.nan
    method.weights[:] = np.nan
    assert np.isfinite(method.weights).all()
    assert np.isfinite(method.mean_weights_).all()


@EVERY
def test_mean_weights_are_the_mean_of_those_used(name):
    method = make_method(name, 3)
    np.testing.assert_allclose(method.mean_weights_, method.weights)
    np.testing.assert_allclose(run(method, 3).mean(axis=0), method.mean_weights_, rtol=1e-12)


# --- Bad input


@EVERY
def test_what_a_method_needs_and_is_not_told_is_named(name):
    method = make_method(name, 3)
    for need in method.needs:
        given = tasks(3)
        del given["grads" if need in ("norms", "gram") else need]
        with pytest.raises(ValueError, match=f"needs {need}="):
            method.step(**given)


@EVERY
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_input_that_is_not_finite_changes_nothing(name, bad):
    method = make_method(name, 3, names=("a", "b", "c"))
    run(method, 3)
    before = method.state_dict()
    for need in method.needs:
        key = "grads" if need in ("norms", "gram") else need
        given = tasks(3)
        given[key][1] = bad
        with pytest.raises(ValueError, match=r"must be finite"):
            method.step(**given)
        with pytest.raises(ValueError, match=r"entries|one length"):
            method.step(**tasks(3) | {key: tasks(4)[key]})
        assert_same(method.state_dict(), before)


@EVERY
def test_an_unknown_normalisation_is_refused(name):
    with pytest.raises(ValueError, match="normalize must be one of 'sum', 'mean', None, got 'max'"):
        make_method(name, 3, normalize="max")


# --- What is held, and files


@EVERY
def test_masked_task_keeps_its_weight_and_does_not_count(name):
    one, other = make_method(name, 4), make_method(name, 4)
    for method in (one, other):
        run(method, 4, 2)
        method.mask = [True, True, False, True]
    before = one.weights
    for seed in range(3):
        given, changed = tasks(4, seed), tasks(4, seed)
        changed["losses"][2], changed["grads"][2], changed["stds"][2] = 1.7, -3.0, 5.0
        weights = one.step(**given)
        assert weights[2] == one.weights[2] == before[2]
        np.testing.assert_array_equal(weights, other.step(**changed))


@EVERY
def test_frozen_weights_stay(name):
    method = make_method(name, 3)
    run(method, 3)
    method.freeze = True
    weights = method.weights
    np.testing.assert_array_equal(run(method, 3), [weights] * 5)
    assert method.n_steps == 10


@EVERY
def test_a_loaded_state_goes_on_with_the_same_bits(name):
    method, loaded = make_method(name, 3), make_method(name)
    run(method, 3)
    state = method.state_dict()
    loaded.load_state_dict(state)
    assert_same(loaded.state_dict(), state)
    np.testing.assert_array_equal(run(loaded, 3), run(method, 3))
    assert_same(loaded.state_dict(), method.state_dict())


@EVERY
def test_reset_begins_anew(name):
    method = make_method(name, 3)
    first = run(method, 3)
    method.reset()
    assert method.n_steps == 0
    np.testing.assert_array_equal(run(method, 3), first)


@EVERY
def test_repr_makes_the_method_again(name):
    method = make_method(name, names=("a", "b", "c"), normalize="mean")
    scope = {class_name: getattr(fastars.weighting, class_name) for class_name in fastars.weighting.__all__}
    again = eval(repr(method), scope)
    assert repr(again) == repr(method)
    np.testing.assert_array_equal(run(again, 3), run(method, 3))


# --- Methods of the Gram matrix alone

GRAM = [name for name in METHODS if issubclass(type(make_method(name, 2)), GramMethod)]
OF_GRAM = pytest.mark.parametrize("name", GRAM)


def test_methods_of_the_gram_matrix():
    assert {"mgda", "imtl-g", "config", "pcgrad", "cagrad", "aligned-mtl", "nash-mtl", "fairgrad", "dualproj", "upgrad"} <= set(
        GRAM
    )


@OF_GRAM
def test_weights_until_the_next_step_are_those_returned(name):
    method = make_method(name, 3)
    for seed in range(3):
        np.testing.assert_array_equal(method.step(**tasks(3, seed)), method.weights)


@OF_GRAM
def test_rates_are_those_of_the_weighted_gradient(name):
    method, grads = make_method(name, 3), tasks(3)["grads"]
    weights = method.step(grads=grads)
    np.testing.assert_allclose(method.info["rates"], grads @ (weights @ grads), rtol=1e-12, atol=1e-10)
    np.testing.assert_allclose(method.info["norms"], np.linalg.norm(grads, axis=1), rtol=1e-12)


@OF_GRAM
def test_an_indefinite_gram_matrix_has_finite_weights(name):
    gram = np.array([[1.0, 3.0, 0.2], [3.0, 4.0, 0.2], [0.2, 0.2, -0.5]])
    assert np.isfinite(make_method(name, 3).step(gram=gram)).all()


@OF_GRAM
def test_a_gram_matrix_that_is_not_symmetric_is_refused(name):
    method = make_method(name, 2)
    with pytest.raises(ValueError, match="gram must be symmetric, got entries that differ by 2"):
        method.step(gram=[[4.0, 1.0], [3.0, 4.0]])
    assert method.n_steps == 0


@OF_GRAM
def test_a_gram_matrix_has_to_be_symmetric_where_tasks_take_part(name):
    method = make_method(name, 3)
    method.mask = [True, True, False]
    method.step(gram=[[4.0, 1.0, np.nan], [1.0, 4.0, 7.0], [np.nan, 2.0, 4.0]])
    with pytest.raises(ValueError, match="gram must be symmetric, got entries that differ by 2"):
        method.step(gram=[[4.0, 1.0, np.nan], [3.0, 4.0, 7.0], [np.nan, 2.0, 4.0]])
    assert method.n_steps == 1


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("cagrad", {"c": -0.1}, "c must be a finite number of at least 0, got -0.1"),
        ("fairgrad", {"alpha": 0.0}, "alpha must be a finite number of at least 0.1 and below 100, got 0.0"),
        ("pcgrad", {"seed": -1}, "seed must be an integer of at least 0, got -1"),
        ("upgrad", {"preference": [1.0, -1.0]}, "each entry of preference must be a finite number of at least 0, got -1.0"),
        ("dualproj", {"preference": [0.0, 0.0]}, "preference must have an entry above 0, got"),
        ("dualproj", {"preference": [1.0, 1.0, 1.0]}, "preference must have 2 entries, one per task"),
    ],
)
def test_arguments_out_of_range_are_named(name, arguments, message):
    with pytest.raises(ValueError, match=message):
        make_method(name, 2, **arguments)


def test_pcgrad_meets_in_another_order_in_every_step():
    """And in the same one after a restart: the order is that of the seed and of the number of the step."""
    given = {"gram": np.array([[4.0, -1.0, -1.0], [-1.0, 2.0, -1.0], [-1.0, -1.0, 2.0]])}
    one, other = make_method("pcgrad", 3), make_method("pcgrad", 3, seed=1)
    weights = np.array([one.step(**given) for _ in range(8)])
    assert len(np.unique(weights, axis=0)) > 2
    assert np.abs(weights - [other.step(**given) for _ in range(8)]).max() > 0.0


def test_preference_of_the_tasks_that_take_part():
    method = make_method("dualproj", 3, preference=[0.2, 0.3, 0.5])
    method.mask = [True, False, True]
    weights = method.step(gram=np.eye(3))
    np.testing.assert_allclose(weights, [0.2, 0.3, 0.5])
