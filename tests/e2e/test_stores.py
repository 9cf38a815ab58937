"""A recording in, finished clips out, with the state in PostgreSQL and the objects in a bucket."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from store.obstore_objects import open_objects
from store.state.queries import list_sessions, read_session
from store.state.state import State
from tests.e2e.media import QUICK, clips_of, clipthat, make_chat, make_video, moments_of
from tests.services.s3 import S3

VOD = ("vod", "video.mp4", "--chat", "chat.jsonl", "--top", "2", *QUICK)


def without_session(clips: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return clips without what names their very run."""
    return [
        {name: value for name, value in clip.items() if name not in ("id", "session_id", "files")}
        | {"files": sorted(clip["files"])}
        for clip in clips
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recording")
    make_video(folder / "video.mp4", 75)
    make_chat(folder / "chat.jsonl", 75)
    return folder


async def test_the_clips_are_those_that_local_stores_give(
    folder: Path, s3: S3, postgres_url: str
) -> None:
    local = clipthat(*VOD, "--out", "local", cwd=folder)
    assert local.returncode == 0, local.stderr
    bucket = s3.bucket()
    stores = (
        *("--set", f"objects_url={bucket}", "--set", f"objects.endpoint_url={s3.address}"),
        *("--set", f"database_url={postgres_url}"),
    )
    remote = clipthat(*VOD, "--out", "remote", *stores, cwd=folder)
    assert remote.returncode == 0, remote.stderr
    assert "secret" not in remote.stderr + remote.stdout
    ours, theirs = clips_of(folder / "remote"), clips_of(folder / "local")
    assert ours
    assert without_session(ours) == without_session(theirs)
    assert len(moments_of(folder / "remote")) == len(moments_of(folder / "local"))
    objects = open_objects(bucket, s3.settings())
    keys = [info.key for info in await objects.list("")]
    assert [key for key in keys if key.endswith("/source.mp4")]
    assert not [key for key in keys if "/ring/" in key]
    assert not list((folder / "remote").rglob("objects/**/*.mp4"))
    assert not list((folder / "remote").rglob("state.db"))
    async with State.open(postgres_url) as state:
        (session,) = await list_sessions(state, "local")
        detail = await read_session(state, "local", session.id)
    assert session.done
    assert detail is not None
    assert {clip.id for clip in detail.clips} == {clip["id"] for clip in ours}
