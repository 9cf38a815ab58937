"""Databases that are migrated once and copied for each test."""

from __future__ import annotations

import shutil
from pathlib import Path

from store.state.migrate import upgrade


async def fresh_database(folder: Path) -> str:
    """Return the address of an empty, migrated database in the folder."""
    template = folder.parent / "migrated.db"
    if not template.exists():
        await upgrade(f"sqlite:///{template}")
    shutil.copyfile(template, folder / "state.db")
    return f"sqlite:///{folder / 'state.db'}"
