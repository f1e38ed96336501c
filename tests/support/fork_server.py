"""A process that has everything imported, and forks a worker in milliseconds instead of seconds.

`python -m tests.support.fork_server`: reads orders from stdin, and writes to stdout which worker started
and which ended, each as a line of JSON. `ForkServer` is the other end of these pipes.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import os
import resource
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.support.installation import QUICK
from tests.support.stub_worker import Order, run

ROOT = Path(__file__).parents[2]
_PR_SET_PDEATHSIG = 1
_CLONE_NEWUSER = 0x10000000


class ForkedWorker:
    """One worker that a fork server started."""

    def __init__(self, server: ForkServer, pid: int, log: Path) -> None:
        self.pid = pid
        self._server = server
        self._log = log

    @property
    def log(self) -> str:
        """What it has said so far, and those before it in the same folder."""
        return self._log.read_text(encoding="utf-8")

    @property
    def state(self) -> str:
        """The kernel's letter for what the process does: R, S, D, T, t, Z; X when it is gone."""
        with contextlib.suppress(OSError):
            return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0]
        return "X"

    def signal(self, number: int) -> None:
        """Send a signal, unless it is gone."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def wait(self, seconds: float = 120.0) -> int:
        """Wait for its end; return its exit code, or minus the signal that killed it."""
        return self._server.wait(self.pid, seconds)

    def kill(self) -> None:
        """End it at once."""
        self.signal(signal.SIGKILL)
        self.wait()


class ForkServer:
    """The client's end; close it when done."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.support.fork_server"]
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
        )
        self._received = b""
        self._ended: dict[int, int] = {}
        try:
            self._receive(300.0)  # TensorFlow is not among it, but on a busy machine it may take long
        except BaseException:
            self.close()
            raise

    def worker(self, order: Order) -> ForkedWorker:
        """Start a worker; its log is appended to `worker.log` in its folder."""
        assert self._process.stdin
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        while True:
            message = self._receive(30.0)
            if "started" in message:
                self._ended.pop(message["started"], None)  # of another, long ago: numbers come round again
                return ForkedWorker(self, message["started"], Path(order["folder"]) / "worker.log")

    def wait(self, pid: int, seconds: float) -> int:
        """Wait until a worker has ended; return how."""
        end = time.monotonic() + seconds
        while pid not in self._ended:
            self._receive(end - time.monotonic())
        return self._ended[pid]

    def close(self) -> None:
        """End the server, and with it all workers."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe
            pipe.close()

    def _receive(self, seconds: float) -> dict[str, Any]:
        end = time.monotonic() + seconds
        while b"\n" not in self._received:
            assert self._process.stdout
            pipe = self._process.stdout.fileno()
            if not select.select([pipe], [], [], max(0.0, end - time.monotonic()))[0]:
                raise TimeoutError("the worker does not end")
            chunk = os.read(pipe, 65536)
            assert chunk, "the fork server has ended"
            self._received += chunk
        line, _, self._received = self._received.partition(b"\n")
        message: dict[str, Any] = json.loads(line)
        if "ended" in message:
            self._ended[message["ended"]] = message["code"]
        return message


def main() -> None:
    """Serve orders until stdin ends."""
    _die_with_parent()
    with tempfile.TemporaryDirectory(prefix="pawsort-fork-server-") as scratch:
        tempfile.tempdir = scratch
        os.chmod(scratch, 0o1777)  # like /tmp: workers of other users have their locks there too
        _warm_up(Path(scratch))
        gc.freeze()
        _serve()


def _serve() -> None:
    awake, wake = os.pipe()
    for end in (awake, wake):
        os.set_blocking(end, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake)
    _send(ready=True)
    waiting = b""
    while True:
        ready, _, _ = select.select([0, awake], [], [])
        if awake in ready:
            os.read(awake, 4096)
            _reap()
        if 0 in ready:
            received = os.read(0, 65536)
            if not received:
                return
            *lines, waiting = (waiting + received).split(b"\n")
            for line in lines:
                _fork(json.loads(line))


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            _send(ended=pid, code=os.waitstatus_to_exitcode(status))


def _fork(order: Order) -> None:
    pid = os.fork()
    if pid:
        _send(started=pid)
        return
    code = 70
    try:
        _become_worker(order)
        code = run(order)
        sys.stderr.flush()
    finally:
        os._exit(code)


def _become_worker(order: Order) -> None:
    _die_with_parent()
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setpgid(0, 0)
    log = os.open(os.path.join(order["folder"], "worker.log"), os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o644)
    for descriptor in (1, 2):
        os.dup2(log, descriptor)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    _confine(order)
    if order.get("held"):
        os.kill(os.getpid(), signal.SIGSTOP)


def _confine(order: Order) -> None:
    if cgroup := order.get("cgroup"):
        Path(cgroup, "cgroup.procs").write_text(str(os.getpid()))
    if limit := order.get("inotify"):
        _limit_inotify(*limit)
    if nofile := order.get("nofile"):
        resource.setrlimit(resource.RLIMIT_NOFILE, (nofile, nofile))
    if uid := order.get("uid"):
        os.setgroups([])
        os.setgid(uid)
        os.setuid(uid)
        _die_with_parent()  # forgotten by a change of user


def _limit_inotify(what: str, most: int) -> None:
    """Enter a user namespace of our own, whose limits are ours to set."""
    uid, gid = os.getuid(), os.getgid()
    if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWUSER):
        raise OSError(ctypes.get_errno(), "unshare")
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
        Path(f"/proc/self/{name}").write_text(text)
    Path(f"/proc/sys/user/max_inotify_{what}").write_text(str(most))


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _warm_up(scratch: Path) -> None:
    """Run once, so that everything that is imported late is there before the first fork."""
    folder = scratch / "warm"
    (folder / "inbox").mkdir(parents=True)
    (folder / "config.yaml").write_text(QUICK, encoding="utf-8")
    (folder / "inbox" / "a.jpg").write_bytes(b"<cat>")
    code = run(Order(folder=str(folder), once=True))
    assert code == 0, code
    shutil.rmtree(folder)


def _send(**words: object) -> None:
    os.write(1, json.dumps(words).encode() + b"\n")


if __name__ == "__main__":
    main()
