"""Data sets: the same bytes everywhere, labels and boxes that say what is drawn, and both frameworks take them."""

from __future__ import annotations

import hashlib
import os
import time

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from msvision import data
from msvision import torch as msv_torch
from msvision.data import drawing, samples

SCENES = {
    "digit": (lambda count, **k: data.digit_scenes(count, **k), "53cb42f29d773696"),
    "digit, small": (lambda count, **k: data.digit_scenes(count, size=40, diameters=(14, 18), **k), "00333ee5fdc74c0d"),
    "context": (lambda count, **k: data.context_scenes(count, **k), "ed50f419e8907f72"),
    "context, two regions": (lambda count, **k: data.context_scenes(count, regions=2, **k), "be7b77419140d96d"),
    "distance": (lambda count, **k: data.distance_scenes(count, distance=14, **k), "63e77d11e86b3845"),
    "level, cue": (lambda count, **k: data.level_scenes(count, **k), "d00e948fd7c844e6"),
    "level, fine": (lambda count, **k: data.level_scenes(count, task="fine", **k), "8fcbecd8b60909d2"),
    "level, coarse": (lambda count, **k: data.level_scenes(count, task="coarse", **k), "b2cfdcf39b126b19"),
    "texture, fine": (lambda count, **k: data.texture_scenes(count, **k), "35d2fa555e561df0"),
    "texture, coarse": (
        lambda count, **k: data.texture_scenes(count, frequencies=(0.04, 0.1), **k),
        "d9358942144ba8e2",
    ),
}
every_kind = pytest.mark.parametrize("kind", SCENES)


def drawn(kind, count=6, **arguments):
    return SCENES[kind][0](count, **arguments)


def digest(scenes):
    parts = (scenes.pixels, scenes.labels, scenes.boxes.astype("<i8"), scenes.classes)
    return hashlib.sha256(b"".join(np.ascontiguousarray(part).tobytes() for part in parts)).hexdigest()[:16]


# -- synthetic scenes ------------------------------------------------------------------------------------------------


@every_kind
def test_the_same_bytes_on_every_machine(kind):
    assert digest(drawn(kind, 20, seed=7)) == SCENES[kind][1]


@pytest.mark.parametrize("size, wanted", [(8, "dfa938976651d12f"), (21, "2389be6c4221b1cc"), (32, "57b85f011ddf4e6b")])
def test_the_same_digits_on_every_machine(size, wanted):
    assert digest(data.digits("val", size)) == wanted


@every_kind
def test_the_first_of_many_are_the_few_and_seeds_and_splits_differ(kind):
    few, many = drawn(kind, 3, seed=5), drawn(kind, 6, seed=5)
    for a, b in zip((few.pixels, few.labels, few.boxes), (many.pixels, many.labels, many.boxes)):
        np.testing.assert_array_equal(a, b[:3])
    assert len({digest(drawn(kind, 6, seed=seed, split=split)) for seed in (5, 6) for split in ("train", "val")}) == 4


@every_kind
def test_shapes_types_and_ranges(kind):
    scenes = drawn(kind, 5)
    height, width = scenes.pixels.shape[1:3]
    assert len(scenes) == 5 and scenes.images.shape == (5, height, width, 1) and scenes.pixels.dtype == np.uint8
    np.testing.assert_array_equal(scenes.images, scenes.pixels / np.float32(255))
    assert scenes.images.dtype == np.float32 and scenes.images.min() >= 0 and scenes.images.max() <= 1
    assert scenes.labels.shape in ((5,), (5, height, width)) and scenes.labels.dtype == np.uint8
    counted = scenes.labels[scenes.labels != scenes.ignored] if scenes.ignored else scenes.labels
    assert counted.max() < len(scenes.names)
    for image, target in scenes:
        assert image.dtype == np.float32 and image.shape == (height, width, 1) and target.dtype == np.int64
    np.testing.assert_array_equal(scenes[-1][0], scenes.images[4])
    images, targets = scenes[1:4]
    np.testing.assert_array_equal(images, scenes.images[1:4])
    np.testing.assert_array_equal(targets, scenes.labels[1:4])
    with pytest.raises(IndexError):
        scenes[5]


