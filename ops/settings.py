"""Settings: flags over environment over `clipthat.toml` over defaults.

Law: this is the only module that reads the environment. Each room owns a frozen dataclass for its
own part; here they are gathered, filled and checked, and each value knows where it came from.
"""

from __future__ import annotations

import ast
import inspect
import os
import textwrap
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, cast, get_type_hints

import orjson
from pydantic import TypeAdapter, ValidationError

from bus.kafka_settings import KafkaSettings
from bus.settings import LocalBusSettings
from clipper.settings import ClipperSettings
from detectors.settings import DetectorsSettings, SensesSettings
from ingest.chat.settings import ChatSettings
from ingest.file_settings import FileSettings
from ingest.settings import IngestSettings
from ops.errors import SettingsError
from ops.logs import LogSettings
from ops.preemption_settings import PreemptionSettings
from ops.supervisor import SupervisorSettings
from render.settings import RenderSettings
from store.control_settings import ControlSettings
from store.lease_settings import LeaseSettings
from store.leases import Pool
from store.settings import FetchSettings, ObjectsSettings
from store.twitch.settings import TwitchSettings
from web.settings import WebSettings

ENVIRONMENT_PREFIX = "CLIPTHAT_"
FILE_NAME = "clipthat.toml"
SECRETS = frozenset(
    {
        "control.secret",
        "database_url",
        "kafka.sasl_password",
        "twitch.client_secret",
        "twitch.token_keys",
    }
)
"""Settings whose values are never shown."""

Tree = dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class ChannelSettings:
    """A channel that `clipthat run` watches."""

    url: str
    """Address of the live HLS playlist."""
    name: str = ""
    """What the pages call it; the address when empty."""
    chat: str = ""
    """Where its chat comes from: a file, `irc`, or an `irc://` address; none when empty."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerSettings:
    """What a process of the ingest or render role tells the control role of itself."""

    pool: Pool = "cpu"
    """What this machine is: `cpu`, `gpu`, or `dedicated`, which takes what no GPU has taken."""
    name: str = ""
    """What it is called in logs and on pages; the machine's own name when empty. Each process adds
    something of its own, so that no two are the same."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """Everything that can be set."""

    tenant_id: str = "local"
    """Whose streams these are; objects and rows lie under this name."""
    data_dir: Path = Path("clipthat-data")
    """Folder of `clipthat run`: bus, database and objects."""
    objects_url: str = ""
    """Where objects lie: `file:///…`, `memory://`, `s3://…`, `gs://…`; a folder in `data_dir`
    when empty."""
    database_url: str = ""
    """Address of the database, such as `postgresql://user:password@host/clipthat`; SQLite in
    `data_dir` when empty."""
    channels: tuple[ChannelSettings, ...] = ()
    """Channels that `clipthat run` watches."""
    log: LogSettings = field(default_factory=LogSettings)
    """What is logged, and how."""
    supervisor: SupervisorSettings = field(default_factory=SupervisorSettings)
    """How stages are kept alive."""
    bus: LocalBusSettings = field(default_factory=LocalBusSettings)
    """The local durable bus."""
    kafka: KafkaSettings = field(default_factory=KafkaSettings)
    """Kafka, which takes the local bus's place where `kafka.bootstrap` is set."""
    fetch: FetchSettings = field(default_factory=FetchSettings)
    """What may be fetched from the network."""
    objects: ObjectsSettings = field(default_factory=ObjectsSettings)
    """How a bucket is reached."""
    ingest: IngestSettings = field(default_factory=IngestSettings)
    """How streams are pulled and kept."""
    file: FileSettings = field(default_factory=FileSettings)
    """How video files are read."""
    chat: ChatSettings = field(default_factory=ChatSettings)
    """How chat is read and counted."""
    senses: SensesSettings = field(default_factory=SensesSettings)
    """What is measured in each segment."""
    detectors: DetectorsSettings = field(default_factory=DetectorsSettings)
    """What counts as a moment."""
    clipper: ClipperSettings = field(default_factory=ClipperSettings)
    """Which moments become clips, and how they are cut."""
    render: RenderSettings = field(default_factory=RenderSettings)
    """What finished outputs look like."""
    web: WebSettings = field(default_factory=WebSettings)
    """The pages."""
    twitch: TwitchSettings = field(default_factory=TwitchSettings)
    """Twitch: how channels are found, and what the app may do there."""
    control: ControlSettings = field(default_factory=ControlSettings)
    """How workers on other machines reach the control role, and are let in."""
    leases: LeaseSettings = field(default_factory=LeaseSettings)
    """How work is handed to workers, and taken over from those that die."""
    worker: WorkerSettings = field(default_factory=WorkerSettings)
    """What a worker is."""
    preemption: PreemptionSettings = field(default_factory=PreemptionSettings)
    """How a machine hears that it is about to be taken away."""


@dataclass(frozen=True, slots=True)
class SettingDoc:
    """One setting: its dotted name, default and meaning."""

    path: str
    default: object
    doc: str


@dataclass(frozen=True, slots=True)
class LoadedSettings:
    """Checked settings and, for each dotted name that was set, where its value came from."""

    settings: Settings
    origins: Mapping[str, str]


