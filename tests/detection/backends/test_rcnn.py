"""The network's own arithmetic: boxes, anchors, sampling and losses."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision.ops import roi_align

from detection.backends.proposals import best_proposals
from detection.backends.rcnn import (
    Architecture,
    Comparison,
    DamageRCNN,
    ExactAnchors,
    Sample,
    Target,
    alone,
    box_losses,
    comparing,
    decode,
    encode,
    mask_targets,
    pool_level,
    sample_boxes,
)

SMALL = Architecture(channels=16, fc=16, mask_channels=16, mask_layers=1)
side = st.floats(4, 200)
place = st.floats(0, 500)


corners = st.tuples(place, place, side, side).map(
    lambda b: torch.tensor([[b[0], b[1], b[0] + b[2], b[1] + b[3]]], dtype=torch.float64)
)


@given(corners, corners)
def test_decoding_undoes_encoding(box: torch.Tensor, truth: torch.Tensor) -> None:

    found = decode(encode(truth, box), box)

    assert torch.allclose(found, truth, atol=1e-6)


def test_anchors_keep_their_exact_size() -> None:
    (cell,) = ExactAnchors(((12,),), ((0.5, 1.0, 2.0),)).cell_anchors

    widths, heights = cell[:, 2] - cell[:, 0], cell[:, 3] - cell[:, 1]

    assert torch.allclose(widths * heights, torch.full((3,), 144.0), rtol=1e-5)
    assert torch.allclose(heights / widths, torch.tensor([0.5, 1.0, 2.0]), rtol=1e-5)


@pytest.mark.parametrize("size", [7, 14])
def test_pooling_is_roi_align(size: int) -> None:
    torch.manual_seed(0)
    feature = torch.randn(2, 8, 24, 40, requires_grad=True)
    corner = torch.rand(50, 2) * torch.tensor([170.0, 110.0]) - 8
    boxes = torch.cat([corner, corner + 1 + torch.rand(50, 2) * 60], dim=1)
    rois = torch.cat([torch.randint(0, 2, (50, 1)).float(), boxes], dim=1)

    ours = pool_level(feature, rois, size, 0.25)
    theirs = roi_align(feature, rois, size, 0.25, 2, aligned=True)

    assert torch.allclose(ours, theirs, atol=1e-4)
    push = torch.randn_like(ours)
    ours_back, theirs_back = (torch.autograd.grad(out, feature, push)[0] for out in (ours, theirs))
    assert torch.allclose(ours_back, theirs_back, atol=1e-3)


def test_proposals_are_torchvisions() -> None:
    torch.manual_seed(0)
    network = DamageRCNN(SMALL).eval()
    images = torch.rand(2, 3, 192, 256) * 255

    with torch.inference_mode():
        features = network.features(images)
        theirs, _ = network.propose(images, features)
        places, moves = network.rpn.head(features)
        ours = best_proposals(network.rpn, places, moves, (192, 256))

    for mine, other in zip(ours, theirs, strict=True):
        assert len(mine) > 100
        assert torch.allclose(mine, other, atol=1e-3)


def target(*, ignore_right_half: bool = False) -> Target:
    ignore = torch.zeros(64, 64, dtype=torch.bool)
    ignore[:, 32:] = ignore_right_half
    masks = torch.zeros(1, 64, 64, dtype=torch.uint8)
    masks[0, 4:20, 4:20] = 1
    return Target(torch.tensor([[4.0, 4, 20, 20]]), torch.tensor([2]), masks, ignore)


def test_background_over_ignored_ground_is_not_sampled() -> None:
    proposals = torch.tensor([[40.0, 40, 60, 60], [4.0, 40, 20, 60], [5.0, 5, 21, 21]])

    sample = sample_boxes(proposals, target(ignore_right_half=True))

    assert [40.0, 40, 60, 60] not in sample.boxes.tolist()
    assert [4.0, 40, 20, 60] in sample.boxes.tolist()
    assert sample.positive.sum() == 2  # the near miss and the truth itself


def test_without_ignored_ground_every_proposal_may_be_sampled() -> None:
    proposals = torch.tensor([[40.0, 40, 60, 60]])

    sample = sample_boxes(proposals, target())

    assert [40.0, 40, 60, 60] in sample.boxes.tolist()


def sample_of(grade: int) -> Sample:
    box = torch.tensor([[0.0, 0, 10, 10]])
    return Sample(box, torch.tensor([True]), torch.tensor([0]), box, torch.tensor([grade]))


@pytest.mark.parametrize("grade", [-1, 0, 3])
def test_a_building_of_unknown_grade_teaches_only_that_it_is_a_building(grade: int) -> None:
    logits = torch.zeros(1, 5, requires_grad=True)

    losses = box_losses(logits, torch.zeros(1, 4), [sample_of(grade)], torch.ones(4))
    sum(losses.values(), torch.zeros(())).backward()  # type: ignore[no-untyped-call]

    assert logits.grad is not None
    between_grades = logits.grad[0, 1:]
    same = torch.allclose(between_grades, between_grades[:1].expand(4))
    assert same == (grade < 0)
    assert logits.grad[0, 0] > 0  # background is pushed down in any case


def test_the_mask_to_learn_is_the_building_inside_the_box() -> None:
    sample = Sample(
        torch.tensor([[4.0, 4, 36, 20]]),
        torch.tensor([True]),
        torch.tensor([0]),
        target().boxes,
        torch.tensor([2]),
    )

    (mask,) = mask_targets([sample.boxes], [sample], [target()])

    assert mask[:, :14].all()
    assert not mask[:, 14:].any()


def test_an_image_without_buildings_gives_finite_losses() -> None:
    torch.manual_seed(0)
    empty = Target(
        torch.zeros(0, 4),
        torch.zeros(0, dtype=torch.int64),
        torch.zeros(0, 64, 64, dtype=torch.uint8),
        torch.zeros(64, 64, dtype=torch.bool),
    )

    losses = DamageRCNN(SMALL).train()(torch.zeros(1, 3, 64, 64), [empty], torch.ones(4))

    assert all(torch.isfinite(loss) for loss in losses.values())


def test_an_architecture_survives_its_card() -> None:
    assert Architecture.from_json(SMALL.to_json()) == SMALL


def pair(seed: int = 0) -> torch.Tensor:
    """Two images with six bands; the second shows nothing before."""
    torch.manual_seed(seed)
    images = torch.randint(1, 256, (2, 6, 64, 128)).float()
    images[1, :3] = 0
    return images


def untaught() -> tuple[DamageRCNN, DamageRCNN]:
    """A network, and the one that is to learn to compare."""
    torch.manual_seed(1)
    single = DamageRCNN(SMALL).eval()
    return single, comparing(single).eval()


def taught() -> DamageRCNN:
    _, network = untaught()
    for module in network.compare:
        assert isinstance(module, Comparison)
        torch.nn.init.normal_(module.add.weight)
    return network


def test_what_learns_to_compare_begins_with_what_it_knew() -> None:
    single, both = untaught()

    with torch.inference_mode():
        known, learning = single.features(pair()[:, 3:]), both.features(pair())

    for one, other in zip(known, learning, strict=True):
        assert torch.allclose(one, other, atol=1e-5)


def test_where_nothing_was_shown_before_the_image_after_speaks_alone() -> None:
    network = taught()
    images = pair()
    images[0, :3, :, 64:] = 0

    with torch.inference_mode():
        compared, single = network.features(images), network.features(images[:, 3:])

    for one, other in zip(compared, single, strict=True):
        half = one.shape[3] // 2
        assert torch.allclose(one[1], other[1], atol=1e-5)
        assert torch.allclose(one[0, :, :, half:], other[0, :, :, half:], atol=1e-5)
        assert not torch.allclose(one[0, :, :, :half], other[0, :, :, :half], atol=1e-2)


def test_without_the_part_that_compares_the_answer_is_that_for_one_image() -> None:
    network = taught()

    with torch.inference_mode():
        stripped = alone(network).eval().features(pair()[:, 3:])
        single = network.features(pair()[:, 3:])

    assert all(torch.equal(a, b) for a, b in zip(stripped, single, strict=True))
    assert not alone(network).arch.sees_before


def test_the_image_before_is_learned_from() -> None:
    torch.manual_seed(0)
    target = Target(
        torch.tensor([[8.0, 8.0, 40.0, 40.0]]),
        torch.tensor([2]),
        torch.ones(1, 64, 128, dtype=torch.uint8),
        torch.zeros(64, 128, dtype=torch.bool),
    )
    network = comparing(DamageRCNN(SMALL)).train()

    losses = network(pair(), [target, target], torch.ones(4))
    torch.stack(list(losses.values())).sum().backward()  # type: ignore[no-untyped-call]

    finest = network.compare[0]
    assert isinstance(finest, Comparison)
    assert finest.add.weight.grad is not None
    assert finest.add.weight.grad.abs().sum() > 0
