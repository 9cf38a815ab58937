"""Makes a clip's source cut from its media.

Law: the cut's timeline begins with its first shown picture (with its first sound, when there is no
picture): `in_s` and `out_s` are seconds from there. `in_s` is exactly when the clip's first picture
is shown, `out_s` exactly when the first picture behind the clip is shown, or would be. Sound keeps
its distance to the pictures. Pictures are copied; where the codec's parameters change inside the
clip, or MP4 cannot hold the codec, the exact clip is encoded, with `in_s` zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import av
from av.video.codeccontext import VideoCodecContext

from bus.events import Word
from clipper.errors import CutFailed
from clipper.groups import Chosen, Picture, choose_pictures, frame_rate
from clipper.material import Material
from clipper.mux import copyable, same_codecs, write_copy
from clipper.parts import Part, seconds, take_apart
from clipper.reencode import size_of, write_encoded
from clipper.settings import CutSettings
from clipper.splice import Splice, splice

_LATE_S = 0.1
_SHORTEST_S = 0.5
_PROOF_PACKETS = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class Made:
    """A source cut that lies in a file; fields as in ClipCut."""

    in_s: float
    out_s: float
    start_s: float
    end_s: float
    gap_s: float
    width: int
    height: int
    fps: float
    has_audio: bool
    words: tuple[Word, ...]
    encoded: bool


class NeedsEarlier(Exception):
    """The key frame that the first picture needs stands before the media in hand."""


def make_cut(
    materials: Sequence[Material],
    start_s: float,
    end_s: float,
    words: Sequence[Word],
    path: Path,
    settings: CutSettings,
    *,
    has_earlier: bool,
) -> Made:
    """Write the cut of media time [start_s, end_s) to `path`.

    Args:
        materials: runs of media in order.
        words: on the media clock.
        has_earlier: there is media before the first run that can be read as well.

    Raises:
        NeedsEarlier: call again with more media before the clip.
        CutFailed: it cannot be cut, and why.
    """
    parts: list[Part] = []
    try:
        for material in materials:
            parts += take_apart(material, start_s, end_s)
        joined = _joined(parts, start_s, end_s)
        first = joined.stretches[0]
        if has_earlier and first.media_in_s - start_s > _LATE_S and first.part is parts[0]:
            raise NeedsEarlier
        _refuse(joined, settings)
        return _write(joined, words, path, settings)
    finally:
        for part in parts:
            part.container.close()


def _joined(parts: Sequence[Part], start_s: float, end_s: float) -> Splice:
    chosen = []
    for part, following in zip(parts, [*parts[1:], None], strict=True):
        if part.empty:
            continue
        until_s = end_s
        if following is not None and following.anchors is not part.anchors:
            until_s = min(end_s, following.anchors[0][0])
        choice = _choose(part, start_s, until_s)
        if choice is not None:
            chosen.append((part, choice))
    if not chosen:
        raise CutFailed("source_gone", "no picture or sound of the clip is left")
    return splice(chosen, start_s, end_s)


def _choose(part: Part, start_s: float, end_s: float) -> Chosen | None:
    packets = part.video_packets if part.video is not None else part.audio_packets
    pictures = [
        Picture(seconds(each, each.pts), seconds(each, each.dts), bool(each.is_keyframe))
        for each in packets
    ]
    return choose_pictures(pictures, part.to_container(start_s), part.to_container(end_s))


def _refuse(joined: Splice, settings: CutSettings) -> None:
    if joined.gap_s > settings.gap_max_s:
        raise CutFailed(
            "gap", f"{joined.gap_s:.1f} s of the clip are missing ({settings.gap_max_s} s allowed)"
        )
    if joined.out_s - joined.in_s < _SHORTEST_S:
        raise CutFailed("too_short", f"only {joined.out_s - joined.in_s:.2f} s of media are there")


def _write(joined: Splice, words: Sequence[Word], path: Path, settings: CutSettings) -> Made:
    parts = [each.part for each in joined.stretches]
    alike = all(same_codecs(one, other) for one, other in pairwise(parts))
    encoded = not alike or not all(copyable(part) for part in parts)
    width, height, fps = 0, 0, 0.0
    first = joined.stretches[0]
    if first.part.video is not None:
        _prove(first.part, first.chosen)
        width, height = size_of(joined.stretches)
        shown = sorted(
            seconds(first.part.video_packets[at], first.part.video_packets[at].pts)
            for at in first.chosen.kept
        )
        fps = frame_rate(shown)
    made = Made(
        in_s=0.0 if encoded else round(joined.in_s, 6),
        out_s=round(_shown_s(joined) if encoded else joined.out_s, 6),
        start_s=round(first.media_in_s, 6),
        end_s=round(joined.stretches[-1].media_out_s, 6),
        gap_s=joined.gap_s,
        width=width,
        height=height,
        fps=fps,
        has_audio=any(part.audio is not None and part.audio_packets for part in parts),
        words=tuple(joined.words(words)),
        encoded=encoded,
    )
    if encoded:
        write_encoded(joined.stretches, path, settings)
    else:
        write_copy(joined.stretches, path)
    return made


def _shown_s(joined: Splice) -> float:
    return sum(each.chosen.out_s - each.chosen.in_s for each in joined.stretches)


def _prove(part: Part, chosen: Chosen) -> None:
    """Decode the cut's first picture.

    Raises:
        CutFailed: `undecodable` when there is no picture in it.
    """
    assert part.video is not None
    source = part.video.codec_context
    context = av.CodecContext.create(source.codec.name, "r")
    assert isinstance(context, VideoCodecContext)
    context.extradata = source.extradata
    # An open group's key frame may come out of the decoder only with those that follow it.
    kept = [part.video_packets[at] for at in chosen.kept[:_PROOF_PACKETS]]
    with suppress(av.FFmpegError):
        for packet in [*kept, None]:
            if context.decode(packet):
                return
    raise CutFailed("undecodable", f"the first picture cannot be decoded ({source.codec.name})")
