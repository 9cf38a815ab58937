"""Chat counted by the second."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.chat.line import ChatLine, hashed
from ingest.chat.look import emote_count, is_shout, looks_like_emote, normalised, sample
from ingest.chat.settings import WindowSettings
from ingest.chat.source import ChatBatch
from ingest.chat.window import ChatWindows


def windows(first_s: float = 0.0, settings: WindowSettings | None = None) -> ChatWindows:
    return ChatWindows(
        tenant_id="t", channel_id="c", session_id="s", first_s=first_s, settings=settings
    )


def line(t_s: float, user: str = "ana", text: str = "hello there") -> ChatLine:
    return ChatLine(t_s=t_s, user=hashed(user), text=text)


def batch(*lines: ChatLine) -> ChatBatch:
    return ChatBatch(lines=lines)


def test_every_second_has_a_window_and_an_empty_one_too() -> None:
    taken = windows().take(batch(line(0.2), line(2.9)), until_s=4.5)
    assert [window.media_s for window in taken.windows] == [0.0, 1.0, 2.0, 3.0]
    assert [window.messages for window in taken.windows] == [1, 0, 1, 0]


def test_one_user_counts_twice_in_five_and_thrice_in_thirty_seconds() -> None:
    flood = [line(second + 0.5) for second in range(40)]
    counted = [window.messages for window in windows().take(batch(*flood), 40.0).windows]
    assert counted[:5] == [1, 1, 0, 0, 0]
    assert sum(counted[:30]) == 3
    assert sum(counted) == 6
    assert windows().take(batch(*flood), 40.0).windows[10].lines == 1


def test_words_emotes_shouts_echoes_and_chatters() -> None:
    taken = windows().take(
        batch(
            line(0.1, "a", "PogChamp what a shot"),
            line(0.2, "b", "what a play"),
            line(0.3, "c", "WHAT A PLAY!!"),
            line(0.4, "c", "d69Spicy \U0001f602"),
        ),
        1.0,
    )
    window = taken.windows[0]
    assert (window.messages, window.lines, window.chatters) == (4, 4, 3)
    assert window.words == 12
    assert window.emotes == 3
    assert window.shouts == 2
    assert window.echoes == 1


def test_a_user_is_no_echo_of_himself() -> None:
    taken = windows().take(batch(line(0.1, "a", "gg"), line(0.2, "a", "gg")), 1.0)
    assert taken.windows[0].echoes == 0


def test_a_command_of_a_capped_user_is_heard() -> None:
    noise = [line(0.1 * n, "ana", f"word {n}") for n in range(5)]
    taken = windows().take(batch(*noise, line(0.9, "ana", "CLIP THAT")), 1.0)
    assert [command.text for command in taken.windows[0].commands] == ["CLIP THAT"]
    assert taken.windows[0].commands[0].at_s == 0.9


def test_samples_show_what_most_say_without_links_and_controls() -> None:
    taken = windows().take(
        batch(
            line(0.1, "a", "see https://example.com/x \u202e\x07now"),
            line(0.2, "b", "gg"),
            line(0.3, "c", "GG"),
            line(0.4, "d", "x" * 300),
            line(0.5, "e", "last"),
        ),
        1.0,
    )
    assert taken.windows[0].samples == ("gg", "see now", "x" * 80)


def test_a_late_line_counts_in_the_first_open_second() -> None:
    chat = windows()
    chat.take(batch(), 5.0)
    taken = chat.take(batch(line(2.0)), 6.0)
    assert taken.windows[0].media_s == 5.0
    assert taken.windows[0].messages == 1
    assert taken.counted[0].t_s == 5.0


def test_seconds_that_the_reader_missed_are_gaps() -> None:
    taken = windows().take(ChatBatch(gap_seconds=frozenset({1, 2})), 4.0)
    assert [window.gap for window in taken.windows] == [False, True, True, False]


def test_a_resumed_session_does_not_count_again_but_remembers() -> None:
    early = [line(8.0), line(9.0)]
    taken = windows(first_s=10.0).take(batch(*early, line(10.5)), 11.0)
    assert [window.media_s for window in taken.windows] == [10.0]
    assert taken.windows[0].messages == 0
    assert taken.windows[0].lines == 1
    assert [counted.t_s for counted in taken.counted] == [10.5]


def test_lines_after_the_end_are_dropped_and_counted() -> None:
    taken = windows().finish(batch(line(1.0), line(99.0)), end_s=2.5)
    assert taken.windows[-1].media_s == 2.0
    assert taken.dropped == 1


def test_one_second_has_a_limit() -> None:
    many = [line(0.5, f"user{n}") for n in range(20)]
    taken = windows(settings=WindowSettings(lines_per_second_max=15)).take(batch(*many), 1.0)
    assert taken.windows[0].lines == 15
    assert taken.dropped == 5


posts = st.lists(
    st.builds(
        line,
        st.floats(0.0, 40.0).map(lambda t_s: round(t_s, 2)),
        st.sampled_from(["ana", "bo", "cy", "di"]),
        st.sampled_from(["gg", "GG", "clip that", "LUL", "hello you", "PogChamp"]),
    ),
    max_size=60,
)


@given(posts, st.integers(0, 1_000), st.floats(0.0, 6.0))
@settings(max_examples=80, deadline=None)
def test_a_live_run_and_its_replay_from_the_log_are_the_same(
    lines: list[ChatLine], seed: int, delay_s: float
) -> None:
    """Lines that arrive late, in any order, give a log that gives the very same windows."""
    dice = random.Random(seed)
    arrivals = [(chat.t_s + dice.uniform(0.0, delay_s), chat) for chat in lines]
    live, log, seen = windows(), [], []
    for second in range(2, 52, 2):
        now = [chat for at_s, chat in arrivals if second - 2 <= at_s < second]
        dice.shuffle(now)
        taken = live.take(batch(*now), float(second))
        seen += taken.windows
        log += taken.counted
    replay = windows()
    again = replay.take(batch(*sorted(log, key=lambda chat: chat.t_s)), 50.0).windows
    assert tuple(seen) == again
    assert sum(window.lines for window in again) == len(lines)


def test_emotes_are_told_by_tag_by_list_and_by_look() -> None:
    assert emote_count(["weird", "thing", "LUL"], ("thing",)) == 2
    assert looks_like_emote("FrankerZ") is False
    assert looks_like_emote("PogChamp")
    assert looks_like_emote("HeyGuys")
    assert not looks_like_emote("iPhone")
    assert not looks_like_emote("YouTube")
    assert not looks_like_emote("McDonald")
    assert not looks_like_emote("hello")


def test_shouts() -> None:
    assert is_shout("OH MY GOD")
    assert is_shout("lol nice")
    assert is_shout("no way")
    assert not is_shout("GG")
    assert not is_shout("what a calm evening")


@given(st.text(max_size=300))
@settings(max_examples=100)
def test_any_text_has_a_form_and_a_sample(text: str) -> None:
    assert len(sample(text)) <= 80
    assert normalised(normalised(text)) == normalised(text)


def test_a_hash_hides_the_name_and_stays() -> None:
    assert hashed("Ana") == hashed("ana")
    assert "ana" not in hashed("ana")
    assert hashed(hashed("ana")) == hashed("ana")
