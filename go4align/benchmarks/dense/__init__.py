"""What NYUv2 and CityScapes have in common: images whose every pixel has a class, a depth, a normal."""
