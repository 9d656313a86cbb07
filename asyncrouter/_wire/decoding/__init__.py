"""Decoders for every wire: bytes become events, and events or one JSON body become a reply."""
