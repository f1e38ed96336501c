"""Control characters, which a log, a terminal or a CSV file must not receive unescaped."""

from __future__ import annotations

import re

_CONTROL = r"\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff"

CONTROL = re.compile(f"[{_CONTROL}]")
"""Characters that break a line, move a terminal's cursor or turn a whole text round; settings refuse them."""

ESCAPED = re.compile(f"[{_CONTROL}\u061c\u200e\u200f]")
"""Characters to escape where a text is shown: CONTROL, and the marks that change the direction of what is
beside them. Folders of Arabic or Hebrew names may have these marks, so settings allow them."""
