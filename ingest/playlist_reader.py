"""Reads a stream's playlists: from the address that a person gave to the chosen variant."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Protocol

from ingest.errors import MalformedPlaylist, SourceGone, SourceUnusable
from ingest.multivariant import Multivariant, Variant, choose_variant
from ingest.playlist import MediaPlaylist, PlaylistLimits, parse_playlist
from ingest.settings import IngestSettings
from ingest.timer import Timer
from store.errors import FetchError, FetchRefused, FetchStatus, FetchTooLarge

_THREAD_BYTES = 100_000
"""A larger list is read in a thread: 18,000 segments take a third of a second."""
_GONE = (403, 404, 410)


class Answer(Protocol):
    """What a server gave."""

    @property
    def body(self) -> bytes:
        """The whole body."""
        ...

    @property
    def url(self) -> str:
        """The final address, behind redirects."""
        ...


class Web(Protocol):
    """Guarded HTTP; `store.fetch.Fetcher` is the real one."""

    async def get(
        self,
        url: str,
        *,
        max_bytes: int,
        timeout_s: float,
        offset: int | None = None,
        length: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Return a body; raises the `Fetch…` errors of store/errors.py."""
        ...


class PlaylistReader:
    """Knows which media playlist of a stream to reload."""

    def __init__(self, url: str, web: Web, settings: IngestSettings) -> None:
        self._url = url
        self._web = web
        self._settings = settings
        self._media_url: str | None = None
        self._limits = PlaylistLimits(
            bytes_max=settings.playlist_bytes_max, segments_max=settings.playlist_segments_max
        )
        self.variant: Variant | None = None
        """The chosen variant; None when the address is a media playlist itself."""

    def forget(self) -> None:
        """Choose the variant anew at the next reload."""
        self._media_url = None

    async def reload(self) -> MediaPlaylist:
        """Read the media playlist, choosing it first when none is chosen.

        Raises:
            FetchError: it could not be read.
            MalformedPlaylist: what came is no playlist, or lists no variant.
        """
        if self._media_url is not None:
            playlist = await self._read(self._media_url)
            if isinstance(playlist, MediaPlaylist):
                return playlist
            self._media_url = None
        playlist = await self._read(self._url)
        if isinstance(playlist, MediaPlaylist):
            self._media_url = self._url
            return playlist
        limit = self._settings.height_max or None
        variant = choose_variant(playlist, limit)
        if variant is None:
            raise MalformedPlaylist("the playlist lists no variant")
        media = await self._read(variant.uri)
        if not isinstance(media, MediaPlaylist):
            raise MalformedPlaylist("the variant is no media playlist")
        self.variant, self._media_url = variant, variant.uri
        return media

    async def open(self, timer: Timer) -> MediaPlaylist:
        """Read the playlist for the first time, with a few tries.

        Raises:
            SourceUnusable: it can never be watched.
            SourceGone: it cannot be reached.
        """
        waits = (*self._settings.segment_retries_s, None)
        for wait_s in waits:
            try:
                playlist = await self.reload()
            except FetchRefused as error:
                raise SourceUnusable(str(error)) from error
            except FetchTooLarge as error:
                raise SourceUnusable(f"the playlist is too large: {error}") from error
            except (FetchError, MalformedPlaylist, TimeoutError) as error:
                gone = isinstance(error, FetchStatus) and error.status in _GONE
                if wait_s is None or gone:
                    raise SourceGone(f"{self._url}: {error or 'no answer in time'}") from error
                await timer.sleep(wait_s)
            else:
                _refuse_locked(playlist)
                return playlist
        raise AssertionError("the last try returns or raises")

    async def _read(self, url: str) -> Multivariant | MediaPlaylist:
        answer = await self._web.get(
            url,
            max_bytes=self._settings.playlist_bytes_max,
            timeout_s=self._settings.playlist_timeout_s,
        )
        if len(answer.body) > _THREAD_BYTES:
            return await asyncio.to_thread(parse_playlist, answer.body, answer.url, self._limits)
        return parse_playlist(answer.body, answer.url, self._limits)


def _refuse_locked(playlist: MediaPlaylist) -> None:
    if playlist.segments and all(segment.encrypted for segment in playlist.segments):
        key = playlist.segments[0].key
        method = "an unknown method" if key is None else key.method
        raise SourceUnusable(f"the stream is encrypted with {method}, which is not supported")
