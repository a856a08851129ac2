"""The console: a web page on the appliance, and the API beneath it. A process of its own that gives way to live.

It talks to the daemon through its sockets and to the outbox by its folder; no frame waits for it.

server        the door to uvicorn: addresses, certificate, limits of a connection
app           all paths, put together; door: what every request has to pass first
calls         how a call is declared; openapi describes exactly that table
access/       users, sessions, throttled log-in
live          the live picture's WebSocket; relay, channel: from the daemon's socket; pacing: for whom how large
pulse         what the daemon does, asked once for everybody
archive       the outbox, looked at; pictures: what is stored, as images
*_calls       the calls themselves, by theme
page/         the page: static files
"""
