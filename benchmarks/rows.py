"""Make a ledger of any number of rows in seconds: most filed, some uncertain, a few failed."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import Engine

from db.connection.engine import writing

DAYS = 400
LAST = dt.datetime(2026, 11, 21, 12, tzinfo=dt.UTC)

# k is a number of its own for each row, 0 to 999, that looks like chance and is the same each time.
_ROWS = """
WITH RECURSIVE
    numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < :count),
    drawn AS (SELECT n, (n * 7919 + n / 1000) % 1000 AS k FROM numbers),
    sorted AS (
        SELECT n, k, CASE WHEN n % 2 THEN 'cat' ELSE 'dog' END AS class,
            strftime('%Y-%m-%dT%H:%M:%f', :last, ((n - :count) * :step) || ' seconds') || '000Z' AS seen,
            CASE WHEN k < 10 THEN 'failed' WHEN k < 100 THEN 'uncertain'
                WHEN n % 2 THEN 'cats' ELSE 'dogs' END AS outcome
        FROM drawn
    )
INSERT INTO files (
    id, spool_name, state, inbox, source, name, path, destination, verdict, outcome, prediction, confidence,
    reason, detail, scores, dev, ino, bytes, mtime_ns, sha256, format, width, height, taken_at, model,
    model_sha256, corrected_to, attempts, seen_at, claimed_at, decided_at, filed_at, changed_at
)
SELECT
    n, n || '-0123abcd', 'filed', '/photos/inbox' || (k % 3),
    CASE WHEN n % 997 = 0 THEN 'rome/rex' ELSE 'holiday/IMG' END || printf('_%07d.jpg', n),
    CASE WHEN n % 997 = 0 THEN 'rex' ELSE 'IMG' END || printf('_%07d.jpg', n),
    '/photos/sorted/' || outcome || '/' || n || '.jpg', '/photos/sorted/' || outcome || '/' || n || '.jpg',
    outcome, outcome, CASE WHEN outcome <> 'failed' THEN class END,
    CASE outcome WHEN 'failed' THEN NULL WHEN 'uncertain' THEN 0.34 + k * 0.006 + n % 100 * 0.00006
        ELSE 0.98 + k * 0.00002 END,
    CASE WHEN k < 5 THEN 'truncated' WHEN k < 10 THEN 'not_an_image' WHEN k < 30 THEN 'neither'
        WHEN k < 100 THEN 'low_confidence' END,
    CASE WHEN k < 10 THEN 'the file ends after 1,234 of 5,678 bytes' END,
    CASE WHEN outcome <> 'failed' THEN '{"cat": 0.98123456, "dog": 0.01234567, "neither": 0.00641977}' END,
    '2049', n, 3000000 + n % 9999, '1795219200123456789', printf('%064x', n), 'JPEG', 4000, 3000,
    strftime('%Y-%m-%dT%H:%M:%S', :last, '-' || (n * 7919 % 5000000) || ' minutes'),
    CASE WHEN outcome <> 'failed' THEN 'cats_dogs' END,
    CASE WHEN outcome <> 'failed' THEN printf('%064x', n * 2 / :count) END,
    CASE WHEN k % 100 = 50 THEN class END, 0, seen, seen, seen, seen, seen
FROM sorted
"""


def fill(engine: Engine, count: int) -> None:
    """Put `count` files into an empty SQLite ledger, spread over 400 days that end at LAST."""
    values = {"count": count, "step": DAYS * 86_400 / count, "last": f"{LAST:%Y-%m-%d %H:%M:%S}"}
    with writing(engine) as connection:
        made = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = 'files' AND sql <> ''"
        indexes = dict(connection.exec_driver_sql(made).all())
        # Much quicker than row by row into each.
        for name in indexes:
            connection.exec_driver_sql(f"DROP INDEX {name}")
        connection.exec_driver_sql(_ROWS, values)
        for made in indexes.values():
            connection.exec_driver_sql(made)
