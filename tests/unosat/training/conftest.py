"""A small world to learn in, and a model of random weights."""

from pathlib import Path

import pytest
from pytest_django import Settings

from detection import weights
from tests.unosat.training.world import PIXEL_M, Drawn, World, build_world, draw_scene, member
from unosat.accounts.actors import Actor
from unosat.accounts.models import Organisation


@pytest.fixture
def store(tmp_path: Path, settings: Settings) -> Path:
    """A store of this test's own."""
    settings.UNOSAT_STORE = tmp_path / "store"
    settings.UNOSAT_DEVICE = "cpu"
    return tmp_path / "store"


@pytest.fixture(scope="session")
def random_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder that has learned nothing, small enough to be fast."""
    import torch

    from detection.backends.rcnn import Architecture, DamageRCNN
    from detection.training.train import LICENCE, encode

    torch.manual_seed(1)
    architecture = Architecture(channels=16, fc=32, mask_channels=16, mask_layers=1)
    folder = tmp_path_factory.mktemp("models") / "random"
    card = {
        "name": "random",
        "version": "1",
        "input_kind": "after",
        "pixel_size_m": PIXEL_M,
        "tile_px": 1024,
        "operating_score": 0.5,
        "licence": LICENCE,
        "architecture": architecture.to_json(),
    }
    weights.write_model(folder, encode(DamageRCNN(architecture).state_dict()), card)
    return folder


@pytest.fixture(scope="session")
def small_scene(tmp_path_factory: pytest.TempPathFactory) -> Drawn:
    """800 px or 368 m square: two places in it can be more than 200 m apart."""
    return draw_scene(tmp_path_factory.mktemp("scene"), seed=11, size_px=800)


@pytest.fixture
def world(db: None, store: Path, random_model: Path, small_scene: Drawn) -> World:  # noqa: ARG001
    """The small world, with ``small_scene`` assessed without a mistake."""
    return build_world(random_model, small_scene)


@pytest.fixture
def another_admin(db: None) -> Actor:  # noqa: ARG001
    """An admin of another organisation."""
    organisation = Organisation.objects.create(name="Others", slug="others")
    return member(organisation, "admin")
