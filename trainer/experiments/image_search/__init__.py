"""Search the images of a data set by words or by an image."""
