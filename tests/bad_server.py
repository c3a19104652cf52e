"""A web server on this computer that misbehaves as it is told to, answer by answer."""

import gzip
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = Callable[["Request"], None]
"""Writes one reply, or what it takes for one."""


class Request(BaseHTTPRequestHandler):
    """One request: answered by the next answer for its path; the last answer is given for ever."""

    server: "BadServer"

    def do_GET(self) -> None:
        self.server.asked.append((self.path, self.headers))
        answers = self.server.answers.get(self.path, [status(404)])
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        answer(self)
        self.close_connection = True

    def head(self, code: int, **headers: object) -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    @property
    def start(self) -> int:
        """The first byte that is asked for."""
        found = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        return int(found[1]) if found else 0

    def reset(self) -> None:
        """Breaks the connection off as a router does that forgot it: with a reset, not with an end."""
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        for end in (self.rfile, self.wfile, self.connection):
            end.close()

    def log_message(self, format: str, *args: Any) -> None:
        pass


class BadServer(ThreadingHTTPServer):
    """Listens on a free port; `answers` by path, and `asked`: the path and headers of every request."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Request)
        self.answers: dict[str, list[Answer]] = {}
        self.asked: list[tuple[str, Message]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def give(self, path: str, *answers: Answer) -> str:
        self.answers[path] = list(answers)
        return self.url + path

    @property
    def ranges(self) -> list[str | None]:
        """What part of the file each request asked for."""
        return [headers.get("Range") for _, headers in self.asked]

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass


@contextmanager
def serving() -> Iterator[BadServer]:
    with BadServer() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


# --- servers as they should be ------------------------------------------------------------------------


def ranged(data: bytes, etag: str = '"1"', **headers: object) -> Answer:
    """Serves ranges, and the whole where `If-Range` names another version (RFC 9110)."""

    def answer(request: Request) -> None:
        start = request.start
        condition = request.headers.get("If-Range", etag)
        if not start or condition != etag:
            request.head(200, Content_Length=len(data), ETag=etag, **headers)
            request.wfile.write(data)
        elif start >= len(data):
            request.head(416, Content_Range=f"bytes */{len(data)}", Content_Length=0)
        else:
            part = f"bytes {start}-{len(data) - 1}/{len(data)}"
            request.head(206, Content_Range=part, Content_Length=len(data) - start, ETag=etag, **headers)
            request.wfile.write(data[start:])

    return answer


def whole(data: bytes, **headers: object) -> Answer:
    """Knows nothing of ranges."""

    def answer(request: Request) -> None:
        request.head(200, Content_Length=len(data), **headers)
        request.wfile.write(data)

    return answer


def unmeasured(data: bytes) -> Answer:
    """Says nothing of the length: the file ends where the connection does."""

    def answer(request: Request) -> None:
        request.head(200)
        request.wfile.write(data)

    return answer


def status(code: int) -> Answer:
    return lambda request: request.head(code, Content_Length=0)


def redirect(target: str) -> Answer:
    return lambda request: request.head(302, Location=target, Content_Length=0)


# --- servers as they are ------------------------------------------------------------------------------


def cut(data: bytes, after: int, *, reset: bool = False, **headers: object) -> Answer:
    """Announces the whole file and breaks off `after` bytes of it."""

    def answer(request: Request) -> None:
        request.head(200, Content_Length=len(data), **headers)
        request.wfile.write(data[:after])
        if reset:
            # The bytes must have left before the reset throws away what waits.
            request.wfile.flush()
            time.sleep(0.05)
            request.reset()

    return answer


def cut_in_chunks(data: bytes, after: int) -> Answer:
    """Sends one chunk of a chunked reply, and no end."""

    def answer(request: Request) -> None:
        request.protocol_version = "HTTP/1.1"
        request.head(200, Transfer_Encoding="chunked", ETag='"1"')
        request.wfile.write(b"%x\r\n%s\r\n" % (after, data[:after]))

    return answer


def announced(data: bytes, length: object) -> Answer:
    """Lies about the length, and goes on for as long as it likes."""

    def answer(request: Request) -> None:
        request.head(200, Content_Length=length)
        request.wfile.write(data)

    return answer


def misplaced(data: bytes, stated: str | None, start: int, etag: str = '"1"') -> Answer:
    """Answers a range with another one; `stated` is what it says of it."""

    def answer(request: Request) -> None:
        headers = {} if stated is None else {"Content_Range": stated}
        request.head(206, Content_Length=len(data) - start, ETag=etag, **headers)
        request.wfile.write(data[start:])

    return answer


def packed(data: bytes, label: str = "gzip") -> Answer:
    """Packs the file once more on its way."""
    return whole(gzip.compress(data), Content_Encoding=label)


def page(kind: str = "text/html; charset=utf-8") -> Answer:
    """The page that a hotel's network answers everything with."""
    return whole(b"\n<!DOCTYPE html><title>Welcome</title>" + b"x" * 500, Content_Type=kind)


def dripping(data: bytes, pause_seconds: float) -> Answer:
    """A byte, a pause, a byte: never silent, never done."""

    def answer(request: Request) -> None:
        request.head(200, Content_Length=len(data), ETag='"1"')
        for place in range(len(data)):
            request.wfile.write(data[place : place + 1])
            time.sleep(pause_seconds)

    return answer


def stalling(data: bytes, after: int, until: threading.Event, etag: str = '"1"') -> Answer:
    """Falls silent `after` bytes, and keeps the line."""

    def answer(request: Request) -> None:
        request.head(200, Content_Length=len(data), ETag=etag)
        request.wfile.write(data[:after])
        request.wfile.flush()
        until.wait(20)

    return answer


def endless(request: Request) -> None:
    """Sends until nobody listens any more."""
    request.head(200)
    try:
        while True:
            request.wfile.write(bytes(1 << 16))
    except OSError:
        return


def gibberish(request: Request) -> None:
    """Is no web server at all."""
    request.wfile.write(b"220 mail.example ESMTP ready\r\n")
