"""Runs one command under limits and kills whatever it leaves: the process beside strangers' code.

A program of the standard library alone, started as ``python -I -S _warden.py JOB REPORT`` by
`tt_tito.teaching._limits`, on POSIX systems. JOB is JSON: the command, the folder it may write to,
the limits. To the file descriptor REPORT goes a line with the number of the command's process, and
in the end one of JSON that says how it ended.

With ``"namespaces": true`` the warden is the first process of a new user, mount, network, process
and IPC namespace on Linux, where it takes the network, the sockets of programs outside and the
right to write away before the command starts; when it ends, the kernel kills every process that is
left, however well it hides. Without namespaces, on Linux, what the command leaves behind becomes
the warden's child and is found so; elsewhere the process group is all that is known.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import select
import signal
import stat
import struct
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

if sys.platform != "win32":
    import resource

LINUX = sys.platform == "linux"
GRACE = 2.0  # seconds in which what the command started may end after it
BLOCK = 4096  # bytes that a file or a folder takes at least, its entry included
MEETINGS = ("/run/user", "/run/dbus", "/tmp/.X11-unix")  # where programs leave sockets at any time

# Linux's own numbers; the standard library has no names for them.
PR_SET_DUMPABLE, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 4, 36, 38
PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL = 47, 4  # capabilities that a program is started with
SYS_MOUNT_SETATTR, AT_FDCWD, AT_RECURSIVE, MOUNT_ATTR_RDONLY = 442, -100, 0x8000, 0x1
MS_BIND, MS_RDONLY, MS_NOSUID, MS_NODEV = 0x1000, 0x1, 0x2, 0x4
SIOCSIFFLAGS, IFF_UP = 0x8914, 0x1


def main(job: dict[str, Any], report: int) -> None:
    """Run the job's command, then write how it ended."""
    namespaces = job["namespaces"]
    for descriptor in (report, job["lifeline"], job["sockets"]):  # they are not for the command
        os.set_inheritable(descriptor, False)
    if LINUX:
        prctl(PR_SET_DUMPABLE, 0)  # nor can it take them from this process
    if namespaces:
        bring_loopback_up()
        make_read_only_but(job["folder"], job["memory"])
        cover_sockets(job["folder"], job["sockets"])
    elif LINUX:
        prctl(PR_SET_CHILD_SUBREAPER, 1)
    child = os.fork()
    if child == 0:
        become(job, namespaces)
    os.write(report, b"%d\n" % child)
    code, reason = watch(child, job)
    left = leftovers(child) if reason is None else 0
    kill_all(child)
    if left:
        processes = "a process" if left == 1 else f"{left} processes"
        reason = f"left {processes} running after it had ended"
    os.write(report, json.dumps({"code": code, "reason": reason}).encode())


def become(job: dict[str, Any], namespaces: bool) -> None:
    """Turn this process, just forked, into the command."""
    try:
        os.setsid()
        os.chdir(job["folder"])
        seconds = job["cpu_seconds"]
        limit(resource.RLIMIT_CPU, seconds, seconds + 1)
        limit(resource.RLIMIT_AS, job["address_space"], job["address_space"])
        limit(resource.RLIMIT_FSIZE, job["file_size"], job["file_size"])
        limit(resource.RLIMIT_CORE, 0, 0)
        if LINUX:
            if namespaces:
                prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)
            prctl(PR_SET_NO_NEW_PRIVS, 1)
        command = job["command"]
        os.execvpe(command[0], command, job["environment"])
    except BaseException as error:
        os.write(2, f"{job['command'][0]} cannot be started: {error}\n".encode())
    finally:
        os._exit(127)


def limit(kind: int, soft: int, hard: int) -> None:
    """Set a limit, or the lower one that stands already; platforms that lack it go without."""
    _, most = resource.getrlimit(kind)
    if most != resource.RLIM_INFINITY:
        soft, hard = min(soft, most), min(hard, most)
    try:
        resource.setrlimit(kind, (soft, hard))
    except (OSError, ValueError):  # macOS refuses some limits that Linux keeps
        return


