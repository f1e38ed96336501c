"""Measure bundles on labelled photos that they have not been made from."""

from models.evaluation.figures import Evaluation, Share, measure, summary
from models.evaluation.measuring import evaluate, predict, relabelled

__all__ = ["Evaluation", "Share", "evaluate", "measure", "predict", "relabelled", "summary"]
