"""System call numbers, as `name x86_64 aarch64` with `-` where there is none."""

# What an interpreter needs that touches only its own memory, files, clocks and threads.
ALWAYS = """
read 0 63, write 1 64, close 3 57, fstat 5 80, lseek 8 62, mmap 9 222, mprotect 10 226, munmap
11 215, brk 12 214, rt_sigaction 13 134, rt_sigprocmask 14 135, rt_sigreturn 15 139, pread64 17
67, pwrite64 18 68, readv 19 65, writev 20 66, preadv 295 69, pwritev 296 70, sched_yield 24
124, mremap 25 216, msync 26 227, madvise 28 233, dup 32 23, dup3 292 24, nanosleep 35 101,
getitimer 36 102, setitimer 38 103, getpid 39 172, sendfile 40 71, exit 60 93, exit_group 231
94, wait4 61 260, waitid 247 95, uname 63 160, fsync 74 82, fdatasync 75 83,
ftruncate 77 46, getcwd 79 17, chdir 80 49, fchdir 81 50, gettimeofday 96 169, getrlimit 97 163,
getrusage 98 165, sysinfo 99 179, times 100 153, getuid 102 174, getgid 104
176, geteuid 107 175, getegid 108 177, getppid 110 173, getpgid 121 155, getsid 124 156,
getgroups 115 158, getresuid 118 148, getresgid 120 150, umask 95 166, rt_sigpending 127 136,
rt_sigtimedwait 128 137, rt_sigsuspend 130 133, sigaltstack 131 132, statfs 137 43, fstatfs 138
44, gettid 186 178, futex 202 98, sched_getaffinity 204 123, getdents64 217 61, set_tid_address
218 96, restart_syscall 219 128, fadvise64 221 223, clock_gettime 228 113, clock_getres 229 114,
clock_nanosleep 230 115, set_robust_list 273 99, fallocate 285 47, timerfd_create 283 85,
timerfd_settime 286 86, timerfd_gettime 287 87, eventfd2 290 19, epoll_create1 291 20, epoll_ctl
233 21, epoll_pwait 281 22, pipe2 293 59, ppoll 271 73, pselect6 270 72, getrandom 318 278,
copy_file_range 326 285, membarrier 324 283, statx 332 291, rseq 334 293, openat 257 56, mkdirat
258 34, unlinkat 263 35, renameat 264 38, renameat2 316 276, linkat 265 37, symlinkat 266 36,
faccessat 269 48, faccessat2 439 439, newfstatat 262 79, close_range 436 436,
epoll_pwait2 441 441, futex_waitv 449 449, getcpu 309 168, recvfrom 45 207,
shutdown 48 210, getsockname 51 204, getpeername 52 205,
getsockopt 55 209, open 2 -, stat 4 -, lstat 6 -, poll 7 -, access 21 -,
pipe 22 -, select 23 -, dup2 33 -, alarm 37 -, getpgrp 111 -, rename 82 -, mkdir 83 -, rmdir 84 -,
creat 85 -, link 86 -, unlink 87 -, symlink 88 -, epoll_create 213 -, epoll_wait
232 -, eventfd 284 -, time 201 -, arch_prctl 158 -, pause 34 -, getdents 78 -
"""

# Changes to a file's mode and times. Landlock does not see them, so they are for jails where
# only private files can be reached.
INODE = """
truncate 76 45, chmod 90 -, fchmod 91 52, fchmodat 268 53, fchmodat2 452 452, utime 132 -,
utimes 235 -, futimesat 261 -, utimensat 280 88
"""

# Looking up where a symbolic link points. Landlock does not see it.
LINKS = """
readlink 89 -, readlinkat 267 78
"""

# Starting and steering child processes, and handing descriptors around.
PROCESS = """
sendmsg 46 211, recvmsg 47 212, fork 57 -, vfork 58 -, execve 59 221, setsid 112 157, setpgid 109
154, pidfd_open 434 434, pidfd_send_signal 424 424
"""

# Allowed with certain arguments only.
FILTERED = """
clone 56 220, clone3 435 435, kill 62 129, tgkill 234 131, prctl 157 167, prlimit64 302 261,
ioctl 16 29, fcntl 72 25, socketpair 53 199, sendto 44 206, flock 73 32
"""

# Refused as if the file system had none: `shutil.copy2` takes no other answer.
EXTENDED_ATTRIBUTES = """
getxattr 191 8, lgetxattr 192 9, fgetxattr 193 10, listxattr 194 11, llistxattr 195 12, flistxattr
196 13
"""


def numbers(table, machine):
    """Read a table.

    Args:
        table: One of the tables above.
        machine: The architecture, as in `os.uname().machine`.

    Returns:
        Numbers by name, without the calls that the architecture lacks.

    Raises:
        OSError: There is no table for the architecture.
    """
    column = {"x86_64": 1, "aarch64": 2}.get(machine)
    if column is None:
        raise OSError(f"no system call table for {machine}")
    rows = (row.split() for row in table.replace("\n", " ").split(","))
    return {row[0]: int(row[column]) for row in rows if row[column] != "-"}
