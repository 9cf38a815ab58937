"""Cuts made in tests, and what is asked of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from bus.events import SegmentStored, SourceRef
from clipper.cut import Made, make_cut
from clipper.material import Material, RunBytes, RunFile
from clipper.pieces import holding, runs, to_piece
from clipper.settings import CutSettings
from tests.clipper.frame_counter import beeps, shown

SETTINGS = CutSettings()
TOLERANCE_S = 0.001


def cut_ring(
    told: Sequence[tuple[SegmentStored, bytes]],
    start_s: float,
    end_s: float,
    path: Path,
    *,
    init: bytes | None = None,
) -> Made:
    """Cut from segments in memory."""
    bodies = {(event.epoch, event.seq): body for event, body in told}
    pieces = holding([to_piece(event) for event, _ in told], start_s, end_s, 0.0)
    materials: list[Material] = [
        RunBytes(tuple(run), init, tuple(bodies[each.epoch, each.seq] for each in run))
        for run in runs(pieces)
    ]
    return make_cut(materials, start_s, end_s, (), path, SETTINGS, has_earlier=False)


def cut_file(source: Path, start_s: float, end_s: float, path: Path) -> Made:
    """Cut from a file."""
    event = SegmentStored(
        tenant_id="t",
        channel_id="c",
        session_id="s",
        epoch=0,
        seq=0,
        disc=0,
        media_s=0.0,
        duration_s=10_000.0,
        container="matroska",
        sense_only=True,
        source_ref=SourceRef(kind="file", uri=str(source), start_s=0.0, end_s=10_000.0),
    )
    material = RunFile((to_piece(event),), source)
    return make_cut([material], start_s, end_s, (), path, SETTINGS, has_earlier=False)


def frames_of(start_s: float, end_s: float, fps: int) -> list[int]:
    """Return the numbers of the pictures that belong to a window."""
    first = math.ceil((start_s - TOLERANCE_S) * fps - 1e-6)
    return list(range(first, math.ceil((end_s - TOLERANCE_S) * fps - 1e-6)))


def assert_exact(made: Made, path: Path, start_s: float, end_s: float, fps: int) -> None:
    """Ask for the window's pictures, all and none but them, and for sound in sync."""
    assert shown(path, made.in_s, made.out_s) == frames_of(start_s, end_s, fps)
    assert abs(made.start_s - start_s) <= 1 / fps
    assert abs(made.end_s - end_s) <= 1 / fps
    assert_in_sync(made, path)


def assert_in_sync(made: Made, path: Path, first_s: float | None = None) -> None:
    """Ask that each beep stands within 20 ms of a whole second.

    Args:
        first_s: the stream's own time of the clip's first picture; the media clock's when None.
    """
    heard = [at for at in beeps(path) if made.in_s + 0.03 < at < made.out_s]
    assert len(heard) >= int(made.out_s - made.in_s) - 1
    for at in heard:
        stream_s = (made.start_s if first_s is None else first_s) + at - made.in_s
        assert abs(stream_s - round(stream_s)) <= 0.020
