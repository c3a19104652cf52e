"""The steps that bring a results database of an earlier version to the tables of `schema.py`, by Alembic.

A step, once released, stays as it is: it names what it makes itself, and never what `schema.py` says today.
"""
