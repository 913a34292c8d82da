"""The settings of a run as TOML: `config.toml` of a run, `best.toml` of a search. `fastars train --config` takes both."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from fastars._imports import version_of
from fastars._version import __version__
from fastars.cli.errors import WrongUseError, wrong_use
from fastars.cli.machine import described_machine
from fastars.cli.plan import CONFIG, SCHEMA, Plan, read_config_file
from fastars.cli.run_folder import FIRST_MODEL
from fastars.cli.settings import Settings

if TYPE_CHECKING:
    from fastars.ars import ARS

_OF_PLAN = ("total_timesteps", "iterations", "eval_freq", "eval_episodes")
_LARGE = "if you know who made it, give the settings as options"


def described_run(model: ARS, plan: Plan, of_run: Mapping[str, Any] = MappingProxyType({})) -> dict[str, Any]:
    """Return everything that decides a run, as tables of TOML; `of_run` has more entries of the table [run]."""
    from fastars.envs import compiled_env_ids

    packages = ["numba", "numpy", "gymnasium", *(["mujoco"] if model.env_id in compiled_env_ids("mujoco") else [])]
    return {
        "schema": SCHEMA,
        "env": {"id": model.env_id, **model.env_kwargs},
        "run": {
            "seed": model.seed,
            "preset": model.preset,
            "variant": model.config.variant,
            "backend": model.backend,
            "n_threads": model.n_threads,
            "n_workers": None if model.run.execution.on_ray else model.n_workers,
            **asdict(plan),
            **of_run,
        },
        "settings": {name: value for name, value in model.config.to_dict().items() if name != "seed"},
        "versions": {
            "fastars": __version__,
            **{name: version_of(name) for name in packages},
            "python": platform.python_version(),
        },
        "machine": described_machine(),
    }


@dataclass(frozen=True, kw_only=True)
class StoredSettings(Settings):
    """Settings of a file, and options that were given beside it, which win."""

    path: Path
    stored: Mapping[str, Any] = field(default_factory=dict)

    def resolved(self) -> dict[str, Any]:
        """Return the arguments of `ARS`."""
        given = self.given()
        if "preset" in given:
            raise WrongUseError(f"--preset has no effect with --config: {self.path} has a value of every setting")
        merged = {**self.stored, **given}
        if merged["policy"] == self.stored["policy"]:
            merged["policy_kwargs"] = {**self.stored["policy_kwargs"], **given.get("policy_kwargs", {})}
        else:
            merged["policy_kwargs"] = given.get("policy_kwargs")  # those of the other policy don't fit
        return merged

    def refuse_excess(self, model: ARS) -> None:
        """Raise a ValueError for a count that is larger than a file may ask for (SECURITY.md)."""
        from fastars.training.file_limits import limited_run

        limited_run(model.run, str(self.path), self.given(), remedy=_LARGE).refuse_excess(training=True)


def stored_options(path: Path, settings: Settings, env_is_given: bool) -> dict[str, Any]:
    """Return the options of `fastars train` that a file stands for.

    Parameters
    ----------
    path : Path
        A file, or the folder of a run, whose `config.toml` it then is.
    settings : Settings
        The settings that were given beside the file.
    env_is_given : bool
        True: the environment of the file is left out.

    Raises
    ------
    WrongUseError
        If there is no such file, or its words may not reach its environment (`envs/of_file.py`).
    ValueError
        If the file is damaged.
    """
    path = path / CONFIG if path.is_dir() else path
    try:
        content = read_config_file(path)
    except FileNotFoundError as error:
        raise WrongUseError(f"--config: there is no file {path}") from error
    from fastars._validate import integer  # these two import NumPy, and `--help` imports this package
    from fastars.training.config import Config

    try:
        arguments = Config.from_dict(content["settings"]).arguments()
        of_run = {name: content["run"].get(name) for name in ("seed", *_OF_PLAN)}
        for name, value in of_run.items():
            if value is not None:
                integer(name, value, *((0, 2**64 - 1) if name == "seed" else (1, 2**63 - 1)))
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path} is damaged: {error}") from error
    del arguments["seed"]
    stored = {**arguments, "preset": content["run"].get("preset")}
    own = {name: value for name, value in asdict(settings).items() if name not in ("path", "stored")}
    if "init" in content["run"]:  # the policy that the run started from, which is beside the file whatever `init` names
        of_run["init"] = path.with_name(FIRST_MODEL)
    options = {**of_run, "settings": StoredSettings(**own, path=path, stored=stored)}
    return options if env_is_given else {**options, **_env_options(path, content["env"])}


def _env_options(path: Path, described: Mapping[str, Any]) -> dict[str, Any]:
    """Return id and arguments of the environment in a file, as options."""
    from fastars.cli.environment import changed_kwargs
    from fastars.envs.keywords import keyword_texts
    from fastars.training.stored_env import env_of_episode

    kwargs = dict(described)
    env_id, max_steps = kwargs.pop("id", None), kwargs.pop("max_episode_steps", None)
    hint = f"; give ENV beside --config {path}, or MODULE:ENV if `import MODULE` registers it"
    with wrong_use():
        try:
            env_of_episode(env_id, kwargs, max_steps)
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(f"{path}: its environment {env_id!r:.100} can't be made: {error}{hint}") from error
        changed = changed_kwargs(env_id, {**kwargs, "max_episode_steps": max_steps})
        texts = keyword_texts({name: tuple(value) if isinstance(value, list) else value for name, value in changed.items()})
        if texts is None:
            raise ValueError(f"{path}: arguments of {env_id} are no numbers{hint}")
    return {"env": env_id, "env_kwargs": (tuple(texts),) if texts else ()}
