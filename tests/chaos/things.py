"""Looks at the files and rows that a run has left: whole, as they were told, and each once.

Law: every clip and output is decoded from its first packet to its last; a size in a row is no
proof.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import av

from bus.events import ClipCut, MomentDetected, RenderFinished, RenderQueued
from store.errors import ObjectMissing
from store.objects import Objects
from store.state.queries import list_sessions, read_session
from store.state.state import State
from store.state.views import SessionDetail
from tests.chaos.checks import Count, told, zero
from tests.chaos.truth import Truth
from tests.chaos.witness import digest

_LATE_S = 0.2
"""A file may end this much before it is told to: the last picture's own length, and AAC's frame."""


async def check_objects(
    truth: Truth, objects: Objects, digests: Mapping[str, set[str]]
) -> list[Count]:
    """Decode every clip and every output, and hold them against what the log tells.

    Args:
        truth: the log.
        objects: where they lie.
        digests: checksums of what workers have stored, by key.
    """
    cuts = truth.of(ClipCut)
    broken = [
        wrong
        for cut in cuts
        if (wrong := await _broken(objects, cut.source_key, cut.out_s, None, digests))
    ]
    ring = [info.key for info in await objects.list("") if "/ring/" in info.key]
    return [
        told("cuts decoded whole", len(cuts) - len(broken)),
        zero("cuts that are not whole", broken),
        *await check_outputs(truth, objects, digests),
        told("seconds of cuts that are told gaps", sum(cut.gap_s for cut in cuts)),
        told("ring objects left over", len(ring)),
    ]


async def check_outputs(
    truth: Truth, objects: Objects, digests: Mapping[str, set[str]]
) -> list[Count]:
    """Decode every output, and hold it against what the log tells."""
    outputs = truth.of(RenderFinished)
    broken = []
    for out in outputs:
        wrong = await _broken(objects, out.output_key, out.duration_s, out.size_bytes, digests)
        broken += [wrong] if wrong else []
    return [
        told("outputs decoded whole", len(outputs) - len(broken)),
        zero("outputs that are not whole", broken),
    ]


async def _broken(
    objects: Objects, key: str, until_s: float, size: int | None, digests: Mapping[str, set[str]]
) -> str:
    try:
        data = await objects.get(key)
    except ObjectMissing:
        return f"{key}: not there"
    if size is not None and len(data) != size:
        return f"{key}: {len(data)} bytes, told {size}"
    if digest(data) not in digests.get(key, set()):
        return f"{key}: not the bytes that a worker has stored"
    return await asyncio.to_thread(_decode, key, data, until_s)


def _decode(key: str, data: bytes, until_s: float) -> str:
    with tempfile.NamedTemporaryFile(suffix=".mp4") as file:
        file.write(data)
        file.flush()
        ends: dict[str, float] = defaultdict(float)
        try:
            with av.open(file.name) as container:
                for frame in container.decode():
                    if isinstance(frame, av.VideoFrame | av.AudioFrame) and frame.time is not None:
                        kind = type(frame).__name__
                        ends[kind] = max(ends[kind], frame.time)
        except av.FFmpegError as error:
            return f"{Path(key).name} of {key}: {error}"
    if not ends or min(ends.values()) < until_s - _LATE_S:
        return f"{key}: ends at {dict(ends)}, told {until_s:.2f} s"
    return ""


async def check_rows(truth: Truth, state: State, tenant_id: str) -> list[Count]:
    """Hold the rows that the pages show against the log."""
    details = []
    for view in await list_sessions(state, tenant_id, limit=10_000):
        detail = await read_session(state, tenant_id, view.id)
        assert detail is not None
        details.append(detail)
    return [
        zero(
            "sessions whose pages do not say done",
            [d.session.id for d in details if not d.session.done],
        ),
        zero("moments whose rows differ from the log", _moments_unlike(truth, details)),
        zero("clips whose rows differ from the log", _clips_unlike(truth, details)),
        zero("renders without exactly one visible output", renders_unlike(truth, details)),
    ]


def _not_done(details: Sequence[SessionDetail]) -> list[str]:
    return [detail.session.id for detail in details if not detail.session.done]


def _moments_unlike(truth: Truth, details: Sequence[SessionDetail]) -> list[str]:
    rows = {moment.id for d in details for moment in d.moments if moment.status != "detected"}
    return sorted(rows ^ {event.event_id for event in truth.of(MomentDetected)})


def _clips_unlike(truth: Truth, details: Sequence[SessionDetail]) -> list[str]:
    rows = [clip for d in details for clip in d.clips]
    cut = {clip.id: clip.source_key for clip in rows if clip.status == "cut"}
    wanted = {event.clip_id: event.source_key for event in truth.of(ClipCut)}
    doubled = [] if len({clip.id for clip in rows}) == len(rows) else ["a clip has two rows"]
    return doubled + sorted(key for key in cut | wanted if cut.get(key) != wanted.get(key))


def renders_unlike(truth: Truth, details: Sequence[SessionDetail]) -> list[str]:
    """Return renders whose page does not show the very output that the log tells of."""
    visible: dict[str, list[str]] = defaultdict(list)
    for detail in details:
        for clip in detail.clips:
            for render in clip.renders:
                if render.output_key is not None:
                    visible[render.id].append(render.output_key)
    finished = {event.render_id: event.output_key for event in truth.of(RenderFinished)}
    queued = {event.render_id for event in truth.of(RenderQueued)}
    return sorted(
        each for each in queued if visible[each] != ([finished[each]] if each in finished else [])
    )
