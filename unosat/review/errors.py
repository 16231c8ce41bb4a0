"""What cannot be decided, and what to tell people."""

from unosat.errors import NotFound, RefusedError
from unosat.review.models import Building


class ChangedMeanwhile(RefusedError):
    """The building is no longer as it was when the decision was made."""

    code = "changed_meanwhile"
    user_message = "Someone else has just changed this building. Look at their version first."

    def __init__(self, building: Building) -> None:
        super().__init__(f"building {building.uid} is at version {building.version}")
        self.building = building


class NotDone(RefusedError):
    """There is nothing to review yet."""

    code = "assessment_not_done"
    user_message = "This analysis is not finished, so there is nothing to review yet."


class BadOutline(RefusedError):
    """What was drawn is not the outline of a building, or of an area, in this image."""

    code = "bad_outline"
    user_message = (
        "The outline cannot be used. Draw one ring that does not cross itself, inside the image."
    )
    status = 422


class OutlineOutside(BadOutline):
    """It lies beside the image."""

    code = "outline_outside_image"
    user_message = "The outline reaches beyond the image. Draw it inside."


class OutlineSize(BadOutline):
    """It is too small or too large for what it should be."""

    code = "outline_size"
    user_message = "The outline is too small or too large. Draw it around one building only."


class AreaSize(BadOutline):
    """A reviewed area is smaller than a building."""

    code = "area_size"
    user_message = "The reviewed area is too small. Draw it around everything you looked at."


class IncompleteDecision(RefusedError):
    """Something that this kind of decision needs is missing, or too much was said."""

    code = "incomplete_decision"
    user_message = "The decision is not complete: regrading needs a grade, drawing an outline."
    status = 422


class NothingToUndo(RefusedError):
    """The building is as the model said, or as it was added."""

    code = "nothing_to_undo"
    user_message = "There is no decision on this building left to take back."


class DecisionIdUsed(RefusedError):
    """The client's id belongs to another decision."""

    code = "decision_id_used"
    user_message = "This decision was sent before in another form. Reload the page and try again."


class UsedForTraining(RefusedError):
    """A reviewed area that a Dataset was made of stays."""

    code = "area_used_for_training"
    user_message = "A model was trained with this area, so it cannot be removed."


class NothingToExplain(RefusedError):
    """No model judged this building."""

    code = "nothing_to_explain"
    user_message = "An analyst drew this building: no model judged it, so there are no reasons."


class NoExplanation(NotFound):
    """Nobody has asked for it yet, or it is not ready."""

    code = "no_explanation"
    user_message = "There is no explanation of this building yet. Ask for it with POST."
