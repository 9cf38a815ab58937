"""Clips that the platform makes of the same moments, when the streamer wishes.

Law: what is wanted stands in the database before Twitch is asked, and Twitch is asked once for each
clip: after a crash, or an answer that got lost, it is only looked whether the clip is there. A clip
counts as made when Twitch shows it.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import CursorResult, select, update

from bus.consume import consume
from bus.events import ClipPlanned, NativeClipFailed, NativeClipMade
from bus.ports import Record
from bus.stage import Ctx
from store.state.accounts import insert_of
from store.state.errors import StateUnavailable
from store.state.state import State
from store.state.tables import NativeClipRow, SessionRow, TenantRow
from store.state.watchlist import CLIPS_SCOPE, Watchlist
from store.twitch.helix import Helix, HelixRefused, HelixUnavailable, NotConnected, TwitchClip
from store.twitch.settings import TwitchSettings
from store.twitch.tokens import Tokens

LEASE_S = 20.0
"""Who sees to a clip and is not heard of for so long is given up. Twice what one call to Twitch may
take; short, because Twitch's window is."""
AT_ONCE = 8
"""So many clips are seen to at the same time."""
ROUND_S = 2.0
"""How often it is looked for what another has left."""
POLL_S = 1.0
"""How often Twitch is asked whether a clip is there."""
AFTER_CALL_S = 5.0
"""Twitch's window ends so long after the call."""
SHORTEST_S, LONGEST_S = 5.0, 60.0
"""What Twitch publishes."""
CLOCK_SLACK_S = 5.0
"""How far Twitch's clock may stand from ours."""
TITLE_CHARS_MAX = 100
_OPEN = ("wanted", "asked")


def length_s(start_at_s: float, peak_at_s: float, now_s: float) -> float | None:
    """Return how much of the stream's end Twitch must publish; None when it is too late.

    All are Unix times. A clip that begins too long ago is shortened from its beginning, as long as
    its peak is in it.
    """
    end_s = now_s + AFTER_CALL_S
    if end_s - peak_at_s > LONGEST_S:
        return None
    return min(LONGEST_S, max(SHORTEST_S, end_s - start_at_s))


