"""Which channels are to be watched by ingest workers, and how they stand.

Law: a channel is in the book exactly when it is on the watch list or fixed; a database that cannot
be read changes nothing of what is wanted.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace

from sqlalchemy import select

from bus.stage import Ctx
from store.channel_work import ChannelWork
from store.state.errors import StateUnavailable
from store.state.lease_views import Entry, LeaseViews
from store.state.leases import LeaseBook, Wanted
from store.state.tables import SessionRow, TwitchAccountRow
from store.state.watchlist import Listed, Place, Watchlist
from store.twitch.tokens import CHAT_SCOPE

log = logging.getLogger(__name__)

RECONCILE_S = 1.0
"""How often the list is read."""
NO_WORKER = ("connecting", "waiting for an ingest worker")
WAITING = ("offline", "waiting for the next broadcast")
WATCHING = ("watching", "")


class IngestWants:
    """Stage: has the channels of the settings and of the watch list watched by workers."""

    def __init__(
        self,
        book: LeaseBook,
        watchlist: Watchlist,
        *,
        fixed: Sequence[ChannelWork] = (),
        reconcile_s: float = RECONCILE_S,
    ) -> None:
        """`fixed`: channels that are watched whatever the list says."""
        self._book = book
        self._views = LeaseViews(book.state, tenant_id=book.tenant_id, clock=book.clock)
        self._watchlist = watchlist
        self._fixed = {one.id: one for one in fixed}
        self._reconcile_s = reconcile_s
        self._stands: dict[str, tuple[str, str]] = {}
        self._names: dict[str, str] = {}

    @property
    def name(self) -> str:
        """The word in logs and metrics."""
        return "ingest_wants"

    @property
    def states(self) -> dict[str, str]:
        """How each wanted channel stands, by its name, for the status page."""
        return {
            self._names[one]: ": ".join(part for part in stand if part)
            for one, stand in self._stands.items()
        }

    def fixed(self) -> list[Listed]:
        """Return how the channels stand that are watched whatever the list says."""
        listed = []
        for one in self._fixed.values():
            state, detail = self._stands.get(one.id, ("", ""))
            place = Place(id=one.id, name=one.name, url=one.url, kind=one.kind)
            listed.append(Listed(place=place, state=state, detail=detail))
        return listed

    async def run(self, ctx: Ctx) -> None:
        """Keep the book as the list is, until drained."""
        while not ctx.draining.is_set():
            try:
                await self.reconcile()
            except StateUnavailable as error:
                log.warning("the watch list cannot be read", extra={"detail": str(error)})
            else:
                ctx.meter.gauge("clipthat_watched_channels", len(self._stands))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(ctx.draining.wait(), self._reconcile_s)

    async def reconcile(self) -> None:
        """Want what is on the list, unwant the rest, and tell how each channel stands.

        Raises:
            StateUnavailable: the database cannot be read or written now.
        """
        listed = await self._watchlist.listed()
        wanted = await self._works(listed)
        entries = await self._views.entries("ingest")
        await self._book.want_all(
            [
                Wanted(kind="ingest", id=one.id, work=one.as_json())
                for one in wanted.values()
                if not _stands_so(entries.get(one.id), one)
            ]
        )
        for channel_id, entry in entries.items():
            if channel_id not in wanted and entry.state == "open":
                await self._book.unwant("ingest", channel_id)
        live = await self._live()
        self._names = {one.id: one.name for one in wanted.values()}
        self._stands = {
            channel_id: _stand(entries.get(channel_id), live=channel_id in live)
            for channel_id in wanted
        }
        for one in listed:
            told = self._stands.get(one.place.id, ("", ""))
            if told != (one.state, one.detail):
                await self._watchlist.tell(one.place.id, *told)

    async def _works(self, listed: Sequence[Listed]) -> dict[str, ChannelWork]:
        """Return what is to be watched, by the channel's id; the settings' word goes first."""
        works = {
            one.place.id: ChannelWork(
                id=one.place.id,
                name=one.place.name,
                url=one.place.url,
                kind=one.place.kind,
                chat=one.place.name if one.place.kind == "twitch" else "",
            )
            for one in listed
            if one.always
        } | self._fixed
        connected = await self._connected()
        return {
            one.id: replace(one, eventsub=one.kind == "twitch" and one.name in connected)
            for one in works.values()
        }

    async def _connected(self) -> set[str]:
        """Return whose chat may be read in their own name."""
        query = select(TwitchAccountRow.login, TwitchAccountRow.scopes).where(
            TwitchAccountRow.tenant_id == self._book.tenant_id,
            TwitchAccountRow.status == "connected",
        )
        async with self._book.state.reading() as session:
            found = (await session.execute(query)).all()
        return {login for login, scopes in found if CHAT_SCOPE in scopes}

    async def _live(self) -> set[str]:
        """Return the channels that have a session running."""
        query = select(SessionRow.channel_id).where(
            SessionRow.tenant_id == self._book.tenant_id,
            SessionRow.status == "live",
            SessionRow.kind == "live",
        )
        async with self._book.state.reading() as session:
            return set(await session.scalars(query))


def _stands_so(entry: Entry | None, work: ChannelWork) -> bool:
    told: Mapping[str, object] = work.as_json()
    return entry is not None and entry.state == "open" and entry.work == told


def _stand(entry: Entry | None, *, live: bool) -> tuple[str, str]:
    if entry is None or not entry.holder:
        return NO_WORKER
    return WATCHING if live else WAITING
