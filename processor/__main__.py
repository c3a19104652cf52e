"""`python -m processor` is the command `processor`."""

from processor.cli import main

main()
