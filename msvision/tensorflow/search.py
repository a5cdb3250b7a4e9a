"""Pyramids at work: find a template, register two pictures, dream (chapter 2).

Each starts on a coarse level, where there is little to look at, and hands what it found to the next finer one. These are
functions with loops of Python, for whole pictures: they are not meant for a compiled graph.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
from tqdm.auto import tqdm

from msvision import checks, geometry
from msvision.tensorflow.pyramids import _binomial, _image, gaussian_pyramid, upsample

BLOCK = 1024  # the most places in each direction that are correlated at once


class Match(NamedTuple):
    """Where :func:`find_template` found the template, and how it went about it."""

    position: tf.Tensor
    score: tf.Tensor
    trail: list[tf.Tensor]
    comparisons: int
    exhaustive: int


def find_template(
    image: tf.Tensor, template: tf.Tensor, levels: int | None = None, candidates: int = 5, radius: int = 3
) -> Match:
    """Find a small picture in a large one, coarse to fine, by normalised cross-correlation (Lewis, Vision Interface 1995).

    The template is compared with every place of the coarsest level. The best few places are candidates; on each finer
    level, the pixels around them are compared again.

    Parameters
    ----------
    image : Tensor, shape (N, H, W, C)
        Where to look. Floating-point, any number of channels, any range.
    template : Tensor, shape (N or 1, h, w, C)
        What to look for: one for all images, or one for each; not larger than they are.
    levels
        Number of pyramid levels, the image itself counted as the first; 1 searches every place. By default as many as
        leave the template 16 pixels a side; 4 pixels must be left.
    candidates
        How many places of the coarsest level are followed, none within ``radius`` pixels of another in both directions.
    radius
        How far from a candidate to look on each finer level, in pixels of that level to each side.

    Returns
    -------
    Match
        A named tuple of ``position``, Tensor (N, 2): row and column of the template's top left pixel in each image;
        ``score``, Tensor (N,): the correlation there, from -1 to 1; ``trail``, finest level first, Tensors
        (N, candidates, 2): where each candidate was on each level; ``comparisons`` and ``exhaustive``: how many pairs of
        pixels this search compared in each image, and how many a search of every place would.

    Raises
    ------
    TypeError, ValueError
        If an image is not a floating-point tensor (N, H, W, C) of finite numbers, the template does not fit, ``levels``
        leave too little of it, or a number is not a positive whole number.

    Notes
    -----
    The score is OpenCV's ``TM_CCOEFF_NORMED``: channels lose their mean each, and are then summed. Where image or template
    are flat (deviations of less than a millionth of the largest value) it is 0. Of equal scores, the first in reading
    order counts. A search on several levels can miss the best place if no candidate leads to it, but its score is always
    that of the place it returns.

    Correlations come from Fourier transforms in double precision, pyramids are in that of the image, and half precision is
    searched in single. No gradient passes.

    Examples
    --------
    >>> image = tf.random.stateless_uniform((1, 200, 150, 3), seed=(0, 0))
    >>> match = find_template(image, image[:, 91:123, 40:72])
    >>> match.position.numpy().tolist(), round(float(match.score[0]), 6)
    ([[91, 40]], 1.0)
    >>> match.exhaustive // match.comparisons
    13
    """
    image, template = _picture(image, "image"), _picture(template, "template")
    checks.check_template(tuple(image.shape), tuple(template.shape), "NHWC")
    levels = checks.check_search_levels(levels, tuple(template.shape[1:3]))
    geometry.check_count("candidates", candidates), geometry.check_count("radius", radius)
    images, templates = (gaussian_pyramid(_single(x), levels) for x in (image, template))
    for name, x in (("image", images[-1]), ("template", templates[-1])):  # every pixel has a part in the coarsest level
        checks.check_finite(name, bool(tf.reduce_all(tf.math.is_finite(x))))
    found, scores = _best(_scores(images[-1], templates[-1]), candidates, radius)
    trail = [found]
    for x, sought in zip(images[-2::-1], templates[-2::-1]):
        found, scores = _search_around(x, sought, 2 * found, radius)
        trail.insert(0, found)
    first = tf.argmax(_order(scores), 1)
    position, score = tf.gather(found, first, batch_dims=1), tf.gather(scores, first, batch_dims=1)
    counts = geometry.search_comparisons(
        tuple(image.shape[1:3]), tuple(template.shape[1:3]), levels, candidates, radius
    )
    return Match(position, tf.cast(score, images[0].dtype), trail, *counts)


def register_translation(
    fixed: tf.Tensor, moving: tf.Tensor, levels: int | None = None, iterations: int = 30
) -> tf.Tensor:
    """How far one picture is shifted against another, to a fraction of a pixel (Lucas and Kanade, IJCAI 1981).

    From the coarsest level to the finest, Gauss-Newton steps reduce the squared difference where the pictures overlap
    (Bergen et al., ECCV 1992). A step sees as far as a slope of the picture reaches; on a coarse level that is far.

    Parameters
    ----------
    fixed, moving : Tensor, shape (N, H, W, C)
        Pairs of pictures of one size, floating-point, any number of channels, any range. One may be brighter by a constant.
    levels
        Number of pyramid levels, the picture itself counted as the first. By default as many as leave 8 pixels a side;
        coarser ones show too little.
    iterations
        Largest number of steps on each level; a pair stops earlier once a step moves it by less than 1e-4 pixels.

    Returns
    -------
    Tensor, shape (N, 2)
        Rows down and columns to the right that bring ``moving`` onto ``fixed``, in pixels:
        ``fixed[y, x] = moving[y - down, x - right]``, the sign of scikit-image's ``phase_cross_correlation``. At most half
        of the picture's size; 0 along a direction in which nothing changes.

    Raises
    ------
    TypeError, ValueError
        If the pictures are not floating-point tensors (N, H, W, C) of one size and finite numbers, or ``levels`` or
        ``iterations`` are not positive whole numbers, or the picture does not have so many levels.

    Notes
    -----
    Slopes are those of the mean of both pictures (Malis, ICRA 2004), which reach further than those of one. Half precision
    is registered in single. No gradient passes.

    Examples
    --------
    >>> from msvision.data.samples import photograph
    >>> picture = photograph("camera")[None]
    >>> fixed, moving = picture[:, 100:356, 100:356], picture[:, 76:332, 110:366]
    >>> tf.round(register_translation(fixed, moving)).numpy().tolist()
    [[-24.0, 10.0]]
    """
    fixed, moving = _picture(fixed, "fixed"), _picture(moving, "moving")
    checks.check_same_shape("moving", tuple(moving.shape), "fixed", tuple(fixed.shape))
    size = tuple(fixed.shape[1:3])
    levels = geometry.levels_down_to(8, size) if levels is None else checks.check_levels(levels, size)
    geometry.check_count("iterations", iterations)
    fixed, moving = _single(fixed), _single(moving)
    for name, x in (("fixed", fixed), ("moving", moving)):
        checks.check_finite(name, bool(tf.reduce_all(tf.math.is_finite(x))))
    shift = tf.zeros((len(fixed), 2), tf.float64)
    for pair in reversed(list(zip(gaussian_pyramid(fixed, levels), gaussian_pyramid(moving, levels)))):
        shift = _aligned(*pair, 2 * shift, iterations)
    return tf.cast(shift, fixed.dtype)


def deep_dream(
    image: tf.Tensor,
    features: Callable[[tf.Tensor], tf.Tensor],
    octaves: int = 4,
    octave_scale: float = 1.4,
    iterations: int = 10,
    step: float = 0.01,
    smooth: bool = False,
    jitter: int | None = None,
    seed: int = 0,
    tile: int | None = None,
    value_range: tuple[float, float] = (0.0, 1.0),
    min_size: int = 32,
    progress: bool = False,
) -> tf.Tensor:
    """Change a picture so that a network sees more of what it sees in it, octave by octave (Mordvintsev et al., 2015).

    Gradient ascent on a small version of the picture draws large patterns. What it changed is enlarged and added to the
    next larger version, whose detail is thereby kept, and the ascent goes on there.

    Parameters
    ----------
    image : Tensor, shape (N, H, W, C)
        Pictures within ``value_range``, float32 or float64.
    features
        Takes pictures of any size down to ``min_size`` and returns what to increase: one number as it is; feature maps, or
        a list of them, by the mean of their squares. Call a network as for inference, and put what it expects of its
        input into this function: ``lambda x: backbone((x - mean) / std)[2]``.
    octaves
        Number of sizes, that of the picture counted.
    octave_scale
        Size of each octave relative to the next smaller one.
    iterations
        Steps for each octave.
    step
        Mean change of a picture's values in each step, in their own units.
    smooth
        Whether each gradient passes the binomial filter of a pyramid, for broader strokes and less of a grain.
    jitter
        Before each step the picture is rolled by up to so many pixels in each direction, and rolled back after it, so that
        no pixel stays at an edge of the network's grid. By default 16, or half of ``tile`` if that is more.
    seed
        Of the random rolls, which are the same in both frameworks.
    tile
        Side of the squares that the gradient is computed on, one after another, which bounds the memory; by default the
        whole picture at once.
    value_range
        Lowest and highest value that a picture may have; after each step it is clipped to them.
    min_size
        Fewest pixels a side that ``features`` takes; smaller octaves and tiles are refused.
    progress
        Whether to show a progress bar.

    Returns
    -------
    Tensor, shape (N, H, W, C)
        Within ``value_range``.

    Raises
    ------
    TypeError, ValueError
        If ``image`` is not a float32 or float64 tensor (N, H, W, C) within ``value_range``, an argument is none of these,
        the smallest octave or ``tile`` would have less than ``min_size`` pixels a side, or ``features`` does not depend
        on the picture.

    Notes
    -----
    Gradients are divided by the mean of their absolute values over each picture, without a constant that would decide which
    gradients are too small: a network with random weights dreams as well. Tiles cover the whole picture, whatever its sides
    (TensorFlow's tutorial once had rows and columns under each other's names, and tiled a size that its graph did not
    know: tensorflow/docs, pull request 1995).

    What a network sees feeds back, and a ReLU makes the gradient jump, so that differences of rounding grow with each step.
    With ported weights the two frameworks agree to 1e-8 after twenty steps in double precision; in single precision, a deep
    network's dreams are alike after a few steps, but not equal.

    Examples
    --------
    >>> image = tf.random.stateless_uniform((1, 48, 64, 1), seed=(0, 0), maxval=0.9)
    >>> brighter = deep_dream(image, tf.reduce_mean, octaves=2, iterations=5)
    >>> round(float(tf.reduce_mean(brighter - image)), 3)
    0.1
    """
    image = _picture(image, "image")
    if image.dtype not in (tf.float32, tf.float64):
        raise TypeError(f"image must be float32 or float64, since gradients are small numbers, got {image.dtype.name}")
    checks.check_finite("image", bool(tf.reduce_all(tf.math.is_finite(image))))
    octaves = checks.check_octaves(octaves, tuple(image.shape[1:3]), octave_scale, min_size)
    low, high = checks.check_range(value_range, float(tf.reduce_min(image)), float(tf.reduce_max(image)))
    jitter = checks.check_dream(iterations, step, jitter, seed, tile, min_size)
    bases = gaussian_pyramid(tf.stop_gradient(image), octaves, 1 / octave_scale)
    rolls = geometry.rolls(seed, octaves, iterations, jitter)
    smaller = x = bases[-1]
    with tqdm(total=octaves * iterations, disable=not progress, desc="deep_dream") as bar:
        for base, octave in zip(bases[::-1], rolls):
            if base is not smaller:
                enlarged = upsample(x - smaller, tuple(base.shape[1:3]), octave_scale)
                x = tf.clip_by_value(base + enlarged, low, high)
            for down, right in octave:
                gradient = _gradient(tf.roll(x, (down, right), (1, 2)), features, tile)
                gradient = tf.roll(gradient, (-down, -right), (1, 2))
                if smooth:
                    gradient = _binomial(gradient)
                x = tf.clip_by_value(x + step * _normalised(gradient), low, high)
                bar.update()
            smaller = base
    return x


# -- finding ---------------------------------------------------------------------------------------------------------


def _scores(x: tf.Tensor, template: tf.Tensor) -> tf.Tensor:
    """Correlation coefficients at every place, shape (N, H - h + 1, W - w + 1), in double precision."""
    x, template, (h, w), rows = tf.cast(x, tf.float64), tf.cast(template, tf.float64), template.shape[1:3], []
    tall, wide = (_blocks(n) for n in (x.shape[1] - h + 1, x.shape[2] - w + 1))
    # all blocks are equally large; a place whose template fits sees no wrapped edge
    size = [geometry.fast_length(blocks[0][1] + n - 1) for blocks, n in ((tall, h), (wide, w))]
    if len(tall) == len(wide) == 1:  # TensorFlow copies what it slices
        return _correlation(x, template, size)
    for top, bottom, above in tall:
        row = [
            _correlation(x[:, top : bottom + h - 1, left : right + w - 1], template, size)[:, above:, before:]
            for left, right, before in wide
        ]
        rows.append(tf.concat(row, 2))
    return tf.concat(rows, 1)


def _blocks(places: int) -> list[tuple[int, int, int]]:
    return geometry.tiles(places, math.ceil(places / math.ceil(places / BLOCK)))


@tf.function(input_signature=[*2 * [tf.TensorSpec((None,) * 4, tf.float64)], tf.TensorSpec((2,), tf.int32)])
def _correlation(x, template, size):
    """The same for a block."""
    window = tf.shape(template)[1:3]
    height, width = tf.unstack(tf.shape(x)[1:3] - window + 1)
    pixels = tf.cast(tf.reduce_prod(window), tf.float64)
    (x, flat), (template, template_flat) = _centred(x), _centred(template)

    def at_places(spectrum):
        return tf.signal.irfft2d(spectrum, size)[..., :height, :width]

    spectrum, spectrum_of_squares = (tf.signal.rfft2d(a, size) for a in (x, tf.reduce_sum(tf.square(x), 1)))
    sought, ones = (tf.math.conj(tf.signal.rfft2d(a, size)) for a in (template, tf.ones(window, tf.float64)))
    products = at_places(tf.reduce_sum(spectrum * sought, 1))
    sums = at_places(spectrum * ones)  # over each place's window
    sums_of_squares = at_places(spectrum_of_squares * ones)
    squares = sums_of_squares - tf.reduce_sum(tf.square(sums), 1) / pixels
    norm = tf.reduce_sum(tf.square(template), (1, 2, 3))[:, None, None]
    varies = (squares > flat * pixels) & (norm > template_flat * pixels)
    return tf.clip_by_value(products / tf.sqrt(tf.where(varies, squares * norm, np.inf)), -1.0, 1.0)


def _centred(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Channels (N, C, H, W) without their mean, and the mean square of a pixel below which the rest is rounding error."""
    x = tf.transpose(x, (0, 3, 1, 2))
    flat = tf.cast(tf.shape(x)[1], tf.float64) * (1e-6 * tf.reduce_max(tf.abs(x), (1, 2, 3))) ** 2
    return x - tf.reduce_mean(x, (2, 3), keepdims=True), flat[:, None, None]


