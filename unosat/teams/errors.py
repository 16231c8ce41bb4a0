"""What cannot be shared out, and what to tell people."""

from unosat.errors import RefusedError


class AreaTaken(RefusedError):
    """Somebody else has it."""

    code = "area_taken"

    def __init__(self, label: str, holder: str) -> None:
        super().__init__(f"area {label} is {holder}'s")
        self.user_message = f"{holder} works on area {label}. Choose another one."


class AreaKept(RefusedError):
    """It was assigned to somebody else."""

    code = "area_kept"

    def __init__(self, label: str, person: str) -> None:
        super().__init__(f"area {label} is kept for {person}")
        self.user_message = f"Area {label} is kept for {person}. Choose another, or ask an admin."


class AreaFinished(RefusedError):
    """Somebody has finished it."""

    code = "area_finished"

    def __init__(self, label: str, person: str) -> None:
        super().__init__(f"area {label} was finished by {person}")
        self.user_message = f"{person} has finished area {label}. Open it again first."


class HoldsAnother(RefusedError):
    """One area at a time."""

    code = "holds_another_area"

    def __init__(self, label: str) -> None:
        super().__init__(f"holds area {label}")
        self.user_message = f"You work on area {label}. Finish or release it first."


class NotHeld(RefusedError):
    """The area is not the person's to release or finish."""

    code = "area_not_held"
    user_message = "This area is not yours any more. Look at the list again, then claim one."


class AreasInTheWay(RefusedError):
    """There are areas already."""

    code = "areas_in_the_way"
    user_message = "This assessment is split already. Remove its areas first."


class AreasInUse(RefusedError):
    """Somebody works in them."""

    code = "areas_in_use"

    def __init__(self, label: str, person: str) -> None:
        super().__init__(f"area {label} is held by {person}")
        self.user_message = f"{person} works on area {label}. Have it released first."


class AreasOverlap(RefusedError):
    """A building would be in two areas."""

    code = "areas_overlap"

    def __init__(self, label: str) -> None:
        super().__init__(f"overlaps {label}")
        self.user_message = f"This overlaps area {label}. Draw it beside, touching at most."


class CannotSplit(RefusedError):
    """The numbers make no areas, or too many."""

    code = "cannot_split"
    status = 422

    def __init__(self, most: int) -> None:
        super().__init__("none, or too many")
        self.user_message = f"That makes no area, or more than {most}. Choose other numbers."


class NotAMember(RefusedError):
    """Only analysts and admins of the organisation review."""

    code = "not_a_reviewer"
    user_message = "That person is no analyst or admin of your organisation. Choose another."
    status = 422


class LookTaken(RefusedError):
    """The reservation ran out and somebody else got the building."""

    code = "look_taken"
    user_message = "This building went to somebody else meanwhile. Nothing is lost; go on."


class LookAnswered(RefusedError):
    """A second look is given once."""

    code = "look_answered"
    user_message = "You have judged this building already, and that stands. Go on with the next."


class LookNotNeeded(RefusedError):
    """The first decision was taken back, or is the person's own by now."""

    code = "look_not_needed"
    user_message = "This building needs no second look by you any more. Go on with the next."


class Settled(RefusedError):
    """Somebody else has adjudicated it."""

    code = "already_settled"
    user_message = "Somebody else has settled this one meanwhile. Go on with the next."


class NotForYou(RefusedError):
    """One of the two does not decide between them."""

    code = "not_yours_to_settle"
    user_message = "You are one of the two who disagree. A third person settles it."
    status = 403


class CannotSay(RefusedError):
    """It is no answer, or none that the question can end with."""

    code = "no_such_answer"
    user_message = "Choose a grade, or that there is no building."
    status = 422


class ControlTaken(RefusedError):
    """It is a control building already."""

    code = "control_exists"
    user_message = "This is a control building already. Remove it there first to change its grade."
