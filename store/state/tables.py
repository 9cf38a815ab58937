"""The tables of the control plane: what events have told, one row for each thing.

Law: every row lies under its tenant, and a column that its event has not told yet is NULL or its
default, because topics arrive in any order.
"""

from __future__ import annotations

from typing import Any, ClassVar

from sqlalchemy import JSON, Dialect, ForeignKeyConstraint, Index, MetaData, String, TypeDecorator
from sqlalchemy.orm import DeclarativeBase, Mapped, MappedAsDataclass, mapped_column


class Words(TypeDecorator[str]):
    """Text as any database takes it: what people write may hold a NUL or half a character."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Return the text with a mark in place of what no database takes."""
        if value is None or (value.isascii() and "\0" not in value):
            return value
        marked = value.replace("\0", "\ufffd")
        return marked.encode("utf-8", "replace").decode() if _half(marked) else marked


def _half(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)


class Base(MappedAsDataclass, DeclarativeBase, kw_only=True):
    """What all tables share: named constraints, so that migrations can name them too."""

    type_annotation_map: ClassVar[dict[Any, Any]] = {str: Words}
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class TenantRow(Base):
    """One customer, or `local` for a person who runs it at home."""

    __tablename__ = "tenants"

    id: Mapped[str] = mapped_column(primary_key=True)


class ChannelRow(Base):
    """A channel, folder or file that a tenant watches."""

    __tablename__ = "channels"
    __table_args__ = (ForeignKeyConstraint(["tenant_id"], ["tenants.id"]),)

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)


class SessionRow(Base):
    """A broadcast, a VOD or a file that is or was being watched."""

    __tablename__ = "sessions"
    __table_args__ = (
        ForeignKeyConstraint(["tenant_id", "channel_id"], ["channels.tenant_id", "channels.id"]),
        Index(None, "tenant_id", "started_at_s"),
    )

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    channel_id: Mapped[str]
    kind: Mapped[str | None] = mapped_column(default=None)
    """`live`, `vod` or `file`; NULL until SessionStarted has come."""
    title: Mapped[str] = mapped_column(default="")
    source: Mapped[str] = mapped_column(default="")
    wall_start_s: Mapped[float | None] = mapped_column(default=None)
    duration_s: Mapped[float | None] = mapped_column(default=None)
    has_chat: Mapped[bool] = mapped_column(default=False)
    clips_max: Mapped[int | None] = mapped_column(default=None)
    started_at_s: Mapped[float | None] = mapped_column(default=None)
    status: Mapped[str] = mapped_column(default="live")
    """`live`, or why it ended: `ended`, `stopped`, `lost`."""
    media_s: Mapped[float] = mapped_column(default=0.0)
    """End of the last segment, stored or missing."""
    settled_s: Mapped[float] = mapped_column(default=0.0)
    settled: Mapped[bool] = mapped_column(default=False)
    """The detectors have seen the whole session."""
    clips_total: Mapped[int | None] = mapped_column(default=None)
    """Known once every clip is planned."""
    minutes_claimed: Mapped[int] = mapped_column(default=0)
    heard_at_s: Mapped[float] = mapped_column(default=0.0)
    """Unix time at which the latest event of this session was published."""
    reaction_s: Mapped[float | None] = mapped_column(default=None)
    """How long its chat takes to answer, as learned last; NULL: nothing is known."""
    reaction_samples: Mapped[int | None] = mapped_column(default=None)
    """Answers of this session behind it; zero: it comes from sessions before."""
    reaction_at_s: Mapped[float | None] = mapped_column(default=None)
    """Media time of the last of them."""


class CoverageRow(Base):
    """Which milliseconds of a session are stored, or missing for one reason."""

    __tablename__ = "coverage"
    __table_args__ = (
        ForeignKeyConstraint(["tenant_id", "session_id"], ["sessions.tenant_id", "sessions.id"]),
    )

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    session_id: Mapped[str] = mapped_column(primary_key=True)
    reason: Mapped[str] = mapped_column(primary_key=True)
    """`stored`, or the reason of SegmentMissing."""
    spans: Mapped[list[list[int]]] = mapped_column(JSON, default_factory=list)


class CurveRow(Base):
    """One minute of a curve over media time, a value for each second."""

    __tablename__ = "curves"
    __table_args__ = (
        ForeignKeyConstraint(["tenant_id", "session_id"], ["sessions.tenant_id", "sessions.id"]),
    )

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    session_id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    """`chat` (messages) or `loudness` (dBFS of the loudest hop)."""
    minute: Mapped[int] = mapped_column(primary_key=True)
    values: Mapped[list[float | None]] = mapped_column(JSON, default_factory=list)


