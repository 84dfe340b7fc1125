"""Where a server listens."""

import contextlib
import socket

from lbsim.errors import InputError

__all__ = ["address_of", "listen"]


def address_of(text: str) -> tuple[str, int]:
    """Return the host and the port of HOST:PORT, or explain what is wrong."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65_535:
        raise InputError(f"address = {text!r} is not of the form HOST:PORT; write 127.0.0.1:9090")
    return host.strip("[]"), int(port)


def listen(host: str, port: int, backlog: int, share: bool = False) -> socket.socket:
    """Return a listening socket; to share its port, one that is bound and does not listen.

    Raises
    ------
    InputError
        The address cannot be had.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (OSError, UnicodeError) as error:
        raise InputError(
            f"host = {host!r}, port = {port} is no address ({error}); give 127.0.0.1 and a port"
        ) from error
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # connections inherit it
        if family == socket.AF_INET6:
            with contextlib.suppress(OSError):
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if share:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind(address)
        if not share:
            listener.listen(backlog)
    except (OSError, OverflowError) as error:
        listener.close()
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(
            f"{host}:{port} cannot be listened on ({reason}); "
            "choose another port, or 0 for a free one"
        ) from error
    listener.setblocking(False)
    return listener
