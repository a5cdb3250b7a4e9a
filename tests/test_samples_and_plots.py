"""The photographs and charts that chapters use, and the figures made of them."""

from __future__ import annotations

import hashlib

import matplotlib
import numpy as np
import pytest

matplotlib.use("Agg")
from msvision import plots
from msvision.data import samples
from msvision.training import History


@pytest.mark.parametrize("name", samples.PHOTOGRAPHS)
def test_photographs_are_float_images(name):
    for grey in (False, True):
        image = samples.photograph(name, grey=grey)
        assert image.dtype == np.float32 and image.ndim == 3 and image.shape[2] in ((1,) if grey else (1, 3))
        assert image.min() >= 0 and 0.5 < image.max() <= 1 + 1e-6


def test_crops_are_the_same_on_every_machine():
    crops = samples.crops("grass", 4, 32, seed=3)
    assert hashlib.sha256(np.round(255 * crops).astype(np.uint8).tobytes()).hexdigest()[:16] == "5120aa7444da2a98"
    assert not np.array_equal(crops, samples.crops("grass", 4, 32, seed=4))
    assert samples.crops("camera", 1, 512, seed=0).shape == (1, 512, 512, 1)


def test_zone_plate_reaches_its_highest_frequency_at_the_edge():
    row = samples.zone_plate(256, highest=0.25)[128, :, 0]
    assert row[128] == 1
    distance = np.arange(64, 128)  # pixels from the centre, where the phase is pi * 0.25 * distance² / 128
    half_waves = 0.25 * (distance[-1] ** 2 - distance[0] ** 2) / 128
    assert np.count_nonzero(np.diff(row[192:] > 0.5)) == pytest.approx(half_waves, abs=1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: samples.photograph("lena"), "name must be one of astronaut"),
        (lambda: samples.crops("camera", 1, 513, 0), "size must be at most 512 for camera, got 513"),
        (lambda: samples.crops("camera", 0, 8, 0), "count must be at least 1, got 0"),
        (lambda: samples.zone_plate(1), "size must be at least 2, got 1"),
        (lambda: plots.images([np.zeros((9, 800))]), "at most 660 pixels wide, got 800"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def drawn(figure):
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[..., :3]


def test_images_are_drawn_pixel_for_pixel():
    plots.style()
    noise = np.random.default_rng(0).integers(0, 256, (20, 30, 3)) / 255
    pixels = drawn(plots.images([noise, noise[:10]], zoom=[1, 3]))
    np.testing.assert_array_equal(pixels[4:24, :30], np.round(255 * noise))
    np.testing.assert_array_equal(pixels[4:34, 40:][1::3, 1::3], np.round(255 * noise[:10]))


def test_signed_images_are_white_at_zero_and_share_one_scale():
    plots.style()
    pixels = drawn(
        plots.images([np.array([[-1.0, 0, 1]]), np.array([[0.0, 0.5, 1]])], zoom=8, signed=True, limits=(0, 1))
    )
    first, second = pixels[8, 4:24:8].astype(int), pixels[8, 38:58:8].astype(int)
    assert (first[1] > 240).all() and (second[0] > 240).all()
    np.testing.assert_array_equal(first[2], second[2])
    assert first[0][2] > first[0][0] and first[2][0] > first[2][2]  # blue below, red above


def test_a_pyramid_has_no_gaps_in_its_levels():
    plots.style()
    levels = [np.full((n, n, 1), value) for n, value in ((32, 0.2), (16, 0.4), (8, 0.6))]
    pixels = drawn(plots.pyramid(levels))
    assert pixels.shape[:2] == (32, 54)
    assert {int(v) for v in np.unique(pixels)} == {51, 102, 153, 255}


def test_every_method_can_be_told_apart_in_grey():
    assert len({(marker, line) for _, marker, line in plots.METHODS.values()}) == len(plots.METHODS)


def test_segmentation_is_painted_in_the_colours_of_its_legend():
    plots.style()
    picture, labels = np.full((40, 50, 3), 0.5), np.zeros((40, 50), int)
    labels[:, 25:], labels[30:] = 2, 255
    figure = plots.segmentation([picture], [labels], [labels * 0 + 1], ["road", "car", "tree"], ["one"], background=0)
    pixels = drawn(figure).astype(float)
    assert figure.axes[0].get_window_extent().bounds[2:] == pytest.approx((200, 160))  # four times as large
    left = 26 + 0  # the title
    middle, right = pixels[left + 10, 210 + 150], pixels[left + 10, 420 + 100]
    grey = np.full(3, 0.5)
    np.testing.assert_allclose(pixels[left + 10, 210 + 20], 255 * grey, atol=1)  # background
    np.testing.assert_allclose(middle, 255 * (0.35 * grey + 0.65 * plots.class_colours(3)[2]), atol=1)
    np.testing.assert_allclose(right, 255 * (0.35 * grey + 0.65 * plots.class_colours(3)[1]), atol=1)
    np.testing.assert_allclose(pixels[left + 150, 210 + 20], 255 * 0.35 * grey, atol=1)  # not counted
    assert [text.get_text() for text in figure.legends[0].texts] == ["car", "tree", "not counted"]
    wide = plots.segmentation([np.zeros((9, 240, 3))], [np.zeros((9, 240), int)], [np.zeros((9, 240), int)], ["road"])
    assert [axes.get_title(loc="left") for axes in wide.axes] == ["good, labels", "prediction"]


def test_feature_maps_say_their_range_and_use_all_of_it():
    plots.style()
    rng = np.random.default_rng(0)
    levels = [rng.normal(3, 2, (n, n, 4)) for n in (64, 32, 16)]
    figure = plots.feature_maps(levels)
    for axes, level in zip(figure.axes, levels):
        mean = level.mean(-1)
        assert axes.get_title(loc="left").endswith(f"{mean.min():.2g} to {mean.max():.2g}".replace("-", "−"))
        shown = axes.images[0].get_array()
        np.testing.assert_allclose(shown, (mean - mean.min()) / np.ptp(mean), atol=1e-12)
    assert len({axes.get_window_extent().width for axes in figure.axes}) == 1


def test_a_feature_map_that_is_the_same_everywhere_is_grey():
    figure = plots.feature_maps([np.full((8, 8, 3), 0.24)])
    assert (figure.axes[0].images[0].get_array() == 0.5).all()
    assert figure.axes[0].get_title(loc="left") == "8 × 8\n0.24 to 0.24"


def test_class_colours_are_different_and_finite():
    colours = plots.class_colours(16)
    apart = np.abs(colours[:, None] - colours[None]).sum(-1) + 9 * np.eye(16)
    assert apart.min() > 0.2
    with pytest.raises(ValueError, match="count must be at most 16, the colours that stay apart, got 17"):
        plots.class_colours(17)


def test_curves_are_means_with_bands_and_names_that_do_not_touch():
    plots.style()
    seeds = np.random.default_rng(0).random((4, 30))
    figure = plots.curves({"one": seeds, "another": seeds[0], "a third": seeds[1] * 0 + seeds[0, -1]})
    axes = figure.axes[0]
    np.testing.assert_allclose(axes.lines[0].get_ydata(), seeds.mean(0))
    band = axes.collections[0].get_paths()[0].vertices
    mean, half = plots.interval(seeds)
    assert band[:, 1].max() == pytest.approx((mean + half).max()) and len(axes.collections) == 1
    figure.draw_without_rendering()
    boxes = sorted((text.get_window_extent() for text in axes.texts), key=lambda box: box.y0)
    assert all(lower.y1 <= upper.y0 + 3 for lower, upper in zip(boxes, boxes[1:]))
    assert all(box.x1 <= figure.bbox.x1 for box in boxes)


def test_pareto_joins_what_nothing_cheaper_equals():
    points = {"a": (1, 0.5), "b": (2, 0.5), "c": (3, 0.9, 0.1), "d": (4, 0.7), "e": (1, 0.4)}
    axes = plots.pareto(points, "ms", "mIoU").axes[0]
    assert axes.lines[0].get_xydata().tolist() == [[1, 0.5], [3, 0.9]]
    assert [text.get_text() for text in axes.texts] == list(points) and axes.get_xscale() == "log"


def test_level_weights_show_each_level_and_its_interval():
    values = np.array([[0.6, 0.4], [0.7, 0.3], [0.5, 0.5]])
    axes = plots.level_weights({"fine": values, "coarse": values[:1]}).axes[0]
    assert [round(bar.get_height(), 6) for bar in axes.patches] == [0.6, 0.6, 0.4, 0.4]
    assert [text.get_text() for text in axes.texts] == ["0.60", "0.60", "0.40", "0.40"]
    assert tuple(axes.patches[0].get_facecolor()) == plots.level_colours(2)[0]


def test_a_history_is_drawn_with_its_metrics():
    losses = list(np.linspace(2, 0, 200))
    figure = History(losses=losses, evaluated=[100, 200], metrics={"mIoU": [0.1, 0.5], "accuracy": [0.2, 0.6]}).plot()
    assert [axes.get_ylabel() for axes in figure.axes] == ["loss", "mIoU", "accuracy"]
    np.testing.assert_allclose(figure.axes[0].lines[0].get_ydata(), losses)
    assert figure.axes[1].lines[0].get_xydata().tolist() == [[100, 0.1], [200, 0.5]]
