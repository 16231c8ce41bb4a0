"""What a measurement cannot do, and what to tell people."""

from unosat.errors import RefusedError


class SampleOpen(RefusedError):
    """An assessment has at most one unfinished sample."""

    code = "sample_open"
    user_message = "A sample of this analysis is being judged already. Finish or withdraw it first."


class NothingToSample(RefusedError):
    """There are no buildings, or the analysis is not done."""

    code = "nothing_to_sample"
    user_message = "There are no buildings to draw a sample from yet."


class SampleSize(RefusedError):
    """Outside of what is of use."""

    code = "sample_size"
    user_message = (
        "Choose 50 to 2,000 buildings, and no squares or 10 to 500, each 40 to 200 m wide."
    )
    status = 422


class SampleOver(RefusedError):
    """It was finished or withdrawn."""

    code = "sample_over"
    user_message = "This sample is finished or withdrawn, so its answers stay as they are."


class JudgedByAnother(RefusedError):
    """Somebody else answered this one."""

    code = "judged_by_another"
    user_message = "Somebody else has judged this one in the meantime. Their answer stands."


class NoSuchAnswer(RefusedError):
    """It is no answer to what a building truly is."""

    code = "no_such_answer"
    user_message = "Choose a damage grade, that there is no building, or that it cannot be judged."
    status = 422


class BadAnswer(RefusedError):
    """Marks outside of the square, without a grade, or on what cannot be judged."""

    code = "bad_answer"
    user_message = (
        "Mark buildings whose middle lies inside the square, each with a grade, or say that it "
        "cannot be judged."
    )
    status = 422
