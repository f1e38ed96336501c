"""Subprocess with a message pipe; killed with its parent; reports its exit status and last output.

Two threads use the pipes, one to send and one to receive, because a pipe blocks its caller when the process
at the other end is stuck.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import pickle
import queue
import resource
import signal
import sys
import tempfile
import threading
import traceback
import weakref
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from models import working_folder
from models.errors import in_words
from pipeline.child_failures import not_started, why_no_python_starts
from pipeline.import_path import secure_children
from pipeline.processes import end_with_parent

log = logging.getLogger(__name__)

KILL_SECONDS = 5.0
"""How long the kernel may take to end a killed process; one stuck on a dead network share never ends."""

STOP_SECONDS = 2.0
"""How long a process may take to end after its pipe is closed, before it is killed."""

STDERR_TAIL_CHARACTERS = 400
"""Characters of the last line of output that an exit summary quotes."""

OUTPUT_BYTES = 1_000_000
"""Larger output is truncated: image libraries warn about file after file for years."""

NOT_STARTED = 255
"""Exit code that `multiprocessing` gives where the system does not start Python; nothing is printed."""

Main = Callable[..., None]
"""The function of the process: `main(requests, answers, *arguments)`; `requests` ends with EOFError."""


class ProcessExited(Exception):  # noqa: N818 - says what has happened
    """The process has ended, or closed its pipe; each message that it had sent was received before."""


class ChildProcess:
    """Run `main(requests, answers, *arguments)` in a new process.

    `main` must be a function of a module, and the arguments picklable. Create it in a thread that lives as
    long as the process is needed: Linux counts the end of that thread as the death of the parent.
    """

    def __init__(self, main: Main, *arguments: object) -> None:
        secure_children()
        self._outbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
        # No SimpleQueue: when a signal's handler takes longer than is left of its timeout, it waits for ever.
        self._inbox: queue.Queue[Any] = queue.Queue()
        with contextlib.ExitStack() as on_failure:
            self._start(main, arguments, on_failure)
            # Without this an exit that skips `kill` would wait for a process that ignores SIGTERM.
            self._reaper = weakref.finalize(self, self._process.kill)
            self._threads = (
                _thread(_send_all, self._outbox, self._requests),
                _thread(_receive_all, self._answers, self._inbox),
            )
            on_failure.pop_all()

    def _start(self, main: Main, arguments: tuple[object, ...], on_failure: contextlib.ExitStack) -> None:
        """Start the process, and close its ends of the pipes here. Adds to `on_failure` what to end."""
        # Unpickled in `_enter`, since it imports the module of `main`, which may fail.
        work = pickle.dumps((main, arguments))
        # A fork would copy locks, threads and database handles.
        context = multiprocessing.get_context("spawn")
        with contextlib.ExitStack() as child_ends:
            child_requests, self._requests = context.Pipe(duplex=False)
            child_ends.callback(child_requests.close)
            on_failure.callback(self._requests.close)
            self._answers, child_answers = context.Pipe(duplex=False)
            child_ends.callback(child_answers.close)
            on_failure.callback(self._answers.close)
            self._output = on_failure.enter_context(tempfile.TemporaryFile())
            child_output = Connection(os.dup(self._output.fileno()), readable=False)
            child_ends.callback(child_output.close)
            self._process = context.Process(
                target=_enter,
                args=(os.getpid(), child_requests, child_answers, child_output, work),
                name="pawsort-child",
                daemon=True,
            )
            try:
                self._process.start()
            except OSError as error:
                raise OSError(error.errno, not_started(error)) from error
            for end in (self._process.join, self._process.kill):  # in the reverse order
                on_failure.callback(end)
            on_failure.callback(self._outbox.put, _END)  # ends the first thread if the second did not start

    @property
    def pid(self) -> int:
        """The id of the process."""
        assert self._process.pid is not None
        return self._process.pid

    def send(self, message: object) -> None:
        """Send a picklable message; never blocks or fails, even when the process is stuck or dead."""
        self._outbox.put(message)

    def receive(self, timeout: float) -> Any:
        """Return the next message, or None when `timeout` seconds bring none. Raises ProcessExited."""
        self._truncate_output()
        try:
            message = self._inbox.get(timeout=max(0.0, timeout))
        except queue.Empty:
            return None
        if message is _END:
            self._inbox.put(_END)
            raise ProcessExited
        return message

    def stop(self) -> None:
        """Close the pipe, wait up to STOP_SECONDS for the process to end, then kill it."""
        self._outbox.put(_END)
        self._process.join(STOP_SECONDS)
        self.kill()

    def kill(self) -> str:
        """End the process if it still runs, and close the pipes.

        Returns its exit summary: the signal or exit code, and the last line of its output.
        """
        code = self._end()
        exit_summary = self._summary(code)
        self._reaper.detach()
        self._outbox.put(_END)
        for thread in self._threads:
            thread.join(KILL_SECONDS)
        for end in (self._requests, self._answers, self._output):
            end.close()
        return exit_summary

    def _summary(self, code: int | None) -> str:
        tail = self._stderr_tail()
        if code == NOT_STARTED and not tail and (reason := why_no_python_starts()):
            return reason
        return ": ".join(filter(None, (_exit_status(code), tail)))

    def _end(self) -> int | None:
        self._process.join(0.0 if self._inbox.empty() else 0.5)  # its own exit status tells more than SIGKILL
        self._process.kill()
        self._process.join(KILL_SECONDS)
        if self._process.exitcode is None:
            log.error("process %d does not die; is a disk or network share stuck?", self.pid)
        return self._process.exitcode

    def _stderr_tail(self) -> str:
        size = os.fstat(self._output.fileno()).st_size
        tail = os.pread(self._output.fileno(), 4096, max(0, size - 4096)).decode("utf-8", "replace")
        lines = [line.strip() for line in tail.splitlines() if line.strip()]
        return lines[-1][-STDERR_TAIL_CHARACTERS:] if lines else ""

    def _truncate_output(self) -> None:
        descriptor = self._output.fileno()
        if os.fstat(descriptor).st_size > OUTPUT_BYTES:
            os.ftruncate(descriptor, 0)
            os.lseek(descriptor, 0, os.SEEK_SET)  # the process writes through the same offset


_END = object()


def _thread(target: Callable[..., None], *arguments: object) -> threading.Thread:
    thread = threading.Thread(target=target, args=arguments, name=f"pawsort-{target.__name__}", daemon=True)
    thread.start()
    return thread


def _send_all(outbox: queue.SimpleQueue[Any], requests: Connection) -> None:
    with contextlib.suppress(OSError):  # the process is dead; the other thread reports it
        while (message := outbox.get()) is not _END:
            requests.send(message)
    requests.close()


def _receive_all(answers: Connection, inbox: queue.Queue[Any]) -> None:
    try:
        while True:
            inbox.put(answers.recv())
    except (EOFError, OSError):
        inbox.put(_END)


def _exit_status(code: int | None) -> str:
    if code is None:
        return "does not die"
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:  # a real-time signal
        return f"killed by signal {-code}"


def _enter(
    parent: int,
    requests: Connection,
    answers: Connection,
    output: Connection,
    work: bytes,
) -> None:
    _isolate(parent, output)
    code = 1
    try:
        main, arguments = pickle.loads(work)  # noqa: S301 - of the parent
        main(requests, answers, *arguments)
        code = 0
    except BaseException as error:
        traceback.print_exc()
        # The exit summary quotes the end of the last line; the beginning of TensorFlow's errors says most.
        print(in_words(error)[:STDERR_TAIL_CHARACTERS], file=sys.stderr)
    finally:
        sys.stderr.flush()
        os._exit(code)  # an orderly end waits for TensorFlow's threads, which may hang


def _isolate(parent: int, output: Connection) -> None:
    """Detach this process from working folder, terminal and log, and let it end with its parent."""
    working_folder.leave()  # a request has absolute paths
    for descriptor in (1, 2):
        os.dup2(output.fileno(), descriptor)
    output.close()
    # Ctrl-C and `systemctl stop` reach the whole group; the parent decides when its batch is finished.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # When memory runs out, the kernel kills this process first and not the worker.
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:
        score.write("1000")
    if not end_with_parent(parent, signal.SIGKILL):
        os._exit(1)
