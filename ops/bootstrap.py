"""The one list of concrete parts: which bus, which store, which stages.

Law: nothing outside this module chooses an implementation.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bus.errors import BusError
from bus.events import SessionStarted
from bus.local import LocalBus
from bus.ports import Bus
from bus.stage import Stage
from clipper.registry import make_ranker
from clipper.session import SessionClipper
from clipper.stage import Clipper
from detectors.detection import Detection
from detectors.host import DetectorHost
from detectors.port import Detector
from detectors.reaction import Reaction
from detectors.registry import make_detectors, make_reaction
from detectors.senses import Senses
from ingest.chat.irc_hub import IrcHubs
from ingest.ring_sweep import RingSweep
from ingest.twitch.resolver import TwitchResolver
from ops.errors import OpsError
from ops.metrics import PrometheusMeter
from ops.settings import Settings
from ops.watchlist import read_place
from render.stages import Renderer, RenderQueue
from store.errors import StoreError
from store.feature_log import FeatureLog
from store.fetch import Fetcher
from store.objects import Objects
from store.obstore_objects import open_objects
from store.state.recorder import Recorder
from store.state.state import State
from store.state.watchlist import Listed
from web.app import make_app, make_monitor_app
from web.connect import TwitchAccess
from web.control_door import ControlAccess
from web.health import Health
from web.stage import Web


@dataclass(frozen=True, kw_only=True, slots=True)
class Parts:
    """What a process is made of."""

    settings: Settings
    bus: Bus
    objects: Objects
    fetcher: Fetcher
    meter: PrometheusMeter
    twitch: TwitchResolver
    irc: IrcHubs


@asynccontextmanager
async def open_parts(settings: Settings, folder: Path) -> AsyncIterator[Parts]:
    """Open bus, objects and network for as long as the context is open.

    Args:
        settings: what the parts are made from.
        folder: where whatever is local lies; it is made when it is not there.

    Raises:
        OpsError: one of them cannot be opened, and why.
    """
    folder = folder.resolve()
    meter = PrometheusMeter()
    async with AsyncExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            objects = open_store(settings, folder)
            bus = await stack.enter_async_context(_open_bus(settings, folder, meter))
            fetcher = await stack.enter_async_context(Fetcher(settings.fetch))
            irc = IrcHubs(settings.chat.irc, meter=meter)
            stack.push_async_callback(irc.close)
        except (BusError, StoreError, OSError) as error:
            raise OpsError(str(error)) from error
        yield Parts(
            settings=settings,
            bus=bus,
            objects=objects,
            fetcher=fetcher,
            meter=meter,
            twitch=TwitchResolver(settings.twitch, settings.ingest, fetcher, meter=meter),
            irc=irc,
        )


def _open_bus(
    settings: Settings, folder: Path, meter: PrometheusMeter
) -> AbstractAsyncContextManager[Bus]:
    if not settings.kafka.bootstrap:
        return LocalBus.open(folder / "bus.db", settings.bus, meter=meter)
    try:
        from bus.kafka import KafkaBus
    except ImportError as error:
        raise OpsError(
            "kafka.bootstrap is set, and the Kafka client is not installed:"
            " pip install 'clipthat[cluster]'"
        ) from error
    return KafkaBus.open(folder / "outbox", settings.kafka, meter=meter)


def open_store(settings: Settings, folder: Path) -> Objects:
    """Return the objects that the settings name; else those in the folder.

    Raises:
        StoreError: they cannot be opened, and why.
    """
    return open_objects(
        settings.objects_url or (folder.resolve() / "objects").as_uri(), settings.objects
    )


@asynccontextmanager
async def open_state(settings: Settings, folder: Path) -> AsyncIterator[State]:
    """Open the control plane's database for as long as the context is open.

    Args:
        settings: where it lies, and whose rows are seen.
        folder: where it lies when the settings name no other.

    Raises:
        OpsError: it cannot be opened, and why.
    """
    address = settings.database_url or f"sqlite:///{folder.resolve() / 'state.db'}"
    async with AsyncExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            state = await stack.enter_async_context(
                State.open(address, tenant_id=settings.tenant_id)
            )
        except (StoreError, OSError) as error:
            raise OpsError(str(error)) from error
        yield state


def pipeline(parts: Parts, state: State) -> list[Stage]:
    """Return every stage between a stored segment and a finished output."""
    return [
        *detect_stages(parts),
        *clip_stages(parts),
        Renderer(parts.objects, parts.settings.render),
        Recorder(state),
    ]


def detect_stages(parts: Parts) -> list[Stage]:
    """Return what finds the moments in stored segments and chat."""
    settings = parts.settings
    return [
        Senses(parts.objects, settings.senses),
        Detection(
            lambda started: detectors(settings, started),
            settings.detectors.host,
            lambda started: reaction(settings, started),
        ),
        FeatureLog(parts.objects),
    ]


def clip_stages(parts: Parts) -> list[Stage]:
    """Return what cuts clips, asks for their outputs and lets the ring go."""
    settings = parts.settings
    return [
        Clipper(parts.objects, parts.fetcher, settings.clipper),
        RenderQueue(settings.render),
        RingSweep(parts.objects),
    ]


def worker_web_stage(parts: Parts, health: Callable[[], Health]) -> Web:
    """Return the stage that tells monitors of a process without pages."""
    settings = parts.settings.web
    app = make_monitor_app(settings, health, parts.meter.exposition, meter=parts.meter)
    return Web(app, settings)


def web_stage(
    parts: Parts,
    state: State,
    health: Callable[[], Health],
    twitch: TwitchAccess | None = None,
    fixed: Callable[[], Sequence[Listed]] = list,
    control: ControlAccess | None = None,
) -> Web:
    """Return the stage that serves the pages; with `twitch`, channels can be added there too.

    `fixed` tells how the channels stand that are watched whatever is added. `control`: what workers
    on other machines ask; none is let in without.
    """
    settings = parts.settings
    app = make_app(
        state,
        parts.objects,
        settings.web,
        health,
        parts.meter.exposition,
        tenant_id=settings.tenant_id,
        meter=parts.meter,
        twitch=twitch,
        read_place=None if twitch is None else read_place,
        fixed=fixed,
        control=control,
    )
    return Web(app, settings.web)


def detectors(settings: Settings, started: SessionStarted) -> list[Detector]:
    """Return fresh detectors for a session."""
    return make_detectors(settings.detectors, started)


def reaction(settings: Settings, started: SessionStarted) -> Reaction | None:
    """Return what learns a session's delay afresh; None where nothing is to be learned."""
    return make_reaction(settings.detectors, started)


def detector_host(settings: Settings, started: SessionStarted) -> DetectorHost:
    """Return fresh detectors behind their host, for a session."""
    return DetectorHost(
        started,
        detectors(settings, started),
        settings.detectors.host,
        reaction(settings, started),
    )


def session_clipper(
    settings: Settings, started: SessionStarted, ranker: str = ""
) -> SessionClipper:
    """Return a fresh ranker and its windows, for a session.

    Args:
        settings: everything that is set.
        started: the session.
        ranker: name of the ranking; empty: the usual one for such a session.

    Raises:
        UnknownRanker: there is none of that name.
    """
    chosen = make_ranker(ranker, settings.clipper, started)
    return SessionClipper(started, chosen, settings.clipper)


def wall_clock() -> float:
    """Return Unix time."""
    return time.time()
