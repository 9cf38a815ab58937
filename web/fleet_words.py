"""How workers, and what waits for them, read to a person.

Law: whatever waits without end is told with what to do about it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from store.state.fleet import ChannelStand, Fleet, FleetWorker, Holding, Waiting
from store.worker_names import machine_of
from web.words import layout_text, span_text

DAY_S = 86_400.0

_STATES = {
    "at_work": "at work",
    "ready": "ready",
    "draining": "draining",
    "silent": "silent",
    "left": "has left",
    "gone": "gone",
}

_LOOKS = {"at_work": "live", "draining": "ended", "silent": "lost", "gone": "lost"}
"""Classes of badges."""

_PLACES = {"ingest": ("channel", "channels"), "render": ("render", "renders")}

_THEN = {
    "nobody": "no other worker is there to take over",
    "full": "no other worker has room to take over",
    "untaken": "another worker takes over",
    "soon": "another worker takes over",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """Why something waits, and what helps."""

    text: str
    """A sentence or two."""
    advice: str = ""
    """What to do, up to the command."""
    command: str = ""
    """What to type for that."""
    more: str = ""
    """What helps as well, behind the command."""
    urgent: bool = False
    """It does not pass by itself, or media is being missed meanwhile."""

    @property
    def plain(self) -> str:
        """All of it as one line."""
        parts = (self.text, " ".join(part for part in (self.advice, self.command) if part))
        line = " ".join(part for part in parts if part)
        return f"{line}{self.more}" if self.command else line


def told(waiting: Waiting) -> Told:
    """Return why work waits, and what helps."""
    reason = waiting.reason
    if reason == "silent":
        return _silent(waiting)
    them = "it" if waiting.count == 1 else "them"
    kind = waiting.kind
    if reason == "soon":
        return Told(text=f"{_one(kind)} takes {them} within seconds.")
    if reason == "gpu_wait":
        left = span_text(round(waiting.in_s or 0.0))
        return Told(text=f"Kept for a worker with a GPU for {left}; then others take {them}.")
    if reason in ("full", "gpu_full"):
        return _full(kind)
    if reason == "untaken":
        text = f"Workers have room and do not take {them}: their logs say why."
        return Told(text=text, urgent=True)
    return _nobody(waiting)


def waiting_text(waiting: Waiting) -> str:
    """Return what waits: `3 channels`, `1 render for a GPU`."""
    one, many = _PLACES.get(waiting.kind, ("piece of work", "pieces of work"))
    pool = " for a GPU" if waiting.pool == "gpu" else ""
    return f"{waiting.count} {one if waiting.count == 1 else many}{pool}"


def waited_text(waiting: Waiting) -> str:
    """Return how long it has waited; empty where why it waits tells that."""
    if waiting.reason == "silent":
        return ""
    has = "has" if waiting.count == 1 else "have"
    most = "" if waiting.count == 1 else "up to "
    return f"{has} waited for {most}{span_text(round(waiting.oldest_s))}"


def standing_text(fleet: Fleet) -> str:
    """Return how all of it stands, in words that change only when that does."""
    waits: Counter[str] = Counter()
    for one in fleet.waiting:
        if told(one).urgent:
            waits[one.kind] += one.count
    if waits:
        parts = [
            f"{count} {_PLACES[kind][count != 1]} {'waits' if count == 1 else 'wait'} for a worker"
            for kind, count in sorted(waits.items())
        ]
        return f"{' and '.join(parts)}."
    there = len(fleet.of("ingest")) + len(fleet.of("render"))
    if not there:
        return "No worker is there, and nothing waits for one."
    return f"{there} worker{'s are' if there != 1 else ' is'} there, and nothing waits in vain."


def unwatched(stands: Iterable[ChannelStand]) -> list[Waiting]:
    """Return why channels wait that nobody watches and that need a person, those alike as one."""
    alike: dict[tuple[str, str, str], Waiting] = {}
    for one in (stand.waiting for stand in stands):
        if one is None or not told(one).urgent:
            continue
        key = (one.reason, one.then, one.worker)
        before = alike.get(key)
        if before is not None:
            one = replace(
                one,
                count=before.count + one.count,
                oldest_s=max(before.oldest_s, one.oldest_s),
                in_s=None if one.in_s is None else max(one.in_s, before.in_s or 0.0),
            )
        alike[key] = one
    return list(alike.values())


def state_text(worker: FleetWorker) -> str:
    """Return how a worker stands."""
    state = _STATES.get(worker.state, worker.state)
    return f"silent for {span_text(round(worker.silent_s))}" if worker.state == "silent" else state


def state_look(worker: FleetWorker) -> str:
    """Return the class of its badge."""
    return _LOOKS.get(worker.state, "")


def places_text(worker: FleetWorker) -> str:
    """Return how much of its room is taken: `3 of 50 channels`."""
    one, many = _PLACES.get(worker.kind, ("place", "places"))
    return f"{worker.used} of {worker.slots} {one if worker.slots == 1 else many}"


def heard_text(worker: FleetWorker) -> str:
    """Return when it was heard of last, so coarse that it seldom changes while all is well."""
    if worker.state in ("left", "gone"):
        return f"heard of {long_ago_text(worker.silent_s)} ago"
    for seconds in (5, 10, 20):
        if worker.silent_s <= seconds and worker.state != "silent":
            return f"heard of within {seconds} s"
    return f"heard of {span_text(round(worker.silent_s))} ago"


def holding_text(one: Holding) -> str:
    """Return what a piece of work is called."""
    name = one.name or ("a clip" if one.clip_id else one.id)
    return f"{name}, {layout_text(one.layout)}" if one.layout else name


def long_ago_text(seconds: float) -> str:
    """Return a length in whole minutes or hours."""
    if seconds < 60:
        return "less than a minute"
    minutes = int(seconds // 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h"


def since_text(at_s: float, now_s: float) -> str:
    """Return a Unix time for a person: the time of day, and the day when that is another one."""
    at = datetime.fromtimestamp(at_s, UTC)
    if 0 <= now_s - at_s < DAY_S:
        return f"{at:%H:%M} UTC"
    return f"{at.day} {at:%b}, {at:%H:%M} UTC"


def iso_text(at_s: float) -> str:
    """Return a Unix time as a program reads it."""
    return f"{datetime.fromtimestamp(at_s, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _one(kind: str) -> str:
    return "An ingest worker" if kind == "ingest" else "A render worker"


def _silent(waiting: Waiting) -> Told:
    had = "it" if waiting.count == 1 else "them"
    lease = "its lease is over" if waiting.count == 1 else "its leases are over"
    text = (
        f"{machine_of(waiting.worker)} has {had}, and has not been heard of for"
        f" {span_text(round(waiting.oldest_s))}. In {span_text(round(waiting.in_s or 0.0))}"
        f" {lease}, and"
        f" {_THEN.get(waiting.then, 'another worker takes over when its turn comes')}."
    )
    if waiting.then in ("nobody", "full"):
        after = told(replace(waiting, reason=waiting.then))
        return replace(after, text=text, urgent=True)
    return Told(text=text, urgent=True)


def _full(kind: str) -> Told:
    if kind == "ingest":
        return Told(
            text="Every ingest worker is full.",
            advice="Start another:",
            command="clipthat run --roles ingest",
            more=", or raise ingest.channels_max.",
            urgent=True,
        )
    return Told(
        text="Every worker that may take it is busy; it has its turn.",
        advice="More workers are faster:",
        command="clipthat run --roles render",
    )


def _nobody(waiting: Waiting) -> Told:
    start = f"clipthat run --roles {waiting.kind}"
    if waiting.reason == "no_gpu":
        return Told(
            text="No worker with a GPU is there, and nobody else is given this.",
            advice="Start one:",
            command=f"{start} --set worker.pool=gpu",
            more=", or set leases.fallback at control.",
            urgent=True,
        )
    if waiting.reason == "no_dedicated":
        return Told(
            text="Neither a worker with a GPU nor one of the pool dedicated is there.",
            advice="Start one:",
            command=f"{start} --set worker.pool=dedicated",
            more=", or set leases.fallback at control.",
            urgent=True,
        )
    return Told(
        text=f"No {waiting.kind} worker is there that takes work.",
        advice="Start one:",
        command=start,
        urgent=True,
    )
