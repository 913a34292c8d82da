"""Environments that draw from `random`, `np.random`, PyTorch or their spaces: one seed gives one result, wherever episodes run.

Broken on purpose: `Episodes` seeds no shared generator -> "of_numpy", "of_python" and "rarely" red; it seeds no space ->
"of_actions" and "of_observations" red; environments side by side are not asked -> test_episodes_side_by_side red; states are not
put back -> test_rollouts_leave_the_generators_as_they_were red; the constructor seeds nothing -> test_a_given_environment red, and
test_the_constructor_seeds; `load` seeds all -> test_load_leaves_the_generators red; `evaluate_policy` or `replay` seeds nothing ->
their tests red; a vector environment is not seeded -> test_a_vector_environment red.
"""

import random
import re

import drawing_envs
import gymnasium
import numpy as np
import pytest
from drawing_envs import DRAWS, Drawing

from fastars import ARS, evaluate_candidates, evaluate_policy
from fastars._compiled.structs import LinearPolicy, identity_filter
from fastars._runtime.shared_generators import are_as_seeded, generator_states, seed_generators
from fastars.envs import environment
from fastars.replay import replay
from fastars.samplers import make_sampler
from fastars.samplers.gym import GymSampler

SEEDS = np.arange(40, dtype=np.uint64) + np.uint64(7)
WEIGHTS = np.random.default_rng(1).normal(size=(40, 2))
draws = pytest.mark.parametrize("draw", DRAWS, ids=lambda draw: draw.__name__)


def rolled_out(make, n_workers=1, side_by_side=None):
    env = environment(make)
    sampler = GymSampler(env, env.rollout_spec(LinearPolicy(False)), n_workers, envs_per_worker=side_by_side)
    try:
        rollouts = sampler.evaluate(WEIGHTS, identity_filter(2), SEEDS, False)
        return rollouts.returns.tolist(), rollouts.lengths.tolist()
    finally:
        sampler.close()


@draws
def test_one_seed_gives_one_result(draw):
    first = rolled_out(lambda: Drawing(draw))
    drawing_envs.of_numpy(None), drawing_envs.of_python(None)
    assert rolled_out(lambda: Drawing(draw)) == first
    assert rolled_out(Drawing(draw)) == first  # one given as an object, too
    alone = [evaluate_candidates(lambda: Drawing(draw), WEIGHTS[i : i + 1], SEEDS[i : i + 1]) for i in (0, 13, 39)]
    assert [part.returns[0] for part in alone] == [first[0][i] for i in (0, 13, 39)]
    assert len(set(first[0])) == 40


@pytest.mark.parametrize("draw", [drawing_envs.of_numpy, drawing_envs.of_actions, drawing_envs.rarely_of_numpy])
def test_the_number_of_workers_is_without_effect(draw):
    assert rolled_out(lambda: Drawing(draw), n_workers=2) == rolled_out(lambda: Drawing(draw))


@draws
def test_episodes_side_by_side_take_no_numbers_from_each_other(draw):
    assert rolled_out(lambda: Drawing(draw), side_by_side=5) == rolled_out(Drawing(draw))


def test_environments_that_do_not_draw_run_side_by_side():
    env = environment(lambda: Drawing(lambda env: 0.0))
    sampler = make_sampler(env, LinearPolicy(False))
    sampler.evaluate(WEIGHTS, identity_filter(2), SEEDS, False)
    assert "1 environment in" not in sampler.description
    env = environment(Drawing)
    sampler = make_sampler(env, LinearPolicy(False))
    sampler.evaluate(WEIGHTS, identity_filter(2), SEEDS, False)
    assert "1 environment in" in sampler.description


@draws
def test_a_run_is_one_for_one_seed(draw):
    thetas = [ARS("LinearPolicy", lambda: Drawing(draw), n_delta=4, seed=3, noise_size=4096).learn(300).theta for _ in range(2)]
    assert np.array_equal(*thetas)


@draws
def test_a_given_environment_and_get_env_are_seeded(draw):
    found = []
    for _ in range(2):
        env = Drawing(draw)
        model = ARS("LinearPolicy", env, n_delta=2, seed=3, noise_size=4096).learn(50)
        of_model = evaluate_policy(model, model.get_env(), 4, return_episode_rewards=True)
        found.append((of_model, env.action_space.sample().tolist(), model.action_space.sample().tolist()))
        model.set_random_seed(5)
        found[-1] += (evaluate_policy(model, env, 3, return_episode_rewards=True), env.reset()[0].tolist())
    if draw is not drawing_envs.of_observations:  # which theirs does not seed, either
        assert found[0] == found[1]


