"""What `clipthat live` refuses before anything is opened, and whose chat it reads."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from bus.events import stable_id
from ingest.twitch.names import TwitchChannel
from ops.cli import app
from ops.commands.live import channel_of, chat_address, live_place
from ops.errors import OpsError
from tests.doubles.twitch.playlists import TwitchPlaylists
from tests.doubles.twitch.server import serving
from tests.hls_media import ts_segments


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("rtmp://example.org/live", "neither twitch.tv/NAME nor"),
        ("ann", "neither twitch.tv/NAME nor"),
        ("https://www.twitch.tv/videos/123", "clipthat vod twitch.tv/videos/123"),
        ("https://clips.twitch.tv/Funny", "is a clip already"),
        ("twitch.tv/directory", "write twitch.tv/NAME"),
    ],
)
def test_what_is_no_live_stream_is_refused(tmp_path: Path, url: str, said: str) -> None:
    done = CliRunner().invoke(app, ["live", url, "--out", str(tmp_path / "out")])
    assert done.exit_code == 1
    assert said in " ".join(done.output.split())
    assert not (tmp_path / "out").exists()


def test_a_channel_is_known_by_one_id_however_its_address_is_written() -> None:
    written = ("twitch.tv/Ann", "https://www.twitch.tv/ann?x=1", "https://m.twitch.tv/ANN/about")
    assert {channel_of(live_place(text)) for text in written} == {stable_id("twitch", "ann")}
    assert live_place("twitch.tv/Ann") == TwitchChannel("ann")
    assert live_place("https://a.test/x.m3u8") == "https://a.test/x.m3u8"


def test_a_channel_on_twitch_is_read_with_its_own_chat(tmp_path: Path) -> None:
    file = tmp_path / "chat.jsonl"
    file.touch()
    assert chat_address(None, None, "ann") == "ann"
    assert chat_address("none", None, "ann") == ""
    assert chat_address("irc", None, "ann") == "ann"
    assert chat_address("irc", "#Bob", "ann") == "bob"
    assert chat_address(str(file), None, "ann") == str(file)
    assert chat_address(None, None) == ""
    with pytest.raises(OpsError):
        chat_address("irc", None)


async def test_an_offline_channel_says_what_waits_for_it(tmp_path: Path) -> None:
    twitch = TwitchPlaylists(lambda: 1_700_000_000.0, ts_segments())
    twitch.channel("ann")
    async with serving(twitch) as url:
        places = {
            "twitch.gql_url": f"{url}/gql",
            "twitch.usher_url": url,
            "fetch.allow_private": "true",
        }
        sets = [part for pair in places.items() for part in ("--set", "=".join(pair))]
        process = await _clipthat("live", "twitch.tv/ann", "--out", str(tmp_path / "out"), *sets)
    assert process[0] == 1
    said = " ".join(process[1].split())
    assert "twitch.tv/ann is offline; `clipthat run twitch.tv/ann` waits" in said


async def _clipthat(*arguments: str) -> tuple[int, str]:
    from asyncio import subprocess

    from tests.e2e.media import COMMAND, environment

    process = await subprocess.create_subprocess_exec(
        *(*COMMAND, *arguments),
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    out, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode()
