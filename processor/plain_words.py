"""What the checks of values complain of, in the words of this program."""

import re

_SAID = tuple(
    (re.compile(said), plain)
    for said, plain in (
        (r"^Value error, ", ""),
        (r"^Input should be a valid integer.*", "it should be a whole number"),
        (r"^Input should be a valid number.*", "it should be a number"),
        (r"^Input should be a valid boolean.*", "it should be true or false"),
        (r"^Input should be a valid string.*", "it should be text"),
        (r"^Input should be a valid (?:tuple|list).*", "it should be a list"),
        (r"^Input is not a valid path.*", "it should be a path"),
        (r"^(?:String|Value) should have at least 1 .*", "it should not be empty"),
        (r"^Input should be greater than or equal to (\S+)", r"it should be \1 or more"),
        (r"^Input should be less than or equal to (\S+)", r"it should be \1 or less"),
        (r"^Input should be greater than (\S+)", r"it should be above \1"),
        (r"^Input should be less than (\S+)", r"it should be below \1"),
        (r"^(?:Input|String) should ", "it should "),
    )
)


def in_plain_words(said: str) -> str:
    """A sentence of pydantic's, which the settings and the command line are checked with, for people."""
    for pattern, plain in _SAID:
        said = pattern.sub(plain, said)
    return said
