"""A real S3 server, on loopback unless told otherwise: moto's, over HTTP."""

from __future__ import annotations

import itertools
import logging
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from moto.server import ThreadedMotoServer

from store.settings import ObjectsSettings

KEYS = {
    "AWS_ACCESS_KEY_ID": "key",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_REGION": "eu-central-1",
}
"""What a process that uses the server has in its environment."""

_AUTHORIZATION = (
    "AWS4-HMAC-SHA256 Credential=key/20260101/us-east-1/s3/aws4_request, "
    "SignedHeaders=host, Signature=0"
)


@dataclass
class S3:
    """A server and the buckets on it."""

    address: str
    _names: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def bucket(self) -> str:
        """Make an empty bucket; returns its address, with a folder."""
        name = f"bucket-{next(self._names)}"
        asked = urllib.request.Request(
            f"{self.address}/{name}", method="PUT", headers={"Authorization": _AUTHORIZATION}
        )
        with urllib.request.urlopen(asked, timeout=60):
            return f"s3://{name}/folder"

    def settings(self, **told: object) -> ObjectsSettings:
        """Return how to reach it."""
        return ObjectsSettings(endpoint_url=self.address, **told)  # type: ignore[arg-type]


@contextmanager
def s3_server(host: str = "127.0.0.1") -> Iterator[S3]:
    """Run the server on a free port of an address, in a thread of this process."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(host, 0, verbose=False)
    server.start()
    try:
        _, port = server.get_host_and_port()
        yield S3(f"http://{host}:{port}")
    finally:
        server.stop()
