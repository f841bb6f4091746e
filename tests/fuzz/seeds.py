#!/usr/bin/env python3
"""Small images of every format as seeds for the fuzz targets: seeds.py PHOTO CORPUS"""

import struct
import sys
from pathlib import Path

import cv2
import numpy as np

photo, corpus = sys.argv[1:]
corpus, fixtures = Path(corpus), Path(__file__).parent.parent / "fixtures"
image = cv2.resize(cv2.imread(photo), (48, 40), interpolation=cv2.INTER_AREA)
grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
clear = np.dstack([image, grey])


def put(target, name, data):
    for folder in (corpus / target, corpus / "header"):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def encoded(extension, pixels, *options):
    done, data = cv2.imencode(extension, pixels, options)
    assert done, extension
    return data.tobytes()


def turned(jpeg, orientation):
    """A JPEG with an EXIF orientation (TIFF, big endian, one entry) after its first two bytes."""
    tiff = b"MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    body = b"Exif\0\0" + tiff
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + jpeg[2:]


plain = encoded(".jpg", image)
put("jpeg", "colour.jpg", plain)
put("jpeg", "grey.jpg", encoded(".jpg", grey))
put("jpeg", "progressive.jpg", encoded(".jpg", image, cv2.IMWRITE_JPEG_PROGRESSIVE, 1))
put("jpeg", "restarts.jpg", encoded(".jpg", image, cv2.IMWRITE_JPEG_RST_INTERVAL, 2))
for orientation in (3, 6, 7):
    put("jpeg", f"turned-{orientation}.jpg", turned(plain, orientation))
put("png", "colour.png", encoded(".png", image))
put("png", "grey.png", encoded(".png", grey))
put("png", "clear.png", encoded(".png", clear))
put("png", "deep.png", encoded(".png", image.astype(np.uint16) * 257))
put("webp", "lossy.webp", encoded(".webp", image, cv2.IMWRITE_WEBP_QUALITY, 60))
put("webp", "lossless.webp", encoded(".webp", image, cv2.IMWRITE_WEBP_QUALITY, 101))
put("webp", "clear.webp", encoded(".webp", clear, cv2.IMWRITE_WEBP_QUALITY, 60))
put("heif", "quarters.heic", (fixtures / "quarters.heic").read_bytes())
