"""A real scene and the shipped model, in the database and in the store."""

import os
import shutil
from pathlib import Path

import pytest
import rasterio
from django.contrib.gis.geos import Polygon
from rasterio.warp import transform_bounds

from detection import weights
from detection.weights import DEFAULT_MODEL, find_model
from tests.unosat.makers import make_organisation, make_scene
from unosat.ops.store import store_path
from unosat.scenes.models import Scene
from unosat.training.models import ModelVersion


@pytest.fixture
def long() -> bool:
    """Whether faults last as long as they are meant to (`make faults`); else they are shortened."""
    return os.environ.get("UNOSAT_LONG_FAULTS") == "1"


@pytest.fixture
def only_long(long: bool) -> None:  # noqa: FBT001
    """For what says something only on an idle machine, or takes minutes."""
    if not long:
        pytest.skip("minutes of waiting: `make faults`")


@pytest.fixture
def shipped_model(transactional_db: None) -> ModelVersion:  # noqa: ARG001 (a database is needed)
    """The model in the repository, or the one that UNOSAT_TEST_MODEL names, active."""
    source = find_model(os.environ.get("UNOSAT_TEST_MODEL", DEFAULT_MODEL))
    spec = weights.read_spec(source)
    folder = f"models/{spec.sha256}"
    shutil.copytree(source, store_path(folder), dirs_exist_ok=True)
    return ModelVersion.objects.create(
        name=spec.name,
        version=spec.version,
        sha256=spec.sha256,
        input_kind="after",
        folder=folder,
        active=True,
    )


@pytest.fixture
def mosaic(transactional_db: None, data_dir: Path) -> Scene:  # noqa: ARG001 (likewise)
    """25 megapixels of Panama City after Hurricane Michael, as a checked scene."""
    source = data_dir / "e2e" / "mosaic_hurricane-michael_post.tif"
    key = "cogs/mosaic.tif"
    store_path(key).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, store_path(key))
    with rasterio.open(source) as dataset:
        footprint = Polygon.from_bbox(transform_bounds(dataset.crs, 4326, *dataset.bounds))
    return make_scene(make_organisation(), cog_key=key, name=source.name, footprint=footprint)
