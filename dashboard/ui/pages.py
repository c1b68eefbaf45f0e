"""The pages of the dashboard, in the order of the navigation. The README's table has the same titles."""

from __future__ import annotations

from typing import NamedTuple


class Page(NamedTuple):
    """One page. Its file is ``views/<view>.py`` and its address ``/<view>``; Home's is ``/``."""

    view: str
    title: str
    icon: str  # of Material Symbols
    purpose: str
    of_sweeps: bool = True  # about the run that is picked in the sidebar

    @property
    def file(self) -> str:
        return f"views/{self.view}.py"

    @property
    def shortcode(self) -> str:
        return f":material/{self.icon}:"


HOME = Page("home", "Home", "leaderboard", "all runs, the best configurations with their intervals")
CURVES = Page(
    "curves", "Loss curves", "show_chart", "training and validation of every trial, by any hyperparameter"
)
HYPERPARAMETERS = Page(
    "hyperparameters", "Hyperparameters", "tune", "which of them matter, and which of their values serve best"
)
CONFUSION = Page(
    "confusion",
    "Confusion matrix",
    "grid_on",
    "which classes are taken for which, and the images behind it",
)
EMBEDDINGS = Page(
    "embeddings",
    "Embeddings",
    "scatter_plot",
    "a t-SNE of the features, by label, mistake, confidence or any score",
)
TWO_CLASSES = Page(
    "twoclass", "Two classes", "balance", "ROC, sensitivity and specificity at a threshold, calibration"
)
ABLATION = Page(
    "ablation",
    "Filter ablations",
    "filter_alt",
    "what leaving out training images by score does, for certain",
    of_sweeps=False,
)
TRY_IT = Page("tryit", "Try it", "add_photo_alternate", "an image of yours, what the head says, and why")
VERIFICATION = Page(
    "verification",
    "Verification",
    "face",
    "whether two photos show the same person, with the hardest pairs",
    of_sweeps=False,
)
ZERO_SHOT = Page(
    "zeroshot",
    "Zero-shot",
    "spellcheck",
    "what a class’s name is worth, and where training overtakes it",
    of_sweeps=False,
)
FUSION = Page("fusion", "Image and text", "join", "whether a caption helps, and where", of_sweeps=False)
ENCODERS = Page("encoders", "Encoders", "speed", "which one serves best, and what it costs", of_sweeps=False)
DATA_QUALITY = Page(
    "quality",
    "Data quality",
    "image_search",
    "unusable files, copies, leaks, labels in doubt",
    of_sweeps=False,
)
PAGES = (
    HOME,
    CURVES,
    HYPERPARAMETERS,
    CONFUSION,
    EMBEDDINGS,
    TWO_CLASSES,
    ABLATION,
    TRY_IT,
    VERIFICATION,
    ZERO_SHOT,
    FUSION,
    ENCODERS,
    DATA_QUALITY,
)
