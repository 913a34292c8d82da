"""Log the failures of environments in Python: the place in the run, the traceback, and a command that repeats the episode."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shlex
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import gymnasium

from fastars._compiled.structs import SeedArray
from fastars._printable import printable
from fastars._runtime.cached import CachedProperty
from fastars.envs.gym import GymEnv
from fastars.envs.keywords import keyword_texts
from fastars.files import checkpoint
from fastars.files.opening import folder_in
from fastars.samplers.failure import Failure, OnFailure
from fastars.training.checkpoint_validation import check_episode
from fastars.training.iteration import NonFiniteReturnsError
from fastars.training.run import Run
from fastars.training.state import State, obs_filter
from fastars.training.stored_env import env_kwargs, env_of_episode, plain

if TYPE_CHECKING:
    from gymnasium.envs.registration import EnvSpec

_LOG = logging.getLogger("fastars")
_MAX_FILES = 20  # of a run: many failures are alike
_TO_REPLACE = "MODULE:FUNCTION_THAT_MAKES_IT"


class Evaluated(NamedTuple):
    """Episodes that run, as far as their failures are concerned."""

    run: Run
    state: State
    candidates: Any  # (n, n_weights), flat weights
    seeds: SeedArray  # (n_delta, 2, n_episodes) in training, (n,) for the episodes of one policy
    log_folder: Path | None

    def place(self, episode: int) -> dict[str, Any]:
        """Return the place of an episode in the run. Iterations count from 1, as in the log; 0 is before the first."""
        seed, n_done = int(self.seeds.ravel()[episode]), self.state.counters.iteration
        if self.seeds.ndim == 1:
            return {"iteration": n_done, "evaluation episode": episode, "seed": seed}
        candidate, of_candidate = divmod(episode, self.seeds.shape[2])
        direction, sign = divmod(candidate, 2)
        return {"iteration": n_done + 1, "direction": direction, "sign": "+-"[sign], "episode": of_candidate, "seed": seed}


class FailureLog:
    """Logs failures as warnings, and keeps the first ones as files that `python -m fastars.replay` reads.

    The files are in `failures` of the log's folder, or of a temporary one.

    Parameters
    ----------
    given : object
        The environment, as the user gave it.
    env : CompiledEnv, GymEnv or EnvTuple
        The same environment, as the samplers see it.
    """

    def __init__(self, given: Any, env: Any) -> None:
        self._given, self._env = given, env
        self._folder: Path | None = None
        self._files: dict[tuple[int, int], Path] = {}  # by iteration and seed: a second attempt needs no second file
        self._shown: set[str] = set()
        self._first: Failure | None = None  # of a training episode

    def __getstate__(self) -> dict[str, Any]:
        """Return the state without the failure, whose exception may not be copied."""
        return {**vars(self), "_first": None}

    def forget(self) -> None:
        """Forget the first failure: training begins again."""
        self._first = None

    @CachedProperty
    def env_name(self) -> str:
        """The environment as `python -m fastars.replay` takes it."""
        return _name_for_replay(self._given, self._env)

    @CachedProperty
    def env_options(self) -> list[str]:
        """The arguments that the command has to name, because they are not taken from a file."""
        if self.env_name == _TO_REPLACE or _is_named_function(self._given):
            return []
        kwargs = dict(self._env.kwargs)
        try:
            env_of_episode(self._env.id, plain(kwargs), self._env.max_steps)
        except (TypeError, ValueError):
            return ["--env-kwargs", *map(shlex.quote, keyword_texts(kwargs) or ())]
        return []

    def listener(self, run: Run, state: State, candidates: Any, seeds: SeedArray, log_folder: Path | None = None) -> OnFailure:
        """Return the function that a sampler calls with each failed attempt at one of these episodes."""
        return partial(self._report, Evaluated(run, state, candidates, seeds, log_folder))

    @contextlib.contextmanager
    def explained(self) -> Iterator[None]:
        """Add the first failure of a training episode to an error about returns that are not finite: it is the cause."""
        try:
            yield
        except NonFiniteReturnsError as error:
            if self._first is None:
                raise
            text = printable(self._first.summary)
            raise NonFiniteReturnsError(f"{error}; the first failure: {text}") from self._first.cause

    def _report(self, evaluated: Evaluated, failure: Failure) -> None:
        """Log a failed attempt at an episode."""
        place = evaluated.place(failure.episode)
        if self._first is None and "direction" in place:
            self._first = failure
        where = ", ".join(f"{name} {value}" for name, value in place.items())
        dropped = ": its pair of candidates is dropped" if "direction" in place else ""
        then = f"given up{dropped}" if failure.is_final else "tried again"
        text = printable(failure.text.strip(), keep="\n\t")  # the environment may have put anything into its exception
        kind = _kind(text)
        shown = f"{text.splitlines()[-1]} (as before)" if kind in self._shown else text
        self._shown.add(kind)
        command = self._command(evaluated, failure.episode, place)
        again = f"; to see it again: {command}" if command else ""
        env_id = printable(evaluated.run.env.id)
        _LOG.warning("%s failed in %s (attempt %d, %s)%s\n%s", env_id, where, failure.attempt, then, printable(again), shown)

    def _command(self, evaluated: Evaluated, episode: int, place: dict[str, Any]) -> str:
        """Return a command that runs the episode again; nothing if its file can't be written, or there are enough files."""
        key = place["iteration"], place["seed"]
        if key not in self._files and not self._write(key, evaluated, episode, place):
            return ""
        return " ".join(["python -m fastars.replay", shlex.quote(str(self._files[key])), self.env_name, *self.env_options])

    def _write(self, key: tuple[int, int], evaluated: Evaluated, episode: int, place: dict[str, Any]) -> bool:
        """Keep an episode as a file; return False if that can't be done, or there are enough files."""
        if len(self._files) >= _MAX_FILES:
            return False
        run, state, candidates, seeds, log_folder = evaluated
        kwargs = env_kwargs(run.env)
        max_steps = kwargs.pop("max_episode_steps")
        manifest = {
            "kind": "episode",
            "env": run.env.id,
            "env_kwargs": plain(kwargs),
            "max_steps": max_steps,
            "config": run.config.to_dict(),
            "place": place,
        }
        filter = obs_filter(run.backend, run.config, state.moments)
        weights = candidates[episode * len(candidates) // seeds.size]
        arrays = {"weights": weights, "mean": filter.mean, "scale": filter.scale}
        try:
            check_episode(manifest, arrays)
            path = _free_path(self._failures_folder(log_folder), len(self._files))
            checkpoint.save(path, manifest, arrays)
        except (OSError, ValueError, TypeError):  # a full disk, or a candidate that no file holds: infinite weights
            return False
        self._files[key] = path
        return True

    def _failures_folder(self, log_folder: Path | None) -> Path:
        if self._folder is None:
            self._folder = folder_in(log_folder / "failures") if log_folder else Path(tempfile.mkdtemp(prefix="fastars-failures-"))
        return self._folder


def _kind(text: str) -> str:
    """Return what failures of one kind have in common: the places in their traceback and the type of the error, but no number."""
    *places, error = text.splitlines() or [""]
    return re.sub(r"0x[0-9a-f]+|\d+", "", "\n".join([*places, error.partition(":")[0]]))


def _free_path(folder: Path, number: int) -> Path:
    """Return the path of a new file: another log of the same run may have written some."""
    while os.path.lexists(path := folder / f"failure_{number}.zip"):  # a link that leads nowhere is no free path either
        number += 1
    return path


def _name_for_replay(given: Any, env: Any) -> str:
    """Return an environment as `fastars.replay` takes it: an id, `module:id`, `module:function`, or words to be replaced."""
    if _is_named_function(given):
        return f"{given.__module__}:{given.__qualname__}"
    spec = gymnasium.registry.get(env.id)
    if spec is None or not _stands_for(spec, env):
        return _TO_REPLACE
    entry = spec.entry_point
    module = str(entry).partition(":")[0] if isinstance(entry, str) else getattr(entry, "__module__", "__main__")
    package = module.partition(".")[0]  # the import of this package registers it, as a rule
    return str(spec.id) if package in ("gymnasium", "__main__") else f"{package}:{spec.id}"


def _is_named_function(given: Any) -> bool:
    """Return True if `module:function` names a function that makes the environment."""
    name, module = getattr(given, "__qualname__", "<"), getattr(given, "__module__", "__main__")
    return callable(given) and name.isidentifier() and module != "__main__"


def _stands_for(spec: EnvSpec, env: Any) -> bool:
    """Return True if an id and arguments of plain data describe the whole environment: no other wrappers."""
    wrappers = tuple(wrapper.name for wrapper in spec.additional_wrappers)
    kwargs = env_kwargs(env)
    is_plain = repr(plain(kwargs)) == repr(kwargs) and keyword_texts(kwargs) is not None
    return (env.wrappers if isinstance(env, GymEnv) else ()) == wrappers and is_plain
