"""Two checkouts are compared by runs in turn."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks import against
from benchmarks.against import Rate

NOTES_SETTINGS = """
from pathlib import Path
from pipeline.settings import config
def filing_rate(folder, count, side):
    Path("empty").touch()
    settings = config.load(Path("empty"))
    Path("settings").write_text(f"{settings.model} {settings.engine}")
    return count, side
"""


def test_two_checkouts_run_in_turn_and_the_ratio_is_this_one_to_the_other(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    here, order = Path(against.__file__).parents[1], list[Path]()
    rates = {here: iter([Rate(90, 2), Rate(110, 2), Rate(300, 2)]), tmp_path: iter([Rate(100, 4)] * 3)}

    def run(checkout: Path, count: int) -> Rate:
        assert count == 7
        order.append(checkout)
        return next(rates[checkout])

    pairs = against.compare(tmp_path, 7, 3, run)
    assert order == [here, tmp_path, tmp_path, here, here, tmp_path]
    found = against.ratios(pairs)
    assert found["photos/s"] == {"median": pytest.approx(1.1), "min": 0.9, "max": 3.0}
    assert found["core seconds a photo"] == {"median": 0.5, "min": 0.5, "max": 0.5}
    assert capsys.readouterr().out.count("photos/s") == 6


def test_a_run_takes_the_modules_of_its_own_checkout(tmp_path: Path) -> None:
    package = tmp_path / "benchmarks"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "photos.py").write_text("SMALL = 5\n")
    (package / "throughput.py").write_text("def filing_rate(folder, count, side):\n    return count, side\n")
    assert against.filing_rate(tmp_path, 12) == Rate(12, 5)


@pytest.mark.parametrize("named", [True, False])
def test_a_run_takes_the_bundle_that_is_named_in_float32(tmp_path: Path, named: bool) -> None:
    bundle = tmp_path / "bundle" if named else None
    package = tmp_path / "benchmarks"
    package.mkdir()
    for name, text in (("__init__", ""), ("photos", "SMALL = 5\n"), ("throughput", NOTES_SETTINGS)):
        (package / f"{name}.py").write_text(text)
    against.filing_rate(tmp_path, 12, bundle)
    found = (tmp_path / "settings").read_text()
    assert found == (f"{bundle} openvino" if named else "cats_dogs auto")


def test_the_bundle_of_a_comparison_must_be_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other" / "benchmarks"
    other.mkdir(parents=True)
    (other / "throughput.py").touch()
    monkeypatch.setattr(sys, "argv", ["against", str(other.parent), "--bundle", str(tmp_path)])
    with pytest.raises(SystemExit, match="2"):
        against.main()
    assert f"{tmp_path} is not a bundle" in capsys.readouterr().err


def test_only_another_checkout_can_be_compared(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for folder in (tmp_path, Path(against.__file__).parents[1]):
        monkeypatch.setattr(sys, "argv", ["against", str(folder)])
        with pytest.raises(SystemExit, match="2"):
            against.main()
