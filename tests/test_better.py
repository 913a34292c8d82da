"""The study of ideas: the plain row is ARS, ideas do what their names say, rows, medians and bands, and a run.

Broken on purpose, one at a time, each seen by the test of its name: twice the noise on one side, returns instead of ranks, the
first step of Adam every time -> steps_are_its_steps; no shift -> the_shift; directions of another seed -> function_of_its_seed;
directions of length 1 -> orthogonal; half of the exponent -> importance; old directions of length 0 -> reused; the last step in
another place -> the_last_step; 19 iterations for 20 -> goes_back; steps or episodes of cut ones counted twice -> cut_episodes; the
paper's seeds in the search -> apart; a factor taken as a value, the shift without its sign, a name cut off -> a_row; the upper
median -> infinite; draws that are not paired -> the_same_seeds; seeds that reach it as failed ones -> what_failed; seeds of
evaluations below 2**32, a mean that is not confirmed -> a_run_ends; the slowest of the best chosen, the number of seeds not looked
at -> chosen.
"""

import math
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from bench.better import rows, runs  # noqa: E402
from bench.better.algorithm import Plain  # noqa: E402
from bench.better.ideas import IDEAS, EarlyCut, Importance, KeepBest, Orthogonal, PastDirection, Reuse  # noqa: E402
from bench.better.rows import FRESH_SEEDS, OTHER_SEEDS, PLAN, SEARCH_SEEDS, SEARCHED, SEEDS, TASKS, Row, row_of  # noqa: E402
from bench.better.summary import chosen, median, ratio  # noqa: E402
from bench.paper.seeds import PAPER_SEEDS  # noqa: E402
from bench.paper.store import Store  # noqa: E402
from bench.tables.better import tables  # noqa: E402
from fastars import ARS  # noqa: E402
from fastars.training.iteration import ask  # noqa: E402

ROW = Row("Pendulum", "plain")
SETTINGS = rows.settings(0.05, 0.1, 4, 2, shift=0.5)


def search_of(idea=Plain, env="Pendulum-v1", n=4, b=2, budget=100_000):
    return idea(env, {**SETTINGS, "n_delta": n, "n_top": b}, 7, budget)


def result_of(seed, steps):
    met = None if steps is None else {"iteration": 1, "steps": steps, "episodes": 1, "mean": 0.0}
    return {"seed": seed, "crossed": met, "best": 1.0, "cpu_s": 1.0, "steps": [1], "means": [1.0]}


# --- The algorithm


@pytest.mark.parametrize(
    ("env", "changes"),
    [
        ("Pendulum-v1", {}),
        ("CartPole-v1", {}),
        ("Pendulum-v1", {"fitness_shaping": "centered_ranks"}),
        ("Pendulum-v1", {"optimizer": "adam"}),
    ],
)
def test_with_the_directions_of_the_package_the_steps_are_its_steps(env, changes):
    idea = {"fitness_shaping": IDEAS["ranks"], "optimizer": IDEAS["adam"]}.get(next(iter(changes), ""), Plain)

    class Given(idea):
        def directions(self, n):
            self.asked = ask(real.run, real.state, 1.0)
            noise = real.run.noise.at(self.asked.indices, self.theta.size)
            return np.array([noise[first : first + self.theta.size] for first in self.asked.indices], dtype=float)

        def episode_seeds(self, n):
            return self.asked.seeds.reshape(n, 2)

    search = search_of(Given, env)
    each = search.step_length() / math.sqrt(search.theta.size)
    rate = {"learning_rate": each} if "optimizer" in changes else {}
    real = ARS("LinearPolicy", env, seed=7, n_threads=1, **SETTINGS | changes | rate)
    for _ in range(3):
        search.iterate()
        real.learn(1, reset_num_timesteps=False)
        np.testing.assert_allclose(search.theta, real.theta, rtol=1e-9, atol=1e-12)
    assert (search.steps, search.episodes) == (real.num_timesteps, 24)


def test_the_shift_is_taken_from_every_step():
    search = search_of(env="CartPole-v1")  # whose return is the length
    search.random = np.random.default_rng(0)
    returns = search.returns(search.directions(4))
    assert returns.tolist() == (0.5 * search.lengths).tolist()
    assert len(set(search.lengths.ravel())) > 1


