"""`firkin image from-host`: programs of this machine as an image archive on standard output. A process of its own.

    python -m firkin.images.from_host [-t NAME] PROGRAM... > image.tar
    python -m firkin.images.from_host --tiny > image.tar

The same programs give the same bytes, hence the same image id. `--tiny` is the embedded image firkin/tiny: busybox and all
its applets if the machine has a busybox that runs by itself, else its `sh` and core utilities.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from typing import IO

from firkin.errors import FirkinError, NotFound, reason
from firkin.images.archive_write import Archived, archive_chunks
from firkin.images.elf import read_binary
from firkin.images.host_files import HostFiles
from firkin.images.host_tree import MERGED, HostTree
from firkin.oci.digest import Digest, digest_of
from firkin.oci.image import History, ImageConfig, RootFS, RunConfig, encode_image_config
from firkin.oci.manifest import OCI_CONFIG, OCI_LAYER, OCI_MANIFEST, Descriptor, Manifest, encode
from firkin.oci.platform import host_platform
from firkin.oci.reference import Reference, parse_reference

TINY = "firkin/tiny"
_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_CORE_UTILITIES = """
sh [ basename cat chgrp chmod chown cp cut date dd df dirname du echo env expr false find grep head hostname id ip kill ln ls
md5sum mkdir mkfifo mknod mktemp mount mv nproc od ping printenv printf ps pwd readlink realpath rm rmdir sed seq sha256sum
sleep sort stat stty sync tail tar tee test timeout touch tr true tty umount uname uniq wc which whoami xargs yes
"""
_CREATED = "1970-01-01T00:00:00Z"


def programs_tree(names: list[str]) -> tuple[HostTree, list[str]]:
    """A tree that runs the programs `names`, and what it runs by default; raises `NotFound`."""
    files, tree = HostFiles(), HostTree()
    for name in names:
        files.add_program(name)
    tree.add(path for path in MERGED if os.path.islink(path))
    tree.add(sorted(files.paths))
    return tree, files.programs[:1]


def tiny_tree() -> tuple[HostTree, list[str]]:
    """The tree of firkin/tiny, and its shell; raises `NotFound` on a machine without even `sh`."""
    busybox = shutil.which("busybox")
    binary = read_binary(busybox) if busybox else None
    if not busybox or not binary or binary.interpreter or binary.needed:
        found = [name for name in _CORE_UTILITIES.split() if shutil.which(name)]
        if "sh" not in found:
            raise NotFound(f"make image {TINY}: this machine has neither busybox nor sh in PATH")
        return programs_tree(found)[0], ["/bin/sh"]
    tree = HostTree()
    tree.place("bin/busybox", busybox)
    for applet in subprocess.check_output([busybox, "--list"], text=True, timeout=10).split():
        if applet != "busybox":
            tree.link(f"bin/{applet}", "busybox")
    for name, target in (("sbin", "bin"), ("usr/bin", "../bin"), ("usr/sbin", "../bin")):
        tree.link(name, target)
    return tree, ["/bin/sh"]


def image_of(tree: HostTree, command: list[str], tags: tuple[Reference, ...], layer: IO[bytes]) -> Archived:
    """The image whose one layer holds `tree`; the layer is written to `layer`, an empty file open both ways."""
    tree.write(layer)
    size = layer.tell()
    layer.seek(0)
    diff_id = Digest("sha256:" + hashlib.file_digest(layer, "sha256").hexdigest())  # type: ignore[arg-type]
    platform, blob = host_platform(), Descriptor(OCI_LAYER, diff_id, size)
    config = encode_image_config(
        ImageConfig(
            RootFS(diff_ids=(blob.digest,)),
            platform.architecture,
            platform.os,
            platform.variant,
            created=_CREATED,
            config=RunConfig(cmd=tuple(command), env=(_PATH,), working_dir="/"),
            history=(History(_CREATED, "firkin image from-host", comment="made of the host's own programs"),),
        )
    )
    manifest = Manifest(2, OCI_MANIFEST, Descriptor(OCI_CONFIG, digest_of(config), len(config)), (blob,))
    return Archived(config, encode(manifest), tags)


def main() -> None:
    parser = argparse.ArgumentParser(prog="firkin image from-host", description="Make an image of this machine's programs.")
    parser.add_argument("-t", "--tag", metavar="NAME", help="name of the image")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--tiny", action="store_true", help=f"make {TINY}")
    what.add_argument("programs", nargs="*", default=[], metavar="PROGRAM", help="a path, or a name looked up along PATH")
    arguments = parser.parse_args()
    try:
        tags = (parse_reference(arguments.tag or TINY).with_default_tag(),) if arguments.tag or arguments.tiny else ()
        tree, command = tiny_tree() if arguments.tiny else programs_tree(arguments.programs)
        with tempfile.NamedTemporaryFile(prefix="firkin-layer-") as layer:
            image = image_of(tree, command, tags, layer.file)
            for chunk in archive_chunks([image], lambda _: layer.name):
                sys.stdout.buffer.write(chunk)
            sys.stdout.buffer.flush()
    except FirkinError as error:
        sys.exit(f"firkin image from-host: {error}")
    except OSError as error:
        sys.exit(f"firkin image from-host: {error.filename or 'write image'}: {reason(error)}")


if __name__ == "__main__":
    main()
