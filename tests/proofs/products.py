"""A product folder as a person sees it from outside: what is left in its inbox, what its commands say."""

import json
import os
import shutil
import subprocess
from pathlib import Path

from tests.conftest import PROCESSOR
from tests.proofs.accounts import Account, account, differences, states
from tests.proofs.piles import write_pile
from tests.proofs.programs import Program, wait_until


def product(home: Path, scans: int, min_free_mb: float = 0) -> Path:
    """A product folder with an empty inbox, a pile of scans beside it, and settings that save time."""
    write_pile(home / "pile", scans, copies=False)
    (home / "inbox").mkdir()
    (home / "settings.toml").write_text(
        f"[intake]\nsettle_seconds = 0.1\nrescan_seconds = 2\n[limits]\nmin_free_mb = {min_free_mb}\n"
    )
    return home


def drop_in(home: Path) -> None:
    """The pile arrives, what lies in a folder that is there already a file at a time."""
    for entry in sorted((home / "pile").iterdir()):
        target = home / "inbox" / entry.name
        if target.is_dir():
            for inner in sorted(entry.iterdir()):
                shutil.move(inner, target / inner.name)
        else:
            shutil.move(entry, target)


def left(home: Path) -> int:
    """How many files still lie in the inbox."""
    return sum(len(names) for _, _, names in os.walk(home / "inbox"))


def settled(home: Path) -> bool:
    """Whether the inbox is empty and everything in the queue has come to its end."""
    database = home / "results" / "results.db"
    return left(home) == 0 and not {"queued", "running"} & states(database).keys()


def command(home: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """`processor` with these arguments, run to its end in the product folder."""
    return subprocess.run(
        [str(PROCESSOR), *arguments], cwd=home, capture_output=True, text=True, check=False, timeout=600
    )


def says_so(daemon: Program, words: str, since: int = 0) -> None:
    """Waits until the daemon has said it on stderr, after so many characters."""
    wait_until(lambda: words in daemon.said[since:], f"it speaks of {words!r}; {daemon.said}")


def status_says(home: Path, words: str) -> None:
    """Waits until `processor status` tells of it as what is wrong now, or was last."""

    def told() -> bool:
        answer = command(home, "status", "--json")
        assert answer.returncode == 0, answer.stderr
        for facts in (daemon["facts"] for daemon in json.loads(answer.stdout)["daemons"]):
            said = [facts.get("paused"), facts.get("last_error"), *(watch["why"] for watch in facts["watch"])]
            if any(words in text for text in said if text):
                return True
        return False

    wait_until(told, f"status speaks of {words!r}", 60)


def finish(home: Path, daemon: Program) -> None:
    """Waits until all is read, without any help, and stops the daemon."""
    wait_until(lambda: daemon.ended or settled(home), f"it goes on by itself; {daemon.said}")
    assert not daemon.ended, daemon.said
    assert daemon.stop() == 0, daemon.said
    assert "Traceback" not in daemon.said


def check(home: Path, undisturbed: Account, *, parts: bool = False) -> None:
    """The folder holds what it would hold had nothing befallen it, and the program itself finds nothing off.

    With `parts`, unfinished files may be left, under names that nobody takes for an output: where a run was
    killed, or even removing fails, nothing else can be done until later.
    """
    found = account(home)
    if parts:
        found = {name: content for name, content in found.items() if not name.endswith(".part'")}
    wrong = differences(undisturbed, found)
    assert not wrong, f"{len(wrong)} differences:\n" + "\n".join(wrong[:40])
    verified = command(home, "verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr
