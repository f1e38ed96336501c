"""Paths in a folder that has another path than before, because it was moved, renamed or copied."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MovedFolder:
    """The old and the new path of a folder, absolute, without a slash at the end."""

    old: bytes
    new: bytes

    def follow(self, path: bytes) -> bytes:
        """Return the path now of what had `path`; what is not in the old folder keeps it."""
        return self.new + path[len(self.old) :] if self.has_left(path) else path

    def has_left(self, path: bytes) -> bool:
        """Return whether a path is that of the old folder or in it, and not in the new one."""
        return _is_in(path, self.old) and not (_is_in(self.new, self.old) and _is_in(path, self.new))

    def before(self, path: bytes) -> bytes | None:
        """Return the path that a file or folder had, None if it is not in the new folder."""
        return self.old + path[len(self.new) :] if _is_in(path, self.new) else None


def _is_in(path: bytes, folder: bytes) -> bool:
    return path == folder or path.startswith(folder + b"/")
