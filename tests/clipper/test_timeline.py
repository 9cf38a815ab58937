"""The timeline answers from what lies in a span, and stays small."""

from __future__ import annotations

import sys
from dataclasses import replace

from bus.events import SpeechHeard, Word
from clipper.pieces import to_piece
from clipper.timeline import Timeline
from tests.clipper.made import SEGMENT_S, WHO, chat, loudness, segment


def speech(seq: int, engine: str, text: str) -> SpeechHeard:
    start_s = seq * SEGMENT_S
    word = Word(text=text, start_s=start_s + 0.5, end_s=start_s + 1.0)
    return SpeechHeard(
        **WHO, epoch=0, seq=seq, media_s=start_s, duration_s=2.0, words=(word,), engine=engine
    )


def filled(segments: int) -> Timeline:
    timeline = Timeline()
    for seq in range(segments):
        timeline.add_piece(to_piece(segment(seq)))
        timeline.add_speech(speech(seq, "whisper", f"w{seq}"))
        timeline.add_loudness(loudness(seq, -float(seq % 60)))
        timeline.add_chat(chat(2 * seq, seq % 7))
    return timeline


def test_spans_are_answered() -> None:
    timeline = filled(100)
    assert set(timeline.loudness_db(20.0, 22.0)) == {-10.0}
    assert list(timeline.chat_rate(4.0, 8.0)) == [2, 3]
    assert [word.text for word in timeline.words(20.6, 24.6)] == ["w10", "w11", "w12"]
    assert [piece.seq for piece in timeline.pieces(21.0, 24.0)] == [10, 11]


def test_subtitles_stand_before_a_recogniser() -> None:
    timeline = filled(5)
    timeline.add_speech(speech(2, "subtitles", "written"))
    timeline.add_speech(speech(2, "subtitles", "written"))
    timeline.add_speech(speech(3, "phrase_spotter", "clip that"))
    assert [word.text for word in timeline.words(2.9, 8.0)] == ["w1", "written", "w3"]


def test_what_is_told_twice_counts_once() -> None:
    timeline = filled(5)
    timeline.add_piece(to_piece(segment(3)))
    assert [piece.seq for piece in timeline.pieces(0.0, 10.0)] == [0, 1, 2, 3, 4]


def test_trimmed_time_is_forgotten_and_the_rest_is_kept() -> None:
    timeline = filled(1000)
    whole = timeline.loudness_db(1900.0, 1950.0).tolist()
    timeline.trim(1800.0)
    assert timeline.loudness_db(1000.0, 1500.0).size == 0
    assert timeline.loudness_db(1900.0, 1950.0).tolist() == whole
    assert timeline.words(1000.0, 1500.0) == []
    assert [word.text for word in timeline.words(1900.0, 1901.5)] == ["w950"]
    timeline.add_loudness(replace(loudness(1000, -3.0), event_id=""))
    assert set(timeline.loudness_db(2000.0, 2002.0)) == {-3.0}


def test_four_hours_take_a_few_megabytes() -> None:
    timeline = Timeline()
    for seq in range(7200):
        timeline.add_loudness(loudness(seq))
    strips = (timeline._loudness, timeline._voice, timeline._chat)
    assert sum(sys.getsizeof(strip._cells) for strip in strips) < 1_000_000
