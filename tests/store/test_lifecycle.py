"""What buckets are told to let expire: the ring and unfinished uploads, and nothing else."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest
from google.cloud.storage import Client
from google.cloud.storage.bucket import (
    Bucket,
    LifecycleRuleAbortIncompleteMultipartUpload,
    LifecycleRuleDelete,
)
from google.oauth2 import service_account

from ops.settings import Settings
from store import keys
from tests.doubles.google_keys import ServiceAccount
from tests.paths import REPOSITORY
from tests.services.s3 import S3

RULES = REPOSITORY / "deploy" / "lifecycle"
OURS = Settings().tenant_id
MAY_GO = (keys.ring_key(OURS, "s", 0, 1, "ts"), keys.init_key(OURS, "s", "abc"))
STAYS = (
    keys.frame_key(OURS, "s", 1.0),
    keys.session_key(OURS, "s", "words.json"),
    keys.clip_key(OURS, "c", "source.mp4"),
    keys.render_key(OURS, "c", "v", "vertical.mp4"),
    keys.render_key(OURS, "c", "v", "vertical.mp4", token=3),
)


def read(name: str) -> Any:
    return json.loads((RULES / name).read_text())


def expires(prefixes: list[str], key: str) -> bool:
    return any(key.startswith(prefix) for prefix in prefixes)


def test_amazons_rules_are_taken_and_meet_the_ring_only(s3: S3) -> None:
    client = boto3.client("s3", endpoint_url=s3.address)
    name = s3.bucket().split("/")[2]
    client.put_bucket_lifecycle_configuration(Bucket=name, LifecycleConfiguration=read("s3.json"))
    rules = client.get_bucket_lifecycle_configuration(Bucket=name)["Rules"]
    assert {rule["Status"] for rule in rules} == {"Enabled"}
    gone = [rule["Filter"]["Prefix"] for rule in rules if "Expiration" in rule]
    assert [key for key in (*MAY_GO, *STAYS) if expires(gone, key)] == list(MAY_GO)
    [unfinished] = [rule for rule in rules if "AbortIncompleteMultipartUpload" in rule]
    assert unfinished["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 1}


def test_googles_rules_are_read_by_its_library_and_meet_the_ring_only() -> None:
    told = ServiceAccount().told
    credentials = service_account.Credentials.from_service_account_info(told)
    bucket = Bucket(Client(project="tests", credentials=credentials), "bucket")
    bucket._properties["lifecycle"] = read("gcs.json")
    ring, unfinished = bucket.lifecycle_rules
    assert isinstance(ring, LifecycleRuleDelete)
    assert ring == LifecycleRuleDelete(
        age=1, matches_prefix=[keys.ring_folder(OURS, "s").removesuffix("s")]
    )
    gone = ring["condition"]["matchesPrefix"]
    assert [key for key in (*MAY_GO, *STAYS) if expires(gone, key)] == list(MAY_GO)
    assert isinstance(unfinished, LifecycleRuleAbortIncompleteMultipartUpload)
    assert unfinished == LifecycleRuleAbortIncompleteMultipartUpload(age=1)


@pytest.mark.parametrize("name", ["s3.json", "gcs.json"])
def test_the_reader_is_told_how_to_set_them(name: str) -> None:
    assert f"deploy/lifecycle/{name}" in (REPOSITORY / "README.md").read_text()
