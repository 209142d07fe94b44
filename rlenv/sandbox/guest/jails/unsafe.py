"""No jail: resource limits and a process group to kill."""

# pathlib would be one more thing to import and to fork:

import contextlib
import os
import signal
import sys

from rlenv.sandbox.guest import linux
from rlenv.sandbox.guest.jails.base import Jail
from rlenv.sandbox.guest.jails.landlock import LandlockJail, empty


class UnsafeJail(LandlockJail):
    """A fresh interpreter for each run, with resource limits only.

    The program can read and write what the user can, use the network, and outlive its run by
    leaving its process group.
    """

    fresh_interpreter = True

    enter_supervisor = Jail.enter_supervisor

    def enter_zygote(self):
        """Nothing is confined."""
        self.folder = self.config["scratch"]
        self.parent = os.getpid()

    def enter_run(self):
        """Die with the warm parent. It leads a process group, which can be killed as one."""
        if sys.platform.startswith("linux"):
            linux.die_with_parent(self.parent)
        os.chdir(self.config["scratch"])

    def exec_runner(self):
        """Start an isolated interpreter on the same descriptors."""
        import tempfile

        source = tempfile.TemporaryFile()  # noqa: SIM115 - it must outlive the exec
        source.write(self.config["bundle"])
        source.seek(0)
        if source.fileno() != 6:
            os.dup2(source.fileno(), 6)
        for fd in (3, 4, 5, 6):
            os.set_inheritable(fd, True)
        scratch = self.config["scratch"]
        environment = dict(os.environ, TMPDIR=scratch, HOME=scratch)
        command = [
            sys.executable,
            *self.config["flags"],
            "-c",
            self.config["bootstrap"],
            "6",
            "run",
        ]
        os.execve(sys.executable, command, environment)

    def kill(self, pid):
        """Kill the process group."""
        with contextlib.suppress(OSError):
            os.killpg(pid, signal.SIGKILL)
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)
        self._last = pid

    def fork(self):
        """Fork, and remember the group."""
        self._last = os.fork()
        return self._last

    def clean(self):
        """Kill what is left of the group and empty the scratch folder."""
        with contextlib.suppress(OSError):
            os.killpg(self._last, signal.SIGKILL)
        empty(self.folder)
