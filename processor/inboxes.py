"""The folders that scans come from: which of them are there now, and what is said of one that is not."""

from collections.abc import Iterable
from pathlib import Path

from processor.accounts import Accounts, Listener
from processor.mounts import Shares


class Inboxes:
    """Says once that one is away, and once that it is there again."""

    def __init__(self, roots: Iterable[Path], *, accounts: Accounts, listener: Listener) -> None:
        self.roots = frozenset(roots)
        self._shares = Shares()
        for root in self.roots:
            self._shares.note(root)
        self._away: dict[Path, str] = {}
        self._accounts = accounts
        self._listener = listener

    @property
    def away(self) -> str | None:
        """What the scans wait for in those that were away when it was looked last; `None` for none."""
        return " ".join(self._away.values()) or None

    @property
    def all_away(self) -> bool:
        """Whether no scan can come from anywhere."""
        return len(self._away) == len(self.roots) > 0

    def reached(self) -> set[Path]:
        """Looks which are there: a share that was unmounted leaves an empty folder, in which no scan lies."""
        before, self._away = self._away, {}
        for root in sorted(self.roots):
            if not self._shares.reaches(root):
                self._away[root] = before[root] if root in before else self._tell(root)
            elif root in before:
                self._listener.say(f"{root} is there again.")
        return set(self.roots - self._away.keys())

    def _tell(self, root: Path) -> str:
        if self._shares.lost(root):
            # Nothing else shows it: an empty folder can be listed.
            text = f"{root} is no longer mounted; its scans are waited for."
            self._accounts.complain(text)
        else:
            # Who lists it, and who watches it, have warned of it.
            text = f"{root} is not there; its scans are waited for."
            self._accounts.note(text)
        return text
