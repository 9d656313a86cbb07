"""Wire formats, without I/O: one package for each provider's API, and what they share."""
