"""Background work on buildings."""

from functools import partial
from importlib import import_module
from uuid import UUID

from celery import shared_task

from detection.errors import DetectionError
from detection.explaining import explain as explain_building
from detection.grades import MODEL_GRADES
from detection.pipeline import ScenePlan
from unosat.assessments import detectors
from unosat.assessments.files import before_of
from unosat.errors import RefusedError
from unosat.ops import jobs, store
from unosat.ops.leases import Lease
from unosat.review import explanations, outlines, queue
from unosat.review.explanations import Said
from unosat.review.models import Explanation


@shared_task(name="review.explain", ignore_result=True)
def explain(explanation_id: str) -> None:
    """Draw what the grade of one building hangs on."""
    pk = UUID(explanation_id)
    jobs.run("explain", pk, partial(_explain, pk), refusals=(DetectionError, RefusedError))


@shared_task(name="review.order", ignore_result=True)
def order(assessment_id: str) -> None:
    """Put the buildings of an assessment into the order in which they are worth a look."""
    pk = UUID(assessment_id)
    jobs.run("order", pk, partial(queue.store_order, pk), refusals=(RefusedError,))


def _explain(pk: UUID, lease: Lease) -> None:
    row = Explanation.objects.select_related(
        "footprint__assessment__scene",
        "footprint__assessment__before_scene",
        "footprint__assessment__model_version",
    ).get(pk=pk)
    assessment = row.footprint.assessment
    with store.reading():
        found = explain_building(
            store.raster(assessment.scene.cog_key),
            outlines.loaded(row.footprint.outline),
            detectors.detector_of(assessment.model_version),
            ScenePlan.from_json(str(assessment.plan)).options,
            before=before_of(assessment),
            scene_sha256=assessment.scene.sha256,
        )
    with store.writing(row.picture_key) as path:
        # drawn in a worker's child only: matplotlib is not where the web process runs
        import_module("detection.drawing").draw_explanation(found, path)
    names = [grade.value for grade in MODEL_GRADES]
    explanations.store(
        lease,
        row,
        Said(
            grade=found.grade.value,
            score=round(found.score, 4),
            probabilities=dict(
                zip(names, (round(number, 4) for number in found.probabilities), strict=True)
            ),
            model=found.model,
        ),
    )
