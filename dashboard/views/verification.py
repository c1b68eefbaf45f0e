"""Same person or not: curves with their figures, errors at a threshold, the hardest pairs."""

from __future__ import annotations

import base64
from typing import Any

import pandas as pd
import streamlit as st

from dashboard import text
from dashboard.charts import verification as charts
from dashboard.charts.scatter import Colouring, MapOverlays, scatter
from dashboard.frames import predictions, projection, verification
from dashboard.frames.verification import FALSE_ACCEPTS, FALSE_REJECTS, NAMES, TRUE_ACCEPTS, TRUE_REJECTS
from dashboard.runs.run_info import RunInfo
from dashboard.ui import conclusion, gallery, layout, state, two_photos
from dashboard.ui.pages import VERIFICATION as PAGE
from trainer.tracking.schema import Artifact, FacePairs, Faces, PairMethod, RocCurves, RunState, Verified

COMMAND = "python -m trainer.verify --data path/to/people --encoder openai/clip-vit-base-patch32"
PER_PAGE, HARDEST = 12, 6  # pairs
IMAGE = 86  # pixels
HOW = (
    "People, not photos, are divided into folds. Embeddings learn from other people than those tested, and "
    "the accuracy of each fold uses the threshold chosen on the other folds.",
    "Intervals are 95 % bootstrap intervals over people; embeddings and thresholds stay fixed, so what "
    "training "
    "on other people would change is not included. Differences are paired; p is of the AUC, with Holm’s "
    "correction for the methods.",
)


def show(info: RunInfo) -> None:
    layout.pick(info, state.verifications(), label="Verification run", key=state.VERIFICATION)
    pairs, summary = state.table(info, Artifact.PAIRS), state.summary(info)
    roc = state.table(info, Artifact.ROC)
    if pairs is None or roc is None or not summary:
        so_far(info, pairs)
        return
    conclusion.show(summary[Verified.ADVICE])
    headline(summary)
    curves(info, roc, summary)
    figures(summary)
    method = method_of(pairs)
    images = thumbnails(info)
    at = threshold(info, pairs, method, summary, images)
    hardest(pairs, method, images)
    known(info, summary)
    usual = verification.usual_threshold(summary, PairMethod.RAW)
    two_photos.show(info, pairs, summary, at if method is PairMethod.RAW and at is not None else usual)
    layout.command_to_repeat(info)


def so_far(info: RunInfo, pairs: pd.DataFrame | None) -> None:
    """Before the figures are there: how many splits are scored."""
    done = total = 0
    if pairs is not None:
        scores = pairs.filter(like=FacePairs.SCORE_PREFIX)
        whole = scores.notna().all(axis=1)
        total = int(pairs[FacePairs.SPLIT].nunique())
        done = int(pairs.loc[whole, FacePairs.SPLIT].nunique()) if scores.shape[1] else 0
    counted = f" {done} of {text.count(total, 'split')} scored." if total else ""
    if info.state == RunState.LIVE:
        layout.empty(f"Learning embeddings.{counted} Figures appear at the end.")
    else:
        layout.empty(f"This verification stopped before it had figures.{counted}")


def headline(summary: dict[str, Any]) -> None:
    trained = summary[Verified.VERDICT] is not None
    less = summary[Verified.DIFFERENCES].get(PairMethod.TRAINED)
    se = summary[Verified.ACCURACY_SE]
    cells = [
        (
            "Equal error rate",
            text.score(summary[Verified.EER]),
            text.brackets(summary[Verified.EER + Verified.CI95]),
        ),
        ("AUC", text.score(summary[Verified.AUC]), text.brackets(summary[Verified.AUC + Verified.CI95])),
        ("Accuracy", text.score(summary[Verified.ACCURACY]), "" if se is None else f"± {se:.3f} over folds"),
        (
            "AUC gain over cosine",
            text.signed(less and less[Verified.AUC][0]),
            text.brackets(less[Verified.AUC][1:], text.signed) if less else "",
        ),
        ("Pairs", text.count(summary[Verified.SAME] + summary[Verified.DIFFERENT]), "half same-person"),
        ("People", text.count(summary[Verified.PEOPLE]), f"{summary[Verified.FOLDS]} folds"),
    ]
    if summary[Verified.SAME] != summary[Verified.DIFFERENT]:
        cells[4] = (*cells[4][:2], f"{summary[Verified.SAME]:,} same-person")
    layout.metric_row(cells)
    whose = "Trained head" if trained else "Raw cosine"
    shared = "" if summary[Verified.DISJOINT] else " The folds share people."
    layout.sentence(
        f"{whose} on unseen people; 95 % bootstrap intervals over people; thresholds from other "
        f"folds.{shared}"
    )
    layout.how(*HOW)


