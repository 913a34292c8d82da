"""docs/noise.md: its program makes the noise of fastars without fastars, and the numbers that it gives to check against are right.

Broken on purpose, on the page -> red: blocks of 256 numbers, a range of indices one too short, a number to check against with
another last digit (`check_against`, `by_hand`), a candidate without its sign (`run_tries`).
"""

import builtins
import re
from pathlib import Path

import numpy as np
import pytest

from fastars import ARS, kernels, reference
from fastars.samplers.noise_table import NoiseTable
from fastars.training.run import default_noise_size

TEXT = (Path(__file__).parent.parent / "docs" / "noise.md").read_text(encoding="utf-8")
ALONE, BESIDE_FASTARS = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
GOLDEN = {name.strip(" `"): value.strip() for name, value in re.findall(r"^\| (`.*?) \| (.*) \|$", TEXT, re.MULTILINE)}
BACKENDS = pytest.mark.parametrize("backend", [kernels, reference], ids=["kernels", "reference"])
PLACES = [
    (int(seed), int(index), int(n))
    for seed, index, n in zip(
        np.random.default_rng(0).integers(0, 2**64, 12, np.uint64),
        np.random.default_rng(1).integers(0, 2**26, 12),
        np.random.default_rng(2).integers(1, 3000, 12),
        strict=True,
    )
] + [(0, 0, 1), (7, 511, 2), (7, 512, 512), (2**64 - 1, 2**41 - 700, 700), (2**32, 1023, 1)]


@pytest.fixture(scope="module")
def page():
    """The names of the program, which was run where no module of fastars can be imported."""

    def without_fastars(name, *args, **kwargs):
        assert not name.startswith("fastars")
        return __import__(name, *args, **kwargs)

    names = {"__builtins__": {**vars(builtins), "__import__": without_fastars}}
    exec(ALONE, names)
    return names


@BACKENDS
@pytest.mark.parametrize(("seed", "index", "n"), PLACES)
def test_the_noise_of_any_place_is_the_pages(backend, seed, index, n, page):
    made = backend.noise(np.uint64(seed), index, n)
    assert made.dtype == np.float32
    np.testing.assert_array_equal(made, page["noise"](seed, index, n))


@BACKENDS
def test_the_table_is_the_pages(backend, page):
    table = NoiseTable(backend, 11, 20_000)
    np.testing.assert_array_equal(table.whole(), page["noise"](11, 0, 20_000))
    np.testing.assert_array_equal(backend.noise(np.uint64(11), 700, 9_000), table.whole()[700:9_700])


@BACKENDS
@pytest.mark.parametrize(("seed", "iteration", "n_weights"), [(0, 0, 10), (7, 9, 1000), (2**64 - 1, 2**32 - 1, 5), (2**40, 3, 100)])
def test_indices_and_seeds_are_the_pages(backend, seed, iteration, n_weights, page):
    indices = backend.sample_indices(np.uint64(seed), iteration, 20, 10_000, n_weights)
    assert indices.tolist() == page["indices"](seed, iteration, 20, 10_000, n_weights)
    for common in (False, True):
        seeds = backend.episode_seeds(np.uint64(seed), iteration, 5, 3, common)
        assert seeds.tolist() == page["episode_seeds"](seed, iteration, 5, 3, common)


@pytest.mark.parametrize("n_weights", [1, 65_536, 65_537, 2**22, 2**22 + 1, 2**27, 2**27 + 1, 2**29])
def test_the_default_size_is_the_pages(n_weights, page):
    assert default_noise_size(n_weights) == page["table_size"](n_weights)


def test_a_run_tries_the_candidates_of_the_page(page):
    names = dict(page) | {"__builtins__": builtins}
    exec(BESIDE_FASTARS, names)
    model = names["model"]
    network = ARS("MlpPolicy", "Pendulum-v1", n_delta=3, seed=2**40, policy_kwargs={"net_arch": [8]}, noise_size=5_000)
    for one, size in ((model, page["table_size"](model.n_weights)), (network, 5_000)):
        rows, config = one.ask(), one.config
        starts = page["indices"](config.seed, one.iteration, config.n_delta, size, one.n_weights)
        assert len(rows) == 2 * len(starts)
        for k, row in enumerate(rows):
            delta = page["noise"](config.seed, starts[k // 2], one.n_weights)
            np.testing.assert_array_equal(row, page["candidate"](one.theta, config.delta_std, delta, (-1) ** k))


def test_the_numbers_to_check_against_are_right(page):
    assert len(GOLDEN) == 5

    def listed(name):
        return [float(number) if "." in number else int(number, 0) for number in GOLDEN[name].split(", ")]

    assert page["key_words"](0, 0, 0) == listed("key_words(0, 0, 0)")
    for call in ("noise(0, 0, 4)`, as float32", "noise(7, 1_000_000, 3)`, in block 1953 from number 64 on"):
        made = eval(call.partition("`")[0], dict(page))
        np.testing.assert_array_equal(made, np.array(listed(call), np.float32))
    bits = re.search(r"\| their bits \| (.*) \|", TEXT)[1].split(", ")
    assert page["noise"](0, 0, 4).view(np.uint32).tolist() == [int(number, 16) for number in bits]
    assert page["indices"](7, 9, 4, 2**22, 1000) == listed("indices(7, 9, 4, 2**22, 1000)")
    assert page["episode_seeds"](7, 9, 1, 4)[0][0] == listed("episode_seeds(7, 9, 1, 4)[0][0]")


def test_a_draw_worked_out_by_hand_is_right(page):
    """From a word to a number of the table: layer, sign, integer, product, rounding."""
    word = next(page["random_words"](0, 0, 0))
    layer, sign, m = word & 255, word >> 8 & 1, word >> 9 & 2**52 - 1
    assert f"0x{word:X}" in TEXT
    assert f"| {layer}, {sign}, {m} |" in TEXT
    width = float(re.search(r"width of this layer \| (\S+) \|", TEXT)[1])
    x, bound = re.search(r"\| x \| ([\d.]+); m is below the layer's bound, (\d+) \|", TEXT).groups()
    assert m * width == float(x)
    assert m < int(bound)
    assert np.float32(m * width) == page["noise"](0, 0, 1)[0] == kernels.noise(np.uint64(0), 0, 1)[0]


def test_the_page_is_of_this_version():
    assert kernels.NOISE_VERSION == reference.NOISE_VERSION == 1
    assert "It is version 1 of the noise" in TEXT
