"""Write policies as one C header without allocation, for robots and microcontrollers.

In float64, `policy_act` gives the bits of `predict`, if the compiler neither fuses products with sums nor reorders them
(`-ffp-contract=off`, no `-ffast-math`) and computes in float64 itself, as it does everywhere but on the x87. With
`-DPOLICY_FLOAT32`, all is computed in float32. With `-DPOLICY_TEST`, the header is a program that compares ten actions with
those of fastars.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from gymnasium import spaces

from fastars._compiled.structs import Argmax, Choices, FloatArray, Signs, Squash, Unclipped
from fastars._printable import printable
from fastars._validate import user_facing
from fastars.envs.spaces import action_form, action_rows, flattener
from fastars.exchange.arrays import refuse_whole_numbers
from fastars.exchange.c_parts import EXPM1, FIRST_LARGEST, INCLUDES, LAYER, MAIN, SWISH, TAIL, TANH
from fastars.files.atomic import write_atomically
from fastars.training.backends import backend_module
from fastars.training.policy_structure import layers_of_policy

_N_TESTS = 10
_FAR = 1e6  # from zero: no observation of the test is farther


@user_facing
def write(model: Any, path: Any) -> None:
    """Write a model's policy as a C99 header: filter, layers and the rule that turns scores into an action.

    It defines `void policy_act(const policy_real *observation, policy_action *action)`, with the sizes `POLICY_N_OBS` and
    `POLICY_N_ACT`. `policy_real` is double, or float with `POLICY_FLOAT32`; `policy_action` is float (double for a Box of
    float64), or int64_t for actions that are whole numbers.

    Parameters
    ----------
    model : fastars.ARS
        A model. The observation is the environment's, flat in the order of `gymnasium.spaces.flatten`, before any normalisation.
    path : str or PathLike
        The file. An existing file is replaced in one step.

    Raises
    ------
    ValueError
        If the action space is a Box of whole numbers.
    """
    refuse_whole_numbers(model.action_space)
    lines = itertools.chain(
        _head(model), _filter(model), _layers(model), _function(model), _test(model, _test_observations(model)), TAIL
    )
    write_atomically(path, ["\n".join(lines).encode() + b"\n"])


def _head(model: Any) -> Iterator[str]:
    """Yield the first lines: a comment, types and sizes."""
    env, action_space = model.run.env, model.action_space
    rows = action_rows(action_space, 1)
    kind = "int64_t" if rows.dtype.kind == "i" else "double" if rows.dtype == np.float64 else "float"
    yield f"/* A policy of fastars for {_comment(model.env_id)}: {env.n_obs} numbers observed, {rows[0].size} in an action."
    yield f"   Observations: {_comment(str(model.observation_space))}"
    yield f"   Actions: {_comment(str(action_space))}"
    yield "   Its actions have the bits of `predict` if products and sums are not fused: cc -std=c99 -O2 -ffp-contract=off."
    yield "   A test: cc -std=c99 -O2 -ffp-contract=off -DPOLICY_TEST -x c THIS_FILE -lm && ./a.out; -DPOLICY_FLOAT32 for float. */"
    yield INCLUDES
    yield f"typedef {kind} policy_action;"
    yield f"enum {{ POLICY_N_OBS = {env.n_obs}, POLICY_N_ACT = {rows[0].size} }};"


def _comment(text: str) -> str:
    """Return text for a comment of one line, which it can't end."""
    words = printable(text).replace("\\", "/").replace("?", "").split()
    return " ".join(words)[:200].replace("*/", "* /")  # last: what is replaced before may have made an end


def _filter(model: Any) -> Iterator[str]:
    """Yield the constants of the filter."""
    if _is_filtered(model):
        yield _array("policy_mean", model.policy.filter.mean)
        yield _array("policy_scale", model.policy.filter.scale)


def _is_filtered(model: Any) -> bool:
    filter = model.policy.filter
    return bool(filter.mean.any() or (filter.scale != 1.0).any() or np.isfinite(filter.clip))


def _layers(model: Any) -> Iterator[str]:
    """Yield the weights: a line for each output."""
    for k, (weights, bias) in enumerate(_matrices(model)):
        yield f"static const policy_real policy_w{k}[] = {{"
        yield from (f"  {_numbers(row)}," for row in weights)
        yield "};"
        yield _array(f"policy_b{k}", np.zeros(len(weights)) if bias is None else bias)


def _matrices(model: Any) -> list[tuple[FloatArray, FloatArray | None]]:
    config, env = model.config, model.run.env
    return layers_of_policy(model.policy.weights, [env.n_obs, *config.net_arch, env.n_act], config.with_bias)


def _function(model: Any) -> Iterator[str]:
    """Yield the functions."""
    form, low, high = _form(model)
    layers = _matrices(model)
    yield LAYER
    activation = model.config.activation_fn if len(layers) > 1 else "linear"
    if isinstance(form, Squash) or activation in ("tanh", "swish"):
        yield EXPM1
    if isinstance(form, Squash) or activation == "tanh":
        yield TANH
    if activation == "swish":
        yield SWISH
    if isinstance(form, (Argmax, Choices)):
        yield FIRST_LARGEST
    if not isinstance(form, (Argmax, Choices, Signs, Unclipped)):
        yield _array("policy_low", low, "policy_action")
        yield _array("policy_high", high, "policy_action")
    widest = max(weights.shape[0] for weights, _ in layers)
    yield "static inline void policy_act(const policy_real *observation, policy_action *action) {"
    yield f"  policy_real x[{max(widest, model.run.env.n_obs)}], y[{widest}];"
    yield from _filtered(model)
    for k, (weights, _) in enumerate(layers):
        yield f"  policy_layer(policy_w{k}, policy_b{k}, {weights.shape[1]}, {weights.shape[0]}, x, y);"
        if k < len(layers) - 1:
            yield f"  for (int i = 0; i < {len(weights)}; i++) x[i] = {_ACTIVATIONS[activation]};"
    yield from _chosen(form, len(low))
    yield "}"


