"""Entries of the battery for ``pooling``."""

import references_pooling as references
from battery import Operator, Wrong


def wrong_numbers(name):
    """What no argument that is a tuple of counts takes."""
    return (
        Wrong(f"{name}-int", TypeError, f"{name} must be a tuple of integers, got 4", {name: 4}),
        Wrong(f"{name}-empty", ValueError, f"{name} must hold at least one number, got", {name: ()}),
        Wrong(f"{name}-zero", ValueError, rf"{name}\[1\] must be at least 1, got 0", {name: (2, 0)}),
        Wrong(f"{name}-float", TypeError, rf"{name}\[0\] must be an integer, got 1.5", {name: (1.5, 2)}),
    )


def wrong_in_channels():
    return tuple(
        Wrong(f"in_channels-{value}", error, "in_channels must be", {"in_channels": value}, frameworks=("torch",))
        for value, error in ((0, ValueError), (1.5, TypeError))
    )


def spatial(variant="", compiler="aot_eager", wrong=(), **arguments):
    return Operator(
        "SpatialPyramidPooling",
        references.spatial_pyramid_pooling,
        arguments,
        layer=True,
        torch_arguments=lambda channels: {},
        wrong=wrong,
        variant=variant,
        compiler=compiler,
    )


POOLING = [
    spatial(
        wrong=(
            *wrong_numbers("bins"),
            Wrong("mode", ValueError, "mode must be 'max' or 'average', got 'mean'", {"mode": "mean"}),
        )
    ),
    spatial("average", bins=(1, 3, 6), mode="average"),
    Operator(
        "PyramidPooling",
        references.pyramid_pooling,
        layer=True,
        image=False,
        seed=8,
        wrong=(
            *wrong_numbers("bins"),
            *wrong_in_channels(),
            Wrong(
                "channels",
                ValueError,
                "x must have 2 channels in layout NCHW, got 3",
                {"in_channels": 2},
                None,
                ("torch",),
            ),
        ),
    ),
    Operator(
        "PyramidPooling",
        references.pyramid_pooling,
        {"bins": (2, 5)},
        layer=True,
        image=False,
        seed=2,
        variant="two-grids",
    ),
]
