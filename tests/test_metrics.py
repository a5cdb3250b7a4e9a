"""Metrics against their definitions, written out slowly, and against other libraries."""

import contextlib
import io
import math

import numpy as np
import peers
import pytest
import sklearn.metrics
import torch
from hypothesis import given
from hypothesis import strategies as st
from measured import assert_agrees
from scipy import stats

from msvision import metrics
from msvision.metrics import average_precision

quiet = pytest.mark.filterwarnings("ignore")

# -- average precision -----------------------------------------------------------------------------------------------


def iou(a, b):
    pixels = [{(x, y) for x in range(*map(int, c[::2])) for y in range(*map(int, c[1::2]))} for c in (a, b)]
    return len(pixels[0] & pixels[1]) / len(pixels[0] | pixels[1])


def average_precision_slowly(predictions, truths, label, threshold, sizes=(0, math.inf)):
    """One prediction after the other, then one recall after the other; no image has two objects equally far from a box."""

    def counts(box):
        return sizes[0] <= math.sqrt((box[2] - box[0]) * (box[3] - box[1])) <= sizes[1]

    everything = [
        (-score, number, box)
        for number, (boxes, scores, labels) in enumerate(predictions)
        for box, score, of in zip(boxes, scores, labels)
        if of == label
    ]
    left = [[box for box, of in zip(boxes, labels) if of == label] for boxes, labels in truths]
    objects = sum(counts(box) for image in left for box in image)
    points, right, wrong = [], 0, 0
    for _, number, box in sorted(everything, key=lambda entry: entry[:2]):
        fits = [true for true in left[number] if iou(box, true) >= threshold]
        fits = [true for true in fits if counts(true)] or fits
        if fits:
            best = max(fits, key=lambda true: iou(box, true))
            left[number] = [true for true in left[number] if true is not best]
            right += counts(best)
        else:
            wrong += counts(box)
        points.append((right / objects, right / max(right + wrong, 1))) if objects else None
    if not objects:
        return math.nan
    return sum(max((p for r, p in points if r >= k / 100 - 1e-12), default=0) for k in range(101)) / 101


@st.composite
def scenes(draw):
    """Images with objects on a grid, and predictions that are those objects: moved, doubled, left out, misnamed."""
    predictions, truths, score = [], [], 1.0
    for _ in range(draw(st.integers(1, 3))):
        cells = draw(st.lists(st.integers(0, 5), max_size=4, unique=True))
        true = [(20 * c, 0, 20 * c + draw(st.integers(4, 14)), draw(st.integers(4, 14))) for c in cells]
        labels = [draw(st.integers(0, 1)) for _ in true]
        found, scores, found_labels = [], [], []
        for box, label in zip(true, labels):
            for _ in range(draw(st.integers(0, 3))):
                step = draw(st.integers(0, 4))
                found.append((box[0] + step, box[1], box[2] + step, box[3]))
                found_labels.append(draw(st.sampled_from([label, label, 1 - label])))
                score -= draw(st.sampled_from([0.01, 0.02]))
                scores.append(score)
        order = draw(st.permutations(range(len(scores))))
        scores = np.array(scores)[list(order)] if scores else np.zeros(0)
        predictions.append((np.reshape(found, (-1, 4)).astype(float), scores, np.array(found_labels, int)))
        truths.append((np.reshape(true, (-1, 4)).astype(float), np.array(labels, int)))
    return predictions, truths


@given(scene=scenes(), sizes=st.sampled_from([(0, math.inf), (0, 8), (8, 12)]))
def test_average_precision_is_its_definition(scene, sizes):
    thresholds = (0.3, 0.5, 0.75)
    result = average_precision(*scene, classes=2, iou_threshold=thresholds, sizes=sizes)
    wanted = [[average_precision_slowly(*scene, label, t, sizes) for label in (0, 1)] for t in thresholds]
    assert (np.isnan(result) == np.isnan(wanted)).all()
    assert_agrees(
        "average_precision",
        "NumPy",
        "its definition, counted pixel by pixel",
        *map(np.nan_to_num, (result, wanted)),
        1e-12,
    )


@given(scene=scenes())
def test_what_is_right_has_an_average_precision_of_one(scene):
    _, truths = scene
    predictions = [(boxes, np.linspace(1, 0.5, len(boxes)), labels) for boxes, labels in truths]
    result = average_precision(predictions, truths, classes=2, iou_threshold=1.0)
    seen = np.unique(np.concatenate([labels for _, labels in truths]))
    assert (result[seen] == 1).all() and np.isnan(np.delete(result, seen)).all()


