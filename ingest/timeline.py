"""Puts what was read or lost onto the session's media clock, under numbers of its own.

Law: (epoch, seq) never repeats. A hole in the dates begins a new epoch, and the gap that fills it
takes the number before the segment that follows.
"""

from __future__ import annotations

from bus.events import MissingReason, SourceRef
from ingest.clock import MediaClock
from ingest.continuity import Continuity, Probe
from ingest.cursor import Lost
from ingest.segment import Segment
from ingest.source import Notice, Pulled, Resume, SourceGap, SourceSegment

_EMPTY_S = 0.001


class Timeline:
    """Folds steps, in order, into spans without a hole."""

    def __init__(self, resume: Resume | None) -> None:
        if resume is None:
            self._clock, self._continuity, self._epoch = MediaClock(), Continuity(), 0
        else:
            dated = resume.pdt_s is not None and resume.media_s is not None
            zero_s = resume.pdt_s - resume.media_s if dated else None  # type: ignore[operator] # checked by `dated`
            self._clock = MediaClock(zero_s, resume.media_end_s)
            self._continuity = Continuity(resume.disc, resume.media_s, resume.pts_s)
            self._epoch = resume.epoch

    @property
    def end_s(self) -> float:
        """Media time up to which everything is told."""
        return self._clock.end_s

    def stored(
        self,
        listed: Segment,
        probe: Probe,
        body: bytes,
        init: bytes | None,
        source_ref: SourceRef | None,
    ) -> list[Pulled]:
        """Place a segment that was read whole."""
        told, media_s = self._place(listed)
        disc, pts_s = self._continuity.step(media_s, listed.discontinuity, probe)
        told.append(
            SourceSegment(
                epoch=self._epoch,
                seq=listed.seq,
                disc=disc,
                media_s=media_s,
                duration_s=listed.duration_s,
                pts_s=pts_s,
                pdt_s=listed.pdt_s,
                container=probe.container,
                body=body,
                init=init,
                source_ref=source_ref,
                muted=listed.muted,
            )
        )
        return told

    def failed(self, listed: Segment, reason: MissingReason, detail: str) -> list[Pulled]:
        """Place a listed segment that could not be read, or must not be."""
        told, media_s = self._place(listed)
        told.append(
            SourceGap(
                epoch=self._epoch,
                seq=listed.seq,
                media_s=media_s,
                duration_s=listed.duration_s,
                reason=reason,
                detail=detail,
            )
        )
        return told

    def lost(self, step: Lost) -> list[Pulled]:
        """Place a run of segments that was never listed."""
        if step.restart:
            self._epoch += 1
        span_s = self._clock.span_until(step.until_pdt_s)
        duration_s = step.duration_s if span_s is None else span_s
        if duration_s < _EMPTY_S:
            return []
        return [self._gap(step.seq, duration_s, step.reason, step.detail)]

    def _place(self, listed: Segment) -> tuple[list[Pulled], float]:
        place = self._clock.place(listed.pdt_s, listed.duration_s)
        told: list[Pulled] = []
        if place.jumped:
            told.append(
                Notice(
                    reason="clock_jump",
                    detail="the stream's dates jumped; chat may lie beside the picture",
                    media_s=place.media_s,
                )
            )
        if place.hole_s > 0:
            self._epoch += 1
            told.append(
                SourceGap(
                    epoch=self._epoch,
                    seq=listed.seq - 1,
                    media_s=place.media_s - place.hole_s,
                    duration_s=place.hole_s,
                    reason="missing",
                    detail="the stream's dates leave a hole",
                )
            )
        return told, place.media_s

    def _gap(self, seq: int, duration_s: float, reason: MissingReason, detail: str) -> SourceGap:
        return SourceGap(
            epoch=self._epoch,
            seq=seq,
            media_s=self._clock.skip(duration_s),
            duration_s=duration_s,
            reason=reason,
            detail=detail,
        )
