from __future__ import annotations

import json
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.events import ChatWindow, ClipCommand, MomentDetected
from detectors.clip_command import ClipCommands
from detectors.settings import ClipCommandSettings
from tests.detectors.chats import run, started, window

GOLDEN = Path(__file__).parent / "golden" / "clip_command.json"

Role = Literal["viewer", "subscriber", "vip", "moderator", "broadcaster"]
Asked = tuple[float, str, Role]


def windows_of(asked: list[Asked], length_s: int = 200) -> list[ChatWindow]:
    return [
        window(
            second,
            commands=tuple(
                ClipCommand(user=user, text="clip that", role=role, at_s=at_s)
                for at_s, user, role in asked
                if int(at_s) == second
            ),
        )
        for second in range(length_s)
    ]


def moments_of(
    asked: list[Asked], settings: ClipCommandSettings | None = None, *, flush: bool = True
) -> list[MomentDetected]:
    return run(ClipCommands(started(), settings), windows_of(asked), flush=flush)


def test_recorded_commands_give_the_moments_of_the_golden_file() -> None:
    asked: list[Asked] = [
        (3.2, "a", "viewer"),
        (50.0, "a", "viewer"),
        (52.5, "b", "subscriber"),
        (55.9, "c", "viewer"),
        (60.0, "d", "viewer"),
        (120.0, "e", "broadcaster"),
    ]
    told = [asdict(moment) | {"score": round(moment.score, 6)} for moment in moments_of(asked)]
    assert told == json.loads(GOLDEN.read_text(encoding="utf-8"))


def test_one_command_is_a_moment_that_lies_before_it() -> None:
    (moment,) = moments_of([(100.0, "a", "viewer")])
    chosen = ClipCommandSettings()
    assert moment.peak_s == 100.0 - chosen.reaction_s
    assert moment.start_s == moment.peak_s - chosen.before_s
    assert moment.end_s == moment.peak_s + chosen.after_s
    assert moment.score == pytest.approx(chosen.score_one)
    assert moment.evidence == {"viewers": 1, "user": "a", "text": "clip that"}


def test_it_counts_in_the_first_second_too() -> None:
    (moment,) = moments_of([(0.5, "a", "viewer")])
    assert (moment.start_s, moment.peak_s) == (0.0, 0.0)


def test_several_viewers_within_seconds_make_one_stronger_moment() -> None:
    (one,) = moments_of([(100.0, "a", "viewer")])
    (three,) = moments_of([(100.0, "a", "viewer"), (102.0, "b", "viewer"), (105.0, "c", "viewer")])
    assert three.evidence["viewers"] == 3
    assert three.score > one.score
    assert three.peak_s == one.peak_s


def test_it_is_decided_when_the_gathering_is_over() -> None:
    gather_s = ClipCommandSettings().gather_s
    (moment,) = moments_of([(100.0, "a", "viewer")], flush=False)
    assert moment.decided_s == 100.0 + gather_s


def test_what_is_still_gathered_at_the_end_comes_with_the_flush() -> None:
    assert moments_of([(198.0, "a", "viewer")], flush=False) == []
    (moment,) = moments_of([(198.0, "a", "viewer")])
    assert moment.decided_s == 200.0


@pytest.mark.parametrize(
    ("who", "heard"),
    [
        ("everyone", ["viewer", "subscriber", "vip", "moderator", "broadcaster"]),
        ("subscribers", ["subscriber", "vip", "moderator", "broadcaster"]),
        ("moderators", ["moderator", "broadcaster"]),
    ],
)
def test_who_may_ask_is_a_setting(
    who: Literal["everyone", "subscribers", "moderators"], heard: list[Role]
) -> None:
    roles: list[Role] = ["viewer", "subscriber", "vip", "moderator", "broadcaster"]
    chosen = ClipCommandSettings(who=who)
    assert [role for role in roles if moments_of([(100.0, "a", role)], chosen)] == heard


def test_one_who_may_not_ask_uses_up_nobodys_cooldown() -> None:
    chosen = ClipCommandSettings(who="moderators")
    asked: list[Asked] = [(99.0, "a", "viewer"), (100.0, "b", "moderator")]
    (moment,) = moments_of(asked, chosen)
    assert moment.evidence["user"] == "b"


def test_a_user_has_to_wait_before_asking_again() -> None:
    chosen = ClipCommandSettings(user_cooldown_s=60.0, channel_cooldown_s=10.0)
    asked: list[Asked] = [(50.0, "a", "viewer"), (80.0, "a", "viewer"), (111.0, "a", "viewer")]
    peaks = [moment.peak_s + chosen.reaction_s for moment in moments_of(asked, chosen)]
    assert peaks == [50.0, 111.0]


def test_a_user_who_repeats_himself_counts_once() -> None:
    (moment,) = moments_of([(100.0, "a", "viewer"), (101.0, "a", "viewer")])
    assert moment.evidence["viewers"] == 1


def test_the_channel_has_to_wait_for_its_next_moment() -> None:
    chosen = ClipCommandSettings(channel_cooldown_s=40.0)
    asked: list[Asked] = [(50.0, "a", "viewer"), (80.0, "b", "viewer"), (90.0, "c", "viewer")]
    peaks = [moment.peak_s + chosen.reaction_s for moment in moments_of(asked, chosen)]
    assert peaks == [50.0, 90.0]


def test_chat_without_a_command_has_no_moment() -> None:
    assert run(ClipCommands(started()), [window(second, 20) for second in range(100)]) == []


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 199), st.sampled_from("abcdef")), max_size=40),
    st.integers(0, 200),
)
def test_moments_are_well_formed_and_never_depend_on_the_future(
    commands: list[tuple[int, str]], cut: int
) -> None:
    windows = windows_of([(float(at), user, "viewer") for at, user in sorted(commands)])
    whole = run(ClipCommands(started()), windows, flush=False)
    part = run(ClipCommands(started()), windows[:cut], flush=False)
    assert whole[: len(part)] == part
    assert all(moment.decided_s > cut for moment in whole[len(part) :])
    assert all(0.0 <= moment.score <= 1.0 for moment in whole)
    assert all(m.start_s <= m.peak_s <= m.end_s and m.peak_s <= m.decided_s for m in whole)
    peaks = [moment.peak_s for moment in whole]
    apart_s = ClipCommandSettings().channel_cooldown_s
    asked = [peak + ClipCommandSettings().reaction_s for peak in peaks if peak > 0.0]
    assert all(b - a >= apart_s for a, b in pairwise(asked))
