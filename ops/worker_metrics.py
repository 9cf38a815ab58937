"""The metrics of processes that do a part of the work.

Law: a part of the list in `ops/metrics.py`, which is what others read.
"""

from __future__ import annotations

from ops.metric import Metric

WORKER_METRICS: tuple[Metric, ...] = (
    Metric(
        "clipthat_role",
        "gauge",
        ("role",),
        "1 for each role of this process; `all` where one process does everything.",
        "Summed over all processes by role: one that is zero is done by nobody.",
    ),
    Metric(
        "clipthat_worker_leases",
        "gauge",
        ("kind",),
        "Channels and renders that this worker holds.",
        "Zero while work is queued: read its log for `no leases`.",
    ),
    Metric(
        "clipthat_worker_leases_ended_total",
        "counter",
        ("kind", "outcome"),
        "Leases that have ended, by how: done, lost, given_back, broke.",
        "`lost`: the worker was frozen, too slow or cut off; `broke`: read `leased work broke` in"
        " its log.",
    ),
    Metric(
        "clipthat_worker_control_failures_total",
        "counter",
        ("kind", "outcome"),
        "Requests to the control role that failed, by why: away, refused.",
        "`refused`: control.secret differs; `away`: look at the control role and the network.",
    ),
    Metric(
        "clipthat_preemption_notices_total",
        "counter",
        ("told_by",),
        "Notices that this machine is about to be taken away: file, signal, gcp, aws.",
        "None: its work goes to other workers; many at once ask for more machines elsewhere.",
    ),
)
