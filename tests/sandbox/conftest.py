"""Fixtures shared by the sandbox tests."""

import os
import socket
import threading
from pathlib import Path

import pytest
from support import docker_missing, guest_processes

from rlenv.sandbox import Limits, Sandbox

JAILED = ("namespaces", "landlock", "docker")


def open_sandbox(backend, **arguments):
    """A sandbox on one backend, or a skip where this machine can't have it."""
    if backend == "docker" and (why := docker_missing()):
        pytest.skip(why)
    if backend == "unsafe":
        arguments["allow_unsafe"] = True
    return Sandbox(backend, **arguments)


@pytest.fixture(
    scope="session",
    params=[
        pytest.param(b, marks=getattr(pytest.mark, b) if b == "docker" else ()) for b in JAILED
    ],
)
def jailed(request):
    """A sandbox on each backend that really jails, shared by the session."""
    with open_sandbox(request.param, workers=2, limits=Limits(cpu_seconds=0.8)) as sandbox:
        yield sandbox


@pytest.fixture(scope="session")
def sandbox():
    """A sandbox on the default backend, shared by the session."""
    with Sandbox(workers=2) as sandbox:
        yield sandbox


@pytest.fixture
def host(tmp_path, monkeypatch):
    """Things outside the sandbox that a program must neither read nor change."""
    return Host(tmp_path, monkeypatch)


class Host:
    """A canary folder, a secret in the environment and a server on the loopback."""

    def __init__(self, folder, monkeypatch):
        self.folder = folder / "canary"
        (self.folder / "dir").mkdir(parents=True)
        self.secret = "secret-" + os.urandom(8).hex()
        self.file_secret = "file-" + os.urandom(8).hex()
        self.served = "served-" + os.urandom(8).hex()
        (self.folder / "secret.txt").write_text(self.file_secret)
        (self.folder / "write_me.txt").write_text("untouched")
        (self.folder / "dir" / "test_it.py").write_text("# RLENV_TEST_FILE\n")
        for path in (self.folder, *self.folder.rglob("*")):
            path.chmod(0o777)  # so that nothing but the sandbox stands in the way
        self._server = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._serve, daemon=True).start()
        monkeypatch.setenv("SBX_CANARY", str(self.folder))
        monkeypatch.setenv("SBX_SECRET", self.secret)
        monkeypatch.setenv("SBX_PORT", str(self._server.getsockname()[1]))
        self.before = self.content()
        self.processes = guest_processes()

    def _serve(self):
        while True:
            try:
                connection = self._server.accept()[0]
            except OSError:
                return
            with connection:
                connection.sendall(self.served.encode())

    def content(self):
        """Every path in the canary folder with what it holds."""
        paths = sorted(self.folder.rglob("*"))
        return {str(p): p.read_bytes() if p.is_file() else None for p in paths}

    def check(self, verdict, sandbox):
        """Nothing was changed, nothing leaked, nothing is left running."""
        assert self.content() == self.before
        shown = repr(verdict) + verdict.stdout + verdict.stderr
        for secret in (self.secret, self.file_secret, self.served):
            assert secret not in shown
        left = guest_processes() - self.processes - set(sandbox.pids())
        assert not left, left


def pytest_collection_modifyitems(items):
    """Keep these tests on one worker: they count processes and files of the whole machine."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.xdist_group("sandbox"))
