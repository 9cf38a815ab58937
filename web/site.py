"""What every route of the site needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from jinja2 import Environment

from store.objects import Objects
from store.state.state import State
from store.state.views import ClipView
from web.cards import ClipCard, card_of
from web.health import Health
from web.settings import WebSettings
from web.signing import LinkSigner


@dataclass(frozen=True, kw_only=True, slots=True)
class Site:
    """One tenant's site."""

    state: State
    objects: Objects
    settings: WebSettings
    health: Callable[[], Health]
    tenant_id: str
    signer: LinkSigner
    templates: Environment
    clock: Callable[[], float]

    def link(self, key: str) -> str:
        """Return a signed address of an object."""
        return self.signer.link(key, self.clock())

    def card(self, clip: ClipView) -> ClipCard:
        """Return a clip's card with signed addresses."""
        return card_of(clip, self.link)

    def render(self, template: str, **values: object) -> str:
        """Return a page."""
        return self.templates.get_template(template).render(
            refresh_s=self.settings.refresh_s, health=self.health(), **values
        )
