"""The ways of reading the log: as it comes, record by record side by side, or folding sessions.

Law: a record is committed only after its handler has returned or the record lies in the dead
letters. What is not the record's fault (`Unavailable`, a bus that fails) stops the reader instead;
the supervisor starts it again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence

from bus.errors import BusError, Fenced, MalformedEvent, Unavailable, UnknownEvent
from bus.events import SessionStarted
from bus.in_hand import InHand
from bus.ports import Record, Subscription, TopicPartition
from bus.rewind import Heads, SafePositions
from bus.stage import Ctx

log = logging.getLogger(__name__)

Handle = Callable[[Sequence[Record]], Awaitable[None]]
HandleOne = Callable[[Record], Awaitable[None]]
Drop = Callable[[Collection[str]], Awaitable[None]]

_FETCH_S = 0.5
"""How long a fetch waits; a drain is noticed after it."""
_TRIES = 3


async def consume(
    ctx: Ctx,
    group: str,
    topics: Sequence[str],
    handle: Handle,
    *,
    max_records: int = 200,
    retry_first_s: float = 0.2,
) -> None:
    """Read, handle, commit, until `ctx.draining` is set.

    A batch that fails is tried three times with growing, random pauses (the first about
    `retry_first_s`), then its records come one by one, each with three tries of its own; one that
    still fails goes to the dead letters, and the partition moves on. So `handle` must be
    idempotent. It may take as long as it likes: the member stays in its group meanwhile.

    Raises:
        Unavailable: from the handler; nothing of the batch is committed.
        BusError: the bus fails.
    """
    async with ctx.bus.subscribe(group, topics) as subscription:
        while not ctx.draining.is_set():
            try:
                records = await subscription.fetch(max_records, _FETCH_S)
                if records:
                    await _deliver(ctx, group, subscription, records, handle, retry_first_s)
            except Fenced as fenced:
                # Its new owner reads again what has not been committed.
                log.info("partitions moved", extra={"group": group, "reason": str(fenced)})


async def _deliver(
    ctx: Ctx,
    group: str,
    subscription: Subscription,
    records: Sequence[Record],
    handle: Handle,
    retry_first_s: float,
) -> None:
    if await _try(group, records, handle, retry_first_s) is None:
        await subscription.commit(_after(records))
        return
    for record in records:
        error = await _try(group, [record], handle, retry_first_s)
        if error is not None:
            await _reject(ctx, group, subscription, record, error, 2 * _TRIES)
        await subscription.commit(_after([record]))


async def _try(
    group: str, records: Sequence[Record], handle: Handle, retry_first_s: float
) -> Exception | None:
    """Call the handler up to three times; return its last error, None once it succeeds."""
    failure: Exception | None = None
    for attempt in range(_TRIES):
        if attempt:
            await asyncio.sleep(retry_first_s * 2 ** (attempt - 1) * random.uniform(0.5, 1.5))
        try:
            await handle(records)
            return None
        except Exception as error:  # whatever a poison record does to a handler ends here
            if not _blames_record(error):
                raise
            failure = error
        log.warning(
            "handler failed",
            extra={"group": group, "records": len(records), "attempt": attempt + 1},
            exc_info=failure,
        )
    return failure


async def consume_each(
    ctx: Ctx,
    group: str,
    topics: Sequence[str],
    handle: HandleOne,
    *,
    in_hand_max: int,
    retry_first_s: float = 0.2,
) -> None:
    """Read ahead and handle each record by itself, side by side, until `ctx.draining` is set.

    So a record need not wait for those before it: handlers settle among themselves whose turn it
    is (`bus/turns.py`). At most `in_hand_max` records are read and not done; a cursor moves up to
    the oldest of them. A record that fails is tried three times, then goes to the dead letters.

    Raises:
        Unavailable: from a handler; what is in hand is dropped, and comes again.
        BusError: the bus fails.
    """
    hand, progress = InHand(), asyncio.Event()
    async with ctx.bus.subscribe(group, topics) as subscription:

        async def serve(record: Record) -> None:
            error = await _try(group, [record], lambda one: handle(one[0]), retry_first_s)
            if error is not None:
                await _reject(ctx, group, subscription, record, error, _TRIES)
            hand.done(record)
            progress.set()

        try:
            async with asyncio.TaskGroup() as crew:
                while not ctx.draining.is_set():
                    room = in_hand_max - len(hand)
                    for record in await _more(group, subscription, room, progress):
                        hand.take(record)
                        crew.create_task(serve(record))
                    await _commit_done(group, subscription, hand)
        except BaseExceptionGroup as errors:
            raise _weightiest(errors) from errors
        await _commit_done(group, subscription, hand)


async def _more(
    group: str, subscription: Subscription, room: int, progress: asyncio.Event
) -> list[Record]:
    """Return the next records; none, after a while, when there is room for none."""
    if room > 0:
        try:
            return await subscription.fetch(room, _FETCH_S)
        except Fenced as fenced:
            log.info("partitions moved", extra={"group": group, "reason": str(fenced)})
            return []
    progress.clear()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_FETCH_S):
            await progress.wait()
    return []


async def _commit_done(group: str, subscription: Subscription, hand: InHand) -> None:
    for place, offset in hand.due().items():
        try:
            await subscription.commit({place: offset})
        except Fenced as fenced:
            # Its new owner reads again what has not been committed.
            log.info("partition moved", extra={"group": group, "reason": str(fenced)})
            hand.forget(place)


def _weightiest(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the error that the supervisor must hear of: first the one that blames no record."""
    flat: list[BaseException] = []
    for error in errors.exceptions:
        flat.append(_weightiest(error) if isinstance(error, BaseExceptionGroup) else error)
    return next((error for error in flat if isinstance(error, BusError | Unavailable)), flat[0])


