"""BiFPN: what holds whatever the levels, and what copies of it get wrong."""

import numpy as np
import pytest
import references_bifpn
import tensorflow as tf
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from measured import assert_agrees
from test_fpn import CHANNELS, levels_of, sizes, to_numpy, to_tensorflow
from test_fusion import both, interpolations

from msvision import torch as msv_torch
from msvision.port import port
from msvision.tensorflow.bifpn import _halved
from msvision.tensorflow.fusion import weighted_mean as weighted_mean_tensorflow
from msvision.torch.fusion import weighted_mean as weighted_mean_torch


def randomised(there, here):
    """Other numbers than those that a network starts with, BatchNorm's statistics too."""
    for name, tensor in there.state_dict().items():
        if tensor.is_floating_point():
            torch.nn.init.uniform_(tensor, 0.5 if "var" in name or "level_weights" in name else -0.5, 1.5)
    port(there, here)
    return there, here


def level_weights(there):
    return {name: weight for name, weight in there.named_parameters() if name.endswith("level_weights")}


# -- values ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(1, 1), (5, 8), (65, 47)], ids=str)
@pytest.mark.parametrize("count, layers", [(2, 1), (3, 3), (5, 1)])
def test_the_paper_s_equations(size, count, layers):
    channels = [3, 4, 5, 6, 7][:count]
    there, here = randomised(*both("BiFPN", channels, layers=layers))
    levels = levels_of(size, channels)
    weights = {name: value.double().numpy() for name, value in there.state_dict().items()}
    wanted = references_bifpn.bifpn([np.moveaxis(x.double().numpy(), 1, -1) for x in levels], weights, layers)
    with torch.no_grad():
        ours = [x.movedim(1, -1).numpy() for x in there(levels)]
    theirs = [x.numpy() for x in here(to_tensorflow(levels))]
    assert_agrees("BiFPN", "PyTorch", "the paper's equations in NumPy", ours, wanted)
    assert_agrees("BiFPN", "TensorFlow", "the paper's equations in NumPy", theirs, wanted)


@settings(max_examples=10)
@given(size=st.tuples(sizes, sizes), count=st.integers(2, 4), interpolation=interpolations)
def test_any_size_and_number_of_levels(size, count, interpolation):
    channels = [2, 3, 4, 5][:count]
    there, here = both("BiFPN", channels, interpolation=interpolation)
    levels = levels_of(size, channels)
    with torch.no_grad():
        wanted = there(levels)
    assert [tuple(x.shape) for x in wanted] == [(2, 4, *level.shape[2:]) for level in levels]
    for a, b in zip(wanted, to_numpy(here(to_tensorflow(levels))), strict=True):
        np.testing.assert_allclose(b, a.numpy(), atol=1e-5)


@pytest.mark.parametrize("batch", [1, 2])
def test_trains_alike(batch):
    there, here = both("BiFPN")
    levels = levels_of((20, 13), batch=batch)
    for _ in range(2):  # the second time with the statistics of the first
        wanted = [x.detach().numpy() for x in there.train()(levels)]
        for a, b in zip(wanted, to_numpy(here(to_tensorflow(levels), training=True))):
            np.testing.assert_allclose(b, a, atol=1e-4)
    for node, twin in zip(there.layers[0].up, here.layers[0].up):
        np.testing.assert_allclose(twin.norm.moving_variance.numpy(), node.norm.running_var.numpy(), atol=1e-5)


