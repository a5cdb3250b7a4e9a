"""Attention within and across levels: what holds whatever the levels, PyTorch's own attention, and the memory it takes."""

import numpy as np
import pytest
import references_attention
import tensorflow as tf
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from measured import assert_agrees
from test_bifpn import randomised
from test_fpn import CHANNELS, levels_of, sizes, to_numpy, to_tensorflow
from test_fusion import both
from torch.nn.attention import SDPBackend, sdpa_kernel

from msvision import tensorflow as msv_tensorflow
from msvision import torch as msv_torch

small = st.integers(1, 24)


def results(there, here, levels):
    """Of both frameworks, as NumPy arrays (N, C, H, W)."""
    with torch.no_grad():
        return [x.numpy() for x in there(levels)], to_numpy(here(to_tensorflow(levels)))


# -- values ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(1, 1), (5, 8), (65, 47)], ids=str)
@pytest.mark.parametrize("count, heads, keys", [(2, 1, 3), (3, 2, 8), (4, 4, 1)])
def test_the_formula(size, count, heads, keys):
    channels = [3, 4, 5, 6][:count]
    there, here = randomised(*both("CrossLevelAttention", channels, heads=heads, keys=keys))
    levels = levels_of(size, channels)
    weights = {name: value.double().numpy() for name, value in there.state_dict().items()}
    maps = [np.moveaxis(x.double().numpy(), 1, -1) for x in levels]
    wanted = references_attention.cross_level_attention(maps, weights, heads, keys)
    wanted = [np.moveaxis(x, -1, 1) for x in wanted]
    for framework, actual in zip(("PyTorch", "TensorFlow"), results(there, here, levels)):
        assert_agrees("CrossLevelAttention", framework, "the formula in NumPy", actual, wanted)


def test_equal_to_pytorch_s_attention_where_nothing_is_averaged():
    """With a cell for each pixel. Whatever bias PyTorch's keys have, it changes nothing."""
    there, here = randomised(*both("CrossLevelAttention", heads=2, keys=20))
    levels = levels_of((20, 13))

    def peer(step):
        attention = torch.nn.MultiheadAttention(4, 2, batch_first=True)
        with torch.no_grad():
            attention.in_proj_weight.copy_(torch.cat([step.q.weight, step.k.weight, step.v.weight]))
            attention.in_proj_bias.copy_(torch.cat([step.q.bias, torch.randn(4), step.v.bias]))
        attention.out_proj.load_state_dict(step.out.state_dict())
        return attention

    def added(step, levels, sources):
        maps = [step.norm(x.flatten(2).mT) for x in levels]
        answers = []
        for x, chosen in zip(maps, sources):
            given = torch.cat([maps[number] for number in chosen], 1)
            answers.append(peer(step)(x, given, given, need_weights=False)[0])
        return [x + answer.mT.reshape(x.shape) for x, answer in zip(levels, answers)]

    with torch.no_grad():
        wanted = [conv(level) for conv, level in zip(there.laterals, levels)]
        wanted = added(there.within, wanted, [[0], [1], [2]])
        wanted = [x.numpy() for x in added(there.across, wanted, [[1, 2], [0, 2], [0, 1]])]
    against = f"nn.MultiheadAttention of PyTorch {torch.__version__.partition('+')[0]}, a key for each pixel"
    for framework, actual in zip(("PyTorch", "TensorFlow"), results(there, here, levels)):
        assert_agrees("CrossLevelAttention", framework, against, actual, wanted)


@settings(max_examples=10)
@given(sizes=st.lists(st.tuples(sizes, sizes), min_size=2, max_size=4), heads=st.sampled_from([1, 2, 4]), keys=small)
def test_any_sizes_and_number_of_levels(sizes, heads, keys):
    channels = [2, 3, 4, 5][: len(sizes)]
    there, here = both("CrossLevelAttention", channels, heads=heads, keys=keys)
    torch.manual_seed(0)
    levels = [torch.randn(1, c, *size) for c, size in zip(channels, sizes)]
    ours, theirs = results(there, here, levels)
    assert [x.shape for x in ours] == [(1, 4, *size) for size in sizes]
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(b, a, atol=1e-5)


@settings(max_examples=15)
@given(size=st.tuples(small, small), keys=small, axes=st.sampled_from([(2,), (3,), (2, 3)]))
def test_mirrored_levels_give_mirrored_results(size, keys, axes):
    attention = msv_torch.CrossLevelAttention(CHANNELS, 8, keys=keys)
    levels = levels_of(size)
    mirrored = attention([level.flip(axes) for level in levels])
    for a, b in zip(mirrored, attention(levels), strict=True):
        torch.testing.assert_close(a.flip(axes), b, atol=1e-5, rtol=0)


