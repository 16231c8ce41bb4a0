"""The image that an assessment compares its own with."""

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
