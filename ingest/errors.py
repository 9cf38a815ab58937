"""What can go wrong with a source, by whose fault it is."""


class IngestError(Exception):
    """A source could not be watched."""


class SourceUnusable(IngestError):
    """The source can never be watched as it is; the message says why, for a person."""


class SourceGone(IngestError):
    """The source cannot be reached now; it may come back."""


class SourceOffline(SourceGone):
    """The platform says that nothing is on now."""


class MalformedPlaylist(IngestError):
    """A playlist's text is no playlist, or is larger than its limits."""


class BadSegment(IngestError):
    """A segment's bytes are not the media that its playlist announced."""


class AccessDenied(BadSegment):
    """What came in a segment's place is the server's word that it must not be read."""
