"""Wire formats without I/O: a call becomes a request, bytes become an answer, a failed response becomes an error."""
