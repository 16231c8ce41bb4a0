"""A building by its id, or by the first characters of it, as people copy them from a list."""

import re
from uuid import UUID

from unosat.accounts.actors import Actor
from unosat.assessments import selectors as assessment_selectors
from unosat.errors import RefusedError
from unosat.review.models import Building

FEWEST = 4  # characters; fewer mean hundreds of buildings
DIGITS = 32  # of a whole id


class NotAnId(RefusedError):
    """What was sent is not the beginning of an id."""

    code = "not_an_id"
    user_message = (
        f"That is neither a coordinate nor the id of a building. Give at least the first {FEWEST} "
        "characters of an id: digits and the letters a to f."
    )
    status = 422


class NoSuchBuilding(RefusedError):
    """None begins like that, in this assessment."""

    code = "no_such_building"
    user_message = "No building of this analysis has an id that begins like that."
    status = 404


class SeveralBuildings(RefusedError):
    """It does not say which."""

    code = "several_buildings"
    user_message = "Several buildings have an id that begins like that. Give more characters."


def find_building(actor: Actor, assessment_id: UUID, text: str) -> Building:
    """The one building of an assessment whose id begins so; hyphens and case do not matter.

    Raises:
        NotFound: the assessment is not the organisation's.
        NotAnId: the text has too few characters, or others than an id has.
        NoSuchBuilding: there is none.
        SeveralBuildings: there are several.
    """
    assessment_selectors.must_exist(actor, assessment_id)
    begin = text.strip().lower().replace("-", "")
    if not FEWEST <= len(begin) <= DIGITS or not re.fullmatch("[0-9a-f]+", begin):
        raise NotAnId(f"{text[:60]!r}")
    # Ids are ordered as their digits are, so the index finds the beginning of one.
    first, last = UUID(begin.ljust(DIGITS, "0")), UUID(begin.ljust(DIGITS, "f"))
    rows = Building.objects.filter(assessment_id=assessment_id, uid__gte=first, uid__lte=last)
    found = list(rows[:2])
    if not found:
        raise NoSuchBuilding(f"{begin}")
    if len(found) > 1:
        raise SeveralBuildings(f"{begin}")
    return found[0]
