"""NumPy's PCG64 generators as the kernels take them: four words, the halves of the state and of the increment."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastars._compiled.structs import SeedArray


def words_of(rng: np.random.Generator) -> SeedArray:
    """Return the state of a generator as the kernels take it, uint64 (4,)."""
    state: Any = rng.bit_generator.state["state"]
    halves = [half for number in (state["state"], state["inc"]) for half in (number >> 64, number & (2**64 - 1))]
    return np.array(halves, np.uint64)


def set_words(rng: np.random.Generator, words: SeedArray) -> None:
    """Put a generator into the state that the kernels left."""
    state_high, state_low, increment_high, increment_low = map(int, words)
    numbers: Any = {"state": state_high << 64 | state_low, "inc": increment_high << 64 | increment_low}
    rng.bit_generator.state = {"bit_generator": "PCG64", "state": numbers, "has_uint32": 0, "uinteger": 0}


def generator_of(words: SeedArray) -> np.random.Generator:
    """Return a new generator in the state of one of the kernels'."""
    generator = np.random.Generator(np.random.PCG64())
    set_words(generator, words)
    return generator
