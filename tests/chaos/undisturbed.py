"""The same material through senses and detectors that nothing ever happened to.

Law: they get the very segments that the channels had and the chat windows that the run has told;
so what differs was lost or made up on the way.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from bus.events import (
    Event,
    MomentDetected,
    SegmentMissing,
    SegmentStored,
    SessionStarted,
)
from bus.local import LocalBus
from bus.ports import SilentMeter
from bus.stage import Ctx
from detectors.senses import Senses
from ops.settings import Settings
from store.objects import Objects
from store.obstore_objects import open_objects
from tests.chaos.checks import Count, pure_moments, told, zero
from tests.chaos.truth import Truth
from tests.chaos.world import Channel

_PEAK_S = 1.0
"""A decoder that begins afresh hears its first frames otherwise; a peak may move by so much."""
_FEATURES = ("features",)
_LIMIT_S = 300.0


async def check_undisturbed(
    truth: Truth, channels: Mapping[str, Channel], settings: Settings
) -> list[Count]:
    """Compare the run's moments with those of an undisturbed one.

    Args:
        truth: the run's log.
        channels: the material, by channel id.
        settings: the run's.
    """
    lost, made_up, same = [], [], 0
    for _, events in truth.sessions():
        started = next(e for e in events if isinstance(e, SessionStarted))
        calm = await _features(events, channels[started.channel_id], settings)
        rest = [e for e in events if e.TOPIC not in ("features", "moments")]
        wanted = pure_moments([*rest, *calm], settings)
        found = [e for e in events if isinstance(e, MomentDetected)]
        gaps = [e for e in events if isinstance(e, SegmentMissing)]
        lost += [_named(e) for e in wanted if not _among(e, found, gaps)]
        made_up += [_named(e) for e in found if not _among(e, wanted, gaps)]
        same += sum(1 for e in wanted if _among(e, found, gaps))
    return [
        told("moments as in an undisturbed run", same),
        zero("moments of an undisturbed run that are lost", lost),
        zero("moments that an undisturbed run does not have", made_up),
    ]


def _among(
    moment: MomentDetected, others: Sequence[MomentDetected], gaps: Sequence[SegmentMissing]
) -> bool:
    return any(
        other.kind == moment.kind
        and (
            abs(other.peak_s - moment.peak_s) <= _PEAK_S
            # Sound begins afresh behind a gap: a peak beside it may fall on its other side.
            or any(_spans(moment, gap) and _spans(other, gap) for gap in gaps)
        )
        for other in others
    )


def _spans(moment: MomentDetected, gap: SegmentMissing) -> bool:
    return moment.start_s <= gap.end_s and gap.media_s <= moment.end_s


def _named(moment: MomentDetected) -> str:
    return f"{moment.kind} at {moment.peak_s:.1f} s of {moment.session_id}"


async def _features(events: Sequence[Event], channel: Channel, settings: Settings) -> list[Event]:
    """Return what undisturbed senses tell of a session's segments."""
    segments = sorted(
        (e for e in events if isinstance(e, SegmentStored | SegmentMissing)),
        key=lambda each: each.media_s,
    )
    objects = open_objects("memory:///")
    await _fill(objects, segments, channel)
    started = next(e for e in events if isinstance(e, SessionStarted))
    wanted = len(segments)
    with tempfile.TemporaryDirectory() as folder:
        async with LocalBus.open(Path(folder) / "bus.db") as bus:
            ctx = Ctx(bus=bus, meter=SilentMeter())
            sensing = asyncio.create_task(Senses(objects, settings.senses).run(ctx))
            heard: list[Event] = []
            async with asyncio.timeout(_LIMIT_S), bus.subscribe("calm", _FEATURES) as features:
                await bus.publish([started, *segments])
                while sum(1 for e in heard if e.TYPE == "clipthat.features.loudness.v1") < wanted:
                    heard += [record.event for record in await features.fetch(1000, 1.0)]
            ctx.draining.set()
            await sensing
    return heard


async def _fill(
    objects: Objects, segments: Sequence[SegmentStored | SegmentMissing], channel: Channel
) -> None:
    for segment in segments:
        if isinstance(segment, SegmentStored) and segment.object_key is not None:
            body = channel.segments[segment.seq % len(channel.segments)].body
            await objects.put(segment.object_key, body)
