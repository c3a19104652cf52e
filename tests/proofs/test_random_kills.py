"""Killed at random moments, the program loses nothing, doubles nothing, and leaves the same bytes.

Real processes, the real command, the real reader: a pile of small scans is read by a run whose parent or
whose worker is killed (SIGKILL) again and again, or all of it at once, and started again each time; another
run reads the same pile in peace. At the end both folders hold the same files with the same bytes and the same
rows, but for times, ids and the number of tries.

    pytest -m slow -s tests/proofs/test_random_kills.py

reads 300 scans under 200 kills with `--once`, under 100 with one daemon, and 1,200 scans under 100 with two.
`PROOF_SCANS` and `PROOF_KILLS` choose other numbers, `PROOF_SEED` other moments. The steps between claim and
move are not left to chance: test_kills.py stops at each of them by name.
"""

import os
import random
import re
import sqlite3
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.proofs.accounts import Account, account, states
from tests.proofs.piles import write_pile
from tests.proofs.products import check, command, left, says_so, settled
from tests.proofs.programs import Program, wait_until

SCANS = int(os.environ.get("PROOF_SCANS", "300"))
KILLS = int(os.environ.get("PROOF_KILLS", "200"))
SEED = int(os.environ.get("PROOF_SEED", "5"))

SHARED = 4
"""So many times the scans for two daemons: the one that nobody kills reads on while the other one starts."""

START_SECONDS = 4.0
"""About what passes from the start of a run to its first scan; one kill in seven falls into it."""

ORPHAN_SECONDS = 60.0
"""A worker may finish its scan, or its imports on a busy machine, before it finds that its parent is gone."""