def crowd(rng):
    """Images of three classes whose objects overlap, and predictions around them: many score alike, or lie between two."""
    predictions, truths = [], []
    for _ in range(3):
        corners = 4 * rng.integers(0, 8, (rng.integers(0, 10), 2))
        true = np.hstack([corners, corners + rng.choice((8, 16), (len(corners), 1))]).astype(float)
        labels = rng.integers(0, 3, len(true))
        repeats = rng.integers(0, 3, len(true))
        found = np.vstack([np.repeat(true, repeats, 0), [[0, 0, 16, 16]]])
        found += np.tile(4 * rng.integers(-1, 2, (len(found), 2)), 2)
        names = np.append(np.repeat(labels, repeats), 0)
        names = np.where(rng.random(len(names)) < 0.2, rng.integers(0, 3, len(names)), names)
        predictions.append((found, rng.integers(1, 20, len(found)) / 20, names))
        truths.append((true, labels))
    return predictions, truths


def average_precision_of_coco(predictions, truths, classes, thresholds, sizes):
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    def entries(images):
        for number, (boxes, *_, labels) in enumerate(images, 1):
            for box, label in zip(boxes, labels):
                wide, high = box[2:] - box[:2]
                of_box = {"bbox": [*box[:2], wide, high], "area": wide * high, "iscrowd": 0}
                yield {"image_id": number, "category_id": int(label) + 1, **of_box}

    images, kinds = ([{"id": n + 1} for n in range(count)] for count in (len(truths), classes))
    objects = [{"id": number, **entry} for number, entry in enumerate(entries(truths), 1)]
    scores = np.concatenate([scores for _, scores, _ in predictions])
    with contextlib.redirect_stdout(io.StringIO()):
        there = COCO()
        there.dataset = {"images": images, "categories": kinds, "annotations": objects, "info": {}}
        there.createIndex()
        found = there.loadRes([{**entry, "score": score} for entry, score in zip(entries(predictions), scores)])
        coco = COCOeval(there, found, "bbox")
        coco.params.iouThrs, coco.params.maxDets = np.array(thresholds), [100]
        coco.params.areaRng, coco.params.areaRngLbl = [[sizes[0] ** 2, min(sizes[1] ** 2, 1e10)]], ["these"]
        coco.evaluate()
        coco.accumulate()
    precision = coco.eval["precision"][..., 0, 0]  # (thresholds, recalls, classes)
    return np.where((precision == -1).all(1), np.nan, precision.mean(1))


@pytest.mark.parametrize("sizes", [(0, math.inf), (0, 12), (12, 25)])
def test_average_precision_is_pycocotools(sizes):
    rng, thresholds = np.random.default_rng(0), (0.1, 0.3, 0.5, 0.75)
    for _ in range(30):
        scene = crowd(rng)
        result = average_precision(*scene, 3, thresholds, sizes)
        wanted = average_precision_of_coco(*scene, 3, thresholds, sizes)
        assert (np.isnan(result) == np.isnan(wanted)).all()
        assert_agrees("average_precision", "NumPy", "pycocotools", *map(np.nan_to_num, (result, wanted)), 1e-12)


def test_worked_out_by_hand():
    truth = np.array([[0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10]]), np.zeros(3, int)
    boxes = np.array([[0, 0, 10, 10], [60, 0, 70, 10], [20, 0, 30, 10], [0, 0, 10, 9]])  # right, nothing, right, again
    found = boxes, np.array([0.9, 0.8, 0.7, 0.6]), np.zeros(4, int)
    # recall 1/3 at precision 1, 2/3 at 2/3, never 1: 34 recalls up to 0.33, 33 more up to 0.66
    result = average_precision([found], [truth], classes=1)
    np.testing.assert_allclose(result, [(34 + 33 * 2 / 3) / 101], rtol=1e-12)


def test_small_and_large_objects_are_told_apart():
    truth = np.array([[0, 0, 10, 10], [20, 0, 60, 40]]), np.zeros(2, int)
    found = np.array([[20, 0, 60, 40], [70, 0, 80, 10]]), np.array([0.9, 0.8]), np.zeros(2, int)
    assert average_precision([found], [truth], classes=1, sizes=(0, 32)) == 0
    assert average_precision([found], [truth], classes=1, sizes=(32, 96)) == 1  # the small mistake is not one there


