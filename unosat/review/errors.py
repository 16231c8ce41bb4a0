"""What cannot be decided, and what to tell people."""

from unosat.errors import NotFound, RefusedError
from unosat.review.models import Building, Decision


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


class OutlineCrosses(BadOutline):
    """Its edges cross."""

    user_message = "The outline crosses itself. Move a corner so that it does not."


class OutlineHole(BadOutline):
    """It has a hole."""

    code = "outline_hole"
    user_message = "An outline cannot have a hole. Draw round the whole building, or split it."


class OutlineThin(BadOutline):
    """It is a sliver."""

    code = "outline_thin"
    user_message = (
        "The outline is too thin for a building: on average it must be at least 0.6 m wide."
    )


class OutlineOverlaps(BadOutline):
    """It lies over another building that stands."""

    code = "outline_overlaps"

    def __init__(self, share: float, others: int) -> None:
        super().__init__(f"{share:.2f} of the smaller one, {others} buildings")
        which = "another building" if others == 1 else f"{others} other buildings"
        self.user_message = (
            f"The outline lies over {which} (up to {share:.0%} of the smaller one). Buildings may "
            "touch, not overlap: move a corner, or merge them."
        )


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


class SplitMismatch(BadOutline):
    """The pieces are not what the building was."""

    code = "split_mismatch"
    user_message = (
        "The pieces do not make up the building. Draw one line right across it, from outside to "
        "outside."
    )


class TooFarToMerge(BadOutline):
    """The outlines do not belong to one building."""

    code = "too_far_to_merge"

    def __init__(self, gap_m: float, most_m: float) -> None:
        super().__init__(f"{gap_m} metres")
        self.user_message = (
            f"These buildings lie {gap_m:.1f} m apart, so they are not one. Merge only parts that "
            f"touch or lie at most {most_m:.0f} m apart."
        )


class MergeMismatch(BadOutline):
    """The outline is not that of the buildings together."""

    code = "merge_mismatch"
    user_message = (
        "The outline does not fit the buildings that are merged. Draw it round all of them, and "
        "no wider."
    )


class MergeNeedsGrade(BadOutline):
    """The parts have different grades: nobody but a person can say which is the whole's."""

    code = "merge_needs_grade"
    user_message = "These buildings have different grades. Choose the grade of the whole."


class ShiftTooFar(BadOutline):
    """No roof leans that far."""

    code = "shift_too_far"

    def __init__(self, metres: float, most_m: float) -> None:
        super().__init__(f"{metres} metres")
        self.user_message = (
            f"That would move the outlines by {metres:.0f} m. Move them by at most {most_m:.0f} m, "
            "or check that the image lies where it should."
        )


class ShiftsTooMany(BadOutline):
    """One act stays small enough to be one transaction."""

    code = "shifts_too_many"

    def __init__(self, count: int, most: int) -> None:
        super().__init__(f"{count} buildings")
        self.user_message = (
            f"The area holds {count:,} buildings. Move at most {most:,} at once, in smaller areas."
        )


class NothingToShift(BadOutline):
    """The area is empty, or the way is none."""

    code = "nothing_to_shift"
    user_message = "There is nothing to move: draw the area round buildings, then move them."


class BuildingReplaced(RefusedError):
    """It was split or merged away."""

    code = "building_replaced"
    user_message = (
        "This building was split or merged with others, so it cannot be changed. Take that back "
        "first, or open the building that took its place."
    )


class OthersChanged(RefusedError):
    """An act on several buildings cannot be taken back: some of them have changed since."""

    code = "others_changed"

    def __init__(self, count: int, last: Decision) -> None:
        super().__init__(f"{count} buildings, such as {last.building_id}")
        who, what = last.user.get_username(), "building" if count == 1 else "buildings"
        self.user_message = (
            f"This cannot be taken back: {count} {what} that it touched changed since, the last "
            f"by {who} ({last.kind}). Take that back first."
        )


class ReturnOverlaps(RefusedError):
    """What would stand again would lie over a building that came, or was changed, meanwhile."""

    code = "return_overlaps"

    def __init__(self, share: float, others: int, who: str, *, undo: bool) -> None:
        super().__init__(f"{share:.2f} of the smaller one, {others} buildings")
        which, one = (
            ("another building stands", "that one")
            if others == 1
            else (f"{others} other buildings stand", "those")
        )
        start = "This cannot be taken back" if undo else "This building cannot come back"
        by = f", last changed by {who}" if who else ""
        then = ", then accept or redraw this one" if undo else ""
        self.user_message = (
            f"{start}: {which} there now (over up to {share:.0%} of the smaller one{by}). "
            f"If this one is right, reject or redraw {one} first{then}."
        )


class IncompleteDecision(RefusedError):
    """Something that this kind of decision needs is missing, or too much was said."""

    code = "incomplete_decision"
    user_message = (
        "The decision is not complete: regrading needs a grade, drawing an outline, and not being "
        "able to judge a reason."
    )
    status = 422


class IncompleteArea(RefusedError):
    """Why it cannot be assessed is missing, or not one of the reasons."""

    code = "incomplete_area"
    user_message = (
        "Say why the area cannot be assessed: cloud, shadow, a bad image, or no image there."
    )
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
