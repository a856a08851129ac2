"""What CURVE costs a frame: processor time of one hop over TCP loopback, with and without keys, in turn.

    python -m tools.bench_keys [WIDTH HEIGHT [FRAMES]]

Both ends and ZeroMQ's own threads are in this process, so that its processor time is all of it: encryption at the one
end, decryption at the other. A machine that is busy with other things changes it little, which latency would not bear.
"""

from __future__ import annotations

import json
import statistics
import sys
import time

import zmq

ROUNDS = 5


def hop_ms(size: int, frames: int, *, keys: bool) -> float:
    """Processor time a frame, in milliseconds."""
    with zmq.Context() as context, context.socket(zmq.PULL) as sink, context.socket(zmq.PUSH) as source:
        sink.setsockopt(zmq.LINGER, 0)
        source.setsockopt(zmq.LINGER, 0)
        if keys:
            (server, server_secret), (client, client_secret) = zmq.curve_keypair(), zmq.curve_keypair()
            sink.setsockopt(zmq.CURVE_SERVER, 1)
            sink.setsockopt(zmq.CURVE_SECRETKEY, server_secret)
            source.setsockopt(zmq.CURVE_SERVERKEY, server)
            source.setsockopt(zmq.CURVE_PUBLICKEY, client)
            source.setsockopt(zmq.CURVE_SECRETKEY, client_secret)
        source.connect(f"tcp://127.0.0.1:{sink.bind_to_random_port('tcp://127.0.0.1')}")
        frame, began = bytes(size), time.process_time()
        for n in range(frames + 10):
            if n == 10:  # the first few make the connection and the memory
                began = time.process_time()
            source.send_multipart([b"header", frame])
            sink.recv_multipart(copy=False)
        return (time.process_time() - began) / frames * 1000


def main() -> None:
    width, height, frames = (*map(int, sys.argv[1:4]), *(640, 480, 300)[len(sys.argv) - 1 :])
    plain, curve = ([hop_ms(width * height, frames, keys=keys) for _ in range(ROUNDS)] for keys in (False, True))
    figures = {"plain_ms": statistics.median(plain), "curve_ms": statistics.median(curve)}
    figures["cost_ms"] = figures["curve_ms"] - figures["plain_ms"]
    facts = {"size": f"{width}x{height}", "frames": frames, **{name: round(one, 3) for name, one in figures.items()}}
    print(json.dumps({**facts, "most_ms": round(max(curve), 3)}))


if __name__ == "__main__":
    main()
