"""Which detection belongs to which track: the assignment of least total cost, by shortest augmenting paths."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FORBIDDEN = 1e6  # the cost of a pair that may not be; above any sum of real costs
Floats = NDArray[np.float64]


def assign(cost: Floats) -> list[tuple[int, int]]:
    """Pairs (row, column) of least total cost, as many as the shorter side, without those at FORBIDDEN or above.

    The Hungarian method with potentials, O(rows * rows * columns): each row in turn takes the cheapest free column,
    and rows before it move over where that is cheaper.
    """
    rows, columns = cost.shape
    if rows > columns:
        return sorted((row, column) for column, row in assign(cost.T))
    of_row, of_column = np.zeros(rows), np.zeros(columns)  # potentials: of_row + of_column <= cost, equal on pairs
    taken_by = np.full(columns, -1)
    for row in range(rows):
        reach = np.full(columns, np.inf)  # cheapest way found so far to give this column up
        via = np.full(columns, -1)
        done = np.zeros(columns, bool)
        current, column = row, -1
        while True:
            lowest = 0.0 if column < 0 else reach[column]
            through = lowest + cost[current] - of_row[current] - of_column
            shorter = ~done & (through < reach)
            reach[shorter], via[shorter] = through[shorter], column
            column = int(np.argmin(np.where(done, np.inf, reach)))
            if taken_by[column] < 0:
                break
            done[column] = True
            current = int(taken_by[column])
        gain = reach[column]
        of_row[row] += gain
        of_row[taken_by[done]] += gain - reach[done]
        of_column[done] -= gain - reach[done]
        while column >= 0:  # walk the path back; each column on it goes to the row that came through it
            before = int(via[column])
            taken_by[column] = row if before < 0 else taken_by[before]
            column = before
    pairs = ((int(row), column) for column, row in enumerate(taken_by) if row >= 0)
    return sorted((row, column) for row, column in pairs if cost[row, column] < FORBIDDEN)