@pytest.mark.parametrize("kind", ["digit", "digit, small", "context", "context, two regions"])
def test_boxes_classes_and_labels_say_the_same(kind):
    scenes = drawn(kind, 60)
    assert (scenes.sizes[:, 0] > 0).all()
    for labels, boxes, classes, sizes in zip(scenes.labels, scenes.boxes, scenes.classes, scenes.sizes):
        expected = np.zeros_like(labels)
        for (left, top, right, bottom), label, size in zip(boxes, classes, sizes):
            assert (label == 0) == (size == 0) and right - left == bottom - top == size
            assert not expected[top:bottom, left:right].any()  # boxes do not overlap
            expected[top:bottom, left:right] = label
            inside = labels[top:bottom, left:right] == label
            if size:
                assert inside.any(0).all() and inside.any(1).all()  # the box is as small as can be
                assert abs(inside.mean() - np.pi / 4) < 0.06
        assert ((labels == expected) | (labels == 0)).all()


def test_sizes_of_signs_are_as_asked_for():
    sizes = data.digit_scenes(400, diameters=(14, 80), objects=(1, 1)).sizes[:, 0]
    assert sizes.min() == 14 and 75 <= sizes.max() <= 80
    assert np.median(sizes) == pytest.approx(np.sqrt(14 * 80), rel=0.1)  # log-uniform
    few = data.digit_scenes(40, diameters=(14, 18), objects=(2, 2))
    assert ((few.sizes >= 14) & (few.sizes <= 18)).all()
    assert set(np.unique(data.digit_scenes(60, classes=(5, 9)).labels)) == {0, 1, 2}


def test_scenes_are_made_faster_than_a_network_learns_from_them():
    def seconds(work):
        work(2)  # loads what is loaded once
        started = time.process_time()
        work(64)
        return time.process_time() - started

    network = msv_torch.FPNSegmenter(msv_torch.SimpleBackbone(1, (16, 24, 32, 48)), 6, 32, 32)  # chapter 6
    scenes = data.digit_scenes(64)
    learning = seconds(lambda count: msv_torch.fit(network, scenes[:count], epochs=1, batch_size=2))
    assert seconds(data.digit_scenes) < learning / 4


