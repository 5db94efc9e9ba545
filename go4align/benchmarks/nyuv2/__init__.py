"""NYUv2: 1,449 indoor pictures with 13 classes, depth and surface normals."""