def _best(scores: tf.Tensor, count: int, radius: int) -> tuple[tf.Tensor, tf.Tensor]:
    """The ``count`` highest scores that are not within ``radius`` of a higher one: places (N, count, 2), scores."""
    return _best_finder(count, radius)(scores)


@cache
def _best_finder(count: int, radius: int) -> tf.types.experimental.PolymorphicFunction:
    @tf.function(input_signature=[tf.TensorSpec((None, None, None), tf.float64)])
    def best_places(scores):
        order, found = _order(scores), []
        images, columns = tf.range(tf.shape(scores)[0])[:, None], tf.range(tf.shape(scores)[2])

        def left(rows):  # what is left of these rows (N, R), away from the places found so far
            values = tf.gather(order, rows, batch_dims=1)
            for place in found:
                near_row = tf.abs(rows - place[:, :1]) <= radius
                near = near_row[:, :, None] & (tf.abs(columns - place[:, 1:]) <= radius)[:, None]
                values = tf.where(near, tf.constant(-np.inf, values.dtype), values)
            return values

        best = tf.reduce_max(order, 2)  # of each row
        for _ in range(count):
            row = tf.argmax(best, 1, tf.int32)[:, None]
            found.append(tf.concat((row, tf.argmax(left(row), 2, tf.int32)), 1))
            rows = tf.clip_by_value(row + tf.range(-radius, radius + 1), 0, tf.shape(scores)[1] - 1)
            places = tf.stack((tf.broadcast_to(images, tf.shape(rows)), rows), 2)
            best = tf.tensor_scatter_nd_update(best, places, tf.reduce_max(left(rows), 2))
        places = tf.stack(found, 1)
        return tf.cast(places, tf.int64), tf.gather_nd(scores, places, batch_dims=1)

    return best_places


