"""Template search, registration and DeepDream: what they find, against the peers, and the same in both frameworks."""

import cv2
import numpy as np
import pytest
import references
import skimage.registration
import tensorflow as tf
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from measured import assert_agrees

from msvision import geometry
from msvision import tensorflow as msv_tensorflow
from msvision import torch as msv_torch
from msvision.data.samples import photograph
from msvision.port import port
from msvision.tensorflow import search as search_tensorflow
from msvision.torch import search as search_torch

PHOTOGRAPHS = ("astronaut", "camera", "china", "coffee", "rocket")
OPENCV, SKIMAGE = f"OpenCV {cv2.__version__} matchTemplate", "skimage phase_cross_correlation"


class Torch:
    """The PyTorch functions on NumPy images (N, H, W, C)."""

    title, module = "PyTorch", search_torch

    def there(self, x):
        return torch.from_numpy(np.ascontiguousarray(x)).movedim(-1, 1)

    def back(self, x):
        return x.movedim(1, -1).numpy() if x.ndim == 4 else x.numpy()


class TensorFlow:
    """The TensorFlow functions on NumPy images."""

    title, module = "TensorFlow", search_tensorflow

    def there(self, x):
        return tf.constant(x)

    def back(self, x):
        return x.numpy()


FRAMEWORKS = [Torch(), TensorFlow()]
both = pytest.mark.parametrize("msv", FRAMEWORKS, ids=["torch", "tensorflow"])


def find(msv, image, template, **arguments):
    match = msv.module.find_template(msv.there(image), msv.there(template), **arguments)
    trail = [msv.back(found) for found in match.trail]
    return match._replace(position=msv.back(match.position), score=msv.back(match.score), trail=trail)


def register(msv, fixed, moving, **arguments):
    return msv.back(msv.module.register_translation(msv.there(fixed), msv.there(moving), **arguments))


def dream(msv, image, features, **arguments):
    return msv.back(msv.module.deep_dream(msv.there(image), features, **arguments))


def texture(shape, seed=0, dtype="float32"):
    """Noise without its finest grain, as photographs are."""
    noise = np.random.default_rng(seed).random(shape)
    return np.stack([cv2.GaussianBlur(image, (0, 0), 1).reshape(shape[1:]) for image in noise]).astype(dtype)


def opencv(image, template):
    return cv2.matchTemplate(image, template, cv2.TM_CCOEFF_NORMED)


# -- find_template ---------------------------------------------------------------------------------------------------


@both
@settings(max_examples=25)
@given(data=st.data())
def test_a_planted_template_is_found_anywhere(msv, data):
    h, w = (data.draw(st.integers(16, 41)) for _ in "hw")
    height, width = (data.draw(st.integers(n, 110)) for n in (h, w))
    row, column = data.draw(st.integers(0, height - h)), data.draw(st.integers(0, width - w))
    image = texture((1, height, width, data.draw(st.integers(1, 4))), data.draw(st.integers(0, 99)))
    template = image[:, row : row + h, column : column + w]
    match = find(msv, image, template, levels=data.draw(st.sampled_from([None, 1, 2])))
    assert match.position.tolist() == [[row, column]]
    assert abs(match.score - 1) < 1e-6
    assert all((t >= 0).all() for t in match.trail) and (match.trail[0] == [row, column]).all(-1).any()


@both
@pytest.mark.parametrize("name, size", [("camera", (64, 64)), ("coffee", (33, 51)), ("china", (17, 16))], ids=str)
def test_one_level_is_opencv_s_search(msv, name, size):
    image, (h, w) = photograph(name)[80:200, 180:320].copy(), size
    template = image[21 : 21 + h, 33 : 33 + w] + 0.1 * texture((1, h, w, image.shape[2]))[0]
    scores = msv.back(msv.module._scores(msv.there(image[None]), msv.there(template[None])))[0]
    exact, contrast = written_out_correlation(image.astype("float64"), template.astype("float64"))
    assert_agrees("find_template", msv.title, "the paper's formula in NumPy", scores, exact, 1e-9)
    wanted, clear = opencv(image, template), contrast > 0.1  # elsewhere OpenCV's single precision shows, or it gives 0
    assert_agrees("find_template", msv.title, OPENCV, scores[clear], wanted[clear])
    match = find(msv, image[None], template[None], levels=1)
    _, best, _, place = cv2.minMaxLoc(wanted)
    assert match.position.tolist() == [[*place[::-1]]]
    assert abs(match.score - best) < 1e-5
    assert match.comparisons == match.exhaustive == wanted.size * h * w


