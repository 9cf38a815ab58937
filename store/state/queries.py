"""What pages ask the database.

Law: every query takes the tenant, and no row of another tenant comes out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from sqlalchemy import ColumnElement, Executable, and_, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from store.spans import total_ms, unite
from store.state.state import State
from store.state.tables import (
    ClipRow,
    CoverageRow,
    CurveRow,
    MomentRow,
    RenderRow,
    SessionRow,
    TroubleRow,
)
from store.state.views import (
    ClipView,
    GapView,
    MomentView,
    RenderView,
    SessionDetail,
    SessionView,
    TroubleView,
)

ROWS_MAX = 2000
"""No page shows more rows of one kind."""


async def list_sessions(state: State, tenant_id: str, *, limit: int = 50) -> list[SessionView]:
    """Return the tenant's sessions: the live ones first, each group newest first."""
    query = (
        select(SessionRow)
        .where(SessionRow.tenant_id == tenant_id)
        .order_by(
            (SessionRow.status == "live").desc(),
            SessionRow.started_at_s.desc().nulls_last(),
            SessionRow.id,
        )
        .limit(limit)
    )
    async with state.of(tenant_id).reading() as session:
        rows = (await session.execute(query)).scalars().all()
        return await _views(session, tenant_id, rows)


async def read_session(
    state: State, tenant_id: str, session_id: str, *, curves: bool = True
) -> SessionDetail | None:
    """Return one session with its moments, clips and timeline; None when the tenant has none.

    `curves` False leaves the curves out, by far the largest part of a long session.
    """
    async with state.of(tenant_id).reading() as session:
        row = await session.get(SessionRow, (tenant_id, session_id))
        if row is None:
            return None
        (view,) = await _views(session, tenant_id, [row])
        moments = await _moments(session, tenant_id, session_id)
        clips = await _clips(
            session, and_(ClipRow.tenant_id == tenant_id, ClipRow.session_id == session_id)
        )
        troubles = await session.execute(
            select(TroubleRow)
            .where(TroubleRow.tenant_id == tenant_id, TroubleRow.session_id == session_id)
            .order_by(TroubleRow.media_s, TroubleRow.id)
            .limit(ROWS_MAX)
        )
        return SessionDetail(
            session=view,
            moments=moments,
            clips=clips,
            gaps=await _gaps(session, tenant_id, session_id),
            troubles=[
                TroubleView(media_s=one.media_s, reason=one.reason, detail=one.detail)
                for one in troubles.scalars()
            ],
            curves=await _curves(session, tenant_id, session_id) if curves else {},
        )


async def read_clip(state: State, tenant_id: str, clip_id: str) -> ClipView | None:
    """Return one clip with its renders; None when the tenant has no such clip."""
    async with state.of(tenant_id).reading() as session:
        found = await _clips(session, and_(ClipRow.tenant_id == tenant_id, ClipRow.id == clip_id))
        return found[0] if found else None


async def _views(
    session: AsyncSession, tenant_id: str, rows: Sequence[SessionRow]
) -> list[SessionView]:
    ids = [row.id for row in rows]
    coverage: dict[str, dict[str, float]] = defaultdict(dict)
    for one in (
        await session.execute(
            select(CoverageRow).where(
                CoverageRow.tenant_id == tenant_id, CoverageRow.session_id.in_(ids)
            )
        )
    ).scalars():
        coverage[one.session_id][one.reason] = total_ms(unite(one.spans)) / 1000
    counts = await _counts(session, tenant_id, ids)
    return [_view(row, coverage[row.id], counts[row.id]) for row in rows]