def test_training_and_validation_share_no_digit_and_no_texture():
    _, values = drawing.handwriting()
    train, val = data.digits("train", 8), data.digits("val", 8)
    assert (len(train), len(val)) == (1200, 597)
    np.testing.assert_array_equal(np.concatenate([train.labels, val.labels]), values)
    for name in drawing.TEXTURES:
        height, width = samples.photograph(name).shape[:2]
        assert min(height, width // 2) >= drawing.LARGEST
    whole = drawing._pixels("brick").astype(np.uint8)
    parts = {}
    for split, half in (("train", whole[:, :256]), ("val", whole[:, 256:])):
        windows = np.lib.stride_tricks.sliding_window_view(half, (8, 8)).reshape(-1, 64)
        parts[split] = {window.tobytes() for window in windows}
    assert not parts["train"] & parts["val"]
    found = {(split, half): 0 for split in parts for half in parts}
    for seed in range(60):
        for split in parts:
            square = (drawing.texture(drawing.Dice(seed), 8, split) >> 8).astype(np.uint8)
            views = {
                np.rot90(mirrored, turns).tobytes() for mirrored in (square, square[:, ::-1]) for turns in range(4)
            }
            for half in parts:
                found[split, half] += bool(views & parts[half])
    assert min(found["train", "train"], found["val", "val"]) >= 5  # those of the 60 that are cut from the bricks
    assert found["train", "val"] == found["val", "train"] == 0


def test_context_alone_tells_discs_apart():
    scenes = data.context_scenes(200)
    for labels, pixels in zip(scenes.labels, scenes.pixels[..., 0]):
        assert len(np.unique(labels)) == 2  # one scene, one label
        assert abs(pixels[labels > 0].mean() - 0.95 * 255) < 2
    assert set(np.unique(scenes.labels)) == {0, 1, 2, 3, 4}
    halves = data.context_scenes(200, regions=2).labels
    for left, right in zip(halves[:, :, :32], halves[:, :, 32:]):
        assert len(np.unique(left)) <= 2 and len(np.unique(right)) <= 2
        assert not set(np.unique(left)) & set(np.unique(right)) - {0}


@pytest.mark.parametrize("distance", [5, 6, 10, 18])
def test_the_answer_lies_at_the_distance_and_nowhere_else(distance):
    scenes = data.distance_scenes(40, distance)
    bright = scenes.pixels[..., 0] > 0.3 * 255 + 90
    assert set(np.unique(scenes.labels)) == {0, 1, 2, 3, 255}
    for labels, square in zip(scenes.labels, bright):
        rows, columns = np.nonzero(labels != 255)
        y, x = int(rows.mean()), int(columns.mean())
        assert len(rows) == 9 and len(np.unique(labels[rows, columns])) == 1
        seen = [square[y + dy - 1 : y + dy + 2, x + dx - 1 : x + dx + 2].mean()
                for dy, dx in ((0, distance), (distance, 0), (0, -distance), (-distance, 0))]  # fmt: skip
        assert np.argmax(seen) == labels[y, x] and max(seen) > 0.8
        assert sorted(seen)[-2] < 0.5


def orientation(image, lowest, highest):
    """The direction in which the strongest wave between two frequencies runs: 0 to 3 for 0°, 45°, 90° and 135°."""
    spectrum = abs(np.fft.fft2(image - image.mean())) ** 2
    down, across = np.meshgrid(*(np.fft.fftfreq(n) for n in image.shape), indexing="ij")
    radius = np.hypot(down, across)
    spectrum[(radius < lowest) | (radius > highest)] = 0
    row, column = np.unravel_index(spectrum.argmax(), spectrum.shape)
    return round(np.arctan2(down[row, column], across[row, column]) / (np.pi / 4)) % 4


@pytest.mark.parametrize("task", ["cue", "fine", "coarse"])
def test_stripes_run_as_the_label_says(task):
    scenes = data.level_scenes(100, task)
    bands = ((0.22, 0.38), (0.012, 0.05))
    right = [
        orientation(image[8:, 8:, 0], *bands[level]) == label
        for image, label, level in zip(scenes.images, scenes.labels, scenes.levels)
    ]
    assert np.mean(right) > 0.9
    other = [
        orientation(image[8:, 8:, 0], *bands[1 - level]) == label
        for image, label, level in zip(scenes.images, scenes.labels, scenes.levels)
    ]
    assert np.mean(other) < 0.5  # the other kind knows nothing of it
    assert set(scenes.levels) == {"cue": {0, 1}, "fine": {0}, "coarse": {1}}[task]
    if task == "cue":
        bright = scenes.images[:, :8, :8, 0].mean((1, 2)) > 0.5
        np.testing.assert_array_equal(bright, scenes.levels == 0)


def test_detail_is_above_the_nyquist_limit_of_a_quarter_or_below():
    for frequencies, inside in (((0.2, 0.4), (0.18, 0.42)), ((0.04, 0.1), (0.03, 0.12))):
        with_stripes = data.texture_scenes(40, frequencies).images[..., 0]
        other = data.texture_scenes(40, (0.5, 0.5)).images[..., 0]  # the same texture and noise, other stripes
        down, across = np.meshgrid(*(np.fft.fftfreq(96),) * 2, indexing="ij")
        radius = np.hypot(down, across)
        energy = np.zeros(radius.shape)
        for a, b in zip(with_stripes, other):
            energy += abs(np.fft.fft2(a - b)) ** 2
        energy[radius > 0.44] = 0  # the other stripes
        assert energy[(radius > inside[0]) & (radius < inside[1])].sum() > 0.9 * energy.sum()


def test_pens():
    dice = drawing.Dice(1)
    thrown = np.array([dice.between(1, 6) for _ in range(6000)])
    assert np.bincount(thrown)[1:].min() > 900 and thrown.min() == 1 and thrown.max() == 6
    bell = dice.bell(200, 201)
    assert abs(bell.mean()) < 2 and bell.std() == pytest.approx(drawing.BELL, rel=0.02)
    assert drawing.noise(dice, 200, 0.1).std() == pytest.approx(drawing.grey(0.1), rel=0.02)
    wave = drawing.grating(64, 512, 0, 0, 0.5) / drawing.WHITE
    np.testing.assert_allclose(wave[3], 0.5 * np.sin(2 * np.pi * np.arange(64) / 8), atol=1e-3)
    y, x = np.mgrid[:256, :256]
    turns = 0.5 * (x + y) * np.sqrt(0.5) + 0.1
    wave = drawing.grating(256, 2048, 512, 410, 1) / drawing.WHITE
    np.testing.assert_allclose(wave, np.sin(2 * np.pi * turns), atol=0.2)
    assert drawing.disc(1).all() and drawing.disc(4).sum() == 12
    assert drawing.enlarged(np.full((8, 8), 16), 13).min() >= 4090


# -- both frameworks take them ---------------------------------------------------------------------------------------


class Batches(keras.utils.PyDataset):
    """What a reader writes to give Keras batches of a data set that reads from the disk."""

    def __init__(self, dataset, size):
        super().__init__()
        self.dataset, self.size = dataset, size

    def __len__(self):
        return -(-len(self.dataset) // self.size)

    def __getitem__(self, batch):
        items = range(batch * self.size, min((batch + 1) * self.size, len(self.dataset)))
        images, targets = zip(*(self.dataset[i] for i in items))
        return np.stack(images), np.stack(targets)


@pytest.fixture(scope="module", params=["scenes", "scenes with one label", "photographs"])
def dataset(request, tmp_path_factory):
    if request.param == "scenes":
        return data.digit_scenes(6, size=32, diameters=(14, 20))
    if request.param == "scenes with one label":
        return data.texture_scenes(6, size=32)
    folder = tmp_path_factory.mktemp("photographs")
    files = tuple(folder / f"{i}.png" for i in range(6))
    for i, file in enumerate(files):
        Image.fromarray(np.full((32, 32, 3), 40 * i, np.uint8)).save(file)
    return data.Photographs(files, (0, 1) * 3, ("cat", "dog"))


def test_pytorch_takes_them(dataset):
    batches = list(torch.utils.data.DataLoader(dataset, batch_size=4))
    images, targets = (torch.cat(part) for part in zip(*batches))
    assert images.dtype == torch.float32 and targets.dtype == torch.int64
    np.testing.assert_array_equal(images, np.stack([image for image, _ in dataset]))
    classes = torch.nn.Conv2d(images.shape[-1], len(dataset.names), 1)
    scores = classes(images.movedim(-1, 1))
    scores = scores if targets.ndim == 3 else scores.mean((2, 3))
    assert torch.isfinite(torch.nn.functional.cross_entropy(scores, targets))


def test_keras_takes_them(dataset):
    shape, per_pixel = dataset[0][0].shape, np.ndim(dataset[0][1]) == 2
    layers = [keras.Input(shape), keras.layers.Conv2D(len(dataset.names), 1)]
    model = keras.Sequential(layers if per_pixel else [*layers, keras.layers.GlobalAveragePooling2D()])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    history = model.fit(Batches(dataset, 4), epochs=2, verbose=0, shuffle=False)
    assert np.isfinite(history.history["loss"]).all()


def test_tensorflow_takes_them(dataset):
    image, target = dataset[0]
    signature = (tf.TensorSpec(image.shape, tf.float32), tf.TensorSpec(np.shape(target), tf.int64))
    lazily = tf.data.Dataset.from_generator(lambda: iter(dataset), output_signature=signature)
    for (image, target), (expected, label) in zip(lazily, dataset, strict=True):
        np.testing.assert_array_equal(image, expected)
        np.testing.assert_array_equal(target, label)
    if isinstance(dataset, data.Scenes):
        for (images, targets), start in zip(tf.data.Dataset.from_tensor_slices(dataset[:]).batch(4), (0, 4)):
            np.testing.assert_array_equal(images, dataset.images[start : start + 4])
            np.testing.assert_array_equal(targets, dataset.labels[start : start + 4])


# -- photographs -----------------------------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A folder with two road scenes and three animals, in the layout of the real ones."""
    monkeypatch.setenv("MSVISION_DATA", str(tmp_path))
    rng = np.random.default_rng(0)
    for split, kind in (("train", ".png"), ("val", ".jpg")):
        for folder in (split, f"{split}annot"):
            (tmp_path / "camvid" / folder).mkdir(parents=True)
        for name in "ab":
            pixels, labels = rng.integers(0, 256, (36, 48, 3)), rng.integers(0, 12, (36, 48))
            Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "camvid" / split / f"{name}{kind}")
            Image.fromarray(labels.astype(np.uint8)).save(tmp_path / "camvid" / f"{split}annot" / f"{name}.png")
    for i, (name, size) in enumerate((("cat", (50, 30)), ("cat", (30, 50)), ("dog", (31, 77)))):
        folder = tmp_path / "cats_vs_dogs" / "train" / name
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (*size, 3)).astype(np.uint8)).save(folder / f"{name}.{i}.jpg")
    return tmp_path


