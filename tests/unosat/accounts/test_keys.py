"""API keys and sessions: who gets in, and what they may."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from tests.unosat.makers import make_actor, make_organisation
from unosat.accounts import selectors, services
from unosat.accounts.errors import BadKeyRole
from unosat.accounts.models import ApiKey
from unosat.errors import Forbidden, NotFound

pytestmark = pytest.mark.django_db

EVENTS = "/api/v1/events"


def bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


def test_a_new_key_opens_the_api_and_only_its_digest_is_kept(client: Client) -> None:
    key, text = services.create_key(make_actor(make_organisation(), "admin"), name="partner")

    response = client.get(EVENTS, headers=bearer(text))

    assert response.status_code == 200
    row = ApiKey.objects.values().get(pk=key.pk)
    assert text.startswith(f"unosat_{key.prefix}_")
    assert not any(text.rpartition("_")[2] in str(value) for value in row.values())
    assert row["last_used_at"] is not None


@pytest.mark.parametrize("header", ["Bearer unosat_00000000_nothing", "Bearer", "Basic YTpi", "x"])
def test_an_unknown_key_is_refused_even_beside_a_session(client: Client, header: str) -> None:
    actor = make_actor(make_organisation())
    client.force_login(_user(actor.user_id))

    response = client.get(EVENTS, headers={"Authorization": header})

    assert response.status_code == 401
    assert response.json() == {
        "code": "not_signed_in",
        "message": "Sign in, or send a valid API key.",
    }


def test_a_key_ends_when_it_expires_or_is_revoked(client: Client) -> None:
    admin = make_actor(make_organisation(), "admin")
    past = timezone.now() - timedelta(seconds=1)
    _, expired = services.create_key(admin, name="old", expires_at=past)
    key, revoked = services.create_key(admin, name="lost")

    services.revoke_key(admin, key.pk)
    services.revoke_key(admin, key.pk)

    assert client.get(EVENTS, headers=bearer(expired)).status_code == 401
    assert client.get(EVENTS, headers=bearer(revoked)).status_code == 401


def test_only_admins_make_and_see_keys() -> None:
    analyst = make_actor(make_organisation(), "analyst")

    with pytest.raises(Forbidden):
        services.create_key(analyst, name="mine")
    with pytest.raises(Forbidden):
        selectors.keys_of(analyst)


def test_no_key_is_an_admin() -> None:
    admin = make_actor(make_organisation(), "admin")

    with pytest.raises(BadKeyRole):
        services.create_key(admin, name="root", role="admin")  # type: ignore[arg-type]


def test_another_organisations_key_does_not_exist() -> None:
    key, _ = services.create_key(make_actor(make_organisation(), "admin"), name="theirs")
    stranger = make_actor(make_organisation(), "admin")

    with pytest.raises(NotFound):
        services.revoke_key(stranger, key.pk)

    assert list(selectors.keys_of(stranger)) == []


def test_a_cookie_without_its_token_changes_nothing() -> None:
    actor = make_actor(make_organisation())
    client = Client(enforce_csrf_checks=True)
    client.force_login(_user(actor.user_id))
    event = {"name": "Storm", "kind": "storm", "date": "2026-01-01"}

    refused = client.post(EVENTS, event, content_type="application/json")
    client.cookies["csrftoken"] = "t" * 32
    taken = client.post(
        EVENTS, event, content_type="application/json", headers={"X-CSRFToken": "t" * 32}
    )

    assert (refused.status_code, refused.json()["code"]) == (403, "csrf_failed")
    assert taken.status_code == 201


def test_a_key_needs_no_token() -> None:
    _, text = services.create_key(make_actor(make_organisation(), "admin"), name="partner")

    response = Client(enforce_csrf_checks=True).post(
        EVENTS,
        {"name": "Storm", "date": "2026-01-01"},
        content_type="application/json",
        headers=bearer(text),
    )

    assert response.status_code == 201


def test_a_user_of_no_organisation_is_forbidden_not_lost(client: Client) -> None:
    client.force_login(User.objects.create_user("nobody"))

    assert client.get(EVENTS).status_code == 403


def _user(user_id: int | None) -> User:
    return User.objects.get(pk=user_id or 0)
