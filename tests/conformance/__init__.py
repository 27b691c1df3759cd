"""Which requirement of which text is shown by which test."""
