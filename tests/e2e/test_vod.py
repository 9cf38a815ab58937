"""A recording in, finished clips out, whatever happens on the way."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
from pathlib import Path

import av
import pytest

from tests.e2e.media import (
    BURST_S,
    COMMAND,
    QUICK,
    clips_of,
    clipthat,
    environment,
    make_chat,
    make_video,
    moments_of,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recording")
    make_video(folder / "video.mp4")
    make_chat(folder / "chat.jsonl")
    return folder


def vod(folder: Path, out: str, *more: str) -> subprocess.CompletedProcess[str]:
    return clipthat(
        *("vod", "video.mp4", "--chat", "chat.jsonl", "--out", out, "--top", "2"),
        *QUICK,
        *more,
        cwd=folder,
    )


def test_a_recording_becomes_finished_clips(folder: Path) -> None:
    done = vod(folder, "out")
    assert done.returncode == 0, done.stderr + done.stdout
    clips = clips_of(folder / "out")
    assert 1 <= len(clips) <= 2
    best = max(clips, key=lambda clip: clip["score"])
    assert best["start_s"] < BURST_S < best["end_s"] + 15
    assert 10 <= best["end_s"] - best["start_s"] <= 60
    assert set(best) >= {
        *("id", "session_id", "start_s", "peak_s", "end_s", "score", "kinds", "evidence"),
        *("title", "gap_s", "files"),
    }
    assert set(best["files"]) >= {"source", "landscape", "vertical", "thumbnail"}
    with av.open(str(folder / "out" / best["files"]["vertical"])) as media:
        video = media.streams.video[0]
        assert (video.width, video.height) == (270, 480)
        assert media.streams.audio[0].codec_context.name == "aac"
        assert abs((media.duration or 0) / 1e6 - (best["end_s"] - best["start_s"])) < 0.1
    kinds = {moment["kind"] for moment in moments_of(folder / "out")}
    assert {"chat_spike", "clip_command"} <= kinds
    assert "index.html" in {path.name for path in (folder / "out").iterdir()}


def test_every_moment_is_taken_or_says_why_not(folder: Path) -> None:
    if not (folder / "out" / "moments.jsonl").exists():
        vod(folder, "out")
    moments = moments_of(folder / "out")
    assert moments
    for moment in moments:
        assert moment["taken"] == (moment["clip_id"] is not None)
        assert moment["taken"] or moment["why_not"]


def test_the_same_command_again_does_nothing_twice(folder: Path) -> None:
    first = vod(folder, "again")
    assert first.returncode == 0, first.stderr
    files = {path: path.stat().st_mtime_ns for path in (folder / "again" / "clips").rglob("*.*")}
    clips = clips_of(folder / "again")
    second = vod(folder, "again")
    assert second.returncode == 0, second.stderr
    assert clips_of(folder / "again") == clips
    for path, changed_ns in files.items():
        assert path.stat().st_mtime_ns == changed_ns


def killed(folder: Path, out: str, after: str, pause_s: float = 0.0) -> bool:
    """Run until a line of this type and a pause, then kill; False when it ended before."""
    arguments = ("vod", "video.mp4", "--chat", "chat.jsonl", "--out", out, "--top", "2", "--json")
    with subprocess.Popen(
        [*COMMAND, *arguments, *QUICK],
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if after in json.loads(line)["type"]:
                break
        try:
            process.wait(pause_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return True
    return False


def check_like(folder: Path, out: str, whole: str) -> None:
    """What a folder holds is what an undisturbed run gives, once each, and nothing half-written."""
    clips, wanted = clips_of(folder / out), clips_of(folder / whole)
    assert [(clip["start_s"], clip["end_s"], clip["kinds"]) for clip in clips] == [
        (clip["start_s"], clip["end_s"], clip["kinds"]) for clip in wanted
    ]
    assert [set(clip["files"]) for clip in clips] == [set(clip["files"]) for clip in wanted]
    moments = moments_of(folder / out)
    assert len({moment["id"] for moment in moments}) == len(moments)
    assert len(moments) == len(moments_of(folder / whole))
    assert {path.name for path in (folder / out / "clips").iterdir()} == {c["id"] for c in clips}
    for path in (folder / out / "clips").rglob("*.mp4"):
        with av.open(str(path)) as media:
            assert sum(1 for _ in media.demux(video=0)) > 30


@pytest.fixture(scope="module")
def whole(folder: Path) -> str:
    done = vod(folder, "whole")
    assert done.returncode == 0, done.stderr
    return "whole"


@pytest.mark.parametrize("after", ["moment.detected", "clip.planned", "clip.cut", "render.fin"])
def test_killed_at_a_bad_moment_the_same_command_goes_on(
    folder: Path, whole: str, after: str
) -> None:
    out = f"killed-{after}"
    assert killed(folder, out, after)
    if (folder / out / "clips.json").exists():
        clips_of(folder / out)
    done = vod(folder, out)
    assert done.returncode == 0, done.stderr
    check_like(folder, out, whole)


def test_killed_again_and_again_at_any_instant_nothing_is_lost(folder: Path, whole: str) -> None:
    chance = random.Random(7)
    kills = 0
    for _ in range(4):
        # The last thing that was told before says where it stands; the pause makes it any instant.
        after = chance.choice(["session.started", "session.started", "clip.cut"])
        kills += killed(folder, "chaos", after, chance.uniform(0.0, 1.5))
        if (folder / "chaos" / "clips.json").exists():
            clips_of(folder / "chaos")
    assert kills
    done = vod(folder, "chaos")
    assert done.returncode == 0, done.stderr
    check_like(folder, "chaos", whole)


def test_the_ring_is_let_go_at_the_end(folder: Path, whole: str) -> None:
    objects = folder / whole / ".clipthat" / "objects"
    assert list(objects.rglob("clips/*/source.mp4"))
    assert not [path for path in objects.rglob("ring/**/*") if path.is_file()]


def test_json_lines_tell_programs_what_happens(folder: Path) -> None:
    done = vod(folder, "json", "--json")
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    types = [line["type"] for line in lines]
    assert types[0] == "clipthat.session.started.v1"
    assert types[-1] == "clipthat.summary.v1"
    assert "clipthat.clip.cut.v1" in types
    assert lines[-1]["complete"] is True


def test_features_can_be_replayed_without_the_video(folder: Path) -> None:
    if not (folder / "out" / "clips.json").exists():
        vod(folder, "out")
    done = clipthat("replay", "out", "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    (session,) = [json.loads(line) for line in done.stdout.splitlines()]
    told = {moment["id"] for moment in moments_of(folder / "out")}
    assert {moment["id"] for moment in session["moments"]} == told
    assert {clip["id"] for clip in session["clips"]} == {
        clip["id"] for clip in clips_of(folder / "out")
    }
