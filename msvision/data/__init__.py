"""Images to look at and to learn from."""
