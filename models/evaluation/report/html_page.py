"""Write the evaluation as one HTML page: no script and no other files, so it can be mailed and printed."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.bundle.bundle import Bundle
from models.bundle.write_bundle import replace
from models.errors import need
from models.evaluation.metrics import image_sizes
from models.evaluation.metrics.curves import Curve
from models.evaluation.metrics.figures import Evaluation
from models.evaluation.metrics.intervals import Share
from models.evaluation.report import plots
from models.evaluation.report.gallery import GalleryItem
from models.evaluation.report.wording import number, percent, range_, visible

TEMPLATE = "page.html.j2"

TITLES = {
    "promises": (
        "Coverage by target precision",
        "A higher target precision files fewer photos. Shaded: the 95% intervals.",
    ),
    "confusion": ("Confusion matrix", "Rows are the true classes, columns the predicted ones."),
    "reliability": (
        "Calibration",
        "On the dashed line, 90% of photos at 90% confidence are right; below it, too few are.",
    ),
    "risk_coverage": (
        "Risk and coverage",
        "To the right, photos of lower confidence are included; the curve is the share of wrong predictions.",
    ),
    "roc": ("ROC of each class against the others", "The nearer to the upper left corner, the better."),
    "pr": (
        "Precision and recall of each class",
        "The nearer to the upper right corner, the better.",
    ),
}


@dataclass(frozen=True, slots=True)
class Picture:
    """A plot for light and for dark themes, as data URIs, with title and explanation."""

    name: str
    title: str
    words: str
    light: str
    dark: str


@dataclass(frozen=True, slots=True)
class Tile:
    """A headline figure."""

    title: str
    share: Share
    words: str


def pictures(result: Evaluation, curves: Sequence[Curve], out: Path) -> list[Picture]:
    """Draw every plot, write it into `out`, and return it for the page. Raises PackageMissing."""
    light, dark = plots.draw(result, curves, plots.LIGHT), plots.draw(result, curves, plots.DARK)
    for name, png in light.items():
        replace(out / f"{name}.png", png)
    return [
        Picture(name, *TITLES[name], _png(light[name]), _png(dark[name])) for name in TITLES if name in light
    ]


def _png(data: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(data).decode()


def tiles(result: Evaluation) -> list[Tile]:
    """Return the headline figures that were measured."""
    at = result.at_threshold
    percent_ = f"{100 * at.target_precision:g}%"
    found = [
        Tile("accuracy", result.accuracy, "of all photos have the right label, neither included"),
        Tile("accuracy, with a folder", result.accuracy_with_folder, "if only labels with a folder count"),
        Tile("filed", at.coverage, f"of photos of a class with a folder, at target precision {percent_}"),
        Tile("filed right", at.precision, "of these filed photos are in the right folder"),
        Tile("neither, filed", at.neither_filed, "of photos of neither, which should not be filed"),
        Tile("calibration error", result.measured["ece"], "mean difference of confidence and accuracy (ECE)"),
    ]  # fmt: skip
    return [tile for tile in found if tile.share.value is not None]


def write(
    result: Evaluation, bundle: Bundle, curves: Sequence[Curve], worst: Sequence[GalleryItem],
    suspects: Sequence[GalleryItem], suspected: int, out: Path,
) -> Path:  # fmt: skip
    """Draw the plots, and write `index.html`, into `out`. Raises PackageMissing."""
    return render(out / "index.html", TEMPLATE, {
        "result": result,
        "bundle": bundle,
        "tiles": tiles(result),
        "pictures": pictures(result, curves, out),
        "groups": groups(result.measured),
        "worst": worst,
        "suspects": suspects,
        "suspected": suspected,
    })  # fmt: skip


def groups(measured: Mapping[str, Share]) -> list[tuple[str, list[tuple[str, Share, Share]]]]:
    """Return the tables of groups: a title, and for each group its name, accuracy and share filed."""
    titles = {
        "source": "By source", "size": "By longest side", "shape": "By shape, long side to short",
        "composition": "Synthetic scenes",
    }  # fmt: skip
    tables = []
    for kind, title in titles.items():
        prefix = f"accuracy_by_{kind}/"
        rows = [
            (name.removeprefix(prefix), share, measured[f"filed_by_{kind}/{name.removeprefix(prefix)}"])
            for name, share in measured.items()
            if name.startswith(prefix)
        ]
        rows.sort(key=lambda row: (image_sizes.place(row[0]), row[1].value or 0.0, row[0]))
        if len(rows) > 1:
            tables.append((title, rows))
    return tables


def render(path: Path, template: str, values: Mapping[str, Any]) -> Path:
    """Write a page of a template, every value escaped. Raises PackageMissing."""
    need("jinja2", "leave out --out")
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": percent, "number": number, "range": range_, "visible": visible}
    replace(path, environment.get_template(template).render(values).encode("utf-8", "backslashreplace"))
    return path
