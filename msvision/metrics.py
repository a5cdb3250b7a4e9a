"""Metrics: NumPy in, NumPy out."""

from __future__ import annotations

import math

import numpy as np

from msvision import checks, geometry

# -- detection -------------------------------------------------------------------------------------------------------


def average_precision(
    predictions: list[tuple],
    truths: list[tuple],
    classes: int,
    iou_threshold: float | tuple[float, ...] = 0.5,
    sizes: tuple[float, float] = (0, math.inf),
) -> np.ndarray:
    """How well objects are found: precision averaged over recalls, as COCO's evaluation does it.

    Predictions of a class, best first over all images, find the object of their image that they overlap most, if by the
    threshold at least and if no better prediction has found it. Precision at a recall is the highest that is reached there
    or at any higher recall; its average is over the recalls 0, 0.01, … 1.

    Parameters
    ----------
    predictions : list of (boxes, scores, labels)
        For each image, arrays (objects, 4), (objects,) and (objects,): what ``decode_detections`` returns, on the CPU. All
        of them count; COCO's evaluation looks at the best 100 of an image and a class.
    truths : list of (boxes, labels)
        For each image, arrays (objects, 4) and (objects,).
    classes
        Number of classes.
    iou_threshold
        Intersection over union with the object, from which it is found; or several. COCO's are 0.5, 0.55, … 0.95.
    sizes
        Smallest and largest square root of the area, in pixels, of the objects that count. The others need not be found,
        but may be; and predictions of other sizes that find nothing are no mistake. COCO's small, medium and large objects
        are (0, 32), (32, 96) and (96, inf), both ends included.

    Returns
    -------
    array of shape (classes,), or (thresholds, classes) for several thresholds
        From 0 to 1; NaN for a class with no object that counts. ``np.nanmean`` of it is the mean average precision.

    Raises
    ------
    TypeError, ValueError
        If the lists are not of equal length, their arrays do not have these shapes, a label is not a class, a threshold is
        not from 0 to 1, or ``sizes`` are not two numbers of at least 0.

    Notes
    -----
    The same as ``pycocotools`` without crowds (Lin et al., ECCV 2014), down to its ties: of equally good objects the last
    is found, of equal scores the first prediction counts as better.

    Examples
    --------
    >>> truth = np.array([[0.0, 0.0, 8.0, 8.0], [10.0, 0.0, 18.0, 8.0]]), np.array([0, 0])
    >>> found = np.array([[0.0, 0.0, 8.0, 7.0], [20.0, 0.0, 28.0, 8.0]]), np.array([0.9, 0.8]), np.array([0, 0])
    >>> average_precision([found], [truth], classes=2).round(3)  # one of two, first, is 51 of 101 recalls
    array([0.505,   nan])
    """
    predictions, truths = _checked(predictions, truths, geometry.check_count("classes", classes))
    thresholds = iou_threshold if isinstance(iou_threshold, (list, tuple)) else (iou_threshold,)
    thresholds = [checks.check_fraction("iou_threshold", threshold) for threshold in thresholds]
    if not isinstance(sizes, (list, tuple)) or len(sizes) != 2:
        raise TypeError(f"sizes must be a pair (smallest, largest), got {sizes!r}")
    sizes = tuple(checks.check_not_negative(f"sizes[{end}]", size) for end, size in enumerate(sizes))
    result = np.full((len(thresholds), classes), np.nan)
    for label in range(classes):
        images = [
            (boxes[of == label], scores[of == label], true[true_of == label])
            for (boxes, scores, of), (true, true_of) in zip(predictions, truths)
        ]
        for row, threshold in enumerate(thresholds):
            result[row, label] = _precision_of_class(images, threshold, sizes)
    return result if isinstance(iou_threshold, (list, tuple)) else result[0]


