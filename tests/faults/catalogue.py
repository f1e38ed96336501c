"""What can go wrong, by number: numbers are stable, and tests name them as `@pytest.mark.fault(17)`.

`docs/dev/reliability.md` is made from this list and those markers by `python -m scripts.write_reliability`.
"""

from __future__ import annotations

from typing import NamedTuple


class Fault(NamedTuple):
    """One thing that goes wrong, and what must come of it."""

    number: int
    fault: str
    outcome: str


SECTIONS: dict[str, tuple[Fault, ...]] = {
    "Watching and arrival": (
        Fault(1, "the kernel's queue of events overflows", "all filed; counted; scanned within 5 s"),
        Fault(2, "a burst of files while it runs", "all filed"),
        Fault(3, "files that lie in the inbox at start", "all filed"),
        Fault(4, "a file arrives between the first scan and the watch", "filed"),
        Fault(5, "no inotify instance is left", "says which sysctl; polls; health `degraded`"),
        Fault(6, "no inotify watch is left", "as 5"),
        Fault(7, "the handler of events raises", "watched anew within 5 s, nothing lost"),
        Fault(8, "the inbox is removed and made again", "the new folder is watched, its files filed"),
        Fault(9, "the inbox is renamed away and another made", "the new one is watched, the old left alone"),
        Fault(10, "the inbox is unmounted or missing", "loud, health red, goes on when it is back"),
        Fault(11, "a slow writer keeps the file open", "not read before it is closed; one row"),
        Fault(12, "a scanner closes and opens the file again", "one row, with the final content"),
        Fault(13, "a file is renamed into the inbox", "filed at once"),
        Fault(14, "a file is linked into the inbox", "filed"),
        Fault(15, "a folder with files is moved in", "all filed"),
        Fault(16, "files are deleted before they are taken", "no storm of errors, goes on"),
        Fault(17, "a file is replaced under its name", "each row has a hash that was there"),
        Fault(18, "a writer goes on after the claim", "noticed; starts over; one row"),
        Fault(19, "a storm of events without a change", "one row, little work"),
        Fault(20, "modification times of 1970 and 2100", "filed"),
        Fault(21, "temporary names of browsers and sync tools", "left alone until renamed"),
        Fault(22, "a file system that reports no events", "filed by scans alone"),
        Fault(23, "1,000,000 files wait at start", "starts at once, memory flat"),
    ),
    "Odd entries": (
        Fault(24, "a FIFO called a.jpg", "no hang; left in place, said once"),
        Fault(25, "links: to a secret, outside, dangling, in a loop", "never followed, said once"),
        Fault(26, "a socket, a device", "as 24"),
        Fault(27, "a folder called x.jpg", "walked into, no error"),
        Fault(28, "a hard link to a file outside", "filed; the other name keeps its content"),
        Fault(29, "a subfolder of the inbox is a link", "not entered"),
        Fault(30, "a file is swapped for a link at the moment of use", "nothing outside is read"),
        Fault(31, "a sparse file of 1 TB", "refused by its size, not read"),
        Fault(32, "a file of 0 bytes", "waits; then `failed/`, `empty`"),
        Fault(33, "a name that is not UTF-8", "filed with the same bytes; shown escaped"),
        Fault(34, "line breaks, ESC, quotes, HTML in a name", "one record, one line of log"),
        Fault(35, "a name that begins with - = + @", "no option, no formula"),
        Fault(36, "glob characters in a name", "filed"),
        Fault(37, "a name of 255 bytes, twice", "both filed, the second shortened"),
        Fault(38, "one name from two inboxes, or already there", "both kept"),
        Fault(39, "names that differ in case or Unicode form", "both kept"),
        Fault(40, "the same content twice", "two rows, the second linked to the first"),
        Fault(41, "a wrong extension, none, two", "judged by content"),
    ),
    "Images": (
        Fault(42, "a picture cut at every tenth", "`truncated`; others unaffected"),
        Fault(43, "noise, text, HTML, zip called .jpg", "`failed/` with a reason"),
        Fault(44, "one bad file among 64", "63 right answers, each for its own file"),
        Fault(45, "a PNG bomb", "refused from its header, no memory"),
        Fault(46, "a GIF of 32767 x 32767, or of many frames", "as 45"),
        Fault(47, "a header that lies", "`failed/`"),
        Fault(48, "1 x 1, 1 x 20000, 20000 x 1", "answered or refused, no crash"),
        Fault(49, "every colour mode, depth and EXIF orientation", "the same pixels as the plain twin"),
        Fault(50, "the decoder segfaults", "the culprit alone fails after its tries; neighbours filed"),
        Fault(51, "the decoder aborts, exits, runs out of memory", "as 50"),
        Fault(52, "the decoder hangs", "killed after its time; as 50, `timeout`"),
        Fault(53, "the decoder eats all memory", "the child is killed, not the worker; as 50"),
        Fault(54, "poison kills the worker too, at every start", "tries counted first; fails in the end"),
        Fault(55, "the worker itself dies of a file", "as 54"),
        Fault(56, "10,000 mutated files", "an answer or a known reason each; memory flat"),
        Fault(57, "the model answers NaN, or in a wrong shape", "never written; a clear error; files stay"),
    ),
    "Crashes, disks, rights": (
        Fault(58, "SIGKILL at every system call", "nothing lost or doubled after a restart"),
        Fault(59, "SIGKILL again during recovery", "as 58"),
        Fault(60, "SIGTERM at random moments", "ends within 10 s; the batch finished or given back"),
        Fault(61, "SIGTERM twice, SIGINT, SIGHUP", "same; the second ends at once"),
        Fault(62, "power cut", "nothing accepted is missing; filed rows have files"),
        Fault(63, "order of fsync", "renames durable before the commit that relies on them"),
        Fault(64, "disk full under `sorted`", "files stay; pauses, says so; goes on by itself"),
        Fault(65, "disk full under the database", "no file moved without a row; as 64"),
        Fault(66, "no inode left", "as 64"),
        Fault(67, "ENOSPC, EIO, EROFS at each call, once and for ever", "nothing lost; goes on once cleared"),
        Fault(68, "`sorted` on another file system", "by copy; no half file after a kill"),
        Fault(69, "`sorted` is a bind mount", "as 68"),
        Fault(70, "`sorted` missing, a file, a link", "made again or a clear error; files stay"),
        Fault(71, "no right to read a file", "stays, said once, tried again later"),
        Fault(72, "no right to write to inbox or target", "no row while it stays, said once; others filed"),
        Fault(73, "an immutable file", "as 72"),
        Fault(74, "remounted read-only while it runs", "pauses, health red, goes on"),
        Fault(75, "no descriptor left", "no file lost, no descriptor leaked"),
        Fault(76, "two workers on one inbox", "the second is refused, names the first"),
        Fault(77, "the lock of a worker that was killed", "free at once"),
        Fault(78, "inbox and `sorted` the same or nested", "refused at start"),
    ),
    "Database": (
        Fault(79, "locked by another process for 3 s, for 60 s", "waits; says so; nothing lost"),
        Fault(80, "reads that turn into writes, side by side", "no busy error is raised"),
        Fault(81, "a reader that stays for long", "the -wal is bounded; filing goes on"),
        Fault(82, "a read-only database", "pauses with a clear text; files stay"),
        Fault(83, "a damaged database, none at all, 0 bytes", "refused; never overwritten"),
        Fault(84, "deleted or replaced while open", "noticed; stops; files stay"),
        Fault(85, "an older or newer schema", "upgraded in one transaction, or refused"),
        Fault(86, "killed in a migration", "either old or new"),
        Fault(87, "a fork with an open connection", "refused in the child"),
        Fault(88, "the database is lost, the folders are not", "`doctor` lists them; nothing is judged anew"),
    ),
    "Time and reports": (
        Fault(89, "clock changes in 8 zones, hour by hour", "one report for each date"),
        Fault(90, "down for 3 days", "3 reports at start"),
        Fault(91, "the scheduler wakes late", "the report is written all the same"),
        Fault(92, "two reports at once", "one; the other waits for the next look"),
        Fault(93, "the clock jumps", "durations by the monotonic clock; reports by UTC"),
        Fault(94, "killed while a CSV is written", "the old file or the new, whole"),
        Fault(95, "the reports folder is full or missing", "tried again; filing goes on"),
        Fault(96, "formulas, line breaks, no UTF-8 in cells", "one record each, no formula"),
        Fault(97, "an empty day, a day of a million rows", "a header; memory flat"),
    ),
    "Model": (
        Fault(98, "missing, cut, one bit flipped, a folder", "refused, exit code 3, both hashes named"),
        Fault(99, "code in a model file", "never run"),
        Fault(100, "weights of another network, NaN, classes swapped", "refused by hash, shape or self-test"),
        Fault(101, "the model is replaced while it runs", "the old one goes on; each row names its model"),
        Fault(102, "a bomb in a model file", "refused, memory flat"),
    ),
    "Web pages": (
        Fault(103, "the address it listens on", "127.0.0.1 unless told otherwise, then with a token"),
        Fault(104, "DNS rebinding", "refused on every route"),
        Fault(105, "a request from another site", "refused, nothing written"),
        Fault(106, "a path that leads outside", "never outside"),
        Fault(107, "oversized, lying, slow or cut-off uploads", "refused; nothing half in the inbox"),
        Fault(108, "an upload without space", "refused before it is accepted; accepted means durable"),
        Fault(109, "one file uploaded many times at once", "as documented; nothing lost"),
        Fault(110, "scripts in names and reasons", "escaped"),
        Fault(111, "pages crash, or the worker does", "the other goes on"),
        Fault(112, "1,000,000 rows", "in pages, quickly"),
        Fault(113, "names and secrets in the log", "one line a record, no token"),
    ),
}  # fmt: skip

DOES_NOT_APPLY: dict[int, str] = {}
"""Numbers that cannot happen here, and why."""

NO_SAFEGUARD: dict[int, str] = {
    20: "no code looks at how old a file says it is",
    28: "a file is moved by its name, and no code writes into one",
    36: "no code knows glob characters",
    39: "names are bytes, and the file system tells them apart",
    77: "the kernel frees the lock of a process that ends",
}
"""Numbers whose tests cannot be seen red, since no code of Pawsort keeps them green."""