@given(size=st.tuples(sizes, sizes))
def test_both_frameworks_halve_alike(size):
    x = torch.randn(1, 2, *size) - 5  # where a border of zeros would win
    wanted = torch.nn.functional.max_pool2d(x, 3, 2, 1)
    assert tuple(wanted.shape[2:]) == tuple(-(-n // 2) for n in size)
    np.testing.assert_array_equal(to_numpy([_halved(to_tensorflow([x])[0])])[0], wanted.numpy())


def test_every_level_reaches_every_level():
    """On the way down and up again; in an FPN, what fine levels see never reaches coarse ones."""

    def reached(network):
        levels = [level.requires_grad_() for level in levels_of((16, 16))]
        results = network(levels)
        gradients = [
            torch.autograd.grad(x.square().sum(), levels, retain_graph=True, allow_unused=True) for x in results
        ]
        return [[g is not None and bool(g.any()) for g in row] for row in gradients]

    assert reached(msv_torch.BiFPN(CHANNELS, 4)) == [[True, True, True]] * 3
    assert reached(msv_torch.FPN(CHANNELS, 4)) == [[True, True, True], [False, True, True], [False, False, True]]


# -- the weights of the means ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("weights", [(2.0, 1.0, 0.0), (2e-4, 1e-4, 1e-4), (-3.0, 1.0, 2.0)])
def test_weights_are_normalised_once(weights):
    """Small ones tell: their sum with epsilon is then far from one, and a second division would hide that."""
    maps = levels_of((9, 16), [4, 4, 4])
    maps = [maps[0], maps[0].flip(2), maps[0].flip(3)]
    positive = np.maximum(weights, 0)
    once = positive / (positive.sum() + 1e-4)
    wanted, copies = (
        sum(w * x.double().numpy() for w, x in zip(by, maps)) for by in (once, once / (once.sum() + 1e-4))
    )
    ours = weighted_mean_torch(maps, torch.tensor(weights), "fast")
    theirs = weighted_mean_tensorflow(to_tensorflow(maps), tf.constant(weights), "fast")
    np.testing.assert_allclose(ours, wanted, atol=1e-6)
    np.testing.assert_allclose(to_numpy([theirs])[0], wanted, atol=1e-6)
    assert np.abs(copies - wanted).max() > 1e-5


def test_every_weight_counts_and_learns():
    """A softmax over one number, as in some copies, is always one: no weight would change anything."""
    there, here = randomised(*both("BiFPN", layers=2))
    levels = levels_of((20, 13))
    weights = level_weights(there)
    assert [w.numel() for w in weights.values()] == [2, 2, 3, 2] * 2
    gradients = torch.autograd.grad(sum(x.square().sum() for x in there(levels)), weights.values())
    assert all((g.abs() > 1e-3).all() for g in gradients)
    with tf.GradientTape() as tape:
        loss = sum(tf.reduce_sum(x**2) for x in here(to_tensorflow(levels)))
    variables = [node.level_weights for layer in here.layers for node in [*layer.down, *layer.up]]
    for a, b in zip(gradients, tape.gradient(loss, [v.value for v in variables]), strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("framework", ["torch", "tensorflow"])
def test_weights_follow_their_gradient(framework):
    """What is wanted is the second of three maps, and the mean comes to be that map."""
    maps = [x + number for number, x in enumerate(levels_of((8, 8), [4]) * 3)]
    maps = [x.roll(number, 3) for number, x in enumerate(maps)]
    if framework == "torch":
        weights = torch.ones(3, requires_grad=True)
        for _ in range(100):
            loss = (weighted_mean_torch(maps, weights, "fast") - maps[1]).square().mean()
            weights = (weights - 0.1 * torch.autograd.grad(loss, weights)[0]).detach().requires_grad_()
        weights = weights.detach().numpy()
    else:
        maps, weights = to_tensorflow(maps), tf.Variable(tf.ones(3))
        for _ in range(100):
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean((weighted_mean_tensorflow(maps, weights, "fast") - maps[1]) ** 2)
            weights.assign_sub(0.1 * tape.gradient(loss, weights))
        weights = weights.numpy()
    shares = np.maximum(weights, 0) / np.maximum(weights, 0).sum()
    assert shares[1] > 0.9


def test_a_weight_below_zero_stays_there():
    there, _ = both("BiFPN")
    weights = there.layers[0].up[0].level_weights
    with torch.no_grad():
        weights[1] = -0.1
    sum(x.square().sum() for x in there(levels_of((8, 8)))).backward()
    assert weights.grad[1] == 0 and weights.grad[0] != 0 and weights.grad[2] != 0
