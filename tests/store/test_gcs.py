"""What is Google's own: who asks, addresses that it honours, pages of lists."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from google.cloud.storage import Client, _signing
from google.oauth2 import service_account

from store.errors import StoreUnavailable
from store.obstore_objects import open_objects
from tests.doubles.google_keys import HOST, ServiceAccount
from tests.services.gcs import Gcs

KEY = "tenant/acme/renders/s1-clip_1/v.x/vertical.mp4"


def by_google(account: ServiceAccount, when: datetime, bucket: str, name: str) -> str:
    """Return the address that Google's own library signs at a moment."""
    credentials = service_account.Credentials.from_service_account_info(account.told)
    blob = Client(project="tests", credentials=credentials).bucket(bucket).blob(name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_signing, "_NOW", lambda _: when)
        signed: str = blob.generate_signed_url(expiration=timedelta(seconds=900), version="v4")
    return signed


@pytest.fixture
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ServiceAccount:
    found = ServiceAccount()
    for name, value in found.environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    return found


@pytest.mark.parametrize("folder", ["", "folder", "two/folders", "with space", "grün~1"])
async def test_an_address_is_to_the_byte_what_google_signs(
    account: ServiceAccount, folder: str
) -> None:
    ours = await open_objects(f"gs://bucket/{folder}").signed(KEY)
    assert ours is not None
    assert ours.startswith(f"https://{HOST}/bucket/")
    assert "X-Goog-Expires=900" in ours
    [told] = parse_qs(urlsplit(ours).query)["X-Goog-Date"]
    when = datetime.strptime(told, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    assert ours == by_google(account, when, "bucket", f"{folder}/{KEY}".lstrip("/"))


@pytest.mark.parametrize("folder", ["a+b", "a=b", "o'clock", "(x)", "a@b", "a:b", "a,b", "a*b"])
async def test_a_name_that_would_be_signed_otherwise_is_not_signed(
    account: ServiceAccount, folder: str
) -> None:
    assert await open_objects(f"gs://bucket/{folder}").signed(KEY) is None


async def test_whoever_has_the_address_is_given_the_object(gcs: Gcs) -> None:
    objects = open_objects(gcs.bucket(), gcs.settings())
    video = bytes(range(256)) * 4096
    await objects.put(KEY, video)
    address = await objects.signed(KEY)
    assert address is not None
    async with httpx.AsyncClient() as browser:
        found = await browser.get(address, headers={"Range": "bytes=100-199"})
        assert (found.status_code, found.headers["content-type"]) == (206, "video/mp4")
        assert found.content == video[100:200]
        for forged in (
            address.replace("vertical", "another"),
            address.replace("X-Goog-Expires=900", "X-Goog-Expires=90000"),
            address.replace("X-Goog-Signature=", "X-Goog-Signature=00"),
            address.partition("?")[0],
        ):
            assert (await browser.get(forged)).status_code in (401, 403)


async def test_a_stranger_is_told_so_and_no_key_is_shown(
    gcs: Gcs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stranger = ServiceAccount()
    for name, value in stranger.environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    objects = open_objects(gcs.bucket(), gcs.settings())
    for asked in (objects.put("a/b", b"x"), objects.get("a/b"), objects.delete(["a/b"])):
        with pytest.raises(StoreUnavailable) as told:
            await asked
        assert "PRIVATE" not in repr(told.value)
        assert stranger.told["private_key"][100:140] not in repr(told.value.__cause__)


@pytest.fixture
def short_pages(gcs: Gcs) -> Iterator[None]:
    was, gcs.double.page_keys_max = gcs.double.page_keys_max, 2
    yield
    gcs.double.page_keys_max = was


@pytest.mark.usefixtures("short_pages")
async def test_a_list_of_many_pages_is_whole(gcs: Gcs) -> None:
    objects = open_objects(gcs.bucket(), gcs.settings())
    keys = [f"a/ring/{n:02}" for n in range(7)]
    for key in (*keys, "a/ring2/1"):
        await objects.put(key, b"x")
    assert [info.key for info in await objects.list("a/ring")] == keys


async def test_what_is_missing_keeps_nothing_else_from_being_removed(gcs: Gcs) -> None:
    objects = open_objects(gcs.bucket(), gcs.settings())
    keys = [f"a/{n:02}" for n in range(25)]
    for key in keys[::2]:
        await objects.put(key, b"x")
    await objects.delete(keys)
    assert await objects.list("a") == []


async def test_a_large_file_keeps_its_type_and_leaves_no_parts(gcs: Gcs, tmp_path: Path) -> None:
    source = tmp_path / "vertical.mp4"
    source.write_bytes(bytes(range(256)) * 50_000)
    objects = open_objects(gcs.bucket(), gcs.settings())
    await objects.put(KEY, source)
    assert gcs.double.uploads == {}
    address = await objects.signed(KEY)
    assert address is not None
    async with httpx.AsyncClient() as browser:
        found = await browser.get(address)
    assert found.headers["content-type"] == "video/mp4"
    assert found.content == source.read_bytes()
