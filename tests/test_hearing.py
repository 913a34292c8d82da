"""Callbacks hear of every step; with stable-baselines3's callbacks, and as its ARS calls them: test_hearing_peers.py.

Broken on purpose, one at a time: no step but the last of an iteration is heard of -> 18 tests red; the model shows the steps of
the iteration's end -> 10, test_a_callback_that_counts among them; constants not recognised -> test_a_callback_that_does_nothing
red; every function taken for one -> 19; skipped calls not counted -> test_callbacks_that_say_when_they_act and three more; steps
that are left over with several environments lost or not heard of -> test_a_call_stands_for_a_step_of_each_environment; the place
of an end moved by one -> the same; rewards spread evenly -> test_rewards_are_those_of_the_steps and more; no comparison with the
return, or a warning each time -> test_an_environment_that_can_not_be_repeated; an episode run again for "episode" ->
test_what_is_known_of_an_info; False ignored, or the rest of the iteration heard of -> test_false_stops_at_once; copies that keep
the count -> test_a_copy_of_the_model; steps kept without a copy, or rewards as they come -> test_steps_are_of_their_time;
EveryIteration at every step beside others -> 7; events counted from the start of an iteration, episodes at its end alone ->
test_callbacks_that_say_when_they_act.
"""

import copy
import warnings

import gymnasium
import numpy as np
import pytest

from fastars import ARS
from fastars.callbacks import (
    BaseCallback,
    CheckpointCallback,
    EvalCallback,
    EveryIteration,
    EveryNTimesteps,
    StopTrainingOnMaxEpisodes,
)
from fastars.callbacks.steps import StepInfo, StepLocals


def small(env="CartPole-v1", **settings):
    return ARS("LinearPolicy", env, **{"n_delta": 2, "seed": 0, "n_threads": 1, "noise_size": 1 << 16, **settings})


class Test(BaseCallback):
    """Counts the steps at which a test is true, and notes what is to be noted at every step."""

    __test__ = False

    def __init__(self, test=lambda self: True, note=lambda self: None):
        super().__init__()
        self.test, self.note, self.hits, self.notes = test, note, 0, []

    def _on_step(self):
        self.hits += bool(self.test(self))
        self.notes.append(self.note(self))
        return True


@pytest.mark.parametrize(
    "test",
    [
        lambda self: self.n_calls % 100 == 0,
        lambda self: self.num_timesteps % 100 == 0,
        lambda self: self.model.num_timesteps % 100 == 0,
    ],
)
def test_a_callback_that_counts_hits_every_multiple(test):
    callback = Test(test)
    model = small().learn(3_000, callback)
    assert callback.hits == model.num_timesteps // 100


def test_a_function_hears_of_every_step():
    steps = []
    model = small().learn(500, lambda local, _: steps.append(local["self"].num_timesteps))
    assert steps == list(range(1, model.num_timesteps + 1))


def test_counts_go_on_in_the_next_call_of_learn():
    callback = Test(note=lambda self: (self.n_calls, self.num_timesteps))
    model = small().learn(100, callback)
    first = model.num_timesteps
    model.learn(100, callback, reset_num_timesteps=False)
    assert callback.notes == [(step, step) for step in range(1, model.num_timesteps + 1)]
    model.learn(1, callback)
    assert callback.notes[-1] == (callback.n_calls, model.num_timesteps)
    assert first < callback.n_calls


def test_episodes_end_where_they_ended():
    callback = Test(note=lambda self: (self.locals["dones"].tolist(), self.locals["infos"][0].get("episode")))
    lengths = []
    model = small(max_episode_steps=40)
    model.learn(400, [callback, EveryIteration(lambda local, _: lengths.extend(local["rollouts"].lengths.tolist()))])
    ends = [step for step, ((done,), _) in enumerate(callback.notes, 1) if done]
    assert ends == np.cumsum(lengths).tolist()
    assert [episode["l"] for _, episode in callback.notes if episode is not None] == lengths
    assert model.num_episodes == len(ends)


@pytest.mark.parametrize(
    ("env", "settings"),
    [
        ("CartPole-v1", {}),
        ("Pendulum-v1", {"max_episode_steps": 30, "normalize_observations": True, "n_eval_episodes": 2}),
        ("Pendulum-v1", {"max_episode_steps": 30, "compiled": False, "zero_policy": False}),
        (lambda: gymnasium.wrappers.TransformReward(gymnasium.make("CartPole-v1"), lambda reward: 2 * reward), {}),
    ],
    ids=["CartPole", "Pendulum, normalised", "Pendulum in Python", "rewards doubled in Python"],
)
def test_rewards_are_those_of_the_steps(env, settings):
    callback, returns = Test(note=lambda self: float(self.locals["rewards"][0])), []
    small(env, **settings).learn(200, [callback, EveryIteration(lambda local, _: returns.append(local["rollouts"]))])
    lengths = np.concatenate([rollouts.lengths for rollouts in returns])
    sums = [part.sum() for part in np.split(callback.notes, np.cumsum(lengths)[:-1])]
    assert np.allclose(sums, np.concatenate([rollouts.returns for rollouts in returns]), rtol=1e-5)
    assert len(set(callback.notes)) > (1 if env == "Pendulum-v1" else 0)


