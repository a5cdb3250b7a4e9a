"""Detection: which objects an image shows and where, asked of every cell of a feature pyramid (chapter 6).

Boxes are (x_min, y_min, x_max, y_max), edges in pixels of the image: one from 2 to 6 covers pixels 2 to 5. Levels are
lists, finest first.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from msvision import checks, geometry
from msvision.torch._layers import channels_last
from msvision.torch.fpn import FPN
from msvision.torch.pyramids import _check


class FPNDetector(nn.Module):
    """An anchor-free detector: one small head on all levels of a feature pyramid (Tian et al., ICCV 2019, FCOS).

    Every cell of every level says which class it sees, how far the four sides of that object's box are, and how near it is
    to the middle of the box. Two towers of 3 × 3 convolutions with GroupNorm and ReLU, shared by all levels, lead there:
    one to the classes, one to the box and its centre-ness.

    Parameters
    ----------
    backbone : nn.Module
        Returns levels, finest first, and says their ``channels`` and ``reductions``.
    classes
        Number of classes. There is none for the background: there, all are improbable.
    out_channels
        Channels of the pyramid and the towers.
    depth
        Convolutions in each tower.
    first_level
        The finest level of the backbone that is used, counted from 0. The paper's is 1 of ``resnet50()``.
    extra : {None, "pool", "convolutions"}
        Coarser levels after the last, as in :class:`FPN`. The paper has two.

    Returns
    -------
    list of Tensor, shapes (N, classes + 5, H_l, W_l)
        For each level, finest first, what its cells say: logits of the classes; then how far the left, top, right and
        bottom side are from the cell's centre, positive, in pixels of the image; then the logit of the centre-ness.

    Raises
    ------
    TypeError
        If ``backbone`` does not say its ``channels`` and ``reductions``, or a number is not an integer.
    ValueError
        If a number is too small, ``first_level`` is not a level of the backbone, or ``extra`` is unknown. What the backbone
        refuses is refused.

    Notes
    -----
    ``reductions`` says how many pixels of the image make one of each level. Distances are ``reduction * exp(scale * x)``
    with a scale that each level learns (section 3.2). Convolutions of the head start normal with a standard deviation of
    0.01, and so that each class has a probability of 0.01 (Lin et al., ICCV 2017, section 4.1); those of the pyramid as in
    :class:`FPN`. GroupNorm has groups of eight channels, or one where eight do not divide them, and epsilon 1e-5. One image
    trains.

    Examples
    --------
    >>> from msvision.torch import SimpleBackbone
    >>> detector = FPNDetector(SimpleBackbone(widths=(8, 16, 16)), classes=3, out_channels=8, depth=1, first_level=1)
    >>> [tuple(level.shape) for level in detector(torch.rand(1, 3, 65, 47))]
    [(1, 8, 17, 12), (1, 8, 9, 6)]
    >>> detector.reductions
    (4, 8)
    """

    def __init__(
        self,
        backbone: nn.Module,
        classes: int,
        out_channels: int = 256,
        depth: int = 4,
        first_level: int = 0,
        extra: str | None = None,
    ):
        super().__init__()
        checks.check_backbone(backbone)
        self.classes = geometry.check_count("classes", classes)
        geometry.check_count("out_channels", out_channels, least=2)  # a single number has no variance
        geometry.check_count("depth", depth, least=0)
        self.first_level = checks.check_index("first_level", first_level, len(backbone.reductions))
        self.backbone, channels = backbone, list(backbone.channels[first_level:])
        self.fpn = FPN(channels, out_channels, extra=extra)
        self.reductions = geometry.fpn_reductions(tuple(backbone.reductions[first_level:]), extra)
        self.class_tower, self.box_tower = _tower(out_channels, depth), _tower(out_channels, depth)
        self.logits = _conv(out_channels, classes, bias=-math.log(99))
        self.distances, self.centreness = _conv(out_channels, 4), _conv(out_channels, 1)
        self.scale = nn.Parameter(torch.ones(len(self.reductions)))
        channels_last(self)

    def forward(self, x: Tensor) -> list[Tensor]:
        _check(x)
        levels = self.fpn(self.backbone(x)[self.first_level :])
        return [self._head(*level) for level in zip(levels, self.scale, self.reductions)]

    def _head(self, x: Tensor, scale: Tensor, reduction: int) -> Tensor:
        classes, box = self.class_tower(x), self.box_tower(x)
        distances = reduction * torch.exp(scale * self.distances(box))
        return torch.cat([self.logits(classes), distances, self.centreness(box)], 1)

    def extra_repr(self) -> str:
        return f"classes={self.classes}, reductions={self.reductions}"


def detection_targets(
    boxes: list[Tensor], labels: list[Tensor], classes: int, size: tuple[int, int], reductions: tuple[int, ...]
) -> list[Tensor]:
    """What each cell of each level has to find (Tian et al., ICCV 2019, sections 3.1 and 3.2).

    A cell has to find the box that its centre is inside of, if its level is the one for the farthest side: up to 8 times
    its reduction on the finest, from there up to 8 times its own on the next, without end on the last. Of several boxes it
    is the smallest. A box that holds no such centre, since it is too small or thin, is found by none.

    Parameters
    ----------
    boxes : list of Tensor, shapes (objects, 4)
        The objects of each image, none or more: x_min, y_min, x_max, y_max in pixels.
    labels : list of Tensor, shapes (objects,)
        Their classes: integers from 0.
    classes
        Number of classes.
    size
        Height and width of the images, in pixels.
    reductions
        How many pixels make one of each level, finest first: ``reductions`` of :class:`FPNDetector`.

    Returns
    -------
    list of Tensor, shapes (N, classes + 5, H_l, W_l)
        For each level, finest first, what its cells have to say: 1 for the class of the box and 0 for others; how far its
        left, top, right and bottom side are, in pixels; and the centre-ness, from 0 to 1, which is
        ``sqrt(min(l, r) / max(l, r) * min(t, b) / max(t, b))``. All are 0 where there is nothing to find. Levels have the
        size of the image over their reduction, rounded up.

    Raises
    ------
    TypeError, ValueError
        If ``boxes`` and ``labels`` are not lists of equal length, their tensors do not have these shapes, a label is not an
        integer from 0 to ``classes - 1``, or a box does not run from its smaller to its larger coordinates.

    Examples
    --------
    >>> boxes, labels = torch.tensor([[0.0, 0.0, 16.0, 16.0]]), torch.tensor([1])
    >>> (level,) = detection_targets([boxes], [labels], classes=2, size=(9, 24), reductions=(16,))
    >>> level[0, :, 0, 0].tolist()
    [0.0, 1.0, 8.0, 8.0, 8.0, 8.0, 1.0]
    """
    checks.check_image_lists(boxes, labels)
    geometry.check_count("classes", classes)
    size, reductions = checks.check_image_size(size), checks.check_counts("reductions", reductions)
    device = torch.as_tensor(boxes[0]).device
    boxes, labels = zip(*(_objects(*pair, classes, number) for number, pair in enumerate(zip(boxes, labels))))
    # one box without area more for each image: there is always something to choose from
    boxes = pad_sequence([F.pad(x, (0, 0, 0, 1)) for x in boxes], batch_first=True)
    labels = pad_sequence([F.pad(x, (0, 1)) for x in labels], batch_first=True)
    levels = []
    for reduction, limits in zip(reductions, geometry.size_ranges(reductions)):
        shape = tuple(geometry.scaled_size(n, 1 / reduction) for n in size)
        target = geometry.box_targets(boxes, labels, classes, shape, reduction, limits, torch)
        levels.append(target.movedim(-1, 1).to(device))
    return levels


def detection_loss(
    levels: list[Tensor], targets: list[Tensor], alpha: float = 0.25, gamma: float = 2.0
) -> tuple[Tensor, Tensor, Tensor]:
    """How far a detector is from its targets: in classes, boxes and centre-ness (Tian et al., ICCV 2019, equation 2).

    The classes of all cells are compared by focal loss (Lin et al., ICCV 2017, equation 5); of the cells that have
    something to find, boxes by one minus their generalised intersection over union (Rezatofighi et al., CVPR 2019), and
    centre-ness by cross-entropy. Each sum is divided by the number of those cells, or by 1 if there are none.

    Parameters
    ----------
    levels : list of Tensor, shapes (N, classes + 5, H_l, W_l)
        What :class:`FPNDetector` says, finest first.
    targets : list of Tensor, of the same shapes
        What it should say: those of :func:`detection_targets`.
    alpha
        Weight of the cells that are of a class, from 0 to 1; the others have ``1 - alpha``.
    gamma
        How much less cells count that are right already: by ``(1 - p) ** gamma`` if their class has probability ``p``.

    Returns
    -------
    classification, boxes, centreness : Tensors, shape ()
        Three losses, not negative, in single precision at least; their sum is what FCOS trains on.

    Raises
    ------
    TypeError, ValueError
        If ``levels`` and ``targets`` are not lists of floating-point tensors of these shapes, or ``alpha`` or ``gamma`` is
        out of range.

    Examples
    --------
    >>> levels = [torch.cat([torch.zeros(1, 2, 2, 2), torch.ones(1, 5, 2, 2)], 1)]
    >>> targets = detection_targets([torch.zeros(0, 4)], [torch.zeros(0)], classes=2, size=(8, 8), reductions=(4,))
    >>> [round(float(loss), 3) for loss in detection_loss(levels, targets)]  # 8 logits of 0, and no object
    [1.04, 0.0, 0.0]
    """
    classes = _check_detector(levels)
    checks.check_level_list(targets)
    checks.check_same_levels([tuple(x.shape) for x in levels], [tuple(x.shape) for x in targets])
    alpha, gamma = checks.check_fraction("alpha", alpha), checks.check_not_negative("gamma", gamma)
    logits, distances, centreness = _parts(levels, classes)  # (N, L, classes), (N, L, 4), (N, L, 1)
    is_class, wanted, centred = (part.to(logits.dtype) for part in _parts(targets, classes))
    positive = is_class.amax(2, keepdim=True) > 0  # cells that have something to find
    count = positive.sum().clamp(min=1)
    weights = alpha * is_class + (1 - alpha) * (1 - is_class)
    classification = weights * _focal(torch.where(is_class > 0, logits, -logits), gamma)
    one = torch.ones_like(wanted)  # where there is nothing to find, equal boxes, whose loss is zero
    overlap = geometry.generalized_iou(torch.where(positive, distances, one), torch.where(positive, wanted, one), torch)
    centred = positive * F.binary_cross_entropy_with_logits(centreness, centred, reduction="none")
    return tuple(loss.sum() / count for loss in (classification, 1 - overlap, centred))


def decode_detections(
    levels: list[Tensor],
    reductions: tuple[int, ...],
    size: tuple[int, int],
    score_threshold: float = 0.05,
    iou_threshold: float = 0.6,
    candidates: int = 1000,
    limit: int = 100,
) -> list[tuple[Tensor, Tensor, Tensor]]:
    """From what a detector says about its cells to a list of objects for each image.

    The score of a class in a cell is the geometric mean of its probability and the cell's centre-ness, as in torchvision.
    The ``candidates`` with the highest scores go through :func:`non_maximum_suppression`, each class on its own.

    Parameters
    ----------
    levels : list of Tensor, shapes (N, classes + 5, H_l, W_l)
        What :class:`FPNDetector` says, finest first.
    reductions
        How many pixels make one of each level: ``reductions`` of the detector.
    size
        Height and width of the images, in pixels. Boxes end at the border, and those outside are left out.
    score_threshold
        Scores must be larger than this.
    iou_threshold
        Of two boxes of one class whose intersection over union is larger, the one with the lower score is left out.
    candidates
        How many scores of an image are looked at, at most.
    limit
        How many objects an image has, at most.

    Returns
    -------
    list of (boxes, scores, labels) : Tensors, shapes (objects, 4), (objects,) and (objects,)
        For each image, best first. Boxes are x_min, y_min, x_max, y_max in pixels, within the image; scores are from 0 to
        1; labels are integers from 0. No gradient passes.

    Raises
    ------
    TypeError, ValueError
        If ``levels`` is not a list of as many such tensors as there are reductions, or a number is out of range.

    Notes
    -----
    Equal scores are in the order of levels, rows, columns and classes, in both frameworks.

    Examples
    --------
    >>> found, nothing = [-9.0, 9.0, 4.0, 2.0, 6.0, 3.0, 9.0], [-9.0, -9.0, 1.0, 1.0, 1.0, 1.0, 9.0]  # two classes
    >>> level = torch.tensor([found, nothing]).T.reshape(1, 7, 1, 2)  # two cells
    >>> ((boxes, scores, labels),) = decode_detections([level], reductions=(8,), size=(8, 16))
    >>> boxes.tolist(), labels.tolist()
    ([[0.0, 2.0, 10.0, 7.0]], [1])
    """
    classes = _check_detector(levels)
    reductions = checks.check_reductions(reductions, len(levels))
    height, width = checks.check_image_size(size)
    checks.check_fraction("score_threshold", score_threshold), checks.check_fraction("iou_threshold", iou_threshold)
    geometry.check_count("candidates", candidates), geometry.check_count("limit", limit)
    logits, distances, centreness = _parts([level.detach() for level in levels], classes)
    scores = torch.sqrt(torch.sigmoid(logits) * torch.sigmoid(centreness))  # (N, L, classes)
    centres = [geometry.cell_centres(tuple(x.shape[2:]), *r, torch) for x, *r in zip(levels, reductions)]
    x, y = (torch.cat([axis.flatten() for axis in axes]).to(distances.device) for axes in zip(*centres))
    boxes = geometry.distant_boxes(distances, x, y, torch)  # (N, L, 4)
    border = boxes.new_tensor([width, height, width, height])
    boxes = torch.minimum(boxes.clamp(min=0), border)
    images = []
    for score, box in zip(scores, boxes):
        seen = (score > score_threshold) & (box[:, 2:] > box[:, :2]).all(1, keepdim=True)
        cells, labels = seen.nonzero(as_tuple=True)
        order = _best_first(score[cells, labels])[:candidates]
        cells, labels = cells[order], labels[order]
        kept = non_maximum_suppression(box[cells], score[cells, labels], labels, iou_threshold)[:limit]
        cells, labels = cells[kept], labels[kept]
        images.append((box[cells], score[cells, labels], labels))
    return images


def non_maximum_suppression(
    boxes: Tensor, scores: Tensor, labels: Tensor | None = None, iou_threshold: float = 0.6
) -> Tensor:
    """Of boxes that overlap, keep the one with the highest score.

    The best box is kept, those that overlap it are left out; so is done with the best of the others, until none is left.

    Parameters
    ----------
    boxes : Tensor, shape (objects, 4)
        x_min, y_min, x_max, y_max.
    scores : Tensor, shape (objects,)
        Of equal scores the first counts as higher.
    labels : Tensor, shape (objects,)
        Boxes with different labels leave each other alone; without labels, none do.
    iou_threshold
        Boxes overlap if their intersection over union is larger than this.

    Returns
    -------
    Tensor of integers, shape (kept,)
        Which boxes are kept, best first.

    Raises
    ------
    TypeError, ValueError
        If there is not one score, and one label, for each box, or ``iou_threshold`` is not from 0 to 1.

    Examples
    --------
    >>> boxes = torch.tensor([[0.0, 0.0, 4.0, 4.0], [1.0, 0.0, 5.0, 4.0], [8.0, 0.0, 9.0, 4.0]])
    >>> non_maximum_suppression(boxes, torch.tensor([0.5, 0.9, 0.2]), iou_threshold=0.5).tolist()
    [1, 2]
    """
    checks.check_fraction("iou_threshold", iou_threshold)
    others = {"scores": scores} | ({} if labels is None else {"labels": labels})
    checks.check_boxes(tuple(boxes.shape), {name: tuple(x.shape) for name, x in others.items()})
    order = _best_first(scores)
    boxes, ranks = _single(boxes[order]), torch.arange(len(order), device=order.device)
    beats = (geometry.box_iou(boxes, boxes, torch) > iou_threshold) & (ranks[:, None] < ranks)  # row over column
    if labels is not None:
        beats &= labels[order][:, None] == labels[order]
    # Who is beaten by nobody that is kept? After k rounds the k best are settled, mostly all of them after a few.
    kept, before = ~beats.any(0), None
    while before is None or not torch.equal(kept, before):
        kept, before = ~(beats & kept[:, None]).any(0), kept
    return order[kept]


# -- the steps -------------------------------------------------------------------------------------------------------


def _conv(in_channels: int, out_channels: int, bias: float = 0.0) -> nn.Conv2d:
    conv = nn.Conv2d(in_channels, out_channels, 3, padding=1)
    nn.init.normal_(conv.weight, std=0.01)
    nn.init.constant_(conv.bias, bias)
    return conv


def _tower(channels: int, depth: int) -> nn.Sequential:
    groups = geometry.normalisation_groups(channels)
    blocks = ((_conv(channels, channels), nn.GroupNorm(groups, channels), nn.ReLU()) for _ in range(depth))
    return nn.Sequential(*(layer for block in blocks for layer in block))


def _objects(boxes: Tensor, labels: Tensor, classes: int, number: int) -> tuple[Tensor, Tensor]:
    """The boxes and labels of one image where sizes are worked out: on the CPU."""
    boxes, labels = torch.as_tensor(boxes).detach().cpu(), torch.as_tensor(labels).cpu()
    checks.check_boxes(tuple(boxes.shape), {f"labels[{number}]": tuple(labels.shape)}, f"boxes[{number}]")
    checks.check_box_values(boxes, labels, classes, number)
    return boxes.float(), labels.long()


def _check_detector(levels: list[Tensor]) -> int:
    checks.check_level_list(levels)
    for number, level in enumerate(levels):
        _check(level, f"levels[{number}]")
    return checks.check_detector_levels([tuple(level.shape) for level in levels], "NCHW")


def _parts(levels: list[Tensor], classes: int) -> tuple[Tensor, Tensor, Tensor]:
    """What all cells of all levels say of classes, box and centre-ness, in single precision at least."""
    cells = _single(torch.cat([level.flatten(2) for level in levels], 2).movedim(1, 2))  # (N, L, classes + 5)
    return cells.split((classes, 4, 1), 2)


def _single(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _focal(logits: Tensor, gamma: float) -> Tensor:
    """Focal loss of logits that should be high: ``-(1 - p)^gamma log(p)`` with ``p = sigmoid(logit)``."""
    return torch.exp(-gamma * F.softplus(logits)) * F.softplus(-logits)


def _best_first(scores: Tensor) -> Tensor:
    return torch.sort(scores, descending=True, stable=True).indices
