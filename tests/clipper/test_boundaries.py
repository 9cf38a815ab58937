"""A cut shows exactly the window's pictures, in sync with its sound, from every kind of source."""

from __future__ import annotations

import random
import subprocess
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import av
import imageio_ffmpeg
import pytest

from bus.events import SegmentStored
from clipper.errors import CutFailed
from tests.clipper.cutting import (
    assert_exact,
    assert_in_sync,
    cut_file,
    cut_ring,
    frames_of,
)
from tests.clipper.frame_counter import (
    Shape,
    Slice,
    encode,
    first_pts,
    numbers,
    segments,
    shown,
    stored,
)

WRAP_S = 2**33 / 90_000
Told = list[tuple[SegmentStored, bytes]]


@pytest.fixture(scope="module", params=["30", "60", "30-open", "60-open"])
def stream(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Told, int]:
    fps, _, gop = str(request.param).partition("-")
    shape = Shape(fps=int(fps), open_gop=gop == "open")
    return stored(segments(tmp_path_factory.mktemp("stream"), 20, shape)), shape.fps


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_cut_from_ring_is_exact(stream: tuple[Told, int], seed: int, tmp_path: Path) -> None:
    told, fps = stream
    chance = random.Random(seed)
    start_s = chance.uniform(0, 14)
    end_s = start_s + chance.uniform(2, 6)
    path = tmp_path / "cut.mp4"
    made = cut_ring(told, start_s, end_s, path)
    assert made.gap_s == 0
    assert not made.encoded
    assert made.fps == fps
    assert next(numbers(path))[0] == 0.0
    assert_exact(made, path, start_s, end_s, fps)


def test_window_on_segment_edges_is_exact(stream: tuple[Told, int], tmp_path: Path) -> None:
    told, fps = stream
    path = tmp_path / "cut.mp4"
    assert_exact(cut_ring(told, 4.0, 10.0, path), path, 4.0, 10.0, fps)


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts", "mov"])
def test_cut_from_file_is_exact(suffix: str, tmp_path: Path) -> None:
    source, path = tmp_path / f"source.{suffix}", tmp_path / "cut.mp4"
    encode(source, 16, Shape(group_s=4.0))
    # Where the coder's run-in is told as sound before the picture, media zero stands there.
    late_s = picture_delay(source)
    made = cut_file(source, 5.31 + late_s, 9.91 + late_s, path)
    assert shown(path, made.in_s, made.out_s) == frames_of(5.31, 9.91, 30)
    assert_in_sync(made, path, first_s=160 / 30)
    assert made.in_s < 4.0, "a cut begins with the nearest key frame"


def picture_delay(source: Path) -> float:
    with av.open(str(source)) as container:
        zero_s = (container.start_time or 0) / av.time_base
    return first_pts(source) - zero_s


def test_cut_across_clock_wrap_is_exact(tmp_path: Path) -> None:
    told = stored(segments(tmp_path, 16, Shape(offset_s=WRAP_S - 7.5)))
    path = tmp_path / "cut.mp4"
    firsts = [event.pts_s or 0.0 for event, _ in told]
    assert firsts[0] < 0 < firsts[-1], "the 33-bit clock starts again within the stream"
    unwrapped = [(replace(event, pts_s=(event.pts_s or 0) + WRAP_S), body) for event, body in told]
    assert_exact(cut_ring(unwrapped, 3.3, 12.7, path), path, 3.3, 12.7, 30)


