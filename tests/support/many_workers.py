"""Workers of several machines on one PostgreSQL, killed in turn, the server too: `make workers`.

    python -m tests.support.many_workers [--photos 500] [--kills 12] [--seed 1]

Each machine is a folder below which all has the same relative path. People correct, undo and retry on each
meanwhile, the server crashes twice, and one more machine joins. The first three also divide an inbox, whose
photos have sidecars. A worker that never runs has a copy of each row that the others had at a kill: the same
absolute paths, device, inode, name in the spool, state and unfinished move. None of these rows may change.
At the end the oracle counts on each machine: each photo once, each with one row; and `doctor` must find
nothing. Exits with 1 if anything is wrong. The classifier is a stub.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, NullPool, create_engine, text
from sqlalchemy.exc import SQLAlchemyError

from db.connection.engine import open_database, upgrade
from db.ledger import workers as ledger
from db.queries.overview import move_counts
from db.queries.workers import all_workers, running_workers
from pipeline.companions.shares import share_of
from pipeline.corrections import correct_undo_retry
from pipeline.doctor.check import examine
from pipeline.errors import DatabaseError, LockError, translated
from pipeline.worker.identity import own_rows
from tests.support.fork_server import ForkedWorker, ForkServer
from tests.support.forked_installation import ForkedInstallation
from tests.support.installation import QUICK, wait
from tests.support.oracle import conserved
from tests.support.postgres_server import PostgresServer

NAMES = ("ann", "bob", "carl", "dora")
GHOST = "ghost"
LABELS = (b"<cat>", b"<dog>", b"<truncated>")
DELAY = 0.01
SHARES = 3


@dataclass(frozen=True, slots=True)
class Plan:
    """How many photos all machines get, and how often a worker is killed."""

    photos: int
    kills: int
    seed: int = 1
    pause: float = 0.01


class Machine(ForkedInstallation):
    """The worker of one machine."""

    def __init__(self, folder: Path, server: ForkServer, url: str, name: str) -> None:
        own = QUICK
        if name in NAMES[:SHARES]:
            share = f"{{path: ../../shared, share: {NAMES.index(name) + 1}/{SHARES}}}"
            own = own.replace("scans", share)
        super().__init__(folder / name / "pets", server, f"{own}database: {url}\nworker: {name}\n")
        self.name = name
        self.photos = 0
        self._everyone = create_engine(url, poolclass=NullPool)
        self.worker: ForkedWorker | None = None
        self.people: ForkedWorker | None = None

    def rows(self, columns: str, condition: str = "true") -> list[tuple[Any, ...]]:
        """Ask the view of results for the rows of this machine; nothing while the server is down."""
        mine = f"SELECT {columns} FROM results WHERE worker = '{self.name}' AND ({condition}) ORDER BY id"
        try:
            with self._everyone.connect() as connection:
                return list(map(tuple, connection.exec_driver_sql(mine).all()))
        except SQLAlchemyError:
            return []

    def begin(self) -> None:
        """Start the worker, once the server has noticed the end of the one before."""
        wait(lambda: not self.is_running, f"the end of the lock of {self.name}")
        self.worker = self.start(delay=DELAY)

    def drop(self, name: str | bytes, data: bytes, inbox: int = 0) -> bytes:
        """Put a new photo into an inbox; return its path."""
        self.photos += 1
        return super().drop(name, data, inbox)

    def takes(self, name: str) -> bool:
        """Return whether a file of this name in the divided inbox is in the share of this machine."""
        share = share_of(self.settings, self.settings.inboxes[1])
        return share is not None and share.has(name.encode())

    def let_people_in(self, seed: int) -> None:
        """Let people correct, undo and retry its photos at random, once there are any."""
        if self.rows("id", "state = 'filed'"):
            self.people = self.start(people=seed)

    def kill(self) -> None:
        """Kill the worker, and people in the middle of a move."""
        for process in filter(None, (self.worker, self.people)):
            process.kill()
        self.people = None

    @property
    def is_running(self) -> bool:
        """Whether the worker holds its lock."""
        known = {worker.name: worker.id for worker in all_workers(self._everyone)}
        return known.get(self.name) in (running_workers(self._everyone) or ())

    @contextmanager
    def own(self) -> Iterator[Engine]:
        """Open the files of this machine as its commands do."""
        with translated():
            everyone = open_database(self.settings.database_url, "write")
            try:
                with own_rows(everyone, self.settings, "write") as own:
                    yield own
            finally:
                everyone.dispose()

    def goes_on(self) -> bool:
        """Whether each photo that was dropped is in a folder, or back in its inbox.

        A worker that ended since the server was down as it started is started again, as systemd does.
        """
        assert self.worker
        if self.worker.state in "XZ":
            assert self.worker.wait() in (DatabaseError.exit_code, LockError.exit_code), self.log[-3000:]
            self.begin()
        return len(self.rows("id", "state IN ('filed', 'undone')")) >= self.photos

    def let_people_go(self) -> None:
        """End what people do, and finish the move that they were at."""
        if self.people:
            self.people.kill()
        with self.own() as own:
            correct_undo_retry.recover_moves(own, self.settings)

    def file_last(self) -> None:
        """Wait until all is filed, and a last photo, which each machine has."""
        self.drop("last.jpg", b"last<cat>")
        self.wait(self.goes_on, f"all photos of {self.name}")

    def stop(self) -> None:
        """Stop the worker in order."""
        assert self.worker
        self.worker.signal(15)
        assert self.worker.wait() == 143, self.log[-3000:]

    def ends_clean(self) -> None:
        """Check this machine once its worker has stopped."""
        conserved(self.settings, self.injected)
        with self.own() as own:
            assert [str(problem) for problem in examine(own, self.settings, hashes=True)] == []

    def moves(self) -> int:
        """Return how often people corrected, took back or tried again its photos."""
        with self.own() as own:
            return sum(move_counts(own).values())

    def close(self) -> None:
        """End what still runs."""
        super().close()
        self._everyone.dispose()


class Ghost:
    """A worker that never runs, with copies of all rows that others ever had, to be left as they are."""

    _COLUMNS = (
        "SELECT string_agg(quote_ident(column_name), ', ') FROM information_schema.columns "
        "WHERE table_schema = 'public' AND table_name = '{}' "
        "AND column_name NOT IN ('id', 'worker_id', 'file_id')"
    )

    def __init__(self, url: str) -> None:
        self._engine = create_engine(url, poolclass=NullPool)
        self._id = ledger.register(self._engine, GHOST, "f" * 32)
        self.seen: dict[str, str] = {}
        with self._engine.connect() as connection:
            self._files, self._moves = (
                connection.scalar(text(self._COLUMNS.format(table))) for table in ("files", "moves")
            )

    def copy(self) -> None:
        """Copy the rows that are in a state of which there is no copy yet."""
        new = (
            f"INSERT INTO files ({self._files}, worker_id) SELECT {self._files}, {self._id} FROM files f "
            f"WHERE f.worker_id <> {self._id} AND NOT EXISTS (SELECT FROM files g WHERE "
            f"g.worker_id = {self._id} AND g.spool_name = f.spool_name AND g.state = f.state)"
        )
        moves = (
            f"INSERT INTO moves ({self._moves}, file_id) SELECT {_of('m', self._moves)}, g.id FROM moves m "
            "JOIN files f ON f.id = m.file_id "
            "JOIN files g ON g.spool_name = f.spool_name AND g.state = f.state "
            f"WHERE m.done_at IS NULL AND f.worker_id <> {self._id} AND g.worker_id = {self._id} "
            "AND NOT EXISTS (SELECT FROM moves n WHERE n.file_id = g.id)"
        )
        with self._engine.begin() as connection:
            connection.exec_driver_sql(new)
            connection.exec_driver_sql(moves)
        self.seen |= self._rows()

    def states(self) -> dict[str, int]:
        """Count its rows by state, and its unfinished moves."""
        with self._engine.connect() as connection:
            of_ghost = text("SELECT state, count(*) FROM files WHERE worker_id = :id GROUP BY state")
            found = dict(connection.execute(of_ghost, {"id": self._id}).all())
        return {**found, "moves": sum(name.startswith("move") for name in self.seen)}

    def is_as_it_was(self) -> None:
        """Check that no other worker has touched one of its rows."""
        assert self._rows() == self.seen
        self._engine.dispose()

    def _rows(self) -> dict[str, str]:
        files = f"SELECT 'file ' || id, f::text FROM files f WHERE worker_id = {self._id}"
        moves = "SELECT 'move ' || m.id, m::text FROM moves m JOIN files f ON f.id = m.file_id"
        with self._engine.connect() as connection:
            found = connection.exec_driver_sql(f"{files} UNION ALL {moves} WHERE f.worker_id = {self._id}")
            return {str(row[0]): str(row[1]) for row in found}


def _of(table: str, columns: str) -> str:
    return ", ".join(f"{table}.{column}" for column in columns.split(", "))


class ManyWorkers:
    """One run below `folder`, which must be empty."""

    def __init__(self, folder: Path, plan: Plan, fork_server: ForkServer, postgres: PostgresServer) -> None:
        self._folder, self._plan = folder, plan
        self._fork_server, self._postgres = fork_server, postgres
        self._url = postgres.create_database(f"workers{plan.seed}")
        self._chance = random.Random(plan.seed)
        self.machines: list[Machine] = []
        self.kills = self.crashes = 0

    def run(self) -> dict[str, Any]:
        """Do it all; return the figures. Raises AssertionError if anything is not as it must be."""
        began = time.monotonic()
        upgrade(self._url)
        with ExitStack() as stack:
            for name in NAMES[:-1]:
                self._join(name, stack)
            ghost = Ghost(self._url)
            self._drop_all(ghost, stack)
            steps = Machine.let_people_go, Machine.file_last, Machine.stop, Machine.ends_clean
            for step in steps:
                for machine in self.machines:
                    step(machine)
            ghost.is_as_it_was()
            return {
                "photos": self._plan.photos, "machines": len(self.machines), "kills": self.kills,
                "crashes_of_the_server": self.crashes,
                "moves_by_people": sum(machine.moves() for machine in self.machines),
                "rows_of_the_ghost": ghost.states(), "copies_on_other_machines": self._copies(),
                "seconds": round(time.monotonic() - began, 1),
            }  # fmt: skip

    def _join(self, name: str, stack: ExitStack) -> None:
        machine = stack.enter_context(Machine(self._folder, self._fork_server, self._url, name))
        self.machines.append(machine)
        machine.begin()

    def _drop_all(self, ghost: Ghost, stack: ExitStack) -> None:
        photos, kills = self._plan.photos, self._plan.kills
        kill_at = {photos * (number + 1) // (kills + 1): number for number in range(kills)}
        for number in range(photos):
            machine = self.machines[number % len(self.machines)]
            self._drop(machine, number)
            time.sleep(self._plan.pause)
            if number == photos * 2 // 3:
                self._join(NAMES[-1], stack)
            if number in (photos // 3, photos * 5 // 6):
                self._postgres.crash()
                self.crashes += 1
                time.sleep(0.2)
                self._postgres.start()
            if number in kill_at:
                self._kill(self.machines[kill_at[number] % len(self.machines)], ghost)
            for idle in (each for each in self.machines if each.people is None):
                idle.let_people_in(number)

    def _drop(self, machine: Machine, number: int) -> None:
        # A tenth has the content of a photo of another machine; the names are the same on each machine.
        is_copy = number % 10 == 9
        content = b"%d" % (number // 20 if is_copy else number + 1_000_000)
        label = LABELS[0] if is_copy else self._chance.choice(LABELS)
        if number % 5:
            machine.drop(f"{machine.photos}.jpg", content + label)
            return
        name = f"shared {number}.jpg"
        [machine] = [each for each in self.machines if each.takes(name)]
        sidecar = b"%d's sidecar" % number
        (machine.settings.inboxes[1] / f"{name}.xmp").write_bytes(sidecar)
        machine.drop(name, content + label, 1)
        machine.injected.append(sidecar)

    def _kill(self, machine: Machine, ghost: Ghost) -> None:
        machine.kill()
        ghost.copy()
        self.kills += 1
        machine.begin()

    def _copies(self) -> int:
        """Return how many photos are copies of one that another machine had first."""
        engine = create_engine(self._url, poolclass=NullPool)
        apart = (
            "SELECT count(*) FROM files f "
            "JOIN files g ON g.id = f.duplicate_of AND g.worker_id <> f.worker_id "
            f"JOIN workers w ON w.id = f.worker_id AND w.name <> '{GHOST}'"
        )
        with engine.connect() as connection:
            count = connection.scalar(text(apart)) or 0
        engine.dispose()
        return count


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it with the plan of the command line, print the figures, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    for name, default in (("photos", 500), ("kills", 12), ("seed", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args(arguments)
    server = ForkServer()
    try:
        with PostgresServer() as postgres, tempfile.TemporaryDirectory(prefix="pawsort-workers-") as folder:
            plan = Plan(given.photos, given.kills, given.seed)
            print(json.dumps(ManyWorkers(Path(folder), plan, server, postgres).run(), indent=2))
    except AssertionError as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        server.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
