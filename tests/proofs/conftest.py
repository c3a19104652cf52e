"""What the tests of faults share: a pile that was read in peace, and a folder in which it is to be read."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.proofs.accounts import Account, account
from tests.proofs.mounts import mounts_below
from tests.proofs.products import drop_in, product
from tests.proofs.programs import Program

SCANS = int(os.environ.get("PROOF_SCANS", "40"))


@pytest.fixture(scope="session")
def in_peace(tmp_path_factory: pytest.TempPathFactory) -> Account:
    """What a folder holds after the pile was read without any fault."""
    home = product(tmp_path_factory.mktemp("in-peace") / "home", SCANS)
    drop_in(home)
    assert Program(home, "--once").wait() == 1, "some scans of the pile are damaged"
    return account(home)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """A folder in which nothing stays mounted."""
    with mounts_below(tmp_path):
        yield tmp_path
