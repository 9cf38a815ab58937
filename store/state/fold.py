"""How an event changes rows.

Law: folding is idempotent, and it does not matter in which order topics arrive: a column is
written by one event type, or by a rule that commutes (the furthest status, the latest time, a
union).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

from bus import events as ev
from store.spans import to_span, unite
from store.state.tables import (
    Base,
    ChannelRow,
    ClipRow,
    CoverageRow,
    CurveRow,
    MomentRow,
    RenderRow,
    SessionRow,
    TenantRow,
    TroubleRow,
)

JOIN_MS = 50
"""Holes up to this long between stored segments are rounding of timestamps, not gaps."""

_ORDER: dict[type[Base], tuple[str, ...]] = {
    SessionRow: ("live", "ended", "stopped", "lost"),
    MomentRow: ("detected", "passed", "taken"),
    ClipRow: ("planned", "failed", "cut"),
    RenderRow: ("queued", "rendering", "failed", "finished"),
}

Key = tuple[str | int, ...]
Row = TypeVar("Row", bound=Base)


@dataclass(slots=True)
class Rows:
    """Rows by table and primary key; one that is asked for and absent is begun empty."""

    tables: dict[type[Base], dict[Key, Any]] = field(default_factory=dict)

    def put(self, row: Base, key: Key) -> None:
        """Lay an existing row in its place."""
        self.tables.setdefault(type(row), {})[key] = row

    def of(self, table: type[Row]) -> dict[Key, Row]:
        """Return a table's rows by key."""
        return self.tables.setdefault(table, {})

    def session(self, event: ev.Event) -> SessionRow:
        """Return the event's session; its tenant and channel are begun with it."""
        tenant, channel = event.tenant_id, event.channel_id
        self._begin(TenantRow, (tenant,), lambda: TenantRow(id=tenant))
        self._begin(ChannelRow, (tenant, channel), lambda: ChannelRow(tenant_id=tenant, id=channel))
        return self._begin(
            SessionRow,
            (tenant, event.session_id),
            lambda: SessionRow(tenant_id=tenant, id=event.session_id, channel_id=channel),
        )

    def moment(self, event: ev.Event, moment_id: str) -> MomentRow:
        """Return a moment of the event's session."""
        return self._begin(
            MomentRow,
            (event.tenant_id, moment_id),
            lambda: MomentRow(tenant_id=event.tenant_id, id=moment_id, session_id=event.session_id),
        )

    def clip(self, event: ev.Event, clip_id: str) -> ClipRow:
        """Return a clip of the event's session."""
        return self._begin(
            ClipRow,
            (event.tenant_id, clip_id),
            lambda: ClipRow(tenant_id=event.tenant_id, id=clip_id, session_id=event.session_id),
        )

    def render(self, event: ev.Event, clip_id: str, render_id: str) -> RenderRow:
        """Return a render; its clip is begun with it."""
        self.clip(event, clip_id)
        return self._begin(
            RenderRow,
            (event.tenant_id, render_id),
            lambda: RenderRow(
                tenant_id=event.tenant_id,
                id=render_id,
                clip_id=clip_id,
                session_id=event.session_id,
            ),
        )

    def coverage(self, event: ev.Event, reason: str) -> CoverageRow:
        """Return what is stored, or missing for a reason."""
        tenant, session = event.tenant_id, event.session_id
        return self._begin(
            CoverageRow,
            (tenant, session, reason),
            lambda: CoverageRow(tenant_id=tenant, session_id=session, reason=reason),
        )

    def curve(self, event: ev.Event, name: str, minute: int) -> CurveRow:
        """Return one minute of a curve."""
        tenant, session = event.tenant_id, event.session_id
        return self._begin(
            CurveRow,
            (tenant, session, name, minute),
            lambda: CurveRow(tenant_id=tenant, session_id=session, name=name, minute=minute),
        )

    def trouble(self, event: ev.Event) -> TroubleRow:
        """Return the row of a ChannelDegraded."""
        return self._begin(
            TroubleRow,
            (event.tenant_id, event.event_id),
            lambda: TroubleRow(
                tenant_id=event.tenant_id, id=event.event_id, session_id=event.session_id
            ),
        )

    def _begin(self, table: type[Row], key: Key, make: Callable[[], Row]) -> Row:
        rows = self.of(table)
        if key not in rows:
            rows[key] = make()
        return rows[key]


