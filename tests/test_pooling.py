"""Pooling over grids of bins: what holds for every size, and the peers that stop or die."""

import os
import platform
import signal
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from measured import record
from torch.nn import functional as F

from msvision import tensorflow as msv_tensorflow
from msvision import torch as msv_torch
from msvision.port import port
from msvision.tensorflow.pooling import ContextConvolution as ContextConvolutionTF
from msvision.torch.pooling import ContextConvolution

shapes = st.tuples(st.integers(1, 2), st.integers(1, 30), st.integers(1, 30), st.integers(1, 5))
grids = st.lists(st.integers(1, 8), min_size=1, max_size=3).map(tuple)
modes = st.sampled_from(["max", "average"])


def noise(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def nchw(x):
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(x, -1, 1)))


def spatial_pyramid_pooling(x, **arguments):
    """In both frameworks."""
    theirs = msv_tensorflow.SpatialPyramidPooling(**arguments)(x).numpy()
    return msv_torch.SpatialPyramidPooling(**arguments)(nchw(x)).numpy(), theirs


def pyramid_pooling(channels, seed=0, **arguments):
    """In both frameworks, with one set of parameters and statistics, none of them zero or one."""
    torch.manual_seed(seed)
    ours, theirs = msv_torch.PyramidPooling(channels, **arguments), msv_tensorflow.PyramidPooling(**arguments)
    for norm in ours.norms:
        for tensor in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
            torch.nn.init.uniform_(tensor, 0.5, 1.5)
    theirs.build((None, None, None, channels))
    port(ours, theirs)
    return ours, theirs


# -- vectors of fixed length -----------------------------------------------------------------------------------------


@given(shape=shapes, bins=grids, mode=modes)
def test_pytorch_s_adaptive_pooling(shape, bins, mode):
    x = noise(shape)
    pool = F.adaptive_max_pool2d if mode == "max" else F.adaptive_avg_pool2d
    wanted = torch.cat([pool(nchw(x), b).flatten(1) for b in bins], dim=1).numpy()
    vectors = spatial_pyramid_pooling(x, bins=bins, mode=mode)
    for vector, framework in zip(vectors, ("PyTorch", "TensorFlow")):
        assert vector.shape == (shape[0], shape[3] * sum(b * b for b in bins))
        np.testing.assert_allclose(vector, wanted, atol=0 if mode == "max" else 1e-6)
        record("SpatialPyramidPooling", framework, f"PyTorch's adaptive pooling, {mode}", vector, wanted)


@given(shape=shapes, scale=st.integers(1, 4))
def test_an_image_enlarged_by_a_whole_number_has_the_same_vector(shape, scale):
    x = noise((shape[0], 4 * shape[1], 8, shape[3]))
    large = x.repeat(scale, axis=1).repeat(scale, axis=2)
    for small, enlarged in zip(spatial_pyramid_pooling(x), spatial_pyramid_pooling(large)):
        np.testing.assert_array_equal(small, enlarged)


@given(shape=shapes)
def test_one_maximum_of_several_gets_the_gradient(shape):
    x = np.round(noise(shape))  # many are equal
    ours = nchw(x).requires_grad_()
    msv_torch.SpatialPyramidPooling()(ours).sum().backward()
    with tf.GradientTape() as tape:
        tape.watch(theirs := tf.constant(x))
        total = tf.reduce_sum(msv_tensorflow.SpatialPyramidPooling()(theirs))
    np.testing.assert_array_equal(tape.gradient(total, theirs), ours.grad.movedim(1, -1))


def test_weights_after_it_fit_both():
    x = noise((2, 11, 7, 3))
    ours = torch.nn.Linear(63, 5)
    theirs = keras.layers.Dense(5)
    theirs.build((None, 63))
    port(ours, theirs)
    there = theirs(msv_tensorflow.SpatialPyramidPooling()(x))
    here = ours(msv_torch.SpatialPyramidPooling()(nchw(x)))
    np.testing.assert_allclose(here.detach(), there, atol=1e-5)


def test_a_missing_number_stays_missing():
    x = noise((1, 8, 8, 1))
    x[0, 0, 0] = np.nan
    for mode in ("max", "average"):
        for vector in spatial_pyramid_pooling(x, bins=(2,), mode=mode):
            assert np.isnan(vector[0]).tolist() == [True, False, False, False]


# -- the context of every pixel --------------------------------------------------------------------------------------


@given(shape=shapes, bins=grids, training=st.booleans())
@settings(max_examples=15)
def test_both_frameworks_agree_in_training_too(shape, bins, training):
    ours, theirs = pyramid_pooling(shape[3], bins=bins)
    x = noise(shape)
    here, there = ours.train(training)(nchw(x)).detach().movedim(1, -1), theirs(x, training=training)
    if all(n > 1 for n in shape[1:3]) or not training:  # copies of few pixels: rounding is a part of their variance
        np.testing.assert_allclose(here, there, atol=2e-4 if training else 1e-5, rtol=1e-4)
    for norm, norm_there in zip(ours.norms, theirs.norms):
        np.testing.assert_allclose(norm.running_mean, norm_there.moving_mean, atol=1e-5)
        np.testing.assert_allclose(norm.running_var, norm_there.moving_variance, atol=1e-5)


