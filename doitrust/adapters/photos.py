"""Photographs for a certificate's document, without what a camera writes into them: place, time, device (EXIF)."""

import io
import warnings
from pathlib import Path

from doitrust.adapters.files import read_bounded
from doitrust.errors import BadData
from doitrust.text import visible

#: Bytes of a file, and pixels of a picture: more is no photograph of a seal.
_MAX_BYTES = 32 * 1024 * 1024
_MAX_PIXELS = 64_000_000
#: The longer side of what is published, in pixels.
_SIDE = 2400
_QUALITY = 85


def clean_photo(path: Path) -> bytes:
    """Return the picture in `path` as a JPEG made anew from its pixels alone, upright, at most 2,400 pixels long.

    Raises `BadData` for what is no picture, `Unavailable` for a file that can't be read.
    """
    from PIL import Image, ImageOps  # noqa: PLC0415  # only where there are photographs

    data = read_bounded(path, _MAX_BYTES, "the photograph")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what it thinks of their EXIF data, for one
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=("JPEG", "PNG", "WEBP", "TIFF")) as opened:
                if opened.width * opened.height > _MAX_PIXELS:
                    raise BadData(f"{visible(str(path))} has more than {_MAX_PIXELS // 1_000_000} megapixels")
                picture = ImageOps.exif_transpose(opened).convert("RGB")
    except BadData:
        raise
    except Exception:  # noqa: BLE001  # a damaged picture makes its readers raise whatever they like
        raise BadData(f"{visible(str(path))} is no photograph that can be read", hint="JPEG or PNG") from None
    picture.thumbnail((_SIDE, _SIDE))
    written = io.BytesIO()
    bare = Image.frombytes("RGB", picture.size, picture.tobytes())  # nothing but its pixels
    bare.save(written, "JPEG", quality=_QUALITY, optimize=True)
    return written.getvalue()