class TroubleRow(Base):
    """Something made a session worse than it should be."""

    __tablename__ = "troubles"
    __table_args__ = (
        ForeignKeyConstraint(["tenant_id", "session_id"], ["sessions.tenant_id", "sessions.id"]),
        Index(None, "tenant_id", "session_id"),
    )

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    session_id: Mapped[str]
    media_s: Mapped[float] = mapped_column(default=0.0)
    reason: Mapped[str] = mapped_column(default="")
    detail: Mapped[str] = mapped_column(default="")


class MomentRow(Base):
    """What a detector saw, and what became of it."""

    __tablename__ = "moments"
    __table_args__ = (
        ForeignKeyConstraint(["tenant_id", "session_id"], ["sessions.tenant_id", "sessions.id"]),
        Index(None, "tenant_id", "session_id"),
    )

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    session_id: Mapped[str]
    kind: Mapped[str | None] = mapped_column(default=None)
    """NULL until MomentDetected has come."""
    start_s: Mapped[float | None] = mapped_column(default=None)
    peak_s: Mapped[float | None] = mapped_column(default=None)
    end_s: Mapped[float | None] = mapped_column(default=None)
    decided_s: Mapped[float | None] = mapped_column(default=None)
    score: Mapped[float | None] = mapped_column(default=None)
    evidence: Mapped[dict[str, Any]] = mapped_column(JSON, default_factory=dict)
    status: Mapped[str] = mapped_column(default="detected")
    """`detected`, `passed`, `taken`."""
    reason: Mapped[str] = mapped_column(default="")
    """Why it was passed, a sentence for a person."""
    clip_id: Mapped[str | None] = mapped_column(default=None)


class ClipRow(Base):
    """A clip from plan to source cut."""

    __tablename__ = "clips"
    __table_args__ = (
        ForeignKeyConstraint(["tenant_id", "session_id"], ["sessions.tenant_id", "sessions.id"]),
        Index(None, "tenant_id", "session_id"),
    )

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    session_id: Mapped[str]
    status: Mapped[str] = mapped_column(default="planned")
    """`planned`, `failed`, `cut`."""
    start_s: Mapped[float | None] = mapped_column(default=None)
    """Media time: the plan's until the cut's is known; so are `peak_s` and `end_s`."""
    peak_s: Mapped[float | None] = mapped_column(default=None)
    end_s: Mapped[float | None] = mapped_column(default=None)
    score: Mapped[float | None] = mapped_column(default=None)
    kinds: Mapped[list[str]] = mapped_column(JSON, default_factory=list)
    moment_ids: Mapped[list[str]] = mapped_column(JSON, default_factory=list)
    evidence: Mapped[list[dict[str, Any]]] = mapped_column(JSON, default_factory=list)
    title: Mapped[str] = mapped_column(default="")
    source_key: Mapped[str | None] = mapped_column(default=None)
    in_s: Mapped[float | None] = mapped_column(default=None)
    """Exact start within the source cut's own timeline; `out_s` is its end."""
    out_s: Mapped[float | None] = mapped_column(default=None)
    gap_s: Mapped[float] = mapped_column(default=0.0)
    width: Mapped[int] = mapped_column(default=0)
    height: Mapped[int] = mapped_column(default=0)
    fps: Mapped[float] = mapped_column(default=0.0)
    has_audio: Mapped[bool] = mapped_column(default=False)
    words_key: Mapped[str | None] = mapped_column(default=None)
    reason: Mapped[str] = mapped_column(default="")
    """Why it failed: a short stable word; `detail` says more."""
    detail: Mapped[str] = mapped_column(default="")
    twitch_status: Mapped[str] = mapped_column(default="")
    """Of the same clip on Twitch: empty while nothing has come of it, `failed`, `made`."""
    twitch_url: Mapped[str] = mapped_column(default="")
    twitch_reason: Mapped[str] = mapped_column(default="")
    """Why there is none on Twitch: a short stable word."""


