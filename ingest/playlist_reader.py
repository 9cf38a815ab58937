"""Reads a stream's playlists: from its address to the chosen variant.

Law: finding the stream anew changes nothing until what was found is put to use, so that the list
in use goes on until another one is there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from ingest.address import Address, Resolved
from ingest.errors import MalformedPlaylist, SourceGone, SourceUnusable
from ingest.multivariant import Multivariant, Variant, choose_variant
from ingest.playlist import MediaPlaylist, PlaylistLimits, parse_playlist
from ingest.settings import IngestSettings
from ingest.timer import Timer
from store.errors import FetchError, FetchRefused, FetchStatus, FetchTooLarge

_THREAD_BYTES = 100_000
"""A larger list is read in a thread: 18,000 segments take a third of a second."""
_GONE = (401, 403, 404, 410)


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


@dataclass(frozen=True, kw_only=True, slots=True)
class Opened:
    """A media playlist, and the way on which it was found."""

    resolved: Resolved
    media_url: str
    variant: Variant | None
    """The chosen variant; None when the address is a media playlist itself."""
    broadcast_id: str
    """The platform's name for the broadcast; empty when it has none."""
    playlist: MediaPlaylist


class PlaylistReader:
    """Knows which media playlist of a stream to reload."""

    def __init__(
        self,
        address: Address,
        web: Web,
        settings: IngestSettings,
        *,
        quality: Sequence[str] = (),
    ) -> None:
        """`quality`: names of variants to prefer, the first one first."""
        self._address = address
        self._web = web
        self._settings = settings
        self._quality = tuple(quality)
        self._limits = PlaylistLimits(
            bytes_max=settings.playlist_bytes_max, segments_max=settings.playlist_segments_max
        )
        self.opened: Opened | None = None
        """What is being read; None before the first time."""

    @property
    def shown(self) -> str:
        """The address as a person knows it."""
        return self._address.shown

    @property
    def variant(self) -> Variant | None:
        """The variant that is being read; None when there is no choice of them."""
        return None if self.opened is None else self.opened.variant

    @property
    def broadcast_id(self) -> str:
        """The platform's name for what is being read; empty when it has none."""
        return "" if self.opened is None else self.opened.broadcast_id

    @property
    def title(self) -> str:
        """What the platform calls it; empty when it does not say."""
        return "" if self.opened is None else self.opened.resolved.title

    @property
    def headers(self) -> Mapping[str, str]:
        """What is to be sent with each request."""
        return {} if self.opened is None else self.opened.resolved.headers

    async def find(self) -> Opened:
        """Find the stream anew, from its address on; what is in use stays in use.

        Raises:
            SourceUnusable, SourceGone: as `Address.resolve` says.
            FetchError: a playlist could not be read.
            MalformedPlaylist: what came is no playlist, or lists no variant.
        """
        resolved = await self._address.resolve()
        url, variant = resolved.url, None
        if resolved.playlist:
            playlist = await self._parse(resolved.playlist, url)
        else:
            playlist = await self._read(url, resolved.headers)
        broadcast_id = resolved.broadcast_id
        if isinstance(playlist, Multivariant):
            broadcast_id = broadcast_id or playlist.broadcast_id
            variant = choose_variant(playlist, self._settings.height_max or None, self._quality)
            if variant is None:
                raise MalformedPlaylist("the playlist lists no variant")
            url = variant.uri
            playlist = await self._read(url, resolved.headers)
            if isinstance(playlist, Multivariant):
                raise MalformedPlaylist("the variant is no media playlist")
        return Opened(
            resolved=resolved,
            media_url=url,
            variant=variant,
            broadcast_id=broadcast_id,
            playlist=playlist,
        )

    def use(self, opened: Opened) -> None:
        """Read this one from now on."""
        self.opened = opened

    async def reload(self) -> MediaPlaylist:
        """Read the media playlist in use again.

        Raises:
            FetchError: it could not be read.
            MalformedPlaylist: what came is no media playlist.
        """
        assert self.opened is not None  # the stream has been opened
        playlist = await self._read(self.opened.media_url, self.headers)
        if isinstance(playlist, Multivariant):
            raise MalformedPlaylist("the media playlist has become a list of variants")
        return playlist

    async def open(self, timer: Timer) -> MediaPlaylist:
        """Find the stream for the first time, with a few tries, and use it.

        Raises:
            SourceUnusable: it can never be watched.
            SourceGone: it cannot be reached.
        """
        waits = (*self._settings.segment_retries_s, None)
        for wait_s in waits:
            try:
                opened = await self.find()
            except FetchRefused as error:
                raise SourceUnusable(str(error)) from error
            except FetchTooLarge as error:
                raise SourceUnusable(f"the playlist is too large: {error}") from error
            except (FetchError, MalformedPlaylist, TimeoutError) as error:
                gone = isinstance(error, FetchStatus) and error.status in _GONE
                if wait_s is None or gone:
                    raise SourceGone(f"{self.shown}: {error or 'no answer in time'}") from error
                await timer.sleep(wait_s)
            else:
                _refuse_locked(opened.playlist)
                self.use(opened)
                return opened.playlist
        raise AssertionError("the last try returns or raises")

    async def _read(self, url: str, headers: Mapping[str, str]) -> Multivariant | MediaPlaylist:
        answer = await self._web.get(
            url,
            max_bytes=self._settings.playlist_bytes_max,
            timeout_s=self._settings.playlist_timeout_s,
            headers=headers,
        )
        return await self._parse(answer.body, answer.url)

    async def _parse(self, body: bytes, url: str) -> Multivariant | MediaPlaylist:
        if len(body) > _THREAD_BYTES:
            return await asyncio.to_thread(parse_playlist, body, url, self._limits)
        return parse_playlist(body, url, self._limits)


def _refuse_locked(playlist: MediaPlaylist) -> None:
    if playlist.segments and all(segment.encrypted for segment in playlist.segments):
        key = playlist.segments[0].key
        method = "an unknown method" if key is None else key.method
        raise SourceUnusable(f"the stream is encrypted with {method}, which is not supported")
