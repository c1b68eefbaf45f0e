"""Read images, labels, captions and groups from anywhere into a `Manifest` with a digest."""
