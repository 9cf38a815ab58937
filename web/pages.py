"""The pages that a person opens."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import HTMLResponse
from starlette.exceptions import HTTPException

from store.state.queries import list_sessions, read_session
from store.state.views import SessionDetail, SessionView
from web.fleet_words import unwatched
from web.site import Site
from web.timeline import draw_timeline

WATCHING_MAX = 12
"""So many open sessions are shown in full; further ones stand in the list."""
STRIP_MAX = 12
"""So many clips of a session are shown on the status page, the newest first."""


def page_routes(site: Site) -> APIRouter:
    """Return the status page and the sessions' pages."""
    router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

    @router.get("/")
    async def status_page() -> str:
        sessions = await list_sessions(site.state, site.tenant_id, limit=site.settings.sessions_max)
        watching = await _details(site, [one for one in sessions if not one.done])
        shown = {detail.session.id for detail in watching}
        stands = await site.stands()
        live = {one.channel_id for one in sessions if is_live(one)}
        return await site.render(
            "sessions.html",
            watching=watching,
            earlier=[one for one in sessions if one.id not in shown],
            cards={
                detail.session.id: [site.card(clip) for clip in detail.clips[::-1][:STRIP_MAX]]
                for detail in watching
            },
            reconnect=await _to_reconnect(site),
            stands=stands,
            unwatched=unwatched(one for name, one in stands.items() if name not in live),
            open=True,
        )

    @router.get("/sessions/{session_id}")
    async def session_page(session_id: str) -> str:
        detail = await read_session(site.state, site.tenant_id, session_id)
        if detail is None:
            raise HTTPException(404, "There is no such session.")
        stands = await site.stands() if is_live(detail.session) else {}
        return await site.render(
            "session.html",
            detail=detail,
            session=detail.session,
            stand=stands.get(detail.session.channel_id),
            timeline=draw_timeline(detail),
            cards=[site.card(clip) for clip in detail.clips],
            passed=[one for one in reversed(detail.moments) if one.status != "taken"],
            open=not detail.session.done,
        )

    return router


def is_live(session: SessionView) -> bool:
    """Say whether a session is being watched at this time."""
    return session.status == "live" and session.kind == "live"


async def _to_reconnect(site: Site) -> list[str]:
    """Return the channels whose permission is gone."""
    views = [] if site.accounts is None else await site.accounts.views()
    return [view.login for view in views if view.status == "reconnect"]


async def _details(site: Site, sessions: list[SessionView]) -> list[SessionDetail]:
    found = [
        await read_session(site.state, site.tenant_id, session.id, curves=False)
        for session in sessions[:WATCHING_MAX]
    ]
    return [detail for detail in found if detail is not None]
