"""Is it the published file? Decided by its bytes alone, whatever the server said of them."""

import hashlib
import zlib
from dataclasses import dataclass

from training.downloads.faults import WrongContent

GZIP_MAGIC = b"\x1f\x8b"


@dataclass(frozen=True, slots=True)
class PackedFile:
    """A published `.gz` file: sha256 and length (in bytes), of itself and of its content."""

    sha256: str
    length: int
    content_sha256: str
    content_length: int

    @property
    def limit_bytes(self) -> int:
        """No server is read for longer than this; even a file packed without compression fits."""
        return self.content_length + (1 << 20)

    def accept(self, data: bytes) -> bytes:
        """The bytes to keep of what a server sent, or of what was there.

        A file that somebody packed anew has another sha256 and the same content: it is kept. Some servers
        pack a `.gz` file once more on its way, or leave it to the client to unpack that: it is unpacked.

        Raises WrongContent.
        """
        found = digest(data)
        if found == self.sha256:
            return data
        content = unpacked(data, max(self.content_length, self.length))
        if content is not None and digest(content) == self.content_sha256:
            return data
        if content is not None and digest(content) == self.sha256:
            return content
        raise WrongContent(
            f"{described(data)} with the sha256 {found}; the published file has {self.length:,} bytes "
            f"and the sha256 {self.sha256}"
        )


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def unpacked(data: bytes, limit_bytes: int) -> bytes | None:
    """What is packed in the gzip file `data`; `None` where it is none, is damaged, or holds more than that.

    A few kilobytes can unpack to gigabytes, so no more than the limit is ever unpacked.
    """
    if not data.startswith(GZIP_MAGIC):
        return None
    unpacker = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    try:
        content = unpacker.decompress(data, limit_bytes + 1)
    except zlib.error:
        return None
    return content if unpacker.eof and len(content) <= limit_bytes else None


def described(data: bytes) -> str:
    """What `data` is, in a few words."""
    if not data:
        return "it is empty"
    if is_web_page(data):
        return f"it is a web page of {len(data):,} bytes"
    return f"it has {len(data):,} bytes"


def is_web_page(data: bytes) -> bool:
    """Whether `data` begins as HTML does: what logins, error pages and hotel networks answer with."""
    start = data[:256].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return start.startswith((b"<!doctype html", b"<html", b"<head", b"<?xml"))
