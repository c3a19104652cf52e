"""A Ray cluster of several nodes on this machine, for tests and measurements."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NO_RAY = "Ray is not installed: pip install 'digit-inbox[cluster]'"

STORE = 80_000_000
"""Bytes of shared memory a node: the least that Ray takes, since results travel without it."""


@contextmanager
def ray_nodes(nodes: int = 2, cpus: int = 1) -> Iterator[Any]:
    """A head without room for workers, and `nodes` nodes with room for `cpus` workers each.

    Raises ImportError where Ray is not installed.
    """
    # The nodes take them over: what a test has its workers do stands in the tests.
    os.environ.update(RAY_USAGE_STATS_ENABLED="0", PYTHONPATH=str(Path(__file__).resolve().parents[1]))
    from ray.cluster_utils import Cluster

    cluster = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 0, "include_dashboard": False, "object_store_memory": STORE},
    )
    try:
        for _ in range(nodes):
            cluster.add_node(num_cpus=cpus, object_store_memory=STORE)
        yield cluster
    finally:
        cluster.shutdown()
