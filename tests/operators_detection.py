"""Entries of the battery for ``detection``: the detector as a whole, whose parts have references of their own."""

from battery import Operator, Wrong, wrong_counts

from msvision import tensorflow as msv_tensorflow
from msvision import torch as msv_torch

WIDTHS = (8, 16)


def detector(sizes, wrong=(), variant="", like="", **arguments):
    return Operator(
        "FPNDetector",
        None,
        {"classes": 3, "out_channels": 16, "depth": 1, **arguments},
        torch_arguments=lambda channels: {"backbone": msv_torch.SimpleBackbone(channels, WIDTHS)},
        tensorflow_arguments=lambda dtype: {"backbone": msv_tensorflow.SimpleBackbone(WIDTHS, dtype=dtype)},
        layer=True,
        image=False,
        sizes=sizes,
        variant=variant,
        like=like,
        wrong=wrong,
        compiler="eager",
        fast_gradcheck=True,
    )


OPERATORS = [
    detector(
        ((1, 1), (5, 8), (65, 47)),
        (
            *wrong_counts("classes"),
            Wrong("depth-negative", ValueError, "depth must be at least 0, got -1", {"depth": -1}),
            Wrong("depth-float", TypeError, "depth must be an integer, got 1.5", {"depth": 1.5}),
            Wrong("out_channels-1", ValueError, "out_channels must be at least 2, got 1", {"out_channels": 1}),
            Wrong("first_level-2", ValueError, "first_level must be from 0 to 1, got 2", {"first_level": 2}),
            Wrong("first_level-None", TypeError, "first_level must be an integer, got None", {"first_level": None}),
            Wrong("extra", ValueError, "extra must be None, 'pool' or 'convolutions', got 'conv'", {"extra": "conv"}),
            Wrong("backbone", TypeError, "backbone must have attributes channels and reductions", {"backbone": "x"}),
        ),
    ),
    detector(
        ((5, 8),),
        variant="first_level-convolutions",
        like="FPNDetector",
        first_level=1,
        extra="convolutions",
        out_channels=12,
        depth=2,
    ),
]
