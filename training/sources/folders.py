"""Sources of image files: a folder for each digit, a table of labels, a tree of non-digits."""

import csv
import io
from dataclasses import dataclass
from pathlib import Path

from processor.errors import BadCommand, BadScan
from processor.records import Page
from training.inks import NONE
from training.sources.files import SUFFIXES, fault, read_inks, read_page
from training.sources.found import Found, mostly_read

DIGITS = tuple("0123456789")

IMAGE_COLUMNS = ("image", "file", "filename", "file_name", "image_path", "image_file", "path", "img", "name")
LABEL_COLUMNS = ("label", "digit", "class", "target", "y")

NO_DIGIT = "none"
"""The label, in a table, of what is no digit."""

SHOWN = 8
"""A refusal lists so many of the names that were found."""


def digit_folders(source: str, folder: Path) -> Found:
    """Images below `folder/0` to `folder/9`, or once more nested: `folder/3/3/17.png`.

    Raises BadCommand where none of these folders is there, or they hold no image.
    """
    found = subfolders(folder)
    digits = [name for name in DIGITS if name in found]
    if not digits:
        raise BadCommand(f"{folder} has {_listed(found, 'folder')}; expected the folders 0 to 9.", _REMEDY)
    files = [
        (file, int(digit)) for digit in digits for file in _images(folder / digit, folder / digit / digit)
    ]
    if not files:
        raise BadCommand(f"{folder} has no image in its folders {', '.join(digits)}.", _REMEDY)
    read = read_inks(source, folder, files)
    missing = [name for name in DIGITS if name not in digits]
    foreign = [name for name in found if name not in DIGITS]
    notices = [f"{folder} has no folder {', '.join(missing)}."] if missing else []
    notices += [f"{folder}: {_listed(foreign, 'folder')} left out, being no digit."] if foreign else []
    return Found(read.inks, read.skipped, tuple(notices), grouped=False)


def non_digits(source: str, folder: Path) -> Found:
    """All images anywhere below `folder`, labelled as no digit, each a group of its own."""
    subfolders(folder)
    files = [(file, NONE) for file in sorted(folder.rglob("*")) if _is_image(file)]
    if not files:
        raise BadCommand(f"{folder} has no image; expected a folder of images of non-digits.", _REMEDY)
    read = read_inks(source, folder, files)
    return Found(read.inks, read.skipped)


@dataclass(frozen=True, slots=True, eq=False)
class Pages:
    """Page images of a folder, and which of them could not be read."""

    pages: tuple[Page, ...]
    skipped: tuple[str, ...]


def pages(folder: Path, most: int) -> Pages:
    """Page images anywhere below `folder`; of more than `most`, so many, evenly spaced by their names.

    Raises BadCommand where there is none, or more than half are damaged.
    """
    subfolders(folder)
    files = sorted(file for file in folder.rglob("*") if _is_image(file))
    files = files[:: max(1, -(-len(files) // most))]
    read: list[Page] = []
    skipped: list[str] = []
    for file in files:
        try:
            read.append(read_page(file))
        except BadScan as error:
            skipped.append(fault(folder, file, error))
    if not read and not skipped:
        raise BadCommand(f"{folder} has no image; expected a folder of page images.", _REMEDY)
    return Pages(tuple(read), mostly_read(folder, len(read), skipped))


def image_list(source: str, file: Path) -> Found:
    """The images that the table `file` lists with their labels, beside it or relative to it.

    UTF-8 with or without a header; the two columns are found by their names, or are the first two. A label
    is a digit or `none`. Raises BadCommand where it is no such table, or has no row.
    """
    rows = read_table(file)
    image, label, first = _columns(file, rows)
    files: list[tuple[Path, int]] = []
    skipped: list[str] = []
    for number, row in enumerate(rows[first:], first + 1):
        cells = [row[place].strip() if place < len(row) else "" for place in (image, label)]
        if cells[1] not in (*DIGITS, NO_DIGIT):
            skipped.append(f"{file.name}, row {number}: the label {cells[1]!r}; expected 0 to 9 or none")
        elif not cells[0]:
            skipped.append(f"{file.name}, row {number}: no image is named")
        elif "\0" in cells[0]:
            skipped.append(f"{file.name}, row {number}: {cells[0]!r} is the name of no file")
        else:
            # Tables written on Windows name their images with backslashes.
            place = file.parent / cells[0].replace("\\", "/")
            files.append((place, NONE if cells[1] == NO_DIGIT else int(cells[1])))
    if not files and not skipped:
        raise BadCommand(f"{file} lists no image; expected rows of image,label.", _REMEDY)
    return read_inks(source, file.parent, files, skipped)


def read_table(file: Path) -> list[list[str]]:
    """The rows of a CSV with commas, semicolons or tabs, empty ones left out. Raises BadCommand."""
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise BadCommand(f"{file} cannot be read: {error.strerror}.", _REMEDY) from None
    except UnicodeDecodeError as error:
        raise BadCommand(f"{file} is no UTF-8 text: {error.reason} at byte {error.start}.", _REMEDY) from None
    head = text.partition("\n")[0]
    delimiter = max(",;\t", key=head.count)
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise BadCommand(f"{file} is no CSV: {error}.", _REMEDY) from None
    return [row for row in rows if any(cell.strip() for cell in row)]


def _columns(file: Path, rows: list[list[str]]) -> tuple[int, int, int]:
    """The places of image and label, and of the first row that is no header."""
    head = [cell.strip().lower() for cell in rows[0]] if rows else []
    image = next((head.index(name) for name in IMAGE_COLUMNS if name in head), None)
    label = next((head.index(name) for name in LABEL_COLUMNS if name in head), None)
    if image is not None and label is not None:
        return image, label, 1
    if len(head) == 2 and Path(head[0]).suffix in SUFFIXES:
        return 0, 1, 0
    if not rows:
        raise BadCommand(f"{file} is empty; expected rows of image,label.", _REMEDY)
    raise BadCommand(
        f"{file} begins with {','.join(rows[0])[:80]!r}; expected the columns image,label.", _REMEDY
    )


def subfolders(folder: Path) -> list[str]:
    """The names of the folders in `folder`. Raises BadCommand where it is no folder, or cannot be listed."""
    try:
        return sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and entry.name[0] != ".")
    except NotADirectoryError:
        raise BadCommand(f"{folder} is a file; expected a folder.", _REMEDY) from None
    except OSError as error:
        raise BadCommand(f"{folder} cannot be listed: {error.strerror}.", _REMEDY) from None


def _images(*folders: Path) -> list[Path]:
    return [
        file for folder in folders if folder.is_dir() for file in sorted(folder.iterdir()) if _is_image(file)
    ]


def _is_image(file: Path) -> bool:
    return file.suffix.lower() in SUFFIXES and not file.name.startswith(".") and file.is_file()


def _listed(names: list[str], what: str) -> str:
    if not names:
        return f"no {what}s"
    shown = ", ".join(names[:SHOWN]) + (", …" if len(names) > SHOWN else "")
    return f"the {what}{'s' if len(names) > 1 else ''} {shown}"


_REMEDY = "Correct the path in the recipe, or the data."
