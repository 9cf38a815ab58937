"""A recording in, finished clips out, with the objects in a bucket and the state in PostgreSQL."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from store.obstore_objects import ObstoreObjects, open_objects
from store.state.queries import list_sessions, read_session
from store.state.state import State
from tests.e2e.media import QUICK, clips_of, clipthat, make_chat, make_video, moments_of
from tests.services.fixtures import Cloud
from tests.services.gcs import Gcs
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
    """A recording, and what local stores make of it."""
    folder = tmp_path_factory.mktemp("recording")
    make_video(folder / "video.mp4", 75)
    make_chat(folder / "chat.jsonl", 75)
    local = clipthat(*VOD, "--out", "local", cwd=folder)
    assert local.returncode == 0, local.stderr
    return folder


def run_in(cloud: Cloud, folder: Path, out: str, *more: str) -> tuple[Path, ObstoreObjects]:
    """Make the clips with the objects in a bucket; returns the folder of clips and the bucket."""
    bucket = cloud.bucket()
    stores = ("--set", f"objects_url={bucket}", "--set", f"objects.endpoint_url={cloud.address}")
    remote = clipthat(*VOD, "--out", out, *stores, *more, cwd=folder)
    assert remote.returncode == 0, remote.stderr
    assert "secret" not in remote.stderr + remote.stdout
    assert "PRIVATE" not in remote.stderr + remote.stdout
    return folder / out, open_objects(bucket, cloud.settings())


async def check_same(local: Path, remote: Path, objects: ObstoreObjects) -> None:
    """Check that the clips are those of local stores, and that the bucket held the media."""
    ours, theirs = clips_of(remote), clips_of(local)
    assert ours
    assert without_session(ours) == without_session(theirs)
    assert len(moments_of(remote)) == len(moments_of(local))
    keys = [info.key for info in await objects.list("")]
    assert [key for key in keys if key.endswith("/source.mp4")]
    assert not [key for key in keys if "/ring/" in key]
    assert not list(remote.rglob("objects/**/*.mp4"))


async def test_the_clips_are_those_that_local_stores_give(
    folder: Path, s3: S3, postgres_url: str
) -> None:
    remote, objects = run_in(s3, folder, "remote", "--set", f"database_url={postgres_url}")
    await check_same(folder / "local", remote, objects)
    assert not list(remote.rglob("state.db"))
    async with State.open(postgres_url) as state:
        (session,) = await list_sessions(state, "local")
        detail = await read_session(state, "local", session.id)
    assert session.done
    assert detail is not None
    assert {clip.id for clip in detail.clips} == {clip["id"] for clip in clips_of(remote)}


async def test_googles_bucket_gives_the_same_clips(folder: Path, gcs: Gcs) -> None:
    await check_same(folder / "local", *run_in(gcs, folder, "google"))
