"""The interactive figures: their numbers are the package's, and everyone can work them, or sees a picture."""

from __future__ import annotations

import base64
import importlib
import json
import re
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch
import yaml
from test_site import tab

from msvision import geometry
from msvision.data import samples
from msvision.torch import FPN, AtrousConvolution, SpatialPyramidPooling, gaussian_pyramid, laplacian_pyramid

ROOT = Path(__file__).resolve().parents[2]
CHAPTERS = {
    "pyramid": "01_image_pyramids",
    "spp": "03_spatial_pyramid_pooling",
    "atrous": "05_atrous_convolution",
    "fpn": "06_feature_pyramid_networks",
    "resizing": "08_learning_to_resize",
}
SIZES = [(1, 1), (2, 1), (3, 2), (5, 8), (13, 19), (33, 20), (65, 47)]
CALL = """([name, inputs]) => {
  const plain = (v) => Array.isArray(v) ? v.map(plain) : v?.values ? {...v, values: [...v.values]} : v;
  return plain(name.split(".").reduce((part, key) => part[key], msvFigures)(...inputs));
}"""

pytestmark = pytest.mark.book


@pytest.fixture(params=CHAPTERS)
def figure(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def functions(browser, address: str):
    """Calls a function of a figure's script on the page of its chapter: functions("spp.pool", map, 4)."""
    context, pages = browser.new_context(), {}

    def call(name: str, *inputs):
        figure = name.partition(".")[0] if name.partition(".")[0] in CHAPTERS else "resizing"
        if figure not in pages:
            pages[figure] = context.new_page()
            pages[figure].goto(f"{address}/book/{CHAPTERS[figure]}.html", wait_until="domcontentloaded")
        return back(pages[figure].evaluate(CALL, [name, [given(x) for x in inputs]]))

    yield call
    context.close()


def given(x):
    """NumPy arrays of two dimensions as the scripts know maps."""
    if isinstance(x, np.ndarray):
        return {"height": x.shape[0], "width": x.shape[1], "values": x.ravel().tolist()}
    return [given(part) for part in x] if isinstance(x, (list, tuple)) else x


def back(x):
    if isinstance(x, dict) and "values" in x:
        return np.array(x["values"]).reshape(x["height"], x["width"])
    return [back(part) for part in x] if isinstance(x, list) else x


def noise(shape) -> np.ndarray:
    return np.random.default_rng(sum(shape)).random(shape)


def tensor(x: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(x)[None, None].float()


def same(mine, package) -> None:
    package = package[0, 0].detach().numpy() if isinstance(package, torch.Tensor) else np.asarray(package)
    assert np.shape(mine) == package.shape
    assert np.allclose(mine, package, atol=1e-5)


# -- the numbers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SIZES, ids=str)
def test_pyramids(functions, shape: tuple[int, int]) -> None:
    x = noise(shape)
    levels = min(4, geometry.max_levels(shape))
    smoothed = functions("pyramid.gaussian", x, levels, True)
    for mine, package in zip(smoothed, gaussian_pyramid(tensor(x), levels), strict=True):
        same(mine, package)
    for mine, package in zip(
        functions("pyramid.laplacian", smoothed), laplacian_pyramid(tensor(x), levels), strict=True
    ):
        same(mine, package)
    for level, mine in enumerate(functions("pyramid.gaussian", x, levels, False)):
        same(mine, x[:: 2**level, :: 2**level])


def test_rings_and_mirror(functions) -> None:
    same(functions("pyramid.rings", 129), samples.zone_plate(129)[..., 0])
    for n in (1, 2, 3, 9):
        positions = range(-2, n + 3)
        assert [functions("pyramid.reflect", p, n) for p in positions] == geometry.reflect(
            np.array(positions), n
        ).tolist()


@pytest.mark.parametrize("shape", SIZES, ids=str)
def test_bins(functions, shape: tuple[int, int]) -> None:
    x = noise(shape)
    for bins in range(1, 7):
        edges = [functions("spp.edges", n, bins) for n in shape]
        assert edges == [[list(bin) for bin in geometry.adaptive_bin_edges(n, bins)] for n in shape]
        for mode in ("max", "average"):
            mine = functions("spp.pool", x, bins, mode)
            same(mine.ravel(), SpatialPyramidPooling((bins,), mode)(tensor(x))[0].numpy())
    same(functions("spp.vector", x, [4, 2, 1], "max"), SpatialPyramidPooling((4, 2, 1))(tensor(x))[0].numpy())


def ones(rate: int) -> AtrousConvolution:
    conv = AtrousConvolution(1, 1, rate=rate, bias=False)
    torch.nn.init.ones_(conv.weight)
    return conv


@pytest.mark.parametrize("rate", range(1, 9))
def test_atrous(functions, rate: int) -> None:
    for shape in SIZES:
        x = noise(shape)
        same(functions("atrous.average", x, rate), ones(rate)(tensor(x)) / 9)
    row, weights = [3, 1, 4, 1, 5, 9, 2], [1, 10, 100]
    conv = ones(rate)
    conv.weight.data[:] = 0
    conv.weight.data[0, 0, 1] = torch.tensor(weights).float()
    same([functions("atrous.atrousRow", row, weights, rate)], conv(tensor(np.array([row]))))
    assert functions("atrous.effective", 3, rate) == 3 + 2 * (rate - 1)


@pytest.mark.parametrize("rates", [(1,), (2, 2), (2, 2, 2), (1, 2, 3), (1, 2, 4), (3, 5, 7), (8, 8, 8)], ids=str)
def test_what_a_stack_sees(functions, rates: tuple[int, ...]) -> None:
    x = torch.zeros(1, 1, 65, 65, requires_grad=True)
    y = x
    for rate in rates:
        y = ones(rate)(y)
    y[0, 0, 32, 32].backward()
    ways = np.array(functions("atrous.ways", list(rates)))
    reach = functions("atrous.field", list(rates))
    assert len(ways) == reach
    first = 32 - reach // 2
    expected = np.zeros((65, 65))
    expected[first : first + reach, first : first + reach] = np.outer(ways, ways)
    same(expected, x.grad)


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
@pytest.mark.parametrize("shape", [(4, 4), (7, 13), (33, 20), (97, 65)], ids=str)
def test_top_down(functions, shape: tuple[int, int], interpolation: str) -> None:
    levels = [noise(level) for level in geometry.level_shapes(shape, 3)]
    fpn = FPN([1] * 3, 1, interpolation=interpolation, smoothing=False)
    for lateral in fpn.laterals:
        torch.nn.init.ones_(lateral.weight)
    for mine, package in zip(
        functions("fpn.topDown", levels, interpolation), fpn([tensor(x) for x in levels]), strict=True
    ):
        same(mine, package)


def test_top_down_by_hand(functions) -> None:
    lateral, coarse = np.array([[0.0, 1, 0, 2]]), np.array([[6.0, 2]])
    same(functions("fpn.topDown", [lateral, coarse], "nearest")[0], [[6, 7, 2, 4]])
    same(functions("fpn.topDown", [lateral, coarse], "bilinear")[0], [[6, 6, 3, 4]])


@pytest.mark.parametrize("sizes", [(1, 3), (4, 2), (5, 3), (7, 7), (9, 20), (72, 18), (72, 31), (65, 12)], ids=str)
def test_resizing(functions, sizes: tuple[int, int]) -> None:
    n, out = sizes
    x = noise((n, n))
    for name, method, antialias in (
        ("nearest", "nearest", False),
        ("bilinear", "bilinear", False),
        ("antialiased", "bilinear", True),
    ):
        matrix = geometry.resize_matrix(n, out, method, antialias)
        same(functions("resizeMatrix", n, out, method, antialias), matrix)
        same(functions("resizing.resize", x, out, name), matrix @ x @ matrix.T)


@pytest.mark.parametrize(("frequency", "out"), [(0.1, 18), (0.3, 18), (0.35, 18), (0.4, 36), (0.5, 24), (0.22, 60)])
def test_stripes_and_where_they_fold(functions, frequency: float, out: int) -> None:
    n = 72
    stripes = functions("resizing.stripes", n, frequency)
    same(stripes, np.tile((1 + np.cos(2 * np.pi * frequency * np.arange(n))) / 2, (n, 1)))
    assert functions("resizing.limit", n, out) == pytest.approx(out / n / 2)
    # at the same steps in a longer row, the strongest wave is at the frequency that the figure says
    wave = np.cos(2 * np.pi * frequency * np.arange(7200) * n / out)
    strongest = np.argmax(np.abs(np.fft.rfft(wave))) / 7200
    assert functions("resizing.folded", frequency, n, out) == pytest.approx(strongest * out / n, abs=1e-4)


# -- the pages -------------------------------------------------------------------------------------------------------


def shown(page, figure: str) -> tuple:
    """What a reader sees of a figure: its pictures, its sentences, its tables."""
    return tuple(
        page.evaluate(
            """(id) => { const all = (s) => [...document.querySelectorAll(`#figure-${id} ${s}`)];
              return [all("canvas").map((c) => c.toDataURL()).join(), all(".msv-text").map((p) => p.textContent).join(),
                      all("table").map((t) => t.textContent).join()]; }""",
            figure,
        )
    )


def opened(page, address: str, figure: str):
    page.goto(f"{address}/book/{CHAPTERS[figure]}.html", wait_until="domcontentloaded")
    place = page.locator(f"#figure-{figure}.msv-running")
    assert place.count() == 1
    return place


def test_the_photograph_arrives_as_it_is_and_paper_shows_a_picture(
    browser, address: str, figure: str, monkeypatch
) -> None:
    monkeypatch.syspath_prepend(ROOT / "book/_ext")
    pixels = importlib.import_module("figures").photograph(figure)
    with tab(browser) as page:
        place = opened(page, address, figure)
        data = place.evaluate("(e) => ({...e.dataset})")
        assert (data["height"], data["width"]) == tuple(map(str, pixels.shape))
        assert base64.b64decode(data["pixels"]) == pixels.tobytes()
        page.emulate_media(media="print")
        assert place.locator("img").is_visible()
        assert not place.locator(".msv-live").is_visible()


def test_by_keyboard(browser, address: str, figure: str) -> None:
    """Tab reaches every control in turn; each changes something that is shown, and says its value."""
    with tab(browser) as page:
        place = opened(page, address, figure)
        controls = place.locator("input, select, button")
        controls.first.focus()
        for number in range(controls.count()):
            if number:
                page.keyboard.press("Tab")
            control = controls.nth(number)
            if control.is_disabled():
                continue
            assert control.evaluate("(e) => e === document.activeElement"), number
            assert control.evaluate("(e) => getComputedStyle(e).outlineStyle") == "solid", "the focus is seen"
            before, kind = shown(page, figure), control.evaluate("(e) => e.type")
            keys = {"range": ["ArrowRight", "ArrowLeft"], "select-one": ["ArrowDown", "ArrowUp"]}.get(
                kind, ["Space", "Space"]
            )
            if kind == "range" and control.input_value() == control.get_attribute("max"):
                keys.reverse()
            page.keyboard.press(keys[0])
            assert shown(page, figure) != before, f"control {number} changes nothing"
            if kind == "range":
                assert control.get_attribute("aria-valuetext")
            page.keyboard.press(keys[1])
            assert kind == "submit" or kind == "button" or shown(page, figure) == before, (
                f"control {number} does not go back"
            )


def test_by_touch(browser, address: str, figure: str) -> None:
    with tab(browser, viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True) as page:
        place = opened(page, address, figure)
        slider = place.locator("input[type=range]:enabled").last
        slider.scroll_into_view_if_needed()
        box, before = slider.bounding_box(), shown(page, figure)
        assert box["height"] >= 24  # a finger's width, WCAG 2.5.8
        page.touchscreen.tap(box["x"] + box["width"] - 4, box["y"] + box["height"] / 2)
        assert slider.input_value() == slider.get_attribute("max")
        assert shown(page, figure) != before


def test_touching_a_bin_chooses_it(browser, address: str) -> None:
    with tab(browser, has_touch=True) as page:
        place = opened(page, address, "spp")
        for canvas in place.locator("canvas").all():
            canvas.scroll_into_view_if_needed()
            box = canvas.bounding_box()
            page.touchscreen.tap(box["x"] + 0.9 * box["width"], box["y"] + 0.9 * box["height"])
            assert "Bin (3, 3)" in place.inner_text()
            page.touchscreen.tap(box["x"] + 4, box["y"] + 4)
            assert "Bin (0, 0)" in place.inner_text()


def test_without_javascript(browser, address: str, figure: str) -> None:
    with tab(browser, java_script_enabled=False) as page:
        page.goto(f"{address}/book/{CHAPTERS[figure]}.html", wait_until="load")
        place = page.locator(f"#figure-{figure}")
        assert place.locator("img").is_visible()
        assert len(place.locator("img").get_attribute("alt")) > 40
        assert place.locator("img").evaluate("(e) => e.naturalWidth") > 300
        assert place.locator("input, select, button, canvas").count() == 0
        assert "on this page of the book" not in page.locator("article").inner_text()


def test_opened_from_the_disk(browser, site: Path, figure: str) -> None:
    faults: list[str] = []
    with tab(browser) as page:
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
        opened(page, site.as_uri(), figure)
    assert not faults


def test_every_setting_fits_a_phone_and_says_numbers(browser, address: str, figure: str) -> None:
    with tab(browser, viewport={"width": 360, "height": 740}) as page:
        place = opened(page, address, figure)
        for end in ("max", "min"):
            for slider in place.locator("input[type=range]").all():
                slider.evaluate(f"(e) => {{ e.value = e.{end}; e.dispatchEvent(new Event('input')); }}")
                assert not re.search(r"NaN|undefined|Infinity", place.inner_text())
            width = page.evaluate("document.documentElement.scrollWidth")
            assert width <= 360


def test_only_pages_with_a_figure_load_the_scripts(site: Path) -> None:
    for path in sorted(site.glob("book/*.html")):
        figures = [name for name, chapter in CHAPTERS.items() if chapter == path.stem]
        text = path.read_text(encoding="utf8")
        assert re.findall(r'class="msv-figure" id="figure-(\w+)"', text) == figures
        assert ("figures.js" in text) == bool(figures)


def test_the_notebooks_say_where_the_figure_is(figure: str) -> None:
    """In Colab there are words in its place, with the address at which GitHub publishes the repository's pages."""
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf8"))
    owner, name = config["repository"]["url"].rsplit("/", 2)[1:]
    path = ROOT / f"book/{CHAPTERS[figure]}.ipynb"
    cells = [cell.source for cell in nbformat.read(path, as_version=4).cells if "msv-figure" in cell.source]
    assert len(cells) == 1
    assert f'<div class="msv-figure" data-figure="{figure}">' in cells[0]
    assert f'href="https://{owner}.github.io/{name}/book/{path.stem}.html#figure-{figure}"' in cells[0]
    assert json.loads(path.read_text(encoding="utf8"))["nbformat"] == 4
