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
        """[n, H, W, 3] in the world, each of depth 1."""
        rows, columns = np.meshgrid(np.arange(height) + 0.5, np.arange(width) + 0.5, indexing="ij")
        plane = np.stack([columns - width / 2, rows - height / 2, np.full_like(rows, self.focal * height)], axis=-1)
        rays: Floats = np.einsum("nij,hwj->nhwi", self.rotation, plane / (self.focal * height)).astype(np.float32)
        return rays


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
    shape = rays.shape[:3]
    depth = np.full(shape, np.inf, np.float32)
    box = np.full(shape, -1)
    axis = np.zeros(shape, np.int64)
    turns = _about(1, -boxes.yaw)
    origins = np.einsum("npij,npj->npi", turns, cameras.position[:, None] - boxes.centre)
    for number in range(boxes.there.shape[1]):
        scenes = np.flatnonzero(boxes.there[:, number])
        found, across = _entered(
            origins[scenes, number, None, None],
            np.einsum("nij,nhwj->nhwi", turns[scenes, number], rays[scenes]),
            boxes.half[scenes, number, None, None],
            leaves=number == inside,
        )
        nearer = found < depth[scenes]
        depth[scenes] = np.where(nearer, found, depth[scenes])
        box[scenes] = np.where(nearer, number, box[scenes])
        axis[scenes] = np.where(nearer, across, axis[scenes])
    return _described(cameras, boxes, rays, origins, Hits(depth, box, axis, rays, rays))


def _entered(origin: Floats, rays: Floats, half: Floats, *, leaves: bool) -> tuple[Floats, Ints]:
    """Where rays enter, or leave, a box around 0, and across which axis; infinite where they miss it."""
    slope = np.where(np.abs(rays) < _TINY, _TINY, rays)
    one = (-half - origin) / slope
    other = (half - origin) / slope
    enter = np.minimum(one, other)
    leave = np.maximum(one, other)
    near = enter.max(-1)
    far = leave.min(-1)
    if leaves:
        return np.where(far > 0, far, np.inf).astype(np.float32), leave.argmin(-1)
    return np.where((near < far) & (near > 0), near, np.inf).astype(np.float32), enter.argmax(-1)


def _described(cameras: Cameras, boxes: Boxes, rays: Floats, origins: Floats, hits: Hits) -> Hits:
    """With the normals and places of what was hit."""
    scene = np.arange(len(rays))[:, None, None]
    yaw = boxes.yaw[scene, hits.box]
    turn = _about(1, -yaw)  # [n, H, W, 3, 3], into the box's frame
    local = np.einsum("nhwij,nhwj->nhwi", turn, rays)
    depth = np.where(np.isfinite(hits.depth), hits.depth, 0)
    place = origins[scene, hits.box] + depth[..., None] * local
    side = -np.sign(np.take_along_axis(local, hits.axis[..., None], -1))
    facing = np.zeros_like(rays)
    np.put_along_axis(facing, hits.axis[..., None], side, -1)
    into_camera = np.einsum("nji,nhwkj->nhwik", cameras.rotation, turn)  # rotation and turn undone
    normal = np.einsum("nhwik,nhwk->nhwi", into_camera, facing)
    return Hits(hits.depth, hits.box, hits.axis, normal.astype(np.float32), place.astype(np.float32))


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
