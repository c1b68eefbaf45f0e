"""Make, check or measure the built-in demo: images of Open Clip Art and a small CLIP.

    python scripts/build_demo_pack.py            # everything, from packages to card; again: goes on
    python scripts/build_demo_pack.py --check    # the pack in the repository keeps what its card promises
    python scripts/build_demo_pack.py --measure  # what the encoder is worth: JSON, also put into the card

Making needs Debian (apt-get, libcairo2), npm, unzip, the libraries in scripts/demo_pack/requirements.txt
and, on two cores, an hour and a half; most of it is the encoder's training (with glibc, setting
MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=100000000000 made its steps a fifth faster). Everything is seeded;
what is made on the way stays in .cache/demo_pack (9 GB). Checking and measuring need nothing but Headroom
itself (measuring the teacher beside the encoder needs what making has fetched).
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPO))

from trainer.data.demo import ENCODER, IMAGES, PACK  # noqa: E402

WORK = REPO / ".cache" / "demo_pack"
CIFAR = REPO.parent / "shared" / "data" / "cifar10_small"
SEED = 0


def make() -> None:
    """Packages → drawings → images and views → encoder."""
    import numpy as np
    import pandas as pd

    from scripts.demo_pack import card, images, lesson, render, sources, student, teacher, views, words

    sources.fetch(WORK / "sources")
    if not (WORK / "drawn" / "drawings.parquet").exists():
        render.render_all(list(sources.drawings(WORK / "sources")), WORK / "drawn")
    drawings = pd.read_parquet(WORK / "drawn" / "drawings.parquet")
    pixels = np.load(WORK / "drawn" / "pixels.npy", mmap_mode="r")

    chosen = images.choose(drawings, pixels, seed=SEED)
    PACK.mkdir(parents=True, exist_ok=True)
    images.table(chosen, pixels, seed=SEED).to_parquet(IMAGES, compression="zstd", index=False)

    learnt = WORK / "learn"
    if not (learnt / "drawings.parquet").exists():
        learnt.mkdir(exist_ok=True)
        images.rest(drawings, pixels, chosen, seed=SEED).to_parquet(learnt / "drawings.parquet")
    seen = pd.read_parquet(learnt / "drawings.parquet")
    photographs = list(sources.photographs(WORK / "sources"))
    often = np.array([views.how_many(source) for source in seen.source])
    rows, ink = seen.index.to_numpy(), seen.ink.to_numpy()
    views.make(pixels, rows, ink, often, photographs, learnt, seed=SEED)
    teacher.ask(WORK / "sources", learnt)
    words.train_tokenizer(seen, ENCODER)
    lesson.train(learnt, seen, ENCODER, seed=SEED)
    card.keep_training_facts(student.facts() | views.facts() | lesson.facts())
    names = pd.concat(
        [seen[["source", "name"]].assign(group=[images.short(group) for group in seen.group]),
         pd.DataFrame({"source": "photograph", "name": [name for name, _ in photographs], "group": ""})]
    )  # fmt: skip
    names.to_parquet(PACK / "trained_on.parquet", compression="zstd", index=False)


def measure() -> None:
    from scripts.demo_pack import card
    from scripts.demo_pack.measure import everything

    fetched = WORK / "sources" if (WORK / "sources").is_dir() else None
    report = everything(ENCODER, CIFAR if CIFAR.is_dir() else None, fetched)
    print(json.dumps(report))
    card.write(report)


def main() -> None:
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    job = flags.add_mutually_exclusive_group()
    job.add_argument(
        "--check", action="store_true", help="verify the pack, print JSON, exit 1 if a line fails"
    )
    job.add_argument(
        "--measure", action="store_true", help="measure the encoder, print JSON, rewrite CARD.md"
    )
    wanted = flags.parse_args()
    if wanted.check:
        from scripts.demo_pack.check import check

        sys.exit(check())
    if not wanted.measure:
        make()
    measure()


if __name__ == "__main__":
    main()
