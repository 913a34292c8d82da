"""Training on CartPole-v1: time to a mean return of 475, throughput of `learn`, an iteration outside rollouts, a short run."""

import itertools
import statistics
import time

import numpy as np
import pytest

from bench.machine import THREADS
from bench.peers import optional
from bench.test_rollouts import candidates
from fastars import ARS, evaluate_candidates
from fastars.callbacks import EveryIteration

ENV, GOAL, N_EVALUATION = "CartPole-v1", 475.0, 100
_STEP_LIMIT = 200_000


class Runs:
    """Training runs with seeds 0, 1, 2 ..., one per call; a subclass trains. Evaluations after each iteration are timed too."""

    def __init__(self):
        self.seeds = itertools.count()
        self.steps, self.iterations, self.unfinished = [], [], 0

    def __call__(self):
        steps, iterations, is_solved = self.train(next(self.seeds))
        self.steps.append(steps)
        self.iterations.append(iterations)
        self.unfinished += not is_solved

    def train(self, seed):
        raise NotImplementedError

    def summary(self, seconds):
        """Return a row. Its counts include the warm-up, because they are the same on any machine."""
        return {
            "seconds": seconds,
            "runs": len(self.steps),
            "unfinished": self.unfinished,
            "steps": statistics.median(self.steps),
            "most_steps": max(self.steps),
            "iterations": statistics.median(self.iterations),
        }


class Fastars(Runs):
    def train(self, seed):
        is_solved = []

        def stop_when_solved(locals_, _):
            is_solved.append(locals_["self"].evaluate(N_EVALUATION).returns.mean() >= GOAL)
            return not is_solved[-1]

        model = ARS("LinearPolicy", ENV, seed=seed, n_threads=THREADS).learn(_STEP_LIMIT, EveryIteration(stop_when_solved))
        return model.num_timesteps, model.iteration, is_solved[-1]


class StableBaselines(Runs):
    """ARS of stable-baselines3-contrib with its defaults, evaluated by fastars, which costs about 1 ms an iteration."""

    def __init__(self):
        super().__init__()
        self.ars = optional("sb3_contrib").ARS
        self.callback = optional("stable_baselines3.common.callbacks").BaseCallback

    def train(self, seed):
        class Solved(Exception):  # noqa: N818 - a signal, not an error: False from a callback does not stop this trainer
            pass

        class StopWhenSolved(self.callback):
            n_iterations = -1

            def _on_rollout_start(self):
                self.n_iterations += 1
                theta = self.model.weights.cpu().numpy().astype(np.float64)
                weights = np.tile(theta, (N_EVALUATION, 1))
                seeds = np.arange(seed, seed + N_EVALUATION)
                if evaluate_candidates(ENV, weights, seeds, n_threads=THREADS).returns.mean() >= GOAL:
                    raise Solved

            def _on_step(self):
                return True

        model, stop = self.ars("LinearPolicy", ENV, seed=seed, device="cpu"), StopWhenSolved()
        try:
            model.learn(_STEP_LIMIT, stop)
        except Solved:
            return model.num_timesteps, stop.n_iterations, True
        return model.num_timesteps, stop.n_iterations, False


def test_time_to_475(race, record):
    runs = Fastars()
    seconds = race({"fastars": runs}, budget=3.0)
    record(kind="time to 475", trainer="fastars", **runs.summary(seconds["fastars"]))


@pytest.mark.filterwarnings("ignore")  # of the other package
def test_time_to_475_against_sb3_contrib(race, record):
    runs = {"fastars": Fastars(), "stable-baselines3-contrib": StableBaselines()}
    seconds = race(runs, budget=25.0)
    rows = {name: runs[name].summary(seconds[name]) for name in runs}
    record(kind="time to 475 against", rows=rows)


def test_learn_against_evaluation(race, record, quick):
    """Measure `learn` where rollouts take most of the time. The candidates of both sides live for about as long."""
    model = ARS("LinearPolicy", ENV, n_delta=1024, seed=0, n_threads=THREADS).learn(10_000_000)
    same = model.ask()
    seeds = np.random.default_rng(1).integers(0, 2**32, len(same), np.uint64)
    many, many_seeds = candidates(ENV, 512 if quick else 20_480)
    start = {"steps": model.num_timesteps, "iteration": model.iteration}
    n_steps = {
        "evaluate the same candidates": int(evaluate_candidates(ENV, same, seeds).lengths.sum()),
        "evaluate 20,480 candidates": int(evaluate_candidates(ENV, many, many_seeds).lengths.sum()),
    }
    seconds = race(
        {
            "learn, n_delta=1024": lambda: model.learn(1, reset_num_timesteps=False),
            "evaluate the same candidates": lambda: evaluate_candidates(ENV, same, seeds, n_threads=THREADS),
            "evaluate 20,480 candidates": lambda: evaluate_candidates(ENV, many, many_seeds, n_threads=THREADS),
        },
        budget=5.0,
    )
    n_steps["learn, n_delta=1024"] = (model.num_timesteps - start["steps"]) / (model.iteration - start["iteration"])
    record(kind="throughput", steps_per_s={name: n_steps[name] / seconds[name] for name in seconds})


class TimedSampler:
    """A sampler that records the duration of each evaluation."""

    def __init__(self, sampler):
        self.sampler, self.seconds = sampler, []

    takes_perturbed = False

    def evaluate(self, *args):
        start = time.perf_counter()
        rollouts = self.sampler.evaluate(*args)
        self.seconds.append(time.perf_counter() - start)
        return rollouts


@pytest.mark.parametrize("diagnostics", [True, False])
@pytest.mark.parametrize("variant", ["V1", "V2-t"])
def test_iteration_outside_rollouts(variant, diagnostics, race, record, quick):
    settings = {"n_top": 4 if variant.endswith("-t") else None, "variant": variant, "diagnostics": diagnostics}
    model = ARS("LinearPolicy", ENV, n_delta=8, seed=0, n_threads=THREADS, **settings).learn(100_000)
    model.sampler = TimedSampler(model.sampler)
    n_iterations = 20 if quick else 200
    marks = []

    def stop(locals_, _):
        marks.append(time.perf_counter())
        return len(marks) % n_iterations != 0

    whole, rollouts = [], []

    def iterations():
        marks.clear()
        model.sampler.seconds.clear()
        marks.append(time.perf_counter())
        model.learn(10**9, EveryIteration(stop), reset_num_timesteps=False)
        whole.extend(np.diff(marks))
        rollouts.extend(model.sampler.seconds[: len(marks) - 1])

    race({"iterations": iterations}, budget=2.0)
    outside = np.subtract(whole, rollouts)
    record(
        kind="iteration",
        variant=variant,
        n_delta=8,
        diagnostics=diagnostics,
        iterations=len(outside),
        whole_s=float(np.median(whole)),
        outside_s=float(np.median(outside)),
        outside_p90_s=float(np.quantile(outside, 0.9)),
    )


def test_short_run(race, record, quick):
    """Measure a whole run of 8 directions with compiled kernels: constructor and `learn`, without a log."""
    n_steps, ends = 2_000 if quick else 50_000, []

    def run():
        model = ARS("LinearPolicy", ENV, n_delta=8, seed=0, n_threads=THREADS).learn(n_steps, log_interval=0)
        ends.append((model.num_timesteps, model.iteration))

    seconds = race({"run": run}, budget=2.0)
    ((steps, iterations),) = set(ends)  # all rounds do the same work
    record(kind="short run", n_delta=8, iterations=iterations, steps=steps, seconds=seconds["run"])