def test_cut_across_discontinuity_is_exact(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    before = stored(segments(tmp_path / "a", 8, Shape()))
    behind = stored(
        segments(tmp_path / "b", 8, Shape(offset_s=500), first=240), media_s=8, disc=1, first_seq=4
    )
    path = tmp_path / "cut.mp4"
    made = cut_ring([*before, *behind], 5.1, 12.3, path)
    assert not made.encoded
    assert made.gap_s == 0
    assert_exact(made, path, 5.1, 12.3, 30)


def test_gap_is_cut_out_and_counted(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    before = stored(segments(tmp_path / "a", 8, Shape()))
    behind = stored(
        segments(tmp_path / "b", 8, Shape(), first=252), media_s=8.4, disc=1, first_seq=5
    )
    path = tmp_path / "cut.mp4"
    made = cut_ring([*before, *behind], 6.0, 12.0, path)
    assert made.gap_s == pytest.approx(0.4, abs=0.02)
    assert made.out_s - made.in_s == pytest.approx(5.6, abs=0.04)
    assert shown(path, made.in_s, made.out_s) == [*range(180, 240), *range(252, 360)]


def test_long_gap_is_refused(tmp_path: Path) -> None:
    told = stored(segments(tmp_path, 12, Shape()))
    with pytest.raises(CutFailed) as failure:
        cut_ring([*told[:2], *told[3:]], 1.0, 9.0, tmp_path / "cut.mp4")
    assert failure.value.reason == "gap"


@pytest.mark.parametrize("tagged", [True, False])
def test_resolution_change_is_encoded_exactly(tagged: bool, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    small = Shape(width=192, height=144, offset_s=8.0)
    before = stored(segments(tmp_path / "a", 8, Shape()))
    slices = segments(tmp_path / "b", 8, small, first=240)
    behind = stored(slices, media_s=8, disc=int(tagged), first_seq=4)
    path = tmp_path / "cut.mp4"
    made = cut_ring([*before, *behind], 3.1, 11.0, path)
    assert made.encoded
    assert (made.width, made.height) == (384, 216)
    with av.open(str(path)) as cut:
        assert (cut.streams.video[0].width, cut.streams.video[0].height) == (384, 216)
        times = [float(frame.time) for frame in cut.decode(video=0)]
    assert made.in_s == 0
    assert len(times) == len(frames_of(3.1, 11.0, 30))
    assert max(b - a for a, b in pairwise(times)) < 0.05, "no frozen picture"
    # The dominant size is not letterboxed: its numbers can be read.
    numbered = [number for _, number in numbers(path)]
    assert numbered[: 8 * 30 - 93] == list(range(93, 240))
    assert_in_sync(made, path)


def test_sound_alone_is_a_clip(tmp_path: Path) -> None:
    whole, source, path = tmp_path / "w.mp4", tmp_path / "s.m4a", tmp_path / "cut.mp4"
    encode(whole, 12, Shape())
    ffmpeg("-i", str(whole), "-vn", "-c", "copy", str(source))
    made = cut_file(source, 3.2, 8.4, path)
    assert (made.width, made.height, made.fps) == (0, 0, 0)
    assert made.has_audio
    assert_in_sync(made, path)


def test_picture_alone_is_a_clip(tmp_path: Path) -> None:
    source, path = tmp_path / "s.mp4", tmp_path / "cut.mp4"
    encode(source, 8, Shape(sound=False))
    made = cut_file(source, 2.2, 6.4, path)
    assert not made.has_audio
    assert shown(path, made.in_s, made.out_s) == frames_of(2.2, 6.4, 30)


def test_rotation_is_kept(tmp_path: Path) -> None:
    plain, source, path = tmp_path / "p.mp4", tmp_path / "s.mp4", tmp_path / "cut.mp4"
    encode(plain, 6, Shape())
    ffmpeg("-display_rotation", "90", "-i", str(plain), "-c", "copy", str(source))
    cut_file(source, 1.0, 5.0, path)
    assert rotation(path) == rotation(source) != 0


def rotation(path: Path) -> int:
    with av.open(str(path)) as container:
        return int(next(container.decode(video=0)).rotation)


def test_variable_rate_is_kept(tmp_path: Path) -> None:
    plain, source, path = tmp_path / "p.mp4", tmp_path / "s.mp4", tmp_path / "cut.mp4"
    encode(plain, 8, Shape(b_frames=0))
    drop = "select='not(between(n\\,60\\,180)*mod(n\\,3))'"
    ffmpeg("-i", str(plain), "-vf", drop, "-fps_mode", "vfr", "-c:a", "copy", str(source))
    made = cut_file(source, 1.0, 7.0, path)
    kept = [n for n in range(30, 210) if not (60 <= n <= 180 and n % 3)]
    assert shown(path, made.in_s, made.out_s) == kept
    assert_in_sync(made, path)


@pytest.mark.parametrize("codec", ["libvpx-vp9", "libvpx", "libx265"])
def test_other_codecs_become_clips(codec: str, tmp_path: Path) -> None:
    source = tmp_path / ("s.mp4" if codec == "libx265" else "s.webm")
    path = tmp_path / "cut.mp4"
    extra = ("-x265-params", "log-level=error") if codec == "libx265" else ("-cpu-used", "8")
    encode(source, 6, Shape(codec=codec), extra=extra)
    made = cut_file(source, 1.5, 5.0, path)
    assert made.encoded == (codec == "libvpx")
    assert shown(path, made.in_s, made.out_s) == frames_of(1.5, 5.0, 30)
    assert_in_sync(made, path)


def test_nonsense_is_refused_with_reason(tmp_path: Path) -> None:
    source = tmp_path / "s.mp4"
    source.write_bytes(b"no video at all" * 100)
    with pytest.raises(CutFailed) as failure:
        cut_file(source, 1.0, 5.0, tmp_path / "cut.mp4")
    assert failure.value.reason == "undecodable"


def ffmpeg(*words: str) -> None:
    executable = imageio_ffmpeg.get_ffmpeg_exe()
    subprocess.run([executable, "-loglevel", "error", "-y", *words], check=True)


def test_sound_that_begins_long_after_the_picture_is_found(tmp_path: Path) -> None:
    subprocess.run(
        [
            *(imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-f", "lavfi", "-i"),
            *("testsrc2=size=640x360:rate=30,noise=alls=80:allf=t", "-itsoffset", "2.5"),
            *("-f", "lavfi", "-i", "sine=frequency=440", "-t", "6", "-c:v", "libx264"),
            *("-preset", "ultrafast", "-g", "60", "-b:v", "12M", "-c:a", "aac"),
            *("-muxdelay", "0", "-f", "hls", "-hls_time", "2", "-hls_list_size", "0"),
            str(tmp_path / "out.m3u8"),
        ],
        check=True,
        stdin=subprocess.DEVNULL,
    )
    paths = sorted(tmp_path.glob("out*.ts"))
    told = stored([Slice(path.read_bytes(), first_pts(path), 2.0) for path in paths])
    path = tmp_path / "cut.mp4"
    made = cut_ring(told, 0.0, 5.0, path)
    assert made.has_audio
    with av.open(str(path)) as container:
        sounds = [
            packet.pts * packet.time_base for packet in container.demux(audio=0) if packet.pts
        ]
    assert 2.3 < float(sounds[0]) < 2.7
