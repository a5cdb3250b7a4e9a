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


def check_size(size, name: str = "size") -> tuple[int, int]:
    """Return a height and width from a whole number or a pair of them, or raise if they are not positive.

    Examples
    --------
    >>> check_size(8), check_size((8, 4))
    ((8, 8), (8, 4))
    >>> check_size((8, 0))
    Traceback (most recent call last):
        ...
    ValueError: size[1] must be at least 1, got 0
    """
    if not isinstance(size, (list, tuple)):
        return (check_count(name, size),) * 2
    if len(size) != 2:
        raise ValueError(f"{name} must be a number of pixels or a pair (height, width), got {size!r}")
    return tuple(check_count(f"{name}[{i}]", n) for i, n in enumerate(size))


def check_choice(name: str, value, choices: tuple):
    """Return ``value``, or raise if it is none of ``choices``.

    Examples
    --------
    >>> check_choice("output_stride", 4, (32, 16, 8))
    Traceback (most recent call last):
        ...
    ValueError: output_stride must be 32, 16 or 8, got 4
    """
    if not any(type(value) is type(choice) and value == choice for choice in choices):
        *most, last = map(repr, choices)
        raise ValueError(f"{name} must be {', '.join(most)} or {last}, got {value!r}")
    return value


def check_interpolation(interpolation: str, antialias: bool) -> tuple[str, bool]:
    """Return both, or raise if there is no such way to resize.

    Examples
    --------
    >>> check_interpolation("nearest", True)
    Traceback (most recent call last):
        ...
    ValueError: antialias must be False for interpolation 'nearest', which has no kernel to widen, got True
    """
    check_choice("interpolation", interpolation, ("nearest", "bilinear", "bicubic"))
    if not isinstance(antialias, bool):
        raise TypeError(f"antialias must be True or False, got {antialias!r} ({type(antialias).__name__})")
    if antialias and interpolation == "nearest":
        raise ValueError("antialias must be False for interpolation 'nearest', which has no kernel to widen, got True")
    return interpolation, antialias


def check_channels(shape: tuple, channels: int, layout: str, name: str = "x") -> None:
    """Raise unless an image has the number of channels that a layer was made for.

    Examples
    --------
    >>> check_channels((1, 8, 8, 4), 3, "NHWC")
    Traceback (most recent call last):
        ...
    ValueError: x must have 3 channels in layout NHWC, got 4: shape (1, 8, 8, 4)
    """
    given = shape[layout.index("C")]
    if _known(given) and given != channels:
        raise ValueError(f"{name} must have {channels} channels in layout {layout}, got {given}: shape {tuple(shape)}")


def _differ(a: tuple, b: tuple) -> bool:
    return len(a) != len(b) or any(_known(*pair) and pair[0] != pair[1] for pair in zip(a, b))


def _known(*sizes) -> bool:
    return all(isinstance(size, Integral) for size in sizes)


def check_channel_list(in_channels: list[int], name: str = "in_channels") -> list[int]:
    """Return the channels of each level as a list of integers, or raise if they are not that.

    Examples
    --------
    >>> check_channel_list(256)
    Traceback (most recent call last):
        ...
    TypeError: in_channels must be a list with the channels of each level, finest first, got 256 (int)
    """
    if not isinstance(in_channels, (list, tuple)):
        raise TypeError(
            f"{name} must be a list with the channels of each level, finest first, "
            f"got {in_channels!r} ({type(in_channels).__name__})"
        )
    if not in_channels:
        raise ValueError(f"{name} must hold the channels of at least one level, got an empty list")
    return [check_count(f"{name}[{number}]", channels) for number, channels in enumerate(in_channels)]


def check_features(shapes: list[tuple], in_channels: list[int], layout: str) -> None:
    """Raise unless levels are as many as a layer was made for, with its channels, and hold equally many images.

    Examples
    --------
    >>> check_features([(1, 8, 5, 4), (1, 8, 3, 2)], [8, 16], "NCHW")
    Traceback (most recent call last):
        ...
    ValueError: levels[1] must have 16 channels, got 8: shape (1, 8, 3, 2) in layout NCHW
    """
    if len(shapes) != len(in_channels):
        raise ValueError(f"levels must hold {len(in_channels)} levels, since in_channels does, got {len(shapes)}")
    for number, (shape, channels) in enumerate(zip(shapes, in_channels)):
        given = shape[layout.index("C")]
        if _known(given) and given != channels:
            raise ValueError(
                f"levels[{number}] must have {channels} channels, got {given}: shape {tuple(shape)} in layout {layout}"
            )
        check_same_batch(shapes[0], shape, number)


def check_same_batch(first: tuple, shape: tuple, number: int) -> None:
    """Raise unless a level holds as many images as the finest.

    Examples
    --------
    >>> check_same_batch((2, 8, 5, 4), (1, 8, 3, 2), 1)
    Traceback (most recent call last):
        ...
    ValueError: levels[1] must hold 2 images, since levels[0] does, got 1
    """
    if _known(first[0], shape[0]) and first[0] != shape[0]:
        raise ValueError(f"levels[{number}] must hold {first[0]} images, since levels[0] does, got {shape[0]}")


def check_target_size(size, shapes: list[tuple]) -> tuple:
    """Return the height and width that ``size`` means for levels of these heights and widths, or raise.

    Examples
    --------
    >>> check_target_size(None, [(8, 8), (4, 4)]), check_target_size(1, [(8, 8), (4, 4)]), check_target_size((5, 6), [])
    ((8, 8), (4, 4), (5, 6))
    >>> check_target_size(2, [(8, 8), (4, 4)])
    Traceback (most recent call last):
        ...
    ValueError: size must be a pair (height, width) or the index of a level, 0 to 1, got 2
    """
    if isinstance(size, (list, tuple)):
        if len(size) != 2:
            raise ValueError(f"size must be a pair (height, width) or the index of a level, got {size!r}")
        return tuple(check_count(f"size[{i}]", n) if isinstance(n, Real) else n for i, n in enumerate(size))
    index = 0 if size is None else check_count("size", size, least=0)
    if index >= len(shapes):
        last = len(shapes) - 1
        raise ValueError(f"size must be a pair (height, width) or the index of a level, 0 to {last}, got {index}")
    return tuple(shapes[index])


def check_counts(name: str, values, least: int = 1) -> tuple[int, ...]:
    """Return ``values`` as a tuple of whole numbers of at least ``least``, or raise if they are not that.

    Examples
    --------
    >>> check_counts("rates", [6, 12, 18])
    (6, 12, 18)
    >>> check_counts("bins", ())
    Traceback (most recent call last):
        ...
    ValueError: bins must hold at least one number, got ()
    """
    if not isinstance(values, (list, tuple)):
        raise TypeError(f"{name} must be a tuple of integers, got {values!r} ({type(values).__name__})")
    if not values:
        raise ValueError(f"{name} must hold at least one number, got {values!r}")
    return tuple(check_count(f"{name}[{number}]", value, least) for number, value in enumerate(values))


def check_dropout(dropout: float) -> float:
    """Return ``dropout`` as a float, or raise if it is not a probability less than one.

    Examples
    --------
    >>> check_dropout(1)
    Traceback (most recent call last):
        ...
    ValueError: dropout must be at least 0 and less than 1, got 1
    """
    if not 0 <= check_number("dropout", dropout) < 1:
        raise ValueError(f"dropout must be at least 0 and less than 1, got {dropout}")
    return float(dropout)
