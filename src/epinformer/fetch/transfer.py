"""Get one file over HTTP, again and again until all of it is there, going on where an earlier attempt ended."""

from __future__ import annotations

import http.client
import logging
import re
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from email.message import Message
from pathlib import Path
from typing import Any, NamedTuple

from epinformer import __version__
from epinformer.errors import FetchError
from epinformer.fetch.part import Part, append, discard, note, opened, part_of, require_room
from epinformer.fetch.registry import Entry, allowed

logger = logging.getLogger(__name__)

Progress = Callable[[int, int], None]

_BLOCK = 1 << 18
# Answers of a server that is busy or has a mishap; all others stay the same when asked again.
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
_PARTIAL, _UNSATISFIABLE = 206, 416
GO_ON = "The same command goes on where this one stopped"


class Patience(NamedTuple):
    """How long to wait, in seconds.

    ``stall`` of silence end an attempt; after ``attempts`` in a row without a new byte no other is made; the wait
    before the second is ``first_wait`` and doubles each time, up to ``longest_wait``. ``lock`` is how long to wait for
    another process that downloads the same file.
    """

    stall: float = 60.0
    attempts: int = 6
    first_wait: float = 1.0
    longest_wait: float = 60.0
    lock: float = 10.0


class _Passing(Exception):
    """An attempt that ended early; another may do better."""

    def __init__(self, what: str, wait: float | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.wait = wait


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follow to addresses that the registry could hold, and to no others."""

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: http.client.HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        if not allowed(newurl) or (req.full_url.startswith("https:") and not newurl.startswith("https:")):
            fp.close()
            raise FetchError(f"redirects to {newurl}, which is not encrypted", source=req.full_url)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def transfer(entry: Entry, part: Path, *, patience: Patience, progress: Progress | None = None) -> int:
    """Complete ``part``, the beginning of the file, which need not exist.

    An attempt asks for what is missing (``Range``), if the file is still the version that the part is of
    (``If-Range`` with the server's strong ETag or, if there is none, its time of change, kept in ``PART.json``); else
    it starts anew. Cut connections, silence and passing errors of the server are followed by another attempt, after a
    wait that doubles; an attempt that got farther than all before counts as the first.

    Parameters
    ----------
    entry
        What to get.
    part
        Where to.
    patience
        When to stop trying.
    progress
        Called with the bytes that are there and that there will be (0: the server does not say).

    Returns
    -------
    int
        How many bytes came over the network.

    Raises
    ------
    FetchError
        The server refuses, has a file of another length than is published, redirects to where nothing is encrypted, or
        did not give all of it in the attempts that patience allows. What came is kept.
    OutputError
        The disk is full, or would be.
    """
    opener = urllib.request.build_opener(_Redirects)
    furthest, failures, received = part_of(part, entry.url).done, 0, 0
    while True:
        before = part_of(part, entry.url).done
        try:
            return received + _attempt(opener, entry, part, patience, progress)
        except _Passing as error:
            done = part_of(part, entry.url).done
            received += max(0, done - before)
            failures = 1 if done > furthest else failures + 1
            furthest = max(furthest, done)
            if failures >= patience.attempts:
                raise FetchError(
                    f"cannot be downloaded: {error.what}; given up after {failures} attempts, {done:,} bytes are kept",
                    source=entry.url,
                    fix=GO_ON,
                ) from error
            wait = patience.first_wait * 2 ** (failures - 1) if error.wait is None else error.wait
            wait = min(wait, patience.longest_wait)
            logger.info("%s: %s; again in %g s, %s bytes are there", entry.file, error.what, wait, f"{done:,}")
        time.sleep(wait)


def remote_size(entry: Entry, patience: Patience) -> int | None:
    """Ask the server how long a file is, by its first byte; None if it does not say, whatever the reason."""
    # Not HEAD: the signed addresses that ENCODE redirects to allow GET only.
    request = _request(entry.url, {"Range": "bytes=0-0"})
    try:
        with urllib.request.build_opener(_Redirects).open(request, timeout=patience.stall) as response:
            return _total(response.status, response.headers, 0)
    except (FetchError, OSError, http.client.HTTPException):
        return None


def _attempt(
    opener: urllib.request.OpenerDirector, entry: Entry, part: Path, patience: Patience, progress: Progress | None
) -> int:
    """One request and its answer; gives how many bytes came."""
    old = part_of(part, entry.url)
    if old.total is not None and old.done == old.total:
        return 0
    # Without a mark of the version an old part might be glued to a new file.
    headers = {}
    if old.done and old.validator is not None:
        headers = {"Range": f"bytes={old.done}-", "If-Range": old.validator}
    try:
        response = opener.open(_request(entry.url, headers), timeout=patience.stall)
    except urllib.error.HTTPError as error:
        with error:
            if error.code == _UNSATISFIABLE and headers:
                return _past_the_end(error.headers, old, part)
            raise _refusal(error, entry, part) from error
    except urllib.error.URLError as error:
        if isinstance(error.reason, ssl.SSLCertVerificationError):
            raise FetchError(f"shows no valid certificate: {error.reason}", source=entry.url) from error
        raise _Passing(_in_words(error.reason, patience)) from error
    except (OSError, http.client.HTTPException) as error:
        raise _Passing(_in_words(error, patience)) from error
    with response:
        resumed = response.status == _PARTIAL
        total = _total(response.status, response.headers, old.done if resumed else 0)
        if resumed and (_start(response.headers) != old.done or _differs(response.headers, total, old)):
            discard(part)
            raise _Passing("what comes does not fit what is there, so that all of it is needed")
        if entry.size is not None and total is not None and total != entry.size:
            raise FetchError(
                f"has {total:,} bytes, and {entry.size:,} are published",
                source=entry.url,
                fix=by_hand(entry, part.parent),
            )
        if old.done and not resumed:
            logger.info("%s: has changed, or the server cannot send parts; it is downloaded anew", entry.file)
        done = old.done if resumed else 0
        if total is not None:
            # The bytes of a part that starts anew are given back.
            require_room(part.parent, total - old.done, part)
        return _write(response, part, Part(done, _validator(response.headers), total), entry, patience, progress)


def _write(response: Any, part: Path, start: Part, entry: Entry, patience: Patience, progress: Progress | None) -> int:
    """Append the body to the part, which begins anew unless something of it is used."""
    done, total = start.done, start.total
    with opened(part, "ab" if done else "wb") as handle:
        if not done:
            # After the old bytes are gone: they must not be taken for the beginning of this version.
            note(part, entry.url, start)
        while total is None or done < total:
            try:
                block = response.read1(_BLOCK if total is None else min(_BLOCK, total - done))
            except (OSError, http.client.HTTPException) as error:
                raise _Passing(_in_words(error, patience)) from error
            if not block:
                break
            append(handle, block, part)
            done += len(block)
            if progress is not None:
                progress(done, total or entry.size or 0)
    if total is not None and done < total:
        raise _Passing(f"the connection was cut after {done:,} of {total:,} bytes")
    return done - start.done


def _past_the_end(headers: Message, old: Part, part: Path) -> int:
    """The server has nothing after what is there: that is all of it, or it is of another version."""
    length = re.fullmatch(r"bytes \*/(\d+)", headers.get("Content-Range", "").strip())
    if length and int(length[1]) == old.done and not _differs(headers, old.done, Part(old.done, old.validator)):
        return 0
    discard(part)
    raise _Passing("what is there is longer than the file, so that all of it is needed")


def _refusal(error: urllib.error.HTTPError, entry: Entry, part: Path) -> Exception:
    what = " ".join(f"the server answers {error.code} {error.reason}".split())
    if error.code in _PASSING:
        wait = error.headers.get("Retry-After", "")
        return _Passing(what, float(wait) if wait.isdecimal() else None)
    return FetchError(f"cannot be downloaded: {what}", source=entry.url, fix=by_hand(entry, part.parent))


def by_hand(entry: Entry, folder: Path) -> str:
    """What a person can do about a file that its address does not give."""
    look = f"Look at {entry.page} and put the file" if entry.page else "Find the file and put it"
    return f"{look} into {folder} as {entry.file} yourself"


def _request(url: str, headers: dict[str, str]) -> urllib.request.Request:
    ours = {"User-Agent": f"epinformer/{__version__}", "Accept-Encoding": "identity"}
    return urllib.request.Request(url, headers={**ours, **headers})


def _total(status: int, headers: Message, done: int) -> int | None:
    """The length of the whole file that an answer speaks of."""
    if status == _PARTIAL:
        length = re.fullmatch(r"bytes \d+-\d+/(\d+)", headers.get("Content-Range", "").strip())
        if length:
            return int(length[1])
    rest = headers.get("Content-Length", "")
    return done + int(rest) if rest.isdecimal() else None


def _start(headers: Message) -> int | None:
    start = re.match(r"bytes (\d+)-", headers.get("Content-Range", "").strip())
    return int(start[1]) if start else None


def _validator(headers: Message) -> str | None:
    """A strong ETag or, failing that, the time of the last change: what If-Range takes (RFC 9110, section 13.1.5)."""
    tag = headers.get("ETag")
    return tag if tag and tag.startswith('"') else headers.get("Last-Modified")


def _differs(headers: Message, total: int | None, old: Part) -> bool:
    """Whether an answer is of another version than the part; servers may not know If-Range."""
    by_tag = old.validator is not None and old.validator.startswith('"')
    now = headers.get("ETag" if by_tag else "Last-Modified")
    return (now is not None and now != old.validator) or (None not in (total, old.total) and total != old.total)


def _in_words(error: object, patience: Patience) -> str:
    if isinstance(error, TimeoutError):
        return f"nothing came for {patience.stall:g} s"
    if isinstance(error, http.client.IncompleteRead):
        return "the connection was cut"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
