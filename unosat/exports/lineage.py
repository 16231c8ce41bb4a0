"""What standing buildings were made of: a split or a merge must not lose whose outline it was."""

from typing import Any
from uuid import UUID

from django.db.models import F

from unosat.review.models import Building, Decision


def origins_of(assessment_id: UUID) -> dict[UUID, dict[str, Any]]:
    """For each building that took the place of others, which ones these were in the beginning.

    Returns:
        By uid: ``made_from``, the uids of buildings that were split or merged away and were not
        made of others themselves; ``made_from_outlines``, the names of the known outlines among
        them.
    """
    kinds = Decision.Kind
    replaced = (
        Decision.objects.filter(
            assessment_id=assessment_id,
            kind__in=[kinds.SPLIT, kinds.MERGE],
            building__review=Building.Review.REPLACED,
            number=F("building__version"),  # nothing but an undo comes after
        )
        .select_related("building__footprint")
        .order_by("building__uid")
    )
    parents: dict[UUID, list[UUID]] = {}
    pieces: set[UUID] = set()
    names: dict[UUID, str] = {}
    for decision in replaced:
        gone = decision.building
        if gone.footprint and gone.footprint.outline_id:
            names[gone.uid] = gone.footprint.outline_id
        for made in map(UUID, decision.others):
            parents.setdefault(made, []).append(gone.uid)
            pieces |= {made} if decision.kind == kinds.SPLIT else set()
    return {made: _told(_first(made, parents, pieces), names) for made in parents}


def _first(made: UUID, parents: dict[UUID, list[UUID]], pieces: set[UUID]) -> list[UUID]:
    """The oldest ancestors: all that are no pieces of others."""
    found: dict[UUID, None] = {}
    for parent in parents.get(made, []):
        found |= dict.fromkeys(_first(parent, parents, pieces))
        if parent not in pieces:
            found[parent] = None
    return list(found)


def _told(first: list[UUID], names: dict[UUID, str]) -> dict[str, Any]:
    return {
        "made_from": [str(uid) for uid in first],
        "made_from_outlines": [names[uid] for uid in first if uid in names],
    }
