"""Build llama-quantize, the baseline of `benchmarks.quantize`, and llama-perplexity, which measures
for `benchmarks.large_quality`, from the sources in a PyPI package.

`python -m benchmarks.build_llama_quantize FOLDER` prints where the first is; the other is beside
it. Needs cmake and a C++ compiler; takes some minutes. The sdist of llama-cpp-python carries
llama.cpp's own sources.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
from pathlib import Path

PACKAGE = "llama-cpp-python"
OPTIONS = ("GGML_CUDA=OFF", "LLAMA_CURL=OFF", "LLAMA_OPENSSL=OFF", "LLAMA_BUILD_TESTS=OFF",
           "LLAMA_BUILD_SERVER=OFF", "LLAMA_BUILD_EXAMPLES=OFF", "BUILD_SHARED_LIBS=OFF",
           "CMAKE_BUILD_TYPE=Release")  # fmt: skip


def build(folder: Path) -> Path:
    """The program. Raises CalledProcessError where a step fails."""
    folder.mkdir(parents=True, exist_ok=True)
    if not list(folder.glob("llama_cpp_python-*.tar.gz")):
        argv = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary", ":all:",
                "--no-build-isolation", "-d", str(folder), PACKAGE]  # fmt: skip
        subprocess.run(argv, check=True)
    archive = max(folder.glob("llama_cpp_python-*.tar.gz"))
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    source = folder / archive.name.removesuffix(".tar.gz") / "vendor" / "llama.cpp"
    made = source / "build"
    options = [f"-D{option}" for option in OPTIONS]
    subprocess.run(["cmake", "-S", source, "-B", made, *options], check=True)
    targets = ("llama-quantize", "llama-perplexity")
    subprocess.run(["cmake", "--build", made, "--target", *targets, "-j"], check=True)
    return made / "bin" / "llama-quantize"


if __name__ == "__main__":
    print(build(Path(sys.argv[1])))
