"""Pyramids at work: find a template, register two pictures, dream (chapter 2).

Each starts on a coarse level, where there is little to look at, and hands what it found to the next finer one. These are
functions with loops of Python, for whole pictures: they are not meant for a compiled graph.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from tqdm.auto import tqdm

from msvision import checks, geometry
from msvision.torch.pyramids import _check, _smoothed, gaussian_pyramid, upsample

BLOCK = 1024  # the most places in each direction that are correlated at once


class Match(NamedTuple):
    """Where :func:`find_template` found the template, and how it went about it."""

    position: Tensor
    score: Tensor
    trail: list[Tensor]
    comparisons: int
    exhaustive: int


@torch.no_grad()
def find_template(
    image: Tensor, template: Tensor, levels: int | None = None, candidates: int = 5, radius: int = 3
) -> Match:
    """Find a small picture in a large one, coarse to fine, by normalised cross-correlation (Lewis, Vision Interface 1995).

    The template is compared with every place of the coarsest level. The best few places are candidates; on each finer
    level, the pixels around them are compared again.

    Parameters
    ----------
    image : Tensor, shape (N, C, H, W)
        Where to look. Floating-point, any number of channels, any range.
    template : Tensor, shape (N or 1, C, h, w)
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
        If an image is not a floating-point tensor (N, C, H, W) of finite numbers, the template does not fit, ``levels``
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
    >>> image = torch.rand(1, 3, 200, 150, generator=torch.Generator().manual_seed(0))
    >>> match = find_template(image, image[:, :, 91:123, 40:72])
    >>> match.position.tolist(), round(match.score.item(), 6)
    ([[91, 40]], 1.0)
    >>> match.exhaustive // match.comparisons
    13
    """
    _check(image, "image"), _check(template, "template")
    checks.check_template(tuple(image.shape), tuple(template.shape), "NCHW")
    levels = checks.check_search_levels(levels, tuple(template.shape[2:]))
    geometry.check_count("candidates", candidates), geometry.check_count("radius", radius)
    images, templates = (gaussian_pyramid(_single(x), levels) for x in (image, template))
    for name, x in (("image", images[-1]), ("template", templates[-1])):  # every pixel has a part in the coarsest level
        checks.check_finite(name, _finite(x))
    found, scores = _best(_scores(images[-1], templates[-1]), candidates, radius)
    trail = [found]
    for x, sought in zip(images[-2::-1], templates[-2::-1]):
        found, scores = _search_around(x, sought, 2 * found, radius)
        trail.insert(0, found)
    first = _order(scores).argmax(1)[:, None]
    position = found.take_along_dim(first[:, None], 1)[:, 0]
    counts = geometry.search_comparisons(tuple(image.shape[2:]), tuple(template.shape[2:]), levels, candidates, radius)
    return Match(position, scores.take_along_dim(first, 1)[:, 0].to(images[0].dtype), trail, *counts)


@torch.no_grad()
def register_translation(fixed: Tensor, moving: Tensor, levels: int | None = None, iterations: int = 30) -> Tensor:
    """How far one picture is shifted against another, to a fraction of a pixel (Lucas and Kanade, IJCAI 1981).

    From the coarsest level to the finest, Gauss-Newton steps reduce the squared difference where the pictures overlap
    (Bergen et al., ECCV 1992). A step sees as far as a slope of the picture reaches; on a coarse level that is far.

    Parameters
    ----------
    fixed, moving : Tensor, shape (N, C, H, W)
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
        If the pictures are not floating-point tensors (N, C, H, W) of one size and finite numbers, or ``levels`` or
        ``iterations`` are not positive whole numbers, or the picture does not have so many levels.

    Notes
    -----
    Slopes are those of the mean of both pictures (Malis, ICRA 2004), which reach further than those of one. Half precision
    is registered in single. No gradient passes.

    Examples
    --------
    >>> from msvision.data.samples import photograph
    >>> picture = torch.from_numpy(photograph("camera")).permute(2, 0, 1)[None]
    >>> fixed, moving = picture[:, :, 100:356, 100:356], picture[:, :, 76:332, 110:366]
    >>> register_translation(fixed, moving).round().tolist()
    [[-24.0, 10.0]]
    """
    _check(fixed, "fixed"), _check(moving, "moving")
    checks.check_same_shape("moving", tuple(moving.shape), "fixed", tuple(fixed.shape))
    size = tuple(fixed.shape[2:])
    levels = geometry.levels_down_to(8, size) if levels is None else checks.check_levels(levels, size)
    geometry.check_count("iterations", iterations)
    fixed, moving = _single(fixed), _single(moving)
    for name, x in (("fixed", fixed), ("moving", moving)):
        checks.check_finite(name, _finite(x))
    shift = torch.zeros(len(fixed), 2, dtype=torch.float64, device=fixed.device)
    for pair in reversed(list(zip(gaussian_pyramid(fixed, levels), gaussian_pyramid(moving, levels)))):
        shift = _aligned(*pair, 2 * shift, iterations)
    return shift.to(fixed.dtype)


def deep_dream(
    image: Tensor,
    features: Callable[[Tensor], Tensor],
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
) -> Tensor:
    """Change a picture so that a network sees more of what it sees in it, octave by octave (Mordvintsev et al., 2015).

    Gradient ascent on a small version of the picture draws large patterns. What it changed is enlarged and added to the
    next larger version, whose detail is thereby kept, and the ascent goes on there.

    Parameters
    ----------
    image : Tensor, shape (N, C, H, W)
        Pictures within ``value_range``, float32 or float64.
    features
        Takes pictures of any size down to ``min_size`` and returns what to increase: one number as it is; feature maps, or
        a list of them, by the mean of their squares. Put a network in evaluation mode, and what it expects of its input
        into this function: ``lambda x: backbone((x - mean) / std)[2]``.
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
    Tensor, shape (N, C, H, W)
        Within ``value_range``.

    Raises
    ------
    TypeError, ValueError
        If ``image`` is not a float32 or float64 tensor (N, C, H, W) within ``value_range``, an argument is none of these,
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
    >>> image = 0.9 * torch.rand(1, 1, 48, 64, generator=torch.Generator().manual_seed(0))
    >>> brighter = deep_dream(image, lambda x: x.mean(), octaves=2, iterations=5)
    >>> round(float((brighter - image).mean()), 3)
    0.1
    """
    _check(image, "image")
    if image.dtype not in (torch.float32, torch.float64):
        raise TypeError(f"image must be float32 or float64, since gradients are small numbers, got {image.dtype}")
    image = image.detach()
    checks.check_finite("image", _finite(image))
    octaves = checks.check_octaves(octaves, tuple(image.shape[2:]), octave_scale, min_size)
    low, high = checks.check_range(value_range, float(image.min()), float(image.max()))
    jitter = checks.check_dream(iterations, step, jitter, seed, tile, min_size)
    bases = gaussian_pyramid(image, octaves, 1 / octave_scale)
    rolls = geometry.rolls(seed, octaves, iterations, jitter)
    smaller = x = bases[-1]
    with tqdm(total=octaves * iterations, disable=not progress, desc="deep_dream") as bar:
        for base, octave in zip(bases[::-1], rolls):
            if base is not smaller:
                x = (base + upsample(x - smaller, tuple(base.shape[2:]), octave_scale)).clamp(low, high)
            for down, right in octave:
                gradient = _gradient(x.roll((down, right), (2, 3)), features, tile).roll((-down, -right), (2, 3))
                if smooth:
                    gradient = _smoothed(_smoothed(gradient, 2), 3)
                x = (x + step * _normalised(gradient)).clamp(low, high)
                bar.update()
            smaller = base
    return x


# -- finding ---------------------------------------------------------------------------------------------------------


def _scores(x: Tensor, template: Tensor) -> Tensor:
    """Correlation coefficients at every place, shape (N, H - h + 1, W - w + 1), in double precision."""
    h, w = template.shape[2:]
    tall, wide = (_blocks(n) for n in (x.shape[2] - h + 1, x.shape[3] - w + 1))
    # all blocks are equally large; a place whose template fits sees no wrapped edge
    size = [geometry.fast_length(blocks[0][1] + n - 1) for blocks, n in ((tall, h), (wide, w))]
    return _assembled([
        [
            _correlation(x[:, :, top : bottom + h - 1, left : right + w - 1], template, size)[:, above:, before:]
            for left, right, before in wide
        ]
        for top, bottom, above in tall
    ])  # fmt: skip


def _assembled(tiles: list[list[Tensor]]) -> Tensor:
    """Rows of tiles as one picture; a single tile without a copy."""
    rows = [row[0] if len(row) == 1 else torch.cat(row, -1) for row in tiles]
    return rows[0] if len(rows) == 1 else torch.cat(rows, -2)


def _blocks(places: int) -> list[tuple[int, int, int]]:
    return geometry.tiles(places, math.ceil(places / math.ceil(places / BLOCK)))


def _correlation(x: Tensor, template: Tensor, size: list[int]) -> Tensor:
    """The same for a block."""
    h, w = template.shape[2:]
    (x, flat), (template, template_flat) = _centred(x), _centred(template)
    sought = torch.fft.fft(torch.fft.rfft(template, size[1]), size[0], 2)  # rfft2 would transform rows of zeros
    products = torch.fft.irfft2(_over_channels(torch.fft.rfft2(x, size) * sought.conj_physical()), size)
    squares = _box(_over_channels(x.square()), h, w)
    squares.sub_(_over_channels(_box(x, h, w).square_()), alpha=1 / (h * w))
    norm = template.square().sum((1, 2, 3))[:, None, None]
    norm = norm.masked_fill(norm <= template_flat * h * w, torch.inf)
    root = squares.masked_fill_(squares <= flat * h * w, torch.inf).mul_(norm).sqrt_()
    return products[:, : root.shape[1], : root.shape[2]].div(root).clamp_(-1, 1)


def _centred(x: Tensor) -> tuple[Tensor, Tensor]:
    """Channels without their mean, and the mean square of a pixel below which what is left is rounding error."""
    largest = torch.maximum(x.amax((1, 2, 3)), -x.amin((1, 2, 3))).double()
    x = x.double()
    return x - x.mean((2, 3), keepdim=True), x.shape[1] * (1e-6 * largest[:, None, None]).square()


def _over_channels(x: Tensor) -> Tensor:
    return x.sum(1) if x.shape[1] > 1 else x[:, 0]  # PyTorch takes longer to sum one channel than three


def _box(x: Tensor, h: int, w: int) -> Tensor:
    """Sums over all windows of h × w pixels."""
    return _run(_run(x, -2, h), -1, w)


def _run(x: Tensor, dim: int, count: int) -> Tensor:
    """Sums of ``count`` neighbours: those of half as many and those next to them, and one more if ``count`` is odd."""
    if count == 1:
        return x
    half, size = _run(x, dim, count // 2), x.shape[dim] - count + 1
    sums = half.narrow(dim, 0, size) + half.narrow(dim, count // 2, size)
    return sums.add_(x.narrow(dim, count - 1, size)) if count % 2 else sums


def _best(scores: Tensor, count: int, radius: int) -> tuple[Tensor, Tensor]:
    """The ``count`` highest scores that are not within ``radius`` of a higher one: places (N, count, 2), scores."""
    near = torch.arange(-radius, radius + 1, device=scores.device)
    images = torch.arange(len(scores), device=scores.device)[:, None]
    order, found = _order(scores), []
    best = order.amax(2)  # of each row
    for _ in range(count):
        row = best.argmax(1, keepdim=True)
        column = order[images, row].argmax(2)
        found.append(torch.cat((row, column), 1))
        rows, columns = (row + near).clamp(0, scores.shape[1] - 1), (column + near).clamp(0, scores.shape[2] - 1)
        order[images[..., None], rows[..., None], columns[:, None]] = -torch.inf
        best[images, rows] = order[images, rows].amax(2)
    found = torch.stack(found, 1)
    return found, scores[images, found[..., 0], found[..., 1]]


def _order(scores: Tensor) -> Tensor:
    """Scores to nine places, so that rounding errors do not choose between equal ones."""
    return (scores * 1e9).round_()


def _search_around(x: Tensor, template: Tensor, centres: Tensor, radius: int) -> tuple[Tensor, Tensor]:
    """The best place within ``radius`` of each of the ``centres`` (N, K, 2), and its score (N, K)."""
    (h, w), (n, k) = template.shape[2:], centres.shape[:2]
    last = torch.tensor([x.shape[2] - h, x.shape[3] - w], device=x.device)
    reach = last.clamp(max=2 * radius)
    first = torch.minimum((centres - radius).clamp(min=0), last - reach)  # a window at the edge moves inwards
    rows = first[..., 0, None] + torch.arange(int(reach[0]) + h, device=x.device)
    columns = first[..., 1, None] + torch.arange(int(reach[1]) + w, device=x.device)
    images = torch.arange(n, device=x.device)[:, None, None, None]
    windows = x[images, :, rows[..., None], columns[:, :, None]].flatten(0, 1).movedim(-1, 1)  # (N K, C, rows, columns)
    if len(template) > 1:
        template = template.repeat_interleave(k, 0)
    found, scores = _best(_scores(windows, template), 1, 0)
    return first + found.reshape(n, k, 2), scores.reshape(n, k)


# -- registering -----------------------------------------------------------------------------------------------------


def _aligned(fixed: Tensor, moving: Tensor, shift: Tensor, iterations: int) -> Tensor:
    """The shift (N, 2) after Gauss-Newton steps on one level."""
    limit = torch.tensor(fixed.shape[2:], device=fixed.device) / 2
    active = torch.ones_like(shift[:, :1], dtype=torch.bool)
    for _ in range(iterations):
        warped, inside = _shifted(moving, shift)
        step = torch.where(active, _gauss_newton(fixed, warped, inside), 0)
        shift = torch.minimum(torch.maximum(shift + step, -limit), limit)
        active = active & (step.abs().amax(1, keepdim=True) >= 1e-4)
        if not active.any():
            break
    return shift


def _shifted(x: Tensor, shift: Tensor) -> tuple[Tensor, Tensor]:
    """Pictures moved by ``shift`` (N, 2), and 1 where they and their slopes are known, (N, 1, H, W)."""
    images, inside = torch.arange(len(x), device=x.device)[:, None], 1
    for dim in (2, 3):
        size, margin = x.shape[dim], min(1, (x.shape[dim] - 1) // 2)
        pixels = torch.arange(size, dtype=torch.float64, device=x.device)
        positions = pixels - shift[:, dim - 2, None]
        indices, weights = geometry.interpolation_taps(positions, size, torch)
        known = (torch.minimum(pixels, positions) >= margin) & (torch.maximum(pixels, positions) <= size - 1 - margin)
        shape = (len(x), 1, -1, 1) if dim == 2 else (len(x), 1, 1, -1)
        rows = x.movedim(dim, 1)  # (N, size, ...)
        taps = (rows[images, index].movedim(1, dim) for index in indices)
        x = sum(weight.to(x.dtype).reshape(shape) * tap for weight, tap in zip(weights, taps))
        inside = inside * known.to(x.dtype).reshape(shape)
    return x, inside


def _gauss_newton(fixed: Tensor, warped: Tensor, inside: Tensor) -> Tensor:
    """The shift (N, 2) that would take ``warped`` to ``fixed`` if both were planes, whatever their mean brightness."""
    count, mean = inside.sum((2, 3), keepdim=True).clamp(min=1), (fixed + warped) / 2
    values = _slope(mean, 2), _slope(mean, 3), warped - fixed
    values = [inside * (v - (inside * v).sum((2, 3), keepdim=True) / count) for v in values]
    down, right, difference = (v.flatten(1).double() for v in values)
    a, b, c = (down * down).sum(1), (down * right).sum(1), (right * right).sum(1)
    p, q = (down * difference).sum(1), (right * difference).sum(1)
    ridge = 1e-6 * (a + c)  # keeps still what nothing tells: a direction without slopes
    determinant = (a + ridge) * (c + ridge) - b * b
    step = torch.stack(((c + ridge) * p - b * q, (a + ridge) * q - b * p), 1)
    return step / torch.where(determinant > 0, determinant, torch.inf)[:, None]


def _slope(x: Tensor, dim: int) -> Tensor:
    """Half the difference of a pixel's neighbours along ``dim``; 0 at the edges, which do not count."""
    size = x.shape[dim]
    if size < 3:
        return torch.zeros_like(x)
    inner = (x.narrow(dim, 2, size - 2) - x.narrow(dim, 0, size - 2)) / 2
    edge = torch.zeros_like(x.narrow(dim, 0, 1))
    return torch.cat((edge, inner, edge), dim)


