"""Atrous convolutions at every rate, and torchvision's pyramid of them."""

import keras
import numpy as np
import peers
import pytest
import tensorflow as tf
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from measured import assert_agrees
from torch.nn import functional as F

from msvision import tensorflow as msv_tensorflow
from msvision import torch as msv_torch
from msvision.geometry import same_padding
from msvision.port import port

shapes = st.tuples(st.integers(1, 2), st.integers(1, 24), st.integers(1, 24), st.integers(1, 4))
rates = st.integers(1, 40)


def noise(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def nchw(x):
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(x, -1, 1)))


def nhwc(x):
    return x.detach().movedim(1, -1).numpy()


def pair(name, channels, **arguments):
    """The layer in both frameworks, with one set of parameters and statistics, none of them zero or one."""
    torch.manual_seed(0)
    ours = unlike_new(getattr(msv_torch, name)(channels, **arguments))
    theirs = getattr(msv_tensorflow, name)(**arguments)
    theirs.build((None, None, None, channels))
    port(ours, theirs)
    return ours.eval(), theirs


def unlike_new(module):
    for norm in module.modules():
        if isinstance(norm, torch.nn.BatchNorm2d):
            for tensor in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
                torch.nn.init.uniform_(tensor, 0.5, 1.5)
    return module


def torchvision_aspp(*arguments):
    peers.torchvision()
    from torchvision.models.segmentation.deeplabv3 import ASPP

    torch.manual_seed(1)
    return unlike_new(ASPP(*arguments)).eval()


# -- one convolution -------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:Using padding=.same. with even kernel")
@given(shape=shapes, rate=rates, kernel_size=st.integers(1, 5), bias=st.booleans())
@settings(max_examples=15)
def test_pytorch_s_dilated_convolution(shape, rate, kernel_size, bias):
    ours, theirs = pair("AtrousConvolution", shape[3], out_channels=3, kernel_size=kernel_size, rate=rate, bias=bias)
    x = noise(shape)
    before, after = same_padding(100, kernel_size, rate=rate)
    padded = F.pad(nchw(x), (before, after) * 2)
    wanted = nhwc(F.conv2d(padded, ours.weight, ours.bias, dilation=rate))
    against = "PyTorch's own dilated convolution"
    assert_agrees("AtrousConvolution", "PyTorch", against, nhwc(ours(nchw(x))), wanted)
    assert_agrees("AtrousConvolution", "TensorFlow", against, theirs(x).numpy(), wanted)


@pytest.mark.parametrize("out_channels", [256, 250])
def test_many_channels_are_made_in_parts(out_channels):
    ours, theirs = pair("AtrousConvolution", 1024, out_channels=out_channels, rate=2)
    x, upstream = noise((1, 9, 7, 1024)), noise((1, 9, 7, out_channels), seed=1)
    leaf = nchw(x).requires_grad_()
    whole = F.conv2d(leaf.double(), ours.weight.double(), ours.bias.double(), padding=2, dilation=2)
    wanted = torch.autograd.grad((whole * nchw(upstream)).sum(), [leaf, ours.weight, ours.bias])
    result = ours(leaf)
    found = torch.autograd.grad((result * nchw(upstream)).sum(), [leaf, ours.weight, ours.bias])
    picture = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(picture)
        total = tf.reduce_sum(theirs(picture) * upstream)
    there = tape.gradient(total, [picture, *theirs.trainable_variables])
    np.testing.assert_allclose(nhwc(result), nhwc(whole), atol=1e-5)
    np.testing.assert_allclose(theirs(x), nhwc(whole), atol=1e-5)
    axes = [(0, 2, 3, 1), (2, 3, 1, 0), (0,)]  # TensorFlow's, of the map, the kernel and the bias
    for here, other, exact, order in zip(found, there, wanted, axes):
        np.testing.assert_allclose(here, exact, atol=1e-4, rtol=1e-4)
        np.testing.assert_allclose(other, exact.permute(order), atol=1e-4, rtol=1e-4)


