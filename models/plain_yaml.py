"""Read YAML that people write: plain values, and no key twice."""

from __future__ import annotations

import reprlib
from typing import Any

import yaml

from models.errors import LONGEST_QUOTE, shortened


class PlainLoader(yaml.SafeLoader):
    """Loads plain values alone. Raises YAMLError for a key that occurs twice in a mapping."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._checked: set[int] = set()  # an alias brings the same mapping again

    def get_mark(self) -> yaml.Mark:
        """Return the present place without the text there, which an error would quote: a password perhaps."""
        return yaml.Mark(self.name, self.index, self.line, self.column, None, 0)

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Check the keys before those of `<<`, which they may replace, are added."""
        if id(node) not in self._checked:
            self._checked.add(id(node))
            _keep_words(node)
            _refuse_repeated(node)
        super().flatten_mapping(node)


def _keep_words(node: yaml.MappingNode) -> None:
    """Let keys such as `on` be text: YAML 1.1 makes booleans of them, YAML 1.2 and people do not."""
    for key, _ in node.value:
        if key.tag == "tag:yaml.org,2002:bool" and key.value.lower() not in ("true", "false"):
            key.tag = "tag:yaml.org,2002:str"


def _refuse_repeated(node: yaml.MappingNode) -> None:
    seen: set[tuple[str, str]] = set()
    for key, _ in node.value:
        if isinstance(key, yaml.ScalarNode):
            if (key.tag, key.value) in seen:
                raise yaml.YAMLError(f"{quoted(key.value)} occurs twice,{key.start_mark}")
            seen.add((key.tag, key.value))


def load(text: str) -> Any:
    """Return the value of a YAML document. Raises YAMLError, ValueError, RecursionError."""
    return yaml.load(text, Loader=PlainLoader)  # noqa: S506 - a SafeLoader


class _Quote(reprlib.Repr):
    """Values in few words; aliases may make gigabytes of a few lines, and integers have any size."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxstring, self.maxother = 3, LONGEST_QUOTE, LONGEST_QUOTE

    def repr_int(self, x: int, level: int) -> str:
        if abs(x) > 10**LONGEST_QUOTE:
            return f"a number of more than {LONGEST_QUOTE} digits"
        return super().repr_int(x, level)


def quoted(value: object) -> str:
    """Return a value as a message shows it, of any size, in few words."""
    return shortened(_Quote().repr(value))
