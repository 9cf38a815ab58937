"""Media straight from the bucket, by addresses that it signs for a while."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from store.obstore_objects import open_objects
from tests.services.fixtures import Cloud
from tests.web.conftest import VIDEO, SiteUnderTest
from web.security import CONTENT_POLICY, with_media_origin
from web.signing import LinkSigner

FOLDER = "tenant/acme/renders/s1-clip-1/v"
KEY = f"{FOLDER}/vertical.mp4"
SIGNER = LinkSigner(b"for tests", 600.0)


@pytest.fixture
async def bucket_site(empty_site: SiteUnderTest, cloud: Cloud) -> SiteUnderTest:
    empty_site.objects = open_objects(cloud.bucket(), cloud.settings())
    for name in ("vertical.mp4", "thumbnail.jpg", "captions.vtt"):
        await empty_site.objects.put(f"{FOLDER}/{name}", VIDEO)
    return empty_site


async def test_a_good_link_leads_to_the_bucket(bucket_site: SiteUnderTest, cloud: Cloud) -> None:
    link = SIGNER.link(KEY, bucket_site.clock())
    async with bucket_site.client(media_origin=cloud.address) as client:
        sent = await client.get(link)
        page = await client.get("/")
    assert (sent.status_code, sent.headers["cache-control"]) == (307, "no-store")
    address = sent.headers["location"]
    assert address.startswith(f"{cloud.address}/")
    asked = parse_qs(urlsplit(address).query)
    [expires] = [value for name, [value] in asked.items() if name.endswith("-Expires")]
    assert int(expires) <= 900
    assert "secret" not in address
    assert "PRIVATE" not in address
    async with httpx.AsyncClient() as browser:
        found = await browser.get(address, headers={"Range": "bytes=100-199"})
    assert (found.status_code, found.headers["content-type"]) == (206, "video/mp4")
    assert found.content == VIDEO[100:200]
    policy = page.headers["content-security-policy"]
    assert f"media-src 'self' {cloud.address};" in policy
    assert f"img-src 'self' {cloud.address};" in policy
    assert "script-src 'self';" in policy


async def test_a_link_that_is_not_ours_leads_nowhere(
    bucket_site: SiteUnderTest, cloud: Cloud
) -> None:
    link = SIGNER.link(KEY, bucket_site.clock())
    forged = LinkSigner(b"another", 600.0).link(KEY, bucket_site.clock())
    strange = SIGNER.link("tenant/other/x.mp4", bucket_site.clock())
    async with bucket_site.client(media_origin=cloud.address) as client:
        for wrong in (forged, strange):
            assert (await client.get(wrong)).status_code == 403
        bucket_site.clock.now_s += 3600
        assert (await client.get(link)).status_code == 403


async def test_what_a_page_reads_itself_passes_through(
    bucket_site: SiteUnderTest, cloud: Cloud
) -> None:
    now_s = bucket_site.clock()
    async with bucket_site.client(media_origin=cloud.address) as client:
        captions = await client.get(SIGNER.link(f"{FOLDER}/captions.vtt", now_s))
    assert (captions.status_code, captions.content) == (200, VIDEO)


@pytest.mark.parametrize("origin", ["", "https://elsewhere.example"])
async def test_without_the_buckets_origin_all_passes_through(
    bucket_site: SiteUnderTest, origin: str
) -> None:
    async with bucket_site.client(media_origin=origin) as client:
        found = await client.get(SIGNER.link(KEY, bucket_site.clock()))
    assert (found.status_code, found.content) == (200, VIDEO)


async def test_a_folder_signs_nothing(tmp_path: Path) -> None:
    assert await open_objects(f"file://{tmp_path}/o").signed(KEY) is None
    assert await open_objects("memory://").signed(KEY) is None


def test_only_an_origin_reaches_the_policy() -> None:
    for wrong in (
        "",
        "'unsafe-inline'",
        "data:",
        "ftp://x",
        "*; script-src *",
        "https://x; script-src *",
    ):
        assert with_media_origin(CONTENT_POLICY, wrong) == CONTENT_POLICY
    told = with_media_origin(CONTENT_POLICY, "https://bucket.example/path; script-src *")
    assert "media-src 'self' https://bucket.example;" in told
    assert "script-src 'self';" in told
