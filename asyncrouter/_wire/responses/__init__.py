"""The wire for OpenAI's Responses API, and for the hosts that serve it."""
