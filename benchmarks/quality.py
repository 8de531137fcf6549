"""What the search of scales gains, over models that are the same function in other blocks.

`python -m benchmarks.quality MODEL TOKENS [COUNT]`: MODEL is a small llama-shaped F16 file with
tied embeddings, TOKENS a .npy file of tokens it was not trained on. One small model says little:
which numbers share a block decides more than the encoder. Its channels can be put in any order
without changing what it computes, which gives as many models as wanted (COUNT, 80). Prints KL
divergence from the model itself on the tokens: of llama-quantize's encoder; of the search that
weighs columns, as it is for models that are too large to try it out, and of `--quality`, as ratios
to it.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cohete.quantize.choosing import choose, chosen
from cohete.quantize.forward import Tokens
from cohete.quantize.gguf import Model, Tensor, read_model
from cohete.quantize.mixture import Recipe
from cohete.quantize.perplexity import measure
from cohete.quantize.plan import plan_model
from cohete.quantize.run import Quantizer
from cohete.quantize.shapes import shape_of
from cohete.quantize.types import Level, TensorType
from cohete.quantize.weighing import weighed

READERS = ("attn_q", "attn_k", "attn_v", "ffn_gate", "ffn_up", "token_embd")
WRITERS = ("attn_output", "ffn_down")
Array = npt.NDArray[np.generic]


def numbers_of(data: bytes, tensor: Tensor) -> Array:
    """A tensor as rows."""
    kind = np.float16 if tensor.type is TensorType.F16 else np.float32
    flat = np.frombuffer(data, kind, count=tensor.numbers, offset=tensor.offset)
    return flat.reshape(tensor.shape[::-1]).copy()


def reordered(source: Path, model: Model, seed: int, out: Path) -> None:
    """The same function: channels, hidden units and the numbers of a head in another order."""
    random = np.random.default_rng(seed)
    shape = shape_of(model)
    data = bytearray(source.read_bytes())
    arrays = {each.name: numbers_of(bytes(data), each) for each in model.tensors}
    channels = random.permutation(arrays["token_embd.weight"].shape[1])
    for name, array in arrays.items():
        kind = name.removesuffix(".weight").rpartition(".")[2]
        if kind in READERS:
            arrays[name] = array[:, channels]
        elif kind in WRITERS or kind.endswith("norm"):
            arrays[name] = array[channels]
        else:
            raise SystemExit(f"{name} is not known here")
    for block in sorted({name.rpartition(".ffn_down")[0] for name in arrays if "ffn_down" in name}):
        gate, up, down, value, output = (
            f"{block}.{kind}.weight"
            for kind in ("ffn_gate", "ffn_up", "ffn_down", "attn_v", "attn_output")
        )
        hidden = random.permutation(arrays[gate].shape[0])
        arrays[gate], arrays[up] = arrays[gate][hidden], arrays[up][hidden]
        arrays[down] = arrays[down][:, hidden]
        orders = [random.permutation(shape.value) for _ in range(shape.kv_heads)]
        values = np.split(arrays[value], shape.kv_heads)
        arrays[value] = np.concatenate([each[o] for each, o in zip(values, orders, strict=True)])
        # Several heads read the same values.
        parts = np.split(arrays[output], shape.heads, axis=1)
        shared = shape.heads // shape.kv_heads
        arrays[output] = np.concatenate(
            [part[:, orders[nth // shared]] for nth, part in enumerate(parts)], axis=1
        )
    for tensor in model.tensors:
        raw = np.ascontiguousarray(arrays[tensor.name]).tobytes()
        data[tensor.offset : tensor.offset + len(raw)] = raw
    out.write_bytes(data)


def divergences(model: Path, level: Level, tokens: Tokens) -> tuple[float, ...]:
    """Of a level of it from itself, in nats: by reference, by search, with encoders tried out."""
    plain, searched = (
        plan_model(read_model(model), Recipe(level), by_search=each) for each in (False, True)
    )
    searched = weighed(searched)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.gguf"
        found = []
        for plan in (plain, searched, chosen(searched, choose(searched).encoders)):
            Quantizer(plan, out).run()
            found.append(measure(model, out, tokens).divergence)
    return tuple(found)


def main() -> None:
    source, tokens = Path(sys.argv[1]), np.asarray(np.load(sys.argv[2]), np.int64)
    count = int(sys.argv[3]) if len(sys.argv) > 3 else 80
    model = read_model(source)
    with tempfile.TemporaryDirectory() as folder:
        models = [Path(folder) / f"{seed}.gguf" for seed in range(count)]
        for seed, path in enumerate(models):
            reordered(source, model, seed, path)
        same = measure(source, models[0], tokens).divergence
        print(f"{count} orders; the first is {same:.1e} nats from {source.name}")
        for level in (Level.Q4_0, Level.Q4_1, Level.Q5_0, Level.Q5_1):
            found = np.array([divergences(path, level, tokens) for path in models])
            print(f"{level}: reference {found[:, 0].mean():.5f}")
            for nth, name in ((1, "not tried out"), (2, "--quality")):
                ratios = found[:, nth] / found[:, 0]
                print(
                    f"  {name} {found[:, nth].mean() / found[:, 0].mean():.2f} times that on the "
                    f"mean, {np.median(ratios):.2f} at the median ({ratios.min():.2f} to "
                    f"{ratios.max():.2f}), lower for {(ratios < 1).sum()}", flush=True,
                )  # fmt: skip


if __name__ == "__main__":
    main()
