"""What every operator must do in both frameworks, asked of all of them in the same words.

An operator joins by an entry in the table of ``operators.py``: its name, its NumPy reference, its arguments, and what
it must refuse. Everything else about it, in PyTorch and in TensorFlow, is tested from that entry.
"""

from __future__ import annotations

import copy
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache

import keras
import numpy as np
import tensorflow as tf
import torch

from msvision import tensorflow as msv_tensorflow
from msvision import torch as msv_torch
from msvision.geometry import level_shapes, max_levels
from msvision.port import port

SIZES = [(1, 1), (5, 8), (64, 64), (65, 47), (97, 33)]
CHANNELS = [1, 3, 5]
TOLERANCES = {"float32": 1e-6, "float64": 1e-12, "float16": 4e-3, "bfloat16": 4e-2}
"""Absolute, for images in [0, 1]; ten times as much, and relative as well, for an operator with ``image=False``."""


@dataclass(frozen=True)
class Wrong:
    """Something an operator refuses: other arguments, or other inputs, and the error they give."""

    id: str
    error: type[Exception]
    match: str
    arguments: dict = field(default_factory=dict)
    inputs: Callable | None = None  # (the right inputs) -> the wrong ones
    frameworks: tuple = ("torch", "tensorflow")


def one_image(size, channels, rng):
    return [image(rng, size, channels)]


def image(rng, size, channels, batch=2):
    """An image in [0, 1] of 8-bit values, which every floating-point type holds exactly."""
    return rng.integers(0, 257, (batch, *size, channels)) / 256


def up_to(levels, name="levels", **others):
    """``levels``, or as many as an image of that size has."""
    return lambda size: {name: min(levels, max_levels(size, others.get("scale_factor", 0.5))), **others}


@dataclass(frozen=True, eq=False)
class Operator:
    """One entry of the table.

    ``reference(*inputs, **arguments)`` takes and returns float64 NumPy arrays (N, H, W, C), or lists of them; that of a
    layer also takes ``weights``, its PyTorch state. Without a reference (whole networks, whose parts have one) the PyTorch
    layer in double precision is the reference of all others. ``inputs(size, channels, rng)`` makes the positional inputs,
    ``arguments`` (a dictionary, or a function of the size) the keyword arguments, ``graph_arguments`` those that suit
    every size at once. ``compiler`` is the backend of ``torch.compile`` to test with: "inductor" compiles for real and
    is slow, "aot_eager" stops before code is written, "eager" only records the graph. ``like`` names the entry whose code
    a deep network shares at another depth, so that only values are asked of it; ``fast_gradcheck`` compares
    gradients with differences along random directions only.
    """

    name: str
    reference: Callable | None
    arguments: dict | Callable = field(default_factory=dict)
    graph_arguments: dict | None = None
    inputs: Callable = one_image
    first: str = "x"  # what error messages call the first input
    layer: bool = False
    torch_arguments: Callable = lambda channels: {"in_channels": channels}  # that Keras finds out by itself
    tensorflow_arguments: Callable = lambda dtype: {}  # a backbone, say, which each framework has of its own
    image: bool = True
    wrong: tuple = ()
    sizes: tuple = tuple(SIZES)
    channels: tuple = tuple(CHANNELS)  # whole networks are slow, and one number of channels shows the same
    variant: str = ""
    compiler: str = "aot_eager"
    fast_gradcheck: bool = False
    like: str = ""
    rounding: float = 1.0  # how many times more rounding errors a deep network adds up
    idle: int = 0  # parameters that one image does not train: a BatchNorm after them takes away what is constant
    against: str = "its formula in NumPy, double precision"  # what the reference is, for the table in the book
    seed: int = 0  # of the parameters; another one where a ReLU of few channels would leave nothing to train

    def __str__(self):
        return f"{self.name}-{self.variant}" if self.variant else self.name

    def arguments_for(self, size):
        return self.arguments(size) if callable(self.arguments) else self.arguments

    def arguments_in_graphs(self):
        if self.graph_arguments is not None:
            return self.graph_arguments
        arguments = self.arguments_for((64, 64))  # two levels show what more would, and compilers are slow
        return {name: min(value, 2) if name in ("levels", "count") else value for name, value in arguments.items()}

    def make_inputs(self, size, channels):
        return self.inputs(size, channels, np.random.default_rng(zlib.crc32(f"{self} {size} {channels}".encode())))

    def tolerance(self, dtype, factor=1.0):
        tolerance = TOLERANCES[dtype] * factor * self.rounding
        return {"atol": tolerance, "rtol": 0} if self.image else {"atol": 10 * tolerance, "rtol": 10 * tolerance}

    def build(self, arguments, channels, dtype="float32"):
        """The operator in both frameworks, as functions of the inputs; layers hold the same parameters.

        A deep network takes seconds to make, so the last ones are kept: whoever trains one uses :meth:`make`.
        """
        key = (self, str(arguments), channels, dtype)
        if key not in _built:
            while len(_built) >= 4:
                _built.pop(next(iter(_built)))
            _built[key] = self.make(arguments, channels, dtype)
        return _built[key]

    def make(self, arguments, channels, dtype="float32"):
        """As :meth:`build`, made anew."""
        if not self.layer:
            return tuple(bound(getattr(msv, self.name), arguments) for msv in (msv_torch, msv_tensorflow))
        torch.manual_seed(self.seed)
        ours = getattr(msv_torch, self.name)(**self.torch_arguments(channels), **arguments)
        for tensor in ours.state_dict().values():
            tensor.copy_(tensor.bfloat16())  # exact in every type
        ours = ours.to(getattr(torch, dtype)).eval()  # as Keras layers are unless told that they train
        theirs = getattr(msv_tensorflow, self.name)(**self.tensorflow_arguments(dtype), **arguments, dtype=dtype)
        theirs(*to_tensorflow(self.make_inputs((33, 40), channels), dtype))  # which builds it
        port(ours, theirs)
        return ours, theirs


