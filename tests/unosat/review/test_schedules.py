"""A thousand random schedules of two analysts: nobody is overwritten without knowing.

Each analyst is a page: it knows versions of buildings, decides on them, sends again what got no
answer, undoes, looks again after a refusal. What comes when is random; some are truly parallel.
"""

import logging
import random
from collections import defaultdict
from copy import copy
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db.models.base import ModelState
from shapely.geometry import Polygon, shape

from detection.grades import Grade
from tests.at_once import at_once
from tests.unosat.makers import (
    NORTH,
    STEP,
    WEST,
    make_actor,
    make_done_assessment,
    make_organisation,
    ring,
)
from unosat.accounts.actors import Actor
from unosat.assessments.models import Assessment
from unosat.review import outlines, replay, services
from unosat.review.errors import ChangedMeanwhile, NothingToUndo
from unosat.review.models import Building, Decision, Footprint
from unosat.review.services import DecisionRequest

SCHEDULES = 1_000
PARALLEL = 40  # of them with two threads; each begins at the same moment
STEPS = 3  # decisions of each analyst in a schedule, at most
BUILDINGS = 2  # of each schedule: few, so that they meet
IN_A_ROW, APART_PX, HOUSE_PX = 45, 14, 9  # redrawn by up to 4 pixels, none lies over another
GRADES = [Grade.NO_DAMAGE, Grade.MINOR_DAMAGE, Grade.DESTROYED]


@dataclass
class Page:
    """One analyst's page: what it last saw of each building, and what it was answered."""

    actor: Actor
    row: Assessment
    dice: random.Random
    seen: dict[UUID, int]
    places: dict[UUID, int]
    unanswered: list[DecisionRequest] = field(default_factory=list)
    accepted: dict[UUID, DecisionRequest] = field(default_factory=dict)
    refused: set[UUID] = field(default_factory=set)

    def act(self) -> None:
        """Decide, or send again what was sent before; the answer may get lost on the way."""
        if self.unanswered and self.dice.random() < 0.5:
            wanted = self.unanswered.pop(0)
        elif self.accepted and self.dice.random() < 0.1:
            wanted = self.dice.choice(list(self.accepted.values()))  # nobody knows why; it happens
        else:
            wanted = self.decision()
        lost = self.dice.random() < 0.15
        try:
            building = services.record_decision(self.actor, self.row.pk, wanted)
        except ChangedMeanwhile as error:
            self.refused.add(wanted.id)
            if self.dice.random() < 0.7:  # looks at theirs first; else it goes on blindly
                self.seen[error.building.uid] = error.building.version
        except NothingToUndo:
            self.refused.add(wanted.id)
        else:
            self.accepted[wanted.id] = wanted
            if lost:
                self.unanswered.append(wanted)
            else:
                self.seen[building.uid] = building.version

    def decision(self) -> DecisionRequest:
        uid = self.dice.choice(list(self.seen))
        kind = self.dice.choice(
            ["accept", "reject", "regrade", "regrade", "redraw", "undo", "undo"]
        )
        return DecisionRequest(
            id=uuid4(),
            kind=kind,
            building=uid,
            on_version=self.seen[uid],
            grade=self.dice.choice(GRADES) if kind == "regrade" else None,
            outline=house_at(self.places[uid], self.dice.randrange(5))
            if kind == "redraw"
            else None,
        )

    def redrawn(self, uid: UUID) -> dict[str, object]:
        return house_at(self.places[uid], self.dice.randrange(5))


def house_at(place: int, shift_px: int = 0) -> dict[str, object]:
    """One of many small houses in rows."""
    row, column = divmod(place, IN_A_ROW)
    west = WEST + (column * APART_PX + shift_px) * STEP
    north = NORTH - row * APART_PX * STEP
    return ring(west, north - HOUSE_PX * STEP, west + HOUSE_PX * STEP, north)


