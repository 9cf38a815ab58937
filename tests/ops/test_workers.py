"""The fleet in a terminal: from the database beside it, and from control far away."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from ops.cli import app
from ops.commands import workers as command
from store.channel_work import ChannelWork
from store.control_client import read_workers
from store.control_settings import ControlSettings
from store.lease_settings import LeaseSettings
from store.leases import LeasesAway, LeasesRefused, Want
from store.state.leases import LeaseBook
from store.state.state import State
from tests.store.leases.world import CONTROL, SECRET, World, make_control_app, open_world
from tests.store.state.fresh import fresh_database


def run(folder: Path, *arguments: str) -> tuple[int, str]:
    """Return how the command ended and what it said, with one space between words."""
    done = CliRunner().invoke(
        app, ["workers", "--set", f"data_dir={folder}", *arguments], env={"COLUMNS": "200"}
    )
    return done.exit_code, " ".join(done.output.split())


def fill(folder: Path, act: Callable[[LeaseBook], Awaitable[None]]) -> None:
    """Have a control role's database in a folder."""

    async def filled() -> None:
        url = f"sqlite:///{folder / '.clipthat' / 'state.db'}"
        async with State.open(url) as state:
            await act(LeaseBook(state, LeaseSettings()))

    asyncio.run(filled())


async def at_work(book: LeaseBook) -> None:
    """One worker is full, and a channel waits."""
    for name in ("ann", "ben"):
        one = ChannelWork(id=name, name=name, url="https://u:secret@x", kind="hls")
        await book.want("ingest", name, one.as_json())
    await book.acquire("box:ingest:7-ab", Want(kind="ingest", capacity=1, slots=1))


def test_workers_and_what_waits_are_read_beside_the_database(tmp_path: Path) -> None:
    fill(tmp_path, at_work)
    code, said = run(tmp_path)
    assert code == 0
    assert "worker role pool state holds heard of at work on" in said
    assert "box 7-ab ingest cpu at work 1/1 within 5 s ann" in said
    assert "1 channel has waited for" in said
    assert "Every ingest worker is full. Start another: clipthat run --roles ingest, or" in said
    assert said.endswith("1 channel waits for a worker.")
    code, said = run(tmp_path, "--json")
    told = json.loads(said)
    assert code == 0
    assert told["workers"][0]["holds"][0]["name"] == "ann"
    assert told["waiting"][0]["reason"] == "full"
    assert "secret" not in said


def test_where_no_worker_has_been_it_says_how_to_start_one(tmp_path: Path) -> None:
    async def nothing(book: LeaseBook) -> None:
        pass

    fill(tmp_path, nothing)
    code, said = run(tmp_path)
    assert code == 0
    assert "No worker is there" in said
    assert "clipthat run --roles ingest" in said


def test_no_database_is_made_where_there_is_none(tmp_path: Path) -> None:
    code, said = run(tmp_path / "nowhere")
    assert code == 1
    assert "no control role has run in" in said
    assert "control.url" in said
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (["control.url=http://control:8420"], "control.secret"),
        (["control.url=control", f"control.secret={SECRET}"], "control.url is no address"),
        (["database_url=nonsense"], "nonsense"),
        (["no.such=1"], "no.such"),
    ],
)
def test_what_is_missing_is_named(tmp_path: Path, settings: list[str], says: str) -> None:
    code, said = run(tmp_path, *(part for one in settings for part in ("--set", one)))
    assert code == 1
    assert says in said
    assert SECRET not in said


def test_control_is_asked_where_its_address_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[ControlSettings] = []
    answer: dict[str, object] = {"workers": [], "waiting": [], "renders": [], "newer": 1}

    async def read(settings: ControlSettings) -> dict[str, object]:
        asked.append(settings)
        return answer

    monkeypatch.setattr(command, "read_workers", read)
    told = ["--set", "control.url=http://control:8420", "--set", f"control.secret={SECRET}"]
    code, said = run(tmp_path, *told)
    assert (code, asked[0].url) == (0, "http://control:8420")
    assert "No worker is there" in said
    answer["workers"] = [{"strange": 1}]
    code, said = run(tmp_path, *told)
    assert code == 1
    assert "not what this version understands" in said


async def test_control_tells_whoever_knows_the_secret_and_nobody_else(tmp_path: Path) -> None:
    async with open_world(await fresh_database(tmp_path)) as world:
        await at_work(world.book)
        transport = httpx.ASGITransport(make_control_app(world.book, world.numbers))
        fleet = command.FLEET.validate_python(await read_workers(CONTROL, transport=transport))
        assert [(one.machine, one.used) for one in fleet.workers] == [("box", 1)]
        assert [one.reason for one in fleet.waiting] == ["full"]
        wrong = ControlSettings(url=CONTROL.url, secret="x" * 40)
        with pytest.raises(LeasesRefused, match=r"control\.secret"):
            await read_workers(wrong, transport=transport)
        assert (await asks(world, {})).status_code == 401
        worker = await let_in(world)
        assert (await asks(world, {"Authorization": f"Bearer {worker}"})).status_code == 401


async def test_a_control_that_is_away_is_told(tmp_path: Path) -> None:
    async def away(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no route")

    with pytest.raises(LeasesAway, match="cannot be reached"):
        await read_workers(CONTROL, transport=httpx.MockTransport(away))


async def asks(world: World, headers: dict[str, str]) -> httpx.Response:
    transport = httpx.ASGITransport(make_control_app(world.book, world.numbers))
    async with httpx.AsyncClient(transport=transport, base_url="http://any-name") as client:
        return await client.get("/control/v1/workers", headers=headers)


async def let_in(world: World) -> str:
    """Return the token of a worker, which lets nobody look at the others."""
    transport = httpx.ASGITransport(make_control_app(world.book, world.numbers))
    async with httpx.AsyncClient(transport=transport, base_url="http://any-name") as client:
        answer = await client.post(
            "/control/v1/workers",
            json={"name": "w", "kinds": ["render"]},
            headers={"Authorization": f"Bearer {SECRET}"},
        )
    return str(answer.json()["token"])


def test_help_says_what_the_words_mean() -> None:
    said = " ".join(CliRunner().invoke(app, ["workers", "--help"]).stdout.split())
    for word in ("control.url", "ready", "draining", "silent", "gone", "--json"):
        assert word in said
