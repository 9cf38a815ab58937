"""The control API's part for tokens: who reads a connected channel's chat is lent its token.

Law: a token goes to the holder of its channel's lease, in the body of one answer that nobody keeps.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from pydantic import StringConstraints

from store.state.lent_tokens import LentTokens
from web.control_door import Door, Held, lease_of, read_body, told_refusals

Mark = Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{64})?$")]


class Lend(Held):
    """Ask for the token of a channel that is held."""

    refused: Mark = ""
    """As in `LentTokens.lend`."""


def add_tokens(router: APIRouter, door: Door, lent: LentTokens) -> None:
    """Add the route that lends a token."""

    @router.post("/twitch/token")
    async def token(request: Request) -> Response:
        """Lend a channel's token to its holder."""
        worker = door.worker(request)
        told = await read_body(request, Lend)
        door.check_kinds(worker, [told.kind])
        with told_refusals():
            given = await lent.lend(worker.name, lease_of(told, worker), told.refused)
        return JSONResponse(
            {
                "user_id": given.user_id,
                "login": given.login,
                "access_token": given.access_token,
                "scopes": sorted(given.scopes),
                "client_id": given.client_id,
            },
            headers={"Cache-Control": "no-store"},
        )
