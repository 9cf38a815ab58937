"""`clipthat settings`."""

from __future__ import annotations

import textwrap

import orjson

from ops.commands.options import FAILED, OK, Options, complain, loaded
from ops.errors import SettingsError
from ops.settings import SECRETS, LoadedSettings, documented


def list_settings_command(options: Options) -> int:
    """Print every setting with its meaning and its value in force, as TOML."""
    try:
        print(as_toml(loaded(options)))
    except SettingsError as error:
        complain(str(error))
        return FAILED
    return OK


def as_toml(found: LoadedSettings) -> str:
    """Return all settings as a commented TOML file.

    Defaults are commented out; so is a secret that is set, whose value is not shown.
    """
    lines = [
        "# Every setting of ClipThat. A flag (--set NAME=VALUE) wins over the environment",
        "# (CLIPTHAT_SECTION__NAME), that over this file, and this file over the defaults.",
    ]
    section = ""
    for doc in documented():
        folder, _, name = doc.path.rpartition(".")
        if folder != section:
            section = folder
            lines += ["", f"[{folder}]"]
        lines += textwrap.wrap(doc.doc, 96, initial_indent="# ", subsequent_indent="# ")
        value: object = found.settings
        for part in doc.path.split("."):
            value = getattr(value, part)
        origin = found.origins.get(doc.path)
        if origin and doc.path in SECRETS:
            lines.append(f"# {name} is set  # from {origin}")
            continue
        text = f"{name} = {_toml(value)}"
        lines.append(f"{text}  # from {origin}" if origin else f"# {text}")
    return "\n".join(lines)


def _toml(value: object) -> str:
    if value is None:
        return '""'
    return orjson.dumps(value, default=str).decode()