def _precision_of_class(images: list[tuple], threshold: float, sizes: tuple[float, float]) -> float:
    counted = [_within(true, sizes) for _, _, true in images]
    objects = sum(int(which.sum()) for which in counted)
    if not objects:
        return np.nan
    parts = [_matched(*image, which, threshold, sizes) for image, which in zip(images, counted)]
    scores, found, ignored = (np.concatenate(part) for part in zip(*parts))
    order = np.argsort(-scores, kind="stable")
    found = found[order][~ignored[order]]
    if not len(found):
        return 0.0
    hits = np.cumsum(found)
    precision = hits / np.arange(1, len(hits) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    reached = np.searchsorted(hits / objects, np.linspace(0, 1, 101))  # the first prediction with that recall
    return float(np.append(envelope, 0)[reached].mean())


def _matched(boxes, scores, true, counted, threshold: float, sizes: tuple[float, float]) -> tuple:
    """Scores of one image's predictions, best first; which found an object that counts; which count neither way."""
    order = np.argsort(-scores, kind="stable")
    boxes, scores = boxes[order], scores[order]
    overlaps, free = geometry.box_iou(boxes, true), np.ones(len(true), bool)
    found, ignored = np.zeros(len(boxes), bool), ~_within(boxes, sizes)
    for row, overlap in enumerate(overlaps):
        fits = free & (overlap >= threshold)
        fits = fits & counted if (fits & counted).any() else fits  # those that count go first
        if fits.any():
            best = np.flatnonzero(fits & (overlap == overlap[fits].max()))[-1]
            free[best] = False
            found[row], ignored[row] = counted[best], not counted[best]
    return scores, found, ignored


def _within(boxes: np.ndarray, sizes: tuple[float, float]) -> np.ndarray:
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    return (area >= sizes[0] ** 2) & (area <= sizes[1] ** 2)


def _checked(predictions, truths, classes: int) -> tuple[list, list]:
    for name, given in (("predictions", predictions), ("truths", truths)):
        if not isinstance(given, (list, tuple)):
            raise TypeError(f"{name} must be a list with an entry for each image, got {type(given).__name__}")
    if len(predictions) != len(truths):
        raise ValueError(f"truths must hold {len(predictions)} images, since predictions does, got {len(truths)}")
    kinds = (("predictions", predictions, ("scores", "labels")), ("truths", truths, ("labels",)))
    result = []
    for name, given, others in kinds:
        images = [[np.asarray(part) for part in image] for image in given]
        for number, image in enumerate(images):
            if len(image) != 1 + len(others):
                what = ", ".join(("boxes", *others))
                raise ValueError(f"{name}[{number}] must hold {what}, got {len(image)} arrays")
            shapes = {f"{other} of {name}[{number}]": part.shape for other, part in zip(others, image[1:])}
            checks.check_boxes(image[0].shape, shapes, f"boxes of {name}[{number}]")
            for label in np.unique(image[-1]):
                checks.check_index(f"labels of {name}[{number}]", label.item(), classes)
            image[0] = image[0].astype("float64")
        result.append(images)
    return tuple(result)


# -- classes of images and of pixels ---------------------------------------------------------------------------------


def confusion_matrix(
    labels: np.ndarray, predictions: np.ndarray, classes: int, ignore: int | None = None
) -> np.ndarray:
    """How often each class was taken for each.

    Parameters
    ----------
    labels, predictions
        Whole numbers from 0 to ``classes - 1``, two arrays of one shape: of images, or of pixels.
    classes
        Number of classes.
    ignore
        A label that does not count.

    Returns
    -------
    int64 array of shape (classes, classes)
        In row i and column j, how many are of class i and were taken for j. Those of several batches may be added.

    Raises
    ------
    TypeError, ValueError
        If the arrays do not hold such numbers, or are not of one shape.

    Examples
    --------
    >>> confusion_matrix([0, 0, 1, 2], [0, 1, 1, 2], classes=3)
    array([[1, 1, 0],
           [0, 1, 0],
           [0, 0, 1]])
    """
    labels, predictions = _counted(labels, predictions, ignore)
    geometry.check_count("classes", classes)
    for name, values in (("labels", labels), ("predictions", predictions)):
        if values.size and not 0 <= values.min() <= values.max() < classes:
            wrong = values.min() if values.min() < 0 else values.max()
            raise ValueError(f"{name} must be at least 0 and less than {classes}, the number of classes, got {wrong}")
    pairs = classes * labels.astype(np.int64) + predictions
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def accuracy(labels: np.ndarray, predictions: np.ndarray, ignore: int | None = None) -> float:
    """Share of images, or of pixels, whose class is right.

    Parameters
    ----------
    labels, predictions
        Whole numbers, two arrays of one shape.
    ignore
        A label that does not count.

    Returns
    -------
    float
        From 0 to 1; NaN if nothing counts.

    Raises
    ------
    TypeError, ValueError
        If the arrays do not hold whole numbers, or are not of one shape.

    Examples
    --------
    >>> accuracy([0, 0, 1, 2], [0, 1, 1, 2])
    0.75
    """
    labels, predictions = _counted(labels, predictions, ignore)
    return float((labels == predictions).mean()) if labels.size else math.nan


def iou(confusion: np.ndarray) -> np.ndarray:
    """Intersection over union of each class: pixels of it that were found, of all that are of it or were taken for it.

    Parameters
    ----------
    confusion
        What :func:`confusion_matrix` returns.

    Returns
    -------
    array of shape (classes,)
        From 0 to 1; NaN for a class that nothing is of and nothing was taken for.

    Examples
    --------
    >>> iou(confusion_matrix([0, 0, 1, 2], [0, 1, 1, 2], classes=4))
    array([0.5, 0.5, 1. , nan])
    """
    confusion = np.asarray(confusion, "float64")
    if confusion.ndim != 2 or confusion.shape[0] != confusion.shape[1]:
        raise ValueError(f"confusion must have shape (classes, classes), got {confusion.shape}")
    found = np.diag(confusion)
    union = confusion.sum(0) + confusion.sum(1) - found
    return np.divide(found, union, out=np.full(len(found), np.nan), where=union > 0)


def mean_iou(confusion: np.ndarray) -> float:
    """Mean of :func:`iou` over the classes that are there, or were taken to be.

    Parameters
    ----------
    confusion
        What :func:`confusion_matrix` returns.

    Returns
    -------
    float
        From 0 to 1; NaN if nothing was counted.

    Examples
    --------
    >>> round(mean_iou(confusion_matrix([0, 0, 1, 2], [0, 1, 1, 2], classes=4)), 3)
    0.667
    """
    of_classes = iou(confusion)
    there = ~np.isnan(of_classes)
    return float(of_classes[there].mean()) if there.any() else math.nan


def accuracy_by_size(right: np.ndarray, sizes: np.ndarray, edges: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Share of objects that are right, for each range of sizes.

    Parameters
    ----------
    right
        For each object, whether it is right, or which share of its pixels is: from 0 to 1.
    sizes
        For each object, its size in pixels.
    edges
        Ends of the ranges, rising. A size on an edge is of the range above it, and the last edge of the last.

    Returns
    -------
    accuracy, count : arrays of shape (len(edges) - 1,)
        The share, from 0 to 1, NaN where a range has no object; and how many objects it has.

    Raises
    ------
    ValueError
        If ``right`` and ``sizes`` are not of one length, or the edges do not rise.

    Examples
    --------
    >>> accuracy_by_size([True, False, True], sizes=[12, 14, 40], edges=(10, 20, 30, 50))
    (array([0.5, nan, 1. ]), array([2, 0, 1]))
    """
    right, sizes = np.asarray(right, "float64"), np.asarray(sizes)
    if right.ndim != 1 or right.shape != sizes.shape:
        raise ValueError(f"right and sizes must be of one length, got shapes {right.shape} and {sizes.shape}")
    if len(edges) < 2 or not (np.diff(edges) > 0).all():
        raise ValueError(f"edges must be at least two rising numbers, got {edges!r}")
    count, total = np.histogram(sizes, edges)[0], np.histogram(sizes, edges, weights=right)[0]
    return np.divide(total, count, out=np.full(len(count), np.nan), where=count > 0), count


def good_typical_worst(scores: np.ndarray) -> tuple[int, int, int]:
    """Which example has the best score, which the median, which the worst: what a picture of results should show.

    Examples
    --------
    >>> good_typical_worst([0.5, 0.9, 0.1, 0.6, 0.7])
    (1, 3, 2)
    """
    order = np.argsort(-np.asarray(scores, "float64"), kind="stable")
    return int(order[0]), int(order[len(order) // 2]), int(order[-1])


def _counted(labels, predictions, ignore: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Both as vectors, without what does not count."""
    labels, predictions = np.asarray(labels), np.asarray(predictions)
    for name, values in (("labels", labels), ("predictions", predictions)):
        if not np.issubdtype(values.dtype, np.integer):
            raise TypeError(f"{name} must hold classes, which are integers, got {values.dtype}")
    if labels.shape != predictions.shape:
        raise ValueError(f"predictions must have the shape of labels, {labels.shape}, got {predictions.shape}")
    counts = slice(None) if ignore is None else labels.ravel() != ignore
    return labels.ravel()[counts], predictions.ravel()[counts]


# -- how sure a mean is ----------------------------------------------------------------------------------------------


def t_interval(values: np.ndarray, confidence: float = 0.95, axis: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Interval for the mean of a few numbers that scatter as a bell curve does, such as results over seeds (Student's t).

    Parameters
    ----------
    values
        At least two along ``axis``.
    confidence
        How often such intervals hold the true mean.
    axis
        Along which the mean is taken.

    Returns
    -------
    low, high : arrays of the shape of ``values`` without ``axis``

    Raises
    ------
    ValueError
        If there are fewer than two values, or ``confidence`` is not between 0 and 1.

    Examples
    --------
    >>> low, high = t_interval([1.0, 2.0, 3.0])
    >>> round(float(low), 2), round(float(high), 2)
    (-0.48, 4.48)
    """
    from scipy import stats

    values = np.asarray(values, "float64")
    count = values.shape[axis] if values.ndim else 0
    _check_sample(count, confidence)
    mean, error = values.mean(axis), values.std(axis, ddof=1) / math.sqrt(count)
    half = stats.t.ppf((1 + confidence) / 2, count - 1) * error
    return mean - half, mean + half


def bootstrap_interval(
    values: np.ndarray, statistic=np.mean, confidence: float = 0.95, resamples: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """Interval for any number that is made from many examples, by drawing as many from them again and again.

    Parameters
    ----------
    values
        An example in each row, of any shape: numbers, or confusion matrices of images.
    statistic
        A function of such an array to the number.
    confidence
        How often such intervals hold the true number.
    resamples
        How often examples are drawn.
    seed
        Of the draws.

    Returns
    -------
    low, high : float
        Percentiles of the number over the draws (Efron and Tibshirani, 1993, chapter 13).

    Raises
    ------
    ValueError
        If there are fewer than two examples, or ``confidence`` is not between 0 and 1.

    Examples
    --------
    >>> low, high = bootstrap_interval(np.arange(100.0))
    >>> round(low), round(high)
    (44, 55)
    >>> images = [confusion_matrix([0, 1, 1], [0, 1, wrong], classes=2) for wrong in (0, 1, 1, 1)]
    >>> low, high = bootstrap_interval(images, lambda some: mean_iou(np.sum(some, 0)))  # of all pixels together
    >>> round(low, 2), round(high, 2)
    (0.6, 1.0)
    """
    from scipy import stats

    values = np.asarray(values)
    _check_sample(len(values), confidence)
    found = stats.bootstrap(
        (np.arange(len(values)),),
        lambda drawn: statistic(values[drawn]),
        vectorized=False,
        n_resamples=geometry.check_count("resamples", resamples),
        confidence_level=confidence,
        method="percentile",
        rng=seed,
    ).confidence_interval
    return float(found.low), float(found.high)


def paired_test(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """Whether two methods differ, by results that come in pairs, such as those of the same seeds (Student's paired t-test).

    Parameters
    ----------
    first, second
        A result of each for every pair, shape (pairs,). Their differences should scatter as a bell curve does.

    Returns
    -------
    difference, p : float
        The mean of ``first - second``; and how often a mean at least as far from zero would come about if it were zero in
        truth. Where all differences are equal, 0, or 1 if they are zero.

    Raises
    ------
    ValueError
        If the two are not of one length, or there are fewer than two pairs.

    Examples
    --------
    >>> difference, p = paired_test([0.50, 0.53, 0.57], [0.48, 0.49, 0.54])
    >>> round(difference, 2), round(p, 3)
    (0.03, 0.035)
    """
    from scipy import stats

    first, second = np.asarray(first, "float64"), np.asarray(second, "float64")
    if first.ndim != 1 or first.shape != second.shape:
        raise ValueError(f"first and second must be of one length, got shapes {first.shape} and {second.shape}")
    _check_sample(len(first), 0.5, "first")
    differences = first - second
    mean, error = differences.mean(), differences.std(ddof=1) / math.sqrt(len(differences))
    if error == 0:
        return float(mean), float(mean == 0)
    return float(mean), float(2 * stats.t.sf(abs(mean / error), len(differences) - 1))


def holm(p_values: np.ndarray) -> np.ndarray:
    """Correct the p-values of several tests for being several (Holm, 1979).

    Parameters
    ----------
    p_values
        Of all tests that were made, shape (tests,).

    Returns
    -------
    array of shape (tests,)
        Corrected values, in the order given. Call those below 0.05 significant, and the chance that any of them is so
        by luck alone is at most 0.05, however the tests depend on each other.

    Raises
    ------
    ValueError
        If they are not numbers from 0 to 1, in one row.

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03])  # 3 · 0.01, then 2 · 0.03, then 1 · 0.04, but no less than the one before
    array([0.03, 0.06, 0.06])
    """
    p_values = np.asarray(p_values, "float64")
    if p_values.ndim != 1 or not ((p_values >= 0) & (p_values <= 1)).all():
        raise ValueError(f"p_values must be numbers from 0 to 1, in one row, got {p_values}")
    order = np.argsort(p_values, kind="stable")
    times = np.arange(len(p_values), 0, -1)
    corrected = np.empty(len(p_values))
    corrected[order] = np.maximum.accumulate(times * p_values[order]).clip(max=1)
    return corrected


def _check_sample(count: int, confidence: float, name: str = "values") -> None:
    if count < 2:
        raise ValueError(f"{name} must hold at least 2 along the axis, got {count}")
    if not 0 < geometry.check_number("confidence", confidence) < 1:
        raise ValueError(f"confidence must be between 0 and 1, got {confidence}")
