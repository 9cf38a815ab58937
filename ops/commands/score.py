"""`clipthat score`."""

from __future__ import annotations

from pathlib import Path

import orjson
from rich.console import Console

from ops.commands.options import FAILED, OK, Options, complain
from ops.errors import OpsError
from ops.score import score_folder


def score_command(folder: Path, options: Options) -> int:
    """Score labelled chat and print the table."""
    try:
        report = score_folder(folder)
    except OpsError as error:
        complain(str(error))
        return FAILED
    if options.as_json:
        print(orjson.dumps(report.as_json(), option=orjson.OPT_INDENT_2).decode())
    else:
        report.print(Console())
    return OK
