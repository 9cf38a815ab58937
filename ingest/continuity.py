"""Which segments can be played on as one: timestamps run on and parameters stay.

Law: the bytes decide. A tag whose segment runs on all the same is no discontinuity; a jump or a
change of parameters is one, tagged or not.
"""

from __future__ import annotations

from dataclasses import dataclass

from bus.events import Container
from ingest.clock import unwrap

_TOLERANCE_S = 1.0
_TAGGED_TOLERANCE_S = 0.1


@dataclass(frozen=True, kw_only=True, slots=True)
class Probe:
    """What a segment's bytes say about themselves."""

    container: Container
    pts_s: float | None
    """First presentation timestamp, of the picture when there is one."""
    duration_s: float | None
    """Reckoned from timestamps; None when there are too few."""
    signature: bytes
    """Equal for segments that one decoder can take one after the other."""
    has_video: bool | None
    has_audio: bool | None


class Continuity:
    """Counts discontinuities and unwraps timestamps."""

    def __init__(
        self, disc: int = 0, media_s: float | None = None, pts_s: float | None = None
    ) -> None:
        """Begin anew, or behind a segment at `media_s` whose unwrapped timestamp was `pts_s`."""
        self.disc = disc
        self._media_s = media_s
        self._pts_s = pts_s
        self._signature: bytes | None = None
        self._any = media_s is not None

    def step(self, media_s: float, tagged: bool, probe: Probe) -> tuple[int, float | None]:
        """Return the next segment's discontinuity number and unwrapped first timestamp."""
        pts_s = probe.pts_s
        breaks = self._signature is not None and probe.signature != self._signature
        if pts_s is not None and self._pts_s is not None and self._media_s is not None:
            expected_s = self._pts_s + (media_s - self._media_s)
            if probe.container == "ts":
                pts_s = unwrap(pts_s, expected_s)
            tolerance_s = _TAGGED_TOLERANCE_S if tagged else _TOLERANCE_S
            breaks = breaks or abs(pts_s - expected_s) > tolerance_s
        else:
            breaks = breaks or tagged
        if breaks and self._any:
            self.disc += 1
            pts_s = probe.pts_s
        self._any = True
        self._media_s, self._pts_s, self._signature = media_s, pts_s, probe.signature
        return self.disc, pts_s
