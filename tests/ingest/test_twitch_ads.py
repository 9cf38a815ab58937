"""Ads and prefetched segments, as Twitch's playlists have told of them through the years."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from streamlink.plugins.twitch import TwitchM3U8Parser

from ingest.multivariant import Multivariant, choose_variant
from ingest.playlist import MediaPlaylist, PlaylistLimits, parse_playlist
from ops.demo.live_stream import OriginSegment
from tests.doubles.twitch.playlists import Playback, TwitchPlaylists
from tests.paths import SHARED_DATA, needs_shared_data

BASE = "https://video-weaver.test/v1/playlist/x.m3u8"
HLS = SHARED_DATA / "hls"
NOW_S = 1_700_000_000.0


def media(text: str) -> MediaPlaylist:
    playlist = parse_playlist(text.encode(), BASE, PlaylistLimits())
    assert isinstance(playlist, MediaPlaylist)
    return playlist


def fragments() -> dict[str, str]:
    """Return the posted fragments by their letter, each made a playlist again."""
    path = HLS / "twitch_ad_fragments.txt"
    if not path.is_file():
        return {}
    found: dict[str, list[str]] = {}
    for line in path.read_text().splitlines():
        if line.startswith("## "):
            found[line[3]] = lines = ["#EXTM3U", "#EXT-X-TARGETDURATION:5"]
        elif found and line != "#EXTM3U":
            lines.append(line)
    return {letter: "\n".join(lines) for letter, lines in found.items()}


@needs_shared_data
@pytest.mark.parametrize(
    ("letter", "ads"),
    [
        ("A", [True]),
        ("B", []),
        ("C", [True, True]),
        ("D", [True]),
        ("E", [True, True]),
        ("F", [False, False, False]),
        ("G", []),
    ],
)
def test_posted_fragments(letter: str, ads: list[bool]) -> None:
    text = fragments()[letter]
    playlist = media(text)
    assert [segment.ad for segment in playlist.segments] == ads
    assert all(segment.pdt_s is not None for segment in playlist.segments)


@needs_shared_data
def test_all_real_playlists_are_read_and_hold_no_ad() -> None:
    for path in sorted(HLS.glob("*.m3u8")):
        for part in path.read_text().split("#EXTM3U")[1:]:
            playlist = parse_playlist(f"#EXTM3U{part}".encode(), BASE, PlaylistLimits())
            if isinstance(playlist, MediaPlaylist):
                assert not any(segment.ad for segment in playlist.segments), path.name
            else:
                assert choose_variant(playlist, 1080) is not None, path.name


@needs_shared_data
def test_what_can_be_prefetched_is_not_listed_yet() -> None:
    path = HLS / "Twitch_LiveStreams_TWITCH.m3u8"
    text = path.read_text()
    assert text.count("#EXT-X-TWITCH-PREFETCH") == 2
    assert len(media(text).segments) == text.count("#EXTINF") == 15


@needs_shared_data
@pytest.mark.parametrize(
    ("name", "best"),
    [
        ("streamlink_test_multivariant_twitch_usher_v2.m3u8", "1080p60"),
        ("streamlink_test_master_twitch_vod.m3u8", "chunked"),
        ("Twitch_Playlists_TWITCH.m3u8", "1080p60"),
        ("Kick_Playlists_KICK.m3u8", "1080p60"),
    ],
)
def test_the_source_is_the_best_wherever_it_is_listed(name: str, best: str) -> None:
    playlist = parse_playlist((HLS / name).read_bytes(), BASE, PlaylistLimits())
    assert isinstance(playlist, Multivariant)
    chosen = choose_variant(playlist, 1080)
    assert chosen is not None
    assert chosen.height == 1080
    assert best in (chosen.name, chosen.uri.split("/")[-2], "chunked" if chosen.source else "")
    small = choose_variant(playlist, 1080, ("480p",))
    assert small is not None
    assert small.height == 480
    assert choose_variant(playlist, 1080, ("audio_only",)) == chosen


def test_the_broadcast_is_named_by_a_tag_or_by_session_data() -> None:
    stream = "#EXT-X-STREAM-INF:BANDWIDTH=1\na.m3u8"
    for line in (
        '#EXT-X-TWITCH-INFO:NODE="x",BROADCAST-ID="44535804459",C="aGk="',
        '#EXT-X-SESSION-DATA:DATA-ID="BROADCAST-ID",VALUE="44535804459"',
    ):
        playlist = parse_playlist(f"#EXTM3U\n{line}\n{stream}".encode(), BASE, PlaylistLimits())
        assert isinstance(playlist, Multivariant)
        assert playlist.broadcast_id == "44535804459"


spans = st.lists(st.tuples(st.integers(-40, 4), st.integers(1, 30)), max_size=3)


@given(spans, st.booleans(), st.booleans(), st.sets(st.integers(0, 40)))
@settings(deadline=None)
def test_it_agrees_with_streamlink_about_ads(
    ads: list[tuple[int, int]], preroll: bool, dated: bool, spurious: set[int]
) -> None:
    twitch = TwitchPlaylists(lambda: NOW_S, [OriginSegment(body=b"", duration_s=2.0)] * 3)
    channel = twitch.channel("ann")
    channel.go_live("b1", early=20)
    channel.dated_ads, channel.spurious = dated, spurious
    channel.ads = [(NOW_S + start, NOW_S + start + length) for start, length in ads]
    own = [(NOW_S - 60, NOW_S - 10)] if preroll else []
    playback = Playback("ann", "b1", "720p60", NOW_S, 7, own)
    text = "\n".join(twitch._media(channel, playback))
    ours = media(text).segments
    theirs = [s for s in TwitchM3U8Parser(BASE).parse(text).segments if not s.prefetch]
    assert [s.uri for s in ours] == [s.uri for s in theirs]
    assert [s.ad for s in ours] == [s.ad for s in theirs]
    assert [s.seq for s in ours] == [s.num for s in theirs]


def test_a_title_tells_of_an_ad_wherever_it_says_so() -> None:
    [segment] = media("#EXTM3U\n#EXTINF:2,x|Amazon|1\na.ts").segments
    assert segment.ad


def test_a_stale_mark_without_a_length_does_not_hide_the_stream() -> None:
    lines = ['#EXTM3U\n#EXT-X-DATERANGE:ID="stitched-ad-1",START-DATE="1970-01-01T00:00:00Z"']
    for at in range(0, 120, 10):
        lines += [
            f"#EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:{at // 60:02}:{at % 60:02}Z",
            "#EXTINF:10,",
            f"{at}.ts",
        ]
    found = media("\n".join(lines)).segments
    assert [segment.ad for segment in found] == [True] * 6 + [False] * 6
