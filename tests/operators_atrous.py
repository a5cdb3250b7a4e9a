"""Entries of the battery for ``atrous``."""

import references_atrous as references
from battery import Operator, Wrong, wrong_counts
from operators_pooling import wrong_in_channels, wrong_numbers

CHANNELS = Wrong(
    "channels", ValueError, "x must have 2 channels in layout NCHW, got 3", {"in_channels": 2}, frameworks=("torch",)
)
CONVOLUTION = (
    *wrong_counts("out_channels"),
    *wrong_counts("kernel_size"),
    *wrong_counts("rate"),
    *wrong_in_channels(),
    CHANNELS,
)


def entry(name, reference, variant="", wrong=(), seed=0, idle=0, **arguments):
    return Operator(
        name, reference, arguments, layer=True, image=False, variant=variant, wrong=wrong, seed=seed, idle=idle
    )


ATROUS = [
    entry("AtrousConvolution", references.atrous_convolution, wrong=CONVOLUTION, out_channels=4, rate=3),
    entry(
        "AtrousConvolution",
        references.atrous_convolution,
        "beyond-the-map",
        out_channels=2,
        rate=70,
        bias=False,
    ),
    entry(
        "AtrousSeparableConvolution",
        references.atrous_separable_convolution,
        wrong=CONVOLUTION,
        out_channels=4,
        rate=6,
        seed=2,
    ),
    entry(
        "ASPP",
        references.aspp,
        wrong=(
            *wrong_counts("out_channels"),
            *wrong_numbers("rates"),
            *wrong_in_channels(),
            CHANNELS,
            Wrong("dropout-1", ValueError, "dropout must be at least 0 and less than 1, got 1", {"dropout": 1}),
            Wrong("dropout-text", TypeError, "dropout must be a number, got 'half'", {"dropout": "half"}),
        ),
        out_channels=4,
        dropout=0.0,
        idle=3,
    ),
    entry(
        "ASPP", references.aspp, "separable", out_channels=4, rates=(2, 36), separable=True, dropout=0.0, idle=3, seed=2
    ),
]
