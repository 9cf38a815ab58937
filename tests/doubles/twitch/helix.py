"""Stands in for api.twitch.tv/helix: clips, with tokens and scopes enforced."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web


@dataclass
class HelixDouble:
    """Twitch's API. Knows channels by login; `user_id` is `id-LOGIN`."""

    client_id: str = "app"
    now_s: float = 1_800_000_000.0
    tokens: dict[str, tuple[str, frozenset[str]]] = field(default_factory=dict)
    """Login and scopes by token."""
    live: set[str] = field(default_factory=set)
    appears_after_polls: int = 0
    """A fresh clip is not shown to so many questions."""
    never_appears: bool = False
    drops_answer: bool = False
    """A clip is made, but its answer is lost: 503."""
    restricted: bool = False
    refusals: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    """Status and headers of the next answers, whatever is asked."""
    created: list[dict[str, Any]] = field(default_factory=list)
    creates_asked: int = 0
    polls: int = 0
    asked: list[str] = field(default_factory=list)

    def allow(self, login: str, token: str, *scopes: str) -> None:
        """Give a token to a channel."""
        self.tokens[token] = (login, frozenset(scopes))

    def attach(self, app: web.Application) -> None:
        """Add the routes under Twitch's own paths."""
        app.router.add_get("/helix/clips", self._clips)
        app.router.add_post("/helix/clips", self._create)

    def _login(self, request: web.Request) -> str:
        self.asked.append(f"{request.method} {request.path}")
        if self.refusals:
            status, headers = self.refusals.pop(0)
            raise _Problem(status, headers)
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        known = kind == "Bearer" and request.headers.get("Client-Id") == self.client_id
        if not known or token not in self.tokens:
            raise _Problem(401)
        return self.tokens[token][0]

    async def _clips(self, request: web.Request) -> web.Response:
        return self._answer(request, lambda me: self._found_clips(request))

    def _found_clips(self, request: web.Request) -> list[dict[str, Any]]:
        self.polls += 1
        shown = []
        for clip in self.created:
            clip["polls"] += 1
            if self.never_appears or clip["polls"] <= self.appears_after_polls:
                continue
            if "id" in request.query:
                wanted = clip["id"] in request.query.getall("id")
            else:
                assert request.query["started_at"].endswith("Z"), "RFC 3339 in UTC"
                wanted = (
                    clip["broadcaster_id"] == request.query["broadcaster_id"]
                    and request.query["started_at"]
                    <= clip["created_at"]
                    <= request.query["ended_at"]
                )
            if wanted:
                shown.append({key: value for key, value in clip.items() if key != "polls"})
        return shown

    async def _create(self, request: web.Request) -> web.Response:
        self.creates_asked += 1
        return self._answer(request, lambda me: self._made(request, me), status=202)

    def _made(self, request: web.Request, me: str) -> list[dict[str, Any]]:
        token = request.headers["Authorization"].removeprefix("Bearer ")
        if "clips:edit" not in self.tokens[token][1]:
            raise _Problem(401)
        assert 5 <= float(request.query.get("duration", "30")) <= 60, "Twitch takes 5 to 60 s"
        owner = request.query["broadcaster_id"].removeprefix("id-")
        if self.restricted:
            raise _Problem(403)
        if owner not in self.live:
            raise _Problem(404)
        name = f"Clip{len(self.created) + 1}"
        moment = dt.datetime.fromtimestamp(self.now_s, dt.UTC)
        self.created.append(
            {
                "id": name,
                "url": f"https://clips.twitch.tv/{name}",
                "title": request.query.get("title", ""),
                "creator_id": f"id-{me}",
                "broadcaster_id": f"id-{owner}",
                "created_at": moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "duration": float(request.query.get("duration", "30")),
                "polls": 0,
            }
        )
        if self.drops_answer:
            raise _Problem(503)
        return [{"id": name, "edit_url": f"https://clips.twitch.tv/{name}/edit"}]

    def _answer(self, request: web.Request, make: Any, status: int = 200) -> web.Response:
        try:
            return web.json_response({"data": make(self._login(request))}, status=status)
        except _Problem as problem:
            told = {"status": problem.status, "message": "no"}
            return web.json_response(told, status=problem.status, headers=problem.headers)


class _Problem(Exception):
    def __init__(self, status: int, headers: dict[str, str] | None = None) -> None:
        self.status = status
        self.headers = headers or {}
