"""Write the model card, the README.md of a bundle: data, method, figures and failures.

Figures are replaced each time. Paragraphs by people are between `<!-- kept: NAME -->` and `<!-- end -->`, and
are kept.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path

from models.bundle.bundle import Bundle, replace
from models.evaluation.metrics.figures import AtThreshold, Evaluation
from models.evaluation.metrics.intervals import Share
from models.evaluation.report.html_page import groups
from models.evaluation.report.wording import number, percent, range_, visible
from models.labels import NEITHER

NAME = "README.md"
_WIDTH = 110
_MOST_CONFUSED = 6
_KEPT = re.compile(r"<!-- kept: (\w+) -->\n(.*?)\n<!-- end -->", re.DOTALL)

_HEADLINES = (
    ("accuracy", "right answers, of all photos"),
    ("accuracy_with_folder", "right, of photos with a folder, if it must name one that has a folder"),
    ("coverage_at_threshold", "photos with a folder that are filed"),
    ("precision_at_threshold", "of these, in the right folder"),
    ("neither_filed_at_threshold", "photos of neither that are filed all the same"),
    ("filed_right_at_threshold", "of all that is filed, in the right folder"),
    ("log_loss", "log loss, nats"),
    ("log_loss_with_folder", "log loss on photos with a folder, nats"),
    ("ece", "calibration error"),
    ("ece_with_folder", "calibration error on photos with a folder"),
    ("neither_auroc", "area under ROC of neither against the rest"),
    ("neither_fpr_at_95_tpr", "photos of neither let in when 95% of the others are"),
)
_UNSEEN = "unseen_neither_filed_at_threshold"
_UNSEEN_WORDS = "photos of neither that are filed, by last layers that had not seen their source"
_PLAIN = ("log_loss", "log_loss_with_folder", "neither_auroc")


def write(bundle: Bundle, measured: Evaluation) -> Path:
    """Write the card of a bundle into its folder, and keep what a person wrote into an earlier one."""
    path = bundle.path / NAME
    old = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    bundle.path.mkdir(parents=True, exist_ok=True)
    replace(path, text(bundle, measured, dict(_KEPT.findall(old))).encode())
    return path


def text(bundle: Bundle, measured: Evaluation, kept: dict[str, str] | None = None) -> str:
    """Return the card; `kept` are the paragraphs that a person wrote, by name."""
    written = _defaults(bundle) | (kept or {})

    def hand(name: str) -> str:
        return f"<!-- kept: {name} -->\n{written[name]}\n<!-- end -->"

    sections = [
        f"# {_safe(bundle.name)}",
        hand("about"),
        _facts(bundle),
        "## Make it again",
        _again(bundle),
        "## Data",
        _data(bundle),
        hand("data"),
        "## Method",
        _method(bundle),
        hand("method"),
        "## Figures",
        _figures(bundle, measured),
        "## Where it fails",
        _failures(measured),
        hand("fails"),
        "## Licence",
        hand("licence"),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _defaults(bundle: Bundle) -> dict[str, str]:
    labels = [_safe(label) for label in bundle.labels if label != NEITHER]
    beyond = ", and what shows none of them" if NEITHER in bundle.labels else ""
    return {
        "about": f"Tells apart {', '.join(labels[:20])}{' and more' if len(labels) > 20 else ''}{beyond}.",
        "data": "Where the photos come from, and under what licence, is not written down yet.",
        "method": "",
        "fails": "",
        "licence": "What the weights were made from decides their licence, which is not written down yet.",
    }


def _facts(bundle: Bundle) -> str:
    folders = ", ".join(f"{_safe(label)} in {_safe(folder)}/" for label, folder in bundle.folders.items())
    return _table(
        ("", ""),
        [
            ("architecture", _safe(bundle.architecture)),
            ("sees", f"the whole photo, squashed to {bundle.input_size} x {bundle.input_size} pixels"),
            (
                "labels",
                f"{len(bundle.labels)}" + (", neither among them" if NEITHER in bundle.labels else ""),
            ),
            ("files", folders if len(bundle.folders) <= 12 else f"{len(bundle.folders)} classes"),
            ("made", _safe(bundle.manifest.made.at)),
            ("weights", f"{bundle.manifest.weights.bytes:,} bytes, SHA-256 `{bundle.sha256}`"),
        ],
    )


def _again(bundle: Bundle) -> str:
    words = shlex.split(bundle.manifest.made.command)
    start = words.index("train") + 1 if "train" in words else len(words)
    folders: list[str] = []
    for word in words[start:]:
        if word.startswith("--"):
            break
        folders.append(word)
    without = words[words.index("--exclude") :][:2] if "--exclude" in words else []
    place = words[words.index("--out") + 1] if "--out" in words[:-1] else str(bundle.path)
    measure = shlex.join(["pawsort", "evaluate", place, *folders, "--split", "test", *without])
    return f"{_command(words)}\n\nMeasure it on the photos that no choice has seen:\n\n    {measure}"


def _command(words: Sequence[str]) -> str:
    """Wrap a command with line continuations; an option stays on the line of its value."""
    pieces: list[str] = []
    for word in words:
        if pieces and pieces[-1].startswith("--") and " " not in pieces[-1] and not word.startswith("--"):
            pieces[-1] += f" {shlex.quote(word)}"
        else:
            pieces.append(shlex.quote(word))
    lines = [""]
    for piece in pieces:
        if lines[-1] and len(lines[-1]) + len(piece) > _WIDTH - 6:
            lines.append("")
        lines[-1] += (" " if lines[-1] else "") + piece
    return " \\\n        ".join(["    " + lines[0], *lines[1:]])


def _data(bundle: Bundle) -> str:
    made = bundle.manifest.made
    splits = list(dict.fromkeys(split for counts in made.data.values() for split in counts))
    table = _table(
        ("photos of", *splits),
        [(_safe(name), *(f"{counts.get(s, 0):,}" for s in splits)) for name, counts in made.data.items()],
    )
    lines = [
        table,
        f"{made.set_aside:,} files were set aside: no photos, repeated, or known to be labelled wrongly.",
    ]
    if made.held_out_sources:
        held = "; ".join(
            f"{_safe(source)}: {split}" for source, split in sorted(made.held_out_sources.items())
        )
        lines.append(
            f"Whole sources of neither stay in one split, so that none is recognised by its look: {held}."
        )
    return "\n\n".join(lines)


def _method(bundle: Bundle) -> str:
    calibration = bundle.manifest.calibration
    versions = ", ".join(f"{name} {version}" for name, version in bundle.manifest.made.versions.items())
    return (
        f"{_safe(bundle.architecture)}, trained by the command above. The content of a photo decides its "
        f"split. From {calibration.photos:,} photos that trained nothing come one temperature, "
        f"{calibration.temperature:.3f}, and for each promised precision the least confidence that proves it "
        f"(exact binomial bound, {calibration.bound:.0%}, one-sided). Made with {versions}."
    )


def _figures(bundle: Bundle, measured: Evaluation) -> str:
    at = measured.at_threshold
    seen = ", which no choice has seen" if measured.split == "test" else ""
    split = f" of the split {measured.split}{seen}" if measured.split else ""
    rows = [
        (words, *_cells(measured.measured[name], name in _PLAIN))
        for name, words in _HEADLINES
        if name in measured.measured and measured.measured[name].value is not None
    ]
    if (unseen := bundle.figures.get(_UNSEEN)) is not None:
        share = Share(unseen.value, unseen.low or 0.0, unseen.high or 1.0, unseen.count)
        rows.append((_UNSEEN_WORDS, *_cells(share, False)))
    promises = [
        (percent(entry.target_precision), number(entry.threshold), *(_cell(s) for s in _parts(entry)))
        for entry in measured.at_targets
        if entry.target_precision < 1
    ]
    classes = [
        (_safe(name), _cell(c.precision), _cell(c.recall), _cell(measured.measured[f"f1/{name}"]))
        for name, c in measured.classes.items()
    ]
    return "\n\n".join([
        *(f"**{_safe(warning)}**" for warning in [*measured.warnings, *_unproven(bundle, measured)]),
        f"On {measured.photos:,} photos{split}, with 95% intervals; what is filed, at `target_precision: "
        f"{at.target_precision:g}`, threshold {at.threshold:.4f}.",
        _table(("figure", "value", "95% interval", "photos"), rows),
        "What other promises give and cost:",
        _table(("promise", "threshold", "filed", "of these right", "neither filed"), promises),
        _table(("class", "precision", "recall", "F1"), classes),
    ])  # fmt: skip


def _unproven(bundle: Bundle, measured: Evaluation) -> list[str]:
    warning = bundle.unproven(measured.at_threshold.target_precision)
    return [warning] if warning else []


def _parts(entry: AtThreshold) -> tuple[Share, Share, Share]:
    return entry.coverage, entry.precision, entry.neither_filed


def _failures(measured: Evaluation) -> str:
    parts = []
    confused = sorted(
        ((n, a, b) for a, row in measured.confusion.items() for b, n in row.items() if a != b and n),
        key=lambda item: -item[0],
    )[:_MOST_CONFUSED]
    if confused:
        parts.append(
            "Most frequent mistakes: "
            + ", ".join(f"{_safe(a)} called {_safe(b)} ({n:,})" for n, a, b in confused)
            + "."
        )
    for title, rows in groups(measured.measured):
        cells = [(_safe(name), f"{right.count:,}", _cell(right), _cell(filed)) for name, right, filed in rows]
        parts.append(_table((title.lower(), "photos", "right", "filed"), cells))
    return "\n\n".join(parts) or "No mistake was seen on these photos."


def _cells(share: Share, plain: bool) -> tuple[str, str, str]:
    return number(share.value) if plain else percent(share.value), range_(share, plain), f"{share.count:,}"


def _cell(share: Share) -> str:
    return "–" if share.value is None else f"{percent(share.value)} ({range_(share)})"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _safe(text: str) -> str:
    """Escape a name for Markdown: no table, no link, no HTML."""
    escaped = re.sub(r"([\\`*\[\]|#])", r"\\\1", visible(text))
    return escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
