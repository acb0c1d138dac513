"""Joins JSON lines of the bench and of the peers to tables in Markdown.

cargo bench -p matex -- work cachesizes nine --json > matex.jsonl
python benches/peers/work.py numpy numexpr numba jax torch torch.compile > peers.jsonl
python benches/peers/table.py matex.jsonl peers.jsonl

A column for each contestant, then matex by the best of the others, and, where the bench says how many bytes a row has to
move, how much of what the machine moves in that time they are (the rate of the row `limit`). Below a table stand the geometric
means of matex by the best of the others, and by the best peer in Python.
"""

import json
import statistics
import sys

NOT_TIMES = {"ratio", "MB", "GB/s", "matex / loop", "by views"}
PYTHON = {"numpy", "numexpr", "numba", "jax", "torch", "torch.compile"}


def rows(paths):
    """Figures by table and name, joined over all files, in the order in which they came."""
    found = {}
    for path in paths:
        with open(path, encoding="utf-8") as lines:
            for line in filter(str.strip, lines):
                row = json.loads(line)
                figures = found.setdefault((row.pop("table"), row.pop("name")), {})
                figures.update(row)
    return found


def shown(value):
    if value is None:
        return "–"
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def ratio(figures, among):
    """matex by the best of some contestants, where there are any."""
    others = [value for name, value in figures.items() if name in among and name != "matex"]
    return figures["matex"] / min(others) if others and "matex" in figures else None


def mean(found, among):
    ratios = [r for r in (ratio(figures, among) for figures in found.values()) if r]
    return f"{statistics.geometric_mean(ratios):.2f} over {len(ratios)} rows" if ratios else "–"


def table(title, found, limits):
    contestants = []
    for figures in found.values():
        contestants += [c for c in figures if c not in contestants and c not in NOT_TIMES]
    print(f"\n### {title}\n")
    print("| | " + " | ".join(contestants) + " | matex / best | % of the limit |")
    print("|---" * (len(contestants) + 3) + "|")
    for name, figures in found.items():
        best = ratio(figures, contestants)
        rate = limits.get((title, name.split()[-1]))
        share = "–"
        if rate and "MB" in figures and "matex" in figures:
            share = f"{100 * figures['MB'] * 1e3 / figures['matex'] / rate:.0f}"
        cells = [shown(figures.get(c)) for c in contestants]
        print(f"| {name} | " + " | ".join(cells) + f" | {shown(best)} | {share} |")
    print(f"\nmatex / best: {mean(found, contestants)}; of the peers in Python: {mean(found, PYTHON)}")


def main(paths):
    found = rows(paths)
    limits = {
        tuple(name.rsplit(" ", 1)): figures["GB/s"] for (kind, name), figures in found.items() if kind == "limit"
    }
    for title in dict.fromkeys(kind for kind, _ in found if kind != "limit"):
        table(title, {name: f for (kind, name), f in found.items() if kind == title}, limits)


if __name__ == "__main__":
    main(sys.argv[1:])