def written_out_correlation(image, template):
    """Correlation coefficients (Lewis, 1995, eq. 2), and how far each place deviates relative to its brightness."""
    places = np.lib.stride_tricks.sliding_window_view(image, template.shape[:2], (0, 1))  # (rows, columns, C, h, w)
    template = template - template.mean((0, 1))
    deviations = places - places.mean((-2, -1), keepdims=True)
    norm = np.sqrt((deviations**2).sum((-3, -2, -1)))
    products = np.einsum("ijchw,hwc->ij", deviations, template)
    return products / (norm * np.sqrt((template**2).sum())), norm / np.sqrt((places**2).sum((-3, -2, -1)))


@both
def test_coarse_to_fine_finds_what_exhaustive_search_finds_in_photographs(msv):
    found, rng = [], np.random.default_rng(0)
    for name in PHOTOGRAPHS:
        image = photograph(name, grey=True)
        for _ in range(3):
            row, column = (int(rng.integers(0, n - 64)) for n in image.shape[:2])
            template = image[row : row + 64, column : column + 64]
            if template.std() < 0.05:  # sky
                continue
            match = find(msv, image[None], template[None], levels=3)
            found.append(match.position.tolist() == [[row, column]])
            place = tuple(match.position[0])
            wanted = opencv(image[place[0] : place[0] + 64, place[1] : place[1] + 64].copy(), template.copy())
            assert abs(match.score - wanted.item()) < 1e-5
    assert len(found) > 8 and all(found)


@both
def test_levels_save_comparisons_and_the_count_is_that_of_the_work(msv, monkeypatch):
    image, visited, scores = texture((1, 200, 231, 1)), [], msv.module._scores
    template = image[:, 31:95, 50:98]

    def counted(x, sought):
        result = scores(x, sought)
        visited.append(np.prod(result.shape) * (sought.shape[1] * sought.shape[2] * sought.shape[3]))
        return result

    monkeypatch.setattr(msv.module, "_scores", counted)
    match = find(msv, image, template, levels=3)
    assert sum(visited) == match.comparisons
    assert match.exhaustive == (200 - 64 + 1) * (231 - 48 + 1) * 64 * 48
    assert match.comparisons * 20 <= match.exhaustive
    assert [t.shape for t in match.trail] == [(1, 5, 2)] * 3


@pytest.mark.parametrize("size", [192, 200, 512, 2047, 4096])
def test_three_levels_compare_twenty_times_less(size):
    visited, exhaustive = geometry.search_comparisons((size, size), (64, 64), 3, candidates=5, radius=3)
    assert visited * 20 <= exhaustive


@both
def test_a_candidate_that_is_second_on_the_coarse_level_can_win(msv):
    shape = np.kron(texture((1, 16, 16, 1), 1), np.ones((1, 3, 3, 1), "float32"))[:, :48, :48]
    grain = np.where(np.indices((48, 48)).sum(0) % 2, 0.2, -0.2).astype("float32")[None, ..., None]
    image = 0.1 * texture((1, 200, 200, 1), 2)
    image[:, 20:68, 20:68] = shape  # on a pixel of the coarse level, without the grain that nobody sees there
    image[:, 121:169, 121:169] = shape + grain
    assert find(msv, image, shape + grain, levels=2, candidates=1).position.tolist() == [[20, 20]]
    assert find(msv, image, shape + grain, levels=2, candidates=2).position.tolist() == [[121, 121]]


@both
@pytest.mark.parametrize("levels", [1, 2])
def test_nothing_varies(msv, levels):
    image, flat = texture((1, 40, 50, 3)), np.full((1, 9, 8, 3), 0.3, "float32")
    assert find(msv, image, flat, levels=levels).score.tolist() == [0]
    assert find(msv, np.full_like(image, 0.7), image[:, :9, :8], levels=levels).score.tolist() == [0]
    image[:, :30] = 0.7  # most places are flat, and the template is of the rest
    assert find(msv, image, image[:, 31:40, 5:13], levels=levels).position.tolist() == [[31, 5]]


