"""An assessment that is deleted takes its files along."""

import pytest
from django.db import transaction

from tests.unosat.makers import make_done_assessment, make_organisation
from unosat.assessments import known
from unosat.assessments.keys import gaps_key
from unosat.assessments.known import SentOutlines
from unosat.assessments.models import Assessment
from unosat.ops import store

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def row() -> Assessment:
    return with_files(make_done_assessment(make_organisation(), houses=0))


def with_files(row: Assessment) -> Assessment:
    with store.writing(gaps_key(row.pk)) as path:
        path.write_text("{}")
    known.keep(row.pk, SentOutlines(b"{}", "0" * 64, 0))
    return row


def kept(row: Assessment) -> list[bool]:
    keys = (gaps_key(row.pk), f"outlines/{row.pk}/outlines.geojson")
    return [store.exists(key) for key in keys]


def test_what_lay_in_the_store_goes_with_it_and_what_is_another_s_stays(row: Assessment) -> None:
    other = with_files(make_done_assessment(make_organisation(), houses=0))
    gone = Assessment(pk=row.pk)

    Assessment.objects.filter(pk=row.pk).delete()

    assert kept(gone) == [False, False]
    assert kept(other) == [True, True]


def test_what_was_not_committed_removes_nothing(row: Assessment) -> None:
    with transaction.atomic():
        Assessment.objects.filter(pk=row.pk).delete()
        transaction.set_rollback(True)

    assert Assessment.objects.filter(pk=row.pk).exists()
    assert kept(row) == [True, True]
