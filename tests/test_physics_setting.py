"""`physics="lanes"` at each door of the package: what runs over lanes, is refused, falls back, or is in MuJoCo all the same.

Broken on purpose, one at a time: no sampler of its own for evaluations -> test_a_policy_trained_over_lanes, test_eval_callback
and test_a_sampler_of_the_users_own red, the last of them also if that sampler is used; "tuned" without lanes, or another preset
with them -> test_no_preset_but_tuned and those of the command; `set_env` forgets -> test_set_env; the physics of an environment
is ignored by `make_sampler`, `make_vec` or `evaluate_candidates` -> their tests; one environment without lanes is enough for an
error -> test_of_several_environments; copies share lanes -> test_copies; callbacks of MuJoCo are not looked at ->
test_a_callback_of_mujoco; a fallback without a warning, or under its old name, or an error where the setting is a file's ->
test_a_model_without_lanes and those of files; a disagreement without a warning -> test_lanes_that_disagree; another physics that
`load` does not log, or does not take -> test_a_run_may_go_on; `verify` replays all in MuJoCo, or compares nothing, or takes lanes
that are not there -> those of verify; lanes without compilation -> test_without_compilation_training.
"""

import copy
import logging
import pickle
import re
import tomllib
import warnings

import numba
import numpy as np
import pytest

pytest.importorskip("mujoco", reason="MuJoCo environments need the mujoco package")

import gymnasium
import mujoco
from watched_samplers import Watched

import fastars
from fastars import ARS, UnsupportedEnvError, evaluate_candidates, evaluate_policy
from fastars.callbacks import EvalCallback
from fastars.cli import main
from fastars.cli.lane_episodes import Comparison
from fastars.cli.recorded_episodes import Episode, RecordedEpisodes
from fastars.envs.errors import LanesDisagreeError
from fastars.envs.mujoco import lanes
from fastars.files import checkpoint
from fastars.samplers.simulated import SimulatedSampler
from fastars.training import presets

pytestmark = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="lanes are compiled")
ENV = "InvertedPendulum-v5"
UNSUPPORTED = r"^Pusher-v5 runs through mj_step, not over lanes: the joint '\w+' is not parallel to the first hinge"
SWIMMER = "Swimmer-v5"  # its episodes end after a number of steps, and returns have many digits
SETTINGS = {"seed": 3, "n_delta": 4, "n_threads": 1, "noise_size": 1 << 16, "max_episode_steps": 60, "normalize_observations": True}


def lanes_model(env=ENV, **changes):
    return ARS("LinearPolicy", env, **{**SETTINGS, "physics": "lanes", **changes})


def is_over_lanes(model):
    return model.config.physics == "lanes" and "lanes" in model.sampler.description


@pytest.fixture
def broken_lanes(monkeypatch):
    """A function that lets no environment run over lanes, from its call on."""

    def refuse(env):
        raise UnsupportedEnvError("it has a tendon")

    return lambda: monkeypatch.setattr(lanes, "lane_model_of", refuse)


# --- ARS


def test_the_default_is_mujoco():
    model = ARS("LinearPolicy", ENV, **SETTINGS)
    assert (model.config.physics, model.run.env.physics, model.run.evaluation_sampler) == ("mujoco", "mujoco", model.sampler)
    assert ARS("LinearPolicy", ENV, physics="mujoco", **SETTINGS).learn(1).theta.tobytes() == model.learn(1).theta.tobytes()


def test_training_runs_over_lanes():
    model = lanes_model(SWIMMER)
    assert is_over_lanes(model)
    in_mujoco = ARS("LinearPolicy", SWIMMER, **SETTINGS).learn(1)
    assert (model.learn(1).theta != in_mujoco.theta).any()
    assert np.allclose(model.theta, in_mujoco.theta, atol=1e-6)


