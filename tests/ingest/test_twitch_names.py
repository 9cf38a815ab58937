"""What people write for a channel or a VOD."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.errors import SourceUnusable
from ingest.twitch.names import TwitchChannel, TwitchVideo, is_login, read_twitch


@pytest.mark.parametrize(
    "text",
    [
        "twitch.tv/ann_1",
        "https://www.twitch.tv/Ann_1",
        "http://twitch.tv/ann_1/",
        "https://m.twitch.tv/ann_1?desktop-redirect=true",
        "  WWW.TWITCH.TV/ann_1  ",
        "https://www.twitch.tv/ann_1/about",
        "https://www.twitch.tv/ann_1/videos?filter=archives",
        "https://www.twitch.tv/popout/ann_1/chat",
        "https://player.twitch.tv/?channel=ann_1&parent=x",
    ],
)
def test_a_channel(text: str) -> None:
    assert read_twitch(text) == TwitchChannel("ann_1")


@pytest.mark.parametrize(
    "text",
    [
        "twitch.tv/videos/123456",
        "https://www.twitch.tv/videos/123456?t=1h2m3s",
        "https://www.twitch.tv/videos/123456?t=02h",
        "https://www.twitch.tv/videos/123456?t=90",
        "https://www.twitch.tv/videos/123456?t=soon",
        "https://m.twitch.tv/videos/v123456",
        "https://www.twitch.tv/ann/v/123456",
        "https://www.twitch.tv/ann/video/123456",
        "https://player.twitch.tv/?video=v123456&t=1m",
    ],
)
def test_a_vod(text: str) -> None:
    assert read_twitch(text) == TwitchVideo("123456")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ann",
        "https://example.org/twitch.tv/ann",
        "https://nottwitch.tv/ann",
        "https://twitch.tv.example.org/ann",
        "ftp://twitch.tv/ann",
        "/home/ann/twitch.tv/ann.mp4",
        "https://[",
    ],
)
def test_what_is_not_twitchs(text: str) -> None:
    assert read_twitch(text) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("https://clips.twitch.tv/FunnyClip", "a clip already"),
        ("https://www.twitch.tv/ann/clip/FunnyClip", "a clip already"),
        ("https://www.twitch.tv/", "write twitch.tv/NAME"),
        ("https://www.twitch.tv/directory/game/Chess", "write twitch.tv/NAME"),
        ("https://www.twitch.tv/videos", "write twitch.tv/NAME"),
        ("https://www.twitch.tv/videos/abc", "twitch.tv/videos/NUMBER"),
        ("twitch.tv/" + "a" * 26, "write twitch.tv/NAME"),
        ("twitch.tv/än", "write twitch.tv/NAME"),
    ],
)
def test_what_is_twitchs_but_nothing_to_watch(text: str, said: str) -> None:
    with pytest.raises(SourceUnusable, match=said):
        read_twitch(text)


@given(st.text(max_size=60), st.sampled_from(["", "twitch.tv/", "https://www.twitch.tv/videos/"]))
def test_any_text_is_named_refused_or_not_twitchs(text: str, before: str) -> None:
    with contextlib.suppress(SourceUnusable):
        named = read_twitch(before + text)
        if isinstance(named, TwitchChannel):
            assert is_login(named.login)
        if isinstance(named, TwitchVideo):
            assert named.video_id.isdigit()
