"""Playlists as strangers write them."""

from __future__ import annotations

import contextlib
from pathlib import Path

import m3u8
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.errors import MalformedPlaylist
from ingest.multivariant import Multivariant, Variant, choose_variant
from ingest.playlist import MediaPlaylist, PlaylistLimits, parse_playlist
from tests.paths import SHARED_DATA, needs_shared_data

BASE = "https://host.test/path/list.m3u8?token=1"
LIMITS = PlaylistLimits()
CORPUS = Path(__file__).parent / "corpus"


def media(body: bytes) -> MediaPlaylist:
    playlist = parse_playlist(body, BASE, LIMITS)
    assert isinstance(playlist, MediaPlaylist)
    return playlist


def test_a_byte_order_mark_and_windows_line_ends_are_nothing() -> None:
    playlist = media((CORPUS / "bom_crlf.m3u8").read_bytes())
    assert [(s.seq, s.duration_s, s.title) for s in playlist.segments] == [
        (7, 4.0, ""),
        (8, 3.5, "title, with comma"),
    ]
    assert playlist.segments[1].uri == "https://host.test/path/b.ts?sig=1"


def test_ranges_maps_keys_and_gaps() -> None:
    playlist = media((CORPUS / "ranges_map_keys.m3u8").read_bytes())
    one, two, enc1, enc2, plain, gone, drm = playlist.segments
    assert playlist.discontinuity_sequence == 3
    assert (one.offset, one.length) == (720, 1000)
    assert (two.offset, two.length) == (1720, 1500)
    assert one.init is not None
    assert (one.init.offset, one.init.length) == (20, 700)
    assert one.pdt_s == pytest.approx(1714550400.5)
    assert two.pdt_s == pytest.approx(1714550406.5)
    assert enc1.key is not None
    assert enc1.key.iv(enc1.seq)[-1] == 0xFF
    assert enc2.key is not None
    assert enc2.key.iv(enc2.seq) == (103).to_bytes(16, "big")
    assert enc2.key.uri == "https://host.test/path/k2"
    assert plain.key is None
    assert plain.discontinuity
    assert plain.pdt_s is None
    assert plain.init is not None
    assert plain.init.uri.endswith("init2.mp4")
    assert gone.gap
    assert [s.encrypted for s in playlist.segments] == [False] * 6 + [True]
    assert drm.key is not None
    assert not drm.key.supported


def test_ads_are_known_by_date_and_by_title_and_prefetch_is_not_listed() -> None:
    playlist = media((CORPUS / "twitch_midroll.m3u8").read_bytes())
    assert [(s.path.rpartition("/")[2], s.ad) for s in playlist.segments] == [
        ("live1.ts", False),
        ("ad1.ts", True),
        ("ad2.ts", True),
        ("live2.ts", False),
    ]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"   \r\n ",
        b"<html><body>502</body></html>",
        b"#EXTM3U",
        b"#EXTINF:2,\na.ts",
        b"\x00\x01\x02",
        b"#EXTM3U\n" + b"#" * 9_000_000,
        b"#EXTM3U\n" + b"#EXTINF:1,\na\n" * 50_001,
    ],
)
def test_what_is_no_playlist_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedPlaylist):
        parse_playlist(body, BASE, LIMITS)


def test_durations_that_are_none_lose_their_segment_only() -> None:
    text = b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n"
    for duration in (b"abc", b"inf", b"nan", b"-1", b"1e9", b"2", b"2.5"):
        text += b"#EXTINF:" + duration + b",\n" + duration + b".ts\n"
    assert [s.duration_s for s in media(text).segments] == [2.0, 2.5]


def test_segments_before_the_first_date_are_dated_backwards() -> None:
    playlist = media(
        b"#EXTM3U\n#EXTINF:2,\na\n#EXTINF:3,\nb\n"
        b"#EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:01:40Z\n#EXTINF:2,\nc\n"
    )
    assert [s.pdt_s for s in playlist.segments] == [95.0, 97.0, 100.0]


@given(st.binary(max_size=400))
@settings(max_examples=150, deadline=None)
def test_any_bytes_are_a_playlist_or_refused(noise: bytes) -> None:
    for body in (noise, b"#EXTM3U\n" + noise):
        with contextlib.suppress(MalformedPlaylist):
            parse_playlist(body, BASE, LIMITS)


