"""A live HLS stream as a source.

Law: a stream is named by its address as a person knows it, and by the platform's name for the
broadcast where there is one; never by what was found behind the address.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import replace

from bus.ports import Meter, SilentMeter
from ingest.address import Address, FixedAddress
from ingest.cursor import newest
from ingest.live_pull import LivePull, even
from ingest.playlist import MediaPlaylist
from ingest.playlist_reader import PlaylistReader, Web
from ingest.segment_reader import SegmentReader
from ingest.settings import IngestSettings
from ingest.source import Pulled, Resume, SourceInfo
from ingest.timer import Timer, WallTimer


class HlsLive:
    """A live stream behind an address, or at a multivariant or media playlist's URL."""

    def __init__(
        self,
        where: Address | str,
        web: Web,
        settings: IngestSettings,
        *,
        quality: Sequence[str] = (),
        renew_after_s: float = math.inf,
        flap_s: float = 0.0,
        title: str = "",
        meter: Meter | None = None,
        timer: Timer | None = None,
        spread: Callable[[], float] = even,
    ) -> None:
        """`where`: an address, or a URL that stays.

        Args:
            quality: names of variants to prefer, the first one first.
            renew_after_s: age at which an address is found anew, before it dies.
            flap_s: how long a broadcast that the platform names may be away, when that is longer
                than `settings.lost_after_s`.
            title: empty: as the platform calls it.
        """
        self._address = FixedAddress(where) if isinstance(where, str) else where
        self._title = title
        self._renew_after_s = renew_after_s
        self._flap_s = flap_s
        self._web = web
        self._settings = settings
        self._meter = meter or SilentMeter()
        self._timer = timer or WallTimer()
        self._spread = spread
        self._playlists = PlaylistReader(self._address, web, settings, quality=quality)
        self._first: MediaPlaylist | None = None

    async def describe(self) -> SourceInfo:
        """Read the playlist once; `pull` begins with what this has seen.

        Raises:
            SourceUnusable: the address is refused, or the stream is encrypted.
            SourceGone: there is no stream now.
        """
        playlist = await self._playlists.open(self._timer)
        self._first = playlist
        listed = newest(playlist.segments, self._settings.start_back_s)
        wall_start_s = listed[0].pdt_s if listed else None
        if wall_start_s is None:
            wall_start_s = self._timer.now() - sum(s.duration_s for s in listed)
        shown = self._address.shown
        started = f"{shown}\x1f{wall_start_s:.3f}"
        variant, named = self._playlists.variant, self._playlists.broadcast_id
        return SourceInfo(
            kind="live",
            title=self._title or self._playlists.title or shown,
            source=shown,
            broadcast_id=named or hashlib.sha256(started.encode()).hexdigest()[:24],
            broadcast_named=bool(named),
            over=playlist.ended,
            wall_start_s=wall_start_s,
            has_video=False if variant is not None and variant.audio_only else None,
        )

    def pull(self, resume: Resume | None) -> AsyncGenerator[Pulled, None]:
        """Yield the stream as it comes, until it ends or stays away.

        A broadcast that the platform names ends when another one is on in its place, or when it
        stays away; an end mark in its playlist is a flap until then.
        """
        settings = self._settings
        if self._playlists.broadcast_id:
            away_s = max(settings.lost_after_s, self._flap_s)
            settings = replace(settings, lost_after_s=away_s)
        segments = SegmentReader(
            self._web,
            self._timer,
            settings,
            self._meter,
            outage_s=0.0,
            headers=lambda: self._playlists.headers,
        )
        pull = LivePull(
            self._playlists,
            segments,
            settings,
            self._meter,
            self._timer,
            self._spread,
            self._renew_after_s,
        )
        first, self._first = self._first, None
        return pull.run(first, resume)
