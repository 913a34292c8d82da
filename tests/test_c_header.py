"""Policies in C: what compilers make of the header acts as the model, to the bit in float64.

Broken on purpose, each seen red: a sum that begins with the last input, or with zero; a scale that divides; tanh of the C
library; no rounding of an observation to float32; `>=` for the largest score; scores of the first part for all parts. Red before
they were mended: two wrong digits in constants, a difference of NaN that was not seen, actions of float16 that were not clipped.
"""

import ctypes
import itertools
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from fastars import ARS
from fastars.cli import main
from fastars.exchange import c_header, c_parts

ROOT = Path(__file__).parent.parent
COMPILERS = [
    pytest.param(name, marks=pytest.mark.skipif(shutil.which(name) is None, reason=f"{name} is not installed"))
    for name in ("gcc", "clang")
]
needs_cc = pytest.mark.skipif(shutil.which("cc") is None, reason="there is no compiler of C")
EXACT = ["-std=c99", "-O2", "-ffp-contract=off", "-Wall", "-Wextra", "-Werror"]
MANY = """#include "policy.h"
void act_many(const policy_real *o, policy_action *a, long n) {
  for (long k = 0; k < n; k++) policy_act(o + k * POLICY_N_OBS, a + k * POLICY_N_ACT);
}
"""


def box(*shape, dtype=np.float32):
    return spaces.Box(-2, 3, shape, dtype)


class Random(gymnasium.Env):
    """Observations and actions of any spaces."""

    def __init__(self, observation_space, action_space):
        self.observation_space, self.action_space = observation_space, action_space

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.observation_space.sample(), {}

    def step(self, action):
        return self.observation_space.sample(), 0.0, True, False, {}


SPACES = {
    "box": (box(3), box(2)),
    "discrete": (box(3), spaces.Discrete(4, start=-3)),
    "axes": (box(2, 3), box(2, 2)),
    "float64": (box(3, dtype=np.float64), box(2, dtype=np.float64)),
    "parts": (spaces.Dict(a=box(2), b=spaces.Discrete(3)), spaces.MultiDiscrete([2, 3], start=[0, 5])),
    "grid": (box(3), spaces.MultiDiscrete([[2, 3], [4, 2]])),
    "binary": (box(3), spaces.MultiBinary((2, 2))),
    "no axes": (spaces.Discrete(5), box()),
    "bytes": (spaces.Box(0, 255, (2, 2), np.uint8), spaces.Discrete(2)),
    "half": (box(3), box(2, dtype=np.float16)),
}
POLICIES = {
    "linear": ("LinearPolicy", {}),
    "squashed": ("LinearPolicy", {"with_bias": True, "squash_output": True}),
    "relu": ("MlpPolicy", {"net_arch": [4, 9]}),
    "swish": ("MlpPolicy", {"net_arch": [6], "activation_fn": "swish", "squash_output": False}),
    "linear layers": ("MlpPolicy", {"net_arch": [6, 2], "activation_fn": "linear"}),
    "tanh": ("MlpPolicy", {"net_arch": [5], "activation_fn": "tanh", "with_bias": False, "squash_output": False}),
}


def model_of(space_name, policy_name, scale=1.0, **settings):
    policy, kwargs = POLICIES[policy_name]
    env = Random(*SPACES[space_name]) if space_name in SPACES else space_name
    model = ARS(policy, env, seed=0, policy_kwargs=kwargs, n_delta=2, **settings)
    model.policy.weights = scale * np.random.default_rng(1).standard_normal(len(model.theta))
    return model


def normalised(model, clip=None):
    """Give the model the filter of observations around 1, some of which never change."""
    observed = 1.0 + 0.7 * np.random.default_rng(2).standard_normal((50, model.run.env.n_obs))
    observed[:, 0] = 2.0
    moments = model.state.moments._replace(count=50, mean=observed.mean(axis=0), m2=50 * observed.var(axis=0))
    model.restore(model.state._replace(moments=moments))
    return model


