"""A room: counted once, placed where it was sent, cut off without looking quiet, bounded."""

from __future__ import annotations

from ingest.chat.room import Room
from ingest.chat.said import SaidPlainly
from ingest.chat.settings import RoomSettings

START_S = 1_000.0


class Clock:
    def __init__(self, now_s: float = START_S) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s


class Silent:
    """A feeder that a test speaks for."""

    def __init__(self) -> None:
        self.attached: list[str] = []

    async def attach(self, channel: str, room: Room) -> None:
        self.attached.append(channel)

    async def detach(self, channel: str, room: Room) -> None:
        self.attached.remove(channel)


def said(message_id: str, sent_s: float | None = None, login: str = "ana") -> SaidPlainly:
    return SaidPlainly(message_id=message_id, sent_s=sent_s, login=login, text=f"text {message_id}")


async def opened(clock: Clock, settings: RoomSettings | None = None) -> Room:
    room = Room("demo", Silent(), settings, clock=clock)
    await room.open(START_S)
    return room


async def test_the_feeder_is_attached_while_the_room_is_open() -> None:
    feeder = Silent()
    room = Room("demo", feeder, clock=Clock())
    await room.open(None)
    assert feeder.attached == ["demo"]
    await room.close()
    await room.close()
    assert feeder.attached == []
    room.hear(said("late"))
    assert room.held == 0


async def test_a_message_counts_once_whoever_tells_it() -> None:
    clock = Clock()
    room = await opened(clock)
    room.joined("irc")
    room.joined("eventsub")
    clock.now_s = START_S + 5
    for _ in range(2):
        room.hear(said("m1", START_S + 4.5))
    room.hear(said("m2", START_S + 4.0))
    room.hear(said("", START_S + 4.25))
    room.hear(said("", START_S + 4.25))
    batch = await room.drain(5.0)
    assert [line.message_id for line in batch.lines] == ["m2", "", "", "m1"]
    assert [line.t_s for line in batch.lines] == [4.0, 4.25, 4.25, 4.5]
    assert batch.connected
    assert (await room.drain(6.0)).lines == ()


async def test_a_line_waits_until_the_media_has_come_so_far() -> None:
    clock = Clock(START_S + 20)
    room = await opened(clock)
    room.joined("irc")
    room.hear(said("m1", START_S + 15))
    room.hear(said("m2", START_S + 19))
    assert [line.message_id for line in (await room.drain(16.0)).lines] == ["m1"]
    assert [line.message_id for line in (await room.drain(20.0)).lines] == ["m2"]


async def test_times_that_lie_are_not_believed() -> None:
    clock = Clock(START_S + 1_000)
    room = await opened(clock)
    room.joined("irc")
    room.hear(said("none"))
    room.hear(said("future", START_S + 9_999))
    room.hear(said("old", START_S - 7_200))
    room.hear(said("behind", START_S + 990))
    batch = await room.drain(2_000.0)
    assert {line.message_id: line.t_s for line in batch.lines} == {
        "behind": 990.0,
        "none": 1_000.0,
        "future": 1_000.0,
        "old": 1_000.0,
    }


async def test_before_the_first_join_is_a_gap() -> None:
    clock = Clock(START_S + 10)
    room = await opened(clock)
    assert (await room.drain(3.5)).gap_seconds == {0, 1, 2, 3}
    clock.now_s = START_S + 12.25
    room.joined("irc")
    clock.now_s = START_S + 30
    batch = await room.drain(30.0)
    assert batch.connected
    assert batch.gap_seconds == set(range(3, 13))


async def test_cut_off_only_while_no_feeder_is_joined() -> None:
    clock = Clock()
    room = await opened(clock)
    room.joined("irc")
    clock.now_s = START_S + 10
    room.joined("eventsub")
    room.cut("irc")
    assert room.is_joined
    clock.now_s = START_S + 20.5
    room.cut("irc")
    room.cut("eventsub")
    clock.now_s = START_S + 23.5
    room.joined("irc")
    clock.now_s = START_S + 40
    assert (await room.drain(40.0)).gap_seconds == {20, 21, 22, 23}


async def test_a_feeder_may_know_since_when_it_was_deaf() -> None:
    clock = Clock()
    room = await opened(clock)
    room.joined("irc")
    assert (await room.drain(12.0)).gap_seconds == frozenset()
    clock.now_s = START_S + 30
    room.cut("irc", heard_s=START_S + 10)
    batch = await room.drain(20.0)
    assert not batch.connected
    assert batch.gap_seconds == set(range(12, 20))


async def test_gaps_lie_on_twitchs_clock_as_the_lines_do() -> None:
    clock = Clock(START_S + 15)  # ours is fifteen seconds ahead
    room = await opened(clock)
    room.joined("irc")
    await room.drain(0.0)
    for second in range(1, 11):
        clock.now_s = START_S + 15 + second
        room.hear(said(f"m{second}", START_S + second))
    clock.now_s = START_S + 15 + 20.5
    room.cut("irc")
    clock.now_s = START_S + 15 + 22.5
    room.joined("irc")
    gaps = (await room.drain(60.0)).gap_seconds
    assert {20, 21, 22} == {second for second in gaps if second > 15}


async def test_lines_that_come_too_late_make_no_burst() -> None:
    clock = Clock()
    room = await opened(clock)
    room.joined("irc")
    clock.now_s = START_S + 20
    assert (await room.drain(20.0)).gap_seconds == frozenset()
    clock.now_s = START_S + 22
    room.hear(said("stray", START_S + 12))
    assert (await room.drain(22.0)).gap_seconds == frozenset()
    for number in range(50):
        room.hear(said(f"m{number}", START_S + 12))
    batch = await room.drain(24.0)
    assert len(batch.lines) == 50
    assert batch.gap_seconds == {22}


async def test_the_buffer_is_bounded_by_lines_and_characters() -> None:
    clock = Clock()
    room = await opened(clock, RoomSettings(buffer_lines_max=10))
    room.joined("irc")
    for number in range(25):
        room.hear(said(f"m{number}", START_S))
    batch = await room.drain(1.0)
    assert [line.message_id for line in batch.lines] == [f"m{n}" for n in range(15, 25)]
    assert batch.dropped == 15
    small = await opened(clock, RoomSettings(buffer_chars_max=100))
    for number in range(1_000):
        small.hear(said(f"m{number}", START_S))
    assert small.held <= 20
    assert (await small.drain(1.0)).dropped >= 980


async def test_what_a_moderator_removes_is_forgotten_while_it_waits() -> None:
    clock = Clock()
    room = await opened(clock)
    room.joined("irc")
    room.hear(said("m1", START_S, "ana"))
    room.hear(said("m2", START_S, "bot"))
    room.hear(said("m3", START_S, "bo"))
    room.remove_user("bot")
    room.remove_message("m3")
    room.hear(said("m4", START_S, "bot"))
    assert [line.message_id for line in (await room.drain(1.0)).lines] == ["m1", "m4"]
