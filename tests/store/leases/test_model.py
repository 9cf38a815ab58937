"""The book against a model of it, through any order of events."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from store.lease_settings import LeaseSettings
from store.leases import Kind, Lease, LeaseLost, Want
from store.state.lease_outbox import publish_results
from store.state.lease_views import LeaseViews
from tests.store.leases.world import TENANT, Outlet, finished, open_world, queued, work
from tests.store.state.fresh import fresh_database

LOST_MAX = 2
GOOD_FOR_S = {"ingest": 15.0, "render": 30.0}
WORKERS = st.sampled_from("abc")
KEYS = st.sampled_from([("ingest", "c0"), ("ingest", "c1"), ("render", "r0"), ("render", "r1")])


@dataclass
class Row:
    """What the model knows of one piece of work."""

    state: str = "none"
    """`none`, `open`, `stopping`, `done`."""
    owner: str = ""
    token: int = 0
    until_s: float = 0.0
    queued_at_s: float = 0.0
    lost: int = 0


class Book(RuleBasedStateMachine):
    """Whatever is asked, the book answers as the model does."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = Path(tempfile.mkdtemp(prefix="book-"))
        self.stack = AsyncExitStack()
        self.runner.run(self._open())
        self.rows = {key: Row() for key in (("ingest", "c0"), ("ingest", "c1"))}
        self.rows |= {key: Row() for key in (("render", "r0"), ("render", "r1"))}
        self.leases: list[tuple[str, Lease]] = []
        self.made: list[str] = []

    async def _open(self) -> None:
        inner = self.folder / "state"
        inner.mkdir()
        url = await fresh_database(inner)
        opening = open_world(url, settings=LeaseSettings(lost_max=LOST_MAX))
        self.world = await self.stack.enter_async_context(opening)
        self.outlet = Outlet()

    def teardown(self) -> None:
        self.runner.run(self.stack.aclose())
        self.runner.close()
        shutil.rmtree(self.folder)

    @property
    def now_s(self) -> float:
        return self.world.clock.now_s

    @rule(seconds=st.sampled_from([0.5, 4.0, 14.0, 16.0, 31.0]))
    def time_passes(self, seconds: float) -> None:
        self.world.clock.now_s += seconds

    @rule(key=KEYS)
    def want(self, key: tuple[Kind, str]) -> None:
        told = work(queued(key[1])) if key[0] == "render" else {"url": "u"}
        self.runner.run(self.world.book.want(*key, told))
        row = self.rows[key]
        if row.state == "none" or (row.state == "done" and key[0] == "ingest"):
            row.state, row.owner, row.lost = "open", "", 0
            row.queued_at_s = row.until_s = self.now_s
        elif row.state == "stopping":
            row.state = "open"

    @rule(key=KEYS)
    def unwant(self, key: tuple[Kind, str]) -> None:
        self.runner.run(self.world.book.unwant(*key))
        row = self.rows[key]
        if row.state == "open":
            row.state = "stopping" if row.until_s > self.now_s else "none"

    @rule()
    def sweep(self) -> None:
        self.runner.run(self.world.book.sweep())
        for row in self.rows.values():
            if row.state == "stopping" and row.until_s <= self.now_s:
                row.state = "none"

    @rule(worker=WORKERS, kind=st.sampled_from(["ingest", "render"]), capacity=st.integers(0, 3))
    def acquire(self, worker: str, kind: Kind, capacity: int) -> None:
        given = self.runner.run(
            self.world.connect(worker).acquire(Want(kind=kind, capacity=capacity))
        )
        free = sorted(
            (row.queued_at_s, key[1])
            for key, row in self.rows.items()
            if key[0] == kind and row.state == "open" and row.until_s <= self.now_s
        )
        names = [name for _, name in free]
        looked_at = names[:capacity]
        expected = []
        for name in looked_at:
            row = self.rows[kind, name]
            gives_up = kind == "render" and row.lost + bool(row.owner) > LOST_MAX
            if not gives_up:
                expected.append(name)
        got = [lease.id for lease in given]
        # Of channels a worker may be given its share alone; of all else, whatever there is.
        assert got == (expected if kind == "render" else expected[: len(got)])
        for name in looked_at if kind == "render" else got:
            row = self.rows[kind, name]
            row.lost += bool(row.owner)
            row.token += 1
            if name in got:
                row.owner, row.until_s = worker, self.now_s + GOOD_FOR_S[kind]
            else:
                row.state, row.owner = "done", ""
                self.made.append(name)
        assert [lease.token for lease in given] == [self.rows[kind, name].token for name in got]
        self.leases += [(worker, lease) for lease in given]

    @rule(data=st.data())
    def heartbeat(self, data: st.DataObject) -> None:
        if not self.leases:
            return
        worker, lease = data.draw(st.sampled_from(self.leases))
        beat = self.runner.run(self.world.connect(worker).heartbeat([lease]))
        row = self.rows[lease.kind, lease.id]
        if row.state == "none" or row.owner != worker or row.token != lease.token:
            assert (dict(beat.kept), beat.lost) == ({}, (lease.id,))
            return
        assert dict(beat.kept) == {lease.id: GOOD_FOR_S[lease.kind]}
        assert beat.stop == ((lease.id,) if row.state == "stopping" else ())
        if row.state in ("open", "stopping"):
            row.until_s = self.now_s + GOOD_FOR_S[lease.kind]

    @rule(data=st.data())
    def complete(self, data: st.DataObject) -> None:
        if not self.leases:
            return
        worker, lease = data.draw(st.sampled_from(self.leases))
        told = work(finished(lease)) if lease.kind == "render" else {}
        call = self.world.connect(worker).complete(lease, told)
        row = self.rows[lease.kind, lease.id]
        if row.owner != worker or row.token != lease.token:
            with pytest.raises(LeaseLost):
                self.runner.run(call)
            return
        self.runner.run(call)
        if row.state in ("open", "stopping"):
            row.state = "done"
            if lease.kind == "render":
                self.made.append(lease.id)

    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        if not self.leases:
            return
        worker, lease = data.draw(st.sampled_from(self.leases))
        self.runner.run(self.world.connect(worker).release(lease, "drain"))
        row = self.rows[lease.kind, lease.id]
        mine = row.owner == worker and row.token == lease.token
        if mine and row.state in ("open", "stopping"):
            row.state = "open" if row.state == "open" else "none"
            row.owner, row.until_s = "", self.now_s

    @rule()
    def publish(self) -> None:
        self.runner.run(publish_results(self.world.state, self.outlet, TENANT))
        assert sorted(event.render_id for event in self.outlet.events) == sorted(self.made)

    @invariant()
    def the_book_says_what_the_model_says(self) -> None:
        views = LeaseViews(self.world.state, tenant_id=TENANT, clock=self.world.clock)
        for kind in ("ingest", "render"):
            entries = self.runner.run(views.entries(kind))
            found = {name: (entry.state, entry.holder) for name, entry in entries.items()}
            assert found == {
                key[1]: (row.state, row.owner if row.until_s > self.now_s else "")
                for key, row in self.rows.items()
                if key[0] == kind and row.state in ("open", "stopping")
            }

    @invariant()
    def no_render_has_two_results(self) -> None:
        assert len(self.made) == len(set(self.made))


Book.TestCase.settings = settings(
    max_examples=25,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestBook = Book.TestCase
