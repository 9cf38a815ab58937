"""What a cloud's metadata server says of the machine's end.

Law: asked by plain HTTP at the one address that the settings name; a server that does not answer is
asked again and never taken for a notice.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

import httpx

log = logging.getLogger(__name__)

GCP_URL = "http://metadata.google.internal"
AWS_URL = "http://169.254.169.254"

_GCP_PATH = "/computeMetadata/v1/instance/preempted"
_GCP_HEADERS = {"Metadata-Flavor": "Google"}
_GCP_HANG_S = 60
_AWS_TOKEN_PATH = "/latest/api/token"
_AWS_PATH = "/latest/meta-data/spot/instance-action"
_AWS_TOKEN_S = 21_600
_TIMEOUT = httpx.Timeout(2.0)
_AGAIN_S = 10.0
"""A metadata server that failed is asked again after so long."""

Sleep = Callable[[float], Awaitable[None]]


class Notice(Protocol):
    """One way in which the end of the machine is told."""

    name: str
    """A word for logs and metrics."""

    async def is_there(self) -> bool:
        """Return whether the end has been told; False too when nobody answers."""
        ...

    async def wait(self) -> None:
        """Return once the end is told."""
        ...


class GcpNotice:
    """Asks Google's metadata server, which holds the answer back until something changes."""

    name = "gcp"

    def __init__(
        self, client: httpx.AsyncClient, url: str = "", sleep: Sleep = asyncio.sleep
    ) -> None:
        """`url`: of the metadata server, its own when empty; `sleep` waits for seconds."""
        self._client = client
        self._address = f"{(url or GCP_URL).rstrip('/')}{_GCP_PATH}"
        self._sleep = sleep
        self._etag = ""

    async def is_there(self) -> bool:
        """As `Notice.is_there`."""
        try:
            return await self._ask({}, _TIMEOUT)
        except httpx.HTTPError as error:
            _complain(self.name, error)
            return False

    async def wait(self) -> None:
        """As `Notice.wait`.

        The tag of the answer before goes with each question, so that a change between two is told
        at once.
        """
        while True:
            query: dict[str, str | int] = {}
            if self._etag:
                query = {
                    "wait_for_change": "true",
                    "last_etag": self._etag,
                    "timeout_sec": _GCP_HANG_S,
                }
            try:
                if await self._ask(query, httpx.Timeout(2.0, read=_GCP_HANG_S + 15.0)):
                    return
            except httpx.HTTPError as error:
                _complain(self.name, error)
                self._etag = ""
            if not self._etag:
                await self._sleep(_AGAIN_S)

    async def _ask(self, query: dict[str, str | int], timeout: httpx.Timeout) -> bool:
        answer = await self._client.get(
            self._address, params=query, headers=_GCP_HEADERS, timeout=timeout
        )
        answer.raise_for_status()
        self._etag = answer.headers.get("ETag", "")
        return answer.text.strip() == "TRUE"


class AwsNotice:
    """Asks Amazon's metadata server every now and then, by its second version with a token."""

    name = "aws"

    def __init__(
        self,
        client: httpx.AsyncClient,
        url: str = "",
        poll_s: float = 2.0,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        """`url`: of the metadata server, its own when empty; `sleep` waits for seconds."""
        self._client = client
        self._url = (url or AWS_URL).rstrip("/")
        self._poll_s = poll_s
        self._sleep = sleep
        self._token = ""

    async def is_there(self) -> bool:
        """As `Notice.is_there`."""
        try:
            return await self._ask()
        except httpx.HTTPError as error:
            _complain(self.name, error)
            return False

    async def wait(self) -> None:
        """As `Notice.wait`."""
        while True:
            pause_s = self._poll_s
            try:
                if await self._ask():
                    return
            except httpx.HTTPError as error:
                _complain(self.name, error)
                pause_s = _AGAIN_S
            await self._sleep(pause_s)

    async def _ask(self) -> bool:
        """Return whether an action is set; there is nothing (404) while none is."""
        if not self._token:
            granted = await self._client.put(
                f"{self._url}{_AWS_TOKEN_PATH}",
                headers={"X-aws-ec2-metadata-token-ttl-seconds": str(_AWS_TOKEN_S)},
                timeout=_TIMEOUT,
            )
            granted.raise_for_status()
            self._token = granted.text.strip()
        answer = await self._client.get(
            f"{self._url}{_AWS_PATH}",
            headers={"X-aws-ec2-metadata-token": self._token},
            timeout=_TIMEOUT,
        )
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            self._token = ""
        if answer.status_code == httpx.codes.NOT_FOUND:
            return False
        answer.raise_for_status()
        return True


def _complain(name: str, error: httpx.HTTPError) -> None:
    log.warning(
        "the metadata server does not answer; is preemption.provider right, and may this container"
        " reach it?",
        extra={"provider": name, "detail": f"{type(error).__name__}: {error}"},
    )
