"""Start and stop child processes so that nothing survives the process that started them."""

import contextlib
import ctypes
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

PR_SET_PDEATHSIG = 1  # from <linux/prctl.h>
# asked after the request for the signal: a parent that died before it would never be noticed
STILL_OURS = '[ "$PPID" = "$0" ] && exec "$@"'
LOG_LIMIT_BYTES = 20_000_000  # a log larger than this is set aside when its process starts


def guarded(
    command: Sequence[str], *, account: str | None = None, death_signal: str = "KILL"
) -> list[str]:
    """Wrap a command so that the kernel signals it when its parent, this process, dies.

    The wrapper that asks for the signal is the innermost one, because changing the account
    clears the request. The kernel counts the thread that forked as the parent: call this from
    the main thread.

    Args:
        command: program and arguments.
        account: run as this user and its groups; None for the present user.
        death_signal: name of the signal, without SIG.
    """
    check = ["sh", "-c", STILL_OURS, str(os.getpid())]
    inner = ["setpriv", "--pdeathsig", death_signal, "--", *check, *command]
    return inner if account is None else [*as_account(account), *inner]


def as_account(account: str) -> list[str]:
    """The prefix that runs a command as another user; only root may use it."""
    return ["setpriv", f"--reuid={account}", f"--regid={account}", "--init-groups", "--"]


def start(
    command: Sequence[str],
    *,
    log: Path,
    env: Mapping[str, str] | None = None,
    cwd: Path = Path("/"),
) -> subprocess.Popen[bytes]:
    """Start a command in a session of its own, its output appended to ``log``.

    Args:
        command: as :func:`guarded` returns it.
        log: file that takes both output streams.
        env: the whole environment; None for a copy of ours.
        cwd: working folder; one that the command's account can reach.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists() and log.stat().st_size > LOG_LIMIT_BYTES:
        log.replace(log.with_suffix(".old.log"))
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=None if env is None else dict(env),
            cwd=cwd,
            start_new_session=True,
        )


def stop(process: subprocess.Popen[bytes], sig: signal.Signals, *, seconds: float) -> None:
    """Ask a process to end, then end its whole session by force.

    Args:
        process: started by :func:`start`, so it leads its own session.
        sig: what the process understands as "finish".
        seconds: how long it may take.
    """
    if process.poll() is None:
        process.send_signal(sig)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
    kill_session(process)


def kill_session(process: subprocess.Popen[bytes]) -> None:
    """End a process and every child that stayed in its session, at once and without asking."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def die_with_parent() -> None:
    """Ask the kernel to kill this process when its parent dies.

    A worker's pool child calls it: it would otherwise go on with its shard after a kill -9 of
    the worker.
    """
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
