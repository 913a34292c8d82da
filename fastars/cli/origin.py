"""The option `--init`: a new run that starts from a policy."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastars.cli.run_folder import model_file

if TYPE_CHECKING:
    from fastars.cli.settings import Settings


def described_origin(init: Path) -> dict[str, str]:
    """Return the entries of `config.toml` that name the policy: its file, and the SHA-256 of it."""
    from fastars.files.opening import open_regular

    path = model_file(init, last=False)
    with open_regular(path) as file:
        return {"init": str(path), "init_sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def start_settings(init: Path, settings: Settings) -> dict[str, Any]:
    """Return the arguments of `ARS` for a run that starts from a policy.

    Parameters
    ----------
    init : Path
        A file, or a run folder, whose best policy it then is.
    settings : Settings
        The options: a policy and a normalisation that they do not name are those of the file, whatever the preset says.
    """
    from fastars.exchange.start import read_start

    start = read_start(model_file(init, last=False))
    found: dict[str, Any] = {"init": start}
    if settings.policy is None and start.policy is not None:
        found["policy"] = start.policy
    if settings.normalize_observations is None and settings.variant is None:
        found["normalize_observations"] = start.is_normalized
    return found


def starting_line(init: Path) -> str:
    """Return the line that tells the user which policy the run starts from."""
    from fastars.exchange.start import read_start

    start = read_start(model_file(init, last=False))
    return f"Starting from {start.name}: {start.describe()}"
