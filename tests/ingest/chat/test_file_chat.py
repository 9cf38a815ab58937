"""Chat from files."""

from __future__ import annotations

import gzip
import json
import math
from pathlib import Path

import pytest

from ingest.chat.errors import ChatFileError
from ingest.chat.file_chat import FileChat
from ingest.chat.line import ChatLine, hashed
from ingest.chat.log import ChatLog
from ingest.chat.record import parse_record, to_json
from ingest.chat.settings import ChatLogSettings, FileChatSettings
from ingest.chat.source import ChatBatch
from ingest.chat.window import ChatWindows
from store.obstore_objects import open_objects
from tests.paths import SHARED_DATA, needs_shared_data


def comment(t_s: float, text: str) -> dict[str, object]:
    return {
        "_id": f"id-{t_s}",
        "content_offset_seconds": t_s,
        "commenter": {"display_name": "Ana", "_id": "1", "name": "ana"},
        "message": {
            "body": text,
            "user_badges": [{"_id": "moderator", "version": "1"}],
            "fragments": [
                {"text": text, "emoticon": None},
                {"text": "LUL", "emoticon": {"emoticon_id": "425618"}},
            ],
        },
    }


def downloader_json(count: int, **more: object) -> str:
    comments = [comment(float(n), f'say "comments": [{n}] \\ ok') for n in range(count)]
    return json.dumps(
        {
            "FileInfo": {"Version": {"Major": 1}},
            "streamer": {"name": "x"},
            "video": {"title": 'my "comments": [1]', "start": 0},
            "comments": comments,
            "embeddedData": {"firstParty": ["A" * 400_000]},
            **more,
        }
    )


async def read(path: Path, until_s: float = math.inf) -> ChatBatch:
    chat = FileChat(path)
    await chat.open(None)
    batch = await chat.drain(until_s)
    await chat.close()
    return batch


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("zipped", [False, True])
async def test_twitch_downloader(tmp_path: Path, zipped: bool, indent: int | None) -> None:
    text = downloader_json(3_000)
    if indent:
        text = json.dumps(json.loads(text), indent=indent)
    path = tmp_path / "chat"
    path.write_bytes(gzip.compress(text.encode()) if zipped else text.encode())
    batch = await read(path)
    assert len(batch.lines) == 3_000
    assert batch.lines[7].text == 'say "comments": [7] \\ ok'
    assert batch.lines[7].role == "moderator"
    assert batch.lines[7].emotes == ("LUL",)
    assert batch.lines[7].user == hashed("ana")
    assert batch.dropped == 0


async def test_a_download_that_broke_off_gives_what_it_has(tmp_path: Path) -> None:
    text = downloader_json(100)
    path = tmp_path / "chat.json"
    path.write_text(text[: text.index("id-60.0")])
    batch = await read(path)
    assert len(batch.lines) == 60
    assert batch.dropped == 1


async def test_json_lines_in_order_as_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "chat.jsonl"
    times = [0.5, 3.0, 2.0, 1.0, 70.0, 69.0, 200.0]
    path.write_text("".join(f'{{"t_s": {t}, "user": "a", "text": "x"}}\n' for t in times))
    chat = FileChat(path)
    await chat.open(None)
    assert [line.t_s for line in (await chat.drain(3.0)).lines] == [0.5, 1.0, 2.0]
    assert [line.t_s for line in (await chat.drain(100.0)).lines] == [3.0, 69.0, 70.0]
    assert [line.t_s for line in (await chat.drain(300.0)).lines] == [200.0]
    assert chat.end_s == 200.0
    await chat.close()


async def test_malformed_lines_are_skipped_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "chat.jsonl"
    good = '{"t_s": 1, "user": "a", "text": "x"}\n'
    bad = ["{", "[]", '{"t_s": "no", "text": "x"}', '{"t_s": 1}', "x" * 70_000, '{"t_s": NaN}']
    path.write_text("\ufeff" + good + "\n".join(bad) + "\n" + good)
    batch = await read(path)
    assert len(batch.lines) == 2
    assert batch.dropped == len(bad)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"  \n ",
        b"1\n00:00:01,000 --> 00:00:02,000\nhello\n",
        b"\x89PNG\r\n\x1a\n" + bytes(100),
        b'{"hello": "world"}\n',
        b'{"a": 1}\n' * 200,
        gzip.compress(b"nothing at all", mtime=0),
        gzip.compress(b'{"t_s": 1}' * 100, mtime=0)[:20],
    ],
)
async def test_a_wrong_file_says_what_is_expected(tmp_path: Path, body: bytes) -> None:
    path = tmp_path / "chat"
    path.write_bytes(body)
    with pytest.raises(ChatFileError, match=r"chat file .*(expected|cannot be read)"):
        await read(path)


