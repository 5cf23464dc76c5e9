"""Pictures of the medians, with the quartiles as whiskers: one PNG for each measure of each case."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.peers.cases import Case
from benchmarks.peers.contestants import ALL
from benchmarks.peers.results import Results


def draw(results: Results, cases: Sequence[Case], folder: Path, most: int | None = None) -> dict[str, list[Path]]:
    """The files written, by case: one for each of its measures, or for the first few."""
    import matplotlib

    matplotlib.use("Agg")  # no window, wherever this runs
    from matplotlib import pyplot

    folder.mkdir(parents=True, exist_ok=True)
    written: dict[str, list[Path]] = {case.name: [] for case in cases}
    for case in cases:
        for measure in case.measures[:most]:
            rows = [
                (contestant, found)
                for contestant in reversed(ALL)
                if (found := results.spread(case.name, contestant.name, measure.name))
            ]
            if not rows:
                continue
            figure, axes = pyplot.subplots(figsize=(8, 1 + 0.4 * len(rows)), layout="constrained")
            medians = [found.median for _, found in rows]
            whiskers = [
                [max(0.0, found.median - found.low) for _, found in rows],  # rounding may leave less than nothing
                [max(0.0, found.high - found.median) for _, found in rows],
            ]
            colours = ["tab:orange" if one.name.startswith("sig_") else "tab:gray" for one, _ in rows]
            axes.barh([one.title for one, _ in rows], medians, xerr=whiskers, color=colours, capsize=3)
            axes.set_title(case.title, fontsize=10)
            axes.set_xlabel(f"{measure.unit} ({measure.better} is better)")
            path = folder / f"{case.name}-{measure.name}.png"
            figure.savefig(path, dpi=120)
            pyplot.close(figure)
            written[case.name].append(path)
    return written
