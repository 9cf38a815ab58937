"""Real sources rendered for real: exact frames, sound in its place, every odd kind of source."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from render.command import check_arguments
from render.encode import encoder_path
from render.errors import EncodeTimedOut, OutputBroken, SourceUnusable
from render.loudness import Loudness, read_loudness
from render.making import Made, make
from render.settings import CaptionSettings, RenderSettings
from render.spec import RenderSpec
from render.words import SpokenWord
from tests.render.media import (
    beep_onsets,
    ffmpeg,
    frames_of,
    gray,
    numbered_video,
    read_number,
)

FAST = RenderSettings(preset="ultrafast", vertical_width_px=360)
WORDS = [SpokenWord("What", 0.2, 0.5), SpokenWord("a", 0.5, 0.6), SpokenWord("play!", 0.6, 1.2)]


async def render(
    source: Path,
    folder: Path,
    layout: str,
    in_s: float,
    out_s: float,
    *,
    words: list[SpokenWord] | None = None,
    settings: RenderSettings = FAST,
) -> Made:
    spec = RenderSpec(
        tenant_id="tenant",
        clip_id="clip",
        layout=layout,
        source_key="source.mp4",
        in_s=in_s,
        out_s=out_s,
        title="The title",
        words_key=None,
        style=settings,
    )
    folder.mkdir(exist_ok=True)

    async def on_percent(percent: int) -> None:
        assert 0 <= percent <= 99

    return await make(spec, source, words, folder, on_percent)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return numbered_video(tmp_path_factory.mktemp("source") / "source.mp4", frames=120)


@pytest.mark.parametrize(("first", "last"), [(0, 29), (13, 71), (31, 31), (60, 119)])
async def test_first_and_last_frame_are_exact(
    source: Path, tmp_path: Path, first: int, last: int
) -> None:
    made = await render(source, tmp_path, "landscape", first / 30, (last + 1) / 30)
    shown = [read_number(gray(frame)) for frame in frames_of(made.video)]
    assert shown == list(range(first, last + 1))


async def test_a_rounded_in_point_still_takes_its_frame(source: Path, tmp_path: Path) -> None:
    made = await render(source, tmp_path, "landscape", 0.4334, 1.0003)
    shown = [read_number(gray(frame)) for frame in frames_of(made.video)]
    assert shown == list(range(13, 30))


async def test_sound_stays_with_the_picture(source: Path, tmp_path: Path) -> None:
    made = await render(source, tmp_path, "landscape", 0.6, 3.4)
    assert beep_onsets(made.video) == pytest.approx([0.4, 1.4, 2.4], abs=0.02)


async def test_sixty_frames_become_thirty_evenly(tmp_path: Path) -> None:
    source = numbered_video(tmp_path / "source.mp4", frames=120, fps="60")
    made = await render(source, tmp_path / "out", "vertical_blur", 0.5, 1.5)
    height = 1920 // 3
    fitted = 360 * 9 / 16
    top = round(height * 0.4427 - fitted / 2)
    shown = [read_number(gray(frame)[top : top + round(fitted)]) for frame in frames_of(made.video)]
    assert shown == list(range(30, 90, 2))


async def test_sixty_frames_stay_sixty_in_landscape(tmp_path: Path) -> None:
    source = numbered_video(tmp_path / "source.mp4", frames=90, fps="60")
    made = await render(source, tmp_path / "out", "landscape", 0.5, 1.0)
    assert [read_number(gray(frame)) for frame in frames_of(made.video)] == list(range(30, 60))


async def test_ntsc_rate_is_kept(tmp_path: Path) -> None:
    source = numbered_video(tmp_path / "source.mp4", frames=90, fps="30000/1001")
    step = 1001 / 30000
    made = await render(source, tmp_path / "out", "landscape", 11 * step, 71 * step)
    assert [read_number(gray(frame)) for frame in frames_of(made.video)] == list(range(11, 71))


async def test_variable_rate_becomes_constant(tmp_path: Path) -> None:
    source = numbered_video(
        tmp_path / "source.mkv",
        frames=90,
        filters="select='not(between(mod(n,10),4,6))'",
        video=("-c:v", "libx264", "-preset", "ultrafast", "-fps_mode", "vfr"),
    )
    made = await render(source, tmp_path / "out", "landscape", 1.0, 2.5)
    frames = list(frames_of(made.video))
    rate = frames_rate(made.video)
    assert len(frames) == round(1.5 * rate)
    for index, frame in enumerate(frames):
        wanted = 30 + round(index * 30 / rate)
        kept = wanted if wanted % 10 not in (4, 5, 6) else wanted // 10 * 10 + 3
        assert abs(read_number(gray(frame)) - kept) <= 1


def frames_rate(path: Path) -> float:
    with av.open(str(path)) as container:
        return float(container.streams.video[0].average_rate or 0)


def measured_loudness(path: Path) -> Loudness:
    printed = subprocess.run(
        [encoder_path(), *check_arguments(path, FAST)], capture_output=True, text=True, check=True
    ).stderr
    measured = read_loudness(printed)
    assert measured is not None
    return measured


async def test_loudness_comes_out_at_its_target(tmp_path: Path) -> None:
    source = tmp_path / "source.mp4"
    ffmpeg(
        *("-f", "lavfi", "-i", "testsrc=s=320x180:r=30:d=5"),
        *("-f", "lavfi", "-i", "anoisesrc=c=pink:a=0.05:d=5:seed=1"),
        *("-c:v", "libx264", "-preset", "ultrafast", "-c:a", "aac", str(source)),
    )
    made = await render(source, tmp_path / "out", "landscape", 0.5, 4.5)
    measured = measured_loudness(made.video)
    assert measured.integrated_lufs == pytest.approx(-14.0, abs=1.0)
    assert measured.peak_dbtp <= -0.9
    assert made.loudness_lufs == pytest.approx(measured.integrated_lufs)


async def test_peaks_are_limited(tmp_path: Path) -> None:
    """Short loud beeps over a quiet bed would clip by far at the wanted loudness."""
    source = tmp_path / "source.mp4"
    ffmpeg(
        *("-f", "lavfi", "-i", "testsrc=s=320x180:r=30:d=5"),
        *("-f", "lavfi", "-i"),
        "aevalsrc='0.02*sin(2*PI*300*t)+0.9*sin(2*PI*1000*t)*lt(mod(t,1),0.02)':s=48000:d=5",
        *("-c:v", "libx264", "-preset", "ultrafast", "-c:a", "aac", "-b:a", "192k", str(source)),
    )
    made = await render(source, tmp_path / "out", "landscape", 0.0, 4.9)
    measured = measured_loudness(made.video)
    assert measured.integrated_lufs == pytest.approx(-14.0, abs=1.0)
    assert measured.peak_dbtp <= 0.0


async def test_near_silence_is_left_alone(tmp_path: Path) -> None:
    source = numbered_video(tmp_path / "source.mp4", volume=0.0005)
    made = await render(source, tmp_path / "out", "landscape", 0, 2)
    assert any("silent" in note for note in made.notes)


async def test_a_source_without_sound_gets_a_silent_track(tmp_path: Path) -> None:
    source = numbered_video(tmp_path / "source.mp4", beeps=False)
    made = await render(source, tmp_path / "out", "landscape", 0, 1)
    assert any("silent track" in note for note in made.notes)
    assert made.loudness_lufs is None


async def test_a_source_without_picture_becomes_a_card(tmp_path: Path) -> None:
    source = tmp_path / "source.m4a"
    ffmpeg("-f", "lavfi", "-i", "sine=440:d=3", "-c:a", "aac", str(source))
    made = await render(source, tmp_path / "out", "vertical_blur", 0.5, 2.5, words=WORDS)
    assert (made.width, made.height) == (360, 640)
    assert any("no picture" in note for note in made.notes)
    frames = list(frames_of(made.video))
    assert len(frames) == 60
    assert frames[30].to_ndarray(format="rgb24").max() > 200


async def test_a_rotated_phone_video_stands_upright(source: Path, tmp_path: Path) -> None:
    rotated = tmp_path / "phone.mp4"
    ffmpeg(
        *("-display_rotation:v:0", "90", "-i", str(source)),
        *("-c", "copy", "-map", "0", str(rotated)),
    )
    made = await render(rotated, tmp_path / "out", "landscape", 0, 0.5)
    assert (made.width, made.height) == (180, 320)
    shown = [read_number(np.rot90(gray(frame), k=-1)) for frame in frames_of(made.video)]
    assert shown == list(range(15))


async def test_ten_bit_hevc_becomes_eight_bit(tmp_path: Path) -> None:
    source = numbered_video(
        tmp_path / "source.mp4",
        frames=45,
        video=(
            *("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none"),
            *("-pix_fmt", "yuv420p10le", "-tag:v", "hvc1"),
        ),
    )
    made = await render(source, tmp_path / "out", "landscape", 0.5, 1.0)
    frames = list(frames_of(made.video))
    assert {frame.format.name for frame in frames} == {"yuv420p"}
    assert [read_number(gray(frame)) for frame in frames] == list(range(15, 30))


async def test_hdr_is_toned_down_and_said(tmp_path: Path) -> None:
    source = numbered_video(
        tmp_path / "source.mp4",
        frames=30,
        video=(
            *("-c:v", "libx265", "-preset", "ultrafast", "-pix_fmt", "yuv420p10le"),
            "-x265-params",
            "log-level=none:colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc",
        ),
        filters="setparams=color_trc=smpte2084:color_primaries=bt2020:colorspace=bt2020nc",
    )
    made = await render(source, tmp_path / "out", "landscape", 0, 1.0)
    assert any("dynamic range" in note for note in made.notes)
    frame = next(frames_of(made.video))
    assert int(frame.color_trc) == 1


async def test_the_output_is_what_platforms_expect(source: Path, tmp_path: Path) -> None:
    settings = replace(FAST, preset="veryfast")
    made = await render(source, tmp_path, "vertical_crop", 0, 1.0, words=WORDS, settings=settings)
    with av.open(str(made.video)) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        context = video.codec_context
        assert (context.name, context.profile, context.pix_fmt) == ("h264", "High", "yuv420p")
        assert (context.width, context.height) == (360, 640)
        assert context.sample_aspect_ratio in (None, 1)
        assert (int(context.color_primaries), int(context.color_trc)) == (1, 1)
        assert (int(context.colorspace), int(context.color_range)) == (1, 1)
        assert (audio.codec_context.name, audio.rate, audio.channels) == ("aac", 48000, 2)
    head = made.video.read_bytes()[:4096]
    assert b"moov" in head
    assert b"mdat" not in head[: head.index(b"moov")]


async def test_captions_colour_the_active_word(source: Path, tmp_path: Path) -> None:
    settings = replace(FAST, vertical_width_px=540, captions=CaptionSettings(pop=False))
    made = await render(source, tmp_path, "vertical_crop", 0.0, 2.0, words=WORDS, settings=settings)
    frames = [frame.to_ndarray(format="rgb24").astype(int) for frame in frames_of(made.video)]

    def yellow(number: int) -> int:
        band = frames[number][560:640]
        near = np.abs(band - np.array([255, 230, 0])).max(axis=-1) < 40
        return int(near.sum())

    assert yellow(0) == 0
    assert yellow(8) > 300
    assert yellow(25) > 300
    assert yellow(55) == 0
    assert made.captions is not None
    assert "WHAT A PLAY!" in made.captions.read_text()


async def test_captions_without_words_are_missed_loudly(source: Path, tmp_path: Path) -> None:
    made = await render(source, tmp_path, "vertical_blur", 0, 0.5)
    assert "no words, so no captions" in made.notes
    assert made.captions is None


async def test_characters_without_a_glyph_are_said(source: Path, tmp_path: Path) -> None:
    words = [SpokenWord("漢字", 0.0, 0.3), SpokenWord("wow😀", 0.3, 0.5)]
    made = await render(source, tmp_path, "vertical_blur", 0, 0.5, words=words)
    assert any("2 words" in note for note in made.notes)
    assert made.captions is not None
    assert "WOW\n" in made.captions.read_text()


async def test_title_is_shown_when_wanted(source: Path, tmp_path: Path) -> None:
    settings = replace(FAST, title_shown=True, title_s=0.5)
    made = await render(source, tmp_path, "vertical_blur", 0, 1.0, settings=settings)
    frames = [gray(frame) for frame in frames_of(made.video)]
    bar = (slice(92, 104), slice(170, 190))
    assert frames[2][bar].max() > 200
    assert frames[25][bar].max() < 200


async def test_a_source_that_ends_early_is_refused(source: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputBroken, match="frames instead of"):
        await render(source, tmp_path, "landscape", 2.0, 8.0)
    assert read_number(gray(next(frames_of(source)))) == 0


@pytest.mark.parametrize("body", [b"", b"no media at all", b"\x00" * 4096])
async def test_no_video_is_refused(tmp_path: Path, body: bytes) -> None:
    path = tmp_path / "source.mp4"
    path.write_bytes(body)
    with pytest.raises(SourceUnusable):
        await render(path, tmp_path / "out", "landscape", 0, 1)


async def test_a_clip_beyond_the_limit_is_refused(source: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceUnusable, match="at most"):
        await render(
            source, tmp_path, "landscape", 0, 3, settings=replace(FAST, duration_max_s=2.0)
        )


async def test_the_wall_limit_ends_a_render(source: Path, tmp_path: Path) -> None:
    settings = replace(FAST, wall_base_s=0.01, wall_per_media_s=0.0)
    with pytest.raises(EncodeTimedOut):
        await render(source, tmp_path, "landscape", 0, 3, settings=settings)


async def test_points_count_from_the_first_shown_picture(tmp_path: Path) -> None:
    source = numbered_video(tmp_path / "source.ts", frames=60)
    zero_s = next(frames_of(source)).time
    assert zero_s is not None
    assert zero_s > 1.0
    made = await render(source, tmp_path / "out", "landscape", 0.5, 1.5)
    assert [read_number(gray(frame)) for frame in frames_of(made.video)] == list(range(15, 45))


async def test_a_change_of_size_midway_keeps_every_frame(tmp_path: Path) -> None:
    small = numbered_video(tmp_path / "small.ts", frames=30)
    large = numbered_video(tmp_path / "large.ts", frames=60, filters="scale=640:360")
    cut = tmp_path / "tail.ts"
    ffmpeg(
        *("-i", str(large), "-vf", "trim=start_frame=30,setpts=PTS", "-af", "atrim=start=1"),
        *("-copyts", "-c:v", "libx264", "-preset", "ultrafast", "-c:a", "aac"),
        *("-muxdelay", "0", "-muxpreload", "0", str(cut)),
    )
    source = tmp_path / "source.ts"
    source.write_bytes(small.read_bytes() + cut.read_bytes())
    made = await render(source, tmp_path / "out", "landscape", 0.0, 2.0)
    assert (made.width, made.height) == (320, 180)
    assert [read_number(gray(frame)) for frame in frames_of(made.video)] == list(range(60))
