"""`pawsort train` and `pawsort evaluate`; they need no settings, no inbox and no database."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from models.networks import recipes
from pipeline.cli.options import Json, changes, integer, real, with_recipe_flags
from pipeline.errors import PawsortError, SettingsError, translated
from pipeline.settings.config import load
from pipeline.settings.sections import EngineKind, LogSettings

if TYPE_CHECKING:
    from models.bundle.bundle import Bundle
    from models.evaluation.metrics.comparison import Comparison
    from models.evaluation.metrics.figures import Evaluation
    from models.progress import Progress
    from models.training.options import TrainOptions

Folders = Annotated[list[Path], typer.Argument(metavar="DIR...", help="A subfolder for each class.")]
Exclude = Annotated[
    Path | None, typer.Option(metavar="FILE", help="A CSV of photos to set aside: sha256, reason.")
]
Config = Annotated[
    Path | None, typer.Option("--config", metavar="PATH", help="A settings file, for the log.")
]
MOST_PIXELS = 1_024  # limit of a bundle
MOST_SEED = 2**32 - 1  # limit of NumPy and scikit-learn
Target = Annotated[float, real("The share of filed photos to be right.", 0.5)]


@with_recipe_flags
def train(
    out: Annotated[Path, typer.Option(metavar="BUNDLE", help="The folder to write the bundle to.")],
    folders: Annotated[
        list[Path] | None, typer.Argument(metavar="DIR...", help="A subfolder for each class; or a .tar.")
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(metavar="NAME", help="A public data set, downloaded once: cifar10.")
    ] = None,
    architecture: Annotated[
        str | None,
        typer.Option(
            help="mobilenet_v2, efficientnet_lite0 to efficientnet_lite2, small_cnn, cifar_cnn, svm or "
            "random_forest; default: that of the bundle of --init, else mobilenet_v2."
        ),
    ] = None,
    init: Annotated[
        str | None,
        typer.Option(
            help="imagenet, none, a file of weights, or a bundle's name or path; default: imagenet or none."
        ),
    ] = None,
    recipe: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A YAML file of training numbers, such as learning_rate: 0.001."),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help=f"Change one training number, as often as needed: {', '.join(recipes.KEYS)}.",
        ),
    ] = None,
    input_size: Annotated[int | None, integer("Pixels; default: as suits it.", 16, MOST_PIXELS)] = None,
    folder: Annotated[
        list[str] | None, typer.Option(metavar="LABEL=NAME", help="Where photos of a class are filed.")
    ] = None,
    exclude: Exclude = None,
    sweep: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Try the settings of this YAML file, and keep the best."),
    ] = None,
    all_sources: Annotated[
        bool, typer.Option("--all-sources", help="Train on every source of neither; hold none out.")
    ] = False,
    seed: Annotated[int, integer("Of the split and all chance.", 0, MOST_SEED)] = 1,
    target_precision: Target = 0.995,
    detector: Annotated[
        Path | None,
        typer.Option(metavar="BUNDLE", help="Take over the detector of another bundle, which finds animals."),
    ] = None,
    int8: Annotated[
        bool, typer.Option("--int8/--no-int8", help="Make the network in int8 too, which answers faster.")
    ] = True,
    config: Config = None,
    flags: Mapping[str, recipes.Value] | None = None,
) -> None:
    """Train a model on your own photos; an interrupted training is resumed.

    DIR has a folder for each class; photos in one named `neither` show no other class.

    Example: pawsort train photos/ --architecture mobilenet_v2 --out models/mine
    """
    _set_up_log(config)
    names = _folder_names(folder or ())
    from models.evaluation.report.wording import number
    from models.training.initial_weights import architecture_of
    from models.training.train import TrainOptions
    from models.training.train import train as fit
    from pipeline.cli.printing.progress import training_progress

    with translated():
        architecture = architecture or architecture_of(init)
    options = TrainOptions(
        folders=folders or (),
        dataset=dataset,
        out=out,
        architecture=architecture,
        init=init,
        changes=changes(recipe, flags or {}, set_ or ()),
        input_size=input_size,
        folder_names=names,
        exclude=exclude,
        all_sources=all_sources,
        seed=seed,
        target_precision=target_precision,
        int8=int8,
        detector=detector,
    )
    with translated(), training_progress() as progress:
        bundle = _sweep(options, sweep, progress) if sweep else fit(options, progress=progress)
    for name, figure in sorted(bundle.figures.items()):
        print(f"{name:28} {number(figure.value)}")
    if warning := bundle.unproven(target_precision):
        _say([warning])


def evaluate(
    bundle: Annotated[str, typer.Argument(metavar="BUNDLE", help="A bundle's name or path.")],
    folders: Folders,
    against: Annotated[
        str | None, typer.Option(metavar="BUNDLE", help="Another bundle, to compare with on the same photos.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="A folder for figures, curves and a page with all of it."),
    ] = None,
    split: Annotated[
        Literal["train", "validation", "calibration", "test"] | None,
        typer.Option(help="Only the photos that the bundle's training had put there."),
    ] = None,
    exclude: Exclude = None,
    target_precision: Target = 0.995,
    scenes: Annotated[
        bool,
        typer.Option("--composed", help="Also measure synthetic scenes: small animals, two side by side."),
    ] = False,
    engine: Annotated[
        EngineKind,
        typer.Option(help="auto answers in int8 where the model can; tensorflow and openvino in float32."),
    ] = "auto",
    card: Annotated[
        bool, typer.Option("--card", help="Write the bundle's card, its README.md, with these figures.")
    ] = False,
    config: Config = None,
    json: Json = False,
) -> None:
    """Evaluate a model on labelled photos that did not train it, or two on the same photos.

    Example: pawsort evaluate cats_dogs photos/ --out figures/
    """
    from pipeline.cli.printing.progress import counting_progress

    _set_up_log(config)
    if scenes and against:
        raise SettingsError("--composed measures one model: leave out --against")
    with translated(), counting_progress("measuring") as progress:
        loaded = _load_bundle(bundle, engine)
        other = _load_bundle(against, engine) if against else None
        from models.evaluation.compare import compare
        from models.evaluation.evaluate import evaluate as measure_bundle

        asked: dict[str, Any] = {"split": split, "exclude": exclude, "target_precision": target_precision}
        asked |= {"engine": engine, "progress": progress}
        both = compare(loaded, other, folders, out, **asked) if other else None
        result = None if other else measure_bundle(loaded, folders, out, scenes=scenes, **asked)
    if both:
        _print_comparison(both, json)
    if result:
        _print_evaluation(result, json)
    if card and (measured := result or (both and both.a)):
        _write_card(loaded, measured)


def _load_bundle(name: str, engine: EngineKind) -> Bundle:
    from models.bundle import bundle as bundles
    from models.inference.engines import answering

    return answering(bundles.load(bundles.locate(name, Path.cwd())), engine)


def _write_card(bundle: Bundle, result: Evaluation) -> None:
    from models.evaluation.report import model_card as card

    try:
        card.write(bundle, result)
    except OSError as error:
        raise PawsortError(f"{bundle.path}: the card cannot be written: {error.strerror}") from error


def _print_evaluation(result: Evaluation, json: bool) -> None:
    from models.evaluation.metrics.figures import summary
    from models.evaluation.report.wording import number, range_
    from pipeline.cli.printing.output import print_json

    if json:
        print_json(result.as_dict())
        return
    for name, share in summary(result).items():
        value = "-" if share.value is None else f"{number(share.value)}  ({range_(share, plain=True)})"
        print(f"{name:28} {value}")
    _say(result.warnings)


def _print_comparison(result: Comparison, json: bool) -> None:
    from models.evaluation.metrics.figures import summary
    from pipeline.cli.printing.output import print_json

    if json:
        print_json(result.as_dict())
        return
    for name in summary(result.a):
        if d := result.differences.get(name):
            both = f"{d.a.value:.4f}  {d.b.value:.4f}"
            print(f"{name:28} {both}  {d.value:+.4f}  ({d.low:+.4f} to {d.high:+.4f})")
    print(result.verdict)
    _say([*result.a.warnings, *result.b.warnings])


def _say(warnings: Sequence[str]) -> None:
    for warning in warnings:
        typer.echo(f"note: {warning}", err=True)


def _sweep(options: TrainOptions, path: Path, progress: Callable[[Progress], None]) -> Bundle:
    from models.training.leaderboard import rows
    from models.training.sweep import sweep
    from pipeline.cli.printing.output import print_table

    bundle, trials = sweep(options, path, progress)
    table = rows(trials)
    print_table(table, list(table[0]))
    return bundle


def _folder_names(pairs: Sequence[str]) -> dict[str, str]:
    names: dict[str, str] = {}
    for pair in pairs:
        label, equals, name = pair.partition("=")
        if not (label and equals and name):
            raise SettingsError(f"--folder {pair}: expected LABEL=NAME, such as rabbit=rabbits")
        if names.setdefault(label, name) != name:
            raise SettingsError(f"--folder {pair}: {label} has the folder {names[label]} already; name one")
    return names


def _set_up_log(config: Path | None) -> None:
    """Set up the log by the settings file, if there is one: a training needs none."""
    from pipeline import logs

    log = load(config).log if config else LogSettings()
    logs.set_up(log.format, log.level)
