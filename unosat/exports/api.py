"""HTTP for exports: parse, call, answer."""

from ninja import Router

router = Router(tags=["exports"])