def test_tensors_and_images_without_anything():
    nothing = torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.int64)
    one = torch.tensor([[0.0, 0.0, 4.0, 4.0]]), torch.tensor([0.5]), torch.tensor([1])
    result = average_precision([nothing, one], [nothing[::2], one[::2]], classes=3)
    np.testing.assert_array_equal(result, [np.nan, 1, np.nan])
    assert average_precision([nothing], [one[::2]], classes=2)[1] == 0
    assert average_precision([], [], classes=2, iou_threshold=(0.5, 0.75)).shape == (2, 2)


BOX, SCORE, LABEL = np.array([[0.0, 0.0, 4.0, 4.0]]), np.array([0.5]), np.array([0])


@pytest.mark.parametrize(
    "arguments, error, match",
    [
        ({"predictions": BOX}, TypeError, "predictions must be a list with an entry for each image, got ndarray"),
        ({"truths": []}, ValueError, "truths must hold 1 images, since predictions does, got 0"),
        (
            {"predictions": [(BOX, LABEL)]},
            ValueError,
            r"predictions\[0\] must hold boxes, scores, labels, got 2 arrays",
        ),
        ({"truths": [(BOX[0], LABEL)]}, ValueError, r"boxes of truths\[0\] must have shape \(objects, 4\)"),
        ({"truths": [(BOX, np.array([0, 0]))]}, ValueError, r"labels of truths\[0\] must have shape \(1,\)"),
        ({"truths": [(BOX, np.array([2]))]}, ValueError, r"labels of truths\[0\] must be from 0 to 1, got 2"),
        ({"truths": [(BOX, np.array([0.5]))]}, TypeError, r"labels of truths\[0\] must be an integer, got 0.5"),
        ({"classes": 0}, ValueError, "classes must be at least 1, got 0"),
        ({"iou_threshold": 50}, ValueError, "iou_threshold must be from 0 to 1, got 50"),
        ({"sizes": 32}, TypeError, r"sizes must be a pair \(smallest, largest\), got 32"),
        ({"sizes": (-1, 32)}, ValueError, r"sizes\[0\] must be at least 0, got -1"),
    ],
)
def test_wrong_detections(arguments, error, match):
    right = {"predictions": [(BOX, SCORE, LABEL)], "truths": [(BOX, LABEL)], "classes": 2}
    with pytest.raises(error, match=match):
        average_precision(**right | arguments)


# -- classes of images and of pixels ---------------------------------------------------------------------------------

labelled = st.tuples(st.integers(1, 6), st.integers(0, 60), st.integers(0, 5), st.booleans())


def some_labels(classes, count, seed, ignored):
    rng = np.random.default_rng(seed)
    labels, predictions = rng.integers(0, classes, (2, count))
    if ignored:
        labels[rng.random(count) < 0.3] = 255
    return labels.astype("uint8"), predictions, 255 if ignored else None


@quiet
@given(labelled)
def test_confusion_matrix_and_accuracy_are_scikit_learns(case):
    labels, predictions, ignore = some_labels(*case)
    actual = metrics.confusion_matrix(labels, predictions, case[0], ignore)
    kept = labels != 255
    assert actual.sum() == kept.sum() and actual.shape == (case[0], case[0])
    if kept.any():
        wanted = sklearn.metrics.confusion_matrix(labels[kept], predictions[kept], labels=range(case[0]))
        assert_agrees("confusion_matrix", "NumPy", "scikit-learn", actual, wanted, 0)
        wanted = sklearn.metrics.accuracy_score(labels[kept], predictions[kept])
        assert metrics.accuracy(labels, predictions, ignore) == pytest.approx(wanted)
        assert metrics.accuracy(labels, predictions, ignore) == pytest.approx(np.trace(actual) / actual.sum())
    else:
        assert math.isnan(metrics.accuracy(labels, predictions, ignore))


@quiet
@given(labelled)
def test_iou_is_scikit_learns(case):
    labels, predictions, ignore = some_labels(*case)
    confusion = metrics.confusion_matrix(labels, predictions, case[0], ignore)
    actual, kept = metrics.iou(confusion), labels != 255
    there = np.isin(range(case[0]), [*labels[kept], *predictions[kept]])
    assert np.isnan(actual[~there]).all() and not np.isnan(actual[there]).any()
    if there.any():
        of_classes, kinds = (labels[kept], predictions[kept]), np.flatnonzero(there)
        wanted = sklearn.metrics.jaccard_score(*of_classes, labels=kinds, average=None, zero_division=0)
        assert_agrees("iou", "NumPy", "scikit-learn", actual[there], wanted, 1e-12)
        assert metrics.mean_iou(confusion) == pytest.approx(wanted.mean())
    else:
        assert math.isnan(metrics.mean_iou(confusion))


