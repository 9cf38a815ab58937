"""`clipthat doctor`."""

from __future__ import annotations

import orjson
from rich.console import Console
from rich.table import Table

from ops.commands.options import FAILED, OK, Options, complain, loaded
from ops.doctor import Finding, examine
from ops.errors import SettingsError

_MARKS = {
    "ok": "[green]ok[/]",
    "optional": "[yellow]optional[/]",
    "problem": "[bold red]problem[/]",
}


def doctor_command(options: Options) -> int:
    """Print what was found; 1 when something that is needed is missing."""
    try:
        findings = examine(loaded(options))
    except SettingsError as error:
        complain(str(error))
        return FAILED
    if options.as_json:
        print(orjson.dumps(findings, option=orjson.OPT_INDENT_2).decode())
    else:
        Console().print(_table(findings))
    return FAILED if any(finding.status == "problem" for finding in findings) else OK


def _table(findings: list[Finding]) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("", "", "found", "what to do"):
        table.add_column(heading, overflow="fold")
    for finding in findings:
        table.add_row(_MARKS[finding.status], finding.name, finding.found, finding.remedy)
    return table
