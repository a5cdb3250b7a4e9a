"""Operators, training and prediction on the device of their inputs.

PyTorch's device "meta" has shapes and no numbers. It refuses to meet tensors of any other device, as a GPU does, so what
is made on the wrong device is found on every machine. What comes out is compared where there is a GPU, in
``make test-gpu``; ``MSVISION_TEST_DEVICE=cpu`` goes the same way without one.
"""

import os

import numpy as np
import pytest
import tensorflow as tf
import torch
from battery import (
    assert_close,
    bound,
    expected,
    flat,
    from_tensorflow,
    from_torch,
    gradients_tensorflow,
    mapped,
    projection,
    to_tensorflow,
    to_torch,
)
from operators import OPERATORS
from test_training import FRAMEWORKS, model_of

from msvision import torch as msv_torch
from msvision.data import digits

DEVICE = os.environ.get("MSVISION_TEST_DEVICE") or ("gpu" if torch.cuda.is_available() else "")
SIZE, CHANNELS = (33, 20), 3
IN_TORCH = {"gpu": "cuda", "cpu": "cpu"}.get(DEVICE, "meta")
IN_TENSORFLOW = {"gpu": "GPU:0", "cpu": "CPU:0"}.get(DEVICE, "")

every_operator = pytest.mark.parametrize("operator", OPERATORS, ids=str)
every_whole_operator = pytest.mark.parametrize("operator", [o for o in OPERATORS if not o.like], ids=str)
on_a_device = pytest.mark.skipif(not DEVICE, reason="no GPU on this machine")
quiet = pytest.mark.filterwarnings("ignore")


def made(operator, device):
    """The operator in PyTorch, its parameters on a device."""
    arguments = operator.arguments_for(SIZE)
    if not operator.layer:
        return bound(getattr(msv_torch, operator.name), arguments)
    return getattr(msv_torch, operator.name)(**operator.torch_arguments(CHANNELS), **arguments).to(device).eval()


def moved(tree, device):
    return mapped(lambda tensor: tensor.to(device), tree)


def on_cpu(tree):
    return from_torch(moved(tree, "cpu"))


@quiet
@every_operator
def test_makes_nothing_on_another_device(operator):
    inputs = moved(to_torch(operator.make_inputs(SIZE, CHANNELS), "float32"), "meta")
    assert {out.device.type for out in flat(made(operator, "meta")(*inputs))} == {"meta"}


def test_another_device_would_be_found():
    with pytest.raises(RuntimeError, match="device"):
        torch.ones(1, 3, 8, 8, device="meta") * torch.ones(1, 3, 8, 8)


@quiet
@on_a_device
@every_operator
def test_values_on_the_device(operator):
    size = SIZE if operator.reference is None else operator.sizes[-1]
    inputs, wanted = operator.make_inputs(size, CHANNELS), expected(operator, size, CHANNELS)
    ours, theirs = operator.make(operator.arguments_for(size), CHANNELS)
    ours = ours.to(IN_TORCH) if operator.layer else ours
    outputs = flat(ours(*moved(to_torch(inputs, "float32"), IN_TORCH)))
    assert {out.device.type for out in outputs} == {IN_TORCH}
    assert_close(on_cpu(outputs), wanted, **operator.tolerance("float32", 4))
    with tf.device(IN_TENSORFLOW):
        outputs = flat(theirs(*to_tensorflow(inputs, "float32")))
    assert all(out.device.endswith(IN_TENSORFLOW) for out in outputs)
    assert_close(from_tensorflow(outputs), wanted, **operator.tolerance("float32", 4))


def gradients(function, inputs, device):
    """Of a random projection of all outputs, to the inputs and the parameters, in PyTorch."""
    tensors = mapped(lambda tensor: tensor.to(device).requires_grad_(), to_torch(inputs, "float32"))
    outputs = flat(function(*tensors))
    weights = [torch.from_numpy(projection(tuple(y.shape), i)).to(y) for i, y in enumerate(outputs)]
    leaves = [*flat(tensors), *(function.parameters() if isinstance(function, torch.nn.Module) else ())]
    return on_cpu(torch.autograd.grad(sum((y * w).sum() for y, w in zip(outputs, weights)), leaves))


@quiet
@on_a_device
@every_whole_operator
def test_gradients_on_the_device(operator):
    """Within an interval: some sums on a GPU add up in an order of their own."""
    ours, theirs = operator.make(operator.arguments_for(SIZE), CHANNELS)
    inputs, tolerance = operator.make_inputs(SIZE, CHANNELS), {"atol": 1e-4 * operator.rounding, "rtol": 1e-3}
    wanted = gradients(ours, inputs, "cpu")
    assert_close(gradients(ours.to(IN_TORCH) if operator.layer else ours, inputs, IN_TORCH), wanted, **tolerance)
    results = []
    for device in ("CPU:0", IN_TENSORFLOW):
        with tf.device(device):
            results.append(gradients_tensorflow(theirs, to_tensorflow(inputs, "float32")))
    for there, here in zip(*results):
        assert_close(here, there, **tolerance)


@quiet
@on_a_device
def test_training_on_the_device():
    """``fit`` finds the device by itself; both frameworks go the same way there, and 16 bits go nearly the same."""
    data = digits("train", size=12)[:96]
    losses, classes, mixed = {}, {}, {}
    for name, msv in FRAMEWORKS.items():
        losses[name] = msv.fit(model := model_of(name), data, steps=20).losses
        classes[name] = msv.predict(model, data)
        if name == "torch":  # the model is given back where it was, to be called there
            assert {parameter.device.type for parameter in model.parameters()} == {"cpu"}
        mixed[name] = msv.fit(model_of(name), data, steps=20, precision="mixed").losses
        np.testing.assert_allclose(mixed[name], losses[name], rtol=0.05)
    np.testing.assert_allclose(losses["torch"], losses["tensorflow"], rtol=1e-2)
    assert (classes["torch"] == classes["tensorflow"]).mean() > 0.95
