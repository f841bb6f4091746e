#!/bin/bash
# tensorrt.sh FOLDER: what ONNX Runtime loads of TensorRT, from NVIDIA's image in which this runs.
set -euo pipefail

folder=$1
from=/usr/lib/x86_64-linux-gnu
mkdir -p "$folder/lib"
# With what the builder knows of each GPU, but for what it knows of Windows.
find "$from" -maxdepth 1 -name 'libnvinfer_builder_resource*.so.10*' ! -name '*_win*' -exec cp -a {} "$folder/lib/" +
cp -a "$from"/libnvinfer.so.10* "$from"/libnvinfer_plugin.so.10* "$from"/libnvonnxparser.so.10* "$folder/lib/"
chmod -R u=rwX,go=rX "$folder"