def test_iou_is_torchmetrics_and_that_calls_absent_classes_zero():
    peers.torchvision()  # which torchmetrics looks for
    from torchmetrics.classification import MulticlassJaccardIndex

    labels, predictions, ignore = some_labels(5, 4000, 0, True)
    of_classes = MulticlassJaccardIndex(6, average=None, ignore_index=ignore)
    wanted = of_classes(torch.tensor(predictions), torch.tensor(labels.astype("int64"))).numpy()
    actual = metrics.iou(metrics.confusion_matrix(labels, predictions, 6, ignore))
    assert_agrees("iou", "NumPy", "torchmetrics", actual[:5], wanted[:5], 1e-6)
    assert np.isnan(actual[5]) and wanted[5] == 0


def test_confusion_matrices_add_up():
    parts = [metrics.confusion_matrix(*some_labels(4, 50, seed, False)[:2], 4) for seed in range(3)]
    labels, predictions = (
        np.concatenate(part) for part in zip(*(some_labels(4, 50, seed, False)[:2] for seed in range(3)))
    )
    np.testing.assert_array_equal(sum(parts), metrics.confusion_matrix(labels, predictions, 4))
    pictures = labels.reshape(3, 5, 10), predictions.reshape(3, 5, 10)
    np.testing.assert_array_equal(sum(parts), metrics.confusion_matrix(*pictures, 4))


@given(sizes=st.lists(st.integers(0, 40), max_size=30), seed=st.integers(0, 5))
def test_accuracy_by_size_against_its_definition(sizes, seed):
    right, edges = np.random.default_rng(seed).random(len(sizes)), (5, 10, 20, 40)
    accuracy, count = metrics.accuracy_by_size(right, sizes, edges)
    for number, (low, high) in enumerate(zip(edges, edges[1:])):
        of_range = [r for r, size in zip(right, sizes) if low <= size < high or size == high == edges[-1]]
        assert count[number] == len(of_range)
        np.testing.assert_allclose(accuracy[number], np.mean(of_range) if of_range else np.nan)


def test_good_typical_worst():
    assert metrics.good_typical_worst([3.0]) == (0, 0, 0)
    assert metrics.good_typical_worst([1.0, 2.0, 0.0, 3.0]) == (3, 0, 2)


# -- intervals -------------------------------------------------------------------------------------------------------


def test_t_interval_is_scipys():
    values = np.random.default_rng(0).normal(size=(5, 3))
    wanted = stats.t.interval(0.9, 4, values.mean(0), stats.sem(values))
    np.testing.assert_allclose(metrics.t_interval(values, 0.9), wanted)
    np.testing.assert_allclose(metrics.t_interval(values.T, 0.9, axis=1), wanted)
    one = stats.ttest_1samp(values[:, 0], 0).confidence_interval(0.9)
    np.testing.assert_allclose([end[0] for end in metrics.t_interval(values, 0.9)], [one.low, one.high])


def test_intervals_hold_the_truth_as_often_as_they_say():
    rng = np.random.default_rng(0)
    held = [low <= 0 <= high for low, high in (metrics.t_interval(rng.normal(size=4)) for _ in range(2000))]
    assert np.mean(held) == pytest.approx(0.95, abs=0.02)
    draws = (rng.exponential(size=60) for _ in range(150))
    held = [low <= 1 <= high for low, high in (metrics.bootstrap_interval(some, resamples=300) for some in draws)]
    assert np.mean(held) == pytest.approx(0.93, abs=0.05)


def test_bootstrap_interval_is_scipys_for_a_mean_and_repeats_itself():
    values = np.random.default_rng(0).exponential(size=40)
    wanted = stats.bootstrap((values,), np.mean, n_resamples=2000, method="percentile", rng=0).confidence_interval
    actual = metrics.bootstrap_interval(values)
    np.testing.assert_allclose(actual, wanted)
    assert actual == metrics.bootstrap_interval(values) != metrics.bootstrap_interval(values, seed=1)


