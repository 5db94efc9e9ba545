"""What a score in the middle of a training says about its end, and which learning rate is best for which method.

    python bench/table/rungs.py [--preset qm9-demo]

Rank correlation (Spearman) between a training's best score so far and its best in the end, over GO4Align's trainings
of one seed, the mean over seeds: of all of them, of the better half, and of the better quarter in the end. Then how
many of the best tenth are in the best third at that epoch, which is what stopping two of three there would keep. Then
the best score of every method at every learning rate.
"""

import argparse
import json

import numpy as np
import pandas as pd
from cells import FACTORIALS
from command import in_one_line, whole_table
from numpy.typing import NDArray
from scipy.stats import spearmanr

METHOD = "go4align"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="qm9-demo", choices=tuple(FACTORIALS))
    asked = parser.parse_args()
    frame = pd.read_parquet(whole_table(asked.preset))
    frame["lr"] = [json.loads(text)["lr"] for text in frame["hyperparameters"]]
    whole = frame[frame["status"] == "finished"]
    of_seed = [np.stack(part["scores"]) for _, part in whole[whole["method"] == METHOD].groupby("seed")]
    so_far = [np.minimum.accumulate(scores, axis=1) for scores in of_seed]
    print("| epoch | all | better half | better quarter | of the best tenth in the best third |")
    print("|---:" * 5 + "|")
    for epoch in range(so_far[0].shape[1] - 1):
        told = [np.mean([_correlation(scores, epoch, share) for scores in so_far]) for share in (1.0, 0.5, 0.25)]
        kept = np.mean([_kept(scores, epoch) for scores in so_far])
        print(f"| {epoch + 1} | " + " | ".join(f"{value:.2f}" for value in told) + f" | {kept:.0%} |")
    best = whole.assign(best=[min(scores) for scores in whole["scores"]])
    means = best.groupby(["method", "hyperparameters", "lr"])["best"].mean().groupby(["method", "lr"]).min().unstack()
    print("\nbest score by learning rate, the mean over seeds:\n")
    print("| method | " + " | ".join(f"{lr:g}" for lr in means) + " |\n|---" + "|---:" * len(means.columns) + "|")
    for method, row in means.iterrows():
        print(f"| {method} | " + " | ".join("-" if value != value else f"{value:.1f}" for value in row) + " |")


def _correlation(so_far: NDArray[np.float64], epoch: int, share: float) -> float:
    """Over the share of trainings that are best in the end."""
    order = np.argsort(so_far[:, -1])[: max(3, int(len(so_far) * share))]
    return float(spearmanr(so_far[order, epoch], so_far[order, -1]).statistic)


def _kept(so_far: NDArray[np.float64], epoch: int) -> float:
    """How many of the tenth that is best in the end are in the third that is best at an epoch."""
    n = len(so_far)
    best, leading = np.argsort(so_far[:, -1])[: n // 10], np.argsort(so_far[:, epoch])[: n // 3]
    return len(set(best) & set(leading)) / len(best)


if __name__ == "__main__":
    in_one_line(main)
