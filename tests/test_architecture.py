"""The rules of the house: what is pure, what is documented, how long a thing may be."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.paths import REPOSITORY

ROOMS = ("bus", "store", "ingest", "detectors", "clipper", "render", "billing", "web", "ops")

SHELLS: dict[str, tuple[str, ...]] = {
    "the bus's clock and tasks": (
        "bus/consume.py",
        "bus/stage.py",
        "bus/local.py",
    ),
    "the bus's SQLite file": (
        "bus/local_groups.py",
        "bus/local_subscription.py",
        "bus/local_tables.py",
        "bus/sqlite_thread.py",
    ),
    "the bus over Kafka": (
        "bus/kafka.py",
        "bus/kafka_client.py",
        "bus/kafka_ledger.py",
        "bus/kafka_membership.py",
        "bus/kafka_publisher.py",
        "bus/kafka_replay.py",
        "bus/kafka_sockets.py",
        "bus/kafka_subscription.py",
        "bus/outbox.py",
    ),
    "objects": (
        "store/feature_log.py",
        "store/objects.py",
        "store/obstore_objects.py",
        "ingest/chat/log.py",
        "detectors/sensing.py",
        "clipper/material.py",
        "render/workplace.py",
    ),
    "the network": (
        "store/control_client.py",
        "store/fetch.py",
        "store/twitch/helix.py",
        "store/twitch/oauth.py",
        "ingest/chat/irc_connection.py",
        "ingest/chat/irc_hub.py",
        "ingest/chat/irc_link.py",
        "ingest/twitch/eventsub_api.py",
        "ingest/twitch/eventsub_socket.py",
        "ingest/chat/gql_chat.py",
        "ingest/hls_vod.py",
        "ingest/live_pull.py",
        "ingest/playlist_reader.py",
        "ingest/twitch/resolver.py",
        "ingest/twitch/streamlink_look.py",
        "ops/demo/chat.py",
        "ops/demo/origin.py",
        "ops/preemption_clouds.py",
    ),
    "the database": (
        "store/state/accounts.py",
        "store/state/accounts_keeper.py",
        "store/state/address.py",
        "store/state/apply.py",
        "store/state/engine.py",
        "store/state/logins.py",
        "store/state/migrate.py",
        "store/state/migrations/env.py",
        "store/state/migrations/versions/0001_first_tables.py",
        "store/state/migrations/versions/0002_twitch_accounts.py",
        "store/state/migrations/versions/0003_learned_delay.py",
        "store/state/migrations/versions/0004_watch_list.py",
        "store/state/migrations/versions/0005_fences.py",
        "store/state/migrations/versions/0006_leases.py",
        "store/state/migrations/versions/0007_fleet.py",
        "store/state/fleet_views.py",
        "store/state/ingest_wants.py",
        "store/state/lease_choice.py",
        "store/state/lease_desk.py",
        "store/state/lease_outbox.py",
        "store/state/lease_views.py",
        "store/state/leases.py",
        "store/state/queries.py",
        "store/state/state.py",
        "store/state/native_clips.py",
        "store/state/tables.py",
        "store/state/watchlist.py",
    ),
    "local files": (
        "ingest/chat/file_chat.py",
        "ingest/file.py",
        "ingest/words.py",
        "ops/export.py",
        "ops/scoring/windows.py",
    ),
    "media through libav": (
        "ingest/file_open.py",
        "ingest/file_pieces.py",
        "detectors/decode.py",
        "detectors/picture.py",
        "clipper/cut.py",
        "clipper/mux.py",
        "clipper/parts.py",
        "render/finished.py",
        "render/source.py",
    ),
    "the clock": ("ingest/timer.py",),
    "the bus, as a stage": (
        "ingest/watch.py",
        "detectors/senses.py",
        "clipper/stage.py",
        "render/stages.py",
        "render/leased.py",
        "render/progress.py",
        "render/workbench.py",
        "ops/follow.py",
        "ops/lag.py",
        "ops/channel_run.py",
        "ops/channels.py",
        "ops/leased_ingest.py",
        "ops/watchlist.py",
        "ops/oneshot.py",
    ),
    "the phrase spotter and its processes": (
        "detectors/listener.py",
        "detectors/phrase.py",
    ),
    "tasks: whose turn it is": (
        "bus/turns.py",
        "store/held_lease.py",
        "store/lease_keeper.py",
        "ingest/chat/eventsub.py",
        "ingest/chat/twitch_chat.py",
        "ingest/twitch/eventsub_subscriptions.py",
    ),
    "FFmpeg in a child process": (
        "clipper/reencode.py",
        "render/encode.py",
        "render/limited.py",
        "render/making.py",
        "ops/demo/stream.py",
    ),
    "HTTP requests": (
        "web/api.py",
        "web/app.py",
        "web/channels.py",
        "web/connect.py",
        "web/control.py",
        "web/control_door.py",
        "web/control_tokens.py",
        "web/forms.py",
        "web/media.py",
        "web/monitor.py",
        "web/pages.py",
        "web/problems.py",
        "web/security.py",
        "web/stage.py",
        "web/workers.py",
    ),
    "the process: parts, signals, the terminal": (
        "ops/bootstrap.py",
        "ops/supervisor.py",
        "ops/preemption.py",
        "ops/workers.py",
        "ops/doctor.py",
        "ops/commands/demo.py",
        "ops/commands/live.py",
        "ops/commands/render.py",
        "ops/commands/report.py",
        "ops/commands/run.py",
        "ops/commands/run_roles.py",
        "ops/commands/vod.py",
        "ops/commands/workers.py",
    ),
}
"""Modules that touch the world, by what they touch. Everything else is pure."""

SHELL_NAMES = frozenset(name for names in SHELLS.values() for name in names)

LONG_FILES = frozenset({"bus/events.py"})
"""The glossary of events stands in one place."""

CATCHES_EVERYTHING = frozenset({"ops/supervisor.py", "bus/sqlite_thread.py"})
"""The supervisor logs and restarts; the bus's thread hands every error to whoever asked."""