async def _counts(
    session: AsyncSession, tenant_id: str, ids: Sequence[str]
) -> Mapping[str, dict[str, int]]:
    counts: dict[str, dict[str, int]] = defaultdict(dict)
    finished = func.count(func.distinct(RenderRow.clip_id)).filter(RenderRow.status == "finished")
    moments = select(MomentRow.session_id, func.count().label("moments")).where(
        MomentRow.tenant_id == tenant_id,
        MomentRow.session_id.in_(ids),
        MomentRow.kind.is_not(None),
    )
    clips = select(
        ClipRow.session_id,
        func.count().label("clips"),
        func.count().filter(ClipRow.status == "planned").label("clips_open"),
    ).where(ClipRow.tenant_id == tenant_id, ClipRow.session_id.in_(ids))
    renders = select(
        RenderRow.session_id,
        func.count().filter(RenderRow.status.in_(("queued", "rendering"))).label("renders_open"),
        finished.label("clips_ready"),
    ).where(RenderRow.tenant_id == tenant_id, RenderRow.session_id.in_(ids))
    queries: tuple[Executable, ...] = (
        moments.group_by(MomentRow.session_id),
        clips.group_by(ClipRow.session_id),
        renders.group_by(RenderRow.session_id),
    )
    for query in queries:
        for row in (await session.execute(query)).mappings():
            counts[row["session_id"]].update(
                {name: value for name, value in row.items() if name != "session_id"}
            )
    return counts


def _view(row: SessionRow, coverage: Mapping[str, float], counts: Mapping[str, int]) -> SessionView:
    return SessionView(
        id=row.id,
        channel_id=row.channel_id,
        kind=row.kind,
        title=row.title,
        source=row.source,
        status=row.status,
        started_at_s=row.started_at_s,
        heard_at_s=row.heard_at_s,
        duration_s=row.duration_s,
        has_chat=row.has_chat,
        clips_max=row.clips_max,
        reaction_s=row.reaction_s,
        reaction_samples=row.reaction_samples or 0,
        media_s=row.media_s,
        settled_s=row.settled_s,
        settled=row.settled,
        stored_s=coverage.get("stored", 0.0),
        # A muted span is stored all the same.
        missing_s={
            why: span for why, span in sorted(coverage.items()) if why not in ("stored", "muted")
        },
        minutes_claimed=row.minutes_claimed,
        clips_total=row.clips_total,
        moments=counts.get("moments", 0),
        clips=counts.get("clips", 0),
        clips_open=counts.get("clips_open", 0),
        renders_open=counts.get("renders_open", 0),
        clips_ready=counts.get("clips_ready", 0),
    )


async def _moments(session: AsyncSession, tenant_id: str, session_id: str) -> list[MomentView]:
    """Return the newest moments, in media order."""
    rows = await session.execute(
        select(MomentRow)
        .where(
            MomentRow.tenant_id == tenant_id,
            MomentRow.session_id == session_id,
            MomentRow.kind.is_not(None),
        )
        .order_by(MomentRow.peak_s.desc(), MomentRow.id)
        .limit(ROWS_MAX)
    )
    return [
        MomentView(
            id=row.id,
            kind=row.kind or "",
            start_s=row.start_s or 0.0,
            peak_s=row.peak_s or 0.0,
            end_s=row.end_s or 0.0,
            decided_s=row.decided_s or 0.0,
            score=row.score or 0.0,
            evidence=row.evidence,
            status=row.status,
            reason=row.reason,
            clip_id=row.clip_id,
        )
        for row in reversed(rows.scalars().all())
    ]


