"""What a router learns about its models, and whether a model may be asked now."""
