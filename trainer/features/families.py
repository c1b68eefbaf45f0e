"""Supported encoders by the ``model_type`` of their ``config.json``: which part is loaded and how its
output is pooled, as in the paper."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from trainer.core.errors import InputError
from trainer.core.json_cache import read_json
from trainer.core.text import cut
from trainer.features import recipes
from trainer.features.model_schema import check_config, refuse_code

# outputs of the image tower (recipes), or the joint image-text space
Space = Literal["pooled", "cls4", "cls4+patch", "shared"]


@dataclass(frozen=True)
class Backbone:
    """A part of a saved model and its output that is used as vector."""

    part: str  # class in transformers
    vector: str  # a key of VECTORS, or a recipe; part of the cache key
    options: dict[str, Any] = field(default_factory=dict)  # arguments of the constructor
    inside: str = ""  # prefix of its weights in the whole model, if transformers cannot find them
    spare: tuple[str, ...] = ()  # modules to delete
    norms: tuple[str, ...] = ()  # modules that the last class token passes; () if there is none
    before_patches: int = 1  # tokens before the patches, registers not counted

    def output(self) -> Callable[[Any, dict[str, Any]], Any]:
        """Return the function of model and inputs whose result is used as vector: [B, D]."""
        if self.vector in recipes.PARTS:
            return partial(
                recipes.concatenated,
                norms=self.norms,
                patches=self.vector == "cls4+patch",
                before_patches=self.before_patches,
            )
        return VECTORS[self.vector]


@dataclass(frozen=True)
class Family:
    """How a type of model encodes images and, if it can, texts."""

    name: str
    source: str  # how the paper pools
    processor: str  # default image processor (preprocessing.KINDS)
    image: Backbone
    shared_image: Backbone | None = None
    text: Backbone | None = None
    side: int | None = None  # pixels of its images if config.json names none; None: it takes any size
    half: bool = False  # the image half of a model that has a text half, too

    def tower(self, space: Space) -> Backbone:
        """Return the image tower for ``space``.

        Raises:
            InputError: the model has no text tower and so no shared space; it has no class token.
        """
        tower = self.shared_image if space == "shared" else self.image
        if tower is None and self.half:
            raise InputError(
                f"This is only the image half of a {self.name}, so it has no space shared by images and "
                f"texts. Pass the whole model, of model_type {self.name.lower()!r}."
            )
        if tower is None:
            able = _names(one for one in FAMILIES.values() if one.text)
            raise InputError(
                f"A {self.name} has no text tower, so it has no space shared by images and texts. Pass one "
                f"of: {able}."
            )
        if space in ("pooled", "shared"):
            return tower
        if not tower.norms:
            able = _names(one for one in FAMILIES.values() if one.image.norms)
            raise InputError(
                f"A {self.name} has no class token, so --features {space} cannot be had of it. Pass "
                f"--features pooled, or one of these encoders: {able}."
            )
        return replace(tower, vector=space)

    def text_tower(self) -> Backbone:
        """Return the text tower. Raises InputError if there is none."""
        self.tower("shared")
        assert self.text is not None
        return self.text


# Output used as vector. ResNet's pooled output has two more axes of length 1.
VECTORS = {
    "pooler_output": lambda model, inputs: model(**inputs).pooler_output.flatten(1),
    "last_hidden_state[:, 0]": lambda model, inputs: model(**inputs).last_hidden_state[:, 0],
    "visual_projection": lambda model, inputs: model.visual_projection(
        model.vision_model(**inputs).pooler_output
    ),
    "text_projection": lambda model, inputs: model.text_projection(model.text_model(**inputs).pooler_output),
    "vision_proj": lambda model, inputs: model.vision_proj(
        model.vision_model(**inputs).last_hidden_state[:, 0]
    ),
    "text_proj": lambda model, inputs: model.text_proj(model.text_encoder(**inputs).last_hidden_state[:, 0]),
}

_CLIP = Family(
    "CLIP",
    "class token after the last layer norm (Radford et al. 2021)",
    "CLIP",
    side=224,
    image=Backbone("CLIPVisionModel", "pooler_output", norms=("post_layernorm",)),
    # The whole model, because its halves read the projection width from another place of config.json.
    shared_image=Backbone("CLIPModel", "visual_projection", spare=("text_model",)),
    text=Backbone("CLIPModel", "text_projection", spare=("vision_model",)),
)
_SIGLIP = Family(
    "SigLIP",
    "attention pooling (Zhai et al. 2023)",
    "Siglip",
    side=224,
    image=Backbone("SiglipVisionModel", "pooler_output"),
    shared_image=Backbone("SiglipVisionModel", "pooler_output"),
    text=Backbone("SiglipTextModel", "pooler_output"),
)
_BLIP = Family(
    "BLIP",
    "class token after the last layer norm (Li et al. 2022)",
    "Blip",
    side=384,
    # It normalises twice, as in its own code.
    image=Backbone(
        "BlipVisionModel",
        "pooler_output",
        inside="vision_model.",
        norms=("post_layernorm", "post_layernorm"),
    ),
    shared_image=Backbone("BlipForImageTextRetrieval", "vision_proj", spare=("text_encoder",)),
    text=Backbone("BlipForImageTextRetrieval", "text_proj", spare=("vision_model",)),
)
_DINOV2 = Family(
    "DINOv2",
    "class token after the last layer norm (Oquab et al. 2023)",
    "Bit",
    image=Backbone("Dinov2Model", "pooler_output", norms=("layernorm",)),
)
_DINOV3 = Family(
    "DINOv3",
    "class token after the last layer norm (Siméoni et al. 2025)",
    "DINOv3ViT",
    image=Backbone("DINOv3ViTModel", "pooler_output", norms=("norm",)),
)
# Without the pooler, a dense layer that classification checkpoints do not have.
_VIT = Family(
    "ViT",
    "class token after the last layer norm (Dosovitskiy et al. 2021)",
    "ViT",
    side=224,
    image=Backbone("ViTModel", "last_hidden_state[:, 0]", {"add_pooling_layer": False}, norms=("layernorm",)),
)
_DEIT = Family(
    "DeiT",
    "class token after the last layer norm (Touvron et al. 2021)",
    "DeiT",
    side=224,
    image=Backbone(
        "DeiTModel",
        "last_hidden_state[:, 0]",
        {"add_pooling_layer": False},
        norms=("layernorm",),
        before_patches=2,  # the class token and the distillation token
    ),
)
_RESNET = Family(
    "ResNet",
    "mean over all positions (He et al. 2016)",
    "ConvNext",
    image=Backbone("ResNetModel", "pooler_output"),
)


def _half(family: Family) -> Family:
    """Return the family of image halves that were saved alone."""
    return replace(family, shared_image=None, text=None, half=True)


FAMILIES = {
    "clip": _CLIP,
    "clip_vision_model": _half(_CLIP),
    "siglip": _SIGLIP,
    "siglip_vision_model": _half(_SIGLIP),
    "blip": _BLIP,
    "blip_vision_model": _half(_BLIP),
    "dinov2": _DINOV2,
    "dinov3_vit": _DINOV3,
    "vit": _VIT,
    "deit": _DEIT,
    "resnet": _RESNET,
}


def _names(families: Iterable[Family]) -> str:
    return ", ".join(dict.fromkeys(family.name for family in families))


def family_of(folder: Path) -> Family:
    """Return the family of the model in ``folder``, after checking its ``config.json``.

    Raises:
        InputError: the model type is not supported; a setting has a value that cannot be; it needs own code.
    """
    file = folder / "config.json"
    config = read_json(file)
    refuse_code(file, config)
    model_type = config.get("model_type")
    if not isinstance(model_type, str) or model_type not in FAMILIES:
        known = _names(FAMILIES.values())
        hint = (
            " Of SigLIP2, the models of fixed resolution (…-patch16-224 and the like) are supported."
            if str(model_type).startswith("siglip2")
            else ""
        )
        if model_type is None and "architecture" in config:
            hint = (
                " Its config.json is one of timm, which is not read here; look for the transformers version."
            )
        raise InputError(
            f"{folder} is a model of type {cut(repr(model_type), 60)}. The encoder must be one of these: "
            f"{known}; such as openai/clip-vit-base-patch32.{hint}"
        )
    check_config(file, config)
    return FAMILIES[model_type]
