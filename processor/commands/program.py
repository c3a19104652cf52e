"""The frame around a program's commands: what goes wrong becomes words and an exit code, no traceback."""

import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NoReturn, cast

from processor.errors import BadCommand, DigitInboxError


def run_program(app: Callable[[], object]) -> None:
    """Runs `app` and ends the process; the one place that turns errors into messages and exit codes."""
    _open_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        # A file name that the terminal's encoding cannot write must not end the program.
        cast(io.TextIOWrapper, stream).reconfigure(errors="backslashreplace")
    with _guarded_streams():
        try:
            app()
        except DigitInboxError as error:
            _end(error)
        finally:
            _flush()


def _flush() -> None:
    """Writes what is buffered; a reader that is gone (`processor results | head`) is no error."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _discard(sys.stdout)
    except BadCommand as error:
        _end(error)


def _end(error: DigitInboxError) -> NoReturn:
    from processor.commands.console import Words

    if isinstance(error, _Lost):
        _discard(sys.stdout)
    Words().fail(error)
    sys.exit(error.exit_code)


def _discard(stream: Any) -> None:
    """Sends what is still buffered nowhere: Python would try once more at its end, and complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


class _Lost(BadCommand):
    """What was to be printed is lost."""


class _Stdout:
    """stdout, which only has data: where it cannot be written, a person is told so."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    @property
    def buffer(self) -> "_Stdout":
        return _Stdout(self._stream.buffer)

    def write(self, data: Any) -> int:
        with _told():
            return int(self._stream.write(data))

    def flush(self) -> None:
        with _told():
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _Stderr:
    """stderr, which only has words: one that is full or closed, or whose reader is gone, stops no work."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise _Lost(
            f"stdout cannot be written: {error.strerror}.", "What was to be printed is lost."
        ) from None


@contextmanager
def _guarded_streams() -> Iterator[None]:
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = cast(Any, _Stdout(sys.stdout)), cast(Any, _Stderr(sys.stderr))
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
        try:
            sys.stderr.flush()
        except OSError:
            _discard(sys.stderr)


def _open_closed_streams() -> None:
    """A stream that is closed (`>&-`) would lend its number to the next file that is opened: the database.

    A closed stdout becomes one that cannot be written, so that data does not vanish without a word.
    """
    for number, flags in ((0, os.O_RDONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, flags)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
    # Python has none where it found the stream closed, whatever the types say.
    if cast(Any, sys.stdout) is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    if cast(Any, sys.stderr) is None:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
