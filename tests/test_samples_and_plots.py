"""The photographs and charts that chapters use, and the figures made of them."""

from __future__ import annotations

import hashlib

import matplotlib
import numpy as np
import pytest

matplotlib.use("Agg")
from msvision import plots
from msvision.data import samples


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
