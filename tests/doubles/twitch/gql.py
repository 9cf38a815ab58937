"""Twitch's GraphQL endpoint as a switchboard: several doubles answer one operation each."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from aiohttp import web

Handler = Callable[[web.Request, dict[str, Any]], dict[str, Any] | web.Response]
"""(request, variables) -> the answer to one operation, or a whole response that replaces all."""

_OPERATIONS: web.AppKey[dict[str, Handler]] = web.AppKey("gql_operations", dict)


def on_gql(app: web.Application, operation: str, handler: Handler) -> None:
    """Let `handler` answer an operation, by its name; adds `POST /gql` once.

    `PlaybackAccessToken` is asked for streams and VODs alike: register it as
    `PlaybackAccessToken live` or `PlaybackAccessToken vod`.
    """
    if _OPERATIONS not in app:
        app[_OPERATIONS] = {}
        app.router.add_post("/gql", _answer)
    app[_OPERATIONS][operation] = handler


async def _answer(request: web.Request) -> web.Response:
    if not request.headers.get("Client-ID"):
        return web.json_response({"error": "Bad Request", "message": "no client id"}, status=400)
    asked = await request.json()
    answers = []
    for query in asked if isinstance(asked, list) else [asked]:
        variables = query.get("variables", {})
        name = query.get("operationName", "")
        if name == "PlaybackAccessToken":
            name += " live" if variables.get("isLive") else " vod"
        handler = request.app[_OPERATIONS].get(name)
        if handler is None:
            answers.append({"errors": [{"message": "PersistedQueryNotFound"}]})
            continue
        answer = handler(request, variables)
        if isinstance(answer, web.Response):
            return answer
        answers.append(answer)
    told = answers if isinstance(asked, list) else answers[0]
    return web.Response(text=json.dumps(told), content_type="application/json")
