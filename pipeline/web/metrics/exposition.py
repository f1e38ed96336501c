"""Write metrics in the text format of Prometheus, version 0.0.4.

Own code, because these few lines would otherwise need another package, `prometheus_client`, which also writes
each number in another form (`1.0` for `1`) than scripts have read until now. `promtool` checks the result.
Source: Prometheus, "Exposition formats".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Sample = tuple[Mapping[str, str], float]
"""Labels and a value."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric and its samples; a histogram's have the suffix of their name first."""

    name: str
    kind: Literal["gauge", "counter", "histogram"]
    words: str
    samples: tuple[tuple[str, Mapping[str, str], float], ...]


def gauge(name: str, words: str, *samples: Sample) -> Metric:
    """Return a value that goes up and down."""
    return Metric(name, "gauge", words, tuple(("", *sample) for sample in samples))


def counter(name: str, words: str, *samples: Sample) -> Metric:
    """Return a count that only grows, or begins at 0 again."""
    return Metric(name, "counter", words, tuple(("", *sample) for sample in samples))


def histogram(name: str, words: str, bounds: Sequence[float], counts: Sequence[int], total: float) -> Metric:
    """Return how many values are at most each bound; `counts` are those between two, the last of the rest."""
    edges = [*map(_number, bounds), "+Inf"]
    below = [*accumulate(counts)]
    buckets = [("_bucket", {"le": edge}, float(count)) for edge, count in zip(edges, below, strict=True)]
    return Metric(name, "histogram", words, (*buckets, ("_sum", {}, total), ("_count", {}, float(below[-1]))))


def text(metrics: Iterable[Metric]) -> str:
    """Return metrics as text; one without samples is left out."""
    return "".join(line for metric in metrics if metric.samples for line in _lines(metric))


def _lines(metric: Metric) -> Iterator[str]:
    yield f"# HELP {metric.name} {metric.words}\n# TYPE {metric.name} {metric.kind}\n"
    for suffix, labels, value in metric.samples:
        inside = ",".join(f'{key}="{_escaped(label)}"' for key, label in labels.items())
        name = f"{metric.name}{suffix}"
        yield f"{name}{{{inside}}} {_number(value)}\n" if inside else f"{name} {_number(value)}\n"


def _number(value: float) -> str:
    return f"{value:.0f}" if value.is_integer() else repr(value)


def _escaped(label: str) -> str:
    """Return a label as it is written; bytes of a path that are not UTF-8 must not end a scrape."""
    label = label.encode("utf-8", "backslashreplace").decode()
    return label.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