def test_the_chosen_settings_reach_most_and_then_are_fastest(tmp_path):
    store, variants = Store(tmp_path), SEARCHED["Swimmer"]
    for place, variant in enumerate(variants[1:]):
        for seed in SEARCH_SEEDS:
            steps = 100 - place % 3 if place else 10 if seed > 101 else None  # the first is the fastest, but fails once
            store.add(Row("Swimmer", variant), result_of(seed, steps))
    assert chosen(store, "Swimmer") is None  # the first is missing
    for seed in SEARCH_SEEDS:
        store.add(Row("Swimmer", variants[0]), result_of(seed, 100))
    assert chosen(store, "Swimmer") == variants[3]


@pytest.mark.parametrize("name", IDEAS)
def test_every_idea_is_a_function_of_its_seed(name):
    def thetas(seed):
        search = IDEAS[name]("Pendulum-v1", {**SETTINGS, "n_delta": 8}, seed, 60_000)
        while search.steps < 50_000:
            search.iterate()
        return search.theta

    assert np.isfinite(thetas(3)).all()
    assert thetas(3).tolist() == thetas(3).tolist() != thetas(4).tolist()


def test_orthogonal_directions_have_the_lengths_of_gaussian_ones():
    search = search_of(Orthogonal)
    search.random = np.random.default_rng(0)
    deltas = search.directions(5)  # of 3 weights: blocks of 3 and 2
    search.random = np.random.default_rng(0)
    np.testing.assert_allclose(np.linalg.norm(deltas, axis=1), np.linalg.norm(Plain.directions(search, 5), axis=1))
    for block in (deltas[:3], deltas[3:]):
        gram = block @ block.T
        np.testing.assert_allclose(gram, np.diag(np.diag(gram)), atol=1e-12)


def test_the_importance_of_an_old_pair_is_the_ratio_of_its_densities():
    """Worked out from the densities of both candidates, whose product is that of the pair."""
    search = search_of(Importance)
    random = np.random.default_rng(1)
    deltas, returns = random.standard_normal((2, 2, 3)), random.standard_normal((2, 2, 2))
    first = search.gradient(deltas[0], returns[0])
    shift = np.array([0.03, -0.02, 0.05])
    search.theta = search.theta + shift
    found = search.gradient(deltas[1], returns[1])
    nu, delta = search.sigma(), deltas[0, 0]

    def log_density(candidate, theta):
        return -((candidate - theta) @ (candidate - theta)) / (2.0 * nu**2)

    pair = [-shift + nu * delta, -shift - nu * delta]  # from the new theta
    weight = math.exp(sum(log_density(each, 0.0 * shift) - log_density(each, -shift) for each in pair))
    plain = search_of()
    np.testing.assert_allclose(found, (plain.gradient(deltas[1], returns[1]) + weight * first) / (1.0 + weight))


def test_reused_directions_are_ranked_with_the_new_ones():
    search, plain = search_of(Reuse), search_of()
    random = np.random.default_rng(1)
    deltas, returns = random.standard_normal((2, 2, 3)), random.standard_normal((2, 2, 2))
    search.gradient(deltas[0], returns[0])
    both = plain.gradient(np.concatenate(deltas[::-1]), np.concatenate(returns[::-1]))
    assert search.gradient(deltas[1], returns[1]).tolist() == both.tolist()
    assert search.n_directions() == 2


def test_the_last_step_is_a_direction():
    search = search_of(PastDirection)
    search.iterate()
    step = search.last
    search.iterate()
    search.random = np.random.Generator(np.random.Philox(key=[7, 2]))
    delta = search.directions(4)[0]
    np.testing.assert_allclose(delta / np.linalg.norm(delta), search.last / np.linalg.norm(search.last))
    assert not np.array_equal(step, search.last)


def test_without_a_better_mean_it_goes_back_to_the_best():
    search = search_of(KeepBest)
    deltas, good, bad = np.ones((4, 3)), np.arange(8.0).reshape(4, 2), -np.ones((4, 2))
    search.theta = np.array([1.0, 2.0, 3.0])
    search.gradient(deltas, good)
    for _ in range(20):
        assert search.factor == 1.0
        search.theta = np.zeros(3)
        search.gradient(deltas, bad)
    assert search.theta.tolist() == [1.0, 2.0, 3.0]
    assert search.learning_rate() == 0.7 * search.alpha


def test_cut_episodes_count_a_quarter_of_their_steps():
    search = search_of(EarlyCut, n=8, b=4)
    search.iterate()
    assert search.steps == 8 * 2 * 50 + 4 * 2 * 150
    assert search.episodes == 16