def test_opencv_finds_a_flat_template_everywhere():
    assert (opencv(texture((1, 40, 50, 1))[0], np.full((9, 8), 0.3, "float32")) == 1).all()


@both
def test_brightness_and_contrast_do_not_matter(msv):
    image = texture((1, 60, 70, 1))
    template = image[:, 20:40, 31:52]
    for scale, offset in ((5, 0), (1e-3, 7), (1, 1000)):
        match = find(msv, image, scale * template + np.float32(offset), levels=1)
        assert match.position.tolist() == [[20, 31]] and match.score > 0.999
    assert find(msv, image, -template, levels=1).score < 0.9


@both
def test_of_equal_places_the_first_counts(msv):
    template = texture((1, 8, 8, 1))
    image = np.tile(template, (1, 3, 3, 1))
    assert find(msv, image, template, levels=1).position.tolist() == [[0, 0]]
    image[:, :8, :8] = 0
    assert find(msv, image, template, levels=1).position.tolist() == [[0, 8]]


@both
def test_each_image_has_its_own_template_or_all_have_one(msv):
    images = texture((3, 70, 61, 2))
    corners = [(3, 5), (40, 30), (20, 11)]
    templates = np.stack([image[r : r + 20, c : c + 21] for image, (r, c) in zip(images, corners)])
    match = find(msv, images, templates, levels=2)
    assert match.position.tolist() == [list(corner) for corner in corners]
    one = find(msv, images, templates[1:2], levels=2)
    assert one.position[1].tolist() == [40, 30] and one.score[1] > 0.999 > one.score[[0, 2]].max()
    for i in range(3):
        alone = find(msv, images[i : i + 1], templates[i : i + 1], levels=2)
        assert all((a[0] == t[i]).all() for a, t in zip(alone.trail, match.trail))


@settings(max_examples=15)
@given(seed=st.integers(0, 999), levels=st.integers(1, 3), channels=st.integers(1, 3))
def test_both_frameworks_find_the_same(seed, levels, channels):
    image, other = texture((2, 71, 83, channels), seed), texture((2, 71, 83, channels), seed + 1)
    template = image[:, 30:55, 40:63] + 0.5 * other[:, 30:55, 40:63]
    a, b = (find(msv, image, template, levels=levels) for msv in FRAMEWORKS)
    assert a.position.tolist() == b.position.tolist() and a[3:] == b[3:]
    assert all((x == y).all() for x, y in zip(a.trail, b.trail))
    np.testing.assert_allclose(a.score, b.score, atol=1e-5)


@both
@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_precisions_of_the_search(msv, dtype):
    image = texture((1, 60, 70, 1), dtype=dtype)
    match = find(msv, image, image[:, 20:40, 31:52], levels=2)
    assert match.position.tolist() == [[20, 31]]
    assert match.score.dtype == ("float32" if dtype == "float16" else dtype)
    shift = register(msv, image[:, 5:55, 5:55], image[:, 3:53, 8:58])
    assert shift.dtype == ("float32" if dtype == "float16" else dtype)
    np.testing.assert_allclose(shift, [[-2, 3]], atol=0.05)


def test_bfloat16_is_searched_in_single_precision():
    image = torch.from_numpy(texture((1, 1, 60, 70))).bfloat16()
    match = msv_torch.find_template(image, image[:, :, 20:40, 31:52], levels=2)
    assert match.position.tolist() == [[20, 31]] and match.score.dtype == torch.float32
    image = tf.cast(texture((1, 60, 70, 1)), tf.bfloat16)
    match = msv_tensorflow.find_template(image, image[:, 20:40], levels=2)
    assert match.position.numpy().tolist() == [[20, 0]] and match.score.dtype == tf.float32


def test_no_gradient_passes_through_a_search():
    image = torch.from_numpy(texture((1, 1, 40, 40))).requires_grad_()
    assert not msv_torch.find_template(image, image[:, :, :16, :16]).score.requires_grad
    assert not msv_torch.register_translation(image, image).requires_grad
    variable = tf.Variable(texture((1, 40, 40, 1)))
    with tf.GradientTape(persistent=True) as tape:
        score = msv_tensorflow.find_template(variable, variable[:, :16, :16]).score
        shift = msv_tensorflow.register_translation(variable, variable)
    assert tape.gradient(score, variable) is None and tape.gradient(shift, variable) is None


