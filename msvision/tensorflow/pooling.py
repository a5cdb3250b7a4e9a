"""Spatial pyramid pooling: the same map seen through coarse grids (chapters 3 and 4).

The grids have a fixed number of bins, whatever the size of the map. Bin ``i`` of ``b`` runs from ``floor(i n / b)`` to
``ceil((i + 1) n / b)`` of ``n`` pixels, so that every pixel is in a bin and none is empty, even where there are fewer
pixels than bins.
"""

from __future__ import annotations

import keras
import tensorflow as tf
from keras import ops

from msvision import checks, geometry
from msvision.tensorflow._layers import BatchNorm, height_width, resized
from msvision.tensorflow.pyramids import _image, _namespace, _size

MODES = ("max", "average")


@keras.saving.register_keras_serializable("msvision")
class SpatialPyramidPooling(keras.layers.Layer):
    """A vector of fixed length from a map of any size (He et al., 2014, section 2.2).

    The map is pooled over grids of ``b × b`` bins, for each ``b`` in ``bins``. It has no parameters.

    Parameters
    ----------
    bins
        Bins along each side, for every grid. A grid may have more bins than the map has pixels.
    mode : {"max", "average"}
        What is kept of a bin. Where several pixels are the maximum, the first in reading order gets the gradient.

    Returns
    -------
    Tensor, shape (N, C * sum of b²), from ``x`` of shape (N, H, W, C)
        Grid after grid in the order of ``bins``; within a grid channel after channel, and within a channel row after row,
        in both frameworks (so that weights after it fit both), although channels come last in ``x``. Same type as ``x``.

    Raises
    ------
    TypeError
        If ``bins`` is not a tuple of integers; in the call, if ``x`` does not hold floating-point numbers.
    ValueError
        If a number of bins is less than 1, or ``mode`` is another word; in the call, if ``x`` is empty or not 4-D.

    Notes
    -----
    The paper's own recipe, windows of ``ceil(n / b)`` at steps of ``floor(n / b)``, gives 5 bins and not 4 for 11 pixels.
    The bins here are those of PyTorch's adaptive pooling. Keras' own adaptive pooling needs to know the map's size when a
    graph is built, and its ``AdaptiveMaxPooling2D(1)`` ends the process (3.15, where TensorFlow uses oneDNN).

    Examples
    --------
    >>> pool = SpatialPyramidPooling(bins=(2, 1))
    >>> pool(tf.reshape(tf.range(12.0), (1, 3, 4, 1))).numpy().tolist()
    [[5.0, 7.0, 9.0, 11.0, 11.0]]
    >>> pool(tf.random.uniform((2, 13, 1, 8))).shape
    TensorShape([2, 40])
    """

    def __init__(self, bins: tuple[int, ...] = (4, 2, 1), mode: str = "max", **kwargs):
        super().__init__(**kwargs)
        self.bins = checks.check_counts("bins", bins)
        self.mode = checks.check_choice("mode", mode, MODES)

    def call(self, x):
        x = _image(x)
        grids = [tf.transpose(_pool(x, bins, self.mode), (0, 3, 1, 2)) for bins in self.bins]
        vectors = [tf.reshape(grid, (-1, bins**2 * _size(x, 3))) for grid, bins in zip(grids, self.bins)]
        return tf.concat(vectors, axis=1)

    def get_config(self):
        return super().get_config() | {"bins": self.bins, "mode": self.mode}


