"""The results page of colour images, several codes and disentanglement."""

from __future__ import annotations

from _report import Row
from _tables import Measure, Page, Section, decimals, measures_table, table, whole

HEAD = """\
# Colour images and disentanglement

Written by `python benchmarks/results_page.py` from the files in `benchmarks/results/`: do not edit.
No labels are used to fit. The faces are 15 000 real photographs of 32 x 32 pixels; the digits on
photographs stand in for SVHN. For both, codes are the paper's: four of ten categories and four
continuous. For shapes they are three continuous ones, and T, which turns and shifts shapes, tells
ours what the third should not depend on; the beta-VAE is not told.
"""

FACES = [
    Measure(
        "male_auc", "AUC of the code that tells `male` best", "0.75, here or for a child", decimals
    ),
    Measure(
        "child_auc", "the same for a child, under 13 years", "0.75, here or for `male`", decimals
    ),
    Measure(
        "skin_correlation", "correlation of a code with the skin's brightness", "0.6", decimals
    ),
    Measure("background_correlation", "the same with the background's", "0.6", decimals),
    Measure(
        "male_200_labels_codes",
        "`male` by 200 labels, logistic regression on all codes",
        "above principal components",
    ),
    Measure("male_200_labels_pca", "the same on as many principal components"),
    Measure("male_200_labels_codes_unscaled", "on all codes, not standardised"),
    Measure("male_200_labels_pca_unscaled", "on principal components, not standardised"),
    Measure("r2", "R2 of reconstructions with noise", "0.6", decimals),
    Measure("largest_overlap", "information that two categorical codes share", "", decimals, max),
    Measure("agreement", "predict(sample(c)) gives c"),
    Measure("score", "score", "", decimals),
    Measure("seconds", "seconds for one fit, beside other work", "", whole, max),
]
PHOTOS = [
    Measure("test_accuracy", "one-to-one digit accuracy of the best categorical code", "60 %"),
    Measure("kmeans_accuracy", "the same of k-means on pixels"),
    Measure("r2", "R2 of reconstructions with noise", "", decimals),
    Measure("largest_overlap", "information that two categorical codes share", "", decimals, max),
    Measure("seconds", "seconds for one fit, beside other work", "", whole, max),
]
METRICS = {
    "factor_vae": "FactorVAE score",
    "mig": "mutual information gap",
    "sap": "SAP",
    "disentanglement": "DCI disentanglement",
    "completeness": "DCI completeness",
    "informativeness": "DCI informativeness",
    "r2": "R2 of reconstructions",
    "parameters": "parameters",
}
SHAPES = [
    Measure(
        f"{who}_{key}" if (who, key) != ("ours", "parameters") else key,
        f"{label}, {name}",
        "above the beta-VAE's" if who == "ours" and key in ("factor_vae", "mig") else "",
        whole if key == "parameters" else decimals,
    )
    for key, label in METRICS.items()
    for who, name in {"ours": "ours", "beta_vae": "beta-VAE"}.items()
] + [Measure("cpu_seconds", "CPU seconds of each", "", whole, max)]
STEPS = [
    Measure(f"{preset}_{what}", f'"{preset}", {name}', "", decimals, max)
    for preset in ("paper-32x32", "conv")
    for what, name in {
        "step_seconds": "seconds a step",
        "row_milliseconds": "milliseconds a row",
    }.items()
]


def paper_section(content: Row) -> str:
    row = content["rows"][0]
    state = (
        f"{row['steps']} of the paper's {row['steps_in_the_paper']} steps after "
        f"{row['cpu_seconds'] / 60:.0f} minutes of CPU."
    )
    known = [m for m in FACES if m.key in row]
    measures = table(["measure", "measured"], ([m.label, m.shown(row[m.key])] for m in known))
    return f"{state}\n\n{measures}"


COLOUR = Page(
    "results_colour.md",
    HEAD,
    [
        Section(
            "Faces",
            "colour_faces",
            "benchmarks/colour.py",
            lambda content: measures_table(FACES, content["rows"]),
        ),
        Section(
            "MNIST on photographs",
            "colour_photos",
            "benchmarks/colour.py --photos",
            lambda content: measures_table(PHOTOS, content["rows"]),
        ),
        Section(
            "Shapes with known factors",
            "disentanglement",
            "benchmarks/disentanglement.py",
            lambda content: measures_table(SHAPES, content["rows"]),
        ),
        Section(
            "A step of both presets",
            "colour_steps",
            "benchmarks/colour.py --steps",
            lambda content: measures_table(STEPS, content["rows"]),
        ),
        Section(
            "The paper's networks and objective on faces",
            "colour_paper",
            "benchmarks/colour.py --paper",
            paper_section,
        ),
    ],
)
