"""Landlock and seccomp, where namespaces are forbidden."""

# pathlib would be one more thing to import and to fork:
# ruff: noqa: PTH101, PTH102, PTH104, PTH106, PTH108, PTH116, PTH118, PTH208

import contextlib
import os
import stat

from rlenv.sandbox.guest import landlock, linux, redirect, seccomp, semaphores
from rlenv.sandbox.guest.jails.base import NOBODY, Jail


class LandlockJail(Jail):
    """No sight of files but the interpreter's, no sockets, no signals to others.

    The run shares the host's pid and mount namespace, so what the kernel offers no lock for
    is refused by seccomp: signals to other processes, changes to modes and owners of files,
    tracing, sockets. Its scratch folder is on the host's disk and watched for size.
    """

    capabilities = 0

    def __init__(self, config):
        super().__init__(config)
        # Made anew when a run has changed it, so it lies in the one that the host made for us.
        self.folder = f"{config['scratch']}/tmp"

    def enter_supervisor(self):
        """Become nobody, if we are root."""
        if os.geteuid() == 0:
            self._become_nobody()
        linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)
        linux.prctl(linux.PR_SET_DUMPABLE, 0)
        linux.prctl(linux.PR_SET_CHILD_SUBREAPER, 1)  # a run's parent, once the warm one is gone

    def _become_nobody(self):
        reachable = _reachable_as_nobody(self.config["readable"])
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        linux.prctl(linux.PR_SET_KEEPCAPS, 1)
        os.setresuid(NOBODY, NOBODY, NOBODY)
        if not reachable:
            # The interpreter lies behind a private folder (/root, say). Landlock narrows this
            # right to read down to the interpreter's own files.
            self.capabilities = 1 << linux.CAP_DAC_READ_SEARCH
        linux.set_capabilities(self.capabilities)

    def enter_zygote(self):
        """Prepare what all runs share, and refuse to serve without Landlock."""
        level = landlock.version()
        self.filter = seccomp.Filter(
            seccomp.build(own_signals=True, inode=False, truncate=level >= 3, links=False)
        )
        os.environ.update(TMPDIR=self.folder, HOME=self.folder)
        self._make_folder()
        folders = {"/tmp": self.folder, "/dev/shm": self.folder}
        self.redirect = redirect.Redirect(folders, links=True, inodes=True)
        semaphores.install()
        self.parent = os.getpid()

    def _make_folder(self):
        """Make the scratch folder of the runs to come, and the rules that allow its use."""
        for fd in self.kept:
            os.close(fd)
        os.mkdir(self.folder, 0o700)
        os.utime(self.folder, (0, 0))  # whatever a run does in it will show
        os.chdir(self.folder)
        self._lock_files(self.folder)

    def enter_run(self):
        """Lock the files, then the system calls."""
        linux.die_with_parent(self.parent)
        self.files.restrict()
        linux.set_capabilities(self.capabilities)
        # The warm parent counts its removed files through /proc; nobody else may look, as
        # runs can't reach /proc and can't trace.
        linux.prctl(linux.PR_SET_DUMPABLE, 1)
        self.redirect.install()
        self.filter.install()

    def _lock_files(self, scratch):
        devices = ["/dev/null", "/dev/zero", "/dev/urandom", "/dev/random"]
        self.files = landlock.Ruleset(self.config["readable"], [scratch], devices)
        self.kept = (self.files.fd,)

    def overfull(self, pid):
        """Measure the scratch folder, since nothing else bounds its total."""
        size = count = 0
        try:
            for found in (*_walk(self.folder), *_unlinked(pid)):
                count += 1
                size += found.st_blocks * 512
                if size > self.config["disk_bytes"] or count > self.config["files"]:
                    return b"disk"
        except OSError:  # made so that it can't be walked
            return b"disk"
        return b""

    def clean(self):
        """Remove the scratch folder and make a new one, if the run has used it.

        A folder keeps traces of what was in it, such as its size.
        """
        if os.stat(self.folder).st_mtime_ns:
            empty(self.folder)
            os.rmdir(self.folder)
            self._make_folder()

    def leave(self):
        """Wait for the run that the warm parent left, and remove the scratch folder."""
        with contextlib.suppress(ChildProcessError):
            while True:
                os.waitpid(-1, 0)
        with contextlib.suppress(OSError):  # the host removes it too, as far as it lives
            empty(self.config["scratch"])
            os.rmdir(self.config["scratch"])


def _reachable_as_nobody(paths):
    """Whether nobody could look up the given paths; asked of a child, who becomes nobody."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
            code = 0 if all(os.access(path, os.R_OK) for path in paths) else 1
        finally:
            os._exit(code)
    return os.waitpid(pid, 0)[1] == 0


def _walk(folder):
    """Yield the status of everything below a folder, without recursing in Python."""
    waiting = [folder]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                try:
                    yield entry.stat(follow_symlinks=False)
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                except FileNotFoundError:  # removed meanwhile
                    continue


def _unlinked(pid):
    """Yield the status of the regular files that a process holds open but has removed."""
    folder = f"/proc/{pid}/fd"
    try:
        for name in os.listdir(folder):
            try:
                found = os.stat(f"{folder}/{name}")
            except FileNotFoundError:
                continue
            # Numbers up to 4 were given to it: sealed memory and pipes.
            if int(name) > 4 and not found.st_nlink and stat.S_ISREG(found.st_mode):
                yield found
    except (FileNotFoundError, PermissionError):  # it has ended, or has yet to set itself up
        return


def empty(folder):
    """Remove everything below a folder, however deep or locked it is.

    Args:
        folder: The folder, which stays. Nothing may be running in it any more.
    """
    # Deep trees defeat both recursion and path lengths, so children are pulled up first.
    serial = 0
    while True:
        left = os.listdir(folder)
        if not left:
            return
        for name in left:
            path = os.path.join(folder, name)
            if not stat.S_ISDIR(os.lstat(path).st_mode):
                os.unlink(path)
                continue
            with contextlib.suppress(OSError):
                os.chmod(path, 0o700)
            for child in os.listdir(path):
                below = os.path.join(path, child)
                if stat.S_ISDIR(os.lstat(below).st_mode):
                    with contextlib.suppress(OSError):
                        os.chmod(below, 0o700)
                    target = path
                    while os.path.lexists(target):  # the program may have used such names
                        serial += 1
                        target = os.path.join(folder, f".gone-{serial}")
                    os.rename(below, target)
                else:
                    os.unlink(below)
            os.rmdir(path)