@pytest.mark.parametrize(
    ("env", "settings", "message"),
    [
        (ENV, {"physics": "lane"}, "ARS(): physics must be one of 'mujoco', 'lanes', got 'lane'; did you mean 'lanes'?"),
        (ENV, {"physics": 8}, "ARS(): physics must be one of 'mujoco', 'lanes', got 8"),
        (
            ENV,
            {"physics": np.array("lanes")},
            "ARS(): physics must be one of 'mujoco', 'lanes', got array('lanes', dtype='<U5'); did you mean 'lanes'?",
        ),
        (
            ENV,
            {"physics": np.array(["lanes"] * 2)},
            "ARS(): physics must be one of 'mujoco', 'lanes', got array(['lanes', 'lanes'], dtype='<U5')",
        ),
        ("CartPole-v1", {}, "ARS(): physics must be 'mujoco' for CartPole-v1, got 'lanes': it is no environment of MuJoCo's"),
        (
            ["CartPole-v1", "CartPole-v0"],
            {},
            "ARS(): physics must be 'mujoco' for CartPole-v1, got 'lanes': it is no environment of MuJoCo's",
        ),
        (
            ENV,
            {"compiled": False},
            f"ARS(): physics must be 'mujoco' for {ENV}, got 'lanes': it runs in Python (compiled=False)",
        ),
        (
            ENV,
            {"backend": "numpy"},
            "ARS(): physics must be 'mujoco' with backend 'numpy', which steps Gymnasium's environments, got 'lanes'",
        ),
    ],
)
def test_lanes_that_can_not_be_are_an_error(env, settings, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        lanes_model(env, **settings)


def test_a_model_without_lanes_runs_through_mj_step_and_one_warning_says_why():
    with pytest.warns(UserWarning, match=UNSUPPORTED) as caught:
        model = lanes_model("Pusher-v5").learn(1)
    assert len(caught) == 1
    assert (model.config.physics, model.run.env.physics) == ("mujoco", "mujoco")
    assert model.theta.tobytes() == ARS("LinearPolicy", "Pusher-v5", **SETTINGS).learn(1).theta.tobytes()


def test_without_compilation_training_runs_through_mj_step(monkeypatch):
    monkeypatch.setattr(numba.config, "DISABLE_JIT", 1)
    with pytest.warns(UserWarning, match=f"^{ENV} runs through mj_step, not over lanes: lanes must be compiled, which NUMBA_DISA"):
        model = lanes_model(ENV)
    assert model.run.env.physics == "mujoco"


@pytest.mark.filterwarnings("ignore:.*v4 is out of date:DeprecationWarning")
def test_of_several_environments_those_of_mujoco_run_over_lanes():
    model = lanes_model([ENV, "InvertedPendulum-v4"], weighting="fixed")
    assert is_over_lanes(model)
    assert [env.physics for env in model.run.env.envs] == ["lanes", "lanes"]
    other = gymnasium.wrappers.TransformReward(gymnasium.make(ENV), lambda reward: 2 * reward)
    with pytest.warns(UserWarning, match=rf"^{ENV} does not run over lanes: it runs in Python \(.*TransformReward.*\)$"):
        mixed = lanes_model([ENV, other], weighting="fixed")
    assert re.search(rf"^{ENV}#0 over SIMD lanes.*; {ENV}#1 ", mixed.sampler.description)
    assert "lanes" not in mixed.run.evaluation_sampler.description
    mixed.close()


def test_no_preset_but_tuned_takes_lanes_and_it_says_nothing_where_there_are_none():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for preset in presets.CHOICES:
            found = ARS("LinearPolicy", "Swimmer-v5", preset=preset, seed=0, n_threads=1).config.physics
            assert found == ("lanes" if preset == "tuned" else "mujoco")
        for settings in ({"physics": "mujoco"}, {"backend": "numpy"}, {"compiled": False}):
            model = ARS("LinearPolicy", "Swimmer-v5", preset="tuned", seed=0, n_threads=1, **settings)
            assert model.config.physics == "mujoco"
            model.close()
        for env_id in ("Pusher-v5", "Pendulum-v1"):
            assert ARS("LinearPolicy", env_id, preset="tuned", seed=0, n_threads=1).config.physics == "mujoco"


def test_lanes_that_disagree_with_mujoco_are_a_warning_whoever_asks(monkeypatch):
    def disagree(env):
        raise LanesDisagreeError("qacc[2] differs by 1e-6")

    monkeypatch.setattr(lanes, "lanes_for", disagree)
    for settings in ({"preset": "tuned", "physics": None}, {}):
        with pytest.warns(UserWarning, match=rf"^{ENV} runs through mj_step, not over lanes: qacc\[2\] differs by 1e-6$") as caught:
            model = lanes_model(**settings)
        assert (len(caught), model.config.physics) == (1, "mujoco")


def test_a_callback_of_mujoco_that_lanes_would_not_call_is_refused():
    model = lanes_model()
    mujoco.set_mjcb_passive(lambda model, data: None)
    try:
        with pytest.raises(UnsupportedEnvError, match="mjcb_passive is set"):
            model.learn(1)
    finally:
        mujoco.set_mjcb_passive(None)


# --- Evaluations


def in_gymnasium(model, n, seed):
    returns, lengths = evaluate_policy(model, SWIMMER, n, return_episode_rewards=True, seed=seed, max_episode_steps=60)
    return np.array(returns), np.array(lengths)


def test_a_policy_trained_over_lanes_is_evaluated_in_mujoco():
    model = lanes_model(SWIMMER).learn(500)
    rollouts = model.evaluate(3, seed=5)
    returns, lengths = in_gymnasium(model, 3, 5)
    assert (rollouts.returns.tobytes(), rollouts.lengths.tolist()) == (returns.tobytes(), lengths.tolist())
    assert isinstance(model.run.evaluation_sampler, SimulatedSampler)
    assert not isinstance(model.run.evaluation_sampler, type(model.sampler))


@pytest.mark.parametrize("eval_env", [None, SWIMMER])
def test_eval_callback_and_its_best_model_are_of_mujoco(tmp_path, eval_env):
    model = lanes_model(SWIMMER)
    env = None if eval_env is None else gymnasium.make(eval_env, max_episode_steps=60)
    callback = EvalCallback(env, n_eval_episodes=3, eval_freq=1, best_model_save_path=tmp_path, log_path=tmp_path, verbose=0)
    model.learn(500, callback)
    with np.load(tmp_path / "evaluations.npz") as file:
        results = file["results"]
    best = ARS.load(tmp_path / "best_model.zip")
    assert best.config.physics == "lanes"
    assert best.evaluate(3).returns.tobytes() == results[results.mean(axis=1).argmax()].tobytes()
    seeds = fastars.training.seeds.evaluation_seeds(3, 3)
    for i, seed in enumerate(seeds):
        assert in_gymnasium(best, 1, int(seed))[0][0] == results[results.mean(axis=1).argmax()][i]


def test_a_sampler_of_the_users_own_does_not_evaluate_a_run_over_lanes():
    model = lanes_model(SWIMMER).learn(1)
    before = model.evaluate(2).returns
    model.sampler = Watched(model.sampler)
    assert model.evaluate(2).returns.tobytes() == before.tobytes()


# --- Files


def test_a_run_goes_on_over_lanes_to_the_same_bits(tmp_path):
    whole = lanes_model().learn(1500)
    half = lanes_model().learn(700)
    half.save(tmp_path / "half.zip")
    loaded = ARS.load(tmp_path / "half.zip")
    assert is_over_lanes(loaded)
    loaded.learn(1500 - loaded.num_timesteps, reset_num_timesteps=False)
    assert loaded.theta.tobytes() == whole.theta.tobytes()
    assert checkpoint.load(tmp_path / "half.zip")[0]["config"]["physics"] == "lanes"


def test_a_file_without_a_physics_is_of_mujoco(tmp_path):
    lanes_model(physics="mujoco", preset="tuned").learn(1).save(tmp_path / "new.zip")
    manifest, arrays = checkpoint.load(tmp_path / "new.zip")
    del manifest["config"]["physics"]
    checkpoint.save(tmp_path / "old.zip", manifest, arrays)
    assert ARS.load(tmp_path / "old.zip").config.physics == "mujoco"


def test_a_file_with_an_unknown_physics_is_refused(tmp_path):
    lanes_model().save(tmp_path / "new.zip")
    manifest, arrays = checkpoint.load(tmp_path / "new.zip")
    for bad in ("gpu", 1, None, ["lanes"]):
        manifest["config"]["physics"] = bad
        checkpoint.save(tmp_path / "bad.zip", manifest, arrays)
        with pytest.raises(fastars.CheckpointError, match="physics must be"):
            ARS.load(tmp_path / "bad.zip")


@pytest.mark.parametrize(("first", "then"), [("lanes", "mujoco"), ("mujoco", "lanes")])
def test_a_run_may_go_on_with_another_physics_and_the_log_says_so(tmp_path, caplog, first, then):
    model = lanes_model(SWIMMER, physics=first).learn(500)
    model.save(tmp_path / "model.zip")
    with caplog.at_level(logging.INFO, "fastars"):
        other = ARS.load(tmp_path / "model.zip", physics=then)
    text = f"model.zip: episodes ran with the physics {first!r} so far, and run with {then!r} from here on"
    assert any(text in record.getMessage() for record in caplog.records)
    assert (other.config.physics, other.theta.tobytes(), other.iteration) == (then, model.theta.tobytes(), model.iteration)
    assert is_over_lanes(other) == (then == "lanes")
    a, b = (each.learn(1, reset_num_timesteps=False).theta for each in (model, other))
    assert (a != b).any()
    other.save(tmp_path / "other.zip")
    assert ARS.load(tmp_path / "other.zip").config.physics == then


def test_a_file_of_lanes_goes_on_in_mujoco_where_there_are_none(tmp_path, broken_lanes):
    model = lanes_model().learn(500)
    model.save(tmp_path / "model.zip")
    broken_lanes()
    with pytest.warns(UserWarning, match=rf"^{ENV} runs through mj_step, not over lanes: it has a tendon$"):
        loaded = ARS.load(tmp_path / "model.zip")
    assert (loaded.config.physics, loaded.theta.tobytes()) == ("mujoco", model.theta.tobytes())
    loaded.learn(1, reset_num_timesteps=False)


def test_lanes_of_a_file_are_compared_with_mujoco_when_training_goes_on(tmp_path, monkeypatch):
    """The comparison compiles them, which a policy that only acts must not wait for."""

    def disagree(env):
        raise LanesDisagreeError("qacc[2] differs by 1e-6")

    model = lanes_model().learn(500)
    model.save(tmp_path / "model.zip")
    monkeypatch.setattr(lanes, "lanes_for", disagree)
    loaded = ARS.load(tmp_path / "model.zip")
    assert is_over_lanes(loaded)
    assert loaded.evaluate(2).returns.tobytes() == model.evaluate(2).returns.tobytes()
    with pytest.warns(UserWarning, match=r"not over lanes: qacc\[2\] differs by 1e-6$") as caught:
        loaded.learn(1, reset_num_timesteps=False)
    assert (len(caught), loaded.config.physics, loaded.run.evaluator) == (1, "mujoco", None)
    in_mujoco = ARS.load(tmp_path / "model.zip", physics="mujoco").learn(1, reset_num_timesteps=False)
    assert loaded.theta.tobytes() == in_mujoco.theta.tobytes()


def test_a_file_of_lanes_acts_in_an_environment_that_runs_in_python(tmp_path):
    lanes_model().learn(500).save(tmp_path / "model.zip")
    env = gymnasium.wrappers.TransformReward(gymnasium.make(ENV), lambda reward: reward)
    with pytest.warns(UserWarning, match=rf"^{ENV} does not run over lanes: it runs in Python"):
        assert ARS.load(tmp_path / "model.zip", env=env).config.physics == "mujoco"
    with pytest.warns(UserWarning, match="^backend 'numpy', which steps Gymnasium's environments"):
        assert ARS.load(tmp_path / "model.zip", backend="numpy").config.physics == "mujoco"
    with (
        pytest.warns(UserWarning, match="does not run over lanes"),
        pytest.raises(ValueError, match=rf"^ARS\.load\(\): physics must be 'mujoco' for {ENV}, got 'lanes': it runs in Python"),
    ):
        ARS.load(tmp_path / "model.zip", env=env, physics="lanes")


def test_copies_keep_the_physics():
    model = lanes_model().learn(300)
    for way in (copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))):
        copied = way(model)
        assert is_over_lanes(copied)
        assert copied.evaluate(2).returns.tobytes() == model.evaluate(2).returns.tobytes()
        following = copied.learn(300, reset_num_timesteps=False).theta
        assert following.tobytes() == copy.copy(model).learn(300, reset_num_timesteps=False).theta.tobytes()