def curves(info: RunInfo, roc: pd.DataFrame, summary: dict[str, Any]) -> None:
    frame = verification.curves(roc)
    same, different = summary[Verified.SAME], summary[Verified.DIFFERENT]
    least = verification.least_rate(summary)
    key = (info.run_id, state.version(info, Artifact.ROC))
    left, right = st.columns(2, gap="medium")
    with left:
        st.subheader("ROC")
        layout.chart(
            state.kept(("verification-roc", *key), lambda: layout.written(charts.roc(frame, least=least))),
            frame,
            name="roc",
            alt_text=f"ROC curves of {roc[RocCurves.METHOD].nunique()} methods",
            n=text.count(same + different, "pair"),
        )
        layout.sentence(
            f"False vs true accept rate: {different:,} different-person and {same:,} same-person pairs. "
            "Bands: 95 %, pointwise, of trained head and raw cosine."
        )
    with right:
        st.subheader("DET")
        layout.chart(
            state.kept(("verification-det", *key), lambda: layout.written(charts.det(frame))),
            frame,
            name="det",
            alt_text=f"DET curves of {roc[RocCurves.METHOD].nunique()} methods",
            n=text.count(same + different, "pair"),
        )
        layout.sentence(
            "Both error rates on normal-deviate axes; lower left is better. A curve crosses the dashed "
            "diagonal at its equal error rate."
        )


def figures(summary: dict[str, Any]) -> None:
    frame = verification.figures(summary)
    st.dataframe(frame, hide_index=True, alt=f"Figures of {len(frame)} methods")
    layout.export(frame, name="verification-figures")
    chosen = summary.get(Verified.CHOSEN) or {}
    taken = "; ".join(f"{text.plain(name, longest=40)} ({count})" for name, count in chosen.items())
    layout.sentence(
        f"95 % intervals over {summary[Verified.PEOPLE]:,} people; differences are paired; p of the AUC gain."
    )
    if taken:
        layout.sentence(f"Trained heads chosen on validation people (splits): {taken}.")


def method_of(pairs: pd.DataFrame) -> PairMethod:
    """Which method the rest of the page is about."""
    st.subheader("Threshold")
    names = {NAMES[method]: method for method in verification.methods_in(pairs)}
    picked = st.segmented_control(
        "Score by", list(names), default=next(iter(names)), required=True, key="method", bind="query-params"
    )
    return names[picked]


def threshold(
    info: RunInfo, pairs: pd.DataFrame, method: PairMethod, summary: dict[str, Any], images: pd.Series
) -> float | None:
    """A slider, what it accepts and rejects, and who they are. Returns the threshold, if there is one."""
    score = pairs[f"{FacePairs.SCORE_PREFIX}{method}"]
    low, high = float(score.min()), float(score.max())
    if not high > low:
        layout.empty("All pairs have the same score.")
        return None
    usual = min(max(verification.usual_threshold(summary, method), low), high)
    left, right = st.columns([2, 3], gap="large")
    with left:
        at = float(
            st.slider(
                "Same person when the score is ≥",
                low,
                high,
                usual,
                step=(high - low) / 400,
                format="%.3f",
                key=f"at_{method}",
                bind="query-params",
            )
        )
        judged = verification.judged(pairs, method, at)
        counts_at(judged, at)
    with right:
        bins = verification.spread(pairs, method)
        key = ("verification-spread", info.run_id, state.version(info, Artifact.PAIRS), method, at)
        layout.chart(
            state.kept(key, lambda: layout.written(charts.spread(bins, at=at))),
            bins,
            name="spread",
            alt_text=f"Scores of same-person and different-person pairs, and a threshold at {at:.3f}",
            n=text.count(len(pairs), "pair"),
        )
        layout.sentence(f"Scores of {len(pairs):,} pairs by {NAMES[method]}. Right of the line: accepted.")
    pairs_of_kind(judged, images)
    return at


