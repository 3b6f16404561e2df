"""What the decoding child gives up before it touches a video: Landlock and seccomp on Linux.

A container or codec library that a crafted file has taken over can then read that one file
and what Python needs, write nothing, open no connection, start no program and reach no other
process. Where the kernel lacks one of the two, the other limits of ``decode`` still hold.

Sources: ``landlock(7)`` and ``seccomp(2)`` of the Linux manual pages, and the kernel's
``include/uapi/linux/landlock.h``, ``seccomp.h``, ``bpf_common.h`` and its system call tables.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

PR_SET_NO_NEW_PRIVS = 38

# The same numbers on every architecture.
LANDLOCK_CREATE_RULESET, LANDLOCK_ADD_RULE, LANDLOCK_RESTRICT_SELF = 444, 445, 446
LANDLOCK_VERSION_FLAG = 1
LANDLOCK_PATH_BENEATH = 1
EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1, 2, 4, 8
FILESYSTEM_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
"""By ABI: how many rights there are, from EXECUTE on; a kernel refuses those it lacks."""
NETWORK_RIGHTS = 0b11  # Bind and connect, TCP.
SCOPES = 0b11  # Abstract sockets and signals.

SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC = 1, 1
SECCOMP_ALLOW, SECCOMP_ERRNO = 0x7FFF0000, 0x00050000
AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
SECCOMP_CALL = {"x86_64": 317, "aarch64": 277}
X32_CALLS = 0x40000000
"""On x86_64 the same calls once more, under other numbers."""

CLONE_THREAD = 0x10000
CLONE = {"x86_64": 56, "aarch64": 220}
CLONE3 = 435

FORBIDDEN: dict[str, tuple[int, ...]] = {
    "x86_64": (
        *(41, 42, 43, 49, 50, 53, 288),  # socket connect accept bind listen socketpair accept4
        *(57, 58, 59, 322),  # fork vfork execve execveat
        *(101, 310, 311),  # ptrace process_vm_readv process_vm_writev
        *(62, 200, 234, 129, 297, 424),  # kill tkill tgkill rt_sigqueueinfo rt_tgsigq… pidfd_send
        *(434, 438),  # pidfd_open pidfd_getfd
        *(155, 161, 165, 166, 272, 308),  # pivot_root chroot mount umount2 unshare setns
        *(175, 176, 313, 246, 320),  # init_module delete_module finit_module kexec…
        *(298, 321, 323, 425, 426, 427),  # perf_event_open bpf userfaultfd io_uring_…
        *(248, 249, 250),  # add_key request_key keyctl
    ),
    "aarch64": (
        *(198, 199, 200, 201, 202, 203, 242),  # socket socketpair bind listen accept connect …
        *(221, 281),  # execve execveat
        *(117, 270, 271),
        *(129, 130, 131, 138, 240, 424),
        *(434, 438),
        *(41, 51, 40, 39, 97, 268),
        *(105, 106, 273, 104, 294),
        *(241, 280, 282, 425, 426, 427),
        *(217, 218, 219),
    ),
}
"""Answered with EPERM. Everything else that decoders need stays; Landlock has the files."""

_libc = ctypes.CDLL(None, use_errno=True)


def confine(readable: Iterable[Path]) -> list[str]:
    """Confine this thread and those it starts, for good; what was put up.

    Args:
        readable: files and folders that may still be read; those that are not there are fine.

    Returns:
        Some of ``landlock`` and ``seccomp``.

    Raises:
        OSError: the kernel has it but refuses.
    """
    if sys.platform != "linux":
        return []
    _check(_libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl")
    put_up = []
    if _restrict_files([path for path in readable if path.exists()]):
        put_up.append("landlock")
    if _forbid_calls():
        put_up.append("seccomp")
    return put_up


def needed_by_python() -> list[Path]:
    """What a module that is loaded late may read, and nothing of the site's own data."""
    return [
        Path(sys.prefix),
        Path(sys.base_prefix),
        Path(__file__).resolve().parent,
        *map(Path, ("/usr/lib", "/lib", "/lib64", "/proc/self", "/dev/urandom", "/dev/null")),
        *map(Path, ("/sys/devices/system/cpu", "/sys/fs/cgroup", "/proc/meminfo", "/proc/cpuinfo")),
    ]


def landlock_abi() -> int:
    """Which version of Landlock the kernel has; below 1 for none."""
    if sys.platform != "linux":
        return 0
    return _syscall(LANDLOCK_CREATE_RULESET, None, 0, LANDLOCK_VERSION_FLAG)


