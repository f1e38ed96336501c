"""Measure bundles on labelled photos that they have not been made from."""

from models.evaluation.comparing import compare
from models.evaluation.comparison import Comparison
from models.evaluation.figures import Evaluation, Share, measure, summary
from models.evaluation.measuring import evaluate, predict, relabelled
from models.evaluation.shapes import places

__all__ = [
    "Comparison",
    "Evaluation",
    "Share",
    "compare",
    "evaluate",
    "measure",
    "places",
    "predict",
    "relabelled",
    "summary",
]
