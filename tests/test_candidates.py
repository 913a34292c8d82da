"""Candidates that are made when they are read: the rows of `ask()`, and the results of every sampler that gets them.

Broken on purpose -> red: pieces of rows that begin one too early, a negative number not counted from the end
(`rows_of_the_array`); a mask that is no selection, `copy=False` without effect (`reads_like_the_array`); rows written into theta
(`memory_of_theta`); any object taken for `lazy`; threads that all begin at the first number of a direction (`several_threads`); an
iteration over an array of all candidates (`memory_of_a_few`).
"""

import tracemalloc

import numpy as np
import pytest

import fastars
from fastars import ARS, kernels, reference
from fastars.samplers import candidates as module
from fastars.samplers.candidates import Candidates
from fastars.samplers.noise_table import NoiseTable

BACKENDS = pytest.mark.parametrize("backend", [kernels, reference], ids=["kernels", "reference"])


def model(**settings):
    return ARS("MlpPolicy", "CartPole-v1", **{"n_delta": 4, "seed": 3, "policy_kwargs": {"net_arch": [30]}, **settings})


@BACKENDS
def test_candidates_are_written_from_any_one_to_any_other(backend):
    noise, indices = np.array([1, 2, 3, 4], np.float32), np.array([2, 0])
    everything = [[11.5, 22.0], [8.5, 18.0], [10.5, 21.0], [9.5, 19.0]]
    for first in range(4):
        for last in range(first + 1, 5):
            out = np.empty((last - first, 2))
            backend.write_candidates(np.array([10.0, 20.0]), 0.5, noise, indices, first, out)
            assert out.tolist() == everything[first:last]


@BACKENDS
def test_candidates_in_float32_are_rounded_once(backend):
    theta, noise = np.array([1.0]), np.array([2.0**-24 + 2.0**-47], np.float32)
    out = np.empty((2, 1), np.float32)
    backend.write_candidates(theta, 1.0, noise, np.array([0]), 0, out)
    assert out[0, 0] == np.float32(1.0 + 2.0**-23)  # 1 + 2**-24 is a tie, and goes to 1


@pytest.mark.parametrize("piece", [20, 1 << 21])
def test_lazy_candidates_are_the_rows_of_the_array(piece, monkeypatch):
    monkeypatch.setattr(module, "PIECE", piece)  # 20: the array is made two rows at a time
    lazy, rows = model().ask(lazy=True), model().ask()
    assert (len(lazy), lazy.shape) == (8, rows.shape)
    np.testing.assert_array_equal(np.asarray(lazy), rows)
    np.testing.assert_array_equal(list(lazy), rows)
    np.testing.assert_array_equal([lazy[k] for k in range(-8, 8)], np.concatenate((rows, rows)))
    for part in (slice(1, 6), slice(5, 2), slice(None, None, -3), slice(-3, None), np.array([5, 0, 5])):
        np.testing.assert_array_equal(lazy[part], rows[part])
    out = np.empty(rows.shape[1], np.float32)
    for k in range(8):
        lazy.write(k, out)
        np.testing.assert_array_equal(out, rows[k].astype(np.float32))


@pytest.mark.parametrize("n_threads", [1, 2, 3])
def test_a_candidate_is_written_by_several_threads(n_threads, monkeypatch):
    monkeypatch.setattr(module, "_COLUMNS", 70)
    for dtype in (np.float64, np.float32):
        one = model(n_threads=n_threads)
        rows, out = one.ask(), np.empty(212, dtype)
        for k in range(8):
            one.ask(lazy=True).write(k, out)
            np.testing.assert_array_equal(out, rows[k].astype(dtype))


def test_directions_are_those_of_the_candidates():
    one = model(delta_std=0.5)
    lazy = one.ask(lazy=True)
    for k in (0, 3, -1):
        np.testing.assert_array_equal(one.theta + 0.5 * lazy.direction(k).astype(float), lazy[range(8)[2 * k]])
    with pytest.raises(ValueError, match="read-only"):
        lazy.direction(0)[0] = 1.0


@pytest.mark.parametrize("wrong", [np.empty(3), np.empty(212, np.int64), np.empty((212, 2))[:, 0], [0.0] * 212, "read-only"])
def test_an_array_that_can_not_be_written_to_is_an_error(wrong):
    lazy = model().ask(lazy=True)
    assert lazy.shape[1] == 212
    wrong = np.broadcast_to(0.0, (212,)) if isinstance(wrong, str) else wrong
    with pytest.raises(ValueError, match=r"Candidates\.write\(\): out must be a contiguous array of float64 or float32"):
        lazy.write(0, wrong)


def test_a_selection_reads_like_the_array():
    lazy, rows = model().ask(lazy=True), model().ask()
    for which in (np.arange(8) % 3 == 0, [1, -2], [True, False] * 4, np.zeros(0, int), []):
        np.testing.assert_array_equal(lazy[which], rows[which])
    for which in (np.array([True, False]), [8], np.array([0, -9])):
        with pytest.raises(IndexError):
            lazy[which]
    with pytest.raises(ValueError, match="without a copy"):
        np.asarray(lazy, copy=False)


