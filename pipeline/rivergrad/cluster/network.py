"""The network interface that a cluster listens on, and ports on it."""

from __future__ import annotations

import socket

from rivergrad.errors import InputError


def address_of(interface: str) -> str:
    """The IPv4 address of a network interface of this machine.

    Raises:
        InputError: there is none of that name, or it has no such address.
    """
    import psutil

    found = {
        name: [address.address for address in addresses if address.family == socket.AF_INET]
        for name, addresses in psutil.net_if_addrs().items()
    }
    if not found.get(interface):
        known = ", ".join(sorted(name for name, addresses in found.items() if addresses))
        raise InputError(
            f"found {interface!r}; expected one with an IPv4 address: {known}", key="compute.interface"
        )
    return found[interface][0]


def check_port(key: str, port: int, host: str) -> None:
    """Raise an InputError naming the key unless a port can be listened on; 0 stands for any free one."""
    if port == 0:
        return
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            what = (error.strerror or str(error)).lower()
            raise InputError(
                f"port {port} of {host}: {what}; expected a free port, or 0 for any free one", key=key
            ) from None
