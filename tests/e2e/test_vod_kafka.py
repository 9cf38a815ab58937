"""The same recording through Kafka gives the same clips."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from tests.e2e.media import QUICK, clips_of, clipthat, make_chat, make_video, moments_of
from tests.services.fixtures import Broker


@pytest.mark.timeout(900)
def test_a_recording_gives_the_same_clips_through_kafka(kafka: Broker, tmp_path: Path) -> None:
    make_video(tmp_path / "video.mp4")
    make_chat(tmp_path / "chat.jsonl")
    through_kafka = (
        *("--set", f"kafka.bootstrap={kafka.bootstrap}"),
        *("--set", f"kafka.prefix={uuid.uuid4().hex[:8]}."),
    )
    for out, more in (("local", ()), ("kafka", through_kafka)):
        done = clipthat(
            *("vod", "video.mp4", "--chat", "chat.jsonl", "--out", out, "--top", "2"),
            *QUICK,
            *more,
            cwd=tmp_path,
            timeout_s=400,
        )
        assert done.returncode == 0, done.stderr + done.stdout
    assert clips_of(tmp_path / "kafka") == clips_of(tmp_path / "local") != []
    assert moments_of(tmp_path / "kafka") == moments_of(tmp_path / "local")
    assert not (tmp_path / "kafka" / ".clipthat" / "bus.db").exists()
