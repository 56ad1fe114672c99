"""Fetching official files with pooch: checked by sha256, from several mirrors, with retry and progress."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kernelfit.arguments import at_home
from kernelfit.errors import DataError
from kernelfit.progress import Advance, Progress, ProgressLike, as_progress

from .locate import VARIABLE, cache_folder
from .spec import RemoteFile, Spec

# Attempts at one mirror after the first; pooch waits 1, 2, ... seconds between them.
RETRIES = 2
# Seconds without a byte after which an attempt counts as failed.
TIMEOUT = 30.0
_CHUNK = 1 << 16


def fetch(
    spec: Spec, data_dir: Path | None = None, progress: ProgressLike = None, retries: int = RETRIES
) -> Path:
    """Download what is missing of `spec` and return the folder that then holds it all.

    Files go to `data_dir`/FOLDER (of the spec, else its name), or to the cache folder when `data_dir` is None. A file
    that is there and has the official sha256 stays as it is. A download lands under its name only after its sha256
    was checked.
    Raises DataError, one line with every mirror's answer, when a file cannot be had.
    """
    report = as_progress(progress)
    folder = (at_home(data_dir) if data_dir is not None else cache_folder()) / (spec.folder or spec.name)
    for remote in spec.downloads:
        _fetch_file(remote, folder, report, retries)
    return folder


def _fetch_file(remote: RemoteFile, folder: Path, progress: Progress, retries: int) -> None:
    import pooch
    import requests.exceptions

    answers = []
    for url in remote.mirrors:
        store = pooch.create(
            path=folder,
            base_url="",
            registry={remote.name: f"sha256:{remote.sha256}"},
            urls={remote.name: url},
            retry_if_failed=retries,
        )
        try:
            with _quiet_pooch(), progress.phase(f"download {remote.name}", remote.size, "bytes") as advance:
                meter = _Meter(remote, advance)
                # Servers must not unzip on the way: the digest is that of the file as it is.
                downloader = pooch.HTTPDownloader(
                    progressbar=meter,
                    chunk_size=_CHUNK,
                    timeout=TIMEOUT,
                    headers={"Accept-Encoding": "identity"},
                )
                store.fetch(remote.name, downloader=downloader)
            return
        except (requests.exceptions.RequestException, ValueError) as error:
            answers.append(f"{url}: {_reason(error)}")
            progress.note(f"no {remote.name} from {url}: {_reason(error)}")
        except OSError as error:
            raise DataError(
                f"{folder}: cannot store {remote.name} there ({error}); name another data_dir"
            ) from error
    _remove_if_empty(folder)
    raise DataError(
        f"{remote.name}: expected sha256 {remote.sha256[:12]}..., found it nowhere ({'; '.join(answers)}); "
        f"download it elsewhere and set ${VARIABLE} or data_dir=FOLDER to where it is"
    )


def _remove_if_empty(folder: Path) -> None:
    """A fetch that brought nothing leaves nothing."""
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def _reason(error: Exception) -> str:
    import requests.exceptions

    # Both are errors of connection as well, but of another remedy.
    if isinstance(error, requests.exceptions.SSLError):
        return "a certificate that is not trusted; $REQUESTS_CA_BUNDLE names further ones"
    if isinstance(error, requests.exceptions.ProxyError):
        return "no connection through the proxy of $HTTPS_PROXY or $HTTP_PROXY"
    if isinstance(error, requests.exceptions.ConnectionError):
        return "no connection"
    if isinstance(error, requests.exceptions.Timeout):
        return "no answer in time"
    if isinstance(error, ValueError) and "hash" in str(error):
        return "a file of another sha256"
    return " ".join(str(error).split())[:120]


class _Meter:
    """What pooch takes for a progress bar: passes bytes on and stops a server that sends far too many."""

    def __init__(self, remote: RemoteFile, advance: Advance) -> None:
        self._total = 0
        self._remote = remote
        self._advance = advance
        self._received = 0
        self._shown = 0

    @property
    def total(self) -> int:
        """What the server says it will send; pooch sets it when an attempt begins."""
        return self._total

    @total.setter
    def total(self, value: int) -> None:
        self._total = value
        self._received = 0

    def update(self, amount: int) -> None:
        self._received += amount
        if self._received > self._remote.size + 2 * _CHUNK:
            raise ValueError(f"more than the {self._remote.size} bytes of the official file")
        shown = min(self._received, self._remote.size)
        if shown > self._shown:
            self._advance(shown - self._shown)
            self._shown = shown

    def reset(self) -> None:
        self._received = 0

    def close(self) -> None:
        self._received = 0


@contextmanager
def _quiet_pooch() -> Iterator[None]:
    """Keep pooch's own log lines off standard error; what matters goes through Progress."""
    import pooch

    logger: logging.Logger = pooch.get_logger()
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)
