"""The agreements that were measured on this machine: a small file for each model, beside the compiled kernels."""

from __future__ import annotations

import hashlib
import json
import re
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from fastars._compiled.kernel_cache import build_digest, cache_directory, keep_payload, kept_payload
from fastars.envs.mujoco.agreement import Agreement
from fastars.envs.mujoco.arguments import model_bytes
from fastars.envs.mujoco.library import mujoco

_PACKAGE = Path(__file__).parents[2]
_SUFFIX = ".agreement"
# What is compared, and how. `build_digest` covers compiled code; these files may have none.
_SOURCES = ("physics/*.py", *(f"envs/mujoco/{name}.py" for name in ("agreement", "kept_agreements", "lane_steps", "reachable")))
_known: dict[str, Agreement] = {}  # those of this process, by key: there may be no folder that only this user can write


class KeptAgreement(NamedTuple):
    """The content of a file."""

    env_id: str
    mujoco: str  # version
    build: str  # digest of the compiled code and the processor
    agreement: Agreement


def agreement_key(model: Any) -> str:
    """Return a digest of all that an agreement depends on: the model, MuJoCo's version, the processor and the code of the lanes."""
    digest = hashlib.sha256(f"{mujoco.mj_versionString()} {build_digest()} {_sources_digest()}".encode())
    digest.update(model_bytes(model))
    return digest.hexdigest()


@lru_cache(maxsize=1)
def _sources_digest() -> str:
    paths = [path for pattern in _SOURCES for path in sorted(_PACKAGE.glob(pattern))]
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in paths)).hexdigest()


def known_agreement(env_id: str, key: str) -> Agreement | None:
    """Return the agreement of a model that was measured before; None if there is none, or its file is damaged."""
    if key in _known:
        return _known[key]
    path = _path(env_id, key)
    kept = None if path is None else _read(path)
    return kept.agreement if kept is not None else None


def keep_agreement(env_id: str, key: str, agreement: Agreement) -> None:
    """Keep an agreement for this process, and in its file if the folder can be written."""
    _known[key] = agreement
    if (path := _path(env_id, key)) is not None:
        values = KeptAgreement(env_id, mujoco.mj_versionString(), build_digest(), agreement)
        text = json.dumps({**values._asdict(), "agreement": agreement._asdict()}, indent=1)
        keep_payload(path, text.encode())


def kept_agreements() -> list[KeptAgreement]:
    """Return what files say of this version of MuJoCo, this processor and these kernels, sorted by environment and difference."""
    directory = cache_directory()
    paths = Path(directory).glob(f"*{_SUFFIX}") if directory else ()
    found = [kept for path in sorted(paths) if (kept := _read(path)) is not None]
    now = mujoco.mj_versionString(), build_digest()
    return sorted(
        (kept for kept in found if (kept.mujoco, kept.build) == now), key=lambda kept: (kept.env_id, kept.agreement.difference)
    )


def _path(env_id: str, key: str) -> Path | None:
    directory = cache_directory()
    return Path(directory) / f"{re.sub(r'[^A-Za-z0-9-]', '_', env_id)[:60]}.{key[:32]}{_SUFFIX}" if directory else None


def _read(path: Path) -> KeptAgreement | None:
    """Return the content of a file; None if it is missing, damaged, or of another form."""
    try:
        values = json.loads(kept_payload(path) or b"")
        agreement = Agreement(**values.pop("agreement"))
        return KeptAgreement(**values, agreement=agreement._replace(qpos=tuple(agreement.qpos)))
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
