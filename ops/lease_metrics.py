"""The metrics of leases and of the control API.

Law: a part of the list in `ops/metrics.py`, which is what others read.
"""

from __future__ import annotations

from ops.metric import Metric

LEASE_METRICS: tuple[Metric, ...] = (
    Metric(
        "clipthat_leases",
        "gauge",
        ("kind", "pool", "state"),
        "Channels and renders in the book, by the pool that comes first: queued, held, expired.",
        "Many `queued`: too few workers with room; `expired` that stays: no worker asks at all.",
    ),
    Metric(
        "clipthat_lease_oldest_wait_seconds",
        "gauge",
        ("kind", "pool"),
        "How long the work has waited that nobody holds and that has waited longest.",
        "Channels above 20: segments are being missed; start ingest workers. Renders: add workers.",
    ),
    Metric(
        "clipthat_lease_workers",
        "gauge",
        ("kind", "pool"),
        "Workers that were heard of within a minute.",
        "Fewer than were started: read a missing worker's log; it says what to set.",
    ),
    Metric(
        "clipthat_leases_given_total",
        "counter",
        ("kind", "pool"),
        "Leases given out, by the worker's pool.",
        "Many more than completed: workers die or give work back; see lost and released.",
    ),
    Metric(
        "clipthat_leases_given_again_total",
        "counter",
        ("kind",),
        "Leases given once more to a worker that had not heard the answer.",
        "A rise: the network to the workers is bad, or the database answers too slowly.",
    ),
    Metric(
        "clipthat_leases_completed_total",
        "counter",
        ("kind", "outcome"),
        "Leases that came to an end: finished or failed renders, ended channels.",
        "`failed`: the render's reason on its page says why.",
    ),
    Metric(
        "clipthat_leases_released_total",
        "counter",
        ("kind", "reason"),
        "Leases given back undone: drain, preempted, failed, other.",
        "`preempted` all the time: the spot pool is short; raise its bid or add other workers.",
    ),
    Metric(
        "clipthat_leases_lost_total",
        "counter",
        ("kind",),
        "Leases taken over from a worker that was not heard of any more.",
        "A rise: workers are killed or cut off; look at their memory and at the network.",
    ),
    Metric(
        "clipthat_leases_given_up_total",
        "counter",
        ("kind",),
        "Renders that failed because they lost their worker too often (leases.lost_max).",
        "Such a render may kill its workers: look at their logs at the time of its tries.",
    ),
    Metric(
        "clipthat_lease_late_writers_total",
        "counter",
        ("kind",),
        "Results refused because the lease had changed hands.",
        "None by itself: fencing at work. Many: workers freeze, or leases are too short.",
    ),
    Metric(
        "clipthat_lease_fallbacks_total",
        "counter",
        ("pool",),
        "Work for a GPU that went to a worker without one, by that worker's pool.",
        "The GPU pool is empty or stocked out; leases.fallback says what then happens.",
    ),
    Metric(
        "clipthat_lease_results_published_total",
        "counter",
        (),
        "Results of workers put on the bus.",
        "Behind leases_completed_total: the bus or the database is away.",
    ),
    Metric(
        "clipthat_twitch_tokens_lent_total",
        "counter",
        ("outcome",),
        "Questions of ingest workers for a connected channel's token: lent, not_connected, lost"
        " (the channel is another's), away (Twitch's login cannot be asked).",
        "`lent` all the time: event sockets come and go, see the workers'"
        " clipthat_eventsub_connections_lost_total; `away`: see clipthat_twitch_refreshes_total.",
    ),
    Metric(
        "clipthat_control_refused_total",
        "counter",
        ("reason",),
        "Workers refused by the control API: off, secret, token, tenant, kind.",
        "`secret`: a worker has another control.secret, or somebody tries; `token` now and then is "
        "a worker whose token has ended.",
    ),
)
