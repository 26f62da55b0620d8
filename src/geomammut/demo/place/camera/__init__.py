"""The camera over the place: sheets become pixels and land classes."""
