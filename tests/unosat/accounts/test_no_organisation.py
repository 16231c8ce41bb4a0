"""A user whom nobody has made a member yet: one answer everywhere, and it says what to do."""

import html
import re

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from tests.unosat.makers import make_organisation
from unosat.accounts.models import Membership

pytestmark = pytest.mark.django_db

PASSWORD = "correct horse battery staple"  # noqa: S105 (of a user in a test's database)
WHY = "belongs to no organisation yet"


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def newcomer() -> User:
    return User.objects.create_user("newcomer", password=PASSWORD)


@pytest.fixture
def superuser() -> User:
    return User.objects.create_superuser("operator", password=PASSWORD)


def test_the_first_superuser_is_led_from_sign_in_to_a_page_that_works(superuser: User) -> None:
    organisation = make_organisation()
    client = Client()
    sent = {"username": superuser.username, "password": PASSWORD}

    refused = client.post(reverse("login"), sent, follow=True)
    page = refused.content.decode()
    address = re.search(r'href="(/admin/[^"]*/add/[^"]*)"', page)
    assert address is not None
    form_address = html.unescape(address[1])
    form = client.get(form_address).content.decode()
    membership = {"user": superuser.pk, "organisation": str(organisation.pk), "role": "admin"}
    added = client.post(form_address, membership)

    assert refused.status_code == 403
    assert WHY in page
    assert f'<option value="{superuser.pk}" selected>' in form
    assert added.status_code == 302
    assert client.get("/").status_code == 200


def test_whoever_may_not_add_members_is_told_who_can_and_can_sign_out(newcomer: User) -> None:
    client = signed_in(newcomer)

    page = client.get("/").content.decode()

    assert WHY in page
    assert "Somebody with access to the admin pages" in page
    assert "/admin/" not in page
    assert "Sign out" in page


def test_staff_who_may_not_add_members_are_offered_no_form_that_would_refuse_them(
    newcomer: User,
) -> None:
    User.objects.filter(pk=newcomer.pk).update(is_staff=True)

    page = signed_in(newcomer).get("/").content.decode()

    assert reverse("admin:accounts_membership_add") not in page
    assert reverse("status") in page


@pytest.mark.parametrize("path", ["/training/", "/models/", "/keys/", "/assessments/", "/latest/"])
def test_every_page_says_the_same(newcomer: User, path: str) -> None:
    answer = signed_in(newcomer).get(path)

    assert (answer.status_code, WHY in answer.content.decode()) == (403, True)


@pytest.mark.parametrize(
    "path",
    [
        "assessments",
        "events",
        "tiles/scenes/7a3c6d2e-0000-4000-8000-000000000000/tilejson.json",
        "assessments/7a3c6d2e-0000-4000-8000-000000000000/events",
    ],
)
def test_the_api_says_the_same_to_its_session(newcomer: User, path: str) -> None:
    answer = signed_in(newcomer).get(f"/api/v1/{path}")

    assert (answer.status_code, answer.json()["code"]) == (403, "no_organisation")
    assert WHY in answer.json()["message"]


def test_a_member_taken_out_is_told_the_same_on_his_next_page(newcomer: User) -> None:
    member = Membership.objects.create(
        user=newcomer, organisation=make_organisation(), role="analyst"
    )
    client = signed_in(newcomer)
    before = client.get("/").status_code
    member.delete()

    assert (before, client.get("/").status_code) == (200, 403)