def test_set_env_keeps_the_physics_where_it_can(broken_lanes):
    model = lanes_model()
    model.set_env(gymnasium.make(ENV, max_episode_steps=30))
    assert is_over_lanes(model)
    assert model.run.evaluator is not None
    broken_lanes()
    with pytest.warns(UserWarning, match=r"runs through mj_step, not over lanes"):
        model.set_env(gymnasium.make(ENV, max_episode_steps=20))
    assert (model.config.physics, model.run.evaluator) == ("mujoco", None)


# --- Candidates and vector environments


def test_evaluate_candidates_takes_a_physics():
    weights, seeds = np.random.default_rng(0).normal(size=(6, 16)), np.arange(6)
    arguments = {"n_threads": 1, "max_episode_steps": 40}
    mujoco = evaluate_candidates(SWIMMER, weights, seeds, **arguments)
    over_lanes = evaluate_candidates(SWIMMER, weights, seeds, physics="lanes", **arguments)
    assert (mujoco.returns != over_lanes.returns).any()
    assert np.allclose(mujoco.returns, over_lanes.returns, rtol=1e-6)
    message = "evaluate_candidates(): physics must be 'mujoco' for CartPole-v1, got 'lanes': it is no environment of MuJoCo's"
    with pytest.raises(ValueError, match=re.escape(message)):
        evaluate_candidates("CartPole-v1", weights, seeds, physics="lanes")
    with pytest.raises(ValueError, match=r"^evaluate_candidates\(\): physics must be one of 'mujoco', 'lanes', got None"):
        evaluate_candidates(SWIMMER, weights, seeds, physics=None)


