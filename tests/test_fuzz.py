"""Edited bytes lead every reader to a result or to the one error that it promises; `make fuzz` looks for longer, by coverage.

The corpus of `tests/fuzz` is real files, cut and edited by a generator with a seed.

Seen red: with NumPy's own reader of array headers, which raises tokenize.TokenError (targets `original` and `array`).
"""

import random
import re
import time
import tracemalloc

import pytest
from fuzz.targets import CORPUS, TARGETS

# Words of the formats, that put together what single bytes don't.
WORDS = [
    *(b"0", b"-1", b"1e999", b"NaN", b"null", b"true", b"[]", b"{}", b'""', b"9" * 30, b"1.5", b'{"$float": "nan"}', b"[[", b"{{"),
    *(
        b"\0",
        b"\xff\xff\xff\xff",
        b"\x7f\xff\xff\xff\xff\xff\xff\xff",
        b"PK\1\2",
        b"PK\5\6",
        b"\x80\x04",
        b"\x94",
        b"R",
        b"0",
        b"q\0",
    ),
    *(
        b"|O",
        b"<f8",
        b"(3,)",
        b"(-1,)",
        b"(1000000000000,)",
        b"\n",
        b",",
        b'"',
        b"=",
        b".",
        b"[a]",
        b"inf",
        b"../x",
        b"a:CartPole-v1",
    ),
]


def edited(content, generator, others):
    """A copy with some edits: bits, words, pieces of itself and of other files."""
    content = bytearray(content)
    for _ in range(generator.choice((1, 1, 2, 4))):
        at = generator.randrange(len(content) + 1)
        length = generator.randint(1, 12)
        match generator.randrange(7):
            case 0 if at < len(content):
                content[at] ^= 1 << generator.randrange(8)
            case 1:
                content[at : at + length] = generator.choice(WORDS)
            case 2:
                content[at : at + generator.choice((0, length))] = generator.randbytes(length)
            case 3:
                del content[at : at + generator.choice((length, len(content)))]
            case 4:
                numbers = list(re.finditer(rb"\d+", content))
                if numbers:
                    number = generator.choice(numbers)
                    content[number.start() : number.end()] = generator.choice(WORDS)
            case 5:
                other = generator.choice(others)
                start = generator.randrange(len(other) + 1)
                content[at:at] = other[start : start + generator.randint(1, 200)]
            case _:
                content[at:at] = content[at : at + length] * generator.randint(1, 40)
    return bytes(content)


@pytest.mark.parametrize("name", TARGETS)
def test_the_corpus_is_read(name):
    """A target that refused its real files would be none."""
    files = sorted((CORPUS / name).iterdir())
    assert files
    read = [path.name for path in files if TARGETS[name](path.read_bytes())]
    assert read == [path.name for path in files]


@pytest.mark.promise(6)
@pytest.mark.parametrize("name", TARGETS)
def test_edits_end_in_a_result_or_in_the_error_that_is_promised(name, tally):
    corpus = [path.read_bytes() for path in sorted((CORPUS / name).iterdir())]
    is_slow = name == "run_folder"  # three commands for each edit
    n_edits = tally.of(fast=15 if is_slow else 150, full=500 if is_slow else 10_000)
    generator, n_refused, slowest = random.Random(name), 0, 0.0
    for _ in range(n_edits):
        data = edited(generator.choice(corpus), generator, corpus)
        start = time.perf_counter()
        n_refused += not TARGETS[name](data)
        slowest = max(slowest, time.perf_counter() - start)
    assert n_refused > 0
    tally(f"edits of {name}: refused by the error that is promised, others read", n_refused, of=n_edits)
    tally(f"slowest edit of {name}", round(slowest, 3), unit="s")


def test_the_corpus_is_small():
    assert sum(path.stat().st_size for path in CORPUS.rglob("*") if path.is_file()) < 200_000


@pytest.mark.parametrize("name", ["foreign", "sb3_text", "pickles", "config", "progress"])
def test_a_megabyte_of_anything_takes_no_64_mib(name):
    generator = random.Random(name)
    largest = 0
    for word in (b"[],", b'{"":', b"a.", b'","', b"\x94", b"(", b"]", b",", b"\n,", generator.randbytes(1000)):
        data = word * (2**20 // len(word))
        tracemalloc.start()
        TARGETS[name](data)
        largest = max(largest, tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert largest <= 64 * 2**20
