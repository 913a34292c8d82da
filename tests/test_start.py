"""`ARS(..., init=policy)`: a new run that acts like the policy at first, whatever file it comes from.

Broken on purpose -> red: the weights left out (`starts_from_a_policy`); the statistics left out (`run_of_the_original`); the number
of observations lost (`need_trust`); normalisation left to the preset (`decides_if_observations_are_normalised`); shapes and
`policy_kwargs` not compared (`said_with_both_shapes`).
"""

import io
from pathlib import Path

import numpy as np
import pytest

from fastars import ARS, CheckpointError, exchange

DATA = Path(__file__).parent / "data"
OBSERVATIONS = np.random.default_rng(0).normal(size=(200, 3))
SMALL = {"n_delta": 2, "n_threads": 1, "noise_size": 1 << 16, "max_episode_steps": 40}
KINDS = [
    {},
    {"normalize_observations": True},
    {"policy_kwargs": {"with_bias": True, "squash_output": True}, "normalize_observations": True},
    {"policy": "MlpPolicy", "policy_kwargs": {"net_arch": [5, 4], "activation_fn": "tanh"}, "normalize_observations": True},
    {"policy": "MlpPolicy", "policy_kwargs": {"net_arch": [3], "with_bias": False}},
]


def new(policy="LinearPolicy", env="Pendulum-v1", seed=1, **settings):
    return ARS(policy, env, seed=seed, **SMALL | settings)


def trained(policy="LinearPolicy", **settings):
    return new(policy, seed=0, zero_policy=False, **settings).learn(400)


def acts_like(model, other, observations=OBSERVATIONS):
    return np.array_equal(model.predict(observations)[0], other.predict(observations)[0])


def written(model, kind, folder):
    """A model, or its policy, as `init` takes it."""
    path = folder / f"{kind}.file"
    if kind == "model.zip":
        model.save(folder / kind)
        return folder / kind
    if kind == "policy":
        model.policy.save(path)
        return path
    if kind == "npz":
        exchange.arrays.write(model, path)
        return path
    if kind == "open":
        file = io.BytesIO()
        model.save(file)
        return file
    return {"itself": model, "its policy": model.policy}[kind]


@pytest.mark.parametrize("settings", KINDS)
@pytest.mark.parametrize("kind", ["model.zip", "policy", "npz", "open", "itself", "its policy"])
def test_a_run_starts_from_a_policy(tmp_path, kind, settings):
    policy = settings.get("policy", "LinearPolicy")
    model = trained(**settings)
    started = new(policy, init=written(model, kind, tmp_path))
    assert np.array_equal(started.theta, model.theta)
    assert started.config.normalize_observations == model.config.normalize_observations
    assert started.config.squash_output == model.config.squash_output
    assert (started.num_timesteps, started.iteration, started.seed) == (0, 0, 1)
    assert not any(slot.any() for slot in started.state.slots)
    if kind in ("model.zip", "open", "itself"):
        assert acts_like(started, model)
        assert started.state.moments.count == model.state.moments.count
        assert np.array_equal(started.state.moments.m2, model.state.moments.m2)
    np.testing.assert_allclose(started.predict(OBSERVATIONS)[0], model.predict(OBSERVATIONS)[0], rtol=1e-6, atol=1e-7)
    assert started.learn(200).num_timesteps > 0
    assert np.array_equal(model.theta, trained(**settings).theta)  # nobody wrote into the policy


def test_the_first_iteration_explores_around_the_policy():
    model = trained()
    started = new(init=model, delta_std=1e-6, learning_rate=0.0)
    assert np.abs(started.ask() - model.theta).max() < 1e-4


def test_statistics_go_on(tmp_path):
    """The filter of the run moves on from the statistics, as one that had seen these observations."""
    model = trained(normalize_observations=True)
    started = new(init=model)
    before = started.state.moments
    assert before.count == model.state.moments.count > 100
    started.learn(100)
    after = started.state.moments
    assert after.count == before.count + started.num_timesteps
    assert np.abs(after.mean - before.mean).max() < 5 * (after.count - before.count) / after.count


def test_a_run_of_the_original_is_a_start(tmp_path):
    model = trained(normalize_observations=True, clip_actions=False)
    exchange.original.write(model, tmp_path / "lin_policy_plus.npz")
    started = new(init=tmp_path / "lin_policy_plus.npz", clip_actions=False)
    np.testing.assert_allclose(started.predict(OBSERVATIONS)[0], model.predict(OBSERVATIONS)[0], rtol=1e-5, atol=1e-6)
    assert started.state.moments.count == 1_000_000  # the file does not say it
    assert started.preset == "fastars"


