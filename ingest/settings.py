"""How streams are pulled, paced and kept."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class IngestSettings:
    """Pulling HLS, the ring and the pace of replays."""

    height_max: int = 1080
    """Highest picture to watch, in lines; the best variant up to it is taken. 0: no limit."""
    start_back_s: float = 300.0
    """How far behind the live edge to begin, when the playlist lists that much."""
    ring_s: float = 300.0
    """Seconds of media that the ring keeps."""
    ring_bytes: int = 2_000_000_000
    """Bytes that the ring of one session may take."""
    ahead_s: float = 120.0
    """A replay stays at most this far ahead of what the detectors have settled."""
    ahead_pressed_s: float = 15.0
    """The same while a live session is behind; longer than a segment, so that it still goes on."""
    pressed_believed_s: float = 60.0
    """A live session that was said to be behind is taken to be so for this long."""
    batch_segments: int = 32
    """Segments of a replay that are published together at the most."""
    playlist_bytes_max: int = 8_000_000
    """A larger playlist is refused."""
    playlist_segments_max: int = 50_000
    """A longer playlist is refused."""
    playlist_timeout_s: float = 5.0
    """Time in which a playlist must come."""
    reload_floor_s: float = 1.0
    """A playlist is never read more often than this."""
    reload_jitter: float = 0.1
    """Share by which reloads are spread, so that channels do not beat in time."""
    backoff_first_s: float = 0.5
    """First wait after a playlist or a VOD's origin failed; doubles each time."""
    backoff_max_s: float = 8.0
    """Longest such wait."""
    segment_bytes_max: int = 64_000_000
    """A larger segment is refused."""
    segment_timeout_min_s: float = 6.0
    """Time in which a segment must come, all tries together, at the least."""
    segment_timeout_durations: float = 3.0
    """The same in durations of the segment; the longer of the two holds."""
    segment_retries_s: tuple[float, ...] = (0.2, 0.6, 1.5)
    """Waits before a segment is tried again; a missing one (404) is tried once more only."""
    fetches_live: int = 2
    """Segments of a live channel in flight."""
    fetches_vod: int = 4
    """Segments of a VOD in flight."""
    edge_segments: int = 3
    """A live reader that has fallen behind the whole playlist goes on with this many newest."""
    resolve_after_s: float = 6.0
    """No new segment for this long (or 3 × the target duration): look for the stream anew."""
    resolve_every_s: float = 10.0
    """The stream is looked for anew at most this often; rarer while nothing new comes."""
    stalled_after_s: float = 20.0
    """No new segment for this long: the channel is told to be stalled."""
    lost_after_s: float = 90.0
    """No new segment for this long: the session ends. A restart within it continues the session.
    A broadcast that Twitch names may be away for `twitch.flap_s`."""
    vod_outage_s: float = 90.0
    """A VOD's origin may be away this long; then the watch stops, and can be resumed."""
    channels_max: int = 50
    """Channels that one process of the ingest role takes at most, live or waited for."""
