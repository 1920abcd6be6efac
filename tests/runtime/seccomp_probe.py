"""Make system calls and print what became of each: a JSON list of errnos (0 for success), for tests to compare.

Usage: seccomp_probe.py CALLS [PROGRAM]. CALLS is a JSON list of [number, arguments...]; a number below zero means a call
of the 32-bit table, made through int 0x80. PROGRAM is a file with a filter to install first. Stands alone: it also runs
inside containers, with nothing but Python.
"""

import ctypes
import json
import mmap
import os
import struct
import sys

libc = ctypes.CDLL(None, use_errno=True)
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2


def install(path):
    with open(path, "rb") as file:
        code = ctypes.create_string_buffer(file.read())
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    program = struct.pack("@HP", (len(code) - 1) // 8, ctypes.addressof(code))
    if libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, program):
        raise OSError(ctypes.get_errno(), "install filter")


def call(number, *arguments):
    """In a child of its own: some calls end the caller, or change it."""
    pid = os.fork()
    if pid == 0:
        ctypes.set_errno(0)
        words = [ctypes.c_long(word) for word in (*arguments, *[0] * (6 - len(arguments)))]
        result = libc.syscall(ctypes.c_long(number), *words)
        os._exit(ctypes.get_errno() if result == -1 else 0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def call_32(number, *arguments):
    """A list among the arguments stands for a pointer to these words."""
    memory = mmap.mmap(-1, 8192, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x40, prot=7)  # MAP_32BIT
    base = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    words = []
    for argument in arguments:
        if isinstance(argument, list):
            memory[4096 : 4096 + 4 * len(argument)] = struct.pack(f"={len(argument)}I", *argument)
            argument = base + 4096
        words.append(argument)
    words += [0] * (3 - len(words))
    # push rbx; mov eax, N; mov ebx, A; mov ecx, B; mov edx, C; int 0x80; pop rbx; ret
    code = struct.pack(
        "=BBIBIBIBI4B", 0x53, 0xB8, number, 0xBB, words[0], 0xB9, words[1], 0xBA, words[2], 0xCD, 0x80, 0x5B, 0xC3
    )
    memory[: len(code)] = code
    pid = os.fork()
    if pid == 0:
        result = ctypes.CFUNCTYPE(ctypes.c_int)(base)()
        os._exit(-result if result < 0 else 0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def main():
    calls = json.loads(sys.argv[1])
    if len(sys.argv) > 2:
        install(sys.argv[2])
    print(json.dumps([call_32(-number, *rest) if number < 0 else call(number, *rest) for number, *rest in calls]))


main()