def counts_at(judged: pd.DataFrame, at: float) -> None:
    """How many pairs a threshold accepts and rejects."""
    rates = verification.rates(judged)
    st.markdown(
        f"**FAR {rates['far']:.1%}, FRR {rates['frr']:.1%}, accuracy {rates['accuracy']:.1%}** at {at:.3f}"
    )
    count = judged["kind"].value_counts()
    st.dataframe(
        pd.DataFrame(
            {
                "pairs": ["same person", "different people"],
                "accepted": [int(count.get(kind, 0)) for kind in (TRUE_ACCEPTS, FALSE_ACCEPTS)],
                "rejected": [int(count.get(kind, 0)) for kind in (FALSE_REJECTS, TRUE_REJECTS)],
            }
        ),
        hide_index=True,
        alt="Accepted and rejected pairs",
    )
    layout.sentence(
        "All test pairs at one threshold, at first the median over folds. Report the accuracy at the top "
        "instead: its thresholds come from other folds."
    )


def pairs_of_kind(judged: pd.DataFrame, images: pd.Series) -> None:
    """True and false accepts and rejects."""
    kind = st.segmented_control(
        "Show",
        list(verification.KINDS),
        default=FALSE_ACCEPTS,
        required=True,
        key="kind",
        bind="query-params",
    )
    rows = verification.of_kind(judged, kind)
    if rows.empty:
        layout.empty(f"No {kind} at this threshold.", ":material/check_circle:")
        return
    first, shown = gallery.paged(rows, key="page", per_page=PER_PAGE)
    tiles(shown, images)
    order = "farthest beyond" if kind.startswith("false") else "nearest to"
    layout.sentence(
        f"{first + 1:,}–{first + len(shown):,} of {len(rows):,} {kind}, {order} the threshold first."
    )
    layout.export(rows, name="pairs-at-threshold")


def hardest(pairs: pd.DataFrame, method: PairMethod, images: pd.Series) -> None:
    st.subheader("Hardest pairs")
    headings = {True: "Same person, lowest scores", False: "Different people, highest scores"}
    for column, (of_one, heading) in zip(st.columns(2, gap="medium"), headings.items(), strict=True):
        with column:
            st.markdown(f"**{heading}**")
            tiles(verification.hardest(pairs, method, same=of_one, number=HARDEST), images)
    layout.sentence(f"By {NAMES[method]}; only the hardest pair of each person, or of each two people.")


def tiles(rows: pd.DataFrame, images: pd.Series) -> None:
    """Pairs side by side, each with its score and whom it shows."""
    with st.container(horizontal=True, gap="small"):
        for row in rows.to_dict("records"):
            with st.container(border=True, width=2 * IMAGE + 42, gap="xsmall"):
                with st.container(horizontal=True, gap="xsmall"):
                    for side in (FacePairs.SAMPLE_ID_A, FacePairs.SAMPLE_ID_B):
                        gallery.image(images.get(row[side]), width=IMAGE, name=row[side])
                one, other = (text.plain(row[side], longest=22) for side in ("person_a", "person_b"))
                names = one if row[FacePairs.SAME] else f"{one} and {other}"
                photos = " · ".join(
                    text.plain(str(row[side]).rpartition("/")[2], longest=16)
                    for side in (FacePairs.SAMPLE_ID_A, FacePairs.SAMPLE_ID_B)
                )
                st.caption(gallery.NEW_LINE.join((f"{row['score']:.3f} · {names}", photos)))


def thumbnails(info: RunInfo) -> pd.Series:
    """By sample id; empty where none were kept."""
    faces = state.table(info, Artifact.FACES)
    if faces is None:
        return pd.Series(dtype=object)
    return faces.drop_duplicates(Faces.SAMPLE_ID).set_index(Faces.SAMPLE_ID)[Faces.THUMBNAIL]


# --- known people -----------------------------------------------------------------------------


