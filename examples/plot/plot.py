"""Draw the monthly mean temperatures of three cities: ``storectl run examples/plot/plot.py [FILE.png]``."""

import csv
import sys
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import pyplot as plt

HERE = Path(__file__).parent


def read_table(path: Path) -> dict[str, list[float]]:
    """The columns of a CSV file with a header line, in its units (months; degrees Celsius)."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {name: [float(row[name]) for row in rows] for name in rows[0]}


def draw(table: dict[str, list[float]], target: Path) -> None:
    """One line a city over the months, written to ``target``."""
    months = table["month"]
    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    for city in [name for name in table if name != "month"]:
        axes.plot(months, table[city], marker="o", label=city)
    axes.set(xlabel="month", ylabel="mean temperature, °C", xticks=months)
    axes.legend()
    figure.savefig(target, dpi=120)


def main() -> None:
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "plot.png"
    draw(read_table(HERE / "temperatures.csv"), target)
    print(f"drew {target} with matplotlib {mpl.__version__} on Python {sys.version.split()[0]}")


if __name__ == "__main__":
    main()