def test_the_constructor_seeds_as_theirs_does():
    def drawn():
        return random.random(), np.random.random()

    ARS("LinearPolicy", "CartPole-v1", seed=3, noise_size=4096)
    first = drawn()
    model = ARS("LinearPolicy", "CartPole-v1", seed=3, noise_size=4096)
    assert drawn() == first
    random.seed(3)
    np.random.seed(3)
    assert drawn() == first
    model.set_random_seed(3)
    assert drawn() == first
    before = generator_states()
    ARS("LinearPolicy", "CartPole-v1", noise_size=4096)  # without a seed
    model.set_random_seed(None)
    assert before.are_current()
    model.set_random_seed(2**64 - 1)  # beyond the seeds of NumPy's
    assert model.action_space.sample() in (0, 1)


def test_an_environment_that_was_given_goes_on_as_after_a_reset_with_the_seed():
    env = gymnasium.make("CartPole-v1")
    ARS("LinearPolicy", env, seed=11, noise_size=4096).learn(50)
    assert np.array_equal(env.reset()[0], gymnasium.make("CartPole-v1").reset(seed=11)[0])
    space = gymnasium.spaces.Discrete(2)
    space.seed(11)
    assert [env.action_space.sample() for _ in range(8)] == [space.sample() for _ in range(8)]
    unseeded = gymnasium.make("CartPole-v1")
    unseeded.reset(seed=4)
    ARS("LinearPolicy", unseeded, noise_size=4096)
    again = gymnasium.make("CartPole-v1")
    again.reset(seed=4)
    assert np.array_equal(unseeded.reset()[0], again.reset()[0])


def test_load_leaves_the_generators_of_the_process_alone(tmp_path):
    ARS("LinearPolicy", "CartPole-v1", seed=3, noise_size=4096).save(tmp_path / "model")
    random.random(), np.random.random()
    before = generator_states()
    first, second = (ARS.load(tmp_path / "model").get_env().reset() for _ in range(2))
    assert before.are_current()
    assert np.array_equal(first, second)


@pytest.mark.parametrize("given", [Drawing, Drawing()], ids=["function", "object"])
def test_rollouts_leave_the_generators_as_they_were(given):
    model = ARS("LinearPolicy", given, n_delta=2, seed=3, noise_size=4096)
    before = generator_states()
    model.learn(50)
    model.evaluate(2)
    evaluate_policy(model, Drawing(), 2, seed=1)
    assert before.are_current()


@draws
def test_evaluate_policy_seeds_each_episode(draw):
    model = ARS("LinearPolicy", Drawing(draw), seed=0, noise_size=4096)
    both = evaluate_policy(model, Drawing(draw), 2, seed=5, return_episode_rewards=True)
    assert evaluate_policy(model, Drawing(draw), 2, seed=5, return_episode_rewards=True) == both
    assert evaluate_policy(model, Drawing(draw), 1, seed=6, return_episode_rewards=True)[0] == both[0][1:]
    assert both[0] == model.evaluate(2, seed=5).returns.tolist()


def test_a_failed_episode_draws_the_same_numbers_again(caplog):
    model = ARS("LinearPolicy", lambda: Drawing(drawing_envs.of_numpy_with_a_failure), n_delta=4, seed=3, noise_size=4096)
    model.learn(50)
    text = next(record.getMessage() for record in caplog.records if "drew" in record.getMessage())
    path, number = re.search(r"fastars\.replay (\S+)", text)[1], re.search(r"drew ([0-9.]+)", text)[1]
    for _ in range(2):
        with pytest.raises(ArithmeticError, match=f"^drew {re.escape(number)}$"):
            replay(path, lambda: Drawing(drawing_envs.of_numpy_with_a_failure))
        drawing_envs.of_numpy(None)


@pytest.mark.parametrize("draw", [drawing_envs.of_numpy, drawing_envs.of_python])
def test_a_vector_environment_in_this_process_is_seeded(draw):
    envs = [gymnasium.vector.SyncVectorEnv([lambda: Drawing(draw)] * 3) for _ in range(2)]
    first = evaluate_candidates(envs[0], WEIGHTS, SEEDS).returns
    drawing_envs.of_numpy(None), drawing_envs.of_python(None)
    second = evaluate_candidates(envs[1], WEIGHTS, SEEDS).returns
    assert np.array_equal(first, second)
    assert len(set(first)) == 40


def test_states_by_hand():
    with pytest.MonkeyPatch.context():
        before = generator_states()
        seed_generators(5)
        assert are_as_seeded(5)
        np.random.random()
        drawn = generator_states()
        assert not are_as_seeded(5)
        assert drawn.are_current()
        seed_generators(5)
        random.gauss()
        assert not are_as_seeded(5)
        before.restore()
        assert before.are_current()