def test_camvid(home):
    scenes = data.camvid("train")
    assert len(scenes) == 2 and len(scenes.names) == len(scenes.colours) == scenes.ignored == 11
    image, labels = scenes[1]
    assert image.shape == (36, 48, 3) and image.dtype == np.float32 and labels.dtype == np.int64
    np.testing.assert_array_equal(np.round(255 * image), np.asarray(Image.open(home / "camvid/train/b.png")))
    np.testing.assert_array_equal(labels, np.asarray(Image.open(home / "camvid/trainannot/b.png")))
    assert len(data.camvid("val")) == 2
    small, small_labels = data.camvid("train", size=(18, 24))[1]
    assert small.shape == (18, 24, 3) and small_labels.shape == (18, 24)
    near = labels.reshape(18, 2, 24, 2)
    assert (near == small_labels[:, None, :, None]).any((1, 3)).all()


def test_cats_vs_dogs(home):
    animals = data.cats_vs_dogs("train")
    assert [(image.shape, int(label)) for image, label in animals] == [
        ((50, 30, 3), 0),
        ((30, 50, 3), 0),
        ((31, 77, 3), 1),
    ]
    assert animals[2][1].dtype == np.int64
    square = data.cats_vs_dogs("train", size=16)
    assert [image.shape for image, _ in square] == [(16, 16, 3)] * 3
    wide = Image.open(home / "cats_vs_dogs/train/dog/dog.2.jpg").crop((23, 0, 54, 31))
    middle = np.asarray(wide.resize((16, 16), Image.Resampling.BILINEAR)) / 255
    inner = np.s_[1:-1, 1:-1]  # at its edges Pillow looks beyond the cut
    np.testing.assert_allclose(square[2][0][inner], middle[inner], atol=1.01 / 255)