@keras.saving.register_keras_serializable("msvision")
class PyramidPooling(keras.layers.Layer):
    """The context of every pixel, from the average of the whole map down to those of small parts (Zhao et al., 2017, 3.2).

    For every grid of ``b × b`` bins: average pooling, a 1 × 1 convolution, BatchNorm, ReLU, and bilinear interpolation
    back to the size of the map, with half-pixel centres. All are concatenated to the map itself.

    Parameters
    ----------
    bins
        Bins along each side, for every grid. A grid may have more bins than the map has pixels.

    Returns
    -------
    Tensor, shape (N, H, W, out_channels), from ``x`` of shape (N, H, W, in_channels)
        Channels of the map first, then those of each grid in the order of ``bins``: ``in_channels // len(bins)`` each,
        but at least 1. The attribute ``out_channels`` holds their sum once the layer is built.

    Raises
    ------
    TypeError
        If a number of bins is not an integer; in the call, if ``x`` does not hold floating-point numbers.
    ValueError
        If one of them is less than 1; in the call, if ``x`` is empty, not 4-D, or has other channels than before.

    Notes
    -----
    One image trains: a grid of one bin, or any of a map of one pixel, then has one value a channel, which is normalised
    with the running statistics
    (Keras' own BatchNorm returns zero there). Epsilon is 1e-5 and momentum 0.9, as PyTorch's. Convolutions have no bias
    and start as Keras'.

    Examples
    --------
    >>> pool = PyramidPooling()
    >>> pool(tf.random.uniform((1, 13, 7, 8))).shape
    TensorShape([1, 13, 7, 16])
    """

    def __init__(self, bins: tuple[int, ...] = (1, 2, 3, 6), **kwargs):
        super().__init__(**kwargs)
        self.bins = checks.check_counts("bins", bins)

    def build(self, input_shape):
        self.in_channels = input_shape[-1]
        width = max(self.in_channels // len(self.bins), 1)
        self.out_channels = self.in_channels + width * len(self.bins)
        policy = self.dtype_policy
        self.convs = [keras.layers.Conv2D(width, 1, use_bias=False, dtype=policy) for _ in self.bins]
        self.norms = [BatchNorm(dtype=policy) for _ in self.bins]
        for conv, norm in zip(self.convs, self.norms):
            conv.build((None, None, None, self.in_channels))
            norm.build((None, None, None, width))

    def call(self, x, training=None):
        x = _image(x)
        grids = [resized(grid, height_width(x), "bilinear") for grid in self.grids(x, training)]
        return tf.concat([x, *grids], axis=3)

    def grids(self, x, training=None):
        """The context before it is brought to the size of the map: one (N, b, b, width) for each ``b`` in ``bins``."""
        x = _image(x)
        checks.check_channels(tuple(x.shape), self.in_channels, "NHWC")
        result, (height, width) = [], height_width(x)
        for bins, conv, norm in zip(self.bins, self.convs, self.norms):
            grid = _pool(x, bins, "average")
            grid = grid[:, : _once(height, bins), : _once(width, bins)]  # copies of a pixel have no variance
            result.append(tf.nn.relu(norm(conv(grid), training=training)))
        return result

    def compute_output_shape(self, input_shape):
        width = max(input_shape[-1] // len(self.bins), 1)
        return (*input_shape[:-1], input_shape[-1] + width * len(self.bins))

    def get_config(self):
        return super().get_config() | {"bins": self.bins}


@keras.saving.register_keras_serializable("msvision")
class ContextConvolution(keras.layers.Conv2D):
    """A convolution over a map and its context, in half the time: the grids of the context are never made large.

    ``conv(x, pooling.grids(x))`` is ``conv(pooling(x))``. A convolution is linear, so each part of the channels may pass
    its own part of the weights. And what a tap of it sees of an interpolated grid is a matrix times the grid
    (:func:`msvision.geometry.interpolation_windows`). So the taps are applied to the ``b × b`` pixels of a grid, and the
    rest is two small products of matrices.
    """

    def __init__(self, filters: int, kernel_size: int = 3, padding: str = "same", use_bias: bool = False, **kwargs):
        super().__init__(filters, kernel_size, padding=padding, use_bias=use_bias, **kwargs)

    def build(self, input_shape):
        super().build(input_shape)
        self.input_spec = None  # the map alone has fewer channels

    def call(self, x, grids=()):
        if not grids:
            return super().call(x)
        here, *there = tf.split(self.kernel, [x.shape[3], *(grid.shape[3] for grid in grids)], axis=2)
        rows, columns, (height, width) = [], [], height_width(x)
        for grid, kernel in zip(grids, there):
            taps = tf.einsum("nabc,ijco->niajbo", grid, kernel)
            n, i, a, j, b, out = tf.unstack(tf.shape(taps))
            taps, (down, along) = tf.reshape(taps, (n, i * a, j * b, out)), height_width(grid)
            columns.append(tf.einsum("nrco,wc->nrwo", taps, self._windows(along, width, x)))
            rows.append(self._windows(down, height, x))
        context = tf.einsum("hr,nrwo->nhwo", tf.concat(rows, 1), tf.concat(columns, 1))
        return ops.conv(x, here, padding="same") + context

    def _windows(self, size, out_size, x) -> tf.Tensor:
        windows = geometry.interpolation_windows(size, out_size, self.kernel_size[0], _namespace(size, out_size))
        return tf.cast(windows, x.dtype)


# -- the steps -------------------------------------------------------------------------------------------------------


def _pool(x: tf.Tensor, bins: int, mode: str) -> tf.Tensor:
    """The map on a grid, shape (N, bins, bins, C)."""
    reduce, dtype = (_maximum if mode == "max" else tf.reduce_mean), x.dtype
    if mode == "average" and dtype.size == 2:  # many numbers do not add up in half precision
        x = tf.cast(x, tf.float32)
    for axis in (2, 1):  # rows last, so that the first maximum is the first in reading order
        edges = geometry.adaptive_bin_edges(_size(x, axis), bins)
        parts = [x[:, first:end] if axis == 1 else x[:, :, first:end] for first, end in edges]
        x = tf.stack([reduce(part, axis) for part in parts], axis)
    return tf.cast(x, dtype)


def _once(size, bins: int):
    """How many bins to keep: all, or one of a single pixel."""
    return (1 if size == 1 else bins) if isinstance(size, int) else tf.where(size == 1, 1, bins)


def _maximum(x: tf.Tensor, axis: int) -> tf.Tensor:
    """``tf.reduce_max``, but where several are the largest the first of them gets the gradient, as in PyTorch."""

    @tf.custom_gradient
    def maximum(x):
        largest = tf.reduce_max(x, axis)

        def gradient(upstream):
            found = x == tf.expand_dims(largest, axis)
            first = found & (tf.cumsum(tf.cast(found, tf.int32), axis) == 1)
            return tf.where(first, tf.expand_dims(upstream, axis), tf.zeros((), x.dtype))

        return largest, gradient

    return maximum(x)
