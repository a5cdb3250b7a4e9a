"""What the operators refuse, and in which words: one check for each kind of argument, the same for both frameworks.

Every check runs before any work is done. A size that a graph does not know yet (``None``, or a symbol) is taken on trust.
"""

from __future__ import annotations

from numbers import Integral, Real

from msvision.geometry import check_count, check_number, level_shapes, max_levels, scaled_size, sizes_reduced_to


def check_image(shape: tuple, floating: bool, dtype: object, layout: str, name: str = "x") -> None:
    """Raise unless a tensor's shape and type are those of a batch of images.

    Parameters
    ----------
    shape
        The tensor's shape.
    floating
        Whether its numbers are floating-point.
    dtype
        Its type, for the message.
    layout : {"NCHW", "NHWC"}
        What the four dimensions mean.

    Raises
    ------
    ValueError
        If there are not four dimensions, or one of them is empty.
    TypeError
        If the numbers are integers.

    Examples
    --------
    >>> check_image((1, 3, 0, 8), True, "float32", "NCHW")
    Traceback (most recent call last):
        ...
    ValueError: x must not be empty, got shape (1, 3, 0, 8) in layout NCHW
    """
    if len(shape) != 4:
        raise ValueError(f"{name} must have 4 dimensions in layout {layout}, got {len(shape)}: shape {tuple(shape)}")
    if not floating:
        convert = f"{name}.float() / 255" if layout == "NCHW" else f"tf.image.convert_image_dtype({name}, tf.float32)"
        raise TypeError(f"{name} must hold floating-point numbers, got {dtype}; for 8-bit images use {convert}")
    if any(size == 0 for size in shape if _known(size)):
        raise ValueError(f"{name} must not be empty, got shape {tuple(shape)} in layout {layout}")


def check_levels(levels: int, shape: tuple, scale_factor: float = 0.5, name: str = "levels") -> int:
    """Return ``levels`` as an int, or raise if an image of this height and width does not have so many.

    Examples
    --------
    >>> check_levels(6, (5, 8))
    Traceback (most recent call last):
        ...
    ValueError: levels must be at most 4 for an image of 5 × 8 pixels, got 6
    """
    levels = check_count(name, levels)
    if _known(*shape) and levels > 1:
        last, beyond = level_shapes(shape, levels, scale_factor)[-2:]
        if last == beyond:
            most, (height, width) = max_levels(shape, scale_factor), shape
            raise ValueError(f"{name} must be at most {most} for an image of {height} × {width} pixels, got {levels}")
    return levels


def check_level_list(levels: list) -> None:
    """Raise unless ``levels`` is a list or tuple with something in it.

    Examples
    --------
    >>> check_level_list([])
    Traceback (most recent call last):
        ...
    ValueError: levels must hold at least one image, got an empty list
    """
    if not isinstance(levels, (list, tuple)):
        raise TypeError(f"levels must be a list of images, finest first, got {type(levels).__name__}")
    if not levels:
        raise ValueError("levels must hold at least one image, got an empty list")


def check_level_sizes(shapes: list[tuple], scale_factor: float = 0.5) -> None:
    """Raise unless heights and widths follow each other as those of a pyramid's levels do.

    Examples
    --------
    >>> check_level_sizes([(5, 8), (2, 4)])
    Traceback (most recent call last):
        ...
    ValueError: levels[1] must be 3 × 4 pixels, since levels[0] is 5 × 8, got 2 × 4
    """
    for number, (finer, coarser) in enumerate(zip(shapes, shapes[1:])):
        expected = tuple(scaled_size(n, scale_factor) if _known(n) else None for n in finer)
        if _differ(expected, coarser):
            raise ValueError(
                f"levels[{number + 1}] must be {expected[0]} × {expected[1]} pixels, since levels[{number}] is "
                f"{finer[0]} × {finer[1]}, got {coarser[0]} × {coarser[1]}"
            )


def check_upsample(size: tuple | None, shape: tuple, scale_factor: float) -> tuple:
    """Return the height and width to upsample to, or raise if an image of ``shape`` cannot come from such a size.

    Examples
    --------
    >>> check_upsample(None, (3, 4), 2), check_upsample((5, 8), (3, 4), 2)
    ((6, 8), (5, 8))
    >>> check_upsample((4, 8), (3, 4), 2)
    Traceback (most recent call last):
        ...
    ValueError: size must be (5 or 6) × (7 or 8) for an image of 3 × 4 pixels and scale_factor 2, got 4 × 8
    """
    if check_number("scale_factor", scale_factor) <= 1:
        raise ValueError(f"scale_factor must be more than 1 (the result is larger), got {scale_factor}")
    if size is None:
        return tuple(scaled_size(n, scale_factor) for n in shape)
    try:
        size = tuple(size)
    except TypeError:
        raise TypeError(f"size must be a pair (height, width), got {size!r}") from None
    if len(size) != 2:
        raise ValueError(f"size must be a pair (height, width), got {size!r}")
    if any(isinstance(n, Real) and not _known(n) for n in size):
        raise TypeError(f"size must be a pair of integers, got {size!r}")
    if any(_known(*pair) and scaled_size(pair[0], 1 / scale_factor) != pair[1] for pair in zip(size, shape)):
        fits = " × ".join(f"({' or '.join(map(str, sizes_reduced_to(n, 1 / scale_factor)))})" for n in shape)
        raise ValueError(
            f"size must be {fits} for an image of {shape[0]} × {shape[1]} pixels and scale_factor {scale_factor}, "
            f"got {size[0]} × {size[1]}"
        )
    return size


def check_blend(a: tuple, b: tuple, mask: tuple, layout: str) -> None:
    """Raise unless two images have one shape and a mask covers them, alone or broadcast over images and channels.

    Examples
    --------
    >>> check_blend((1, 3, 8, 8), (1, 3, 8, 8), (1, 1, 8, 4), "NCHW")
    Traceback (most recent call last):
        ...
    ValueError: mask must have shape (1, 3 or 1, 8, 8) in layout NCHW, got (1, 1, 8, 4)
    """
    if _differ(a, b):
        raise ValueError(f"b must have the shape of a, {a}, got {b}")
    fits = [(n,) if axis in "HW" or n == 1 else (n, 1) for axis, n in zip(layout, a)]
    if any(_known(n, *allowed) and n not in allowed for n, allowed in zip(mask, fits)):
        wanted = ", ".join(" or ".join(map(str, allowed)) for allowed in fits)
        raise ValueError(f"mask must have shape ({wanted}) in layout {layout}, got {mask}")


def _differ(a: tuple, b: tuple) -> bool:
    return len(a) != len(b) or any(_known(*pair) and pair[0] != pair[1] for pair in zip(a, b))


def _known(*sizes) -> bool:
    return all(isinstance(size, Integral) for size in sizes)
