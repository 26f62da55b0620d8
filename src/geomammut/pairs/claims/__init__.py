"""What a caption claims about its picture, and whether the map and the geometry bear it out."""
