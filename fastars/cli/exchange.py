"""`fastars import` and `fastars export`: read and write policies in the file formats of other programs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from fastars.cli.environment import environment
from fastars.cli.errors import WrongUseError
from fastars.cli.near_paths import near_path
from fastars.cli.run_folder import model_file, refuse_existing
from fastars.cli.terminal import say
from fastars.files.opening import refuse_link

if TYPE_CHECKING:
    from fastars.exchange import TrainedPolicy

_OUT = {"npz": "policy.npz", "onnx": "policy.onnx", "c": "policy.h", "sb3": "policy_sb3.zip", "original": "lin_policy_plus.npz"}
_SOURCES = {"sb3": "stable-baselines3-contrib", "original": "the original ARS", "npz": "plain arrays"}


@dataclass(frozen=True, kw_only=True)
class Import:
    """Make a model from a policy of stable-baselines3-contrib's ARS or of the original ARS, or from plain arrays."""

    file: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FILE")]
    """A file such as model.zip or lin_policy_plus.npz. Its format is found from its content; nothing in it is executed."""
    env: Annotated[str | None, tyro.conf.arg(metavar="ENV", help_behavior_hint="(default: the one that FILE names)")] = None
    """Id of the environment. Only files of plain arrays name it."""
    out: Path = Path("model.zip")
    """The model file to write."""
    overwrite: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Replace an existing file."""
    trust: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Also take the statistics of the VecNormalize beside FILE (vecnormalize.pkl)."""

    def run(self) -> int:
        """Write the model and return the exit code."""
        from fastars import exchange
        from fastars.ars import ARS

        if not self.file.is_file():
            raise WrongUseError(f"there is no file {self.file}{near_path(self.file)}")
        refuse_existing(self.out, self.overwrite)
        trained = exchange.read_quietly(self.file, trust=self.trust)
        if self.env is None and trained.env_id is None:
            raise WrongUseError(f"{self.file} does not say which environment it is for: give --env, such as --env HalfCheetah-v5")
        model = exchange.to_model(trained, None if self.env is None else environment(self.env, {}), model_class=ARS)
        model.save(self.out)
        say(f"{self.out}: {_described(trained)}, for {model.env_id}. Replay it with: fastars eval {self.out}")
        return 0


def _described(trained: TrainedPolicy) -> str:
    """Describe a policy in a few words."""
    filtered = "unfiltered" if trained.mean is None else "normalised"
    trained_for = f", trained for {trained.num_timesteps:,} steps" if trained.num_timesteps else ""
    return f"{trained.policy} of {_SOURCES[trained.source]} on {trained.n_obs} {filtered} observations{trained_for}"


@dataclass(frozen=True, kw_only=True)
class Export:
    """Write the policy of a run to a file that other programs can read."""

    run_path: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """A run folder, or a model file."""
    to: Literal["npz", "onnx", "c", "sb3", "original"]
    """Plain NumPy arrays, ONNX, a C header, a model of stable-baselines3-contrib's ARS, or lin_policy_plus.npz (the original)."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="PATH", help_behavior_hint="(default: policy.* beside the model)")] = None
    """The file to write."""
    overwrite: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Replace an existing file."""
    env: Annotated[str | None, tyro.conf.arg(metavar="ENV", help_behavior_hint="(default: the one of RUN)")] = None
    """Id of the environment, if it is registered only by MODULE:ID."""
    last: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Take the last policy of the run, not the best one."""

    def run(self) -> int:
        """Write the file and return the exit code."""
        path = model_file(self.run_path, self.last)
        out = self.out or path.with_name(_OUT[self.to])
        if out.exists() and out.samefile(path):
            raise WrongUseError(f"{out} is the model itself: choose another --out")
        if self.out is None:  # our own name, in a folder that may come from anybody
            refuse_link(out)
        from fastars.ars import ARS
        from fastars.exchange.sb3 import vec_normalize_file

        for written in (out, *([vec_normalize_file(out)] if self.to == "sb3" else [])):
            refuse_existing(written, self.overwrite)
        model = ARS.load(path, env=None if self.env is None else environment(self.env, {}), verbose=0)
        try:
            beside = _write(self.to, model, out)
        except ImportError as error:
            raise WrongUseError(str(error)) from error
        also = f", and {beside} for VecNormalize.load" if beside else ""
        say(f"{out}: {model.config.policy} of {path}, for {model.env_id}{also}")
        return 0


def _write(to: str, model: Any, out: Path) -> Path | None:
    """Write a policy in a format; return the path of the second file if the format has one."""
    from fastars.exchange import arrays, c_header, onnx, original, sb3

    if to == "sb3":
        return sb3.write(model, out)
    {"npz": arrays, "onnx": onnx, "c": c_header, "original": original}[to].write(model, out)
    return None