def test_vector_environments_take_a_physics():
    message = "physics must be 'mujoco' for CartPole-v1, got 'lanes': it is no environment of MuJoCo's"
    with pytest.raises(ValueError, match=re.escape(message)):
        gymnasium.make_vec("fastars/CartPole-v1", 2, physics="lanes")
    with pytest.raises(ValueError, match=r"physics must be one of 'mujoco', 'lanes', got 'lane'"):
        gymnasium.make_vec(f"fastars/{ENV}", 2, physics="lane")
    env = gymnasium.make_vec(f"fastars/{ENV}", 2, physics="lanes")
    assert env.unwrapped.compiled.physics == "lanes"
    env.close()
    with pytest.warns(UserWarning, match=UNSUPPORTED) as caught:
        env = gymnasium.make_vec("fastars/Pusher-v5", 2, physics="lanes")
    assert [warning.filename for warning in caught] == [__file__]
    assert env.unwrapped.compiled.physics == "mujoco"
    env.close()


def test_a_trial_of_tune_takes_a_physics(tmp_path):
    pytest.importorskip("ray", reason="needs fastars[ray]")
    from fastars.tune import Trainable

    parameters = {"env": ENV, **{name: value for name, value in SETTINGS.items() if name != "n_threads"}}
    first, second = Trainable({**parameters, "physics": "lanes"}), Trainable({**parameters, "physics": "mujoco"})
    for trial in (first, second):
        trial.step()
        assert is_over_lanes(trial.model) == (trial is first)
    first.save_checkpoint(str(tmp_path))
    second.load_checkpoint(str(tmp_path))  # a population changes parameters: this trial stays in MuJoCo
    assert (second.model.config.physics, second.model.theta.tobytes()) == ("mujoco", first.model.theta.tobytes())
    first.cleanup()
    second.cleanup()


