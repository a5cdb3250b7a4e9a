"""Fusion: what holds whatever the levels, and what other libraries make of it."""

import numpy as np
import pytest
import tensorflow as tf
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_fpn import CHANNELS, levels_of, sizes, to_numpy, to_tensorflow

from msvision import geometry
from msvision import tensorflow as msv_tensorflow
from msvision import torch as msv_torch
from msvision.port import port

lists_of_sizes = st.lists(st.tuples(sizes, sizes), min_size=1, max_size=4)
interpolations = st.sampled_from(["nearest", "bilinear"])


def both(name, channels=CHANNELS, **arguments):
    there, here = getattr(msv_torch, name)(channels, 4, **arguments), getattr(msv_tensorflow, name)(4, **arguments)
    here.build([(None, None, None, c) for c in channels])
    port(there, here)
    return there.eval(), here


# -- alignment -------------------------------------------------------------------------------------------------------


@given(sizes=lists_of_sizes, size=st.tuples(sizes, sizes), interpolation=interpolations)
def test_both_frameworks_align_alike(sizes, size, interpolation):
    levels = [torch.rand(1, 2, *n) for n in sizes]
    there = msv_torch.align_levels(levels, size, interpolation)
    here = msv_tensorflow.align_levels(to_tensorflow(levels), size, interpolation)
    for level, a, b in zip(levels, there, to_numpy(here)):
        assert tuple(a.shape) == (1, 2, *size)
        np.testing.assert_allclose(b, a.numpy(), atol=1e-5)
        assert level.min() - 1e-6 <= a.min() and a.max() <= level.max() + 1e-6


@given(size=st.tuples(sizes, sizes), coarser=st.tuples(sizes, sizes))
def test_shrinking_is_adaptive_average_pooling(size, coarser):
    coarser = tuple(min(pair) for pair in zip(size, coarser))
    x = torch.rand(1, 2, *size)
    wanted = torch.nn.functional.adaptive_avg_pool2d(x, coarser)
    (here,) = msv_tensorflow.align_levels(to_tensorflow([x]), coarser)
    np.testing.assert_allclose(to_numpy([here])[0], wanted.numpy(), atol=1e-6)


def test_shrinking_does_not_alias():
    stripes = (torch.arange(64) % 2).float().expand(1, 1, 64, 64)
    (aligned,) = msv_torch.align_levels([stripes], (16, 16))
    (plain,) = (torch.nn.functional.interpolate(stripes, (16, 16)),)
    assert (aligned == 0.5).all() and (plain == 0).all()


@given(size=sizes, out_size=sizes)
def test_matrices_are_those_of_the_bins(size, out_size):
    matrix = geometry.averaging_matrix(size, out_size)
    edges = [(np.flatnonzero(row)[0], np.flatnonzero(row)[-1] + 1) for row in matrix]
    assert edges == geometry.adaptive_bin_edges(size, out_size)
    np.testing.assert_allclose(geometry.alignment_matrix(size, out_size).sum(1), 1)


# -- fusion ----------------------------------------------------------------------------------------------------------


def test_concatenation_and_a_convolution_is_a_sum_of_convolutions():
    concat, add = msv_torch.ConcatFusion(CHANNELS, 4), msv_torch.SumFusion(CHANNELS, 4)
    with torch.no_grad():
        for lateral, part in zip(add.laterals, concat.projection.weight.split(CHANNELS, 1)):
            lateral.weight.copy_(part)
    levels = levels_of((33, 21))
    torch.testing.assert_close(concat(levels), add(levels), atol=1e-5, rtol=0)


@pytest.mark.parametrize("normalisation", ["softmax", "fast"])
def test_weights_are_normalised_once(normalisation):
    """Copies of BiFPN normalise twice, or not at all; equal weights must give the mean, and large ones change nothing."""
    there, here = both("WeightedFusion", normalisation=normalisation)
    levels = levels_of((20, 13))
    add, _ = both("SumFusion")
    add.load_state_dict({name: value for name, value in there.state_dict().items() if name != "level_weights"})
    for value in (1.0, 7.0):
        torch.nn.init.constant_(there.level_weights, value)
        port(there, here)
        torch.testing.assert_close(there(levels), add(levels) / 3, atol=2e-4, rtol=0)
        np.testing.assert_allclose(
            to_numpy([here(to_tensorflow(levels))])[0], there(levels).detach().numpy(), atol=1e-5
        )


def test_a_negative_weight_counts_for_nothing_in_fast_fusion():
    fusion = msv_torch.WeightedFusion(CHANNELS, 4, "fast")
    with torch.no_grad():
        fusion.level_weights.copy_(torch.tensor([2.0, -3.0, 0.0]))
    first, *others = levels_of((20, 13))
    torch.testing.assert_close(fusion([first, *others]), fusion([first, *(9 * level for level in others)]))


@pytest.mark.parametrize("normalisation", ["softmax", "fast"])
def test_no_weight_at_all(normalisation):
    fusion = msv_torch.WeightedFusion(CHANNELS, 4, normalisation)
    torch.nn.init.zeros_(fusion.level_weights)
    assert torch.isfinite(fusion(levels_of((5, 8)))).all()


def test_selective_attention_is_a_mean_over_levels():
    """The same map at every level comes out as it went in: the weights of each channel sum to one."""
    there, _ = both("ChannelAttentionFusion", [4, 4], kind="selective")
    with torch.no_grad():
        there.laterals[1].load_state_dict(there.laterals[0].state_dict())
    x = torch.randn(2, 4, 9, 7)
    torch.testing.assert_close(there([x, x]), there.laterals[0](x), atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", ["squeeze-excitation", "selective"])
@pytest.mark.parametrize("batch", [1, 2])
def test_attention_trains_alike(kind, batch):
    there, here = both("ChannelAttentionFusion", kind=kind)
    levels = levels_of((20, 13), batch=batch)
    for _ in range(2):  # the second time with the statistics of the first
        wanted = there.train()(levels).detach().numpy()
        np.testing.assert_allclose(to_numpy([here(to_tensorflow(levels), training=True)])[0], wanted, atol=1e-4)
    if kind == "selective":
        np.testing.assert_allclose(here.norm.moving_variance.numpy(), there.norm.running_var.numpy(), atol=1e-5)
        assert bool((there.norm.running_mean == 0).all()) == (batch == 1)


NAMES = ["ChannelAttentionFusion", "ConcatFusion", "SumFusion", "WeightedFusion"]


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=10)
@given(size=st.tuples(sizes, sizes), count=st.integers(1, 4), interpolation=interpolations)
def test_any_size_and_number_of_levels(name, size, count, interpolation):
    channels = [2, 3, 4, 5][:count]
    there, here = both(name, channels, interpolation=interpolation)
    levels = levels_of(size, channels)
    wanted = there(levels).detach().numpy()
    assert wanted.shape == (2, 4, *size)
    np.testing.assert_allclose(to_numpy([here(to_tensorflow(levels))])[0], wanted, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_xla_gives_the_same_where_tensorflow_s_own_resizing_may_not(name):
    """tf.image.resize under XLA was off by 0.96 from 33 to 65 pixels in TensorFlow 2.21, where sizes are not constants."""
    _, here = both(name)
    levels = to_tensorflow(levels_of((65, 47)))
    signature = [[tf.TensorSpec((None, None, None, c)) for c in CHANNELS]]
    compiled = tf.function(lambda levels: here(levels), input_signature=signature, jit_compile=True)
    np.testing.assert_allclose(compiled(levels), here(levels), atol=1e-4)