class NativeClips:
    """Stage: has Twitch make the clips of those channels whose owners wish it."""

    def __init__(
        self,
        state: State,
        helix: Helix,
        tokens: Tokens,
        settings: TwitchSettings,
        *,
        tenant_id: str = "local",
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        round_s: float = ROUND_S,
    ) -> None:
        """`clock` gives Unix time; `sleep` waits for seconds."""
        self._state = state.of(tenant_id)
        self._helix = helix
        self._tokens = tokens
        self._wait_s = settings.clip_wait_s
        self._tenant_id = tenant_id
        self._clock = clock
        self._sleep = sleep
        self._round_s = round_s
        self._watchlist = Watchlist(state, tenant_id=tenant_id, clock=clock)
        self._me = secrets.token_hex(8)
        self._news = asyncio.Event()

    @property
    def name(self) -> str:
        """The word in logs and metrics, and the consumer group."""
        return "native_clips"

    async def run(self, ctx: Ctx) -> None:
        """Note what is wanted, and see to it, until drained."""

        async def handle(records: Sequence[Record]) -> None:
            for record in records:
                if isinstance(record.event, ClipPlanned):
                    await self._note(record.event, record.published_at_s)

        async with asyncio.TaskGroup() as group:
            group.create_task(self._see_to_all(ctx))
            await consume(ctx, self.name, ("clips",), handle)

    async def _note(self, planned: ClipPlanned, published_at_s: float) -> None:
        """Write down that a clip is wanted, once."""
        if planned.tenant_id != self._tenant_id:
            return
        login = await self._watchlist.clipped_on_twitch(planned.channel_id)
        if login is None:
            return
        async with self._state.writing() as session:
            query = select(SessionRow).where(
                SessionRow.tenant_id == self._tenant_id, SessionRow.id == planned.session_id
            )
            told = (await session.execute(query)).scalar_one_or_none()
            if told is None or told.kind is None:
                # The recorder reads the same log and will have written it soon.
                raise StateUnavailable("the session of a clip is not recorded yet")
            if told.kind != "live":
                return
            zero_s = told.wall_start_s
            if zero_s is None:
                zero_s = published_at_s - planned.end_s
            insert = await insert_of(session)
            tenant = insert(TenantRow).values(id=self._tenant_id)
            await session.execute(tenant.on_conflict_do_nothing())
            wanted = insert(NativeClipRow).values(
                tenant_id=self._tenant_id,
                clip_id=planned.clip_id,
                session_id=planned.session_id,
                channel_id=planned.channel_id,
                login=login,
                title=planned.title[:TITLE_CHARS_MAX],
                start_at_s=zero_s + planned.start_s,
                peak_at_s=zero_s + planned.peak_s,
                end_at_s=zero_s + planned.end_s,
                state="wanted",
                asked_at_s=0.0,
                twitch_id="",
                worker="",
                worker_until_s=0.0,
            )
            await session.execute(wanted.on_conflict_do_nothing())
        self._news.set()

    async def _see_to_all(self, ctx: Ctx) -> None:
        """See to what is open, a few at a time, until drained."""
        busy: set[asyncio.Task[None]] = set()
        async with asyncio.TaskGroup() as group:
            while not ctx.draining.is_set():
                self._news.clear()
                for row in await self._take(AT_ONCE - len(busy)):
                    task = group.create_task(self._see_to(ctx, row))
                    busy.add(task)
                    task.add_done_callback(busy.discard)
                    task.add_done_callback(lambda _: self._news.set())
                await self._pause(ctx)
            for task in busy:
                # What is asked is written down: whoever comes next looks whether it is there.
                task.cancel()
        await self._let_go()

    async def _pause(self, ctx: Ctx) -> None:
        waits = {asyncio.create_task(each.wait()) for each in (ctx.draining, self._news)}
        try:
            await asyncio.wait(waits, timeout=self._round_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    async def _take(self, count: int) -> list[NativeClipRow]:
        """Take open clips that nobody sees to."""
        if count <= 0:
            return []
        now_s = self._clock()
        query = (
            select(NativeClipRow)
            .where(
                NativeClipRow.tenant_id == self._tenant_id,
                NativeClipRow.state.in_(_OPEN),
                NativeClipRow.worker_until_s <= now_s,
            )
            .order_by(NativeClipRow.end_at_s)
            .limit(count)
            .with_for_update(skip_locked=True)
        )
        async with self._state.writing() as session:
            rows = list((await session.execute(query)).scalars())
            for row in rows:
                row.worker = f"{self._me}.{secrets.token_hex(4)}"
                row.worker_until_s = now_s + LEASE_S
            return rows

    async def _let_go(self) -> None:
        """Let whoever comes next see to what is left, at once."""
        async with self._state.writing() as session:
            await session.execute(
                update(NativeClipRow)
                .where(
                    NativeClipRow.tenant_id == self._tenant_id,
                    NativeClipRow.state.in_(_OPEN),
                    NativeClipRow.worker.startswith(f"{self._me}."),
                )
                .values(worker_until_s=0.0)
            )

    async def _see_to(self, ctx: Ctx, row: NativeClipRow) -> None:
        """Bring one clip to its end, unless another has taken it meanwhile."""
        with contextlib.suppress(_TakenOver):
            await self._settle(ctx, row)

    async def _settle(self, ctx: Ctx, row: NativeClipRow) -> None:
        """Bring one clip to its end: made, or failed for a reason."""
        try:
            reason = "" if row.state == "asked" else await self._ask(row)
            clip = None if reason else await self._appeared(row)
            reason = reason or ("" if clip is not None else "not_there")
        except NotConnected:
            clip, reason = None, "reconnect"
        except HelixRefused as error:
            clip, reason = None, _REFUSALS.get(error.status, "refused")
        except HelixUnavailable:
            clip, reason = None, "unavailable"
        own: dict[str, Any] = {
            "tenant_id": row.tenant_id,
            "channel_id": row.channel_id,
            "session_id": row.session_id,
            "clip_id": row.clip_id,
        }
        if clip is not None:
            await ctx.bus.publish([NativeClipMade(**own, url=clip.url)])
        else:
            await ctx.bus.publish([NativeClipFailed(**own, reason=reason)])
        if await self._change(row, state="failed" if clip is None else "made"):
            ctx.meter.count("clipthat_native_clips_total", outcome=reason or "made")

    async def _ask(self, row: NativeClipRow) -> str:
        """Ask Twitch for the clip; return why it cannot be had, empty when it may come."""
        token = await self._tokens.of(row.login)
        if token is None:
            return "reconnect"
        if CLIPS_SCOPE not in token.scopes:
            return "scope"
        now_s = self._clock()
        duration_s = length_s(row.start_at_s, row.peak_at_s, now_s)
        if duration_s is None:
            return "late"
        if not await self._change(row, state="asked", asked_at_s=now_s):
            raise _TakenOver
        row.state, row.asked_at_s = "asked", now_s
        with contextlib.suppress(HelixUnavailable):  # it may have been made: that is looked for
            twitch_id = await self._helix.create_clip(
                row.login, title=row.title, duration_s=duration_s
            )
            await self._change(row, twitch_id=twitch_id)
            row.twitch_id = twitch_id
        return ""

    async def _appeared(self, row: NativeClipRow) -> TwitchClip | None:
        """Return the clip as soon as Twitch shows it; None when it does not in time."""
        until_s = max(self._clock(), row.asked_at_s) + self._wait_s
        while True:
            await self._hold(row)
            clip = await self._look(row)
            if clip is not None or self._clock() >= until_s:
                return clip
            await self._sleep(POLL_S)

    async def _hold(self, row: NativeClipRow) -> None:
        """Say that the clip is still seen to, before others give it up."""
        until_s = self._clock() + LEASE_S
        if until_s - row.worker_until_s < LEASE_S / 2:
            return
        if not await self._change(row, worker_until_s=until_s):
            raise _TakenOver
        row.worker_until_s = until_s

    async def _look(self, row: NativeClipRow) -> TwitchClip | None:
        if row.twitch_id:
            return await self._helix.clip(row.login, row.twitch_id)
        token = await self._tokens.of(row.login)
        if token is None:
            raise NotConnected("the channel must be reconnected")
        found = await self._helix.clips_between(
            row.login,
            _rfc3339(row.asked_at_s - CLOCK_SLACK_S),
            _rfc3339(row.asked_at_s + self._wait_s + CLOCK_SLACK_S),
        )
        taken = await self._known_ids(row)
        for clip in sorted(found, key=lambda each: each.created_at):
            ours = clip.creator_id == token.user_id and clip.id not in taken
            if ours and (not row.title or clip.title == row.title):
                await self._change(row, twitch_id=clip.id)
                return clip
        return None

    async def _known_ids(self, row: NativeClipRow) -> set[str]:
        """Return the names of the channel's clips that belong to other rows."""
        query = select(NativeClipRow.twitch_id).where(
            NativeClipRow.tenant_id == row.tenant_id,
            NativeClipRow.login == row.login,
            NativeClipRow.clip_id != row.clip_id,
        )
        async with self._state.reading() as session:
            return set((await session.execute(query)).scalars())

    async def _change(self, row: NativeClipRow, **values: Any) -> bool:
        """Change a row that is still ours to see to."""
        async with self._state.writing() as session:
            changed = await session.execute(
                update(NativeClipRow)
                .where(
                    NativeClipRow.tenant_id == row.tenant_id,
                    NativeClipRow.clip_id == row.clip_id,
                    NativeClipRow.worker == row.worker,
                )
                .values(**values)
            )
            assert isinstance(changed, CursorResult)
            return bool(changed.rowcount)


class _TakenOver(Exception):
    """Another sees to this clip now."""


_REFUSALS = {404: "offline", 403: "refused", 429: "busy", 401: "reconnect"}


def _rfc3339(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
