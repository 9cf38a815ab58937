from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from bus.events import (
    Event,
    FrameDescribed,
    LoudnessMeasured,
    SegmentMissing,
    SessionStarted,
    SpeechHeard,
)
from bus.local import LocalBus
from bus.settings import LocalBusSettings
from bus.stage import Ctx
from detectors.errors import PhraseUnknown
from detectors.senses import Senses
from detectors.settings import PhraseSettings, SensesSettings
from store.errors import StoreError
from tests.detectors import media
from tests.detectors.world import WHO, CountingMeter, FakeObjects, ended, started
from tests.paths import needs_shared_data

NO_PHRASE = SensesSettings(phrase=PhraseSettings(enabled=False))


@pytest.fixture
async def bus(tmp_path: Path) -> AsyncIterator[LocalBus]:
    async with LocalBus.open(tmp_path / "log.db", LocalBusSettings(synchronous="NORMAL")) as bus:
        yield bus


@pytest.fixture(scope="module")
def cuts(tmp_path_factory: pytest.TempPathFactory) -> list[media.Cut]:
    folder = tmp_path_factory.mktemp("cuts")
    wav = media.write_wav(folder / "beeps.wav", media.beeps(10.0, [1.0, 3.0, 5.0, 7.0]))
    return media.hls_from_wav(wav, folder / "hls")


def stocked(cuts: Sequence[media.Cut]) -> FakeObjects:
    objects = FakeObjects()
    for cut in cuts:
        assert cut.event.object_key is not None
        objects.kept[cut.event.object_key] = cut.body
    return objects


@asynccontextmanager
async def sensing(
    bus: LocalBus, objects: FakeObjects, settings: SensesSettings = NO_PHRASE
) -> AsyncIterator[CountingMeter]:
    meter = CountingMeter()
    ctx = Ctx(bus=bus, meter=meter)
    stage = asyncio.create_task(Senses(objects, settings).run(ctx))
    try:
        yield meter
    finally:
        ctx.draining.set()
        async with asyncio.timeout(20):
            await stage


async def features_until(
    bus: LocalBus, is_enough: Callable[[list[Event]], bool], group: str = "test"
) -> list[Event]:
    seen: list[Event] = []
    async with asyncio.timeout(60), bus.subscribe(group, ("features",)) as features:
        while not is_enough(seen):
            seen += [record.event for record in await features.fetch(100, 0.5)]
    return seen


def loudness_of(events: Sequence[Event]) -> list[LoudnessMeasured]:
    return [event for event in events if isinstance(event, LoudnessMeasured)]


def measured(count: int) -> Callable[[list[Event]], bool]:
    return lambda seen: len(loudness_of(seen)) >= count


async def test_each_segment_is_measured_once_after_its_other_features(
    bus: LocalBus, cuts: list[media.Cut]
) -> None:
    words = [
        {"text": "hi", "start_s": 0.5, "end_s": 0.8},
        {"text": "x", "start_s": 4.5, "end_s": 5},
    ]
    objects = stocked(cuts)
    objects.kept["words"] = json.dumps(words).encode()
    await bus.publish([started(words_key="words"), *(cut.event for cut in cuts)])
    async with sensing(bus, objects) as meter:
        seen = await features_until(bus, measured(len(cuts)))
    assert [each.seq for each in loudness_of(seen)] == [0, 1, 2, 3, 4]
    for loudness, cut in zip(loudness_of(seen), cuts, strict=True):
        assert not loudness.gap
        assert (loudness.media_s, loudness.end_s) == (cut.event.media_s, cut.event.end_s)
        assert len(loudness.rms_db) == len(loudness.voice) in (20, 21)
    spoken = {each.seq: each for each in seen if isinstance(each, SpeechHeard)}
    assert {seq: [word.text for word in each.words] for seq, each in spoken.items()} == {
        0: ["hi"],
        2: ["x"],
    }
    for seq, each in spoken.items():
        assert seen.index(each) < seen.index(loudness_of(seen)[seq])
    frames = [each for each in seen if isinstance(each, FrameDescribed)]
    assert frames
    for frame in frames:
        assert media.jpeg_size(objects.kept[frame.frame_key]) == (frame.width, frame.height)
    assert meter.counts["clipthat_senses_segments_total", "heard"] == 5