def test_a_policy_of_sb3_is_a_start():
    theirs = ARS.load(DATA / "sb3_bias.zip", env="CartPole-v1")
    started = new(env="CartPole-v1", init=DATA / "sb3_bias.zip")
    observations = np.random.default_rng(1).normal(size=(100, 4))
    assert acts_like(started, theirs, observations)
    assert (started.preset, started.num_timesteps) == ("fastars", 0)
    assert started.config.with_bias


def test_statistics_of_a_vec_normalize_need_trust():
    with pytest.warns(UserWarning, match=r"vecnormalize.pkl is not read.*fastars import --trust"):
        assert not new(init=DATA / "sb3_linear.zip").config.normalize_observations
    read = exchange.read(DATA / "sb3_linear.zip", trust=True)
    started = new(init=read)
    assert started.state.moments.count == read.count
    np.testing.assert_allclose(started.policy.filter.mean, read.mean)


# --- Arrays

W = np.array([[0.5, -1.0, 2.0]])
MEAN, STD = np.array([0.1, 0.2, 0.3]), np.array([1.0, 2.0, 0.5])


def test_arrays_in_a_file(tmp_path):
    np.save(tmp_path / "w.npy", W)
    np.savez(tmp_path / "one.npz", W)
    np.savez(tmp_path / "named.npz", W=W)
    np.savez(tmp_path / "zero.npz", W0=W.astype(np.float32))
    np.savez_compressed(tmp_path / "fortran.npz", W=np.asfortranarray(W))
    for name in ("w.npy", "one.npz", "named.npz", "zero.npz", "fortran.npz"):
        started = new(init=str(tmp_path / name))
        assert started.theta.tolist() == W.ravel().tolist(), name
        assert not started.config.normalize_observations
    assert new(init=W).theta.tolist() == new(init=W.tolist()).theta.tolist() == new(init=W.ravel()).theta.tolist()


def test_statistics_in_a_file_of_arrays(tmp_path):
    np.savez(tmp_path / "a.npz", W=W, b=[0.25], mean=MEAN, std=STD, count=50)
    np.savez(tmp_path / "b.npz", W0=W, b0=[0.25], obs_mean=MEAN, obs_std=STD, obs_count=50)
    for name in ("a.npz", "b.npz"):
        started = new(init=tmp_path / name)
        assert started.state.moments.count == 50
        wanted = np.clip((OBSERVATIONS - MEAN) / STD @ W.T + 0.25, -2.0, 2.0)
        np.testing.assert_allclose(started.predict(OBSERVATIONS)[0], wanted, rtol=1e-5, atol=1e-6)
    np.savez(tmp_path / "c.npz", W=W, mean=MEAN, std=STD)
    assert new(init=tmp_path / "c.npz").state.moments.count == 1_000_000


def test_a_network_in_a_file_of_arrays(tmp_path):
    rng = np.random.default_rng(3)
    layers = {"W0": rng.normal(size=(5, 3)), "b0": rng.normal(size=5), "W1": rng.normal(size=(1, 5)), "b1": rng.normal(size=1)}
    np.savez(tmp_path / "net.npz", **layers)
    started = new("MlpPolicy", init=tmp_path / "net.npz", policy_kwargs={"squash_output": False, "activation_fn": "tanh"})
    wanted = np.tanh(OBSERVATIONS @ layers["W0"].T + layers["b0"]) @ layers["W1"].T + layers["b1"]
    np.testing.assert_allclose(started.predict(OBSERVATIONS)[0], np.clip(wanted, -2.0, 2.0), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("arrays", "told"),
    [
        ({"V": W}, "arrays named V; a policy has W and b, or W0"),
        ({"mean": MEAN, "std": STD}, "weights named none; a policy has"),
        ({"W": W, "mean": MEAN}, "statistics of observations are mean, std and perhaps count, got mean alone"),
        ({"W": W, "mean": MEAN[:2], "std": STD[:2]}, "mean and the deviation of observations have 2 and 2 entries, the policy 3"),
        ({"W": W, "mean": MEAN, "std": -STD}, "deviation that is negative"),
        ({"W": W, "mean": MEAN, "std": STD, "count": 0}, "count must be an integer from 1"),
        ({"W": W, "mean": MEAN, "std": STD, "count": [1, 2]}, r"count must be a number, got an array of shape \(2,\)"),
        ({"W": W, "b": [1.0, 2.0]}, "the biases of layer 0 are missing, unexpected or of another number than its 1 outputs"),
        ({"W": W * np.nan}, "weights that are not finite"),
        ({"W": W.ravel(), "b": [1.0]}, "W has one axis, as a vector of all weights, beside b"),
        ({"W": W[None]}, r"layer 0 has weights of shape \(1, 1, 3\)"),
        ({"W": np.array([["a"]])}, "W must be numbers, got <U1"),
        ({"W0": W, "W2": W}, "weights named W0, W2"),
        ({"W": W, "obs_mean": MEAN, "mean": MEAN, "std": STD}, "arrays named W, mean, obs_mean, std"),
    ],
)
def test_arrays_that_are_no_policy_are_named(tmp_path, arrays, told):
    np.savez(tmp_path / "policy.npz", **arrays)
    with pytest.raises(CheckpointError, match=rf"policy\.npz.*{told}"):
        new(init=tmp_path / "policy.npz")


