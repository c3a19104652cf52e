"""Proofs that take minutes: real processes, real disks, real faults; run by hand with `pytest -m slow`."""
