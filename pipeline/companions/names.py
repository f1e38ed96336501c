"""Remember names of files, to find what belongs to a photo without listing its folder. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.companions import rules


class NameIndex:
    """Paths relative to one inbox, by their folder and the keys of `rules`; each is added once."""

    def __init__(self) -> None:
        self._names: dict[bytes, list[bytes]] = {}

    def add(self, path: bytes) -> None:
        """Remember a file."""
        folder, name = _split(path)
        for key in rules.keys(name):
            names = self._names.setdefault(folder + key, [])
            if name not in names:
                names.append(name)

    def remove(self, path: bytes) -> None:
        """Forget a file; one that is not known is ignored."""
        folder, name = _split(path)
        for key in rules.keys(name):
            names = self._names.get(folder + key)
            if names is None or name not in names:
                continue
            names.remove(name)
            if not names:
                del self._names[folder + key]

    def clear(self) -> None:
        """Forget all files."""
        self._names.clear()

    def companions(self, path: bytes) -> tuple[bytes, ...]:
        """Return the names of the known files beside `path` that belong to it."""
        folder, name = _split(path)
        if len(name) < rules.CUT[0] and rules.is_picture(name):  # quickly, as most photos have none
            [key] = rules.keys(name)
            if self._names.get(folder + key) == [name]:
                return ()
        near = self._near(folder, name)
        mine = [each for each in near if each != name and self._photo_of(folder, each, near) == name]
        return rules.distinct(name, mine)

    def is_companion(self, path: bytes) -> bool:
        """Return whether a file belongs to another one that is known."""
        folder, name = _split(path)
        return not rules.is_picture(name) and self._photo_of(folder, name, set()) != name

    def _photo_of(self, folder: bytes, name: bytes, known: set[bytes]) -> bytes:
        # A sidecar with a part of its photo's name does not find this by a key; `known` may have it.
        while (above := rules.owner(name, self._near(folder, name) | known)) is not None:
            name = above
        return name

    def _near(self, folder: bytes, name: bytes) -> set[bytes]:
        return {each for key in _lookups(name) for each in self._names.get(folder + key, ())}


def _split(path: bytes) -> tuple[bytes, bytes]:
    folder, slash, name = path.rpartition(b"/")
    return folder + slash, name


def _lookups(name: bytes) -> Iterator[bytes]:
    yield from rules.keys(name)
    yield from rules.keys_of_cut(name)
