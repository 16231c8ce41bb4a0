"""What all pages share: who looks, and the frame around what they see."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from unosat.accounts.actors import Actor
from unosat.accounts.selectors import organisation_of


def show(
    request: HttpRequest, actor: Actor, template: str, context: dict[str, Any], *, section: str = ""
) -> HttpResponse:
    """Render a page, or a part of one, for somebody who is signed in.

    Args:
        request: of the page.
        actor: who looks; templates offer only what the role allows.
        template: its path.
        context: what the page shows.
        section: which entry of the main navigation it belongs to.
    """
    frame = {"actor": actor, "organisation": organisation_of(actor), "section": section}
    return render(request, template, frame | context)
