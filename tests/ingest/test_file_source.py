"""A video file as a source, on real files that ffmpeg makes."""

from __future__ import annotations

import io
import subprocess
from pathlib import Path

import av
import imageio_ffmpeg
import pytest

from ingest.errors import SourceUnusable
from ingest.file import FileSource
from ingest.file_settings import FileSettings
from ingest.source import Notice, Pulled, Resume, SourceEnd, SourceGap, SourceSegment
from ingest.span import Span
from tests.paths import SHARED_DATA, needs_shared_data

_PICTURE = ("-f", "lavfi", "-i", "testsrc2=s=160x120:r=25:d=35")
_SOUND = ("-f", "lavfi", "-i", "sine=440:r=48000:d=35")
_H264 = ("-c:v", "libx264", "-preset", "ultrafast", "-g", "50", "-bf", "2")
_AAC = ("-c:a", "aac", "-b:a", "64k")


def ffmpeg(*arguments: str) -> None:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", *arguments]
    subprocess.run(command, check=True, timeout=60)


@pytest.fixture(scope="module")
def movie(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """35 s of picture and sound."""
    path = tmp_path_factory.mktemp("movie") / "movie.mp4"
    ffmpeg(*_PICTURE, *_SOUND, *_H264, *_AAC, "-movflags", "+faststart", str(path))
    return path


def remade(movie: Path, name: str, *arguments: str) -> Path:
    path = movie.with_name(name)
    if not path.exists():
        ffmpeg("-i", str(movie), *(arguments or ("-c", "copy")), str(path))
    return path


async def pulled(
    path: Path, resume: Resume | None = None, settings: FileSettings | None = None
) -> list[Pulled]:
    source = FileSource(path, settings)
    await source.describe()
    return [what async for what in source.pull(resume)]


def segments(all_pulled: list[Pulled]) -> list[SourceSegment]:
    return [what for what in all_pulled if isinstance(what, SourceSegment)]


def packets(segment: SourceSegment, kind: str) -> list[float]:
    with av.open(io.BytesIO(segment.body)) as container:
        return [
            float(packet.pts * packet.time_base)
            for packet in container.demux()
            if packet.pts is not None and packet.stream.type == kind
        ]


def heard_s(all_pulled: list[Pulled]) -> float:
    """Decode all sound and return its length."""
    samples = 0
    for segment in segments(all_pulled):
        with av.open(io.BytesIO(segment.body)) as container:
            for frame in container.decode(audio=0):
                samples += frame.samples
    return samples / 48_000


@pytest.mark.parametrize("name", ["movie.mp4", "a.mkv", "a.mov", "a.ts"])
async def test_a_file_is_told_whole_in_pieces(movie: Path, name: str) -> None:
    path = movie if name == "movie.mp4" else remade(movie, name)
    everything = await pulled(path)
    pieces = segments(everything)
    assert [piece.media_s for piece in pieces] == [0.0, 10.0, 20.0, 30.0]
    assert pieces[-1].end_s == pytest.approx(35.0, abs=0.1)
    assert everything[-1] == SourceEnd()
    assert heard_s(everything) == pytest.approx(35.0, abs=0.1)
    for piece in pieces:
        assert piece.sense_only
        assert piece.container == "matroska"
        assert piece.source_ref is not None
        assert piece.source_ref.uri == str(path)
        assert (piece.source_ref.start_s, piece.source_ref.end_s) == (piece.media_s, piece.end_s)
        times = packets(piece, "audio")
        assert all(piece.media_s <= time < piece.end_s + 0.1 for time in times)
    pictures = [packets(piece, "video") for piece in pieces]
    assert [len(times) for times in pictures] == [1, 0, 0, 1]
    assert pictures[0][0] == pytest.approx(0.0, abs=0.1)
    assert 30.0 <= pictures[3][0] < 32.1


async def test_webm_and_its_key_frame_decode() -> None:
    path = SHARED_DATA / "video" / "narrated_240p.webm"
    if not path.exists():
        pytest.skip("the folder of real media is not on this machine")
    pieces = segments(await pulled(path))
    with av.open(io.BytesIO(pieces[0].body)) as container:
        assert next(container.decode(video=0)).width > 0


@pytest.mark.parametrize("name", ["movie.mp4", "a.ts"])
async def test_resuming_gives_the_same_pieces(movie: Path, name: str) -> None:
    path = movie if name == "movie.mp4" else remade(movie, name)
    whole = segments(await pulled(path))
    resume = Resume(epoch=0, seq=1, disc=0, media_end_s=20.0)
    assert segments(await pulled(path, resume)) == whole[2:]


async def test_the_same_file_has_the_same_name_and_another_has_not(movie: Path) -> None:
    first = await FileSource(movie).describe()
    again = await FileSource(movie).describe()
    other = await FileSource(remade(movie, "a.mkv")).describe()
    assert first.broadcast_id == again.broadcast_id != other.broadcast_id
    assert first.duration_s == pytest.approx(35.0, abs=0.1)
    assert (first.kind, first.title, first.has_audio, first.has_video) == (
        "file",
        "movie",
        True,
        True,
    )


async def test_without_sound_there_is_a_notice_and_pictures(movie: Path) -> None:
    path = remade(movie, "mute.mp4", "-c", "copy", "-an")
    everything = await pulled(path)
    assert [what.reason for what in everything if isinstance(what, Notice)] == ["no_audio"]
    assert [len(packets(piece, "video")) for piece in segments(everything)] == [1, 1, 1, 1]


async def test_with_sound_alone_there_is_a_notice(movie: Path) -> None:
    path = remade(movie, "sound.mka", "-c", "copy", "-vn")
    everything = await pulled(path)
    assert [what.reason for what in everything if isinstance(what, Notice)] == ["audio_only"]
    assert heard_s(everything) == pytest.approx(35.0, abs=0.1)


async def test_one_zero_for_all_streams(movie: Path) -> None:
    """Sound that begins 3 s after the picture stays 3 s behind it."""
    path = movie.with_name("late.mkv")
    again = ("-itsoffset", "3", "-i", str(movie))
    ffmpeg("-i", str(movie), *again, "-map", "0:v", "-map", "1:a", "-c", "copy", str(path))
    first = segments(await pulled(path))[0]
    assert packets(first, "audio")[0] == pytest.approx(3.0, abs=0.05)
    assert packets(first, "video")[0] == pytest.approx(0.0, abs=0.05)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("vfr.mp4", ("-t", "12", "-vf", "select='mod(n,3)'", "-fps_mode", "vfr", *_H264, *_AAC)),
        ("turned.mp4", ("-t", "12", "-c", "copy", "-metadata:s:v:0", "rotate=90")),
        (
            "deep.mkv",
            ("-t", "12", "-c:v", "libx265", "-preset", "ultrafast", "-pix_fmt", "yuv420p10le",
             "-x265-params", "log-level=none", *_AAC),
        ),
    ],
)  # fmt: skip
async def test_unusual_pictures(movie: Path, name: str, arguments: tuple[str, ...]) -> None:
    pieces = segments(await pulled(remade(movie, name, *arguments)))
    assert len(pieces) == 2
    with av.open(io.BytesIO(pieces[0].body)) as container:
        assert next(container.decode(video=0)).width == 160


