"""Headers that several parts of the API understand."""

from typing import Annotated

from ninja import Header

# The user who made what is sent, as the page knows it: see ``Actor.must_be_user``.
MadeBy = Annotated[int | None, Header(alias="X-Made-By")]
