"""Numbers for Prometheus: the one list of metrics, and the meter that feeds it.

Law: every metric that a room counts is declared here with its labels and what ops do about it; a
name that is not declared raises KeyError, so that it shows in the first test that reaches it.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from ops.bus_metrics import BUS_METRICS
from ops.lease_metrics import LEASE_METRICS
from ops.load_metrics import LOAD_METRICS
from ops.metric import Metric
from ops.worker_metrics import WORKER_METRICS

METRICS: tuple[Metric, ...] = (
    Metric(
        "clipthat_stage_restarts_total",
        "counter",
        ("stage",),
        "Restarts of a broken stage.",
        "Read the stage's last error in the log; a stage that keeps breaking serves nobody.",
    ),
    Metric(
        "clipthat_watched_channels",
        "gauge",
        (),
        "Channels that are watched or waited for.",
        "Fewer than the list says: read the log for `the watch list cannot be read`.",
    ),
    Metric(
        "clipthat_native_clips_total",
        "counter",
        ("outcome",),
        "Clips of Twitch's own that were wanted, by what became of them.",
        "`late`: the pipeline is behind; `reconnect` or `scope`: the streamer must connect again.",
    ),
    *BUS_METRICS,
    Metric(
        "clipthat_recorded_events_total",
        "counter",
        ("type",),
        "Events written into the database.",
        "Flat while the bus moves: the recorder is behind or the database is locked.",
    ),
    Metric(
        "clipthat_addresses_found_total",
        "counter",
        ("outcome",),
        "Live streams looked for anew, by outcome: a renewal, a dead address, nothing new.",
        "Many `failed`: channels are offline or flap, or the platform does not answer.",
    ),
    Metric(
        "clipthat_twitch_looks_total",
        "counter",
        ("outcome",),
        "Looks for a channel or VOD on Twitch, by outcome: ok, offline, failed.",
        "Many `failed`: Twitch has trouble or gives this network no access; the log says why.",
    ),
    Metric(
        "clipthat_playlist_reloads_total",
        "counter",
        ("outcome",),
        "Playlist reads, by outcome.",
        "Many `failed`: the origin is ill or the address has expired; the watch resolves it again.",
    ),
    Metric(
        "clipthat_segments_given_up_total",
        "counter",
        (),
        "Segments skipped because the watch fell behind the playlist.",
        "The origin or the network is too slow for the bit rate: choose a lower picture "
        "(ingest.height_max).",
    ),
    Metric(
        "clipthat_segments_total",
        "counter",
        ("outcome",),
        "Segments stored or missing.",
        "Share of `missing` above 2 %: see gap_seconds_total for the reasons.",
    ),
    Metric(
        "clipthat_segment_bytes_total",
        "counter",
        (),
        "Bytes of stored segments.",
        "None by itself.",
    ),
    Metric(
        "clipthat_segment_retries_total",
        "counter",
        (),
        "Segment reads that had to be tried again.",
        "A steady rise: the origin sheds load, or the network loses packets.",
    ),
    Metric(
        "clipthat_segment_fetch_seconds",
        "histogram",
        (),
        "Time to read a segment.",
        "Near the segment's own length: the watch will fall behind.",
    ),
    Metric(
        "clipthat_ring_evicted_segments_total",
        "counter",
        (),
        "Segments that the ring let go.",
        "None: the ring's bound at work.",
    ),
    Metric(
        "clipthat_gap_seconds_total",
        "counter",
        ("reason",),
        "Media seconds without media, by reason.",
        "`outage`, `missing`: the origin; `late`: our own speed; `ad`: as it should be.",
    ),
    Metric(
        "clipthat_minutes_watched_total",
        "counter",
        (),
        "Minutes of media really stored.",
        "Flat while channels are live: nothing is stored, and nothing is charged.",
    ),
    Metric(
        "clipthat_chat_switches_total",
        "counter",
        ("to",),
        "Changes of a Twitch chat's reader: irc (anonymous) or eventsub.",
        "Many mean that event sockets come and go: see clipthat_eventsub_connections_lost_total.",
    ),
    Metric(
        "clipthat_eventsub_connections_lost_total",
        "counter",
        (),
        "Twitch event sockets that ended, or could not be opened.",
        "Read the reasons in the log; chat is read anonymously while it lasts.",
    ),
    Metric(
        "clipthat_eventsub_moves_total",
        "counter",
        (),
        "Twitch event sockets that went on at another address as Twitch asked.",
        "None: Twitch restarts its servers.",
    ),
    Metric(
        "clipthat_eventsub_duplicates_total",
        "counter",
        (),
        "Deliveries that Twitch made again and that were left out.",
        "None.",
    ),
    Metric(
        "clipthat_eventsub_malformed_total",
        "counter",
        (),
        "Event frames and chat events that were not understood and left out.",
        "A rise means that Twitch has changed its messages: compare them with eventsub_frames.py.",
    ),
    Metric(
        "clipthat_eventsub_revoked_total",
        "counter",
        ("status",),
        "Subscriptions that Twitch has ended for good.",
        "authorization_revoked: the streamer must reconnect Twitch; version_removed: update us.",
    ),
    Metric(
        "clipthat_eventsub_refused_total",
        "counter",
        ("status",),
        "Subscriptions that Twitch has refused, by its answer's status; none: it gave no answer.",
        "403: a scope is missing; 429: a limit is reached; all are tried again later.",
    ),
    Metric(
        "clipthat_vod_chat_pages_total",
        "counter",
        ("outcome",),
        "Pages of a VOD's chat that Twitch was asked for.",
        "refused: Twitch is in trouble, asked too often, or gives no chat; the session says which.",
    ),
    Metric(
        "clipthat_chat_connections",
        "gauge",
        (),
        "Anonymous connections to the chat server.",
        "Zero while channels are live and not connected: the chat server cannot be reached.",
    ),
    Metric(
        "clipthat_chat_joins_total",
        "counter",
        ("outcome",),
        "Channels joined in anonymous chat, refused by Twitch or left without an answer.",
        "`refused`: the channel is suspended; `unanswered`: it is no channel, or Twitch is ill.",
    ),
    Metric(
        "clipthat_chat_reconnects_total",
        "counter",
        ("reason",),
        "Connections to the chat server that ended, by reason.",
        "Many `error` or `silent`: the network; `asked` is Twitch's own upkeep.",
    ),
    Metric(
        "clipthat_chat_gap_seconds_total",
        "counter",
        (),
        "Media seconds of which nobody heard the chat.",
        "A rise beyond the first seconds of a session: see chat_reconnects_total.",
    ),
    Metric(
        "clipthat_chat_lines_dropped_total",
        "counter",
        (),
        "Chat lines left out by a limit.",
        "A flood, or a malformed chat file: the log says which.",
    ),
    Metric(
        "clipthat_senses_packet_errors_total",
        "counter",
        (),
        "Audio packets that could not be decoded.",
        'Damaged segments: compare with gap_seconds_total{reason="corrupt"}.',
    ),
    Metric(
        "clipthat_senses_frames_total",
        "counter",
        (),
        "Frames kept as thumbnails.",
        "None by itself.",
    ),
    Metric(
        "clipthat_senses_words_unreadable_total",
        "counter",
        (),
        "Subtitle objects that could not be read.",
        "The words object was removed or is damaged; captions are missing for the session.",
    ),
    Metric(
        "clipthat_senses_segments_total",
        "counter",
        ("outcome",),
        "Segments sensed, by outcome.",
        "`gone`: senses are behind the ring; `failed`: read the log.",
    ),
    Metric(
        "clipthat_senses_in_hand",
        "gauge",
        (),
        "Segments fetched and not yet sensed.",
        "Near senses.in_hand_max: senses cannot keep up; add cores or switch the phrase "
        "spotter off.",
    ),
    Metric(
        "clipthat_senses_delay_seconds",
        "histogram",
        ("mode",),
        "Time from a stored segment to its features.",
        "live above a few seconds: senses are overloaded.",
    ),
    *LOAD_METRICS,
    Metric(
        "clipthat_detectors_forced_total",
        "counter",
        (),
        "Events fed before their counterpart had come.",
        "Chat or features stand still: look at the lag of both topics.",
    ),
    Metric(
        "clipthat_detectors_open_sessions",
        "gauge",
        (),
        "Sessions that detectors hold open.",
        "Growing without end: sessions are not ended.",
    ),
    Metric(
        "clipthat_detectors_reaction_seconds",
        "gauge",
        ("channel",),
        "How long the channel's chat takes to answer, as learned last.",
        "Jumps between runs: the sound does not drive this chat; nothing breaks.",
    ),
    Metric(
        "clipthat_detectors_moments_total",
        "counter",
        ("kind",),
        "Moments detected.",
        "A kind that falls to zero for hours: its sense may be dead.",
    ),
    Metric(
        "clipthat_phrase_refused_total",
        "counter",
        (),
        "Stretches of speech not listened to, for want of a decoder.",
        "Raise senses.phrase.sessions_max or processes.",
    ),
    Metric(
        "clipthat_phrase_hits_total",
        "counter",
        (),
        "Times the phrase was heard.",
        "More than twenty an hour for one channel: lower senses.phrase.threshold's reach.",
    ),
    Metric(
        "clipthat_phrase_restarts_total",
        "counter",
        (),
        "Phrase spotter processes started again after they died.",
        "Look for the out-of-memory killer.",
    ),
    Metric(
        "clipthat_moments_passed_total",
        "counter",
        (),
        "Moments that were not clipped.",
        "None by itself: moments.jsonl and the session's page say why.",
    ),
    Metric(
        "clipthat_moments_joined_total",
        "counter",
        (),
        "Moments that joined a clip which was picked before they were known.",
        "None by itself; when most do, a longer clipper.live.hold_s lets them count.",
    ),
    Metric(
        "clipthat_clips_planned_total",
        "counter",
        (),
        "Clips planned.",
        "Flat while moments come: the score bar is too high, or the ranker is dead.",
    ),
    Metric(
        "clipthat_clips_total",
        "counter",
        ("outcome",),
        "Source cuts, by outcome.",
        "Other than `cut` above 5 %: ClipFailed says why; `gap` is the origin's doing.",
    ),
    Metric(
        "clipthat_clip_cut_seconds",
        "histogram",
        (),
        "Time to make a source cut, once its last segment is there.",
        "Above a second: the object store or the disk is slow.",
    ),
    Metric(
        "clipthat_renders_total",
        "counter",
        ("layout", "outcome"),
        "Outputs, by outcome.",
        "`failed` above 5 %: RenderFailed says why.",
    ),
    Metric(
        "clipthat_render_tries_failed_total",
        "counter",
        ("reason",),
        "Render tries that failed, by reason.",
        "`timed_out`, `encode_failed`: the machine is overloaded, or the source is hostile.",
    ),
    Metric(
        "clipthat_render_seconds",
        "histogram",
        ("layout",),
        "Time to make an output.",
        "Longer than the clip itself on two cores: too many renders at once.",
    ),
    Metric(
        "clipthat_twitch_accounts",
        "gauge",
        ("status",),
        "Connected Twitch accounts, by how they stand.",
        "reconnect above 0: the streamer must press Connect again; until then chat is read "
        "anonymously.",
    ),
    Metric(
        "clipthat_twitch_validations_total",
        "counter",
        ("outcome",),
        "Tokens validated: valid, refused, unavailable.",
        "unavailable: Twitch's login cannot be reached; none for two hours: see stage accounts.",
    ),
    Metric(
        "clipthat_twitch_refreshes_total",
        "counter",
        ("outcome",),
        "Tokens refreshed: fresh, refused, unavailable, lost.",
        "refused: the streamer has taken the permission back, or twitch.client_secret has changed.",
    ),
    Metric(
        "clipthat_web_requests_total",
        "counter",
        ("route", "status"),
        "Requests answered.",
        "5xx: read the log.",
    ),
    Metric(
        "clipthat_web_request_seconds",
        "histogram",
        ("route",),
        "Time to answer a request.",
        "Above a second: the database is locked, or the disk is slow.",
    ),
    *LEASE_METRICS,
    *WORKER_METRICS,
)

_BUCKETS_S = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)


class PrometheusMeter:
    """Implements bus.ports.Meter on a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._counters: dict[str, Counter] = {}
        self._gauges: dict[str, Gauge] = {}
        self._histograms: dict[str, Histogram] = {}
        for metric in METRICS:
            self._declare(metric)

    def _declare(self, metric: Metric) -> None:
        if metric.kind == "counter":
            counter = Counter(metric.name, metric.help, metric.labels, registry=self.registry)
            self._counters[metric.name] = counter
        elif metric.kind == "gauge":
            gauge = Gauge(metric.name, metric.help, metric.labels, registry=self.registry)
            self._gauges[metric.name] = gauge
        else:
            self._histograms[metric.name] = Histogram(
                metric.name,
                metric.help,
                metric.labels,
                registry=self.registry,
                buckets=_BUCKETS_S,
            )

    def count(self, name: str, by: float = 1.0, **labels: str) -> None:
        """Raise a counter."""
        counter = self._counters[name]
        (counter.labels(**labels) if labels else counter).inc(by)

    def gauge(self, name: str, value: float, **labels: str) -> None:
        """Set a gauge."""
        gauge = self._gauges[name]
        (gauge.labels(**labels) if labels else gauge).set(value)

    def observe(self, name: str, value: float, **labels: str) -> None:
        """Add an observation to a histogram."""
        histogram = self._histograms[name]
        (histogram.labels(**labels) if labels else histogram).observe(value)

    def exposition(self) -> bytes:
        """Return all metrics in the text format that Prometheus reads."""
        return generate_latest(self.registry)
