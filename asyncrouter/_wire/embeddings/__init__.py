"""Embeddings: the requests and answers of the APIs that turn texts into vectors."""
