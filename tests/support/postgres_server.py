"""A PostgreSQL server for tests, in a folder of its own, that can be restarted as after a crash."""

from __future__ import annotations

import glob
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from typing import Any

from sqlalchemy import create_engine


def programs() -> str | None:
    """Return the folder of the newest server's programs, None if there is none on this machine."""
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin"))
    return found[-1] if found else None


class PostgresServer:
    """A server on the loopback that lives as long as the block; `url` is its URL without a database.

    Data survive `restart`, but not a power cut: it syncs nothing, to be fast.
    """

    def __init__(self) -> None:
        programs_here = programs()
        assert programs_here, "no PostgreSQL here"
        self._programs = programs_here
        self._folder = tempfile.mkdtemp(prefix="pawsort-postgres-")
        # The server refuses to run as root.
        as_user = {"user": "nobody", "group": "nogroup", "extra_groups": []}
        self._user: dict[str, Any] = as_user if os.getuid() == 0 else {}
        if self._user:
            os.chown(self._folder, pwd.getpwnam("nobody").pw_uid, -1)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        self.url = f"postgresql://pawsort@127.0.0.1:{self._port}"

    def __enter__(self) -> PostgresServer:
        try:
            how = ["--auth=trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"]
            self._call("initdb", "-D", self._data, "-U", "pawsort", *how)
            self.start()
        except BaseException:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.crash()
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def _data(self) -> str:
        return f"{self._folder}/data"

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        listens = f"-c listen_addresses=127.0.0.1 -c unix_socket_directories={self._folder}"
        options = f"-p {self._port} {listens} -c fsync=off"
        # Its output goes to a file: a pipe would be held open by the server for ever.
        self._call("pg_ctl", "-D", self._data, "-o", options, "-l", f"{self._folder}/log", "-w", "start")

    def crash(self) -> None:
        """End it at once, and each session; the next start recovers from its log."""
        self._call("pg_ctl", "-D", self._data, "-m", "immediate", "stop")

    def create_database(self, name: str) -> str:
        """Make an empty database; return its URL."""
        server = create_engine(f"{self.url}/postgres", isolation_level="AUTOCOMMIT")
        with server.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name}")
        server.dispose()
        return f"{self.url}/{name}"

    def _call(self, program: str, *arguments: str) -> None:
        command = [f"{self._programs}/{program}", *arguments]
        subprocess.run(command, check=True, cwd=self._folder, capture_output=True, **self._user)
