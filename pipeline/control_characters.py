"""Control characters, which a log, a terminal or a CSV file must not receive unescaped."""

from __future__ import annotations

import re

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Characters that break a line, move a terminal's cursor or reverse the direction of text."""
