"""What an event has: images, runs, how far they are reviewed, buildings per grade.

Counts are kept for some seconds, so that many people who watch one event cost one count.
"""

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import redis
from django.core.cache import cache
from django.db.models import Count

from unosat.accounts.actors import Actor
from unosat.assessments.models import Assessment
from unosat.quality.selectors import GONE
from unosat.review.models import GRADES, Building, Footprint
from unosat.scenes import selectors as scene_selectors
from unosat.scenes.models import Event, Scene

log = logging.getLogger(__name__)

FRESH_SECONDS = 10  # how old the counts on the page may be
FIXED_SECONDS = 24 * 3600  # footprints never change
LISTED = 50  # newest runs counted by themselves; the figures above them are of all


@dataclass(frozen=True, slots=True)
class Counts:
    """The buildings of one assessment.

    Attributes:
        model: footprints by grade.
        now: buildings that stand, by grade.
        review: all buildings by review state.
    """

    model: dict[str, int]
    now: dict[str, int]
    review: dict[str, int]

    @property
    def all(self) -> int:
        """Buildings that can be reviewed; what was split or merged is reviewed by its parts."""
        return sum(self.review.values()) - self.review.get("replaced", 0)

    @property
    def reviewed(self) -> int:
        """Buildings that somebody decided on."""
        return self.all - self.review.get(Building.Review.UNREVIEWED, 0)


@dataclass(frozen=True, slots=True)
class Run:
    """The newest finished assessment of an image, and its counts."""

    assessment: Assessment
    counts: Counts


@dataclass(frozen=True, slots=True)
class Overview:
    """An event at a glance.

    Attributes:
        event: which.
        scenes: images by phase.
        scenes_refused: images that cannot be used.
        runs: assessments by state.
        newest: of each image the newest finished run; older ones show the same ground again.
        total: the counts of ``newest`` added up.
    """

    event: Event
    scenes: dict[str, int]
    scenes_refused: int
    runs: dict[str, int]
    newest: tuple[Run, ...]
    total: Counts

    @property
    def runs_unfinished(self) -> int:
        """Runs that go on."""
        ended = {"done", "failed", "cancelled"}
        return sum(count for state, count in self.runs.items() if state not in ended)


def overview(actor: Actor, event_id: UUID) -> Overview:
    """Everything the dashboard of an event shows.

    Raises:
        NotFound: the event is not the organisation's.
    """
    event = scene_selectors.event(actor, event_id)
    scenes = Scene.objects.filter(event=event)
    assessments = Assessment.objects.filter(scene__event=event)
    newest = tuple(
        Run(row, counts_of(row.pk))
        for row in assessments.filter(state=Assessment.State.DONE)
        .select_related("scene", "model_version")
        .defer("plan", "metadata")
        .order_by("scene_id", "-created_at")
        .distinct("scene_id")
    )
    return Overview(
        event=event,
        scenes=_by(scenes.exclude(state=Scene.State.REFUSED), "phase"),
        scenes_refused=scenes.filter(state=Scene.State.REFUSED).count(),
        runs=_by(assessments, "state"),
        newest=tuple(sorted(newest, key=lambda run: run.assessment.created_at, reverse=True)),
        total=_added_up([run.counts for run in newest]),
    )


def counts_of(assessment_id: UUID) -> Counts:
    """The buildings of a finished assessment, counted at most some seconds ago."""
    model = _kept(f"quality:model:{assessment_id}", FIXED_SECONDS, lambda: _model(assessment_id))
    now = _kept(f"quality:now:{assessment_id}", FRESH_SECONDS, lambda: _now(assessment_id))
    return Counts(model, now["grades"], now["review"])


def _model(assessment_id: UUID) -> dict[str, int]:
    return _by(Footprint.objects.filter(assessment_id=assessment_id), "grade")


def _now(assessment_id: UUID) -> dict[str, dict[str, int]]:
    rows = (
        Building.objects.filter(assessment_id=assessment_id)
        .values_list("grade", "review")
        .annotate(Count("pk"))
        .order_by()
    )
    grades: Counter[str] = Counter()
    review: Counter[str] = Counter()
    for grade, state, count in rows:
        review[state] += count
        if state not in GONE:
            grades[grade] += count
    return {"grades": dict(grades), "review": dict(review)}


def _kept(key: str, seconds: int, count: Callable[[], Any]) -> Any:  # noqa: ANN401
    """From the cache, or counted; a Redis that is away costs time and no answer."""
    try:
        found = cache.get(key)
        if found is None:
            found = count()
            cache.set(key, found, seconds)
    except redis.RedisError as error:
        log.warning("no cache", extra={"why": str(error)})
        return count()
    return found


def _by(rows: Any, field: str) -> dict[str, int]:  # noqa: ANN401
    return dict(rows.order_by().values_list(field).annotate(Count("pk")))


def _added_up(counts: list[Counts]) -> Counts:
    def add(name: str) -> dict[str, int]:
        summed: Counter[str] = Counter()
        for one in counts:
            summed.update(getattr(one, name))
        return dict(summed)

    grades_first = dict.fromkeys(GRADES, 0)
    return Counts(grades_first | add("model"), grades_first | add("now"), add("review"))
