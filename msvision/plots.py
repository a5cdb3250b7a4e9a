"""Every figure of the book in one style: NumPy images (H, W, C) in, matplotlib figures out.

Images are drawn pixel for pixel: one image pixel covers a whole number of screen pixels, the same for all images of a
figure, so that what looks like a pattern is in the data and not made by the drawing.
"""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

DPI, WIDTH = 100, 6.6  # the page's column is 690 pixels wide
BLUE, ORANGE, GREEN, PINK = "#0072b2", "#e69f00", "#009e73", "#cc79a7"
SKY, RED, GREY = "#56b4e9", "#d55e00", "#666666"
"""Colours that stay apart for the colour-blind (Okabe and Ito)."""

METHODS = {
    # method: colour, marker, dashes
    "drop pixels": (RED, "X", "-"),
    "2 × 2 mean": (ORANGE, "s", "--"),
    "bilinear, antialiased": (PINK, "D", "-."),
    "binomial": (BLUE, "o", "-"),
    "PyTorch": ("#b5402a", "P", "-"),
    "TensorFlow": ("#b07d00", "^", "--"),
    "OpenCV": (GREY, "v", ":"),
}
"""How each method looks wherever it is drawn: colour, marker and line, so that it is also known in grey."""


def style() -> None:
    """Draw every figure from here on in the style of the book.

    Examples
    --------
    >>> style()
    >>> plt.rcParams["figure.dpi"]
    100.0
    """
    mpl.rcParams.update(
        {
            "figure.dpi": DPI,
            "savefig.dpi": DPI,
            "savefig.pad_inches": 0.04,
            "figure.figsize": (6.4, 3.4),
            "figure.facecolor": "white",
            "savefig.facecolor": "white",
            "figure.constrained_layout.use": True,
            "font.size": 12,
            "axes.titlesize": 12,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "grid.color": "#e5e5e5",
            "axes.axisbelow": True,
            "lines.linewidth": 2,
            "legend.frameon": False,
            "image.cmap": "gray",
            "image.interpolation": "nearest",
        }
    )


def level_colours(levels: int) -> list[tuple]:
    """One colour for each pyramid level, from finest (dark) to coarsest (light).

    Examples
    --------
    >>> len(level_colours(5))
    5
    """
    return [tuple(colour) for colour in mpl.colormaps["viridis"](np.linspace(0, 0.85, levels))]


def images(
    pictures: Sequence[np.ndarray],
    titles: Sequence[str] | None = None,
    zoom: int | Sequence[int] = 1,
    limits: tuple[float, float] = (0, 1),
    signed: bool = False,
    columns: int | None = None,
) -> Figure:
    """Pictures side by side, pixel for pixel, on one brightness scale.

    Parameters
    ----------
    pictures
        Arrays of shape (H, W), (H, W, 1) or (H, W, 3).
    titles
        A line above each.
    zoom
        Screen pixels per image pixel, one number or one for each picture.
    limits
        Values drawn black and white. Values outside are drawn as the nearest of the two.
    signed
        Draw values about zero on a diverging map, from ``-limits[1]`` (blue) by 0 (white) to ``limits[1]`` (red).
    columns
        Pictures in a row; by default all.

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        If a row is wider than the page, 660 pixels.

    Examples
    --------
    >>> figure = images([np.eye(32), np.eye(16)], ["fine", "coarse"], zoom=[2, 4])
    >>> len(figure.axes)
    2
    """
    pictures = [np.asarray(picture) for picture in pictures]
    zooms = [zoom] * len(pictures) if isinstance(zoom, int) else list(zoom)
    columns = columns or len(pictures)
    sizes = [(z * picture.shape[0], z * picture.shape[1]) for z, picture in zip(zooms, pictures)]
    gap, head = 10, 26 if titles else 4
    lines = [range(start, min(start + columns, len(pictures))) for start in range(0, len(pictures), columns)]
    widths = [sum(sizes[i][1] for i in line) + gap * (len(line) - 1) for line in lines]
    if max(widths) > WIDTH * DPI:
        raise ValueError(f"pictures of one row must be at most {WIDTH * DPI:.0f} pixels wide, got {max(widths)}")
    heights = [max(sizes[i][0] for i in line) + head for line in lines]
    width, height = max(widths), sum(heights) + gap * (len(lines) - 1)
    figure = plt.figure(figsize=(width / DPI, height / DPI), layout="none")
    top = height
    for line, row_height in zip(lines, heights):
        left = 0
        for i in line:
            h, w = sizes[i]
            box = (left / width, (top - head - h) / height, w / width, h / height)
            _draw(figure.add_axes(box), pictures[i], limits, signed)
            if titles:
                figure.axes[-1].set_title(titles[i], fontsize=12, loc="left", pad=5)
            left += w + gap
        top -= row_height + gap
    return figure


