"""Draw heatmaps in the classifier process: the regions that support a label, see `models.inference.gradcam`.

The network for it is built at the first request. TensorFlow and Pillow are imported then, because the parent
process imports this module too.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.classifier.messages import Explain, Heatmap
from pipeline.errors import ModelError
from pipeline.files.safe_open import open_regular
from pipeline.settings.sections import LimitSettings

if TYPE_CHECKING:
    from models.inference.gradcam import Explainer


class HeatmapDrawer:
    """Draw heatmaps with the bundle at `bundle_path`."""

    def __init__(self, bundle_path: Path, limits: LimitSettings) -> None:
        self._bundle_path = bundle_path
        self._limits = limits
        self._explainer: Explainer | None = None

    def draw(self, request: Explain) -> Heatmap:
        """Return the heatmap; each problem with the file or the model is a Heatmap without a JPEG."""
        from models.errors import BundleError
        from models.images.decode import UnreadableImage

        try:
            return Heatmap(self._jpeg(request))
        except UnreadableImage as error:
            return Heatmap(None, error.reason)
        except (BundleError, ModelError, OSError, MemoryError, ValueError) as error:
            return Heatmap(None, " ".join(str(error).split()) or type(error).__name__)

    def _jpeg(self, request: Explain) -> bytes:
        from models.bundle import bundle
        from models.images.decode import decode, fit
        from models.inference import gradcam
        from pipeline.classifier.encode_jpeg import encode_jpeg

        data = self._read(request.path)
        if self._explainer is None:
            self._explainer = gradcam.open_explainer(bundle.load(self._bundle_path))
        label = self._explainer.labels.index(request.label)
        pixels = decode(data, self._explainer.input_size, self._limits.pixels)
        [heat] = self._explainer.maps(pixels[None], [label])
        return encode_jpeg(gradcam.overlay(fit(data, request.longest, self._limits.pixels), heat))

    def _read(self, path: bytes) -> bytes:
        descriptor, _ = open_regular(path)
        with open(descriptor, "rb") as file:
            return file.read(self._limits.file_bytes)
