"""Templates and the style sheet, as they lie beside this module."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from billing.minutes import chargeable_minutes
from store.state.views import SessionView
from store.worker_names import machine_of, process_of
from web import fleet_words, words

STATIC_FOLDER = Path(__file__).with_name("static")
_TEMPLATES_FOLDER = Path(__file__).with_name("templates")


@cache
def make_environment() -> Environment:
    """Return the templates, compiled once; everything that is put into one is escaped."""
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        clock=words.clock_text,
        span=words.span_text,
        score=words.score_text,
        kind=words.kind_text,
        gap=words.gap_text,
        session_kind=words.session_kind_text,
        place=words.place_text,
        machine=machine_of,
        process=process_of,
        waiting=fleet_words.waiting_text,
        waited=fleet_words.waited_text,
        state=fleet_words.state_text,
        state_look=fleet_words.state_look,
        places=fleet_words.places_text,
        heard=fleet_words.heard_text,
        holding=fleet_words.holding_text,
        long_ago=fleet_words.long_ago_text,
        iso=fleet_words.iso_text,
    )
    environment.globals.update(
        status_text=words.status_text,
        evidence_text=words.evidence_text,
        reaction_text=words.reaction_text,
        trouble_sentence=words.trouble_sentence,
        is_load=words.is_load,
        told=fleet_words.told,
        standing_text=fleet_words.standing_text,
        since_text=fleet_words.since_text,
        minutes=_minutes,
    )
    return environment


def _minutes(session: SessionView) -> int:
    return chargeable_minutes(session.minutes_claimed, session.stored_s)


def style_sheet() -> Markup:
    """Return the style sheet, to be put into a page that has no server."""
    return Markup((STATIC_FOLDER / "clipthat.css").read_text(encoding="utf-8"))
