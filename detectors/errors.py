"""What can go wrong while sensing, by whose fault it is."""


class SensesError(Exception):
    """A segment could not be turned into features."""


class CorruptMedia(SensesError):
    """The media's own fault: it cannot be parsed or decoded."""


class NoAudio(SensesError):
    """The media has no sound that we can read."""


class PhraseUnknown(SensesError):
    """A phrase holds a word that the recogniser's dictionary does not know."""


class SpotterFailed(SensesError):
    """Our fault: a phrase spotter process died or did not answer."""
