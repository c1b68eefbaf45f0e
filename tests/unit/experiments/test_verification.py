"""The protocol of pairs, files of pairs, and what is learned from other people."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trainer.core.errors import InputError
from trainer.experiments.hardware import Plan
from trainer.experiments.verification.embedding import (
    PersonRows,
    candidates,
    cosines,
    discriminants,
    learn,
    whitening,
)
from trainer.experiments.verification.identify import identify
from trainer.experiments.verification.pairs_file import parse, read
from trainer.experiments.verification.protocol import distinct, draw, even_quota, people_of
from trainer.heads.contrastive import LARGEST_BATCH, PER_CLASS, ContrastiveSpec, _batch, supcon
from trainer.heads.contrastive import train as train_contrastive
from trainer.heads.head_config import HeadSpec
from trainer.heads.population import Population
from trainer.heads.training_data import to_training_data
from trainer.tracking.schema import PairMethod

photos = st.lists(st.integers(1, 9), min_size=8, max_size=40)


def labels(counts: list[int]) -> np.ndarray:
    return np.random.default_rng(0).permutation(np.repeat(np.arange(len(counts)), counts))


# --- protocol ---------------------------------------------------------------------------------


@given(photos, st.integers(3, 12), st.integers(1, 50))
def test_folds_share_no_person_and_hold_as_many_pairs_of_one_as_of_two_and_none_twice(
    counts: list[int], folds: int, per_fold: int
) -> None:
    label_n = labels([*counts, *[2] * 6])
    protocol = draw(label_n, folds=folds, per_fold=per_fold, seed=0)
    person_p2 = label_n[protocol.row_p2]
    assert ((person_p2[:, 0] == person_p2[:, 1]) == protocol.same_p).all()
    assert (protocol.row_p2[:, 0] != protocol.row_p2[:, 1]).all()
    assert len(np.unique(np.sort(protocol.row_p2, axis=1), axis=0)) == len(protocol.row_p2)
    for fold in range(protocol.folds):
        here = protocol.fold_p == fold
        same = int(protocol.same_p[here].sum())
        assert 1 <= same <= per_fold
        assert same * 2 == here.sum()
        others = np.unique(person_p2[~here])
        assert not np.isin(person_p2[here], others).any()


@given(photos)
def test_nobody_is_learned_from_or_chosen_on_who_is_tested(counts: list[int]) -> None:
    label_n = labels([*counts, *[3] * 8])
    protocol = draw(label_n, folds=4, per_fold=20, seed=1)
    for split in protocol.splits:
        tested = np.unique(label_n[protocol.row_p2[protocol.split_p == split]])
        people = people_of(protocol, label_n, split, seed=0)
        assert people is not None
        assert not np.isin(tested, np.concatenate([people.train, people.val])).any()
        assert not np.isin(people.train, people.val).any()
        assert len(people.train) >= 2
        assert len(people.val) >= 2


def test_pairs_are_spread_evenly_over_the_people() -> None:
    label_n = labels([30, 3, 3, 3, 3, 3])
    protocol = draw(label_n, folds=3, per_fold=6, seed=0)
    same = label_n[protocol.row_p2[protocol.same_p, 0]]
    assert np.bincount(same).max() <= 3


@given(st.lists(st.integers(0, 9), min_size=1, max_size=12), st.integers(0, 60))
def test_quotas_take_what_there_is_and_no_more_and_differ_by_one_at_most_otherwise(
    available: list[int], total: int
) -> None:
    available_i = np.array(available)
    quota_i = even_quota(available_i, total, np.random.default_rng(0))
    assert quota_i.sum() == min(total, available_i.sum())
    assert (quota_i <= available_i).all()
    free = quota_i[quota_i < available_i]
    assert not len(free) or quota_i.max() - free.min() <= 1


def test_too_few_people_are_refused_with_what_is_needed() -> None:
    with pytest.raises(InputError, match="at least 6"):
        draw(labels([2, 2, 2, 1, 1]), folds=10, per_fold=5, seed=0)


def test_copies_of_a_photo_are_one_photo() -> None:
    assert distinct(["a", "b", "a", "c", "b"]).tolist() == [0, 1, 3]


# --- files of pairs ---------------------------------------------------------------------------

PEOPLE = {
    "Ann_Lee": ["Ann_Lee_0001.jpg", "Ann_Lee_0002.jpg"],
    "s1": ["1.png", "2.png", "10.png"],
    "s2": ["7.png"],
}
NAMES = [f"{person}/{file}" for person, files in PEOPLE.items() for file in files]
LABELS = [person for person, files in PEOPLE.items() for _ in files]


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "pairs.txt"
    path.write_text(text)
    return path


def test_photos_are_found_by_their_number_in_the_name_or_else_by_order(tmp_path: Path) -> None:
    path = written(tmp_path, "Ann_Lee\t1\t2\ns1\t1\t3\nAnn_Lee\t2\ts1\t2\ns1 3 s2 1\n")
    protocol, left_out = read(path, NAMES, LABELS, missing=[], seed=0)
    found = [(NAMES[a], NAMES[b]) for a, b in protocol.row_p2]
    assert found == [
        ("Ann_Lee/Ann_Lee_0001.jpg", "Ann_Lee/Ann_Lee_0002.jpg"),
        ("s1/1.png", "s1/10.png"),
        ("Ann_Lee/Ann_Lee_0002.jpg", "s1/2.png"),
        ("s1/10.png", "s2/7.png"),
    ]
    assert protocol.same_p.tolist() == [True, True, False, False]
    assert left_out == 0
    assert (protocol.split_p == 0).all()  # one list: its people are set aside together


def test_a_header_of_folds_cuts_the_pairs_into_them_and_says_if_they_share_people(tmp_path: Path) -> None:
    text = "2 1\nAnn_Lee 1 2\nAnn_Lee 1 s2 1\ns1 1 2\ns1 1 s2 1\n"
    protocol, _ = read(written(tmp_path, text), NAMES, LABELS, missing=[], seed=0)
    assert protocol.fold_p.tolist() == [0, 0, 1, 1]
    assert protocol.split_p.tolist() == [0, 0, 1, 1]
    assert not protocol.disjoint  # s2 stands in both


def test_a_header_of_one_number_is_a_single_list(tmp_path: Path) -> None:
    assert parse("1\nAnn_Lee 1 2\nAnn_Lee 1 s1 1\n", Path("p"))[0] == 0


def test_a_pair_with_an_unusable_photo_is_left_out_and_does_not_shift_the_numbers(tmp_path: Path) -> None:
    text = "s1 2 3\ns1 1 3\nAnn_Lee 1 s1 3\n"
    names, people = (
        [one for one, name in zip(of, NAMES, strict=True) if name != "s1/2.png"] for of in (NAMES, LABELS)
    )
    protocol, left_out = read(written(tmp_path, text), names, people, missing=["s1/2.png"], seed=0)
    assert left_out == 1
    assert [names[row] for row in protocol.row_p2[0]] == ["s1/1.png", "s1/10.png"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Bob 1 2\nAnn_Lee 1 s1 1\n", "line 1: there is no 'Bob'"),
        ("s1 1 4\nAnn_Lee 1 s1 1\n", "has 3 photos, no photo 4"),
        ("s1 0 1\nAnn_Lee 1 s1 1\n", "no photo 0"),
        ("s1 one 2\n", "line 1 is no pair"),
        ("3 5\ns1 1 2\n", "30 pairs; there are 1"),
        ("s1 1 2\n", "all pairs are of one person"),
        ("", "no pair"),
    ],
)
def test_a_wrong_file_is_refused_with_the_line_that_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(written(tmp_path, text), NAMES, LABELS, missing=[], seed=0)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read(tmp_path / "none.txt", NAMES, LABELS, missing=[], seed=0)


# --- embeddings -------------------------------------------------------------------------------


def people(count: int = 12, *, each: int = 6, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Features in which who it is hides in few dimensions, and the rest is large and says nothing."""
    random = np.random.default_rng(seed)
    y_n = np.repeat(np.arange(count), each)
    who = random.normal(size=(count, 6))[y_n] + 0.3 * random.normal(size=(len(y_n), 6))
    return np.concatenate([who, 1.5 * random.normal(size=(len(y_n), 10))], axis=1).astype(np.float32), y_n


