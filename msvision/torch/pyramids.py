"""Image pyramids: the same picture at many scales (chapters 1 and 2).

A pyramid is a list of images, finest first. Pixel ``i`` of a level lies on pixel ``2 i`` of the level before it, as in
Burt and Adelson (1983) and in OpenCV, so the first pixels of all levels coincide.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from msvision import checks, geometry


def downsample(x: Tensor, scale_factor: float = 0.5) -> Tensor:
    """Smooth, then keep fewer pixels: one step up a Gaussian pyramid (REDUCE in Burt and Adelson, 1983, eq. 1).

    Parameters
    ----------
    x : Tensor, shape (N, C, H, W)
        Images, any number of channels, floating-point, any range.
    scale_factor
        Size of the result relative to ``x``. For 0.5 the filter is the binomial (1, 4, 6, 4, 1) / 16 in each direction,
        mirrored at the borders, which is OpenCV's ``pyrDown``; for other factors, a Gaussian
        (:func:`msvision.geometry.gaussian_taps`).

    Returns
    -------
    Tensor, shape (N, C, ceil(scale_factor H), ceil(scale_factor W))
        Same type and range as ``x``.

    Raises
    ------
    TypeError
        If ``x`` is not a floating-point tensor, or ``scale_factor`` is not a number.
    ValueError
        If ``x`` is empty or not 4-D, or ``scale_factor`` is not between 0 and 1.

    Examples
    --------
    >>> row = torch.tensor([0.0, 0, 0, 16, 0, 0, 0]).reshape(1, 1, 1, 7)
    >>> downsample(row).flatten().tolist()
    [0.0, 4.0, 4.0, 0.0]
    """
    _check(x)
    if geometry.check_scale_factor(scale_factor) == 0.5:
        return _halved(_halved(x, 2), 3)
    for dim in (2, 3):
        x = _gather(x, dim, *geometry.gaussian_taps(x.shape[dim], scale_factor, torch))
    return x


def upsample(x: Tensor, size: tuple[int, int] | None = None, scale_factor: float = 2.0) -> Tensor:
    """Put the pixels of a coarser level back on a finer grid: one step down a pyramid (EXPAND in Burt and Adelson, eq. 2).

    Parameters
    ----------
    x : Tensor, shape (N, C, H, W)
        Images, any number of channels, floating-point, any range.
    size
        Height and width of the finer level. By default ``scale_factor`` times those of ``x``, rounded up; give it where
        the finer level's size is odd.
    scale_factor
        How much finer the new grid is. For 2, new pixels are (1, 6, 1) / 8 and (4, 4) / 8 of their neighbours, which is
        OpenCV's ``pyrUp``, borders included; for other factors, linear interpolation.

    Returns
    -------
    Tensor, shape (N, C, \\*size)

    Raises
    ------
    TypeError, ValueError
        As :func:`downsample`; also if ``size`` is one that :func:`downsample` would not reduce to ``x``'s.

    Examples
    --------
    >>> row = torch.tensor([0.0, 8, 0]).reshape(1, 1, 1, 3)
    >>> upsample(row, size=(1, 5)).flatten().tolist()
    [2.0, 4.0, 6.0, 4.0, 1.0]
    """
    _check(x)
    return _enlarge(x, checks.check_upsample(size, tuple(x.shape[2:]), scale_factor), scale_factor)


def gaussian_pyramid(x: Tensor, levels: int, scale_factor: float = 0.5) -> list[Tensor]:
    """The image at ever coarser scales (Burt and Adelson, 1983, section 2).

    Parameters
    ----------
    x : Tensor, shape (N, C, H, W)
        Images, floating-point, any range.
    levels
        Number of levels, ``x`` itself counted as the first.
    scale_factor
        Size of each level relative to the one before it.

    Returns
    -------
    list of Tensor
        Finest first; level ``l`` is ``ceil(scale_factor size)`` of level ``l - 1``.

    Raises
    ------
    TypeError, ValueError
        As :func:`downsample`; also if the image does not have so many levels.

    Examples
    --------
    >>> [tuple(level.shape) for level in gaussian_pyramid(torch.rand(1, 3, 65, 47), levels=3)]
    [(1, 3, 65, 47), (1, 3, 33, 24), (1, 3, 17, 12)]
    """
    _check(x)
    result = [x]
    for _ in range(checks.check_levels(levels, tuple(x.shape[2:]), geometry.check_scale_factor(scale_factor)) - 1):
        result.append(downsample(result[-1], scale_factor))
    return result


def laplacian_pyramid(x: Tensor, levels: int, scale_factor: float = 0.5) -> list[Tensor]:
    """What each level shows that the next coarser one cannot, and the coarsest level itself (Burt and Adelson, eq. 3).

    Parameters
    ----------
    x, levels, scale_factor
        As for :func:`gaussian_pyramid`.

    Returns
    -------
    list of Tensor
        Finest first, sizes as in :func:`gaussian_pyramid`. All but the last are differences centred on zero; the last is
        the coarsest Gaussian level.

    Raises
    ------
    TypeError, ValueError
        As :func:`gaussian_pyramid`.

    Examples
    --------
    >>> x = torch.rand(1, 3, 65, 47)
    >>> bool(torch.allclose(reconstruct(laplacian_pyramid(x, levels=4)), x, atol=1e-6))
    True
    """
    levels = gaussian_pyramid(x, levels, scale_factor)
    finer_and_coarser = zip(levels, levels[1:])
    # in place, since fresh memory would cost more than the sum
    return [_to_size_of(g, -up, scale_factor).add_(g) for g, up in finer_and_coarser] + levels[-1:]


def reconstruct(levels: list[Tensor], scale_factor: float = 0.5) -> Tensor:
    """The image that a Laplacian pyramid was made from (Burt and Adelson, 1983, eq. 4).

    Parameters
    ----------
    levels : list of Tensor
        A Laplacian pyramid, finest first.
    scale_factor
        The factor it was made with.

    Returns
    -------
    Tensor, shape of ``levels[0]``
        Equal to the original up to rounding, whatever the sizes.

    Raises
    ------
    TypeError, ValueError
        If ``levels`` is not a list of images whose sizes follow each other as those of a pyramid do.

    Examples
    --------
    >>> flat = [torch.zeros(1, 1, 5, 5), torch.ones(1, 1, 3, 3)]
    >>> reconstruct(flat).unique().tolist()
    [1.0]
    """
    _check_levels(levels, scale_factor)
    x = levels[-1]
    for level in reversed(levels[:-1]):
        x = level + _to_size_of(level, x, scale_factor)
    return x


def octaves(x: Tensor, count: int, scales: int = 3) -> list[Tensor]:
    """A denser pyramid: ``scales`` images for every halving of the size (an octave).

    Every ``scales``-th image is a level of :func:`gaussian_pyramid`; those between are made from the octave's first image
    (Dollár et al., 2014, section 4), so that errors do not add up.

    Parameters
    ----------
    x : Tensor, shape (N, C, H, W)
        Images, floating-point, any range.
    count
        Number of octaves.
    scales
        Images per octave; image ``j`` of an octave has ``2 ** (-j / scales)`` times the size of its first.

    Returns
    -------
    list of ``count * scales`` Tensors
        Finest first.

    Raises
    ------
    TypeError, ValueError
        As :func:`gaussian_pyramid`, for ``count``; also if ``scales`` is less than 1.

    Examples
    --------
    >>> [image.shape[-1] for image in octaves(torch.rand(1, 3, 64, 64), count=2, scales=2)]
    [64, 46, 32, 23]
    """
    geometry.check_count("scales", scales)
    _check(x)
    checks.check_levels(count, tuple(x.shape[2:]), name="count")
    return [
        first if scale == 0 else downsample(first, 2 ** (-scale / scales))
        for first in gaussian_pyramid(x, count)
        for scale in range(scales)
    ]


def gaussian_stack(x: Tensor, levels: int) -> list[Tensor]:
    """The levels of a Gaussian pyramid at the size of the image: smoothed as much, but never sampled.

    Each level filters the one before it with the binomial kernel whose taps stand ``2 ** (l - 1)`` pixels apart (the
    algorithm *à trous*, with holes: Holschneider et al., 1989). Every ``2 ** l``-th pixel of level ``l`` is the pyramid's
    level, exactly where both sizes are 1 more than a multiple of ``2 ** (levels - 1)`` and else but for the far borders.

    Parameters
    ----------
    x : Tensor, shape (N, C, H, W)
        Images, floating-point, any range.
    levels
        Number of levels, ``x`` itself counted as the first.

    Returns
    -------
    list of Tensor, each of shape (N, C, H, W)
        Finest first.

    Raises
    ------
    TypeError, ValueError
        As :func:`gaussian_pyramid`.

    Examples
    --------
    >>> x = torch.rand(1, 1, 9, 9)
    >>> bool(torch.allclose(gaussian_stack(x, 3)[2][..., ::4, ::4], gaussian_pyramid(x, 3)[2]))
    True
    """
    _check(x)
    result = [x]
    for level in range(checks.check_levels(levels, tuple(x.shape[2:])) - 1):
        rate = 2**level
        result.append(_smoothed(_smoothed(result[-1], 2, rate), 3, rate))
    return result


def blend(a: Tensor, b: Tensor, mask: Tensor, levels: int) -> Tensor:
    """Join two images along a mask, each band of detail over a width that suits it (Burt and Adelson, ACM TOG, 1983).

    Parameters
    ----------
    a, b : Tensor, shape (N, C, H, W)
        Images of one size, floating-point, any range.
    mask : Tensor, shape (N or 1, C or 1, H, W)
        1 where ``a`` is to be seen, 0 where ``b`` is.
    levels
        Number of pyramid levels: the coarsest detail is joined over about ``2 ** levels`` pixels.

    Returns
    -------
    Tensor, shape (N, C, H, W)
        May leave the range of ``a`` and ``b`` a little near the seam.

    Raises
    ------
    TypeError, ValueError
        As :func:`gaussian_pyramid`; also if the sizes do not match.

    Examples
    --------
    >>> a, b = torch.ones(1, 3, 32, 32), torch.zeros(1, 3, 32, 32)
    >>> mask = (torch.arange(32) < 16).float().expand(1, 1, 32, 32)
    >>> seam = blend(a, b, mask, levels=4)[0, 0, 0]
    >>> bool((seam.diff() <= 1e-6).all()), round(float(seam[15] - seam[16]), 2)
    (True, 0.06)
    """
    for name, tensor in (("a", a), ("b", b), ("mask", mask)):
        _check(tensor, name)
    checks.check_blend(tuple(a.shape), tuple(b.shape), tuple(mask.shape), "NCHW")
    bands = zip(laplacian_pyramid(a, levels), laplacian_pyramid(b, levels), gaussian_pyramid(mask, levels))
    return reconstruct([m * band_a + (1 - m) * band_b for band_a, band_b, m in bands])


def merge_levels(levels: list[Tensor]) -> Tensor:
    """Bring every level to the size of the finest and concatenate the channels.

    Level ``l`` is upsampled ``l`` times by 2 with :func:`upsample`, which keeps what is in one place in one place.

    Parameters
    ----------
    levels : list of Tensor, shapes (N, C_l, H_l, W_l)
        Images or feature maps, finest first, each half the size of the one before it, rounded up.

    Returns
    -------
    Tensor, shape (N, C_0 + C_1 + ..., H_0, W_0)
        Channels of the finest level first.

    Raises
    ------
    TypeError, ValueError
        If ``levels`` is not such a list.

    Examples
    --------
    >>> merge_levels(gaussian_pyramid(torch.rand(1, 3, 17, 9), levels=3)).shape
    torch.Size([1, 9, 17, 9])
    """
    _check_levels(levels, 0.5)
    merged = levels[-1]
    for level in reversed(levels[:-1]):
        merged = torch.cat((level, _to_size_of(level, merged, 0.5)), dim=1)
    return merged


class PyramidFeatures(nn.Module):
    """A convolution on every level of a pyramid: the simplest network that looks at several scales.

    Parameters
    ----------
    in_channels
        Channels of the images.
    out_channels
        Channels of every level's features.
    levels
        Number of pyramid levels, the image itself counted as the first.
    kernel_size
        Side of the convolutions, in pixels; they keep the size of their level ("same" zero padding).
    shared
        One convolution for all levels, so that it finds one pattern at every size, or one for each.
    laplacian
        Whether the levels are those of a Laplacian pyramid.

    Returns
    -------
    list of Tensor, shapes (N, out_channels, H_l, W_l)
        Finest first; :func:`merge_levels` makes one tensor of them.

    Raises
    ------
    TypeError, ValueError
        If an argument is not a positive whole number; in the call, as :func:`gaussian_pyramid`.

    Examples
    --------
    >>> features = PyramidFeatures(in_channels=3, out_channels=8, levels=3)
    >>> [tuple(f.shape) for f in features(torch.rand(1, 3, 33, 20))]
    [(1, 8, 33, 20), (1, 8, 17, 10), (1, 8, 9, 5)]
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        levels: int,
        kernel_size: int = 3,
        shared: bool = False,
        laplacian: bool = False,
    ):
        super().__init__()
        geometry.check_count("in_channels", in_channels)
        geometry.check_count("out_channels", out_channels)
        geometry.check_count("kernel_size", kernel_size)
        self.levels = geometry.check_count("levels", levels)
        self.shared, self.laplacian = shared, laplacian
        count = 1 if shared else levels
        self.convs = nn.ModuleList(
            nn.Conv2d(in_channels, out_channels, kernel_size, padding="same") for _ in range(count)
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        pyramid = laplacian_pyramid if self.laplacian else gaussian_pyramid
        convs = [self.convs[0]] * self.levels if self.shared else self.convs
        return [conv(level) for conv, level in zip(convs, pyramid(x, self.levels))]

    def extra_repr(self) -> str:
        return f"levels={self.levels}, shared={self.shared}, laplacian={self.laplacian}"


# -- one dimension at a time -----------------------------------------------------------------------------------------


def _binomial(x: Tensor, dim: int, step: int = 1, rate: int = 1) -> Tensor:
    """Weights (1, 4, 6, 4, 1) / 16 on pixels ``rate`` apart, for every ``step``-th pixel along ``dim``."""
    size, margin = x.shape[dim], 2 * rate
    if size <= 2 * margin:
        return _weighted(_at(x, dim, (-margin, size + margin)), dim, step, rate)
    # ``margin / step`` pixels at either end look over an edge: they need mirrored copies, the picture itself none
    reach = 3 * margin + 1 - step  # so many positions do those at one end look at
    stop = (size - 1) // step * step + margin + 1  # behind the last of them
    first, last = _at(x, dim, (-margin, reach - margin)), _at(x, dim, (stop - reach, stop))
    return torch.cat([_weighted(part, dim, step, rate) for part in (first, x, last)], dim)


def _weighted(x: Tensor, dim: int, step: int, rate: int) -> Tensor:
    """The same where all five pixels lie within ``x``."""
    index, stop = [slice(None)] * 4, x.shape[dim] - 4 * rate

    def tap(k: int) -> Tensor:  # a view: no pixel is copied
        index[dim] = slice(k * rate, k * rate + stop, step)
        return x[tuple(index)]

    ends, shoulders = tap(0) + tap(4), tap(1) + tap(3)
    return ends.add_(shoulders, alpha=4).add_(tap(2), alpha=6).mul_(1 / 16)


def _smoothed(x: Tensor, dim: int, rate: int = 1) -> Tensor:
    """``_binomial(x, dim, rate=rate)``; where no gradient is recorded, with no memory but that of the result."""
    size = x.shape[dim]
    if size <= 2 * rate or _recorded(x):
        return _binomial(x, dim, rate=rate)
    y = x * 6
    for distance, weight in ((rate, 4), (2 * rate, 1)):
        rest = size - distance
        y.narrow(dim, distance, rest).add_(x.narrow(dim, 0, rest), alpha=weight)
        y.narrow(dim, 0, distance).add_(x.narrow(dim, 1, distance).flip(dim), alpha=weight)  # mirrored
        y.narrow(dim, 0, rest).add_(x.narrow(dim, distance, rest), alpha=weight)
        y.narrow(dim, rest, distance).add_(x.narrow(dim, rest - 1, distance).flip(dim), alpha=weight)
    return y.mul_(1 / 16)


def _halved(x: Tensor, dim: int) -> Tensor:
    """``_binomial(x, dim, step=2)``; where no gradient is recorded, in fewer passes over the picture.

    With ``pair[i] = even[i] + 4 odd[i]``, pixel ``i`` is ``pair[i] + 5 even[i] + pair[i - 1] + even[i + 1]``, over 16: a
    processor waits for memory longer than it adds, so what is read once is used twice and sums grow where they stay.
    """
    size = x.shape[dim]
    if size < 4 or _in_graph():
        return _binomial(x, dim, step=2)
    recorded = _recorded(x)
    if dim == 2 and _on_mkldnn(x) and x.numel() >= (2**17 if recorded else 2**21):  # from which it is the faster way
        return _halved_columns(x)
    if recorded:
        return _binomial(x, dim, step=2)

    def pair(even: Tensor, odd: Tensor) -> Tensor:
        return torch.add(even, odd, alpha=4)

    def line(k: int) -> Tensor:  # for what is mirrored at the ends
        return x.narrow(dim, k, 1)

    even, odd = (x[:, :, start::2] if dim == 2 else x[..., start::2] for start in (0, 1))
    if dim == 3:
        even = even.contiguous()  # every second pixel is slow to add, but quick to copy
    pairs, others = pair(even.narrow(dim, 0, size // 2), odd), even.shape[dim] - 1
    if size % 2:
        pairs = torch.cat((pairs, pair(line(-1), line(-2))), dim)
    y = pairs.add(even, alpha=5)
    y.narrow(dim, 1, others).add_(pairs.narrow(dim, 0, others))
    y.narrow(dim, 0, 1).add_(pair(line(2), line(1)))
    y.narrow(dim, 0, others).add_(even.narrow(dim, 1, others))
    y.narrow(dim, others, 1).add_(line(-3 if size % 2 else -2))
    return y.mul_(1 / 16)


def _halved_columns(x: Tensor) -> Tensor:
    """``_binomial(x, 2, step=2)`` as one convolution with as many channels as the picture has columns.

    All columns are filtered alike, so each can be a channel of its own: that is how they lie in memory, and the processor
    reads a pixel once instead of five times. The convolution sees zeros beyond its ends, which are made again, mirrored.
    """
    width = x.shape[3]
    kernel = x.new_tensor(geometry.BINOMIAL).expand(width, 1, 1, 5)

    def convolved(x: Tensor, step: int, margin: int) -> Tensor:
        columns = x.reshape(-1, 1, x.shape[2], width).permute(0, 3, 1, 2)  # (N C, W, 1, H)
        y = torch.conv2d(columns, kernel, stride=(1, step), padding=(0, margin), groups=width)
        return y.permute(0, 2, 3, 1).reshape(*x.shape[:2], -1, width)

    y = convolved(x, 2, 2)
    last = y.shape[2] - 1
    y[:, :, ::last] = convolved(_at(x, 2, (-2, 3), (2 * last - 2, 2 * last + 3)), 5, 0)
    return y


def _at(x: Tensor, dim: int, *spans: tuple[int, int]) -> Tensor:
    """Copies of pixels from start to stop along ``dim``; those beyond an edge are mirrored, however small the image."""
    positions = torch.cat([torch.arange(start, stop, device=x.device) for start, stop in spans])
    return x.index_select(dim, geometry.reflect(positions, x.shape[dim], torch))


def _expand(x: Tensor, dim: int, size: int) -> Tensor:
    """Twice as many pixels: (1, 6, 1) / 8 on a pixel and (4, 4) / 8 between two; mirrored before, repeated after."""
    if not _recorded(x):
        return _expanded(x, dim).narrow(dim, 0, size)
    count = x.shape[dim]
    padded = torch.cat((x.narrow(dim, min(1, count - 1), 1), x, x.narrow(dim, count - 1, 1)), dim)
    between = padded.narrow(dim, 0, count + 1).lerp(padded.narrow(dim, 1, count + 1), 1 / 2)
    before, between = between.narrow(dim, 0, count), between.narrow(dim, 1, count)
    doubled = _interleaved(before.lerp(between, 1 / 2).lerp(x, 1 / 2), between, dim)
    if _in_graph():  # a view's strides would tie the graph to even sizes, or to odd ones
        return doubled.index_select(dim, torch.arange(size, device=x.device))
    return doubled.narrow(dim, 0, size)


def _expanded(x: Tensor, dim: int) -> Tensor:
    """The same in place: ``between`` is the mean of a pixel and the next, ``on`` that of the pixel and its two ``between``.

    The first pixel's neighbours are alike, since the picture is mirrored there, and so are its two ``between``.
    """
    if dim == 2:
        doubled = x.new_empty(*x.shape[:2], 2 * x.shape[2], x.shape[3])
        on, between = doubled[:, :, ::2], doubled[:, :, 1::2]
    else:
        on, between = torch.empty_like(x), torch.empty_like(x)
    count = x.shape[dim] - 1
    between.copy_(x).narrow(dim, 0, count).lerp_(x.narrow(dim, 1, count), 1 / 2)
    on.copy_(between).narrow(dim, 1, count).lerp_(between.narrow(dim, 0, count), 1 / 2)
    on.lerp_(x, 1 / 2)
    return doubled if dim == 2 else _interleaved(on, between, 3)


def _interleaved(a: Tensor, b: Tensor, dim: int) -> Tensor:
    if dim == 3 and a.dtype in (torch.float32, torch.float64) and not _in_graph():
        return torch.view_as_real(torch.complex(a, b)).flatten(3)  # torch.stack moves pixel by pixel
    return torch.stack((a, b), dim + 1).flatten(dim, dim + 1)


def _gather(x: Tensor, dim: int, indices: Tensor, weights: Tensor) -> Tensor:
    """Weighted sums of pixels: ``out[i] = sum over k of weights[k, i] x[indices[k, i]]`` along ``dim``."""
    indices, weights = indices.to(x.device), weights.to(x.device, x.dtype)
    shape = (-1, 1) if dim == 2 else (-1,)
    return sum(weights[k].reshape(shape) * x.index_select(dim, indices[k]) for k in range(len(indices)))


def _to_size_of(finer: Tensor, coarser: Tensor, scale_factor: float) -> Tensor:
    return _enlarge(coarser, tuple(finer.shape[2:]), 1 / scale_factor)


def _enlarge(x: Tensor, size: tuple[int, int], scale_factor: float) -> Tensor:
    for dim, wanted in ((3, size[1]), (2, size[0])):  # rows last: whole rows are quick to place
        if scale_factor == 2:
            x = _expand(x, dim, wanted)
        else:
            x = _gather(x, dim, *geometry.linear_taps(wanted, x.shape[dim], scale_factor, torch))
    return x


def _recorded(x: Tensor) -> bool:
    """Whether what is done to ``x`` is kept for a gradient or a graph, and should be a formula without assignments."""
    return _in_graph() or (torch.is_grad_enabled() and x.requires_grad)


def _in_graph() -> bool:
    return torch.compiler.is_compiling() or torch.jit.is_tracing()


def _on_mkldnn(x: Tensor) -> bool:
    return x.device.type == "cpu" and x.dtype == torch.float32 and torch.backends.mkldnn.is_available()


def _check(x: Tensor, name: str = "x") -> None:
    if not isinstance(x, Tensor):
        raise TypeError(f"{name} must be a torch.Tensor, got {type(x).__name__}")
    checks.check_image(tuple(x.shape), x.is_floating_point(), x.dtype, "NCHW", name)


def _check_levels(levels: list[Tensor], scale_factor: float) -> None:
    checks.check_level_list(levels)
    for number, level in enumerate(levels):
        _check(level, f"levels[{number}]")
    checks.check_level_sizes([tuple(level.shape[2:]) for level in levels], geometry.check_scale_factor(scale_factor))
