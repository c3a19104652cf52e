"""Who else could change what decides what is read and where results go; which folders lie within which."""

import os
import stat
from collections.abc import Iterable
from pathlib import Path

from processor.mounts import identity, mounts_below

NAMED = 3
"""So many files are named in one warning; the remedy is the same for all."""


def doubt(what: str, paths: Iterable[Path]) -> str | None:
    """A warning where others than this user and root can write to any of `paths`, which make up `what`.

    Whoever can write to a folder can put another file in the place of one in it: the folder of a file is a
    path of its own here. On Windows nothing is found: access there is not a matter of modes.
    """
    if os.name != "posix":
        return None
    open_to_others = [path for path in paths if _others_may_write(path)]
    if not open_to_others:
        return None
    named = ", ".join(str(path) for path in open_to_others[:NAMED])
    more = f" and {len(open_to_others) - NAMED} more" if len(open_to_others) > NAMED else ""
    return (
        f"Others can change the {what}: they may write to {named}{more}. "
        "Take the right away (chmod go-w), or put it where only you can write."
    )


def lies_within(inner: Path, outer: Path) -> bool:
    """Whether `inner` is `outer` or lies below it, by links or by mounts of the same folder elsewhere, too.

    Folders that are not made yet lie where the nearest one above them does.
    """
    inner, outer = inner.resolve(), outer.resolve()
    if inner.is_relative_to(outer):
        return True
    if _is_above(outer, inner):
        return True
    # `inner`, or a folder above it that is the whole of a mount, may also be mounted somewhere below `outer`.
    return any(_is_above(mount, inner) for mount in mounts_below(outer))


def _is_above(folder: Path, inner: Path) -> bool:
    """Whether `folder` is, on the disk, `inner` or one of those above it."""
    there = identity(folder)
    return there is not None and any(identity(path) == there for path in (inner, *inner.parents))


def _others_may_write(path: Path) -> bool:
    """Whether somebody else than this user and root may."""
    try:
        facts = path.stat()
    except OSError:
        return False
    if facts.st_uid not in {0, os.geteuid()}:
        return True
    mode = facts.st_mode
    if stat.S_ISDIR(mode) and mode & stat.S_ISVTX:
        # As in /tmp: others may add files, but not take the place of those that are there.
        return False
    return bool(mode & stat.S_IWOTH or (mode & stat.S_IWGRP and not _is_own_group(facts.st_gid)))


def _is_own_group(group: int) -> bool:
    """Whether a group has this user alone in it, as many systems make one for each user, and let it write."""
    import grp
    import pwd

    try:
        user = pwd.getpwuid(os.geteuid())
        members = set(grp.getgrgid(group).gr_mem)
    except KeyError:
        return group == os.getegid()
    return group == user.pw_gid and members <= {user.pw_name}
