"""How fast reading is: what a page costs beside its decoding, and how that adds up over many pages.

    python -m benchmarks.throughput                            # everything but 10,000 pages: ten minutes
    python -m benchmarks.throughput --only pages --kind "310 digits"
    python -m benchmarks.throughput --only pages --against tesseract
    python -m benchmarks.throughput --only slope --pages 10000

Seconds are processor seconds, of one thread, unless a measure says otherwise; figures are medians.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from statistics import median

from benchmarks import handwriting
from benchmarks.pages import DATA
from benchmarks.product import Row, home, processor
from benchmarks.rivals import ONE_THREAD
from benchmarks.stopwatch import WARM_UP, Timed
from benchmarks.whole_command import Finished, run_once
from benchmarks.workload import RULED, Sample, samples, small_page

SIZES = 100, 1_000, 10_000
SLOPE_GOAL = "< 5"
RATIO_GOALS = {"JPEG, empty": "<= 1.6", "JPEG, 310 digits": "<= 3.0", "colour JPEG, 310 digits": "<= 3.0"}
RULED_GOALS = {f"JPEG, 310 digits{RULED}": "<= 1.15"}
MEMORY_GOALS = {"parent": "<= 250", "worker": "<= 450"}


@dataclass(frozen=True)
class Bench:
    """What is measured, and how often; the pages are drawn once."""

    data: Path
    kind: str = ""
    dpi: float = 300
    look: str = "scan"
    repeats: int = 5
    most: int = SIZES[1]
    against: str | None = None

    @cached_property
    def samples(self) -> list[Sample]:
        print("Drawing pages.", file=sys.stderr)
        found = list(samples(handwriting.load(self.data), self.kind, dpi=self.dpi, look=self.look))
        if not found:
            raise SystemExit(f"--kind {self.kind!r}: no page is called so; one is '310 digits, ruled'.")
        return found

    @cached_property
    def small(self) -> Sample:
        return small_page(handwriting.load(self.data))

    @cached_property
    def cold(self) -> list[Finished]:
        """Runs of the whole command on one small page."""
        return [self.run(1) for _ in range(self.repeats)]

    def run(self, pages: int) -> Finished:
        """The whole command on so many small pages, on as many workers as it takes by itself."""
        with tempfile.TemporaryDirectory() as folder:
            for number in range(pages):
                self.small.copy(Path(folder), number)
            return run_once(Path(folder))

    def a_page(self, runs: Sequence[Finished], what: Callable[[Finished], float], counted: int = 0) -> float:
        """What each page of `runs` takes beyond a cold start, which has `counted` of these pages in it."""
        starting = median(what(run) for run in self.cold)
        return median((what(run) - starting) / (run.pages - counted) for run in runs)


def pages(bench: Bench) -> Iterator[Row]:
    """What a page of each kind costs: decoding alone, each stage, and all of it."""
    wholes = {}
    with tempfile.TemporaryDirectory() as folder:
        for number, sample in enumerate(bench.samples):
            place = Path(folder, f"{number:02d}")
            place.mkdir()
            for copy in range(bench.repeats + WARM_UP):
                sample.copy(place, copy)
        timed = _timed(Path(folder), bench.against)
    for sample, found in zip(bench.samples, timed, strict=True):
        wholes[sample.name] = median(page.whole for page in found)
        yield from a_kind(sample.name, found, bench.against)
    yield from ruled_to_clean(wholes)


def a_kind(name: str, timed: Sequence[Timed], against: str | None = None) -> Iterator[Row]:
    """The rows of one kind of pages."""
    yield Row(name, "decoding alone, s", median(page.decoding for page in timed))
    for stage in dict.fromkeys(stage for page in timed for stage in page.stages):
        yield Row(name, f"{stage}, s", median(page.stages.get(stage, 0.0) for page in timed))
    yield Row(name, "whole, s", median(page.whole for page in timed))
    ratio = median(page.whole / page.decoding for page in timed)
    yield Row(name, "whole : decoding", ratio, RATIO_GOALS.get(name, ""))
    pairs = [(page.rival, page) for page in timed if page.rival is not None]
    if against is not None and pairs:
        yield Row(name, f"{against}, s", median(other for other, _ in pairs))
        yield Row(name, f"{against} : decoding", median(other / page.decoding for other, page in pairs))
        yield Row(name, f"{against} : whole", median(other / page.whole for other, page in pairs))


def ruled_to_clean(wholes: Mapping[str, float]) -> Iterator[Row]:
    """How much more a page costs for the lines on it."""
    for name, whole in wholes.items():
        clean = wholes.get(name.removesuffix(RULED))
        if name.endswith(RULED) and clean is not None:
            yield Row(name, "ruled : clean", whole / clean, RULED_GOALS.get(name, ""))


def command(bench: Bench) -> Iterator[Row]:
    """The whole command over a page of each kind, with one worker and with two, in turns."""
    with tempfile.TemporaryDirectory() as name:
        for number, sample in enumerate(bench.samples):
            sample.copy(Path(name), number)
        runs = [[run_once(Path(name), workers) for workers in (1, 2)] for _ in range(bench.repeats)]
    one, two = zip(*runs, strict=True)
    kinds = f"{one[0].pages} pages, one of each kind"
    for workers, those in ((1, one), (2, two)):
        yield Row(kinds, f"pages a second, workers: {workers}", 1 / bench.a_page(those, _seconds))
    faster = [bench.a_page([first], _seconds) / bench.a_page([second], _seconds) for first, second in runs]
    yield Row(kinds, "2 workers : 1 worker", median(faster), ">= 1.85")
    yield Row(kinds, "of all processes, s a page", bench.a_page(one, _spent))
    for process in two[0].peaks_mb:
        peak = median(run.peaks_mb.get(process, 0.0) for run in two)
        yield Row(kinds, f"peak memory, {process}, MB", peak, MEMORY_GOALS.get(process.split()[0], ""))


def start(bench: Bench) -> Iterator[Row]:
    """What a person waits for each time, in seconds on the clock."""
    with home() as place:
        asked = [processor(place, "--help") for _ in range(bench.repeats)]
        yield Row("processor --help", "seconds by the clock", median(asked), "<= 0.4")
    yield Row("run --once, a small page", "seconds by the clock", median(map(_seconds, bench.cold)), "<= 3.5")
    with home() as place:
        processor(place, "run", "--once", "inbox", "--quiet")
        asked = [processor(place, "status") for _ in range(bench.repeats)]
        yield Row("processor status", "seconds by the clock", median(asked), "< 1")


def slope(bench: Bench) -> Iterator[Row]:
    """Whether a page takes longer where there are more of them: small pages, all workers."""
    sizes = [size for size in SIZES if size <= bench.most]
    first = 0.0
    for size in sizes:
        runs = [bench.run(size) for _ in range(bench.repeats if size == SIZES[0] else 1)]
        each, spent = bench.a_page(runs, _seconds, 1), bench.a_page(runs, _spent, 1)
        first = first or each
        name = f"{size:,} small pages"
        yield Row(name, "s a page, by the clock", each)
        yield Row(name, "s a page", spent)
        for process, peak in runs[0].peaks_mb.items():
            yield Row(name, f"peak memory, {process}, MB", peak, MEMORY_GOALS.get(process.split()[0], ""))
        if size != sizes[0]:
            yield Row(name, f"longer than of {sizes[0]}, %", 100 * (each / first - 1), SLOPE_GOAL)


def _seconds(run: Finished) -> float:
    return run.seconds


def _spent(run: Finished) -> float:
    return run.cpu_seconds


def _timed(folder: Path, against: str | None) -> list[list[Timed]]:
    """What the pages of each folder in `folder` cost, measured in a process like a worker: in one thread."""
    asked = ["--against", against] if against is not None else []
    command = [sys.executable, "-m", "benchmarks.stopwatch", str(folder), *asked]
    done = subprocess.run(command, stdout=subprocess.PIPE, env=os.environ | ONE_THREAD, check=False)
    if done.returncode:
        raise SystemExit(done.returncode)
    found = json.loads(done.stdout)
    return [[Timed(**page) for page in found[name]] for name in sorted(found)]


PARTS: tuple[Callable[[Bench], Iterator[Row]], ...] = (pages, command, start, slope)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.repeats < 1:
        parser.error(f"argument --repeats: {options.repeats} is not at least 1")
    bench = Bench(
        data=options.data,
        kind=options.kind,
        dpi=options.dpi,
        look=options.look,
        repeats=options.repeats,
        most=options.pages,
        against=options.against,
    )
    rows = []
    for part in PARTS:
        if options.only in (None, part.__name__):
            for row in part(bench):
                rows.append(row)
                if not options.json:
                    print(f"{row.set:38} {row.measure:38} {row.figure:10.4f}  {row.goal}", flush=True)
    if options.json:
        print(json.dumps([asdict(row) for row in rows], indent=1))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--only", choices=[part.__name__ for part in PARTS], help="one part instead of all")
    add("--kind", default="", help="only pages whose kind holds this text, such as 'JPEG' or '310 digits'")
    add("--pages", type=int, choices=SIZES, default=SIZES[1], help="the most of the slope (%(default)s)")
    add("--repeats", type=int, default=5, help="of all but the slope's larger runs (%(default)s)")
    add("--against", metavar="PROGRAM", help="tesseract, or a command line with {page} in it")
    add("--look", choices=("scan", "clean"), default="scan", help="how pages were scanned (%(default)s)")
    add("--dpi", type=float, default=300, help="(%(default)s)")
    add("--data", type=Path, default=DATA, help="MNIST with its writers, or a sample .npz (%(default)s)")
    add("--json", action="store_true", help="print JSON instead of a table")
    return parser


if __name__ == "__main__":
    main()
