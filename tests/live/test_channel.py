"""Messages between master and workers: what is sent together comes apart as it was."""

import os
import select
import socket
import subprocess
import sys
from array import array

import pytest

from live import channel
from live.worker import Worker

REPORTER = """
import itertools, sys
from live import channel

common, sender = map(int, sys.argv[1:])
for serial in itertools.count():
    payload = bytes([sender]) * (97 * serial % (channel.SMALL + 1))
    report = channel.pack(channel.FINISHED, serial, payload=payload, sender=sender)
    channel.Ways(common, -1).report(report)
"""


def test_one_packet_carries_several_messages_and_their_descriptors():
    mine, theirs = channel.pair()
    with mine, theirs:
        pipes = [os.pipe() for _ in range(3)]
        messages = [
            channel.pack(channel.CONNECT, 1, 0.5, payload=b"one"),
            channel.pack(channel.MESSAGE, 2, payload=b"no descriptor"),
            channel.pack(channel.CONNECT, 3, payload=b"three"),
            channel.pack(channel.CONNECT, 4),
        ]
        channel.send(mine, messages, [write for _, write in pipes])
        received = channel.Receiver(theirs).receive()
        assert [m.serial for m in received] == [1, 2, 3, 4]
        assert [m.payload for m in received] == [b"one", b"no descriptor", b"three", b""]
        assert received[0].first == 0.5
        assert received[1].descriptor == -1
        came = [m.descriptor for m in received if m.kind == channel.CONNECT]
        for descriptor, (read, write) in zip(came, pipes, strict=True):
            assert not os.get_inheritable(descriptor)
            os.write(descriptor, b"x")
            assert os.read(read, 1) == b"x"
            for each in (descriptor, read, write):
                os.close(each)


def test_a_connection_whose_descriptor_did_not_come_says_so():
    mine, theirs = channel.pair()
    with mine, theirs:
        mine.send(channel.pack(channel.CONNECT, 9, payload=b"head"))
        (message,) = channel.Receiver(theirs).receive()
        assert (message.serial, message.payload, message.descriptor) == (9, b"head", -1)


def test_the_end_of_a_channel_is_told():
    mine, theirs = channel.pair()
    with theirs:
        mine.close()
        assert channel.Receiver(theirs).receive() is None
    to_read, to_write = channel.pipe()
    os.close(to_write)
    assert channel.Reports(to_read).receive() is None
    os.close(to_read)


def test_reports_that_come_in_pieces_are_put_together():
    to_read, to_write = channel.pipe()
    try:
        reports = channel.Reports(to_read)
        data = b"".join(
            channel.pack(channel.FINISHED, serial, payload=bytes(5 * serial))
            for serial in (1, 2, 3)
        )
        serials = []
        for start in range(0, len(data), 17):  # shorter than a header
            channel.write(to_write, data[start : start + 17])
            serials += [(m.serial, len(m.payload)) for m in reports.receive()]
        assert serials == [(1, 5), (2, 10), (3, 15)]
        with pytest.raises(BlockingIOError):
            reports.receive()
    finally:
        os.close(to_read)
        os.close(to_write)


def test_who_vanishes_in_the_middle_of_a_report_has_reported_nothing():
    to_read, to_write = channel.pipe()
    whole = channel.pack(channel.FINISHED, 7, payload=b"abc")
    channel.write(to_write, whole + whole[:20])
    os.close(to_write)
    reports = channel.Reports(to_read)
    assert [m.serial for m in reports.receive()] == [7]
    assert reports.receive() is None
    os.close(to_read)


def test_reports_of_many_who_are_killed_come_whole_and_in_order():
    to_read, to_write = channel.pipe()
    reports = channel.Reports(to_read)
    heard = {sender: [] for sender in range(4)}

    def listen():
        for m in reports.receive():
            assert m.payload == bytes([m.sender]) * (97 * m.serial % (channel.SMALL + 1))
            heard[m.sender].append(m.serial)

    processes = [
        subprocess.Popen(
            [sys.executable, "-c", REPORTER, str(to_write), str(sender)], pass_fds=[to_write]
        )
        for sender in heard
    ]
    poller = select.poll()
    poller.register(to_read, select.POLLIN)
    try:
        for process, serials in zip(processes, heard.values(), strict=True):
            while len(serials) < 500:
                assert poller.poll(60_000)
                listen()
            process.kill()
            process.wait()
        while poller.poll(0):
            listen()
    finally:
        for process in processes:
            process.kill()
            process.wait()
        os.close(to_read)
        os.close(to_write)
    assert reports.data == b""
    assert all(serials == list(range(len(serials))) for serials in heard.values())


def test_a_turn_of_many_requests_is_told_in_reports_of_which_none_can_mix_with_others():
    told: list[bytes] = []
    worker = Worker.__new__(Worker)  # one of which nothing runs
    worker.index, worker.report = 3, told.append
    worker.began, worker.responses = 2500, array("f", range(2400))
    worker._report_later()
    assert max(map(len, told)) <= select.PIPE_BUF
    to_read, to_write = channel.pipe()
    for each in told:
        channel.write(to_write, each)
    messages = channel.Reports(to_read).receive()
    os.close(to_read)
    os.close(to_write)
    assert {(m.kind, m.sender) for m in messages} == {(channel.LATER, 3)}
    assert (sum(m.first for m in messages), sum(m.second for m in messages)) == (2500, 2400)
    assert array("f", b"".join(m.payload for m in messages)).tolist() == list(range(2400))
    assert (worker.began, len(worker.responses)) == (0, 0)


def test_channels_are_unix_sockets_that_keep_packets_apart():
    mine, theirs = channel.pair()
    with mine, theirs:
        assert (mine.family, mine.type) == (socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for serial in (1, 2):
            channel.send(mine, [channel.pack(channel.DRAIN, serial)], [])
        receiver = channel.Receiver(theirs)
        assert [receiver.receive()[0].serial for _ in range(2)] == [1, 2]
