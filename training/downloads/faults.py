"""What can go wrong on the way, told apart by what to do about it."""

from processor.errors import DigitInboxError


class NotFetched(DigitInboxError):
    """A file is not where it should be: the message says what was tried, the remedy how to do it by hand."""


class Unwritable(DigitInboxError):
    """The disk takes no more: the other files would fail as well."""


class Unreachable(NotFetched):
    """No connection to the host: there is no use in asking it for the next file."""


class Refused(NotFetched):
    """The server answers, and will not give the file: another mirror may."""


class Broken(NotFetched):
    """The transfer broke off: what has arrived is kept, and the rest is asked for again."""


class Stale(NotFetched):
    """The rest that the server offers does not continue what has arrived: it begins anew."""


class WrongContent(NotFetched):
    """What has arrived, or was there before, is not the published data."""