async def test_what_is_missing_gone_or_broken_is_a_gap(
    bus: LocalBus, cuts: list[media.Cut]
) -> None:
    objects = stocked(cuts)
    keys = [str(cut.event.object_key) for cut in cuts]
    del objects.kept[keys[0]]
    objects.kept[keys[2]] = b"<html>403</html>"
    missing = SegmentMissing(**WHO, epoch=0, seq=1, media_s=2.0, duration_s=2.0, reason="late")
    nowhere = dataclasses.replace(cuts[3].event, object_key=None)
    events = [started(), cuts[0].event, missing, cuts[2].event, nowhere, cuts[4].event]
    await bus.publish(events)
    async with sensing(bus, objects) as meter:
        seen = await features_until(bus, measured(5))
    assert [each.gap for each in loudness_of(seen)] == [True, True, True, True, False]
    outcomes = {key[1] for key in meter.counts if key[0] == "clipthat_senses_segments_total"}
    assert outcomes == {"missing", "evicted", "corrupt", "no_object", "heard"}


async def test_a_store_that_stumbles_is_asked_again(bus: LocalBus, cuts: list[media.Cut]) -> None:
    objects = stocked(cuts)
    objects.failures[str(cuts[0].event.object_key)] = [StoreError("slow down")]
    await bus.publish([started(), cuts[0].event])
    async with sensing(bus, objects):
        seen = await features_until(bus, measured(1))
    assert not loudness_of(seen)[0].gap


async def test_a_poison_segment_becomes_a_gap_and_a_dead_letter(
    bus: LocalBus, cuts: list[media.Cut]
) -> None:
    objects = stocked(cuts)
    objects.failures[str(cuts[0].event.object_key)] = [StoreError("no")] * 3
    await bus.publish([started(), cuts[0].event, cuts[1].event])
    async with sensing(bus, objects):
        seen = await features_until(bus, measured(2))
    assert [each.gap for each in loudness_of(seen)] == [True, False]


async def test_a_restart_loses_nothing_and_repeats_nothing(
    bus: LocalBus, cuts: list[media.Cut]
) -> None:
    objects = stocked(cuts)
    await bus.publish([started(), *(cut.event for cut in cuts[:2])])
    async with sensing(bus, objects):
        await features_until(bus, measured(2), "first")
    await bus.publish([cut.event for cut in cuts[2:]])
    async with sensing(bus, objects):
        seen = await features_until(bus, measured(5), "second")
    assert [each.seq for each in loudness_of(seen)] == [0, 1, 2, 3, 4]
    # The beep right after the restart is as loud as one in the middle.
    loud = {each.seq: max(each.rms_db) for each in loudness_of(seen)}
    assert loud[2] == pytest.approx(loud[3], abs=1.5)


async def test_a_killed_worker_is_followed_by_another(bus: LocalBus, cuts: list[media.Cut]) -> None:
    objects = stocked(cuts)
    await bus.publish([started(), *(cut.event for cut in cuts)])
    killed = asyncio.create_task(Senses(objects, NO_PHRASE).run(Ctx(bus=bus)))
    await features_until(bus, measured(1), "first")
    killed.cancel()
    await asyncio.wait([killed])
    async with sensing(bus, objects):
        seen = await features_until(bus, measured(5), "second")
    assert [each.seq for each in loudness_of(seen)] == [0, 1, 2, 3, 4]


async def test_sessions_keep_their_own_order_and_are_forgotten_at_their_end(
    bus: LocalBus, cuts: list[media.Cut]
) -> None:
    def other(event: Event, number: int) -> Event:
        return dataclasses.replace(  # type: ignore[type-var]
            event, session_id=f"s{number}", channel_id=f"c{number}", event_id=""
        )

    objects = stocked(cuts)
    start: SessionStarted = started()
    numbers = range(6)
    await bus.publish([other(start, number) for number in numbers])
    await bus.publish([other(cut.event, number) for cut in cuts for number in numbers])
    end_s = cuts[-1].event.end_s
    await bus.publish([other(ended(end_s), number) for number in numbers])
    async with sensing(bus, objects) as meter:
        seen = await features_until(bus, measured(30))
    for number in numbers:
        own = [each.seq for each in loudness_of(seen) if each.session_id == f"s{number}"]
        assert own == [0, 1, 2, 3, 4]
    assert meter.gauges["clipthat_senses_in_hand"] == 0


