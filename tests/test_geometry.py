"""Sizes, borders, kernels and sampling positions, against the frameworks whose arithmetic they are."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from msvision import geometry

PLACES = {"numpy": np, "torch": torch, "keras": keras.ops}
FACTORS = [0.5, 0.7, 2 ** (-1 / 3), 0.75, 0.9]
sizes = st.integers(1, 70)


# -- arguments -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [1, 7, np.int64(3)])
def test_counts(value):
    count = geometry.check_count("levels", value)
    assert count == value and type(count) is int


@pytest.mark.parametrize(
    "value, error", [(0, ValueError), (-2, ValueError), (True, TypeError), (1.0, TypeError), ("1", TypeError)]
)
def test_wrong_counts(value, error):
    with pytest.raises(error, match="levels must be"):
        geometry.check_count("levels", value)


@pytest.mark.parametrize("value, error", [(0, ValueError), (1, ValueError), (2, ValueError), (float("nan"), ValueError),
                                          ("x", TypeError), (True, TypeError), (None, TypeError)])  # fmt: skip
def test_wrong_scale_factors(value, error):
    with pytest.raises(error, match="scale_factor must be"):
        geometry.check_scale_factor(value)


@pytest.mark.parametrize(
    "call, error, match",
    [
        (lambda: geometry.resize_matrix(0, 4), ValueError, "size must be at least 1"),
        (lambda: geometry.resize_matrix(4, 2.0), TypeError, "out_size must be an integer"),
        (
            lambda: geometry.resize_matrix(4, 2, "area"),
            ValueError,
            "interpolation must be one of nearest, bilinear, bicubic",
        ),
        (lambda: geometry.adaptive_bin_edges(4, 0), ValueError, "bins must be at least 1"),
        (lambda: geometry.adaptive_bin_edges(0, 4), ValueError, "size must be at least 1"),
        (lambda: geometry.binomial_kernel(0), ValueError, "size must be at least 1"),
        (lambda: geometry.prefilter_sigma(1.5), ValueError, "scale_factor must be"),
        (lambda: geometry.gaussian_taps(8, 1), ValueError, "scale_factor must be"),
    ],
)
def test_wrong_arguments(call, error, match):
    with pytest.raises(error, match=match):
        call()


# -- sizes -----------------------------------------------------------------------------------------------------------


@given(sizes, sizes, st.integers(1, 8))
def test_halving_rounds_up(height, width, levels):
    shapes = geometry.level_shapes((height, width), levels)
    assert shapes == [(-(-height // 2**l), -(-width // 2**l)) for l in range(levels)]  # noqa: E741


@given(st.integers(1, 10_000), st.integers(1, 99))
def test_scaled_size_is_exact(size, percent):
    assert geometry.scaled_size(size, percent / 100) == -(-size * percent // 100)


@given(sizes, sizes, st.sampled_from(FACTORS))
def test_max_levels(height, width, scale_factor):
    most = geometry.max_levels((height, width), scale_factor)
    shapes = geometry.level_shapes((height, width), most + 1, scale_factor)
    assert len(set(shapes)) == most and shapes[-1] == shapes[-2]


@given(sizes, st.sampled_from(FACTORS))
def test_sizes_reduced_to(size, scale_factor):
    reduced = geometry.sizes_reduced_to(size, scale_factor)
    assert reduced == [n for n in range(1, 4 * size + 4) if geometry.scaled_size(n, scale_factor) == size]


@pytest.mark.parametrize("scale_factor", [0.5, 0.75, 0.9])
def test_storage_tends_to_a_geometric_series(scale_factor):
    assert geometry.storage((4096, 4096), 60, scale_factor) == pytest.approx(1 / (1 - scale_factor**2), rel=3e-3)
    assert geometry.storage((512, 512), 10) == pytest.approx(4 / 3, abs=1e-5)


@given(sizes, st.integers(1, 7), st.integers(1, 3), st.integers(1, 3))
def test_same_padding_is_tensorflow_s(size, kernel_size, stride, rate):
    stride = 1 if rate > 1 else stride  # TensorFlow takes one of them
    x = np.random.default_rng(size).random((1, size, 1, 1), "float32")
    kernel = np.random.default_rng(kernel_size).random((kernel_size, 1, 1, 1), "float32")
    wanted = tf.nn.conv2d(x, kernel, (stride, 1), "SAME", dilations=(rate, 1))
    padding = (*geometry.same_padding(size, kernel_size, stride, rate),)
    padded = tf.pad(x, ((0, 0), padding, (0, 0), (0, 0)))
    ours = tf.nn.conv2d(padded, kernel, (stride, 1), "VALID", dilations=(rate, 1))
    np.testing.assert_allclose(ours, wanted, atol=1e-5)


# -- borders and kernels ---------------------------------------------------------------------------------------------


@given(st.integers(1, 12), st.integers(0, 60), st.sampled_from(sorted(PLACES)))
def test_reflect_is_numpy_s(size, margin, place):
    positions = {"numpy": np.array, "torch": torch.tensor, "keras": tf.constant}[place](
        np.arange(-margin, size + margin)
    )
    indices = geometry.reflect(positions, size, PLACES[place])
    np.testing.assert_array_equal(np.asarray(indices), np.pad(np.arange(size), margin, mode="reflect"))


def test_binomial_kernel():
    np.testing.assert_array_equal(geometry.binomial_kernel(5), geometry.BINOMIAL)
    for size in range(1, 10):
        kernel, positions = geometry.binomial_kernel(size), np.arange(size) - (size - 1) / 2
        assert kernel.sum() == 1 and kernel @ positions**2 == pytest.approx((size - 1) / 4)
        np.testing.assert_array_equal(kernel, kernel[::-1])


def dense(indices, weights, size):
    """Taps as a matrix of shape (results, size)."""
    matrix = np.zeros((indices.shape[1], size))
    np.add.at(matrix, (np.arange(indices.shape[1])[None], np.asarray(indices)), np.asarray(weights))
    return matrix


@given(sizes, st.sampled_from(FACTORS))
def test_gaussian_taps_are_means(size, scale_factor):
    indices, weights = geometry.gaussian_taps(size, scale_factor)
    assert indices.min() >= 0 and indices.max() < size and (weights >= 0).all()
    np.testing.assert_allclose(weights.sum(0), 1, atol=1e-12)
    assert indices.shape[1] == geometry.scaled_size(size, scale_factor)


@pytest.mark.parametrize("scale_factor", FACTORS)
def test_gaussian_taps_keep_a_ramp_in_its_place(scale_factor):
    size = 200
    matrix, pixels = dense(*geometry.gaussian_taps(size, scale_factor), size), np.arange(size)
    centres = np.arange(len(matrix)) / scale_factor
    inside = (centres > 20) & (centres < size - 20)
    np.testing.assert_allclose((matrix @ pixels)[inside], centres[inside], atol=1e-9)


def test_prefilter_leaves_every_level_equally_sharp():
    for scale_factor in FACTORS:
        assert (1 / 3 + geometry.prefilter_sigma(scale_factor) ** 2) * scale_factor**2 == pytest.approx(1 / 3)


@given(st.integers(1, 40), st.sampled_from(FACTORS))
def test_linear_taps_are_numpy_s_interpolation(size, scale_factor):
    coarse = geometry.scaled_size(size, scale_factor)
    values = np.random.default_rng(size).random(coarse)
    wanted = np.interp(np.arange(size) * scale_factor, np.arange(coarse), values)
    np.testing.assert_allclose(
        dense(*geometry.linear_taps(size, coarse, 1 / scale_factor), coarse) @ values, wanted, atol=1e-12
    )


@pytest.mark.parametrize("place", ["torch", "keras"])
@pytest.mark.parametrize("size", [1, 2, 5, 33, 64])
@pytest.mark.parametrize("scale_factor", [0.5, 0.7, 0.9])
def test_namespaces_agree(size, scale_factor, place):
    coarse = geometry.scaled_size(size, scale_factor)
    for function, arguments in [
        (geometry.gaussian_taps, (size, scale_factor)),
        (geometry.linear_taps, (size, coarse, 1 / scale_factor)),
    ]:
        for ours, theirs in zip(function(*arguments), function(*arguments, PLACES[place])):
            theirs = np.asarray(theirs)
            assert theirs.dtype == ours.dtype and theirs.shape == ours.shape
            np.testing.assert_allclose(theirs, ours, atol=1e-12)


# -- bins and resizing -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bins", range(1, 9))
def test_adaptive_bins_are_pytorch_s(bins):
    for size in range(1, 31):
        row = np.random.default_rng(size).random(size)
        parts = [row[start:stop] for start, stop in geometry.adaptive_bin_edges(size, bins)]
        x = torch.from_numpy(row)[None]
        np.testing.assert_allclose([p.mean() for p in parts], torch.nn.AdaptiveAvgPool1d(bins)(x)[0], atol=1e-12)
        np.testing.assert_array_equal([p.max() for p in parts], torch.nn.AdaptiveMaxPool1d(bins)(x)[0])
        square = torch.from_numpy(np.outer(row, row))[None]
        pooled = torch.nn.AdaptiveAvgPool2d((bins, 2))(square)[0].numpy()
        columns = [row[start:stop].mean() for start, stop in geometry.adaptive_bin_edges(size, 2)]
        np.testing.assert_allclose(pooled, np.outer([p.mean() for p in parts], columns), atol=1e-12)


RESIZES = [
    (1, 1),
    (1, 5),
    (5, 1),
    (7, 7),
    (8, 4),
    (9, 4),
    (4, 9),
    (13, 29),
    (29, 13),
    (37, 8),
    (10, 3),
    (3, 10),
    (64, 21),
]


def ours(row, out, interpolation, antialias):
    return geometry.resize_matrix(len(row), out, interpolation, antialias) @ row


@pytest.mark.parametrize("size, out", RESIZES)
@pytest.mark.parametrize(
    "interpolation, antialias", [("bilinear", False), ("bilinear", True), ("nearest", False), ("bicubic", True)]
)
def test_resize_is_pytorch_s(size, out, interpolation, antialias):
    row = np.random.default_rng(size).random(size)
    mode = "nearest-exact" if interpolation == "nearest" else interpolation
    x = torch.from_numpy(row).reshape(1, 1, size, 1).expand(1, 1, size, 3)
    arguments = {} if interpolation == "nearest" else {"align_corners": False, "antialias": antialias}
    wanted = F.interpolate(x, (out, 3), mode=mode, **arguments)[0, 0, :, 0]
    np.testing.assert_allclose(ours(row, out, interpolation, antialias), wanted, atol=1e-10)


@pytest.mark.parametrize("size, out", RESIZES)
@pytest.mark.parametrize(
    "interpolation, antialias",
    [("bilinear", False), ("bilinear", True), ("bicubic", False), ("bicubic", True), ("nearest", False)],
)
def test_resize_is_tensorflow_s(size, out, interpolation, antialias):
    row = np.random.default_rng(size).random(size)
    x = np.tile(row.reshape(1, size, 1, 1), (1, 1, 3, 1)).astype("float32")
    wanted = tf.image.resize(x, (out, 3), interpolation, antialias=antialias)[0, :, 1, 0]
    tolerance = (
        1e-3 if interpolation == "bicubic" and not antialias else 2e-6
    )  # TensorFlow looks that kernel up in a table
    np.testing.assert_allclose(ours(row, out, interpolation, antialias), wanted, atol=tolerance)
