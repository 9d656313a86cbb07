"""Keys and other secrets: where they come from, how they are held, and how they are kept out of every text."""

from asyncrouter._credentials.credential import Credential, secrets_of_call

__all__ = ["Credential", "secrets_of_call"]
