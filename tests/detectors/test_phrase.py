from __future__ import annotations

import asyncio
import os
import signal

import numpy as np
import pytest
from numpy.typing import NDArray

from bus.ports import SilentMeter
from detectors.errors import PhraseUnknown
from detectors.listener import Listener, check_phrases
from detectors.phrase import PhraseSpotter
from detectors.settings import PhraseSettings
from detectors.sound import RATE_HZ, Piece
from detectors.voice import FRAME_SAMPLES, Frames, VoicedStretches, VoiceGate
from tests.detectors.media import Voice
from tests.detectors.world import CountingMeter

PHRASE = PhraseSettings(phrases=("clip that",), processes=1)


def with_silence(said: NDArray[np.int16], before_s: float, after_s: float) -> NDArray[np.int16]:
    noise = np.random.default_rng(2)
    total = len(said) + int((before_s + after_s) * RATE_HZ)
    sound = noise.normal(0, 10, total).astype(np.int16)
    start = int(before_s * RATE_HZ)
    sound[start : start + len(said)] += said
    return sound


def pieces_of(sound: NDArray[np.int16], start_s: float, step_s: float = 2.0) -> list[Piece]:
    gate, stretches = VoiceGate(-50.0), VoicedStretches(0.4)
    pieces: list[Piece] = []
    step = int(step_s * RATE_HZ)
    for at in range(0, len(sound), step):
        _, frames = gate.feed(start_s + at / RATE_HZ, sound[at : at + step])
        pieces += stretches.feed(frames)
    return pieces + stretches.cut()


@pytest.fixture(scope="module")
def sound(voice: Voice) -> NDArray[np.int16]:
    said = voice.say("oh my god. clip that", RATE_HZ)
    return with_silence(said, 6.3, 2.0)


def test_hits_have_media_times_although_silence_is_skipped(
    sound: NDArray[np.int16],
) -> None:
    pieces = pieces_of(sound, 1000.0)
    kept_s = sum(len(piece.pcm) for piece in pieces) / 2 / RATE_HZ
    assert kept_s < len(sound) / RATE_HZ - 5.0
    listener = Listener(["clip that"], 1e-15)
    (hit,) = (hit for piece in pieces for hit in listener.hear(piece))
    loud = np.flatnonzero(np.abs(sound) > 1000) / RATE_HZ + 1000.0
    assert loud[0] + 0.5 < hit.start_s < hit.end_s < loud[-1] + 0.2
    assert loud[-1] - hit.start_s < 1.2
    assert 0.0 < hit.confidence <= 1.0


def test_pieces_of_any_length_give_the_same_hit(sound: NDArray[np.int16]) -> None:
    starts = []
    for step_s in (0.5, 2.0, 9.0):
        listener = Listener(["clip that"], 1e-15)
        starts += [
            hit.start_s for piece in pieces_of(sound, 0.0, step_s) for hit in listener.hear(piece)
        ]
    assert len(starts) == 3
    assert max(starts) - min(starts) < 0.1


def test_a_long_voice_is_heard_to_its_end(voice: Voice) -> None:
    """One utterance is cut after half a minute, and the phrase is still found after that."""
    talk = voice.say("we are going to the north of the map and then we will see. " * 12, RATE_HZ)
    said = np.concatenate([talk, with_silence(voice.say("clip that", RATE_HZ), 0.0, 1.0)])
    begins = [True] + [False] * (len(said) // (2 * RATE_HZ))
    listener = Listener(["clip that"], 1e-15)
    hits = []
    for n, begin in enumerate(begins):
        part = said[n * 2 * RATE_HZ : (n + 1) * 2 * RATE_HZ]
        is_last = n == len(begins) - 1
        hits += listener.hear(Piece(n * 2.0, part.tobytes(), begins=begin, ends=is_last))
    assert len(talk) > 31 * RATE_HZ
    assert any(abs(hit.start_s - len(talk) / RATE_HZ) < 0.6 for hit in hits)


def test_an_unknown_word_is_named() -> None:
    check_phrases(["clip that", "View Glass"])
    with pytest.raises(PhraseUnknown, match="pogchampz"):
        check_phrases(["clip pogchampz"])


def test_silence_and_a_click_give_no_stretch() -> None:
    frames = 100
    pcm = np.zeros((frames, FRAME_SAMPLES), np.int16)
    voiced = np.zeros(frames, np.bool_)
    voiced[50:52] = True
    assert VoicedStretches(0.4).feed(Frames(0.0, pcm, voiced)) == []


def test_a_hole_in_time_ends_a_stretch() -> None:
    pcm = np.zeros((50, FRAME_SAMPLES), np.int16)
    voiced = np.ones(50, np.bool_)
    stretches = VoicedStretches(0.4)
    first = stretches.feed(Frames(0.0, pcm, voiced))
    after = stretches.feed(Frames(10.0, pcm, voiced))
    assert [(piece.begins, piece.ends) for piece in first + after] == [
        (True, False),
        (False, True),
        (True, False),
    ]
    assert after[1].start_s >= 10.0


async def test_a_process_listens_and_one_that_dies_is_replaced(sound: NDArray[np.int16]) -> None:
    meter = CountingMeter()
    pieces = pieces_of(sound, 0.0)
    async with asyncio.timeout(60), PhraseSpotter(PHRASE, meter) as spotter:
        assert len(await spotter.hear("s1", pieces)) == 1
        (worker,) = spotter._workers
        assert worker._process is not None
        assert worker._process.pid is not None
        os.kill(worker._process.pid, signal.SIGKILL)
        assert await spotter.hear("s1", pieces) == []
        assert meter.counts["clipthat_phrase_restarts_total",] == 1
        assert len(await spotter.hear("s1", pieces)) == 1
        await spotter.forget("s1")
    assert not worker.is_running


async def test_more_sessions_than_allowed_are_refused_and_counted() -> None:
    meter = CountingMeter()
    settings = PhraseSettings(phrases=("clip that",), processes=1, sessions_max=1)
    quiet = [Piece(0.0, b"\0" * 640, begins=True, ends=True)]
    async with asyncio.timeout(60), PhraseSpotter(settings, meter) as spotter:
        await spotter.hear("s1", quiet)
        assert await spotter.hear("s2", quiet) == []
    assert meter.counts["clipthat_phrase_refused_total",] == 1


async def test_switched_off_it_starts_nothing() -> None:
    settings = PhraseSettings(enabled=False, phrases=("xqzt",))
    async with PhraseSpotter(settings, SilentMeter()) as spotter:
        quiet = [Piece(0.0, b"", begins=True, ends=True)]
        assert await spotter.hear("s1", quiet) == []
        assert not any(worker.is_running for worker in spotter._workers)
