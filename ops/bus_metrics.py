"""The metrics of the bus, the local one and the one over Kafka.

Law: a part of the list in `ops/metrics.py`, which is what others read.
"""

from __future__ import annotations

from ops.metric import Metric

BUS_METRICS: tuple[Metric, ...] = (
    Metric(
        "clipthat_bus_published_total",
        "counter",
        ("topic",),
        "Events appended to the log.",
        "None by itself: flat while channels are live means that ingest stands still.",
    ),
    Metric(
        "clipthat_bus_rejected_total",
        "counter",
        ("group", "topic"),
        "Records that a consumer gave up after its tries.",
        "Read the dead letter's error in <topic>.dlq; mend the cause, then publish it again.",
    ),
    Metric(
        "clipthat_bus_dead_letters_total",
        "counter",
        ("group", "topic"),
        "Records put into the dead letters.",
        "As for bus_rejected_total; a rise after a release means that an event's form has changed.",
    ),
    Metric(
        "clipthat_bus_lag_messages",
        "gauge",
        ("group",),
        "Records that a reader has not committed.",
        "See bus_lag_seconds: a number by itself says little.",
    ),
    Metric(
        "clipthat_bus_lag_seconds",
        "gauge",
        ("group",),
        "Age of the oldest record that a reader has not committed.",
        "Growing: too few workers of that role, or one record holds them up; read their log.",
    ),
    Metric(
        "clipthat_bus_trimmed_total",
        "counter",
        ("topic",),
        "Records removed for their age.",
        "None: retention at work.",
    ),
    Metric(
        "clipthat_bus_upkeep_failures_total",
        "counter",
        (),
        "Failed rounds of trimming and leases.",
        "Look at disk space and at the log of the bus.",
    ),
    Metric(
        "clipthat_bus_repeated_total",
        "counter",
        ("topic",),
        "Records that a reader left out because it had had their event before.",
        "None: events that were sent again after an outage or a restart.",
    ),
    Metric(
        "clipthat_bus_outbox_parked_total",
        "counter",
        (),
        "Events put into the outbox because Kafka did not acknowledge them in time.",
        "Look at the brokers; nothing is lost while the disk has room.",
    ),
    Metric(
        "clipthat_bus_outbox_events",
        "gauge",
        (),
        "Events in the outbox that Kafka has not acknowledged.",
        "Zero when the brokers are well; while it grows, other machines do not see these events.",
    ),
)
