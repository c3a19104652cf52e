"""One table of how right the product is, on files and writers it was not trained on.

    python -m benchmarks.accuracy [--data ../shared/data] [--scorer ../shared/score.py] [--only WORD] [--json]

Pages go through the real command (`processor run --once`, default settings, the current model) and are scored
from the database it wrote. Single digits go through the product's normaliser and network. The last rows are
the seconds that a person waits, from a cold start.
"""

import argparse
import csv
import json
import shutil
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import handwriting
from benchmarks.any_page import any_page
from benchmarks.letters import letter_pages
from benchmarks.pages import LOOKS, Document, render, save, write_truth
from benchmarks.product import Bench, Row, home, processor
from benchmarks.written import written_numbers
from processor import settings
from processor.prediction.archive import find_model
from processor.prediction.classifier import Classifier
from processor.prediction.glyphs import batch
from training import datasets
from training.testsets import digit_sets

RENDERED = (("form", "scan"), ("table", "clean"), ("tally", "photo"), ("free", "scan"))
RENDERED_EACH = 3
REPEATS = 5


def seed_samples(bench: Bench) -> Iterable[Row]:
    folder = bench.data / "seed-samples"
    found = bench.score("digits", folder, folder / "truth.csv")
    yield Row("seed samples", "recall of digits", found["recall"], ">= 0.97")
    yield Row("seed samples", "precision of digits", found["precision"], ">= 0.97")
    yield Row("seed samples", "files exact, of 16", found["files_exact"], ">= 14")


def cheque_strips(bench: Bench) -> Iterable[Row]:
    folder = bench.data / "orand-car-a"
    held_out = datasets.held_out_strips(folder)
    with tempfile.TemporaryDirectory() as copies:
        for name in held_out:
            shutil.copy(folder / "images" / name, copies)
        truth = Path(copies, "truth.csv")
        with (folder / "truth.csv").open(newline="") as all_strips, truth.open("w", newline="") as kept:
            rows = csv.DictReader(all_strips)
            writer = csv.DictWriter(kept, ["file", "digits"], extrasaction="ignore")
            writer.writeheader()
            writer.writerows(row for row in rows if row["file"] in held_out)
        yield from numbers("cheque strips (200 held out)", bench.score("numbers", Path(copies), truth))


def climate_cells(bench: Bench) -> Iterable[Row]:
    folder = bench.data / "climate-cells"
    yield from numbers("climate cells (501)", bench.score("numbers", folder / "images", folder / "truth.csv"))


def rendered_pages(bench: Bench) -> Iterable[Row]:
    hands = handwriting.load(bench.data / "mnist")
    for kind, look in RENDERED:
        with tempfile.TemporaryDirectory() as folder:
            documents: list[Document] = []
            for seed in range(RENDERED_EACH):
                page = render(kind, hands, seed, dpi=200, look=LOOKS[look])
                save(page, Path(folder, f"{kind}-{seed}.png"))
                documents.append((f"{kind}-{seed}.png", [page]))
            write_truth(Path(folder), documents)
            scored = bench.score("numbers", Path(folder), Path(folder, "truth.csv"))
        yield from numbers(f"rendered {kind}s ({look})", scored)


def numbers(name: str, scored: dict[str, float]) -> Iterable[Row]:
    yield Row(name, "numbers read", scored["numbers_read"])
    yield Row(name, "extra numbers a file", scored["extra_numbers"] / scored["files"])
    yield Row(name, "accepted share", scored["accepted_share"])
    yield Row(name, "right among accepted", scored["accepted_right"])


def single_digits(bench: Bench) -> Iterable[Row]:
    archive = settings.load().models_archive
    classifier = Classifier.load(find_model(archive, "current").path)
    goals = {"mnist-test": ">= 0.995"}
    for test in digit_sets(bench.data):
        probabilities = classifier.probabilities(batch(test.inks.images))
        among_digits = float((probabilities[:, :10].argmax(axis=1) == test.inks.labels).mean())
        among_all = float((probabilities.argmax(axis=1) == test.inks.labels).mean())
        yield Row(test.name, "right, of ten digits", among_digits, goals.get(test.name, ""))
        yield Row(test.name, "right, with 'none'", among_all)


def waiting(bench: Bench) -> Iterable[Row]:
    samples = str(bench.data / "seed-samples")
    with home() as place:
        yield Row("processor --help", "seconds", median(lambda: processor(place, "--help")), "< 0.5")
    with home() as place:
        cold = processor(place, "run", "--once", samples, "--quiet")
        yield Row("processor run --once, 16 samples", "seconds", cold, "< 8")
        yield Row("processor status", "seconds", median(lambda: processor(place, "status")), "< 1")


def median(seconds: Callable[[], float]) -> float:
    return sorted(seconds() for _ in range(REPEATS))[REPEATS // 2]


PARTS: tuple[Callable[[Bench], Iterable[Row]], ...] = (
    seed_samples,
    single_digits,
    cheque_strips,
    climate_cells,
    rendered_pages,
    written_numbers,
    any_page,
    letter_pages,
    waiting,
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--scorer", type=Path, default=Path("../shared/score.py"))
    parser.add_argument("--only", default="", help="run only the parts whose name holds this word")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args()
    bench = Bench(options.data.resolve(), options.scorer.resolve())
    rows = [row for part in PARTS if options.only in part.__name__ for row in part(bench)]
    if options.json:
        print(json.dumps([asdict(row) for row in rows], indent=1))
        return
    table = Table("set", "measure", "figure", "goal")
    for row in rows:
        table.add_row(row.set, row.measure, f"{row.figure:.4f}", row.goal)
    Console().print(table)


if __name__ == "__main__":
    main()
