"""Words from subtitles and transcripts."""

from __future__ import annotations

import contextlib
import json
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.words import (
    WordsError,
    find_words,
    parse_json,
    parse_subtitles,
    parse_words,
    store_words,
)
from store.obstore_objects import open_objects
from tests.paths import SHARED_DATA, needs_shared_data

SRT = "1\n00:00:01,000 --> 00:00:03,000\n<i>hi</i> {\\an8}wonderful\n- world\n\n"
VTT = """WEBVTT

NOTE none

00:01.000 --> 00:03.000 line:0
<v Ana>hi <00:02.000>wonderful <b>world</b>
"""


@pytest.mark.parametrize(
    ("text", "suffix"), [(SRT, ".srt"), ("\ufeff" + SRT, ".SRT"), (VTT, ".vtt")]
)
def test_a_cue_is_shared_out_among_its_words(text: str, suffix: str) -> None:
    words = parse_words(text, suffix)
    assert [word.text for word in words] == ["hi", "wonderful", "world"]
    assert words[0].start_s == 1.0
    assert words[-1].end_s == pytest.approx(3.0)
    assert all(a.end_s == b.start_s for a, b in pairwise(words))
    lengths = [word.end_s - word.start_s for word in words]
    assert lengths[1] > lengths[2] > lengths[0]


@pytest.mark.parametrize(
    "document",
    [
        {
            "words": [
                {"text": "clip", "start_s": 1, "end_s": 1.4},
                {"text": "that", "start_s": 1.5, "end_s": 2},
            ]
        },
        [{"word": " clip", "start": 1, "end": 1.4}, {"word": " that", "start": 1.5, "end": 2}],
        {
            "segments": [
                {
                    "text": "clip that",
                    "words": [
                        {"word": "clip", "start": 1, "end": 1.4, "probability": 0.5},
                        {"word": "that", "start": 1.5, "end": 2},
                    ],
                }
            ]
        },
        {"segments": [{"text": " clip that", "start": 1, "end": 2}]},
    ],
)
def test_json_words_of_every_shape(document: object) -> None:
    words = parse_json(json.dumps(document))
    assert [word.text for word in words] == ["clip", "that"]
    assert (words[0].start_s, words[-1].end_s) == (1.0, 2.0)


@pytest.mark.parametrize(
    ("text", "suffix"),
    [
        ("", ".srt"),
        ("nothing", ".vtt"),
        ("1\n00:00:01,000 --> 00:00:03,000\n[music] \u266a\n", ".srt"),
        ("{", ".json"),
        ('{"words": [{"text": "x"}]}', ".json"),
        ("3", ".json"),
    ],
)
def test_a_wrong_file_says_what_is_expected(text: str, suffix: str) -> None:
    with pytest.raises(WordsError, match="expected"):
        parse_words(text, suffix)


@given(st.text(max_size=200))
@settings(max_examples=100, deadline=None)
def test_any_text_gives_words_or_a_clear_error(text: str) -> None:
    for parse in (parse_json, parse_subtitles):
        with contextlib.suppress(WordsError):
            assert parse(text)


def test_words_beside_a_video(tmp_path: Path) -> None:
    video = tmp_path / "my talk [1].mp4"
    assert find_words(video) is None
    (tmp_path / "my talk [1].part2.srt").touch()
    (tmp_path / "other.srt").touch()
    assert find_words(video) is None
    for name in (
        "my talk [1].vtt",
        "my talk [1].en.srt",
        "my talk [1].srt",
        "my talk [1].words.json",
    ):
        (tmp_path / name).touch()
        assert find_words(video) == tmp_path / name


async def test_words_are_stored_for_a_session(tmp_path: Path) -> None:
    path = tmp_path / "a.srt"
    path.write_text(SRT)
    objects = open_objects("memory://")
    key = await store_words(objects, tenant_id="t", session_id="s", path=path)
    stored = json.loads(await objects.get(key))
    assert [word["text"] for word in stored] == ["hi", "wonderful", "world"]
    assert set(stored[0]) == {"text", "start_s", "end_s", "confidence"}
    with pytest.raises(WordsError, match="cannot be read"):
        await store_words(objects, tenant_id="t", session_id="s", path=tmp_path / "none.srt")


@needs_shared_data
def test_real_subtitles() -> None:
    path = find_words(SHARED_DATA / "video" / "narrated_240p.webm")
    assert path is not None
    words = parse_words(path.read_text(), path.suffix)
    assert [word.text for word in words[4:7]] == ["We", "speak", "of"]
    assert words[4].start_s == pytest.approx(3.16)
    assert words[-1].end_s == pytest.approx(15.68)
