"""Train heads on images and captions together."""