class RenderRow(Base):
    """A finished output in some layout, or how far it is."""

    __tablename__ = "renders"
    __table_args__ = (
        ForeignKeyConstraint(["tenant_id", "clip_id"], ["clips.tenant_id", "clips.id"]),
        Index(None, "tenant_id", "clip_id"),
        Index(None, "tenant_id", "session_id"),
    )

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    clip_id: Mapped[str]
    session_id: Mapped[str]
    layout: Mapped[str] = mapped_column(default="")
    status: Mapped[str] = mapped_column(default="queued")
    """`queued`, `rendering`, `failed`, `finished`."""
    percent: Mapped[int] = mapped_column(default=0)
    output_key: Mapped[str | None] = mapped_column(default=None)
    thumbnail_key: Mapped[str | None] = mapped_column(default=None)
    captions_key: Mapped[str | None] = mapped_column(default=None)
    width: Mapped[int] = mapped_column(default=0)
    height: Mapped[int] = mapped_column(default=0)
    duration_s: Mapped[float] = mapped_column(default=0.0)
    size_bytes: Mapped[int] = mapped_column(default=0)
    loudness_lufs: Mapped[float | None] = mapped_column(default=None)
    notes: Mapped[list[str]] = mapped_column(JSON, default_factory=list)
    reason: Mapped[str] = mapped_column(default="")
    detail: Mapped[str] = mapped_column(default="")


class TwitchAccountRow(Base):
    """A streamer's permission, and how it stands."""

    __tablename__ = "twitch_accounts"
    __table_args__ = (
        ForeignKeyConstraint(["tenant_id"], ["tenants.id"]),
        Index(None, "tenant_id", "login"),
    )

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[str] = mapped_column(primary_key=True)
    """Twitch's number of the user, which outlives a change of name."""
    login: Mapped[str]
    access_sealed: Mapped[str] = mapped_column(default="", repr=False)
    """Encrypted by `store/vault.py`; empty when the permission is gone; so is `refresh_sealed`."""
    refresh_sealed: Mapped[str] = mapped_column(default="", repr=False)
    scopes: Mapped[list[str]] = mapped_column(JSON, default_factory=list)
    status: Mapped[str] = mapped_column(default="connected")
    """`connected`, `reconnect`."""
    reason: Mapped[str] = mapped_column(default="")
    """Why it must be reconnected: `revoked`, `refused`, `key`."""
    expires_at_s: Mapped[float] = mapped_column(default=0.0)
    validated_at_s: Mapped[float] = mapped_column(default=0.0)
    connected_at_s: Mapped[float] = mapped_column(default=0.0)
    refresher: Mapped[str] = mapped_column(default="")
    """Who is refreshing it at this moment, until `refresher_until_s` at the latest."""
    refresher_until_s: Mapped[float] = mapped_column(default=0.0)


class TwitchLoginRow(Base):
    """A login that has been sent to Twitch and is not back yet."""

    __tablename__ = "twitch_logins"
    __table_args__ = (ForeignKeyConstraint(["tenant_id"], ["tenants.id"]),)

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    state_hash: Mapped[str] = mapped_column(primary_key=True)
    browser_hash: Mapped[str]
    """Whose browser began it."""
    verifier_sealed: Mapped[str] = mapped_column(default="", repr=False)
    """PKCE's secret, encrypted; empty where the provider has no PKCE."""
    scopes: Mapped[list[str]] = mapped_column(JSON, default_factory=list)
    redirect_url: Mapped[str] = mapped_column(default="")
    expires_at_s: Mapped[float] = mapped_column(default=0.0)


class WatchedRow(Base):
    """A channel on the watch list."""

    __tablename__ = "watched_channels"
    __table_args__ = (ForeignKeyConstraint(["tenant_id"], ["tenants.id"]),)

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    """The channel's id in its sessions."""
    name: Mapped[str]
    """Its login on Twitch, or its address without secrets."""
    url: Mapped[str] = mapped_column(repr=False)
    """What is watched: `twitch.tv/NAME`, or a playlist's address."""
    kind: Mapped[str]
    """`twitch`, `hls`."""
    always: Mapped[bool] = mapped_column(default=True)
    native_clips: Mapped[bool] = mapped_column(default=False)
    added_at_s: Mapped[float] = mapped_column(default=0.0)
    state: Mapped[str] = mapped_column(default="")
    """What its watch said last: `connecting`, `watching`, `offline`, `unusable`, `broken`; empty
    while it is not watched."""
    detail: Mapped[str] = mapped_column(default="")
    told_at_s: Mapped[float] = mapped_column(default=0.0)