async def test_a_phrase_that_cannot_be_said_stops_the_stage_with_its_word(bus: LocalBus) -> None:
    settings = SensesSettings(phrase=PhraseSettings(phrases=("clip xqzt",)))
    with pytest.raises(PhraseUnknown, match="xqzt"):
        await Senses(FakeObjects(), settings).run(Ctx(bus=bus))


async def test_a_spoken_phrase_is_heard_across_a_border(
    bus: LocalBus, voice: media.Voice, tmp_path: Path
) -> None:
    """The phrase starts in one segment and ends in the next; its times are those of the sound."""
    said = voice.say("clip that")
    start = round(3.6 * media.RATE_HZ)
    sound = np.random.default_rng(3).normal(0, 15, 8 * media.RATE_HZ).astype(np.int16)
    sound[start : start + len(said)] += said
    loud = np.flatnonzero(np.abs(sound) > 1000) / media.RATE_HZ
    cuts = media.hls_from_wav(media.write_wav(tmp_path / "said.wav", sound), tmp_path / "hls")
    assert loud[0] < cuts[2].event.media_s < loud[-1]
    await bus.publish([started(), *(cut.event for cut in cuts)])
    settings = SensesSettings(phrase=PhraseSettings(phrases=("clip that",), processes=1))
    async with sensing(bus, stocked(cuts), settings):
        seen = await features_until(bus, measured(len(cuts)))
    (heard,) = (each for each in seen if isinstance(each, SpeechHeard))
    assert heard.engine == "phrase_spotter"
    assert [word.text for word in heard.words] == ["clip", "that"]
    assert heard.words[0].start_s == pytest.approx(loud[0], abs=0.15)
    # The spotter is sure before the last sound has faded.
    assert loud[0] + 0.3 < heard.words[1].end_s < loud[-1] + 0.2


@needs_shared_data
async def test_a_real_stream(bus: LocalBus, twitch_segments: list[media.Cut]) -> None:
    await bus.publish([started(), *(cut.event for cut in twitch_segments)])
    objects = stocked(twitch_segments)
    async with sensing(bus, objects):
        seen = await features_until(bus, measured(len(twitch_segments)))
    assert [each.gap for each in loudness_of(seen)] == [False] * 5 + [True]
    first = next(each for each in seen if isinstance(each, FrameDescribed))
    assert (first.media_s, first.width, first.height) == (0.0, 640, 360)


async def test_a_muted_segment_is_seen_but_not_heard(bus: LocalBus, cuts: list[media.Cut]) -> None:
    events = [
        dataclasses.replace(cut.event, muted=True) if cut.event.seq in (0, 2) else cut.event
        for cut in cuts
    ]
    await bus.publish([started(), *events])
    async with sensing(bus, stocked(cuts)) as meter:
        seen = await features_until(bus, measured(len(cuts)))
    assert [each.gap for each in loudness_of(seen)] == [True, False, True, False, False]
    assert all(each.rms_db == () for each in loudness_of(seen) if each.gap)
    frames = [each for each in seen if isinstance(each, FrameDescribed)]
    assert any(frame.media_s < cuts[0].event.end_s for frame in frames)
    assert meter.counts["clipthat_senses_segments_total", "muted"] == 2


async def test_words_of_a_whole_recording_are_shifted_for_a_part(
    bus: LocalBus, cuts: list[media.Cut]
) -> None:
    words = [
        {"text": "before", "start_s": 99.0, "end_s": 99.5},
        {"text": "hi", "start_s": 100.5, "end_s": 100.8},
    ]
    objects = stocked(cuts)
    objects.kept["words"] = json.dumps(words).encode()
    await bus.publish([started(words_key="words", vod_start_s=100.0), *(cut.event for cut in cuts)])
    async with sensing(bus, objects):
        seen = await features_until(bus, measured(len(cuts)))
    (spoken,) = [each for each in seen if isinstance(each, SpeechHeard)]
    (word,) = spoken.words
    assert (word.text, round(word.start_s, 6), round(word.end_s, 6)) == ("hi", 0.5, 0.8)
