"""All errors that end a command, and their exit codes.

    PawsortError                1   the command failed
    ├── SettingsError           2   config.yaml, the environment or the command line is wrong
    ├── ModelError              3   the model's bundle cannot be used
    ├── DatabaseError           4   the database cannot be used
    ├── LockError               5   another worker uses these folders
    ├── StalledError            6   no part of a backfill has finished for a long time
    └── BackupDamagedError      1   a file is no backup, or a damaged one

`models` and `db` raise errors of `models.errors` and `db.connection.errors`, which have no exit codes;
`translated` turns each into the error of the same meaning here. A file that cannot be read is never an
exception: the ledger records the reason.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

OK = 0
SOME_FAILED = 1
"""The command is done, but files failed or could not be moved, or `doctor` found problems."""


class PawsortError(Exception):
    """An error for the user; the message says what, where and what to do next."""

    exit_code = 1


class SettingsError(PawsortError):
    """A setting, an argument or the layout of the folders is wrong."""

    exit_code = 2


class ModelError(PawsortError):
    """A bundle is missing, damaged or does not match its manifest."""

    exit_code = 3


class DatabaseError(PawsortError):
    """The database is damaged, of another version, locked or unreachable."""

    exit_code = 4


class LockError(PawsortError):
    """Another worker uses the same folders."""

    exit_code = 5


class StalledError(PawsortError):
    """No part of a backfill has finished for a long time."""

    exit_code = 6


class BackupDamagedError(PawsortError):
    """A file is no backup, or a damaged one."""


@contextmanager
def translated() -> Iterator[None]:
    """Raise the errors of `models` and `db` as errors of this module, with the same message."""
    from db.connection.errors import DatabaseError as RoomDatabaseError
    from db.connection.errors import DatabaseReserved, DriverMissing
    from models.errors import ArchitectureError, BundleError, DatasetError, PackageMissing, RecipeError

    try:
        yield
    except (ArchitectureError, DatasetError, RecipeError) as error:
        raise SettingsError(str(error)) from error
    except PackageMissing as error:
        raise PawsortError(str(error)) from error
    except BundleError as error:
        raise ModelError(str(error)) from error
    except DatabaseReserved as error:
        raise LockError(str(error)) from error
    except DriverMissing as error:
        from models.installation import install_command

        raise DatabaseError(f"{error} Run `{install_command(error.package)}`.") from error
    except RoomDatabaseError as error:
        raise DatabaseError(str(error)) from error
