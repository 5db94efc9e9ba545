"""CityScapes: 3,475 pictures of streets with 7 classes and inverse depth."""