_built: dict = {}


def bound(function, arguments):
    def call(*inputs):
        return function(*inputs, **arguments)

    return call


@cache
def expected(operator: Operator, size, channels):
    arguments = operator.arguments_for(size)
    if operator.reference is None:
        return in_double_precision(operator, arguments, size, channels)
    if operator.layer:
        state = operator.build(arguments, channels)[0].state_dict()
        arguments = arguments | {"weights": {name: value.double().numpy() for name, value in state.items()}}
    return flat(operator.reference(*operator.make_inputs(size, channels), **arguments))


def in_double_precision(operator: Operator, arguments, size, channels):
    ours, _ = operator.build(arguments, channels, "float64")
    with torch.no_grad():
        return from_torch(ours(*to_torch(operator.make_inputs(size, channels), "float64")))


# -- from NumPy to the frameworks and back ---------------------------------------------------------------------------


def mapped(function, tree):
    return [mapped(function, item) for item in tree] if isinstance(tree, (list, tuple)) else function(tree)


def flat(tree):
    return [leaf for item in tree for leaf in flat(item)] if isinstance(tree, (list, tuple)) else [tree]


def to_torch(tree, dtype=None, grad=False):
    def convert(array):
        tensor = torch.from_numpy(np.ascontiguousarray(np.moveaxis(array, -1, 1) if array.ndim == 4 else array))
        tensor = tensor.to(getattr(torch, dtype)) if dtype else tensor
        return tensor.requires_grad_() if grad else tensor

    return mapped(convert, tree)


def to_tensorflow(tree, dtype=None):
    return mapped(lambda array: tf.cast(array, dtype) if dtype else tf.convert_to_tensor(array), tree)


def from_torch(tree):
    arrays = [tensor.detach().double().numpy() for tensor in flat(tree)]
    return [np.moveaxis(array, 1, -1) if array.ndim == 4 else array for array in arrays]


def from_tensorflow(tree):
    return [tf.cast(tensor, tf.float64).numpy() for tensor in flat(tree)]


def assert_close(actual, wanted, **tolerance):
    assert [a.shape for a in actual] == [w.shape for w in wanted]
    for a, w in zip(actual, wanted):
        np.testing.assert_allclose(a, w, **tolerance)


# -- gradients, of the same scalar in both ---------------------------------------------------------------------------


def projection(shape, number):
    return np.random.default_rng(number).uniform(-1, 1, shape)


