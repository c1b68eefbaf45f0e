"""One head on images and texts: heads on raw features, and how their answers are joined."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from trainer.heads.head import Head
from trainer.heads.training_data import Scale

LEAST_P = 1e-12


def late_probability(of_image: Tensor, of_text: Tensor, has_text_n: Tensor, weight: float) -> Tensor:
    """Return log-probabilities [..., N, C] joined, ``weight`` of them the text's; without one the image's."""
    share_n1 = (weight * has_text_n.to(of_image))[:, None]
    logs = [one.clamp_min(LEAST_P).log() for one in (of_image, of_text)]
    return ((1 - share_n1) * logs[0] + share_n1 * logs[1]).softmax(-1)


def on_raw_features(head: Head, centre_d: Tensor, spread_d: Tensor) -> Head:
    """Return the head of features (x - centre) / spread as a head of x, all [D].

    Raises:
        ValueError: the head's own scale is no factor per dimension.
    """
    scale = head.scale
    if scale.unit_norm or scale.matrix.ndim == 2:
        raise ValueError("expected a scale of one factor per dimension")
    raw = Scale(centre_d + spread_d * scale.centre_d, scale.matrix / spread_d)
    return Head(head.spec, raw, head.tensors)


@dataclass(frozen=True)
class FusedHead:
    """Heads on raw features.

    Attributes:
        image: answers rows without a text, and its part of late fusion.
        text: on the text, [N, E]; in the forms "text" and "late".
        joined: on [image; text; 1], [N, D + E + 1]; in the form "joined".
        form: "image", "text", "joined" or "late".
        weight: of the text in late fusion.
        text_mean_e: what a missing text counts as in the form "text".
    """

    ROLES: ClassVar = ("image", "text", "joined")

    image: Head
    form: str
    text_mean_e: Tensor
    weight: float = 0.0
    text: Head | None = None
    joined: Head | None = None

    @torch.inference_mode()
    def probabilities(self, image_nd: Tensor, text_ne: Tensor, has_text_n: Tensor) -> Tensor:
        """Return class probabilities [N, C].

        Args:
            text_ne: zeros where there is none.
            has_text_n: bool.
        """
        if self.form == "text":
            assert self.text is not None
            known_ne = torch.where(has_text_n[:, None], text_ne, self.text_mean_e)
            return self.text.probabilities(known_ne)
        of_image = self.image.probabilities(image_nd)
        if self.form == "image":
            return of_image
        if self.form == "late":
            assert self.text is not None
            return late_probability(of_image, self.text.probabilities(text_ne), has_text_n, self.weight)
        assert self.joined is not None
        joined_nf = torch.cat([image_nd, text_ne, torch.ones_like(image_nd[:, :1])], dim=1)
        return torch.where(has_text_n[:, None], self.joined.probabilities(joined_nf), of_image)
