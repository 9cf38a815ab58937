"""Bad input gets a clear message, loses nothing and never leaves half a clip."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.e2e.media import QUICK, clips_of, clipthat, ffmpeg, make_chat, make_video


def vod(folder: Path, source: str, *more: str) -> tuple[int, str]:
    done = clipthat("vod", source, "--out", "out", "--top", "1", *QUICK, *more, cwd=folder)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stderr + done.stdout


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("empty.mp4", b"", "empty"),
        ("notes.mp4", b"these are notes, not a video\n" * 100, "video"),
        ("page.ts", b"<!doctype html><html><body>403</body></html>" * 50, "video"),
    ],
)
def test_what_is_no_video_is_told_so(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(content)
    code, text = vod(tmp_path, name)
    assert code == 1
    assert said in text.lower()
    assert name in text


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    code, text = vod(tmp_path, "nowhere.mp4")
    assert code == 1
    assert "nowhere.mp4 is not there" in text


def test_an_address_of_another_kind(tmp_path: Path) -> None:
    code, text = vod(tmp_path, "ftp://example.org/a.mp4")
    assert code == 1
    assert "http" in text


def test_a_truncated_recording(tmp_path: Path) -> None:
    whole = make_video(tmp_path / "whole.mp4", 6).read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    code, text = vod(tmp_path, "cut.mp4")
    assert code == 1
    assert "cut.mp4" in text


def test_a_chat_file_that_is_none(tmp_path: Path) -> None:
    make_video(tmp_path / "video.mp4", 20)
    (tmp_path / "chat.json").write_bytes(b"\x00\x01\x02 nonsense" * 20)
    code, text = vod(tmp_path, "video.mp4", "--chat", "chat.json")
    assert code == 1
    assert "chat.json" in text


def test_bad_lines_and_lines_after_the_end_are_left_out(tmp_path: Path) -> None:
    make_video(tmp_path / "video.mp4")
    chat = make_chat(tmp_path / "chat.jsonl", seconds=300)
    first, *others = chat.read_text().splitlines()
    lines = [first, "this is no line of chat", '{"t_s": "soon"}', *others]
    chat.write_text("\n".join(sorted(lines, key=when)) + "\n")
    code, text = vod(tmp_path, "video.mp4", "--chat", "chat.jsonl")
    assert code == 0, text
    assert len(clips_of(tmp_path / "out")) == 1


def when(line: str) -> float:
    """Return the time of a line of chat; what is none comes after the beginning."""
    t_s = json.loads(line)["t_s"] if line.startswith("{") else 1.0
    return t_s if isinstance(t_s, float) else 1.0


def shot(tmp_path: Path, *arguments: str, name: str = "video.mp4") -> str:
    ffmpeg(*arguments, str(tmp_path / name))
    make_chat(tmp_path / "chat.jsonl", seconds=60, burst_s=40)
    return name


PICTURE = ("-f", "lavfi", "-i", "testsrc2=size=320x180:rate=30:duration=60")
SOUND = ("-f", "lavfi", "-i", "sine=frequency=440:duration=60")
H264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "60")
KINDS = {
    "without audio": (*PICTURE, *H264),
    "rotated": (*PICTURE, *SOUND, *H264, "-c:a", "aac"),
    "10-bit HEVC": (
        *(*PICTURE, *SOUND, "-c:v", "libx265", "-preset", "ultrafast"),
        *("-x265-params", "log-level=none", "-pix_fmt", "yuv420p10le", "-c:a", "aac"),
    ),
    "variable frame rate": (
        *(*PICTURE, *SOUND, "-vf", "select='not(eq(mod(n,7),3))'", "-fps_mode", "vfr"),
        *(*H264, "-c:a", "aac"),
    ),
}


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_unusual_videos_become_clips(tmp_path: Path, kind: str) -> None:
    name = shot(tmp_path, *KINDS[kind])
    if kind == "rotated":
        ffmpeg(
            *("-display_rotation", "90", "-i", str(tmp_path / name), "-c", "copy"),
            str(tmp_path / "phone.mp4"),
        )
        name = "phone.mp4"
    code, text = vod(tmp_path, name, "--chat", "chat.jsonl")
    assert code == 0, text
    (clip,) = clips_of(tmp_path / "out")
    assert set(clip["files"]) >= {"source", "landscape", "vertical", "thumbnail"}


def test_sound_without_a_picture_becomes_a_clip(tmp_path: Path) -> None:
    name = shot(tmp_path, *SOUND, "-c:a", "aac", name="podcast.mp4")
    code, text = vod(tmp_path, name, "--chat", "chat.jsonl")
    assert code == 0, text
    (clip,) = clips_of(tmp_path / "out")
    assert "vertical" in clip["files"]


def test_a_folder_that_is_in_use(tmp_path: Path) -> None:
    import fcntl

    make_video(tmp_path / "video.mp4", 5)
    state = tmp_path / "out" / ".clipthat"
    state.mkdir(parents=True)
    with (state / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        code, text = vod(tmp_path, "video.mp4")
    assert code == 1
    assert "another clipthat is at work" in text
