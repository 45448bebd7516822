"""ONNX Runtime sessions that share a small machine: one thread, no spinning, an arena that grows by what is asked."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from pathlib import Path
from typing import Any

# From 1.29 on, ONNX Runtime's Linux packages send usage data to their maker from the moment they are imported, unless
# this is set before. Nothing that a store does is anybody else's business.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime

from models import tfjs
from models.errors import ConversionError
from models.probe import check, fixed_input
from models.registry import Manifest, OwnFile, cache_dir, entry_of, locate

_QUIET = 3  # ONNX Runtime's level: errors
_CPU = ("CPUExecutionProvider", {"arena_extend_strategy": "kSameAsRequested"})


def open_session(model: Path | bytes) -> Any:
    """A CPU session of a file or of serialized bytes. Raises ConversionError when ONNX Runtime refuses it."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = _QUIET
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(
            model if isinstance(model, bytes) else str(model), options, providers=[_CPU]
        )
    except _REFUSED as error:
        raise ConversionError(f"ONNX Runtime refuses the model: {str(error)[:160]}") from error


_REFUSED: tuple[type[Exception], ...] = (
    onnxruntime.capi.onnxruntime_pybind11_state.Fail,
    onnxruntime.capi.onnxruntime_pybind11_state.InvalidArgument,
    onnxruntime.capi.onnxruntime_pybind11_state.InvalidGraph,
    onnxruntime.capi.onnxruntime_pybind11_state.InvalidProtobuf,
    onnxruntime.capi.onnxruntime_pybind11_state.NotImplemented,
    onnxruntime.capi.onnxruntime_pybind11_state.NoSuchFile,
)


def session_of(role: str, *, own: OwnFile | None = None, entries: Manifest | None = None) -> Any:
    """A session of a role's checked weight, converted once and kept. Raises ModelError's children.

    The converted file is found by the sum of its source, and its numbers are checked before each use: an altered or
    torn file is made anew, and a converter that errs is noticed.
    """
    entry = entry_of(role, entries)
    paths = locate(role, own=own, entries=entries)
    if own is not None or entry.format == "onnx":
        return open_session(paths[0])
    graph, weights = paths
    source = hashlib.sha256("".join(m.sha256 for m in entry.member).encode()).hexdigest()
    kept = cache_dir() / "converted" / f"{source}.onnx"
    if kept.is_file():
        with contextlib.suppress(ConversionError):
            session = open_session(kept)
            _probe(role, session, entries)
            return session
    data = tfjs.convert_files(graph, weights).SerializeToString()
    session = open_session(data)
    _probe(role, session, entries)
    with contextlib.suppress(OSError):  # a cache that cannot be written costs a fifth of a second at each start
        _keep(kept, data)
    return session


def _probe(role: str, session: Any, entries: Manifest | None) -> None:
    entry = entry_of(role, entries)
    (source,) = session.get_inputs()
    names = [output.name for output in session.get_outputs()]
    results = session.run(None, {source.name: fixed_input(source.shape)})
    check(role, dict(zip(names, results, strict=True)), entry.probe, entry.probe_tolerance)


def _keep(target: Path, data: bytes) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=target.parent, delete=False) as file:
        try:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            Path(file.name).replace(target)
        except OSError:
            Path(file.name).unlink(missing_ok=True)
            raise