def fold(rows: Rows, event: ev.Event, published_at_s: float) -> None:
    """Change the rows that the event speaks of; an event that no row keeps changes nothing.

    `published_at_s`: Unix time of the record.
    """
    folder = _FOLDERS.get(type(event))
    if folder is None:
        return
    session = rows.session(event)
    session.heard_at_s = max(session.heard_at_s, published_at_s)
    folder(rows, event)


def _further(row: SessionRow | MomentRow | ClipRow | RenderRow, status: str) -> bool:
    """Set the status if it lies further on; say whether the row stands there now."""
    order = _ORDER[type(row)]
    if order.index(status) > order.index(row.status):
        row.status = status
    return row.status == status


def _session_started(rows: Rows, event: ev.SessionStarted) -> None:
    row = rows.session(event)
    row.kind = event.kind
    row.title = event.title
    row.source = event.source
    row.wall_start_s = event.wall_start_s
    row.duration_s = event.duration_s
    row.has_chat = event.has_chat
    row.clips_max = event.clips_max
    row.started_at_s = event.started_at_s


def _session_ended(rows: Rows, event: ev.SessionEnded) -> None:
    row = rows.session(event)
    _further(row, event.reason)
    row.media_s = max(row.media_s, event.media_s)


def _reaction_learned(rows: Rows, event: ev.ReactionLearned) -> None:
    row = rows.session(event)
    if row.reaction_at_s is not None and event.media_s < row.reaction_at_s:
        return
    row.reaction_s = event.delay_s
    row.reaction_samples = event.samples
    row.reaction_at_s = event.media_s


def _channel_degraded(rows: Rows, event: ev.ChannelDegraded) -> None:
    row = rows.trouble(event)
    row.media_s = event.media_s
    row.reason = event.reason
    row.detail = event.detail


def _covered(rows: Rows, event: ev.SegmentStored | ev.SegmentMissing, reason: str) -> None:
    session = rows.session(event)
    session.media_s = max(session.media_s, event.end_s)
    row = rows.coverage(event, reason)
    new = to_span(event.media_s, event.duration_s)
    row.spans = [list(span) for span in unite([*row.spans, new], JOIN_MS)]


def _segment_stored(rows: Rows, event: ev.SegmentStored) -> None:
    _covered(rows, event, "stored")
    if event.muted:
        _covered(rows, event, "muted")


def _segment_missing(rows: Rows, event: ev.SegmentMissing) -> None:
    _covered(rows, event, event.reason)


