"""The least that a master in Python can do, to measure ours against: ``python bare.py WORKERS``.

It accepts, reads the head, takes the next worker in turn, passes the socket and keeps its own
until the worker has said that it answered; a worker answers the same bytes to everybody. No
policies, no retries, no supervision, no HTTP. Prints its port when it is ready; SIGTERM ends it.
"""

import contextlib
import itertools
import os
import select
import signal
import socket
import struct
import sys

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nhello\n"
SERIAL = struct.Struct("<Q")


def master(workers: int) -> None:
    """Serve until a signal comes."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    channels = []
    for _ in range(workers):
        mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        if os.fork() == 0:
            mine.close()
            work(theirs)
        theirs.close()
        channels.append(mine)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    print(listener.getsockname()[1], flush=True)
    poller = select.epoll()
    for end in (listener, *channels):
        end.setblocking(False)
        poller.register(end, select.EPOLLIN)
    of = {channel.fileno(): channel for channel in channels}
    turns = itertools.cycle(channels)
    at_workers: dict[int, socket.socket] = {}
    reading: dict[int, socket.socket] = {}
    serials = itertools.count()

    def read(client: socket.socket) -> bool:
        try:
            head = client.recv(65_536, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            head = b""
        if b"\r\n\r\n" in head:
            serial = next(serials)
            at_workers[serial] = client
            socket.send_fds(next(turns), [SERIAL.pack(serial) + head], [client.fileno()])
        else:
            client.close()
        return True

    while True:
        for descriptor, _ in poller.poll():
            if descriptor in of:
                at_workers.pop(SERIAL.unpack(of[descriptor].recv(8))[0]).close()
            elif descriptor in reading:
                poller.unregister(descriptor)
                read(reading.pop(descriptor))
            else:
                for _ in range(64):
                    try:
                        client, _ = listener.accept()
                    except BlockingIOError:
                        break
                    if not read(client):
                        reading[client.fileno()] = client
                        poller.register(client, select.EPOLLIN)


def work(channel: socket.socket) -> None:
    """Answer until the master has gone."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with contextlib.suppress(OSError):  # the master has gone
        while True:
            data, descriptors, _, _ = socket.recv_fds(channel, 65_536, 1)
            if not data:
                break
            with contextlib.suppress(OSError), socket.socket(fileno=descriptors[0]) as client:
                client.send(ANSWER)
                client.shutdown(socket.SHUT_WR)
            channel.send(data[:8])
    os._exit(0)


if __name__ == "__main__":
    master(int(sys.argv[1]))
