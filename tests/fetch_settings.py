"""The real settings for a worker whose links end at the HTTPS server of a test."""

from unosat.settings import *  # noqa: F403

UNOSAT_FETCHER = "tests.unosat.scenes.https.fetcher_of_worker"
