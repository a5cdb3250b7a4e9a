"""Draw the picture of the home page, ``book/_static/pyramids.png``: ``python tools/home_picture.py``.

On the left the Gaussian pyramid of a photograph, on the right what each level adds to the next, its Laplacian pyramid, as
chapter 1 draws it: white is zero, red and blue are 0.15 more and less.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from matplotlib import colormaps
from PIL import Image

from msvision import geometry
from msvision import torch as msv
from msvision.data import samples

TARGET = Path(__file__).parent.parent / "book/_static/pyramids.png"
HEIGHT, WIDTH, LEVELS, GAP = 240, 360, 5, 5


def laid_out(levels: list[np.ndarray]) -> np.ndarray:
    """The finest level, and the others below each other at its side, on white."""
    canvas = np.ones((HEIGHT, WIDTH + GAP + WIDTH // 2, 3))
    canvas[:, :WIDTH] = levels[0]
    top = 0
    for level in levels[1:]:
        height, width = level.shape[:2]
        canvas[top : top + height, WIDTH + GAP : WIDTH + GAP + width] = level
        top += height + GAP
    return canvas


def main() -> None:
    photo = samples.photograph("china")
    rows, columns = (geometry.resize_matrix(n, out, antialias=True) for n, out in zip(photo.shape[:2], (HEIGHT, WIDTH)))
    small = np.einsum("ih,hwc,jw->cij", rows, photo, columns)
    x = torch.from_numpy(small.astype(np.float32))[None]
    pictures = [level[0].permute(1, 2, 0).numpy().clip(0, 1) for level in msv.gaussian_pyramid(x, LEVELS)]
    *bands, _ = (band[0].mean(0).numpy() for band in msv.laplacian_pyramid(x, LEVELS))
    painted = [colormaps["RdBu_r"](0.5 + band / 0.3)[..., :3] for band in bands] + [pictures[-1]]
    whole = np.concatenate([laid_out(pictures), np.ones((HEIGHT, 4 * GAP, 3)), laid_out(painted)], axis=1)
    image = Image.fromarray(np.round(255 * whole).astype(np.uint8))
    image.quantize(256, dither=Image.Dither.NONE).save(TARGET, optimize=True)
    print(f"{TARGET.name}: {TARGET.stat().st_size} bytes")


if __name__ == "__main__":
    main()
