"""Moments and losses as lines of a terminal. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from bus.events import MomentDetected, ReactionLearned
from web.words import clock_text, evidence_text, gap_text, kind_text, span_text


def moment_text(moment: MomentDetected) -> str:
    """Return one line about a moment."""
    return (
        f"{clock_text(moment.peak_s):>8}  {kind_text(moment.kind):<16}  {moment.score:.2f}  "
        f"{evidence_text(moment.evidence, moment.kind)}"
    )


def missing_text(missing: Mapping[str, float]) -> str:
    """Return what was lost, such as `12 s ads, 4 s damaged`; empty when nothing was."""
    return ", ".join(
        f"{span_text(seconds)} {gap_text(reason)}" for reason, seconds in sorted(missing.items())
    )


def reaction_row(learned: ReactionLearned | None) -> dict[str, float | int] | None:
    """Return how long chat takes to answer, for JSON; None while that is assumed."""
    if learned is None:
        return None
    return {
        "delay_s": learned.delay_s,
        "spread_s": learned.spread_s,
        "samples": learned.samples,
    }
