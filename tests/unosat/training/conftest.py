"""A small world to learn in, and a model of random weights."""

from pathlib import Path

import pytest
from pytest_django import Settings

from tests.unosat.training.world import (
    Drawn,
    World,
    build_world,
    draw_scene,
    member,
    write_random_model,
)
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
    return write_random_model(tmp_path_factory.mktemp("models") / "random")


@pytest.fixture(scope="session")
def random_pair_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same for pairs of images."""
    folder = tmp_path_factory.mktemp("models") / "random-pair"
    return write_random_model(folder, sees_before=True)


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