# -- register_translation --------------------------------------------------------------------------------------------


def square(image, corner, size):
    row, column = corner
    return image[row : row + size, column : column + size].copy()


def shifted_photographs(distance, count=8, size=256, seed=0):
    """Squares cut from photographs, others ``distance`` pixels away, and the shifts between them."""
    rng, fixed, moving, shifts = np.random.default_rng(seed), [], [], []
    for name in PHOTOGRAPHS:
        image = photograph(name, grey=True)
        for _ in range(count):
            angle = rng.uniform(0, 2 * np.pi)
            shift = np.round(distance * np.array([np.sin(angle), np.cos(angle)])).astype(int)
            row, column = (rng.integers(max(0, -s), n - size + min(0, -s) + 1) for n, s in zip(image.shape, shift))
            fixed.append(square(image, (row, column), size))
            moving.append(square(image, (row + shift[0], column + shift[1]), size))
            shifts.append(shift)
    noise = 0.02 * rng.standard_normal((2, len(shifts), size, size, 1))
    return (
        (np.stack(fixed) + noise[0]).astype("float32"),
        (np.stack(moving) + noise[1]).astype("float32"),
        np.array(shifts),
    )


@both
@pytest.mark.parametrize("distance", [8, 48])
def test_large_shifts_of_photographs_need_a_pyramid(msv, distance):
    fixed, moving, shifts = shifted_photographs(distance, count=3)
    results, single = register(msv, fixed, moving), register(msv, fixed, moving, levels=1)
    right, right_single = (np.linalg.norm(r - shifts, axis=1) < 0.5 for r in (results, single))
    assert right.mean() >= (1 if distance == 8 else 0.9)
    assert_agrees("register_translation", msv.title, "known whole shifts", results[right], shifts[right], 0.01)
    assert right_single.mean() < (0.95 if distance == 8 else 0.05)


