"""The supervisor: it takes jobs from the host and collects what runs put out.

One for each worker. It forks the warm parent before it has seen any job, and dies with it.
"""

# pathlib would be one more thing to import and to fork:
# ruff: noqa: PTH123

import fcntl
import os
import select
import socket
import struct
import sys

from rlenv.sandbox.guest import codec, linux, zygote
from rlenv.sandbox.guest.jails import JAILS
from rlenv.sandbox.guest.messages import HEARTBEAT, KILL, ORDER, READY, REPORT, RUN

LENGTH = struct.Struct("<Q")
NOTHING = LENGTH.pack(0)  # a heartbeat
_CHUNK = 1 << 16
_LISTEN_AFTER_MS = 20
_WIDE = (1 << 32, 1000, 1 << 31)


class Channel:
    """Length-prefixed messages to and from the host.

    Args:
        read_fd: Where messages come from.
        write_fd: Where they go.
    """

    def __init__(self, read_fd, write_fd):
        self.read_fd, self.write_fd = read_fd, write_fd

    def receive(self):
        """Wait for a message. None if the host is gone."""
        head = self._exactly(LENGTH.size)
        body = head and self._exactly(LENGTH.unpack(head)[0])
        return None if body is None else codec.decode(body, codec.Bounds(*_WIDE))

    def _exactly(self, count):
        parts = []
        while count:
            part = os.read(self.read_fd, min(count, 1 << 20))
            if not part:
                return None
            parts.append(part)
            count -= len(part)
        return b"".join(parts)

    def send(self, message):
        """Send plain data; None sends a heartbeat."""
        body = b"" if message is None else codec.encode(message, codec.Bounds(*_WIDE))
        data = memoryview(LENGTH.pack(len(body)) + body)
        while data:
            data = data[os.write(self.write_fd, data) :]


def main(read_fd, write_fd):
    """Serve the host until it goes away.

    Args:
        read_fd: Where jobs come from.
        write_fd: Where reports go.
    """
    channel = Channel(read_fd, write_fd)
    config = channel.receive()
    if config is None:
        return
    jail = JAILS[config["jail"]](config)
    host = _watch_host(config["host_pid"])
    try:
        control, pid = _start_zygote(jail, config, channel)
    except OSError as error:
        channel.send({"ready": False, "why": str(error)})
        return
    try:
        channel.send({"ready": True, "why": ""})
        Supervisor(channel, control, host).serve()
    finally:
        _end(pid)
        jail.leave()


def _watch_host(pid):
    """A descriptor that becomes readable when the host process ends, or None."""
    # The socket alone won't do: children that the host forked may hold its other end.
    if not pid or not hasattr(os, "pidfd_open"):
        return None
    fd = os.pidfd_open(pid)
    if os.getppid() != pid:
        os._exit(0)
    return fd


def _start_zygote(jail, config, channel):
    with open("/dev/null", "r+b", buffering=0) as null:
        for fd in (0, 1, 2):
            if fd not in (channel.read_fd, channel.write_fd):
                os.dup2(null.fileno(), fd)
    try:
        with open("/proc/self/oom_score_adj", "wb", buffering=0) as file:
            file.write(b"500")  # if memory runs out, runs go before the trainer does
    except OSError:
        pass
    jail.enter_supervisor()
    ours, theirs = socket.socketpair()
    me = os.getpid()
    pid = os.fork()
    if pid == 0:
        try:
            ours.close()
            if sys.platform.startswith("linux"):
                linux.prctl(linux.PR_SET_PDEATHSIG, 9)
                if os.getppid() not in (me, 0):  # 0: the parent is outside our namespace
                    os._exit(1)
            for fd in (channel.read_fd, channel.write_fd):
                _replace_by_null(fd)
            zygote.serve(theirs, jail, config)
        except BaseException as error:  # noqa: BLE001 - the host must hear of it
            note = f"{type(error).__name__}: {error}".encode()[:256]
            theirs.sendall(REPORT.pack(b"failed", 0, 0, 0, 0, True, note))
        os._exit(1)
    theirs.close()
    answer = ours.recv(REPORT.size, socket.MSG_WAITALL)
    if answer != READY:
        _end(pid)
        jail.leave()
        note = REPORT.unpack(answer)[-1].rstrip(b"\0") if answer else b""
        raise OSError(note.decode(errors="replace") or "the warm parent died at its start")
    return ours, pid


def _replace_by_null(fd):
    null = os.open("/dev/null", os.O_RDWR)
    os.dup2(null, fd)
    os.close(null)


def _end(pid):
    try:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
    except OSError:
        pass


