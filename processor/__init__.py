"""Reads handwritten numbers off scanned forms: inbox folder in, annotated pages, CSV and a database out."""

__version__ = "0.1.0"
