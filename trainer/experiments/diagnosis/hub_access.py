"""Check the cache of the Hugging Face hub, and whether the hub answers."""

from __future__ import annotations

import os
from pathlib import Path

from trainer.core.errors import first_line
from trainer.experiments.diagnosis.facts import Facts
from trainer.experiments.diagnosis.findings import Diagnosis, advice, broken, fine, within
from trainer.experiments.diagnosis.machine import existing

WITHIN_S = 8.0  # a name server that is away is not given up by itself
ASKED_WITHIN_S = 5.0
MODEL = "openai/clip-vit-base-patch32"  # the default encoder


def check_hub_cache(_: Facts) -> Diagnosis:
    """Say how many models are cached, and whether more could be."""
    from huggingface_hub import constants

    folder = Path(constants.HF_HUB_CACHE)
    there = existing(folder)
    if not os.access(there, os.W_OK | os.X_OK):
        return broken(f"{there} cannot be written.", "Set HF_HOME to a folder that you may write to.")
    models = len([*folder.glob("models--*")]) if folder.is_dir() else 0
    return fine(f"{models} model{'s' * (models != 1)} in {folder}.")


def check_hub(facts: Facts) -> Diagnosis:
    """Say whether the hub answers, within seconds whatever the network does."""
    from huggingface_hub import HfApi, constants

    if constants.HF_HUB_OFFLINE:
        return fine("not asked, because HF_HUB_OFFLINE is set: only cached models are used.")
    if not facts.config.hub:
        return fine("not asked.")
    try:
        within(WITHIN_S, lambda: HfApi().model_info(MODEL, timeout=ASKED_WITHIN_S))
    except Exception as error:  # no network, a proxy, a certificate, a token: the library raises many types
        return advice(
            f"{constants.ENDPOINT} does not answer as it should: {first_line(error).rstrip('.')}.",
            "Set HTTPS_PROXY or HF_ENDPOINT (a mirror), or HF_HUB_OFFLINE=1. --encoder demo and local "
            "folders need no hub.",
        )
    return fine(f"{constants.ENDPOINT} answers.")
