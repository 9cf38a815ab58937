"""A hundred renders while their workers are taken away at random.

Law: a worker is killed, told that its machine is about to go, or frozen until its lease is
another's and thawed again; each render ends once, and what a late writer hands in changes nothing.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from bus.events import ClipCut, ClipPlanned, Event, RenderFailed, SessionStarted, stable_id
from bus.local import LocalBus
from ops.folder import STATE_NAME
from render.stages import queue_renders
from store.control_client import ControlLeases
from store.keys import clip_key
from store.leases import Lease, LeaseLost
from store.state.lease_rules import as_json
from store.state.queries import list_sessions, read_session
from tests.chaos.checks import Count, told, zero
from tests.chaos.fleet import Death, Fleet, Worker, fleet
from tests.chaos.leases import LeaseWatch, watching
from tests.chaos.run import leave, say
from tests.chaos.stand import Stand
from tests.chaos.things import check_outputs, renders_unlike
from tests.chaos.witness import stored
from tests.chaos.world import SEGMENT_S, loud_at

LEASES = {
    "leases.render_s": 10.0,
    "leases.render_beat_s": 3.0,
    "leases.lost_max": 1000,
    "render.vertical_width_px": 270,
    "render.preset": "veryfast",
}
CREW = {"control": 1, "render": 3}
_CLIP_S = 12.0
_LIMIT_S = 1800.0
_HOWS = ("killed", "told to go", "frozen")
_FROZEN_S = 14.0
_LEAVE_S = 30.0


@dataclass(frozen=True, kw_only=True, slots=True)
class PreemptionSettings:
    """How many renders, and how often their workers go."""

    renders: int = 100
    seed: int = 1
    every_s: tuple[float, float] = (0.5, 6.0)


async def run_preempted(stand: Stand, settings: PreemptionSettings) -> list[Count]:
    """Have renders made while their workers go; return what it has come to."""
    await _ask(stand, settings.renders)
    async with fleet(stand.folder, stand.environment) as crew, watching(stand.look) as watch:
        for role, count in CREW.items():
            for n in range(1, count + 1):
                more = () if role == "control" else ("--set", "web.port=0")
                await crew.start(crew.add(f"{role}-{n}", role, *more))
        met: Counter[str] = Counter()
        async with asyncio.timeout(_LIMIT_S), asyncio.TaskGroup() as frozen:
            while _done(watch) < settings.renders:
                await _take_one(crew, watch, settings, met, frozen)
        refused, taken = await _write_late(stand, watch)
        say(f"{_done(watch)} renders have ended")
        await _until_shown(stand, settings.renders)
        exits = await leave(crew)
        truth = await stand.read_truth()
        async with stand.state() as state:
            (view,) = await list_sessions(state, stand.settings.tenant_id)
            detail = await read_session(state, stand.settings.tenant_id, view.id)
        assert detail is not None
        finished = sum(
            1 for clip in detail.clips for one in clip.renders if one.status == "finished"
        )
        late, wanted = _late_writers(stand.folder), settings.renders
        changed = sum(row.token - 1 for row in watch.now.values())
        return [
            told("renders asked for", wanted),
            *(told(f"workers {how}", met[how]) for how in _HOWS),
            told("times that a render changed hands", changed),
            told("workers that came back to a lease that was another's", late),
            told("late writers with an old token, refused", refused),
            zero("late writers with an old token, taken", taken),
            Count(
                "renders finished", finished, f"= {settings.renders}", finished == settings.renders
            ),
            zero("renders without exactly one visible output", renders_unlike(truth, [detail])),
            *await check_outputs(truth, stand.objects(), stored(stand.folder)),
            *exits,
        ]


async def _take_one(
    crew: Fleet,
    watch: LeaseWatch,
    settings: PreemptionSettings,
    met: Counter[str],
    frozen: asyncio.TaskGroup,
) -> None:
    chance = random.Random(f"{settings.seed} {sum(met.values())}")
    await asyncio.sleep(chance.uniform(*settings.every_s))
    await watch.once()
    there = [w for w in crew.workers.values() if w.role == "render" and w.pid and not w.is_frozen]
    holding = [w for w in there if any(row.is_of(w.pid) for row in watch.now.values())]
    if not holding:
        return
    worker = chance.choice(sorted(holding, key=lambda each: each.name))
    how = chance.choice(_HOWS)
    met[how] += 1
    watch.died(Death(time.time(), worker.name, worker.role, worker.pid))
    match how:
        case "killed":
            await crew.kill(worker)
        case "told to go":
            # The notice that a spot machine gets: it gives back what it has, and leaves.
            os.kill(worker.pid, signal.SIGUSR1)
            await crew.stop(worker, _LEAVE_S)
        case "frozen":
            frozen.create_task(_freeze(worker))
            return
    await crew.start(worker)


async def _freeze(worker: Worker) -> None:
    worker.is_frozen = True
    os.kill(worker.pid, signal.SIGSTOP)
    await asyncio.sleep(_FROZEN_S)
    os.kill(worker.pid, signal.SIGCONT)
    worker.is_frozen = False


async def _write_late(stand: Stand, watch: LeaseWatch) -> tuple[int, list[str]]:
    """Hand in a result for each lease that was lost, as its former worker would.

    Returns:
        How many were refused, and which were taken.
    """
    settings, refused, taken = stand.settings, 0, []
    for orphan in watch.orphans:
        row = orphan.row
        if watch.now["render", row.id].token == row.token:
            continue  # it was done before its worker went
        lease = Lease(
            kind="render", id=row.id, token=row.token, good_for_s=1.0, tenant_id=settings.tenant_id
        )
        late = RenderFailed(
            tenant_id=settings.tenant_id,
            channel_id="c",
            session_id="s",
            render_id=row.id,
            clip_id="c",
            layout="vertical_blur",
            reason="late",
        )
        async with ControlLeases.open(
            settings.control, worker=row.owner, kinds=("render",)
        ) as leases:
            try:
                await leases.complete(lease, as_json(late))
            except LeaseLost:
                refused += 1
            else:
                taken.append(f"{row.id} with token {row.token}")
    return refused, taken


def _done(watch: LeaseWatch) -> int:
    return sum(1 for row in watch.now.values() if row.kind == "render" and row.state == "done")


def _late_writers(folder: Path) -> int:
    """Count what workers say of leases that were another's by the time they came back."""
    said = ('"event": "lease lost"', '"event": "result came too late"', '"reason": "over"')
    logs = [path.read_text() for path in folder.glob("render-*.log")]
    return sum(log.count(words) for log in logs for words in said)


