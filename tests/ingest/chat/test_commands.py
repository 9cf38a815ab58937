"""Which lines ask for a clip."""

from __future__ import annotations

import gzip
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.chat.commands import is_clip_command, judge
from tests.paths import SHARED_DATA, needs_shared_data


@pytest.mark.parametrize(
    "text",
    [
        "clip that",
        "clip it",
        "!clip",
        "!clip what a shot",
        "CLIP THAT LOL",
        "someone clip that",
        "some one clip that shit",
        "clip dat",
        "CLIP THJAT",
        "CLIIIIP THAAAAT!!!",
        "@mod clip this pls",
        "CLIP",
        "clip pls",
        "can you clip that?",
        "someone has to clip that",
        "clipit",
        "CLIP ALL OF IT",
        "CLIP THE FUCK OUTTA THAT",
        "That is the best line ever, someone clip that.",
    ],
)
def test_takes_what_asks_for_a_clip(text: str) -> None:
    assert is_clip_command(text), judge(text).why


@pytest.mark.parametrize(
    "text",
    [
        "",
        "paper clip",
        "paper clip it",
        "clip through",
        "he can clip it through the wall",
        "don't clip that",
        "don’t clip that",
        "please dont clip it",
        "nice clip",
        "that clip was insane",
        "clip, that was sick",
        'he said "clip that" again',
        "https://clips.twitch.tv/FilthySpeedyPassionfruit",
        "clip that https://clips.twitch.tv/FilthySpeedyPassionfruit",
        "twitch.tv/somebody/clip/Abc-1_2",
        "clip?",
        "wheres clip?? loll",
        "did anyone clip that yet?",
        "how do I clip that",
        "i'll clip it",
        "clipped",
        "!clips",
        "noclip",
        "total eclipse of the heart",
        "clip that " + "and so on " * 20,
    ],
)
def test_leaves_what_only_speaks_of_clips(text: str) -> None:
    assert not is_clip_command(text), judge(text).why


@given(st.text(max_size=200))
@settings(max_examples=200)
def test_any_text_is_judged(text: str) -> None:
    assert judge(text).why


@needs_shared_data
def test_real_chat_asks_for_clips_rarely_and_together() -> None:
    """In 31 hours of six streams about 200 lines ask; links and talk about clips do not."""
    taken = 0
    for path in sorted((SHARED_DATA / "chat").glob("unlabelled-*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                text = json.loads(line)["text"]
                if "clip" in text.casefold() and is_clip_command(text):
                    taken += 1
                    assert "clips.twitch.tv" not in text
    assert 180 <= taken <= 220
