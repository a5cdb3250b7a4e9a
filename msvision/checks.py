"""What the operators refuse, and in which words: one check for each kind of argument, the same for both frameworks.

Every check runs before any work is done. A size that a graph does not know yet (``None``, or a symbol) is taken on trust.
"""

from __future__ import annotations

from numbers import Integral, Real

from msvision.geometry import (
    check_count,
    check_number,
    level_shapes,
    levels_down_to,
    max_levels,
    scaled_size,
    sizes_reduced_to,
)


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


def check_channel_list(in_channels: list[int], name: str = "in_channels", least: int = 1) -> list[int]:
    """Return the channels of each level as a list of integers, or raise if they are not that, or fewer than ``least``.

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
    if len(in_channels) < least:
        wanted, given = "one level" if least == 1 else f"{least} levels", list(in_channels) or "an empty list"
        raise ValueError(f"{name} must hold the channels of at least {wanted}, got {given}")
    return [check_count(f"{name}[{number}]", channels) for number, channels in enumerate(in_channels)]


def check_heads(heads: int, channels: int) -> int:
    """Return ``heads`` as an int, or raise if channels cannot be split into so many equal parts.

    Examples
    --------
    >>> check_heads(3, 256)
    Traceback (most recent call last):
        ...
    ValueError: heads must divide out_channels, 256, got 3
    """
    if check_count("out_channels", channels) % check_count("heads", heads):
        raise ValueError(f"heads must divide out_channels, {channels}, got {heads}")
    return int(heads)


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


def check_backbone(backbone, auxiliary: bool = False) -> None:
    """Raise unless ``backbone`` says what its levels hold, and has one to spare where there is an auxiliary head.

    Examples
    --------
    >>> check_backbone("resnet50")
    Traceback (most recent call last):
        ...
    TypeError: backbone must have attributes channels and reductions, one number for each level, got 'resnet50'
    """
    channels, reductions = (getattr(backbone, name, None) for name in ("channels", "reductions"))
    if not channels or not reductions or len(channels) != len(reductions):
        raise TypeError(
            f"backbone must have attributes channels and reductions, one number for each level, got {backbone!r}"
        )
    if auxiliary and len(channels) < 2:
        raise ValueError(
            "auxiliary must be False for a backbone of one level: its head reads the level before the last"
        )


def check_boxes(shape: tuple, others: dict, name: str = "boxes") -> None:
    """Raise unless boxes are (objects, 4), and ``others``, names with their shapes, hold one number for each.

    Examples
    --------
    >>> check_boxes((3, 4), {"scores": (2,)})
    Traceback (most recent call last):
        ...
    ValueError: scores must have shape (3,), one number for each of boxes, got (2,)
    """
    if len(shape) != 2 or (_known(shape[1]) and shape[1] != 4):
        raise ValueError(f"{name} must have shape (objects, 4): x_min, y_min, x_max, y_max; got {shape}")
    for other, given in others.items():
        if _differ(shape[:1], given):
            raise ValueError(f"{other} must have shape ({shape[0]},), one number for each of {name}, got {given}")


def check_box_values(boxes, labels, classes: int, number: int) -> None:
    """Raise unless the boxes of an image, an array (objects, 4), run from small to large, and labels are classes.

    Examples
    --------
    >>> import numpy as np
    >>> check_box_values(np.array([[10.0, 10.0, 5.0, 5.0]]), np.array([0]), 1, 2)
    Traceback (most recent call last):
        ...
    ValueError: boxes[2] must hold x_min < x_max and y_min < y_max, got [10.0, 10.0, 5.0, 5.0] for object 0
    """
    for row, (box, label) in enumerate(zip(boxes.tolist(), labels.tolist())):
        if not (box[0] < box[2] and box[1] < box[3]):
            raise ValueError(f"boxes[{number}] must hold x_min < x_max and y_min < y_max, got {box} for object {row}")
        check_index(f"labels[{number}][{row}]", label, classes)


def check_image_lists(boxes: list, labels: list) -> None:
    """Raise unless both are lists with an entry for each image.

    Examples
    --------
    >>> check_image_lists([[]], [])
    Traceback (most recent call last):
        ...
    ValueError: labels must hold 1 entry, one for each image as boxes does, got 0
    """
    for name, given in (("boxes", boxes), ("labels", labels)):
        if not isinstance(given, (list, tuple)):
            raise TypeError(f"{name} must be a list with an entry for each image, got {type(given).__name__}")
    if not boxes:
        raise ValueError("boxes must hold an entry for at least one image, got an empty list")
    if len(boxes) != len(labels):
        entries = "1 entry" if len(boxes) == 1 else f"{len(boxes)} entries"
        raise ValueError(f"labels must hold {entries}, one for each image as boxes does, got {len(labels)}")


def check_detector_levels(shapes: list[tuple], layout: str) -> int:
    """Return the number of classes, or raise unless levels have equally many channels, five of them for boxes.

    Examples
    --------
    >>> check_detector_levels([(1, 8, 5, 4), (1, 8, 3, 2)], "NCHW")
    3
    >>> check_detector_levels([(1, 5, 5, 4)], "NCHW")
    Traceback (most recent call last):
        ...
    ValueError: levels[0] must have a channel for each class and 5 more, got 5: shape (1, 5, 5, 4) in layout NCHW
    """
    channels = [shape[layout.index("C")] for shape in shapes]
    if channels[0] < 6:
        what = "must have a channel for each class and 5 more"
        raise ValueError(f"levels[0] {what}, got {channels[0]}: shape {shapes[0]} in layout {layout}")
    check_features(shapes, channels[:1] * len(shapes), layout)
    return channels[0] - 5


def check_same_levels(shapes: list[tuple], targets: list[tuple]) -> None:
    """Raise unless targets have the shapes of levels.

    Examples
    --------
    >>> check_same_levels([(1, 8, 5, 4)], [(1, 8, 5, 5)])
    Traceback (most recent call last):
        ...
    ValueError: targets[0] must have the shape of levels[0], (1, 8, 5, 4), got (1, 8, 5, 5)
    """
    if len(shapes) != len(targets):
        raise ValueError(f"targets must hold {len(shapes)} levels, since levels does, got {len(targets)}")
    for number, (shape, given) in enumerate(zip(shapes, targets)):
        if _differ(shape, given):
            raise ValueError(f"targets[{number}] must have the shape of levels[{number}], {shape}, got {given}")


def check_reductions(reductions, levels: int) -> tuple[int, ...]:
    """Return reductions as integers, or raise unless there is one for each level.

    Examples
    --------
    >>> check_reductions((8, 16), 3)
    Traceback (most recent call last):
        ...
    ValueError: reductions must hold 3 numbers, one for each level, got (8, 16)
    """
    reductions = check_counts("reductions", reductions)
    if len(reductions) != levels:
        raise ValueError(f"reductions must hold {levels} numbers, one for each level, got {reductions}")
    return reductions


def check_image_size(size) -> tuple:
    """Return a pair of height and width, or raise if they are not positive whole numbers or a graph's symbols.

    Examples
    --------
    >>> check_image_size(64)
    Traceback (most recent call last):
        ...
    TypeError: size must be a pair (height, width), got 64
    """
    try:
        size = tuple(size)
    except TypeError:
        raise TypeError(f"size must be a pair (height, width), got {size!r}") from None
    if len(size) != 2:
        raise ValueError(f"size must be a pair (height, width), got {size!r}")
    return tuple(n if hasattr(n, "graph") else check_count(f"size[{i}]", n) for i, n in enumerate(size))


def check_index(name: str, value: int, count: int) -> int:
    """Return ``value`` as an int, or raise if it does not number one of ``count`` things.

    Examples
    --------
    >>> check_index("first_level", 4, 4)
    Traceback (most recent call last):
        ...
    ValueError: first_level must be from 0 to 3, got 4
    """
    if check_count(name, value, least=0) >= count:
        raise ValueError(f"{name} must be from 0 to {count - 1}, got {value}")
    return int(value)


def check_fraction(name: str, value: float) -> float:
    """Return ``value`` as a float, or raise if it is not between 0 and 1.

    Examples
    --------
    >>> check_fraction("iou_threshold", 50)
    Traceback (most recent call last):
        ...
    ValueError: iou_threshold must be from 0 to 1, got 50
    """
    if not 0 <= check_number(name, value) <= 1:
        raise ValueError(f"{name} must be from 0 to 1, got {value}")
    return float(value)


def check_not_negative(name: str, value: float) -> float:
    """Return ``value`` as a float, or raise if it is less than 0.

    Examples
    --------
    >>> check_not_negative("gamma", -1)
    Traceback (most recent call last):
        ...
    ValueError: gamma must be at least 0, got -1
    """
    if not check_number(name, value) >= 0:
        raise ValueError(f"{name} must be at least 0, got {value}")
    return float(value)


def check_targets(outputs: tuple, targets: tuple, whole: bool, dtype: object, layout: str) -> None:
    """Raise unless targets are whole numbers, one for each place where a model's outputs are logits.

    Examples
    --------
    >>> check_targets((2, 5, 8, 8), (2, 4, 4), True, "int64", "NCHW")
    Traceback (most recent call last):
        ...
    ValueError: targets must have shape (2, 8, 8) for logits of shape (2, 5, 8, 8) in layout NCHW, got (2, 4, 4)
    """
    if not whole:
        raise TypeError(f"targets must hold classes, which are integers, got {dtype}; or give a loss of your own")
    axis = 1 if layout == "NCHW" else len(outputs) - 1
    wanted = outputs[:axis] + outputs[axis + 1 :]
    if _differ(wanted, targets):
        layout = layout if len(outputs) == 4 else "NC"
        raise ValueError(
            f"targets must have shape {wanted} for logits of shape {outputs} in layout {layout}, got {targets}"
        )


def check_target_range(least: int, most: int, classes: int, ignore: int | None) -> None:
    """Raise unless labels that count are among the classes.

    Examples
    --------
    >>> check_target_range(0, 255, 11, None)
    Traceback (most recent call last):
        ...
    ValueError: targets must be at least 0 and less than 11, the number of classes, or ignore=None, got 255
    """
    if least < 0 or most >= classes:
        wrong = least if least < 0 else most
        raise ValueError(
            f"targets must be at least 0 and less than {classes}, the number of classes, or ignore={ignore}, got {wrong}"
        )


def check_finite(name: str, finite: bool) -> None:
    """Raise unless all numbers of an image are finite.

    Examples
    --------
    >>> check_finite("image", False)
    Traceback (most recent call last):
        ...
    ValueError: image must hold finite numbers, got NaN or infinity
    """
    if not finite:
        raise ValueError(f"{name} must hold finite numbers, got NaN or infinity")


def check_template(image: tuple, template: tuple, layout: str) -> None:
    """Raise unless a template has the channels of an image and is no larger, and there is one for all images or for each.

    Examples
    --------
    >>> check_template((2, 3, 64, 64), (1, 3, 65, 8), "NCHW")
    Traceback (most recent call last):
        ...
    ValueError: template must be no larger than image, 64 × 64 pixels, got 65 × 8
    """
    (n, channels, height, width), (m, given, rows, columns) = (
        tuple(shape[layout.index(axis)] for axis in "NCHW") for shape in (image, template)
    )
    if given != channels:
        raise ValueError(f"template must have {channels} channels in layout {layout}, as image has, got {given}")
    if m not in (1, n):
        wanted = "1 template" if n == 1 else f"1 template or {n}, one for each image"
        raise ValueError(f"template must hold {wanted}, got {m}")
    if rows > height or columns > width:
        raise ValueError(f"template must be no larger than image, {height} × {width} pixels, got {rows} × {columns}")


def check_search_levels(levels: int | None, template: tuple[int, int]) -> int:
    """Return the number of levels to search a template of this height and width on, or raise if it would vanish.

    Examples
    --------
    >>> check_search_levels(None, (64, 64)), check_search_levels(5, (64, 64)), check_search_levels(1, (2, 2))
    (3, 5, 1)
    >>> check_search_levels(6, (64, 64))
    Traceback (most recent call last):
        ...
    ValueError: levels must be at most 5 for a template of 64 × 64 pixels, which keeps 4 a side on the coarsest, got 6
    """
    if levels is None:
        return levels_down_to(16, template)
    levels, most = check_count("levels", levels), levels_down_to(4, template)
    if levels > most:
        raise ValueError(
            f"levels must be at most {most} for a template of {template[0]} × {template[1]} pixels, "
            f"which keeps 4 a side on the coarsest, got {levels}"
        )
    return levels


def check_octaves(octaves: int, shape: tuple[int, int], octave_scale: float, min_size: int) -> int:
    """Return ``octaves`` as an int, or raise if the smallest would have less than ``min_size`` pixels a side.

    Examples
    --------
    >>> check_octaves(4, (64, 64), 1.4, 32)
    Traceback (most recent call last):
        ...
    ValueError: octaves must be at most 3 for an image of 64 × 64 pixels, octave_scale 1.4 and min_size 32, got 4
    """
    octaves, min_size = check_count("octaves", octaves), check_count("min_size", min_size)
    if check_number("octave_scale", octave_scale) <= 1:
        raise ValueError(f"octave_scale must be more than 1 (each octave is larger than the last), got {octave_scale}")
    height, width = shape
    if min(shape) < min_size:
        raise ValueError(f"image must have at least min_size = {min_size} pixels a side, got {height} × {width}")
    most = levels_down_to(min_size, shape, 1 / octave_scale)
    if octaves > most:
        raise ValueError(
            f"octaves must be at most {most} for an image of {height} × {width} pixels, "
            f"octave_scale {octave_scale} and min_size {min_size}, got {octaves}"
        )
    return octaves


def check_range(value_range: tuple[float, float], least: float, most: float) -> tuple[float, float]:
    """Return ``value_range`` as two floats, or raise if it is no range or an image's values leave it.

    Examples
    --------
    >>> check_range((0, 1), 0.0, 255.0)
    Traceback (most recent call last):
        ...
    ValueError: image must lie in value_range (0.0, 1.0), got values from 0 to 255
    """
    if not isinstance(value_range, (list, tuple)) or len(value_range) != 2:
        raise ValueError(f"value_range must be a pair (lowest, highest), got {value_range!r}")
    low, high = (check_number(f"value_range[{i}]", value) for i, value in enumerate(value_range))
    if not low < high:
        raise ValueError(f"value_range must run from its lowest number to a higher one, got {value_range!r}")
    if least < low or most > high:
        raise ValueError(f"image must lie in value_range {(low, high)}, got values from {least:.4g} to {most:.4g}")
    return low, high


def check_same_shape(name: str, shape: tuple, other: str, wanted: tuple) -> None:
    """Raise unless two images have one shape.

    Examples
    --------
    >>> check_same_shape("moving", (1, 3, 8, 8), "fixed", (1, 3, 8, 9))
    Traceback (most recent call last):
        ...
    ValueError: moving must have the shape of fixed, (1, 3, 8, 9), got (1, 3, 8, 8)
    """
    if _differ(shape, wanted):
        raise ValueError(f"{name} must have the shape of {other}, {wanted}, got {shape}")


def check_dream(iterations: int, step: float, jitter: int | None, seed: int, tile: int | None, min_size: int) -> int:
    """Return the jitter to use, or raise if one of DeepDream's numbers is wrong.

    Examples
    --------
    >>> check_dream(10, 0.02, None, 0, None, 32), check_dream(10, 0.02, None, 0, 256, 32)
    (16, 128)
    >>> check_dream(10, 0.02, None, 0, 16, 32)
    Traceback (most recent call last):
        ...
    ValueError: tile must be at least 32, got 16
    """
    check_count("iterations", iterations), check_count("seed", seed, least=0)
    if not 0 < check_number("step", step) < float("inf"):
        raise ValueError(f"step must be more than 0 and finite, got {step}")
    if tile is not None:
        check_count("tile", tile, least=min_size)
    return max(16, (tile or 0) // 2) if jitter is None else check_count("jitter", jitter, least=0)
