"""Whether the service is well, as ops tells it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class StageHealth:
    """One running part."""

    name: str
    ok: bool
    detail: str = ""
    """A short sentence when it is not well."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Health:
    """All running parts."""

    ok: bool
    stages: tuple[StageHealth, ...] = ()