@given(shape=shapes, beyond=st.integers(0, 30))
@settings(max_examples=15)
def test_at_a_rate_beyond_the_map_only_the_middle_weight_is_left(shape, beyond):
    ours, theirs = pair("AtrousConvolution", shape[3], out_channels=2, rate=max(shape[1:3]) + beyond)
    x = noise(shape)
    wanted = x @ ours.weight[:, :, 1, 1].detach().numpy().T + ours.bias.detach().numpy()
    np.testing.assert_allclose(nhwc(ours(nchw(x))), wanted, atol=1e-5)
    np.testing.assert_allclose(theirs(x), wanted, atol=1e-5)


@given(shape=shapes, rate=rates, training=st.booleans())
@settings(max_examples=12)
def test_separable(shape, rate, training):
    ours, theirs = pair("AtrousSeparableConvolution", shape[3], out_channels=3, rate=rate)
    x = noise(shape)
    here, there = nhwc(ours.train(training)(nchw(x))), theirs(x, training=training)
    if shape[1] * shape[2] > 4 or not training:  # of few pixels, rounding is a part of the variance
        np.testing.assert_allclose(here, there, atol=2e-4 if training else 1e-5, rtol=1e-4)


def test_separable_weights_are_few():
    count = {
        name: sum(p.numel() for p in getattr(msv_torch, name)(256, 256).parameters() if p.ndim == 4)
        for name in ("AtrousConvolution", "AtrousSeparableConvolution")
    }
    ratio = count["AtrousSeparableConvolution"] / count["AtrousConvolution"]
    assert ratio == pytest.approx(1 / 9 + 1 / 256)


@pytest.mark.parametrize("name", ["AtrousConvolution", "AtrousSeparableConvolution", "ASPP"])
def test_other_channels_than_before(name):
    _, theirs = pair(name, 4, out_channels=2)
    with pytest.raises(ValueError, match="x must have 4 channels in layout NHWC, got 3"):
        theirs(noise((1, 5, 5, 3)))


def test_a_keras_convolution_is_configured_by_our_names():
    layer = msv_tensorflow.AtrousConvolution(4, 5, rate=2, bias=False, kernel_initializer="ones", name="wide")
    config = layer.get_config()
    assert {name: config[name] for name in ("out_channels", "kernel_size", "rate", "bias", "name")} == {
        "out_channels": 4, "kernel_size": 5, "rate": 2, "bias": False, "name": "wide"
    }  # fmt: skip
    again = msv_tensorflow.AtrousConvolution.from_config(config)
    assert again.get_config() == config and isinstance(again.kernel_initializer, keras.initializers.Ones)


# -- the pyramid of them ---------------------------------------------------------------------------------------------


@given(shape=shapes, rates=st.lists(rates, min_size=1, max_size=3), training=st.booleans())
@settings(max_examples=12)
def test_torchvision_s_pyramid(shape, rates, training):
    peer = torchvision_aspp(shape[3], rates, 5).train(training)
    peer.project[3].p = 0.0
    ours, theirs = pair("ASPP", shape[3], out_channels=5, rates=rates, dropout=0.0)
    ours.train(training).load_state_dict(peer.state_dict())
    port(peer.eval(), theirs)
    peer.train(training)
    x = noise((2, *shape[1:]))
    wanted = nhwc(peer(nchw(x)))
    here = nhwc(ours(nchw(x)))
    np.testing.assert_allclose(here, wanted, atol=1e-5)
    there = theirs(x, training=training)
    if not training:
        against = "torchvision 0.28.0 ASPP, parameters ported"
        assert_agrees("ASPP", "PyTorch", against, here, wanted)
        assert_agrees("ASPP", "TensorFlow", against, there.numpy(), wanted)
    if shape[1] * shape[2] > 4 or not training:  # of few pixels, rounding is a part of the variance
        np.testing.assert_allclose(there, wanted, atol=1e-3 if training else 1e-5, rtol=1e-4)
    port(theirs, peer)
    for name, value in ours.state_dict().items():
        if "running" in name:
            np.testing.assert_allclose(peer.state_dict()[name], value, atol=1e-4, rtol=1e-4)


