"""Augment one photo: framing, light, camera. Pure: the random generator is passed in.

Own code, because Keras' layers neither paste photos into scenes nor imitate the losses of cameras and JPEG.
"""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter

from models.types import Pixels

SMALL_SHARE = 0.3  # of photos, those shrunk into another scene, as small distant animals
SMALL_SIDES = (0.2, 0.7)  # side of the shrunk photo, as a share of the scene's
PAIR_SHARE = 0.08  # of photos of a class, those combined with a second one


def augment(photo: Pixels, scene: Pixels | None, size: int, rng: np.random.Generator) -> Pixels:
    """Return a variant, uint8 (size, size, 3), of a photo, uint8 (any, any, 3).

    With a `scene`, the photo is shrunk and pasted into it, as a small object in a large picture.
    """
    image = Image.fromarray(photo)
    if scene is None:
        framed = _reframe(image, size, rng)
    else:
        framed = _paste_down(image, _reframe(Image.fromarray(scene), size, rng), rng)
    if rng.random() < 0.5:
        framed = framed.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return np.asarray(_camera(_light(framed, rng), rng), dtype=np.uint8)


def pair(first: Pixels, second: Pixels, size: int, rng: np.random.Generator) -> Pixels:
    """Return one picture, uint8 (size, size, 3), with two photos, uint8 (any, any, 3), on it.

    They are side by side, one above the other, or one on the other; order and sizes are random.
    """
    photos = [first, second] if rng.random() < 0.5 else [second, first]
    arranged = _one_on_the_other if rng.random() < 0.4 else _side_by_side
    picture = arranged(photos, size, rng)
    if rng.random() < 0.5:
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return np.asarray(_camera(_light(picture, rng), rng), dtype=np.uint8)


def _one_on_the_other(photos: list[Pixels], size: int, rng: np.random.Generator) -> Image.Image:
    below = _reframe(Image.fromarray(photos[0]), size, rng)
    return _paste_down(Image.fromarray(photos[1]), below, rng, (0.4, 0.65))


def _side_by_side(photos: list[Pixels], size: int, rng: np.random.Generator) -> Image.Image:
    share = int(size * rng.uniform(0.4, 0.6))
    upright = rng.random() < 0.5
    places = [(0, 0, share, size), (share, 0, size, size)]
    picture = Image.new("RGB", (size, size))
    for photo, (left, top, right, bottom) in zip(photos, places, strict=True):
        part = _strip(Image.fromarray(photo), upright, rng)
        box = (left, top, right, bottom) if upright else (top, left, bottom, right)
        picture.paste(part.resize((box[2] - box[0], box[3] - box[1]), Image.Resampling.BILINEAR), box[:2])
    return picture


def _strip(image: Image.Image, upright: bool, rng: np.random.Generator) -> Image.Image:
    """Crop a photo to an upright or a wide strip of its middle, so that it is squashed less."""
    share, width, height = rng.uniform(0.65, 1.0), image.width, image.height
    if upright:
        margin = width * (1 - share) / 2
        return image.crop((round(margin), 0, round(width - margin), height))
    margin = height * (1 - share) / 2
    return image.crop((0, round(margin), width, round(height - margin)))


def _reframe(image: Image.Image, size: int, rng: np.random.Generator) -> Image.Image:
    """Crop a random part, sometimes rotated by up to 20 degrees, and squash it to the square."""
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


def _paste_down(
    image: Image.Image,
    scene: Image.Image,
    rng: np.random.Generator,
    shares: tuple[float, float] = SMALL_SIDES,
) -> Image.Image:
    """Paste a photo into a square scene, its side a random share of the scene's between the two `shares`."""
    size = scene.width
    stretch = np.exp(rng.uniform(-0.3, 0.3))
    side = rng.uniform(*shares) * size
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
    """Remove detail as a small sensor, a thumbnail, motion or strong JPEG compression does."""
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
