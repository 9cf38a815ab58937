from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from detectors.ear import Ear, Heard, SegmentBytes, see
from detectors.settings import SensesSettings
from tests.detectors import media
from tests.detectors.conftest import BEEPS_S
from tests.paths import needs_shared_data

SETTINGS = SensesSettings()
LOUD_DB = -40.0


def listen(cuts: list[media.Cut], ear: Ear | None = None) -> list[Heard]:
    ear = ear or Ear(SETTINGS)
    return [ear.hear(SegmentBytes(cut.event, cut.body, cut.init)) for cut in cuts]


def loud_hops(cuts: list[media.Cut], heard: list[Heard]) -> dict[float, float]:
    """Media time of each hop → dBFS, loud ones only."""
    loud = {}
    for cut, each in zip(cuts, heard, strict=True):
        assert each.hops is not None
        for at, rms_db in enumerate(each.hops.rms_db):
            if rms_db > LOUD_DB:
                loud[round(cut.event.media_s + at * 0.1, 2)] = rms_db
    return loud


def assert_beeps_in_place(cuts: list[media.Cut], heard: list[Heard]) -> None:
    """Each loud hop lies on a beep, and each beep's every hop is loud."""
    loud = loud_hops(cuts, heard)
    slack_s = 0.035  # the encoder's first packet stands 0.021 s before the picture
    for hop_s in loud:
        assert any(
            hop_s < beep_s + 0.2 + slack_s and beep_s - slack_s < hop_s + 0.1 for beep_s in BEEPS_S
        ), f"loud at {hop_s}"
    for beep_s in BEEPS_S:
        middle_s = beep_s + 0.1
        assert any(hop_s <= middle_s < hop_s + 0.1 + 1e-6 for hop_s in loud), f"beep at {beep_s}"


@pytest.mark.parametrize(
    ("offset_s", "fmp4"),
    [(0.0, False), (1234.5, False), (95_438.6, False), (95_443.5, False), (50.0, True)],
    ids=["zero", "later", "wraps between segments", "wraps in the first", "fmp4"],
)
def test_beeps_land_in_their_hops(
    beep_wav: Path, tmp_path: Path, offset_s: float, fmp4: bool
) -> None:
    cuts = media.hls_from_wav(beep_wav, tmp_path, offset_s=offset_s, fmp4=fmp4)
    assert [round(cut.event.media_s, 1) for cut in cuts] == [0, 2, 4, 6, 8]
    heard = listen(cuts)
    assert_beeps_in_place(cuts, heard)
    # Everything but what the encoder leaves out at the very start is sound, not silence.
    everything = [db for each in heard if each.hops for db in each.hops.rms_db]
    assert min(everything[1:]) > -80.0


def test_a_lost_segment_shifts_nothing(beep_wav: Path, tmp_path: Path) -> None:
    cuts = media.hls_from_wav(beep_wav, tmp_path)
    kept = [cuts[0], *cuts[2:]]
    loud = loud_hops(kept, listen(kept))
    assert all(not 2.1 < hop_s < 3.9 for hop_s in loud)
    for beep_s in (5.0, 8.4):
        assert any(abs(hop_s - beep_s) < 0.101 for hop_s in loud)


def test_a_discontinuity_starts_anew_in_place(beep_wav: Path, tmp_path: Path) -> None:
    first = media.hls_from_wav(beep_wav, tmp_path / "a")
    second = media.hls_from_wav(beep_wav, tmp_path / "b", offset_s=7000.0)
    ear = Ear(SETTINGS)
    listen(first[:2], ear)
    moved = [
        dataclasses.replace(
            cut, event=dataclasses.replace(cut.event, disc=1, media_s=cut.event.media_s + 4.0)
        )
        for cut in second
    ]
    loud = loud_hops(moved, listen(moved, ear))
    assert any(abs(hop_s - 4.7) < 0.101 for hop_s in loud)
    assert any(abs(hop_s - 12.4) < 0.101 for hop_s in loud)


def test_warming_up_makes_a_restart_inaudible(beep_wav: Path, tmp_path: Path) -> None:
    cuts = media.hls_from_wav(beep_wav, tmp_path)
    straight = listen(cuts)
    ear = Ear(SETTINGS)
    third = SegmentBytes(cuts[2].event, cuts[2].body, None)
    ear.warm(third, cuts[1].body)
    again = ear.hear(third)
    before = loud_hops([cuts[2]], [straight[2]])
    after = loud_hops([cuts[2]], [again])
    assert before
    assert after == pytest.approx(before, abs=0.3)


