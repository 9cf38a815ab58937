"""The watch list's page: channels are added, switched and removed.

Law: each change is a form with this browser's token, and ends on the page with what came of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException

from store.state.watchlist import Listed, Place, PlaceRefused, Watched, Watchlist
from web.security import form_policy
from web.site import Site

ReadPlace = Callable[[str], Place]
"""Understands what a person has written for a channel; raises PlaceRefused."""

_RESULTS = {
    "added": "is on the list. It is looked for now, and watched whenever it is live.",
    "known": "stands on the list already.",
    "removed": "is off the list. Its sessions and clips stay.",
}


@dataclass(frozen=True, slots=True)
class _Channels:
    """What the page shows: the list, and what is watched whatever it says."""

    watchlist: Watchlist
    fixed: Callable[[], Sequence[Listed]]

    async def all(self) -> list[Watched]:
        """Return every channel by name."""
        return await self.watchlist.all(self.fixed())


def channel_routes(
    site: Site, read_place: ReadPlace, fixed: Callable[[], Sequence[Listed]]
) -> APIRouter:
    """Return the list, and what changes it."""
    router = APIRouter(prefix="/channels", include_in_schema=False)
    watchlist = Watchlist(site.state, tenant_id=site.tenant_id, clock=site.clock)
    channels = _Channels(watchlist, fixed)
    _add_list(router, site, channels, read_place)
    _add_switches(router, site, channels)
    _add_removal(router, site, channels)
    return router


def _add_list(router: APIRouter, site: Site, channels: _Channels, read_place: ReadPlace) -> None:
    @router.get("")
    async def page(request: Request, result: str = "", name: str = "") -> Response:
        told = f"{name[:100]} {_RESULTS[result]}" if result in _RESULTS and name else ""
        return await _list(site, channels, request, told=told)

    @router.post("")
    async def add(request: Request) -> Response:
        fields = await site.forms.read(request)
        text = fields.get("channel", [""])[0]
        try:
            place = read_place(text)
            added = await channels.watchlist.add(place)
        except PlaceRefused as error:
            return await _list(site, channels, request, problem=str(error), text=text)
        return _back("added" if added else "known", place.name)


def _add_switches(router: APIRouter, site: Site, channels: _Channels) -> None:
    @router.post("/{channel_id}/always")
    async def always(request: Request, channel_id: str) -> Response:
        fields = await site.forms.read(request)
        channel = await _channel(channels, channel_id)
        await channels.watchlist.set_always(channel.place.id, fields.get("on") == ["yes"])
        return _back()

    @router.post("/{channel_id}/native-clips")
    async def native_clips(request: Request, channel_id: str) -> Response:
        fields = await site.forms.read(request)
        channel = await _channel(channels, channel_id)
        wanted = fields.get("on") == ["yes"]
        if wanted and not channel.may_clip:
            raise HTTPException(409, "Connect this channel with Twitch and allow clips first.")
        await channels.watchlist.set_native_clips(channel.place.id, wanted)
        return _back()


def _add_removal(router: APIRouter, site: Site, channels: _Channels) -> None:
    @router.get("/{channel_id}/remove")
    async def ask(request: Request, channel_id: str) -> Response:
        channel = await _channel(channels, channel_id)
        return await _page(site, request, "channel_remove.html", channel=channel, open=False)

    @router.post("/{channel_id}/remove")
    async def remove(request: Request, channel_id: str) -> Response:
        await site.forms.read(request)
        channel = await _channel(channels, channel_id)
        await channels.watchlist.remove(channel.place.id)
        return _back("removed", channel.place.name)


async def _channel(channels: _Channels, channel_id: str) -> Watched:
    """Return a channel that a person may change."""
    found = [each for each in await channels.all() if each.place.id == channel_id and each.listed]
    if not found:
        raise HTTPException(404, "This channel is not on the list any more.")
    return found[0]


async def _list(
    site: Site,
    channels: _Channels,
    request: Request,
    *,
    told: str = "",
    problem: str = "",
    text: str = "",
) -> Response:
    return await _page(
        site,
        request,
        "channels.html",
        422 if problem else 200,
        channels=await channels.all(),
        stands=await site.stands(),
        connectable=site.accounts is not None,
        open=not problem,
        told=told,
        problem=problem,
        text=text,
    )


async def _page(
    site: Site, request: Request, template: str, status: int = 200, **values: object
) -> Response:
    browser = site.forms.welcome(request)
    page = await site.render(template, token=site.forms.token(browser), **values)
    answer = HTMLResponse(page, status)
    site.forms.remember(answer, browser)
    answer.headers["Content-Security-Policy"] = form_policy()
    return answer


def _back(result: str = "", name: str = "") -> Response:
    query = f"?result={result}&name={quote(name, safe='')}" if result else ""
    return RedirectResponse(f"/channels{query}", 303)
