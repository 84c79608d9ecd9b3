"""Runs a program on a terminal of its own, which closes when standard input ends; prints how the program ended."""
import os
import pty
import select
import sys

pid, terminal = pty.fork()
if pid == 0:
    os.execv(sys.argv[1], sys.argv[1:])
while True:
    readable, _, _ = select.select([terminal, 0], [], [])
    if 0 in readable and os.read(0, 1024) == b"":
        break
    if terminal in readable:
        os.read(terminal, 65536)
os.close(terminal)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