async def _until_shown(stand: Stand, renders: int) -> None:
    """Wait until the rows tell of every end."""
    tenant = stand.settings.tenant_id
    async with stand.state() as state, asyncio.timeout(_LIMIT_S):
        while True:
            for view in await list_sessions(state, tenant):
                detail = await read_session(state, tenant, view.id)
                ends = [one for clip in detail.clips for one in clip.renders] if detail else []
                if sum(1 for one in ends if one.status in ("finished", "failed")) >= renders:
                    return
            await asyncio.sleep(0.5)


async def _ask(stand: Stand, renders: int) -> None:
    """Put clips into the log and the store as a clipper would, and ask for their renders."""
    settings = stand.settings
    body = b"".join(segment.body for segment in loud_at(10.0)[: int(_CLIP_S / SEGMENT_S) + 1])
    objects = stand.objects()
    names = {"tenant_id": settings.tenant_id, "channel_id": "c", "session_id": "s"}
    events: list[Event] = [
        SessionStarted(
            **names, kind="live", title="", source="", wall_start_s=time.time(), has_chat=False
        )
    ]
    for number in range(renders):
        clip_id = stable_id("preempted", number)
        source_key = clip_key(settings.tenant_id, clip_id, "source.mp4")
        await objects.put(source_key, body)
        spans = {"start_s": 1.0, "peak_s": 5.0, "end_s": _CLIP_S}
        plan = ClipPlanned(
            **names, clip_id=clip_id, **spans, score=1.0, kinds=("excitement",), moment_ids=()
        )
        cut = ClipCut(
            **names,
            clip_id=clip_id,
            **spans,
            source_key=source_key,
            in_s=1.0,
            out_s=_CLIP_S - 1.0,
            gap_s=0.0,
            width=160,
            height=90,
            fps=10.0,
            has_audio=True,
            title="",
        )
        events += [plan, cut, *queue_renders(cut, settings.render)]
    path = stand.folder / "data" / STATE_NAME / "bus.db"
    async with LocalBus.open(path) as bus:
        await bus.publish(events)
