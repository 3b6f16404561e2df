"""ONNX Runtime on the processor: how a network is opened, and on how many threads it runs."""

from __future__ import annotations

import onnxruntime


def session(graph: bytes, threads: int = 1) -> onnxruntime.InferenceSession:
    """A network, ready to run; calls from several threads run beside each other.

    Args:
        graph: an ONNX file's content.
        threads: that one call computes with. One is best where several calls run at a time:
            a network's parts need not wait for each other, and the answer does not depend on
            how many cores a machine has.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # A thread that waits for work must leave its core to the others.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