@given(shape=shapes, bins=grids, kernel_size=st.sampled_from([1, 3, 5]), training=st.booleans())
@settings(max_examples=20)
def test_a_convolution_on_the_grids_is_one_on_the_map(shape, bins, kernel_size, training):
    ours, theirs = pyramid_pooling(shape[3], bins=bins)
    torch.manual_seed(1)
    conv = ContextConvolution(ours.out_channels, 4, kernel_size).double()
    x = noise(shape)
    ours, here = ours.double().train(training), nchw(x).double().requires_grad_()
    fast, wanted = conv(here, ours.grids(here)), conv(ours(here))
    np.testing.assert_allclose(fast.detach(), wanted.detach(), atol=1e-10)
    grads = [torch.autograd.grad(y.square().sum(), [here, conv.weight, *ours.parameters()]) for y in (fast, wanted)]
    for ours_grad, grad in zip(*grads):
        np.testing.assert_allclose(ours_grad, grad, rtol=1e-6, atol=1e-8 * float(grad.abs().max() + 1))
    layer = ContextConvolutionTF(4, kernel_size)
    layer.build((None, None, None, theirs.out_channels))
    port(conv.float(), layer)
    there, slow = layer(x, theirs.grids(x, training)), layer(theirs(x, training=training))
    np.testing.assert_allclose(there, slow, atol=1e-4 if training else 1e-5, rtol=1e-4)


def test_the_map_itself_comes_first_and_constants_stay():
    x = np.full((1, 9, 14, 8), 0.3, "float32")
    for y in (pyramid_pooling(8)[0].eval()(nchw(x)).detach().movedim(1, -1).numpy(), pyramid_pooling(8)[1](x).numpy()):
        np.testing.assert_array_equal(y[..., :8], x)
        assert y.shape == (1, 9, 14, 16) and np.ptp(y, axis=(1, 2)).max() < 1e-6


@pytest.mark.parametrize("size", [(1, 1), (6, 6)], ids=str)
def test_one_image_is_normalised_with_the_running_statistics(size):
    ours, theirs = pyramid_pooling(4, bins=(1,))
    x = noise((1, *size, 4))
    before = ours.norms[0].running_mean.clone()
    np.testing.assert_array_equal(ours.train()(nchw(x)).detach(), ours.eval()(nchw(x)).detach())
    np.testing.assert_allclose(theirs(x, training=True), theirs(x, training=False), atol=1e-6)
    np.testing.assert_array_equal(ours.norms[0].running_mean, before)
    np.testing.assert_allclose(theirs.norms[0].moving_mean, before, rtol=1e-6)


# -- peers -----------------------------------------------------------------------------------------------------------


def ended(pool, onednn):
    """How a process ends that pools a map in TensorFlow, with or without its oneDNN kernels (with them by default)."""
    code = f"import keras, numpy; from msvision import tensorflow as msv; {pool}(numpy.ones((1, 8, 8, 1), 'float32'))"
    environment = {**os.environ, "TF_ENABLE_ONEDNN_OPTS": onednn}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=120, env=environment).returncode


@pytest.mark.skipif(platform.machine() != "x86_64", reason="oneDNN is what TensorFlow uses on these processors")
def test_keras_adaptive_max_pooling_to_one_bin_ends_the_process():
    assert ended("keras.layers.AdaptiveMaxPooling2D(1)", onednn="1") == -signal.SIGFPE
    assert ended("keras.layers.AdaptiveMaxPooling2D(1)", onednn="0") == 0
    assert ended("msv.SpatialPyramidPooling((1,))", onednn="1") == 0


def test_keras_adaptive_pooling_needs_to_know_the_size():
    signature = [tf.TensorSpec((None, None, None, 3))]
    with pytest.raises(ValueError, match="statically known"):
        tf.function(keras.layers.AdaptiveAveragePooling2D(2), signature).get_concrete_function()
    ours = tf.function(msv_tensorflow.SpatialPyramidPooling((2,)), signature)
    assert ours(noise((1, 9, 7, 3))).shape == ours(noise((1, 1, 4, 3))).shape == (1, 12)


def test_keras_normalisation_erases_a_single_value():
    x = noise((1, 1, 1, 4))
    assert not np.any(keras.layers.BatchNormalization()(x, training=True))
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        torch.nn.BatchNorm2d(4)(nchw(x))


def test_the_paper_s_windows_are_too_many():
    size, bins = 11, 4
    window, step = -(-size // bins), size // bins
    assert (size - window) // step + 1 == 5
    assert spatial_pyramid_pooling(noise((1, size, size, 1)), bins=(bins,))[0].shape == (1, 16)
