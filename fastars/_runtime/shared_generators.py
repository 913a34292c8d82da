"""The random generators that all code of a process shares: of `random`, of `np.random`, and of PyTorch where it is imported.

An environment in Python may draw from them. So whoever steps one seeds them with the seed of the episode, and puts back the states
from before where the process is the user's own.
"""

from __future__ import annotations

import contextlib
import random
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np


def seed_generators(seed: int) -> None:
    """Seed the shared generators of this process. NumPy's takes the lower 32 bits of the seed."""
    random.seed(seed)
    with contextlib.suppress(TypeError):  # the program put another generator in NumPy's place, which can't be seeded
        np.random.seed(seed % 2**32)  # noqa: NPY002 - the generator that environments draw from
    if (torch := _torch()) is not None:
        torch.default_generator.manual_seed(seed % 2**64)


class GeneratorStates(NamedTuple):
    """The states of the shared generators at one time."""

    python: Any
    numpy: dict[str, Any]
    torch: Any  # None where PyTorch is not imported

    def restore(self) -> None:
        """Put the generators into these states."""
        random.setstate(self.python)
        np.random.set_state(self.numpy)  # noqa: NPY002
        if self.torch is not None:
            _torch().set_rng_state(self.torch)

    def are_current(self) -> bool:
        """Return True if nobody has drawn from a generator, or seeded one, since."""
        now = generator_states()
        return now.python == self.python and same_state(now.numpy, self.numpy) and _same_tensors(now.torch, self.torch)


def generator_states() -> GeneratorStates:
    """Return the states of the shared generators."""
    torch = _torch()
    numpy: Any = np.random.get_state(legacy=False)  # noqa: NPY002
    return GeneratorStates(random.getstate(), numpy, None if torch is None else torch.get_rng_state())


def are_as_seeded(seed: int) -> bool:
    """Return True if the present states are those that `seed` gives: nobody has drawn since. They stay as they are."""
    now = generator_states()
    seed_generators(seed)
    is_equal = now.are_current()
    now.restore()
    return is_equal


@contextlib.contextmanager
def generators_kept() -> Iterator[None]:
    """Put the shared generators back into their present states at the end."""
    before = generator_states()
    try:
        yield
    finally:
        before.restore()


def _torch() -> Any:
    """Return PyTorch if the program has imported all of it; fastars itself does not."""
    torch = sys.modules.get("torch")
    return torch if hasattr(torch, "default_generator") else None


def same_state(a: Any, b: Any) -> bool:
    """Return True for equal states of NumPy's generators: dicts with numbers, and with arrays where it is a Mersenne Twister."""
    if isinstance(a, np.ndarray):
        return np.array_equal(a, b)
    try:
        return bool(a == b)  # 0.1 us for dicts of numbers, which are the usual ones
    except ValueError:  # there are arrays in these dicts
        return a.keys() == b.keys() and all(same_state(a[key], b[key]) for key in a)


def _same_tensors(a: Any, b: Any) -> bool:
    return bool(a is b or (a is not None and b is not None and a.equal(b)))
