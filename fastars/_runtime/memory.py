"""Refuse what the memory of this machine can't hold, before anything is allocated."""

from __future__ import annotations

import os


def refuse_beyond_memory(settings: str, n_bytes: float) -> None:
    """Raise a ValueError that names the settings if they need more bytes than the machine has.

    A failed allocation would name no setting, and one that succeeds although the memory is not there ends the process later.
    """
    most = physical_memory()
    if most is not None and n_bytes > most:
        raise ValueError(f"{settings} must fit into the {_gib(most)} of memory of this machine, but need {_gib(n_bytes)}")


def physical_memory() -> int | None:
    """Return the bytes of memory of this machine; None where the system does not say."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


def _gib(n_bytes: float) -> str:
    return f"{n_bytes / 2**30:,.1f} GiB"
