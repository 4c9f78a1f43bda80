"""A real IPython kernel, driven as a front end drives it."""

import time
from dataclasses import dataclass, field
from queue import Empty

from jupyter_client.manager import KernelManager


@dataclass
class Reply:
    """What a front end would show of one cell."""

    stdout: str = ""
    stderr: str = ""
    result: str = ""
    error: str = ""  # the class's name
    message: str = ""
    traceback: str = ""
    seconds: float = 0.0
    outputs: list[tuple[str, str]] = field(default_factory=list)


class Kernel:
    """One kernel process and a client of it."""

    def __init__(self, **environment: str) -> None:
        import os

        self.manager = KernelManager(kernel_name="python3")
        self.manager.start_kernel(env={**os.environ, **environment})
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=60)

    def send(self, code: str) -> str:
        """Starts a cell and doesn't wait for it."""
        return self.client.execute(code, stop_on_error=False)

    def collect(self, message_id: str, timeout: float = 60.0) -> Reply:
        """What came of a cell that was sent."""
        reply = Reply()
        start = time.monotonic()
        while True:
            try:
                message = self.client.get_iopub_msg(timeout=timeout)
            except Empty:
                raise TimeoutError(f"the kernel is silent; so far {reply}") from None
            if message["parent_header"].get("msg_id") != message_id:
                continue
            kind, content = message["msg_type"], message["content"]
            if kind == "stream":
                setattr(reply, content["name"], getattr(reply, content["name"]) + content["text"])
            elif kind in ("execute_result", "display_data"):
                reply.result = content["data"].get("text/plain", "")
            elif kind == "error":
                reply.error, reply.message = content["ename"], content["evalue"]
                reply.traceback = "\n".join(content["traceback"])
            elif kind == "status" and content["execution_state"] == "idle":
                break
        reply.seconds = time.monotonic() - start
        self.client.get_shell_msg(timeout=timeout)
        return reply

    def run(self, code: str, timeout: float = 60.0) -> Reply:
        """Runs one cell."""
        return self.collect(self.send(code), timeout)

    def stop(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)