def test_the_cache_is_the_second_place(home, tmp_path_factory, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    cache = __import__("pooch").os_cache("msvision")
    if not str(cache).startswith(os.environ["XDG_CACHE_HOME"]):
        pytest.skip("caches are elsewhere on this system")
    cache.mkdir(parents=True)
    os.rename(home / "camvid", cache / "camvid")
    assert len(data.camvid("train")) == 2 and len(data.cats_vs_dogs("train")) == 3
    monkeypatch.delenv("MSVISION_DATA")
    assert len(data.camvid("train")) == 2


def damage(home, what):
    if what == "absent":
        os.rename(home / "camvid", home / "elsewhere")
    elif what == "no labels":
        (home / "camvid/trainannot/b.png").unlink()
    elif what == "empty":
        (home / "camvid/train/a.png").write_bytes(b"")
    elif what == "truncated":
        (home / "camvid/train/a.png").write_bytes((home / "camvid/train/a.png").read_bytes()[:900])
    elif what == "other label":
        Image.fromarray(np.full((36, 48), 12, np.uint8)).save(home / "camvid/trainannot/a.png")
    elif what == "other size":
        Image.fromarray(np.full((36, 47), 1, np.uint8)).save(home / "camvid/trainannot/a.png")


@pytest.mark.parametrize(
    "what, error, message",
    [
        ("absent", FileNotFoundError, "camvid is not in .* nor in .*python -m msvision data get camvid"),
        ("no labels", FileNotFoundError, r"camvid has no labels for b\.png of train"),
        ("empty", OSError, r"a\.png cannot be read as an image"),
        ("truncated", OSError, r"a\.png cannot be read as an image"),
        ("other label", ValueError, r"trainannot.a\.png must be a map of labels below 12"),
        ("other size", ValueError, r"trainannot.a\.png must have the size of .*train.a\.png"),
    ],
)
def test_damage_is_named(home, what, error, message):
    damage(home, what)
    with pytest.raises(error, match=message):
        data.camvid("train")[0]


def real(name):
    root = os.environ.get("MSVISION_DATA")
    if not root or not os.path.isdir(os.path.join(root, name)):
        pytest.skip(f"{name} is not here: MSVISION_DATA={root}")


def test_the_real_camvid():
    real("camvid")
    for split, count in (("train", 367), ("val", 101)):
        scenes = data.camvid(split)
        assert len(scenes) == count
        image, labels = scenes[0]
        assert image.shape == (360, 480, 3) and labels.shape == (360, 480)
    small = list(data.camvid("val", size=(90, 120)))
    share = np.bincount(np.concatenate([labels.ravel() for _, labels in small]), minlength=12)
    assert (share > 0).all() and set(np.argsort(share)[-3:]) == {1, 3, 5}  # building, road, tree
    sky = np.mean([image[labels == 0].mean() for image, labels in small if (labels == 0).any()])
    road = np.mean([image[labels == 3].mean() for image, labels in small if (labels == 3).any()])
    assert sky > 2 * road  # labels lie on what they name


def test_the_real_cats_and_dogs():
    real("cats_vs_dogs")
    animals = data.cats_vs_dogs("val", size=64)
    assert len(animals) == 200 and sum(int(label) for _, label in animals) == 100
    images, _ = next(iter(torch.utils.data.DataLoader(animals, batch_size=200)))
    assert images.shape == (200, 64, 64, 3) and 0.3 < images.mean() < 0.6
    assert len(data.cats_vs_dogs("train")) == 1000


# -- augmentation ----------------------------------------------------------------------------------------------------

sides = st.integers(1, 60)


@given(
    shape=st.tuples(sides, sides),
    size=st.tuples(sides, sides),
    channels=st.sampled_from([1, 3, 5]),
    scales=st.sampled_from([(0.5, 2.0), (1.0, 1.0), (3.0, 4.0)]),
    seed=st.integers(0, 2**32),
)
def test_augmented_images_keep_range_classes_and_alignment(shape, size, channels, scales, seed):
    rng = np.random.default_rng(seed)
    labels = rng.choice([0, 3, 7, 255], shape)
    image = np.repeat((labels == 3)[..., None], channels, -1).astype(np.float32)
    got, got_labels = data.augment(image, labels, np.random.default_rng(seed), size, scales)
    again, again_labels = data.augment(image, labels, np.random.default_rng(seed), size, scales)
    np.testing.assert_array_equal(got, again)
    np.testing.assert_array_equal(got_labels, again_labels)
    assert got.shape == (*size, channels) and got.dtype == np.float32 and got_labels.dtype == labels.dtype
    assert got_labels.shape == size and set(np.unique(got_labels)) <= set(np.unique(labels))
    assert got.min() >= -1e-6 and got.max() <= 1 + 1e-6
    alone, label = data.augment(image, np.int64(3), np.random.default_rng(seed), size, scales)
    np.testing.assert_array_equal(alone, got)
    assert label == 3 and label.dtype == np.int64


@given(seed=st.integers(0, 2**32), scales=st.sampled_from([(0.5, 2.0), (1.0, 1.0), (0.3, 0.6)]))
def test_image_and_labels_stay_together(seed, scales):
    y, x = np.mgrid[:40, :56]
    labels = (y // 10) * 6 + x // 10
    positions = np.stack([y, x], -1).astype(np.float32)
    (got, got_labels) = data.augment(positions, labels, np.random.default_rng(seed), (30, 30), scales)
    seen = np.round(got).astype(int) // 10
    inside = (abs(got % 10 - 4.5) < 3).all(-1)  # well away from the edges of a square
    assert inside.any()
    np.testing.assert_array_equal((seen[..., 0] * 6 + seen[..., 1])[inside], got_labels[inside])


def test_augmentation_does_what_it_says():
    y, x = np.mgrid[:40, :60].astype(np.float32)
    image, labels = np.stack([y, x], -1), np.zeros((40, 60), int)
    mirrored, seen = 0, []
    for seed in range(200):
        got, _ = data.augment(image, labels, np.random.default_rng(seed), 20, (0.5, 2.0))
        slope = (got[10, 15, 1] - got[10, 5, 1]) / 10
        mirrored += slope < 0
        seen.append(1 / abs(slope))
        assert abs(slope) == pytest.approx((got[15, 10, 0] - got[5, 10, 0]) / 10, rel=0.02)  # proportions are kept
    assert 70 < mirrored < 130
    assert 0.49 < min(seen) < 0.55 and 1.8 < max(seen) < 2.01 and np.median(seen) == pytest.approx(1, abs=0.15)
    unchanged, _ = data.augment(image, labels, np.random.default_rng(0), scales=(1, 1), flip=False)
    np.testing.assert_array_equal(unchanged, image)


# -- what is refused -------------------------------------------------------------------------------------------------

IMAGE, LABELS, RNG = np.zeros((8, 8, 3), np.float32), np.zeros((8, 8), np.uint8), np.random.default_rng(0)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: data.digit_scenes(0), "count must be at least 1, got 0"),
        (lambda: data.digit_scenes(1, seed=-1), "seed must be at least 0, got -1"),
        (lambda: data.digit_scenes(1, split="test"), "split must be 'train' or 'val', got 'test'"),
        (lambda: data.digit_scenes(1, size=257), "size must be at most 256, which the textures hold, got 257"),
        (lambda: data.digit_scenes(1, size=64), r"diameters must be a pair .* of at most 64, got \(14, 80\)"),
        (lambda: data.digit_scenes(1, diameters=(20, 10)), r"diameters must be a pair .*, got \(20, 10\)"),
        (lambda: data.digit_scenes(1, diameters=20), "diameters must be a pair .*, got 20"),
        (lambda: data.digit_scenes(1, diameters=(7, 20)), r"diameters\[0\] must be at least 8, got 7"),
        (lambda: data.digit_scenes(1, objects=(0, 1)), r"objects\[0\] must be at least 1, got 0"),
        (lambda: data.digit_scenes(1, classes=(1, 1)), r"classes must be different digits, 0 to 9, got \(1, 1\)"),
        (lambda: data.digit_scenes(1, classes=(10,)), r"classes must be different digits, 0 to 9, got \(10,\)"),
        (lambda: data.digits("train", 0), "size must be at least 1, got 0"),
        (lambda: data.context_scenes(1, regions=3), "regions must be 1 or 2, got 3"),
        (lambda: data.context_scenes(1, size=63), "size must be at least 64, got 63"),
        (lambda: data.distance_scenes(1, 4), "distance must be at least 5, got 4"),
        (lambda: data.distance_scenes(1, 30), "size must be at least 68, got 64"),
        (lambda: data.level_scenes(1, "both"), "task must be 'cue', 'fine' or 'coarse', got 'both'"),
        (lambda: data.texture_scenes(1, (0.4, 0.2)), r"frequencies must be a pair .* between 0 and 0.5, got \(0.4"),
        (lambda: data.texture_scenes(1, 0.2), "frequencies must be a pair .*, got 0.2"),
        (lambda: data.camvid("all"), "split must be 'train', 'val' or 'test', got 'all'"),
        (lambda: data.camvid(size=0), "size must be at least 1, got 0"),
        (lambda: data.cats_vs_dogs(size=(8, 8, 8)), r"size must be a number of pixels or a pair .*, got \(8, 8, 8\)"),
        (lambda: data.augment(IMAGE.astype(np.uint8), LABELS, RNG), r"image must be float32 \(H, W, C\), got uint8"),
        (lambda: data.augment(IMAGE, LABELS[1:], RNG), r"labels must be whole numbers \(8, 8\), got uint8 .* \(7, 8\)"),
        (lambda: data.augment(IMAGE, LABELS + 0.5, RNG), "labels must be whole numbers"),
        (lambda: data.augment(IMAGE, LABELS.astype(int) - 1, RNG), "labels must be between 0 and 255, got -1 to -1"),
        (lambda: data.augment(IMAGE, LABELS, RNG, scales=(2, 1)), r"scales must be a pair .*, got \(2, 1\)"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call()
