"""Read images, labels, captions and groups into a `Manifest` with a digest."""
