"""Every figure of the book in one style: NumPy images (H, W, C) in, matplotlib figures out.

Images are drawn pixel for pixel: one image pixel covers a whole number of screen pixels, the same for all images of a
figure, so that what looks like a pattern is in the data and not made by the drawing.
"""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from msvision import metrics

DPI, WIDTH = 100, 6.6  # the page's column is 690 pixels wide
BLUE, ORANGE, GREEN, PINK = "#0072b2", "#e69f00", "#009e73", "#cc79a7"
SKY, RED, GREY = "#56b4e9", "#d55e00", "#666666"
"""Colours that stay apart for the colour-blind (Okabe and Ito)."""

CLASSES = (
    *(BLUE, ORANGE, GREEN, PINK, SKY, RED, "#f0e442", "#332288"),
    *("#999933", "#882255", "#44aa99", "#ddcc77", "#aa4499", "#117733", "#6699cc", "#bbbbbb"),
)
"""Colours of classes in pictures of segmentation (Okabe and Ito's, then Tol's)."""

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
    gap, head = 10, 8 + 18 * max(title.count("\n") + 1 for title in titles) if titles else 4
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
    low, high = metrics.t_interval(values, axis=axis)
    return (low + high) / 2, (high - low) / 2


def feature_maps(
    levels: Sequence[np.ndarray], names: Sequence[str] | None = None, columns: int | None = None
) -> Figure:
    """Feature maps as their mean over channels, in grey, each from its own least to its greatest value, which it says.

    A map that is the same everywhere is drawn half way between black and white.

    Parameters
    ----------
    levels
        Arrays of shape (H, W, C), any range.
    names
        What to call each; by default its size.
    columns
        Maps in a row; by default all.

    Returns
    -------
    Figure

    Examples
    --------
    >>> figure = feature_maps([np.eye(48)[..., None], np.eye(24)[..., None] - 2])
    >>> [axes.get_title(loc="left") for axes in figure.axes]
    ['48 × 48\\n0 to 1', '24 × 24\\n−2 to −1']
    """
    means = [np.asarray(level, "float64").mean(-1) for level in levels]
    names = names or [f"{mean.shape[0]} × {mean.shape[1]}" for mean in means]
    ranges = [(mean.min(), mean.max()) for mean in means]
    titles = [f"{name}\n{low:.2g} to {high:.2g}".replace("-", "−") for name, (low, high) in zip(names, ranges)]
    spread = [(mean - low, high - low) for mean, (low, high) in zip(means, ranges)]
    grey = [above / height if height > 0 else np.full_like(above, 0.5) for above, height in spread]
    width = max(mean.shape[1] for mean in means)
    fits = [int((WIDTH * DPI + 10) // count - 10) // width for count in range(1, len(means) + 1)]  # zooms
    if columns is None:  # as many as leave room for a title
        columns = max([count for count, zoom in enumerate(fits, 1) if zoom * width >= 130], default=1)
    finest = max(mean.shape[0] for mean in means)
    zooms = [max(fits[columns - 1], 1) * max(round(finest / mean.shape[0]), 1) for mean in means]
    return images(grey, titles, zooms, columns=columns)


def class_colours(count: int) -> np.ndarray:
    """A colour for each class, in the order in which they stay apart best, as numbers from 0 to 1.

    Returns
    -------
    array of shape (count, 3)

    Examples
    --------
    >>> class_colours(2).round(2).tolist()
    [[0.0, 0.45, 0.7], [0.9, 0.62, 0.0]]
    """
    if count > len(CLASSES):
        raise ValueError(f"count must be at most {len(CLASSES)}, the colours that stay apart, got {count}")
    return np.array([mpl.colors.to_rgb(colour) for colour in CLASSES[:count]])


def segmentation(
    pictures: Sequence[np.ndarray],
    labels: Sequence[np.ndarray],
    predictions: Sequence[np.ndarray],
    names: Sequence[str],
    titles: Sequence[str] = ("good", "typical", "worst"),
    background: int | None = None,
) -> Figure:
    """Images, what is in them, and what a model found, a row for each, with the classes' colours below.

    They are enlarged by the whole number that fits the page. Where three in a row would be small or too wide, images are
    not shown by themselves, only under the classes' colours. Wider than 320 pixels they do not fit at all.

    Parameters
    ----------
    pictures
        Arrays of shape (H, W, 3) or (H, W, 1), range 0 to 1: by custom a good result, a typical one and the worst
        (:func:`msvision.metrics.good_typical_worst`).
    labels, predictions
        Class of every pixel, shape (H, W). Labels beyond the names are drawn black and called "not counted".
    names
        What the classes are called.
    titles
        What to write above each row's picture.
    background
        A class that is left grey.

    Returns
    -------
    Figure

    Examples
    --------
    >>> photograph, truth = np.full((64, 64, 3), 0.5), np.eye(64, dtype=int)
    >>> figure = segmentation([photograph], [truth], [1 - truth], ["off", "on"], ["swapped"])
    >>> [text.get_text() for text in figure.legends[0].texts]
    ['off', 'on']
    """
    colours = class_colours(len(names))
    shown, heads = [], []
    widest = max(np.shape(picture)[1] for picture in pictures)
    zooms = {columns: int((WIDTH * DPI - 20) // (columns * widest)) for columns in (3, 2)}
    columns = 3 if zooms[3] * widest >= 150 else 2
    for row, (picture, *maps) in enumerate(zip(pictures, labels, predictions)):
        painted = [_painted(picture, classes, colours, background) for classes in maps]
        shown += [np.broadcast_to(picture, (*np.shape(picture)[:2], 3)), *painted][-columns:]
        words = ("labels", "prediction") if row == 0 else ("", "")
        heads += [titles[row], *words] if columns == 3 else [f"{titles[row]}{', labels' if row == 0 else ''}", words[1]]
    figure = images(shown, heads, max(zooms[columns], 1), columns=columns)
    seen = np.unique(np.concatenate([np.ravel(m) for m in (*labels, *predictions)]))
    patches = [
        mpl.patches.Patch(color=colours[label], label=names[label])
        for label in seen
        if label < len(names) and label != background
    ]
    if seen.max() >= len(names):
        patches.append(mpl.patches.Patch(color="black", label="not counted"))
    if patches:
        _legend_below(figure, patches)
    return figure


def curves(
    series: dict[str, np.ndarray],
    x: Sequence[float] | None = None,
    xlabel: str = "step",
    ylabel: str = "loss",
    logarithmic: bool = False,
    axes: Axes | None = None,
) -> Figure:
    """Lines with their names at their ends; over several seeds the mean, and its 95 % interval as a band.

    Parameters
    ----------
    series
        For each name, numbers of shape (points,), or (seeds, points).
    x
        Where the points are; by default 1, 2, 3, …
    xlabel, ylabel
        Words at the axes.
    logarithmic
        Whether the vertical axis is.
    axes
        Where to draw; by default in a figure of their own.

    Returns
    -------
    Figure

    Examples
    --------
    >>> figure = curves({"FPN": np.random.default_rng(0).random((3, 20)), "last level": np.linspace(1, 0, 20)})
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['last level', 'FPN']
    """
    axes = axes or plt.subplots(figsize=(WIDTH, 3.2))[1]
    ends = {}
    for number, (name, values) in enumerate(series.items()):
        colour, _, dashes = _look(name, number)
        values = np.asarray(values, "float64")
        places = np.arange(1, values.shape[-1] + 1) if x is None else np.asarray(x)
        mean, half = interval(values) if values.ndim == 2 and len(values) > 1 else (np.atleast_2d(values)[0], None)
        axes.plot(places, mean, color=colour, linestyle=dashes)
        if half is not None:
            axes.fill_between(places, mean - half, mean + half, color=colour, alpha=0.2, linewidth=0)
        ends[name] = (places[-1], mean[-1], colour)
    axes.set(xlabel=xlabel, ylabel=ylabel, yscale="log" if logarithmic else "linear")
    _names_at_ends(axes, ends)
    return axes.figure


def history(run) -> Figure:
    """The losses of a training run, with their mean over a fiftieth of the steps, and its metrics below them.

    Parameters
    ----------
    run : History
        What ``fit`` returns.

    Returns
    -------
    Figure

    Examples
    --------
    >>> from msvision.training import History
    >>> figure = history(History(losses=[2.0, 1.0, 0.5], evaluated=[3], metrics={"mIoU": [0.4]}))
    >>> [axes.get_ylabel() for axes in figure.axes]
    ['loss', 'mIoU']
    """
    rows = 1 + len(run.metrics)
    figure, panels = plt.subplots(rows, figsize=(WIDTH, 1.2 + 1.8 * rows), sharex=True, squeeze=False)
    losses, steps = np.asarray(run.losses), np.arange(1, len(run.losses) + 1)
    width = max(len(losses) // 50, 1)
    panels[0, 0].plot(steps, losses, color=BLUE, linewidth=1, alpha=0.35 if width > 1 else 1)
    if width > 1:
        smooth = np.convolve(losses, np.ones(width) / width, "valid")
        panels[0, 0].plot(steps[width - 1 :], smooth, color=BLUE)
    panels[0, 0].set(ylabel="loss")
    for axes, (name, values) in zip(panels[1:, 0], run.metrics.items()):
        axes.plot(run.evaluated, values, "o-", color=BLUE)
        axes.set(ylabel=name)
    panels[-1, 0].set(xlabel="step")
    return figure


def pareto(
    points: dict[str, tuple[float, ...]], xlabel: str, ylabel: str, logarithmic: bool = True, axes: Axes | None = None
) -> Figure:
    """What each method costs and how good it is; a line joins those that nothing cheaper equals.

    Parameters
    ----------
    points
        For each name its cost and its quality, and perhaps the half-width of the quality's interval.
    xlabel, ylabel
        What the cost and the quality are, with units.
    logarithmic
        Whether the cost's axis is.
    axes
        Where to draw; by default in a figure of its own.

    Returns
    -------
    Figure

    Examples
    --------
    >>> figure = pareto({"small": (1, 0.6), "large": (9, 0.8, 0.02), "slow": (8, 0.5)}, "ms", "mIoU")
    >>> figure.axes[0].lines[0].get_ydata().tolist()  # "slow" is not on the line
    [0.6, 0.8]
    """
    axes = axes or plt.subplots(figsize=(WIDTH, 3.6))[1]
    front, best = [], -np.inf
    for cost, quality, *_ in sorted(points.values(), key=lambda point: (point[0], -point[1])):
        if quality > best:
            front.append((cost, quality))
            best = quality
    axes.plot(*zip(*front), color="#bbbbbb", drawstyle="steps-post", linewidth=1.5, zorder=1)
    for number, (name, (cost, quality, *half)) in enumerate(points.items()):
        colour, marker, _ = _look(name, number)
        axes.errorbar(cost, quality, half[0] if half else None, color=colour, marker=marker, markersize=9, capsize=3)
        if (
            cost,
            quality,
        ) in front:  # nothing can be to the upper left of it, and nothing but others to its lower right
            where = {"xytext": (-7, 4), "ha": "right", "va": "bottom"}
        else:
            where = {"xytext": (7, -4), "ha": "left", "va": "top"}
        axes.annotate(name, (cost, quality), textcoords="offset points", color=colour, **where)
    axes.set(xlabel=xlabel, ylabel=ylabel, xscale="log" if logarithmic else "linear")
    if logarithmic:
        axes.xaxis.set_major_formatter(mpl.ticker.FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_formatter(mpl.ticker.NullFormatter())
    axes.margins(x=0.25, y=0.15)
    return axes.figure


def level_weights(weights: dict[str, np.ndarray], levels: Sequence[str] | None = None) -> Figure:
    """How much each method makes of each level: bars in the levels' colours, and over several seeds the 95 % interval.

    Parameters
    ----------
    weights
        For each name, a number for each level, finest first: shape (levels,), or (seeds, levels).
    levels
        What the levels are called; by default "level 0 (finest)" and so on.

    Returns
    -------
    Figure

    Examples
    --------
    >>> figure = level_weights({"fine task": [0.6, 0.4], "coarse task": [0.4, 0.6]})
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['0.60', '0.40', '0.40', '0.60']
    """
    summaries = []
    for values in weights.values():
        values = np.atleast_2d(np.asarray(values, "float64"))
        summaries.append(interval(values) if len(values) > 1 else (values[0], np.full(values.shape[1], np.nan)))
    means, halves = (np.array(part).T for part in zip(*summaries))  # (levels, methods)
    count = len(means)
    levels = levels or ["level 0 (finest)", *(f"level {level}" for level in range(1, count))]
    figure, axes = plt.subplots(figsize=(WIDTH, 3.2))
    width = 0.8 / count
    for level, colour in enumerate(level_colours(count)):
        places = np.arange(len(weights)) + (level - (count - 1) / 2) * width
        known = None if np.isnan(halves).all() else np.nan_to_num(halves[level])
        bars = axes.bar(places, means[level], 0.92 * width, yerr=known, capsize=3, color=colour, label=levels[level])
        axes.bar_label(bars, fmt="%.2f", padding=2, fontsize=11)
    axes.set(xticks=range(len(weights)), xticklabels=list(weights), ylabel="weight")
    axes.margins(y=0.12)
    axes.grid(axis="x", visible=False)
    figure.legend(loc="outside lower center", ncols=count)
    return figure


def _look(name: str, number: int) -> tuple:
    """Colour, marker and dashes of a method: its own, or those of its place."""
    colours = (BLUE, RED, GREEN, ORANGE, PINK, SKY, GREY)
    return METHODS.get(name) or (colours[number % 7], "osD^vPX"[number % 7], ("-", "--", "-.", ":")[number % 4])


def _names_at_ends(axes: Axes, ends: dict[str, tuple]) -> None:
    """A name at the right end of each line, moved up or down where two would touch."""
    axes.autoscale_view()
    axes.figure.draw_without_rendering()
    line, last = 17.0, -np.inf  # screen pixels
    for name, (x, y, colour) in sorted(ends.items(), key=lambda item: item[1][1]):
        height = axes.transData.transform((x, y))[1] * DPI / axes.figure.dpi
        last = max(height, last + line)
        move = (8, (last - height) * 72 / DPI)
        axes.annotate(name, (x, y), move, textcoords="offset points", color=colour, va="center", annotation_clip=False)


def _painted(picture: np.ndarray, labels: np.ndarray, colours: np.ndarray, background: int | None) -> np.ndarray:
    """A picture in grey under the colours of its classes."""
    grey = np.broadcast_to(np.asarray(picture).mean(-1, keepdims=True), (*picture.shape[:2], 3))
    labels = np.asarray(labels)
    painted = 0.35 * grey + 0.65 * np.append(colours, np.zeros((1, 3)), 0)[np.minimum(labels, len(colours))]
    return painted if background is None else np.where((labels == background)[..., None], grey, painted)


def _legend_below(figure: Figure, patches: list) -> None:
    """Make a figure of fixed pictures taller by the lines that its legend needs."""
    width, height = figure.get_size_inches()
    longest = max(len(patch.get_label()) for patch in patches)
    columns = max(min(int(width * DPI / (46 + 8.2 * longest)), len(patches)), 1)
    taller = height + 0.06 + 0.24 * -(-len(patches) // columns)
    figure.set_size_inches(width, taller)
    for axes in figure.axes:
        box = axes.get_position(original=True)
        axes.set_position((box.x0, 1 - (1 - box.y0) * height / taller, box.width, box.height * height / taller))
    figure.legend(
        handles=patches,
        loc="lower left",
        ncols=columns,
        borderpad=0,
        borderaxespad=0.1,
        handlelength=1.2,
        columnspacing=1.2,
    )


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