class Supervisor:
    """Runs one job after the other.

    Args:
        channel: To the host.
        control: To the warm parent.
        host: From `_watch_host`.
    """

    def __init__(self, channel, control, host):
        self.channel, self.control, self.host = channel, control, host

    def serve(self):
        """Take jobs until the host is gone or the warm parent dies."""
        idle = select.poll()
        for fd in (self.channel.read_fd, self.control.fileno(), self.host):
            if fd is not None:
                idle.register(fd, select.POLLIN)
        while True:
            ready = dict(idle.poll())
            if self.host in ready or self.control.fileno() in ready:
                return
            order = self.channel.receive()
            if order is None:
                return
            report = self._run(order)
            if report is None:
                return
            self.channel.send(report)

    def _run(self, order):
        outs = [os.pipe() for _ in range(3)]
        given = [_file(order["job"]), _file(order["stdin"])] + [write for _, write in outs]
        wanted = ORDER.pack(RUN, order["cpu"], order["wall"])
        socket.send_fds(self.control, [wanted], given)
        for fd in given:
            os.close(fd)
        reads = [read for read, _ in outs]
        try:
            return self._collect(order, reads)
        finally:
            for fd in reads:
                os.close(fd)

    def _collect(self, order, reads):
        """Read the run's outputs until it has ended and they are drained."""
        control = self.control.fileno()
        sinks = {
            reads[0]: Sink(order["output_cap"], order["stop_on_output"]),
            reads[1]: Sink(order["output_cap"], False),
            reads[2]: Sink(order["result_cap"], True),
        }
        poll = select.poll()
        for fd in (control, self.channel.read_fd, self.host):
            if fd is not None:
                poll.register(fd, select.POLLIN)
        # Each result that is listened to wakes this process, so let a short run end first. A run
        # that fills a pipe meanwhile waits.
        poll.poll(_LISTEN_AFTER_MS)
        for fd in reads:
            os.set_blocking(fd, False)
            poll.register(fd, select.POLLIN)
        report = b""
        open_reads = set(reads)
        killed = False
        while not report or open_reads:
            # Once the run is over only what is already in the pipes counts.
            events = poll.poll(0 if report else None)
            if report and not any(fd in open_reads for fd, _ in events):
                break
            for fd, _ in events:
                if fd in open_reads:
                    more = sinks[fd].drain(fd)
                    if not more:
                        poll.unregister(fd)
                        open_reads.discard(fd)
                    if sinks[fd].overflowed and sinks[fd].strict and not killed:
                        killed = True
                        if not report:
                            self.control.sendall(ORDER.pack(KILL, 0, 0))
                elif fd == control:
                    message = self.control.recv(REPORT.size, socket.MSG_WAITALL)
                    if message == HEARTBEAT:
                        self.channel.send(None)
                    elif not message:
                        return None
                    else:
                        report = message
                else:  # the host is gone, or speaks out of turn
                    return None
        return self._report(report, [sinks[fd] for fd in reads], killed)

    def _report(self, report, sinks, killed):
        why, status, cpu, wall, rss, clean, note = REPORT.unpack(report)
        why = why.rstrip(b"\0").decode()
        return {
            "why": "output" if killed and not why else why,
            "status": status,
            "cpu": cpu,
            "wall": wall,
            "rss": rss,
            "clean": clean,
            "note": note.rstrip(b"\0").decode(errors="replace"),
            "stdout": bytes(sinks[0].data),
            "stderr": bytes(sinks[1].data),
            "results": bytes(sinks[2].data),
            "truncated": sinks[0].overflowed or sinks[1].overflowed,
            "results_cut": sinks[2].overflowed,
        }


class Sink:
    """What came out of one pipe, up to a cap; the rest is dropped.

    Args:
        cap: Bytes to keep.
        strict: Whether going over the cap ends the run.
    """

    def __init__(self, cap, strict):
        self.cap, self.strict = cap, strict
        self.data = bytearray()
        self.overflowed = False

    def drain(self, fd):
        """Read what is there. False at the end of the stream."""
        try:
            data = os.read(fd, _CHUNK)
        except BlockingIOError:
            return True
        room = self.cap - len(self.data)
        self.data += data[:room]
        self.overflowed = self.overflowed or len(data) > room
        return bool(data)


def _file(data):
    """A file with the given content that nobody can write to, open at its start."""
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create("job", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
        os.lseek(fd, 0, os.SEEK_SET)
        # F_ADD_SEALS: no writing, growing, shrinking or further seals.
        fcntl.fcntl(fd, 1033, 0x0001 | 0x0002 | 0x0004 | 0x0008)
        return fd
    import tempfile

    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.seek(0)
        return os.dup(file.fileno())


def run_fresh():
    """Entry point of a fresh interpreter for one run: job on 4, results on 3, readiness on 5."""
    zygote.hide_guest()
    zygote.start_program(5)
