"""The demo's stream is real media: it decodes, moves, and the phrase in it can be heard."""

from __future__ import annotations

import tempfile
from itertools import pairwise

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from pocketsphinx import Decoder

from ingest.words import parse_words
from ops.demo.picture import HEIGHT, WIDTH, Picture
from ops.demo.script import FPS, SPEECH
from ops.demo.stream import DemoStream, make_stream

_LENGTH_S = 42.0
"""As far as the first call."""


@pytest.fixture(scope="module")
def stream(tmp_path_factory: pytest.TempPathFactory) -> DemoStream:
    return make_stream(tmp_path_factory.mktemp("demo"), _LENGTH_S)


def sound_of(stream: DemoStream) -> NDArray[np.int16]:
    """Decode the stream's sound as a recogniser wants it: mono, 16 kHz."""
    resampler = av.AudioResampler(format="s16", layout="mono", rate=16_000)
    parts = []
    for path, _ in stream.segments:
        with av.open(str(path)) as container:
            for frame in container.decode(audio=0):
                parts += [out.to_ndarray()[0] for out in resampler.resample(frame)]
    return np.concatenate(parts)


def heard_at(sound: NDArray[np.int16], threshold: float) -> list[float]:
    """Return when a phrase spotter hears the phrase, in seconds."""
    with tempfile.NamedTemporaryFile("w", suffix=".kws") as phrases:
        phrases.write(f"clip that /{threshold:g}/\n")
        phrases.flush()
        decoder = Decoder(kws=phrases.name, lm=None, loglevel="FATAL")
    times = []
    decoder.start_utt()
    for begin in range(0, len(sound), 1_600):
        decoder.process_raw(sound[begin : begin + 1_600].tobytes(), False, False)
        if decoder.hyp() is not None:
            times.append(begin / 16_000)
            decoder.end_utt()
            decoder.start_utt()
    decoder.end_utt()
    return times


def test_segments_are_two_seconds_each_and_begin_with_a_key_frame(stream: DemoStream) -> None:
    assert len(stream.segments) == 21
    assert stream.duration_s == pytest.approx(_LENGTH_S, abs=0.1)
    for path, duration_s in stream.segments:
        assert duration_s == pytest.approx(2.0, abs=0.05)
        with av.open(str(path)) as container:
            video = container.streams.video[0]
            first = next(packet for packet in container.demux(video) if packet.size)
            assert first.is_keyframe
            assert (video.width, video.height, video.average_rate) == (WIDTH, HEIGHT, FPS)


def test_a_second_call_finds_the_stream_made(stream: DemoStream) -> None:
    made_at = stream.segments[0][0].stat().st_mtime_ns
    again = make_stream(stream.folder.parent, _LENGTH_S)
    assert again == stream
    assert again.segments[0][0].stat().st_mtime_ns == made_at
    assert [entry.name for entry in stream.folder.parent.iterdir()] == [stream.folder.name]


@pytest.mark.parametrize("threshold", [1e-20, 1e-15])
def test_the_phrase_is_heard_where_it_is_said_and_nowhere_else(
    stream: DemoStream, threshold: float
) -> None:
    said_s = next(say.at_s for say in SPEECH if say.mood == "command")
    times = heard_at(sound_of(stream), threshold)
    assert len(times) == 1
    assert said_s < times[0] < said_s + 2.0


def test_the_picture_moves_and_is_always_the_same() -> None:
    picture = Picture()
    first, later, again = (picture.frame(number, 0.0) for number in (100, 101, 100))
    assert len(first) == WIDTH * HEIGHT * 3 // 2
    assert first == again
    assert first != later


def test_the_face_talks() -> None:
    picture = Picture()
    assert picture.frame(300, 0.0) != picture.frame(300, 0.9)


def test_the_script_is_there_as_subtitles_in_time(stream: DemoStream) -> None:
    words = parse_words(stream.words.read_text(), ".srt")
    said = [word for say in SPEECH for word in say.text.split()]
    assert [word.text for word in words] == said
    first = words[0]
    assert SPEECH[0].at_s <= first.start_s < SPEECH[0].at_s + 0.3
    assert all(one.end_s <= two.start_s + 1e-6 for one, two in pairwise(words))