def test_the_drop_in_for_rllib_stays_in_mujoco():
    from fastars.rllib import ARSConfig

    algorithm = ARSConfig().environment(ENV).training(noise_size=1 << 18).build()
    assert algorithm.model.config.physics == "mujoco"
    algorithm.stop()


# --- The command

OPTIONS = ("--seed", "5", "--n-threads", "1", "--no-progress", "--eval-episodes", "3", "--noise-size", "65536", "--n-delta", "4")


def train(folder, *args):
    assert main(["train", *args, *OPTIONS, "--run-folder", str(folder)]) == 0


@pytest.fixture
def trained(tmp_path, capsys):
    train(tmp_path / "run", ENV, "--total-timesteps", "900", "--max-episode-steps", "60", "--monitor", "--save-freq", "300")
    return tmp_path / "run", capsys.readouterr().out


def test_the_command_trains_over_lanes_and_says_so(trained):
    folder, text = trained
    assert "over SIMD lanes" in text
    assert "in MuJoCo and not over lanes" in text
    assert tomllib.loads((folder / "config.toml").read_text())["settings"]["physics"] == "lanes"


def test_the_command_takes_a_physics(tmp_path, capsys):
    train(tmp_path / "a", ENV, "--total-timesteps", "300", "--max-episode-steps", "60", "--physics", "mujoco")
    assert "lanes" not in capsys.readouterr().out
    train(tmp_path / "b", ENV, "--total-timesteps", "300", "--max-episode-steps", "60", "--variant", "V1")
    assert tomllib.loads((tmp_path / "b" / "config.toml").read_text())["settings"]["physics"] == "mujoco"
    assert main(["train", "CartPole-v1", "--physics", "lanes", "--run-folder", str(tmp_path / "c")]) == 2
    assert "physics must be 'mujoco' for CartPole-v1, got 'lanes'" in capsys.readouterr().err


