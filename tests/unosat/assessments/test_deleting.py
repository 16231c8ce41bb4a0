"""An assessment that is deleted takes its files along."""

import pytest
from django.db import transaction

from tests.unosat.makers import make_building, make_done_assessment, make_organisation
from unosat.assessments import known
from unosat.assessments.keys import gaps_key
from unosat.assessments.known import SentOutlines
from unosat.assessments.models import Assessment
from unosat.ops import store
from unosat.review.models import Explanation

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def row() -> Assessment:
    return with_files(make_done_assessment(make_organisation(), houses=0))


def with_files(row: Assessment) -> Assessment:
    with store.writing(gaps_key(row.pk)) as path:
        path.write_text("{}")
    known.keep(row.pk, SentOutlines(b"{}", "0" * 64, 0))
    make_building(row)
    explanation = Explanation.objects.create(footprint=row.footprints.get())
    with store.writing(explanation.picture_key) as path:
        path.write_bytes(b"a picture")
    return row


def delete(row: Assessment) -> None:
    row.buildings.all().delete()  # what people may have decided on goes by its own name only
    Assessment.objects.filter(pk=row.pk).delete()


def keys_of(row: Assessment) -> list[str]:
    (picture,) = Explanation.objects.filter(footprint__assessment=row)
    return [gaps_key(row.pk), f"outlines/{row.pk}/outlines.geojson", picture.picture_key]


def kept(keys: list[str]) -> list[bool]:
    return [store.exists(key) for key in keys]


def test_what_lay_in_the_store_goes_with_it_and_what_is_another_s_stays(row: Assessment) -> None:
    other = with_files(make_done_assessment(make_organisation(), houses=0))
    gone, stays = keys_of(row), keys_of(other)

    delete(row)

    assert kept(gone) == [False, False, False]
    assert kept(stays) == [True, True, True]


def test_what_was_not_committed_removes_nothing(row: Assessment) -> None:
    with transaction.atomic():
        delete(row)
        transaction.set_rollback(True)

    assert Assessment.objects.filter(pk=row.pk).exists()
    assert kept(keys_of(row)) == [True, True, True]
