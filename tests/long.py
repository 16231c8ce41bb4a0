"""Tests that take minutes: `make test` leaves them to a command of their own."""

import os

import pytest

teaching = pytest.mark.skipif(
    os.environ.get("UNOSAT_LONG_TRAINING") != "1", reason="minutes of training: `make teaching`"
)
faults = pytest.mark.skipif(
    os.environ.get("UNOSAT_LONG_FAULTS") != "1", reason="minutes of waiting: `make faults`"
)
journeys = pytest.mark.skipif(
    os.environ.get("UNOSAT_LONG_JOURNEYS") != "1", reason="minutes of browsing: `make journeys`"
)
