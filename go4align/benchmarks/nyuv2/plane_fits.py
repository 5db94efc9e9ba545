"""Surface normals from depth: a plane through the points around each pixel, by least squares.

On a plane, inverse depth is a linear function of a pixel's place: a X + b Y + e Z = 1 divided by Z. So one fit of three
numbers gives the normal (a, b, e), and its errors are even where a structured-light sensor's are, in disparity.
"""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray

_RADIUS = 4
"""Pixels: the points are those of a window of 9 x 9, at 288 x 384 about as wide as a hand at 3 m."""
_RELATIVE = 0.04
_ABSOLUTE_PER_M = 0.01
"""How far a point's inverse depth may be from the middle's; beyond it, the point counts as of another surface."""
_FEWEST = 12
"""Points of a fit."""

Numbers = NDArray[np.float32]


def fitted_normals(depth: Numbers, focal: tuple[float, float], centre: tuple[float, float]) -> Numbers:
    """Unit normals [H, W, 3] in the camera's frame (x right, y down, z forwards), towards the camera.

    Args:
        depth: [H, W], metres along z; 0 where there is none.
        focal: focal lengths along x and y, pixels.
        centre: x and y of the principal point, pixels; 0 is the middle of the first.

    Returns:
        Normals, zero where there is no depth or where too few points around are of the same surface.
    """
    height, width = depth.shape
    there = depth > 0
    inverse = np.divide(1, depth, out=np.zeros(depth.shape), where=there)
    moments = _moments(inverse, there, focal)
    matrix = moments[..., :3, :3]
    enough = there & (matrix[..., 2, 2] >= _FEWEST) & (np.linalg.det(matrix) > 0)
    slopes = np.zeros((height, width, 3))
    slopes[enough] = np.linalg.solve(matrix[enough], moments[..., :3, 3:][enough])[..., 0]
    x = (np.arange(width) - centre[0]) / focal[0]
    y = (np.arange(height) - centre[1]) / focal[1]
    along_z = inverse + slopes[..., 2] - slopes[..., 0] * x - slopes[..., 1] * y[:, None]
    away = np.stack([slopes[..., 0], slopes[..., 1], along_z], -1)
    length = np.linalg.norm(away, axis=-1, keepdims=True)
    normals = np.zeros((height, width, 3), np.float32)
    np.divide(-away, length, out=normals, where=enough[..., None] & (length > 0), casting="same_kind")
    return normals


def _moments(inverse: NDArray[np.float64], there: NDArray[np.bool_], focal: tuple[float, float]) -> NDArray[np.float64]:
    """Sums over the window of the products of (x, y, 1) and (x, y, 1, inverse depth), all relative to its middle.

    [H, W, 3, 4]; the points are those near the middle in inverse depth, too.
    """
    height, width = inverse.shape
    around = np.pad(inverse, _RADIUS)
    near = _RELATIVE * inverse + _ABSOLUTE_PER_M
    found = np.zeros((3, 4, height, width))
    for row, column in product(range(2 * _RADIUS + 1), repeat=2):
        other = around[row : row + height, column : column + width]
        difference = other - inverse
        taken = (other > 0) & (np.abs(difference) < near) & there
        place = ((column - _RADIUS) / focal[0], (row - _RADIUS) / focal[1], 1.0)
        difference = np.where(taken, difference, 0.0)
        for i, j in ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)):
            found[i, j] += place[i] * place[j] * taken
        for i in range(3):
            found[i, 3] += place[i] * difference
    for i, j in ((1, 0), (2, 0), (2, 1)):
        found[i, j] = found[j, i]
    return np.moveaxis(found, (0, 1), (2, 3))
