"""The source-filter vocoder (fastsvc/model/source_filter.py) as an ONNX graph, written node by node.

The network stands in the graph under its modules' names. TensorRT has no Fourier transform, so all of them are products
with one pair of matrices, cos and sin of 2πkn/P, which the graph makes from two vectors: stored they would take ten
times the weights' space. The minimum phase is linear in the log-magnitudes, and these in what the network gives, so one
small matrix takes the place of two transforms of every frame. What decides on samples is float32 in every graph.
"""

from __future__ import annotations

import math

import torch

from fastsvc.artifact.onnx.writer import StoredTensor, Writer
from fastsvc.config import SourceFilterConfig
from fastsvc.model import envelopes, filters
from fastsvc.model.filter_matrices import between_points, filter_matrix
from fastsvc.model.source_filter import tables

EPSILON = 1e-5  # torch.nn.LayerNorm's


def graph(config: SourceFilterConfig, tensors: dict[str, StoredTensor], location: str, half=False) -> bytes:
    """A serialised model; batch and length are free.

    Inputs, all float32: mel [B, T, M], source [B, T·hop, 2], f0_hz [B, T]. Output: audio [B, T·hop] float32. ``half``:
    the network computes in float16.
    """
    writer = Writer(tensors, location, half)
    graph = _Graph(writer, config)
    told, rows = graph.features()
    changes, gains = graph.network(told)
    rows = graph.held(writer.node("Concat", changes, rows, name="filters.rows", axis=3), "filters.rows")
    graph.audio(graph.frames(gains), *graph.spectra(rows))
    inputs = {"mel": ("frames", config.mel.bins), "source": ("source_samples", 2), "f0_hz": ("frames",)}
    return writer.model("vocoder", inputs, {"audio": ("samples",)})


