"""The watch list: the channels that a tenant wants to have watched.

Law: a row is changed by the person who owns it; what its watch says of it changes `state` alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import CursorResult, delete, func, select, update

from store.errors import StoreError
from store.state.accounts import insert_of
from store.state.state import State
from store.state.tables import SessionRow, TenantRow, TwitchAccountRow, WatchedRow

CHANNELS_MAX = 500
"""So many channels a tenant may put on its list."""
CLIPS_SCOPE = "clips:edit"
"""What Twitch must have been asked for before a clip can be made there."""


class PlaceRefused(StoreError):
    """What was written names nothing that can be watched; the message says what does."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """A channel as a person has named it, understood."""

    id: str
    """The channel's id in its sessions."""
    name: str
    """Its login on Twitch, or its address without secrets."""
    url: str
    kind: str
    """`twitch`, `hls`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Listed:
    """A channel that is to be watched or not, and what was said of it last."""

    place: Place
    always: bool = True
    state: str = ""
    """As in WatchedRow; so is `detail`."""
    detail: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Watched:
    """A channel on the list, with how it stands."""

    place: Place
    always: bool
    native_clips: bool
    added_at_s: float
    state: str
    """As in WatchedRow; so is `detail`."""
    detail: str
    account: str
    """`none`, `connected`, `reconnect`."""
    may_clip: bool
    """Its account is connected and has allowed clips."""
    session_id: str = ""
    """The session that runs, if one does."""
    live_since_s: float | None = None
    """Unix time at which that began."""
    listed: bool = True
    """It stands on the list, where a person may change it."""
    fixed: bool = False
    """The settings or the command line name it: it is watched whatever the list says."""


class Watchlist:
    """The watch list of one tenant."""

    def __init__(
        self, state: State, *, tenant_id: str = "local", clock: Callable[[], float] = time.time
    ) -> None:
        """`clock` gives Unix time."""
        self._state = state.of(tenant_id)
        self._tenant_id = tenant_id
        self._clock = clock

    async def add(self, place: Place) -> bool:
        """Put a channel on the list, always watched; False when it stands there already.

        Raises:
            PlaceRefused: the list is full.
        """
        row = {
            "tenant_id": self._tenant_id,
            "id": place.id,
            "name": place.name,
            "url": place.url,
            "kind": place.kind,
            "always": True,
            "native_clips": False,
            "added_at_s": self._clock(),
            "state": "",
            "detail": "",
            "told_at_s": 0.0,
        }
        async with self._state.writing() as session:
            mine = WatchedRow.tenant_id == self._tenant_id
            count = await session.scalar(select(func.count()).select_from(WatchedRow).where(mine))
            if count is not None and count >= CHANNELS_MAX:
                raise PlaceRefused(f"{CHANNELS_MAX} channels are on the list; remove one first")
            insert = await insert_of(session)
            await session.execute(
                insert(TenantRow).values(id=self._tenant_id).on_conflict_do_nothing()
            )
            added = await session.execute(insert(WatchedRow).values(**row).on_conflict_do_nothing())
            assert isinstance(added, CursorResult)
            return bool(added.rowcount)

    async def remove(self, channel_id: str) -> bool:
        """Take a channel off the list; its sessions and clips stay. False: it is not on it."""
        async with self._state.writing() as session:
            gone = await session.execute(delete(WatchedRow).where(*self._key(channel_id)))
            assert isinstance(gone, CursorResult)
            return bool(gone.rowcount)

    async def set_always(self, channel_id: str, always: bool) -> None:
        """Say whether it is watched whenever it is live."""
        await self._change(channel_id, always=always)

    async def set_native_clips(self, channel_id: str, wanted: bool) -> None:
        """Say whether its clips are made on Twitch too."""
        await self._change(channel_id, native_clips=wanted)

    async def tell(self, channel_id: str, state: str, detail: str) -> None:
        """Say how a channel's watch stands.

        Raises:
            StateUnavailable: the database cannot be written now.
        """
        await self._change(channel_id, state=state, detail=detail, told_at_s=self._clock())

    async def listed(self) -> list[Listed]:
        """Return what stands on the list, the oldest first.

        Raises:
            StateUnavailable: the database cannot be read now.
        """
        query = (
            select(WatchedRow)
            .where(WatchedRow.tenant_id == self._tenant_id)
            .order_by(WatchedRow.added_at_s, WatchedRow.id)
        )
        async with self._state.reading() as session:
            return [_listed(row) for row in (await session.execute(query)).scalars()]

    async def clipped_on_twitch(self, channel_id: str) -> str | None:
        """Return the login of a channel whose clips are to be made on Twitch too, else None."""
        query = select(WatchedRow.name).where(
            *self._key(channel_id), WatchedRow.native_clips, WatchedRow.kind == "twitch"
        )
        async with self._state.reading() as session:
            return (await session.execute(query)).scalar_one_or_none()

    async def one(self, channel_id: str) -> Watched | None:
        """Return a channel of the list."""
        found = [each for each in await self.all() if each.place.id == channel_id]
        return found[0] if found else None

    async def all(self, fixed: Sequence[Listed] = ()) -> list[Watched]:
        """Return the list by name, with the channels that are watched whatever it says."""
        mine = WatchedRow.tenant_id == self._tenant_id
        async with self._state.reading() as session:
            rows = {row.id: row for row in await session.scalars(select(WatchedRow).where(mine))}
            accounts = {
                row.login: row
                for row in (
                    await session.execute(
                        select(TwitchAccountRow)
                        .where(TwitchAccountRow.tenant_id == self._tenant_id)
                        .order_by(TwitchAccountRow.connected_at_s)
                    )
                ).scalars()
            }
            running = {
                row.channel_id: row
                for row in (
                    await session.execute(
                        select(SessionRow)
                        .where(
                            SessionRow.tenant_id == self._tenant_id,
                            SessionRow.status == "live",
                            SessionRow.kind == "live",
                        )
                        .order_by(SessionRow.started_at_s)
                    )
                ).scalars()
            }
        told = {one.place.id: one for one in fixed} | {
            row.id: _listed(row) for row in rows.values()
        }
        always_ids = {one.place.id for one in fixed}
        return [
            _watched(
                one,
                rows.get(one.place.id),
                accounts.get(one.place.name),
                running.get(one.place.id),
                fixed=one.place.id in always_ids,
            )
            for one in sorted(told.values(), key=lambda one: one.place.name)
        ]

    async def _change(self, channel_id: str, **values: Any) -> None:
        async with self._state.writing() as session:
            await session.execute(update(WatchedRow).where(*self._key(channel_id)).values(**values))

    def _key(self, channel_id: str) -> tuple[Any, ...]:
        return (WatchedRow.tenant_id == self._tenant_id, WatchedRow.id == channel_id)


def _listed(row: WatchedRow) -> Listed:
    return Listed(
        place=Place(id=row.id, name=row.name, url=row.url, kind=row.kind),
        always=row.always,
        state=row.state,
        detail=row.detail,
    )


def _watched(
    told: Listed,
    row: WatchedRow | None,
    account: TwitchAccountRow | None,
    running: SessionRow | None,
    *,
    fixed: bool,
) -> Watched:
    if told.place.kind != "twitch":
        account = None
    live = running if told.state == "watching" else None
    return Watched(
        place=told.place,
        always=told.always or fixed,
        native_clips=row is not None and row.native_clips,
        added_at_s=0.0 if row is None else row.added_at_s,
        state=told.state,
        detail=told.detail,
        account="none" if account is None else account.status,
        may_clip=account is not None
        and account.status == "connected"
        and CLIPS_SCOPE in account.scopes,
        session_id="" if live is None else live.id,
        live_since_s=None if live is None else live.started_at_s,
        listed=row is not None,
        fixed=fixed,
    )
