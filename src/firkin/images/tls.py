"""TLS towards a registry: the system's authorities, and those an administrator keeps for one registry.

Source: Docker's "Verify repository client with certificates": `/etc/docker/certs.d/HOST[:PORT]/`.
"""

from __future__ import annotations

import os
import ssl

from firkin.images.endpoints import Endpoint


def tls_context(endpoint: Endpoint, certificates: str) -> ssl.SSLContext:
    """The system's authorities, and those under `certificates`/HOST[:PORT], with its client certificate if any."""
    if endpoint.verify:
        context = ssl.create_default_context()
    else:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    directory = os.path.join(certificates, endpoint.url.host_port_subcomponent or "")
    for name in sorted(os.listdir(directory)) if certificates and os.path.isdir(directory) else []:
        path = os.path.join(directory, name)
        if name.endswith(".crt"):
            context.load_verify_locations(path)
        elif name.endswith(".cert"):
            context.load_cert_chain(path, path.removesuffix(".cert") + ".key")
    return context
