"""What may not be done in training, and what to tell people."""

from unosat.errors import RefusedError


class NothingToLearn(RefusedError):
    """No decision lies inside a reviewed area that may teach."""

    code = "nothing_to_learn"
    user_message = (
        "There is nothing to learn from yet. Correct buildings on the map, mark the area around "
        "them as fully reviewed, then retrain."
    )


class TrainingUnderWay(RefusedError):
    """An organisation has at most one unfinished training run."""

    code = "training_under_way"
    user_message = "The model is already being retrained. Wait for that run to end, or cancel it."


class TrainingOver(RefusedError):
    """A run that has ended cannot be cancelled."""

    code = "training_over"
    user_message = "This training run has already ended."


class NoActiveModel(RefusedError):
    """There is nothing to start from."""

    code = "no_active_model"
    user_message = "No model is active. Make a model version active first."


class AnotherVersionBecameActive(RefusedError):
    """Somebody else activated a version since the page was read."""

    code = "another_version_became_active"
    user_message = "Somebody else has just made another version active. Look at it first."


class VersionDamaged(RefusedError):
    """The files of a version are missing, or are not the ones recorded."""

    code = "model_version_damaged"
    user_message = (
        "The files of this model version are missing or damaged. "
        "Install them again, or keep the present version."
    )
