"""Transfer learning from torchvision's Mask R-CNN and ResNets."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torchvision.models import resnet34
from torchvision.models.detection import maskrcnn_resnet50_fpn

from detection.errors import ModelUnavailable
from detection.training.pretrained import network_from


def test_what_coco_taught_is_taken_over_and_classes_are_new(tmp_path: Path) -> None:
    torch.manual_seed(0)
    theirs = maskrcnn_resnet50_fpn(weights=None, weights_backbone=None).state_dict()
    save_file({k: v.contiguous() for k, v in theirs.items()}, tmp_path / "coco.safetensors")

    ours = network_from(tmp_path / "coco.safetensors").state_dict()

    pairs = {
        "backbone.body.layer4.2.conv3.weight": "backbone.body.layer4.2.conv3.weight",
        "backbone.fpn.layer_blocks.3.0.weight": "backbone.fpn.layer_blocks.3.0.weight",
        "rpn.head.bbox_pred.weight": "rpn.head.bbox_pred.weight",
        "box_head.fc2.weight": "roi_heads.box_head.fc7.weight",
        "mask_head.6.weight": "roi_heads.mask_head.3.0.weight",
        "mask_head.8.bias": "roi_heads.mask_predictor.conv5_mask.bias",
    }
    assert all(torch.equal(ours[mine], theirs[other]) for mine, other in pairs.items())
    assert ours["box_head.cls_score.weight"].shape == (5, 1024)


def test_what_imagenet_taught_becomes_the_backbone(tmp_path: Path) -> None:
    theirs = resnet34(weights=None).state_dict()
    save_file({k: v.contiguous() for k, v in theirs.items()}, tmp_path / "resnet.safetensors")

    network = network_from(tmp_path / "resnet.safetensors")

    assert network.arch.backbone == "resnet34"
    body = network.backbone.body.state_dict()
    assert all(torch.equal(value, theirs[name]) for name, value in body.items())


def test_other_weights_are_refused(tmp_path: Path) -> None:
    save_file({"backbone.body.conv1.weight": torch.zeros(64, 3, 7, 7)}, tmp_path / "x.safetensors")

    with pytest.raises(ModelUnavailable):
        network_from(tmp_path / "x.safetensors")