async def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(ChatFileError, match="cannot be read"):
        await read(tmp_path / "none.json")


async def test_a_live_file_is_read_as_it_grows(tmp_path: Path) -> None:
    path = tmp_path / "live.jsonl"
    chat = FileChat(path, live=True)
    await chat.open(wall_start_s=1_000.0)
    assert (await chat.drain(1.0)).connected is False
    with path.open("a") as file:
        file.write('{"t_s": 99, "sent_ms": 1002500, "user": "a", "text": "one"}\n{"sent_ms": 1003')
    assert [line.t_s for line in (await chat.drain(3.0)).lines] == [2.5]
    with path.open("a") as file:
        file.write('000, "user": "b", "text": "two"}\n{"t_s": 4.0, "user": "b", "text": "three"}\n')
    assert [line.text for line in (await chat.drain(10.0)).lines] == ["two", "three"]
    assert chat.end_s is None
    assert chat.malformed == 0
    await chat.close()


async def test_memory_stays_bounded_in_a_file_out_of_order(tmp_path: Path) -> None:
    path = tmp_path / "chat.jsonl"
    path.write_text("".join(f'{{"t_s": {t}, "text": "x"}}\n' for t in range(500, 0, -1)))
    chat = FileChat(path, settings=FileChatSettings(sort_lines_max=50))
    await chat.open(None)
    batch = await chat.drain(math.inf)
    assert len(batch.lines) == 500
    await chat.close()


def test_a_line_survives_its_record() -> None:
    line = ChatLine(
        t_s=12.345678901,
        user=hashed("ana"),
        text="gg \u2028 wp",
        role="vip",
        emotes=("gg",),
        message_id="m1",
        sent_s=1_700_000_000.25,
    )
    record = json.loads(to_json(line))
    assert parse_record(record, wall_start_s=None, by_wall_clock=False) == line


async def test_the_log_replays_to_the_same_windows(tmp_path: Path) -> None:
    def windows(first_s: float = 0.0) -> ChatWindows:
        return ChatWindows(tenant_id="t", channel_id="c", session_id="s", first_s=first_s)

    objects = open_objects("memory://")
    settings = ChatLogSettings(flush_s=2.0, chunk_lines_max=7)
    live = windows()
    log = ChatLog(objects, tenant_id="t", session_id="s", settings=settings)
    await log.open()
    seen = []
    for second in range(2, 22, 2):
        lines = tuple(
            ChatLine(t_s=t_s, user=hashed(f"u{t_s}"), text="clip that" if second == 8 else "gg")
            for t_s in (second - 4.5, second - 1.2, second - 0.3)
            if t_s >= 0.0
        )
        gaps = frozenset({13}) if second == 14 else frozenset()
        taken = live.take(ChatBatch(lines, gap_seconds=gaps), float(second))
        seen += taken.windows
        await log.append(taken, float(second))
        if second == 10:
            log = ChatLog(objects, tenant_id="t", session_id="s", settings=settings)
            await log.open(first_s=10.0)
    await log.flush()

    path = tmp_path / "all.jsonl.gz"
    chunks = await objects.list("tenant/t/sessions/s")
    assert len(chunks) > 2
    path.write_bytes(b"".join([await objects.get(chunk.key) for chunk in chunks]))
    replay = windows().take(await read(path), 20.0)
    assert list(replay.windows) == seen
    assert replay.windows[13].gap
    assert sum(len(window.commands) for window in replay.windows) == 3


@needs_shared_data
async def test_real_chat_is_read_whole() -> None:
    batch = await read(SHARED_DATA / "chat" / "lol-train-nalcs_w8d2_NV_DIG_g3.jsonl.gz")
    assert len(batch.lines) > 1_000
    assert batch.dropped == 0
    assert all(a.t_s <= b.t_s for a, b in zip(batch.lines, batch.lines[1:], strict=False))
