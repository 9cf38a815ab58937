"""A broadcast and its chat together on bad days: media, gaps, minutes and chat counts are right."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import json
import math
import random
import tempfile
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.events import (
    ChatWindow,
    Event,
    MinuteWatched,
    SegmentMissing,
    SegmentStored,
    SessionEnded,
    SessionStarted,
)
from bus.local import LocalBus
from bus.settings import LocalBusSettings
from bus.stage import Ctx
from ingest.hls_live import HlsLive
from ingest.settings import IngestSettings
from ingest.source import Pulled, Resume, SourceInfo
from ingest.watch import Watch, WatchTarget
from tests.ingest import twitch_faults
from tests.ingest.twitch_chat_world import LOGIN, ChatWorld, chat_world
from tests.ingest.twitch_faults import Fault
from tests.ingest.twitch_world import World, world_of
from tests.ingest.world import DictObjects, check_whole

CHAT_FAULTS = ("drop", "irc down", "events down", "reconnect", "move", "revoke", "429", "malformed")
STEP_S = 0.5
EDGE_S = 1.0
QUIET_S = 60.0
TOPICS = ("sessions", "segments", "chat", "usage")


class _Held:
    """A source beside which no time passes but while it is asked for media."""

    def __init__(self, source: HlsLive, world: World) -> None:
        self._source = source
        self._world = world

    async def describe(self) -> SourceInfo:
        info = await self._source.describe()
        self._world.flying += 1
        return info

    async def pull(self, resume: Resume | None) -> AsyncGenerator[Pulled, None]:
        self._world.flying -= 1
        async for one in self._source.pull(resume):
            self._world.flying += 1
            try:
                yield one
            finally:
                self._world.flying -= 1


@dataclass(frozen=True, slots=True)
class ChatFault:
    """Something that happens to chat at a time, and lasts."""

    kind: str
    at_s: float
    length_s: float


class Told:
    """What a watch has told, and what is true."""

    def __init__(
        self, chat: ChatWorld, objects: DictObjects, events: Sequence[Event], until_s: float
    ) -> None:
        self.chat = chat
        self.until_s = until_s
        [self.started] = [e for e in events if isinstance(e, SessionStarted)]
        [self.ended] = [e for e in events if isinstance(e, SessionEnded)]
        self.spans = [e for e in events if isinstance(e, SegmentStored | SegmentMissing)]
        self.stored = [e for e in self.spans if isinstance(e, SegmentStored)]
        self.windows = [e for e in events if isinstance(e, ChatWindow)]
        self.minutes = [e for e in events if isinstance(e, MinuteWatched)]
        self.zero_s = self.started.wall_start_s or 0.0
        chunks = sorted(key for key in objects.held if "/chat-" in key)
        text = b"".join(gzip.decompress(objects.held[key]) for key in chunks)
        records = [json.loads(line) for line in text.splitlines()]
        self.lines = [r for r in records if "message_id" in r]

    def check_media(self) -> None:
        """Stored and missing media are the time that passed; minutes are those that were stored."""
        check_whole(self.spans)
        dates = [round(s.pdt_s, 1) for s in self.stored if s.pdt_s is not None]
        assert dates == sorted(set(dates))
        told_s = sum(span.duration_s for span in self.spans)
        assert told_s == pytest.approx(self.until_s - self.zero_s, abs=4.0 + 2.0)
        assert self.ended.media_s == pytest.approx(told_s, abs=2.0)
        assert self.ended.stored_s + self.ended.missing_s == pytest.approx(told_s, abs=0.1)
        distinct_s = _distinct_s([(s.media_s, s.end_s) for s in self.stored])
        assert self.ended.stored_s == pytest.approx(distinct_s, abs=0.01)
        assert [m.minute for m in self.minutes] == list(range(math.floor(distinct_s / 60)))

    def check_chat(self) -> None:
        """Each line that was delivered counts once, in its second."""
        told = [line["message_id"] for line in self.lines]
        assert len(told) == len(set(told))
        assert set(told) <= set(self.chat.delivered)
        until_s = self.zero_s + self.ended.media_s - EDGE_S
        due = {n for n, line in self.chat.delivered.items() if line.arrived_s < until_s}
        assert due - set(told) == set()
        for line in self.lines:
            truth, at_s = self.chat.delivered[line["message_id"]], self.zero_s + line["t_s"]
            slack_s = 0.01 if truth.is_believed else EDGE_S
            assert truth.sent_s - slack_s <= at_s <= truth.arrived_s + slack_s
        by_second = Counter(math.floor(line["t_s"]) for line in self.lines)
        assert [w.media_s for w in self.windows] == list(range(math.ceil(self.ended.media_s)))
        assert {int(w.media_s): w.lines for w in self.windows if w.lines} == dict(by_second)

    def check_gaps(self) -> None:
        """The seconds in which nobody was joined are gaps, and no others."""
        gaps = {int(w.media_s) for w in self.windows if w.gap}
        looks = [(at_s - self.zero_s, joined) for at_s, joined in self.chat.listened]
        cut = {math.floor(at_s) for at_s, joined in looks if not joined}
        begun = math.ceil(looks[0][0])
        near = {second + n for second in cut for n in (-1, 0, 1)} | set(range(begun + 1))
        for from_s, until_s in self.chat.unsure:
            first = math.floor(from_s - self.zero_s - EDGE_S)
            near |= set(range(first, math.ceil(until_s - self.zero_s + EDGE_S)))
        assert gaps <= near
        end = math.floor(self.ended.media_s) - 1
        whole = {s for s in cut if {s - 1, s, s + 1} <= cut and s < end}
        assert whole <= gaps
        assert set(range(begun - 1)) <= gaps


def _distinct_s(spans: list[tuple[float, float]]) -> float:
    total_s, reached_s = 0.0, -math.inf
    for start_s, end_s in sorted(spans):
        total_s += max(0.0, end_s - max(start_s, reached_s))
        reached_s = max(reached_s, end_s)
    return total_s


async def play_chat(chat: ChatWorld, faults: Sequence[ChatFault], lots: random.Random) -> None:
    """Have people talk, and things go wrong, until cancelled."""
    began_s = chat.world.timer.now()
    todo = sorted(
        itertools.chain.from_iterable(
            [(f.at_s, f.kind, "begin"), (f.at_s + f.length_s, f.kind, "end")] for f in faults
        )
    )
    while True:
        chat.look()
        now_s = chat.world.timer.now() - began_s
        while todo and todo[0][0] <= now_s:
            _, kind, what = todo.pop(0)
            await _happen(chat, kind, what == "begin", lots)
        if lots.random() < 0.4:
            await chat.say(lots)
        await chat.world.timer.sleep(STEP_S * lots.uniform(0.8, 1.2))


async def _happen(chat: ChatWorld, kind: str, begins: bool, lots: random.Random) -> None:
    match kind, begins:
        case "drop", True:
            await chat.drop(lots)
        case "irc down", _:
            chat.irc.is_down = begins
            await chat.drop(lots)
        case "events down", _:
            chat.events.refuses_sockets = begins
            await chat.drop(lots)
        case "reconnect", True:
            chat.reconnect()
        case "move", True:
            await chat.move()
        case "revoke", True:
            await chat.revoke()
        case "revoke", False:
            chat.account.token = "again"
        case "429", True:
            chat.events.answers = [429] * 4
            await chat.drop(lots)
        case "malformed", True:
            await chat.malformed()


async def watch(
    folder: Path,
    seconds: float,
    faults: Sequence[Fault],
    chat_faults: Sequence[ChatFault],
    seed: int,
    first_seqs: Sequence[int] = (0, 5000, 40),
    *,
    connected: bool = True,
) -> Told:
    """Watch a broadcast for so many pretended seconds."""
    objects = DictObjects()
    async with world_of() as world, chat_world(world) as chat:
        channel = world.twitch.channel(LOGIN)
        world.twitch.first_seqs = itertools.cycle(first_seqs)
        channel.go_live("b1")
        if not connected:
            chat.account.token = ""
        looked_s: list[float] = []

        def clock() -> float:
            looked_s.append(world.timer.now())
            return looked_s[-1]

        watching = Watch(
            WatchTarget(tenant_id="t", channel_id="c", stop_after_s=seconds),
            _Held(world.live(LOGIN), world),
            chat.chat,
            objects,
            IngestSettings(),
            clock,
            asyncio.Event(),
            flap_s=world.settings.flap_s,
        )
        steps = [step for fault in faults for step in fault.steps(world, channel)]

        async def play() -> None:
            began_s = world.timer.now()
            for at_s, happen in sorted(steps, key=lambda step: step[0]):
                await world.timer.sleep(began_s + at_s - world.timer.now())
                happen()

        bus_settings = LocalBusSettings(synchronous="NORMAL")
        async with LocalBus.open(folder / "bus.db", bus_settings, clock=world.timer.now) as bus:
            playing = [
                asyncio.create_task(play()),
                asyncio.create_task(play_chat(chat, chat_faults, random.Random(seed))),
            ]
            try:
                await watching.run(Ctx(bus=bus))
            finally:
                for task in playing:
                    task.cancel()
                ends = await asyncio.gather(*playing, return_exceptions=True)
            assert not [e for e in ends if isinstance(e, Exception)], ends
            events: list[Event] = []
            async with bus.subscribe("look", TOPICS) as log:
                while records := await log.fetch(1000, 0.05):
                    events += [record.event for record in records]
        return Told(chat, objects, events, looked_s[-1])


def check(told: Told) -> None:
    told.check_media()
    told.check_chat()
    told.check_gaps()


async def test_an_hour_of_everything(tmp_path: Path) -> None:
    kinds = itertools.cycle(twitch_faults.FAULTS)
    faults = [Fault(next(kinds), 60.0 + 120.0 * n, 30.0) for n in range(28)]
    chat_kinds = itertools.cycle(CHAT_FAULTS)
    chat_faults = [ChatFault("drop", 30.0 + 60.0 * n, 0.0) for n in range(59)]
    chat_faults += [ChatFault(next(chat_kinds), 45.0 + 70.0 * n, 25.0) for n in range(50)]
    told = await watch(tmp_path, 3600.0, faults, chat_faults, 1)
    check(told)
    assert len(told.chat.world.twitch.looked) <= 2 + 3600 / 10
    assert {gap.reason for gap in told.spans if isinstance(gap, SegmentMissing)} >= {"ad", "outage"}
    assert len(told.stored) > 1500
    assert len(told.lines) > 2000
    counts = told.chat.meter.counts
    assert counts["chat_switches_total"] > 10
    assert counts["eventsub_moves_total"] > 0
    assert counts["eventsub_revoked_total"] > 0
    assert counts["eventsub_duplicates_total"] > 100
    assert counts["eventsub_malformed_total"] > 0


faults = st.lists(
    st.builds(
        Fault,
        kind=st.sampled_from(twitch_faults.FAULTS),
        at_s=st.floats(5, 90),
        length_s=st.floats(2, 40),
    ),
    max_size=3,
)
chat_faults = st.lists(
    st.builds(
        ChatFault,
        kind=st.sampled_from(CHAT_FAULTS),
        at_s=st.floats(5, 90),
        length_s=st.floats(0.1, 40),
    ),
    max_size=6,
)


@given(faults, chat_faults, st.integers(0, 1000), st.booleans())
@settings(max_examples=6, deadline=None)
def test_whatever_happens_media_and_chat_are_told_as_they_were(
    faults: list[Fault], chat_faults: list[ChatFault], seed: int, connected: bool
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        seconds = 130.0 + QUIET_S
        run = watch(Path(folder), seconds, faults, chat_faults, seed, connected=connected)
        check(asyncio.run(run))