IMPURE_MODULES = frozenset(
    {
        "aiohttp",
        "aiosqlite",
        "alembic",
        "apsw",
        "asyncio",
        "av",
        "fastapi",
        "httpx",
        "imageio_ffmpeg",
        "multiprocessing",
        "obstore",
        "requests",
        "resource",
        "selectors",
        "signal",
        "socket",
        "sqlalchemy",
        "streamlink",
        "subprocess",
        "tempfile",
        "threading",
        "time",
        "uvicorn",
    }
)

FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 70
FORBIDDEN_NAMES = frozenset({"helper", "helpers", "manager", "util", "utils", "misc", "common"})


def modules() -> Iterator[Path]:
    for room in ROOMS:
        yield from sorted((REPOSITORY / room).rglob("*.py"))


def relative(path: Path) -> str:
    return path.relative_to(REPOSITORY).as_posix()


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def imported(tree: ast.Module) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names


def draws_lots(tree: ast.Module) -> bool:
    """Whether a module uses chance that no seed decides."""
    return any(
        isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "random"
        and node.attr != "Random"
        for node in ast.walk(tree)
    )


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


@pytest.mark.parametrize("path", list(modules()), ids=relative)
def test_what_is_not_named_a_shell_is_pure(path: Path) -> None:
    impure = imported(tree_of(path)) & IMPURE_MODULES
    if relative(path) in SHELL_NAMES:
        assert impure, f"{relative(path)} touches nothing: take it off the list of shells"
    else:
        assert not impure, f"{relative(path)} imports {sorted(impure)} and is not named as a shell"
        assert not draws_lots(tree_of(path)), f"{relative(path)} leaves something to chance"


def test_every_shell_exists_and_stands_once() -> None:
    known = {relative(path) for path in modules()}
    assert known >= SHELL_NAMES
    assert sum(len(names) for names in SHELLS.values()) == len(SHELL_NAMES)


@pytest.mark.parametrize("path", list(modules()), ids=relative)
def test_modules_say_what_they_are(path: Path) -> None:
    tree = tree_of(path)
    if tree.body:
        assert ast.get_docstring(tree), f"{relative(path)} has no docstring"


@pytest.mark.parametrize("path", list(modules()), ids=relative)
def test_files_and_functions_stay_short(path: Path) -> None:
    if relative(path) not in LONG_FILES:
        assert len(path.read_text(encoding="utf-8").splitlines()) <= FILE_LINES_MAX
    for function in functions(tree_of(path)):
        assert function.end_lineno is not None
        length = function.end_lineno - function.lineno + 1
        assert length <= FUNCTION_LINES_MAX, f"{function.name} has {length} lines"


@pytest.mark.parametrize("path", list(modules()), ids=relative)
def test_public_things_are_documented(path: Path) -> None:
    for node in tree_of(path).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            if node.name.startswith("_"):
                continue
            assert ast.get_docstring(node), f"{relative(path)}: {node.name} has no docstring"


@pytest.mark.parametrize("path", list(modules()), ids=relative)
def test_names_say_what_things_are(path: Path) -> None:
    assert not FORBIDDEN_NAMES & set(path.stem.split("_"))


@pytest.mark.parametrize("path", list(modules()), ids=relative)
def test_only_settings_read_the_environment(path: Path) -> None:
    if relative(path) == "ops/settings.py":
        return
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv"}:
            assert False, f"{relative(path)} reads the environment"  # noqa: B011, PT015


@pytest.mark.parametrize("path", list(modules()), ids=relative)
def test_only_the_supervisor_catches_everything(path: Path) -> None:
    if relative(path) in CATCHES_EVERYTHING:
        return
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.ExceptHandler):
            caught = (
                {each.id for each in ast.walk(node.type) if isinstance(each, ast.Name)}
                if (node.type is not None)
                else {"everything"}
            )
            reraises = any(isinstance(each, ast.Raise) for each in ast.walk(node))
            if caught & {"everything", "Exception", "BaseException"}:
                assert reraises, f"{relative(path)}:{node.lineno} catches everything"