def test_a_segment_before_of_another_time_is_not_mixed_in(beep_wav: Path, tmp_path: Path) -> None:
    cuts = media.hls_from_wav(beep_wav, tmp_path / "a")
    strange = media.hls_from_wav(beep_wav, tmp_path / "b", offset_s=7000.0)
    ear = Ear(SETTINGS)
    first = SegmentBytes(cuts[1].event, cuts[1].body, None)
    ear.warm(first, strange[0].body)
    assert ear.is_fresh
    assert ear.hear(first).hops is not None


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (lambda body: b"<html>not media</html>" * 20, "corrupt"),
        (lambda body: b"", "corrupt"),
        (lambda body: body[:188], "corrupt"),
        (lambda body: bytes(len(body)), "corrupt"),
    ],
    ids=["html", "empty", "one packet", "zeros"],
)
def test_bad_bytes_are_a_gap_and_the_next_segment_is_fine(
    beep_wav: Path, tmp_path: Path, spoil: object, problem: str
) -> None:
    cuts = media.hls_from_wav(beep_wav, tmp_path)
    assert callable(spoil)
    cuts[1] = dataclasses.replace(cuts[1], body=spoil(cuts[1].body))
    heard = listen(cuts)
    assert heard[1].hops is None
    assert heard[1].problem == problem
    assert heard[2].hops is not None


def test_torn_packets_do_not_stop_the_rest(beep_wav: Path, tmp_path: Path) -> None:
    cuts = media.hls_from_wav(beep_wav, tmp_path)
    body = cuts[1].body
    cuts[1] = dataclasses.replace(cuts[1], body=body[:1000] + body[1100:])
    assert listen(cuts)[1].hops is not None


def test_no_audio_stream_is_said(tmp_path: Path) -> None:
    path = tmp_path / "silent.ts"
    media.run_ffmpeg(
        *("-f", "lavfi", "-i", "testsrc2=size=64x36:rate=25:duration=1"),
        *("-c:v", "libx264", "-preset", "ultrafast", str(path)),
    )
    event = dataclasses.replace(SEGMENT, pts_s=None)
    assert listen([media.Cut(event, path.read_bytes())])[0].problem == "no_audio"


SEGMENT = media.SegmentStored(
    tenant_id="t1",
    channel_id="c1",
    session_id="s1",
    epoch=0,
    seq=0,
    disc=0,
    media_s=0.0,
    duration_s=1.0,
    container="ts",
)


def test_a_piece_after_the_end_of_the_sound_is_no_damage() -> None:
    event = dataclasses.replace(SEGMENT, container="matroska", pts_s=None, sense_only=True)
    assert listen([media.Cut(event, b"")])[0].problem == "no_audio"


def test_audio_alone_in_matroska_without_a_known_timestamp(beep_wav: Path, tmp_path: Path) -> None:
    path = tmp_path / "part.mka"
    media.run_ffmpeg("-i", str(beep_wav), "-c:a", "libopus", "-output_ts_offset", "30", str(path))
    event = dataclasses.replace(SEGMENT, container="matroska", duration_s=10.0, sense_only=True)
    cut = media.Cut(event, path.read_bytes())
    assert_beeps_in_place([cut], listen([cut]))


@needs_shared_data
def test_a_real_stream_gives_sound_voice_and_pictures(twitch_segments: list[media.Cut]) -> None:
    heard = listen(twitch_segments)
    # This clip's sound begins 1.8 s after its picture, and its last segment has none.
    assert heard[0].hops is not None
    assert set(heard[0].hops.rms_db[:18]) == {-90.0}
    assert min(heard[0].hops.rms_db[19:39]) > -60.0
    assert sum(len(piece.pcm) for each in heard for piece in each.pieces) > 10 * 32_000
    assert heard[-1].problem == "no_audio"
    cut = twitch_segments[1]
    seen = see(SegmentBytes(cut.event, cut.body, None), SETTINGS)
    assert seen is not None
    assert seen.media_s == pytest.approx(cut.event.media_s, abs=0.02)
    assert media.jpeg_size(seen.picture.jpeg) == (640, 360)
    assert len(seen.picture.picture_hash) == 16
