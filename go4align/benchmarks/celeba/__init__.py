"""CelebA: 202,599 faces with 40 yes-or-no attributes."""