def gradients_torch(module, inputs):
    """Gradients of a random projection of all outputs, to the inputs and, for a layer, to its parameters."""
    outputs = flat(module(*inputs))
    weights = [to_torch([projection(a.shape, i)], "float64")[0] for i, a in enumerate(from_torch(outputs))]
    loss = sum((out * w.to(out.dtype)).sum() for out, w in zip(outputs, weights))
    leaves = flat(inputs)
    parameters = list(module.parameters()) if isinstance(module, torch.nn.Module) else []
    gradients = torch.autograd.grad(loss, leaves + parameters)
    return from_torch(gradients[: len(leaves)]), gradients[len(leaves) :]


def gradients_tensorflow(layer, inputs):
    variables = layer.trainable_variables if isinstance(layer, keras.Layer) else []
    leaves = flat(inputs)
    with tf.GradientTape() as tape:
        tape.watch(leaves)
        outputs = flat(layer(*inputs))
        loss = sum(tf.reduce_sum(out * tf.cast(projection(out.shape, i), out.dtype)) for i, out in enumerate(outputs))
    gradients = tape.gradient(loss, leaves + [variable.value for variable in variables])
    return from_tensorflow(gradients[: len(leaves)]), from_tensorflow(gradients[len(leaves) :])


def as_keras_gradients(module, layer, gradients):
    """PyTorch's gradients in the layout and order of a Keras layer's variables: ported as if they were parameters."""
    module, before = copy.deepcopy(module), layer.get_weights()
    with torch.no_grad():
        for parameter, gradient in zip(module.parameters(), gradients):
            parameter.copy_(gradient)
    port(module, layer)
    arrays = [np.array(variable, "float64") for variable in layer.trainable_variables]
    layer.set_weights(before)
    return arrays


# -- wrong inputs that recur -----------------------------------------------------------------------------------------


def wrong_images(operator: Operator) -> list[Wrong]:
    """What no operator takes for its first image."""

    def replaced(change):
        def inputs(right):
            first = right[0]
            return [[change(first[0]), *first[1:]] if isinstance(first, list) else change(first), *right[1:]]

        return inputs

    name = operator.first
    floating = rf"{name} must hold floating-point numbers, got .*{{}}.*; for 8-bit images use"
    return [
        Wrong("uint8", TypeError, floating.format("uint8"), inputs=replaced(lambda x: x.astype("uint8"))),
        Wrong("int64", TypeError, floating.format("int64"), inputs=replaced(lambda x: x.astype("int64"))),
        Wrong("rank", ValueError, rf"{name} must have 4 dimensions in layout N", inputs=replaced(lambda x: x[0])),
        Wrong("empty", ValueError, rf"{name} must not be empty, got shape", inputs=replaced(lambda x: x[:, :0])),
        Wrong("no-tensor", TypeError, rf"{name} must be a torch.Tensor, got", {}, replaced(str), ("torch",)),
    ]


def wrong_counts(name: str, *others: Wrong, too_many: int | None = None) -> tuple[Wrong, ...]:
    """What no argument that counts something takes."""
    kinds = {"0": (0, ValueError), "negative": (-1, ValueError), "bool": (True, TypeError), "float": (1.5, TypeError)}
    wrong = [
        Wrong(f"{name}-{kind}", error, f"{name} must be (an integer|at least 1), got", {name: value})
        for kind, (value, error) in kinds.items()
    ]
    if too_many:
        wrong.append(
            Wrong(f"{name}-too-many", ValueError, rf"{name} must be at most \d+ for an image", {name: too_many})
        )
    return (*wrong, *others)


def wrong_scale_factors(kind: str = "less than 1", values=(0, 1, 2, -0.5, float("nan"))) -> tuple[Wrong, ...]:
    return tuple(
        Wrong(f"scale_factor-{value}", ValueError, f"scale_factor must be .*{kind}.*got", {"scale_factor": value})
        for value in values
    ) + tuple(
        Wrong(f"scale_factor-{value}", TypeError, "scale_factor must be a number, got", {"scale_factor": value})
        for value in ("x", True, None)
    )


def pyramid_inputs(scale_factor=0.5, levels=4, grow=0):
    """Inputs that are one list of levels, as many as the size has; each of ``grow`` more channels than the last."""

    def inputs(size, channels, rng):
        count = min(levels, max_levels(size, scale_factor))
        shapes = level_shapes(size, count, scale_factor)
        return [[image(rng, shape, channels + grow * number) for number, shape in enumerate(shapes)]]

    return inputs
