"""How a network is fitted when nobody asks for anything else: numbers that suit it, by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Augmentation = Literal["photo", "zoom", "shift"]
"""photo: each photo decoded, framed, lit and degraded by itself, for large inputs. zoom: random crops,
mirror, light, whole batches at once from pixels in memory. shift: a few pixels to each side, mirror."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything about fitting that a user or a sweep may change; shares from 0 to 1."""

    learning_rate: float  # the peak
    epochs: int = 10
    batch: int = 32
    patience: int = 4  # epochs without a better validation loss before stopping
    small_epochs: int = 0  # of them, the first ones, on smaller photos at half the cost
    optimizer: Literal["adamw", "sgd"] = "adamw"  # sgd has Nesterov's momentum of 0.9
    weight_decay: float = 0.02  # of matrices and kernels alone where sgd, a step, times the learning rate
    dropout: float = 0.2  # of the features, before the last layer
    label_smoothing: float = 0.02
    average: float = 0.998  # decay of the weights' moving average, a step
    warm_up: float = 0.05  # share of all steps
    augmentation: Augmentation = "photo"
    mixup: float = 0.0  # alpha of the Beta distribution of the mix (Zhang et al. 2018); 0 mixes none
    keep: float = 0.0  # share of the pretrained weights in the final ones (Wortsman et al. 2022, WiSE-FT)
    zoom: float = 1.0  # how much larger unsure photos are looked at again, in parts; 1 looks once
    cutout: float = 0.0  # side of the square that is blanked, as a share of the photo's (DeVries 2017)


# What ImageNet taught stays, in the weights and in the second opinion: it knows much of what is none of ours.
FINE_TUNING = Recipe(learning_rate=2e-4, epochs=12, small_epochs=5, dropout=0.3, keep=0.5, zoom=1.6)
SMALL_CNN = Recipe(
    learning_rate=0.03, epochs=80, batch=32, patience=80, small_epochs=60, optimizer="sgd", weight_decay=5e-3,
    dropout=0.1, label_smoothing=0.05, average=0.998, augmentation="zoom", cutout=0.2,
)  # fmt: skip
CIFAR_CNN = Recipe(
    learning_rate=0.12, epochs=70, batch=128, patience=70, optimizer="sgd", weight_decay=5e-3, dropout=0.2,
    label_smoothing=0.1, average=0.998, warm_up=0.1, augmentation="shift", mixup=0.3, cutout=0.3,
)  # fmt: skip
FITTED = Recipe(learning_rate=0.0, epochs=0)  # by scikit-learn, which takes none of these
