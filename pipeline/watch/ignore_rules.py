"""Names in an inbox that are ignored: files that programs make while they write, sync or browse.

The comment of each entry names the program. Names are compared case-insensitively, and a file is ignored with
any folder above it, such as `@eaDir/`. Ignored files are never moved or deleted; a download that gets its
final name is a new file.
"""

from __future__ import annotations

import fnmatch
import os
import re
import stat
from collections.abc import Callable, Iterable

PROBE_PREFIX = ".pawsort-"  # Pawsort: the probe that tests whether events arrive

NAMES = frozenset(
    {
        ".ds_store",  # macOS Finder: how a folder is shown
        ".localized",  # macOS: translated folder names
        ".apdisk",  # macOS: network disks
        ".appledouble",  # netatalk: resource forks
        ".spotlight-v100",  # macOS: search index
        ".fseventsd",  # macOS: change log
        ".trashes",  # macOS: bin of a disk
        ".temporaryitems",  # macOS
        ".documentrevisions-v100",  # macOS: versions
        "icon\r",  # macOS: a folder's own picture
        "thumbs.db",  # Windows Explorer: thumbnails
        "ehthumbs.db",  # Windows Media Center: thumbnails
        "ehthumbs_vista.db",
        "desktop.ini",  # Windows Explorer: how a folder is shown
        "$recycle.bin",  # Windows: bin of a disk
        "system volume information",  # Windows
        "autorun.inf",  # camera cards and USB sticks
        ".directory",  # KDE Dolphin: how a folder is shown
        ".hidden",  # GNOME Files
        ".nomedia",  # Android: no gallery here
        ".thumbnails",  # Android and old desktops: thumbnails
        ".stfolder",  # Syncthing: marker
        ".stversions",  # Syncthing: old versions
        ".stignore",  # Syncthing: its own ignore list
        ".dropbox",  # Dropbox: marker
        ".dropbox.attr",
        ".dropbox.cache",  # Dropbox: downloads in progress
        ".sync",  # Resilio Sync: database and archive
        ".owncloudsync.log",  # ownCloud
        ".nextcloudsync.log",  # Nextcloud
        "@eadir",  # Synology: thumbnails and metadata of each file
        "@tmp",  # Synology
        "#recycle",  # Synology: bin
        "#snapshot",  # Synology: snapshots
        "@recycle",  # QNAP: bin
        ".@__thumb",  # QNAP: thumbnails
        ".@upload_cache",  # QNAP: uploads in progress
        "@recently-snapshot",  # QNAP: snapshots
        ".snapshot",  # NetApp and others: snapshots
        ".zfs",  # ZFS: snapshots
        ".rsync-partial",  # rsync --partial-dir by convention
        ".~tmp~",  # rsync --delay-updates
        ".git",
    }
)

PREFIXES = (
    PROBE_PREFIX,
    "._",  # macOS on foreign disks: resource fork of the file beside it, named *.jpg but not an image
    "~$",  # Microsoft Office: owner of an open document
    ".~lock.",  # LibreOffice: the same
    ".#",  # Emacs: lock
    ".trash-",  # freedesktop.org: bin of a disk
    ".trashed-",  # Android: bin
    ".pending-",  # Android: being written
    ".syncthing.",  # Syncthing: being received
    "~syncthing~",  # Syncthing on Windows
    ".unison.",  # Unison: being received
    "._sync_",  # ownCloud, Nextcloud: database
    ".sync_",  # the same
    ".goutputstream-",  # GNOME, GLib: being written
    ".in.",  # lftp: being received
    ".com.google.chrome.",  # Chrome: download before it has a name
    ".org.chromium.chromium.",
    ".fuse_hidden",  # FUSE: deleted while open
    ".nfs0",  # NFS: deleted while open
    ".smbdelete",  # Samba: deleted while open
    "synofile_thumb",  # Synology: thumbnails
)

