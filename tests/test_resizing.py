"""The learnable resizer: its count of parameters, any size, and how the frameworks' own resizing differs."""

import numpy as np
import pytest
import tensorflow as tf
import torch
from hypothesis import given
from hypothesis import strategies as st
from references_resizing import resize

from msvision import tensorflow as msv_tensorflow
from msvision import torch as msv_torch
from msvision.tensorflow import resizing as in_tensorflow
from msvision.torch import resizing as in_torch

SIDES = st.integers(1, 40)
KINDS = [("nearest", False), ("bilinear", False), ("bilinear", True), ("bicubic", False), ("bicubic", True)]


def by_hand(channels, filters, blocks):
    norm, conv3 = 4 * filters, 9 * filters * filters
    before = (49 * channels * filters + filters) + (filters * filters + filters) + norm
    return before + blocks * 2 * (conv3 + norm) + (conv3 + norm) + (49 * filters * channels + channels)


@pytest.mark.parametrize("channels, filters, blocks", [(3, 16, 1), (1, 16, 1), (3, 8, 2), (5, 24, 3)])
def test_parameters(channels, filters, blocks):
    ours = msv_torch.LearnableResizer(channels, 8, filters, blocks)
    theirs = msv_tensorflow.LearnableResizer(8, filters, blocks)
    theirs.build((None, None, None, channels))
    counted = sum(t.numel() for name, t in ours.state_dict().items() if "num_batches" not in name)
    assert counted == theirs.count_params() == by_hand(channels, filters, blocks)


def test_parameters_of_the_keras_example():
    assert by_hand(3, 16, 1) == 7_051_717 - 7_039_554 == 12_163  # its two models: with the resizer and without


@given(st.sampled_from(KINDS), SIDES, SIDES, SIDES, SIDES)
def test_resizing_agrees(kind, height, width, out_height, out_width):
    x = np.random.default_rng(0).random((2, height, width, 3), dtype="float32")
    wanted = resize(x, (out_height, out_width), *kind)
    ours = in_torch._resize(torch.from_numpy(x).permute(0, 3, 1, 2), (out_height, out_width), *kind)
    theirs = in_tensorflow._resize(tf.constant(x), (out_height, out_width), *kind)
    np.testing.assert_allclose(ours.permute(0, 2, 3, 1), wanted, atol=1e-5)
    np.testing.assert_allclose(theirs, wanted, atol=1e-5)


def test_pytorch_own_bicubic_is_another():
    x = torch.rand(1, 3, 37, 53, generator=torch.Generator().manual_seed(0))
    own = torch.nn.functional.interpolate(x, (20, 31), mode="bicubic")
    of_tensorflow = tf.image.resize(x.permute(0, 2, 3, 1).numpy(), (20, 31), "bicubic").numpy()
    ours = in_torch._resize(x, (20, 31), "bicubic", False).permute(0, 2, 3, 1).numpy()
    assert np.abs(own.permute(0, 2, 3, 1).numpy() - of_tensorflow).max() > 0.05
    assert np.abs(ours - of_tensorflow).max() < 2e-3  # TensorFlow reads its weights from a table of 1024 positions


def test_nothing_learned_yet_is_plain_resizing():
    resizer = msv_torch.LearnableResizer(3, (10, 20)).eval()
    torch.nn.init.zeros_(resizer.conv4.weight), torch.nn.init.zeros_(resizer.conv4.bias)
    x = torch.rand(1, 3, 33, 21)
    assert torch.equal(resizer(x), torch.nn.functional.interpolate(x, (10, 20), mode="bilinear"))
    assert resizer(x).shape[2:] == resizer(x[:, :, :5, :4]).shape[2:] == (10, 20)


@pytest.mark.parametrize("msv", [msv_torch, msv_tensorflow], ids=["torch", "tensorflow"])
def test_other_channels_are_refused(msv):
    if msv is msv_torch:
        layer, wrong = msv.LearnableResizer(3, 8), torch.rand(1, 4, 9, 9)
    else:
        layer, wrong = msv.LearnableResizer(8), tf.random.uniform((1, 9, 9, 4))
        layer(wrong[..., :3])
    with pytest.raises(ValueError, match=r"x must have 3 channels in layout N.*, got 4"):
        layer(wrong)
