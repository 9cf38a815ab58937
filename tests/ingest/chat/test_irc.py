"""Live chat over IRC: the parser, and the reader against a server on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.chat.errors import ChatAddressError
from ingest.chat.irc import IrcChat
from ingest.chat.irc_parse import chat_line, parse_address, parse_message
from ingest.chat.line import hashed
from ingest.chat.settings import IrcSettings
from ops.demo.chat import ChatServer, privmsg
from ops.demo.script import Post

FAST = IrcSettings(backoff_first_s=0.01, backoff_max_s=0.02)


class Clock:
    def __init__(self, now_s: float) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s


def test_a_line_of_twitch() -> None:
    raw = (
        "@badges=subscriber/12,moderator/1;display-name=Ana;emotes=25:0-4/425618:11-13;"
        "id=m-1;tmi-sent-ts=1700000012500;system-msg=a\\sb\\:c "
        ":ana!ana@ana.tmi.twitch.tv PRIVMSG #demo :Kappa what LUL: yes"
    )
    message = parse_message(raw + "\r\n")
    assert message is not None
    assert message.tags["system-msg"] == "a b;c"
    line = chat_line(message, wall_start_s=1_700_000_000.0, now_s=0.0)
    assert line is not None
    assert line.t_s == 12.5
    assert line.text == "Kappa what LUL: yes"
    assert line.role == "moderator"
    assert line.emotes == ("Kappa", "LUL")
    assert line.user == hashed("ana")
    assert line.message_id == "m-1"


def test_a_line_without_tags_stands_at_its_arrival() -> None:
    message = parse_message(":bo!bo@x PRIVMSG #demo :\x01ACTION waves\x01")
    assert message is not None
    line = chat_line(message, wall_start_s=100.0, now_s=103.0)
    assert line is not None
    assert (line.t_s, line.text, line.sent_s) == (3.0, "waves", None)


@given(st.text(max_size=300))
@settings(max_examples=200)
def test_nothing_that_a_server_says_raises(text: str) -> None:
    for raw in (
        text,
        "@" + text,
        ":" + text,
        f"@emotes={text};tmi-sent-ts={text} :a!b PRIVMSG #x :{text}",
    ):
        message = parse_message(raw)
        if message is not None:
            chat_line(message, 0.0, 0.0)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("#Demo", ("wss", "irc-ws.chat.twitch.tv", 443, "demo")),
        ("demo", ("wss", "irc-ws.chat.twitch.tv", 443, "demo")),
        ("irc://127.0.0.1:6000/#demo", ("irc", "127.0.0.1", 6000, "demo")),
        ("irc://host/demo", ("irc", "host", 6667, "demo")),
        ("ws://localhost:80/#a_b", ("ws", "localhost", 80, "a_b")),
    ],
)
def test_addresses(address: str, expected: tuple[str, str, int, str]) -> None:
    parsed = parse_address(address, "wss://irc-ws.chat.twitch.tv:443")
    assert (parsed.scheme, parsed.host, parsed.port, parsed.channel) == expected


@pytest.mark.parametrize("address", ["", "http://x/#a", "irc://host:99999/#a", "#a b", "irc:///#a"])
def test_a_wrong_address_says_what_is_expected(address: str) -> None:
    with pytest.raises(ChatAddressError, match="expected"):
        parse_address(address, "wss://irc-ws.chat.twitch.tv:443")


@pytest.fixture
async def server() -> AsyncIterator[ChatServer]:
    async with ChatServer(clock=Clock(1_003.5)) as running:
        yield running


async def until(is_so: Callable[[], bool]) -> None:
    """Let the loop turn until something is so; the caller sets the limit."""
    while not is_so():  # noqa: ASYNC110 - what is awaited has no event
        await asyncio.sleep(0)


async def _heard(chat: IrcChat, count: int, until_s: float = 1e9) -> list[str]:
    texts: list[str] = []
    async with asyncio.timeout(10):
        while len(texts) < count:
            await asyncio.sleep(0)
            texts += [line.text for line in (await chat.drain(until_s)).lines]
    return texts


async def test_a_reader_hears_each_message_once(server: ChatServer) -> None:
    clock = Clock(1_000.0)
    chat = IrcChat(server.address, FAST, clock)
    await chat.open(wall_start_s=1_000.0)
    async with asyncio.timeout(10):
        await chat.joined.wait()
        await server.wait_joined()
    await server.send("PING :tmi.twitch.tv")
    await server.say(Post(at_s=0.0, user="ana", text="LUL one", role="subscriber"), "m1")
    await server.say(Post(at_s=0.0, user="ana", text="LUL one", role="subscriber"), "m1")
    await server.say(Post(at_s=0.0, user="bo", text="two"), "m2")
    async with asyncio.timeout(10):
        await until(lambda: len(chat._lines) >= 2)
    assert (await chat.drain(3.5)).lines == ()
    batch = await chat.drain(4.0)
    assert [line.text for line in batch.lines] == ["LUL one", "two"]
    assert [line.t_s for line in batch.lines] == [3.5, 3.5]
    assert batch.lines[0].role == "subscriber"
    assert batch.lines[0].emotes == ("LUL",)
    assert batch.connected
    await chat.close()
    await chat.close()


@pytest.mark.parametrize("how", ["drop", "RECONNECT"])
async def test_a_reader_comes_back_and_tells_the_gap(server: ChatServer, how: str) -> None:
    clock = Clock(1_000.0)
    chat = IrcChat(server.address, FAST, clock)
    await chat.open(wall_start_s=1_000.0)
    async with asyncio.timeout(10):
        await chat.joined.wait()
        clock.now_s = 1_005.2
        if how == "drop":
            server.drop_readers()
        else:
            await server.send(":tmi.twitch.tv RECONNECT")
        await until(lambda: not chat.joined.is_set())
        clock.now_s = 1_007.5
        await chat.joined.wait()
    batch = await chat.drain(20.0)
    assert {5, 6, 7} <= batch.gap_seconds
    assert not {1, 2, 3, 4, 8, 9} & batch.gap_seconds
    await server.say(Post(at_s=0.0, user="ana", text="again"))
    assert await _heard(chat, 1) == ["again"]
    await chat.close()


async def test_no_server_is_a_gap_and_no_error() -> None:
    async with ChatServer() as gone:
        address = gone.address
    chat = IrcChat(address, FAST, Clock(1_000.0))
    await chat.open(wall_start_s=1_000.0)
    await asyncio.sleep(0)
    batch = await chat.drain(3.0)
    assert batch.connected is False
    assert batch.gap_seconds == {0, 1, 2}
    await chat.close()


async def test_the_buffer_is_bounded_and_counts_what_it_loses(server: ChatServer) -> None:
    settings = IrcSettings(buffer_lines_max=10)
    chat = IrcChat(server.address, settings, Clock(1_000.0))
    await chat.open(wall_start_s=1_000.0)
    async with asyncio.timeout(10):
        await chat.joined.wait()
        await server.wait_joined()
        for number in range(25):
            await server.say(Post(at_s=0.0, user="ana", text=f"line {number}"))
        await until(lambda: bool(chat._lines) and chat._lines[-1].text == "line 24")
    batch = await chat.drain(1e9)
    assert len(batch.lines) == 10
    assert batch.dropped == 15
    await chat.close()


async def test_irc_over_a_websocket() -> None:
    async def serve(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            if message.data.startswith("JOIN"):
                lines = [
                    ":x!x@x JOIN #demo",
                    privmsg("demo", Post(at_s=0.0, user="ana", text="hi"), 1_001.0, "m1"),
                    privmsg("demo", Post(at_s=0.0, user="bo", text="ho"), 1_001.0, "m2"),
                ]
                await socket.send_str("\r\n".join(lines) + "\r\n")
        return socket

    application = web.Application()
    application.router.add_get("/", serve)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    chat = IrcChat(f"ws://127.0.0.1:{port}/#demo", FAST, Clock(1_000.0))
    await chat.open(wall_start_s=1_000.0)
    assert await _heard(chat, 2) == ["hi", "ho"]
    await chat.close()
    await runner.cleanup()