def test_the_contrastive_loss_is_that_of_the_paper_by_plain_loops() -> None:
    random = np.random.default_rng(0)
    z, y, tau = random.normal(size=(7, 4)), np.array([0, 0, 1, 1, 1, 2, 0]), 0.3
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    losses = []
    for i in range(7):
        partners = [p for p in range(7) if p != i and y[p] == y[i]]
        rest = sum(np.exp(z[i] @ z[a] / tau) for a in range(7) if a != i)
        if partners:
            losses.append(-np.mean([np.log(np.exp(z[i] @ z[p] / tau) / rest) for p in partners]))
    found = supcon(torch.tensor(z), torch.tensor(y), temperature=tau)
    assert float(found) == pytest.approx(np.mean(losses))


def test_a_batch_of_many_rows_has_at_most_so_many_of_a_class_and_is_the_same_for_a_step() -> None:
    y_n = torch.as_tensor(np.random.default_rng(0).integers(0, 300, 3000))
    rows = _batch(y_n, seed=3, step=5)
    assert rows is not None
    assert len(rows) == len(rows.unique()) <= LARGEST_BATCH
    assert torch.bincount(y_n[rows]).max() == PER_CLASS
    assert torch.equal(rows, _batch(y_n, seed=3, step=5))  # type: ignore[arg-type]
    assert _batch(y_n[:100], seed=3, step=5) is None


