"""One channel's watch at work, with a supervisor of its own.

Law: a channel that breaks never touches another.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from bus.stage import Ctx
from ops.channels import ChannelWatch, Hints, KeepWatching
from ops.supervisor import Supervisor, SupervisorSettings
from store.state.watchlist import Place

MakeWatch = Callable[[Place, asyncio.Event], Awaitable[ChannelWatch]]
"""Makes a watch of a place; the event ends its session as stopped by a person."""


class ChannelRun:
    """Watches one place, broadcast after broadcast, until it is stopped or drained."""

    def __init__(
        self,
        ctx: Ctx,
        place: Place,
        make_watch: MakeWatch,
        settings: SupervisorSettings,
        *,
        look_every_s: float,
        hints: Hints | None = None,
        fatal: tuple[type[Exception], ...] = (),
    ) -> None:
        """Start nothing yet.

        Args:
            ctx: what the watch is handed; `draining` is this run's own.
            place: what is watched.
            make_watch: makes the watch.
            settings: how it is kept alive.
            look_every_s: as in `KeepWatching`.
            hints: as in `KeepWatching`.
            fatal: errors that end this run.
        """
        self.place = place
        self.stop = asyncio.Event()
        """Set when the channel is not wanted any more; its session ends."""
        self.draining = ctx.draining
        self.keep = KeepWatching(
            place.name,
            lambda: make_watch(place, self.stop),
            look_every_s,
            login=place.name if place.kind == "twitch" else "",
            hints=hints,
            stop=self.stop,
        )
        self._supervisor = Supervisor(ctx, settings, fatal)

    @property
    def name(self) -> str:
        """The word in logs."""
        return self.keep.name

    async def run(self) -> None:
        """Watch until stopped or drained.

        Raises:
            StageBroken: one of the fatal errors came, which is its cause.
        """
        await self._supervisor.run([self.keep])

    def told(self) -> tuple[str, str]:
        """Return how the channel stands, and the detail."""
        trouble = self._supervisor.troubles.get(self.keep.name, "")
        return ("broken", trouble) if trouble else (self.keep.phase, self.keep.detail)
