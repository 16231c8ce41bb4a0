"""No header, however damaged, is more than taken or refused. `make fuzz` tries a million."""

import os

from tests.unosat.scenes import fuzzing

CASES = int(os.environ.get("UNOSAT_FUZZ_CASES", "20000"))
SECONDS_A_CASE = 1.0  # of processor time


def test_undamaged_files_are_taken() -> None:
    assert {fuzzing.checked(data) for data in fuzzing.valid_files()} == {"taken"}


def test_every_damaged_header_is_taken_or_refused_and_quickly() -> None:
    outcome = fuzzing.run(CASES)

    assert outcome.slowest_s < SECONDS_A_CASE
    assert outcome.said.total() == CASES
    assert min(outcome.said["taken"], outcome.said["damaged_tiff"]) > CASES / 100
    assert len(outcome.said) >= 6  # damage reaches most of what is looked at
