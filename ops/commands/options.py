"""What all commands share: their options, their settings and the way they end."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from ops.errors import SettingsError
from ops.settings import LoadedSettings, load_settings

OK = 0
FAILED = 1
STOPPED = 130


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """Options that most commands have."""

    sets: list[str]
    """`NAME=VALUE` each."""
    config: Path | None
    verbose: bool
    as_json: bool


def loaded(options: Options) -> LoadedSettings:
    """Load settings with the flags of this command.

    Raises:
        SettingsError: a name or a value does not fit.
    """
    flags: dict[str, object] = {}
    for pair in options.sets:
        name, equals, value = pair.partition("=")
        if not equals:
            raise SettingsError(f"--set takes NAME=VALUE, and {pair!r} has no '='")
        flags[name.strip()] = value.strip()
    return load_settings(flags=flags, file=options.config)


def complain(message: str) -> None:
    """Tell the user what went wrong, on standard error."""
    Console(stderr=True).print(f"[bold red]error[/] {message}", highlight=False, soft_wrap=True)
