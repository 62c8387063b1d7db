"""Any model of the timm library, by name. timm is imported here and nowhere else, and only where a study or a command asks."""

from __future__ import annotations

import difflib
from typing import Any

from torch import Tensor, nn

from collapselab.errors import UserError


def create(name: str, where: str, size: int = 0) -> nn.Module:
    """A model with fresh weights and no classifier, for images of `size` pixels a side (0: its own).

    Raises UserError, which begins with `where`, without timm and for a name that it doesn't know.
    """
    try:
        import timm
    except ImportError as error:
        raise UserError(f"{where} needs timm: pip install timm, then run again") from error
    if not timm.is_model(name):
        close = difflib.get_close_matches(name, timm.list_models(), n=3)
        hint = f"did you mean {', '.join(close)}?" if close else "timm.list_models() lists them"
        raise UserError(f"{where}: timm has no model of that name; {hint}")
    try:
        module: nn.Module = timm.create_model(
            name, pretrained=False, num_classes=0, **({"img_size": size} if size else {})
        )
    except TypeError:  # convolutional networks take any size
        module = timm.create_model(name, pretrained=False, num_classes=0)
    return module


def read(module: Any, images: Tensor) -> tuple[Tensor, Tensor | None]:
    """A model's representation [N, d], pooled as its own classifier would, and its patch tokens [N, T, d] if it has any."""
    features: Tensor = module.forward_features(images)
    vectors: Tensor = module.forward_head(features, pre_logits=True)
    tokens = features[:, getattr(module, "num_prefix_tokens", 0) :] if features.ndim == 3 else None
    return vectors, tokens if tokens is not None and tokens.shape[1] > 1 else None


class TimmBackbone(nn.Module):
    """[N, 3, H, W] -> [N, width], pooled as the model's own classifier would."""

    def __init__(self, name: str, image_size: int) -> None:
        super().__init__()
        self.model = create(name, f"backbones: model = {name!r}", image_size)
        described: Any = self.model
        self.width = int(getattr(described, "head_hidden_size", None) or described.num_features)

    def forward(self, images: Tensor) -> Tensor:
        return read(self.model, images)[0]
