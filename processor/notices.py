"""What the service manager is told: systemd's notify protocol, one datagram a notice."""

import os
import socket
from contextlib import suppress

VARIABLE = "NOTIFY_SOCKET"


class ServiceManager:
    """Speaks to the socket that systemd names in the environment; without one, nobody is told anything.

    See sd_notify(3). A service manager that does not listen is no fault of a run.
    """

    def __init__(self) -> None:
        self._address = os.environ.get(VARIABLE, "")

    def tell(self, **notices: str) -> None:
        """Sends the notices, as `READY="1"`, in one datagram."""
        # vsock addresses are for virtual machines that boot as one service.
        if not self._address.startswith(("/", "@")) or not hasattr(socket, "AF_UNIX"):
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        # A line break in a value would begin a notice of its own.
        text = "\n".join(f"{name}={' '.join(value.split())}" for name, value in notices.items())
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as wire:
            # The loop must not wait for a manager whose buffer is full.
            wire.setblocking(False)
            wire.sendto(text.encode(errors="backslashreplace"), address)
