"""The jail inside a container, which has closed most doors already."""

# pathlib would be one more thing to import and to fork:
# ruff: noqa: PTH208

import os

from rlenv.sandbox.guest import landlock, linux, redirect, seccomp, semaphores
from rlenv.sandbox.guest.jails.landlock import LandlockJail, empty


class ContainerJail(LandlockJail):
    """Seccomp, and Landlock where the container's own filter allows it.

    The container gives the private root, the bounded tmpfs and the process limit; this keeps
    a run from its warm parent and from what an earlier run left.
    """

    def enter_supervisor(self):
        """Make sure that the container is what we asked for."""
        if os.geteuid() == 0:
            raise OSError("the container runs as root")
        linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)
        linux.prctl(linux.PR_SET_DUMPABLE, 0)

    def enter_zygote(self):
        """Prepare for runs."""
        self.folder = self.config["scratch"]
        os.chdir(self.folder)
        self.parent = os.getpid()
        hidden = ("proc", "sys", "dev", "tmp", "run")
        processes = self.config["processes"] > 0
        self.filter = seccomp.Filter(
            seccomp.build(own_signals=True, processes=processes)  # the root is read-only
        )
        self.config["readable"] = [f"/{name}" for name in os.listdir("/") if name not in hidden]
        if landlock.version() and not processes:
            self._lock_files(self.folder)
        self.redirect = redirect.Redirect({"/tmp": self.folder, "/dev/shm": self.folder})
        if not processes:
            semaphores.install()

    def enter_run(self):
        """Lock the files where possible, then the system calls."""
        linux.die_with_parent(self.parent)
        if self.kept:
            self.files.restrict()
        self.redirect.install()
        self.filter.install()

    def overfull(self, pid):
        """The tmpfs bounds itself."""
        return b""

    def clean(self):
        """Empty the tmpfs, which keeps no traces."""
        empty(self.folder)

    def leave(self):
        """The container goes away as a whole."""