def _order(scores: tf.Tensor) -> tf.Tensor:
    """Scores to nine places, so that rounding errors do not choose between equal ones."""
    return tf.round(scores * 1e9)


def _search_around(x: tf.Tensor, template: tf.Tensor, centres: tf.Tensor, radius: int) -> tuple[tf.Tensor, tf.Tensor]:
    """The best place within ``radius`` of each of the ``centres`` (N, K, 2), and its score (N, K)."""
    (h, w), (n, k) = template.shape[1:3], centres.shape[:2]
    last = np.array([x.shape[1] - h, x.shape[2] - w])
    reach = np.minimum(last, 2 * radius)
    first = tf.clip_by_value(centres - radius, 0, last - reach)  # a window at the edge moves inwards
    size = (1, reach[0] + h, reach[1] + w, -1)
    corners = ((image, *corner, 0) for image, places in enumerate(first.numpy()) for corner in places)
    windows = tf.concat([tf.slice(x, corner, size) for corner in corners], 0)  # (N K, rows, columns, C)
    if len(template) > 1:
        template = tf.repeat(template, k, 0)
    found, scores = _best(_scores(windows, template), 1, 0)
    return first + tf.reshape(found, (n, k, 2)), tf.reshape(scores, (n, k))


# -- registering -----------------------------------------------------------------------------------------------------


