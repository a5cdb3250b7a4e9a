"""What a pyramid is, whatever the image: properties, and the peers that have them or do not."""

import cv2
import kornia
import numpy as np
import pytest
import skimage.transform
import tensorflow as tf
import torch
from hypothesis import given
from hypothesis import strategies as st
from measured import assert_agrees

from msvision import tensorflow as msv_tensorflow
from msvision import torch as msv_torch
from msvision.geometry import level_shapes, max_levels, scaled_size


class Torch:
    """The PyTorch operators on NumPy images (N, H, W, C)."""

    def __getattr__(self, name):
        return lambda *inputs, **arguments: self.back(getattr(msv_torch, name)(*map(self.there, inputs), **arguments))

    def there(self, x):
        if isinstance(x, list):
            return [self.there(item) for item in x]
        return torch.from_numpy(x).movedim(-1, 1) if isinstance(x, np.ndarray) else x

    def back(self, x):
        return [self.back(item) for item in x] if isinstance(x, list) else x.movedim(1, -1).numpy()


class TensorFlow:
    """The TensorFlow operators on NumPy images."""

    def __getattr__(self, name):
        return lambda *inputs, **arguments: self.back(getattr(msv_tensorflow, name)(*inputs, **arguments))

    def back(self, x):
        return [self.back(item) for item in x] if isinstance(x, list) else x.numpy()


both = pytest.mark.parametrize("msv", [Torch(), TensorFlow()], ids=["torch", "tensorflow"])
shapes = st.tuples(st.integers(1, 2), st.integers(1, 40), st.integers(1, 40), st.integers(1, 6))
factors = st.sampled_from([0.5, 0.7, 2 ** (-1 / 3), 0.9])


def noise(shape, seed=0, dtype="float32"):
    return np.random.default_rng(seed).random(shape).astype(dtype)


def some_levels(shape, scale_factor=0.5, most=5):
    return min(most, max_levels(shape[1:3], scale_factor))


def close(a, b, atol=1e-6):
    np.testing.assert_allclose(a, b, atol=atol, rtol=0)


# -- properties ------------------------------------------------------------------------------------------------------


@both
@given(shape=shapes, scale_factor=factors)
def test_the_laplacian_pyramid_can_be_inverted(msv, shape, scale_factor):
    x, levels = noise(shape), some_levels(shape, scale_factor)
    pyramid = msv.laplacian_pyramid(x, levels=levels, scale_factor=scale_factor)
    assert [level.shape[1:3] for level in pyramid] == level_shapes(shape[1:3], levels, scale_factor)
    close(msv.reconstruct(pyramid, scale_factor=scale_factor), x)


@both
@given(shape=shapes, scale_factor=factors)
def test_linear(msv, shape, scale_factor):
    a, b = noise(shape, 1, "float64"), noise(shape, 2, "float64")
    levels, together = some_levels(shape, scale_factor), 2.5 * a - 0.5 * b
    arguments = {"levels": levels, "scale_factor": scale_factor}
    pyramids = [msv.laplacian_pyramid(x, **arguments) for x in (together, a, b)]
    for level, level_a, level_b in zip(*pyramids):
        close(level, 2.5 * level_a - 0.5 * level_b, 1e-12)


@both
@given(shape=shapes, scale_factor=factors)
def test_constants_stay(msv, shape, scale_factor):
    flat = np.full(shape, 0.7, "float32")
    down = msv.downsample(flat, scale_factor=scale_factor)
    close(down, np.full_like(down, 0.7))
    up = msv.upsample(flat, scale_factor=1 / scale_factor)
    close(up, np.full_like(up, 0.7))


@both
@given(shape=shapes, scale_factor=factors)
def test_downsampling_is_an_average(msv, shape, scale_factor):
    x = noise(shape)
    down = msv.downsample(x, scale_factor=scale_factor)
    assert down.shape[1:3] == tuple(scaled_size(n, scale_factor) for n in shape[1:3])
    assert down.min() >= x.min() - 1e-6 and down.max() <= x.max() + 1e-6


