"""Files of an assessment, beside its own image and what known outlines need."""

from uuid import UUID

from detection.before import BeforeScene
from unosat.assessments.models import Assessment
from unosat.ops import store
from unosat.training.models import ModelVersion


def before_of(row: Assessment) -> BeforeScene | None:
    """The image to compare with; None where the model takes none.

    An assessment that a release before this one queued may have an image from before and a model
    of one image: there it is only looked at on the map.
    """
    scene = row.before_scene
    if scene is None or row.model_version.input_kind != ModelVersion.InputKind.BEFORE_AFTER:
        return None
    return BeforeScene(store.raster(scene.cog_key), scene.sha256, scene.name)


def gaps_key(assessment_id: UUID) -> str:
    """Where the ground that was not looked at lies, as GeoJSON, once the assessment is done."""
    return f"gaps/{assessment_id}.geojson"