def test_a_run_over_lanes_that_is_stopped_goes_on_to_the_same_bits(trained, tmp_path, capsys):
    folder, _ = trained
    train(tmp_path / "half", ENV, "--total-timesteps", "400", "--max-episode-steps", "60", "--monitor", "--save-freq", "300")
    options = ("--total-timesteps", "900", "--n-threads", "2", "--no-progress")
    assert main(["resume", str(tmp_path / "half"), *options]) == 0
    models = [ARS.load(each / "model.zip") for each in (folder, tmp_path / "half")]
    assert models[0].theta.tobytes() == models[1].theta.tobytes()
    assert (folder / "0.monitor.csv").read_text().splitlines()[2].split(",")[:2] == (
        (tmp_path / "half" / "0.monitor.csv").read_text().splitlines()[2].split(",")[:2]
    )
    capsys.readouterr()


def verify(folder, capsys):
    code = main(["verify", str(folder), "--episodes", "30", "--seed", "0"])
    return code, capsys.readouterr().out


def test_verify_replays_over_lanes_what_ran_there(trained, capsys):
    code, text = verify(trained[0], capsys)
    assert code == 0, text
    found = re.search(r"All 30 are as recorded, (\d+) in Gymnasium and (\d+) over lanes", text)
    assert min(map(int, found.groups())) > 3
    assert re.search(r"first 10 steps of \d+ episodes over lanes: returns within \S+ of Gymnasium's \(allowed: 1e-06\)", text)
    assert re.search(r"mean return over lanes \S+, of the same episodes in Gymnasium \S+; standard error of the difference", text)


def test_verify_writes_the_standard_error_of_returns_as_a_plain_number():
    assert "standard error of the difference 253.1 (allowed: 5 of them)" in Comparison(4e-16, (564.79, 564.79), 253.1, 10).facts[1]


def test_verify_finds_out_lanes_of_another_world(trained, capsys, monkeypatch):
    """The same lanes gave the record: Gymnasium alone can tell."""

    def nowhere(self, i, max_steps=None):
        return Episode(0.0, 1)

    before = RecordedEpisodes.in_gymnasium
    monkeypatch.setattr(
        RecordedEpisodes, "replay", lambda self, i: before(self, i) if self.physics == "mujoco" else self.results[i]
    )
    monkeypatch.setattr(RecordedEpisodes, "in_gymnasium", nowhere)
    code, text = verify(trained[0], capsys)
    assert code == 1
    assert "the first 10 steps over lanes give other returns than in Gymnasium" in text
    assert text.splitlines()[-1].endswith("lanes disagree")


def test_verify_finds_a_changed_row_of_lanes(trained, capsys):
    path = trained[0] / "0.monitor.csv"
    lines = path.read_text().splitlines()
    lines[2:] = [f"{float(total) + 1:.6f},{rest}" for total, _, rest in (line.partition(",") for line in lines[2:])]
    path.write_text("\n".join(lines) + "\n")
    code, text = verify(trained[0], capsys)
    assert code == 1
    assert "0.monitor.csv, line" in text


def test_verify_says_that_lanes_are_not_here(trained, capsys, broken_lanes):
    broken_lanes()
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        assert main(["verify", str(trained[0]), "--episodes", "30", "--seed", "0"]) == 0
    text, errors = capsys.readouterr()
    assert "runs through mj_step, not over lanes" in errors
    assert "training over lanes was not replayed" in text
    assert "training, iteration" not in text


def test_eval_replays_in_gymnasium_what_the_summary_said(trained, capsys):
    folder, summary = trained
    assert main(["eval", str(folder), "--n-eval-episodes", "3"]) == 0
    text = capsys.readouterr().out
    mean = re.search(r"return (\S+), std", text)[1]
    best = next(line.split() for line in summary.splitlines() if line.startswith(" best"))
    assert float(best[2]) == pytest.approx(float(mean), abs=0.06)