@both
@given(shape=shapes)
def test_down_and_up_are_opencv_s(msv, shape):
    x = noise(shape)
    coarse = msv.downsample(x)
    fine = msv.upsample(coarse, size=shape[1:3])
    for image, ours, ours_fine in zip(x, coarse, fine):
        for channel in range(shape[3]):
            down = cv2.pyrDown(image[..., channel].copy()).reshape(ours.shape[:2])
            up = cv2.pyrUp(ours[..., channel].copy(), dstsize=shape[2:0:-1]).reshape(shape[1:3])
            framework = {"Torch": "PyTorch"}.get(type(msv).__name__, "TensorFlow")
            assert_agrees("downsample", framework, "cv2.pyrDown", ours[..., channel], down, 1e-6)
            assert_agrees("upsample", framework, "cv2.pyrUp, to every size", ours_fine[..., channel], up, 1e-6)


LARGE = [
    (1, 512, 512, 1),
    (2, 363, 401, 3),
    (1, 400, 399, 2),
    (1, 1449, 1450, 1),
    (2, 1024, 1025, 1),
    (1, 4, 40000, 1),
    (1, 5, 40000, 1),
    (1, 40000, 5, 1),
]


@both
@pytest.mark.parametrize("shape", LARGE)
def test_large_pictures_go_another_way_to_the_same_place(msv, shape):
    x = noise(shape)
    small = msv.downsample(x)
    expected = [cv2.pyrDown(image).reshape(small.shape[1:]) for image in x]
    close(small, np.stack(expected), 1e-6)


@both
def test_many_maps_are_as_few(msv):
    x = noise((3, 97, 99, 160))
    found = msv.downsample(x)
    for picture, channel in ((0, 0), (1, 80), (2, 159)):
        few = msv.downsample(x[picture : picture + 1, ..., channel : channel + 1])
        close(found[picture : picture + 1, ..., channel : channel + 1], few)


@both
@pytest.mark.parametrize("shape", [*LARGE, (1, 9, 12, 2), (2, 64, 33, 3)], ids=str)
def test_what_does_not_change_along_a_direction_never_does(msv, shape):
    for axis in (1, 2):
        stripes = np.repeat(noise(shape).take([0], axis), shape[axis], axis)
        for found in (msv.downsample(stripes), msv.upsample(stripes)):
            np.testing.assert_array_equal(found, np.broadcast_to(found.take([0], axis), found.shape))


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (5, 4), (33, 20), (364, 363), (592, 593)], ids=str)
def test_numbers_are_the_same_where_a_gradient_is_recorded(size):
    x = torch.from_numpy(noise((2, 3, *size)))
    for operator in (msv_torch.downsample, msv_torch.upsample):
        close(operator(x.clone().requires_grad_()).detach(), operator(x))


def test_gradient_of_a_large_picture():
    x, weights = noise((1, 511, 514, 3)), noise((1, 256, 257, 3), 1)
    exact = torch.from_numpy(x).double().movedim(-1, 1).requires_grad_()  # 64 bits go the plain way
    (msv_torch.downsample(exact) * torch.from_numpy(weights).movedim(-1, 1)).sum().backward()
    leaf = torch.from_numpy(x).movedim(-1, 1).requires_grad_()
    (msv_torch.downsample(leaf) * torch.from_numpy(weights).movedim(-1, 1)).sum().backward()
    close(leaf.grad, exact.grad)
    picture = tf.constant(x)
    for downsample in (msv_tensorflow.downsample, tf.function(msv_tensorflow.downsample)):
        with tf.GradientTape() as tape:
            tape.watch(picture)
            loss = tf.reduce_sum(downsample(picture) * weights)
        close(tape.gradient(loss, picture), exact.grad.movedim(1, -1))


@both
def test_a_hole_in_a_large_picture_stays_where_it_is(msv):
    x = noise((1, 400, 400, 1))
    x[0, 200, 101] = np.nan
    rows, columns = np.nonzero(np.isnan(msv.downsample(x)[0, ..., 0]))
    assert set(rows) == {99, 100, 101} and set(columns) == {50, 51}


def test_a_graph_that_does_not_know_the_number_of_pictures():
    x = noise((2, 200, 131, 3))
    graph = tf.function(msv_tensorflow.downsample, input_signature=[tf.TensorSpec((None, 200, 131, 3))])
    close(graph(x), msv_tensorflow.downsample(x))
    assert graph.get_concrete_function().output_shapes == (None, 100, 66, 3)


