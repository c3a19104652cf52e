"""A Ray cluster as this program needs it: joined quietly, asked how large it is, and left again."""

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from processor.errors import BadSettings
from processor.settings import LoadedSettings

# Where Ray starts something of its own, it tells nobody about it; asked for before it is imported.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

import ray

SETTING = "workers.ray_address"

CONNECT_SECONDS = 5.0
"""So long an address is knocked at: Ray itself would wait minutes for one where nobody answers."""


class Cluster:
    """The connection of this process, from `join` to `leave`; there can be only one at a time."""

    def __init__(self, settings: LoadedSettings) -> None:
        self.address = settings.values.workers.ray_address
        self._origin = settings.origins[SETTING]
        # A worker that reads on a GPU has it for itself: Ray hides the others from it.
        self._unit = "GPU" if settings.values.recognition.device.startswith("cuda") else "CPU"

    @property
    def needs(self) -> dict[str, int]:
        """What a worker occupies, in Ray's words."""
        return {"num_cpus": 1, "num_gpus": 1 if self._unit == "GPU" else 0}

    def join(self) -> None:
        """Raises BadSettings where there is no cluster at the address, or one of other versions."""
        try:
            address = self._found()
            _knock(address)
            with _own_sigterm():
                ray.init(address, log_to_driver=False, logging_level="ERROR")
        except (OSError, OverflowError, RuntimeError, ValueError) as error:
            raise self._refused(_first_line(error)) from None
        # What Ray tells of the nodes' health it prints on stdout, which carries data only.
        setattr(ray._private.worker, "_worker_logs_enabled", False)  # noqa: B010

    def leave(self) -> None:
        with _own_sigterm():
            ray.shutdown()

    @property
    def size(self) -> int:
        """How many workers find room where nothing else runs."""
        return int(ray.cluster_resources().get(self._unit, 0))

    @property
    def room(self) -> str:
        """How much of it is free, in words."""
        free = int(ray.available_resources().get(self._unit, 0))
        return f"{free} of the {self.size} {self._unit}s of the cluster {self.address!r} are free"

    def has_lost(self, node: str) -> bool:
        """Whether this node is dead, as far as the cluster knows."""
        return not any(known["NodeID"] == node and known["Alive"] for known in ray.nodes())

    def _found(self) -> str:
        """HOST:PORT; of `auto`, where RAY_ADDRESS or the last `ray start` on this machine said."""
        if self.address == "auto":
            return str(ray._private.services.canonicalize_bootstrap_address("auto"))
        host, _, port = self.address.rpartition(":")
        if not host or not port.isdecimal() or "/" in host:
            raise ValueError("it is not `auto` and not HOST:PORT")
        return self.address

    def _refused(self, reason: str) -> BadSettings:
        return BadSettings(
            f"{SETTING} = {self.address!r} leads to no Ray cluster ({self._origin}): {reason}.",
            "Start one with `ray start --head`, and name its address as that command shows it; "
            "or set workers.engine to 'local'.",
        )


def _knock(address: str) -> None:
    """Raises OSError where nobody answers: the last cluster of a machine is remembered when it is gone."""
    host, _, port = address.rpartition(":")
    socket.create_connection((host, int(port)), CONNECT_SECONDS).close()


@contextmanager
def _own_sigterm() -> Iterator[None]:
    """Ray answers SIGTERM by ending the program at once: whoever asks for a stop is still heard by us."""
    before = signal.getsignal(signal.SIGTERM)
    in_main = threading.current_thread() is threading.main_thread()
    masked = in_main and hasattr(signal, "pthread_sigmask")
    held = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM}) if masked else set()
    try:
        yield
    finally:
        if in_main:
            signal.signal(signal.SIGTERM, before)
        if masked:
            signal.pthread_sigmask(signal.SIG_SETMASK, held)


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