def compiled(folder, model, compiler, *flags):
    """The function `act_many` of the header, for arrays of observations (n, n_obs)."""
    c_header.write(model, folder / "policy.h")
    (folder / "many.c").write_text(MANY)
    library = folder / f"many{len(list(folder.iterdir()))}.so"
    subprocess.run([compiler, *EXACT, *flags, "-shared", "-fPIC", folder / "many.c", "-o", library, "-lm"], check=True)
    function = ctypes.CDLL(str(library)).act_many
    real = np.float32 if "-DPOLICY_FLOAT32" in flags else np.float64

    def act(observations, expected):
        observations = np.ascontiguousarray(observations, real)
        kind = {"i": np.int64, "f": np.float64 if expected.dtype == np.float64 else np.float32}[expected.dtype.kind]
        actions = np.empty((len(observations), expected[0].size), kind)
        pointers = (array.ctypes.data_as(ctypes.c_void_p) for array in (observations, actions))
        function(*pointers, ctypes.c_long(len(observations)))
        return actions.reshape(expected.shape)

    return act


def flat(space, observations):
    return np.array([spaces.flatten(space, each) for each in observations], np.float64)


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("name", SPACES)
def test_actions_have_the_bits_of_predict(name, compiler, tmp_path):
    observation_space = SPACES[name][0]
    observation_space.seed(0)
    observations = [observation_space.sample() for _ in range(50)]
    for policy, clip_actions in itertools.product(POLICIES, (True, False)):
        for settings in ({}, {"normalize_observations": True, "clip_observations": 1.5}):
            model = model_of(name, policy, clip_actions=clip_actions, **settings)
            model = normalised(model) if settings else model
            expected = np.array([model.predict(each)[0] for each in observations])
            actions = compiled(tmp_path, model, compiler)(flat(observation_space, observations), expected)
            dtype = SPACES[name][1].dtype  # C has no float16: there, the caller rounds
            assert actions.astype(dtype).tobytes() == expected.astype(dtype).tobytes(), (policy, clip_actions, settings)


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("policy", POLICIES)
def test_a_million_actions(policy, compiler, tmp_path):
    """Of all sizes, so that bounds, ties, tiny and huge sums of a layer come up."""
    model = normalised(model_of("float64", policy, scale=2.0, normalize_observations=True))
    draw = np.random.default_rng(3)
    observations = 1.0 + draw.standard_normal((1_000_000, 3)) * 10.0 ** draw.uniform(-6, 1, (1_000_000, 1))
    expected = model.predict(observations)[0]
    actions = compiled(tmp_path, model, compiler)(observations, expected)
    assert actions.tobytes() == expected.tobytes()
    assert len(np.unique(actions)) > 100_000


@needs_cc
@pytest.mark.parametrize("policy", POLICIES)
def test_strange_numbers(policy, tmp_path):
    values = [0.0, -0.0, 1e-320, 1e300, -1e300, np.inf, -np.inf, np.nan, 0.1]
    observations = np.array(list(itertools.product(values, repeat=3)))
    for name, normal in itertools.product(("float64", "discrete"), (True, False)):
        model = model_of(name, policy, normalize_observations=normal)
        model = normalised(model) if normal else model
        with np.errstate(all="ignore"):
            expected = model.predict(observations)[0]
        actions = compiled(tmp_path, model, "cc")(observations, expected)
        np.testing.assert_array_equal(actions, expected)
        assert not np.any(np.signbit(actions) & ~np.isnan(actions) != np.signbit(expected) & ~np.isnan(expected))


@needs_cc
@pytest.mark.parametrize(("dtype", "given"), [(np.float32, 0.1), (np.float64, 0.1)])
def test_an_observation_is_rounded_as_the_space_rounds_it(dtype, given, tmp_path):
    env = Random(box(1, dtype=dtype), box(1, dtype=np.float64))
    model = ARS("LinearPolicy", env, seed=0)
    model.policy.weights = [1.0]
    expected = model.predict(np.full((1, 1), given))[0]
    assert expected[0, 0] == dtype(given)
    assert compiled(tmp_path, model, "cc")([[given]], expected) == expected


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("env", ["Pendulum-v1", "CartPole-v1", *SPACES])
def test_its_own_test(env, policy, compiler, tmp_path):
    """The header as a program says the largest difference, which in float64 is zero."""
    c_header.write(model_of(env, policy), tmp_path / "policy.h")
    for flags, words in (([], "64 bits: the largest difference of an action is 0\n"), (["-DPOLICY_FLOAT32"], "32 bits: ")):
        command = [compiler, *EXACT, *flags, "-DPOLICY_TEST", "-x", "c", tmp_path / "policy.h", "-lm", "-o", tmp_path / "test"]
        subprocess.run(command, check=True)
        done = subprocess.run([tmp_path / "test"], capture_output=True, text=True, check=True)
        assert done.stdout.startswith("10 observations, ")
        assert words in done.stdout
        assert float(done.stdout.split()[-1]) < 1e-3 * (1 + 1e4 * bool(flags and env == "bytes"))


