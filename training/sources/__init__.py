"""The sources a recipe can name, each split into what is trained on and what is only validated on."""

from training.sources.builtin import SOURCES
from training.sources.corpus import Corpus, Pool, gather, read_source
from training.sources.found import Found
from training.sources.kinds import KINDS

__all__ = ["KINDS", "SOURCES", "Corpus", "Found", "Pool", "gather", "read_source"]
