"""HTTP for events and scenes: parse, call, answer."""

from ninja import Router

router = Router(tags=["scenes"])