def level_strip(
    levels: Sequence[np.ndarray], titles: Sequence[str] | None = None, columns: int | None = None, signed: bool = False
) -> Figure:
    """Levels of any size side by side, each enlarged by a whole number to about the size of the finest.

    Parameters
    ----------
    levels
        Arrays of shape (H, W, C).
    titles
        A line above each; by default their sizes.
    columns, signed
        As for :func:`images`.

    Returns
    -------
    Figure

    Examples
    --------
    >>> figure = level_strip([np.zeros((65, 65, 1)), np.zeros((33, 33, 1)), np.zeros((17, 17, 1))])
    >>> [axes.get_title(loc="left") for axes in figure.axes]
    ['65 × 65', '33 × 33', '17 × 17']
    """
    finest = max(level.shape[0] for level in levels)
    titles = titles or [f"{level.shape[0]} × {level.shape[1]}" for level in levels]
    return images(levels, titles, [max(round(finest / level.shape[0]), 1) for level in levels], (0, 1), signed, columns)


def pyramid(levels: Sequence[np.ndarray], zoom: int = 1, signed: bool = False, limit: float = 1.0) -> Figure:
    """A pyramid as one picture: the finest level, and beside it the others, each under the one before.

    Parameters
    ----------
    levels
        Arrays of shape (H, W, C), finest first.
    zoom
        Screen pixels per image pixel.
    signed
        Draw all levels but the last about zero (a Laplacian pyramid); the last keeps its own range of 0 to 1.
    limit
        Largest value drawn, for signed levels.

    Returns
    -------
    Figure

    Examples
    --------
    >>> figure = pyramid([np.zeros((64, 48, 1)), np.zeros((32, 24, 1)), np.zeros((16, 12, 1))])
    >>> len(figure.axes)
    3
    """
    gap = 6
    sizes = [(zoom * level.shape[0], zoom * level.shape[1]) for level in levels]
    beside = sum(h + gap for h, _ in sizes[1:]) - gap
    width = sizes[0][1] + gap + (sizes[1][1] if len(sizes) > 1 else 0)
    height = max(sizes[0][0], beside)
    figure = plt.figure(figsize=(width / DPI, height / DPI), layout="none")
    left, top = 0, height
    for number, (level, (h, w)) in enumerate(zip(levels, sizes)):
        about_zero = signed and number < len(levels) - 1
        axes = figure.add_axes((left / width, (top - h) / height, w / width, h / height))
        _draw(axes, level, (0, limit) if about_zero else (0, 1), about_zero)
        if number == 0:
            left = w + gap
        else:
            top -= h + gap
    return figure


def spectrum(pictures: Sequence[np.ndarray], titles: Sequence[str], decibels: float = 60) -> Figure:
    """Power at every frequency, in decibels below the strongest of all pictures; zero frequency in the middle.

    Parameters
    ----------
    pictures
        Grey pictures of shape (H, W) or (H, W, 1), all of one size.
    titles
        A line above each.
    decibels
        How far down the scale goes.

    Returns
    -------
    Figure
        Axes in cycles per pixel.

    Examples
    --------
    >>> figure = spectrum([np.eye(32)], ["a diagonal"])
    """
    powers = []
    for picture in pictures:
        grey = np.reshape(picture, np.shape(picture)[:2]) - np.mean(picture)
        window = np.outer(np.hanning(grey.shape[0]), np.hanning(grey.shape[1]))
        powers.append(np.abs(np.fft.fftshift(np.fft.fft2(grey * window))) ** 2)
    strongest = max(power.max() for power in powers)
    figure, rows = plt.subplots(
        1, len(powers), figsize=(WIDTH, 0.8 * WIDTH / len(powers) + 0.6), sharey=True, squeeze=False
    )
    for axes, power, title in zip(rows[0], powers, titles):
        level = 10 * np.log10(power / strongest + 10 ** (-decibels / 10 - 1))
        drawn = axes.imshow(level, cmap="magma", vmin=-decibels, vmax=0, extent=(-0.5, 0.5, 0.5, -0.5))
        ends, words = (-0.5, 0, 0.5), ("−1/2", "0", "1/2")
        axes.set(title=title, xlabel="cycles per pixel", xticks=ends, xticklabels=words, yticks=ends, yticklabels=words)
        axes.grid(False)
    figure.colorbar(drawn, ax=rows[0], label="decibels", shrink=0.7)
    return figure


def interval(values: np.ndarray, axis: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Mean and half-width of its 95 % confidence interval (Student's t) over seeds.

    Examples
    --------
    >>> mean, half = interval(np.array([1.0, 2.0, 3.0]))
    >>> float(mean), round(float(half), 2)
    (2.0, 2.48)
    """
    from scipy import stats

    values = np.moveaxis(np.asarray(values, float), axis, 0)
    count = len(values)
    return values.mean(0), stats.t.ppf(0.975, count - 1) * values.std(0, ddof=1) / np.sqrt(count)


def _draw(axes, picture: np.ndarray, limits: tuple[float, float], signed: bool) -> None:
    picture = np.asarray(picture)
    picture = picture[..., 0] if picture.ndim == 3 and picture.shape[2] == 1 else picture
    if signed:
        grey = picture if picture.ndim == 2 else picture.mean(-1)
        axes.imshow(grey, cmap="RdBu_r", vmin=-limits[1], vmax=limits[1], interpolation="nearest")
    elif picture.ndim == 2:
        axes.imshow(picture, cmap="gray", vmin=limits[0], vmax=limits[1], interpolation="nearest")
    else:
        axes.imshow(((picture - limits[0]) / (limits[1] - limits[0])).clip(0, 1), interpolation="nearest")
    axes.set_axis_off()