@both
@given(levels=st.integers(1, 4), height=st.integers(1, 4), width=st.integers(1, 4), channels=st.integers(1, 3))
def test_the_stack_sampled_is_the_pyramid(msv, levels, height, width, channels):
    step = 2 ** (levels - 1)
    x = noise((1, height * step + 1, width * step + 1, channels))
    for number, (full, level) in enumerate(
        zip(msv.gaussian_stack(x, levels=levels), msv.gaussian_pyramid(x, levels=levels))
    ):
        close(full[:, :: 2**number, :: 2**number], level)


@both
@given(shape=shapes, scales=st.integers(1, 4))
def test_octaves_pass_through_the_pyramid(msv, shape, scales):
    x, count = noise(shape), some_levels(shape)
    images = msv.octaves(x, count=count, scales=scales)
    assert len(images) == count * scales
    for ours, level in zip(images[::scales], msv.gaussian_pyramid(x, levels=count)):
        close(ours, level, 0)


@both
@given(shape=shapes)
def test_blending(msv, shape):
    a, b, levels = noise(shape, 1), noise(shape, 2), some_levels(shape)
    mask = noise((1, *shape[1:3], 1), 3)
    close(msv.blend(a, a, mask, levels=levels), a, 2e-6)
    close(msv.blend(a, b, np.ones_like(mask), levels=levels), a, 2e-6)
    close(msv.blend(a, b, np.zeros_like(mask), levels=levels), b, 2e-6)
    close(msv.blend(a, b, mask, levels=1), mask * a + (1 - mask) * b)


@both
@given(shape=shapes)
def test_merged_channels_are_finest_first(msv, shape):
    levels = msv.gaussian_pyramid(noise(shape), levels=some_levels(shape, most=3))
    merged, channels = msv.merge_levels(levels), shape[3]
    close(merged[..., :channels], levels[0], 0)
    if len(levels) > 1:
        close(merged[..., channels : 2 * channels], msv.upsample(levels[1], size=shape[1:3]))
    if len(levels) > 2:
        once = msv.upsample(levels[2], size=levels[1].shape[1:3])
        close(merged[..., 2 * channels :], msv.upsample(once, size=shape[1:3]))


# -- peers -----------------------------------------------------------------------------------------------------------


def test_scikit_image_s_laplacian_pyramid_cannot_be_inverted():
    x = noise((64, 64))
    theirs = list(skimage.transform.pyramid_laplacian(x, max_layer=3))
    total = theirs[-1]
    for level in reversed(theirs[:-1]):
        total = level + skimage.transform.resize(total, level.shape)
    assert np.abs(total - x).max() > 0.3
    flat = list(skimage.transform.pyramid_laplacian(np.full((64, 64), 0.7), max_layer=3))
    assert all(np.abs(level).max() < 1e-6 for level in flat)  # no level holds the brightness


def test_kornia_s_laplacian_pyramid_changes_the_size():
    theirs = kornia.geometry.transform.build_laplacian_pyramid(torch.rand(1, 1, 65, 47), 3)
    assert tuple(theirs[0].shape) == (1, 1, 128, 64)
    assert tuple(msv_torch.laplacian_pyramid(torch.rand(1, 1, 65, 47), 3)[0].shape) == (1, 1, 65, 47)


def test_kornia_s_pyrdown_is_not_opencv_s():
    x = noise((64, 64))
    theirs = kornia.geometry.transform.pyrdown(torch.from_numpy(x)[None, None])[0, 0].numpy()
    assert np.abs(theirs - cv2.pyrDown(x)).max() > 0.05
    ours = msv_torch.downsample(torch.from_numpy(x)[None, None])[0, 0].numpy()
    close(ours, cv2.pyrDown(x))


def test_opencv_s_subtraction_of_bytes_loses_what_is_negative():
    x = (255 * noise((64, 64)).clip(0, 1)).astype("uint8")
    coarse = cv2.pyrUp(cv2.pyrDown(x))
    detail = cv2.subtract(x, coarse)  # as in the tutorial on blending
    right = x.astype("float32") - coarse
    np.testing.assert_array_equal(detail, right.clip(0))
    assert np.mean(right < 0) > 0.3 and np.abs(cv2.add(coarse, detail).astype("float32") - x).max() > 50


@pytest.mark.parametrize("name", ["pyramids", "gaussian_pyramid", "laplacian_pyramid"])
def test_tensorflow_has_no_pyramids(name):
    assert not hasattr(tf.image, name)
