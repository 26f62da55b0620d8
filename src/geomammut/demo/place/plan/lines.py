"""The lines of the plan: what runs along each edge of the grid, where the river walks, where roads circle."""

import numpy as np

from geomammut.demo.place.plan.plan import DISTRICT_M, Cell, Plan


def lay_lines(plan: Plan, rng: np.random.Generator, wide: int, tall: int) -> None:
    """Give every inner grid line a kind; motorway, railway and primary roads cross both regions."""
    n = plan.count
    kinds: dict[tuple[str, int], str] = {}
    held_col, held_row = (n - wide + 1, n - tall + 1) if wide else (n // 2 + 1, n // 2 + 1)
    kinds["v", int(rng.integers(held_col, max(held_col + 1, n - 2)))] = "motorway"
    kinds["h", int(rng.integers(held_row, max(held_row + 1, n - 1)))] = "rail"
    if n >= 8:
        kinds["h", int(rng.integers(2, max(3, held_row - 3)))] = "motorway"
        kinds["v", int(rng.integers(2, max(3, held_col - 3)))] = "rail"
    for axis in "vh":
        for line in range(1, n):
            if line % 4 == (2 if axis == "v" else 3):
                kinds.setdefault((axis, line), "primary")
    for axis in "vh":
        for line in range(1, n):
            for part in range(n):
                x, y = (line, part + 0.5) if axis == "v" else (part + 0.5, line)
                near = plan.urban(x * DISTRICT_M, y * DISTRICT_M)
                minor = "residential" if near > 0.45 else "unclassified" if rng.random() < 0.7 else "track"
                plan.edges[axis, line, part] = kinds.get((axis, line), minor)
    rails = sorted(edge for edge, kind in plan.edges.items() if kind == "rail")
    plan.yards.update(edge for k, edge in enumerate(rails) if k % 3 == 1)


def lay_river(plan: Plan, rng: np.random.Generator, tall: int) -> set[Cell]:
    """Let a river walk from the left border to the right one, through the held-out rows; return its cells."""
    n = plan.count
    row = max(1, n - tall - 3) if tall else n // 2 - 1
    last = max(row, n - tall // 2 - 1) if tall else min(n - 1, n // 2 + 1)
    column, cells = 0, [(0, row)]
    while column < n - 1 or row < last:
        down = row < last and (column == n - 1 or rng.random() < (last - row) / max(1, n - 1 - column))
        column, row = (column, row + 1) if down else (column + 1, row)
        cells.append((column, row))
    points = [(-60.0, (cells[0][1] + 0.5) * DISTRICT_M)]
    for i, j in cells:
        dx, dy = rng.uniform(-0.17, 0.17, 2)
        points.append(((i + 0.5 + dx) * DISTRICT_M, (j + 0.5 + dy) * DISTRICT_M))
    points.append((plan.side + 60.0, points[-1][1]))
    plan.river = np.array(points)
    return set(cells)


def thin_edges(plan: Plan, rng: np.random.Generator) -> None:
    """Drop about half the minor roads between rural districts, as long as the network stays connected."""
    rural = {"forest", "farmland", "golf"}
    use = {cell: d.lots[0].use for cell, d in plan.districts.items() if len(d.lots) == 1}
    for edge in sorted(plan.edges):
        axis, line, part = edge
        if plan.edges[edge] not in ("unclassified", "track") or rng.random() < 0.45:
            continue
        sides = ((line - 1, part), (line, part)) if axis == "v" else ((part, line - 1), (part, line))
        if all(use.get(cell) in rural for cell in sides):
            kind = plan.edges.pop(edge)
            if not _connected(plan):
                plan.edges[edge] = kind


def _connected(plan: Plan) -> bool:
    ends: dict[Cell, list[Cell]] = {}
    for (axis, line, part), kind in plan.edges.items():
        if kind != "rail":
            a, b = ((line, part), (line, part + 1)) if axis == "v" else ((part, line), (part + 1, line))
            ends.setdefault(a, []).append(b)
            ends.setdefault(b, []).append(a)
    seen, queue = set(), [next(iter(ends))]
    while queue:
        node = queue.pop()
        if node not in seen:
            seen.add(node)
            queue += ends[node]
    return len(seen) == len(ends)


def lay_roundabouts(plan: Plan, rng: np.random.Generator) -> None:
    for i in range(1, plan.count):
        for j in range(1, plan.count):
            kinds = [plan.edges[edge] for edge in plan.edges_at((i, j)).values()]
            minor = all(kind in ("primary", "residential", "unclassified") for kind in kinds)
            if minor and len(kinds) >= 3 and rng.random() < (0.6 if "primary" in kinds else 0.25):
                plan.roundabouts[i, j] = float(rng.uniform(13, 21))
