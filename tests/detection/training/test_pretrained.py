"""Transfer learning from torchvision's and Detectron2's Mask R-CNN and ResNets."""

import importlib.util
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torchvision.models import resnet34
from torchvision.models.detection import maskrcnn_resnet50_fpn

from detection.backends.rcnn import PIXEL_MEAN, PIXEL_STD
from detection.errors import ModelUnavailable, PickledWeights
from detection.training.pretrained import is_weights_file, network_from


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


def test_a_pickle_is_refused_and_not_opened(tmp_path: Path) -> None:
    (tmp_path / "model_final.pkl").write_bytes(pickle.dumps({"model": {}}))

    with pytest.raises(PickledWeights) as refusal:
        is_weights_file(tmp_path / "model_final.pkl")

    assert ".npz" in refusal.value.user_message


def test_an_npz_that_holds_pickles_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", weights=np.array([{}], dtype=object))

    with pytest.raises(ModelUnavailable):
        network_from(tmp_path / "x.npz")


@pytest.mark.skipif(
    importlib.util.find_spec("detectron2") is None, reason="Detectron2 is not installed"
)
def test_detectron2s_network_of_coco_sees_the_same_in_our_pixels(tmp_path: Path) -> None:
    from detection.backends.quiet import without_old_warnings

    with without_old_warnings():
        import detectron2
        from detectron2.config import get_cfg
        from detectron2.modeling import build_model

    torch.manual_seed(0)
    zoo = Path(detectron2.__file__).parent / "model_zoo" / "configs"
    config = get_cfg()
    config.merge_from_file(str(zoo / "COCO-InstanceSegmentation" / "mask_rcnn_R_50_FPN_3x.yaml"))
    config.MODEL.DEVICE = "cpu"
    theirs = build_model(config).eval()
    stem = theirs.backbone.bottom_up.stem.conv1.norm
    stem.running_mean.normal_()
    np.savez(tmp_path / "r50.npz", **{k: v.numpy() for k, v in theirs.state_dict().items()})

    ours = network_from(tmp_path / "r50.npz").eval()

    pixels = torch.rand(1, 3, 64, 64) * 255
    mean, std = (torch.tensor(value).view(3, 1, 1) for value in (PIXEL_MEAN, PIXEL_STD))
    body = ours.backbone.body
    with torch.inference_mode():
        seen = body.layer1(body.maxpool(body.relu(body.bn1(body.conv1((pixels - mean) / std)))))
        their_view = pixels.flip(1) - theirs.pixel_mean
        expected = theirs.backbone.bottom_up.res2(theirs.backbone.bottom_up.stem(their_view))
    inside = (..., slice(6, -6), slice(6, -6))  # the images' edges are padded with other values
    assert torch.allclose(seen[inside], expected[inside], rtol=1e-3, atol=1e-2)
    assert ours.box_head.cls_score.weight.shape == (5, 1024)
    back = ours.state_dict()
    assert torch.equal(
        back["mask_head.6.weight"], theirs.state_dict()["roi_heads.mask_head.mask_fcn4.weight"]
    )
