"""What can go wrong with a request, by whose fault it is."""


class WebError(Exception):
    """A request cannot be answered."""


class LinkForged(WebError):
    """The link was not made here, or has been changed."""


class LinkExpired(WebError):
    """The link was good once; the page it stood on has a new one."""


class RangeUnsatisfiable(WebError):
    """The asked range begins behind the end."""


class WorkerRefused(WebError):
    """A worker's token or secret does not let it in."""
