"""What a metric is, and what ops do about it.

Law: a metric is a constant; nothing is counted here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric's name, kind, labels, meaning and what to do when it looks wrong."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...]
    help: str
    runbook: str