def can_forbid_calls() -> bool:
    """Whether there is seccomp, and the system calls of this processor are known here."""
    known = sys.platform == "linux" and platform.machine() in AUDIT_ARCH
    return known and Path("/proc/sys/kernel/seccomp/actions_avail").exists()


def _restrict_files(readable: Sequence[Path]) -> bool:
    """Landlock; False where the kernel has none."""
    abi = landlock_abi()
    if abi < 1:
        return False
    rights = (1 << FILESYSTEM_RIGHTS[min(abi, max(FILESYSTEM_RIGHTS))]) - 1
    handled = struct.pack("=QQQ", rights, NETWORK_RIGHTS, SCOPES)
    size = 8 if abi < 4 else 16 if abi < 6 else 24
    ruleset = _check(_syscall(LANDLOCK_CREATE_RULESET, handled, size, 0), "landlock ruleset")
    try:
        for path in readable:
            _allow_reading(ruleset, path)
        _check(_syscall(LANDLOCK_RESTRICT_SELF, ruleset, 0), "landlock")
    finally:
        os.close(ruleset)
    return True


def _allow_reading(ruleset: int, path: Path) -> None:
    parent = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        allowed = READ_FILE | (READ_DIR if path.is_dir() else 0)
        rule = struct.pack("=Qi", allowed, parent)
        added = _syscall(LANDLOCK_ADD_RULE, ruleset, LANDLOCK_PATH_BENEATH, rule, 0)
        _check(added, f"landlock rule of {path}")
    finally:
        os.close(parent)


def _forbid_calls() -> bool:
    """Seccomp; False where there is none."""
    if not can_forbid_calls():
        return False
    machine = platform.machine()
    program = b"".join(_filter(machine))
    buffer = ctypes.create_string_buffer(program)
    fprog = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(buffer))
    done = _syscall(
        SECCOMP_CALL[machine], SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, fprog
    )
    if done > 0:  # The number of a thread that could not be confined.
        raise OSError(errno.EBUSY, f"seccomp: thread {done} stays free")
    _check(done, "seccomp")
    return True


def _filter(machine: str) -> Iterable[bytes]:
    """Classic BPF over ``struct seccomp_data``: number at 0, architecture at 4, arguments at 16."""
    forbidden = FORBIDDEN[machine]
    deny = SECCOMP_ERRNO | errno.EPERM
    yield _load(4)
    yield _jump(AUDIT_ARCH[machine], 1, 0)
    yield _answer(deny)  # The calls of another architecture have other numbers.
    yield _load(0)
    if machine == "x86_64":
        yield _jump_if_at_least(X32_CALLS, 0, 1)
        yield _answer(deny)
    # Without the call the C library falls back to clone, whose flags can be read here.
    yield _jump(CLONE3, 0, 1)
    yield _answer(SECCOMP_ERRNO | errno.ENOSYS)
    for number in forbidden:
        yield _jump(number, 0, 1)
        yield _answer(deny)
    yield _jump(CLONE[machine], 1, 0)
    yield _answer(SECCOMP_ALLOW)
    yield _load(16)
    yield _jump_if_any_bit(CLONE_THREAD, 1, 0)
    yield _answer(deny)
    yield _answer(SECCOMP_ALLOW)


def _instruction(code: int, if_true: int, if_false: int, value: int) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)


def _load(offset: int) -> bytes:
    return _instruction(0x20, 0, 0, offset)  # BPF_LD | BPF_W | BPF_ABS


def _jump(value: int, if_equal: int, if_not: int) -> bytes:
    return _instruction(0x15, if_equal, if_not, value)  # BPF_JMP | BPF_JEQ | BPF_K


def _jump_if_at_least(value: int, if_so: int, if_not: int) -> bytes:
    return _instruction(0x35, if_so, if_not, value)  # BPF_JMP | BPF_JGE | BPF_K


def _jump_if_any_bit(value: int, if_so: int, if_not: int) -> bytes:
    return _instruction(0x45, if_so, if_not, value)  # BPF_JMP | BPF_JSET | BPF_K


def _answer(value: int) -> bytes:
    return _instruction(0x06, 0, 0, value)  # BPF_RET | BPF_K


def _syscall(number: int, *arguments: int | bytes | None) -> int:
    """Every argument as wide as a register."""
    wide = [
        ctypes.c_char_p(argument)
        if isinstance(argument, bytes)
        else ctypes.c_void_p(argument)
        if argument is None
        else ctypes.c_long(argument)
        for argument in arguments
    ]
    return int(_libc.syscall(ctypes.c_long(number), *wide))


def _check(result: int, what: str) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")
    return result