def test_bootstrap_interval_of_images():
    confusions = np.array([metrics.confusion_matrix(*some_labels(3, 40, seed, False)[:2], 3) for seed in range(12)])
    low, high = metrics.bootstrap_interval(confusions, lambda some: metrics.mean_iou(some.sum(0)), resamples=300)
    assert low < metrics.mean_iou(confusions.sum(0)) < high < low + 0.2


def test_paired_test_is_scipys():
    rng = np.random.default_rng(0)
    for pairs in (2, 3, 5, 20):
        first, second = rng.normal(size=(2, pairs))
        difference, p = metrics.paired_test(first, second)
        wanted = stats.ttest_rel(first, second)
        np.testing.assert_allclose([difference, p], [np.mean(first - second), wanted.pvalue])
        assert metrics.paired_test(second, first) == pytest.approx((-difference, p))
    assert metrics.paired_test([1.0, 2.0], [1.0, 2.0]) == (0, 1)
    assert metrics.paired_test([1.0, 2.0], [0.0, 1.0]) == (1, 0)


def test_holm_is_the_procedure_that_rejects_one_after_the_other():
    rng = np.random.default_rng(0)
    for tests in (1, 2, 5, 13):
        p_values = rng.uniform(0, 0.06, tests).round(3)  # some are equal
        rejected, order = np.zeros(tests, bool), np.argsort(p_values, kind="stable")
        for passed, test in enumerate(order):
            if p_values[test] > 0.05 / (tests - passed):
                break
            rejected[test] = True
        np.testing.assert_array_equal(metrics.holm(p_values) <= 0.05, rejected)
        corrected = metrics.holm(p_values)
        assert (corrected >= p_values).all() and (corrected <= tests * p_values).all() and (corrected <= 1).all()
    assert metrics.holm([]).shape == (0,)


def test_holm_errs_as_seldom_as_it_says():
    rng = np.random.default_rng(0)
    base = rng.normal(size=(2000, 5, 1))  # all 13 are compared with one, so that the tests depend on each other
    p_values = stats.ttest_1samp(rng.normal(size=(2000, 5, 13)) - base, 0, axis=1).pvalue
    wrong = np.mean([metrics.holm(row).min() < 0.05 for row in p_values])
    assert wrong < 0.06 < np.mean(p_values.min(1) < 0.05)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: metrics.confusion_matrix([0, 3], [0, 0], 3), ValueError, "labels must be at least 0 and less than 3"),
        (
            lambda: metrics.confusion_matrix([0, 1], [0, -1], 3),
            ValueError,
            "predictions must be .* less than 3.* got -1",
        ),
        (lambda: metrics.confusion_matrix([0.0], [0], 3), TypeError, "labels must hold classes, .* got float64"),
        (lambda: metrics.accuracy([0, 1], [0]), ValueError, r"predictions must have the shape of labels, \(2,\), got"),
        (
            lambda: metrics.iou(np.zeros((2, 3))),
            ValueError,
            r"confusion must have shape \(classes, classes\), got \(2, 3",
        ),
        (lambda: metrics.accuracy_by_size([1], [1, 2], (0, 1)), ValueError, "right and sizes must be of one length"),
        (lambda: metrics.accuracy_by_size([1], [1], (2, 1)), ValueError, "edges must be at least two rising numbers"),
        (lambda: metrics.t_interval([1.0]), ValueError, "values must hold at least 2 along the axis, got 1"),
        (lambda: metrics.t_interval([1.0, 2.0], 95), ValueError, "confidence must be between 0 and 1, got 95"),
        (lambda: metrics.paired_test([1.0], [2.0]), ValueError, "first must hold at least 2 along the axis, got 1"),
        (
            lambda: metrics.paired_test([1.0, 2], [1.0]),
            ValueError,
            "first and second must be of one length, got shapes",
        ),
        (lambda: metrics.holm([0.5, 2]), ValueError, "p_values must be numbers from 0 to 1, in one row"),
        (lambda: metrics.holm([0.5, np.nan]), ValueError, "p_values must be numbers from 0 to 1, in one row"),
        (lambda: metrics.bootstrap_interval([1.0]), ValueError, "values must hold at least 2 along the axis, got 1"),
        (
            lambda: metrics.bootstrap_interval([1.0, 2.0], resamples=0),
            ValueError,
            "resamples must be at least 1, got 0",
        ),
    ],
)
def test_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()