async def fold(
    ctx: Ctx,
    group: str,
    topics: Sequence[str],
    handle: Handle,
    open_sessions: Callable[[], Collection[str]],
    *,
    drop: Drop | None = None,
    max_records: int = 500,
) -> None:
    """Read and handle, but commit only up to the first record of the oldest open session.

    When `topics` has `sessions`, records of a session whose SessionStarted has not been read in
    this run are left out: they are the tail of one that was done before a restart.

    Members come and go while others fold. `drop` is told which sessions have moved to another
    member with their partitions, and all others go on: beginning again would mean leaving and
    joining, which moves the partitions of the other members, which would begin again, for ever.

    A handler that fails has state that nobody knows, so its error goes to the supervisor, and the
    stage begins again with no state. A record that was in hand comes alone then; after three
    failures in all it goes to the dead letters and is left out from then on.

    Raises:
        Fenced: partitions have moved and there is no `drop`; the stage must begin again.
        Exception: whatever the handler raises.
    """
    positions, heads, by_head = SafePositions(), Heads(), "sessions" in topics
    committed: dict[TopicPartition, int] = {}
    async with ctx.bus.subscribe(group, topics) as subscription:
        while not ctx.draining.is_set():
            try:
                records = await subscription.fetch(max_records, _FETCH_S)
            except Fenced as fenced:
                gone = positions.moved(fenced.places) if fenced.places else None
                if drop is None or gone is None:
                    raise
                log.info("partitions moved", extra={"group": group, "sessions": len(gone)})
                heads.moved(fenced.places, frozenset(open_sessions()) - gone)
                committed = {p: at for p, at in committed.items() if p not in fenced.places}
                await drop(gone)
                continue
            if not records:
                continue
            kept = []
            for record in records:
                session_id = record.event.session_id
                if isinstance(record.event, SessionStarted):
                    heads.began(session_id, record.partition)
                followed = not by_head or heads.knows(session_id)
                positions.took(record.place, record.offset, session_id if followed else None)
                if followed:
                    kept.append(record)
            for batch in _batches(ctx, group, kept):
                await _feed(ctx, group, subscription, batch, handle)
            still_open = open_sessions()
            heads.forget(still_open)
            safe = positions.safe(still_open)
            moved = {place: at for place, at in safe.items() if committed.get(place) != at}
            if moved and await _commit_safe(group, subscription, moved, may_move=drop is not None):
                committed |= moved


async def _commit_safe(
    group: str,
    subscription: Subscription,
    moved: Mapping[TopicPartition, int],
    *,
    may_move: bool,
) -> bool:
    """Commit; False when a partition is another's by now, which the next fetch tells of."""
    try:
        await subscription.commit(moved)
    except Fenced as fenced:
        if not may_move:
            raise
        log.info("partition moved", extra={"group": group, "reason": str(fenced)})
        return False
    return True


def _batches(ctx: Ctx, group: str, records: Sequence[Record]) -> Iterable[list[Record]]:
    """Split the records so that each suspect comes alone."""
    batch: list[Record] = []
    for record in records:
        if (group, record.place, record.offset) in ctx.suspects:
            if batch:
                yield batch
            yield [record]
            batch = []
        else:
            batch.append(record)
    if batch:
        yield batch


async def _feed(
    ctx: Ctx, group: str, subscription: Subscription, batch: Sequence[Record], handle: Handle
) -> None:
    names = [(group, record.place, record.offset) for record in batch]
    failures = ctx.suspects.get(names[0], 0)
    if failures >= _TRIES:
        return
    try:
        await handle(batch)
    except Exception as error:
        if _blames_record(error):
            await _suspect(ctx, group, subscription, batch, error)
        raise
    for name in names:
        ctx.suspects.pop(name, None)


async def _suspect(
    ctx: Ctx, group: str, subscription: Subscription, batch: Sequence[Record], error: Exception
) -> None:
    for record in batch:
        name = (group, record.place, record.offset)
        ctx.suspects[name] = ctx.suspects.get(name, 0) + 1
    if ctx.suspects[name] >= _TRIES and len(batch) == 1:
        await _reject(ctx, group, subscription, batch[0], error, _TRIES)


async def _reject(
    ctx: Ctx,
    group: str,
    subscription: Subscription,
    record: Record,
    error: Exception,
    attempts: int,
) -> None:
    ctx.meter.count("clipthat_bus_rejected_total", group=group, topic=record.topic)
    log.error(
        "record goes to the dead letters",
        extra={"group": group, "topic": record.topic, "event": record.event.event_id},
        exc_info=error,
    )
    await subscription.reject(record, f"{type(error).__name__}: {error}", attempts)


def _blames_record(error: Exception) -> bool:
    if isinstance(error, MalformedEvent | UnknownEvent):
        return True
    return not isinstance(error, BusError | Unavailable)


def _after(records: Sequence[Record]) -> dict[TopicPartition, int]:
    """Return the positions behind these records."""
    return {record.place: record.offset + 1 for record in records}
