"""Time one network in one of the other runtimes; benchmarks/cortex_a_host.py starts this with the peers' own Python.

    python cortex_a_host_peers.py RUNTIME FILE THREADS INPUT.npy OUTPUT.npy

Writes what the runtime computes from the input, prints its version, and then answers each line on stdin, a number of
seconds, with the least nanoseconds that an inference took in that time. Nothing but numpy and the runtime is imported.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

Inference = Callable[[], Any]


def fit(values: np.ndarray, shape: tuple[int, ...], dtype: Any, scale: float = 0.0, zero: int = 0) -> np.ndarray:
    """Bring the network's input to a runtime's shape (an image's channels last) and type: int8, or unsigned bytes."""
    if values.ndim == 4 and values.shape != shape and values.transpose(0, 2, 3, 1).shape == shape:
        values = values.transpose(0, 2, 3, 1)
    if values.dtype == np.float32 and dtype == np.int8:
        values = np.clip(np.round(values / scale) + zero, -128, 127)
    if values.dtype == np.int8 and dtype == np.uint8:
        values = values.astype(np.int16) + 128
    return np.ascontiguousarray(values.reshape(shape), dtype=dtype)


def real(values: np.ndarray, scale: float = 0.0, zero: int = 0) -> np.ndarray:
    """Bring an output to the network's type: bytes to what they stand for, where the network's output is real."""
    if values.dtype == np.uint8:
        values = values.astype(np.int16) - 128
    return (values.astype(np.float64) - zero) * scale if scale else values


def onnxruntime(file: str, threads: int, values: np.ndarray) -> tuple[str, Inference, Callable[[], np.ndarray]]:
    """Inputs and outputs are bound once, so that nothing is copied."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads, options.log_severity_level = threads, 1, 3
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    binding, given = session.io_binding(), session.get_inputs()[0]
    dtype = {"tensor(int8)": np.int8, "tensor(uint8)": np.uint8}.get(given.type, np.float32)
    binding.bind_cpu_input(given.name, fit(values, values.shape, dtype))
    binding.bind_output(session.get_outputs()[0].name, "cpu")
    return (
        onnxruntime.__version__,
        lambda: session.run_with_iobinding(binding),
        lambda: real(binding.copy_outputs_to_cpu()[0]),
    )


def litert(file: str, threads: int, values: np.ndarray) -> tuple[str, Inference, Callable[[], np.ndarray]]:
    """With XNNPACK, which the interpreter takes by itself."""
    from importlib.metadata import version

    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=file, num_threads=threads)
    interpreter.allocate_tensors()
    given, wanted = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    interpreter.set_tensor(given["index"], fit(values, tuple(given["shape"]), given["dtype"], *given["quantization"]))
    scales = wanted["quantization"] if values.dtype == np.float32 else ()
    return version("ai-edge-litert"), interpreter.invoke, lambda: real(interpreter.get_tensor(wanted["index"]), *scales)


def openvino(file: str, threads: int, values: np.ndarray) -> tuple[str, Inference, Callable[[], np.ndarray]]:
    """Forced to float32 arithmetic, one stream for the least latency, as many threads as asked for."""
    import openvino

    hints = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1}
    hints |= {"INFERENCE_NUM_THREADS": threads}
    model = openvino.Core().read_model(file)
    model.reshape([1, *values.shape[1:]])
    request = openvino.Core().compile_model(model, "CPU", hints).create_infer_request()
    given = request.get_input_tensor()
    given.data[:] = fit(values, tuple(given.shape), given.data.dtype)
    version = openvino.__version__.split("-")[0]
    return version, request.infer, lambda: real(np.array(request.get_output_tensor().data))


def ncnn(file: str, threads: int, values: np.ndarray) -> tuple[str, Inference, Callable[[], np.ndarray]]:
    """Float32 arithmetic and storage; Winograd as it is by default."""
    import ncnn

    network = ncnn.Net()
    network.opt.num_threads = threads
    network.opt.use_fp16_packed = network.opt.use_fp16_storage = network.opt.use_fp16_arithmetic = False
    network.opt.use_bf16_storage = False
    network.load_param(f"{file}.param")
    network.load_model(f"{file}.bin")
    image = ncnn.Mat(np.ascontiguousarray(values[0], np.float32)).clone()

    def infer() -> Any:
        extractor = network.create_extractor()
        extractor.input("in0", image)
        return extractor.extract("out0")[1]

    return ncnn.__version__, infer, lambda: np.array(infer())


RUNTIMES = {"onnxruntime": onnxruntime, "litert": litert, "openvino": openvino, "ncnn": ncnn}


def least(infer: Inference, seconds: float) -> int:
    """The least nanoseconds of the inferences of some seconds."""
    clock = time.perf_counter_ns
    end = clock() + int(seconds * 1e9)
    best = 1 << 62
    while True:
        start = clock()
        infer()
        now = clock()
        best = min(best, now - start)
        if now >= end:
            return best


def main() -> None:
    """Load, compute once, and answer."""
    runtime, file, threads, given, computed = sys.argv[1:]
    version, infer, output = RUNTIMES[runtime](file, int(threads), np.load(given))
    infer()
    np.save(computed, output())
    print(version, flush=True)
    for line in sys.stdin:
        print(least(infer, float(line)), flush=True)


if __name__ == "__main__":
    main()
