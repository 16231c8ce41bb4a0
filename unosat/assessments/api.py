"""HTTP for assessments: parse, call, answer."""

from ninja import Router

router = Router(tags=["assessments"])