async def _clips(session: AsyncSession, which: ColumnElement[bool]) -> list[ClipView]:
    """Return clips whose window is known, in media order, with their renders.

    Moments that joined a clip after its plan are told with it.
    """
    clips = (
        await session.execute(
            select(ClipRow)
            .where(which, ClipRow.start_s.is_not(None))
            .order_by(ClipRow.start_s, ClipRow.id)
            .limit(ROWS_MAX)
        )
    ).scalars()
    joined: dict[str, list[MomentRow]] = defaultdict(list)
    moments = await session.execute(
        select(MomentRow)
        .join(
            ClipRow,
            and_(
                MomentRow.tenant_id == ClipRow.tenant_id,
                MomentRow.session_id == ClipRow.session_id,
                MomentRow.clip_id == ClipRow.id,
            ),
        )
        .where(which, MomentRow.kind.is_not(None))
        .order_by(MomentRow.peak_s, MomentRow.kind, MomentRow.id)
        .limit(ROWS_MAX * 4)
    )
    for moment in moments.scalars():
        joined[moment.clip_id or ""].append(moment)
    renders: dict[str, list[RenderView]] = defaultdict(list)
    found = await session.execute(
        select(RenderRow)
        .join(
            ClipRow,
            and_(RenderRow.tenant_id == ClipRow.tenant_id, RenderRow.clip_id == ClipRow.id),
        )
        .where(which)
        .order_by(RenderRow.layout.desc(), RenderRow.id)
        .limit(ROWS_MAX * 4)
    )
    for row in found.scalars():
        renders[row.clip_id].append(_render(row))
    return [_clip(row, joined[row.id], renders[row.id]) for row in clips]


def _clip(row: ClipRow, moments: Sequence[MomentRow], renders: Sequence[RenderView]) -> ClipView:
    joined = [moment for moment in moments if moment.id not in row.moment_ids]
    return ClipView(
        id=row.id,
        session_id=row.session_id,
        status=row.status,
        start_s=row.start_s or 0.0,
        peak_s=row.peak_s or 0.0,
        end_s=row.end_s or 0.0,
        score=row.score or 0.0,
        kinds=sorted({*row.kinds, *(moment.kind or "" for moment in joined)}),
        evidence=[*row.evidence, *({"kind": one.kind, **one.evidence} for one in joined)],
        title=row.title,
        source_key=row.source_key,
        gap_s=row.gap_s,
        reason=row.reason,
        detail=row.detail,
        renders=renders,
        twitch_status=row.twitch_status,
        twitch_url=row.twitch_url,
        twitch_reason=row.twitch_reason,
    )


def _render(row: RenderRow) -> RenderView:
    return RenderView(
        id=row.id,
        clip_id=row.clip_id,
        layout=row.layout,
        status=row.status,
        percent=row.percent,
        output_key=row.output_key,
        thumbnail_key=row.thumbnail_key,
        captions_key=row.captions_key,
        width=row.width,
        height=row.height,
        duration_s=row.duration_s,
        size_bytes=row.size_bytes,
        loudness_lufs=row.loudness_lufs,
        notes=row.notes,
        reason=row.reason,
        detail=row.detail,
    )


async def _gaps(session: AsyncSession, tenant_id: str, session_id: str) -> list[GapView]:
    rows = await session.execute(
        select(CoverageRow).where(
            CoverageRow.tenant_id == tenant_id,
            CoverageRow.session_id == session_id,
            CoverageRow.reason != "stored",
        )
    )
    gaps = [
        GapView(start_s=start / 1000, end_s=end / 1000, reason=row.reason)
        for row in rows.scalars()
        for start, end in row.spans
    ]
    return sorted(gaps, key=lambda gap: gap.start_s)[:ROWS_MAX]


async def _curves(
    session: AsyncSession, tenant_id: str, session_id: str
) -> dict[str, list[float | None]]:
    rows = await session.execute(
        select(CurveRow.name, CurveRow.minute, CurveRow.values)
        .where(CurveRow.tenant_id == tenant_id, CurveRow.session_id == session_id)
        .order_by(CurveRow.name, CurveRow.minute.desc())
        .limit(ROWS_MAX * 4)
    )
    curves: dict[str, list[float | None]] = {}
    for name, minute, values in rows:
        # The last minute of each curve comes first, so its length is known at once.
        curve = curves.setdefault(name, [None] * ((minute + 1) * 60))
        curve[minute * 60 : (minute + 1) * 60] = values or [None] * 60
    return curves
