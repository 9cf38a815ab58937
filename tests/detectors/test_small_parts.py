from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.errors import CorruptMedia
from detectors.hops import HopMeter
from detectors.picture import frame_is_due
from detectors.sound import RATE_HZ
from detectors.subtitle_words import parse_words
from detectors.ts_audio import audio_packets, packet_pids, packet_rows, read_program
from tests.detectors.media import Cut
from tests.paths import needs_shared_data


@given(st.lists(st.floats(0.3, 2.0), min_size=1, max_size=4), st.integers(160, 30_000))
@settings(max_examples=30, deadline=None)
def test_hops_hold_every_sample_once(durations_s: list[float], block: int) -> None:
    """However sound and segments are cut, energy is neither lost nor counted twice."""
    total_s = sum(durations_s)
    pcm = np.full(int(total_s * RATE_HZ), 1000, np.int16)
    meter = HopMeter()
    for at in range(0, len(pcm), block):
        part = pcm[at : at + block]
        meter.add(at / RATE_HZ, part, np.ones(len(part), np.bool_))
    start_s = 0.0
    for duration_s in durations_s:
        hops = meter.take(start_s, duration_s)
        assert hops is not None
        assert len(hops.rms_db) == int(np.ceil(duration_s / 0.1 - 1e-6))
        assert set(hops.rms_db) == {-30.3}
        assert set(hops.voice) == {100}
        start_s += duration_s


def test_a_hole_stays_a_hole_and_a_short_tail_does_not() -> None:
    meter = HopMeter()
    second = np.full(RATE_HZ, 1000, np.int16)
    flags = np.zeros(RATE_HZ, np.bool_)
    meter.add(0.0, second, flags)
    meter.add(1.8, second, flags)
    hops = meter.take(0.0, 3.0)
    assert hops is not None
    assert hops.rms_db[10:18] == (-90.0,) * 8
    assert hops.rms_db[28:] == (-30.3, -30.3)


def test_no_sound_is_nothing() -> None:
    assert HopMeter().take(0.0, 2.0) is None


@given(st.lists(st.floats(0.5, 12.0), min_size=20, max_size=120), st.text(max_size=8))
@settings(max_examples=40, deadline=None)
def test_a_frame_is_due_once_in_each_span(durations_s: list[float], channel_id: str) -> None:
    start_s, due = 0.0, []
    for duration_s in durations_s:
        if frame_is_due(channel_id, start_s, start_s + duration_s, 30.0):
            due.append(start_s)
        start_s += duration_s
    assert due[0] == 0.0
    gaps = [b - a for a, b in itertools.pairwise(due[1:])]
    assert all(15.0 < gap < 45.0 for gap in gaps)


@given(st.binary(max_size=2000))
@settings(max_examples=60)
def test_any_bytes_are_packets_or_corrupt(body: bytes) -> None:
    stuffed = b"".join(
        b"\x47" + body[at : at + 187].ljust(187, b"\xff") for at in range(0, 2000, 187)
    )
    for each in (body, stuffed):
        try:
            rows = packet_rows(each)
            pids = packet_pids(rows)
            audio_packets(rows, pids, read_program(rows, pids))
        except CorruptMedia:
            continue


@needs_shared_data
def test_the_sound_of_a_real_stream_is_a_small_part(twitch_segments: list[Cut]) -> None:
    body = twitch_segments[1].body
    rows = packet_rows(body)
    pids = packet_pids(rows)
    program = read_program(rows, pids)
    sound = audio_packets(rows, pids, program)
    assert (program.audio_pid, program.video_pid) == (0x101, 0x100)
    assert 0.05 < len(sound) / len(body) < 0.2


def test_words_come_by_their_start() -> None:
    rows = [{"text": word, "start_s": n, "end_s": n + 0.5} for n, word in enumerate("abcd")]
    words = parse_words(json.dumps(rows[::-1]).encode())
    assert [word.text for word in words.between(1.0, 3.0)] == ["b", "c"]


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[1]", b'[{"text": "a"}]', b'[{"text":"a","start_s":NaN,"end_s":1}]']
)
def test_bad_words_are_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_words(body)