class NativeClipRow(Base):
    """A clip that is to be made on Twitch too, and how far that has come."""

    __tablename__ = "native_clips"
    __table_args__ = (
        ForeignKeyConstraint(["tenant_id"], ["tenants.id"]),
        Index(None, "tenant_id", "state"),
    )

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    clip_id: Mapped[str] = mapped_column(primary_key=True)
    session_id: Mapped[str]
    channel_id: Mapped[str]
    login: Mapped[str]
    title: Mapped[str] = mapped_column(default="")
    start_at_s: Mapped[float] = mapped_column(default=0.0)
    """Unix time of the moment's window; so are `peak_at_s` and `end_at_s`."""
    peak_at_s: Mapped[float] = mapped_column(default=0.0)
    end_at_s: Mapped[float] = mapped_column(default=0.0)
    state: Mapped[str] = mapped_column(default="wanted")
    """`wanted`; `asked`, which stands before Twitch is called; `made`, `failed`."""
    asked_at_s: Mapped[float] = mapped_column(default=0.0)
    twitch_id: Mapped[str] = mapped_column(default="")
    """Twitch's name of the clip, once it has answered."""
    worker: Mapped[str] = mapped_column(default="")
    """Who sees to it, until `worker_until_s` at the latest."""
    worker_until_s: Mapped[float] = mapped_column(default=0.0)


class LeaseRow(Base):
    """A long piece of work, who does it and what has come of it."""

    __tablename__ = "leases"
    __table_args__ = (
        ForeignKeyConstraint(["tenant_id"], ["tenants.id"]),
        Index(None, "tenant_id", "kind", "state", "priority", "queued_at_s"),
    )

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    """`ingest`, `render`."""
    id: Mapped[str] = mapped_column(primary_key=True)
    """Of the work: a channel's or a render's."""
    state: Mapped[str] = mapped_column(default="open")
    """`open`: to be done, held or not; `stopping`: held, but not wanted any more; `made`: its
    result is to be published; `done`; `gone`: not wanted, and kept for its token alone."""
    work: Mapped[dict[str, Any]] = mapped_column(JSON, default_factory=dict, repr=False)
    pool: Mapped[str] = mapped_column(default="cpu")
    """Whose work it is first: `cpu` is everybody's, `gpu` that of workers with one."""
    priority: Mapped[int] = mapped_column(default=0)
    """The lowest comes first: 0 for what is live, 1 for a replay."""
    queued_at_s: Mapped[float] = mapped_column(default=0.0)
    """Unix time by the database's clock, as all times here: since when it is wanted."""
    owner: Mapped[str] = mapped_column(default="")
    """The worker that took it last; empty when it was given back."""
    token: Mapped[int] = mapped_column(default=0)
    """Grows with each change of hands and never begins anew."""
    since_s: Mapped[float | None] = mapped_column(default=None)
    """Since when it is the owner's; NULL: nobody has taken it since that is kept."""
    until_s: Mapped[float] = mapped_column(default=0.0)
    """It is the owner's until then, and free since then when that has passed."""
    lost: Mapped[int] = mapped_column(default=0)
    """How often its worker was not heard of any more."""
    result: Mapped[dict[str, Any] | None] = mapped_column(
        JSON(none_as_null=True), default=None, repr=False
    )
    """What has come of it, an event as the bus codec writes it."""


class LeaseWorkerRow(Base):
    """A worker that asks for work of one kind."""

    __tablename__ = "lease_workers"
    __table_args__ = (ForeignKeyConstraint(["tenant_id"], ["tenants.id"]),)

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    pool: Mapped[str] = mapped_column(default="cpu")
    """`cpu`, `gpu`, `dedicated`."""
    room: Mapped[int] = mapped_column(default=0)
    """How many more it could take when it had been answered last."""
    slots: Mapped[int] = mapped_column(default=0)
    """How many it holds at the most; zero: it has not said."""
    draining: Mapped[bool] = mapped_column(default=False)
    """It has said that it takes nothing more."""
    asked_at_s: Mapped[float] = mapped_column(default=0.0)
    """When it asked for work last."""
    seen_at_s: Mapped[float] = mapped_column(default=0.0)
    """When it was heard of last."""
    run: Mapped[str] = mapped_column(default="")
    """Of which of its runs the last question was; `question` is its number there."""
    question: Mapped[int] = mapped_column(default=0)


TABLES: tuple[type[Base], ...] = (
    TenantRow,
    ChannelRow,
    SessionRow,
    CoverageRow,
    CurveRow,
    TroubleRow,
    MomentRow,
    ClipRow,
    RenderRow,
    TwitchAccountRow,
    TwitchLoginRow,
    WatchedRow,
    NativeClipRow,
    LeaseRow,
    LeaseWorkerRow,
)
"""In the order in which rows may be inserted: what is referred to comes first."""
