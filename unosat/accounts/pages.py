"""The page of API keys: parse, ask, show."""

from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from unosat.accounts import selectors, services
from unosat.accounts.actors import actor_of
from unosat.pages import show


class KeyForm(forms.Form):
    """A new key."""

    name = forms.CharField(max_length=80, label="What it is for")
    role = forms.ChoiceField(
        label="What it may do",
        choices=[
            ("partner", "partner: send images, start assessments, fetch results"),
            ("analyst", "analyst: the same, for programs of your own"),
        ],
    )


@never_cache
@require_http_methods(["GET", "POST"])
def keys(request: HttpRequest) -> HttpResponse:
    """List keys and create one; a new key is in this one answer and nowhere else."""
    actor = actor_of(request)
    form = KeyForm(request.POST or None)
    new_key = ""
    if request.method == "POST" and form.is_valid():
        _, new_key = services.create_key(actor, **form.cleaned_data)
        form = KeyForm()
    context = {"form": form, "new_key": new_key, "keys": selectors.keys_of(actor)}
    return show(request, actor, "keys.html", context, section="keys")


@require_POST
def revoke(request: HttpRequest, key_id: UUID) -> HttpResponse:
    """End a key's validity."""
    services.revoke_key(actor_of(request), key_id)
    messages.success(request, "The key is revoked; it works no longer.")
    return redirect("keys")
