"""What can be set about chat."""

from __future__ import annotations

from dataclasses import dataclass, field

from ingest.twitch.eventsub_settings import EventSubSettings


@dataclass(frozen=True, kw_only=True, slots=True)
class WindowSettings:
    """How chat is counted by the second."""

    short_cap_messages: int = 2
    """One user counts at most so many times within `short_cap_s`."""
    short_cap_s: float = 5.0
    """Length of the short cap, in seconds."""
    long_cap_messages: int = 3
    """One user counts at most so many times within `long_cap_s`."""
    long_cap_s: float = 30.0
    """Length of the long cap, in seconds."""
    echo_s: float = 10.0
    """A text that somebody else wrote within so many seconds is an echo."""
    lines_per_second_max: int = 2_000
    """More lines than this in one second are dropped and counted."""
    commands_per_second_max: int = 20
    """More clip commands than this in one second are left out."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FileChatSettings:
    """How a chat file is read."""

    line_bytes_max: int = 65_536
    """A longer line of a JSON lines file, or comment of a TwitchDownloader file, is skipped."""
    sort_span_s: float = 60.0
    """Lines that stand out of order by at most so many seconds are put in order."""
    sort_lines_max: int = 20_000
    """At most so many lines are held to put them in order."""
    tail_bytes_max: int = 8_388_608
    """At most so many bytes of a growing file are read at once."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RoomSettings:
    """How much of one channel's live chat is held, and how far its times are believed."""

    buffer_lines_max: int = 20_000
    """At most so many lines wait to be drained; the oldest are dropped and counted."""
    buffer_chars_max: int = 8_000_000
    """At most so many characters wait, tags included; the oldest lines are dropped and counted."""
    seen_ids_max: int = 5_000
    """At most so many message ids are remembered, and at least half as many, to leave duplicates
    out."""
    gap_seconds_max: int = 20_000
    """At most so many seconds of being cut off are remembered until they are drained."""
    sent_ahead_max_s: float = 60.0
    """A message that says it was sent further in the future stands at its arrival."""
    sent_behind_max_s: float = 300.0
    """A message that says it was sent longer ago stands at its arrival."""
    late_lines_max: int = 3
    """When more lines come after their second was closed, the second they count in is a gap."""


@dataclass(frozen=True, kw_only=True, slots=True)
class IrcSettings:
    """How channels' chat is read over IRC."""

    url: str = "wss://irc-ws.chat.twitch.tv:443"
    """The chat server: `wss://`, `ws://`, `ircs://` or `irc://`."""
    connect_timeout_s: float = 10.0
    """Limit for connecting, and for the server's welcome."""
    channels_per_connection: int = 90
    """A connection sits in at most so many channels; Twitch wants fewer than 100."""
    joins_max: int = 20
    """At most so many channels are joined within `joins_window_s`, over all connections."""
    joins_window_s: float = 10.5
    """Twitch counts ten seconds; the rest is for messages that overtake each other on the way."""
    join_answer_s: float = 10.0
    """A join that has not been confirmed after so long is tried again, ever more rarely."""
    join_retry_max_s: float = 300.0
    """A channel that never confirms, or is suspended, is tried again so often."""
    join_tries: int = 3
    """After so many joins without an answer the channel is reported."""
    silence_s: float = 15.0
    """After so long without a word from the server we ask PING: until a connection is known to be
    dead, its silence looks like a lull."""
    pong_s: float = 5.0
    """A server that leaves our PING unanswered for so long is gone."""
    backoff_first_s: float = 0.5
    """Wait before the first reconnection; doubles each time."""
    backoff_max_s: float = 30.0
    """Longest wait between reconnections."""
    line_chars_max: int = 16_384
    """A longer line from the server is skipped."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ChatLogSettings:
    """How the raw chat of a session is kept."""

    flush_s: float = 10.0
    """The log is written at least every so many media seconds."""
    chunk_lines_max: int = 5_000
    """A chunk of the log is full at so many lines."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ChatSettings:
    """Everything about chat."""

    windows: WindowSettings = field(default_factory=WindowSettings)
    """How chat is counted."""
    file: FileChatSettings = field(default_factory=FileChatSettings)
    """How chat files are read."""
    room: RoomSettings = field(default_factory=RoomSettings)
    """How live chat is held."""
    irc: IrcSettings = field(default_factory=IrcSettings)
    """How live chat is read."""
    eventsub: EventSubSettings = field(default_factory=EventSubSettings)
    """How connected Twitch channels' chat is heard."""
    log: ChatLogSettings = field(default_factory=ChatLogSettings)
    """How raw chat is kept."""
