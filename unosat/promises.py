"""What the description of the API promises of answers that are no JSON of ours, and of refusals."""

from typing import Any

REFUSAL = {
    "title": "Refusal",
    "type": "object",
    "description": "``code`` is for programs and never changes; ``message`` tells people what to "
    "do.",
    "properties": {"code": {"type": "string"}, "message": {"type": "string"}},
    "required": ["code", "message"],
}
REFUSED = {"$ref": "#/components/schemas/Refusal"}
RANGES = {"4XX": "Refused", "5XX": "Failed; trying again later can help"}


def file_of(media_type: str, *, unchanged: bool = False) -> dict[str, Any]:
    """For ``openapi_extra``: an operation that answers with a file.

    Args:
        media_type: of the file.
        unchanged: whether it may also be 304, to a request that names what it has.
    """
    file = {"schema": {"type": "string", "format": "binary"}}
    answers: dict[int, dict[str, Any]] = {200: {"content": {media_type: file}}}
    if unchanged:
        answers[304] = {"description": "Not Modified"}
    return {"responses": answers}


def add_refusals(description: dict[str, Any]) -> None:
    """Say of every operation that it may be refused, and how that looks.

    A status of its own, such as a conflict that carries a building, is one of the two: the same
    number is used by refusals that carry nothing else.
    """
    description["components"]["schemas"]["Refusal"] = REFUSAL
    for operations in description["paths"].values():
        for operation in operations.values():
            _promise(operation["responses"])


def _promise(answers: dict[int | str, dict[str, Any]]) -> None:
    for status, answer in answers.items():
        if int(status) >= 400:
            content = answer["content"]["application/json"]
            content["schema"] = {"anyOf": [content["schema"], REFUSED]}
    for status, name in RANGES.items():
        answers[status] = {
            "description": name,
            "content": {"application/json": {"schema": REFUSED}},
        }
