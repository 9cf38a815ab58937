"""The clips page that lies in a folder beside its clips and needs no server.

Law: it is one file, loads nothing from anywhere but its folder, and runs no script.
"""

from __future__ import annotations

from collections.abc import Sequence

from web.cards import ClipCard
from web.templating import make_environment, style_sheet

__all__ = ["ClipCard", "render_clips_page"]


def render_clips_page(clips: Sequence[ClipCard], *, title: str = "Clips") -> str:
    """Return the HTML page; the cards' `files` are paths relative to the page's folder."""
    template = make_environment().get_template("folder.html")
    return template.render(
        title=title,
        cards=sorted(clips, key=lambda card: -card.score),
        style=style_sheet(),
    )