def test_the_memory_of_theta_is_not_written_to():
    one = model()
    lazy, before = one.ask(lazy=True), one.theta.copy()
    for out in (one.theta, lazy.theta, lazy.theta.view(), lazy.theta[:]):
        with pytest.raises(ValueError, match=r"Candidates\.write\(\): out must be an array of its own"):
            lazy.write(1, out)
    np.testing.assert_array_equal(one.theta, before)


@pytest.mark.parametrize("lazy", ["no", None, 2])
def test_lazy_is_true_or_false(lazy):
    with pytest.raises(TypeError, match="lazy must be True or False"):
        model().ask(lazy=lazy)


@pytest.mark.parametrize("which", [8, -9])
def test_a_candidate_that_is_not_there_is_an_error(which):
    with pytest.raises(IndexError, match=f"candidate must be from -8 to 7, got {which}"):
        model().ask(lazy=True)[which]


def test_tell_takes_the_step_of_lazy_candidates():
    both = model(), model()
    for lazy, one in enumerate(both):
        for _ in range(3):
            one.tell([-float(np.sum((weights - 0.1) ** 2)) for weights in one.ask(lazy=bool(lazy))])
    np.testing.assert_array_equal(both[0].theta, both[1].theta)


def test_lazy_candidates_take_the_memory_of_a_few():
    n_weights = 1_000_000
    table = NoiseTable(kernels, 0, 4 * n_weights)
    lazy = Candidates(np.zeros(n_weights), 0.1, np.arange(40), table)
    table.whole()
    tracemalloc.start()
    try:
        for _ in lazy:
            pass
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 5 * 8 * n_weights  # a pair that somebody still reads, and the next one; of 80


@pytest.fixture
def in_small_pieces(monkeypatch):
    """Let every run have large candidates, and blocks of one or two of them."""
    monkeypatch.setattr(module, "_MOST_AT_ONCE", 0)
    monkeypatch.setattr(module, "PIECE", 20)


RUNS = {
    "compiled": {},
    "linear, without bias": {"policy": "LinearPolicy", "n_eval_episodes": 3},
    "episodes of one candidate in several blocks": {"n_eval_episodes": 20, "n_delta": 1, "n_threads": 5},
    "the twin": {"backend": "numpy"},
    "in Python": {"compiled": False},
    "several tasks": {"env": ["CartPole-v1", "CartPole-v1"]},
    "with a filter": {"normalize_observations": True},
    "workers": {"compiled": False, "n_workers": 2},
}


def trained(policy="MlpPolicy", env="CartPole-v1", **settings):
    network = {} if policy == "LinearPolicy" else {"policy_kwargs": {"net_arch": [30]}}
    one = ARS(policy, env, **{"n_delta": 4, "seed": 3, **network, **settings}).learn(600)
    one.close()
    return one


@pytest.mark.parametrize("run", RUNS)
def test_candidates_made_in_pieces_give_the_bits_of_an_array(run, in_small_pieces, monkeypatch):
    made = []
    for backend in (kernels, reference):
        write = backend.write_candidates
        monkeypatch.setattr(backend, "write_candidates", lambda *args, write=write: (made.append(len(args[-1])), write(*args)))
    in_pieces = trained(**RUNS[run])
    assert made
    assert max(made) <= 2
    monkeypatch.setattr(module, "_MOST_AT_ONCE", 1 << 23)
    made.clear()
    whole = trained(**RUNS["in Python" if run == "workers" else run])  # workers take seconds to start, and change no bit
    assert made == []
    np.testing.assert_array_equal(in_pieces.theta, whole.theta)
    assert in_pieces.num_timesteps == whole.num_timesteps


@pytest.mark.parametrize("physics", ["mujoco", "lanes"])
def test_candidates_made_in_pieces_give_the_bits_of_an_array_in_mujoco(physics, in_small_pieces, monkeypatch):
    pytest.importorskip("mujoco", reason="MuJoCo environments need the mujoco package")
    settings = {"env": "InvertedPendulum-v5", "physics": physics, "n_delta": 40, "n_threads": 1}
    in_pieces = trained(**settings)
    monkeypatch.setattr(module, "_MOST_AT_ONCE", 1 << 23)
    np.testing.assert_array_equal(in_pieces.theta, trained(**settings).theta)


def test_evaluate_candidates_is_told_of_candidates_as_of_an_array():
    one = model()
    seeds = np.arange(8, dtype=np.uint64)
    lazy = one.ask(lazy=True)
    expected = fastars.evaluate_candidates("CartPole-v1", one.ask(), seeds, policy="MlpPolicy", policy_kwargs={"net_arch": [30]})
    got = fastars.evaluate_candidates("CartPole-v1", lazy, seeds, policy="MlpPolicy", policy_kwargs={"net_arch": [30]})
    np.testing.assert_array_equal(got.returns, expected.returns)
