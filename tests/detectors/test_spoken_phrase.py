from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.events import Event, MomentDetected
from detectors.phrase_match import PhraseMatcher, sound_of
from detectors.settings import SpokenPhraseSettings
from detectors.spoken_phrase import SpokenPhrase
from tests.detectors.golden_files import check_golden
from tests.detectors.world import loudness, speech, started

SETTINGS = SpokenPhraseSettings()
MATCHER = PhraseMatcher(SETTINGS.phrases, SETTINGS.negatives)


def run(events: list[Event]) -> list[MomentDetected]:
    detector = SpokenPhrase(started())
    told = [moment for event in events for moment in detector.feed(event)]
    return told + detector.flush()


def said(seq: int, text: str, engine: str = "whisper", confidence: float = 0.9) -> list[Event]:
    """Ten seconds in which the words come half a second apart, from the third second on."""
    at_s = seq * 10.0
    gap_s = 0.25 if engine == "phrase_spotter" else 0.5
    words = [
        (word, at_s + 3.0 + gap_s * n, at_s + 3.25 + gap_s * n)
        for n, word in enumerate(text.split())
    ]
    features: list[Event] = [loudness(seq, at_s, 10.0)]
    if words:
        features.insert(0, speech(seq, at_s, 10.0, words, engine, confidence))
    return features


@pytest.mark.parametrize(
    "text",
    [
        "clip that",
        "oh my god CLIP THAT!",
        "please, clip it now",
        "Klip dat",
        "can somebody clip this please",
        "clipped that",
        "clipthat",
        "chat clips that",
    ],
)
def test_ways_of_saying_it(text: str) -> None:
    assert len(MATCHER.find(text.split())) == 1


@pytest.mark.parametrize(
    "text",
    [
        "a paper clip that bends",
        "he would clip that through the wall",
        "clip through that",
        "don't clip that",
        "please do not clip that",
        "and then he said clip that",
        "flip that",
        "click that",
        "equip it",
        "clip",
        "that clip",
        "",
    ],
)
def test_ways_of_not_saying_it(text: str) -> None:
    assert MATCHER.find(text.split()) == []


@given(st.text(max_size=12))
@settings(max_examples=100)
def test_a_sound_is_its_own_sound(text: str) -> None:
    assert sound_of(text.upper().lower()) == sound_of(text.lower().upper().lower())


def test_a_moment_lies_before_the_phrase() -> None:
    (moment,) = run([*said(0, ""), *said(1, ""), *said(2, ""), *said(3, "wow clip that man")])
    assert moment.kind == "spoken_phrase"
    assert (moment.start_s, moment.peak_s, moment.end_s) == (8.5, 29.5, 34.25)
    assert moment.decided_s == 40.0
    assert moment.score == pytest.approx(0.81)
    assert moment.evidence["phrase"] == "clip that"


def test_the_spotter_alone_gives_a_medium_score() -> None:
    (moment,) = run(said(0, "clip that", "phrase_spotter", 0.8))
    assert moment.score == pytest.approx(0.45)
    assert moment.start_s == 0.0


def test_a_phrase_at_a_segments_end_waits_for_what_follows() -> None:
    words = [("clip", 9.4, 9.6), ("that", 9.6, 9.9)]
    through = [("through", 10.1, 10.4), ("walls", 10.5, 10.9)]
    first: list[Event] = [speech(0, 0.0, 10.0, words), loudness(0, 0.0, 10.0)]
    detector = SpokenPhrase(started())
    assert [each for event in first for each in detector.feed(event)] == []
    after: list[Event] = [speech(1, 10.0, 2.0, through), loudness(1, 10.0, 2.0)]
    assert [each for event in after for each in detector.feed(event)] == []
    quiet = SpokenPhrase(started())
    calm: list[Event] = [*first, loudness(1, 10.0, 2.0)]
    assert len([each for event in calm for each in quiet.feed(event)]) == 1


def test_both_engines_make_one_moment_and_the_transcript_counts() -> None:
    events = said(0, "oh clip that guys", confidence=1.0)
    hit = speech(0, 0.0, 10.0, [("clip", 3.5, 3.75), ("that", 3.75, 4.2)], "phrase_spotter")
    (moment,) = run([hit, *events])
    assert moment.evidence["engine"] == "whisper"
    assert moment.score == pytest.approx(0.9)


def test_a_transcript_that_heard_something_else_overrules_the_spotter() -> None:
    hit = speech(0, 0.0, 10.0, [("clip", 3.5, 3.75), ("that", 3.75, 4.2)], "phrase_spotter")
    assert run([hit, *said(0, "we eclipsed that team hard")]) == []


def test_saying_it_twice_is_one_moment_until_the_pause_is_over() -> None:
    again = [*said(0, "clip that"), *said(1, "clip that"), *said(3, "clip that")]
    assert [moment.evidence["said_s"] for moment in run(again)] == [3.0, 33.0]


def test_unsure_words_are_not_taken() -> None:
    assert run(said(0, "clip that", confidence=0.2)) == []


def test_golden() -> None:
    check_golden("spoken_phrase", SpokenPhrase(started()))
