"""Scans whose bytes were changed are read or refused, and nothing else; thousands: tests/proofs."""

import struct

import numpy as np
import pytest
from PIL import Image

from processor.errors import BadScan
from processor.pages.scans import decode, kind_of
from processor.settings import Limits
from tests.mutations import mutant, saved, valid_scans

LIMITS = Limits(max_megapixels=2, max_pages=20)


@pytest.mark.parametrize("kind", valid_scans())
def test_unchanged_they_are_read(kind: str) -> None:
    """Else what is tried on their mutants would be little more than how rubbish is refused."""
    assert all(page.pixels.size > 400 for page in decode(valid_scans()[kind], "scan", LIMITS, 300.0))


def test_a_seed_is_a_mutant() -> None:
    assert mutant(7) == mutant(7)
    assert len({mutant(seed) for seed in range(40)}) == 40


@pytest.mark.parametrize("first", range(0, 1000, 100))
def test_mutants_are_read_or_refused(first: int, capfd: pytest.CaptureFixture[str]) -> None:
    """Any other exception, and any warning, fails this; 25,000 mutants found none."""
    for seed in range(first, first + 100):
        kind, data = mutant(seed)
        try:
            pages = list(decode(data, "scan", LIMITS, 300.0))
        except BadScan as error:
            assert error.message.startswith("scan"), (seed, kind)  # noqa: PT017
            assert error.remedy, (seed, kind)  # noqa: PT017
            continue
        assert all(page.pixels.dtype == np.uint8 for page in pages), (seed, kind)
        assert kind_of(data) is not None
    assert capfd.readouterr().err == ""


def test_what_a_decoder_logs_is_nothing_for_the_person(caplog: pytest.LogCaptureFixture) -> None:
    """It names no scan: of ten thousand, nobody would know which was meant."""
    tiff = bytearray(saved(Image.new("RGB", (30, 20), "white"), "TIFF"))
    samples_per_pixel = tiff.index(struct.pack("<HHI", 277, 3, 1))
    struct.pack_into("<H", tiff, samples_per_pixel + 8, 4099)
    with pytest.raises(BadScan, match=r"^scan is damaged"):
        list(decode(bytes(tiff), "scan", LIMITS, 300.0))
    assert caplog.records == []
