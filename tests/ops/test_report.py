"""A run that ends without a clip says why, and says what is true."""

from __future__ import annotations

from bus.events import MomentDetected, SessionStarted
from ops.commands.report import why_no_clip
from ops.outcome import SessionOutcome

WHO = {"tenant_id": "t", "channel_id": "c", "session_id": "s"}


def outcome(
    clips_max: int | None, *moments: MomentDetected, has_chat: bool = False
) -> SessionOutcome:
    session = SessionOutcome("s", ())
    kind = "live" if clips_max is None else "file"
    started = SessionStarted(
        **WHO, kind=kind, title="", source="", clips_max=clips_max, has_chat=has_chat
    )
    session.feed(started)
    for each in moments:
        session.feed(each)
    return session


def test_moments_that_were_seen_are_spoken_of() -> None:
    seen = MomentDetected(
        **WHO, kind="excitement", start_s=1, peak_s=2, end_s=3, decided_s=4, score=0.1
    )
    assert "No moment was strong enough" in why_no_clip(outcome(5, seen))


def test_a_recording_without_sound_is_told_from_a_quiet_stream() -> None:
    assert "no sound" in why_no_clip(outcome(5))
    assert "sound" not in why_no_clip(outcome(None))
    assert "No moment was seen" in why_no_clip(outcome(None))


def test_chat_that_was_read_is_not_asked_for() -> None:
    weak = MomentDetected(
        **WHO, kind="excitement", start_s=1, peak_s=2, end_s=3, decided_s=4, score=0.1
    )
    for clips_max, moments in ((None, ()), (None, (weak,)), (5, ()), (5, (weak,))):
        assert "--chat" in why_no_clip(outcome(clips_max, *moments))
        assert "--chat" not in why_no_clip(outcome(clips_max, *moments, has_chat=True))
    assert "longer" in why_no_clip(outcome(None, has_chat=True))
