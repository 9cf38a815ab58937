"""A live stream on the worst day of its life, and the chat beside it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from ops.demo.live_stream import Asked, Reply

SEGMENT_S = 2.0
PLAYLIST_BYTES_MAX = 20_000

CUT, GONE, PAGE, SLOW = 3, 6, 9, 12
"""Numbers of the segments that are spoiled for good."""
AD = range(40, 44)
AD_S = (AD.start * SEGMENT_S, AD.stop * SEGMENT_S)
BEFORE_AD_S, BEHIND_AD_S = 66.0, 89.0
"""Chat reacts here: an ad lies inside the usual window of both clips."""

_SPOILED_FROM_S = 40.0
_FROZEN_FROM_S = 110.0
_FROZEN_ASKS = 5
_LAST = 69
"""Number of the last segment before the origin goes away."""
_AWAY_ASKS = 6
_AWAY_S = 60.0
_LOWER = 80
"""How far the media sequence falls when the origin is back."""
_ON_AIR_AGAIN_S = 20.0


class Clock:
    """A stream's own Unix time: runs faster than real time, leaps, and waits for who is slow.

    Between two looks it advances `STEP_MAX_S` at most, so a machine that takes long to start a
    command or to answer sees the same stream: all is asked for before it leaves the playlist.
    """

    STEP_MAX_S = 6.0

    def __init__(self, speed: float) -> None:
        self._at_s = time.time()
        self._speed = speed
        self._since_s: float | None = None

    def __call__(self) -> float:
        if self._since_s is not None:
            now_s = time.monotonic()
            self._at_s += min((now_s - self._since_s) * self._speed, self.STEP_MAX_S)
            self._since_s = now_s
        return self._at_s

    def start(self) -> None:
        if self._since_s is None:
            self._since_s = time.monotonic()

    def stand(self) -> None:
        self._at_s, self._since_s = self(), None

    def leap(self, seconds: float) -> None:
        self._at_s += seconds


@dataclass
class BadDay:
    """Spoils a stream by what is asked, so that a slow machine sees the same day."""

    clock: Clock
    began_s: float = 0.0
    playlists: list[tuple[str, Callable[[Reply], Reply]]] = field(
        default_factory=lambda: [
            ("500", lambda reply: replace(reply, status=500)),
            ("HTML", lambda reply: replace(reply, body=b"<html>502 Bad Gateway</html>")),
            ("empty", lambda reply: replace(reply, body=b"")),
            ("404", lambda reply: replace(reply, status=404)),
            ("oversized", lambda reply: replace(reply, body=reply.body + b"#" * 30_000)),
        ]
    )
    seen: set[str] = field(default_factory=set)
    """What has been met."""
    _frozen: list[bytes] = field(default_factory=list)
    _newest: int = -1
    """Highest number of a segment that was asked for."""
    _away_asks: int = 0
    _back_s: float | None = None

    def __call__(self, asked: Asked, reply: Reply, now_s: float) -> Reply | None:
        self.clock.start()
        t_s = now_s - self.began_s
        if asked.kind == "segment":
            self._newest = max(self._newest, asked.number)
            return _segment(asked.number, reply)
        if self._is_away():
            self._away_asks += 1
            if self._away_asks == _AWAY_ASKS:
                self.clock.leap(_AWAY_S)
                self._back_s = t_s + _AWAY_S
                self.seen.add("away")
            return None
        if asked.kind != "playlist":
            return reply
        return self._playlist(replace(reply, body=self._text(reply, t_s)), t_s)

    def _is_away(self) -> bool:
        """Whether the origin is away: it goes once everything that it has listed is asked for."""
        return self._newest >= _LAST and self._back_s is None

    def _playlist(self, reply: Reply, t_s: float) -> Reply:
        if t_s >= _SPOILED_FROM_S and self.playlists:
            name, change = self.playlists.pop(0)
            self.seen.add(name)
            return change(reply)
        if t_s >= _FROZEN_FROM_S and len(self._frozen) < _FROZEN_ASKS:
            self._frozen.append(reply.body)
            self.seen.add("frozen")
            return replace(reply, body=self._frozen[0])
        return reply

    def _text(self, reply: Reply, t_s: float) -> bytes:
        text = with_ad(reply.body.decode())
        if self._back_s is None:
            text = until_last(text)
        else:
            head, _, rest = text.partition("#EXT-X-MEDIA-SEQUENCE:")
            number, _, tail = rest.partition("\n")
            text = f"{head}#EXT-X-MEDIA-SEQUENCE:{int(number) - _LOWER}\n{tail}"
            if t_s >= self._back_s + _ON_AIR_AGAIN_S:
                text += "#EXT-X-ENDLIST\n"
        return text.encode()


def _segment(number: int, reply: Reply) -> Reply:
    match number:
        case _ if number == CUT:
            return replace(reply, cut=1000)
        case _ if number == GONE:
            return replace(reply, status=404)
        case _ if number == PAGE:
            return replace(reply, body=b"<html>please log in</html>", content_type="text/html")
        case _ if number == SLOW:
            return replace(reply, delay_s=20.0)
    return reply


def with_ad(text: str) -> str:
    """Mark the ad's segments in a playlist as their platform does."""
    lines: list[str] = []
    for line in text.splitlines():
        if number_of(line) in AD:
            lines[-1] = f"#EXTINF:{SEGMENT_S:.3f},Amazon|2474283100494"
        lines.append(line)
    return "\n".join(lines) + "\n"


def until_last(text: str) -> str:
    """Leave out of a playlist what comes behind the last segment before the outage."""
    lines: list[str] = []
    kept = 0
    for line in text.splitlines():
        lines.append(line)
        number = number_of(line)
        if number is not None:
            if number > _LAST:
                break
            kept = len(lines)
    else:
        kept = len(lines)
    return "\n".join(lines[:kept]) + "\n"


def number_of(line: str) -> int | None:
    """Return the number of the segment whose URI this line of a playlist is."""
    number = line.removeprefix("segments/").removesuffix(".ts")
    return int(number) if number.isdigit() else None


def ending(
    clock: Clock, at_s: float, began_s: Callable[[], float]
) -> Callable[[Asked, Reply, float], Reply | None]:
    """Start the clock when somebody asks, and end the stream this long after it began."""

    def spoil(asked: Asked, reply: Reply, now_s: float) -> Reply | None:
        clock.start()
        if asked.kind != "playlist" or now_s - began_s() < at_s:
            return reply
        return replace(reply, body=reply.body + b"#EXT-X-ENDLIST\n")

    return spoil


def write_chat(path: Path, began_s: float, seconds: float, bursts_s: tuple[float, ...]) -> None:
    """Write calm chat with bursts, by the time at which each line is sent."""
    lines = [
        (float(t), {"user": f"viewer{t % 5}", "text": f"talk {t}"})
        for t in range(0, int(seconds), 3)
    ]
    lines += [
        (at_s + n * 0.12, {"user": f"fan{n}", "text": ("OMG", "clip that", "LUL")[n % 3]})
        for at_s in bursts_s
        for n in range(30)
    ]
    lines.sort(key=lambda line: line[0])
    path.write_text(
        "".join(
            json.dumps({"sent_ms": (began_s + t) * 1000, "t_s": t, **line}) + "\n"
            for t, line in lines
        )
    )