_LINES = st.lists(
    st.sampled_from(
        [
            "#EXT-X-DISCONTINUITY",
            "#EXT-X-PROGRAM-DATE-TIME:2024-01-01T00:00:00Z",
            '#EXT-X-KEY:METHOD=AES-128,URI="k"',
            "#EXT-X-KEY:METHOD=NONE",
            '#EXT-X-MAP:URI="i.mp4"',
            "#EXT-X-GAP",
            "#UNKNOWN:x",
            "",
            "#EXTINF:2.5,live\na.ts",
            "#EXTINF:4,\n#EXT-X-BYTERANGE:10@5\nb.ts",
        ]
    ),
    max_size=30,
)


@given(_LINES)
@settings(max_examples=100, deadline=None)
def test_it_agrees_with_another_parser(lines: list[str]) -> None:
    text = "\n".join(["#EXTM3U", "#EXT-X-TARGETDURATION:4", "#EXT-X-MEDIA-SEQUENCE:5", *lines, ""])
    ours = media(text.encode())
    other = m3u8.loads(text, uri=BASE)
    assert len(ours.segments) == len(other.segments)
    for mine, theirs in zip(ours.segments, other.segments, strict=True):
        assert mine.uri == theirs.absolute_uri
        assert mine.duration_s == theirs.duration
        assert mine.discontinuity == bool(theirs.discontinuity)
        assert mine.seq == theirs.media_sequence
        assert mine.gap == bool(theirs.gap_tag)
        method = getattr(theirs.key, "method", None) or "NONE"
        assert ("NONE" if mine.key is None else mine.key.method) == method
        assert (mine.init is None) == (theirs.init_section is None)


# The other parser fails on a DATERANGE without an id, and reads one playlist a file.
_NOT_FOR_IT = ("streamlink_test_date.m3u8", "stringify_InvariantOfCulture.m3u8")
_REAL = [p for p in sorted((SHARED_DATA / "hls").glob("*.m3u8")) if p.name not in _NOT_FOR_IT]


@needs_shared_data
@pytest.mark.parametrize("path", _REAL, ids=lambda path: path.name)
def test_real_playlists_agree_with_another_parser(path: Path) -> None:
    text = path.read_text()
    ours = parse_playlist(text.encode(), BASE, LIMITS)
    other = m3u8.loads(text, uri=BASE)
    if isinstance(ours, Multivariant):
        assert [v.uri for v in ours.variants] == [p.absolute_uri for p in other.playlists]
    else:
        assert [(s.uri, s.duration_s) for s in ours.segments] == [
            (s.absolute_uri, s.duration) for s in other.segments
        ]
        for mine, theirs in zip(ours.segments, other.segments, strict=True):
            told = theirs.current_program_date_time
            if told is not None and told.tzinfo is not None:
                assert mine.pdt_s == pytest.approx(told.timestamp(), abs=0.01)


def test_the_best_picture_is_chosen_and_sound_alone_comes_last() -> None:
    def variant(name: str, height: int, **more: object) -> Variant:
        return Variant(uri=name, name=name, height=height, **more)  # type: ignore[arg-type]

    audio = variant("audio_only", 0, bandwidth=10**9)
    phone = variant("720_portrait", 1280, width=720)
    small, large = variant("360p", 360), variant("1080p", 1080)
    split = variant("2160p", 2160, audio_elsewhere=True)
    everything = Multivariant(variants=(audio, phone, small, large, split))
    assert choose_variant(everything, None) == large
    assert choose_variant(everything, 720) == small
    assert choose_variant(everything, 240) == small
    assert choose_variant(Multivariant(variants=(audio, split)), None) == split
    assert choose_variant(Multivariant(variants=(audio,)), None) == audio
    assert audio.audio_only
    assert choose_variant(Multivariant(variants=()), None) is None


def test_a_muted_vod_segment_is_read_where_it_may_be_read() -> None:
    [segment] = media(b"#EXTM3U\n#EXTINF:10,\n7-unmuted.ts\n").segments
    assert segment.muted
    assert segment.fetch_uri == "https://host.test/path/7-muted.ts"
