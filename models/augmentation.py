"""Make one photo into another that could have been taken: framing, light, camera.

Pure: a photo and a random generator in, a photo out.
"""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter

Pixels = npt.NDArray[np.uint8]

SMALL_SHARE = 0.2  # of photos, those shrunk into another scene: a small animal far away


def augment(photo: Pixels, scene: Pixels | None, size: int, rng: np.random.Generator) -> Pixels:
    """Return a variant, uint8 (size, size, 3), of a photo, uint8 (any, any, 3).

    With a `scene`, a photo of something else, the photo is shrunk and pasted into it, so that what matters is
    small in a large picture.
    """
    image = Image.fromarray(photo)
    if scene is None:
        framed = _reframe(image, size, rng)
    else:
        framed = _paste_down(image, _reframe(Image.fromarray(scene), size, rng), rng)
    if rng.random() < 0.5:
        framed = framed.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return np.asarray(_camera(_light(framed, rng), rng), dtype=np.uint8)


def _reframe(image: Image.Image, size: int, rng: np.random.Generator) -> Image.Image:
    """Crop a random part, now and then turned by up to 20 degrees, and squash it to the square."""
    width, height = image.size
    area = rng.uniform(0.35, 1.0) if rng.random() < 0.6 else rng.uniform(0.8, 1.0)
    stretch = np.exp(rng.uniform(-0.3, 0.3))
    w, h = min(1.0, np.sqrt(area * stretch)) * width, min(1.0, np.sqrt(area / stretch)) * height
    left, top = rng.uniform(0, width - w), rng.uniform(0, height - h)
    angle = np.radians(rng.uniform(-20, 20)) if rng.random() < 0.3 else 0.0
    corners = np.array([[-w, -h], [-w, h], [w, h], [w, -h]]) / 2
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    quad = corners @ turn + (left + w / 2, top + h / 2)
    fill = tuple(int(v) for v in rng.integers(0, 256, 3))
    return image.transform(
        (size, size), Image.Transform.QUAD, tuple(quad.ravel()), Image.Resampling.BILINEAR, fillcolor=fill
    )


def _paste_down(image: Image.Image, scene: Image.Image, rng: np.random.Generator) -> Image.Image:
    size = scene.width
    stretch = np.exp(rng.uniform(-0.3, 0.3))
    side = rng.uniform(0.25, 0.75) * size
    w, h = (int(min(size, max(8, side * s))) for s in (stretch, 1 / stretch))
    left, top = int(rng.integers(0, size - w + 1)), int(rng.integers(0, size - h + 1))
    mask = Image.new("L", (w, h), 0)
    feather = int(rng.integers(0, max(1, min(w, h) // 6)))
    draw = ImageDraw.Draw(mask)
    shape = draw.ellipse if rng.random() < 0.3 else draw.rectangle
    shape((feather, feather, w - 1 - feather, h - 1 - feather), fill=255)
    soft = mask.filter(ImageFilter.GaussianBlur(feather / 2))
    scene.paste(image.resize((w, h), Image.Resampling.BOX), (left, top), soft)
    return scene


def _light(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    if rng.random() < 0.8:
        for enhance in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
            image = enhance(image).enhance(rng.uniform(0.7, 1.3))
    if rng.random() < 0.1:  # black dogs in the dark
        image = ImageEnhance.Brightness(image).enhance(rng.uniform(0.3, 0.7))
    if rng.random() < 0.05:
        image = image.convert("L").convert("RGB")
    return image


def _camera(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Lose detail as a small sensor, a thumbnail, motion or a strong JPEG does."""
    if rng.random() < 0.15:
        side = max(8, int(image.width / rng.uniform(1.3, 4.0)))
        image = image.resize((side, side), Image.Resampling.BOX).resize(image.size, Image.Resampling.BILINEAR)
    elif rng.random() < 0.1:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 2.0)))
    if rng.random() < 0.25:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=int(rng.integers(25, 95)))
        image = Image.open(buffer).convert("RGB")
    return image
