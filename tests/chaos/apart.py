"""What stands on the two hosts while the wire between them is cut and healed.

Law: host two knows of host one by addresses on the wire alone; it has a folder of its own, and
what host one serves listens on the wire's address or on loopback.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import secrets
import shutil
import urllib.request
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bus.events import stable_id
from tests.chaos import leases
from tests.chaos.fleet import Fleet, fleet
from tests.chaos.kafka_log import KafkaLog, following
from tests.chaos.leases import LeaseWatch, watching
from tests.chaos.stand import QUICK, Stand
from tests.chaos.wire import Wire
from tests.chaos.world import Channel, on_air, write_chat
from tests.doubles.twitch.irc import TwitchIrc
from tests.services.kafka_server import KafkaServer
from tests.services.postgres import postgres_server
from tests.services.s3 import KEYS, s3_server

CONTROL_PORT = 8420
_CHAT_S = 3600.0
_ON_TWO = ("ingest", "detect", "clip", "render")


@dataclass
class Apart:
    """The two hosts and all that is on them."""

    wire: Wire
    stand: Stand
    channels: Sequence[Channel]
    chat_url: str
    log: KafkaLog
    watch: LeaseWatch
    one: Fleet
    two: Fleet

    async def man(self) -> None:
        """Start control on host one and everybody else on host two."""
        config = self.stand.folder / "clipthat.toml"
        config.write_text(
            "".join(
                f"[[channels]]\nurl = {json.dumps(each.url)}\nname = {json.dumps(each.name)}\n"
                f"chat = {json.dumps(f'{self.chat_url}/#{each.name}')}\n"
                for each in self.channels
            )
        )
        told = {
            "web.host": self.wire.one.address,
            "web.port": CONTROL_PORT,
            "web.allowed_hosts": self.wire.one.address,
            "database_url": self.stand.database_url,
        }
        more = [part for name, value in told.items() for part in ("--set", f"{name}={value}")]
        await self.one.start(self.one.add("control", "control", "--config", str(config), *more))
        for role in _ON_TWO:
            await self.two.start(self.two.add(role, role, "--set", "web.port=0"))

    async def help_out(self) -> None:
        """Start an ingester and a renderer on host one."""
        for role in ("ingest", "render"):
            await self.one.start(self.one.add(role, role, "--set", "web.port=0"))

    def listed_s(self, channel: Channel) -> float:
        """Return the media second up to which a channel's origin lists its stream by now."""
        stream = channel.origin.stream
        assert stream is not None
        listed = stream.listed(channel.clock.glance())
        return stream.start_s(listed) - stream.start_s(min(channel.asked))

    def missed_s(self) -> float:
        """Return how many seconds of media are told to be missing so far."""
        return sum(self.log.missed_s.values())

    async def late_writers(self) -> float:
        """Return how many results control says it has refused for an old token."""
        address = f"http://{self.wire.one.address}:{CONTROL_PORT}/metrics"
        text = await asyncio.to_thread(_read, address)
        found = re.findall(r"^clipthat_lease_late_writers_total\{[^}]*\} (\S+)$", text, re.M)
        return sum(map(float, found))

    def gather_receipts(self) -> None:
        """Lay the receipts of both hosts into one folder."""
        for path in (self.stand.folder.parent / "two").glob("*.acked"):
            shutil.copy(path, self.stand.folder / f"two-{path.name}")


def id_of(channel: Channel) -> str:
    """Return the id that the product gives a channel."""
    return stable_id("live", channel.url)


def _read(address: str) -> str:
    with urllib.request.urlopen(address, timeout=30) as answer:
        text: bytes = answer.read()
    return text.decode()


@contextlib.asynccontextmanager
async def apart(
    wire: Wire, folder: Path, *, channels: int, seed: int, settings: Mapping[str, object]
) -> AsyncIterator[Apart]:
    """Set everything up but the roles; runs on host one.

    Args:
        wire: the hosts.
        folder: an empty one; each host has a part of it.
        channels: how many are on air.
        seed: what is in them follows from it.
        settings: what every worker is told beside what it needs.
    """
    address, secret = wire.one.address, secrets.token_hex(32)
    async with contextlib.AsyncExitStack() as stack:
        kafka = KafkaServer(folder / "kafka", address)
        stack.callback(kafka.stop)
        await asyncio.to_thread(kafka.start)
        postgres = stack.enter_context(postgres_server())
        database = await postgres.fresh()
        bucket = stack.enter_context(s3_server(address))
        objects_url = bucket.bucket()
        log = await stack.enter_async_context(following(kafka.bootstrap))

        def stand(host: str) -> Stand:
            (folder / host).mkdir()
            own: dict[str, object] = {
                **QUICK,
                "worker.name": host,
                "data_dir": str(folder / host / "data"),
                "kafka.bootstrap": kafka.bootstrap,
                "objects_url": objects_url,
                "objects.endpoint_url": bucket.address,
                "control.url": f"http://{address}:{CONTROL_PORT}",
                "control.secret": secret,
                **settings,
            }
            look = leases.postgres(postgres.url(database, "postgres"))
            return Stand(folder / host, own, KEYS, log.truth, look, postgres.url(database))

        one, two = stand("one"), stand("two")
        names = [f"channel_{n}" for n in range(1, channels + 1)]
        on_the_air = await stack.enter_async_context(on_air(one.folder, names, seed, host=address))
        chat_url = await stack.enter_async_context(_chat(on_the_air, address, seed))
        yield Apart(
            wire=wire,
            stand=one,
            channels=on_the_air,
            chat_url=chat_url,
            log=log,
            watch=await stack.enter_async_context(watching(one.look)),
            one=await stack.enter_async_context(fleet(one.folder, one.environment)),
            two=await stack.enter_async_context(
                fleet(two.folder, two.environment, enter=wire.two.enter)
            ),
        )


@contextlib.asynccontextmanager
async def _chat(channels: Sequence[Channel], address: str, seed: int) -> AsyncIterator[str]:
    """Serve the channels' chat, each line when it is due; yields the server's address."""
    server = TwitchIrc(channels[0].clock.glance)
    async with server.over_tcp(address) as url:
        speaking = [asyncio.create_task(_speak(server, each, seed)) for each in channels]
        try:
            yield url
        finally:
            for task in speaking:
                task.cancel()


async def _speak(server: TwitchIrc, channel: Channel, seed: int) -> None:
    write_chat(channel, _CHAT_S, seed)
    for n, line in enumerate(channel.chat.read_text().splitlines()):
        said = json.loads(line)
        sent_s = said["sent_ms"] / 1000
        await asyncio.sleep(max(0.0, sent_s - channel.clock.glance()))
        server.post(channel.name, f"{n}", sent_s, user=said["user"], text=said["text"])
