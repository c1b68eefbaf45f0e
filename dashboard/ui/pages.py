"""The pages of the dashboard, in the order of the navigation. The README's table has the same titles."""

from __future__ import annotations

from typing import NamedTuple

from trainer.stats.objective import Objective


class Page(NamedTuple):
    """One page. Its file is ``views/<view>.py`` and its address ``/<view>``; Home's is ``/``."""

    view: str
    title: str
    icon: str  # of Material Symbols
    purpose: str
    of_sweeps: bool = True  # about the run that is picked in the sidebar
    section: str = "Sweep"  # of the navigation

    @property
    def file(self) -> str:
        return f"views/{self.view}.py"

    @property
    def shortcode(self) -> str:
        return f":material/{self.icon}:"


HOME = Page("home", "Home", "leaderboard", "all runs, and the best heads with their intervals")
RUNS = Page(
    "runs",
    "Runs",
    "inventory_2",
    "find, star, tag, rename and archive any run",
    of_sweeps=False,
)
START = Page(
    "start",
    "Start a run",
    "play_circle",
    "start, stop and resume a sweep, or copy its command",
    of_sweeps=False,
)
CURVES = Page(
    "curves", "Loss curves", "show_chart", "training and validation of every trial, by hyperparameter"
)
HYPERPARAMETERS = Page(
    "hyperparameters", "Hyperparameters", "tune", "which matter, and which values work best"
)
CONFUSION = Page(
    "confusion",
    "Confusion matrix",
    "grid_on",
    "which classes are confused, and the images behind it",
)
EMBEDDINGS = Page(
    "embeddings",
    "Embeddings",
    "scatter_plot",
    "a t-SNE map of the features, by label, error, confidence or score",
)
TWO_CLASSES = Page(
    "twoclass", "Two classes", "balance", "ROC, sensitivity and specificity at a threshold, calibration"
)
ABLATION = Page(
    "ablation",
    "Filter ablations",
    "filter_alt",
    "does filtering the training set help?",
    of_sweeps=False,
    section="Studies",
)
TRY_IT = Page("tryit", "Try it", "add_photo_alternate", "test the head on your own image", section="Tools")
VERIFICATION = Page(
    "verification",
    "Verification",
    "face",
    "do two photos show the same person? With the hardest pairs",
    of_sweeps=False,
    section="Studies",
)
ZERO_SHOT = Page(
    "zeroshot",
    "Zero-shot",
    "spellcheck",
    "how far class names alone get, and when training overtakes them",
    of_sweeps=False,
    section="Studies",
)
FUSION = Page(
    "fusion", "Image and text", "join", "do captions help, and where?", of_sweeps=False, section="Studies"
)
ENCODERS = Page(
    "encoders", "Encoders", "speed", "which encoder is best, and its cost", of_sweeps=False, section="Studies"
)
DATA_QUALITY = Page(
    "quality",
    "Data quality",
    "image_search",
    "corrupt files, duplicates, leaks, suspicious labels",
    of_sweeps=False,
    section="Data",
)
COMPARE = Page(
    "compare",
    "Compare",
    "compare_arrows",
    "is one run better than another, and where?",
    of_sweeps=False,
    section="Studies",
)
SEARCH = Page("search", "Search", "search", "find images by words, or like one of yours", section="Tools")
PAGES = (
    HOME,
    RUNS,
    START,
    CURVES,
    HYPERPARAMETERS,
    CONFUSION,
    EMBEDDINGS,
    TWO_CLASSES,
    DATA_QUALITY,
    COMPARE,
    ABLATION,
    VERIFICATION,
    ZERO_SHOT,
    FUSION,
    ENCODERS,
    TRY_IT,
    SEARCH,
)


NUMBERS, LABELS = "Predicted against true", "Labels"  # what `CONFUSION` is called for a number, and labels


def title_of(page: Page, objective: Objective | None) -> str:
    """Return what a page is called for a sweep with that objective; for none, its usual title."""
    if page is not CONFUSION or objective is None:
        return page.title
    return NUMBERS if objective.numbers else LABELS if objective.labels else page.title


def not_of_classes(objective: Objective) -> str:
    """Say that a page about classes does not apply to a sweep, and which one does; "" of classes."""
    if objective.numbers:
        return f"This sweep predicts a number, and this page is about classes. See “{NUMBERS}”."
    if objective.labels:
        return f"This sweep has several labels per image, and this page is about one class. See “{LABELS}”."
    return ""


def sections() -> dict[int, str]:
    """Return where each section of the navigation begins: place of its first page, from 0 → its heading."""
    return {
        place: one.section
        for place, one in enumerate(PAGES)
        if place == 0 or PAGES[place - 1].section != one.section
    }