def pages(row: Assessment, actors: list[Actor], seed: int, places: dict[UUID, int]) -> list[Page]:
    """Both analysts, who have just opened the same buildings."""
    return [
        Page(actor, row, chance(seed, number), dict.fromkeys(places, 0), places)
        for number, actor in enumerate(actors)
    ]


def chance(*seed: int) -> random.Random:
    """The same every time."""
    return random.Random(str(seed))  # noqa: S311 (no secret)


@pytest.fixture
def row(transactional_db: None, redis_url: str) -> Assessment:  # noqa: ARG001
    """Done, with as many houses as the schedules need."""
    made = make_done_assessment(make_organisation(), houses=1)
    (house,) = Building.objects.select_related("footprint")
    footprints = []
    for place in range(SCHEDULES * BUILDINGS):
        outline = outlines.stored(Polygon.from_bounds(*shape(house_at(place)).bounds))
        footprints.append(copied(house.footprint, uid=uuid4(), outline=outline))
    Building.objects.all().delete()
    Footprint.objects.all().delete()
    Footprint.objects.bulk_create(footprints)
    Building.objects.bulk_create(
        copied(house, uid=footprint.uid, footprint=footprint, outline=footprint.outline)
        for footprint in footprints
    )
    return made


def copied(one: Any, **facts: object) -> Any:
    """A new row like another one."""
    other = copy(one)
    other.pk, other._state = None, ModelState()
    for name, value in facts.items():
        setattr(other, name, value)
    return other


@pytest.mark.timeout(1200)  # seconds; it is all waiting for the database where much else runs
def test_no_schedule_of_two_analysts_overwrites_anybody(
    row: Assessment, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    actors = [make_actor(row.organisation) for _ in range(2)]
    uids = row.buildings.order_by("pk").values_list("uid", flat=True)
    places = iter([(uid, place) for place, uid in enumerate(uids)])
    accepted: dict[UUID, DecisionRequest] = {}
    refused: set[UUID] = set()
    for seed in range(SCHEDULES):
        both = pages(row, actors, seed, dict(next(places) for _ in range(BUILDINGS)))
        if seed % (SCHEDULES // PARALLEL) == 0:
            in_parallel(both)
        else:
            dice = chance(seed)
            turns = [page for page in both for _ in range(dice.randint(1, STEPS))]
            dice.shuffle(turns)
            for page in turns:
                page.act()
        for page in both:
            accepted |= page.accepted
            refused |= page.refused

    assert len(accepted) > 2 * SCHEDULES  # it was not all refusals,
    assert len(refused) > SCHEDULES / 4  # nor did they never meet
    must_be_true(row, accepted, refused)


def in_parallel(both: list[Page]) -> None:
    waiting = list(both)

    def run() -> None:
        page = waiting.pop()
        for _ in range(STEPS):
            page.act()

    at_once(run, len(both))


def must_be_true(
    row: Assessment, accepted: dict[UUID, DecisionRequest], refused: set[UUID]
) -> None:
    """What must hold whatever happened when."""
    stored = list(Decision.objects.filter(assessment=row).order_by("number"))
    # None lost, none twice, none that was refused.
    assert {one.pk for one in stored} == set(accepted)
    assert not refused & set(accepted)
    chains = defaultdict(list)
    for one in stored:
        wanted = accepted[one.pk]
        # Each stands on the version that its analyst had seen: nothing came between unseen.
        assert (one.on_version, one.kind) == (wanted.on_version, wanted.kind)
        assert one.number == one.on_version + 1
        chains[one.building_id].append(one)
    for building in Building.objects.filter(assessment=row).select_related("footprint"):
        assert building.footprint is not None
        chain = chains[building.pk]
        assert [one.number for one in chain] == list(range(1, building.version + 1))
        history = replay.history_of(building, chain)
        assert state_of(building) == history[-1]


def state_of(building: Building) -> replay.State:
    return replay.State(
        bytes(building.outline.wkb), building.grade, building.grade_score, building.review
    )
