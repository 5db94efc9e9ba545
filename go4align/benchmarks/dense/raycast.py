"""Scenes of boxes that a pinhole camera sees: the exact surface behind every pixel, for many scenes at once.

World: x and z are level, y points up. Camera: x to the right, y down, z forwards; depth is along z, as sensors give it.
A pixel's ray is scaled so that its parameter is that depth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

_TINY = 1e-9


@dataclass(frozen=True)
class Boxes:
    """P boxes in each of n scenes, turned about the vertical.

    Attributes:
        centre: [n, P, 3], metres.
        half: [n, P, 3], half of each edge.
        yaw: [n, P], radians.
        there: [n, P], whether a scene has it.
        label: [n, P], its class.
    """

    centre: Floats
    half: Floats
    yaw: Floats
    there: Bools
    label: Ints


@dataclass(frozen=True)
class Cameras:
    """A camera in each of n scenes.

    Attributes:
        position: [n, 3], metres.
        rotation: [n, 3, 3], from camera to world.
        focal: of all, in units of the picture's height.
    """

    position: Floats
    rotation: Floats
    focal: float

    @classmethod
    def looking(cls, position: Floats, yaw: Floats, pitch: Floats, roll: Floats, focal: float) -> Cameras:
        """From angles [n] in radians: to the left, down, and clockwise."""
        level = _about(1, yaw) @ np.diag([1.0, -1.0, 1.0]).astype(np.float32)  # y turned down
        return cls(position, (level @ _about(0, -pitch) @ _about(2, roll)).astype(np.float32), focal)

    def rays(self, height: int, width: int) -> Floats:
        """[3, n, H, W] in the world, each of depth 1."""
        rows, columns = np.meshgrid(np.arange(height) + 0.5, np.arange(width) + 0.5, indexing="ij")
        plane = np.stack([columns - width / 2, rows - height / 2, np.full_like(rows, self.focal * height)], axis=-1)
        rays = np.einsum("nij,hwj->inhw", self.rotation, plane / (self.focal * height))
        return np.ascontiguousarray(rays, np.float32)


@dataclass(frozen=True)
class Hits:
    """The nearest surface behind every pixel.

    Attributes:
        depth: [n, H, W], metres along the camera's z; infinite where there is none.
        box: [n, H, W], which box, -1 where there is none.
        axis: [n, H, W], across which of the box's own axes the face lies.
        normal: [n, H, W, 3], of unit length, in the camera's frame, towards the camera.
        place: [n, H, W, 3], the point on the box, in metres along its own axes from its centre.
    """

    depth: Floats
    box: Ints
    axis: Ints
    normal: Floats
    place: Floats


def cast(cameras: Cameras, boxes: Boxes, height: int, width: int, *, inside: int | None = None) -> Hits:
    """What the cameras see.

    Args:
        cameras, boxes: of n scenes.
        height, width: pixels.
        inside: the number of the box that is seen from inside, such as a room; the others are seen from outside.
    """
    rays = cameras.rays(height, width)
    depth = np.full(rays.shape[1:], np.inf, np.float32)
    box = np.full(rays.shape[1:], -1)
    origins = np.einsum("npij,npj->npi", _about(1, -boxes.yaw), cameras.position[:, None] - boxes.centre)
    for number in range(boxes.there.shape[1]):
        scenes = np.flatnonzero(boxes.there[:, number])
        turned = _turned(rays[:, scenes], -boxes.yaw[scenes, number, None, None])
        enter, leave = _crossed(turned, origins[scenes, number], boxes.half[scenes, number])
        near = np.maximum(np.maximum(enter[0], enter[1]), enter[2])
        far = np.minimum(np.minimum(leave[0], leave[1]), leave[2])
        found = far if number == inside else near
        nearer = (near < far) & (found > 0) & (found < depth[scenes])
        depth[scenes] = np.where(nearer, found, depth[scenes])
        box[scenes] = np.where(nearer, number, box[scenes])
    return _described(cameras, boxes, rays, origins, depth, box, inside)


def _turned(rays: Floats, angle: Floats) -> Floats:
    """Rays [3, ...], turned about the vertical."""
    cosine = np.cos(angle)
    sine = np.sin(angle)
    return np.stack([cosine * rays[0] + sine * rays[2], rays[1], cosine * rays[2] - sine * rays[0]])


def _crossed(rays: Floats, origin: Floats, half: Floats) -> tuple[Floats, Floats]:
    """Where rays [3, k, H, W] cross a box's pairs of faces, [3, k, H, W]: first the one, then the other.

    Args:
        rays: in the box's frame.
        origin, half: [k, 3], where the rays begin, and half of the box's edges.
    """
    slope = 1 / np.where(np.abs(rays) < _TINY, _TINY, rays)
    one = (-half - origin).T[..., None, None] * slope
    other = (half - origin).T[..., None, None] * slope
    return np.minimum(one, other), np.maximum(one, other)


def _described(
    cameras: Cameras, boxes: Boxes, rays: Floats, origins: Floats, depth: Floats, box: Ints, inside: int | None
) -> Hits:
    """What was hit: which face, its normal, and where."""
    scene = np.arange(len(box))[:, None, None]
    angle = boxes.yaw[scene, box]
    local = _turned(rays, -angle)
    slope = 1 / np.where(np.abs(local) < _TINY, _TINY, local)
    origin = np.moveaxis(origins[scene, box], -1, 0)
    half = np.moveaxis(boxes.half[scene, box], -1, 0)
    enter = (-half * np.sign(slope) - origin) * slope
    leave = (half * np.sign(slope) - origin) * slope
    axis = np.where(box == inside, leave.argmin(0), enter.argmax(0))
    facing = np.where(axis == np.arange(3)[:, None, None, None], -np.sign(slope), 0)
    normal = np.einsum("nji,jnhw->nhwi", cameras.rotation, _turned(facing, angle))
    place = origin + np.where(np.isfinite(depth), depth, 0) * local
    return Hits(depth, box, axis, normal.astype(np.float32), np.moveaxis(place, 0, -1).astype(np.float32))


def _about(axis: int, angle: Floats) -> Floats:
    """Rotations [..., 3, 3] about an axis."""
    found = np.zeros((*np.shape(angle), 3, 3), np.float32)
    first = (axis + 1) % 3
    second = (axis + 2) % 3
    found[..., axis, axis] = 1
    found[..., first, first] = np.cos(angle)
    found[..., second, second] = np.cos(angle)
    found[..., second, first] = np.sin(angle)
    found[..., first, second] = -np.sin(angle)
    return found
