"""Captions: paging, timing, the safe box, and the drawings themselves."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from render.captions import Box, Page, pop_scale, spans, state_at
from render.drawing import word_sprite
from render.fonts import Fonts, FontUnusable
from render.paging import display_text, lay_out
from render.settings import CaptionSettings
from render.strips import StripPainter, to_planes
from render.webvtt import to_webvtt
from render.words import SpokenWord, mask_word, parse_words, settle_words

STYLE = CaptionSettings()
FONTS = Fonts.of(STYLE)
BOX = Box.of(STYLE, 1080, None)
GOLDEN = Path(__file__).parent / "golden"


def pages_of(words: list[SpokenWord], duration_s: float = 60.0) -> list[Page]:
    settled = settle_words(words, duration_s)
    return lay_out(settled, duration_s=duration_s, style=STYLE, box=BOX, zoom=1.0, measure=FONTS)


def said(text: str, each_s: float = 0.3) -> list[SpokenWord]:
    return [
        SpokenWord(word, index * each_s, (index + 1) * each_s)
        for index, word in enumerate(text.split())
    ]


words_strategy = st.lists(
    st.builds(
        lambda text, start_s, length_s: SpokenWord(text, start_s, start_s + length_s),
        st.text(alphabet="abcdefgXYZ.,!?'é漢😀-", min_size=0, max_size=24),
        st.floats(-2, 20, allow_nan=False),
        st.floats(-0.5, 2, allow_nan=False),
    ),
    max_size=30,
)


@settings(max_examples=80, deadline=None)
@given(words_strategy)
def test_pages_keep_time_and_box(words: list[SpokenWord]) -> None:
    settled = settle_words(words, 15.0)
    for early, late in pairwise(settled):
        assert early.start_s < early.end_s <= late.start_s
    pages = pages_of(words, 15.0)
    for page, following in pairwise(pages):
        assert page.end_s <= following.start_s
    for page in pages:
        assert 0 <= page.start_s < page.end_s <= 15.0
        assert len(page.words) <= STYLE.words_max
        assert len({word.center_y for word in page.words}) <= STYLE.lines_max
        for word in page.words:
            reach = 1.06 * word.width / 2 + STYLE.outline_px * page.size_px / STYLE.size_px
            assert STYLE.box_left_px <= word.center_x - reach
            assert word.center_x + reach <= STYLE.box_right_px
            assert STYLE.box_top_px <= word.center_y - page.size_px * 0.55
            assert word.center_y + page.size_px * 0.55 <= STYLE.box_bottom_px
        for left, right in pairwise(page.words):
            if left.center_y == right.center_y:
                assert left.center_x + left.width / 2 < right.center_x - right.width / 2


@settings(max_examples=60, deadline=None)
@given(words_strategy)
def test_each_word_is_active_in_its_own_time(words: list[SpokenWord]) -> None:
    pages = pages_of(words, 15.0)
    for number, page in enumerate(pages):
        for index, word in enumerate(page.words):
            for share in (0.0, 0.5, 0.99):
                at_s = word.start_s + share * (word.end_s - word.start_s)
                state = state_at(pages, at_s, STYLE)
                assert state is not None
                assert (state.page, state.active) == (number, index)


@settings(max_examples=30, deadline=None)
@given(words_strategy, st.sampled_from([24.0, 29.97, 30.0, 60.0]))
def test_spans_cover_every_frame_once(words: list[SpokenWord], fps: float) -> None:
    found = spans(pages_of(words, 15.0), fps, 300, STYLE)
    assert sum(span.frames for span in found) == 300
    at = 0
    for span in found:
        assert span.first_frame == at
        at += span.frames


def test_pages_break_at_sentences_and_pauses() -> None:
    words = [
        *said("No way. He did it"),
        SpokenWord("again", 5.0, 5.3),
    ]
    shown = [[word.shown.text for word in page.words] for page in pages_of(words)]
    assert shown == [["NO", "WAY"], ["HE", "DID", "IT"], ["AGAIN"]]


def test_long_phrases_are_shared_out_evenly() -> None:
    pages = pages_of(said("one two three four five six"))
    assert [len(page.words) for page in pages] == [3, 3]


def test_a_page_stays_a_little_after_its_last_word_and_no_longer() -> None:
    pages = pages_of([SpokenWord("one", 0.0, 0.4), SpokenWord("two", 3.0, 3.4)])
    assert pages[0].end_s == pytest.approx(0.4 + STYLE.hold_s)


def test_a_long_word_shrinks_instead_of_leaving_the_box() -> None:
    page = pages_of(said("Donaudampfschifffahrtsgesellschaft"))[0]
    assert page.size_px < STYLE.size_px
    assert page.words[0].width < BOX.right - BOX.left


def test_words_do_not_move_while_they_pop() -> None:
    page = pages_of(said("stay where you are"))[0]
    places = [(word.center_x, word.center_y) for word in page.words]
    assert len(set(places)) == 4
    assert pop_scale(0.0, STYLE) == 0.88
    assert max(pop_scale(at / 1000, STYLE) for at in range(300)) == 1.06
    assert pop_scale(0.25, STYLE) == 1.0


def test_masked_words_keep_their_first_letter() -> None:
    assert mask_word("Damn!", ["damn"]) == "D***!"
    assert mask_word("fine", ["damn"]) == "fine"
    style = CaptionSettings(masked_words=("damn",))
    assert display_text("damn,", style) == "D***"


def test_words_must_be_words() -> None:
    assert parse_words(b'[{"text": "hi", "start_s": 0, "end_s": 1, "confidence": 1}]') == [
        SpokenWord("hi", 0.0, 1.0)
    ]
    for broken in (b"{}", b"[1]", b'[{"text": "hi"}]', b"nothing"):
        with pytest.raises(ValueError, match=r".*"):
            parse_words(broken)


def test_characters_are_known_or_not() -> None:
    assert FONTS.faces[0].has("é")
    assert FONTS.faces[0].has("Ж")
    assert not FONTS.faces[0].has("漢")
    assert not FONTS.faces[0].has("😀")
    assert FONTS.shown("漢字") is None


def test_a_missing_font_is_never_replaced(tmp_path: Path) -> None:
    with pytest.raises(FontUnusable):
        Fonts.of(CaptionSettings(font_path=str(tmp_path / "none.ttf")))


def test_word_drawing_is_as_released() -> None:
    for name, text, fill in (("plain", "CLIP", "#FFFFFF"), ("active", "A<B&C", "#FFE600")):
        drawn = word_sprite(
            text,
            width_px=200.0,
            size_px=84.0,
            family="Roboto",
            weight=900,
            fill=fill,
            style=STYLE,
        )
        assert drawn.svg == (GOLDEN / f"word-{name}.svg").read_text().strip()


def test_webvtt_is_as_released() -> None:
    pages = pages_of(said("Perform tasks that usually <require> human & intelligence."))
    assert to_webvtt(pages) == (GOLDEN / "captions.vtt").read_text()


def test_strips_change_only_where_the_active_word_is() -> None:
    pages = pages_of(said("What a play", 0.5))
    painter = StripPainter(pages, STYLE, BOX, FONTS)
    area = painter.area
    frames = list(painter.frames(spans(pages, 30, 60, STYLE)))
    assert {len(frame) for frame in frames} == {area.width * area.height * 5 // 2}
    assert all(side % 2 == 0 for side in (area.x, area.y, area.width, area.height))
    luma = [
        np.frombuffer(frame, np.uint8, area.width * area.height).reshape(area.height, area.width)
        for frame in frames
    ]
    moved = np.abs(luma[3].astype(int) - luma[1].astype(int)).max(axis=0)
    second = pages[0].words[1]
    assert moved[int(second.center_x - second.width / 2 - area.x) :].max() == 0
    assert moved.max() > 0


def test_colours_survive_the_way_to_yuv() -> None:
    yellow = to_planes(Image.new("RGBA", (4, 4), "#FFE600"))
    assert [plane.getpixel((0, 0)) for plane in yellow] == [204, 24, 148, 255]
    assert [plane.size for plane in yellow] == [(4, 4), (2, 2), (2, 2), (4, 4)]
    white = to_planes(Image.new("RGBA", (4, 4), "white"))
    assert [plane.getpixel((0, 0)) for plane in white] == [235, 128, 128, 255]
