#!/bin/bash
# cuda.sh REQUIREMENTS FOLDER: CUDA's libraries from pinned wheels, without what only a compiler or another program needs.
set -euo pipefail

requirements=$1 folder=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

python3 -m pip install --quiet --no-cache-dir --no-compile --disable-pip-version-check --root-user-action=ignore \
  --no-deps --only-binary=:all: --require-hashes --target "$work" --requirement "$requirements"

mkdir -p "$folder/lib" "$folder/licences"
mv "$work"/nvidia/*/lib/*.so.* "$folder/lib/"
# BLAS and FFTW under other names, and NVRTC built for older drivers: nothing here loads them.
rm -f "$folder"/lib/{libnvblas,libcufftw,libnvrtc.alt,libnvrtc-builtins.alt}.so.*
for package in "$work"/*.dist-info; do
  licence=$(find "$package" -name License.txt -print -quit)
  cp "${licence:?$package has no License.txt}" "$folder/licences/$(basename "$package" .dist-info).txt"
done
chmod -R u=rwX,go=rX "$folder"