def test_who_asks_whom():
    """A pixel sees its own level in one step, and only all others in the other."""
    network = msv_torch.CrossLevelAttention(CHANNELS, 4, heads=2)
    levels = [level.requires_grad_() for level in levels_of((8, 8), [4, 4, 4])]
    one_pixel = torch.zeros(8, 8, dtype=torch.bool)
    one_pixel[3, 5] = True

    def seen(step):
        gradients = torch.autograd.grad(step(levels)[0][:, :, 3, 5].square().sum(), levels, allow_unused=True)
        return [torch.zeros(1, 1) if g is None else g.abs().sum((0, 1)) > 0 for g in gradients]

    own, *others = seen(network.within)
    assert own.all() and not any(other.any() for other in others)
    own, *others = seen(network.across)
    assert torch.equal(own, one_pixel) and all(other.all() for other in others)


def test_a_step_is_a_weighted_mean_of_values():
    """Weights are positive and sum to one: where all values are alike, no score matters."""
    step = msv_torch.CrossLevelAttention(CHANNELS, 4).across
    x, constant = torch.randn(2, 4, 6, 5), torch.randn(4, 1, 1)
    _, asked = step([constant.expand(2, 4, 9, 7), x])
    value = step.out(step.v(step.norm(constant[:, 0, 0])))
    torch.testing.assert_close(asked - x, value[:, None, None].expand_as(x), atol=1e-5, rtol=0)


# -- parameters ------------------------------------------------------------------------------------------------------


def test_every_parameter_learns():
    there, here = randomised(*both("CrossLevelAttention", heads=2))
    levels = levels_of((20, 13))
    sum(x.square().sum() for x in there(levels)).backward()
    assert {name for name, p in there.named_parameters() if p.grad.abs().max() < 1e-3} == set()
    with tf.GradientTape() as tape:
        loss = sum(tf.reduce_sum(x**2) for x in here(to_tensorflow(levels)))
    gradients = tape.gradient(loss, [variable.value for variable in here.trainable_variables])
    assert len(gradients) == len(list(there.parameters()))
    assert all(np.abs(g).max() > 1e-3 for g in gradients)


def test_both_start_alike():
    there, here = msv_torch.CrossLevelAttention(CHANNELS, 64), msv_tensorflow.CrossLevelAttention(64)
    here.build([(None, None, None, c) for c in CHANNELS])
    bound = np.sqrt(3 / 64)
    for name in ("q", "k", "v", "out"):
        ours, theirs = getattr(there.within, name), getattr(here.within, name)
        for matrix in (ours.weight.detach().numpy(), theirs.kernel.numpy()):
            assert 0.99 * bound < np.abs(matrix).max() <= bound * 1.0001
        assert (name == "k") == (ours.bias is None) == (theirs.bias is None)
        assert name == "k" or not (ours.bias.any() or theirs.bias.numpy().any())


# -- memory ----------------------------------------------------------------------------------------------------------


def kept_by_pytorch(size, keys):
    """Numbers that PyTorch keeps for the gradients, where attention is written out."""
    total = 0

    def count(tensor):
        nonlocal total
        total += tensor.numel()
        return tensor

    network = msv_torch.CrossLevelAttention([2, 2], 4, heads=2, keys=keys)
    levels = levels_of((size, size), [2, 2], batch=1)
    with sdpa_kernel(SDPBackend.MATH), torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
        network(levels)
    return total


def largest_in_tensorflow(size, keys):
    """Numbers in the largest tensor of the graph."""
    network = msv_tensorflow.CrossLevelAttention(4, heads=2, keys=keys)
    network([tf.zeros((1, 2, 2, 2))] * 2)
    signature = [tf.TensorSpec((1, n, n, 2)) for n in (size, size // 2)]
    graph = tf.function(lambda *levels: network(list(levels))).get_concrete_function(*signature).graph
    tensors = [output for operation in graph.get_operations() for output in operation.outputs]
    return max(tensor.shape.num_elements() or 0 for tensor in tensors)


@pytest.mark.parametrize("numbers", [kept_by_pytorch, largest_in_tensorflow])
def test_memory_grows_with_the_pixels(numbers):
    """Four times the pixels, four times the numbers; with a key for each pixel it would be sixteen times."""
    assert numbers(128, keys=4) / numbers(64, keys=4) == pytest.approx(4, rel=0.05)
    assert numbers(32, keys=32) / numbers(16, keys=32) > 12
