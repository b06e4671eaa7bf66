"""Print the branch coverage that ``scripts/test --coverage`` measured, summed up by room."""

import json
import sys
from collections import Counter, defaultdict
from pathlib import Path

_COUNTED = ("num_statements", "covered_lines", "num_branches", "covered_branches")


def print_rooms(report: Path) -> None:
    """A line for each folder of the product: the share of its statements and branches that ran, and how many did not."""
    rooms: defaultdict[Path, Counter[str]] = defaultdict(Counter)
    for name, file in json.loads(report.read_text())["files"].items():
        numbers = {counted: file["summary"][counted] for counted in _COUNTED}
        rooms[Path(name).parent].update(numbers)
        rooms[Path("together")].update(numbers)
    print(f"{'room':50} {'statements':>10} {'missed':>7} {'branches':>9} {'missed':>7}")
    for room, counts in sorted(rooms.items()):
        statements, covered, branches, taken = (counts[counted] for counted in _COUNTED)
        shares = f"{covered / max(statements, 1):10.1%} {statements - covered:7}"
        print(f"{room!s:50} {shares} {taken / max(branches, 1):9.1%} {branches - taken:7}")


if __name__ == "__main__":
    print_rooms(Path(sys.argv[1]))
