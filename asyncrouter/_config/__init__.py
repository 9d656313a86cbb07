"""Configuration: files and mappings become frozen plans of what a call may do."""
