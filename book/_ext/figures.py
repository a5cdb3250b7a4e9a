"""Interactive figures: ``<div class="msv-figure" data-figure="pyramid">…</div>`` in a text cell of a chapter.

The words inside are for readers of the notebook. On the page they give way to a picture, drawn with the package, and to
the photograph's pixels; where scripts run, ``_static/figures.js`` and ``_static/figure_<name>.js`` put the controls there.
"""

from __future__ import annotations

import base64
import html
import re
from pathlib import Path

import numpy as np
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform
from sphinx.util import logging

PLACE = re.compile(r'<div class="msv-figure" data-figure="(\w+)">.*?</div>', re.DOTALL)
USES = {"fpn": ["pyramid"]}  # figures whose script calls that of another
logger = logging.getLogger(__name__)


# -- the photographs: grey, few pixels -------------------------------------------------------------------------------


def shrunk(image: np.ndarray, height: int, width: int) -> np.ndarray:
    from msvision.geometry import resize_matrix

    rows, columns = (resize_matrix(n, out, antialias=True) for n, out in zip(image.shape, (height, width)))
    return rows @ image @ columns.T


def photograph(figure: str) -> np.ndarray:
    """The photograph of a figure, (H, W) bytes."""
    from msvision.data import samples

    def grey(name: str) -> np.ndarray:
        return samples.photograph(name, grey=True)[..., 0]

    image = {
        "pyramid": lambda: grey("china")[90:219, 150:279],
        "spp": lambda: shrunk(grey("coffee"), 96, 144),
        "atrous": lambda: shrunk(grey("astronaut")[:260, 90:350], 65, 65),
        "fpn": lambda: shrunk(grey("china")[100:412, 120:432], 97, 97),
        "resizing": lambda: grey("china")[132:204, 176:248],
    }[figure]()
    return np.clip(np.round(255 * image), 0, 255).astype(np.uint8)


# -- the pictures that stand there without scripts -------------------------------------------------------------------


def tensor(image: np.ndarray):
    import torch

    return torch.from_numpy(np.ascontiguousarray(image, np.float32))[None, None]


def array(x) -> np.ndarray:
    return x[0, 0].numpy()


def picture(figure: str):
    """A matplotlib figure of what the interactive one shows at first."""
    from msvision import plots

    plots.style()
    return globals()[f"{figure}_picture"](photograph(figure) / 255)


def pyramid_picture(roof: np.ndarray):
    from msvision import plots
    from msvision.data.samples import zone_plate
    from msvision.torch import gaussian_pyramid

    shown = []
    for image in (roof, zone_plate(129)[..., 0]):
        shown += [image, image[::4, ::4], array(gaussian_pyramid(tensor(image), 3)[2])]
    titles = ["level 0", "level 2: dropped", "level 2: smoothed"]
    return plots.images(shown, [*titles, "", "", ""], zoom=[2, 5, 5] * 2, columns=3)


def spp_picture(photo: np.ndarray):
    from msvision import plots
    from msvision.torch import SpatialPyramidPooling

    small = [shrunk(photo, height, width) for height, width in ((13, 19), (22, 15))]
    pooled = [SpatialPyramidPooling(bins=(4,))(tensor(image)).numpy().reshape(4, 4) for image in small]
    titles = ["13 × 19", "4 × 4", "22 × 15", "4 × 4"]
    return plots.images([small[0], pooled[0], small[1], pooled[1]], titles, zoom=[10, 25, 10, 25])


def atrous_picture(photo: np.ndarray):
    import torch
    from msvision import plots
    from msvision.torch import AtrousConvolution

    shown, titles = [photo], ["65 × 65 pixels"]
    for rates in ((2, 2, 2), (1, 2, 3)):
        x = torch.zeros(1, 1, 65, 65)
        x[..., 32, 32] = 1
        with torch.no_grad():
            for rate in rates:
                conv = AtrousConvolution(1, 1, rate=rate, bias=False)
                conv.weight.fill_(1)
                x = conv(x)
        inside = np.zeros((65, 65), bool)
        inside[26:39, 26:39] = True
        shown.append(np.where(inside, np.where(array(x) > 0, photo, 0), 0.7 + 0.2 * photo))
        titles.append(f"seen with rates {', '.join(map(str, rates))}")
    return plots.images(shown, titles, zoom=3)


def fpn_picture(photo: np.ndarray):
    import torch
    from msvision import plots
    from msvision.torch import FPN, laplacian_pyramid

    bands, shown = laplacian_pyramid(tensor(photo), 4), [photo]
    for interpolation in ("nearest", "bilinear"):
        fpn = FPN([1] * 4, 1, interpolation=interpolation, smoothing=False)
        with torch.no_grad():
            for lateral in fpn.laterals:
                lateral.weight.fill_(1)
            shown.append(array(fpn(bands)[0]))
    return plots.images(shown, ["photograph", "M0, nearest", "M0, bilinear"], zoom=2)


