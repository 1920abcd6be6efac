"""The flags of `run` and `create`, one row each; `resource_flags` holds those that limit or add hardware.

A row with a target is copied into the request as it is; the others belong to a part of `body.PARTS` or to the command.
"""

from __future__ import annotations

from firkin.cli.flags import Flag
from firkin.cli.request.resource_flags import RESOURCES

# What runs, as whom, with which environment
_WHAT_RUNS = (
    Flag("attach", "a", "list", "Attach to STDIN, STDOUT or STDERR"),
    Flag("entrypoint", "", "string", "Overwrite the default ENTRYPOINT of the image"),
    Flag("env", "e", "list", "Set environment variables"),
    Flag("env-file", "", "list", "Read in a file of environment variables"),
    Flag("init", "", "bool", "Run an init inside the container that forwards signals and reaps processes", "HostConfig.Init"),
    Flag("interactive", "i", "bool", "Keep STDIN open even if not attached"),
    Flag("tty", "t", "bool", "Allocate a pseudo-TTY", "Tty"),
    Flag("user", "u", "string", "Username or UID (format: <name|uid>[:<group|gid>])", "User"),
    Flag("workdir", "w", "string", "Working directory inside the container", "WorkingDir"),
    Flag(
        "annotation",
        "",
        "map",
        "Add an annotation to the container (passed through to the OCI runtime)",
        "HostConfig.Annotations",
        default="map[]",
    ),
    Flag("label", "l", "list", "Set meta data on a container"),
    Flag("label-file", "", "list", "Read in a line delimited file of labels"),
    Flag("name", "", "string", "Assign a name to the container"),
    Flag("cidfile", "", "string", "Write the container ID to the file", "HostConfig.ContainerIDFile"),
    Flag("hostname", "h", "string", "Container host name", "Hostname"),
    Flag("domainname", "", "string", "Container NIS domain name", "Domainname"),
    Flag("isolation", "", "string", "Container isolation technology", "HostConfig.Isolation"),
    Flag("platform", "", "string", "Set platform if server is multi-platform capable"),
    Flag("runtime", "", "string", "Runtime to use for this container", "HostConfig.Runtime"),
    Flag("pull", "", "string", 'Pull image before running ("always", "missing", "never")', default="missing"),
    Flag("quiet", "q", "bool", "Suppress the pull output"),
    Flag("disable-content-trust", "", "bool", "Skip image verification", default="true"),
)

# How long it lives and how it is watched
_LIFE = (
    Flag(
        "rm",
        "",
        "bool",
        "Automatically remove the container and its associated anonymous volumes when it exits",
        "HostConfig.AutoRemove",
    ),
    Flag("restart", "", "string", "Restart policy to apply when a container exits", default="no"),
    Flag("stop-signal", "", "string", "Signal to stop the container", "StopSignal"),
    Flag("stop-timeout", "", "int", "Timeout (in seconds) to stop a container", "StopTimeout"),
    Flag("health-cmd", "", "string", "Command to run to check health"),
    Flag("health-interval", "", "duration", "Time between running the check (ms|s|m|h)", default="0s"),
    Flag("health-retries", "", "int", "Consecutive failures needed to report unhealthy"),
    Flag(
        "health-start-interval",
        "",
        "duration",
        "Time between running the check during the start period (ms|s|m|h)",
        default="0s",
    ),
    Flag(
        "health-start-period",
        "",
        "duration",
        "Start period for the container to initialize before starting health-retries countdown (ms|s|m|h)",
        default="0s",
    ),
    Flag("health-timeout", "", "duration", "Maximum time to allow one check to run (ms|s|m|h)", default="0s"),
    Flag("no-healthcheck", "", "bool", "Disable any container-specified HEALTHCHECK"),
    Flag("log-driver", "", "string", "Logging driver for the container", "HostConfig.LogConfig.Type"),
    Flag("log-opt", "", "map", "Log driver options", "HostConfig.LogConfig.Config"),
)

# Its network
_NETWORK = (
    Flag("add-host", "", "list", "Add a custom host-to-IP mapping (host:ip)"),
    Flag("dns", "", "list", "Set custom DNS servers", "HostConfig.Dns"),
    Flag("dns-option", "", "list", "Set DNS options", "HostConfig.DnsOptions"),
    Flag("dns-search", "", "list", "Set custom DNS search domains", "HostConfig.DnsSearch"),
    Flag("expose", "", "list", "Expose a port or a range of ports"),
    Flag("ip", "", "string", "IPv4 address (e.g., 172.30.100.104)"),
    Flag("ip6", "", "string", "IPv6 address (e.g., 2001:db8::33)"),
    Flag("link", "", "list", "Add link to another container", "HostConfig.Links"),
    Flag("link-local-ip", "", "list", "Container IPv4/IPv6 link-local addresses"),
    Flag("mac-address", "", "string", "Container MAC address (e.g., 92:d0:c6:0a:29:33)"),
    Flag("network", "", "network", "Connect a container to a network"),
    Flag("network-alias", "", "list", "Add network-scoped alias for the container"),
    Flag("publish", "p", "list", "Publish a container's port(s) to the host"),
    Flag("publish-all", "P", "bool", "Publish all exposed ports to random ports", "HostConfig.PublishAllPorts"),
)

# Its files
_FILES = (
    Flag("mount", "", "mount", "Attach a filesystem mount to the container"),
    Flag("read-only", "", "bool", "Mount the container's root filesystem as read only", "HostConfig.ReadonlyRootfs"),
    Flag("storage-opt", "", "map", "Storage driver options for the container", "HostConfig.StorageOpt"),
    Flag("tmpfs", "", "list", "Mount a tmpfs directory"),
    Flag("volume", "v", "list", "Bind mount a volume"),
    Flag("volume-driver", "", "string", "Optional volume driver for the container", "HostConfig.VolumeDriver"),
    Flag("volumes-from", "", "list", "Mount volumes from the specified container(s)", "HostConfig.VolumesFrom"),
)

# What it may do and see
_ISOLATION = (
    Flag("cap-add", "", "list", "Add Linux capabilities", "HostConfig.CapAdd"),
    Flag("cap-drop", "", "list", "Drop Linux capabilities", "HostConfig.CapDrop"),
    Flag("group-add", "", "list", "Add additional groups to join", "HostConfig.GroupAdd"),
    Flag("ipc", "", "string", "IPC mode to use", "HostConfig.IpcMode"),
    Flag("pid", "", "string", "PID namespace to use", "HostConfig.PidMode"),
    Flag("privileged", "", "bool", "Give extended privileges to this container", "HostConfig.Privileged"),
    Flag("security-opt", "", "list", "Security Options"),
    Flag("sysctl", "", "map", "Sysctl options", "HostConfig.Sysctls", default="map[]"),
    Flag("userns", "", "string", "User namespace to use", "HostConfig.UsernsMode"),
    Flag("uts", "", "string", "UTS namespace to use", "HostConfig.UTSMode"),
)

CONTAINER_FLAGS = (*_WHAT_RUNS, *_LIFE, *_NETWORK, *_FILES, *_ISOLATION, *RESOURCES)
