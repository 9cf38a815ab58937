"""The demo's plan: what chat writes fits what happens."""

from __future__ import annotations

from ingest.chat.commands import is_clip_command
from ops.demo.chat import privmsg
from ops.demo.script import DURATION_S, MOMENTS, SPEECH, Post, chat


def posts_between(begin_s: float, end_s: float) -> int:
    return sum(begin_s <= post.at_s < end_s for post in chat())


def test_the_chat_is_always_the_same_and_in_order() -> None:
    assert chat() == chat()
    times = [post.at_s for post in chat()]
    assert times == sorted(times)
    assert times[0] >= 0.0
    assert times[-1] < DURATION_S


def test_chat_bursts_after_each_moment_and_not_before() -> None:
    for moment in MOMENTS:
        quiet = posts_between(moment.at_s - 12.0, moment.at_s)
        burst = posts_between(moment.at_s + 5.0, moment.at_s + 13.0)
        assert burst > 8 * max(quiet, 1) / 12.0 * 8.0
        assert burst >= 45


def test_viewers_ask_for_clips_after_moments_only() -> None:
    asked = [post.at_s for post in chat() if is_clip_command(post.text)]
    assert len(asked) == 8
    for at_s in asked:
        assert any(6.0 <= at_s - moment.at_s <= 9.0 for moment in MOMENTS)


def test_the_streamer_calls_soon_after_the_moments_that_say_so() -> None:
    calls = [say.at_s for say in SPEECH if say.mood == "command"]
    called = [moment.at_s for moment in MOMENTS if moment.is_called]
    assert len(calls) == len(called) == 2
    assert all(2.0 < at_s - moment_s < 8.0 for at_s, moment_s in zip(calls, called, strict=True))


def test_a_line_tells_its_emotes_as_twitch_does() -> None:
    line = privmsg("demo", Post(at_s=0, user="ana", text="LUL a Kappa LUL"), 1.5, "m")
    assert "emotes=425618:0-2,12-14/25:6-10;" in line
    assert "tmi-sent-ts=1500 " in line
