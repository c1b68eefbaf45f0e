"""Orders of classes, cells, two heads on the same rows, points of the map."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import accuracy_score

from dashboard.charts.confusion import MOST_IN_CELLS, confusion, difference
from dashboard.charts.scatter import BOX, MOST_IN_LEGEND, POINT, VIEW, Colouring, MapOverlays, scatter
from dashboard.frames import predictions, projection
from trainer.stats.intervals import wilson, wilson_of_groups
from trainer.stats.paired_bootstrap import holm
from trainer.stats.paired_comparison import sign_flip_test, sign_test

THREE = st.lists(st.tuples(*[st.sampled_from("abc")] * 3), min_size=1, max_size=60)


def rows(pairs: list[tuple[str, str]], confidence: float = 0.5) -> pd.DataFrame:
    frame = pd.DataFrame(pairs, columns=["label", "pred"])
    ids = [f"row-{i}" for i in range(len(frame))]
    return frame.assign(sample_id=ids, split="test", confidence=confidence)


def two_heads(triples: list[tuple[str, str, str]]) -> pd.DataFrame:
    """`answers.paired` of (label, first answer, second answer)."""
    return predictions.paired(rows([(a, b) for a, b, _ in triples]), rows([(a, c) for a, _, c in triples]))


# --- Classes ----------------------------------------------------------------------------------


def test_names_that_were_cut_to_the_same_words_are_still_told_apart() -> None:
    names = predictions.shown_names(["x" * 90, "x" * 91, "", "\u202e"])
    assert len(set(names.values())) == 4
    assert max(map(len, names.values())) <= 44


def test_names_are_ordered_with_numbers_by_their_value() -> None:
    assert predictions.by_name(["b", "class 10", "class 9", "A"]) == ["A", "b", "class 9", "class 10"]


def test_alike_classes_stand_beside_each_other() -> None:
    pairs = [(c, c) for c in "abcd" for _ in range(9)] + [("a", "c")] * 5 + [("d", "b")] * 5
    order = predictions.class_order(rows(pairs), list("abcd"), predictions.BY_SIMILARITY)
    assert sorted(order) == list("abcd")
    assert abs(order.index("a") - order.index("c")) == 1
    assert abs(order.index("b") - order.index("d")) == 1


def test_classes_without_a_mistake_stay_in_order() -> None:
    assert predictions.class_order(rows([(c, c) for c in "cab"]), [], predictions.BY_SIMILARITY) == list(
        "abc"
    )


def test_two_hundred_classes_are_ordered_and_each_stands_once() -> None:
    random = np.random.default_rng(0)
    names = [f"class {i}" for i in range(200)]
    frame = rows([(names[a], names[b]) for a, b in random.integers(0, 200, (3000, 2))])
    assert sorted(predictions.by_similarity(predictions.confusion(frame), names)) == sorted(names)


def test_the_logged_order_holds_classes_that_the_sweep_did_not_name() -> None:
    assert predictions.class_order(rows([("b", "z"), ("a", "a")]), ["b", "a"], predictions.AS_LOGGED) == [
        "b",
        "a",
        "z",
    ]


@given(THREE)
def test_intervals_of_class_figures_hold_the_figure(triples: list[tuple[str, str, str]]) -> None:
    figures = predictions.class_figures(rows([(a, b) for a, b, _ in triples]), list("abc"))
    for name in ("precision", "recall", "f1"):
        known = figures.dropna(subset=[f"{name}_low"])
        assert (known[f"{name}_low"] >= 0).all()
        assert (known[f"{name}_high"] <= 1).all()
        assert known[name].between(known[f"{name}_low"] - 1e-9, known[f"{name}_high"] + 1e-9).all()


def test_intervals_of_a_class_are_wilsons() -> None:
    pairs = [("a", "a")] * 8 + [("a", "b")] * 2 + [("b", "a")] * 4
    a = predictions.class_figures(rows(pairs), ["a", "b"]).iloc[0]
    assert (a["recall_low"], a["recall_high"]) == pytest.approx(wilson(8, 10)[1:])
    assert (a["precision_low"], a["precision_high"]) == pytest.approx(wilson(8, 12)[1:])
    low, high = wilson(8, 14)[1:]
    assert (a["f1_low"], a["f1_high"]) == pytest.approx((2 * low / (1 + low), 2 * high / (1 + high)))


def test_a_cell_begins_with_its_most_confident_row() -> None:
    frame = rows([("a", "b")] * 3 + [("a", "a")]).assign(confidence=[0.2, 0.9, 0.4, 1.0])
    assert list(predictions.cell(frame, "a", "b")["confidence"]) == [0.9, 0.4, 0.2]


# --- Two heads --------------------------------------------------------------------------------


@given(THREE)
def test_cells_of_two_heads_are_those_of_either_and_their_difference(
    triples: list[tuple[str, str, str]],
) -> None:
    cells = predictions.compare_cells(two_heads(triples)).set_index(["label", "pred"])
    for head, at in (("first", 1), ("second", 2)):
        counts = predictions.confusion(rows([(t[0], t[at]) for t in triples])).set_index(["label", "pred"])[
            "n"
        ]
        pd.testing.assert_series_equal(
            cells.loc[cells[head] > 0, head].sort_index(), counts.sort_index(), check_names=False
        )
    assert (cells["difference"] == cells["only_second"] - cells["only_first"]).all()


@given(st.integers(0, 40), st.integers(0, 40))
def test_the_sign_test_is_scipys(one: int, other: int) -> None:
    expected = stats.binomtest(one, one + other, 0.5).pvalue if one + other else 1.0
    assert sign_test(np.array([one]), np.array([other]))[0] == pytest.approx(expected)


def test_holm_is_that_of_a_textbook() -> None:
    p = np.array([0.01, 0.04, 0.03, 0.005])
    assert holm(p) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm(np.array([])).size == 0


def test_a_cell_is_significant_only_where_the_same_rows_went_elsewhere() -> None:
    moved = two_heads([("a", "a", "b")] * 20 + [("b", "b", "b")] * 20)
    cells = predictions.compare_cells(moved).set_index(["label", "pred"])
    assert cells.loc[("a", "b"), "significant"]
    assert not cells.loc[("a", "b"), "better"]
    assert not cells.loc[("b", "b"), "significant"]
    swapped = two_heads([("a", "a", "b"), ("a", "b", "a")] * 20)  # as many rows in every cell as before
    assert not predictions.compare_cells(swapped)["significant"].any()


def test_equal_heads_are_seldom_called_different() -> None:
    random = np.random.default_rng(1)
    claimed = 0
    for _ in range(40):
        said = np.where(random.random((2, 200)) < 0.3, random.integers(0, 4, (2, 200)), np.arange(200) % 4)
        triples = [(str(i % 4), str(a), str(b)) for i, (a, b) in enumerate(said.T)]
        claimed += bool(predictions.compare_cells(two_heads(triples))["significant"].any())
    assert claimed <= 4  # 5 % of 40, and some luck


@given(THREE)
def test_the_difference_in_accuracy_is_that_of_scikit_learn_and_within_its_interval(
    triples: list[tuple[str, str, str]],
) -> None:
    label, first, second = zip(*triples, strict=True)
    found = predictions.accuracy_difference(two_heads(triples))
    assert found is not None
    expected = accuracy_score(label, second) - accuracy_score(label, first)
    assert found.accuracy.value == pytest.approx(expected)
    assert found.n == len(triples)
    assert -1 <= found.accuracy.low <= found.accuracy.high <= 1
    only = sum((a == b) != (a == c) for a, b, c in triples)
    assert found.only_first + found.only_second == only


def test_the_interval_of_a_difference_covers_it_as_often_as_it_says() -> None:
    random = np.random.default_rng(2)
    covered = 0
    for _ in range(200):
        drawn = random.choice(4, size=120, p=[0.6, 0.15, 0.08, 0.17])  # both, only first, only second, none
        triples = [("a", "ab"[k in (2, 3)], "ab"[k in (1, 3)]) for k in drawn]
        found = predictions.accuracy_difference(two_heads(triples))
        assert found is not None
        covered += found.accuracy.low <= 0.08 - 0.15 <= found.accuracy.high
    assert covered >= 182


def test_rows_of_one_group_count_together_in_every_interval_and_test() -> None:
    triples = [("a", "a", "b")] * 6 + [("b", "b", "b")] * 14
    alone = two_heads(triples)
    copied = pd.concat(
        [alone.assign(unit=range(20), sample_id=alone["sample_id"] + f"-{i}") for i in range(5)]
    )
    one, five = (predictions.accuracy_difference(pairs) for pairs in (alone, copied))
    assert one is not None
    assert five is not None
    assert (one.groups, five.groups, five.n) == (None, 20, 100)
    assert five.p == one.p
    assert five.accuracy == pytest.approx(one.accuracy, abs=0.06)
    assert predictions.accuracy_difference(copied.drop(columns="unit")).p < 0.001  # type: ignore[union-attr]
    cells = [predictions.compare_cells(pairs).set_index(["label", "pred"])["p"] for pairs in (alone, copied)]
    pd.testing.assert_series_equal(cells[1].sort_index(), cells[0].sort_index())
    answered = copied.rename(columns={"first": "pred"})
    wide = predictions.class_figures(answered, ["a", "b"]).iloc[0]
    assert (wide["recall_low"], wide["support"]) == (pytest.approx(wilson(6, 6).low), 30)
    assert predictions.accuracy(answered) == wilson(20, 20)


def test_with_groups_the_p_of_each_cell_is_that_of_flipping_the_signs_of_its_groups() -> None:
    random = np.random.default_rng(0)
    triples = [tuple(one) for one in random.choice(list("abcd"), size=(300, 3)).tolist()]
    pairs = two_heads(triples).assign(unit=random.integers(120, size=300))
    cells = predictions.compare_cells(pairs)
    sizes = set()
    for cell in cells.to_dict("records"):
        of_label = pairs[pairs["label"] == cell["label"]]
        lead = (of_label["second"] == cell["pred"]).astype(int) - (of_label["first"] == cell["pred"])
        lead_u = lead.groupby(of_label["unit"]).sum().to_numpy()
        sizes.add(len(set(np.abs(lead_u[lead_u != 0]))))
        assert cell["p"] == pytest.approx(sign_flip_test(lead_u))
    assert sizes == {1, 2}  # groups of one lead, and of several


def test_figures_of_a_class_with_groups_are_of_its_rows_in_any_order() -> None:
    random = np.random.default_rng(1)
    frame = rows([tuple(one) for one in random.choice(list("abc"), size=(90, 2)).tolist()])
    frame = frame.assign(unit=random.integers(30, size=90)).sample(frac=1, random_state=0)
    figures = predictions.class_figures(frame, list("abcd")).set_index("class")
    for name in "abc":
        has, given_to = frame["label"] == name, frame["pred"] == name
        assert figures.loc[name, "predicted"] == given_to.sum()
        for column, of in (("recall", has), ("precision", given_to)):
            low, high = wilson_of_groups((has & given_to)[of].to_numpy(), frame["unit"][of].to_numpy())[1:]
            assert tuple(figures.loc[name, [f"{column}_low", f"{column}_high"]]) == pytest.approx((low, high))
    assert figures.loc["d", "predicted"] == 0
    assert np.isnan(figures.loc["d", "f1_low"])


def test_only_rows_that_both_heads_answered_are_compared() -> None:
    first, second = rows([("a", "a")] * 3), rows([("a", "b")] * 5)
    assert len(predictions.paired(first, second)) == 3
    assert predictions.accuracy_difference(predictions.paired(first, second.head(0))) is None
    assert predictions.compare_cells(predictions.paired(first, second.head(0))).empty


# --- Points -----------------------------------------------------------------------------------


def points(count: int = 50) -> pd.DataFrame:
    random = np.random.default_rng(0)
    ids = [f"row-{i}" for i in range(count)]
    return pd.DataFrame(
        {
            **{"x": random.normal(size=count), "y": random.normal(size=count), "number": range(count)},
            **{"sample_id": ids, "label": "cat", "pred": "dog", "confidence": 0.5, "split": "test"},
            **{"outcome": "wrong", "caption": [f"An Image {i}" for i in range(count)], "image": None},
        }
    )


def test_find_looks_into_label_id_and_caption_for_the_words_as_they_are() -> None:
    frame = points()
    assert projection.matches(frame, "image 7").sum() == 1
    assert projection.matches(frame, "row-4").sum() == 11
    assert projection.matches(frame, "CAT").all()
    assert not projection.matches(frame, "c.t").any()


def test_a_box_holds_what_lies_in_it() -> None:
    frame = points()
    inside = projection.within(frame, [(-1, 0, -1, 0), (2, 3, 2, 3)])
    expected = frame["x"].between(-1, 0) & frame["y"].between(-1, 0)
    expected |= frame["x"].between(2, 3) & frame["y"].between(2, 3)
    assert inside.equals(expected)
    assert not projection.within(frame, []).any()


def test_boxes_stand_in_an_address_and_nonsense_in_it_is_left_out() -> None:
    boxes = [(-1.5, 2.0, 0.0, 3.25), (1.0, 2.0, 3.0, 4.0)]
    assert projection.boxes_from(projection.boxes_to(boxes)) == boxes
    assert projection.boxes_from("a,b;1,2,3;nan,1,2,3;2,1,4,3") == [(1.0, 2.0, 3.0, 4.0)]
    assert len(projection.boxes_from(projection.boxes_to(boxes * 50))) == projection.MOST_BOXES


def test_a_box_that_moved_by_rounding_is_the_same() -> None:
    assert projection.same_box((0, 10, 0, 1), (0.0001, 10.0001, 0, 1))
    assert not projection.same_box((0, 10, 0, 1), (0.5, 10.5, 0, 1))


def test_the_nearest_points_are_those_at_the_least_distance_without_the_point_itself() -> None:
    frame = points()
    here = frame.iloc[3]
    found = projection.nearest(frame, "row-3", 5)
    away = np.hypot(frame["x"] - here["x"], frame["y"] - here["y"]).drop(3).nsmallest(5)
    assert list(found.index) == list(away.index)
    assert found["distance"].is_monotonic_increasing
    assert projection.nearest(frame, "nobody", 5).empty


def test_numbers_of_the_rows_come_from_every_table_that_has_them() -> None:
    samples = pd.DataFrame({"sample_id": ["a", "b"], "loss": [0.1, 0.2], "same": 1.0, "label": "x"})
    measures = {name: [1.0, 2.0] for name in projection.Images.MEASURES}
    images = pd.DataFrame({"sample_id": ["b", "c"], **measures})
    scores = pd.DataFrame({"sample_id": ["a", "b"], "score.clip": [0.3, 0.4], "keep.0": [True, False]})
    found = projection.numbers(samples, images.assign(width=[3.0, 9.0]), scores)
    assert {"loss", "clip"} <= set(found.columns)
    assert not {"same", "keep.0", "label"} & set(found.columns)
    assert "width" not in found  # only one row has it, so there is nothing to compare
    assert list(projection.numbers(samples, None, None).columns) == ["loss"]


def test_the_probability_of_the_label_is_read_in_the_order_of_the_classes() -> None:
    probs = pd.Series([[0.2, 0.8], [0.1, 0.9], [0.5, 0.5]])
    frame = rows([("a", "b"), ("b", "b"), ("z", "b")]).assign(probs=probs)
    found = projection.label_probability(frame, ["a", "b"])
    assert found.to_dict() == {"row-0": 0.2, "row-1": 0.9}
    assert projection.label_probability(frame, []).empty


def test_of_many_groups_the_largest_have_a_name() -> None:
    groups = pd.Series([f"g{i}" for i in range(20) for _ in range(20 - i)] + [""])
    named, order = projection.largest_groups(groups)
    assert order == ["8 smaller groups", *(f"g{i}" for i in range(projection.MOST_GROUPS))]
    assert set(named) == set(order)
    assert projection.largest_groups(pd.Series(["a", ""]))[1] == ["no group", "a"]


# --- Charts -----------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [2, MOST_IN_CELLS, 60, 200])
def test_a_matrix_is_as_light_as_its_cells_and_zooms_where_it_is_large(count: int) -> None:
    classes = [f"class {i}" for i in range(count)]
    cells = predictions.confusion(rows([(name, name) for name in classes]))
    chart = confusion(cells, classes, normalised=True, side=400, dark=True, chosen=(classes[0], classes[1]))
    spec = chart.to_dict()
    params = {one["name"] for one in spec["params"]}
    assert "cell" in params
    assert ("pan" in params) == (count > MOST_IN_CELLS)
    assert max(len(values) for values in spec["datasets"].values()) <= max(count, 40**2)


def test_a_difference_stars_what_is_significant() -> None:
    cells = predictions.compare_cells(two_heads([("a", "a", "b")] * 20 + [("b", "b", "b")] * 20))
    spec = difference(cells, ["a", "b"], side=300, dark=False).to_dict()
    says = {row["says"] for values in spec["datasets"].values() for row in values if "says" in row}
    assert says == {"−20★", "+20★", "0"}
    marks = [layer["mark"]["type"] for layer in spec["layer"]]
    assert "text" in marks


def test_the_map_can_be_dragged_clicked_and_moved() -> None:
    spec = scatter(points(), Colouring("label", "label", ["cat"])).to_dict()
    assert {BOX, POINT, VIEW} <= {one["name"] for one in spec["params"]}


def test_a_map_of_too_many_classes_has_no_legend() -> None:
    classes = [f"class {i}" for i in range(MOST_IN_LEGEND + 1)]
    spec = scatter(points(), Colouring("label", "label", classes)).to_dict()
    dots = next(one for one in spec["layer"] if "tooltip" in one["encoding"])
    assert dots["encoding"]["color"]["legend"] is None


def test_lit_points_lie_above_dimmed_ones() -> None:
    frame = points()
    spec = scatter(frame, Colouring("label", "label", ["cat"]), MapOverlays(lit=frame.head(3))).to_dict()
    seen = [one["mark"]["opacity"] for one in spec["layer"] if "tooltip" in one["encoding"]]
    assert seen[0] < 0.2
    assert seen[-1] == 1
