"""The episodes that a run folder tells of and that can be run again: those whose policy is still there.

A file of the model is a policy of the run at some iteration. Its evaluation is in `evaluations.npz`. The candidates of the next
iteration follow from it, the seed of the run and the iteration, and their episodes are rows of `0.monitor.csv`. So are those of the
first iteration, for which the settings are enough.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastars.ars import ARS
from fastars.cli.loading import Trained, loaded
from fastars.cli.run_folder import BEST_MODEL, EVALUATIONS, MODEL, checkpoints
from fastars.cli.run_log import MONITOR
from fastars.envs import compiled_env_ids
from fastars.evaluation import evaluate_policy
from fastars.files.tables import read_arrays
from fastars.training.iteration import ask, perturbed_thetas
from fastars.training.seeds import evaluation_seeds

if TYPE_CHECKING:
    from fastars._compiled.structs import FloatArray, SeedArray

_ROUNDED = 0.501e-6  # 0.monitor.csv has six decimals
_TOLERANCE = 1e-9  # relative, of the returns of classic control: docs/design.md, "Exact to Gymnasium"


class Episode(NamedTuple):
    """What came of an episode."""

    total: float
    length: int


class RecordedEpisodes(NamedTuple):
    """Episodes of one policy, or of the candidates made from it, and what the run folder says of each."""

    policy: str  # the file, or the beginning of the run
    what: str
    trained: Trained
    weights: FloatArray  # (n, n_weights)
    seeds: SeedArray  # (n,)
    reward_weights: Any
    told: Sequence[Episode]
    places: Sequence[str]  # where the folder says so
    rounding: float  # of the returns there

    def replayed(self, i: int) -> Episode:
        """Episode i in plain Gymnasium, with the actions of `predict`."""
        model = self.trained.model
        before = model.theta
        model.policy.load_from_vector(self.weights[i])
        try:
            weights, seed = self.reward_weights, int(self.seeds[i])
            found = evaluate_policy(model, self.trained.env, 1, return_episode_rewards=True, seed=seed, reward_weights=weights)
        finally:
            model.policy.load_from_vector(before)
        (total,), (length,) = found
        return Episode(total, length)

    def agree(self, i: int, replayed: Episode) -> bool:
        """Whether the folder says of episode i what it was found to give."""
        told = self.told[i]
        slack = self.rounding + tolerance(self.trained.model.env_id) * abs(told.total)
        return told.length == replayed.length and abs(told.total - replayed.total) <= slack


def tolerance(env_id: str) -> float:
    """How far, relatively, a return of the kernels may be from Gymnasium's; 0: not at all."""
    return _TOLERANCE if env_id in (*compiled_env_ids("classic"), *compiled_env_ids("multi")) else 0.0


@contextlib.contextmanager
def claims(folder: Path, env: str | None, env_kwargs: Sequence[str]) -> Iterator[tuple[list[RecordedEpisodes], int]]:
    """What can be run again of a run, and how many episodes `0.monitor.csv` has; the environments are closed in the end."""
    lines, evaluations = _monitor(folder / MONITOR), _evaluations(folder / EVALUATIONS)
    with contextlib.ExitStack() as stack:
        found, seen = list[RecordedEpisodes](), set[int]()
        for name, trained in sorted(_policies(folder, env, env_kwargs), key=lambda policy: policy[1].model.num_timesteps):
            stack.callback(trained.env.close)
            if trained.model.num_timesteps in seen:  # the best policy may be the last
                continue
            seen.add(trained.model.num_timesteps)
            found += _of_training(name, trained, lines)
            found += _of_evaluation(name, trained, evaluations)
        yield found, len(lines)


def _policies(folder: Path, env: str | None, env_kwargs: Sequence[str]) -> Iterator[tuple[str, Trained]]:
    """The policies in a run folder, and the one that the run began with."""
    paths = [folder / MODEL, folder / BEST_MODEL, *(path for _, path in checkpoints(folder))]
    for path in [path for path in paths if path.exists()]:
        trained = loaded(path, True, env, env_kwargs, None)
        yield path.name, trained
        if path.name == MODEL:
            model = trained.model
            first = ARS(env=trained.env, preset=model.preset, backend=model.backend, n_threads=1, **model.config.arguments())
            yield "the first policy", loaded(path, True, env, env_kwargs, None)._replace(model=first)


def _of_training(name: str, trained: Trained, lines: Sequence[bytes]) -> list[RecordedEpisodes]:
    """The episodes of the iteration that began with a policy, if it was trained on."""
    model = trained.model
    n_episodes, n_candidates = model.config.n_eval_episodes, 2 * model.config.n_delta
    first, n = model.num_episodes, n_episodes * n_candidates
    if first + n > len(lines):
        return []
    asked = ask(model.run, model.state, 1.0)
    candidates, seeds = perturbed_thetas(model.run, model.state, asked), asked.seeds
    told = [_row(line, first + i) for i, line in enumerate(lines[first : first + n])]
    weights = None if model.objectives is None else model.objectives.weights
    places = [f"{MONITOR}, line {_line(first + i)}" for i in range(n)]
    what = f"training, iteration {model.iteration + 1}"
    return [
        RecordedEpisodes(name, what, trained, np.repeat(candidates, n_episodes, 0), seeds.ravel(), weights, told, places, _ROUNDED)
    ]


def _of_evaluation(name: str, trained: Trained, evaluations: dict[int, tuple[FloatArray, np.ndarray]]) -> list[RecordedEpisodes]:
    """The evaluation of a policy, if there was one."""
    model = trained.model
    if model.num_timesteps not in evaluations:
        return []
    returns, lengths = evaluations[model.num_timesteps]
    seeds = evaluation_seeds(model.seed, len(returns))
    told = [Episode(float(total), int(length)) for total, length in zip(returns, lengths, strict=True)]
    places = [f"{EVALUATIONS}, {model.num_timesteps} steps, episode {i + 1}" for i in range(len(told))]
    weights = np.repeat(model.theta[np.newaxis], len(told), 0)
    return [RecordedEpisodes(name, "evaluation", trained, weights, seeds, trained.reward_weights, told, places, 0.0)]


def _monitor(path: Path) -> list[bytes]:
    """The whole rows of a monitor file; none if there is no file."""
    return path.read_bytes().split(b"\n")[2:-1] if path.is_file() else []


def _line(episode: int) -> int:
    return episode + 3  # two lines are the header


def _row(line: bytes, episode: int) -> Episode:
    try:
        total, length, _ = line.split(b",")
        return Episode(float(total), int(length))
    except ValueError as error:
        raise ValueError(f"{MONITOR}, line {_line(episode)} is damaged: {line!r}") from error


def _evaluations(path: Path) -> dict[int, tuple[FloatArray, np.ndarray]]:
    """Returns and lengths of the evaluations, by steps of training."""
    if not path.exists():
        return {}
    arrays = read_arrays(path)
    try:
        columns = arrays["timesteps"], arrays["results"], arrays["ep_lengths"]
        if columns[0].ndim != 1 or columns[1].ndim != 2 or columns[1].shape != columns[2].shape:
            raise ValueError(f"shapes {columns[0].shape}, {columns[1].shape}, {columns[2].shape}")
        return {int(steps): (returns, lengths) for steps, returns, lengths in zip(*columns, strict=True)}
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is damaged: {error}") from error
