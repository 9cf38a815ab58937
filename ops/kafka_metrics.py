"""The metrics that only a bus over Kafka has.

Law: a part of the list in `ops/metrics.py`, which is what others read.
"""

from __future__ import annotations

from ops.metric import Metric

KAFKA_METRICS: tuple[Metric, ...] = (
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