def _form(model: Any) -> tuple[Any, FloatArray, FloatArray]:
    """Return the rule that makes actions of scores, and bounds. Actions of float16 are always clipped, as in `predict`."""
    clips = model.config.clip_actions or model.action_space.dtype == np.float16
    return action_form(model.action_space, clips, model.config.squash_output)


_ACTIVATIONS = {"relu": "y[i] < 0 ? 0 : y[i]", "tanh": "policy_tanh(y[i])", "swish": "policy_swish(y[i])", "linear": "y[i]"}


def _filtered(model: Any) -> Iterator[str]:
    """Yield the lines that round an observation as the space does, and filter it."""
    space, clip = model.observation_space, float(model.policy.filter.clip)
    yield f"  for (int j = 0; j < {model.run.env.n_obs}; j++) {{"
    if isinstance(space, spaces.Box) and space.dtype == np.float32:  # gcc 12 -O2 drops (double)(float) where it vectorises
        yield "    volatile float rounded = (float)observation[j]; /* volatile: some compilers leave the rounding out */"
        yield "    policy_real o = rounded;"
    else:
        yield "    policy_real o = observation[j];"
    if _is_filtered(model):
        yield "    o = (o - policy_mean[j]) * policy_scale[j];"
    if np.isfinite(clip):
        limit = f"(policy_real){clip.hex()}"
        yield f"    o = o < -{limit} ? -{limit} : o > {limit} ? {limit} : o;"
    yield "    x[j] = o;"
    yield "  }"


def _chosen(form: Any, n_scores: int) -> Iterator[str]:
    """Yield the lines that turn scores into an action."""
    if isinstance(form, Argmax):
        yield f"  action[0] = {int(form.start)} + policy_first_largest(y, {n_scores});"
    elif isinstance(form, Choices):
        first = 0
        for k, (start, size) in enumerate(zip(form.starts.tolist(), form.sizes.tolist(), strict=True)):
            yield f"  action[{k}] = {start} + policy_first_largest(y + {first}, {size});"
            first += size
    elif isinstance(form, Signs):
        yield "  for (int i = 0; i < POLICY_N_ACT; i++) action[i] = y[i] > 0;"
    else:
        yield "  for (int i = 0; i < POLICY_N_ACT; i++) {"
        if isinstance(form, Squash):
            yield "    policy_real low = policy_low[i], high = policy_high[i];"
            yield "    y[i] = low + (policy_real)0.5 * (policy_tanh(y[i]) + 1) * (high - low);"
        yield "    action[i] = (policy_action)y[i];"
        if not isinstance(form, Unclipped):
            yield "    action[i] = action[i] < policy_low[i] ? policy_low[i] : action[i];"
            yield "    action[i] = action[i] > policy_high[i] ? policy_high[i] : action[i];"
        yield "  }"


def _test_observations(model: Any) -> FloatArray:
    """Return flat observations for the test, (10, n_obs): about as far from the mean as in training."""
    space = copy.deepcopy(model.observation_space)
    if not isinstance(space, spaces.Box):
        space.seed(0)
        flat = flattener(space)
        return np.array([flat(space.sample()) for _ in range(_N_TESTS)], np.float64)
    draw, filter = np.random.default_rng(0), model.policy.filter
    with np.errstate(divide="ignore"):
        spread = np.minimum(np.where(filter.scale > 0.0, 1.0 / filter.scale, 1.0), _FAR)
    values = filter.mean + 1.5 * spread * draw.standard_normal((_N_TESTS, model.run.env.n_obs))
    low, high = np.maximum(space.low, -_FAR).ravel(), np.minimum(space.high, _FAR).ravel()
    return np.clip(values, low, high).astype(space.dtype).astype(np.float64)


def _test(model: Any, observations: FloatArray) -> Iterator[str]:
    """Yield the program that compares actions."""
    policy = model.policy
    backend = backend_module("numba")
    scores = backend.batch_action_scores(policy.structure, policy.weights, observations, policy.filter)
    actions = action_rows(model.action_space, _N_TESTS)
    backend.fill_actions(*_form(model), scores, actions)
    yield "#ifdef POLICY_TEST"
    yield "#include <stdio.h>"
    yield _array("test_observations", observations, "double")
    yield _array("test_actions", actions.reshape(_N_TESTS, -1), "double")
    yield MAIN


def _array(name: str, values: Any, kind: str = "policy_real") -> str:
    return f"static const {kind} {name}[] = {{{_numbers(np.ravel(values))}}};"


def _numbers(values: Iterable[Any]) -> str:
    """Return literals of C: exact ones, short where they can be."""
    return ", ".join(map(_number, values))


def _number(value: Any) -> str:
    number = float(value)
    if not np.isfinite(number):
        return "NAN" if np.isnan(number) else "INFINITY" if number > 0 else "-INFINITY"
    return repr(number) if len(repr(number)) <= 8 else number.hex()