def known(info: RunInfo, summary: dict[str, Any]) -> None:
    """Closed set: who is it, and the map of those who are known."""
    one = summary.get(Verified.IDENTIFICATION)
    faces = state.table(info, Artifact.FACES)
    if not one:
        return
    st.subheader("Known people")
    left, right = st.columns([2, 3], gap="large")
    with left:
        frame = verification.cmc(one)
        layout.chart(
            charts.cmc(frame),
            frame,
            name="cmc",
            alt_text="Share of photos whose person is within a rank, by head and by nearest photo",
            n=text.count(None if faces is None else len(faces), "photo"),
        )
        difference = verification.with_interval(one[Verified.RANK1_DIFFERENCE], text.signed)
        head = text.interval(one[Verified.RANK1], one[Verified.RANK1 + Verified.CI95])
        raw = text.interval(one[Verified.RAW_RANK1], one[Verified.RAW_RANK1 + Verified.CI95])
        layout.sentence(
            f"Rank-1 accuracy: trained head {head}, nearest known photo {raw}, difference {difference}."
        )
        layout.sentence(
            f"{one[Verified.PROBES]:,} photos of {one[Verified.PEOPLE]:,} people, each by a head that was "
            "not trained on it."
        )
    with right:
        if faces is None or faces[Faces.X].notna().sum() < 2:
            layout.empty("No map was drawn.")
        else:
            people_map(info, faces)


def people_map(info: RunInfo, faces: pd.DataFrame) -> None:
    with st.container(horizontal=True, gap="medium"):
        space = st.segmented_control(
            "Map of",
            list(verification.SPACES),
            default="features",
            required=True,
            key="space",
            bind="query-params",
        )
        colour = st.segmented_control(
            "Colour by",
            ["person", "correctness"],
            default="person",
            required=True,
            key="colour",
            bind="query-params",
        )
    points = verification.mapped(faces, space)
    key = ("verification-map", info.run_id, state.version(info, Artifact.FACES), space, colour)
    layout.chart(
        state.kept(key, lambda: layout.written(drawn(points, colour))),
        points.drop(columns="thumbnail"),
        name="people",
        alt_text=f"Map of {len(points)} photos of {points['label'].nunique()} people",
        n=text.count(len(points), "photo"),
    )
    held_out = int((points["split"] == "test").sum())
    what = (
        "the features"
        if space == "features"
        else f"a head’s embedding, not trained on {held_out:,} of these photos"
    )
    wrong = int((points["outcome"] == "wrong").sum())
    layout.sentence(
        f"t-SNE of {what}: {len(points):,} photos of the {points['label'].nunique():,} people with the most, "
        f"{wrong:,} misidentified. Near points are similar; distances between far groups mean nothing."
    )


def drawn(points: pd.DataFrame, colour: str) -> Any:
    shown = predictions.shown_names(verification.in_order(points["label"]))
    images = [
        f"data:image/webp;base64,{base64.b64encode(one).decode()}" if isinstance(one, bytes) else None
        for one in points["thumbnail"]
    ]
    frame = points.drop(columns="thumbnail").assign(
        image=pd.Series(images, index=points.index, dtype=object),
        label=[shown.get(one, one) for one in points["label"]],
        pred=[shown.get(one) or text.clean(one, longest=40) for one in points["pred"]],
        sample_id=[text.clean(one, longest=120) for one in points["sample_id"]],
    )
    by_person = colour == "person"
    marks = projection.landmarks(frame.loc[frame["image"].notna(), ["x", "y"]], columns=14, rows=9)
    by_label = Colouring("label", "person", list(shown.values()))
    by_outcome = Colouring("outcome", "correctness", ["right", "wrong"])
    return scatter(
        frame,
        by_label if by_person else by_outcome,
        MapOverlays(images=frame.loc[marks.index]),
        dark=state.is_dark(),
        height=460,
    )


def nothing_yet() -> None:
    layout.nothing_yet(
        PAGE,
        "No verification yet. This command takes one folder of photos per person, trains on some people and "
        "tests on others whether two photos show the same person:",
        COMMAND,
    )


layout.page(PAGE.title, show, runs=state.verifications, key=state.VERIFICATION, none=nothing_yet)
