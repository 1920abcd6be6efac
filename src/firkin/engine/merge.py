"""A container's configuration from its image's and its client's, as `docker create` merges them. Pure.

Source: moby `daemon/commit.go` merge(): the client's value wins; environment, labels, ports and volumes are united.
"""

from __future__ import annotations

from dataclasses import replace

from firkin.errors import Invalid
from firkin.model import ContainerConfig, Healthcheck
from firkin.oci.image import RunConfig


def _environment(image: tuple[str, ...], client: tuple[str, ...]) -> tuple[str, ...]:
    """The client's variables, then those of the image's that they do not replace. A bare `NAME` is kept: it tells the
    start to leave the variable out."""
    names = {entry.partition("=")[0] for entry in client}
    if "" in names:
        raise Invalid(f"invalid environment variable: {next(entry for entry in client if entry[:1] in ('', '='))}")
    return (*client, *(entry for entry in image if entry.partition("=")[0] not in names))


def _healthcheck(image: RunConfig, client: Healthcheck | None) -> Healthcheck | None:
    """A client may override single durations of the image's test; a test of its own replaces all."""
    inherited = image.healthcheck
    if inherited is None or (client and client.test):
        return client
    over = client or Healthcheck()
    return Healthcheck(
        test=inherited.test,
        interval=over.interval or inherited.interval,
        timeout=over.timeout or inherited.timeout,
        retries=over.retries or inherited.retries,
        start_period=over.start_period or inherited.start_period,
        start_interval=over.start_interval or inherited.start_interval,
    )


def merge(image: RunConfig, client: ContainerConfig) -> ContainerConfig:
    """The configuration in effect. An entry point given by the client also drops the image's command."""
    entrypoint, cmd = client.entrypoint, client.cmd
    if entrypoint is None:
        entrypoint = image.entrypoint
        cmd = cmd or image.cmd
    elif entrypoint == ("",):
        entrypoint = None
    return replace(
        client,
        user=client.user or image.user,
        exposed_ports=tuple(dict.fromkeys((*image.exposed_ports, *client.exposed_ports))),
        env=_environment(image.env, client.env),
        cmd=cmd,
        entrypoint=entrypoint,
        healthcheck=_healthcheck(image, client.healthcheck),
        volumes=tuple(dict.fromkeys((*image.volumes, *client.volumes))),
        working_dir=client.working_dir or image.working_dir,
        labels={**image.labels, **client.labels},
        stop_signal=client.stop_signal or image.stop_signal,
        stop_timeout=client.stop_timeout if client.stop_timeout is not None else image.stop_timeout,
        shell=client.shell or image.shell,
        on_build=client.on_build or image.on_build,
    )


def command_line(config: ContainerConfig) -> tuple[str, tuple[str, ...]]:
    """(program, arguments) of a merged configuration; raises `Invalid` when there is nothing to run."""
    words = (*(config.entrypoint or ()), *(config.cmd or ()))
    if not words:
        raise Invalid("no command specified")
    return words[0], words[1:]
