"""What can go wrong between a moment and its clip, by whose fault it is."""


class ClipperError(Exception):
    """The clipper could not do what it was asked."""


class UnknownRanker(ClipperError):
    """The settings name a ranking that does not exist."""


class CutFailed(ClipperError):
    """A clip cannot be cut; `reason` is the stable word of ClipFailed."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