SUFFIXES = (
    ".part",  # Firefox, KDE, many download managers
    ".partial",  # Edge, Internet Explorer, rclone
    ".crdownload",  # Chrome, Edge, Brave, Vivaldi
    ".download",  # Safari: a folder while it loads
    ".opdownload",  # Opera
    ".filepart",  # WinSCP
    ".aria2",  # aria2: its control file
    ".!ut",  # uTorrent
    ".!qb",  # qBittorrent
    ".!sync",  # Resilio Sync: being received
    ".icloud",  # iCloud Drive: not downloaded yet
    ".lftp-pget-status",  # lftp
    ".tmp",  # scanners, printers and many others
    ".temp",
    ".~tmp",  # OneDrive
    "~",  # Emacs, gedit and others: backup of a file
    ".swp",  # vim
    ".swo",
    ".swx",
    ".ctg",  # Canon cameras: catalogue of a card
    # Catalogues and packages, folders with originals that only their own program may move:
    ".lrdata",  # Lightroom: previews and helpers of a catalogue
    ".lrlibrary",  # Lightroom, cloud
    ".photoslibrary",  # Apple Photos
    ".photolibrary",  # Apple iPhoto
    ".migratedphotolibrary",  # Apple iPhoto, after its move to Photos
    ".aplibrary",  # Apple Aperture
    ".photobooth",  # Apple Photo Booth
    ".cocatalog",  # Capture One
    ".cocatalogdb",
    ".cosessiondb",  # Capture One: the session of a folder
    ".dtbase",  # DEVONthink
    ".dtbase2",
    ".dxodb",  # DxO PhotoLab
)

PATTERNS = (
    r"\..+\.[a-z0-9]{6}",  # rsync: .photo.jpg.Ab3xYz while it is received
    r"\..+\.~[0-9a-f]+",  # ownCloud, Nextcloud: .photo.jpg.~1a2b while it is received
    r".+\.rclone_chunk\..+",  # rclone: a piece of a file
    r"#.*#",  # Emacs: autosave
    r".+\.lrcat(-data|-journal|-shm|-wal|\.lock)?",  # Lightroom: catalogue, its journal, lock and data
    r"digikam4\.db.*",  # digiKam: its database beside the photos
    r"(thumbnails-digikam|recognition|similarity)\.db.*",  # digiKam
)

_PATTERN = re.compile("|".join(PATTERNS), re.IGNORECASE)


LOST_AND_FOUND = b"lost+found"


def is_temporary(name: bytes) -> bool:
    """Return whether a base name is one that programs give to temporary or auxiliary files."""
    lower = os.fsdecode(name).lower()
    return (
        lower in NAMES
        or lower.startswith(PREFIXES)
        or lower.endswith(SUFFIXES)
        or _PATTERN.fullmatch(lower) is not None
    )


def ignorer(patterns: Iterable[str], inbox: bytes | None = None) -> Callable[[bytes], bool]:
    """Return a function that tests one path relative to the inbox; the folders above it were tested before.

    `patterns` are the user's shell patterns for the base name or the relative path, case-insensitive. With
    `inbox`, the `lost+found` folder of a file system is ignored too.
    """
    expressions = [fnmatch.translate(pattern) for pattern in patterns]
    own = re.compile("|".join(expressions), re.IGNORECASE) if expressions else None

    def ignored(path: bytes) -> bool:
        name = path.rpartition(b"/")[2]
        if is_temporary(name):
            return True
        if name == LOST_AND_FOUND and inbox is not None and _is_of_file_system(os.path.join(inbox, path)):
            return True
        if own is None:
            return False
        return own.match(os.fsdecode(name)) is not None or own.match(os.fsdecode(path)) is not None

    return ignored


def _is_of_file_system(folder: bytes) -> bool:
    """Return whether a folder is the one that ext2/3/4 keep for fsck: at a disk's top, owned by root."""
    try:
        found = os.lstat(folder)
    except OSError:
        return False
    # An inbox may be a link to the disk.
    top = os.path.realpath(os.path.dirname(folder))
    return stat.S_ISDIR(found.st_mode) and found.st_uid == 0 and os.path.ismount(top)


def within(ignored: Callable[[bytes], bool], path: bytes) -> bool:
    """Return whether a path or a folder above it is ignored; for paths that a scan did not lead to."""
    parts = path.split(b"/")
    return any(ignored(b"/".join(parts[: depth + 1])) for depth in range(len(parts)))
