"""Say in plain sentences what is out of line, and what to look at."""

from __future__ import annotations

from pipeline.reports.drift import Finding, Measure

_SUBJECTS: dict[Measure, str] = {
    "uncertain": "The share of uncertain photos",
    "confidence": "The mean confidence",
    "classes": "The share of photos predicted as {label}",
    "failed": "The share of files that failed",
    "brightness": "The mean brightness",
    "size": "The usual size of photos",
}

_CAUSES = "a dirty lens, another camera, other animals or night pictures"
_RIGHT = "Look at some filed photos of these days: are they right?"

_ROSE: dict[Measure, str] = {
    "uncertain": f"Look at uncertain/ of these days: {_CAUSES} are likely causes.",
    "confidence": _RIGHT,
    "classes": "Look at photos of these days: other animals, another camera, or a class taken for another.",
    "failed": "Look at the reasons on page Today: a failing memory card or transfer, a new format, or files "
    "that are not images.",
    "brightness": "Look at photos of these days: another camera, a lamp, snow or overexposure.",
    "size": "Look at photos of these days: another camera, or another setting of it.",
}
_FELL: dict[Measure, str] = _ROSE | {
    "uncertain": _RIGHT,
    "confidence": f"Look at uncertain/ of these days: {_CAUSES} are likely causes.",
    "failed": "Files that failed before arrive no longer; look whether all sources still deliver.",
    "brightness": "Look at photos of these days: a dirty or covered lens, night pictures, or a lamp that is "
    "broken.",
    "size": "Look at photos of these days: another camera, another setting of it, or an app that shrinks "
    "photos.",
}


def sentence(finding: Finding) -> str:
    """Return what moved, from what to what, since when, and what to look at; empty if nothing did."""
    if finding.since is None or finding.before is None or finding.now is None:
        return ""
    rose = finding.now > finding.before
    subject = _SUBJECTS[finding.measure].format(label=finding.label)
    moved = f"{subject} {'rose' if rose else 'fell'} from {_shown(finding, finding.before)} to "
    moved += f"{_shown(finding, finding.now)} since {finding.since} ({finding.shifted:,} photos)."
    model = " Since about then {1} answers, before {0}: compare them first.".format(
        *finding.models or ("", "")
    )
    hint = (_ROSE if rose else _FELL)[finding.measure]
    return f"{moved}{model if finding.models else ''} {hint}"


def _shown(finding: Finding, value: float) -> str:
    if finding.measure == "size":
        return f"{value:.1f} megapixels"
    return f"{value:.1%}" if finding.measure in ("confidence", "failed") else f"{value:.0%}"
