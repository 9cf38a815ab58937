"""Looks at a segment's bytes before anybody relies on them."""

from __future__ import annotations

from ingest.continuity import Probe
from ingest.errors import AccessDenied, BadSegment
from ingest.fmp4 import looks_like_mp4, probe_fmp4
from ingest.ts import probe_ts

_ERROR_BYTES = 1000
_SHORT_SHARE = 0.5
_SHORT_SLACK_S = 0.5


def probe_segment(body: bytes, init: bytes | None, listed_s: float) -> Probe:
    """Tell what the segment is, and that it is whole.

    Args:
        body: the segment, decrypted.
        init: its init section, when its playlist names one.
        listed_s: the duration that its playlist announced.

    Raises:
        AccessDenied: it is an object store's refusal.
        BadSegment: it is empty, an error page, of another kind, or far shorter than announced.
    """
    if not body:
        raise BadSegment("the segment is empty")
    if body[:3] == b"ID3" or (body[0] == 0xFF and body[1:2] >= b"\xf0"):
        raise BadSegment("the segment is packed audio, which cannot be read")
    if looks_like_mp4(body):
        try:
            probe = probe_fmp4(body, init)
        except IndexError as error:
            raise BadSegment("a box of the segment is cut short") from error
    else:
        if body[:1] == b"<" and b"<Code>AccessDenied</Code>" in body[:_ERROR_BYTES]:
            raise AccessDenied("the segment's place denies access")
        if body[:1] == b"<":
            raise BadSegment("the segment is an error page")
        probe = probe_ts(body)
    if probe.duration_s is not None and probe.duration_s < listed_s * _SHORT_SHARE - _SHORT_SLACK_S:
        raise BadSegment(f"the segment holds {probe.duration_s:.2f} s of {listed_s:.2f} s")
    return probe
