"""A server of OpenAI's HTTP API over a router: what `asyncrouter serve` runs.

```python
server = Server(lambda: Loaded(Router.from_toml("router.toml")), ServeOptions(port=8000))
async with server:
    print(server.base_url)
    await server.wait()      # until SIGTERM or SIGINT (with `server.handle_signals()`), or `server.stop()`
```

The server is closed by default: without keys it listens on loopback only, and answers no request that a web page could
have made. Keys, bodies, calls at once and time have bounds. No key, header field or prompt is logged.

- `GET /healthz`: 200 while requests are taken, 503 while the server drains. Without a key.
- `GET /metrics`: for Prometheus, with the extra `prometheus`. `POST /v1/…`: see `help("asyncrouter.openai_api")`.
- `GET /status`: a page for people about the models and the last hour's calls (`StatusPage`), without any text of them.
- SIGTERM: no new connections; requests in flight have some seconds to end, then they get an error.
- SIGHUP: the configuration is read again; calls in flight end with the old one, which stays if the new one is wrong.
"""

from asyncrouter.serve._options import Loaded, ServeOptions, is_loopback, read_keys, read_serve_table
from asyncrouter.serve._recent import Recent
from asyncrouter.serve._server import Server
from asyncrouter.serve._status_page import StatusPage

__all__ = [
    "Loaded", "Recent", "ServeOptions", "Server", "StatusPage", "is_loopback", "read_keys", "read_serve_table",
]
