"""Renew the golden hashes of quantized tensors: `python scripts/golden_tensors.py LLAMA_QUANTIZE`.

Each of the tests' small models is quantized by llama.cpp's own tool, at every level.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from cohete.quantize.gguf import read_model  # noqa: E402
from cohete.quantize.types import Level  # noqa: E402
from tests.quantize.models import MODELS, pairs_of, write  # noqa: E402
from tests.quantize.vocabulary import vocabulary_pairs  # noqa: E402


def hashes(path: Path) -> dict[str, str]:
    """By tensor: its type, and sha256 of its data."""
    data = path.read_bytes()
    return {
        tensor.name: f"{tensor.type.label} "
        + hashlib.sha256(data[tensor.offset : tensor.offset + tensor.bytes]).hexdigest()[:32]
        for tensor in read_model(path).tensors
    }


def main() -> None:
    golden: dict[str, dict[str, dict[str, str]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.gguf"
        for name, small in MODELS.items():
            pairs = pairs_of(small) | vocabulary_pairs(small.vocabulary)
            path = write(small, Path(folder) / f"{name}.gguf", pairs)
            golden[name] = {}
            for level in Level:
                for pure in (False, True):
                    argv = [sys.argv[1], *(["--pure"] if pure else []), path, out, level.value, "1"]
                    subprocess.run(argv, check=True, capture_output=True)
                    golden[name][f"{level.value}{' pure' if pure else ''}"] = hashes(out)
    target = ROOT / "tests" / "quantize" / "golden.json"
    target.write_text(json.dumps(golden, indent=0) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