class Random(gymnasium.Env):
    """Rewards that no seed decides."""

    observation_space = gymnasium.spaces.Box(-1, 1, (1,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)
    generator = np.random.default_rng(0)

    def reset(self, *, seed=None, options=None):
        self.steps = 0
        return np.zeros(1, np.float32), {}

    def step(self, action):
        self.steps += 1
        return np.zeros(1, np.float32), float(self.generator.normal()), self.steps == 5, False, {"steps": self.steps}


def test_an_environment_that_can_not_be_repeated_is_named_once_and_the_returns_stay_right():
    callback = Test(note=lambda self: float(self.locals["rewards"][0]))
    returns = []
    with pytest.warns(UserWarning, match="^Test asks for rewards, infos, actions or observations of single steps") as caught:
        small(Random).learn(60, [callback, EveryIteration(lambda local, _: returns.extend(local["rollouts"].returns))])
    assert len(caught) == 1
    assert np.allclose(np.sum(callback.notes), np.sum(returns), atol=1e-5)


def test_infos_have_the_entries_of_the_environment():
    class Informed(Random):
        def step(self, action):
            observation, _, *rest = super().step(action)
            return observation, 1.0, *rest

    callback = Test(note=lambda self: dict(self.locals["infos"][0]))
    small(Informed).learn(20, callback)
    assert [info["steps"] for info in callback.notes] == [1, 2, 3, 4, 5] * 4
    assert [sorted(info) for info in callback.notes[3:5]] == [
        ["TimeLimit.truncated", "steps"],
        ["TimeLimit.truncated", "episode", "steps", "terminal_observation"],
    ]
    assert not any(callback.locals["infos"][0].get(name) for name in ("is_success", "other"))


def test_an_info_is_a_dict_however_it_is_read():
    known, rest = {"TimeLimit.truncated": True}, {"steps": 5, "TimeLimit.truncated": False}
    both = {"steps": 5, "TimeLimit.truncated": True}
    reads = {
        "==": (lambda info: info == both, True),
        "!=": (lambda info: info != both, False),
        "copy": (lambda info: info.copy(), both),
        "|": (lambda info: info | {}, both),
        "pop": (lambda info: info.pop("steps"), 5),
        "pop of what is known": (lambda info: info.pop("TimeLimit.truncated"), True),
        "pop of nothing": (lambda info: info.pop("other", 3), 3),
        "setdefault": (lambda info: info.setdefault("steps", 7), 5),
        "setdefault of nothing": (lambda info: info.setdefault("other", 7), 7),
    }
    assert {name: read(StepInfo(known, lambda: rest)) for name, (read, _) in reads.items()} == {
        name: expected for name, (_, expected) in reads.items()
    }


class Reusing(Random):
    """Gives one array and one dict, which it changes, at all steps, and its reward as an array."""

    def __init__(self):
        self.state, self.info = np.zeros(1, np.float32), {"of": {"steps": 0}}

    def reset(self, **kwargs):
        self.state[:] = 0.0
        return super().reset(**kwargs)

    def step(self, action):
        _, _, ended, *_ = super().step(action)
        self.state[:] = self.info["of"]["steps"] = self.steps
        return self.state, np.array([self.steps], np.float64), ended, False, self.info


def test_steps_are_of_their_time_where_an_environment_gives_the_same_objects():
    def note(self):
        seen = self.locals
        return float(seen["rewards"][0]), seen["infos"][0]["of"]["steps"], float(seen["new_obs"][0, 0])

    callback = Test(note=note)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        small(Reusing).learn(20, callback)
    assert callback.notes == [(step, step, step) for step in (1, 2, 3, 4, 5)] * 4
    assert callback.locals["infos"][0]["terminal_observation"] == [5]


def test_what_is_known_of_an_info_does_not_run_the_episode_again():
    class Counted(Random):
        n_resets = 0

        def reset(self, **kwargs):
            Counted.n_resets += 1
            return super().reset(**kwargs)

    callback = Test(lambda self: "episode" in self.locals["infos"][0], lambda self: self.locals["infos"][0].get("episode"))
    model = small(Counted)
    before = Counted.n_resets
    model.learn(20, callback)
    assert (callback.hits, Counted.n_resets - before) == (4, 4)


@pytest.mark.parametrize("n_envs", [2, 3, 7])
def test_a_call_stands_for_a_step_of_each_environment(n_envs, monkeypatch):
    monkeypatch.setattr(ARS, "n_envs", n_envs)
    callback = Test(note=lambda self: (self.n_calls, self.num_timesteps, self.locals["dones"].sum(), self.locals["rewards"].sum()))
    places = []
    where = Test(
        note=lambda self: places.append(
            (self.locals["dones"].tolist(), ["episode" in info for info in self.locals["infos"]]),
        )
    )
    model = small(max_episode_steps=30).learn(500, [callback, where])
    assert [note[:2] for note in callback.notes] == [(i, n_envs * i) for i in range(1, model.num_timesteps // n_envs + 1)]
    assert callback.locals["dones"].shape == callback.locals["rewards"].shape == (n_envs,)
    assert all(dones == ends for dones, ends in places)
    assert len(callback.locals["infos"]) == len(callback.locals["new_obs"]) == n_envs
    assert sum(dones for *_, dones, _ in callback.notes) == model.num_episodes
    assert sum(rewards for *_, rewards in callback.notes) == model.num_timesteps


def test_false_stops_at_once_and_the_iteration_stays():
    class Stop(Test):
        def _on_step(self):
            super()._on_step()
            return self.n_calls < 7

    stop, ends = Stop(), []
    model = small().learn(10_000, [stop, EveryIteration(lambda local, _: ends.append(1))])
    assert (stop.hits, stop.n_calls, stop.num_timesteps, model.iteration, ends) == (7, 7, 7, 1, [])
    assert model.num_timesteps > 7


def test_callbacks_that_say_when_they_act_hear_of_little_else(tmp_path, monkeypatch):
    calls, move_to = [], StepLocals.move_to
    monkeypatch.setattr(StepLocals, "move_to", lambda self, steps, call: calls.append(call) or move_to(self, steps, call))
    checkpoints = CheckpointCallback(100, tmp_path)
    evaluation = EvalCallback(eval_freq=70, verbose=0)
    every = EveryNTimesteps(90, Test(note=lambda self: self.num_timesteps))
    episodes = StopTrainingOnMaxEpisodes(10_000)
    model = small().learn(1_000, [checkpoints, [evaluation, every], episodes])
    multiples = lambda n: list(range(n, model.num_timesteps + 1, n))  # noqa: E731
    assert sorted(int(path.name.split("_")[2]) for path in tmp_path.iterdir()) == multiples(100)
    assert evaluation.evaluations_timesteps == multiples(70)
    assert every.callback.notes == multiples(90)
    assert episodes.n_episodes == model.num_episodes
    assert checkpoints.n_calls == evaluation.n_calls == every.n_calls == episodes.n_calls == model.num_timesteps
    assert len(calls) < model.num_timesteps / 5


@pytest.mark.parametrize("answer", ["return True", "pass", "'''Docs.'''\n        return True"])
def test_a_callback_that_does_nothing_is_called_once_per_iteration(answer, monkeypatch):
    names = {"BaseCallback": BaseCallback}
    exec(f"class Quiet(BaseCallback):\n    def _on_step(self):\n        {answer}\n", names)
    quiet, calls, move_to = names["Quiet"](), [], StepLocals.move_to
    monkeypatch.setattr(StepLocals, "move_to", lambda self, steps, call: calls.append(call) or move_to(self, steps, call))
    model = small().learn(500, quiet)
    assert quiet.n_calls == quiet.num_timesteps == model.num_timesteps
    assert len(calls) == model.iteration


def test_no_name_of_a_step_is_there_before_the_first_one():
    seen = []

    class First(BaseCallback):
        def _on_training_start(self):
            seen.extend(name in self.locals for name in ("dones", "rewards", "infos"))
            seen.append(self.locals.get("rewards", 3))

    small().learn(1, First())
    assert seen == [False, False, False, 3]
    with pytest.raises(KeyError, match="values"):
        small().learn(1, lambda local, _: local["values"])


def test_a_copy_of_the_model_in_a_callback_counts_by_itself(tmp_path):
    copies = []

    def callback(local, _):
        if local["self"].num_timesteps == 5:
            local["self"].save(tmp_path / "model.zip")
            copies.extend([copy.copy(local["self"]), copy.deepcopy(local["self"]), ARS.load(tmp_path / "model.zip")])

    model = small().learn(1, callback)
    assert [each.num_timesteps for each in copies] == [model.num_timesteps] * 3
    for each in copies:
        each.learn(50, reset_num_timesteps=False)
        assert np.array_equal(each.theta, copies[0].theta)


def test_training_without_callbacks_hears_nothing(monkeypatch):
    monkeypatch.setattr("fastars.callbacks.hearing.IterationSteps", None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        small().learn(300)
