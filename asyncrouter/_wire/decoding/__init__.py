"""Decoders for every wire: bytes become events, events or one JSON body become an answer."""