def _aligned(fixed: tf.Tensor, moving: tf.Tensor, shift: tf.Tensor, iterations: int) -> tf.Tensor:
    """The shift (N, 2) after Gauss-Newton steps on one level."""
    limit = np.array(fixed.shape[1:3]) / 2
    active = tf.ones((len(fixed), 1), tf.bool)
    for _ in range(iterations):
        warped, inside = _shifted(moving, shift)
        step = tf.where(active, _gauss_newton(fixed, warped, inside), 0.0)
        shift = tf.clip_by_value(shift + step, -limit, limit)
        active = active & (tf.reduce_max(tf.abs(step), 1, keepdims=True) >= 1e-4)
        if not tf.reduce_any(active):
            break
    return shift


def _shifted(x: tf.Tensor, shift: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Pictures moved by ``shift`` (N, 2), and 1 where they and their slopes are known, (N, H, W, 1)."""
    inside = 1
    for axis in (1, 2):
        size, margin = x.shape[axis], min(1, (x.shape[axis] - 1) // 2)
        pixels = tf.range(size, dtype=tf.float64)
        positions = pixels - shift[:, axis - 1, None]
        indices, weights = geometry.interpolation_taps(positions, size, keras.ops)
        known = (tf.minimum(pixels, positions) >= margin) & (tf.maximum(pixels, positions) <= size - 1 - margin)
        shape = (len(x), -1, 1, 1) if axis == 1 else (len(x), 1, -1, 1)
        taps = (tf.gather(x, index, axis=axis, batch_dims=1) for index in tf.unstack(indices))
        x = sum(tf.reshape(tf.cast(weight, x.dtype), shape) * tap for weight, tap in zip(tf.unstack(weights), taps))
        inside = inside * tf.reshape(tf.cast(known, x.dtype), shape)
    return x, inside


def _gauss_newton(fixed: tf.Tensor, warped: tf.Tensor, inside: tf.Tensor) -> tf.Tensor:
    """The shift (N, 2) that would take ``warped`` to ``fixed`` if both were planes, whatever their mean brightness."""
    count, mean = tf.maximum(tf.reduce_sum(inside, (1, 2), keepdims=True), 1), (fixed + warped) / 2
    values = _slope(mean, 1), _slope(mean, 2), warped - fixed
    values = [inside * (v - tf.reduce_sum(inside * v, (1, 2), keepdims=True) / count) for v in values]
    down, right, difference = (tf.cast(tf.reshape(v, (len(v), -1)), tf.float64) for v in values)
    a, b, c = (tf.reduce_sum(product, 1) for product in (down * down, down * right, right * right))
    p, q = (tf.reduce_sum(product, 1) for product in (down * difference, right * difference))
    ridge = 1e-6 * (a + c)  # keeps still what nothing tells: a direction without slopes
    determinant = (a + ridge) * (c + ridge) - b * b
    step = tf.stack(((c + ridge) * p - b * q, (a + ridge) * q - b * p), 1)
    return step / tf.where(determinant > 0, determinant, np.inf)[:, None]


def _slope(x: tf.Tensor, axis: int) -> tf.Tensor:
    """Half the difference of a pixel's neighbours along ``axis``; 0 at the edges, which do not count."""
    if x.shape[axis] < 3:
        return tf.zeros_like(x)
    inner = (x[:, 2:] - x[:, :-2]) / 2 if axis == 1 else (x[:, :, 2:] - x[:, :, :-2]) / 2
    return tf.pad(inner, [(1, 1) if a == axis else (0, 0) for a in range(4)])


def _single(x: tf.Tensor) -> tf.Tensor:
    return tf.stop_gradient(tf.cast(x, tf.float32) if x.dtype in (tf.float16, tf.bfloat16) else x)


def _picture(x: tf.Tensor, name: str) -> tf.Tensor:
    x = _image(x, name)
    if not tf.executing_eagerly():
        raise RuntimeError(f"{name} must have values, but this is a graph: call this function outside of tf.function")
    return x


# -- dreaming --------------------------------------------------------------------------------------------------------


def _gradient(x: tf.Tensor, features: Callable, tile: int | None) -> tf.Tensor:
    """The gradient of what ``features`` returns, tile by tile."""
    rows = []
    for top, bottom, above in geometry.tiles(x.shape[1], tile):
        row = [
            _tile_gradient(x[:, top:bottom, left:right], features)[:, above:, before:]
            for left, right, before in geometry.tiles(x.shape[2], tile)
        ]
        rows.append(tf.concat(row, 2))
    return tf.concat(rows, 1)


def _tile_gradient(x: tf.Tensor, features: Callable) -> tf.Tensor:
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(x)
        goal = _goal(features(x))
    gradient = tape.gradient(goal, x)
    if gradient is None:
        raise ValueError("features must depend on the picture it is given, by differentiable steps")
    return gradient


def _goal(result: tf.Tensor | list[tf.Tensor]) -> tf.Tensor:
    if isinstance(result, (list, tuple)):
        return sum(_goal(item) for item in result)
    if not tf.is_tensor(result):
        raise TypeError(f"features must return a tensor or a list of tensors, got {type(result).__name__}")
    return tf.reduce_mean(tf.square(result)) if result.shape.rank else result


def _normalised(gradient: tf.Tensor) -> tf.Tensor:
    """Divided by the mean of its absolute values, over each picture; 0 stays 0."""
    mean = tf.reduce_mean(tf.abs(gradient), (1, 2, 3), keepdims=True)
    return gradient / tf.where(mean > 0, mean, 1.0)
