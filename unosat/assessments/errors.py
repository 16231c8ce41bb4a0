"""What cannot be done with an assessment, and what to tell people."""

from unosat.errors import RefusedError

MOST_NAMED = 10  # shards, in a sentence that people read


class SceneNotReady(RefusedError):
    """The image is not checked yet, or was refused."""

    code = "scene_not_ready"
    user_message = "This image is not ready to be analysed. Wait until it has been checked."


class WrongPhase(RefusedError):
    """A before-image was to be analysed for damage."""

    code = "wrong_phase"
    user_message = "Damage is looked for in the image taken after the disaster. Choose that one."
    status = 422


class BeforeWrongPhase(RefusedError):
    """The image to compare with was taken after the disaster as well."""

    code = "before_wrong_phase"
    user_message = (
        "The image to compare with was taken after the disaster. "
        "Choose one from before it, or leave it out."
    )
    status = 422


class BeforeOfAnotherEvent(RefusedError):
    """The image to compare with belongs to another event."""

    code = "before_of_another_event"
    user_message = (
        "The image to compare with belongs to another event. "
        "Choose one of the same event, or upload it there as well."
    )
    status = 422


class BeforeNotReady(RefusedError):
    """The image to compare with is not checked yet, or was refused."""

    code = "before_not_ready"
    user_message = (
        "The image to compare with is not ready. Wait until it has been checked, or leave it out."
    )


class NoActiveModel(RefusedError):
    """No model version is active for one image."""

    code = "no_active_model"
    user_message = "No detection model is active. Ask an admin to activate one."


class NoActivePairModel(NoActiveModel):
    """No model version is active for pairs of images."""

    code = "no_active_pair_model"
    user_message = (
        "No model that compares an image from before with the one from after is active. "
        "Ask an admin to activate one, or leave the image from before out."
    )


class KeyUsedDifferently(RefusedError):
    """An idempotency key came back with another request."""

    code = "idempotency_key_reused"
    user_message = "This Idempotency-Key was used for a different request. Choose a new one."
    status = 422


class AlreadyFinished(RefusedError):
    """Only what is under way can be cancelled."""

    code = "already_finished"
    user_message = "This analysis has already ended, so there is nothing to cancel."


class NothingToRetry(RefusedError):
    """Only shards and merges that failed can be done anew."""

    code = "nothing_to_retry"
    user_message = (
        "This part has not failed, or its analysis was cancelled, so there is nothing to retry."
    )


class PartsFailed(NothingToRetry):
    """There is not all to join: shards failed for reasons of their own."""

    def __init__(self, indexes: list[int]) -> None:
        """Name them.

        Args:
            indexes: of the shards, ascending, at least one.
        """
        super().__init__(f"shards {indexes} have failed")
        # people count shards from 1
        named = ", ".join(str(index + 1) for index in indexes[:MOST_NAMED])
        more = f" and {len(indexes) - MOST_NAMED} more" if len(indexes) > MOST_NAMED else ""
        which, they = ("Shard", "it") if len(indexes) == 1 else ("Shards", "them")
        self.user_message = (
            f"{which} {named}{more} failed for another reason, so not all parts are there to be "
            f"joined. Retry {they} first; joining follows by itself."
        )


class DamagedResult(RefusedError):
    """What a shard stored is not what it wrote, or cannot be read."""

    code = "damaged_result"

    def __init__(self, index: int) -> None:
        super().__init__(f"result of shard {index}")
        # people count shards from 1
        self.user_message = f"What shard {index + 1} found was damaged after it had been stored."


class BadOutlines(RefusedError):
    """The outlines that were sent are not GeoJSON in degrees."""

    code = "bad_outlines"
    user_message = (
        "The outlines cannot be read. Send them as GeoJSON: polygons in longitude and latitude."
    )
    status = 422


class NoPolygons(RefusedError):
    """The outlines that were sent hold no polygon."""

    code = "no_outlines"
    user_message = (
        "The file holds no building outlines. Points and lines cannot be judged: use polygons, "
        "or leave the file out and let the buildings be found."
    )
    status = 422


class TooManyOutlines(RefusedError):
    """More outlines were sent than one assessment takes."""

    code = "too_many_outlines"
    user_message = (
        "These are too many outlines: send at most 100,000, and at most 16 MB. "
        "Keep only those that lie on the image."
    )
    status = 413


class NothingLeftOut(RefusedError):
    """The list of outlines without a grade was asked of an assessment that has none."""

    code = "no_outlines_given"
    user_message = "This analysis is not finished, or no outlines were given to it."
    status = 404


class GroundUnknown(RefusedError):
    """Which ground was not looked at was asked of an assessment that does not say."""

    code = "ground_unknown"
    user_message = "This analysis is not finished, or was made before such ground was recorded."
    status = 404
