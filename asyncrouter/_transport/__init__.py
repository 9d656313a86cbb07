"""HTTP over aiohttp: the only package that knows its client."""
