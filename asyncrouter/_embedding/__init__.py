"""`Router.embed`: texts become vectors, in as many requests as the provider's limits ask for."""
