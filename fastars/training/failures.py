"""Failures of environments in Python: each is logged with its place in the run, what happened, and a command that repeats it."""

from __future__ import annotations

import contextlib
import logging
import shlex
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gymnasium

from fastars._compiled.structs import FloatArray, SeedArray
from fastars.files import checkpoint
from fastars.training.model_file import plain

if TYPE_CHECKING:
    from gymnasium.envs.registration import EnvSpec

    from fastars.ars import ARS
    from fastars.samplers.failure import Failure

_LOG = logging.getLogger("fastars")
_MAX_FILES = 20  # of a run: what fails often fails alike


class FailureLog:
    """Listens to the sampler of a run.

    The first failures are kept as files that `python -m fastars.replay` reads: in `failures` of the log's folder, or of a temporary
    one.
    """

    def __init__(self, model: ARS, env: Any) -> None:
        self._model: Any = None  # only while it evaluates: a circle would keep its noise table until the next collection
        self._folder: Path | None = None
        self._files: dict[tuple[int, int], Path] = {}  # by iteration and seed: a second attempt needs no second file
        self._shown: set[str] = set()
        self._weights: FloatArray
        self._seeds: SeedArray
        self._name = _name_of(env, model)

    @contextlib.contextmanager
    def of(self, model: ARS, weights: FloatArray, seeds: SeedArray) -> Iterator[None]:
        """While candidates are evaluated. Seeds have shape (n_delta, 2, n_episodes), or (n,) for the episodes of one candidate."""
        self._model, self._weights, self._seeds = model, weights, seeds
        try:
            yield
        finally:
            self._model = None

    def report(self, failure: Failure) -> None:
        """Log a failed attempt at an episode."""
        place = self._place(failure.episode)
        where = ", ".join(f"{name} {value}" for name, value in place.items())
        dropped = ": its pair of candidates is dropped" if "direction" in place else ""
        then = f"given up{dropped}" if failure.is_final else "tried again"
        told = failure.text.strip()
        if told in self._shown:
            told = f"{told.splitlines()[-1]} (as before)"
        self._shown.add(failure.text.strip())
        command = self._command(failure.episode, place)
        _LOG.warning(
            "%s failed in %s (attempt %d, %s)%s\n%s",
            self._model.env_id,
            where,
            failure.attempt,
            then,
            f"; to see it again: {command}" if command else "",
            told,
        )

    def _place(self, episode: int) -> dict[str, Any]:
        """Where an episode stands in the run."""
        seed = int(self._seeds.ravel()[episode])
        if self._seeds.ndim == 1:
            return {"iteration": self._model.iteration, "evaluation episode": episode, "seed": seed}
        n_episodes = self._seeds.shape[2]
        candidate, of_candidate = divmod(episode, n_episodes)
        return {
            "iteration": self._model.iteration,
            "direction": candidate // 2,
            "sign": "+-"[candidate % 2],
            "episode": of_candidate,
            "seed": seed,
        }

    def _command(self, episode: int, place: dict[str, Any]) -> str:
        """A command that runs the episode again, nothing if its file can't be written or there are enough of them."""
        key = place["iteration"], place["seed"]
        if key not in self._files and not self._write(key, episode, place):
            return ""
        return f"python -m fastars.replay {shlex.quote(str(self._files[key]))} {self._name}"

    def _write(self, key: tuple[int, int], episode: int, place: dict[str, Any]) -> bool:
        """Keep an episode as a file; False if that can't be done, or there are enough of them."""
        if len(self._files) >= _MAX_FILES:
            return False
        model = self._model
        candidate = episode * len(self._weights) // self._seeds.size
        manifest = {
            "kind": "episode",
            "env": model.env_id,
            "env_kwargs": plain({name: value for name, value in model.env_kwargs.items() if name != "max_episode_steps"}),
            "max_steps": model.env_kwargs["max_episode_steps"],
            "config": model.config.to_dict(),
            "place": place,
        }
        arrays = {"weights": self._weights[candidate], "mean": model.policy.filter.mean, "scale": model.policy.filter.scale}
        try:
            path = self._failures_folder() / f"failure_{len(self._files)}.zip"
            checkpoint.save(path, manifest, arrays)
        except OSError:  # a full disk
            return False
        self._files[key] = path
        return True

    def _failures_folder(self) -> Path:
        if self._folder is None:
            folder = self._model.logger.folder
            self._folder = folder / "failures" if folder else Path(tempfile.mkdtemp(prefix="fastars-failures-"))
        return self._folder


def _name_of(env: Any, model: ARS) -> str:
    """An environment as `fastars.replay` takes it: an id, `module:id`, `module:function`, or words to be replaced."""
    name, module = getattr(env, "__qualname__", "<"), getattr(env, "__module__", "__main__")
    if callable(env) and name.isidentifier() and module != "__main__":
        return f"{module}:{name}"
    spec = gymnasium.registry.get(model.env_id)
    if spec is None or not _stands_for(spec, model):
        return "MODULE:FUNCTION_THAT_MAKES_IT"
    entry = spec.entry_point
    module = str(entry).partition(":")[0] if isinstance(entry, str) else getattr(entry, "__module__", "__main__")
    package = module.partition(".")[0]  # whose import registers it, as a rule
    return str(spec.id) if package in ("gymnasium", "__main__") else f"{package}:{spec.id}"


def _stands_for(spec: EnvSpec, model: Any) -> bool:
    """Whether an id and the arguments in a file are all there is to an environment: no wrappers, arguments of plain data."""
    wrappers = tuple(wrapper.name for wrapper in spec.additional_wrappers)
    return getattr(model._env, "wrappers", ()) == wrappers and repr(plain(model.env_kwargs)) == repr(model.env_kwargs)
