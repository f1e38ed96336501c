"""A Ray cluster on 127.0.0.1, one machine a process tree, each of which can be killed."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

START_SECONDS = 120.0

_RAY = """
from ray._private import services
services.resolve_ip_for_localhost = lambda host: host
from ray.scripts.scripts import main
main()
"""
"""The command `ray`, which would replace 127.0.0.1 by another address of this machine and listen on all."""


class Cluster:
    """A head and more machines, with `cpus` CPUs each; started one after the other, for those of one moment
    time out. Ray's folder is short, as it has sockets.
    """

    def __init__(self, machines: int, cpus: int = 1) -> None:
        self._cpus = cpus
        self._top = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))
        self.environment = {
            **os.environ,
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # drivers connect to 127.0.0.1, not to another address
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "PYTHONPATH": str(Path(__file__).parents[2]),
        }
        self._of_machines = {
            name: value for name, value in self.environment.items() if not name.endswith("OSX_CLUSTER")
        }
        self.address = ""
        self.machines: list[subprocess.Popen[bytes]] = []
        try:
            self._start_head()
            for _ in range(machines - 1):
                self.add()
        except BaseException:
            self.stop()
            raise

    def _start_head(self) -> None:
        self.address = f"127.0.0.1:{_free_port()}"
        port = self.address.partition(":")[2]
        client = f"--ray-client-server-port={_free_port()}"
        self._start("--head", f"--port={port}", "--include-dashboard=false", client)

    def add(self) -> None:
        """Start one more machine, and wait until it has joined."""
        self._start(f"--address={self.address}")

    def restart(self) -> None:
        """End all machines, and start as many."""
        count = len(self.machines)
        self._end_all()
        self._start_head()
        while len(self.machines) < count:
            self.add()

    def kill(self, number: int) -> None:
        """Kill a machine with all its processes at once; 0 is the head."""
        machine = self.machines.pop(number)
        kill_tree(machine.pid)
        machine.wait()

    def children_of_actors(self) -> list[int]:
        """Return the processes that the actors of a backfill have started here: their classifiers."""
        below = {pid for machine in self.machines for pid in tree(machine.pid)}
        actors = {pid for pid in below if title(pid).startswith("ray::MapWorker")}
        return [pid for pid, above in _parents() if above in actors and "spawn_main" in title(pid)]

    def stop(self) -> None:
        """End all machines, and remove their files."""
        self._end_all()
        shutil.rmtree(self._top, ignore_errors=True)

    def _end_all(self) -> None:
        while self.machines:
            self.kill(-1)

    def _start(self, *options: str) -> None:
        log = self._top / f"{secrets.token_hex(3)}.log"
        command = [sys.executable, "-c", _RAY, "start", "--block", "--node-ip-address=127.0.0.1"]
        command += [f"--num-cpus={self._cpus}", f"--object-store-memory={80 * 2**20}"]
        command += [f"--temp-dir={log.with_suffix('')}", *options]
        with open(log, "ab") as output:
            machine = subprocess.Popen(command, env=self._of_machines, stdout=output, stderr=output, cwd="/")
        self.machines.append(machine)
        until = time.monotonic() + START_SECONDS
        while "Ray runtime started" not in (said := log.read_text()):
            if time.monotonic() > until or machine.poll() is not None:
                raise RuntimeError(f"a machine did not start: {said[-3000:]}")
            time.sleep(0.1)


def tree(pid: int) -> Iterator[int]:
    """Yield a process and all below it."""
    parents: dict[int, list[int]] = {}
    for other, above in _parents():
        parents.setdefault(above, []).append(other)
    waiting = [pid]
    while waiting:
        waiting += parents.get(one := waiting.pop(), [])
        yield one


def kill_tree(pid: int) -> None:
    """Stop a process and all below it, then kill them, so that none starts another meanwhile."""
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for one in tree(pid):
            try:
                os.kill(one, number)
            except ProcessLookupError:
                continue


def _parents() -> Iterator[tuple[int, int]]:
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                stat = Path(f"/proc/{name}/stat").read_text()
            except (FileNotFoundError, ProcessLookupError):
                continue
            yield int(name), int(stat.rpartition(")")[2].split()[1])


def title(pid: int) -> str:
    """Return the command line of a process, empty if it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
