"""The whole command in two ways, in turns: on a Ray cluster or a PostgreSQL server beside this machine alone.

    python -m benchmarks.in_turns ray              # two nodes of one core each, beside two workers
    python -m benchmarks.in_turns postgresql       # a server that waits for the disk, beside SQLite
    python -m benchmarks.in_turns postgresql --kind "310 digits" --copies 4

Pages a second by the clock. Both ways first read a few pages: what a run begins and ends with is taken off.
"""

import argparse
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from statistics import median

from benchmarks import handwriting
from benchmarks.pages import DATA
from benchmarks.postgres_server import running_server
from benchmarks.product import Row
from benchmarks.ray_nodes import NO_RAY, ray_nodes
from benchmarks.whole_command import Finished, run_once
from benchmarks.workload import Sample, samples, small_page

Environment = Mapping[str, str]

WORKERS = 2
FEW = 2
"""So many of each page are read to learn what a run begins and ends with."""


@contextmanager
def _on_ray() -> Iterator[Callable[[], Environment]]:
    """Two nodes of a cluster, which stay from run to run as a cluster does."""
    try:
        with ray_nodes(nodes=WORKERS) as cluster:
            yield lambda: {
                "PROCESSOR_WORKERS__ENGINE": "ray",
                "PROCESSOR_WORKERS__RAY_ADDRESS": cluster.address,
            }
    except ImportError:
        raise SystemExit(NO_RAY) from None


@contextmanager
def _on_postgresql() -> Iterator[Callable[[], Environment]]:
    """A server, with a new database for each run, as SQLite's is new in each home."""
    with running_server(durable=True) as server:
        yield lambda: {"PROCESSOR_DATABASE__URL": server.new()}


WAYS: dict[str, Callable[[], AbstractContextManager[Callable[[], Environment]]]] = {
    "ray": _on_ray,
    "postgresql": _on_postgresql,
}
BESIDE = {"ray": "local", "postgresql": "sqlite"}
GOALS = {"ray": ">= 0.85", "postgresql": ">= 0.9"}


def compared(way: str, pages: Sequence[Sample], copies: int, repeats: int) -> Iterator[Row]:
    """Pages a second of both ways, each the median of `repeats` turns, and of a turn's two the ratio."""
    rates = []
    with tempfile.TemporaryDirectory() as name, WAYS[way]() as chosen:
        few, many = _copied(pages, FEW, Path(name, "few")), _copied(pages, FEW + copies, Path(name, "many"))
        for _ in range(repeats):
            plain, other = (
                rate(run_once(few, WORKERS, environment()), run_once(many, WORKERS, environment()))
                for environment in (dict, chosen)
            )
            rates.append((plain, other))
    what = f"{len(pages) * copies} pages, {WORKERS} workers"
    yield Row(what, f"{BESIDE[way]}, pages a second", median(plain for plain, _ in rates))
    yield Row(what, f"{way}, pages a second", median(other for _, other in rates))
    yield Row(what, f"{way} : {BESIDE[way]}", median(other / plain for plain, other in rates), GOALS[way])


def _copied(pages: Sequence[Sample], copies: int, folder: Path) -> Path:
    folder.mkdir()
    for number in range(copies):
        for kind, sample in enumerate(pages):
            sample.copy(folder, number * len(pages) + kind)
    return folder


def rate(few: Finished, many: Finished) -> float:
    """Pages a second of those that `many` read beyond `few`."""
    return (many.pages - few.pages) / (many.seconds - few.seconds)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("way", choices=list(WAYS), help="what is tried beside the usual")
    add("--kind", default="", help="A4 pages whose kind holds this text, in place of small pages")
    add("--copies", type=int, default=100, help="of each page (%(default)s)")
    add("--repeats", type=int, default=5, help="(%(default)s)")
    add("--data", type=Path, default=DATA, help="MNIST with its writers, or a sample .npz (%(default)s)")
    options = parser.parse_args(arguments)
    hands = handwriting.load(options.data)
    pages = list(samples(hands, options.kind)) if options.kind else [small_page(hands)]
    if not pages:
        raise SystemExit(f"--kind {options.kind!r}: no page is called so; one is '310 digits, ruled'.")
    for row in compared(options.way, pages, options.copies, options.repeats):
        print(f"{row.set:28} {row.measure:28} {row.figure:10.3f}  {row.goal}", flush=True)


if __name__ == "__main__":
    main()
