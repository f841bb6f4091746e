#!/usr/bin/env python3
"""Packs the submitter for Lambda: package.py BOOTSTRAP ZIP

Fails where the binary needs a newer C library than Lambda's (Amazon Linux 2023: glibc 2.34), or where the package is too large. The same
binary makes the same package, byte for byte.
"""

import re
import subprocess
import sys
import zipfile
from pathlib import Path

GLIBC = (2, 34)
LIMIT = 15 * 10**6


def main(binary, package):
    symbols = subprocess.run(["objdump", "-T", binary], check=True, capture_output=True, text=True).stdout
    needed = {tuple(map(int, version.split("."))) for version in re.findall(r"GLIBC_([0-9.]+)", symbols)}
    newest = max(needed)
    if newest > GLIBC:
        sys.exit(f"{binary} needs glibc {'.'.join(map(str, newest))}, Lambda has {'.'.join(map(str, GLIBC))}: build it on an older system")
    Path(package).parent.mkdir(parents=True, exist_ok=True)
    entry = zipfile.ZipInfo("bootstrap", (1980, 1, 1, 0, 0, 0))
    entry.external_attr = 0o755 << 16
    entry.create_system = 3
    with zipfile.ZipFile(package, "w") as out:
        out.writestr(entry, Path(binary).read_bytes(), zipfile.ZIP_DEFLATED, 9)
    size, whole = Path(package).stat().st_size, Path(binary).stat().st_size
    if size > LIMIT:
        sys.exit(f"{package} has {size / 1e6:.1f} MB, more than {LIMIT / 1e6:.0f}")
    print(f"{package}: {size / 1e6:.1f} MB, unpacked {whole / 1e6:.1f} MB, glibc {'.'.join(map(str, newest))}")


if __name__ == "__main__":
    main(*sys.argv[1:])
