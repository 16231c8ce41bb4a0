"""HTTP for review: parse, call, answer."""

from ninja import Router

router = Router(tags=["review"])
