"""The same facts as JSON. Its description is at `/api/openapi.json`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fastapi import APIRouter
from starlette.exceptions import HTTPException

from store.state.queries import list_sessions, read_clip, read_session
from store.state.views import ClipView, SessionDetail, SessionView
from web.site import Site


@dataclass(frozen=True, kw_only=True, slots=True)
class ClipAnswer:
    """A clip, and signed addresses of its files by name; they end after some hours."""

    clip: ClipView
    files: Mapping[str, str]


def api_routes(site: Site) -> APIRouter:
    """Return the read-only API of one tenant."""
    router = APIRouter(prefix="/api")

    @router.get("/sessions")
    async def sessions() -> list[SessionView]:
        """Return the sessions: live ones first, each group newest first."""
        return await list_sessions(site.state, site.tenant_id, limit=site.settings.sessions_max)

    @router.get("/sessions/{session_id}")
    async def session(session_id: str) -> SessionDetail:
        """Return one session with its moments, clips, gaps and curves."""
        detail = await read_session(site.state, site.tenant_id, session_id)
        if detail is None:
            raise HTTPException(404, "There is no such session.")
        return detail

    @router.get("/clips/{clip_id}")
    async def clip(clip_id: str) -> ClipAnswer:
        """Return one clip with its outputs and where to get them."""
        found = await read_clip(site.state, site.tenant_id, clip_id)
        if found is None:
            raise HTTPException(404, "There is no such clip.")
        return ClipAnswer(clip=found, files=site.card(found).files)

    return router