def watch(child: int, job: dict[str, Any]) -> tuple[int, str | None]:
    """Wait for the child; return its exit code and why it was stopped, if it was."""
    started = time.monotonic()
    looked = started
    while True:
        # The other end is tito's: it is closed to end this early, or because tito died.
        if select.select([job["lifeline"]], [], [], 0.05)[0]:
            return -signal.SIGKILL, "was ended by tito"
        while True:  # what the command orphaned ends here as well
            try:
                process, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return 127, None
            if process == child:
                return verdict(os.waitstatus_to_exitcode(status), job)
            if process == 0:
                break
        now = time.monotonic()
        if now - started > job["seconds"]:
            return -signal.SIGKILL, f"ran longer than {job['seconds']:g} seconds"
        processes = list(family(child))
        if len(processes) > job["processes"]:
            return -signal.SIGKILL, f"had more than {job['processes']} processes at once"
        if sum(map(resident, processes)) > job["memory"]:
            return -signal.SIGKILL, f"used more than {size(job['memory'])} of memory"
        if now - looked > 0.5:
            looked = now
            try:
                total = written(job["folder"]) + sum(map(unlinked, processes))
            except OSError:
                return -signal.SIGKILL, "made folders too deep to be measured"
            if total > job["disk"]:
                return -signal.SIGKILL, f"wrote more than {size(job['disk'])} to the disk"


def verdict(code: int, job: dict[str, Any]) -> tuple[int, str | None]:
    """Say why the system stopped the command, where its exit code tells."""
    if code == -signal.SIGXCPU:
        return code, f"used more than {job['cpu_seconds']} seconds of processor time"
    return code, None


def size(count: int) -> str:
    """Tell bytes as people do."""
    return f"{count / 2**30:g} GiB" if count >= 2**30 else f"{count / 2**20:g} MiB"


# --- The command's processes --------------------------------------------------------------------


def family(child: int) -> Iterator[int]:
    """Yield the processes that descend from this one; without /proc, the command's group."""
    if not LINUX:
        yield from [child] if group_lives(child) else []
        return
    parents: dict[int, int] = {}
    for name in os.listdir("/proc"):
        if name.isdecimal():
            try:
                text = Path("/proc", name, "stat").read_text(errors="replace")
            except OSError:
                continue  # it has just ended
            state, parent = text.rpartition(")")[2].split()[:2]
            if state != "Z":
                parents[int(name)] = int(parent)
    known = {os.getpid()}
    while found := {pid for pid, parent in parents.items() if parent in known} - known:
        known |= found
        yield from found


def group_lives(group: int) -> bool:
    """Tell whether a process of a group is alive."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # macOS: only zombies are left
        return False
    return True


def leftovers(child: int) -> int:
    """Count the processes that outlive the command, after a moment's grace."""
    end = time.monotonic() + GRACE
    while True:
        reap()
        count = len(list(family(child)))
        if count == 0 or time.monotonic() > end:
            return count
        time.sleep(0.02)


def kill_all(child: int) -> None:
    """Kill the command and whatever descends from it, until nothing of it is left."""
    for _ in range(100):
        for process in {*family(child)}:
            try:
                os.kill(process, signal.SIGKILL)
            except OSError:
                continue
        try:
            os.killpg(child, signal.SIGKILL)
        except OSError:
            pass
        reap()
        if not list(family(child)):
            return
        time.sleep(0.01)


