"""One iteration of Augmented Random Search: Algorithm 2 of Mania, Guy & Recht 2018 (arXiv 1803.07055), as functions of a state.

    asked = ask(run, state, progress)
    candidates = make_candidates(run, state, asked)
    rollouts = roll_out(run, state, asked, candidates)
    state, row = iterate(run, state, asked, rollouts)

None of them changes what it is given, so an exception leaves the run as it was.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from fastars._compiled.structs import FAILED, Filter, FloatArray, IntArray, NoiseArray, Rollouts, SeedArray
from fastars._runtime.signals import OpenSignals
from fastars._validate import MOST_INT64, number
from fastars.kernels.norms import Info
from fastars.samplers.candidates import Candidates
from fastars.samplers.failure import OnFailure, log_failure
from fastars.training.diagnostics import Pairs, diagnose_tasks, gradient_rows, measure_pairs, spread_rows, task_rows
from fastars.training.evidence import Evidence
from fastars.training.iteration_rows import Row, Rows, health_rows, training_rows
from fastars.training.run import Run
from fastars.training.seeds import episode_seeds
from fastars.training.state import Counters, ObsMoments, RecentEpisodes, State, obs_filter
from fastars.training.update import Chosen, choose_directions, optimizer_step, sum_directions

_MAX_EMPTY_ITERATIONS = 10


class NonFiniteReturnsError(RuntimeError, ValueError):
    """Training can't go on with the returns that it got.

    No pair had finite returns for 10 iterations, every episode of the first iteration failed, a pair had a return that was not
    finite and `on_nonfinite="raise"`, or the step was not finite. It is a ValueError too, for which rl_zoo3 gives up a set of
    hyperparameters but not the search.
    """


class Outcome(NamedTuple):
    """The returns of the candidates, and what happened in their episodes."""

    returns: FloatArray  # (n_delta, 2)
    n_bad: int  # pairs with a return that is not finite
    n_dropped: int  # of these, pairs without a part in the update
    n_steps: int  # of all episodes
    n_unstable: int  # episodes that a simulator ended


class Asked(NamedTuple):
    """An iteration before its rollouts: all that is random in it, and the values of the schedules."""

    seed: int
    iteration: int
    indices: IntArray  # (n_delta,), starts of the directions in the noise table
    seeds: SeedArray  # (n_delta, 2, n_eval_episodes), of the episodes
    sigma: float  # exploration noise, nu of the paper
    learning_rate: float  # alpha of the paper


def ask(run: Run, state: State, progress: float) -> Asked:
    """Draw the directions and episodes of the next iteration; `progress` is the progress remaining, from 1 to 0."""
    run.refuse_excess(training=True)
    config, iteration = run.config, state.counters.iteration
    # Algorithm 2, line 4: sample the directions
    indices = run.backend.sample_indices(np.uint64(config.seed), iteration, config.n_delta, run.noise.size, run.n_weights)
    seeds = episode_seeds(run.backend, config, iteration)
    sigma = _scheduled("delta_std", config.delta_std, progress)
    return Asked(config.seed, iteration, indices, seeds, sigma, _scheduled("learning_rate", config.learning_rate, progress))


def make_candidates(run: Run, state: State, asked: Asked) -> FloatArray | Candidates:
    """Return the candidates as the sampler takes them: an array, or their recipe where they are many or run elsewhere."""
    candidates = candidates_of(run, state, asked)
    if run.sampler.takes_perturbed:
        return candidates
    noise = run.noise.at(asked.indices, run.n_weights)  # filled by all threads, before each makes candidates of its own
    return candidates if candidates.is_large else run.backend.perturb(state.theta, asked.sigma, noise, asked.indices)


def candidates_of(run: Run, state: State, asked: Asked) -> Candidates:
    """Return the recipe of the candidates: each is made when it is read."""
    return Candidates(state.theta, asked.sigma, asked.indices, run.noise)


def perturbed_thetas(run: Run, state: State, asked: Asked) -> FloatArray:
    """Return the candidates, (2 n_delta, n_weights): rows 2i and 2i + 1 are theta + sigma delta_i and theta - sigma delta_i."""
    return candidates_of(run, state, asked)[:]


def roll_out(
    run: Run,
    state: State,
    asked: Asked,
    candidates: Any,
    filter: Filter | None = None,
    on_failure: OnFailure = log_failure,
) -> Rollouts:
    """Run the training episodes of all candidates (Algorithm 2, line 5); `filter` is the filter of the state, if it is at hand."""
    weights = None if state.tasks is None else state.tasks.weights
    filter = obs_filter(run.backend, run.config, state.moments) if filter is None else filter
    return run.sampler.evaluate(candidates, filter, asked.seeds.ravel(), run.updates_obs_stats, weights, on_failure)


@np.errstate(over="ignore", invalid="ignore")  # overflow is tested for below: NumPy need not warn
def iterate(
    run: Run, state: State, asked: Asked, rollouts: Rollouts, n_steps: int | None = None, returns: FloatArray | None = None
) -> tuple[State, Row]:
    """Return the state after an iteration, and its row of the log.

    Parameters
    ----------
    run : Run
        The fixed part of the run.
    state : State
        The state that the candidates were made from.
    asked : Asked
        Their directions.
    rollouts : Rollouts
        Their episodes, in the order of the candidates.
    n_steps : int, optional
        Environment steps to count; default: the lengths of the episodes.
    returns : ndarray of float64, shape (n_delta, 2), optional
        Of the candidates; default: from the episodes.

    Raises
    ------
    NonFiniteReturnsError
        If the step would not be finite, and where the settings say that such returns are an error.
    ValueError
        If the iteration would be 2**63.
    """
    backend, tasks = run.backend, state.tasks
    outcome = candidate_returns(run, state, rollouts, returns)
    returns = outcome.returns
    noise = run.noise.at(asked.indices, run.n_weights)
    chosen = choose_directions(backend, run.config, returns)  # line 6: the top directions
    measured = _measured(run, state, asked, noise, rollouts, returns)
    gradient, task_gradients = _gradients(run, asked, noise, chosen, measured)
    theta, slots, sizes = _stepped(run, state, asked, chosen, gradient)  # line 7
    moments = state.moments
    if run.updates_obs_stats and int(moments.count) <= MOST_INT64 - outcome.n_steps:
        moments = ObsMoments(*backend.merge_moments(*moments, rollouts.moments))  # line 8: of all observations so far
    of_gradients, estimate, evidence = diagnose(run, state, asked, rollouts, returns, chosen.selected, measured, task_gradients)
    if tasks is not None and evidence is not None:
        tasks = tasks.after(evidence)
    counters = _next_counters(
        state.counters,
        rollouts,
        outcome,
        n_steps=outcome.n_steps if n_steps is None else n_steps,
        has_step=len(chosen.selected) > 0,
        is_empty=outcome.n_dropped == run.config.n_delta,
    )
    following = State(theta, moments, slots, estimate, tasks, _recent_episodes(run, state, rollouts), counters)
    return following, Row(
        partial(training_rows, run.config, following, asked.sigma, asked.learning_rate, chosen, sizes),
        *of_gradients,
        *(() if tasks is None else (tasks.rows,)),
        partial(health_rows, following),
    )


def refuse_empty_iterations(state: State) -> None:
    """Raise if no pair had finite returns for 10 iterations."""
    if state.counters.empty_iterations >= _MAX_EMPTY_ITERATIONS:
        raise NonFiniteReturnsError(f"no pair of candidates had finite returns for {_MAX_EMPTY_ITERATIONS} iterations")


def candidate_returns(run: Run, state: State, rollouts: Rollouts, given: FloatArray | None = None) -> Outcome:
    """Return the returns of the candidates, and counts of what happened. `given` returns stand for those of the episodes."""
    config, backend = run.config, run.backend
    if state.counters.iteration == 0 and (rollouts.status == FAILED).all():
        raise NonFiniteReturnsError(f"{run.env.id} failed in every episode of the first iteration")
    shape = config.n_delta, 2, -1
    status = rollouts.status.reshape(shape)
    lengths = rollouts.lengths.reshape(shape)
    returns = given
    if returns is None:
        returns = backend.candidate_returns(rollouts.returns.reshape(shape), lengths, status, config.alive_bonus_offset)
    n_finite, n_steps, n_unstable = backend.count_outcomes(returns, lengths, status)
    n_bad = config.n_delta - n_finite
    if n_bad and config.on_nonfinite == "raise":
        raise NonFiniteReturnsError(f"{n_bad} of {config.n_delta} pairs had a NaN or infinite return; theta is unchanged")
    if n_bad and config.on_nonfinite == "penalize":
        returns = backend.penalized_returns(returns, status)
        n_finite, *_ = backend.count_outcomes(returns, lengths, status)
    return Outcome(returns, n_bad, config.n_delta - n_finite, n_steps, n_unstable)


def _measured(
    run: Run, state: State, asked: Asked, noise: NoiseArray, rollouts: Rollouts, returns: FloatArray
) -> tuple[FloatArray, Pairs] | None:
    """Return (returns of the tasks, the finite pairs), from which gradients are estimated; None where none are wanted."""
    tasks, n_delta = state.tasks, run.config.n_delta
    if asked.sigma == 0.0 or (tasks is None and not run.config.diagnostics):
        return None
    task_returns = returns[:, :, np.newaxis]
    if tasks is not None:
        task_returns = rollouts.task_returns.reshape(n_delta, 2, -1, tasks.n_tasks).mean(axis=2)
    sums = run.noise.square_sums(run.n_weights)
    pairs = measure_pairs(run.backend, task_returns, noise, sums, asked.indices, asked.sigma, run.n_weights)
    return task_returns, pairs


def _gradients(
    run: Run, asked: Asked, noise: NoiseArray, chosen: Chosen, measured: tuple[FloatArray, Pairs] | None
) -> tuple[FloatArray, FloatArray]:
    """Return the gradient of the step, and those of the tasks from all finite pairs, (T, n_weights), in one pass over the noise."""
    if measured is None:
        indices, weights = asked.indices[chosen.selected], chosen.weights[:, np.newaxis]
    else:
        kept, differences, _ = measured[1]
        indices = asked.indices
        weights = run.backend.sum_weights(chosen.selected, chosen.weights, kept, differences, len(indices))
    sums = sum_directions(run.backend, weights, noise, indices, run.n_weights, run.n_threads)
    if measured is not None:
        sums[1:] /= max(len(kept), 1)
    return sums[0], sums[1:]


def _stepped(
    run: Run, state: State, asked: Asked, chosen: Chosen, gradient: FloatArray
) -> tuple[FloatArray, tuple[FloatArray, ...], Info]:
    """Return theta and the slots of the optimizer after the step, and the sizes of weights, gradient and step."""
    theta, slots, step = state.theta, state.slots, np.zeros(run.n_weights)
    if len(chosen.selected):
        n_updates = min(state.counters.num_updates, MOST_INT64 - 1)  # the optimizer counts one more
        slots, step = optimizer_step(run.backend, run.config, slots, n_updates, gradient, asked.learning_rate, theta)
    sizes = run.backend.info(theta, gradient, step)
    theta = theta + step
    if not (math.isfinite(sizes.weights_norm) or np.isfinite(theta).all()):
        largest = float(np.max(np.abs(gradient)))
        raise NonFiniteReturnsError(
            f"the step is not finite (learning_rate {asked.learning_rate:g}, largest gradient {largest:g}); theta is unchanged"
        )
    return theta, slots, sizes


def diagnose(
    run: Run,
    state: State,
    asked: Asked,
    rollouts: Rollouts,
    returns: FloatArray,
    selected: IntArray,
    measured: tuple[FloatArray, Pairs] | None,
    gradients: FloatArray,
) -> tuple[tuple[Callable[[], Rows], ...], FloatArray | None, Evidence | None]:
    """Diagnose the gradients of the tasks. Returns (parts of a `Row`, gradient of the reward, evidence for task weighting)."""
    tasks, backend = state.tasks, run.backend
    if measured is None:
        return (), state.gradient, None
    task_returns, pairs = measured
    gradient = gradients[0].copy() if tasks is None else tasks.weights @ gradients
    episodes = rollouts.returns.reshape(run.config.n_delta, 2, -1).copy()  # callbacks get `rollouts` before anybody looks at rows
    rows = (
        partial(gradient_rows, backend, pairs, gradient, state.gradient, returns, asked.sigma, selected),
        partial(spread_rows, backend, episodes, run.config.common_random_numbers),
    )
    if len(pairs.kept) == 0:
        return rows, state.gradient, None
    estimate = gradient
    if not np.isfinite(gradient).all():  # it overflowed, in a division by a tiny sigma: the step is another sum, and finite
        estimate = state.gradient
    if tasks is None:
        return rows, estimate, None
    found, gram, debiased = diagnose_tasks(backend, pairs, gradients, task_returns, tasks.weights)
    evidence = Evidence(found.returns, found.stds, gram, debiased, len(pairs.kept), run.n_weights)
    return (*rows, partial(task_rows, tasks.names, found, tasks.weights)), estimate, evidence


def _recent_episodes(run: Run, state: State, rollouts: Rollouts) -> RecentEpisodes:
    """Return the last episodes. Returns of several tasks are weighted by the utility, which stays the same during a run."""
    tasks, returns = state.tasks, rollouts.returns
    if tasks is not None and not np.array_equal(tasks.weights, tasks.utility):
        returns = rollouts.task_returns @ tasks.utility
    before = state.recent
    first = max(len(before.returns) - max(run.stats_window_size - len(returns), 0), 0)
    return RecentEpisodes(
        np.concatenate((before.returns[first:], returns)), np.concatenate((before.lengths[first:], rollouts.lengths))
    )


def _next_counters(
    before: Counters, rollouts: Rollouts, outcome: Outcome, *, n_steps: int, has_step: bool, is_empty: bool
) -> Counters:
    """Return the counters after an iteration. They stop at 2**63 - 1, except the iteration, from which directions follow."""
    if before.iteration == MOST_INT64:
        raise ValueError(f"iteration must stay below 2**63, got {before.iteration + 1}")
    counters = Counters(
        before.iteration + 1,
        before.num_timesteps + n_steps,
        before.num_episodes + len(rollouts.returns),
        before.num_updates + has_step,
        before.dropped_pairs + outcome.n_dropped,
        before.penalized_pairs + outcome.n_bad - outcome.n_dropped,
        before.unstable_episodes + outcome.n_unstable,
        before.env_failures + rollouts.n_failures,
        before.worker_restarts + rollouts.n_restarts,
        before.empty_iterations + 1 if is_empty else 0,
    )
    return counters if max(counters) <= MOST_INT64 else Counters(*(min(value, MOST_INT64) for value in counters))


def _scheduled(name: str, setting: Any, progress: float) -> float:
    """Return the value of a setting that may be a function of the progress remaining."""
    if not callable(setting):
        return setting
    with OpenSignals():
        value = setting(progress)
    return number(f"{name}({progress})", value, 0.0)
