"""The AppArmor profile that containers run under by default: what even a container's root may not touch.

It allows nearly everything that the container's own capabilities, seccomp filter and namespaces leave, and takes away what
would reach through them to the host: mounting, kernel settings and interfaces in /proc and /sys, processes outside. It
stands on its own: no include, so that it means the same on every machine.

Source: apparmor.d(5); Docker's `docker-default` (moby profiles/apparmor/template.go) has the same rules but for the denied
networks. `unix` is said because to AppArmor's newer ABIs `network` does not mean it.
"""

from __future__ import annotations

NAME = "firkin-default"

TEXT = """\
profile firkin-default flags=(attach_disconnected,mediate_deleted) {
  network,
  unix,
  capability,
  file,
  umount,

  # To the kernel's cryptography, and to the hypervisor or its guests. The system call filter refuses both, but it is the
  # user's to replace, and a 32-bit program's socketcall(2) passes by any filter.
  deny network alg,
  deny network vsock,

  # The engine is not confined; those of other containers are, and keep out of each other by their namespaces.
  signal (receive) peer=unconfined,
  signal (send, receive) peer=firkin-default,
  ptrace (trace, read, tracedby, readby) peer=firkin-default,

  # In a container that may mount (CAP_SYS_ADMIN) a path says nothing about what is there.
  deny mount,

  # Of /proc, to write: what belongs to processes, and shared memory settings of its own IPC namespace.
  deny /proc/* w,
  deny /proc/[^1-9s]** w,
  deny /proc/s[^y]** w,
  deny /proc/sy[^s]** w,
  deny /proc/sys[^/]** w,
  deny /proc/sys/[^k]** w,
  deny /proc/sys/k[^e]** w,
  deny /proc/sys/kernel/[^s]** w,
  deny /proc/sys/kernel/s[^h]** w,
  deny /proc/sys/kernel/sh[^m]** w,
  deny /proc/sysrq-trigger rwklx,
  deny /proc/kcore rwklx,

  # Of /sys, to write: control groups, where they are writable at all. And some is not even to be read.
  deny /sys/[^f]** wklx,
  deny /sys/f[^s]** wklx,
  deny /sys/fs/[^c]** wklx,
  deny /sys/fs/c[^g]** wklx,
  deny /sys/fs/cg[^r]** wklx,
  deny /sys/firmware/** rwklx,
  deny /sys/devices/virtual/powercap/** rwklx,
  deny /sys/kernel/security/** rwklx,
}
"""