def reap() -> None:
    """Take the exit codes of children that have ended."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return


def resident(process: int) -> int:
    """Bytes of memory that a process holds."""
    try:
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def written(folder: str) -> int:
    """Bytes that the files and folders of a folder take on the disk.

    Raises:
        OSError: If the name of something in it is longer than the system takes.
    """
    total = 0
    waiting = [folder]  # no recursion: the depth is the command's choice
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                found = list(entries)
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                raise
            continue
        for entry in found:
            try:
                total += max(BLOCK, entry.stat(follow_symlinks=False).st_blocks * 512)
            except OSError as error:
                if error.errno == errno.ENAMETOOLONG:
                    raise
                continue  # it has just been removed
            if entry.is_dir(follow_symlinks=False):
                waiting.append(entry.path)
    return total


def unlinked(process: int) -> int:
    """Bytes of files that a process holds open but that no folder shows."""
    total = 0
    try:
        for name in os.listdir(f"/proc/{process}/fd"):
            status = os.stat(f"/proc/{process}/fd/{name}")
            total += 0 if status.st_nlink else status.st_blocks * 512
    except OSError:
        pass
    return total


# --- Linux: what is taken away ------------------------------------------------------------------


def prctl(option: int, value: int) -> None:
    """Change what this process may do."""
    check(libc().prctl(option, value, 0, 0, 0), f"prctl {option}")


def bring_loopback_up() -> None:
    """Give the empty network its one interface: tests may talk to a server of their own."""
    import fcntl
    import socket

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        fcntl.ioctl(handle, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))


def make_read_only_but(folder: str, memory: int) -> None:
    """Make every mounted file system read-only, except one folder and a new /dev/shm."""
    mount_attributes("/", set_=MOUNT_ATTR_RDONLY, flags=AT_RECURSIVE)
    place = os.fsencode(folder)
    mount(place, place, None, MS_BIND, None)
    mount_attributes(folder, clear=MOUNT_ATTR_RDONLY)
    if os.path.isdir("/dev/shm"):
        mount(b"tmpfs", b"/dev/shm", b"tmpfs", MS_NOSUID | MS_NODEV, b"size=%d" % (memory // 4))


def cover_sockets(folder: str, sockets: int) -> None:
    """Cover the sockets of programs outside: what is read-only can still be connected to.

    Args:
        folder: The command's folder, which is not covered.
        sockets: A descriptor of /proc/net/unix, opened outside; sockets without a file belong to
            the network, which is another one here.
    """
    for place in MEETINGS:
        if os.path.isdir(place) and not folder.startswith(os.path.realpath(place) + "/"):
            mount(b"tmpfs", os.fsencode(place), b"tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV, None)
    with open(sockets, "rb") as lines:
        paths = {path for line in lines if (path := line.rstrip(b"\n").partition(b" /")[2])}
    for path in (b"/" + path for path in paths):
        if is_socket(path):
            try:
                mount(b"/dev/null", path, None, MS_BIND, None)
            except OSError:
                if is_socket(path):  # it has not just been removed
                    raise


def is_socket(path: bytes) -> bool:
    """Tell whether a path leads to a socket; what cannot be reached from here does not."""
    try:
        return stat.S_ISSOCK(os.stat(path).st_mode)
    except OSError:
        return False


def mount(source: bytes, target: bytes, kind: bytes | None, flags: int, data: bytes | None) -> None:
    """Mount a file system, or a folder a second time."""
    check(libc().mount(source, target, kind, ctypes.c_ulong(flags), data), "mount")


class Attributes(ctypes.Structure):
    """What mount_setattr(2) takes."""

    _fields_ = [(name, ctypes.c_uint64) for name in ("set", "clear", "propagation", "userns")]


def mount_attributes(path: str, *, set_: int = 0, clear: int = 0, flags: int = 0) -> None:
    """Change the attributes of a mount, of all below it too with ``AT_RECURSIVE``."""
    attributes = Attributes(set_, clear, 0, 0)
    arguments = (os.fsencode(path), ctypes.c_uint(flags), ctypes.byref(attributes))
    length = ctypes.c_size_t(ctypes.sizeof(attributes))
    check(libc().syscall(SYS_MOUNT_SETATTR, AT_FDCWD, *arguments, length), "mount_setattr")


def libc() -> ctypes.CDLL:
    """The C library."""
    return ctypes.CDLL(None, use_errno=True)


def check(result: int, call: str) -> None:
    """Raise the error that a call of the C library met."""
    if result != 0:
        number = ctypes.get_errno() or errno.EINVAL
        raise OSError(number, f"{call}: {os.strerror(number)}")


if __name__ == "__main__":
    main(json.loads(sys.argv[1]), int(sys.argv[2]))