def _finite(x: Tensor) -> bool:
    return all(bool(bound.isfinite()) for bound in x.aminmax())  # which pass NaN on


def _single(x: Tensor) -> Tensor:
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


# -- dreaming --------------------------------------------------------------------------------------------------------


def _gradient(x: Tensor, features: Callable, tile: int | None) -> Tensor:
    """The gradient of what ``features`` returns, tile by tile."""
    return _assembled([
        [
            _tile_gradient(x[:, :, top:bottom, left:right], features)[:, :, above:, before:]
            for left, right, before in geometry.tiles(x.shape[3], tile)
        ]
        for top, bottom, above in geometry.tiles(x.shape[2], tile)
    ])  # fmt: skip


def _tile_gradient(x: Tensor, features: Callable) -> Tensor:
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        goal = _goal(features(x))
        if not goal.requires_grad:
            raise ValueError("features must depend on the picture it is given, by differentiable steps")
        return torch.autograd.grad(goal, x)[0]


def _goal(result: Tensor | list[Tensor]) -> Tensor:
    if isinstance(result, (list, tuple)):
        return sum(_goal(item) for item in result)
    if not isinstance(result, Tensor):
        raise TypeError(f"features must return a tensor or a list of tensors, got {type(result).__name__}")
    return result.square().mean() if result.ndim else result


def _normalised(gradient: Tensor) -> Tensor:
    """Divided by the mean of its absolute values, over each picture; 0 stays 0."""
    mean = gradient.abs().mean((1, 2, 3), keepdim=True)
    return gradient / torch.where(mean > 0, mean, 1)
