"""The reference's policy and its Gymnasium loop against hand-worked numbers; what it may import."""

import ast
from pathlib import Path
from typing import NamedTuple

import gymnasium
import numpy as np
import pytest

import fastars.reference
from fastars import kernels, reference
from fastars._compiled.structs import Argmax, Clip, Filter, LinearPolicy, RolloutSpec, Unclipped, identity_filter

BACKENDS = pytest.mark.parametrize("backend", [kernels, reference], ids=["kernels", "reference"])
TERMINATED, TRUNCATED, NONFINITE = 1, 2, 3


def test_reference_imports_numpy_gymnasium_and_the_standard_library_alone():
    for path in Path(fastars.reference.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                assert {alias.name for alias in node.names} <= {"numpy", "gymnasium", "itertools", "math"}
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 1 or node.module == "typing"
                assert (node.level, node.module) != (1, None)


@BACKENDS
def test_action_scores_of_hand_worked_numbers(backend):
    weights = np.array([1.0, 2.0, 3.0, 4.0, 10.0, 20.0])  # W = [[1, 2], [3, 4]], b = (10, 20)
    observation = np.array([5.0, 7.0], np.float32)
    filter = Filter(np.array([3.0, 7.5]), np.array([2.0, 1.0]), 3.0)  # x = clip((4, -0.5)) = (3, -0.5)
    assert backend.action_scores(LinearPolicy(True), weights, observation, filter).tolist() == [12.0, 27.0]
    assert backend.action_scores(LinearPolicy(False), weights[:4], observation, filter).tolist() == [2.0, 7.0]


@BACKENDS
def test_batch_action_scores_are_the_scores_of_each_row(backend):
    draw = np.random.default_rng(0)
    weights, observations = draw.standard_normal(3 * 5), draw.standard_normal((7, 5)).astype(np.float32)
    batch = backend.batch_action_scores(LinearPolicy(), weights, observations, identity_filter(5))
    assert batch.shape == (7, 3)
    for scores, observation in zip(batch, observations, strict=True):
        np.testing.assert_array_equal(scores, backend.action_scores(LinearPolicy(), weights, observation, identity_filter(5)))
        np.testing.assert_allclose(scores, weights.reshape(3, 5) @ observation.astype(np.float64), rtol=1e-12)


@BACKENDS
def test_action_scores_compute_in_float64(backend):
    scores = backend.action_scores(LinearPolicy(), np.array([0.1]), np.array([0.1], np.float32), identity_filter(1))
    assert scores[0] == 0.1 * float(np.float32(0.1))


class Script(NamedTuple):
    """An environment that plays a script, found by Gymnasium under an id of its own."""

    id: str = "Script-v0"

    def gymnasium(self):
        return self.id, {}


class ScriptEnv(gymnasium.Env):
    """Observation (seed of the reset, step); ends after `seed` steps; the reward is the action, or NaN at step 2 of seed 40."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,), np.float32)
    action_space = gymnasium.spaces.Box(-1, 1, (1,), np.float32)
    seen: list = []  # noqa: RUF012  (shared by all: what the tests look at)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.last, self.steps = seed, 0
        return self._observe(), {}

    def step(self, action):
        self.seen.append(action)
        self.steps += 1
        reward = np.nan if (self.last, self.steps) == (40, 2) else float(action[0])
        return self._observe(), reward, self.steps == self.last, False, {}

    def _observe(self):
        return np.array([self.last, np.inf if (self.last, self.steps) == (50, 3) else self.steps], np.float32)


@pytest.fixture
def script():
    gymnasium.register("Script-v0", entry_point=ScriptEnv)
    ScriptEnv.seen.clear()
    yield lambda actions, max_steps: RolloutSpec(
        Script(), LinearPolicy(True), actions, (np.float32(-1.0),), (np.float32(1.0),), max_steps
    )
    gymnasium.registry.pop("Script-v0")


# Scores: 0.5 * step - 0.25, so the actions of an episode are -0.25, 0.25, 0.75, 1.25 (clipped: 1), ...
WEIGHTS = np.array([[0.0, 0.5, -0.25]])


def run(spec, seeds, weights=WEIGHTS, track=True):
    return reference.rollouts(spec, identity_filter(2), weights, np.array(seeds, np.uint64), track)


def test_reference_rollouts_of_hand_worked_episodes(script):
    result = run(script(Clip(), 5), [2, 4, 9])
    assert result.returns.tolist() == [0.0, 1.75, 2.75]
    assert result.lengths.tolist() == [2, 4, 5]
    assert result.status.tolist() == [TERMINATED, TERMINATED, TRUNCATED]


def test_reference_rollouts_terminate_where_the_limit_falls_together_with_the_end(script):
    assert run(script(Clip(), 4), [4]).status.tolist() == [TERMINATED]


def test_reference_rollouts_leave_unclipped_actions_as_they_are(script):
    assert run(script(Unclipped(), 5), [4]).returns.tolist() == [-0.25 + 0.25 + 0.75 + 1.25]


def test_reference_rollouts_hand_over_float32_actions(script):
    run(script(Clip(), 5), [4])
    run(script(Unclipped(), 5), [4])
    assert {action.dtype for action in ScriptEnv.seen} == {np.dtype(np.float32)}


def test_reference_rollouts_end_at_a_reward_that_is_not_finite(script):
    result = run(script(Clip(), 5), [40])
    assert (result.status.tolist(), result.lengths.tolist()) == ([NONFINITE], [2])
    assert np.isnan(result.returns[0])


def test_reference_rollouts_do_not_act_on_an_observation_that_is_not_finite(script):
    result = run(script(Clip(), 9), [50])
    assert (result.status.tolist(), result.lengths.tolist()) == ([NONFINITE], [3])
    assert np.isnan(result.returns[0])
    assert result.moments.mean.tolist() == [[50.0, 1.0]]


def test_reference_rollouts_count_the_reset_and_leave_out_the_final_observation(script):
    moments = run(script(Clip(), 9), [3]).moments  # steps 0, 1, 2 were acted on, 3 was not
    assert (moments.count.tolist(), moments.mean.tolist(), moments.m2.tolist()) == ([3], [[3.0, 1.0]], [[0.0, 2.0]])


def test_reference_rollouts_have_moments_only_if_tracked(script):
    moments = run(script(Clip(), 9), [3, 4], track=False).moments
    assert (moments.count.shape, moments.mean.shape, moments.m2.shape) == ((0,), (0, 2), (0, 2))


def test_reference_rollouts_share_out_episodes_to_candidates_in_order(script):
    weights = np.array([[0.0, 0.0, 0.5], [0.0, 0.0, -0.5]])
    assert run(script(Clip(), 9), [1, 2, 3, 4], weights).returns.tolist() == [0.5, 1.0, -1.5, -2.0]


def test_reference_actions_of_a_discrete_space_start_at_start():
    action = reference.rollout._action
    spec = RolloutSpec(None, LinearPolicy(), Argmax(3), (), (), 1)
    assert action(spec, np.array([0.0, 2.0, 2.0])) == 4  # the first of equals
    assert type(action(spec, np.array([1.0, 0.0]))) is int


WITH_BIAS = [[1.0, 2.0, 5.5], [1.0, 2.0, 0.5]]
WITHOUT = [[1.0, 4.5, 0.0], [1.0, -0.5, 0.0]]


@pytest.mark.parametrize(("with_bias", "bias", "start", "candidates"), [(True, 3.0, 0, WITH_BIAS), (False, 0.0, 1, WITHOUT)])
def test_antithetic_rollouts_perturb_the_bias_only_if_there_is_one(monkeypatch, with_bias, bias, start, candidates):
    seen = []
    monkeypatch.setattr(reference.rollout, "rollouts", lambda spec, filter, weights, seeds, track: seen.append(weights))
    spec = RolloutSpec(None, LinearPolicy(with_bias), Argmax(), (np.float32(0.0),), (np.float32(0.0),), 1)
    noise, theta = np.array([0, 0, 5], np.float32), np.array([1.0, 2.0, bias])
    reference.antithetic_rollouts(spec, None, theta, 0.5, noise, np.array([start]), None, False)
    assert seen[0].tolist() == candidates