class _Graph:
    """The parts of one graph, in their order."""

    def __init__(self, writer: Writer, config: SourceFilterConfig):
        self.writer, self.config, self.hop = writer, config, config.mel.hop_samples
        self.points, self.tables = config.transform_samples, tables(config)
        self.bins = self.points // 2 + 1

    def number(self, value: float) -> str:
        return self.writer.exact_values(f"number.{value!r}", torch.tensor(value))

    def by(self, op: str, x: str, value: float, name: str) -> str:
        return self.writer.node(op, x, self.number(value), name=name)

    def slice(self, x: str, axis: int, start: int, end: int, name: str) -> str:
        bounds = ("from", start), ("to", end), ("axis", axis)
        inputs = (self.writer.integers(f"{name}.{key}", [value]) for key, value in bounds)
        return self.writer.node("Slice", x, *inputs, name=name)

    def shaped(self, x: str, shape: list[int], name: str) -> str:
        return self.writer.node("Reshape", x, self.writer.integers(f"{name}.shape", shape), name=name)

    def padded(self, x: str, pads: list[int], name: str) -> str:
        return self.writer.node("Pad", x, self.writer.integers(f"{name}.pads", pads), name=name)

    def held(self, x: str, name: str) -> str:
        """The first and the last frame once more: [B, T, …] → [B, T+2, …]."""
        first, last = self.slice(x, 1, 0, 1, f"{name}.first"), self.slice(x, 1, -1, 2**31 - 1, f"{name}.last")
        return self.writer.node("Concat", first, x, last, name=f"{name}.held", axis=1)

    def features(self) -> tuple[str, str]:
        """(the network's input [B, T, 2M + 2]; the mel over that of each excitation, and voicing, [B, T, 2, M + 1])."""
        node, config = self.writer.node, self.config
        mel = "mel" if config.mel.log_base == "10" else self.by("Mul", "mel", 1 / math.log(10), "mel.log10")
        end = self.writer.integers("f0_hz.end", [2])
        f0_hz = node("Unsqueeze", "f0_hz", end, name="f0_hz.column")
        is_voiced = node("Greater", f0_hz, self.number(0.0), name="voiced.frames")
        voiced = node("Cast", is_voiced, name="voiced", to=self.writer.FLOAT)
        steady = node("Where", is_voiced, self._looked_up(end), self._table("noise_mel"), name="flat")
        pitch = self.by("Max", f0_hz, 1.0, "pitch.limited")
        pitch = node("Log", self.by("Div", pitch, 200.0, "pitch.relative"), name="pitch.log")
        pitch = node("Mul", self.by("Mul", pitch, 1 / math.log(2), "pitch.octaves"), voiced, name="pitch")
        scaled = self.by("Add", self.by("Mul", mel, 0.5, "mel.halved"), 1.0, "mel.scaled")
        told = node("Concat", scaled, steady, pitch, voiced, name="told", axis=2)
        silent = self.by("Mul", voiced, 0.0, "voiced.nowhere")
        over_pulses = node("Concat", node("Sub", mel, steady, name="pulses.over"), silent, name="pulses.rows", axis=2)
        over_noise = node("Sub", mel, self._table("noise_mel"), name="noise.over")
        over_noise = node("Concat", over_noise, voiced, name="noise.rows", axis=2)
        rows = [node("Unsqueeze", x, end, name=f"{x}.channel") for x in (over_pulses, over_noise)]
        return told, node("Concat", *rows, name="rows", axis=2)

    def _table(self, name: str) -> str:
        return self.writer.exact_values(name, self.tables[name])

    def _looked_up(self, end: str) -> str:
        """As envelopes.looked_up: [B, T, M]."""
        node, last = self.writer.node, envelopes.OCTAVES * envelopes.EACH - 1e-3
        place = self.by("Max", "f0_hz", envelopes.LOWEST_HZ, "pulse_mels.limited")
        place = node("Log", self.by("Div", place, envelopes.LOWEST_HZ, "pulse_mels.relative"), name="pulse_mels.log")
        place = self.by("Mul", place, envelopes.EACH / math.log(2), "pulse_mels.unlimited")
        place = self.by("Min", place, last, "pulse_mels.place")
        row = node("Floor", place, name="pulse_mels.floor")
        between = node("Unsqueeze", node("Sub", place, row, name="pulse_mels.rest"), end, name="pulse_mels.between")
        rows = (row, self.by("Add", row, 1.0, "pulse_mels.next"))
        rows = [node("Cast", x, name=f"{x}.index", to=self.writer.onnx.TensorProto.INT64) for x in rows]
        lower, upper = (node("Gather", self._table("pulse_mels"), x, name=f"{x}.rows", axis=0) for x in rows)
        rise = node("Mul", node("Sub", upper, lower, name="pulse_mels.rise"), between, name="pulse_mels.part")
        return node("Add", lower, rise, name="pulse_mels.looked_up")

    def network(self, told: str) -> tuple[str, str]:
        """(corrections [B, T, 2, bands], gains [B, T, 2, N] before their exponential), float32."""
        writer, config = self.writer, self.config
        enter, *blocks = config.reaches
        x = writer.node("Transpose", writer.graph_input(told), name="enter.channels", perm=[0, 2, 1])
        x = writer.node("Transpose", writer.conv("enter", x, pads=[*enter]), name="enter.frames", perm=[0, 2, 1])
        for i, reach in enumerate(blocks):
            name = f"blocks.{i}"
            y = writer.node("Transpose", x, name=f"{name}.channels", perm=[0, 2, 1])
            y = writer.conv(f"{name}.conv", y, pads=[*reach], group=config.channels)
            y = self._normed(writer.node("Transpose", y, name=f"{name}.frames", perm=[0, 2, 1]), f"{name}.norm")
            y = self._linear(self._gelu(self._linear(y, f"{name}.wide"), name), f"{name}.narrow")
            y = writer.node("Mul", y, writer.parameter(f"{name}.scale"), name=f"{name}.scaled")
            x = writer.node("Add", x, y, name=name)
        x = self._linear(self._normed(x, "norm"), "leave")
        if writer.compute_type != writer.FLOAT:
            x = writer.node("Cast", x, name="leave.exact", to=writer.FLOAT)
        x = self.shaped(x, [0, 0, 2, config.bands + config.gain_points], "leave.channels")
        end = 2**31 - 1
        return self.slice(x, 3, 0, config.bands, "changes"), self.slice(x, 3, config.bands, end, "gains.log")

    def _normed(self, x: str, name: str) -> str:
        parameters = self.writer.weight(name), self.writer.bias(name)
        return self.writer.node("LayerNormalization", x, *parameters, name=name, axis=-1, epsilon=EPSILON)

    def _linear(self, x: str, name: str) -> str:
        weight = self.writer.node("Transpose", self.writer.weight(name), name=f"{name}.turned", perm=[1, 0])
        return self.writer.node(
            "Add", self.writer.node("MatMul", x, weight, name=name), self.writer.bias(name), name=f"{name}.out"
        )

    def _gelu(self, x: str, name: str) -> str:
        """x/2 · (1 + erf(x/√2))"""
        node, number, name = self.writer.node, self.writer.scalar, f"{name}.gelu"
        share = node("Erf", node("Mul", x, number("root", 0.5**0.5), name=f"{name}.scaled"), name=f"{name}.erf")
        share = node(
            "Mul",
            node("Add", share, number("one", 1.0), name=f"{name}.raised"),
            number("half", 0.5),
            name=f"{name}.share",
        )
        return node("Mul", x, share, name=name)

    def frames(self, gains: str) -> str:
        """The excitation under its gains, in frames of two hops: [B, T+2, 2, 2·hop]."""
        node, hop, end = self.writer.node, self.hop, 2**31 - 1
        gains = node("Exp", gains, name="gains")
        first = self.slice(self.slice(gains, 1, 0, 1, "gains.first_frame"), 3, 0, 1, "gains.first")
        last = self.slice(self.slice(gains, 1, -1, end, "gains.last_frame"), 3, -1, end, "gains.last")
        before = node("Concat", first, self.slice(gains, 3, -1, end, "gains.ends"), name="gains.before", axis=1)
        after = node("Concat", self.slice(gains, 3, 0, 1, "gains.starts"), last, name="gains.after", axis=1)
        ends = self.slice(before, 1, 0, -1, "gains.left"), self.slice(after, 1, 1, end, "gains.right")
        points = node("Concat", ends[0], gains, ends[1], name="gains.points", axis=3)
        lines = self.writer.exact_values("gains.lines", between_points(self.config))
        sizes = node("MatMul", points, lines, name="gains.samples")
        x = self.shaped("source", [0, -1, hop, 2], "source.frames")
        x = node("Mul", node("Transpose", x, name="source.channels", perm=[0, 1, 3, 2]), sizes, name="source.loud")
        x = self.shaped(node("Transpose", x, name="source.first", perm=[0, 2, 1, 3]), [0, 2, -1], "source.samples")
        around = 3 * hop // 2
        x = self.padded(x, [0, 0, around, 0, 0, around], "source.padded")
        x = self.shaped(x, [0, 2, -1, hop], "source.hops")
        both = self.slice(x, 2, 0, -1, "source.left"), self.slice(x, 2, 1, end, "source.right")
        x = node("Concat", *both, name="source.two_hops", axis=3)
        return node("Transpose", x, name="source.framed", perm=[0, 2, 1, 3])

    def spectra(self, rows: str) -> tuple[str, str]:
        """(real, imaginary parts) of the filters, [B, T+2, 2, F]."""
        node = self.writer.node
        self.cos, self.sin = self._circle()
        matrix = filter_matrix(self.tables)
        to_magnitude = self.writer.exact_values("filters.matrix", matrix)
        # cepstrum: the inverse transform; its positive times twice, then the sine transform, is the minimum phase
        weighted = self.writer.exact_values("filters.weighted", self._inverse_weights())
        square = [self.slice(x, 1, 0, self.bins, f"{x}.square") for x in (self.cos, self.sin)]
        cepstrum = node(
            "MatMul", node("Mul", to_magnitude, weighted, name="phases.weighted"), square[0], name="phases.cepstrum"
        )
        folded = self.by("Mul", cepstrum, -2.0, "phases.folded")
        turned = node("Transpose", square[1], name="phases.turned", perm=[1, 0])
        to_phase = node("MatMul", folded, turned, name="phases.matrix")
        magnitude = node("Exp", node("MatMul", rows, to_magnitude, name="filters.log"), name="filters.magnitude")
        phase = node("MatMul", rows, to_phase, name="filters.phase")
        parts = {"Cos": "filters.real", "Sin": "filters.imaginary"}
        real, imaginary = (
            node("Mul", magnitude, node(op, phase, name=f"{name}.unit"), name=name) for op, name in parts.items()
        )
        return real, imaginary

    def _circle(self) -> tuple[str, str]:
        """cos and sin of 2πkn/P, [F, P]; kn is a whole number below 2²³ (transform_samples are 4096 at most), and is
        brought below P before it is multiplied."""
        node, points = self.writer.node, float(self.points)
        order = self.writer.exact_values("circle.orders", torch.arange(self.bins)[:, None])
        place = self.writer.exact_values("circle.places", torch.arange(self.points)[None])
        product = node("Mul", order, place, name="circle.product")
        turns = node("Floor", self.by("Div", product, points, "circle.cycles"), name="circle.turns")
        rest = node("Sub", product, self.by("Mul", turns, points, "circle.whole"), name="circle.rest")
        angle = self.by("Mul", rest, 2 * math.pi / points, "circle.angle")
        return node("Cos", angle, name="circle.cos"), node("Sin", angle, name="circle.sin")

    def _inverse_weights(self) -> torch.Tensor:
        """[F]: what the bins of a half spectrum count for in its inverse transform."""
        weights = torch.full((self.bins,), 2 / self.points)
        weights[0] = weights[-1] = 1 / self.points
        return weights

    def audio(self, framed: str, real: str, imaginary: str) -> str:
        """Frames through the filters, both channels' answers added, then each other's at their places: [B, T·hop]."""
        node, hop = self.writer.node, self.hop
        window = self.writer.exact_values("analysis.window", filters.window(hop)[:, None])
        halves = []
        for x in (self.cos, self.sin):
            turned = node("Transpose", self.slice(x, 1, 0, 2 * hop, f"{x}.frame"), name=f"{x}.turned", perm=[1, 0])
            matrix = node("Mul", turned, window, name=f"{x}.windowed")
            halves.append(node("MatMul", framed, matrix, name=f"{x}.analysed"))
        even, odd = halves  # the spectrum is even − i·odd
        answers = {}
        for name, one, other, op in (("real", real, imaginary, "Add"), ("imaginary", imaginary, real, "Sub")):
            products = node("Mul", even, one, name=f"{name}.even"), node("Mul", odd, other, name=f"{name}.odd")
            both = node(op, *products, name=f"{name}.channels")
            axis = self.writer.integers("channel.axis", [2])
            answers[name] = node("ReduceSum", both, axis, name=f"{name}.sum", keepdims=0)
        weights = self.writer.exact_values("synthesis.weights", self._inverse_weights()[:, None])
        pieces = []
        for name, x in (("real", self.cos), ("imaginary", self.sin)):
            matrix = node("Mul", x, weights, name=f"synthesis.{name}.matrix")
            pieces.append(node("MatMul", answers[name], matrix, name=f"synthesis.{name}"))
        return self._overlapped(node("Sub", *pieces, name="synthesis"))

    def _overlapped(self, answers: str) -> str:
        """[B, T+2, P] → [B, T·hop]."""
        node, hop, count = self.writer.node, self.hop, self.points // self.hop
        pieces, total = self.shaped(answers, [0, 0, count, hop], "overlap.pieces"), ""
        for i in range(count):
            x = self.slice(pieces, 2, i, i + 1, f"overlap.{i}.piece")
            x = self.shaped(x, [0, -1, hop], f"overlap.{i}.rows")
            x = self.padded(x, [0, i, 0, 0, count - 1 - i, 0], f"overlap.{i}")
            total = node("Add", total, x, name=f"overlap.{i}.sum") if i else x
        return self.slice(
            self.shaped(total, [0, -1], "overlap.samples"), 1, 3 * hop // 2, -(2 * count - 1) * hop // 2, "audio"
        )
