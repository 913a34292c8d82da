"""Episodes that a run folder records and that can be replayed, because their policy is still in the folder.

A model file is the policy of the run at some iteration. Its evaluation is in `evaluations.npz`. The candidates of the next
iteration follow from the model, the seed of the run and the iteration; their episodes are rows of `0.monitor.csv`. The candidates
of the first iteration follow from the settings alone, or from `first_model.zip`, so their episodes can be replayed too.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np

from fastars.ars import ARS
from fastars.cli.loading import Trained, load_trained
from fastars.cli.run_folder import BEST_MODEL, EVALUATIONS, FIRST_MODEL, MODEL, checkpoints
from fastars.cli.run_log import MONITOR
from fastars.envs import compiled_env_ids
from fastars.evaluation import evaluate_policy
from fastars.files.opening import is_there, open_regular
from fastars.files.tables import read_arrays
from fastars.training.iteration import ask, perturbed_thetas
from fastars.training.model_file import config_in
from fastars.training.seeds import evaluation_seeds

if TYPE_CHECKING:
    from fastars._compiled.structs import FloatArray, SeedArray
    from fastars.samplers import Sampler

_Item = TypeVar("_Item")
_ROUNDING = 0.501e-6  # 0.monitor.csv has six decimals
_TOLERANCE = 1e-9  # relative, of the returns of classic control: docs/design.md, "Exact to Gymnasium"


class Episode(NamedTuple):
    """Return and length of an episode."""

    total: float
    length: int


class LazySequence(Sequence[_Item]):
    """A sequence of n items that are made when they are asked for: there may be millions."""

    def __init__(self, n: int, make: Callable[[int], _Item]) -> None:
        self._n, self._make = n, make

    def __len__(self) -> int:
        return self._n

    def __getitem__(self, index: Any) -> Any:
        if not 0 <= index < self._n:
            raise IndexError(index)
        return self._make(index)


class RecordedEpisodes(NamedTuple):
    """Episodes of one policy, or of the candidates made from it, with the results that the run folder records.

    Attributes
    ----------
    policy : str
        File of the policy, or "the first policy".
    kind : str
        "evaluation" or "training, iteration 7".
    trained : Trained
        The model and its environment in Gymnasium.
    weights : float64 array, shape (m, n_weights)
        Policies; each ran n // m of the episodes, in this order.
    seeds : uint64 array, shape (n,)
        Seeds of the resets.
    reward_weights : array or None
        Weights of the tasks of a vector reward.
    results : sequence of Episode
        The n recorded results.
    locations : sequence of str
        The file and line, or the file and episode, of each result.
    rounding : float
        Largest error of a recorded return that comes from its decimals.
    physics : str
        The physics that they ran on: "mujoco" or "lanes" (which is "mujoco" where there is no choice).
    """

    policy: str
    kind: str
    trained: Trained
    weights: FloatArray
    seeds: SeedArray
    reward_weights: Any
    results: Sequence[Episode]
    locations: Sequence[str]
    rounding: float
    physics: str = "mujoco"

    def replay(self, i: int) -> Episode:
        """Run episode i again: over lanes if it ran over lanes, otherwise in plain Gymnasium."""
        return self.over_lanes(i, self.trained.model.run.sampler) if self.physics == "lanes" else self.in_gymnasium(i)

    def over_lanes(self, i: int, sampler: Sampler) -> Episode:
        """Run episode i with a sampler of the run's policies."""
        seeds, weights = self.seeds[i : i + 1], self._weights(i)[np.newaxis]
        rollouts = sampler.evaluate(weights, self.trained.model.policy.filter, seeds, False, self.reward_weights)
        return Episode(float(rollouts.returns[0]), int(rollouts.lengths[0]))

    def in_gymnasium(self, i: int, max_steps: int | None = None) -> Episode:
        """Run episode i, or its first steps, in plain Gymnasium, with the actions of `predict`."""
        model = self.trained.model
        before = model.theta
        model.policy.load_from_vector(self._weights(i))
        settings = {"seed": int(self.seeds[i]), "reward_weights": self.reward_weights, "max_episode_steps": max_steps}
        try:
            result = evaluate_policy(model, self.trained.env, 1, return_episode_rewards=True, **settings)
        finally:
            model.policy.load_from_vector(before)
        (total,), (length,) = result
        return Episode(total, length)

    def _weights(self, i: int) -> FloatArray:
        """Return the policy of episode i."""
        return self.weights[i * len(self.weights) // len(self.seeds)]

    def agree(self, i: int, replayed: Episode) -> bool:
        """Return True if the recorded result of episode i equals the replayed one, up to rounding and tolerance."""
        recorded = self.results[i]
        slack = self.rounding + tolerance(self.trained.model.env_id) * abs(recorded.total)
        return recorded.length == replayed.length and abs(recorded.total - replayed.total) <= slack


def tolerance(env_id: str) -> float:
    """Return the relative difference allowed between returns of the kernels and of Gymnasium; 0 means equal bits."""
    return _TOLERANCE if env_id in (*compiled_env_ids("classic"), *compiled_env_ids("multi")) else 0.0


@contextlib.contextmanager
def recorded_episodes(folder: Path, env: str | None, env_kwargs: Sequence[str]) -> Iterator[tuple[list[RecordedEpisodes], int]]:
    """Context with all episodes of a run that can be replayed, and the number of episodes in `0.monitor.csv`.

    The environments are closed at its end.
    """
    rows, evaluations = _monitor_rows(folder / MONITOR), _read_evaluations(folder / EVALUATIONS)
    with contextlib.ExitStack() as stack:
        recorded, seen = list[RecordedEpisodes](), set[int]()
        for name, trained in sorted(_policies(folder, env, env_kwargs), key=lambda policy: policy[1].model.num_timesteps):
            stack.callback(trained.env.close)
            if trained.model.num_timesteps in seen:  # the best policy may be the last
                continue
            seen.add(trained.model.num_timesteps)
            recorded += _training_episodes(name, trained, rows)
            recorded += _evaluation_episodes(name, trained, evaluations)
        yield recorded, len(rows)


def _policies(folder: Path, env: str | None, env_kwargs: Sequence[str]) -> Iterator[tuple[str, Trained]]:
    """Yield (name, policy) for each model file of a run folder, and for the policy that the run began with."""
    paths = [folder / MODEL, folder / BEST_MODEL, *(path for _, path in checkpoints(folder))]
    for path in [path for path in paths if is_there(path)]:
        trained = load_trained(path, True, env, env_kwargs, None)
        yield path.name, trained
        if path.name == MODEL and is_there(folder / FIRST_MODEL):
            yield "the first policy", load_trained(folder / FIRST_MODEL, True, env, env_kwargs, None)
        elif path.name == MODEL:
            model = trained.model
            settings = {**model.config.arguments(), "_init_setup_model": False}
            first = ARS(env=trained.env, preset=model.preset, backend=model.backend, n_threads=1, **settings)
            first.run = dataclasses.replace(first.run, excess=model.run.excess)
            yield "the first policy", load_trained(path, True, env, env_kwargs, None)._replace(model=first)


def _training_episodes(name: str, trained: Trained, rows: Sequence[bytes]) -> list[RecordedEpisodes]:
    """Return the episodes of the iteration that began with a policy.

    There are none if the run ended before it, or if it ran over lanes, which can't be had here.
    """
    model = trained.model
    if config_in(trained.path).physics != model.config.physics:
        return []
    n_episodes, n_candidates = model.config.n_eval_episodes, 2 * model.config.n_delta
    first, n = model.num_episodes, n_episodes * n_candidates
    if first + n > len(rows):
        return []
    asked = ask(model.run, model.state, 1.0)
    candidates = perturbed_thetas(model.run, model.state, asked)
    episodes = RecordedEpisodes(
        policy=name,
        kind=f"training, iteration {model.iteration + 1}",
        trained=trained,
        weights=candidates,
        seeds=asked.seeds.ravel(),
        reward_weights=None if model.objectives is None else model.objectives.weights,
        results=LazySequence(n, lambda i: _parse_row(rows[first + i], first + i)),
        locations=LazySequence(n, lambda i: f"{MONITOR}, line {_line_number(first + i)}"),
        rounding=_ROUNDING,
        physics=model.config.physics,
    )
    return [episodes]


def _evaluation_episodes(
    name: str, trained: Trained, evaluations: dict[int, tuple[FloatArray, np.ndarray]]
) -> list[RecordedEpisodes]:
    """Return the episodes of the evaluation of a policy; none if it was not evaluated."""
    model = trained.model
    if model.num_timesteps not in evaluations:
        return []
    returns, lengths = evaluations[model.num_timesteps]
    n = len(returns)
    episodes = RecordedEpisodes(
        policy=name,
        kind="evaluation",
        trained=trained,
        weights=model.theta[np.newaxis],
        seeds=evaluation_seeds(model.seed, n),
        reward_weights=trained.reward_weights,
        results=LazySequence(n, lambda i: Episode(float(returns[i]), int(lengths[i]))),
        locations=LazySequence(n, lambda i: f"{EVALUATIONS}, {model.num_timesteps} steps, episode {i + 1}"),
        rounding=0.0,
    )
    return [episodes]


def _monitor_rows(path: Path) -> Sequence[bytes]:
    """Return the complete rows of a monitor file; none if there is no file."""
    if not is_there(path):
        return []
    with open_regular(path) as file:
        content: bytes = file.read()
    ends = np.flatnonzero(np.frombuffer(content, np.uint8) == ord("\n"))  # a list of rows would take 8 times the memory of the file
    return LazySequence(max(len(ends) - 2, 0), lambda i: content[ends[i + 1] + 1 : ends[i + 2]])


def _line_number(episode: int) -> int:
    return episode + 3  # lines count from 1, and two of them are the header


def _parse_row(row: bytes, episode: int) -> Episode:
    try:
        total, length, _ = row.split(b",")
        return Episode(float(total), int(length))
    except ValueError as error:
        raise ValueError(f"{MONITOR}, line {_line_number(episode)} is damaged: {row!r}") from error


def _read_evaluations(path: Path) -> dict[int, tuple[FloatArray, np.ndarray]]:
    """Return {steps of training: (returns, lengths)} of the evaluations in a file; empty if there is no file."""
    if not is_there(path):
        return {}
    arrays = read_arrays(path)
    try:
        columns = arrays["timesteps"], arrays["results"], arrays["ep_lengths"]
        if columns[0].ndim != 1 or columns[1].ndim != 2 or columns[1].shape != columns[2].shape:
            raise ValueError(f"shapes {columns[0].shape}, {columns[1].shape}, {columns[2].shape}")
        return {int(steps): (returns, lengths) for steps, returns, lengths in zip(*columns, strict=True)}
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is damaged: {error}") from error