def test_the_contrastive_map_begins_with_the_cosine_of_centred_features() -> None:
    x_nd, y_n = (torch.as_tensor(of) for of in people())
    start = train_contrastive(x_nd, y_n, ContrastiveSpec(steps=1, lr=1e-12, weight_decay=0.0), seed=0)
    pairs = np.array([[0, 1], [5, 40], [13, 2]])
    expected = cosines((x_nd - x_nd.mean(0)).numpy(), pairs)
    np.testing.assert_allclose(cosines(start.embedding(x_nd).numpy(), pairs), expected, atol=1e-5)


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"temperature": 0.0}, {"dropout": 1.0}, {"width": 0}])
def test_a_contrastive_setting_outside_its_range_is_refused(wrong: dict) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        ContrastiveSpec(**wrong)


def test_a_head_s_embedding_is_what_its_last_layer_sees() -> None:
    x_nd, y_n = people()
    data = to_training_data((x_nd, y_n), (x_nd, y_n), classes=12)
    specs = [HeadSpec(epochs=2), HeadSpec(hidden=(5,), epochs=2, layer_norm=True)]
    population = Population(specs, data, seeds=[0])
    population.train(2)
    x = torch.as_tensor(x_nd)
    for number, layer in ((0, 0), (1, 1)):
        head = population.head(number, seed_index=0)
        embedded = head.embedding(x)
        weight, bias = head.tensors[f"layers.{layer}.weight"], head.tensors[f"layers.{layer}.bias"]
        logits = embedded + bias if number == 0 else embedded @ weight.T + bias
        torch.testing.assert_close(logits, head.logits(x))


def test_whitened_rows_are_uncorrelated_and_of_the_same_variance() -> None:
    x_nd, y_n = people()
    white = whitening(x_nd, components=8)(x_nd)
    np.testing.assert_allclose(white.T @ white, np.eye(8), atol=1e-4)
    assert whitening(x_nd[:5], components=8)(x_nd).shape[1] == 4  # the rank of five centred rows
    assert discriminants(PersonRows(x_nd, y_n), shrinkage=None)(x_nd).shape == (72, 11)


def test_every_method_learns_what_tells_unseen_people_apart() -> None:
    from sklearn.metrics import roc_auc_score

    x_nd, y_n = people(40, seed=1)
    seen = y_n < 28
    one, other = np.triu_indices((~seen).sum(), k=1)
    pairs = np.stack([one, other], axis=1)
    same_p = y_n[~seen][one] == y_n[~seen][other]
    tried = [one for one in candidates() if "whitened" not in one.name]
    learned = learn(tried, PersonRows(x_nd[seen], y_n[seen]), seed=0, device="cpu")
    worth = {
        (one.method, one.name): roc_auc_score(same_p, cosines(embed(x_nd[~seen]), pairs))
        for one, embed in zip(tried, learned, strict=True)
    }
    raw = worth[PairMethod.RAW, "cosine of the features"]
    for kind in ("shrinkage", "classifier", "contrastive"):
        assert max(value for (_, name), value in worth.items() if name.startswith(kind)) > raw + 0.02, worth


CPU = Plan("cpu", "float32", Path())


def test_every_photo_of_the_known_is_asked_about_once_by_a_head_that_had_not_learned_from_it() -> None:
    x_nd, y_n = people(6, each=5)
    label_n = np.append(y_n * 2, [11, 11])  # numbers with gaps, and one person with too few photos
    x_nd = np.concatenate([x_nd, x_nd[:2]])
    found = identify(x_nd, label_n, [""] * len(label_n), CPU, seed=0)
    assert found is not None
    assert found.people == 6
    assert found.row_m.tolist() == list(range(30))
    assert (found.label_m == label_n[:30]).all()
    assert ((found.rank_m == 1) == (found.pred_m == found.label_m)).all()
    assert (found.rank_m == 1).mean() > 0.5
    assert np.bincount(found.part_m).tolist() == [6] * 5
    assert identify(x_nd[:4], np.array([0, 0, 1, 1]), [""] * 4, CPU, seed=0) is None


def test_a_photo_in_the_gallery_would_name_itself_and_none_is_there() -> None:
    random = np.random.default_rng(0)
    x_nd, label_n = random.normal(size=(60, 8)).astype(np.float32), np.arange(60) % 12  # nothing to learn
    found = identify(x_nd, label_n, [""] * 60, CPU, seed=0)
    assert found is not None
    assert (found.raw_rank_m == 1).mean() < 0.35
    assert (found.rank_m == 1).mean() < 0.35