AT_WORK = 1 / 3
"""So many kills, at least, find scans that are left: on a quiet machine many are read before the first."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(4 * 3600)]


@dataclass
class Toll:
    """What was killed, and how many of the kills found scans that were still to be read."""

    parents: int = 0
    workers: int = 0
    at_work: int = 0
    ended: int = 0
    programs: list[Program] = field(default_factory=list)

    @property
    def kills(self) -> int:
        return self.parents + self.workers


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Account:
    """What a folder holds after the pile was read in peace."""
    return read_in_peace(tmp_path_factory.mktemp("undisturbed") / "home", SCANS)


def read_in_peace(home: Path, scans: int) -> Account:
    product(home, scans)
    assert Program(home, "--once", "--workers", "2").wait() == 1, "some scans of the pile are damaged"
    read = account(home)
    assert not [name for name in read if name.startswith("file 'inbox")]
    assert states(home / "results" / "results.db").keys() == {"done", "failed", "duplicate"}
    return read


def product(home: Path, scans: int = SCANS) -> Path:
    """A product folder whose inbox holds the pile; it waits for nothing that takes time."""
    write_pile(home / "inbox", scans)
    (home / "settings.toml").write_text("[intake]\nsettle_seconds = 0.1\nrescan_seconds = 2\n")
    return home


def test_a_run_killed_again_and_again_leaves_what_an_undisturbed_one_leaves(
    tmp_path: Path, undisturbed: Account
) -> None:
    home, chance = product(tmp_path / "home"), random.Random(SEED)
    toll = torment(home, KILLS, chance, "--once", "--workers", "2")
    for _ in range(10):
        with Program(home, "--once", "--workers", "2") as last:
            # Scans that wait for another try, after their worker was killed, may be waited for in vain.
            if last.wait() == 0:
                break
            assert "Traceback" not in last.said
    conclude(home, undisturbed, toll)


def test_a_daemon_killed_again_and_again_leaves_what_an_undisturbed_one_leaves(
    tmp_path: Path, undisturbed: Account
) -> None:
    home, chance = product(tmp_path / "home"), random.Random(SEED + 1)
    toll = torment(home, KILLS // 2, chance, "--workers", "2")
    with Program(home, "--workers", "2") as last:
        wait_until(lambda: settled(home), f"all scans are read; {last.said}")
        says_so(last, "Watching")
        assert last.stop() == 0
    conclude(home, undisturbed, toll)


def test_two_daemons_of_which_one_is_killed_again_and_again_share_the_work(tmp_path: Path) -> None:
    undisturbed = read_in_peace(tmp_path / "undisturbed", SHARED * SCANS)
    home, chance = product(tmp_path / "home", SHARED * SCANS), random.Random(SEED + 2)
    with Program(home, "--workers", "1") as other:
        toll = torment(home, KILLS // 2, chance, "--workers", "1")
        assert not other.ended, other.said
        # What the killed one had claimed, the other one takes over: nobody is started again.
        wait_until(lambda: settled(home), f"all scans are read; {other.said}")
        assert other.stop() == 0
    conclude(home, undisturbed, toll)


def torment(home: Path, kills: int, chance: random.Random, *arguments: str) -> Toll:
    """Kills a run, or a worker of it, so many times, and starts it again each time it ended."""
    toll = Toll()
    with ExitStack() as running:
        program = begin(home, arguments, toll, running)
        while toll.kills < kills:
            wait_for_a_moment(home, kills - toll.kills, program, chance)
            at_work = left(home) > 0
            if program.ended:
                toll.ended += 1
            elif may_lose_a_worker(home, program, chance) and program.kill_worker(chance):
                toll.workers += 1
                toll.at_work += at_work
                continue
            else:
                program.kill(workers=chance.random() < 1 / 3)
                toll.parents += 1
                toll.at_work += at_work
            program = begin(home, arguments, toll, running)
        program.kill()
    return toll


def begin(home: Path, arguments: tuple[str, ...], toll: Toll, running: ExitStack) -> Program:
    program = running.enter_context(Program(home, *arguments))
    toll.programs.append(program)
    return program


def wait_for_a_moment(home: Path, kills: int, program: Program, chance: random.Random) -> None:
    """Lets pass what makes the scans that are left last for the kills that are left.

    It is counted in scans, since by the clock a busy machine would shift all moments into the start of a run.
    """
    remain = left(home)
    if remain == 0 or chance.random() < 1 / 7:
        time.sleep(chance.uniform(0, START_SECONDS))
        return
    goal = remain - chance.randint(0 if program.workers() else 1, max(1, round(2 * remain / kills)))
    wait_until(lambda: left(home) <= max(0, goal) or program.ended, f"the run goes on; {program.said}")
    time.sleep(chance.uniform(0, 0.06))


def may_lose_a_worker(home: Path, program: Program, chance: random.Random) -> bool:
    """By half; but never while a scan waits for its third try: its third worker would set it aside."""
    if chance.random() < 0.5 or not program.workers():
        return False
    query = "SELECT COUNT(*) FROM scans WHERE kills >= 2 AND state IN ('queued', 'running')"
    with closing(sqlite3.connect(f"file:{home}/results/results.db?mode=ro", uri=True)) as connection:
        return int(connection.execute(query).fetchone()[0]) == 0


def conclude(home: Path, undisturbed: Account, toll: Toll) -> None:
    """Nothing lost, nothing doubled, the same bytes; the counts add up; no process is left."""
    until_all_are_gone(toll.programs)
    for program in toll.programs:
        assert not tracebacks(program.said), program.said
    check(home, undisturbed, parts=True)
    let_a_day_pass(home)
    again = Program(home, "--once", "--json")
    assert again.wait() == 0, again.said
    assert '"seen": 0,' in again.said
    check(home, undisturbed)
    assert list((home / "results" / ".staging").iterdir()) == []
    assert '"pending": 0,' in command(home, "status", "--json").stdout
    assert toll.at_work >= toll.kills * AT_WORK, f"enough kills are to hit scans that are left: {toll}"
    print(
        f"\n{toll.kills} kills ({toll.parents} of the parent, {toll.workers} of a worker; "
        f"{toll.at_work} while scans were left), {len(toll.programs)} starts: 0 lost, 0 doubled, "
        f"{len(undisturbed)} files and rows alike"
    )


def let_a_day_pass(home: Path) -> None:
    """Unfinished files of a killed run are removed once no run beside it could be writing them."""
    yesterday = time.time() - 25 * 3600
    for part in (home / "results").rglob(".*.part"):
        os.utime(part, (yesterday, yesterday))


def until_all_are_gone(programs: list[Program]) -> None:
    """No worker outlives its parent for long."""
    gone: Callable[[], bool] = lambda: not any(program.processes() for program in programs)  # noqa: E731
    wait_until(gone, "the workers of killed runs end by themselves", ORPHAN_SECONDS)


def tracebacks(said: str) -> list[str]:
    """Those of the program; a worker that is born while its parent is killed finds no pipe and no locks."""
    found = re.findall(r"^ *Traceback .*\n(?:^ *File .*\n(?:^ .*\n)*)+^.*$", said, re.MULTILINE)
    assert len(found) == said.count("Traceback"), said
    return [each for each in found if "in spawn_main" not in each]