async def test_a_file_cut_short_is_a_gap_to_its_announced_end(movie: Path) -> None:
    path = movie.with_name("short.mp4")
    body = movie.read_bytes()
    path.write_bytes(body[: len(body) // 2])
    everything = await pulled(path)
    gaps = [what for what in everything if isinstance(what, SourceGap)]
    assert gaps
    assert {gap.reason for gap in gaps} == {"corrupt"}
    spans = [what for what in everything if isinstance(what, SourceSegment | SourceGap)]
    assert [span.seq for span in spans] == [0, 1, 2, 3]
    assert spans[-1].end_s == pytest.approx(35.0, abs=0.1)


async def test_what_is_no_video_says_what_to_do(movie: Path, tmp_path: Path) -> None:
    empty, text, cut = tmp_path / "empty.mp4", tmp_path / "a.txt", tmp_path / "cut.mp4"
    empty.touch()
    text.write_text("hello, I am a letter\n" * 100)
    late_index = remade(movie, "late_index.mp4", "-c", "copy", "-movflags", "0")
    cut.write_bytes(late_index.read_bytes()[: late_index.stat().st_size // 2])
    listing = tmp_path / "list.m3u8"
    listing.write_text("#EXTM3U\n#EXTINF:2,\nhttp://127.0.0.1:9/a.ts\n")
    for path, says in (
        (empty, "0 bytes"),
        (text, "no video"),
        (cut, "moov"),
        (listing, "no video"),
        (tmp_path, "no file"),
        (tmp_path / "none.mp4", "there is no file"),
    ):
        with pytest.raises(SourceUnusable, match=says):
            await FileSource(path).describe()


async def test_an_address_is_never_opened(tmp_path: Path) -> None:
    with pytest.raises(SourceUnusable, match="there is no file"):
        await FileSource(Path("http://127.0.0.1:9/a.mp4")).describe()


async def test_too_long_a_file_is_refused(movie: Path) -> None:
    with pytest.raises(SourceUnusable, match="lasts"):
        await FileSource(movie, FileSettings(duration_max_s=20.0)).describe()


async def test_a_file_that_goes_away_ends_with_a_notice(movie: Path, tmp_path: Path) -> None:
    path = tmp_path / "going.mp4"
    path.write_bytes(movie.read_bytes())
    source = FileSource(path)
    seen: list[Pulled] = []
    async for what in source.pull(None):
        seen.append(what)
        path.unlink(missing_ok=True)
    assert isinstance(seen[0], SourceSegment)
    assert isinstance(seen[-2], Notice)
    assert seen[-2].reason == "file_gone"
    assert seen[-1] == SourceEnd(reason="lost")


async def test_a_generator_that_is_closed_lets_the_file_go(movie: Path) -> None:
    source = FileSource(movie)
    generator = source.pull(None)
    await anext(generator)
    await generator.aclose()
    with pytest.raises(StopAsyncIteration):
        await anext(generator)


@needs_shared_data
async def test_a_real_clip_of_twitch() -> None:
    path = SHARED_DATA / "video" / "twitch_lol_1080p60.mp4"
    everything = await pulled(path)
    pieces = segments(everything)
    assert len(pieces) == 3
    assert pieces[-1].end_s == pytest.approx(21.8, abs=0.2)
    assert sum(len(piece.body) for piece in pieces) < path.stat().st_size / 3


async def test_a_part_of_a_file_has_its_own_zero_and_goes_on_alike(movie: Path) -> None:
    settings = FileSettings(segment_s=5.0)
    source = FileSource(movie, settings, span=Span(12.0, 24.0))
    info = await source.describe()
    whole = segments(await pulled(movie, settings=settings))
    part = segments([what async for what in source.pull(None)])
    assert (info.vod_start_s, info.duration_s) == (10.0, 15.0)
    assert [(s.seq, s.media_s, s.body) for s in part] == [
        (s.seq, s.media_s - 10.0, s.body) for s in whole[2:5]
    ]
    assert [s.source_ref for s in part] == [s.source_ref for s in whole[2:5]]
    resume = Resume(epoch=0, seq=3, disc=0, media_end_s=10.0)
    again = FileSource(movie, settings, span=Span(12.0, 24.0))
    assert segments([what async for what in again.pull(resume)]) == part[2:]


async def test_a_part_behind_a_files_end_is_refused(movie: Path) -> None:
    with pytest.raises(SourceUnusable, match="long"):
        await FileSource(movie, span=Span(100.0)).describe()
