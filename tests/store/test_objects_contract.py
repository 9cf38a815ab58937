"""What every object store promises: the same tests for each of them."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from store.errors import ObjectMissing, StoreError
from store.objects import Objects, download, local_path
from store.obstore_objects import open_objects
from tests.paths import REPOSITORY
from tests.services.fixtures import Cloud

BIG = bytes(range(256)) * 60_000


@pytest.fixture(params=["file", "memory", "s3", "gcs"])
def objects(request: pytest.FixtureRequest, tmp_path: Path) -> Objects:
    if request.param in ("s3", "gcs"):
        cloud: Cloud = request.getfixturevalue(request.param)
        return open_objects(cloud.bucket(), cloud.settings())
    return open_objects("memory://" if request.param == "memory" else f"file://{tmp_path}/objects")


async def keys(objects: Objects, prefix: str) -> list[str]:
    return [info.key for info in await objects.list(prefix)]


async def test_what_is_put_comes_back(objects: Objects) -> None:
    await objects.put("tenant/t/ring/s/0-1.ts", b"one")
    await objects.put("tenant/t/ring/s/0-1.ts", b"two")
    assert await objects.get("tenant/t/ring/s/0-1.ts") == b"two"
    assert type(await objects.get("tenant/t/ring/s/0-1.ts")) is bytes


async def test_an_empty_object_is_an_object(objects: Objects) -> None:
    await objects.put("a/empty", b"")
    assert await objects.get("a/empty") == b""
    [info] = await objects.list("a")
    assert info.size_bytes == 0


async def test_a_large_file_is_stored_and_loaded_whole(objects: Objects, tmp_path: Path) -> None:
    source = tmp_path / "source.mp4"
    source.write_bytes(BIG)
    await objects.put("a/big", source)
    assert await objects.get("a/big") == BIG
    await download(objects, "a/big", tmp_path / "new" / "folder" / "copy.mp4")
    assert (tmp_path / "new" / "folder" / "copy.mp4").read_bytes() == BIG
    assert [each.name for each in (tmp_path / "new" / "folder").iterdir()] == ["copy.mp4"]


async def test_a_missing_object_is_said_to_be_missing(objects: Objects, tmp_path: Path) -> None:
    with pytest.raises(ObjectMissing, match="no object a/none"):
        await objects.get("a/none")
    with pytest.raises(ObjectMissing):
        await download(objects, "a/none", tmp_path / "folder" / "copy")
    assert not (tmp_path / "folder" / "copy").exists()
    await objects.put("a/b/c", b"x")
    with pytest.raises(ObjectMissing):
        await objects.get("a/b")


async def test_a_file_that_is_not_there_cannot_be_stored(objects: Objects, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is not there"):
        await objects.put("a/b", tmp_path / "nothing")


async def test_deleting_twice_is_no_error(objects: Objects) -> None:
    await objects.put("a/1", b"x")
    await objects.put("a/2", b"x")
    await objects.delete(["a/none", "a/1", "a/gone"])
    await objects.delete(["a/1"])
    await objects.delete([])
    assert await keys(objects, "a") == ["a/2"]


async def test_a_list_holds_the_folder_in_key_order_and_no_namesakes(objects: Objects) -> None:
    for key in ("a/ring/2", "a/ring/10", "a/ring/deep/1", "a/ring2/1", "a/rin", "b/ring/1"):
        await objects.put(key, b"xyz")
    assert await keys(objects, "a/ring") == ["a/ring/10", "a/ring/2", "a/ring/deep/1"]
    assert await keys(objects, "a/ring/") == ["a/ring/10", "a/ring/2", "a/ring/deep/1"]
    assert await keys(objects, "nothing") == []
    assert len(await keys(objects, "")) == 6
    assert {info.size_bytes for info in await objects.list("a/ring")} == {3}


async def test_a_reader_sees_the_old_object_or_the_new_one(objects: Objects) -> None:
    versions = [bytes([n]) * 2_000_000 for n in range(6)]
    await objects.put("a/b", versions[0])

    async def write() -> None:
        for version in versions:
            await objects.put("a/b", version)

    writing = asyncio.create_task(write())
    while not writing.done():
        assert await objects.get("a/b") in versions
        assert [info.size_bytes for info in await objects.list("a")] == [2_000_000]
    await writing


async def test_a_local_object_is_read_in_place(tmp_path: Path) -> None:
    local = open_objects(f"file://{tmp_path}/objects")
    await local.put("tenant/t/x.ts", b"abc")
    path = local_path(local, "tenant/t/x.ts")
    assert path is not None
    assert path.read_bytes() == b"abc"
    with pytest.raises(ObjectMissing):
        local_path(local, "tenant/t/y.ts")
    with pytest.raises(StoreError):
        local_path(local, "../secret")
    assert local_path(open_objects("memory://"), "tenant/t/x.ts") is None


async def test_one_that_cannot_be_removed_keeps_no_other(tmp_path: Path) -> None:
    objects = open_objects(tmp_path.as_uri())
    for key in ("folder/in", "first", "last"):
        await objects.put(key, b"x")
    with pytest.raises(StoreError):
        await objects.delete(["first", "folder", "missing", "last"])
    assert [info.key for info in await objects.list("")] == ["folder/in"]


async def test_keys_cannot_leave_the_folder(tmp_path: Path) -> None:
    local = open_objects(f"file://{tmp_path}/objects")
    with pytest.raises(StoreError):
        await local.put("../outside", b"x")
    assert not (tmp_path / "outside").exists()


@pytest.mark.parametrize("url", ["", "relative", "http://x/y", "file://host/x", "ftp://x"])
def test_an_address_that_is_no_store_is_refused(url: str) -> None:
    with pytest.raises(StoreError):
        open_objects(url)


_FULL = """
import asyncio, resource, signal, sys
from pathlib import Path
from store.errors import StorageFull
from store.objects import download
from store.obstore_objects import open_objects

async def main(folder):
    objects = open_objects(f"file://{folder}/objects")
    await objects.put("a/small", b"x" * 1000)
    source = Path(folder, "source")
    source.write_bytes(b"x" * 9_000_000)
    await objects.put("a/source", source)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
    told = 0
    for data in (b"y" * 200_000, source):
        try:
            await objects.put("a/small", data)
        except StorageFull:
            told += 1
    try:
        await download(objects, "a/source", Path(folder, "out", "copy"))
    except StorageFull:
        told += 1
    assert await objects.get("a/small") == b"x" * 1000
    assert [info.key for info in await objects.list("a")] == ["a/small", "a/source"]
    assert list(Path(folder, "out").iterdir()) == []
    print("told", told)

asyncio.run(main(sys.argv[1]))
"""


def test_a_full_disk_is_said_and_leaves_the_old_object(tmp_path: Path) -> None:
    """A limit on the size of files stands for the full disk: writes fail in the same place."""
    done = subprocess.run(
        [sys.executable, "-c", _FULL, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=REPOSITORY,
    )
    assert done.stdout.strip() == "told 3", done.stderr
