"""Control characters are shown, never sent: file names come from strangers, and a terminal obeys them."""

import re

# Control characters, marks that turn the writing direction, surrogates (bytes of names that are not UTF-8).
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_UNSAFE_IN_JSON = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def visible(text: object) -> str:
    r"""`text` with every control character shown (`\n`, `\x1b`, `\udcff`) instead of sent to the terminal."""
    return _UNSAFE.sub(lambda match: ascii(match.group())[1:-1], str(text))


def visible_in_json(document: str) -> str:
    """The same for a JSON document, which means what it meant before."""
    return _UNSAFE_IN_JSON.sub(lambda match: f"\\u{ord(match.group()):04x}", document)
