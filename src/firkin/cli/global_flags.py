"""The flags that stand before the command."""

from __future__ import annotations

from firkin.cli.flags import Flag

GLOBAL_FLAGS = (
    Flag("config", "", "string", "Location of client config files"),
    Flag("debug", "D", "bool", "Enable debug mode"),
    Flag("host", "H", "list", "Daemon socket to connect to"),
    Flag("log-level", "l", "string", 'Set the logging level ("debug", "info", "warn", "error", "fatal")', default="info"),
    Flag("tls", "", "bool", "Use TLS; implied by --tlsverify"),
    Flag("tlscacert", "", "string", "Trust certs signed only by this CA"),
    Flag("tlscert", "", "string", "Path to TLS certificate file"),
    Flag("tlskey", "", "string", "Path to TLS key file"),
    Flag("tlsverify", "", "bool", "Use TLS and verify the remote"),
    Flag("version", "v", "bool", "Print version information and quit"),
)
