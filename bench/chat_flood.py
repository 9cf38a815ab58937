"""What ten thousand messages a second over two hundred channels cost, from socket to windows.

Run `.venv/bin/python -m bench.chat_flood [--seconds 60]`. A second process on loopback speaks as
Twitch's server does, with real text; this one reads through `IrcHub`, rooms, drains and
`ChatWindows`. CPU is process time; what is heard is checked against what was sent.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gzip
import itertools
import multiprocessing
import resource
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import orjson

from ingest.chat.irc_hub import IrcHubs
from ingest.chat.room import Room
from ingest.chat.settings import IrcSettings
from ingest.chat.window import ChatWindows

TEXTS = Path(__file__).parents[2] / "shared/data/chat/unlabelled-1.jsonl.gz"
TEXTS_MAX = 20_000
TICK_S = 0.1
DRAIN_EVERY_S = 2.0
BEHIND_S = 8.0
"""How far the picture is behind the chat."""
_LAST_ROUNDS = 30


def posts() -> list[tuple[str, str]]:
    """Return (user, text) of real chat."""
    with gzip.open(TEXTS) as file:
        records = [orjson.loads(line) for line in itertools.islice(file, TEXTS_MAX)]
    return [(str(record["user"]), str(record["text"])) for record in records if "text" in record]


def message(number: int, channel: str, user: str, text: str, sent_s: float) -> str:
    """Return a line as Twitch writes it."""
    return (
        "@badge-info=subscriber/14;badges=subscriber/12,premium/1;"
        f"client-nonce={number:032x};color=#1E90FF;display-name={user};emotes=;first-msg=0;flags=;"
        f"id={number:08x}-4c5d-6e7f-8091-a2b3c4d5e6f7;mod=0;returning-chatter=0;room-id=71092938;"
        f"subscriber=1;tmi-sent-ts={round(sent_s * 1000)};turbo=0;user-id=12345678;user-type= "
        f":{user}!{user}@{user}.tmi.twitch.tv PRIVMSG #{channel} :{text}\r\n"
    )


def serve(pipe: Connection, rate: int, seconds: float, channels: int) -> None:
    """Be the server's process: tell the port, wait for the word, then flood."""
    asyncio.run(_serve(pipe, rate, seconds, channels))


async def _serve(pipe: Connection, rate: int, seconds: float, channels: int) -> None:
    sits: dict[str, asyncio.StreamWriter] = {}

    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while line := (await reader.readline()).decode().split():
                if line[0] == "NICK":
                    writer.write(b":tmi.twitch.tv 001 x :Welcome\r\n")
                elif line[0] == "JOIN":
                    sits[line[1][1:]] = writer
                    writer.write(f":tmi.twitch.tv ROOMSTATE {line[1]}\r\n".encode())

    server = await asyncio.start_server(client, "127.0.0.1", 0)
    pipe.send(server.sockets[0].getsockname()[1])
    await asyncio.to_thread(pipe.recv)
    said = itertools.cycle(posts())
    began_s = time.monotonic()
    number = 0
    while number < rate * seconds:
        await asyncio.sleep(max(0.0, began_s + number / rate - time.monotonic()))
        for _ in range(round(rate * TICK_S)):
            channel = f"c{number % channels}"
            user, text = next(said)
            sits[channel].write(message(number, channel, user, text, time.time()).encode())
            number += 1
        for writer in set(sits.values()):
            await writer.drain()
    pipe.send(number)
    await asyncio.to_thread(pipe.recv)
    server.close()


def rss_mib() -> float:
    """Return this process's resident memory now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / 2**20


async def flood(rate: int, seconds: float, channels: int) -> None:
    """Measure and print."""
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(
        target=serve, args=(theirs, rate, seconds, channels)
    )
    process.start()
    port = await asyncio.to_thread(ours.recv)
    hubs = IrcHubs(IrcSettings(joins_max=1_000))
    start_s = time.time()
    rooms = [hubs.room(f"irc://127.0.0.1:{port}/#c{n}") for n in range(channels)]
    counts = [
        ChatWindows(tenant_id="bench", channel_id=f"c{n}", session_id=f"c{n}")
        for n in range(channels)
    ]
    for room in rooms:
        await room.open(start_s)
    while not all(room.is_joined for room in rooms):  # noqa: ASYNC110 - rooms have no event
        await asyncio.sleep(0.05)
    ours.send("go")
    lines, cpu_s, wall_s, memory = await _read(rooms, counts, start_s, seconds)
    sent = await asyncio.to_thread(ours.recv)
    for _ in range(_LAST_ROUNDS):
        await asyncio.sleep(TICK_S)
        for room, windows in zip(rooms, counts, strict=True):
            lines += len(windows.take(await room.drain(1e9), 0.0).counted)
    for room in rooms:
        await room.close()
    ours.send("bye")
    process.join()
    print(
        f"sent {sent}, counted {lines}; {rate} messages/s over {channels} channels: "
        f"{100 * cpu_s / wall_s:.0f} % of a core, {1e6 * cpu_s / (rate * wall_s):.0f} µs a message"
    )
    print("memory, MiB:", ", ".join(f"{each:.0f}" for each in memory))


async def _read(
    rooms: list[Room], counts: list[ChatWindows], start_s: float, seconds: float
) -> tuple[int, float, float, list[float]]:
    """Drain every two seconds, one room after another; return lines, CPU, wall time, memory."""
    lines = 0
    memory: list[float] = []
    began_s, began_cpu_s = time.monotonic(), time.process_time()
    for _ in ticks(seconds):
        for room, windows in zip(rooms, counts, strict=True):
            await asyncio.sleep(DRAIN_EVERY_S / len(rooms) / 2)
            until_s = max(0.0, time.time() - start_s - BEHIND_S)
            lines += len(windows.take(await room.drain(until_s), until_s).counted)
        left_s = DRAIN_EVERY_S - (time.monotonic() - began_s) % DRAIN_EVERY_S
        await asyncio.sleep(left_s)
        memory.append(rss_mib())
    wall_s = time.monotonic() - began_s
    every = max(1, len(memory) // 10)
    return lines, time.process_time() - began_cpu_s, wall_s, memory[::every]


def ticks(seconds: float) -> Iterator[int]:
    """Count drains until the time is over."""
    end_s = time.monotonic() + seconds
    number = 0
    while time.monotonic() < end_s:
        yield number
        number += 1


def main() -> None:
    """Flood with the rate that was asked for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rate", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--channels", type=int, default=200)
    given = parser.parse_args()
    asyncio.run(flood(given.rate, given.seconds, given.channels))


if __name__ == "__main__":
    main()