def load_settings(
    *,
    flags: Mapping[str, object] | None = None,
    environment: Mapping[str, str] | None = None,
    file: Path | None = None,
) -> LoadedSettings:
    """Gather settings.

    Args:
        flags: values by dotted name, such as `{"clipper.live.cooldown_s": 30}`.
        environment: variables such as `CLIPTHAT_CLIPPER__LIVE__COOLDOWN_S`; the process's own
            when None.
        file: TOML file; `clipthat.toml` in the working folder when None and it is there.

    Raises:
        SettingsError: a name is unknown or a value does not fit; the message names both.
    """
    env = os.environ if environment is None else environment
    tree: Tree = {}
    origins: dict[str, str] = {}
    path = file or Path(env.get(f"{ENVIRONMENT_PREFIX}CONFIG", FILE_NAME))
    if file is not None and not path.is_file():
        raise SettingsError(f"the settings file {path} is not there")
    if path.is_file():
        for name, value in _file_values(path):
            _put(tree, name, value)
            origins[name] = str(path)
    for name, text in _environment_values(env):
        _put(tree, name, text)
        origins[name] = ENVIRONMENT_PREFIX + name.replace(".", "__").upper()
    defaults = {doc.path: doc.default for doc in documented()}
    for name, value in (flags or {}).items():
        _put(
            tree,
            name,
            _parsed(name, value, defaults.get(name)) if isinstance(value, str) else value,
        )
        origins[name] = "flag"
    _refuse_unknown(origins)
    return LoadedSettings(_checked(tree, origins), origins)


def documented() -> list[SettingDoc]:
    """Return every setting with its default and its meaning, in the order of the sections."""
    return list(_documented(Settings(), ""))


def _documented(section: object, prefix: str) -> Iterator[SettingDoc]:
    docs = field_docs(cast(Any, type(section)))
    values = {each.name: getattr(section, each.name) for each in fields(cast(Any, section))}
    for name, value in values.items():
        if not is_dataclass(value):
            yield SettingDoc(f"{prefix}{name}", value, docs.get(name, ""))
    for name, value in values.items():
        if is_dataclass(value):
            yield from _documented(value, f"{prefix}{name}.")


@cache
def field_docs(kind: type) -> Mapping[str, str]:
    """Return the text that stands below each field of a dataclass."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0]
    docs: dict[str, str] = {}
    name = ""
    for node in cast(ast.ClassDef, tree).body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            name = node.target.id
        elif (
            name
            and isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Constant)
            and isinstance(node.value.value, str)
        ):
            docs[name] = " ".join(node.value.value.split())
            name = ""
    return docs


def _file_values(path: Path) -> Iterator[tuple[str, object]]:
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not valid TOML: {error}") from error
    yield from _leaves(tree, "")


def _leaves(tree: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, object]]:
    known = _known_names()
    for name, value in tree.items():
        dotted = f"{prefix}{name}"
        if isinstance(value, Mapping) and dotted not in known:
            yield from _leaves(value, f"{dotted}.")
        else:
            yield dotted, value


def _environment_values(env: Mapping[str, str]) -> Iterator[tuple[str, object]]:
    defaults = {doc.path: doc.default for doc in documented()}
    for variable, text in env.items():
        if not variable.startswith(ENVIRONMENT_PREFIX):
            continue
        name = variable.removeprefix(ENVIRONMENT_PREFIX).replace("__", ".").lower()
        if name in _RESERVED:
            continue
        yield name, _parsed(name, text, defaults.get(name))


def _parsed(name: str, text: str, default: object) -> object:
    """Return a value that was given as text; lists are comma-separated, mappings are JSON."""
    if isinstance(default, tuple):
        return [part.strip() for part in text.split(",") if part.strip()]
    if isinstance(default, Mapping):
        try:
            return orjson.loads(text)
        except orjson.JSONDecodeError as error:
            raise SettingsError(f"{name} takes a JSON object, and {text!r} is none") from error
    return text


_RESERVED = frozenset({"config", "shared_data"})
"""Variables with our prefix that are not settings: the file's place, and one that tests read."""


def _known_names() -> frozenset[str]:
    return frozenset(doc.path for doc in documented())


def _refuse_unknown(origins: Mapping[str, str]) -> None:
    known = _known_names()
    for name, origin in origins.items():
        if name not in known:
            raise SettingsError(
                f"{origin} sets {name!r}, which is no setting; `clipthat settings` lists them all"
            )


def _put(tree: Tree, name: str, value: object) -> None:
    *folders, leaf = name.split(".")
    for folder in folders:
        below = tree.setdefault(folder, {})
        if not isinstance(below, dict):
            raise SettingsError(f"{name!r} is set twice: as a value and as a section")
        tree = below
    tree[leaf] = value


def _checked(tree: Tree, origins: Mapping[str, str]) -> Settings:
    get_type_hints(Settings)
    try:
        return TypeAdapter(Settings).validate_python(tree)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"] if not isinstance(part, int))
        origin = origins.get(name, FILE_NAME)
        if name in SECRETS:
            # The cause would show the value in a traceback.
            raise SettingsError(f"{origin} sets {name} wrongly: {first['msg'].lower()}") from None
        raise SettingsError(
            f"{origin} sets {name} to {first['input']!r}: {first['msg'].lower()}"
        ) from error
