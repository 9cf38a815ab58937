"""The metrics that tell how live work and replays share a machine.

Law: a part of the list in `ops/metrics.py`, which is what others read.
"""

from __future__ import annotations

from ops.metric import Metric

LOAD_METRICS: tuple[Metric, ...] = (
    Metric(
        "clipthat_live_lag_seconds",
        "gauge",
        (),
        "How far the live session that waits longest is behind, in media seconds.",
        "Above senses.shed.pressed_after_s replays hold back; above frames_after_s things are left "
        "out: more processors or another detect worker are needed.",
    ),
    Metric(
        "clipthat_shed_total",
        "counter",
        ("what", "kind"),
        "What was left out for want of time: frames, phrases, segments (live), progress (renders).",
        "frames or progress: the machine is busy; phrases: moments may be missed; segments: they "
        "are. The session's page says so too.",
    ),
    Metric(
        "clipthat_replay_holds_total",
        "counter",
        (),
        "Times that a replay was held back because a live session was behind.",
        "Replays take longer; when they never end, more detect workers are needed.",
    ),
)
