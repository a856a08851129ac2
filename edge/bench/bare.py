"""The bench's peer: receive -> OpenVINO -> send, and nothing else.

    python -m edge.bench.bare IN OUT MODEL WIDTH HEIGHT BITS

What somebody would write in an afternoon: no deadline, no region, no checks, no second stream. It runs the same model
file on the same runtime with the same settings as the daemon, so what the daemon takes beyond it is the daemon's own.
"""

from __future__ import annotations

import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import zmq
from openvino.preprocess import PrePostProcessor

BUFFER_BYTES = 4 << 20


def compiled(path: Path, width: int, height: int, bits: int) -> ov.CompiledModel:
    core = ov.Core()
    model = core.read_model(path)
    sizes: dict[Any, Any] = {"frame": [1, 1, height, width]}
    for port in model.inputs:  # recurrent state, on blocks of 4x4 pixels
        if port.any_name.endswith("_in") and port.partial_shape.is_dynamic:
            sizes[port.any_name] = [1, port.partial_shape[1].get_length(), height // 4, width // 4]
    model.reshape(sizes)
    integer = ov.Type.u8 if bits == 8 else ov.Type.u16
    steps = PrePostProcessor(model)
    steps.input("frame").tensor().set_element_type(integer)
    steps.output("enhanced").tensor().set_element_type(integer)
    hints: dict[str, Any] = {
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
        "INFERENCE_PRECISION_HINT": "f32",
    }
    return core.compile_model(steps.build(), "CPU", hints)


def main() -> None:
    address_in, address_out, model = sys.argv[1:4]
    width, height, bits = (int(text) for text in sys.argv[4:7])
    net = compiled(Path(model), width, height, bits)
    request = net.create_infer_request()
    request.set_tensor("full_scale", ov.Tensor(np.array((1 << bits) - 1, np.float32)))
    request.set_tensor("strength", ov.Tensor(np.array(0.8, np.float32)))
    enhanced = np.zeros((1, 1, height, width), np.uint8 if bits == 8 else np.uint16)
    request.set_tensor("enhanced", ov.Tensor(enhanced, shared_memory=True))
    states = {
        port.any_name.removesuffix("_in"): [ov.Tensor(port.element_type, port.shape) for _ in range(2)]
        for port in net.inputs
        if port.any_name.endswith("_in")
    }
    for pair in states.values():
        pair[0].data[...] = 0
    context = zmq.Context()
    inbound, outbound = context.socket(zmq.PULL), context.socket(zmq.PUB)
    for sock, address in ((inbound, address_in), (outbound, address_out)):
        sock.setsockopt(zmq.RCVBUF, BUFFER_BYTES)
        sock.setsockopt(zmq.SNDBUF, BUFFER_BYTES)
        sock.bind(address)
    print("ready", flush=True)
    while True:
        header, payload = inbound.recv_multipart(copy=False)
        pixels = np.frombuffer(payload.buffer, enhanced.dtype).reshape(enhanced.shape)
        request.set_tensor("frame", ov.Tensor(pixels, shared_memory=True))
        for name, pair in states.items():
            request.set_tensor(f"{name}_in", pair[0])
            request.set_tensor(f"{name}_out", pair[1])
            pair.reverse()
        request.start_async()  # `infer` copies every result once more: 0.2 ms
        request.wait()
        engine_ns = int(request.latency * 1e6)  # the runtime's own figure, as in the daemon
        outbound.send_multipart([b"bare", header.bytes, struct.pack("<Q", engine_ns), enhanced.data])


if __name__ == "__main__":
    main()