def resizing_picture(photo: np.ndarray):
    from msvision import geometry, plots

    stripes = np.tile((1 + np.cos(2 * np.pi * 0.35 * np.arange(72))) / 2, (72, 1))
    shown, titles = [], []
    for image in (stripes, photo):
        shown.append(image)
        for method, antialias in (("nearest", False), ("bilinear", False), ("bilinear", True)):
            matrix = geometry.resize_matrix(72, 18, method, antialias)
            shown.append(matrix @ image @ matrix.T)
    titles = ["72 × 72", "nearest", "bilinear", "antialiased", "", "", "", ""]
    return plots.images(shown, titles, zoom=[2, 8, 8, 8] * 2, columns=4)


ALT = {
    "pyramid": "A tiled roof and rings, and each at a quarter of the size, made in two ways: by dropping pixels, where the "
    "tiles have become stripes in false directions and the rings false discs, and smoothed first, where they are grey",
    "spp": "A cup of coffee on maps of 13 × 19 and of 22 × 15 pixels; the maxima of both over 4 × 4 bins are 16 numbers",
    "atrous": "A face, and what of it three layers of rates 2, 2, 2 and of rates 1, 2, 3 see: both reach 13 × 13 pixels, "
    "the first with a grid of holes",
    "fpn": "A pagoda, and the same put together from the bands of its pyramid by copying pixels, with blocks in it, and by "
    "bilinear interpolation, nearly as it was",
    "resizing": "Fine stripes and a roof of 72 × 72 pixels brought to 18 × 18: copied and bilinear pixels show false "
    "stripes, antialiasing leaves grey",
}


# -- on the page -----------------------------------------------------------------------------------------------------


class InteractiveFigure(nodes.General, nodes.Element):
    """The place of an interactive figure; its attribute ``name`` says which."""


class PutFigures(SphinxTransform):
    default_priority = 401

    def apply(self, **kwargs: object) -> None:
        for raw in list(self.document.findall(nodes.raw)):
            match = PLACE.search(raw.astext())
            if match and match[1] not in ALT:
                logger.warning("there is no figure %s", match[1], location=raw)
            elif match:
                raw.parent.replace(raw, InteractiveFigure(name=match[1]))


def visit(translator, node: nodes.Element) -> None:
    name, pixels = node["name"], photograph(node["name"])
    root = translator.builder.get_relative_uri(translator.builder.current_docname, "index").rpartition("/")[0] or "."
    data = {"figure": name, "height": pixels.shape[0], "width": pixels.shape[1]}
    data["pixels"] = base64.b64encode(pixels.tobytes()).decode()
    attributes = " ".join(f'data-{key}="{value}"' for key, value in data.items())
    translator.body.append(
        f'<div class="msv-figure" id="figure-{name}" {attributes}>'
        f'<figure class="msv-still"><img src="{root}/_static/figures/{name}.png" alt="{html.escape(ALT[name])}"></figure>'
        "</div>\n"
    )
    raise nodes.SkipNode


def visit_other(translator, node: nodes.Element) -> None:
    raise nodes.SkipNode


def draw_pictures(app: Sphinx) -> None:
    """Draw what is missing, or older than the package and this file."""
    if app.builder.format != "html":
        return
    import matplotlib.pyplot as plt
    import msvision

    sources = [Path(__file__), *Path(msvision.__file__).parent.rglob("*.py")]
    newest = max(path.stat().st_mtime for path in sources)
    for name in ALT:
        target = Path(app.outdir, "_static", "figures", f"{name}.png")
        if not target.is_file() or target.stat().st_mtime < newest:
            target.parent.mkdir(parents=True, exist_ok=True)
            drawn = picture(name)
            drawn.savefig(target)
            plt.close(drawn)


def add_scripts(app: Sphinx, pagename: str, templatename: str, context: dict, doctree) -> None:
    """The scripts, on the pages that have a figure."""
    names = [node["name"] for node in doctree.findall(InteractiveFigure)] if doctree else []
    needed = dict.fromkeys(part for name in names for part in (*USES.get(name, ()), name))
    files = ["figures.js", *(f"figure_{name}.js" for name in needed)]
    for number, file in enumerate(files if names else []):
        app.add_js_file(file, loading_method="defer", priority=600 + number)


def setup(app: Sphinx) -> dict:
    app.add_node(InteractiveFigure, html=(visit, None), latex=(visit_other, None), text=(visit_other, None))
    app.add_transform(PutFigures)
    app.add_css_file("figures.css")
    app.connect("builder-inited", draw_pictures)
    app.connect("html-page-context", add_scripts)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
