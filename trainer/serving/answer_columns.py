"""Columns of answers that only some heads can fill: in the CSV of predict and from a served model alike."""

SET, SCORE, IS_OOD = "prediction_set", "ood_score", "is_ood"
LABELS = "labels"  # of a head of several labels: those at or above their threshold, joined
PROBABILITY_OF = "probability_{}"  # … and, in the CSV, the probability of each label by its name
NUMBER, LOW, HIGH = "number", "number_low", "number_high"  # of a head of numbers
