"""Regret against cost, one line a search."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure


def draw(path: Path, curves: Mapping[str, Sequence[float]], epochs: Sequence[float], cost: int, preset: str) -> None:
    """Write the figure; nothing is drawn where fewer than all searches have completed a trial.

    Args:
        path: of an SVG or PNG.
        curves: by search its mean regret, in points of Delta m.
        epochs: after which.
        cost: epochs of the paper's grid.
        preset: for the title.
    """
    figure = Figure(figsize=(8, 4.8), layout="constrained")
    axes = figure.subplots()
    styles = ("-", "--", ":", "-.")
    for number, (name, regrets) in enumerate(curves.items()):
        axes.plot(epochs, regrets, styles[number // 7 % 4], label=name, linewidth=1.6)
    axes.axvline(cost / 4, color="0.6", linewidth=0.8)
    axes.annotate("a quarter of the grid", (cost / 4, 1), xycoords=("data", "axes fraction"), xytext=(4, -12),
                  textcoords="offset points", fontsize=8, color="0.35")  # fmt: skip
    axes.set(
        yscale="log", xlabel="epochs trained", ylabel="regret, points of Δm", title=f"{preset}: mean over searches"
    )
    axes.legend(fontsize=8, frameon=False, loc="upper right")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path)
