"""Write the model card, the README.md of a bundle: data, method, figures and failures.

Figures are replaced each time. Paragraphs by people are between `<!-- kept: NAME -->` and `<!-- end -->`, and
are kept.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path

from models.bundle.bundle import Bundle
from models.bundle.write_bundle import replace
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
    ("accuracy", "accuracy on all photos"),
    ("accuracy_with_folder", "accuracy on photos of a class with a folder, choosing only among these"),
    ("coverage_at_threshold", "photos of a class with a folder that are filed"),
    ("precision_at_threshold", "of these, in the right folder"),
    ("neither_filed_at_threshold", "photos of neither that are filed"),
    ("filed_right_at_threshold", "of everything filed, in the right folder"),
    ("log_loss", "log loss, nats"),
    ("log_loss_with_folder", "log loss on photos of a class with a folder, nats"),
    ("ece", "calibration error"),
    ("ece_with_folder", "calibration error on photos of a class with a folder"),
    ("neither_auroc", "area under the ROC curve, neither against all classes"),
    ("neither_fpr_at_95_tpr", "photos of neither accepted when 95% of the others are"),
)
_UNSEEN = "unseen_neither_filed_at_threshold"
_UNSEEN_WORDS = "photos of neither that are filed, each judged by a last layer trained without its source"
_PLAIN = ("log_loss", "log_loss_with_folder", "neither_auroc")


def write(bundle: Bundle, measured: Evaluation) -> Path:
    """Write the card of a bundle into its folder, and keep what a person wrote into an earlier one."""
    path = bundle.path / NAME
    old = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    bundle.path.mkdir(parents=True, exist_ok=True)
    replace(path, text(bundle, measured, kept_of(old)).encode())
    return path


def kept_of(card: str) -> dict[str, str]:
    """Return the paragraphs of a card that a person wrote, by name."""
    return dict(_KEPT.findall(card))


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
    beyond = ", and photos of neither" if NEITHER in bundle.labels else ""
    return {
        "about": f"Tells apart {', '.join(labels[:20])}{' and more' if len(labels) > 20 else ''}{beyond}.",
        "data": "The source and the licence of the photos are not recorded yet.",
        "method": "",
        "fails": "",
        "licence": "The licence of the weights depends on what they were made from. It is not recorded yet.",
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
                f"{len(bundle.labels)}" + (", including neither" if NEITHER in bundle.labels else ""),
            ),
            ("files", folders if len(bundle.folders) <= 12 else f"{len(bundle.folders)} classes"),
            ("made", _safe(bundle.manifest.made.at)),
            ("weights", f"{bundle.manifest.weights.bytes:,} bytes, SHA-256 `{bundle.sha256}`"),
        ],
    )


def _again(bundle: Bundle) -> str:
    words = shlex.split(bundle.manifest.made.command)
    if "train" not in words:  # learnt: the photos of its test are features
        return _command(words)
    start = words.index("train") + 1
    folders: list[str] = []
    for word in words[start:]:
        if word.startswith("--"):
            break
        folders.append(word)
    without = words[words.index("--exclude") :][:2] if "--exclude" in words else []
    place = words[words.index("--out") + 1] if "--out" in words[:-1] else str(bundle.path)
    measure = shlex.join(["pawsort", "evaluate", place, *folders, "--split", "test", *without])
    return f"{_command(words)}\n\nMeasure it on the photos that were kept for testing:\n\n    {measure}"


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
        f"{made.set_aside:,} files were left out: not photos, duplicates, or known to have a wrong label.",
    ]
    if made.held_out_sources:
        held = "; ".join(
            f"{_safe(source)}: {split}" for source, split in sorted(made.held_out_sources.items())
        )
        lines.append(
            f"All photos of a source of neither are in one split, so that no source is familiar: {held}."
        )
    return "\n\n".join(lines)


def _method(bundle: Bundle) -> str:
    calibration = bundle.calibration
    versions = ", ".join(f"{name} {version}" for name, version in bundle.manifest.made.versions.items())
    return (
        f"{_safe(bundle.architecture)}, trained by the command above. A hash of its content puts each photo "
        f"into a split. {calibration.photos:,} photos that did not train the network gave the temperature, "
        f"{calibration.temperature:.3f}, and for each target precision the lowest threshold that proves it "
        f"(exact binomial bound, {calibration.bound:.0%}, one-sided). Made with {versions}."
    )


def _figures(bundle: Bundle, measured: Evaluation) -> str:
    at = measured.at_threshold
    seen = ", which were kept for testing" if measured.split == "test" else ""
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
        f"On {measured.photos:,} photos{split}, with 95% intervals. Filed: at `target_precision: "
        f"{at.target_precision:g}`, which is threshold {number(at.threshold)}.",
        _table(("figure", "value", "95% interval", "photos"), rows),
        *_mixes(bundle, measured),
        "The same at other target precisions:",
        _table(("promise", "threshold", "filed", "of these right", "neither filed"), promises),
        _table(("class", "precision", "recall", "F1"), classes),
    ])  # fmt: skip


def _mixes(bundle: Bundle, measured: Evaluation) -> list[str]:
    """Say for which mix of photos the thresholds are proven, and what share is right in other mixes."""
    counts = {name: splits.get("calibration", 0) for name, splits in bundle.manifest.made.data.items()}
    shown, at = sum(counts.get(label, 0) for label in bundle.folders), measured.at_threshold
    filed, right = at.coverage.value, at.precision.value
    unseen = bundle.figures.get(_UNSEEN)
    strangers = unseen.value if unseen else at.neither_filed.value
    if not counts.get(NEITHER) or filed is None or right is None or strangers is None:
        return []
    shares = [f"{ratio} to 1: {percent(_right(ratio, filed, right, strangers))}" for ratio in (6, 2, 1)]
    return [
        "The thresholds are proven for the mix of the calibration photos: "
        f"{shown / counts[NEITHER]:.1f} photos "
        "of a class with a folder to 1 of neither. By the figures above, this share of filed photos would be "
        f"right, by photos with a folder to those of neither: {', '.join(shares)}."
    ]


def _right(ratio: float, filed: float, right: float, strangers: float) -> float:
    """Return the share of filed photos that are right where `ratio` photos have a folder for each without."""
    total = ratio * filed + strangers
    return ratio * filed * right / total if total else 1.0


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
