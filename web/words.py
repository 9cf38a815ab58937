"""How times, reasons and evidence read to a person."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import PurePath
from typing import Any
from urllib.parse import urlsplit

KINDS = {
    "chat_spike": "chat burst",
    "clip_command": "viewers asked",
    "spoken_phrase": "clip that, said",
    "excitement": "loud and excited",
    "lively": "lively stretch",
}

_LAYOUTS = {
    "vertical_blur": "vertical",
    "vertical_crop": "vertical",
    "landscape": "landscape",
}

_SESSION_KINDS = {"live": "live stream", "vod": "VOD", "file": "file"}

_STATUSES = {
    "live": "watching",
    "ended": "ended",
    "stopped": "stopped by you",
    "lost": "lost: the stream did not come back",
}

_GAPS = {
    "ad": "ads",
    "missing": "missing at the source",
    "late": "gone before it could be read",
    "corrupt": "damaged",
    "outage": "outage of the source",
    "muted": "muted by the platform",
}

_TROUBLES = {
    "stalled": "the stream stands still",
    "clock_jump": "the stream's clock has jumped",
    "file_gone": "the file is not there any more",
    "segment_too_large": "a piece was too large to keep",
    "unsupported_codec": "a part of it is in a form that cannot be read",
    "audio_only": "there is no picture",
    "no_audio": "there is no sound",
    "encrypted": "the stream is encrypted in a way that cannot be read",
    "chat_lost": "chat is not connected",
    "reconnect_twitch": "reconnect Twitch: its chat is read anonymously",
    "chat_refused": "the platform does not give this VOD's chat",
    "muted": "a part has no sound: the platform has muted it",
    "vod_growing": "the broadcast still runs",
    "vod_gone": "the VOD cannot be read any further",
}

_LOADS = ("overloaded", "caught_up")
"""Troubles of the machine's own; their detail says all that there is to say."""

_FAILURES = {
    "gap": "too much of it is missing",
    "source_gone": "the source has let it go",
    "undecodable": "it cannot be decoded",
    "too_short": "it is too short",
}


_TWITCH_FAILURES = {
    "late": "the moment was too long ago when it was asked for",
    "offline": "Twitch says that the channel is offline",
    "refused": "Twitch does not let this channel be clipped",
    "reconnect": "Twitch must be reconnected",
    "scope": "making clips is not allowed yet: connect Twitch again",
    "busy": "Twitch had too much to do",
    "not_there": "Twitch took the order, but the clip did not appear",
    "unavailable": "Twitch could not be reached",
}


def twitch_failure_text(reason: str) -> str:
    """Say why there is no clip on Twitch; empty for no reason."""
    return _TWITCH_FAILURES.get(reason, reason)


def clock_text(seconds: float) -> str:
    """Return `1:02:03` or `2:03` for a media time."""
    minutes, second = divmod(max(0, int(seconds)), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"


def span_text(seconds: float) -> str:
    """Return a length: `0.4 s`, `12 s`, `3 min 5 s`, `2 h 1 min`."""
    if seconds < 9.95:
        return f"{seconds:.1f}".rstrip("0").rstrip(".") + " s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, second = divmod(whole, 60)
    hours, minute = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minute} min" if minute else f"{hours} h"
    return f"{minute} min {second} s" if second else f"{minute} min"


def reaction_text(delay_s: float | None, samples: int) -> str:
    """Return how long chat takes to answer, and where that is known from."""
    if delay_s is None:
        return "A usual delay is assumed until chat has answered often enough."
    if samples == 0:
        return f"Chat answers after {delay_s:.1f} s, known from sessions before."
    answers = "1 answer" if samples == 1 else f"{samples} answers"
    return f"Chat answers after {delay_s:.1f} s, learned from {answers}."


def score_text(score: float) -> str:
    """Return a score from 0 to 1 as a whole number out of 100."""
    return str(round(min(1.0, max(0.0, score)) * 100))


def kind_text(kind: str) -> str:
    """Return a detector's name in plain words."""
    return KINDS.get(kind, kind.replace("_", " "))


def layout_text(layout: str) -> str:
    """Return what an output is called on the page."""
    return _LAYOUTS.get(layout, layout.replace("_", " "))


