"""What the ring has let go is read again from its source; fMP4 comes with its init section."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path
from typing import cast

import imageio_ffmpeg
import pytest

from bus.events import SegmentStored, SourceRef
from clipper.cut import make_cut
from clipper.errors import CutFailed
from clipper.material import Material, Materials
from clipper.pieces import runs, to_piece
from clipper.settings import CutSettings
from store.errors import FetchStatus
from store.fetch import Fetched, Fetcher
from store.obstore_objects import open_objects
from store.settings import FetchSettings
from tests.clipper.cutting import assert_exact, cut_ring
from tests.clipper.frame_counter import Shape, Slice, encode, segments, stored

SETTINGS = CutSettings(read_tries=1)


class ServedBodies:
    """Answers like a Fetcher, from a mapping of addresses to bodies."""

    def __init__(self, bodies: dict[str, bytes]) -> None:
        self.bodies = bodies
        self.settings = FetchSettings()
        self.asked: list[str] = []

    async def get(self, url: str, **_: object) -> Fetched:
        self.asked.append(url)
        if url not in self.bodies:
            raise FetchStatus(url, 404)
        return Fetched(body=self.bodies[url], url=url, status=200, headers={})


def from_source(told: list[tuple[SegmentStored, bytes]]) -> list[SegmentStored]:
    return [
        replace(event, source_ref=SourceRef(kind="hls", uri=f"https://x/{event.seq}.ts"))
        for event, _ in told
    ]


async def test_only_what_the_ring_let_go_is_fetched(tmp_path: Path) -> None:
    told = stored(segments(tmp_path, 12, Shape()))
    events = from_source(told)
    served = ServedBodies({f"https://x/{e.seq}.ts": body for e, body in told})
    objects = open_objects("memory://")
    for event, body in told[2:]:
        await objects.put(event.object_key or "", body)
    materials = Materials(objects, cast(Fetcher, served), SETTINGS)
    (run,) = runs([to_piece(event) for event in events[1:5]])
    material: Material = await materials.run(run)
    await materials.run(run)
    assert served.asked == ["https://x/1.ts"]
    path = tmp_path / "cut.mp4"
    made = make_cut([material], 2.7, 8.1, (), path, SETTINGS, has_earlier=True)
    assert_exact(made, path, 2.7, 8.1, 30)


async def test_segment_that_is_nowhere_fails_the_clip(tmp_path: Path) -> None:
    told = stored([Slice(b"", 0.0, 2.0)])
    served = cast(Fetcher, ServedBodies({}))
    materials = Materials(open_objects("memory://"), served, SETTINGS)
    with pytest.raises(BaseExceptionGroup) as group:
        await materials.run([to_piece(event) for event in from_source(told)])
    failure = group.value.exceptions[0]
    assert isinstance(failure, CutFailed)
    assert failure.reason == "source_gone"


def test_cut_from_fragmented_mp4_is_exact(tmp_path: Path) -> None:
    whole, path = tmp_path / "whole.mp4", tmp_path / "cut.mp4"
    encode(whole, 12, Shape())
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", "-i", str(whole)]
    command += ["-c", "copy", "-f", "hls", "-hls_time", "2", "-hls_list_size", "0"]
    command += ["-hls_segment_type", "fmp4", str(tmp_path / "out.m3u8")]
    subprocess.run(command, check=True, cwd=tmp_path)
    bodies = [(tmp_path / f"out{number}.m4s").read_bytes() for number in range(6)]
    slices = [Slice(body, 2.0 * at, 2.0) for at, body in enumerate(bodies)]
    told = [
        (replace(event, container="fmp4", init_key="init"), body) for event, body in stored(slices)
    ]
    init = (tmp_path / "init.mp4").read_bytes()
    made = cut_ring(told, 3.4, 9.6, path, init=init)
    assert_exact(made, path, 3.4, 9.6, 30)


def test_pieces_of_different_kind_are_read_apart(tmp_path: Path) -> None:
    events = [event for event, _ in stored([Slice(b"", 2.0 * at, 2.0) for at in range(4)])]
    events[2] = replace(events[2], disc=1)
    events[3] = replace(events[3], disc=1, media_s=9.0)
    lengths = [len(run) for run in runs([to_piece(event) for event in events])]
    assert lengths == [2, 1, 1]