def subpixel_photographs():
    """Every fourth pixel of photographs after smoothing: whole shifts there are quarters of a pixel here."""
    rng, fixed, moving, shifts = np.random.default_rng(0), [], [], []
    for name in PHOTOGRAPHS:
        image = photograph(name, grey=True)
        for down, right in rng.integers(-20, 21, (2, 2)):
            row, column = (n // 2 - 160 for n in image.shape[:2])
            for corner, squares in (((row, column), fixed), ((row + down, column + right), moving)):
                squares.append(cv2.pyrDown(cv2.pyrDown(square(image, corner, 320)))[..., None])
            shifts.append([down / 4, right / 4])
    return np.stack(fixed), np.stack(moving), np.array(shifts)


@both
def test_shifts_of_photographs_are_found_to_a_tenth_of_a_pixel(msv):
    fixed, moving, shifts = subpixel_photographs()
    results = register(msv, fixed, moving)
    assert np.abs(results - shifts).max() < 0.1
    peer = [
        skimage.registration.phase_cross_correlation(f[..., 0], m[..., 0], upsample_factor=20)[0]
        for f, m in zip(fixed, moving)
    ]
    close = np.abs(peer - shifts).max(1) < 0.2
    assert close.mean() > 0.6
    assert_agrees("register_translation", msv.title, SKIMAGE, results[close], np.array(peer)[close], 0.06)


@both
@settings(max_examples=10)
@given(data=st.data())
def test_any_shift_of_waves_is_found(msv, data):
    height, width = data.draw(st.integers(33, 70)), data.draw(st.integers(33, 70))
    shift = np.array([data.draw(st.floats(-0.15, 0.15)) * n for n in (height, width)])
    seed = data.draw(st.integers(0, 99))
    fixed, moving = (waves(seed, (height, width), s) for s in (0 * shift, shift))
    results = register(msv, fixed, moving)
    np.testing.assert_allclose(results, [shift], atol=0.05)
    np.testing.assert_allclose(register(msv, moving, fixed), -results, atol=0.02)


def waves(seed, size, shift):
    """Waves of all lengths from 10 pixels to 100, at ``y + down, x + right``."""
    rng = np.random.default_rng(seed)
    y, x = (np.arange(n) + s for n, s in zip(size, shift))
    length, angle, phase = 10 * 10 ** rng.random(40), rng.uniform(0, 2 * np.pi, 40), rng.uniform(0, 2 * np.pi, 40)
    rows, columns = 2 * np.pi / length * np.sin(angle), 2 * np.pi / length * np.cos(angle)
    place = y[:, None, None] * rows + x[None, :, None] * columns + phase
    return (length * np.cos(place)).sum(-1)[None, ..., None].astype("float32")


@both
def test_a_pair_does_not_depend_on_its_neighbours_nor_on_its_brightness(msv):
    fixed, moving, _ = shifted_photographs(12, count=1, size=100)
    together = register(msv, fixed, moving)
    for i in (0, 3):
        np.testing.assert_allclose(register(msv, fixed[i : i + 1], moving[i : i + 1]), together[i : i + 1], atol=1e-4)
    np.testing.assert_allclose(register(msv, fixed + 0.25, moving), together, atol=1e-3)
    colours = np.concatenate((fixed, 1 - fixed), -1), np.concatenate((moving, 1 - moving), -1)
    np.testing.assert_allclose(register(msv, *colours), together, atol=1e-3)


@both
@pytest.mark.parametrize("size", [(1, 1), (1, 40), (2, 3), (40, 1), (3, 3), (33, 65)], ids=str)
def test_what_nothing_tells_stays_at_zero(msv, size):
    flat = np.full((1, *size, 2), 0.4, "float32")
    assert register(msv, flat, flat).tolist() == [[0, 0]]
    assert np.isfinite(register(msv, texture((1, *size, 2)), texture((1, *size, 2), 1))).all()
    stripes = waves(0, (1, 90), (0, 0)).repeat(50, 1)
    np.testing.assert_allclose(register(msv, stripes[:, :, 10:70], stripes[:, :, 13:73]), [[0, 3]], atol=1e-3)


def test_both_frameworks_register_alike():
    for fixed, moving, _ in (shifted_photographs(20, count=1, size=128), subpixel_photographs()):
        a, b = (register(msv, fixed, moving) for msv in FRAMEWORKS)
        np.testing.assert_allclose(a, b, atol=1e-3)


# -- deep_dream ------------------------------------------------------------------------------------------------------


@both
def test_a_dream_written_out(msv):
    """What is increased is the mean square of differences: rows far apart, columns near each other."""

    def features(x):
        if msv.title == "PyTorch":
            return x[:, :, 3:, 1:] - x[:, :, :-3, :-1]
        return x[:, 3:, 1:] - x[:, :-3, :-1]

    image = texture((1, 47, 61, 3), dtype="float64")
    wanted = written_out_dream(image, octaves=3, iterations=4, step=0.01, seed=5, jitter=9)
    actual = dream(msv, image, features, octaves=3, iterations=4, seed=5, jitter=9, min_size=20)
    assert_agrees("deep_dream", msv.title, "the written-out ascent in NumPy", actual, wanted, 1e-9)


def written_out_dream(image, octaves, iterations, step, seed, jitter):
    bases = [image]
    for _ in range(octaves - 1):
        bases.append(references.downsample(bases[-1], 1 / 1.4))
    rolls = np.random.default_rng(seed).integers(-jitter, jitter + 1, (octaves, iterations, 2))
    change = np.zeros_like(bases[-1])
    for base, octave in zip(reversed(bases), rolls):
        if change.shape != base.shape:
            change = references.upsample(change, base.shape[1:3], 1.4)
        x = np.clip(base + change, 0, 1)
        for down, right in octave:
            rolled = np.roll(np.roll(x, down, 1), right, 2)
            difference = rolled[:, 3:, 1:] - rolled[:, :-3, :-1]
            gradient = np.zeros_like(rolled)
            gradient[:, 3:, 1:] += difference
            gradient[:, :-3, :-1] -= difference
            gradient = np.roll(np.roll(gradient, -down, 1), -right, 2)
            x = np.clip(x + step * gradient / np.abs(gradient).mean(), 0, 1)
        change = x - base
    return x


@both
@settings(max_examples=10)
@given(data=st.data())
def test_for_what_sees_single_pixels_rolls_and_tiles_make_no_difference(msv, data):
    size = data.draw(st.integers(20, 50)), data.draw(st.integers(20, 50))
    image = texture((2, *size, 1), dtype="float64")
    arguments = {"octaves": 2, "iterations": 2, "min_size": 8}
    whole = dream(msv, image, lambda x: x, jitter=0, **arguments)
    seed, tile, jitter = data.draw(st.integers(0, 99)), data.draw(st.integers(8, 60)), data.draw(st.integers(0, 70))
    tiled = dream(msv, image, lambda x: x, tile=tile, jitter=jitter, seed=seed, **arguments)
    np.testing.assert_allclose(tiled, whole, atol=1e-12)


@both
def test_tiles_bound_what_the_network_is_given(msv):
    sizes = []

    def features(x):
        sizes.append(tuple(s for s in x.shape if s > 3))
        return x

    dream(msv, texture((1, 70, 101, 3)), features, octaves=2, iterations=1, tile=40)
    assert sizes == [(40, 40)] * (2 * 2 + 2 * 3)


@both
def test_the_size_of_gradients_does_not_matter(msv):
    image = texture((1, 40, 48, 3))
    usual = dream(msv, image, lambda x: x * x, octaves=1)
    for factor in (1e-12, 1e-6, 1e6):
        scaled = dream(msv, image, lambda x, f=factor: x * x * f, octaves=1)
        np.testing.assert_allclose(scaled, usual, atol=1e-5)
    assert np.abs(usual - image).mean() > 0.05


@both
def test_a_dream_of_nothing_keeps_the_picture_with_its_detail(msv):
    image = texture((2, 60, 81, 3))
    np.testing.assert_allclose(dream(msv, image, lambda x: x * 0, octaves=2), image, atol=1e-6)


@both
def test_each_picture_has_its_own_step_and_stays_in_range(msv):
    images = 2 * texture((2, 50, 48, 3)) - 1
    arguments = {"octaves": 2, "iterations": 3, "value_range": (-1, 1), "step": 0.1}
    together = dream(msv, images, lambda x: x, **arguments)
    alone = [dream(msv, images[i : i + 1], lambda x: x, **arguments) for i in range(2)]
    np.testing.assert_allclose(together, np.concatenate(alone), atol=1e-5)
    assert together.min() == -1 and together.max() == 1


@both
def test_a_dream_depends_on_its_seed_alone(msv):
    def features(x):  # every second row and column: what a strided network sees
        return x[:, :, ::2, ::2] if msv.title == "PyTorch" else x[:, ::2, ::2]

    image = texture((1, 50, 48, 3))
    first, again, other = (dream(msv, image, features, octaves=2, iterations=2, seed=seed) for seed in (0, 0, 1))
    assert (first == again).all() and np.abs(first - other).max() > 0.01


@both
def test_numbers_maps_and_lists_are_increased(msv):
    image = texture((1, 40, 48, 3), dtype="float64")
    total = (lambda x: (x * x).mean()) if msv.title == "PyTorch" else (lambda x: tf.reduce_mean(x * x))
    results = [dream(msv, image, f, octaves=1) for f in (lambda x: x, total, lambda x: [x, 2 * x], lambda x: (x,))]
    for result in results[1:]:
        np.testing.assert_allclose(result, results[0], atol=1e-12)
    assert (results[0] ** 2).mean() > (image**2).mean()


def networks(dtype, **arguments):
    torch.manual_seed(0)
    there = msv_torch.SimpleBackbone(3, (8, 16)).eval().to(getattr(torch, dtype))
    here = msv_tensorflow.SimpleBackbone((8, 16), dtype=dtype)
    here.build((None, None, None, 3))
    port(there, here)
    return there, here


@pytest.mark.parametrize("smooth", [False, True])
def test_both_frameworks_dream_the_same(smooth):
    image = texture((2, 70, 49, 3))
    arguments = {"octaves": 2, "iterations": 3, "smooth": smooth, "tile": 40}
    a, b = (dream(msv, image, net, **arguments) for msv, net in zip(FRAMEWORKS, networks("float32")))
    np.testing.assert_allclose(a, b, atol=1e-4)
    assert np.abs(a - image).mean() > 0.01
    plain = dream(FRAMEWORKS[0], image, networks("float32")[0], **arguments | {"smooth": not smooth})
    grain = [np.abs(np.diff(x - image, axis=1)).mean() for x in (a, plain)]
    assert (grain[0] < grain[1]) == smooth


def test_both_frameworks_dream_the_same_of_a_trained_network():
    there = msv_torch.efficientnet_lite0(weights="imagenet").eval().double()
    here = msv_tensorflow.efficientnet_lite0(dtype="float64")
    here.build((None, None, None, 3))
    port(there, here)
    image = photograph("coffee")[None, 100:196, 200:320].astype("float64")
    a, b = (
        dream(msv, image, lambda x, net=net: net(4 * x - 2)[1], octaves=2, iterations=2)
        for msv, net in zip(FRAMEWORKS, (there, here))
    )
    np.testing.assert_allclose(a, b, atol=1e-8)


def test_the_network_is_left_as_it_was():
    net = networks("float32")[0]
    image = torch.rand(1, 3, 40, 40)
    with torch.no_grad():
        inside = msv_torch.deep_dream(image, net, octaves=1, iterations=2)
    outside = msv_torch.deep_dream(image.clone().requires_grad_(), net, octaves=1, iterations=2)
    assert torch.equal(inside, outside) and not outside.requires_grad
    assert all(value.grad is None for value in net.parameters())


@both
def test_progress_is_shown_when_asked_for(msv, capsys):
    dream(msv, texture((1, 40, 40, 1)), lambda x: x, octaves=1, iterations=2)
    assert capsys.readouterr().err == ""
    dream(msv, texture((1, 40, 40, 1)), lambda x: x, octaves=1, iterations=2, progress=True)
    assert "deep_dream: 100%" in capsys.readouterr().err


# -- what is refused -------------------------------------------------------------------------------------------------


IMAGE = texture((2, 40, 50, 3))
NOT_A_NUMBER = np.where(np.indices(IMAGE.shape).sum(0) == 70, np.float32(np.nan), IMAGE)
BYTES = (255 * IMAGE).astype("uint8")
PATCH = IMAGE[:1, 5:25, 5:25]
WRONG = {
    "find_template": [
        ((BYTES, PATCH), {}, TypeError, "image must hold floating-point numbers, got .*uint8; for 8-bit images use"),
        ((IMAGE, BYTES[:1]), {}, TypeError, "template must hold floating-point numbers"),
        ((IMAGE[0], PATCH), {}, ValueError, "image must have 4 dimensions"),
        ((IMAGE, PATCH[0]), {}, ValueError, "template must have 4 dimensions"),
        ((NOT_A_NUMBER, PATCH), {}, ValueError, "image must hold finite numbers"),
        ((IMAGE, PATCH * np.float32(np.inf)), {"levels": 2}, ValueError, "template must hold finite numbers"),
        ((IMAGE, PATCH[..., :1]), {}, ValueError, "template must have 3 channels"),
        (
            (IMAGE, IMAGE[[0, 0, 0], 5:9]),
            {},
            ValueError,
            "template must hold 1 template or 2, one for each image, got 3",
        ),
        ((IMAGE[:1], IMAGE), {}, ValueError, "template must hold 1 template, got 2"),
        ((PATCH, IMAGE[:1]), {}, ValueError, "template must be no larger than image, 20 × 20 pixels, got 40 × 50"),
        ((IMAGE, PATCH[:, :0]), {}, ValueError, "template must not be empty"),
        ((IMAGE, PATCH), {"levels": 4}, ValueError, "levels must be at most 3 for a template of 20 × 20 pixels"),
        ((IMAGE, PATCH[:, :3]), {"levels": 2}, ValueError, "levels must be at most 1 for a template of 3 × 20 pixels"),
        ((IMAGE, PATCH), {"levels": 0}, ValueError, "levels must be at least 1"),
        ((IMAGE, PATCH), {"levels": 2.0}, TypeError, "levels must be an integer"),
        ((IMAGE, PATCH), {"candidates": 0}, ValueError, "candidates must be at least 1"),
        ((IMAGE, PATCH), {"radius": -1}, ValueError, "radius must be at least 1"),
    ],
    "register_translation": [
        ((BYTES, BYTES), {}, TypeError, "fixed must hold floating-point numbers"),
        ((IMAGE, BYTES), {}, TypeError, "moving must hold floating-point numbers"),
        ((IMAGE[0], IMAGE[0]), {}, ValueError, "fixed must have 4 dimensions"),
        ((IMAGE, IMAGE[:, 1:]), {}, ValueError, "moving must have the shape of fixed"),
        ((IMAGE, IMAGE[:1]), {}, ValueError, "moving must have the shape of fixed"),
        ((IMAGE, NOT_A_NUMBER), {}, ValueError, "moving must hold finite numbers"),
        ((IMAGE, IMAGE), {"levels": 9}, ValueError, "levels must be at most 7"),
        ((IMAGE, IMAGE), {"levels": 0}, ValueError, "levels must be at least 1"),
        ((IMAGE, IMAGE), {"iterations": 0}, ValueError, "iterations must be at least 1"),
        ((IMAGE, IMAGE), {"iterations": 1.5}, TypeError, "iterations must be an integer"),
    ],
    "deep_dream": [
        ((BYTES,), {}, TypeError, "image must hold floating-point numbers"),
        ((IMAGE.astype("float16"),), {}, TypeError, "image must be float32 or float64"),
        ((IMAGE[0],), {}, ValueError, "image must have 4 dimensions"),
        ((NOT_A_NUMBER,), {}, ValueError, "image must hold finite numbers"),
        ((255 * IMAGE,), {"octaves": 1}, ValueError, r"image must lie in value_range \(0.0, 1.0\), got values from"),
        ((IMAGE,), {}, ValueError, "octaves must be at most 1 for an image of 40 × 50 pixels, .* min_size 32, got 4"),
        (
            (IMAGE[:, :20],),
            {"octaves": 1},
            ValueError,
            "image must have at least min_size = 32 pixels a side, got 20 × 50",
        ),
        ((IMAGE,), {"octaves": 0}, ValueError, "octaves must be at least 1"),
        ((IMAGE,), {"octave_scale": 1}, ValueError, "octave_scale must be more than 1"),
        ((IMAGE,), {"octaves": 1, "iterations": 0}, ValueError, "iterations must be at least 1"),
        ((IMAGE,), {"octaves": 1, "step": 0}, ValueError, "step must be more than 0"),
        ((IMAGE,), {"octaves": 1, "step": "0.1"}, TypeError, "step must be a number"),
        ((IMAGE,), {"octaves": 1, "jitter": -1}, ValueError, "jitter must be at least 0"),
        ((IMAGE,), {"octaves": 1, "seed": -1}, ValueError, "seed must be at least 0"),
        ((IMAGE,), {"octaves": 1, "tile": 16}, ValueError, "tile must be at least 32, got 16"),
        ((IMAGE,), {"octaves": 1, "value_range": (1, 0)}, ValueError, "value_range must run from"),
        ((IMAGE,), {"octaves": 1, "value_range": 1}, ValueError, "value_range must be a pair"),
        ((IMAGE,), {"octaves": 1, "features": lambda x: "eyes"}, TypeError, "features must return a tensor or a list"),
    ],
}


@both
@pytest.mark.parametrize(
    "name, inputs, arguments, error, match",
    [pytest.param(name, *case, id=f"{name}-{i}") for name, cases in WRONG.items() for i, case in enumerate(cases)],
)
def test_wrong_input_is_refused(msv, name, inputs, arguments, error, match):
    inputs = [torch.from_numpy(np.ascontiguousarray(x)) for x in inputs] if msv.title == "PyTorch" else inputs
    if msv.title == "PyTorch":
        inputs = [x.movedim(-1, 1) if x.ndim == 4 else x for x in inputs]
    if name == "deep_dream":
        arguments = {"features": lambda x: x} | arguments
    with pytest.raises(error, match=match):
        getattr(msv.module, name)(*inputs, **arguments)


def test_features_that_do_not_depend_on_the_picture_are_refused():
    for msv, features in zip(FRAMEWORKS, (lambda x: torch.ones(3), lambda x: tf.ones(3))):
        with pytest.raises(ValueError, match="features must depend on the picture"):
            dream(msv, IMAGE, features, octaves=1)


def test_arrays_are_not_pytorch_tensors():
    with pytest.raises(TypeError, match=r"image must be a torch.Tensor, got ndarray"):
        msv_torch.find_template(IMAGE, IMAGE)


def test_a_graph_is_refused():
    @tf.function
    def search(image):
        return msv_tensorflow.find_template(image, image).score

    with pytest.raises(RuntimeError, match=r"call this function outside of tf\.function"):
        search(tf.constant(IMAGE))
