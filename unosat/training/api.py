"""HTTP for training: parse, call, answer."""

from ninja import Router

router = Router(tags=["training"])
