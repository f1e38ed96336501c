"""SQL statements that the ledger runs for each batch, built once.

Building a statement and finding it in SQLAlchemy's cache takes as long as running it for a few files.
"""

from __future__ import annotations

from sqlalchemy import Text, and_, bindparam, case, cast, func, insert, or_, select, text, type_coerce, update

from db.schema.rows import FILE_COLUMNS
from db.schema.tables import IS_FILED, IS_PENDING, IS_UNDONE, IS_UNFINISHED, IS_UNREAD, files, moves

_STATE = files.c.state
_ONE_FILE = files.c.id == bindparam("row_id")
# Not an IN, which SQLAlchemy cannot run with executemany.
BEFORE_DECISION = or_(_STATE == "claimed", _STATE == "decoding")

BEGIN_DECODING = (
    update(files)
    .where(_ONE_FILE, BEFORE_DECISION)
    .values(
        state="decoding",
        sha256=bindparam("new_sha256"),
        attempts=files.c.attempts + bindparam("alone"),
        changed_at=bindparam("at"),
    )
)
IDENTIFY = (
    update(files).where(_ONE_FILE, BEFORE_DECISION).values(dev=bindparam("new_dev"), ino=bindparam("new_ino"))
)
RELEASE = (
    update(files)
    .where(_ONE_FILE, _STATE == "decoding")
    .values(state="claimed", attempts=bindparam("new_attempts"), changed_at=bindparam("at"))
)
ANSWER = (
    "prediction", "confidence", "reason", "detail", "scores", "destination", "format", "width", "height",
    "taken_at", "sha256", "model", "model_sha256", "duplicate_of", "answer_key", "brightness",
    "taken_from",
)  # fmt: skip
DECIDE = (
    update(files)
    .where(_ONE_FILE, BEFORE_DECISION)
    .values(
        state="decided",
        verdict=bindparam("new_outcome"),
        decided_at=bindparam("at"),
        changed_at=bindparam("at"),
        **{name: bindparam(f"new_{name}") for name in ANSWER},
    )
)
# Not sorted by parameters: SQLAlchemy would then send one statement for each row to SQLite.
CLAIM = insert(files).returning(files.c.id, files.c.spool_name)
_SPOOL_NAME = cast(files.c.id, Text) + "-" + type_coerce(files.c.spool_name, Text)
NAME_IN_SPOOL = (
    update(files)
    .where(files.c.id.in_(bindparam("ids", expanding=True)))
    .values(spool_name=_SPOOL_NAME, path=bindparam("spool", type_=Text) + _SPOOL_NAME)
)
FILE = (
    update(files)
    .where(files.c.id.in_(bindparam("ids", expanding=True)), _STATE == "decided")
    .values(
        state="filed",
        path=files.c.destination,
        outcome=files.c.verdict,
        filed_at=bindparam("at"),
        changed_at=bindparam("at"),
    )
)
LEAVE = (
    update(files)
    .where(_ONE_FILE, _STATE == "decided")
    .values(
        state="undone",
        path=files.c.destination,
        dev=bindparam("new_dev"),
        ino=bindparam("new_ino"),
        changed_at=bindparam("at"),
    )
)

RELOCATE = (
    update(files)
    .where(_ONE_FILE, _STATE == "filed")
    .values(path=bindparam("new_path"), destination=bindparam("new_path"), changed_at=bindparam("at"))
)

# Nearly always there is none; then the files of a batch need not be looked up.
SOME_UNDONE = select(files.c.id).where(text(IS_UNDONE)).limit(1)
UNDONE_AT = select(*FILE_COLUMNS).where(text(IS_UNDONE), files.c.path.in_(bindparam("paths", expanding=True)))
COMING_BACK = (
    select(moves.c.destination)
    .where(text(IS_PENDING), moves.c.new_outcome.is_(None))
    # A failed file that goes back into its inbox; the index of unfinished rows is small.
    .union_all(select(files.c.destination).where(text(IS_UNFINISHED), files.c.verdict == "failed"))
)
UNDONE_LIKE = select(*FILE_COLUMNS).where(
    text(IS_UNDONE),
    or_(
        files.c.path.in_(bindparam("paths", expanding=True)),
        files.c.ino.in_(bindparam("inodes", expanding=True)),
    ),
)

MOST_ALIKE = 20
"""At most so many rows of one content are read, however often it was delivered."""

LAST_MOVE = select(func.max(moves.c.id)).where(moves.c.file_id == files.c.id).scalar_subquery()
_CORRECTION = case((files.c.corrected_to.is_not(None), LAST_MOVE))
UNDONE_FILING = (
    select(moves.c.id)
    .where(moves.c.file_id == files.c.id, moves.c.kind == "undo", moves.c.undoes.is_(None))
    .exists()
)
RELEVANT = or_(
    _STATE.in_(("decided", "filed")),
    # A correction still counts after the row of a file that came in again has ended, or it was deleted.
    and_(_STATE.in_(("vanished", "removed")), files.c.corrected_to.is_not(None), ~UNDONE_FILING),
)
_RANKED = (
    select(
        files.c.id,
        _CORRECTION.label("correction"),
        func.row_number()
        .over(
            partition_by=files.c.sha256,
            order_by=(
                files.c.ino.not_in(bindparam("inodes", expanding=True)),
                files.c.corrected_to.is_(None),
                _CORRECTION.desc(),
                files.c.id,
            ),
        )
        .label("rank"),
    )
    .where(files.c.sha256.in_(bindparam("sha256s", expanding=True)), RELEVANT)
    .subquery("ranked")
)
SAME_CONTENT = (
    select(*FILE_COLUMNS)
    .join(_RANKED, _RANKED.c.id == files.c.id)
    .where(_RANKED.c.rank <= bindparam("most"))
    .order_by(_RANKED.c.correction.is_(None), _RANKED.c.correction.desc(), files.c.id)
)

# Files that were refused without reading them, or such ones corrected. Nearly always there is none.
_IS_UNREAD = text(IS_UNREAD)
SOME_UNREAD = select(files.c.id).where(_IS_UNREAD).limit(1)
# Another disk rounds the mtime, so the size selects; of empty files, which may be many, only the mtime can.
_LIKE = or_(
    files.c.bytes.in_(bindparam("sizes", expanding=True)),
    and_(files.c.bytes == 0, files.c.mtime_ns.in_(bindparam("mtimes", expanding=True))),
)
_OF_NAME = files.c.name.in_(bindparam("names", expanding=True))
UNREAD_LIKE = select(*FILE_COLUMNS).where(_IS_UNREAD, _LIKE)
NAMED_LIKE = select(*FILE_COLUMNS).where(_OF_NAME, text(IS_FILED), _LIKE)

_ARRIVING = files.alias("arriving")
OWNERS_BEFORE = (
    select(files.c.id)
    .join(_ARRIVING, files.c.path == _ARRIVING.c.destination)
    .where(_ARRIVING.c.id.in_(bindparam("ids", expanding=True)), text("files.state = 'filed'"))
)
"""Filed rows with the path at which another file was just put."""
