"""Media: ranges as players ask for them, and links that cannot be made by others."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from store.errors import ObjectMissing
from store.obstore_objects import open_objects
from tests.web.conftest import VIDEO, SiteUnderTest
from web.app import make_app
from web.health import Health
from web.settings import WebSettings
from web.signing import LinkSigner

KEY = "tenant/acme/renders/s1-clip-1/v/vertical.mp4"
SIGNER = LinkSigner(b"for tests", 600.0)

RANGES = [
    ("bytes=0-0", 0, 1),
    ("bytes=100-199", 100, 200),
    ("bytes=1048000-", 1_048_000, len(VIDEO)),
    ("bytes=-100", len(VIDEO) - 100, len(VIDEO)),
    ("bytes=1048570-99999999", 1_048_570, len(VIDEO)),
]


class Whole:
    """Objects that can only be given whole."""

    async def get(self, key: str) -> bytes:
        if key != KEY:
            raise ObjectMissing(key)
        return VIDEO


class Remote:
    """Objects elsewhere, that give parts."""

    def __init__(self) -> None:
        self.read_bytes = 0

    async def size(self, key: str) -> int:
        if key != KEY:
            raise ObjectMissing(key)
        return len(VIDEO)

    async def get_range(self, key: str, start: int, end: int) -> bytes:
        self.read_bytes += end - start
        return VIDEO[start:end]

    async def get(self, key: str) -> bytes:
        raise AssertionError("a player's seek must not read the whole object")

    put = delete = list = get


async def use_store(site: SiteUnderTest, kind: str) -> None:
    if kind == "remote":
        site.objects = Remote()  # type: ignore[assignment]
    elif kind == "whole":
        site.objects = Whole()  # type: ignore[assignment]
    elif kind == "memory":
        site.objects = open_objects("memory://")
        await site.objects.put(KEY, VIDEO)


@pytest.mark.parametrize("kind", ["local", "memory", "remote", "whole"])
@pytest.mark.parametrize(("header", "start", "end"), RANGES)
async def test_a_part(site: SiteUnderTest, kind: str, header: str, start: int, end: int) -> None:
    await use_store(site, kind)
    async with site.client() as client:
        answer = await client.get(SIGNER.link(KEY, site.clock()), headers={"Range": header})
    assert answer.status_code == 206
    assert answer.content == VIDEO[start:end]
    assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/{len(VIDEO)}"
    assert answer.headers["content-length"] == str(end - start)
    assert answer.headers["content-type"] == "video/mp4"
    if kind == "remote":
        assert site.objects.read_bytes == end - start  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", ["local", "memory", "remote", "whole"])
async def test_the_whole_the_head_and_what_is_not_there(site: SiteUnderTest, kind: str) -> None:
    await use_store(site, kind)
    link = SIGNER.link(KEY, site.clock())
    async with site.client() as client:
        whole = await client.get(link)
        head = await client.head(link)
        behind = await client.get(link, headers={"Range": f"bytes={len(VIDEO)}-"})
        gone = await client.get(SIGNER.link(KEY + ".part", site.clock()))
    assert (whole.status_code, whole.content) == (200, VIDEO)
    assert whole.headers["accept-ranges"] == "bytes"
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(VIDEO))
    assert behind.status_code == 416
    assert gone.status_code == 404


async def test_a_link_ends(site: SiteUnderTest) -> None:
    link = SIGNER.link(KEY, site.clock())
    async with site.client() as client:
        site.clock.now_s += 599
        assert (await client.get(link)).status_code == 200
        site.clock.now_s += 602
        answer = await client.get(link)
    assert answer.status_code == 403
    assert "has ended" in answer.text


async def test_no_link_that_we_have_not_made(site: SiteUnderTest) -> None:
    good = SIGNER.link(KEY, site.clock())
    forged = [
        good.replace("vertical.mp4", "thumbnail.jpg"),
        good.replace("e=", "e=9"),
        good[:-1] + ("A" if good[-1] != "A" else "B"),
        good.partition("?")[0],
        good.partition("&s=")[0] + "&s=",
        good.partition("&s=")[0] + "&s=%C3%A9",
        LinkSigner(b"another secret", 600.0).link(KEY, site.clock()),
        f"/media/{KEY}?e=abc&s=x",
    ]
    async with site.client() as client:
        assert (await client.get(good)).status_code == 200
        for link in forged:
            assert (await client.get(link)).status_code == 403, link


@pytest.mark.parametrize(
    "key",
    [
        "tenant/acme/../../state.db",
        "tenant/acme/../other/clip.mp4",
        "tenant/other/clips/c/source.mp4",
        "../state.db",
        "/etc/passwd",
        "tenant/acme/..\\..\\state.db",
        "tenant/acme//etc/passwd",
        "tenant/acme/a\0b",
    ],
)
async def test_even_a_signed_link_leads_nowhere_else(site: SiteUnderTest, key: str) -> None:
    link = SIGNER.link(key, site.clock()).replace(quote(key), quote(key, safe=""))
    async with site.client() as client:
        answer = await client.get(link)
    assert answer.status_code in (403, 404)
    assert VIDEO[:64] not in answer.content


async def test_without_a_secret_each_start_has_its_own(site: SiteUnderTest) -> None:
    async with site.client(media_secret="") as client:
        assert (await client.get(SIGNER.link(KEY, site.clock()))).status_code == 403
        clip = (await client.get("/api/clips/s1-clip-1")).json()
        assert (await client.get(clip["files"]["vertical"])).status_code == 200
    async with site.client(media_secret="") as client:
        assert (await client.get(clip["files"]["vertical"])).status_code == 403


def test_the_application_is_made_without_asking_anything(site: SiteUnderTest) -> None:
    def never() -> bytes:
        raise AssertionError("asked too early")

    make_app(site.state, site.objects, WebSettings(), lambda: Health(ok=never() == b""), never)
