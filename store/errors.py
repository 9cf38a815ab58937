"""What can go wrong with stored things, by whose fault it is."""

from bus.errors import Unavailable


class StoreError(Exception):
    """The store could not do what it was asked."""


class ObjectMissing(StoreError):
    """No object lies under this key."""


class StorageFull(StoreError, Unavailable):
    """The disk or bucket has no space left; free some and run the same command again."""


class StoreUnavailable(StoreError, Unavailable):
    """The store cannot be reached or refuses to work at present."""


class ReplayLogBroken(StoreError):
    """A recorded log of features cannot be read any further."""


class DecryptionFailed(StoreError):
    """The key does not open this segment, or its bytes are not whole."""


class FetchError(StoreError):
    """A remote resource could not be read."""


class FetchRefused(FetchError):
    """The address is not on the allow-list: a scheme, a private network or a redirect to one."""


class FetchStatus(FetchError):
    """The server answered with an error status."""

    def __init__(self, url: str, status: int, body: bytes = b"") -> None:
        """`body`: the beginning of what the server wrote about it."""
        super().__init__(f"{url} answered {status}")
        self.status = status
        self.body = body


class FetchTooLarge(FetchError):
    """The body is larger than its limit."""


class FetchTruncated(FetchError):
    """The body ended before its announced length."""