# --- Rows, medians and bands


def test_seeds_are_apart():
    """Words of SeedSequence, as in the paper's study; those of the search are neither among them nor the paper's."""
    every = [*SEEDS, *OTHER_SEEDS, *FRESH_SEEDS, *SEARCH_SEEDS, *PAPER_SEEDS]
    assert len(set(every)) == len(every) == 4 * 20 + 3
    assert SEEDS[:2] == (3090561942, 1598160366)


def test_a_row_is_an_idea_and_changes():
    row = row_of("Hopper", "orthogonal alpha*2 N=16 b*0.5 shift=2 filter=0")
    assert row.settings == {
        "learning_rate": 0.04,
        "delta_std": 0.025,
        "n_delta": 16,
        "n_top": 8,
        "alive_bonus_offset": -2.0,
        "normalize_observations": False,
        "physics": "lanes",
        "clip_actions": False,
    }
    assert row.name == "Hopper-v5_orthogonal_alphax2_N=16_bx0.5_shift=2_filter=0"
    for wrong in ("better", "plain beta=1", "plain alpha", "plain alpha=x"):
        with pytest.raises(SystemExit):
            row_of("Hopper", wrong)


def test_the_plan_has_every_idea_and_names_that_differ():
    assert {row.idea for row in PLAN} == set(IDEAS)
    assert len({row.name for row in PLAN}) == len(PLAN)
    for row in PLAN:
        assert row.settings["n_top"] <= row.settings["n_delta"]
    assert Row("Pendulum", "plain").grid[0] == 40_000
    assert Row("Pendulum", "plain").grid[-1] == TASKS["Pendulum"].budget


def test_a_failed_seed_is_infinite_in_the_median():
    assert median(np.array([3.0, 1.0, math.inf, 2.0])) == 2.0
    assert median(np.array([math.inf, 1.0, math.inf, math.inf])) == math.inf


def test_a_ratio_is_of_the_same_seeds():
    plain = [result_of(seed, 100 * seed) for seed in range(1, 8)]
    changed = [result_of(seed, 50 * seed) for seed in range(1, 6)]
    assert ratio(changed, plain) == (0.5, 0.5, 0.5)  # paired: each draw has the seeds of both
    assert ratio([result_of(seed, None) for seed in range(1, 8)], plain) == (math.inf, math.inf, math.inf)
    assert math.isnan(ratio([], plain)[0])


def test_tables_say_what_failed_and_what_was_not_run(tmp_path):
    store = Store(tmp_path)
    for place, steps in enumerate((100, 200, None)):
        store.add(Row("Pendulum", "plain"), result_of(SEEDS[place], 100))
        store.add(Row("Pendulum", "ranks"), result_of(SEEDS[place], steps))
    made = tables(store)
    assert "| `ranks` | 2.00 (1.00 to never), 3 seeds so far | not yet |" in made["better-ideas"]
    assert "| `ranks` | 3 | not yet |" in made["better-failed"]
    assert "| 3 of 3 | 100 |" in made["better-plain"]


# --- A run


def test_a_run_ends_at_a_threshold_that_other_episodes_confirm(monkeypatch):
    seen, evaluate = [], ARS.evaluate

    def watched(model, n_episodes, seed):
        seen.append((n_episodes, seed))
        return evaluate(model, n_episodes, seed)

    monkeypatch.setattr(runs.Plain, "evaluate", lambda search, seeds: seen.append(seeds.min()) or np.full(len(seeds), 0.0))
    monkeypatch.setattr(ARS, "evaluate", watched)
    monkeypatch.setitem(TASKS, "Pendulum", TASKS["Pendulum"]._replace(budget=60_000))
    failed = runs.run_seed(ROW, 3)
    assert failed["crossed"] is None
    assert len(seen) == 2 * len(failed["steps"])
    assert min(each if np.isscalar(each) else each[1] for each in seen) >= 1 << 32
    assert {each[0] for each in seen[1::2]} == {runs.N_CONFIRMING}
    monkeypatch.setitem(TASKS, "Pendulum", TASKS["Pendulum"]._replace(threshold=-1e4))
    reached = runs.run_seed(ROW, 3)
    assert reached["crossed"]["steps"] == reached["steps"][-1] == 3_200
    assert reached["crossed"]["mean"] < 0.0  # of mj_step or Gymnasium's twin, not of the first evaluation