@needs_cc
@pytest.mark.parametrize("changed", ["1.0, 2.0", "NAN, NAN"])
def test_its_own_test_can_fail(changed, tmp_path):
    model = model_of("float64", "linear", clip_actions=False)
    c_header.write(model, tmp_path / "policy.h")
    text = (tmp_path / "policy.h").read_text()
    start = text.index("policy_w0[] = {") + len("policy_w0[] = {")
    end = text.index(",", text.index(",", start) + 1)
    (tmp_path / "policy.h").write_text(text[:start] + changed + text[end:])
    subprocess.run(
        ["cc", "-std=c99", "-DPOLICY_TEST", "-x", "c", tmp_path / "policy.h", "-lm", "-o", tmp_path / "test"], check=True
    )
    done = subprocess.run([tmp_path / "test"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert not done.stdout.endswith(" 0\n")


def test_constants_are_those_of_the_kernel():
    """A wrong digit in the middle changes one action in a million."""
    source = (ROOT / "fastars" / "_compiled" / "trig.py").read_text(encoding="utf-8")
    constants = re.findall(r"\d\.\d{8,}(?:e-\d+)?", source[source.index("_LN_2 =") : source.index("@inline")])
    assert len(constants) == 13
    assert [number for number in constants if number not in c_parts.EXPM1] == []


@needs_cc
def test_float32_differs_little(tmp_path):
    model = normalised(model_of("box", "tanh", normalize_observations=True))
    observations = np.random.default_rng(3).standard_normal((10_000, 3)).astype(np.float32)
    expected = model.predict(observations)[0]
    actions = compiled(tmp_path, model, "cc", "-DPOLICY_FLOAT32")(observations, expected)
    assert 0 < np.abs(actions - expected).max() < 1e-5


def test_a_linear_policy_has_less_than_a_hundred_lines(tmp_path):
    c_header.write(normalised(model_of("box", "squashed", normalize_observations=True)), tmp_path / "policy.h")
    assert len((tmp_path / "policy.h").read_text().splitlines()) < 100
    assert "malloc" not in (tmp_path / "policy.h").read_text()


@needs_cc
@pytest.mark.parametrize("key", ["a*/b", "a\\", "x??/", "*?/", "*\n", "*?\\", "new\nline", "\x1b[31m", "*" * 300])
def test_a_name_does_not_end_the_comment(key, tmp_path):
    model = ARS("LinearPolicy", Random(spaces.Dict({key: box(2)}), box(1)), seed=0)
    c_header.write(model, tmp_path / "policy.h")
    head = (tmp_path / "policy.h").read_text().partition("#ifndef")[0]
    assert (head.count("*/"), head.count("\n")) == (1, 5)
    assert "\x1b" not in head
    subprocess.run(["cc", *EXACT, "-trigraphs", "-c", "-x", "c", tmp_path / "policy.h", "-o", tmp_path / "a.o"], check=True)


def test_whole_numbers_are_refused(tmp_path):
    model = ARS("LinearPolicy", lambda: Random(box(2), spaces.Box(0, 5, (2,), np.int64)))
    with pytest.raises(ValueError, match="are rounded to whole numbers; this format can't hold that"):
        c_header.write(model, tmp_path / "policy.h")
    assert not (tmp_path / "policy.h").exists()


@needs_cc
def test_commands_and_the_program_of_the_page(tmp_path, monkeypatch):
    """As they stand, in a new folder."""
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
    for block in re.findall(r"```sh\n(.*?)```", page, re.DOTALL):
        for line in block.splitlines():
            words = shlex.split(line)
            if words[0] == "fastars":
                assert main(words[1:]) == 0
            else:
                done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert f"`{done.stdout.strip()}`" in page
    include, statements = re.search(r"```c\n(#include .*?)\n\n(.*?)```", page, re.DOTALL).groups()
    (tmp_path / "main.c").write_text(f"{include}\nint main(void) {{ {statements} return 0; }}\n")
    subprocess.run(["cc", "-std=c99", "-I", "pendulum/Pendulum-v1_1", "main.c", "-lm"], check=True)
