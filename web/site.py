"""What every route of the site needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from jinja2 import Environment

from store.objects import Objects
from store.state.accounts import Accounts
from store.state.fleet import ChannelStand
from store.state.fleet_views import FleetViews
from store.state.state import State
from store.state.views import ClipView
from web.cards import ClipCard, card_of
from web.forms import Forms
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
    forms: Forms
    templates: Environment
    clock: Callable[[], float]
    accounts: Accounts | None = None
    """The connected Twitch accounts; None where none can be connected."""
    nav: tuple[tuple[str, str], ...] = ()
    """Address and name of the pages that stand in every page's head, besides the first one."""
    fleet: FleetViews | None = None
    """The workers on other machines; None where one process does everything."""

    def link(self, key: str) -> str:
        """Return a signed address of an object."""
        return self.signer.link(key, self.clock())

    def card(self, clip: ClipView) -> ClipCard:
        """Return a clip's card with signed addresses."""
        return card_of(clip, self.link)

    async def stands(self) -> Mapping[str, ChannelStand]:
        """Return which worker watches each channel; nothing where there are no workers.

        Raises:
            StateUnavailable: the database cannot be read now; so does `render`.
        """
        return {} if self.fleet is None else await self.fleet.channels()

    async def render(self, template: str, **values: object) -> str:
        """Return a page."""
        more = self.nav
        if self.fleet is not None and await self.fleet.ever():
            more = (*more, ("/workers", "Workers"))
        return self.templates.get_template(template).render(
            refresh_s=self.settings.refresh_s,
            health=self.health(),
            nav=(("/", "Sessions"), *more) if more else (),
            now_s=self.clock(),
            **values,
        )
