"""Reads segments over HTTP: tries, deadlines, keys and init sections.

Law: a segment is returned whole and looked at, or not at all.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bus.events import MissingReason, SourceRef
from bus.ports import Meter
from ingest.continuity import Probe
from ingest.errors import AccessDenied, BadSegment, SourceGone
from ingest.fmp4 import is_init
from ingest.playlist_reader import Web
from ingest.probe import probe_segment
from ingest.segment import InitSection, Key, Segment
from ingest.settings import IngestSettings
from ingest.timer import Timer
from store.aes import decrypt_aes128
from store.errors import (
    DecryptionFailed,
    FetchError,
    FetchRefused,
    FetchStatus,
    FetchTooLarge,
    FetchTruncated,
)

_CACHED = 8
_KEY_BYTES = 16
_INIT_BYTES_MAX = 4_000_000
_ABSENT = (403, 404, 410)
_DENIED = (401, 403, 410)
_ORIGIN_AWAY = (429, 502, 503, 504)


@dataclass(frozen=True, slots=True)
class Whole:
    """A segment that was read."""

    body: bytes
    init: bytes | None
    probe: Probe
    source_ref: SourceRef


@dataclass(frozen=True, slots=True)
class Unread:
    """A segment that could not be read, and why."""

    reason: MissingReason
    detail: str
    denied: bool = False
    """The server does not let it be read under this address; another one may open it."""


class SegmentReader:
    """Reads one stream's segments."""

    def __init__(
        self,
        web: Web,
        timer: Timer,
        settings: IngestSettings,
        meter: Meter,
        outage_s: float,
        headers: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        """`outage_s`: how long to wait for an origin that is away, beyond the usual deadline.

        `headers` returns what is to be sent with each request, as it stands at that moment.
        """
        self._web = web
        self._timer = timer
        self._settings = settings
        self._meter = meter
        self._outage_s = outage_s
        self._headers = headers
        self._keys: OrderedDict[str, bytes] = OrderedDict()
        self._inits: OrderedDict[InitSection, bytes] = OrderedDict()

    async def read(self, segment: Segment) -> Whole | Unread:
        """Read a segment.

        Raises:
            SourceGone: the origin was away for longer than `outage_s` (never without one).
        """
        started_s = self._timer.now()
        budget_s = max(
            self._settings.segment_timeout_min_s,
            self._settings.segment_timeout_durations * segment.duration_s,
        )
        deadline_s = started_s + budget_s
        tries = 0
        while True:
            left_s = max(0.5, deadline_s - self._timer.now())
            try:
                whole = await self._read_once(segment, left_s)
            except (FetchError, BadSegment, TimeoutError) as error:
                tries += 1
                now_s = self._timer.now()
                waits_on = self._outage_s > 0 and _is_away(error)
                if waits_on and now_s - started_s > self._outage_s:
                    raise SourceGone(f"the origin is away: {error or 'no answer'}") from error
                wait_s = self._wait_s(error, tries, waits_on)
                if wait_s is None or (not waits_on and now_s + wait_s >= deadline_s):
                    return _unread(error)
                self._meter.count("clipthat_segment_retries_total")
                await self._timer.sleep(wait_s)
                if waits_on:
                    deadline_s = self._timer.now() + budget_s
            else:
                self._meter.observe("clipthat_segment_fetch_seconds", self._timer.now() - started_s)
                return whole

    def _wait_s(
        self, error: FetchError | BadSegment | TimeoutError, tries: int, waits_on: bool
    ) -> float | None:
        """Return the wait before another try, None when there is none."""
        if waits_on:
            wait_s = self._settings.backoff_first_s * 2.0 ** min(tries - 1, 10)
            return min(wait_s, self._settings.backoff_max_s)
        waits = self._settings.segment_retries_s
        if isinstance(error, FetchRefused | FetchTooLarge):
            return None
        absent = isinstance(error, FetchStatus) and error.status in _ABSENT
        if absent or isinstance(error, AccessDenied):
            waits = waits[:1]
        return waits[tries - 1] if tries <= len(waits) else None

    async def _read_once(self, segment: Segment, timeout_s: float) -> Whole:
        answer = await self._web.get(
            segment.fetch_uri,
            max_bytes=self._settings.segment_bytes_max,
            timeout_s=timeout_s,
            offset=segment.offset,
            length=segment.length,
            headers=self._headers(),
        )
        body = await self._open(answer.body, segment.key, segment.seq, timeout_s)
        init = None
        if segment.init is not None:
            init = await self._init(segment.init, segment.seq, timeout_s)
        probe = probe_segment(body, init, segment.duration_s)
        if probe.container == "ts":
            init = None
        return Whole(body, init, probe, _source_ref(segment))

    async def _open(self, body: bytes, key: Key | None, seq: int, timeout_s: float) -> bytes:
        if key is None or key.uri is None:
            return body
        secret = self._keys.get(key.uri)
        if secret is None:
            answer = await self._web.get(
                key.uri, max_bytes=1024, timeout_s=timeout_s, headers=self._headers()
            )
            secret = answer.body
            if len(secret) != _KEY_BYTES:
                raise BadSegment(f"the key is {len(secret)} bytes long, not {_KEY_BYTES}")
            self._keys[key.uri] = secret
            while len(self._keys) > _CACHED:
                self._keys.popitem(last=False)
        try:
            return decrypt_aes128(body, secret, key.iv(seq))
        except DecryptionFailed as error:
            self._keys.pop(key.uri, None)
            raise BadSegment("the segment cannot be decrypted with its key") from error

    async def _init(self, section: InitSection, seq: int, timeout_s: float) -> bytes:
        known = self._inits.get(section)
        if known is not None:
            return known
        answer = await self._web.get(
            section.uri,
            max_bytes=_INIT_BYTES_MAX,
            timeout_s=timeout_s,
            offset=section.offset,
            length=section.length,
            headers=self._headers(),
        )
        body = await self._open(answer.body, section.key, seq, timeout_s)
        if not is_init(body):
            raise BadSegment("the init section is none")
        self._inits[section] = body
        while len(self._inits) > _CACHED:
            self._inits.popitem(last=False)
        return body


def refusal(segment: Segment) -> Unread | None:
    """Return why a listed segment must not be read, None when it may."""
    if segment.ad:
        return Unread("ad", "an advertisement")
    if segment.gap:
        return Unread("missing", "the playlist says that it is not there")
    if segment.encrypted:
        method = "" if segment.key is None else segment.key.method
        return Unread("missing", f"encrypted with {method}, which is not supported")
    return None


def _is_away(error: Exception) -> bool:
    """Tell an origin that does not answer from one that says no."""
    if isinstance(error, FetchStatus):
        return error.status in _ORIGIN_AWAY
    refused = (FetchRefused, FetchTooLarge, FetchTruncated)
    return isinstance(error, FetchError | TimeoutError) and not isinstance(error, refused)


def _unread(error: Exception) -> Unread:
    detail = str(error) or "no answer in time"
    if isinstance(error, AccessDenied):
        return Unread("missing", detail, denied=True)
    if isinstance(error, BadSegment | FetchTruncated | FetchTooLarge):
        return Unread("corrupt", detail)
    if isinstance(error, FetchStatus | FetchRefused):
        denied = isinstance(error, FetchStatus) and error.status in _DENIED
        return Unread("missing", detail, denied)
    return Unread("late", detail)


def _source_ref(segment: Segment) -> SourceRef:
    init, key = segment.init, segment.key
    return SourceRef(
        kind="hls",
        uri=segment.fetch_uri,
        offset=segment.offset,
        length=segment.length,
        init_uri=None if init is None else init.uri,
        init_offset=None if init is None else init.offset,
        init_length=None if init is None else init.length,
        key_uri=None if key is None else key.uri,
        iv_hex=None if key is None else key.iv(segment.seq).hex(),
    )
