"""Take from this process every system call that converting an image does not need.

Through libseccomp, where it is installed. Run as a program it only tells, by its exit status,
whether that works here.
"""

import ctypes
import errno
import sys

LIBRARY = "libseccomp.so.2"
ALLOW, REFUSE = 0x7FFF0000, 0x00050000  # libseccomp's actions; an error number is added to REFUSE
EQUAL, MASKED_EQUAL = 4, 7  # libseccomp's comparisons
ALL_THREADS = 4  # libseccomp's attribute "tsync"
NEW_THREAD = 0x00010000  # CLONE_THREAD: a thread of this process, never a new process
IS_TERMINAL, CLOSE_ON_EXEC, KEEP_ON_EXEC = 0x5401, 0x5451, 0x5450  # the ioctls Python asks for
FILES = """
    read write readv writev pread64 pwrite64 preadv pwritev open openat close close_range stat fstat
    lstat newfstatat fstatat64 statx statfs fstatfs access faccessat faccessat2 readlink readlinkat
    getcwd getdents64 lseek _llseek ftruncate ftruncate64 fallocate fadvise64 fsync fdatasync unlink
    unlinkat rename renameat renameat2 dup dup2 dup3 fcntl fcntl64 poll ppoll pselect6
"""
MEMORY = "mmap mmap2 munmap mremap mprotect madvise brk membarrier"
ITSELF = """
    futex futex_time64 set_robust_list rseq sched_yield sched_getaffinity getcpu gettid getpid
    getuid geteuid getgid getegid getrusage getrlimit setrlimit prlimit64 clock_gettime clock_getres
    clock_nanosleep nanosleep gettimeofday time times uname sysinfo getrandom rt_sigaction
    rt_sigprocmask rt_sigreturn sigaltstack tgkill exit exit_group restart_syscall
"""


class SeccompMissing(Exception):
    """The library is not there, or the kernel refuses the filter."""


class _Argument(ctypes.Structure):
    """What one argument of a call must be; as libseccomp's ``scmp_arg_cmp``."""

    _fields_ = [
        ("place", ctypes.c_uint),
        ("comparison", ctypes.c_int),
        ("first", ctypes.c_uint64),
        ("second", ctypes.c_uint64),
    ]


def confine() -> None:
    """Refuse, from now on and for good, all calls but those listed above.

    No network, no other program, no other process. What is refused looks like a call that the
    kernel does not have, so that libraries fall back to an older one.

    Raises:
        SeccompMissing: it does not work here.
    """
    library = _library()
    context = library.seccomp_init(REFUSE | errno.ENOSYS)
    if not context:
        raise SeccompMissing("no filter could be made")
    try:
        _done(library.seccomp_attr_set(context, ALL_THREADS, 1))
        for name in f"{FILES} {MEMORY} {ITSELF}".split():
            _allow(library, context, name)
        _allow(library, context, "clone", _Argument(0, MASKED_EQUAL, NEW_THREAD, NEW_THREAD))
        for request in (IS_TERMINAL, CLOSE_ON_EXEC, KEEP_ON_EXEC):
            _allow(library, context, "ioctl", _Argument(1, EQUAL, request, 0))
        _done(library.seccomp_load(context))
    finally:
        library.seccomp_release(context)


def _allow(library: ctypes.CDLL, context: int, name: str, *arguments: _Argument) -> None:
    number = library.seccomp_syscall_resolve_name(name.encode())
    if number < 0:  # this machine's kind of processor has no such call
        return
    must_be = (_Argument * len(arguments))(*arguments)
    _done(library.seccomp_rule_add_array(context, ALLOW, number, len(arguments), must_be))


def _library() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(LIBRARY)
    except OSError as error:
        raise SeccompMissing(str(error)) from error
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_init.argtypes = [ctypes.c_uint32]
    library.seccomp_release.argtypes = [ctypes.c_void_p]
    library.seccomp_load.argtypes = [ctypes.c_void_p]
    library.seccomp_attr_set.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_uint32]
    library.seccomp_syscall_resolve_name.argtypes = [ctypes.c_char_p]
    library.seccomp_rule_add_array.argtypes = [
        ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint, ctypes.POINTER(_Argument),
    ]  # fmt: skip
    return library


def _done(result: int) -> None:
    if result < 0:
        raise SeccompMissing(f"libseccomp answered {result}")


def main() -> int:
    """Try it on this process: 0 if it works, 1 if not."""
    try:
        confine()
    except SeccompMissing as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
