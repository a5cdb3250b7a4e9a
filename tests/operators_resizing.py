"""The learnable resizer's entries in the table of operators."""

import references_resizing as references
from battery import Operator, Wrong, wrong_counts

CHOICES = "interpolation must be 'nearest', 'bilinear' or 'bicubic', got"

OPERATORS = [
    Operator(
        "LearnableResizer",
        references.learnable_resizer,
        {"size": (9, 12), "filters": 4},
        layer=True,
        image=False,
        wrong=(
            *wrong_counts("size"),
            *wrong_counts("filters"),
            *wrong_counts("num_res_blocks"),
            Wrong("size-of-three", ValueError, "size must be a number of pixels or a pair", {"size": (8, 8, 3)}),
            Wrong("size-zero", ValueError, r"size\[1\] must be at least 1, got 0", {"size": (8, 0)}),
            Wrong("size-float", TypeError, r"size\[0\] must be an integer, got 8.0", {"size": (8.0, 8)}),
            Wrong("interpolation", ValueError, CHOICES + " 'area'", {"interpolation": "area"}),
            Wrong("interpolation-none", ValueError, CHOICES + " None", {"interpolation": None}),
            Wrong("antialias", TypeError, "antialias must be True or False, got 1", {"antialias": 1}),
            Wrong(
                "antialias-nearest",
                ValueError,
                "antialias must be False for interpolation 'nearest'",
                {"antialias": True, "interpolation": "nearest"},
            ),
        ),
    ),
    *(
        Operator(
            "LearnableResizer",
            references.learnable_resizer,
            {"size": 8, "filters": 3, "num_res_blocks": blocks, "interpolation": interpolation, "antialias": antialias},
            layer=True,
            image=False,
            sizes=((1, 1), (5, 8), (65, 47)),
            variant=f"{interpolation}{'-antialias' * antialias}",
            compiler="eager",
        )
        for blocks, interpolation, antialias in (
            (2, "nearest", False),
            (1, "bilinear", True),
            (1, "bicubic", False),
            (1, "bicubic", True),
        )
    ),
]