def place_text(source: str) -> str:
    """Return where a session's media comes from: a channel, a file's name, an address.

    What follows a `?` in an address may be a secret, and is left out.
    """
    if "://" in source:
        address = urlsplit(source)
        return f"{address.hostname or ''}{address.path}"
    return source if source.startswith("twitch.tv/") else PurePath(source).name


def session_kind_text(kind: str | None) -> str:
    """Return what a session is."""
    return _SESSION_KINDS.get(kind or "", "session")


def status_text(status: str, done: bool) -> str:
    """Return how a session stands."""
    if status == "ended":
        return "finished" if done else "making clips"
    return _STATUSES.get(status, status)


def gap_text(reason: str) -> str:
    """Return why media is missing."""
    return _GAPS.get(reason, reason.replace("_", " "))


def trouble_text(reason: str) -> str:
    """Return what makes a session worse than it should be."""
    return _TROUBLES.get(reason, reason.replace("_", " "))


def trouble_sentence(reason: str, detail: str) -> str:
    """Return what makes a session worse than it should be, with what is known about it."""
    if is_load(reason) and detail:
        return detail[0].upper() + detail[1:]
    return f"{trouble_text(reason)} ({detail})" if detail else trouble_text(reason)


def is_load(reason: str) -> bool:
    """Say whether a trouble is that this machine cannot keep up, or could not."""
    return reason in _LOADS


def failure_text(reason: str) -> str:
    """Return why a clip or an output could not be made."""
    return _FAILURES.get(reason, reason.replace("_", " "))


def evidence_text(evidence: Mapping[str, Any], kind: str = "") -> str:
    """Return one moment's evidence in plain words: `chat ×8 · 31 people · “no way”`."""
    kind = str(evidence.get("kind") or kind)
    tell = _TELLERS.get(kind, _anything)
    parts = [part for part in tell({**evidence, "kind": kind}) if part]
    return " · ".join(parts) or kind_text(kind)


def all_evidence(evidence: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return a line for each moment of a clip; the same line stands once."""
    return list(dict.fromkeys(evidence_text(one) for one in evidence))


def _chat(evidence: Mapping[str, Any]) -> list[str]:
    times = evidence.get("times")
    sample = evidence.get("sample")
    return [
        f"chat {times}" if times not in (None, "", "×1") else "chat faster than usual",
        _count(evidence.get("chatters"), "person", "people"),
        f"“{sample}”" if sample else "",
    ]


def _commands(evidence: Mapping[str, Any]) -> list[str]:
    said = evidence.get("text") or "clip that"
    viewers = evidence.get("viewers", 1)
    return [f"{_count(viewers, 'viewer', 'viewers') or 'viewers'} typed “{said}”"]


def _phrase(evidence: Mapping[str, Any]) -> list[str]:
    return [f"“{evidence.get('phrase') or 'clip that'}” was said"]


def _excitement(evidence: Mapping[str, Any]) -> list[str]:
    rise, loud = evidence.get("rise_db"), evidence.get("loud_s")
    return [
        f"{rise:.0f} dB louder than usual" if isinstance(rise, int | float) else "",
        f"for {span_text(loud)}" if isinstance(loud, int | float) else "",
    ]


def _lively(evidence: Mapping[str, Any]) -> list[str]:
    rise = evidence.get("rise_db")
    if isinstance(rise, int | float) and round(rise) >= 1:
        return [f"livelier than the rest, {rise:.0f} dB louder"]
    return ["the liveliest stretch"]


def _anything(evidence: Mapping[str, Any]) -> list[str]:
    told = [
        f"{name.replace('_', ' ')} {_number(value)}"
        for name, value in evidence.items()
        if name != "kind" and value not in ("", None)
    ]
    kind = str(evidence["kind"])
    return [kind_text(kind) if kind else "", *told[:4]]


def _count(value: Any, one: str, many: str) -> str:
    if not isinstance(value, int | float) or value <= 0:
        return ""
    return f"{value:.0f} {one if round(value) == 1 else many}"


def _number(value: Any) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


_TELLERS = {
    "chat_spike": _chat,
    "clip_command": _commands,
    "spoken_phrase": _phrase,
    "excitement": _excitement,
    "lively": _lively,
}