def test_its_defaults_are_torchvision_s():
    peer, ours = torchvision_aspp(8, (6, 12, 18)), msv_torch.ASPP(8)
    assert {k: v.shape for k, v in ours.state_dict().items()} == {k: v.shape for k, v in peer.state_dict().items()}
    assert ours.project[3].p == peer.project[3].p == 0.5


def test_torchvision_raises_for_one_image_in_training():
    x = noise((1, 9, 9, 4))
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        torchvision_aspp(4, (6,), 3).train()(nchw(x))
    ours, theirs = pair("ASPP", 4, out_channels=3, rates=(6,), dropout=0.0)
    np.testing.assert_allclose(nhwc(ours.train()(nchw(x))), theirs(x, training=True), atol=1e-4)


def test_one_image_does_not_train_its_image_level_branch():
    x = nchw(noise((1, 9, 9, 4)))
    ours = pair("ASPP", 4, out_channels=3, rates=(6,), dropout=0.0)[0].train()
    ours(x).square().sum().backward()
    largest = [max(float(p.grad.abs().max()) for p in conv.parameters()) for conv in ours.convs]
    assert largest[-1] < 1e-4 < 1e-2 < min(largest[:-1])


@pytest.mark.parametrize("training", [False, True])
def test_dropout_is_of_training_only(training):
    ours, theirs = pair("ASPP", 4, out_channels=64, dropout=0.75)
    x = noise((2, 9, 9, 4))
    dropped = (nhwc(ours.train(training)(nchw(x))) == 0).mean(), np.mean(theirs(x, training=training) == 0)
    kept = pair("ASPP", 4, out_channels=64, dropout=0.0)[0].train(training)
    zero = (nhwc(kept(nchw(x))) == 0).mean()
    wanted = 0.75 + 0.25 * zero if training else zero
    np.testing.assert_allclose(dropped, wanted, atol=0.03)


@pytest.mark.parametrize("separable", [False, True])
def test_gradients_in_training(separable):
    ours, theirs = pair("ASPP", 4, out_channels=3, rates=(2, 30), separable=separable, dropout=0.0)
    x = noise((2, 13, 10, 4))
    here = nchw(x).requires_grad_()
    (ours.train()(here) ** 2).sum().backward()
    with tf.GradientTape() as tape:
        tape.watch(there := tf.constant(x))
        loss = tf.reduce_sum(theirs(there, training=True) ** 2)
    np.testing.assert_allclose(tape.gradient(loss, there), nhwc(here.grad), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("size", [(9, 12), (5, 5), (1, 3)], ids=str)
@pytest.mark.parametrize(("rate", "kernel_size"), [(2, 3), (10, 3), (3, 5)])
def test_gradient_in_tensorflow_is_that_of_keras(rate, kernel_size, size):
    """The convolution is left whole, and its gradient written out: in a graph of any size, and twice."""
    ours = msv_tensorflow.AtrousConvolution(4, kernel_size, rate=rate)
    theirs = keras.layers.Conv2D(4, kernel_size, dilation_rate=rate, padding="same")
    x = tf.random.stateless_normal((2, *size, 5), seed=(0, 0))
    ours(x), theirs(x)
    theirs.set_weights(ours.get_weights())

    def twice(layer, x):
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as inner:
                inner.watch(x)
                result = layer(x)
                goal = tf.reduce_sum(result**3)
            first = inner.gradient(goal, [x, layer.kernel.value])
            goal = sum(tf.reduce_sum(gradient**2) for gradient in first)
        return [result, *first, outer.gradient(goal, x)]

    graph = tf.function(lambda x: twice(ours, x), input_signature=[tf.TensorSpec((None, None, None, 5))])
    for eager, traced, wanted in zip(twice(ours, x), graph(x), twice(theirs, x)):
        scale = float(tf.reduce_max(tf.abs(wanted)))
        np.testing.assert_allclose(eager / scale, wanted / scale, atol=1e-5)
        np.testing.assert_allclose(traced / scale, wanted / scale, atol=1e-5)
