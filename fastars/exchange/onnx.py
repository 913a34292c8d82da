"""Write policies as ONNX graphs, from observations to actions, for runtimes without Python.

The graph normalises and clips as in training. It computes in float64, like the kernels; only the order of sums can differ.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastars._compiled.structs import Argmax, Choices, Signs, Squash, Unclipped
from fastars._imports import need
from fastars._validate import user_facing
from fastars.envs.spaces import action_form
from fastars.exchange.arrays import refuse_whole_numbers
from fastars.exchange.trained import TrainedPolicy, trained_of
from fastars.files.atomic import write_atomically
from fastars.training.policy_structure import layers_of_policy

_OPSET, _IR = 17, 8  # of 2022; every later runtime reads them


@user_facing
def write(model: Any, path: Any) -> None:
    """Write a model's policy as an ONNX graph.

    Its input is "observation", its output "action"; the first axis of both is the batch.

    Parameters
    ----------
    model : fastars.ARS
        A model. The graph takes observations of a Box in the dtype and shape of the Box, and observations of other spaces as flat
        float64, in the order of `gymnasium.spaces.flatten`.
    path : str or PathLike
        The file. An existing file is replaced in one step.

    Raises
    ------
    ImportError
        Without the package onnx.
    ValueError
        If the action space is a Box of whole numbers.
    """
    onnx = need("onnx", "onnx", "writing ONNX")
    refuse_whole_numbers(model.action_space)
    graph = _Graph(onnx)
    trained = trained_of(model)
    source = _input(onnx, model.observation_space, trained.n_obs)
    _scores(graph, model, trained)
    _actions(graph, model)
    target = onnx.helper.make_tensor_value_info(
        "action", graph.dtype(model.action_space.dtype), ["n", *(model.action_space.shape or ())]
    )
    graph.add("Identity", output="action")
    body = onnx.helper.make_graph(graph.nodes, "policy", [source], [target], graph.constants)
    made = onnx.helper.make_model(
        body, producer_name="fastars", ir_version=_IR, opset_imports=[onnx.helper.make_opsetid("", _OPSET)]
    )
    onnx.helper.set_model_props(made, {"env_id": model.env_id, "observation_space": str(model.observation_space)})
    onnx.checker.check_model(made, full_check=True)
    write_atomically(path, [made.SerializeToString()])


class _Graph:
    """A graph under construction; each node takes the output of the node before it."""

    def __init__(self, onnx: Any) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.last = "observation"
        self._onnx = onnx

    def dtype(self, dtype: Any) -> int:
        """Return the number that ONNX has for a dtype of NumPy."""
        return int(self._onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def constant(self, value: Any) -> str:
        """Add an array to the graph. Returns its name."""
        name = f"constant_{len(self.constants)}"
        self.constants.append(self._onnx.numpy_helper.from_array(np.asarray(value), name))
        return name

    def add(self, kind: str, *others: Any, output: str | None = None, source: str | None = None, **attributes: Any) -> str:
        """Add a node that takes the last output, and `others` as constants. Returns the name of its output, now the last one."""
        inputs = [source or self.last, *(self.constant(other) for other in others)]
        self.last = output or f"{kind}_{len(self.nodes)}"
        self.nodes.append(self._onnx.helper.make_node(kind, inputs, [self.last], **attributes))
        return self.last

    def multiply(self, name: str) -> None:
        """Add a node that multiplies the last output by another output."""
        node = self._onnx.helper.make_node("Mul", [self.last, name], [f"Mul_{len(self.nodes)}"])
        self.nodes.append(node)
        self.last = node.output[0]

    def join(self, names: list[str]) -> None:
        """Add a node that concatenates outputs along axis 1."""
        self.last = "joined"
        self.nodes.append(self._onnx.helper.make_node("Concat", names, [self.last], axis=1))


def _input(onnx: Any, space: Any, n_obs: int) -> Any:
    """Return the description of the graph's input: observations of a space."""
    is_box = type(space).__name__ == "Box"
    dtype, shape = (space.dtype, space.shape) if is_box else (np.dtype(np.float64), (n_obs,))
    number = onnx.helper.np_dtype_to_tensor_dtype(dtype)
    return onnx.helper.make_tensor_value_info("observation", number, ["n", *shape])


def _scores(graph: _Graph, model: Any, trained: TrainedPolicy) -> None:
    """Add the nodes from an observation to the outputs of the last layer."""
    config = model.config
    graph.add("Cast", to=graph.dtype(np.float64))
    graph.add("Flatten", axis=1)
    if trained.mean is not None:
        graph.add("Sub", trained.mean)
        graph.add("Mul", model.policy.filter.scale)
        if np.isfinite(trained.clip_observations):
            graph.add("Clip", np.float64(-trained.clip_observations), np.float64(trained.clip_observations))
    layers = layers_of_policy(trained.weights, [trained.n_obs, *config.net_arch, trained.n_act], config.with_bias)
    for k, (weights, bias) in enumerate(layers):
        graph.add("Gemm", weights, *([] if bias is None else [bias]), transB=1)
        if k < len(layers) - 1:
            _activation(graph, config.activation_fn)


def _activation(graph: _Graph, name: str) -> None:
    """Add the activation of a hidden layer."""
    if name == "swish":
        sums = graph.last
        graph.add("Sigmoid")
        graph.multiply(sums)
    elif name != "linear":
        graph.add({"relu": "Relu", "tanh": "Tanh"}[name])


def _actions(graph: _Graph, model: Any) -> None:
    """Add the nodes from the outputs of the last layer to actions of the action space."""
    space, config = model.action_space, model.config
    form, low, high = action_form(space, config.clip_actions, config.squash_output)
    if isinstance(form, Argmax):
        graph.add("ArgMax", axis=1, keepdims=0)
        graph.add("Add", np.int64(form.start))
    elif isinstance(form, Choices):
        _choices(graph, form)
    elif isinstance(form, Signs):
        graph.add("Greater", np.float64(0.0))
    elif isinstance(form, Squash):
        graph.add("Tanh")
        graph.add("Add", np.float64(1.0))
        graph.add("Mul", (high.astype(np.float64) - low) / 2.0)
        graph.add("Add", low.astype(np.float64))
        graph.add("Cast", to=graph.dtype(low.dtype))
    elif not isinstance(form, Unclipped):
        graph.add("Cast", to=graph.dtype(low.dtype))
        graph.add("Max", low)
        graph.add("Min", high)
    graph.add("Cast", to=graph.dtype(space.dtype))
    if len(space.shape) > 1 or (type(space).__name__ == "Box" and not space.shape):
        graph.add("Reshape", np.array([-1, *space.shape], np.int64))


def _choices(graph: _Graph, form: Choices) -> None:
    """Add nodes that choose the index of the largest score for each of several actions."""
    scores, end, chosen = graph.last, 0, []
    for size in form.sizes:
        start, end = end, end + int(size)
        graph.add("Slice", np.array([start]), np.array([end]), np.array([1]), source=scores)
        chosen.append(graph.add("ArgMax", axis=1, keepdims=1))
    graph.join(chosen)
    graph.add("Add", form.starts)