def _plot(rows: Rows, event: ev.Event, name: str, points: Iterator[tuple[int, float]]) -> None:
    """Raise each second of the curve to at least the point's value."""
    for second, value in points:
        row = rows.curve(event, name, second // 60)
        values = list(row.values) or [None] * 60
        old = values[second % 60]
        values[second % 60] = value if old is None else max(old, value)
        row.values = values


def _chat_window(rows: Rows, event: ev.ChatWindow) -> None:
    if not event.gap:
        _plot(rows, event, "chat", iter([(max(0, int(event.media_s)), float(event.messages))]))


def _loudness_measured(rows: Rows, event: ev.LoudnessMeasured) -> None:
    if event.gap:
        return
    loudest: dict[int, float] = {}
    for hop, level in enumerate(event.rms_db):
        # Half a hop on, so that rounding never puts a hop into the second before.
        second = max(0, int(event.media_s + (hop + 0.5) * event.hop_s))
        loudest[second] = max(loudest.get(second, level), level)
    _plot(rows, event, "loudness", iter(loudest.items()))


def _moment_detected(rows: Rows, event: ev.MomentDetected) -> None:
    row = rows.moment(event, event.event_id)
    row.kind = event.kind
    row.start_s, row.peak_s, row.end_s = event.start_s, event.peak_s, event.end_s
    row.decided_s = event.decided_s
    row.score = event.score
    row.evidence = dict(event.evidence)


def _moments_settled(rows: Rows, event: ev.MomentsSettled) -> None:
    row = rows.session(event)
    row.settled_s = max(row.settled_s, event.media_s)
    row.settled = row.settled or event.final


def _moment_passed(rows: Rows, event: ev.MomentPassed) -> None:
    row = rows.moment(event, event.moment_id)
    if _further(row, "passed"):
        row.reason = event.reason


def _moment_joined(rows: Rows, event: ev.MomentJoined) -> None:
    _moment_taken(rows.moment(event, event.moment_id), event.clip_id)


def _moment_taken(moment: MomentRow, clip_id: str) -> None:
    _further(moment, "taken")
    moment.reason = ""
    moment.clip_id = min(moment.clip_id or clip_id, clip_id)


def _clip_planned(rows: Rows, event: ev.ClipPlanned) -> None:
    row = rows.clip(event, event.clip_id)
    row.score = event.score
    row.kinds = list(event.kinds)
    row.moment_ids = list(event.moment_ids)
    row.evidence = [dict(one) for one in event.evidence]
    if row.status != "cut":
        row.start_s, row.peak_s, row.end_s = event.start_s, event.peak_s, event.end_s
        row.title = event.title
    for moment_id in event.moment_ids:
        _moment_taken(rows.moment(event, moment_id), event.clip_id)


def _clip_cut(rows: Rows, event: ev.ClipCut) -> None:
    row = rows.clip(event, event.clip_id)
    _further(row, "cut")
    row.reason = row.detail = ""
    row.start_s, row.peak_s, row.end_s = event.start_s, event.peak_s, event.end_s
    row.title = event.title
    row.source_key, row.words_key = event.source_key, event.words_key
    row.in_s, row.out_s, row.gap_s = event.in_s, event.out_s, event.gap_s
    row.width, row.height, row.fps = event.width, event.height, event.fps
    row.has_audio = event.has_audio


def _clip_failed(rows: Rows, event: ev.ClipFailed) -> None:
    row = rows.clip(event, event.clip_id)
    if _further(row, "failed"):
        row.reason, row.detail = event.reason, event.detail


def _native_made(rows: Rows, event: ev.NativeClipMade) -> None:
    row = rows.clip(event, event.clip_id)
    row.twitch_status, row.twitch_url, row.twitch_reason = "made", event.url, ""


def _native_failed(rows: Rows, event: ev.NativeClipFailed) -> None:
    row = rows.clip(event, event.clip_id)
    if row.twitch_status != "made":
        row.twitch_status, row.twitch_reason = "failed", event.reason


def _session_clipped(rows: Rows, event: ev.SessionClipped) -> None:
    rows.session(event).clips_total = event.clips


def _render_queued(rows: Rows, event: ev.RenderQueued) -> None:
    rows.render(event, event.clip_id, event.render_id).layout = event.layout


def _render_progressed(rows: Rows, event: ev.RenderProgressed) -> None:
    row = rows.render(event, event.clip_id, event.render_id)
    _further(row, "rendering")
    row.percent = max(row.percent, event.percent)


def _render_finished(rows: Rows, event: ev.RenderFinished) -> None:
    row = rows.render(event, event.clip_id, event.render_id)
    _further(row, "finished")
    row.percent = 100
    row.reason = row.detail = ""
    row.layout = event.layout
    row.output_key, row.thumbnail_key = event.output_key, event.thumbnail_key
    row.captions_key = event.captions_key
    row.width, row.height, row.duration_s = event.width, event.height, event.duration_s
    row.size_bytes, row.loudness_lufs = event.size_bytes, event.loudness_lufs
    row.notes = list(event.notes)


def _render_failed(rows: Rows, event: ev.RenderFailed) -> None:
    row = rows.render(event, event.clip_id, event.render_id)
    row.layout = event.layout
    if _further(row, "failed"):
        row.reason, row.detail = event.reason, event.detail


def _minute_watched(rows: Rows, event: ev.MinuteWatched) -> None:
    row = rows.session(event)
    row.minutes_claimed = max(row.minutes_claimed, event.minute + 1)


_FOLDERS: dict[type[ev.Event], Callable[[Rows, Any], None]] = {
    ev.SessionStarted: _session_started,
    ev.SessionEnded: _session_ended,
    ev.ReactionLearned: _reaction_learned,
    ev.ChannelDegraded: _channel_degraded,
    ev.SegmentStored: _segment_stored,
    ev.SegmentMissing: _segment_missing,
    ev.ChatWindow: _chat_window,
    ev.LoudnessMeasured: _loudness_measured,
    ev.MomentDetected: _moment_detected,
    ev.MomentsSettled: _moments_settled,
    ev.MomentPassed: _moment_passed,
    ev.MomentJoined: _moment_joined,
    ev.ClipPlanned: _clip_planned,
    ev.ClipCut: _clip_cut,
    ev.ClipFailed: _clip_failed,
    ev.NativeClipMade: _native_made,
    ev.NativeClipFailed: _native_failed,
    ev.SessionClipped: _session_clipped,
    ev.RenderQueued: _render_queued,
    ev.RenderProgressed: _render_progressed,
    ev.RenderFinished: _render_finished,
    ev.RenderFailed: _render_failed,
    ev.MinuteWatched: _minute_watched,
}

TOPICS: tuple[str, ...] = tuple(sorted({kind.TOPIC for kind in _FOLDERS}))
"""The topics whose events change rows."""
