"""The embedded image, and images of the host's programs, made by a process of their own (`from_host`).

`firkin/tiny` is never fetched from a registry: it is made of this machine's userland when it is first asked for.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from firkin.errors import FirkinError, Invalid
from firkin.oci.reference import DEFAULT_TAG, parse_reference

TINY = parse_reference("firkin/tiny").with_default_tag()
_START = "import sys; sys.path[:0] = sys.argv.pop(1).split(':'); from firkin.images.from_host import main; main()"
_STEP = 1 << 20


def is_embedded(text: str) -> bool:
    """Whether `text` names the embedded image."""
    try:
        reference = parse_reference(text).with_default_tag()
    except FirkinError:
        return False
    return reference.name == TINY.name and reference.tag == DEFAULT_TAG and not reference.digest


@asynccontextmanager
async def archive_from_host(programs: Sequence[str], name: str) -> AsyncIterator[AsyncIterator[bytes]]:
    """The archive of an image called `name` that runs `programs` (paths, or names along PATH); of none: of the embedded
    image. Raises `Invalid` for a program that is not there."""
    arguments = ["--tag", name, "--", *programs] if programs else ["--tiny"]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-ISE", "-c", _START, ":".join(filter(None, sys.path)), *arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": os.environ.get("PATH", os.defpath)},
        limit=_STEP,
    )
    assert process.stdout and process.stderr
    try:
        yield _output(process, process.stdout, process.stderr)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _output(
    process: asyncio.subprocess.Process, stdout: asyncio.StreamReader, stderr: asyncio.StreamReader
) -> AsyncIterator[bytes]:
    while chunk := await stdout.read(_STEP):
        yield chunk
    said = (await stderr.read()).decode("utf-8", "replace").strip()
    if await process.wait():
        raise Invalid(said.rpartition("\n")[2].removeprefix("firkin image from-host: "))
