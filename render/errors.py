"""What can go wrong with a render, by whose fault it is."""


class RenderError(Exception):
    """A finished output could not be made.

    `reason` is the short stable word of RenderFailed; `again` says whether another try may help.
    """

    reason = "failed"
    again = True


class SourceUnusable(RenderError):
    """The source cut cannot be rendered, whoever tries: broken, empty or too long."""

    reason = "source_unusable"
    again = False


class SourceMissing(RenderError):
    """The source cut is not in the object store (any more)."""

    reason = "source_missing"
    again = False


class UnknownLayout(RenderError):
    """No layout is registered under the name that was asked for."""

    reason = "unknown_layout"
    again = False


class EncodeFailed(RenderError):
    """The encoder ended with an error; the message holds the end of what it said."""

    reason = "encode_failed"


class EncodeTimedOut(RenderError):
    """The encoder ran past its wall limit and was killed."""

    reason = "timed_out"


class OutputBroken(RenderError):
    """The finished file is not what was asked for, so it never became visible."""

    reason = "output_broken"
    again = False