# --- What does not fit


@pytest.mark.parametrize(
    ("init", "settings", "told"),
    [
        (W, {"env": "CartPole-v1"}, r"weights of shape \(1, 3\); CartPole-v1 needs weights of shape \(2, 4\)$"),
        (W.T, {}, r"weights of shape \(3, 1\); Pendulum-v1 needs weights of shape \(1, 3\); W is \(outputs, observations\)"),
        (np.zeros(8), {}, r"init=the array has 8 weights; a policy with weights of shape \(1, 3\) has 3"),
        (W, {"policy_kwargs": {"with_bias": True}}, "policy_kwargs must have with_bias=False, as in init=the array; got True"),
        (W, {"policy": "MlpPolicy"}, "policy must be 'LinearPolicy', as in init=the array; got 'MlpPolicy'"),
        (W * np.inf, {}, "not finite"),
        ([["a"]], {}, "init must be a path, an array of weights, a model, or a policy that exchange.read returned"),
        (object(), {}, "init must be a path"),
    ],
)
def test_what_does_not_fit_is_said_with_both_shapes(init, settings, told):
    with pytest.raises((ValueError, TypeError), match=rf"^ARS\(\): .*{told}"):
        new(init=init, **settings)


def test_a_network_does_not_fit_another_one():
    model = trained("MlpPolicy", policy_kwargs={"net_arch": [5, 4]})
    with pytest.raises(ValueError, match=r"net_arch=\(5, 4\), as in init=the model; got \[6\]"):
        new("MlpPolicy", init=model, policy_kwargs={"net_arch": [6]})
    with pytest.raises(ValueError, match=r"layers of 3, 5, 4, 1 units; CartPole-v1 needs layers of 4, 5, 4, 2 units"):
        new("MlpPolicy", env="CartPole-v1", init=model)


def test_files_that_are_no_policy_are_named(tmp_path):
    (tmp_path / "text.txt").write_text("no policy")
    with pytest.raises(CheckpointError, match=r"text.txt"):
        new(init=tmp_path / "text.txt")
    with pytest.raises(FileNotFoundError, match=r"none.zip"):
        new(init=tmp_path / "none.zip")
    trained().save(tmp_path / "model.zip")
    with pytest.raises(CheckpointError, match=r"it has model.zip"):
        new(init=tmp_path)
    content = (tmp_path / "model.zip").read_bytes()
    (tmp_path / "cut.zip").write_bytes(content[: len(content) // 2])
    with pytest.raises(CheckpointError, match=r"cut.zip"):
        new(init=tmp_path / "cut.zip")


def test_the_policy_decides_if_observations_are_normalised(tmp_path):
    normalised, raw = trained(normalize_observations=True), trained()
    assert new(init=normalised).config.variant == "V2"
    assert not ARS("LinearPolicy", "Pendulum-v1", preset="tuned", init=raw).config.normalize_observations
    for settings in ({"normalize_observations": False}, {"variant": "V1"}):
        with pytest.raises(ValueError, match=r"must be a policy on raw observations with .*; the model acts on normalised ones"):
            new(init=normalised, **settings)
    for settings in ({"normalize_observations": True}, {"variant": "V2"}):
        with pytest.warns(UserWarning, match=r"the model has no statistics of observations, and the run has"):
            assert new(init=raw, **settings).state.moments.count == 0


def test_a_file_with_functions_in_it_is_a_start(tmp_path):
    """Schedules and weightings that a file can't hold don't matter to its policy: there is no warning."""
    model = new(learning_rate=lambda progress: 0.02 * progress).learn(100)
    model.save(tmp_path / "model.zip")
    assert np.array_equal(new(init=tmp_path / "model.zip").theta, model.theta)


def test_a_started_run_is_saved_and_goes_on_without_the_policy(tmp_path):
    np.save(tmp_path / "w.npy", W)
    whole = new(init=tmp_path / "w.npy").learn(400)
    begun = new(init=tmp_path / "w.npy")
    begun.save(tmp_path / "begun.zip")
    (tmp_path / "w.npy").unlink()
    assert np.array_equal(ARS.load(tmp_path / "begun.zip", n_threads=1).learn(400).theta, whole.theta)
