"""One file over HTTP: asked for, continued where it broke off, and never believed further than its bytes.

Servers break off, ignore ranges, send other ranges than they say, and answer with a page to sign in on. So a
range is only appended where it begins exactly at the end of what has arrived, of the same version of the file
(RFC 9110, sections 13.1.5 and 14); everything else begins anew. Whether the whole is right is decided by its
content, not here.
"""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPException, HTTPMessage, HTTPResponse
from typing import IO
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener, getproxies, proxy_bypass

from processor import __version__
from training.downloads.faults import Broken, Refused, Stale, Unreachable, WrongContent
from training.downloads.parts import Origin, Part

Progress = Callable[[int, int | None], None]
"""Told how many bytes are there, and of how many, where the server says so."""

_CHUNK = 1 << 16
_PASSING = {408, 425, 429, 500, 502, 503, 504}
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")
_PLAIN = {"", "identity", "gzip", "x-gzip"}


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a server is waited for, and how often it is asked again."""

    silence_seconds: float = 30
    window_seconds: float = 30
    window_bytes: int = 8192
    """A server that sends less than this in a window would take days: that is a broken transfer too."""
    attempts: int = 5
    """So many in a row without getting any further."""
    pause_seconds: float = 1.0
    """Before the second attempt; twice as long before each one after that."""


def receive(address: str, part: Part, limit_bytes: int, patience: Patience, progress: Progress) -> None:
    """Asks `address` for what is missing of `part`, and returns when everything announced has arrived.

    Raises Unreachable, Refused, Broken (ask again: the part is kept), Stale and WrongContent (the part is of
    no use), and what Part raises.
    """
    origin = part.origin(address)
    held = part.size if origin else 0
    with _asked(address, held, origin, patience) as reply:
        _refuse_nonsense(reply, address)
        start, end = _extent(reply, held, origin, address)
        if (end or 0) > limit_bytes:
            raise Refused(f"{address} announces {end:,} bytes; the file has at most {limit_bytes:,}")
        if start == 0:
            part.begin(_origin_of(reply, address))
        progress(start, end)
        with part.appending() as append:
            for arrived, chunk in _chunks(reply, start, address, patience):
                if arrived > limit_bytes:
                    raise WrongContent(f"{address} sends more than {limit_bytes:,} bytes, and goes on")
                append(chunk)
                progress(arrived, end)
    if end is not None and part.size < end:
        raise Broken(f"{address} broke off after {part.size:,} of {end:,} bytes")


@contextmanager
def _asked(address: str, held: int, origin: Origin | None, patience: Patience) -> Iterator[HTTPResponse]:
    """The reply to the question for everything after the first `held` bytes, and what goes wrong with it."""
    headers = {"User-Agent": f"digit-inbox/{__version__}", "Accept-Encoding": "identity"}
    if held and origin:
        headers["Range"] = f"bytes={held}-"
        if origin.condition:
            headers["If-Range"] = origin.condition
    redirects = Redirects()
    try:
        opener = build_opener(redirects)
        with opener.open(Request(address, headers=headers), timeout=patience.silence_seconds) as reply:
            yield reply
    except HTTPError as error:
        error.close()
        raise _refusal(address, error, held) from None
    except URLError as error:
        raise _no_connection(redirects.target or address, error.reason) from None
    except TimeoutError:
        raise Broken(f"{address} was silent for {patience.silence_seconds:g} seconds") from None
    except (OSError, HTTPException) as error:
        raise Broken(f"{address} broke off ({_reason(error)})") from None
    except ValueError as error:
        raise Refused(f"{redirects.target or address} is no address that can be used ({error})") from None


def _refusal(address: str, error: HTTPError, held: int) -> Broken | Refused | Stale:
    said = " ".join(f"{address} answers {error.code} {error.reason}".split())
    if error.code == 416 and held:
        return Stale(f"{said}: it has nothing after the first {held:,} bytes")
    if error.code in _PASSING:
        return Broken(said)
    if error.code in {401, 403}:
        return Refused(f"{said}: it wants to know who you are, or does not serve everyone")
    return Refused(said)


def _no_connection(address: str, reason: object) -> Broken | Unreachable:
    parts = urlsplit(address)
    if isinstance(reason, ConnectionResetError | BrokenPipeError):
        return Broken(f"{address} broke off ({_reason(reason)})")
    proxy = getproxies().get(parts.scheme)
    through = ""
    if proxy and not proxy_bypass(parts.netloc):
        through = f" by way of the proxy {urlsplit(proxy).hostname or 'of the environment'}"
    return Unreachable(f"there is no connection to {parts.hostname}{through} ({_reason(reason)})")


def _reason(error: object) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _refuse_nonsense(reply: HTTPResponse, address: str) -> None:
    """Raises Refused for a reply that is plainly not the file, before what has arrived is given up for it."""
    if reply.status not in {200, 206}:
        raise Refused(f"{address} answers {reply.status} {reply.reason}")
    if reply.headers.get_content_type() == "text/html":
        raise Refused(f"{address} answers with a web page: to sign in on, or one of the network you are in")
    encoding = reply.headers.get("Content-Encoding", "").strip().lower()
    if encoding not in _PLAIN:
        raise Refused(f"{address} sends the file packed as {encoding!r}, which was not asked for")


def _extent(reply: HTTPResponse, held: int, origin: Origin | None, address: str) -> tuple[int, int | None]:
    """Where in the file the reply begins, and the length of the whole file where it is announced.

    Raises Stale where a part is offered that does not continue what has arrived.
    """
    if reply.status == 200:
        return 0, reply.length
    stated = reply.headers.get("Content-Range", "")
    found = _RANGE.fullmatch(stated.strip())
    if found is None or int(found[1]) != held or not held:
        raise Stale(f"{address} was asked for the bytes from {held:,} on, and sends {stated or 'a part'!r}")
    if origin and origin.etag and reply.headers.get("ETag", origin.etag) != origin.etag:
        raise Stale(f"{address} has another version of the file by now")
    return held, None if found[3] == "*" else int(found[3])


def _origin_of(reply: HTTPResponse, address: str) -> Origin:
    return Origin(address, reply.headers.get("ETag", ""), reply.headers.get("Last-Modified", ""))


def _chunks(reply: HTTPResponse, start: int, address: str, patience: Patience) -> Iterator[tuple[int, bytes]]:
    """What arrives, and how much of the file is there with it. Raises Broken for a server that only drips."""
    arrived, since, before = start, time.monotonic(), start
    # read1, not read: a server that sends a byte a second would keep `read` waiting for its 64 KiB.
    while chunk := reply.read1(_CHUNK):
        arrived += len(chunk)
        yield arrived, chunk
        if (passed := time.monotonic() - since) >= patience.window_seconds:
            if arrived - before < patience.window_bytes:
                raise Broken(f"{address} sent {arrived - before:,} bytes in {passed:.1f} seconds")
            since, before = time.monotonic(), arrived


@dataclass
class Redirects(HTTPRedirectHandler):
    """Follows redirects, remembers where to, and never leaves HTTPS once it was promised."""

    target: str = field(default="", init=False)

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        self.target = newurl
        allowed = {"https"} if req.type == "https" else {"http", "https"}
        if urlsplit(newurl).scheme not in allowed:
            fp.close()
            raise Refused(f"{req.full_url} redirects to {newurl}, which is not followed")
        return super().redirect_request(req, fp, code, msg, headers, newurl)
